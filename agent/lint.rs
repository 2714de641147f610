//! `skopos lint rules`: what cannot be meant in rule files, held against what is known of series and intervals.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::Context;
use rules::lint::{Report, Severity, Sources, lint};

use crate::check::number;
use crate::cli::LintArgs;
use crate::{config, sightings};

/// Something could not be read, so that nothing can be said of it.
const UNREADABLE: u8 = 2;

/// Ends with 0 when there is nothing as grave as `--fail-on`, with 1 when there is, and with 2 when a file cannot be
/// read or who was to be asked does not answer.
#[must_use]
pub fn run(arguments: &LintArgs) -> ExitCode {
    match look(arguments) {
        Ok(code) => code,
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::from(UNREADABLE)
        }
    }
}

fn look(arguments: &LintArgs) -> anyhow::Result<ExitCode> {
    let mut texts = Vec::new();
    let mut complaints = Vec::new();
    for path in &arguments.files {
        match config::read(path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(complaint) => complaints.push(complaint),
        }
    }
    let (sources, mistakes) = Sources::read(&texts);
    complaints.extend(mistakes);
    let world = sightings::world(arguments, &sources.metrics())?;
    let report = lint(&sources, &world);
    let mut out = BufWriter::new(io::stdout().lock());
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &shown(&report, arguments.min_severity))?;
        writeln!(out)?;
    } else {
        print(&report, arguments.min_severity, &mut out)?;
    }
    out.flush().context("writing the findings")?;
    for complaint in &complaints {
        _ = writeln!(io::stderr(), "{complaint}");
    }
    let fails = report
        .findings
        .iter()
        .any(|finding| finding.severity >= arguments.fail_on);
    Ok(match (complaints.is_empty(), fails) {
        (false, _) => ExitCode::from(UNREADABLE),
        (true, true) => ExitCode::FAILURE,
        (true, false) => ExitCode::SUCCESS,
    })
}

/// Without findings that are less grave.
fn shown(report: &Report, least: Severity) -> Report {
    let mut report = report.clone();
    report.findings.retain(|finding| finding.severity >= least);
    report
}

fn print(report: &Report, least: Severity, out: &mut impl Write) -> io::Result<()> {
    for finding in &shown(report, least).findings {
        writeln!(out, "{finding}\n")?;
    }
    for skipped in &report.skipped {
        writeln!(out, "not looked for: {}, because {}", skipped.check, skipped.why)?;
    }
    let of = |severity: Severity| {
        let count = report.count(severity);
        let hidden = if severity < least && count > 0 {
            " (not shown)"
        } else {
            ""
        };
        match severity {
            Severity::Bug => format!("{}{hidden}", number(count, "bug")),
            Severity::Warning => format!("{}{hidden}", number(count, "warning")),
            Severity::Info => format!("{}{hidden}", number(count, "info")),
        }
    };
    write!(
        out,
        "{}, {}, {} in {} of {}",
        of(Severity::Bug),
        of(Severity::Warning),
        of(Severity::Info),
        number(report.rules, "rule"),
        number(report.files, "file")
    )?;
    match report.silenced {
        0 => writeln!(out),
        count => writeln!(out, "; {count} silenced by comments"),
    }
}

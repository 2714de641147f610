//! `skopos test rules`: unit tests of rules in promtool's format, a verdict for each test group.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use model::{Complaint, Timestamp};
use rules::unit::{self, GroupReport, Report, Routes};

use crate::check::number;
use crate::cli::UnitArgs;
use crate::config;

/// Ends with 0 when nothing failed, and with 1 when a test group did or a file cannot be read.
#[must_use]
pub fn run(arguments: &UnitArgs) -> ExitCode {
    match print(arguments, &mut BufWriter::new(io::stdout().lock())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
fn print(arguments: &UnitArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let is_wanted =
        |name: &str| arguments.run.is_empty() || arguments.run.iter().any(|wanted| wanted.is_match(name));
    let mut reports = Vec::new();
    for file in &arguments.files {
        let report = unit::run(file, is_wanted, &routes);
        show(&report, arguments.failures, out)?;
        // What is wrong with a file stands behind what came before it, wherever the two go.
        out.flush()?;
        for mistake in &report.mistakes {
            _ = writeln!(io::stderr(), "{mistake}");
        }
        reports.push(report);
    }
    let groups = reports.iter().flat_map(|report| &report.groups);
    let (passed, failed): (Vec<_>, Vec<_>) = groups.partition(|group| group.has_passed());
    let (passed, failed) = (passed.len(), failed.len());
    let unreadable = reports
        .iter()
        .filter(|report| !report.mistakes.is_empty())
        .count();
    write!(out, "{} passed, {failed} failed", number(passed, "test group"))?;
    if unreadable > 0 {
        write!(
            out,
            ", {unreadable} of {} not readable",
            number(reports.len(), "file")
        )?;
    }
    writeln!(out)?;
    out.flush()?;
    if let Some(path) = &arguments.junit {
        let writing = || format!("writing {}", path.display());
        let mut file = BufWriter::new(File::create(path).with_context(writing)?);
        unit::junit(&reports, &mut file)
            .and_then(|()| file.flush())
            .with_context(writing)?;
    }
    Ok(reports.iter().all(Report::has_passed))
}

/// Where alerts go by a routing file in Alertmanager's form.
fn routes(path: &Path) -> Result<Routes, Vec<Complaint>> {
    let mut notifier = notifier::Config::default();
    let (taken, _) = config::read_routing(&mut notifier, path);
    taken?;
    Ok(Box::new(move |labels| {
        let routing = notifier.routing(Some(labels), Timestamp::default());
        let ways = routing
            .ways
            .iter()
            .filter_map(|way| routing.routes.get(way.route));
        ways.map(|route| route.receiver.clone()).collect()
    }))
}

fn show(report: &Report, failures_only: bool, out: &mut impl Write) -> io::Result<()> {
    if !failures_only {
        for warning in &report.warnings {
            writeln!(out, "warning: {warning}")?;
        }
    }
    for group in &report.groups {
        if group.has_passed() && failures_only {
            continue;
        }
        let word = if group.has_passed() { "SUCCESS" } else { "FAILED " };
        writeln!(out, "{word} {}: {}", report.file, group.name)?;
        for line in lines(group) {
            writeln!(out, "    {line}")?;
        }
    }
    Ok(())
}

fn lines(group: &GroupReport) -> impl Iterator<Item = String> {
    let failures = group.failures.iter().map(ToString::to_string);
    let notes = group.notes.iter().map(|note| format!("note: {note}"));
    let all = failures.chain(notes);
    all.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
}

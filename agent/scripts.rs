//! `skopos test promql`: test scripts in the format of Prometheus' own, a verdict for each evaluation.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use promql::script::{self, Report, RunOptions, Verdict};

use crate::cli::ScriptsArgs;

/// Ends with 0 when nothing failed, and with 1 when an evaluation did or a script cannot be read.
#[must_use]
pub fn run(arguments: &ScriptsArgs) -> ExitCode {
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
fn print(arguments: &ScriptsArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let options = RunOptions {
        delayed_name_removal: !arguments.names_go_at_once,
        ..RunOptions::default()
    };
    let (mut passed, mut failed, mut skipped, mut unreadable) = (0, 0, 0, 0);
    for file in &arguments.files {
        match read(file, &options) {
            Ok(report) => {
                show(file, &report, arguments.quiet, out)?;
                passed += report.passed();
                failed += report.failed();
                skipped += report.skipped();
            }
            Err(error) => {
                out.flush()?;
                _ = writeln!(io::stderr(), "skopos: {error:#}");
                unreadable += 1;
            }
        }
        out.flush()?;
    }
    write!(out, "{passed} passed, {failed} failed, {skipped} skipped")?;
    if skipped > 0 {
        write!(out, " for native histograms")?;
    }
    if unreadable > 0 {
        write!(
            out,
            ", {unreadable} of {} scripts not readable",
            arguments.files.len()
        )?;
    }
    writeln!(out)?;
    out.flush()?;
    Ok(failed == 0 && unreadable == 0)
}

fn read(file: &Path, options: &RunOptions) -> anyhow::Result<Report> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    script::run(&text, options).with_context(|| file.display().to_string())
}

fn show(file: &Path, report: &Report, quiet: bool, out: &mut impl Write) -> io::Result<()> {
    for check in &report.checks {
        let (word, why) = match &check.verdict {
            Verdict::Passed if quiet => continue,
            Verdict::Passed => ("ok  ", None),
            Verdict::Skipped(_) if quiet => continue,
            Verdict::Skipped(why) => ("skip", Some(why)),
            Verdict::Failed(why) => ("FAIL", Some(why)),
        };
        writeln!(out, "{word} {}:{} {}", file.display(), check.line, check.expr)?;
        if let Some(why) = why {
            writeln!(out, "     {why}")?;
        }
    }
    Ok(())
}

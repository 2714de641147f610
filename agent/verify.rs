//! `skopos logs verify`: whether every line of a file is in a sink, once.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use logs::{Found, LineRange, Verdict, Verify};

use crate::check::{Outside, number, outside};
use crate::cli::{RunArgs, VerifyArgs};
use crate::config::Config;
use crate::daemon::hostname;

/// A file cannot be read, or a sink does not answer.
const UNANSWERED: u8 = 2;

/// Compares, and says what it found.
#[must_use]
pub fn run(run: &RunArgs, arguments: &VerifyArgs) -> ExitCode {
    match compare(run, arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::from(UNANSWERED)
        }
    }
}

/// Whether all is there.
fn compare(run: &RunArgs, arguments: &VerifyArgs) -> anyhow::Result<bool> {
    let file = arguments.config.as_ref().or(run.config.as_ref());
    let config = Config::load(file.map(PathBuf::as_path), None).map_err(|found| {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        anyhow!("{}", found.join("\n"))
    })?;
    let Outside { runtime, client, .. } = outside(&config.document).map_err(anyhow::Error::msg)?;
    let host = arguments.host.clone().unwrap_or_else(hostname);
    let verify = Verify {
        config: &config.document.logs,
        folder: &run.data_dir.join("logs"),
        host: &host,
        client,
    };
    let files = files(&verify, arguments)?;
    let sinks = match &arguments.sink {
        Some(sink) => vec![sink.clone()],
        None => verify.sinks(),
    };
    if sinks.is_empty() {
        bail!("there is no sink to compare with: logs.local is false and there is no logs.opensearch");
    }
    let mut is_complete = true;
    let mut output = io::stdout().lock();
    for sink in sinks {
        let verdicts = runtime
            .block_on(verify.compare(&sink, &files))
            .map_err(anyhow::Error::msg)?;
        for verdict in verdicts {
            is_complete &= verdict.is_complete();
            let text = match arguments.json {
                true => json(&verdict)?,
                false => spoken(&verdict),
            };
            writeln!(output, "{text}")?;
        }
    }
    Ok(is_complete)
}

fn files(verify: &Verify<'_>, arguments: &VerifyArgs) -> anyhow::Result<Vec<PathBuf>> {
    let Some(pod) = &arguments.pod else {
        return Ok(arguments.files.clone());
    };
    let (namespace, container) = (&arguments.namespace, &arguments.container);
    let found = verify.files_of(namespace, pod, container);
    let found =
        found.with_context(|| format!("looking for pods in {}", verify.config.containers.display()))?;
    if found.is_empty() {
        bail!(
            "{} has no log files of a pod {namespace}/{pod}",
            verify.config.containers.display()
        );
    }
    Ok(arguments.files.iter().cloned().chain(found).collect())
}

fn json(verdict: &Verdict) -> anyhow::Result<String> {
    let mut object = serde_json::to_value(verdict)?;
    object["is_complete"] = verdict.is_complete().into();
    Ok(object.to_string())
}

fn spoken(verdict: &Verdict) -> String {
    let mut text = format!("{} in {}: ", verdict.file, verdict.sink);
    if verdict.is_complete() {
        text.push_str(&format!(
            "complete, {} in {}",
            count(verdict.records, "record"),
            count(verdict.lines, "line")
        ));
        return text;
    }
    text.push_str(&format!(
        "{} of {} are there ({} in all)",
        verdict.found,
        count(verdict.records, "record"),
        count(verdict.lines, "line")
    ));
    if verdict.is_unknown {
        text.push_str("\n  nothing of this file was ever read for this sink");
    }
    for (found, word) in [
        (&verdict.missing, "missing"),
        (&verdict.doubled, "there more than once"),
        (&verdict.refused, "never taken, kept as dead letters"),
        (&verdict.waiting, "not acknowledged yet"),
    ] {
        if found.records > 0 {
            text.push_str(&format!("\n  {word}: {}", places(found)));
        }
    }
    text
}

/// `3, at line 17, lines 20-21 (the first at byte 4711)`.
fn places(found: &Found) -> String {
    let line = |range: &LineRange| match range.first == range.last {
        true => format!("line {}", range.first),
        false => format!("lines {}-{}", range.first, range.last),
    };
    let mut lines: Vec<String> = found.lines.iter().map(line).collect();
    if found.is_full {
        lines.push("more".to_owned());
    }
    let first = found.first_offset.unwrap_or_default();
    format!(
        "{}, at {} (the first at byte {first})",
        found.records,
        lines.join(", ")
    )
}

fn count(count: u64, one: &str) -> String {
    number(usize::try_from(count).unwrap_or(usize::MAX), one)
}

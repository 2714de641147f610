//! `skopos routes`: where alerts go by a configuration or a routing file, and where one with given labels would.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use model::view::{RouteLine, Routing};
use model::{Clock, Complaint, Labels};

use crate::archive;
use crate::cli::RoutesArgs;
use crate::config::{self, Config};
use crate::query::moment;

pub(crate) const BAD_FILE: u8 = 64;

/// Ends with 0, with 1 when an alert goes elsewhere than `--expect` says, and with 64 when the file has mistakes.
#[must_use]
pub fn run(arguments: &RoutesArgs) -> ExitCode {
    let notifier = match read(&arguments.file) {
        Ok(notifier) => notifier,
        Err(complaints) => {
            for complaint in complaints {
                _ = writeln!(io::stderr(), "{complaint}");
            }
            return ExitCode::from(BAD_FILE);
        }
    };
    match show(arguments, &notifier) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Of a configuration its section `notifier`, with the routing file that it names; or a routing file itself.
pub(crate) fn read(file: &Path) -> Result<notifier::Config, Vec<Complaint>> {
    let text = config::read(file).map_err(|complaint| vec![complaint])?;
    if is_routing(&text) {
        let mut notifier = notifier::Config::default();
        config::read_routing(&mut notifier, file).0?;
        return Ok(notifier);
    }
    Ok(Config::load(Some(file), None)?.document.notifier)
}

/// Alertmanager's file is known by its top-level keys.
pub(crate) fn is_routing(text: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with("route:") || line.starts_with("receivers:"))
}

fn show(arguments: &RoutesArgs, notifier: &notifier::Config) -> anyhow::Result<()> {
    let now = match &arguments.at {
        Some(at) => archive::moment(moment(at)?),
        None => telemetry::clock::RuntimeClock::system().now(),
    };
    let labels = Labels::from_pairs(arguments.labels.iter().cloned());
    let asked = (!labels.is_empty()).then_some(&labels);
    let routing = notifier.routing(asked, now);
    let text = if arguments.json {
        serde_json::to_string_pretty(&routing)? + "\n"
    } else if asked.is_some() {
        ways(&labels, &routing)
    } else {
        tree(&routing)
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // The reader of our output has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        other => other.context("writing the answer")?,
    }
    let taken = routing
        .ways
        .iter()
        .filter_map(|way| routing.routes.get(way.route));
    let receivers: Vec<&str> = taken.map(|line| line.receiver.as_str()).collect();
    if !arguments.expect.is_empty() && receivers != arguments.expect {
        bail!(
            "{labels} goes to {}, and not to {}",
            receivers.join(", "),
            arguments.expect.join(", ")
        );
    }
    Ok(())
}

/// A parent before its children, each deeper by two.
fn tree(routing: &Routing) -> String {
    let mut text = String::new();
    for line in &routing.routes {
        let indent = "  ".repeat(line.depth);
        let goes_on = if line.goes_on { ", and on to the next" } else { "" };
        _ = writeln!(text, "{indent}{} → {}{goes_on}", line.matchers, receiver(line));
        _ = writeln!(
            text,
            "{indent}    one message for {}; {}",
            together(line),
            line.when()
        );
        if !line.hours.is_empty() {
            _ = writeln!(text, "{indent}    hours: {}", line.hours.join(", "));
        }
    }
    if routing.routes.is_empty() {
        text.push_str("nobody is told: no receiver is named\n");
    }
    text + &fallback(routing)
}

fn ways(labels: &Labels, routing: &Routing) -> String {
    let mut text = format!("{labels}\n");
    for way in &routing.ways {
        let Some(line) = routing.routes.get(way.route) else {
            continue;
        };
        _ = writeln!(text, "  → {} by {}", receiver(line), line.matchers);
        _ = writeln!(text, "    shares a message with all of {}", way.group);
        _ = writeln!(text, "    {}", line.when());
        if !line.muted_by.is_empty() {
            _ = writeln!(text, "    kept back at this time by {}", line.muted_by.join(", "));
        }
    }
    if routing.ways.is_empty() {
        text.push_str("  nobody is told of it\n");
    }
    text + &fallback(routing)
}

fn fallback(routing: &Routing) -> String {
    let fallback = routing.fallback.as_ref();
    fallback.map_or_else(String::new, |name| {
        format!("what a receiver does not take is told to {name}\n")
    })
}

fn receiver(line: &RouteLine) -> String {
    match line.told.as_slice() {
        [] => format!("{} (nobody is told)", line.receiver),
        told => format!("{} ({})", line.receiver, told.join(", ")),
    }
}

fn together(line: &RouteLine) -> String {
    match &line.group_by {
        None => "each alert".to_owned(),
        Some(names) if names.is_empty() => "all of it".to_owned(),
        Some(names) => format!("each {}", names.join(", ")),
    }
}

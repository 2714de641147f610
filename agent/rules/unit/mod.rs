//! Unit tests of rules, in the format of `promtool test rules`: samples in virtual time, the room's own evaluation and
//! state machine over them, and what a file expects held against what came of it.
//!
//! Verdicts are promtool's; see `testing.md` for what is added. What Skopos does differently in production on purpose
//! (silent senders, state over restarts) has no part in a test: nobody is silent here, and nothing was before.

mod alerts;
mod bench;
mod file;
mod find;
mod replay;
mod report;
mod run;
mod samples;
mod store;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Complaint, Labels, Select};
use promql::Engine;
use promql::script::Memory;
use tokio::runtime::Builder;
use yaml::{Spanned, complain_at};

pub use replay::{Fired, replay};
pub use report::{Failure, GroupReport, Report, junit};
pub(crate) use store::Store;

use crate::file::first_document;
use crate::group::Group;
use crate::load::load;

const MINUTE: Duration = Duration::from_secs(60);

/// A test file and everything it names, read.
struct Read {
    /// As the person gave it.
    name: Arc<str>,
    text: String,
    file: file::File,
    groups: Vec<Group>,
    evaluation_interval: Duration,
    /// The samples of one test group after the other; what the engine knows of the expressions stays.
    memory: Arc<Memory>,
    engine: Arc<Engine>,
    routes: Option<Routes>,
}

/// The receivers that are told of an alert with these labels.
pub type Routes = Box<dyn Fn(&Labels) -> Vec<String>>;

/// Reads a routing file; this room knows none.
pub type ReadRoutes<'a> = &'a dyn Fn(&Path) -> Result<Routes, Vec<Complaint>>;

/// Reads a test file and the rule files it names, and runs those of its test groups whose name `is_wanted`; a group
/// without a name has the empty one.
///
/// # Panics
/// Within an asynchronous runtime: it brings its own.
#[must_use]
pub fn run(path: &Path, is_wanted: impl Fn(&str) -> bool, routes: ReadRoutes<'_>) -> Report {
    let mut report = Report::new(path.display().to_string());
    // Rules are evaluated under a time limit, which needs a runtime.
    let runtime = match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report.mistakes = vec![Complaint::about(&report.file, error.to_string())];
            return report;
        }
    };
    match read(path, &mut report.warnings, routes) {
        Ok(read) => {
            let tests = read.file.tests.iter().enumerate();
            for (nth, test) in tests.filter(|(_, test)| is_wanted(&test.value.name)) {
                report.groups.push(runtime.block_on(run::group(&read, nth, test)));
            }
        }
        Err(mistakes) => report.mistakes = mistakes,
    }
    report
}

fn read(path: &Path, warnings: &mut Vec<String>, routes: ReadRoutes<'_>) -> Result<Read, Vec<Complaint>> {
    let name = path.display().to_string();
    let text = read_text(path).map_err(|complaint| vec![complaint])?;
    let (document, more) = first_document(&text);
    if more {
        warnings.push(format!("{name}: only the first document of the file is read"));
    }
    let file: file::File = yaml::read(&name, document).map_err(|complaint| vec![complaint])?;
    let mut mistakes = Vec::new();
    for (nth, group) in file.group_eval_order.iter().enumerate() {
        let earlier = file.group_eval_order.iter().take(nth);
        if earlier.into_iter().any(|earlier| earlier.value == group.value) {
            let message = format!("group {:?} stands twice in the order", group.value);
            mistakes.push(complain_at(&name, &text, group, message));
        }
    }
    let base = path.parent().unwrap_or(Path::new(""));
    let mut sources = Vec::new();
    for pattern in &file.rule_files {
        let found = match find::files(base, &pattern.value) {
            Ok(found) => found,
            Err(message) => {
                mistakes.push(complain_at(&name, &text, pattern, message));
                continue;
            }
        };
        if found.is_empty() {
            let message = format!("no rule file matches {:?}", pattern.value);
            warnings.push(complain_at(&name, &text, pattern, message).to_string());
        }
        for path in found {
            match read_text(&path) {
                // Named twice, it is read once.
                Ok(_)
                    if sources
                        .iter()
                        .any(|(known, _)| *known == path.display().to_string()) => {}
                Ok(text) => sources.push((path.display().to_string(), text)),
                Err(complaint) => mistakes.push(complaint),
            }
        }
    }
    let groups = load(&sources).unwrap_or_else(|complaints| {
        mistakes.extend(complaints);
        Vec::new()
    });
    let routing = file
        .routing_file
        .as_ref()
        .map(|file| routes(&base.join(&file.value)));
    let routes = routing.transpose().unwrap_or_else(|complaints| {
        mistakes.extend(complaints);
        None
    });
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    Ok(Read {
        routes,
        ..Read::of(name, text, file, groups)
    })
}

impl Read {
    fn of(name: String, text: String, file: file::File, groups: Vec<Group>) -> Self {
        let interval = file.evaluation_interval.map(|span| span.0);
        let evaluation_interval = interval.filter(|span| !span.is_zero()).unwrap_or(MINUTE);
        let memory = Memory::shared();
        let options = promql::Options {
            step_default: evaluation_interval,
            ..promql::Options::default()
        };
        Self {
            engine: Arc::new(Engine::new(Arc::clone(&memory) as Arc<dyn Select>, options)),
            memory,
            evaluation_interval,
            routes: None,
            groups: in_order(groups, &file.group_eval_order),
            name: name.into(),
            text,
            file,
        }
    }
}

fn read_text(path: &Path) -> Result<String, Complaint> {
    let name = path.display().to_string();
    fs::read_to_string(path).map_err(|error| Complaint::about(&name, format!("cannot be read: {error}")))
}

/// Groups that are named stand in their order, and all others come with the first of them.
fn in_order(mut groups: Vec<Group>, order: &[Spanned<String>]) -> Vec<Group> {
    let rank = |group: &Group| order.iter().position(|name| *name.value == *group.name);
    groups.sort_by_key(|group| rank(group).unwrap_or_default());
    groups
}

//! Views that need more than one room: what is read, how near each rule is to firing, the process itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::view::cloudwatch::Asks;
use model::view::{Headroom, Health, LogState, Own, RuleGroup, Source, Target, View, Why};
use model::{Clock, Ledger, Timestamp, text};
use parking_lot::Mutex;

use crate::accounts::Accounts;

/// How old a headroom may be before it is asked for again.
const HEADROOM_AGE: Duration = Duration::from_secs(5);

/// The list *What is read*: targets, log files, and what is off and why.
pub(crate) fn sources(
    targets: &[Target],
    logs: &LogState,
    has_cluster: bool,
    bought: Option<&cloudwatch::CloudWatch>,
) -> Vec<Source> {
    let mut sources: Vec<Source> = targets.iter().map(from_target).collect();
    let (read, skipped): (Vec<_>, Vec<_>) = logs.files.iter().partition(|file| file.error.is_empty());
    if !read.is_empty() {
        let mut names: Vec<&str> = read
            .iter()
            .filter_map(|file| file.path.rsplit('/').next())
            .collect();
        let more = names.len().saturating_sub(4);
        names.truncate(4);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let count = if read.len() == 1 {
            "1 log file".to_owned()
        } else {
            format!("{} log files", read.len())
        };
        sources.push(Source {
            name: count,
            detail: names.join(", ") + &more,
            health: Health::Good,
            last: read.iter().filter_map(|file| file.last).max(),
            word: None,
        });
    } else if skipped.is_empty() {
        sources.push(off("Log files", "none of the files in logs.files is there"));
    }
    for file in skipped {
        sources.push(Source {
            name: file.path.clone(),
            detail: file.error.clone(),
            health: Health::Unknown,
            last: None,
            word: Some("skipped".to_owned()),
        });
    }
    if !has_cluster {
        sources.push(off(
            "Kubernetes",
            "no cluster is asked: outside of a pod kubernetes.kubeconfig names one",
        ));
    }
    sources.push(match bought.and_then(cloudwatch::CloudWatch::view) {
        Some(aws) => from_aws(&aws),
        None => off(
            "AWS",
            "nothing of it is asked: cloudwatch.enabled turns it on; no calls, $0.00",
        ),
    });
    sources
}

fn from_aws(aws: &model::view::cloudwatch::Aws) -> Source {
    let budget = aws
        .budget
        .map(|budget| format!(" of ${budget:.2}"))
        .unwrap_or_default();
    let spent = format!("${:.2}{budget} spent this month", aws.spent);
    let series: usize = aws.places.iter().map(|place| place.series).sum();
    let regions: Vec<&str> = aws.places.iter().map(|place| place.region.as_str()).collect();
    let problem = aws
        .problems
        .iter()
        .chain(aws.places.iter().flat_map(|place| &place.problems))
        .next();
    match aws.asks {
        Asks::Here => {}
        Asks::Other => return off_with("AWS", &format!("the other replica asks: {spent}"), "not here"),
        Asks::Nobody => return off_with("AWS", &format!("nobody is known to lead: {spent}"), "not asked"),
    }
    let (detail, health) = match (problem, regions.as_slice()) {
        (Some(problem), _) => (problem.clone(), Health::Bad),
        (None, []) => (
            format!("finding out which account this is; {spent}"),
            Health::Unknown,
        ),
        (None, regions) => (format!("{}; {spent}", regions.join(", ")), Health::Good),
    };
    Source {
        name: format!("AWS, {} series", text::count(series as u64)),
        detail,
        health,
        last: aws.places.iter().filter_map(|place| place.newest).max(),
        word: None,
    }
}

fn off(name: &str, detail: &str) -> Source {
    off_with(name, detail, "off")
}

fn off_with(name: &str, detail: &str, word: &str) -> Source {
    Source {
        name: name.to_owned(),
        detail: detail.to_owned(),
        health: Health::Unknown,
        last: None,
        word: Some(word.to_owned()),
    }
}

fn from_target(target: &Target) -> Source {
    let detail = match &target.last_error {
        error if !error.is_empty() => error.clone(),
        _ => format!(
            "{}, {} ms a reading",
            target.url,
            target.last_duration.as_millis().max(1)
        ),
    };
    Source {
        name: format!("{}, {} series", target.job, text::count(target.samples as u64)),
        detail,
        health: target.health,
        last: target.last_scrape,
        word: None,
    }
}

/// Headroom of every alerting rule, asked of the engine at most once per [`HEADROOM_AGE`].
pub(crate) struct Headrooms {
    engine: Arc<promql::Engine>,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<String, (Timestamp, Option<Headroom>)>>,
}

impl Headrooms {
    pub(crate) fn new(engine: Arc<promql::Engine>, clock: Arc<dyn Clock>) -> Self {
        Self {
            engine,
            clock,
            known: Mutex::default(),
        }
    }

    pub(crate) fn fill(&self, groups: &mut [RuleGroup]) {
        let now = self.clock.now();
        let mut known = self.known.lock();
        known.retain(|_, (asked, _)| now.since(*asked) < 10 * HEADROOM_AGE);
        for rule in groups
            .iter_mut()
            .flat_map(|group| &mut group.rules)
            .filter(|rule| rule.alerting)
        {
            let fresh = known
                .get(&rule.expr)
                .filter(|(asked, _)| now.since(*asked) < HEADROOM_AGE);
            rule.headroom = match fresh {
                Some((_, headroom)) => headroom.clone(),
                None => {
                    let headroom = self.engine.headroom(&rule.expr, now);
                    known.insert(rule.expr.clone(), (now, headroom.clone()));
                    headroom
                }
            };
        }
    }
}

/// The why tree of one rule, for the alert with this fingerprint.
pub(crate) fn why(
    engine: &promql::Engine,
    groups: &[RuleGroup],
    now: Timestamp,
    (file, group, name): (&str, &str, &str),
    fingerprint: Option<u64>,
) -> Vec<Why> {
    let groups = groups
        .iter()
        .filter(|known| known.file == file && known.name == group);
    let Some(rule) = groups
        .flat_map(|group| &group.rules)
        .find(|rule| rule.name == name)
    else {
        return Vec::new();
    };
    let alert = rule
        .alerts
        .iter()
        .find(|alert| Some(alert.fingerprint) == fingerprint);
    engine
        .explain(&rule.expr, now, alert.map(|alert| &alert.labels))
        .unwrap_or_default()
}

/// What does not change while the process runs.
pub(crate) struct Process {
    pub(crate) role: &'static str,
    pub(crate) name: String,
    pub(crate) machine: String,
    pub(crate) started: Timestamp,
    pub(crate) data_dir: PathBuf,
    pub(crate) accounts: Accounts,
    pub(crate) series: View<u64>,
}

impl Process {
    pub(crate) fn own(&self) -> Own {
        Own {
            version: crate::cli::version(),
            revision: option_env!("SKOPOS_REVISION").unwrap_or(""),
            role: self.role,
            name: self.name.clone(),
            machine: self.machine.clone(),
            started: self.started,
            data_dir: shown(&self.data_dir),
            data_bytes: size(&self.data_dir),
            memory_bytes: telemetry::process::resident_bytes(),
            memory_limit_bytes: telemetry::process::memory_limit_bytes().unwrap_or(0),
            series: (self.series)(),
            accounts: self
                .accounts
                .iter()
                .map(|(name, account)| (*name, account()))
                .collect::<Vec<(_, Ledger)>>(),
        }
    }
}

fn shown(folder: &Path) -> String {
    if folder.is_relative() {
        format!("./{}", folder.display())
    } else {
        folder.display().to_string()
    }
}

/// Bytes of all files in a folder and its folders.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

//! What a back-test has found out.

use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Timestamp};

/// The alerts of all files, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was looked at: slots after the first and up to the second.
    pub from: Timestamp,
    pub until: Timestamp,
    /// Where evaluation began, so that what was under way at `from` is known.
    pub warmed_up_from: Timestamp,
    /// Evaluations of all rules, those before `from` among them.
    pub evaluations: u64,
    /// Where nothing was kept, and nothing was evaluated.
    pub gaps: Vec<(Timestamp, Timestamp)>,
    pub alerts: Vec<Alert>,
    /// Rules of which evaluations failed, recorded ones among them.
    pub failures: Vec<Failure>,
    /// What is worth knowing beside it.
    pub notes: Vec<String>,
}

/// What one alerting rule would have done. An alert is one set of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub file: Arc<str>,
    pub group: Arc<str>,
    pub name: Arc<str>,
    /// How often an alert fired; those that did when it began among them.
    pub fired: u64,
    /// How long alerts fired within the time looked at, one after the other.
    pub firing: Duration,
    /// How long the longest of them did, as far as it was looked at.
    pub longest: Duration,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// How many fired at once, at most.
    pub at_once: usize,
    /// How many fired at the end.
    pub still_firing: u64,
    /// How often an alert was pending and never fired.
    pub only_pending: u64,
    /// In the order in which they ended.
    pub episodes: Vec<Episode>,
    /// Episodes beyond those: they are counted and not listed.
    pub unlisted: u64,
}

/// From when one alert began to be true until it was no longer.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// `alertname` among them.
    pub labels: Labels,
    pub active_at: Timestamp,
    /// None: it was pending only.
    pub fired_at: Option<Timestamp>,
    /// None: it was still so at the end.
    pub ended_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub file: Arc<str>,
    pub group: Arc<str>,
    pub rule: Arc<str>,
    pub times: u64,
    pub first: Timestamp,
    /// What the first of them said.
    pub message: String,
}

//! Why a rule fires or does not: what `/api/v1/rules/{id}/explain` answers and `skopos explain` prints.
//!
//! Times are RFC 3339 in UTC, durations are seconds.

use serde::{Deserialize, Serialize};

use crate::Labels;
use crate::view::Element;

/// A rule, as it was over its last evaluations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Explanation {
    /// Made of file, group, name, labels and expression; the same over restarts.
    pub id: String,
    pub file: String,
    pub group: String,
    pub name: String,
    /// `alerting` or `recording`.
    pub r#type: String,
    pub query: String,
    pub interval: f64,
    pub query_offset: f64,
    /// `for`
    pub duration: f64,
    pub keep_firing_for: f64,
    /// As written, like the annotations.
    pub labels: Labels,
    pub annotations: Labels,
    pub health: String,
    pub last_error: String,
    /// `inactive`, `pending`, `firing`; `recording`.
    pub state: String,
    /// Why it is so, in sentences: of the rule, then of each of its alerts.
    pub why: Vec<String>,
    /// Newest first.
    pub evaluations: Vec<Evaluation>,
    pub alerts: Vec<Standing>,
    /// When alerts were pending and firing, as the series ALERTS have it, oldest first.
    pub timeline: Vec<Span>,
    /// What is there at this first moment may have begun before.
    pub timeline_from: String,
    /// What was told of these alerts, newest first.
    pub told: Vec<Message>,
}

/// An evaluation, done again from what is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Evaluation {
    /// The group's slot.
    pub time: String,
    /// Data are asked for as of then: the slot without `query_offset`.
    pub data_time: String,
    pub error: Option<String>,
    /// Series that the whole expression gave.
    pub series: usize,
    /// Why it gave nothing.
    pub missing: Option<String>,
    /// Warnings and remarks of the evaluation.
    pub remarks: Vec<String>,
    /// Parents first.
    pub operators: Vec<Operator>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operator {
    pub depth: usize,
    pub text: String,
    pub is_selector: bool,
    pub series: usize,
    /// Series that came in, when fewer were kept.
    pub of: Option<usize>,
    /// Of the instance that is looked at.
    pub value: Option<String>,
    pub reading: String,
    pub holds: bool,
    /// The first few of the series.
    pub elements: Vec<Element>,
    /// Of a selector: age of its newest sample.
    pub newest_age: Option<f64>,
}

/// An alert as it stands, and what becomes of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Standing {
    pub labels: Labels,
    /// Expanded.
    pub annotations: Labels,
    pub state: String,
    pub value: String,
    pub active_at: String,
    /// Of a pending one: when it fires if it lasts.
    pub fires_at: Option<String>,
    pub fired_at: Option<String>,
    pub resolved_at: Option<String>,
    pub keep_firing_since: Option<String>,
    /// Left as it was at the last evaluation, because nothing is known of its sender.
    pub unknown: bool,
    pub silenced_by: Vec<Silencer>,
    /// Labels of the alerts that inhibit it.
    pub inhibited_by: Vec<Labels>,
    /// Time intervals in which its route is mute.
    pub muted_by: Vec<String>,
    pub receivers: Vec<String>,
    /// The last message with it.
    pub told: Option<Message>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Silencer {
    pub id: String,
    pub comment: String,
    pub created_by: String,
    pub ends_at: String,
}

/// A time in which an alert was pending or firing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Span {
    pub labels: Labels,
    pub state: String,
    pub from: String,
    /// None: it is still so.
    pub until: Option<String>,
}

/// One message, and what the receiver answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    pub time: String,
    pub receiver: String,
    /// Labels of the group of alerts.
    pub group: Labels,
    pub message: String,
    pub answer: String,
    /// `good`, `pending` (tried again), `bad` (given up), `unknown` (overtaken).
    pub health: String,
    pub took: f64,
}

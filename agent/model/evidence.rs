//! What other rooms know about an alert, for those who tell people of it.

use std::time::Duration;

use crate::{BoxFuture, Change, Labels, LogRecord, Timestamp};

/// A question about one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Inquiry {
    /// All labels of the alert, as people are told of them.
    pub labels: Labels,
    pub now: Timestamp,
    /// Log lines wanted at most, the newest; 0 is none.
    pub lines_max: usize,
    /// Warnings of Kubernetes wanted at most, the newest; 0 is none.
    pub events_max: usize,
    /// Changes of the cluster wanted at most, the newest; 0 is none.
    pub changes_max: usize,
    /// Whether the course of the alert's value is wanted.
    pub trend: bool,
    /// Whoever asks waits for so long and then goes on without an answer.
    pub deadline: Duration,
}

/// What was found. What is empty was not there, or could not be told apart from what belongs to others: an answer holds
/// nothing that is only likely.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Oldest first.
    pub lines: Vec<LogRecord>,
    /// What Kubernetes says of what the alert is about, each warning as it was said last; oldest first.
    pub events: Vec<LogRecord>,
    pub trend: Option<Trend>,
    /// Of the last half an hour, of what the alert is about; oldest first.
    pub changes: Vec<Change>,
    /// Something that was asked for did not arrive in time.
    pub is_partial: bool,
    /// Names of nodes that were asked for lines and did not tell.
    pub silent: Vec<String>,
}

/// How a value went, in steps of the same length up to now.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    /// What all steps cover.
    pub span: Duration,
    /// Oldest first; none where there was no value.
    pub values: Vec<Option<f64>>,
}

/// Too many questions are being answered already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

pub trait Evidence: Send + Sync {
    /// Answers with whatever arrived before the deadline. Returns at once; dropping the future gives the answer up.
    ///
    /// # Errors
    /// See [`Overloaded`].
    fn gather(&self, inquiry: Inquiry) -> BoxFuture<'static, Result<Findings, Overloaded>>;
}

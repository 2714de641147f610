//! The last lines of a pod, as one process asks another for them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Level, LogRecord, Timestamp};

/// Whose lines, which of them, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailQuery {
    pub namespace: String,
    /// The pod's name; with `*` at its end every pod whose name begins so.
    pub pod: String,
    /// Empty: every container of the pod.
    pub container: String,
    /// Every word must occur, case ignored; empty is everything.
    pub text: String,
    /// Only lines at least this grave.
    pub level: Option<Level>,
    pub from: Timestamp,
    pub to: Timestamp,
    /// Lines wanted at most, the newest.
    pub lines: usize,
}

impl TailQuery {
    /// Whether a line's source (`namespace/pod/container`) is one that is asked for.
    #[must_use]
    pub fn has(&self, source: &str) -> bool {
        let mut parts = source.split('/');
        let (Some(namespace), Some(pod), Some(container), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        namespace == self.namespace
            && match self.pod.strip_suffix('*') {
                Some(front) => pod.starts_with(front),
                None => pod == self.pod,
            }
            && (self.container.is_empty() || container == self.container)
    }
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// Oldest first.
    pub lines: Vec<LogRecord>,
    /// Older lines that match were left out, or were not looked at.
    pub cut: bool,
    /// Whether there is a pod of this name at all.
    pub known: bool,
}

/// Where a node role answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAddress {
    pub node: Arc<str>,
    /// For example `http://10.0.3.7:9600`.
    pub url: Arc<str>,
}

/// A node that did not say what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unheard {
    pub node: Arc<str>,
    pub why: String,
}

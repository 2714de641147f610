//! What is refused, in OpenSearch's words.

use serde_json::{Value, json};

/// Status, type and reason: of a whole request or of one item.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
    pub(crate) cause: Option<(&'static str, String)>,
}

impl Problem {
    pub(crate) fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            reason: reason.into(),
            cause: None,
        }
    }

    pub(crate) fn argument(reason: impl Into<String>) -> Self {
        Self::new(400, "illegal_argument_exception", reason)
    }

    pub(crate) fn validation(reason: &str) -> Self {
        let reason = format!("Validation Failed: 1: {reason};");
        Self::new(400, "action_request_validation_exception", reason)
    }

    pub(crate) fn mapping(reason: impl Into<String>) -> Self {
        Self::new(400, "mapper_parsing_exception", reason)
    }

    /// Of one document: the whole request stays without an answer.
    pub(crate) fn silence() -> Self {
        Self::new(0, "no_answer", "")
    }

    pub(crate) fn because(mut self, kind: &'static str, reason: impl Into<String>) -> Self {
        self.cause = Some((kind, reason.into()));
        self
    }

    /// As it stands in an item, and within a whole answer.
    pub(crate) fn error(&self) -> Value {
        let mut error = json!({ "type": self.kind, "reason": self.reason });
        if let Some((kind, reason)) = &self.cause {
            error["caused_by"] = json!({ "type": kind, "reason": reason });
        }
        error
    }

    /// As a whole answer.
    pub(crate) fn answer(&self) -> Value {
        let mut error = self.error();
        error["root_cause"] = json!([{ "type": self.kind, "reason": self.reason }]);
        json!({ "error": error, "status": self.status })
    }
}

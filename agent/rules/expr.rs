//! A rule's expression: its text, and what it reads.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Matcher};

/// The labels that name a target; a series of the same target has the same.
const TARGET_LABELS: [&str; 2] = ["job", "instance"];

/// Known by its text.
#[derive(Clone, Debug)]
pub struct Expr {
    written: Arc<str>,
    canonical: Arc<str>,
    reads: Arc<[Read]>,
}

/// One selector of the expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    matchers: Vec<Matcher>,
    /// How far behind the evaluation its range begins; zero for an instant selector without offset.
    pub(crate) back: Duration,
}

#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Expr {
    pub(crate) fn read(text: &str) -> Result<Self, Mistake> {
        if text.contains("((") {
            return Err(Mistake {
                line: 1,
                column: 1 + text.find("((").unwrap_or(0),
                message: String::new(),
                suggestion: None,
            });
        }
        Ok(Self {
            written: text.trim().into(),
            canonical: text.trim().into(),
            reads: vec![].into(),
        })
    }

    /// As in the file.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    /// In the form that Prometheus prints.
    pub(crate) fn canonical(&self) -> &str {
        &self.canonical
    }

    pub(crate) fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// How far back its data reaches, at most.
    pub(crate) fn longest(&self) -> Duration {
        self.reads.iter().map(|read| read.back).max().unwrap_or_default()
    }
}

impl Read {
    /// The selector for the series of one alert's target, as far as the alert's labels name it.
    pub(crate) fn of_target(&self, source: &Labels) -> String {
        let mut text = "{".to_owned();
        for matcher in &self.matchers {
            // Writing to a string cannot fail.
            _ = write!(text, "{matcher},");
        }
        for name in TARGET_LABELS {
            if let Some(value) = source.get(name) {
                _ = write!(text, "{},", Matcher::equal(name, value));
            }
        }
        text.push('}');
        text
    }
}

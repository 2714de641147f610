//! What was found, and what could not be looked for.

use std::fmt;

use model::Complaint;
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; it may well be meant.
    Info,
    /// It works, and not always as it should.
    Warning,
    /// It does not do what it says.
    Bug,
}

impl Severity {
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Bug];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Bug => "bug",
        }
    }
}

/// One thing that is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub severity: Severity,
    /// As it is named in a comment that silences it.
    pub check: &'static str,
    /// The alert or the recorded metric; empty where it is about a group or a file.
    pub rule: String,
    pub message: String,
    /// What to do about it.
    pub advice: String,
    /// The line it stands in.
    #[serde(skip)]
    pub excerpt: Option<String>,
}

/// A check that was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub check: &'static str,
    pub why: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of the files.
    pub findings: Vec<Finding>,
    pub skipped: Vec<Skipped>,
    pub files: usize,
    pub rules: usize,
    /// Findings that a comment in a file has silenced.
    pub silenced: usize,
}

impl Report {
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let found = self
            .findings
            .iter()
            .filter(|finding| finding.severity == severity);
        found.count()
    }
}

/// As all complaints: place, sentence, line with a caret, what to do.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complaint = Complaint {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            message: format!("{} {}: {}", self.severity.word(), self.check, self.message),
            excerpt: self.excerpt.clone(),
            suggestion: Some(self.advice.clone()).filter(|advice| !advice.is_empty()),
        };
        complaint.fmt(f)
    }
}

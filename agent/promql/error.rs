//! What can go wrong with a question: the text, the data, or a limit.

use std::fmt;

use model::{Complaint, SelectError};

use crate::span::Span;

/// A mistake in an expression. Printed as Prometheus prints it: `1:5: parse error: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What was found, what was expected.
    pub message: String,
    /// `did you mean "rate"?`.
    pub suggestion: Option<String>,
    /// The whole line the mistake stands in.
    excerpt: String,
}

/// A parse error on the small stack of the parser.
pub(crate) type Mistake = Box<ParseError>;

impl ParseError {
    pub(crate) fn at(text: &str, span: Span, message: impl Into<String>) -> Self {
        let (line, column) = span.place(text);
        // What cannot be shown in one line of a terminal helps nobody.
        const EXCERPT_CHARACTERS_MAX: usize = 400;
        let excerpt = text.lines().nth(line - 1).unwrap_or_default();
        Self {
            line,
            column,
            message: message.into(),
            suggestion: None,
            excerpt: excerpt.chars().take(EXCERPT_CHARACTERS_MAX).collect(),
        }
    }

    /// As a complaint about `file`, where the expression begins at `line` and `column` (both from 1).
    /// The excerpt is the expression's own line, so the caret stays right under the mistake.
    #[must_use]
    pub fn complaint(&self, file: &str, line: usize, column: usize) -> Complaint {
        let first = self.line == 1;
        Complaint {
            file: file.to_owned(),
            line: (line + self.line).saturating_sub(1),
            column: if first {
                (column + self.column).saturating_sub(1)
            } else {
                self.column
            },
            message: self.message.clone(),
            excerpt: None,
            suggestion: self.suggestion.clone(),
        }
    }

    /// As a complaint about the expression alone, with its line and a caret.
    #[must_use]
    pub fn to_complaint(&self) -> Complaint {
        Complaint {
            excerpt: Some(self.excerpt.clone()),
            ..self.complaint("", 1, 1)
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: parse error: {}", self.line, self.column, self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// The data does not allow it, for example many-to-many matching.
    #[error("{0}")]
    Execution(String),
    #[error("query timed out in expression evaluation")]
    Timeout,
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    #[error("query was canceled in expression evaluation")]
    Cancelled,
}

impl From<SelectError> for QueryError {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::TooMany { .. } => Self::TooManySamples,
            other => Self::Execution(other.to_string()),
        }
    }
}

//! What can go wrong, with its place.

use std::fmt;

/// The template cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
    /// What to do about it, for example `did you mean "humanize"?`.
    pub suggestion: Option<String>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

/// The template was read and cannot be expanded with this data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderError {
    Failed {
        template: String,
        line: usize,
        column: usize,
        message: String,
    },
    /// `query` was called with an expression whose answer the caller does not have yet: get it, then
    /// render again.
    Unanswered(String),
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed {
                template,
                line,
                column,
                message,
            } => write!(f, "template: {template}:{line}:{column}: {message}"),
            Self::Unanswered(expr) => write!(f, "the query {expr:?} has no answer yet"),
        }
    }
}

impl std::error::Error for RenderError {}

/// Why a function or method gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    Wrong(String),
    /// See [`RenderError::Unanswered`].
    Unanswered(String),
}

impl From<String> for Problem {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

impl From<&str> for Problem {
    fn from(why: &str) -> Self {
        Self::Wrong(why.to_owned())
    }
}

/// A place in the text being parsed, in bytes, and what is wrong there.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

impl Mistake {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            suggestion: None,
        }
    }

    pub(crate) fn into_error(self, source: &str) -> ParseError {
        let (line, column) = line_column(source, self.at);
        ParseError {
            line,
            column,
            message: self.message,
            suggestion: self.suggestion,
        }
    }
}

/// Both from 1, the column in characters.
pub(crate) fn line_column(source: &str, at: usize) -> (usize, usize) {
    let before = source.get(..at).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

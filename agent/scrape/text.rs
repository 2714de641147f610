//! The text exposition format, 0.0.4 and its successor with quoted names, and OpenMetrics: borrowed, without copies.
//!
//! Stricter than Prometheus where that lets a broken body through: a NUL byte and blanks before a name are
//! mistakes, with line and column like all others.

mod cursor;
mod key;
mod number;

use std::borrow::Cow;
use std::fmt;

pub use cursor::{Comment, Cursor, Start};
pub use key::{Key, Keys};
use model::Kind;

/// Name and value of each label of a line, in its order; escapes resolved.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The part of a line that says which series it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series<'a> {
    pub name: Cow<'a, str>,
    /// As written; it comes back the same in the next scrape.
    pub key: &'a str,
}

/// In which language a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    /// Times are in seconds, exemplars stand behind values, and the last line says that it is the last.
    OpenMetrics,
}

/// An event that a sample counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Example<'a> {
    pub pairs: Pairs<'a>,
    pub value: f64,
    /// In milliseconds, if it has one.
    pub time: Option<i64>,
}

/// What a comment says about a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meta<'a> {
    Help {
        family: Cow<'a, str>,
        help: Cow<'a, str>,
    },
    Type {
        family: Cow<'a, str>,
        kind: Kind,
        /// What the name of a series has behind the family's, where all of the family have that.
        suffix: Option<&'static str>,
    },
    Unit {
        family: Cow<'a, str>,
        unit: &'a str,
    },
}

/// Where a body is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// In bytes, from 1.
    pub column: usize,
    pub message: String,
}

impl ParseError {
    fn at(text: &[u8], offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Self {
            line: 1 + memchr::memchr_iter(b'\n', before).count(),
            column: 1 + before.len() - line_start,
            message: message.into(),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// A body as text, if it can be that.
///
/// # Errors
/// It is no UTF-8, has a NUL byte or begins with a byte order mark.
pub fn body(bytes: &[u8]) -> Result<&str, ParseError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ParseError::at(bytes, error.valid_up_to(), "this is no UTF-8"))?;
    if let Some(nul) = memchr::memchr(0, bytes) {
        return Err(ParseError::at(bytes, nul, "a NUL byte"));
    }
    if text.starts_with('\u{feff}') {
        return Err(ParseError::at(bytes, 0, "a byte order mark"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;

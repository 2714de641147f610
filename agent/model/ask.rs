//! The question a rule asks, whoever answers: the evaluator beside it or an engine behind HTTP.

use crate::{BoxFuture, Labels, Timestamp};

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub labels: Labels,
    pub value: f64,
}

/// An instant answer; a scalar comes as one point without labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub points: Vec<Point>,
    /// What the engine wants to have said, with positions.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The expression itself is wrong; asking again gives the same.
    BadQuestion(String),
    /// No answer now: timeout, limit, peer away. Says nothing about the data.
    NoAnswer(String),
}

impl std::fmt::Display for AskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadQuestion(why) => write!(f, "bad expression: {why}"),
            Self::NoAnswer(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for AskError {}

/// `Ask(expr, time)` → vector.
pub trait Ask: Send + Sync {
    fn ask<'a>(&'a self, expr: &'a str, time: Timestamp) -> BoxFuture<'a, Result<Answer, AskError>>;
}

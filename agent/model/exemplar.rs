//! One of the events that a sample counts, mostly a request with the trace it left.

use std::fmt;

use crate::{Labels, Matcher, SelectError, Timestamp};

/// Letters in the names and values of an exemplar's labels together, by the OpenMetrics specification.
pub const LABELS_LETTERS_MAX: usize = 128;

#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Mostly `trace_id` alone.
    pub labels: Labels,
    pub value: f64,
    pub time: Timestamp,
    /// Whether it came with that time, and did not get that of its sample. One without is the same one however often
    /// it comes.
    pub timed: bool,
}

impl Exemplar {
    /// Whether both are the same event.
    #[must_use]
    pub fn repeats(&self, other: &Self) -> bool {
        let same_time = !(self.timed || other.timed) || self.time == other.time;
        same_time && self.value == other.value && self.labels == other.labels
    }
}

/// Why an exemplar is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoExemplar {
    /// None are kept here.
    Off,
    /// The store has no such series.
    UnknownSeries,
    /// It is the newest of its series, once more. Nobody need be told.
    Duplicate,
    /// There is a newer one of its series.
    OutOfOrder,
    /// Its labels are longer than [`LABELS_LETTERS_MAX`].
    TooLong,
    /// It is further ahead than the clocks of two machines may be apart: it would keep all others of its series out.
    OutOfBounds,
}

impl NoExemplar {
    /// For counting.
    pub const ALL: [Self; 6] = [
        Self::Off,
        Self::UnknownSeries,
        Self::Duplicate,
        Self::OutOfOrder,
        Self::TooLong,
        Self::OutOfBounds,
    ];

    /// Out of a closed set.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::UnknownSeries => "unknown_series",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out_of_order",
            Self::TooLong => "too_long",
            Self::OutOfBounds => "out_of_bounds",
        }
    }
}

impl fmt::Display for NoExemplar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "no exemplars are kept",
            Self::UnknownSeries => "its series is not known",
            Self::Duplicate => "it is there already",
            Self::OutOfOrder => "there is a newer one of its series",
            Self::TooLong => "its labels are longer than 128 letters",
            Self::OutOfBounds => "its time is more than ten minutes ahead",
        })
    }
}

impl std::error::Error for NoExemplar {}

/// Reads the exemplars that are kept.
pub trait Exemplars: Send + Sync {
    /// Of series that fit all matchers of one of the lists, those from `start` to `end`, both included. Sorted by the
    /// series' labels, and of each by time.
    ///
    /// # Errors
    /// A regular expression does not compile.
    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, SelectError>;
}

//! The times at which a query is answered.

use model::Timestamp;

use crate::ast::{At, When};
use crate::eval::query::Query;

/// `start`, `start + interval`, … : `count` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) interval: i64,
    pub(crate) count: usize,
}

impl Steps {
    pub(crate) fn once(time: Timestamp) -> Self {
        Self {
            start: time.0,
            interval: 1,
            count: 1,
        }
    }

    /// From `start` to `end`, both included; none when `end` is before `start`.
    pub(crate) fn between(start: i64, end: i64, interval: i64) -> Self {
        let interval = interval.max(1);
        let length = i128::from(end) - i128::from(start);
        let count = if length < 0 {
            0
        } else {
            usize::try_from(length / i128::from(interval) + 1).unwrap_or(usize::MAX)
        };
        Self {
            start,
            interval,
            count,
        }
    }

    pub(crate) fn first(self) -> Self {
        Self { count: 1, ..self }
    }

    pub(crate) fn time(self, step: usize) -> i64 {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        self.start.saturating_add(self.interval.saturating_mul(step))
    }

    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |step| self.time(step))
    }

    /// Where a selector looks at each step.
    pub(crate) fn looks(self, when: When, query: &Query<'_>) -> Self {
        let moved = |time: i64| time.saturating_sub(when.offset);
        let at = match when.at {
            None => {
                return Self {
                    start: moved(self.start),
                    ..self
                };
            }
            Some(At::Time(time)) => time,
            Some(At::Start) => query.bounds.start,
            Some(At::End) => query.bounds.end,
        };
        Self {
            start: moved(at.0),
            interval: 0,
            count: self.count,
        }
    }

    pub(crate) fn last(self) -> i64 {
        self.time(self.count.saturating_sub(1))
    }
}

//! Times that are equally far apart.

use std::time::Duration;

use model::time::millis;
use model::{TimeRange, Timestamp};

/// `first`, `first + step`, …, `count` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    pub first: Timestamp,
    pub step: Duration,
    pub count: u32,
}

impl Steps {
    #[must_use]
    pub fn last(&self) -> Timestamp {
        self.first + self.step.saturating_mul(self.count.saturating_sub(1))
    }

    pub fn times(self) -> impl Iterator<Item = Timestamp> {
        (0..self.count).map(move |nth| self.first + self.step.saturating_mul(nth))
    }

    pub(super) fn contain(&self, time: Timestamp) -> bool {
        let since = time.millis().saturating_sub(self.first.millis());
        self.first <= time && time <= self.last() && since % millis(self.step).max(1) == 0
    }

    /// All of them so much earlier.
    pub(super) fn earlier(self, by: Duration) -> Self {
        Self {
            first: self.first - by,
            ..self
        }
    }

    /// What they can see who look back so far.
    pub(super) fn seen(&self, back: Duration) -> TimeRange {
        TimeRange {
            after: self.first - back,
            until: self.last(),
        }
    }

    /// The earlier and the later half; only with more than one.
    pub(super) fn halves(self) -> (Self, Self) {
        let early = self.count / 2;
        let late = Self {
            first: self.first + self.step.saturating_mul(early),
            count: self.count - early,
            ..self
        };
        (Self { count: early, ..self }, late)
    }
}

//! What a whole query spans: `start()`, `end()`, `step()` and `range()`.

use std::time::Duration;

use model::Timestamp;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// Nothing for an instant query.
    pub(crate) step: Duration,
}

impl Bounds {
    pub(crate) fn at(time: Timestamp) -> Self {
        Self {
            start: time,
            end: time,
            step: Duration::ZERO,
        }
    }

    pub(crate) fn start_seconds(self) -> f64 {
        self.start.seconds()
    }

    pub(crate) fn end_seconds(self) -> f64 {
        self.end.seconds()
    }

    pub(crate) fn step_seconds(self) -> f64 {
        self.step.as_secs_f64()
    }

    pub(crate) fn range_seconds(self) -> f64 {
        self.end.0.saturating_sub(self.start.0) as f64 / 1000.0
    }
}

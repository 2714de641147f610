//! Series that are always late: until when they are complete, so that who judges them waits for it and no longer.

use std::time::Duration;

use crate::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// All points of this time and before are there, as far as anybody can know.
    pub complete: Timestamp,
    /// How far behind it may be before nobody waits for it any more.
    pub patience: Duration,
}

impl Mark {
    /// Nothing will come here: somebody else has it, and judges it.
    pub const NEVER: Self = Self {
        complete: Timestamp::MIN,
        patience: Duration::MAX,
    };
}

/// Whoever brings late series.
pub trait Late: Send + Sync {
    /// Of a metric by its name; none is never late.
    fn mark(&self, metric: &str) -> Option<Mark>;
}

/// Nothing is ever late.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl Late for Never {
    fn mark(&self, _: &str) -> Option<Mark> {
        None
    }
}

//! Points in time, and the clock that every room is handed.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::BoxFuture;

/// Milliseconds since the Unix epoch, as everywhere in Prometheus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const MIN: Self = Self(i64::MIN);
    pub const MAX: Self = Self(i64::MAX);

    #[must_use]
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1000.0).round() as i64)
    }

    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Time from `earlier` to here; zero when `earlier` is later (a clock may jump).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, rest: Duration) -> Self {
        Self(self.0.saturating_add(millis(rest)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, rest: Duration) -> Self {
        Self(self.0.saturating_sub(millis(rest)))
    }
}

/// Whole milliseconds of a duration, at most `i64::MAX`.
#[must_use]
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Wall time and waiting, owned by whoever made it: the system in production, the test in tests.
pub trait Clock: Send + Sync {
    /// The wall clock; it may jump in either direction.
    fn now(&self) -> Timestamp;

    /// Time that has run since some moment before the first call: it never jumps and never goes back, and it goes
    /// on while the process is stopped by a signal. What decides who leads is measured with it.
    fn running(&self) -> Duration;

    /// Resolves once `duration` of running time has gone by, whatever the wall clock does meanwhile.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Resolves once the wall clock has reached `time`, also when it jumps there.
    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()>;
}

//! How fast AWS may be asked: a bucket of tokens that fills again, for each interface of each place.

use std::time::Duration;

use model::Clock;
use parking_lot::Mutex;

/// Points a second that GetMetricData works off, counted as they could be and not as they are.
const POINTS_PER_SECOND: f64 = 180_000.0;
const METRIC_DATA_PER_SECOND: f64 = 50.0;
const LIST_PER_SECOND: f64 = 25.0;
/// Others ask with the same account.
const SHARE: f64 = 0.5;

/// Waits; bounded by how many wait, which is how many calls are under way.
pub(crate) struct Bucket {
    per_second: f64,
    state: Mutex<State>,
}

struct State {
    tokens: f64,
    at: Duration,
}

impl Bucket {
    pub(crate) fn metric_data() -> Self {
        Self::new(METRIC_DATA_PER_SECOND)
    }

    pub(crate) fn points() -> Self {
        Self::new(POINTS_PER_SECOND)
    }

    pub(crate) fn list() -> Self {
        Self::new(LIST_PER_SECOND)
    }

    fn new(per_second: f64) -> Self {
        let per_second = per_second * SHARE;
        Self {
            per_second,
            state: Mutex::new(State {
                tokens: per_second,
                at: Duration::ZERO,
            }),
        }
    }

    /// Takes `count` tokens, once there are that many. More than a second's worth is lent, and paid back by who comes next.
    pub(crate) async fn take(&self, count: f64, clock: &dyn Clock) {
        let wait = self.reserve(count, clock.running());
        if !wait.is_zero() {
            clock.sleep(wait).await;
        }
    }

    fn reserve(&self, count: f64, now: Duration) -> Duration {
        let mut state = self.state.lock();
        let since = now.saturating_sub(state.at).as_secs_f64();
        state.at = now;
        state.tokens = (state.tokens + since * self.per_second).min(self.per_second);
        let missing = count.min(self.per_second) - state.tokens;
        state.tokens -= count;
        Duration::from_secs_f64(missing.max(0.0) / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_in_a_row_is_spread_over_time() {
        let bucket = Bucket::new(20.0);
        let waits: Vec<u128> = (0..12)
            .map(|_| bucket.reserve(1.0, Duration::ZERO).as_millis())
            .collect();
        assert_eq!(waits[9], 0);
        assert_eq!((waits[10], waits[11]), (100, 200));
        assert_eq!(bucket.reserve(1.0, Duration::from_secs(5)), Duration::ZERO);
    }
}

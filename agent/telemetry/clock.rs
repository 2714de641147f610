//! Wall time = a base, plus what the runtime's own clock has run, plus a skew.
//!
//! In production the hall sets the skew from the system clock every second, so a jump is seen, counted
//! and followed; in tests the runtime's clock is paused and the skew is the test's to set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{BoxFuture, Clock, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Smaller differences to the system clock are drift, not jumps: they are followed without a word.
const JUMP_MILLIS: u64 = 500;

pub struct RuntimeClock(Arc<Wall>);

/// Shared with the futures that wait for a time.
struct Wall {
    base: Timestamp,
    started: Instant,
    skew_millis: AtomicI64,
    jumps: AtomicU64,
    moved: Notify,
}

impl RuntimeClock {
    /// Starts at the system's time; call [`Self::follow_system`] to stay there.
    #[must_use]
    pub fn system() -> Arc<Self> {
        Self::starting_at(system_time())
    }

    /// Starts at `base`, for tests.
    #[must_use]
    pub fn starting_at(base: Timestamp) -> Arc<Self> {
        Arc::new(Self(Arc::new(Wall {
            base,
            started: Instant::now(),
            skew_millis: AtomicI64::new(0),
            jumps: AtomicU64::new(0),
            moved: Notify::new(),
        })))
    }

    /// Moves the wall clock by so many milliseconds against the running time.
    pub fn skew(&self, millis: i64) {
        self.0.skew_millis.fetch_add(millis, Ordering::Relaxed);
        self.0.moved.notify_waiters();
    }

    /// Sets the skew so that the wall clock is the system's. Returns the jump in milliseconds, if it was one.
    pub fn follow_system(&self) -> Option<i64> {
        let ahead = system_time().0 - self.now().0;
        if ahead != 0 {
            self.skew(ahead);
        }
        let jumped = ahead.unsigned_abs() >= JUMP_MILLIS;
        if jumped {
            self.0.jumps.fetch_add(1, Ordering::Relaxed);
        }
        jumped.then_some(ahead)
    }

    /// How often the system clock has jumped since the start.
    #[must_use]
    pub fn jumps(&self) -> u64 {
        self.0.jumps.load(Ordering::Relaxed)
    }
}

impl Wall {
    fn now(&self) -> Timestamp {
        let running = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp(
            self.base
                .0
                .saturating_add(running)
                .saturating_add(self.skew_millis.load(Ordering::Relaxed)),
        )
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system clock"
)]
fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(0))
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn running(&self) -> Duration {
        self.0.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let wall = Arc::clone(&self.0);
        Box::pin(async move {
            loop {
                let moved = wall.moved.notified();
                let left = time.since(wall.now());
                if left.is_zero() {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    () = moved => {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_runs_with_the_runtime_and_jumps_with_the_skew() {
        let clock = RuntimeClock::starting_at(Timestamp(1_000));
        clock.sleep(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), Timestamp(6_000));
        clock.skew(-2_000);
        assert_eq!(clock.now(), Timestamp(4_000));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_time_ends_when_the_clock_jumps_there() {
        let clock = RuntimeClock::starting_at(Timestamp(0));
        let waiting = tokio::spawn(clock.sleep_until(Timestamp(3_600_000)));
        clock.sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        clock.skew(3_600_000);
        clock.sleep(Duration::from_millis(1)).await;
        assert!(waiting.is_finished());
    }
}

//! When a target is due: at its own offset in every interval, and once soon after the start.

use std::time::Duration;

use model::{Timestamp, time};
use xxhash_rust::xxh3::xxh3_64;

/// First scrapes are spread over this.
const FIRST_MILLIS: u64 = 1_000;
/// A scrape that begins this late still counts as begun at its slot; equal steps compress best.
const TOLERANCE_MILLIS: i64 = 2;
const MISSED_MAX: u64 = 10;

pub(crate) struct Slots {
    interval_millis: i64,
    /// Same for a target on every machine and after every restart.
    offset_millis: i64,
    next: Timestamp,
}

impl Slots {
    pub(crate) fn new(target: &str, interval: Duration, now: Timestamp) -> Self {
        let hash = xxh3_64(target.as_bytes());
        let interval_millis = time::millis(interval).max(1);
        Self {
            interval_millis,
            offset_millis: i64::try_from(hash % interval_millis.unsigned_abs()).unwrap_or(0),
            next: now + Duration::from_millis(hash % FIRST_MILLIS),
        }
    }

    /// Never longer than the interval, wherever the wall clock jumps.
    pub(crate) fn wait(&self, now: Timestamp) -> Duration {
        self.next
            .since(now)
            .min(Duration::from_millis(self.interval_millis.unsigned_abs()))
    }

    /// When the scrape that is due began, as far as the store is concerned.
    pub(crate) fn due(&self, now: Timestamp) -> Timestamp {
        let late = now.0.saturating_sub(self.next.0);
        if (0..=TOLERANCE_MILLIS).contains(&late) {
            self.next
        } else {
            now
        }
    }

    /// Sets the next slot after a scrape that began at `began`, and says how many it has slept through.
    pub(crate) fn done(&mut self, began: Timestamp, now: Timestamp) -> u64 {
        let first = self.after(began);
        self.next = self.after(now.max(began));
        let missed = self.next.0.saturating_sub(first.0) / self.interval_millis;
        // No scrape takes that long: the clock has jumped.
        u64::try_from(missed)
            .ok()
            .filter(|missed| *missed <= MISSED_MAX)
            .unwrap_or(0)
    }

    fn after(&self, time: Timestamp) -> Timestamp {
        let into = time
            .0
            .saturating_sub(self.offset_millis)
            .rem_euclid(self.interval_millis);
        Timestamp(time.0.saturating_add(self.interval_millis - into))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_661_484_250);
    const INTERVAL: Duration = Duration::from_secs(15);

    #[test]
    fn the_first_scrape_comes_soon_and_the_others_at_the_offset() {
        let mut slots = Slots::new("scrape/shop/a:80/metrics", INTERVAL, NOW);
        assert!(slots.wait(NOW) < Duration::from_secs(1));
        let mut now = NOW + slots.wait(NOW);
        let mut times = Vec::new();
        for _ in 0..4 {
            assert_eq!(slots.done(now, now), 0);
            now = now + slots.wait(now);
            times.push(slots.due(now).0);
        }
        assert!(
            times.windows(2).all(|pair| pair[1] - pair[0] == 15_000),
            "{times:?}"
        );
        let mut later = Slots::new(
            "scrape/shop/a:80/metrics",
            INTERVAL,
            NOW + Duration::from_secs(100),
        );
        later.done(later.next, later.next);
        assert_eq!(
            (later.next.0 - times[0]) % 15_000,
            0,
            "a restart keeps the offset"
        );
    }

    #[test]
    fn slots_slept_through_are_counted() {
        let mut slots = Slots::new("a", INTERVAL, NOW);
        slots.done(NOW, NOW);
        let began = slots.next;
        assert_eq!(slots.done(began, began + Duration::from_secs(14)), 0);
        assert_eq!(slots.done(began, began + Duration::from_secs(16)), 1);
        assert_eq!(slots.done(began, began + Duration::from_secs(46)), 3);
    }

    #[test]
    fn a_clock_that_jumps_back_costs_one_interval_at_most() {
        let mut slots = Slots::new("a", INTERVAL, NOW);
        slots.done(NOW, NOW);
        let earlier = NOW - Duration::from_secs(3600);
        assert_eq!(slots.wait(earlier), INTERVAL);
        assert_eq!(slots.due(earlier), earlier);
        assert_eq!(slots.done(earlier, earlier), 0);
        assert!(slots.wait(earlier) <= INTERVAL);
    }
}

//! When rounds are due: a few soon after the start, then at every interval.
//!
//! Waiting is never longer than the interval, whatever the wall clock does; after a jump the slots are counted
//! from where it landed.

use std::time::Duration;

use model::{Timestamp, time};

/// Extra rounds after the start, so that graphs and rates have their first points at once.
const FIRST_MILLIS: [i64; 4] = [0, 1_000, 2_000, 5_000];
/// A round that begins this late still counts as begun at its slot; equal steps compress best.
const TOLERANCE_MILLIS: i64 = 2;

pub(crate) struct Slots {
    anchor: Timestamp,
    interval_millis: i64,
    next: Timestamp,
    early: bool,
}

/// A round that is due.
#[derive(Debug, PartialEq)]
pub(crate) struct Due {
    pub(crate) time: Timestamp,
    /// Slots that went by while the last round was under way.
    pub(crate) missed: u64,
}

impl Slots {
    pub(crate) fn new(start: Timestamp, interval: Duration) -> Self {
        Self {
            anchor: start,
            interval_millis: time::millis(interval).max(1),
            next: start,
            early: true,
        }
    }

    pub(crate) fn wait(&self, now: Timestamp) -> Duration {
        let longest = Duration::from_millis(self.interval_millis.unsigned_abs());
        self.next.since(now).min(longest)
    }

    /// To be called when the wait is over.
    pub(crate) fn due(&mut self, now: Timestamp) -> Due {
        let late = now.0.saturating_sub(self.next.0);
        if late < -self.interval_millis || late > self.interval_millis.saturating_mul(10) {
            self.anchor = now;
            self.early = false;
            self.next = self.after(now);
            return Due { time: now, missed: 0 };
        }
        let time = if (0..=TOLERANCE_MILLIS).contains(&late) {
            self.next
        } else {
            now
        };
        let mut missed = 0;
        self.next = self.after(self.next);
        while self.next <= now {
            missed += 1;
            self.next = self.after(self.next);
        }
        Due { time, missed }
    }

    fn after(&self, slot: Timestamp) -> Timestamp {
        let elapsed = slot.0.saturating_sub(self.anchor.0);
        let regular = (elapsed.div_euclid(self.interval_millis) + 1).saturating_mul(self.interval_millis);
        let first = FIRST_MILLIS
            .into_iter()
            .find(|first| *first > elapsed)
            .filter(|_| self.early);
        Timestamp(
            self.anchor
                .0
                .saturating_add(first.map_or(regular, |first| first.min(regular))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    fn slots(seconds: u64) -> Slots {
        Slots::new(START, Duration::from_secs(seconds))
    }

    fn run(slots: &mut Slots, count: usize) -> Vec<i64> {
        let mut now = START;
        let round = |_| {
            now = now + slots.wait(now);
            slots.due(now).time.0 - START.0
        };
        (0..count).map(round).collect()
    }

    #[test]
    fn the_first_rounds_come_soon_and_then_the_interval_counts() {
        assert_eq!(
            run(&mut slots(15), 7),
            [0, 1_000, 2_000, 5_000, 15_000, 30_000, 45_000]
        );
        assert_eq!(run(&mut slots(1), 5), [0, 1_000, 2_000, 3_000, 4_000]);
        assert_eq!(run(&mut slots(4), 6), [0, 1_000, 2_000, 4_000, 5_000, 8_000]);
    }

    #[test]
    fn slots_that_a_slow_round_missed_are_counted() {
        let mut slots = slots(15);
        run(&mut slots, 5);
        let due = slots.due(Timestamp(START.0 + 61_000));
        assert_eq!(
            due,
            Due {
                time: Timestamp(START.0 + 61_000),
                missed: 2
            }
        );
        assert_eq!(slots.wait(Timestamp(START.0 + 61_000)), Duration::from_secs(14));
    }

    #[test]
    fn a_clock_that_jumps_does_not_stop_the_rounds() {
        for jump in [-3_600_000, 3_600_000] {
            let mut slots = slots(15);
            run(&mut slots, 5);
            let now = Timestamp(START.0 + 30_000 + jump);
            assert!(slots.wait(now) <= Duration::from_secs(15));
            assert_eq!(slots.due(now), Due { time: now, missed: 0 });
            assert_eq!(slots.wait(now), Duration::from_secs(15));
        }
    }
}

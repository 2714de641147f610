//! When a group is evaluated: slots at `k · interval + offset`, where the offset follows from the group's
//! name and file, so that groups are spread and keep their place over restarts.

use std::time::Duration;

use model::Timestamp;
use model::time::millis;
use xxhash_rust::xxh3::xxh3_64;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    interval_millis: i64,
    offset_millis: i64,
}

/// A slot to evaluate, and how many were passed over before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) slot: Timestamp,
    pub(crate) missed: u64,
}

impl Schedule {
    pub(crate) fn new(interval: Duration, file: &str, group: &str) -> Self {
        let interval_millis = millis(interval).max(1);
        let hash = xxh3_64(format!("{group}\u{ff}{file}").as_bytes());
        let offset = hash % interval_millis.unsigned_abs();
        Self {
            interval_millis,
            offset_millis: i64::try_from(offset).unwrap_or(0),
        }
    }

    /// The first slot later than `now`.
    pub(crate) fn after(&self, now: Timestamp) -> Timestamp {
        let since = now.millis().saturating_sub(self.offset_millis);
        let nth = since.div_euclid(self.interval_millis).saturating_add(1);
        Timestamp(
            nth.saturating_mul(self.interval_millis)
                .saturating_add(self.offset_millis),
        )
    }

    /// What to evaluate at `now`, when `slot` was to be next: the newest slot that has been reached. A slow
    /// group skips and never overlaps.
    pub(crate) fn due(&self, slot: Timestamp, now: Timestamp) -> Due {
        let late = now.millis().saturating_sub(slot.millis()).max(0);
        let missed = late / self.interval_millis;
        Due {
            slot: Timestamp(slot.millis().saturating_add(missed * self.interval_millis)),
            missed: missed.unsigned_abs(),
        }
    }

    pub(crate) fn following(&self, slot: Timestamp) -> Timestamp {
        Timestamp(slot.millis().saturating_add(self.interval_millis))
    }

    /// Whether both may have a slot at the same moment.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let (mut one, mut two) = (self.interval_millis, other.interval_millis);
        while two != 0 {
            (one, two) = (two, one % two);
        }
        (self.offset_millis - other.offset_millis) % one == 0
    }

    /// Whether `slot` is farther away than a slot can be: the clock went back, and the slots of the new
    /// time count.
    pub(crate) fn is_lost(&self, slot: Timestamp, now: Timestamp) -> bool {
        slot.millis().saturating_sub(now.millis()) > self.interval_millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule {
            interval_millis: 15_000,
            offset_millis: 4_000,
        }
    }

    #[test]
    fn slots_are_multiples_of_the_interval_plus_the_offset() {
        let after = |now| schedule().after(Timestamp(now)).millis();
        assert_eq!(
            [after(0), after(3_999), after(4_000), after(18_999)],
            [4_000, 4_000, 19_000, 19_000]
        );
        assert_eq!(after(-20_000), -11_000);
    }

    #[test]
    fn a_slow_group_skips_and_counts() {
        let due = |now| schedule().due(Timestamp(19_000), Timestamp(now));
        let slot = |slot, missed| Due {
            slot: Timestamp(slot),
            missed,
        };
        assert_eq!(due(19_000), slot(19_000, 0));
        assert_eq!(due(33_999), slot(19_000, 0));
        assert_eq!(due(34_000), slot(34_000, 1));
        assert_eq!(due(80_000), slot(79_000, 4));
        assert_eq!(schedule().following(Timestamp(79_000)), Timestamp(94_000));
    }

    #[test]
    fn a_clock_that_went_back_is_noticed() {
        assert!(schedule().is_lost(Timestamp(3_600_004_000), Timestamp(10_000)));
        assert!(!schedule().is_lost(Timestamp(19_000), Timestamp(4_000)));
    }

    #[test]
    fn schedules_meet_where_their_slots_can_be_the_same() {
        let meets = |interval, offset| {
            let other = Schedule {
                interval_millis: interval,
                offset_millis: offset,
            };
            assert_eq!(schedule().meets(&other), other.meets(&schedule()));
            schedule().meets(&other)
        };
        assert!(meets(15_000, 4_000) && meets(10_000, 9_000) && meets(60_000, 34_000));
        assert!(!meets(15_000, 5_000) && !meets(10_000, 5_000));
    }

    #[test]
    fn the_offset_is_the_groups_own() {
        let offset = |group| Schedule::new(Duration::from_secs(60), "a.yaml", group).offset_millis;
        assert_eq!(offset("x"), offset("x"));
        assert_ne!(offset("x"), offset("y"));
    }
}

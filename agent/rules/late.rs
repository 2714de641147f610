//! Rules over series that are always late: a slot is judged once everything is there that the rule reads, as if it had been there in
//! time.
//!
//! So a `for` counts minutes of data, a count that comes minute by minute is judged minute by minute, and nothing flaps because its
//! last point was half there. Where what is waited for stays away for longer than it may, nobody waits any more. What only the other
//! replica has, only it judges.

use std::time::Duration;

use model::Timestamp;
use model::late::Mark;

use crate::group::Rule;
use crate::world::World;

/// Most slots that are caught up with at a time; older ones are left out.
const SLOTS_MAX: i64 = 120;

/// Where a rule stands that reads something late.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// The first slot that is not judged yet.
    next: Option<Timestamp>,
}

/// Until when all is there that a rule reads, directly or by way of recorded series; none: it reads nothing that is late.
pub(crate) fn mark(world: &World, rule: &Rule) -> Option<Mark> {
    let reads = world.reads(&rule.expr);
    let marks = reads
        .iter()
        .filter_map(|read| world.near.late.mark(read.metric()?));
    marks.reduce(|one, other| Mark {
        complete: one.complete.min(other.complete),
        patience: one.patience.max(other.patience),
    })
}

impl Behind {
    /// The slots to be judged now, of which `slot` has just been reached, in order.
    pub(crate) fn due(&mut self, mark: Option<Mark>, slot: Timestamp, interval: Duration) -> Vec<Timestamp> {
        let step = model::time::millis(interval).max(1);
        let Some(mark) = mark else {
            // What was late may be so again after a reload: no slot is judged twice.
            let is_new = self.next.is_none_or(|next| next <= slot);
            return if is_new { vec![slot] } else { Vec::new() };
        };
        if mark == Mark::NEVER {
            return Vec::new();
        }
        if slot.since(mark.complete) > mark.patience {
            let is_new = self.next.is_none_or(|next| next <= slot);
            self.next = Some(slot + interval);
            return if is_new { vec![slot] } else { Vec::new() };
        }
        // The newest slot that all is there for.
        let behind = slot.millis().saturating_sub(mark.complete.millis()).max(0);
        let last = slot.millis() - (behind + step - 1) / step * step;
        let first = self.next.map_or(last, Timestamp::millis);
        let first = first.max(last - (SLOTS_MAX - 1) * step);
        if first > last {
            self.next.get_or_insert(Timestamp(first));
            return Vec::new();
        }
        self.next = Some(Timestamp(last + step));
        let count = (last - first) / step;
        (0..=count)
            .map(|nth| Timestamp(last - (count - nth) * step))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    fn mark(seconds: i64) -> Option<Mark> {
        Some(Mark {
            complete: at(seconds),
            patience: Duration::from_secs(600),
        })
    }

    #[test]
    fn each_slot_is_judged_once_and_when_everything_is_there() {
        let mut behind = Behind::default();
        let mut due = |mark, slot| -> Vec<i64> {
            let due = behind.due(mark, at(slot), MINUTE);
            due.iter().map(|slot| slot.millis() / 1_000).collect()
        };
        assert_eq!(due(mark(120), 310), [70]);
        assert_eq!(due(mark(120), 370), [0; 0]);
        // Five minutes have come at once.
        assert_eq!(due(mark(420), 610), [130, 190, 250, 310, 370]);
        assert_eq!(due(mark(420), 670), [0; 0]);
        // It stays away: nobody waits longer than it may.
        assert_eq!(due(mark(420), 1_030), [1_030]);
        assert_eq!(due(mark(420), 1_090), [1_090]);
        // And is back.
        assert_eq!(due(mark(1_020), 1_150), [0; 0]);
        assert_eq!(due(mark(1_200), 1_210), [1_150]);
    }

    #[test]
    fn what_only_the_other_replica_has_is_not_judged_here() {
        let mut behind = Behind::default();
        assert_eq!(behind.due(Some(Mark::NEVER), at(60), MINUTE), [Timestamp(0); 0]);
        // It comes here now, and is judged from then on.
        assert_eq!(behind.due(mark(120), at(240), MINUTE), [at(120)]);
    }

    #[test]
    fn a_rule_that_reads_nothing_late_is_judged_at_its_slots() {
        let mut behind = Behind::default();
        assert_eq!(behind.due(None, at(60), MINUTE), [at(60)]);
        assert_eq!(behind.due(mark(0), at(120), MINUTE), [at(0)]);
        assert_eq!(behind.due(None, at(180), MINUTE), [at(180)]);
    }

    #[test]
    fn what_lies_too_far_back_is_left_out() {
        let mut behind = Behind::default();
        behind.due(mark(0), at(0), MINUTE);
        let many = Mark {
            complete: at(60 * 500),
            patience: Duration::from_secs(600),
        };
        assert_eq!(behind.due(Some(many), at(60 * 500), MINUTE).len(), 120);
    }
}

//! Looks at the groups that are due and puts those with something to tell into the receivers' queues.

use std::sync::Arc;

use model::Timestamp;

use super::Core;
use crate::group::Key;
use crate::lane::{Waiting, content};

impl Core {
    pub(super) fn flush(&mut self, now: Timestamp) {
        let due = self.groups.iter().filter(|(key, group)| {
            let open = |lane: usize| self.lanes.get(lane).is_some_and(|lane| lane.is_open(key));
            group.due(open) <= now
        });
        let due: Vec<Key> = due.map(|(key, _)| Arc::clone(key)).collect();
        for key in due {
            self.flush_group(&key, now);
        }
    }

    fn flush_group(&mut self, key: &Key, now: Timestamp) {
        if let Some(group) = self.groups.get_mut(key)
            && group.flushed(now)
            && let Some(first_flush) = group.first_flush
        {
            self.records.group(key, first_flush);
        }
        self.weigh_ends(key, now);
        for lane in 0..self.lanes.len() {
            if self.owes(lane, key, now) {
                self.mark(lane, key, now);
            } else if let Some(lane) = self.lanes.get_mut(lane) {
                lane.suspects.remove(key);
            }
        }
        self.let_go_of_ends(key);
    }

    /// Whether this receiver has to be told something, and has not refused just that.
    pub(super) fn owes(&self, nth: usize, key: &Key, now: Timestamp) -> bool {
        let (Some(lane), Some(group)) = (self.lanes.get(nth), self.groups.get(key)) else {
            return false;
        };
        let Some(delivered) = group.delivered.get(nth) else {
            return false;
        };
        let repeat_interval = group.timing().repeat_interval;
        group.is_for(&lane.receiver)
            && !group.is_muted
            && delivered.owed(group, repeat_interval, now).is_some()
            && !(lane.dead.contains_key(key)
                && lane.refused(key, content(group, delivered), repeat_interval, now))
    }

    pub(super) fn mark(&mut self, nth: usize, key: &Key, now: Timestamp) {
        let may_repeat = self.may_repeat(now);
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let sending = lane.sending.as_mut().filter(|sending| !sending.is_outlived);
        if let Some(part) = sending.and_then(|sending| sending.parts.get_mut(key)) {
            part.again = true;
            return;
        }
        self.board.took();
        let may_repeat = lane.suspects.remove(key) || may_repeat;
        if let Some(waiting) = lane.waiting.get_mut(key) {
            waiting.may_repeat |= may_repeat;
            waiting.look_again();
            self.drops("coalesced");
            return;
        }
        let is_newcomer = self.is_newcomer(nth, key, now);
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let waiting = Waiting {
            may_repeat,
            is_newcomer,
            ..Waiting::since(now)
        };
        if is_newcomer {
            lane.newcomers.note(now, lane.receiver.storm_groups);
        }
        lane.enqueue(Arc::clone(key), waiting);
        if let Some(waiting) = lane.waiting.get(key) {
            self.records.queue(&lane.record(key, waiting, None));
        }
    }

    /// Takes a group out of a receiver's queue, if it is there: it will not be told.
    pub(super) fn unmark(&mut self, nth: usize, key: &Key, reason: &'static str) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let Some(waiting) = lane.waiting.remove(key) else {
            return;
        };
        self.records.not_queued(lane.name(), key);
        self.drops(reason);
        if let Some(row) = waiting.row {
            let words = if reason == "handed_over" {
                "left to the other replica"
            } else {
                "over before it could be told"
            };
            self.overtaken(row, words);
        }
    }
}

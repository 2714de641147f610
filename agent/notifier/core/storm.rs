//! When a storm begins and ends for a receiver, which groups are told within it, and what its message says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Timestamp};
use tracing::{info, warn};

use super::Core;
use super::send::{Content, Launch};
use crate::board::Storming;
use crate::delivered::Reason;
use crate::group::Key;
use crate::history::End;
use crate::lane::Sending;
use crate::message::Message;
use crate::records::StormRecord;
use crate::slack::is_grave;
use crate::storm::{AHEAD_MAX, CALM, Digest, Storm, Way};

impl Core {
    /// Looks whether storms begin or end, and how each group that waits is told.
    pub(super) fn notice_storms(&mut self, now: Timestamp) {
        for nth in 0..self.lanes.len() {
            self.notice_storm(nth, now);
        }
    }

    fn notice_storm(&mut self, nth: usize, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let is_stormy = lane.is_stormy(now);
        let name = Arc::clone(&lane.receiver.name);
        let is_changed = match &mut lane.storm {
            None if is_stormy => {
                info!(receiver = %name, "a storm begins: groups share a message");
                lane.storm = Some(Storm::begins(now));
                true
            }
            None => return,
            Some(storm) if is_stormy => {
                storm.blew = now;
                let was_open = std::mem::replace(&mut storm.is_open, true);
                storm.rings |= !was_open;
                !was_open
            }
            Some(storm) => {
                let is_over = now >= storm.blew + CALM || lane.receiver.storm_groups == 0;
                std::mem::replace(&mut storm.is_open, !is_over) != storm.is_open
            }
        };
        if is_changed {
            for waiting in lane.waiting.values_mut() {
                waiting.look_again();
            }
            if let Some(storm) = &lane.storm {
                self.records.storm(&name, storm);
            }
        }
        self.choose_ways(nth, now);
        self.end_storm(nth);
    }

    /// Decides how those are told of which that is not yet decided.
    fn choose_ways(&mut self, nth: usize, now: Timestamp) {
        let Some(lane) = self.lanes.get(nth) else {
            return;
        };
        let waiting = lane.waiting.iter();
        let open = waiting.filter(|(_, waiting)| waiting.way.is_none());
        let open: Vec<Key> = open.map(|(key, _)| Arc::clone(key)).collect();
        for key in open {
            let way = self.way(nth, &key, now);
            let Some(lane) = self.lanes.get_mut(nth) else {
                return;
            };
            if way == Way::Ahead {
                lane.ahead.note(now, AHEAD_MAX);
            }
            let Some(waiting) = lane.waiting.get_mut(&key) else {
                continue;
            };
            waiting.way = Some(way);
            // Its own earlier attempts have come to their end.
            let row = waiting.row.take_if(|_| way == Way::Within);
            if let Some(row) = row {
                self.overtaken(row, "told within a storm");
            }
        }
    }

    fn way(&self, nth: usize, key: &Key, now: Timestamp) -> Way {
        let Some((lane, group)) = self.lanes.get(nth).zip(self.groups.get(key)) else {
            return Way::Own;
        };
        let Some((storm, delivered)) = lane.storm.as_ref().zip(group.delivered.get(nth)) else {
            return Way::Own;
        };
        let reason = delivered.owed(group, group.timing().repeat_interval, now);
        let Some(reason) = reason else {
            return Way::Own;
        };
        let is_end = matches!(reason, Reason::SomeResolved | Reason::AllResolved);
        let is_new = reason == Reason::First && delivered.thread.is_none();
        let is_within = if storm.is_open {
            delivered.in_storm || is_new
        } else {
            delivered.in_storm && is_end
        };
        if !is_within {
            return Way::Own;
        }
        let mut news = group.alerts.values().filter(|alert| {
            group.may_tell(alert, delivered) && !delivered.firing.contains(&alert.fingerprint)
        });
        if news.any(|alert| is_grave(&alert.labels)) && lane.ahead.count(now) < AHEAD_MAX {
            return Way::Ahead;
        }
        Way::Within
    }

    /// Whether telling of this group would put another message into the channel.
    pub(super) fn is_newcomer(&self, nth: usize, key: &Key, now: Timestamp) -> bool {
        let Some((lane, group)) = self.lanes.get(nth).zip(self.groups.get(key)) else {
            return false;
        };
        let delivered = group.delivered.get(nth);
        let Some(delivered) = delivered.filter(|_| lane.receiver.storm_groups > 0) else {
            return false;
        };
        match delivered.owed(group, group.timing().repeat_interval, now) {
            Some(Reason::First) => delivered.thread.is_none(),
            Some(Reason::Repeat) => delivered.in_storm,
            _ => false,
        }
    }

    /// Forgets a storm that has closed once no group belongs to it any more.
    fn end_storm(&mut self, nth: usize) {
        let Some(lane) = self.lanes.get(nth) else {
            return;
        };
        let Some(storm) = &lane.storm else {
            return;
        };
        let within = |way: Option<Way>| way == Some(Way::Within);
        let is_told = lane.sending.as_ref().is_some_and(|sending| sending.is_storm)
            || lane.waiting.values().any(|waiting| within(waiting.way));
        let mut delivered = self.groups.values().filter_map(|group| group.delivered.get(nth));
        let row = storm.row.filter(|_| !is_told);
        let is_over = !storm.is_open && !is_told && !delivered.any(|delivered| delivered.in_storm);
        if let Some(row) = row {
            self.overtaken(row, "over before it could be told");
        }
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        if let Some(storm) = lane.storm.as_mut().filter(|_| row.is_some()) {
            storm.row = None;
        }
        if is_over {
            lane.storm = None;
            self.records.no_storm(lane.name());
            info!(receiver = lane.name(), "the storm is over");
        }
    }

    /// One message about all groups that are told within the storm; none if nothing of that is left to tell.
    pub(super) fn launch_storm(&mut self, nth: usize, now: Timestamp) -> Option<Launch> {
        let lane = self.lanes.get_mut(nth)?;
        if lane.storm.is_none() {
            lane.waiting.values_mut().for_each(|waiting| waiting.way = None);
            return None;
        }
        let mut told: BTreeMap<Key, Message> = BTreeMap::new();
        for key in self.lanes.get(nth)?.within() {
            match self.compose(nth, &key, now) {
                Some(message) => drop(told.insert(key, message)),
                None => self.unmark(nth, &key, "overtaken"),
            }
        }
        if told.is_empty() {
            return None;
        }
        let storm = self.lanes.get(nth)?.storm.as_ref()?;
        let row = storm.row;
        let mut digest = Digest::new(storm, now, &self.external_url);
        told.values().for_each(|message| digest.tell(message));
        for (key, group) in &self.groups {
            let Some(delivered) = group.delivered.get(nth).filter(|_| !told.contains_key(key)) else {
                continue;
            };
            if delivered.in_storm {
                digest.stands(group, &delivered.firing);
            } else if !delivered.firing.is_empty() {
                digest.own += 1;
            }
        }
        digest.sort();
        let mut parts = BTreeMap::new();
        for (key, message) in &told {
            if let Some(part) = self.begin_part(nth, message, true, now) {
                parts.insert(Arc::clone(key), part);
            }
        }
        let sending = Sending {
            parts,
            is_storm: true,
            summary: digest.summary(),
            labels: Labels::empty(),
            row,
            epoch: self.epoch,
            is_outlived: false,
        };
        self.hand_out(nth, sending, Content::Storm(Box::new(digest)), now)
    }

    pub(super) fn storm_taken(&mut self, nth: usize, sending: &Sending, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let name = Arc::clone(&lane.receiver.name);
        self.metrics.storm_told(&name, sending.parts.len());
        if let Some(storm) = &mut lane.storm {
            storm.told_at = Some(now);
            storm.ended += sending.parts.values().filter(|part| part.is_over).count();
            storm.rings = false;
            storm.row = None;
            self.records.storm(&name, storm);
        }
    }

    /// Its message is tried again; what it then says is decided then.
    pub(super) fn storm_waits(&mut self, nth: usize, row: Option<u64>) {
        let lane = self.lanes.get_mut(nth);
        if let Some(storm) = lane.and_then(|lane| lane.storm.as_mut()) {
            storm.row = row;
        }
    }

    /// Whatever is wrong with it: each of its groups is told by itself, and has its own answer.
    pub(super) fn storm_refused(
        &mut self,
        nth: usize,
        sending: &Sending,
        words: &str,
        took: Duration,
        now: Timestamp,
    ) {
        self.failed(nth, words);
        let words = format!("{words}, given up; each group is told by itself");
        self.write(nth, sending, &words, End::GivenUp, took, now);
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        warn!(
            receiver = lane.name(),
            "a storm's message was refused: each group is told by itself"
        );
        lane.break_up(now);
        self.records.no_storm(lane.name());
        for (key, part) in &sending.parts {
            self.part_undone(nth, key, part);
            if self.speaks && self.groups.contains_key(key) {
                self.requeue_part(nth, key, part, part.waiting.may_repeat, None);
            } else {
                self.drops("handed_over");
            }
        }
    }

    /// Goes on with the storms that the journal holds.
    pub(super) fn take_up_storms(&mut self, left: Vec<StormRecord>) {
        self.lanes.iter_mut().for_each(|lane| lane.storm = None);
        for StormRecord { receiver, storm } in left {
            match self.lane(&receiver).and_then(|nth| self.lanes.get_mut(nth)) {
                Some(lane) => lane.storm = Some(storm),
                None => self.records.no_storm(&receiver),
            }
        }
    }

    /// The other replica tells of storms as well: a message that stands is edited by whoever has none.
    pub(super) fn hear_of_storms(&mut self, left: Vec<StormRecord>) {
        let mut stood = BTreeMap::new();
        for StormRecord { receiver, storm } in left {
            let Some(lane) = self.lane(&receiver).and_then(|nth| self.lanes.get_mut(nth)) else {
                self.records.no_storm(&receiver);
                continue;
            };
            match &mut lane.storm {
                None => lane.storm = Some(storm.clone()),
                Some(ours) => ours.join(&storm),
            }
            stood.insert(receiver, storm);
        }
        // Not because of what only passes.
        let told = |storm: &Storm| (storm.thread.clone(), storm.told_at, storm.ended);
        for lane in &self.lanes {
            if let Some(ours) = &lane.storm
                && stood.get(lane.name()).map(told) != Some(told(ours))
            {
                self.records.storm(lane.name(), ours);
            }
        }
    }

    /// For the page; nothing while somebody else tells.
    pub(super) fn storms(&self) -> Vec<Storming> {
        let lanes = self.lanes.iter().enumerate().filter(|_| self.speaks);
        let storms = lanes.filter_map(|(nth, lane)| {
            let storm = lane.storm.as_ref()?;
            let groups = self.groups.iter().filter(|(_, group)| {
                let delivered = group.delivered.get(nth);
                delivered.is_some_and(|delivered| delivered.in_storm)
            });
            Some(Storming {
                receiver: lane.receiver.title(),
                began: storm.began,
                is_open: storm.is_open,
                groups: groups.map(|(key, _)| Arc::clone(key)).collect(),
            })
        });
        storms.collect()
    }
}

//! What becomes of one group in a message: that it is on its way, was taken, was not, or may have been.
//!
//! A message has one such part, or in a storm many; each is written down, and owed again, by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Timestamp;

use super::Core;
use crate::delivered::{Delivered, Reason};
use crate::group::{Group, Key};
use crate::lane::{Part, Waiting, content};
use crate::message::Message;
use crate::records::{Dead, Intent};

impl Core {
    /// Takes the group out of the queue and writes down the intent.
    pub(super) fn begin_part(
        &mut self,
        nth: usize,
        message: &Message,
        in_storm: bool,
        now: Timestamp,
    ) -> Option<Part> {
        let lane = self.lanes.get_mut(nth)?;
        let group = self.groups.get_mut(&message.key)?;
        let delivered = group.delivered.get(nth)?;
        let content = content(group, delivered);
        let delivered = group.delivered.get_mut(nth)?;
        let waiting = lane.waiting.remove(&message.key)?;
        let firing: BTreeSet<u64> = message.firing().map(|alert| alert.fingerprint).collect();
        let resolved: BTreeSet<u64> = message.resolved().map(|alert| alert.fingerprint).collect();
        let intent = Intent {
            at: now,
            epoch: self.epoch,
            firing: firing.iter().copied().collect(),
            resolved: resolved.iter().copied().collect(),
            in_storm,
        };
        self.records
            .queue(&lane.record(&message.key, &waiting, Some(intent)));
        let part = Part {
            waiting,
            summary: message.summary(),
            labels: message.group_labels.clone(),
            resolved,
            added: message.added.clone(),
            maybe_before: std::mem::take(&mut delivered.maybe),
            content,
            again: false,
            is_over: message.reason == Reason::AllResolved,
            was_in_storm: delivered.in_storm,
            firing,
        };
        delivered.maybe = part.maybe_before.union(&part.firing).copied().collect();
        delivered.in_storm |= in_storm;
        Some(part)
    }

    pub(super) fn part_taken(&mut self, nth: usize, key: &Key, part: &Part, in_storm: bool, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let name = Arc::clone(&lane.receiver.name);
        self.board.gave();
        self.metrics
            .latency
            .observe(now.since(part.waiting.marked).as_secs_f64());
        self.records.not_queued(&name, key);
        if lane.dead.remove(key).is_some() {
            self.records.not_dead(&name, key);
        }
        let silenced = self.groups.get(key).map(|group| group.silenced().clone());
        let silenced = silenced.unwrap_or_default();
        let timing = self.groups.get(key).map(Group::timing);
        let (tells_lone_ends, tells_muted_ends) = timing.map_or((false, true), |timing| {
            (timing.tells_lone_ends, timing.tells_muted_ends)
        });
        let Some(delivered) = self.delivered(nth, key) else {
            return;
        };
        delivered
            .maybe
            .retain(|fingerprint| silenced.contains(fingerprint));
        delivered
            .firing
            .retain(|fingerprint| !part.resolved.contains(fingerprint));
        delivered.firing.extend(&part.firing);
        delivered.untold.clear();
        delivered.ended.clear();
        if tells_lone_ends {
            delivered.ended.extend(&part.resolved);
        }
        delivered.at = Some(now);
        for fingerprint in silenced {
            if tells_muted_ends {
                // Silenced while it was on its way, or before.
                delivered.hush(fingerprint);
            } else if !part.firing.contains(&fingerprint) {
                delivered.forget(fingerprint);
            }
        }
        delivered.in_storm = in_storm && !delivered.is_empty();
        let delivered = delivered.clone();
        self.records.told(&name, key, &delivered);
    }

    /// The attempt certainly did not arrive.
    pub(super) fn part_undone(&mut self, nth: usize, key: &Key, part: &Part) {
        if let Some(delivered) = self.delivered(nth, key) {
            let Delivered { firing, maybe, .. } = delivered;
            // What has been silenced meanwhile stays: it was told before.
            maybe.retain(|alert| !firing.contains(alert) && !part.added.contains(alert));
            maybe.extend(&part.maybe_before);
            delivered.in_storm = part.was_in_storm;
        }
    }

    /// The attempt may have arrived: what it said to be over is told again, should it fire again.
    pub(super) fn part_unsure(&mut self, nth: usize, key: &Key, part: &Part) {
        let Some(delivered) = self.delivered(nth, key) else {
            return;
        };
        for fingerprint in &part.resolved {
            delivered.hush(*fingerprint);
        }
        let delivered = delivered.clone();
        let name = self.lanes.get(nth).map(|lane| Arc::clone(&lane.receiver.name));
        self.records.told(&name.unwrap_or_default(), key, &delivered);
    }

    /// It waits for its turn once more.
    pub(super) fn requeue_part(
        &mut self,
        nth: usize,
        key: &Key,
        part: &Part,
        may_repeat: bool,
        row: Option<u64>,
    ) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let mut waiting = Waiting {
            may_repeat,
            row,
            ..part.waiting.clone()
        };
        waiting.look_again();
        lane.enqueue(Arc::clone(key), waiting);
        if let Some(waiting) = lane.waiting.get(key) {
            self.records.queue(&lane.record(key, waiting, None));
        }
    }

    /// The receiver refused it for good.
    pub(super) fn part_refused(&mut self, nth: usize, key: &Key, part: &Part, words: &str, now: Timestamp) {
        self.drops("rejected");
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let dead = Dead {
            receiver: lane.name().to_owned(),
            group: key.to_string(),
            labels: part.labels.clone(),
            time: now,
            message: part.summary.clone(),
            answer: words.to_owned(),
            content: part.content,
        };
        self.records.not_queued(lane.name(), key);
        if self.groups.contains_key(key) {
            self.records.dead(&dead);
            lane.dead.insert(Arc::clone(key), dead);
        }
    }

    /// A flush found more to tell while it was on its way.
    pub(super) fn part_again(&mut self, nth: usize, key: &Key, part: &Part, now: Timestamp) {
        if part.again && self.speaks && self.owes(nth, key, now) {
            self.mark(nth, key, now);
        }
    }
}

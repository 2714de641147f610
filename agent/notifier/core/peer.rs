//! What the other replica writes while we speak: it speaks as well, since neither it nor whoever decides can be
//! reached, or its last word came late.
//!
//! Whatever it told counts as told, and whatever its writes took away from ours is written again: so both forget
//! nothing, and nothing is told a third time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::Timestamp;

use super::reconcile::state;
use super::{ALERTS_MAX, CONFIRMED, Core};
use crate::alert::Alert;
use crate::delivered::Delivered;
use crate::group::{Group, Key};
use crate::records::{QueueRecord, ToldRecord};
use crate::route::Route;

impl Core {
    pub(super) fn hear_peer(&mut self, now: Timestamp) {
        let left = self.records.left();
        self.hear_of_storms(left.storms);
        let mut stood = BTreeMap::new();
        let mut adopted: BTreeSet<Key> = BTreeSet::new();
        for alert in left.alerts {
            stood.insert(alert.fingerprint, state(&alert));
            let routes = self.plan.tree.routes_of(&alert.labels);
            let routes: Vec<Arc<Route>> = routes.into_iter().cloned().collect();
            for route in routes {
                adopted.extend(self.adopt(&route, alert.clone(), now));
            }
        }
        for alert in self.groups.values().flat_map(|group| group.alerts.values()) {
            if stood.get(&alert.fingerprint) != Some(&state(alert)) {
                self.records.alert(alert);
            }
        }
        let knows = self.believe(&left.told, &left.queue);
        // What the other one was about to tell when it was last heard may be told.
        for nth in 0..self.lanes.len() {
            for key in &adopted {
                if self.owes(nth, key, now)
                    && let Some(lane) = self.lanes.get_mut(nth)
                {
                    lane.suspects.insert(Arc::clone(key));
                }
            }
        }
        if self.leadership.unaware {
            self.doubt_what_it_let_go(&knows);
        }
        self.write_again(&knows, &left.queue);
        for record in left.groups {
            if !self.groups.contains_key(record.group.as_str()) {
                self.records.no_group(&record.group);
            }
        }
    }

    /// Takes in an alert that only the other one has heard of, and returns its group; of one that we know, its end.
    fn adopt(&mut self, route: &Arc<Route>, mut alert: Alert, now: Timestamp) -> Option<Key> {
        let (key, labels) = route.group_of(&alert.labels);
        let ours = self.groups.get(&key);
        if let Some(ours) = ours.and_then(|group| group.alerts.get(&alert.fingerprint)) {
            if is_end_of(&alert, ours, now) {
                self.change(&key, alert, now);
            }
            return None;
        }
        let over = self.over.get(&alert.fingerprint);
        let over = over.filter(|over| alert.starts_at <= over.at).copied();
        if over.is_some_and(|over| over.is_done) || self.alerts.count() >= ALERTS_MAX {
            self.records.no_alert(alert.fingerprint);
            return None;
        }
        if let Some(over) = over.filter(|_| alert.firing()) {
            alert.resolved_at = Some(over.at);
        }
        let receivers = self.lanes.len();
        let group = self.groups.entry(Arc::clone(&key));
        group.or_insert_with(|| Group::new(labels, receivers, now, route));
        self.alerts.hold(alert.fingerprint);
        let (fingerprint, fires) = (alert.fingerprint, alert.firing());
        self.change(&key, alert, now);
        if let Some(group) = self.groups.get_mut(&key).filter(|_| fires) {
            group.doubt(fingerprint);
            self.doubts_until = Some(now + CONFIRMED);
        }
        Some(key)
    }

    /// Adds what the other one has told, or may have told. Returns what the journal says was told.
    fn believe(&mut self, told: &[ToldRecord], queue: &[QueueRecord]) -> BTreeMap<(usize, Key), Delivered> {
        let mut knows = BTreeMap::new();
        let mut places: HashMap<u64, Vec<Key>> = HashMap::new();
        for (key, group) in &self.groups {
            for alert in group.alerts.keys() {
                places.entry(*alert).or_default().push(Arc::clone(key));
            }
        }
        for record in told {
            let Some(nth) = self.lane(&record.receiver) else {
                self.records.not_told(&record.receiver, &record.group);
                continue;
            };
            let theirs = &record.delivered;
            knows.insert((nth, Key::from(record.group.as_str())), theirs.clone());
            let mut last: BTreeMap<Key, Option<Timestamp>> = BTreeMap::new();
            for fingerprint in theirs.firing.iter().chain(&theirs.maybe) {
                for key in self.meant(nth, &record.group, places.get(fingerprint)) {
                    let Some(ours) = self.delivered(nth, &key) else {
                        continue;
                    };
                    let at = *last.entry(key).or_insert(ours.at);
                    if theirs.firing.contains(fingerprint) && theirs.at > at {
                        ours.maybe.remove(fingerprint);
                        ours.firing.insert(*fingerprint);
                    } else if !ours.firing.contains(fingerprint) {
                        ours.maybe.insert(*fingerprint);
                    }
                    ours.at = ours.at.max(theirs.at);
                }
            }
            let fallback = self
                .lanes
                .get(nth)
                .filter(|lane| self.plan.is_fallback(&lane.receiver));
            if let (Some(lane), Some(group)) = (fallback, self.groups.get_mut(record.group.as_str()))
                && !theirs.is_empty()
            {
                group.fallback = Some(Arc::clone(&lane.receiver.team));
            }
            if let Some(ours) = self.delivered(nth, &Key::from(record.group.as_str()))
                && theirs.thread.is_some()
                && (ours.thread.is_none() || theirs.at >= ours.at)
            {
                ours.thread.clone_from(&theirs.thread);
                ours.in_storm = false;
            }
            if let Some(ours) = self.delivered(nth, &Key::from(record.group.as_str()))
                && theirs.in_storm
                && ours.thread.is_none()
            {
                ours.in_storm = !ours.is_empty();
            }
        }
        for record in queue {
            let Some(nth) = self.lane(&record.receiver) else {
                continue;
            };
            let Some(intent) = &record.intent else {
                continue;
            };
            for fingerprint in &intent.resolved {
                for key in self.meant(nth, &record.group, places.get(fingerprint)) {
                    let ours = self.delivered(nth, &key);
                    if let Some(ours) = ours.filter(|ours| ours.at.is_none_or(|at| at < intent.at)) {
                        ours.hush(*fingerprint);
                    }
                }
            }
            for fingerprint in &intent.firing {
                for key in self.meant(nth, &record.group, places.get(fingerprint)) {
                    let ours = self.delivered(nth, &key);
                    if let Some(ours) = ours.filter(|ours| !ours.firing.contains(fingerprint)) {
                        ours.maybe.insert(*fingerprint);
                    }
                }
            }
        }
        knows
    }

    /// Of the groups that hold an alert those that a record is about: the one it names, else, where groups are made
    /// otherwise by now, all that this receiver is told of.
    fn meant(&self, nth: usize, group: &str, holding: Option<&Vec<Key>>) -> Vec<Key> {
        let holding = holding.map_or(&[][..], Vec::as_slice);
        if let Some(named) = holding.iter().find(|key| ***key == *group) {
            return vec![Arc::clone(named)];
        }
        let is_told = |key: &&Key| {
            let (lane, group) = (self.lanes.get(nth), self.groups.get(*key));
            lane.zip(group)
                .is_some_and(|(lane, group)| group.is_for(&lane.receiver))
        };
        holding.iter().filter(is_told).cloned().collect()
    }

    /// We began to speak without having heard the other one. What was told as firing before that, and stands no more
    /// in what it wrote, it has told to be over: where it fires again it is told again.
    fn doubt_what_it_let_go(&mut self, knows: &BTreeMap<(usize, Key), Delivered>) {
        let Some(since) = self.since else { return };
        for (key, group) in &mut self.groups {
            for (nth, ours) in group.delivered.iter_mut().enumerate() {
                let theirs = knows.get(&(nth, Arc::clone(key)));
                let vouched = |told: &u64| theirs.is_some_and(|theirs| theirs.knows(*told));
                let let_go: Vec<u64> = ours
                    .firing
                    .iter()
                    .filter(|told| !vouched(told))
                    .copied()
                    .collect();
                if ours.at.is_some_and(|at| at < since) {
                    for told in let_go {
                        ours.hush(told);
                    }
                }
            }
        }
    }

    /// Writes what the journal does not hold as we know it.
    fn write_again(&mut self, knows: &BTreeMap<(usize, Key), Delivered>, queue: &[QueueRecord]) {
        for (key, group) in &self.groups {
            if let Some(first) = group.first_flush {
                self.records.group(key, first);
            }
            for (nth, (lane, ours)) in self.lanes.iter().zip(&group.delivered).enumerate() {
                let theirs = knows.get(&(nth, Arc::clone(key)));
                let is_nothing = ours.is_empty() && ours.at.is_none();
                if is_nothing && theirs.is_some() {
                    self.records.not_told(lane.name(), key);
                } else if !is_nothing && theirs != Some(ours) {
                    self.records.told(lane.name(), key, ours);
                }
            }
        }
        for (nth, key) in knows.keys().filter(|(_, key)| !self.groups.contains_key(key)) {
            if let Some(lane) = self.lanes.get(*nth) {
                self.records.not_told(lane.name(), key);
            }
        }
        for record in queue {
            let lane = self.lane(&record.receiver).and_then(|nth| self.lanes.get(nth));
            let is_ours = lane.is_some_and(|lane| {
                lane.waiting.contains_key(record.group.as_str()) || lane.is_sending(&record.group)
            });
            if !is_ours {
                self.records.not_queued(&record.receiver, &record.group);
            }
        }
    }
}

/// Whether theirs is the end of what still fires as far as we know: we have not heard of it since, though we should
/// have by now if it did, or never at all.
fn is_end_of(theirs: &Alert, ours: &Alert, now: Timestamp) -> bool {
    let Some(ended) = theirs.resolved_at.filter(|_| ours.firing()) else {
        return false;
    };
    let is_silent = ours
        .heard_at
        .is_none_or(|heard| heard <= ended && ended + CONFIRMED <= now);
    is_silent && ours.starts_at <= ended
}

//! Begins where an earlier life, an earlier leader or an earlier configuration ended.
//!
//! What receivers know is carried over alert by alert, so that a changed `group_by` neither tells anything
//! twice nor forgets to tell an end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use tracing::info;

use super::{Core, Holders};
use crate::alert::Alert;
use crate::config::Config;
use crate::delivered::Delivered;
use crate::group::{Group, Key, next_tick};
use crate::history::History;
use crate::inhibit::Inhibitions;
use crate::lane::{Lane, Waiting};
use crate::plan::Plan;
use crate::receiver::Receiver;
use crate::records::{Intent, Left, QueueRecord};

/// What one receiver knows, by group.
type Knowledge = Vec<(Key, Delivered)>;

impl Core {
    pub(super) fn restore(&mut self, now: Timestamp, running: Duration) {
        let left = self.records.left();
        self.board.remembers(History::restored(left.said.clone()));
        self.lanes = self.plan.receivers.iter().cloned().map(Lane::new).collect();
        for lane in &self.lanes {
            self.metrics.add(&lane.receiver);
        }
        self.notice_silences(now);
        self.notice_leadership(now, running);
        if !self.speaks {
            self.take_up(left, &BTreeSet::new(), now);
        }
        let alerts = self.alerts.count();
        if alerts > 0 {
            info!(alerts, groups = self.groups.len(), "restored");
        }
        self.name_receivers();
    }

    /// Goes on from what the journal holds. Of the ends of `unseen` nobody can say whether they are owed, so they
    /// are.
    pub(super) fn take_up(&mut self, left: Left, unseen: &BTreeSet<u64>, now: Timestamp) {
        self.take_up_storms(left.storms);
        let mut knowledge: Vec<Knowledge> = vec![Vec::new(); self.lanes.len()];
        for record in left.told {
            match self.lane(&record.receiver).and_then(|nth| knowledge.get_mut(nth)) {
                Some(known) => known.push((record.group.into(), record.delivered)),
                None => self.records.not_told(&record.receiver, &record.group),
            }
        }
        let mut queue = Vec::new();
        for record in left.queue {
            let Some(nth) = self.lane(&record.receiver) else {
                self.records.not_queued(&record.receiver, &record.group);
                continue;
            };
            if let (Some(intent), Some(known)) = (&record.intent, knowledge.get_mut(nth)) {
                remember_intent(known, &record.group, intent);
            }
            queue.push((nth, record));
        }
        let firsts = left.groups.into_iter();
        let firsts = firsts
            .map(|record| (record.group.into(), record.first_flush))
            .collect();
        self.regroup(left.alerts, &knowledge, &firsts, now);
        self.suspect_ends(unseen);
        if self.is_paired() {
            self.suspect_beginnings();
        }
        // Who does not speak has no queue.
        if !self.speaks {
            queue.clear();
        }
        for (nth, record) in queue {
            self.requeue(nth, record, now);
        }
        for dead in left.dead {
            let known = self.groups.contains_key(dead.group.as_str());
            match self
                .lane(&dead.receiver)
                .filter(|_| known)
                .and_then(|nth| self.lanes.get_mut(nth))
            {
                Some(lane) => {
                    let key: Key = dead.group.as_str().into();
                    let is_other = !self.plan.is_fallback(&lane.receiver);
                    lane.dead.insert(Arc::clone(&key), dead);
                    let fallback = self.plan.fallback.as_ref().filter(|_| is_other);
                    if let (Some(fallback), Some(group)) = (fallback, self.groups.get_mut(&key)) {
                        group.fallback = Some(Arc::clone(&fallback.team));
                    }
                }
                None => self.records.not_dead(&dead.receiver, &dead.group),
            }
        }
        self.settle_all();
        self.records.commit();
    }

    /// A message that was on its way when we ended is sent once more, and says that it may be a repeat.
    fn requeue(&mut self, nth: usize, record: QueueRecord, now: Timestamp) {
        let key: Key = record.group.as_str().into();
        let known = self.groups.get(&key).and_then(|group| group.delivered.get(nth));
        let (Some(lane), Some(known)) = (self.lanes.get_mut(nth), known) else {
            self.records.not_queued(&record.receiver, &record.group);
            return;
        };
        if record.intent.is_some() {
            self.records.told(lane.name(), &key, known);
        }
        self.board.took();
        let waiting = Waiting {
            may_repeat: record.may_repeat || record.intent.is_some(),
            is_newcomer: self.is_newcomer(nth, &key, now),
            ..Waiting::since(record.marked.min(now))
        };
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        lane.enqueue(Arc::clone(&key), waiting);
        if let Some(waiting) = lane.waiting.get(&key) {
            self.records.queue(&lane.record(&key, waiting, None));
        }
    }

    /// Puts a new configuration in force. Nothing may be on its way.
    pub(crate) fn apply(&mut self, config: &Config, now: Timestamp) {
        let firsts = self.groups.iter();
        let firsts = firsts
            .filter_map(|(key, group)| Some((Arc::clone(key), group.first_flush?)))
            .collect();
        let mut known: HashMap<Arc<str>, Knowledge> = HashMap::new();
        let mut alerts = BTreeMap::new();
        for (key, group) in std::mem::take(&mut self.groups) {
            for (lane, delivered) in self.lanes.iter().zip(group.delivered) {
                let known = known.entry(Arc::clone(&lane.receiver.name)).or_default();
                known.push((Arc::clone(&key), delivered));
            }
            for alert in group.alerts.into_values() {
                alerts.insert(alert.fingerprint, alert);
            }
        }
        self.plan = Plan::of(config);
        self.inhibitions = Inhibitions::new(self.plan.inhibitions.clone());
        self.external_url = config.external_url.trim_end_matches('/').into();
        self.exchange_lanes(self.plan.receivers.clone(), &mut known);
        let knowledge: Vec<Knowledge> = self
            .lanes
            .iter()
            .map(|lane| known.remove(&lane.receiver.name).unwrap_or_default())
            .collect();
        self.regroup(alerts.into_values().collect(), &knowledge, &firsts, now);
        for nth in 0..self.lanes.len() {
            self.drop_strays(nth);
        }
        self.settle_all();
        self.records.commit();
        self.name_receivers();
    }

    /// Lanes of the new receivers; one whose name stays keeps its queue.
    fn exchange_lanes(&mut self, receivers: Vec<Arc<Receiver>>, known: &mut HashMap<Arc<str>, Knowledge>) {
        let mut old: BTreeMap<Arc<str>, Lane> = std::mem::take(&mut self.lanes)
            .into_iter()
            .map(|lane| (Arc::clone(&lane.receiver.name), lane))
            .collect();
        for receiver in receivers {
            let lane = match old.remove(&receiver.name) {
                Some(mut lane) => {
                    for key in lane.dead.keys().filter(|_| *lane.receiver != *receiver) {
                        self.records.not_dead(lane.name(), key);
                    }
                    lane.replace(receiver);
                    lane
                }
                None => {
                    self.metrics.add(&receiver);
                    Lane::new(receiver)
                }
            };
            self.lanes.push(lane);
        }
        for (name, lane) in old {
            for key in lane.waiting.keys() {
                self.records.not_queued(&name, key);
                self.drops("receiver_removed");
            }
            for key in lane.dead.keys() {
                self.records.not_dead(&name, key);
            }
            if lane.storm.is_some() {
                self.records.no_storm(&name);
            }
            for (key, _) in known.remove(&name).unwrap_or_default() {
                self.records.not_told(&name, &key);
            }
            self.metrics.remove(&lane.receiver);
        }
    }

    /// Builds the groups from alerts, and tells them what receivers know.
    fn regroup(
        &mut self,
        alerts: Vec<Alert>,
        knowledge: &[Knowledge],
        firsts: &HashMap<Key, Timestamp>,
        now: Timestamp,
    ) {
        self.groups.clear();
        self.alerts = Holders::default();
        let receivers = self.lanes.len();
        for mut alert in alerts {
            if alert.heard_at.is_none() {
                self.give_grace(&mut alert, now);
            }
            self.expects(&alert);
            for route in self.plan.tree.routes_of(&alert.labels) {
                let (key, labels) = route.group_of(&alert.labels);
                let timing = route.timing;
                let first = firsts.get(&key).copied();
                let group = self.groups.entry(key).or_insert_with(|| {
                    let mut group = Group::new(labels, receivers, now, route);
                    if let Some(first) = first {
                        group.first_flush = Some(first);
                        group.flush_due = next_tick(first, now, timing.group_interval);
                    }
                    group
                });
                if alert.firing() {
                    group.hasten(alert.opened.min(alert.starts_at), now);
                    if group.first_flush.is_none() {
                        group.flush_due = group.flush_due.min(alert.opened + timing.group_wait);
                    }
                } else {
                    group.resolve_due = Some(timing.resolve_wait.map_or(group.flush_due, |_| now));
                }
                group.put(alert.clone());
                self.alerts.hold(alert.fingerprint);
            }
        }
        for key in firsts.keys().filter(|key| !self.groups.contains_key(*key)) {
            self.records.no_group(key);
        }
        for (nth, known) in knowledge.iter().enumerate() {
            self.remind(nth, known);
        }
        self.drop_weighed_ends();
        self.silence_all(now);
    }

    /// Gives each group what the receiver knows of its alerts.
    fn remind(&mut self, nth: usize, known: &Knowledge) {
        let Some(receiver) = self.lanes.get(nth).map(|lane| Arc::clone(&lane.receiver)) else {
            return;
        };
        // Of alerts that are in another group by now.
        let mut moved: HashMap<u64, &Delivered> = HashMap::new();
        let mut stayed: HashMap<&Key, &Delivered> = HashMap::new();
        for (key, delivered) in known {
            stayed.insert(key, delivered);
            let group = self.groups.get(key);
            let told = delivered.firing.iter().chain(&delivered.maybe);
            for fingerprint in told.chain(&delivered.untold) {
                if !group.is_some_and(|group| group.alerts.contains_key(fingerprint)) {
                    moved.insert(*fingerprint, delivered);
                }
            }
        }
        let name = &receiver.name;
        let is_fallback = self.plan.is_fallback(&receiver);
        for (key, group) in &mut self.groups {
            let own = stayed.get(key);
            let mut merged = Delivered {
                thread: own.and_then(|own| own.thread.clone()),
                ended: own.map(|own| own.ended.clone()).unwrap_or_default(),
                ..Delivered::default()
            };
            let alerts = group.alerts.keys();
            let alerts = alerts.filter(|_| is_fallback || group.is_for(&receiver));
            for fingerprint in alerts {
                let own = own.filter(|own| own.knows(*fingerprint) || own.untold.contains(fingerprint));
                let Some(delivered) = own.or_else(|| moved.get(fingerprint)) else {
                    continue;
                };
                if delivered.firing.contains(fingerprint) {
                    merged.firing.insert(*fingerprint);
                }
                if delivered.maybe.contains(fingerprint) {
                    merged.maybe.insert(*fingerprint);
                }
                if delivered.untold.contains(fingerprint) {
                    merged.untold.insert(*fingerprint);
                }
                merged.at = merged.at.max(delivered.at);
                merged.in_storm |= delivered.in_storm;
            }
            merged.in_storm &= merged.thread.is_none();
            let before = known.iter().find(|(known, _)| known == key);
            if before.is_none_or(|(_, before)| *before != merged) && !merged.is_empty() {
                self.records.told(name, key, &merged);
            }
            // It has been told of this one, so it is told of its end.
            if is_fallback && !merged.is_empty() {
                group.fallback = Some(Arc::clone(&receiver.team));
            }
            if let Some(place) = group.delivered.get_mut(nth) {
                *place = merged;
            }
        }
        for (key, _) in known {
            let kept = self.groups.get(key).and_then(|group| group.delivered.get(nth));
            if kept.is_none_or(Delivered::is_empty) {
                self.records.not_told(name, key);
            }
        }
    }

    /// Groups that are no more cannot be told.
    fn drop_strays(&mut self, nth: usize) {
        let Some(lane) = self.lanes.get_mut(nth) else {
            return;
        };
        let waiting: Vec<Key> = lane.waiting.keys().cloned().collect();
        let dead: Vec<Key> = lane.dead.keys().cloned().collect();
        let receiver = Arc::clone(&lane.receiver);
        let is_told = |key: &Key| {
            let group = self.groups.get(key);
            group.is_some_and(|group| group.is_for(&receiver))
        };
        for key in dead.iter().filter(|key| !is_told(key)) {
            self.records.not_dead(lane.name(), key);
            lane.dead.remove(key);
        }
        let strays: Vec<Key> = waiting.into_iter().filter(|key| !is_told(key)).collect();
        for key in strays {
            self.unmark(nth, &key, "regrouped");
        }
    }

    pub(super) fn settle_all(&mut self) {
        let keys: Vec<Key> = self.groups.keys().cloned().collect();
        for key in keys {
            self.settle(&key);
        }
    }

    pub(super) fn lane(&self, name: &str) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.name() == name)
    }

    fn name_receivers(&self) {
        let names = self.lanes.iter().map(|lane| lane.receiver.title());
        self.board.has_receivers(names.collect(), self.plan.clone());
    }
}

/// What was on its way may have arrived.
fn remember_intent(known: &mut Knowledge, group: &str, intent: &Intent) {
    let place = match known.iter().position(|(key, _)| &**key == group) {
        Some(place) => place,
        None => {
            known.push((group.into(), Delivered::default()));
            known.len() - 1
        }
    };
    if let Some((_, delivered)) = known.get_mut(place) {
        delivered.maybe.extend(&intent.firing);
        delivered.in_storm |= intent.in_storm;
        for fingerprint in &intent.resolved {
            delivered.hush(*fingerprint);
        }
    }
}

//! Ends that are told otherwise where the configuration asks for Alertmanager's way.
//!
//! With `tell_lone_ends` a message also speaks of what came and went since the last one. Without `tell_muted_ends` the end of
//! what is muted is kept to ourselves: until its next message the receiver believes that the alert fires.

use std::collections::BTreeSet;

use model::Timestamp;

use super::Core;
use crate::alert::Alert;
use crate::group::{Group, Key};

impl Core {
    /// The group is looked at: which of its ends are to be told, and which are not.
    pub(super) fn weigh_ends(&mut self, key: &Key, now: Timestamp) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let timing = group.timing();
        if timing.tells_muted_ends && !timing.tells_lone_ends {
            return;
        }
        let is_muted = |alert: &Alert| {
            let labels = &alert.labels;
            group.is_muted || self.quiet.covers(labels) || self.inhibitions.mute(labels)
        };
        let ended = group.alerts.values().filter(|alert| !alert.firing());
        let is_kept = |alert: &Alert| !timing.tells_muted_ends && is_muted(alert);
        let ended: Vec<(u64, bool)> = ended.map(|alert| (alert.fingerprint, is_kept(alert))).collect();
        let is_loud = group.loud() > 0;
        let receivers = self.lanes.iter().map(|lane| &lane.receiver);
        let hears = receivers.map(|receiver| receiver.send_resolved && group.is_for(receiver));
        let hears: Vec<bool> = hears.collect();
        let mut delivered: Vec<_> = std::mem::take(&mut group.delivered);
        for (nth, delivered) in delivered.iter_mut().enumerate() {
            let before = delivered.clone();
            // What fires again is one that they have been told of.
            let fires = |fingerprint: &&u64| group.alerts.get(fingerprint).is_some_and(Alert::firing);
            let again: Vec<u64> = delivered.untold.iter().filter(fires).copied().collect();
            for fingerprint in again {
                delivered.untold.remove(&fingerprint);
                delivered.firing.insert(fingerprint);
            }
            for (fingerprint, is_kept) in &ended {
                if *is_kept {
                    delivered.keep(*fingerprint);
                }
            }
            let hears = timing.tells_lone_ends && hears.get(nth) == Some(&true);
            if hears && (is_loud || delivered.believes()) {
                let lone = ended
                    .iter()
                    .filter(|(fingerprint, is_kept)| !is_kept && !delivered.untold.contains(fingerprint));
                let lone = lone.map(|(fingerprint, _)| *fingerprint);
                // An end that the last message told as well is no news, as long as anything fires.
                let (echoes, news): (Vec<u64>, Vec<u64>) =
                    lone.partition(|fingerprint| is_loud && delivered.ended.contains(fingerprint));
                delivered.maybe.extend(news);
                if delivered.owed(group, timing.repeat_interval, now).is_some() {
                    delivered.maybe.extend(echoes);
                }
            }
            // So long does Alertmanager's log remember.
            let is_old = delivered
                .at
                .is_none_or(|at| at + 2 * timing.repeat_interval <= now);
            if is_old {
                delivered.untold.clear();
            }
            if let Some(lane) = self.lanes.get(nth).filter(|_| *delivered != before) {
                self.records.told(lane.name(), key, delivered);
            }
        }
        if let Some(group) = self.groups.get_mut(key) {
            group.delivered = delivered;
        }
    }

    /// After a start an alert is in every group again that its routes lead to. Where nobody knows of it any more while
    /// elsewhere somebody does, its end has been weighed before.
    pub(super) fn drop_weighed_ends(&mut self) {
        let is_held = |group: &Group, fingerprint: u64| {
            let mut delivered = group.delivered.iter();
            delivered.any(|known| known.knows(fingerprint) || known.untold.contains(&fingerprint))
        };
        let ended = |group: &Group| {
            let ended = group.alerts.values().filter(|alert| !alert.firing());
            ended.map(|alert| alert.fingerprint).collect::<Vec<_>>()
        };
        let mut held = BTreeSet::new();
        for group in self.groups.values() {
            held.extend(ended(group).into_iter().filter(|ended| is_held(group, *ended)));
        }
        let groups = self.groups.values_mut();
        for group in groups.filter(|group| group.timing().tells_lone_ends) {
            for fingerprint in ended(group) {
                if held.contains(&fingerprint) && !is_held(group, fingerprint) {
                    group.remove(fingerprint);
                    self.alerts.let_go(fingerprint);
                }
            }
        }
    }

    /// It was looked at: whatever ended and is not told now is not told at all.
    pub(super) fn let_go_of_ends(&mut self, key: &Key) {
        let timing = self.groups.get(key).map(|group| group.timing());
        if timing.is_some_and(|timing| timing.tells_lone_ends || !timing.tells_muted_ends) {
            self.settle(key);
        }
    }
}

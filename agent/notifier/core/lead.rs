//! Taking the word and giving it up, and what the other replica writes meanwhile.
//!
//! Both hear the same alerts; the one that speaks writes down what it has heard, told and is done with. Who takes
//! over reads all of it again. What is owed then may have been told by whoever spoke before, whose word on it
//! never came: it is told once more and says so. What the journal says was told is not told again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{Leadership, Timestamp};
use tracing::info;

use super::reconcile::{reconcile, state};
use super::{Core, KEEPS, LOOK_AGAIN};
use crate::alert::Alert;
use crate::group::Key;
use crate::history::History;
use crate::records::Left;

impl Core {
    pub(crate) fn lead(&mut self, leadership: Leadership) {
        self.records.share(is_paired(&leadership));
        self.leadership = leadership;
    }

    pub(super) fn is_paired(&self) -> bool {
        is_paired(&self.leadership)
    }

    /// Looks whether it is still, or now, for us to speak, and at what the other replica has written.
    pub(super) fn notice_leadership(&mut self, now: Timestamp, running: Duration) {
        let speaks = self.leadership.may_speak(running);
        // Another epoch: somebody else may have spoken in between.
        if self.speaks && (!speaks || self.epoch != self.leadership.epoch) {
            self.hand_over();
        }
        if speaks && !self.speaks {
            self.take_over(now);
        } else if self.is_paired() {
            let is_time = now.since(self.tidied) >= LOOK_AGAIN || now < self.tidied;
            if is_time {
                self.tidied = now;
                self.over.retain(|_, over| now.since(over.at) < KEEPS);
            }
            let is_stirred = self.records.were_stirred();
            if !speaks {
                self.follow(is_stirred, is_time);
            } else if is_stirred {
                self.hear_peer(now);
            }
        }
    }

    /// Lets go of the queue and writes no more; what is on its way may still come to its end.
    fn hand_over(&mut self) {
        info!(epoch = self.epoch, "tells nobody any more");
        self.speaks = false;
        self.close_records();
        self.over.clear();
        for nth in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get_mut(nth) else {
                continue;
            };
            lane.suspects.clear();
            let row = lane.storm.as_mut().and_then(|storm| storm.row.take());
            let waiting: Vec<Key> = lane.waiting.keys().cloned().collect();
            for key in waiting {
                self.unmark(nth, &key, "handed_over");
            }
            if let Some(row) = row {
                self.overtaken(row, "left to the other replica");
            }
        }
        // So far we wrote the journal: what we know is what it holds.
        for alert in self
            .groups
            .values_mut()
            .flat_map(|group| group.alerts.values_mut())
        {
            alert.is_shared = true;
        }
    }

    /// What the disk did not take is gone with it: whatever it said of what was told may be told again.
    pub(super) fn close_records(&mut self) {
        if !self.records.close() {
            self.forgot_at = Some(self.last);
        }
    }

    /// Whether what is told now may have been told already, by the other one or by us.
    pub(super) fn may_repeat(&self, now: Timestamp) -> bool {
        self.leadership.unaware || self.forgot_at.is_some_and(|at| now.since(at) < KEEPS)
    }

    fn take_over(&mut self, now: Timestamp) {
        self.speaks = true;
        self.epoch = self.leadership.epoch;
        self.records.open();
        for lane in &mut self.lanes {
            lane.dead.clear();
            if let Some(sending) = &mut lane.sending {
                sending.is_outlived = true;
                sending.row = None;
            }
        }
        let mut left = self.records.left();
        self.board.remembers(History::restored(left.said.clone()));
        let groups = std::mem::take(&mut self.groups).into_values();
        let heard: BTreeMap<u64, Alert> = groups.flat_map(|group| group.alerts).collect();
        let kept = std::mem::take(&mut left.alerts);
        let stood: BTreeMap<u64, _> = kept
            .iter()
            .map(|alert| (alert.fingerprint, state(alert)))
            .collect();
        left.alerts = reconcile(heard, kept);
        for alert in &left.alerts {
            if stood.get(&alert.fingerprint) != Some(&state(alert)) {
                self.records.alert(alert);
            }
        }
        let is_alone = !self.is_paired();
        self.since = (!is_alone).then_some(now);
        let unseen = if is_alone {
            BTreeSet::new()
        } else {
            self.unseen(&left)
        };
        self.take_up(left, &unseen, now);
        if !is_alone {
            self.doubt(now);
            self.suspect(now);
            info!(
                epoch = self.epoch,
                alerts = self.alerts.count(),
                "tells people from now on"
            );
        }
        self.records.commit();
    }

    /// What has ended and may have been told by whoever spoke before, who cannot say so any more.
    fn unseen(&self, left: &Left) -> BTreeSet<u64> {
        let spoken: BTreeSet<&str> = left.groups.iter().map(|record| record.group.as_str()).collect();
        let may_be_told = |alert: &&Alert| {
            let lived = alert
                .resolved_at
                .map(|ended| ended.since(alert.opened.min(alert.starts_at)));
            lived.is_some_and(|lived| {
                self.plan.tree.routes_of(&alert.labels).iter().any(|route| {
                    let (key, _) = route.group_of(&alert.labels);
                    lived >= route.timing.group_wait || spoken.contains(&*key)
                })
            })
        };
        let alerts = left.alerts.iter().filter(may_be_told);
        alerts.map(|alert| alert.fingerprint).collect()
    }

    /// The ends of these are owed to everybody, as far as is known.
    pub(super) fn suspect_ends(&mut self, unseen: &BTreeSet<u64>) {
        for (key, group) in &mut self.groups {
            let ended = group.alerts.values().filter(|alert| !alert.firing());
            let ended = ended.map(|alert| alert.fingerprint);
            let ended: Vec<u64> = ended.filter(|fingerprint| unseen.contains(fingerprint)).collect();
            let told = self.lanes.iter().zip(&mut group.delivered);
            for (lane, delivered) in told.filter(|(lane, _)| lane.receiver.team == group.route.receiver) {
                let before = delivered.maybe.len();
                let unknown = ended
                    .iter()
                    .filter(|fingerprint| !delivered.firing.contains(fingerprint));
                delivered.maybe.extend(unknown.copied().collect::<Vec<_>>());
                if delivered.maybe.len() != before {
                    self.records.told(lane.name(), key, delivered);
                }
            }
        }
    }

    /// Who has been told that an alert fires may also have been told that it ended, if it ended since and fires
    /// again.
    pub(super) fn suspect_beginnings(&mut self) {
        for (key, group) in &mut self.groups {
            for (lane, delivered) in self.lanes.iter().zip(&mut group.delivered) {
                let told = delivered.at;
                let again = group.alerts.values().filter(|alert| {
                    let is_later = told.is_some_and(|told| alert.opened > told);
                    alert.firing() && is_later && delivered.firing.contains(&alert.fingerprint)
                });
                let again: Vec<u64> = again.map(|alert| alert.fingerprint).collect();
                for fingerprint in &again {
                    delivered.hush(*fingerprint);
                }
                if !again.is_empty() {
                    self.records.told(lane.name(), key, delivered);
                }
            }
        }
    }

    /// Whatever is owed now may be a repeat; what was due already is due at once.
    fn suspect(&mut self, now: Timestamp) {
        for group in self.groups.values_mut() {
            let is_owed = |alert: &&Alert| {
                let told = self.lanes.iter().zip(&group.delivered);
                let mut told = told.filter(|(lane, _)| group.is_for(&lane.receiver));
                alert.firing() && told.any(|(_, told)| !told.firing.contains(&alert.fingerprint))
            };
            let owed = group.alerts.values().filter(is_owed);
            let first = owed.map(|alert| group.time_of(alert)).min();
            group.flush_due = first.unwrap_or(group.flush_due).max(now).min(group.flush_due);
        }
        let keys: Vec<Key> = self.groups.keys().cloned().collect();
        for nth in 0..self.lanes.len() {
            for key in &keys {
                if !self.owes(nth, key, now) {
                    continue;
                }
                let Some(lane) = self.lanes.get_mut(nth) else {
                    continue;
                };
                match lane.waiting.get_mut(key) {
                    Some(waiting) => waiting.may_repeat = true,
                    None => drop(lane.suspects.insert(Arc::clone(key))),
                }
            }
        }
    }

    /// While the other one speaks: shows what it said, and lets go of what it is done with.
    fn follow(&mut self, is_stirred: bool, is_time: bool) {
        if is_stirred {
            self.board.remembers(History::restored(self.records.history()));
            let kept = self.records.alerts();
            for group in self.groups.values_mut() {
                let mut over = Vec::new();
                for alert in group.alerts.values_mut() {
                    if kept.contains(&alert.fingerprint) {
                        alert.is_shared = true;
                    } else if alert.is_shared && alert.firing() {
                        // It has heard of an end that we have not; unless we hear more, it is over.
                        alert.is_shared = false;
                        alert.heard_at = None;
                    } else if alert.is_shared {
                        over.push(alert.fingerprint);
                    }
                }
                for fingerprint in over {
                    group.remove(fingerprint);
                    self.alerts.let_go(fingerprint);
                }
            }
        }
        if is_stirred || is_time {
            self.settle_all();
        }
    }
}

/// Somebody else may have the word at other times: only who has it for good is alone.
fn is_paired(leadership: &Leadership) -> bool {
    !leadership.speaks || leadership.until.is_some()
}

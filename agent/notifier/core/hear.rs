//! Takes in what rules say.
//!
//! An alert resolves only by an event that says so. One that is not heard of for longer than promised
//! keeps firing and is marked unknown: silence is not recovery.

use std::sync::Arc;

use model::{AlertEvent, AlertState, Timestamp};
use tracing::{info, warn};

use super::{ALERTS_MAX, Core, GROUPS_MAX};
use crate::alert::Alert;
use crate::group::{Group, Key};
use crate::route::Route;

impl Core {
    pub(crate) fn hear(&mut self, event: AlertEvent, now: Timestamp) {
        self.hear_from(event, false, now);
    }

    pub(super) fn hear_from(&mut self, event: AlertEvent, is_posted: bool, now: Timestamp) {
        let outcome = self.take_in(event, is_posted, now);
        self.metrics.events.with_label_values(&[outcome]).inc();
    }

    /// Returns what became of it, one of `metrics::OUTCOMES`.
    fn take_in(&mut self, event: AlertEvent, is_posted: bool, now: Timestamp) -> &'static str {
        if event.state == AlertState::Pending {
            return "pending";
        }
        if !event.known {
            // Nobody has seen it: such a word neither fires nor resolves, nor is it a sign of life.
            return "unconfirmed";
        }
        let routes = self.plan.tree.routes_of(&event.labels);
        let routes: Vec<Arc<Route>> = routes.into_iter().cloned().collect();
        let mut outcome = None;
        for route in routes {
            let told = self.take_in_at(&route, event.clone(), is_posted, now);
            outcome.get_or_insert(told);
        }
        outcome.unwrap_or("unknown")
    }

    /// The same for one of the routes that it takes.
    fn take_in_at(
        &mut self,
        route: &Arc<Route>,
        mut event: AlertEvent,
        is_posted: bool,
        now: Timestamp,
    ) -> &'static str {
        let (key, labels) = route.group_of(&event.labels);
        let group = self.groups.get(&key);
        let known = group.and_then(|group| group.alerts.get(&event.fingerprint));
        let Some(known) = known else {
            // A resolve of what we do not hold: told already, or never fired here.
            if event.state == AlertState::Resolved {
                let over = self.over.get(&event.fingerprint);
                if over.is_none_or(|over| over.at < event.starts_at) {
                    self.remember(event.fingerprint, event.ends_at, false);
                }
                return "unknown";
            }
            let has_room = self.groups.contains_key(&key) || self.make_room(now);
            if !has_room || self.alerts.count() >= ALERTS_MAX {
                return "full";
            }
            let receivers = self.lanes.len();
            self.groups
                .entry(Arc::clone(&key))
                .or_insert_with(|| Group::new(labels, receivers, now, route));
            self.alerts.hold(event.fingerprint);
            let alert = Alert {
                is_posted,
                ..Alert::new(event, now)
            };
            self.change(&key, alert, now);
            return "new";
        };
        // Both: one alone can come from a clock set back, or from a rule that was made to wait longer.
        let is_past = event.starts_at < known.starts_at && event.ends_at < known.starts_at;
        // Whoever posts means what is now, whatever the time they write.
        if is_past && is_posted {
            event.ends_at = known.starts_at;
        }
        if event.epoch < known.epoch || is_past && !is_posted {
            // From a leader of the past, or about an earlier time that this alert fired.
            return "stale";
        }
        let was_firing = known.firing();
        let alert = Alert {
            opened: if was_firing { known.opened } else { now },
            starts_at: if was_firing {
                known.starts_at
            } else {
                event.starts_at
            },
            is_shared: known.is_shared,
            is_posted,
            ..Alert::new(event, now)
        };
        if alert.firing() != was_firing {
            self.change(&key, alert, now);
            return "changed";
        }
        // Not worth a write to the disk: after a restart it is heard again within a minute.
        let fingerprint = alert.fingerprint;
        self.expects(&alert);
        if was_firing && let Some(group) = self.groups.get_mut(&key) {
            group.put(alert);
            if group.believe(fingerprint) {
                self.catch_up(&key, fingerprint, now);
            }
        }
        "same"
    }

    pub(super) fn change(&mut self, key: &Key, alert: Alert, now: Timestamp) {
        self.say(&alert);
        self.expects(&alert);
        self.records.alert(&alert);
        self.is_stirred |= self.inhibitions.concern(&alert.labels);
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        if alert.firing() {
            if group.is_over() {
                // Kept for a receiver that is behind; for the others this is a new group.
                group.begin(now);
                self.records.no_group(key);
            }
            group.hasten(alert.starts_at, now);
            let is_silenced = self.quiet.covers(&alert.labels) || self.inhibitions.mute(&alert.labels);
            let fingerprint = alert.fingerprint;
            // It fired before we spoke, and we hear of it only now: whoever spoke then may have told it.
            let is_old = self.since.is_some_and(|since| alert.starts_at < since);
            group.put(alert);
            group.silence(fingerprint, is_silenced);
            if self.speaks && is_old {
                self.suspect_group(key);
            }
            return;
        }
        group.put(alert);
        let due = group.end_due(now);
        group.resolve_due = Some(group.resolve_due.unwrap_or(due).min(due));
        self.ended.insert(Arc::clone(key));
    }

    /// When nobody is told, the log is where it is said.
    fn say(&self, alert: &Alert) {
        if !self.lanes.is_empty() {
            return;
        }
        let (name, labels) = (alert.name(), &alert.labels);
        let summary = alert.annotations.value("summary");
        match alert.resolved_at {
            None => warn!(alert = name, %labels, summary, "firing; no receiver is configured"),
            Some(ended) => {
                let after = model::text::duration::spoken(ended.since(alert.starts_at));
                info!(alert = name, %labels, summary, after, "resolved");
            }
        }
    }

    /// Makes room for one more group, at the cost of the one that resolved longest ago.
    fn make_room(&mut self, now: Timestamp) -> bool {
        if self.groups.len() < GROUPS_MAX {
            return true;
        }
        let resolved = self.groups.iter().filter(|(_, group)| group.firing() == 0);
        let ended = |group: &Group| group.alerts.values().filter_map(|alert| alert.resolved_at).max();
        let oldest = resolved.min_by_key(|(_, group)| ended(group).unwrap_or(now));
        let Some(key) = oldest.map(|(key, _)| Arc::clone(key)) else {
            return false;
        };
        warn!(group = %key, "too many groups; a resolved one is forgotten and its end not told");
        self.drop_group(&key, "evicted");
        true
    }
}

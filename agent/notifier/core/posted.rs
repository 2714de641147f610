//! Alerts that others post: they end when that is said, or when they are not said again in time.

use std::sync::Arc;

use model::{AlertEvent, Timestamp};

use super::Core;
use crate::alert::Alert;
use crate::group::Key;

impl Core {
    pub(crate) fn take_posted(&mut self, events: Vec<AlertEvent>, now: Timestamp) {
        for mut event in events {
            // What was said of the same alert before is older.
            event.epoch = self.epoch;
            self.hear_from(event, true, now);
        }
    }

    /// Remembers when this one ends.
    pub(super) fn expects(&mut self, alert: &Alert) {
        if alert.is_posted && alert.firing() {
            self.expiry = self.expiry.min(alert.heard_until);
        }
    }

    /// Whoever posted these may have said them again just before we were there.
    pub(super) fn give_grace(&mut self, alert: &mut Alert, now: Timestamp) {
        if alert.is_posted && alert.firing() {
            alert.heard_until = alert.heard_until.max(now + self.plan.resolve_timeout);
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        if now < self.expiry {
            return;
        }
        self.expiry = Timestamp::MAX;
        let mut over: Vec<(Key, Alert)> = Vec::new();
        for (key, group) in &self.groups {
            let posted = group.alerts.values();
            for alert in posted.filter(|alert| alert.is_posted && alert.firing()) {
                if alert.heard_until <= now {
                    over.push((Arc::clone(key), alert.clone()));
                } else {
                    self.expiry = self.expiry.min(alert.heard_until);
                }
            }
        }
        for (key, alert) in over {
            let ended = Alert {
                resolved_at: Some(alert.heard_until),
                ..alert
            };
            self.change(&key, ended, now);
        }
    }
}

//! Alerts that share a message, and when to speak of them.
//!
//! A group's ticks are `group_interval` apart, counted from its first flush, so that a restart does not
//! move them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Timestamp};

use crate::alert::Alert;
use crate::delivered::Delivered;
use crate::receiver::Receiver;
use crate::route::{Route, Timing};

/// `{}/{team="db"}:{alertname="X"}`, as Alertmanager prints a group of a route.
pub(crate) type Key = Arc<str>;

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) labels: Labels,
    pub(crate) route: Arc<Route>,
    /// By fingerprint; a resolved alert stays until everybody who knows of it has been told.
    pub(crate) alerts: BTreeMap<u64, Alert>,
    firing: usize,
    /// Of those that fire, the ones nobody is told about now.
    silenced: BTreeSet<u64>,
    /// Of those that fire, the ones that this process only knows from somebody else's writing, and has not heard
    /// rules speak of.
    doubted: BTreeSet<u64>,
    /// Kept in the journal; none while the group waits for its first flush.
    pub(crate) first_flush: Option<Timestamp>,
    pub(crate) flush_due: Timestamp,
    /// Its route's hours are such that nobody is told now.
    pub(crate) is_muted: bool,
    /// When resolves are due, ahead of the tick.
    pub(crate) resolve_due: Option<Timestamp>,
    /// Who is told as well, since somebody of its own did not take a message about it.
    pub(crate) fallback: Option<Arc<str>>,
    /// One per receiver, in the order of the lanes; of those that the route does not lead to it stays empty.
    pub(crate) delivered: Vec<Delivered>,
}

impl Group {
    pub(crate) fn new(labels: Labels, receivers: usize, now: Timestamp, route: &Arc<Route>) -> Self {
        Self {
            labels,
            route: Arc::clone(route),
            alerts: BTreeMap::new(),
            firing: 0,
            silenced: BTreeSet::new(),
            doubted: BTreeSet::new(),
            first_flush: None,
            flush_due: now + route.timing.group_wait,
            is_muted: route.is_muted(now),
            resolve_due: None,
            fallback: None,
            delivered: vec![Delivered::default(); receivers],
        }
    }

    pub(crate) fn firing(&self) -> usize {
        self.firing
    }

    pub(crate) fn timing(&self) -> Timing {
        self.route.timing
    }

    /// When an end, or whatever cannot wait, is told.
    pub(crate) fn end_due(&self, now: Timestamp) -> Timestamp {
        let wait = self.timing().resolve_wait;
        wait.map_or(self.flush_due, |wait| now + wait)
    }

    /// Whether a receiver is told of this group.
    pub(crate) fn is_for(&self, receiver: &Receiver) -> bool {
        receiver.team == self.route.receiver || self.fallback.as_ref() == Some(&receiver.team)
    }

    /// How many fire of which people are told.
    pub(crate) fn loud(&self) -> usize {
        self.firing - self.silenced.len()
    }

    /// Whether people are told that it fires.
    pub(crate) fn is_loud(&self, alert: &Alert) -> bool {
        alert.firing() && !self.silenced.contains(&alert.fingerprint)
    }

    /// Whether this receiver is told that it fires: one in doubt is not told of anew.
    pub(crate) fn may_tell(&self, alert: &Alert, delivered: &Delivered) -> bool {
        let fingerprint = &alert.fingerprint;
        self.is_loud(alert) && (delivered.firing.contains(fingerprint) || !self.doubted.contains(fingerprint))
    }

    pub(crate) fn doubt(&mut self, fingerprint: u64) {
        self.doubted.insert(fingerprint);
    }

    /// Rules speak of it. Returns whether it was in doubt.
    pub(crate) fn believe(&mut self, fingerprint: u64) -> bool {
        self.doubted.remove(&fingerprint)
    }

    /// Whatever nobody has spoken of in time stands as it was written.
    pub(crate) fn believe_all(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.doubted)
    }

    /// Is due as it would have been, had this alert been told in its time.
    pub(crate) fn catch_up(&mut self, fingerprint: u64, now: Timestamp) {
        let Some(alert) = self.alerts.get(&fingerprint) else {
            return;
        };
        self.flush_due = self.flush_due.min(self.time_of(alert).max(now));
    }

    /// When it was, or will be, this alert's turn to be told.
    pub(crate) fn time_of(&self, alert: &Alert) -> Timestamp {
        let timing = self.timing();
        match self.first_flush {
            None => alert.opened + timing.group_wait,
            Some(first) if alert.opened <= first => first,
            Some(first) => next_tick(first, alert.opened, timing.group_interval),
        }
    }

    /// Returns whether this is a change.
    pub(crate) fn silence(&mut self, fingerprint: u64, is_silenced: bool) -> bool {
        let fires = self.alerts.get(&fingerprint).is_some_and(Alert::firing);
        if fires && is_silenced {
            self.silenced.insert(fingerprint)
        } else {
            self.silenced.remove(&fingerprint)
        }
    }

    pub(crate) fn silenced(&self) -> &BTreeSet<u64> {
        &self.silenced
    }

    /// Adds or replaces; returns what was known before.
    pub(crate) fn put(&mut self, alert: Alert) -> Option<Alert> {
        if !alert.firing() {
            self.silenced.remove(&alert.fingerprint);
            self.doubted.remove(&alert.fingerprint);
        }
        self.firing += usize::from(alert.firing());
        let before = self.alerts.insert(alert.fingerprint, alert);
        self.firing -= usize::from(before.as_ref().is_some_and(Alert::firing));
        before
    }

    pub(crate) fn remove(&mut self, fingerprint: u64) {
        self.silenced.remove(&fingerprint);
        self.doubted.remove(&fingerprint);
        let gone = self.alerts.remove(&fingerprint);
        self.firing -= usize::from(gone.as_ref().is_some_and(Alert::firing));
    }

    /// Nothing fires, and it was time to say so.
    pub(crate) fn is_over(&self) -> bool {
        self.firing == 0 && self.resolve_due.is_none() && self.first_flush.is_some()
    }

    /// Waits for company again, as a new group does.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        self.first_flush = None;
        self.flush_due = now + self.timing().group_wait;
    }

    /// A group whose alert has fired for longer than `group_wait` (we were away) speaks at once.
    pub(crate) fn hasten(&mut self, starts_at: Timestamp, now: Timestamp) {
        if self.first_flush.is_none() && starts_at + self.timing().group_wait < now {
            self.flush_due = self.flush_due.min(now);
        }
    }

    /// When to look at it next; `open` says which receivers have nothing of this group on the way.
    pub(crate) fn due(&self, open: impl Fn(usize) -> bool) -> Timestamp {
        let mut due = self.flush_due.min(self.resolve_due.unwrap_or(Timestamp::MAX));
        if self.loud() > 0 && !self.is_muted && !self.timing().repeats_on_tick {
            for (lane, delivered) in self.delivered.iter().enumerate() {
                if let Some(at) = delivered.at.filter(|_| open(lane)) {
                    due = due.min(at + self.timing().repeat_interval);
                }
            }
        }
        due
    }

    /// Says that it was looked at. Returns whether this was the first flush.
    pub(crate) fn flushed(&mut self, now: Timestamp) -> bool {
        self.resolve_due = None;
        if self.flush_due > now {
            return false;
        }
        let is_first = self.first_flush.is_none();
        let interval = self.timing().group_interval;
        self.flush_due = next_tick(*self.first_flush.get_or_insert(now), now, interval);
        is_first
    }

    pub(crate) fn clock_went_back(&mut self, by: Duration) {
        self.flush_due = self.flush_due - by;
        self.resolve_due = self.resolve_due.map(|due| due - by);
        self.first_flush = self.first_flush.map(|first| first - by);
        for delivered in &mut self.delivered {
            delivered.at = delivered.at.map(|at| at - by);
        }
    }
}

/// The first of `first + n × interval` after `now`.
pub(crate) fn next_tick(first: Timestamp, now: Timestamp, interval: Duration) -> Timestamp {
    let interval = model::time::millis(interval).max(1);
    let passed = now.0.saturating_sub(first.0);
    if passed < 0 {
        return Timestamp(now.0.saturating_add(interval));
    }
    Timestamp(now.0.saturating_add(interval - passed % interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_keep_their_places_across_a_restart() {
        let tick = |now| next_tick(Timestamp(1_000), Timestamp(now), Duration::from_millis(300)).0;
        assert_eq!(
            [tick(1_000), tick(1_299), tick(1_300), tick(9_999)],
            [1_300, 1_300, 1_600, 10_000]
        );
        // A wall clock that was set back by a day must not silence the group for a day.
        assert_eq!(tick(10), 310);
    }
}

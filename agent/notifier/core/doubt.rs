//! What fires by somebody else's writing alone: it may have ended while we were away, and that have been told by
//! somebody who is no more. Rules will say within a minute; until then nobody is told of it anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Timestamp;

use super::{CONFIRMED, Core};
use crate::group::Key;

impl Core {
    pub(super) fn doubt(&mut self, now: Timestamp) {
        for group in self.groups.values_mut() {
            let firing = group.alerts.values().filter(|alert| alert.firing());
            let unheard = firing.filter(|alert| alert.heard_at.is_none());
            let unheard: Vec<u64> = unheard.map(|alert| alert.fingerprint).collect();
            for fingerprint in unheard {
                group.doubt(fingerprint);
                self.doubts_until = Some(now + CONFIRMED);
            }
        }
    }

    /// Whatever nobody has spoken of in time stands as it was written.
    pub(super) fn believe_in_time(&mut self, now: Timestamp) {
        // Further away than it ever was: the clock was set back.
        let is_time = |until: Timestamp| until <= now || now + CONFIRMED < until;
        if !self.doubts_until.is_some_and(is_time) {
            return;
        }
        self.doubts_until = None;
        let doubted = self.groups.iter_mut();
        let doubted: Vec<(Key, BTreeSet<u64>)> = doubted
            .map(|(key, group)| (Arc::clone(key), group.believe_all()))
            .collect();
        for (key, doubted) in doubted {
            for fingerprint in doubted {
                self.catch_up(&key, fingerprint, now);
            }
        }
    }

    /// It is told as it would have been in its time, but may be a repeat.
    pub(super) fn catch_up(&mut self, key: &Key, fingerprint: u64, now: Timestamp) {
        if let Some(group) = self.groups.get_mut(key) {
            group.catch_up(fingerprint, now);
        }
        self.suspect_group(key);
    }

    pub(super) fn suspect_group(&mut self, key: &Key) {
        for lane in &mut self.lanes {
            lane.suspects.insert(Arc::clone(key));
        }
    }
}

//! Which senders are in doubt: those that are silent, and those that were until a moment ago.
//!
//! A sender that is heard again sends the past first, and an evaluation that began before may end after: for a
//! while its series are looked at as if it were still silent (see `heard.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Presence, Silent, Timestamp};
use parking_lot::Mutex;

use crate::heard::LOOKBACK;

#[derive(Default)]
pub(crate) struct Silence {
    /// By name, with the running time at which it was last silent.
    silent: Mutex<BTreeMap<Arc<str>, (Silent, Duration)>>,
    /// Senders of which the store had something when they were last heard, and when that was.
    met: Mutex<BTreeMap<Arc<str>, Timestamp>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Doubted {
    /// As it was last silent.
    pub(crate) silent: Silent,
    /// Time since then; zero while it still is.
    pub(crate) heard_for: Duration,
}

impl Silence {
    /// By name.
    pub(crate) fn look(&self, presence: &dyn Presence, running: Duration) -> Vec<Doubted> {
        let now = presence.silent();
        let mut known = self.silent.lock();
        for silent in now {
            known.insert(Arc::clone(&silent.node), (silent, running));
        }
        known.retain(|_, (_, seen)| running.saturating_sub(*seen) < LOOKBACK);
        self.met.lock().retain(|node, _| known.contains_key(node));
        let doubted = known.values().map(|(silent, seen)| Doubted {
            silent: silent.clone(),
            heard_for: running.saturating_sub(*seen),
        });
        doubted.collect()
    }

    pub(crate) fn has_met(&self, silent: &Silent) -> bool {
        self.met.lock().get(&silent.node) == Some(&silent.since)
    }

    /// Nobody need ask again.
    pub(crate) fn meet(&self, silent: &Silent) {
        self.met.lock().insert(Arc::clone(&silent.node), silent.since);
    }
}

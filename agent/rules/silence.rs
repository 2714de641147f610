//! Which senders are in doubt: those that are silent, and those that were until a moment ago.
//!
//! A sender that is heard again sends the past first, and an evaluation that began before may end after: for a
//! while its series are looked at as if it were still silent (see `heard.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Presence, Silent};
use parking_lot::Mutex;

use crate::heard::LOOKBACK;

/// By name, with the running time at which it was last silent.
#[derive(Default)]
pub(crate) struct Silence(Mutex<BTreeMap<Arc<str>, (Silent, Duration)>>);

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
        let mut known = self.0.lock();
        for silent in now {
            known.insert(Arc::clone(&silent.node), (silent, running));
        }
        known.retain(|_, (_, seen)| running.saturating_sub(*seen) < LOOKBACK);
        let doubted = known.values().map(|(silent, seen)| Doubted {
            silent: silent.clone(),
            heard_for: running.saturating_sub(*seen),
        });
        doubted.collect()
    }
}

//! One sender: what is remembered of its series, and when it was heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use model::column::GAP;
use model::outside::{Identity, Role};
use model::{Silence, Timestamp, view};
use parking_lot::Mutex;

use super::cache::Cache;

pub(crate) struct Sender {
    pub(crate) identity: Identity,
    /// Held while one of its requests is read: they come one after the other.
    pub(crate) cache: Mutex<Cache>,
    pub(crate) state: Mutex<State>,
    pub(crate) series: AtomicUsize,
    pub(crate) samples: AtomicU64,
}

/// Running times are in milliseconds and may be before the start of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    /// None: never, as far as this process knows.
    pub(crate) heard: Option<Heard>,
    /// Since when it could have been heard.
    pub(crate) known: i64,
    pub(crate) elsewhere: Option<Heard>,
    /// The time that the journal has.
    pub(crate) written: Option<Timestamp>,
    pub(crate) silent: Option<Silence>,
    /// Where its series have been ended provisionally since it was last heard.
    pub(crate) said: Option<Timestamp>,
    /// When that was last said, in running time.
    pub(crate) said_at: i64,
    /// It has been heard by this process, and not only by the one before.
    pub(crate) here: bool,
    /// When a request last came with a sample of about that time. What waited in the socket while this process stood
    /// still tells of before.
    pub(crate) fresh: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) wall: Timestamp,
    pub(crate) running: i64,
}

impl Sender {
    pub(crate) fn new(identity: Identity, running: i64) -> Self {
        Self {
            identity,
            cache: Mutex::default(),
            state: Mutex::new(State {
                heard: None,
                known: running,
                elsewhere: None,
                written: None,
                silent: None,
                said: None,
                said_at: 0,
                here: false,
                fresh: None,
            }),
            series: AtomicUsize::new(0),
            samples: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_node(&self) -> bool {
        self.identity.role == Role::Node
    }

    pub(crate) fn hear(&self, wall: Timestamp, running: i64, newest: Option<Timestamp>) {
        let mut state = self.state.lock();
        state.heard = Some(Heard { wall, running });
        state.silent = None;
        state.said = None;
        state.here = true;
        if newest.is_some_and(|newest| newest + GAP > wall) {
            state.fresh = Some(running);
        }
    }

    /// The other replica heard it then, by its clock.
    pub(crate) fn hear_elsewhere(&self, heard: Timestamp, wall: Timestamp, running: i64) {
        let mut state = self.state.lock();
        // Said again it is no younger; that counts when the clocks of the two differ.
        if state.elsewhere.is_none_or(|known| known.wall < heard) {
            let age = model::time::millis(wall.since(heard));
            state.elsewhere = Some(Heard {
                wall: heard,
                running: running.saturating_sub(age),
            });
        }
    }

    pub(crate) fn view(&self) -> view::Sender {
        let state = self.state.lock();
        view::Sender {
            name: self.identity.name.to_string(),
            role: self.identity.role.word().to_owned(),
            heard: state.heard.map(|heard| heard.wall),
            heard_elsewhere: state.elsewhere.map(|heard| heard.wall),
            silent: state.silent.is_some(),
            series: self.series.load(Ordering::Relaxed),
            samples: self.samples.load(Ordering::Relaxed),
        }
    }
}

impl State {
    /// How long it has not been heard here.
    pub(crate) fn age(&self, running: i64) -> Duration {
        let last = self.heard.map_or(self.known, |heard| heard.running);
        age(running, last)
    }

    /// How long neither replica has heard it.
    pub(crate) fn age_everywhere(&self, running: i64) -> Duration {
        self.age(running).min(self.age_elsewhere(running))
    }

    /// How long the other replica has not heard it.
    pub(crate) fn age_elsewhere(&self, running: i64) -> Duration {
        self.elsewhere
            .map_or(Duration::MAX, |heard| age(running, heard.running))
    }

    /// When either replica last heard it.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        let walls = [self.heard, self.elsewhere].into_iter().flatten();
        walls.map(|heard| heard.wall).max()
    }
}

fn age(running: i64, then: i64) -> Duration {
    Duration::from_millis(u64::try_from(running.saturating_sub(then)).unwrap_or(0))
}

/// Identities have no order of their own; what is shown has one.
pub(crate) type Key = (&'static str, Arc<str>);

pub(crate) fn key(identity: &Identity) -> Key {
    (identity.role.word(), identity.name.clone())
}

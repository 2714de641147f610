//! What is known of the other replica: when it was heard, what it claims, and how far each has got with the other.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;

use crate::beat::{Ack, Beat, Fullness};

#[derive(Default)]
pub(crate) struct Peer {
    pub(crate) name: Option<Arc<str>>,
    /// Of its present life; 0 before the first beat.
    pub(crate) incarnation: u64,
    nth: u64,
    /// Of this life it has not told all yet.
    pub(crate) is_new: bool,
    /// It began without data, so it cannot tell what its earlier lives knew.
    pub(crate) began_empty: bool,
    pub(crate) aware: bool,
    pub(crate) heard_at: Option<Duration>,
    pub(crate) heard: Option<Timestamp>,
    /// It has said whom it hears, in this life and since it was last away.
    pub(crate) named: bool,
    pub(crate) holds: bool,
    pub(crate) speaks: bool,
    /// It hears us, and we take what it tells.
    in_step: bool,
    pub(crate) fullness: Fullness,
    pub(crate) ready: bool,
    pub(crate) got: Got,
    pub(crate) acked: Got,
    /// Since when there has been something that it has not taken.
    behind_since: Option<Duration>,
}

/// How far somebody has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) map: u64,
    pub(crate) words: u64,
}

/// How a beat stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The first of another life.
    New,
    Next,
    /// It was overtaken: its claims are of the past.
    Late,
}

impl Peer {
    pub(crate) fn heard_within(&self, now: Duration, limit: Duration) -> bool {
        self.heard_at.is_some_and(|at| now.saturating_sub(at) < limit)
    }

    /// What concerns us alone: we hear it, and it takes what it is told.
    pub(crate) fn follows(&self, now: Duration, out_of_step_after: Duration) -> bool {
        let keeps_up = self
            .behind_since
            .is_none_or(|since| now.saturating_sub(since) < out_of_step_after);
        keeps_up && self.heard_within(now, out_of_step_after)
    }

    /// The same from both sides.
    pub(crate) fn is_in_step(&self, now: Duration, out_of_step_after: Duration) -> bool {
        self.in_step && self.follows(now, out_of_step_after)
    }

    /// Takes note of a beat, except for what it claims about leading.
    pub(crate) fn hear(&mut self, beat: &Beat, now: Duration, wall: Timestamp) -> Order {
        let order = match (beat.incarnation == self.incarnation, beat.nth > self.nth) {
            (false, _) => Order::New,
            (true, true) => Order::Next,
            (true, false) => return Order::Late,
        };
        if order == Order::New {
            *self = Self {
                behind_since: Some(now),
                is_new: true,
                began_empty: !beat.ready,
                ..Self::default()
            };
        }
        self.name = Some(Arc::clone(&beat.replica));
        self.incarnation = beat.incarnation;
        self.nth = beat.nth;
        self.heard_at = Some(now);
        self.heard = Some(wall);
        self.in_step = beat.in_step;
        self.fullness = beat.fullness;
        self.ready = beat.ready;
        self.aware = beat.aware;
        order
    }

    /// Whether it has taken more since.
    pub(crate) fn acknowledge(&mut self, ack: Ack, now: Duration) -> bool {
        let acked = Got {
            map: self.acked.map.max(ack.map),
            words: self.acked.words.max(ack.words),
        };
        if acked.map > self.acked.map {
            self.behind_since = Some(now);
        }
        std::mem::replace(&mut self.acked, acked) != acked
    }

    /// How many entries it does not have.
    pub(crate) fn lacks(&mut self, unshared: usize, now: Duration) {
        if unshared == 0 {
            self.behind_since = None;
        } else {
            self.behind_since.get_or_insert(now);
        }
    }
}

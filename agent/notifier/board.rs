//! What the notifier shows of itself: the view of the page and the account of its messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::view::Telling;
use model::{Ledger, Timestamp};
use parking_lot::Mutex;

use crate::checkup::Beat;
use crate::group::Key;
use crate::history::{History, Said};
use crate::plan::Plan;

/// Written by the notifier, read by whoever holds a handle. Locked for moments.
#[derive(Default)]
pub(crate) struct Board(Mutex<State>);

#[derive(Default)]
struct State {
    receivers: Vec<String>,
    history: History,
    waiting: usize,
    failing: Vec<(String, String)>,
    ledger: Ledger,
    plan: Option<Arc<Plan>>,
    doing: Doing,
    storms: Vec<Storming>,
    /// The last ping of the heartbeat.
    beat: Option<Beat>,
}

/// How the notifier does, beside what waits and fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doing {
    /// Since when the oldest message waits.
    pub(crate) oldest: Option<Timestamp>,
    /// Whether the journal took all that is to be kept.
    pub(crate) is_durable: bool,
    /// Whether people are told by this process.
    pub(crate) speaks: bool,
}

/// A receiver for which many groups share a message.
#[derive(Clone, Debug)]
pub(crate) struct Storming {
    /// As on the page.
    pub(crate) receiver: String,
    pub(crate) began: Timestamp,
    /// Whether groups still join it.
    pub(crate) is_open: bool,
    /// That were told within it, and by no message of their own since.
    pub(crate) groups: BTreeSet<Key>,
}

impl Default for Doing {
    fn default() -> Self {
        Self {
            oldest: None,
            is_durable: true,
            speaks: false,
        }
    }
}

impl Board {
    pub(crate) fn new() -> Self {
        let ledger = Ledger {
            things: "notifications",
            ..Ledger::default()
        };
        Self(Mutex::new(State {
            ledger,
            ..State::default()
        }))
    }

    pub(crate) fn telling(&self) -> Telling {
        let state = self.0.lock();
        Telling {
            receivers: state.receivers.clone(),
            told: state.history.told(),
            waiting: state.waiting,
            failing: state.failing.clone(),
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.0.lock().ledger.clone()
    }

    pub(crate) fn has_receivers(&self, receivers: Vec<String>, plan: Plan) {
        let mut state = self.0.lock();
        state.receivers = receivers;
        state.plan = Some(Arc::new(plan));
    }

    /// What is in force.
    pub(crate) fn plan(&self) -> Option<Arc<Plan>> {
        self.0.lock().plan.clone()
    }

    pub(crate) fn remembers(&self, history: History) {
        self.0.lock().history = history;
    }

    pub(crate) fn doing(&self) -> Doing {
        self.0.lock().doing
    }

    pub(crate) fn storms(&self) -> Vec<Storming> {
        self.0.lock().storms.clone()
    }

    pub(crate) fn beat(&self) -> Option<Beat> {
        self.0.lock().beat.clone()
    }

    pub(crate) fn beats(&self, beat: Beat) {
        self.0.lock().beat = Some(beat);
    }

    pub(crate) fn stands(
        &self,
        in_flight: u64,
        waiting: usize,
        failing: Vec<(String, String)>,
        doing: Doing,
        storms: Vec<Storming>,
    ) {
        let mut state = self.0.lock();
        state.doing = doing;
        state.storms = storms;
        state.ledger.in_flight = in_flight;
        state.waiting = waiting;
        state.failing = failing;
    }

    /// A group has to be told to a receiver.
    pub(crate) fn took(&self) {
        let ledger = &mut self.0.lock().ledger;
        ledger.taken += 1;
        // What is really in flight is counted after each step; whoever looks before that sees both sides of an entry.
        ledger.in_flight += 1;
    }

    pub(crate) fn gave(&self) {
        let ledger = &mut self.0.lock().ledger;
        ledger.given += 1;
        ledger.in_flight = ledger.in_flight.saturating_sub(1);
    }

    pub(crate) fn dropped(&self, reason: &'static str) {
        let ledger = &mut self.0.lock().ledger;
        *ledger.dropped.entry(reason).or_default() += 1;
        ledger.in_flight = ledger.in_flight.saturating_sub(1);
    }

    /// Writes a row of the history; returns it as it stands.
    pub(crate) fn said(&self, row: Option<u64>, said: Said) -> Said {
        self.0.lock().history.write(row, said)
    }

    pub(crate) fn row(&self, nth: u64) -> Option<Said> {
        self.0.lock().history.row(nth).cloned()
    }
}

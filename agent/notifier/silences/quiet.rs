//! What is silenced now: silences made ready to run, read again when the journal's have changed.

use journal::Journal;
use model::{Labels, Timestamp};
use tracing::warn;

use super::{PREFIX, Silence, State, all, take_forgotten};
use crate::matching::Tests;

/// How often those that expired long ago are looked for.
const TIDY: std::time::Duration = std::time::Duration::from_secs(15 * 60);

pub(crate) struct Quiet {
    journal: Journal,
    /// Up to which of the journal's changes this is true; none before the first look.
    seen: Option<u64>,
    /// Those that have not expired, as of the last look.
    known: Vec<Ready>,
    expired: usize,
    /// When one of them begins or ends next.
    turn: Timestamp,
    looked: Timestamp,
    tidied: Timestamp,
}

struct Ready {
    id: String,
    tests: Tests,
    starts_at: Timestamp,
    ends_at: Timestamp,
    is_active: bool,
}

impl Ready {
    fn new(silence: &Silence) -> Option<Self> {
        let tests = Tests::new(&silence.matchers);
        let tests = tests.inspect_err(|error| warn!(id = silence.id, error, "a silence is passed over"));
        Some(Self {
            id: silence.id.clone(),
            tests: tests.ok()?,
            starts_at: silence.starts_at,
            ends_at: silence.ends_at,
            is_active: false,
        })
    }

    fn covers(&self, labels: &Labels) -> bool {
        self.is_active && self.tests.accept(labels)
    }
}

impl Quiet {
    pub(crate) fn new(journal: Journal) -> Self {
        Self {
            journal,
            seen: None,
            known: Vec::new(),
            expired: 0,
            turn: Timestamp::MIN,
            looked: Timestamp::MIN,
            tidied: Timestamp::MIN,
        }
    }

    /// Whether an alert with these labels is silenced, as of the last look.
    pub(crate) fn covers(&self, labels: &Labels) -> bool {
        self.known.iter().any(|silence| silence.covers(labels))
    }

    /// The silences that cover these labels, by their ids.
    pub(crate) fn covering(&self, labels: &Labels) -> Vec<String> {
        let known = self.known.iter().filter(|silence| silence.covers(labels));
        known.map(|silence| silence.id.clone()).collect()
    }

    /// When it has to be looked at again, if nobody changes anything.
    pub(crate) fn turn(&self) -> Timestamp {
        self.turn
    }

    /// How many there are in each state.
    pub(crate) fn count(&self, state: State) -> usize {
        let active = self.known.iter().filter(|silence| silence.is_active).count();
        match state {
            State::Active => active,
            State::Pending => self.known.len() - active,
            State::Expired => self.expired,
        }
    }

    /// Looks at what is silenced now; whether that may have changed. Who `tidies` removes what expired long ago.
    pub(crate) fn look(&mut self, now: Timestamp, tidies: bool) -> bool {
        if tidies && (now.since(self.tidied) >= TIDY || now < self.tidied) {
            self.tidy(now);
        }
        let is_old = self.is_stirred() || now >= self.turn || now < self.looked;
        if is_old {
            self.read(now);
        }
        self.looked = now;
        is_old
    }

    fn is_stirred(&mut self) -> bool {
        let Some(seen) = self.seen else {
            self.seen = Some(self.journal.seq());
            return true;
        };
        let is_ours = |key: &str| key.starts_with(PREFIX);
        let (changed, upto) = self.journal.changed_since(seen, 0, usize::MAX, is_ours);
        self.seen = Some(upto);
        !changed.is_empty()
    }

    fn tidy(&mut self, now: Timestamp) {
        self.tidied = now;
        let changes = take_forgotten(&mut all(&self.journal), now);
        if changes.is_empty() {
            return;
        }
        match self.journal.change(changes) {
            // Not every removal is a change that others are told of.
            Ok(()) => self.seen = None,
            Err(error) => warn!(%error, "silences that expired long ago cannot be removed now"),
        }
    }

    fn read(&mut self, now: Timestamp) {
        let mut silences = all(&self.journal);
        let total = silences.len();
        silences.retain(|silence| silence.state(now) != State::Expired);
        self.expired = total - silences.len();
        self.known = silences.iter().filter_map(Ready::new).collect();
        self.turn = Timestamp::MAX;
        for silence in &mut self.known {
            silence.is_active = silence.starts_at <= now;
            let turn = if silence.is_active {
                silence.ends_at
            } else {
                silence.starts_at
            };
            self.turn = self.turn.min(turn);
        }
    }
}

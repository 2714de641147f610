//! What is silenced now: silences made ready to run, read again when the journal's have changed.

use journal::Journal;
use model::{Labels, MatchOp, Matcher, Timestamp};
use regex::{Regex, RegexBuilder};
use tracing::warn;

use super::{PREFIX, Silence, State, all, take_forgotten};

/// Most memory a compiled expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;
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
    tests: Vec<(Box<str>, Test)>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    is_active: bool,
}

/// One matcher, ready to run.
pub(super) enum Test {
    Equal(Box<str>),
    NotEqual(Box<str>),
    Matches(Regex),
    NotMatches(Regex),
}

impl Test {
    /// What is wrong with it is said as Alertmanager does.
    pub(super) fn new(matcher: &Matcher) -> Result<Self, String> {
        let compile = || {
            let anchored = format!("^(?:{})$", matcher.value);
            let regex = RegexBuilder::new(&anchored).size_limit(REGEX_BYTES_MAX).build();
            regex.map_err(|error| {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().to_owned();
                format!("invalid regular expression {:?}: {why}", matcher.value)
            })
        };
        Ok(match matcher.op {
            MatchOp::Equal => Self::Equal(matcher.value.clone()),
            MatchOp::NotEqual => Self::NotEqual(matcher.value.clone()),
            MatchOp::Matches => Self::Matches(compile()?),
            MatchOp::NotMatches => Self::NotMatches(compile()?),
        })
    }

    pub(super) fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => **wanted == *value,
            Self::NotEqual(wanted) => **wanted != *value,
            Self::Matches(regex) => regex.is_match(value),
            Self::NotMatches(regex) => !regex.is_match(value),
        }
    }
}

impl Ready {
    fn new(silence: &Silence) -> Option<Self> {
        let tests = silence
            .matchers
            .iter()
            .map(|matcher| Ok((matcher.name.clone(), Test::new(matcher)?)));
        let tests: Result<Vec<_>, String> = tests.collect();
        let tests = tests.inspect_err(|error| warn!(id = silence.id, error, "a silence is passed over"));
        Some(Self {
            tests: tests.ok()?,
            starts_at: silence.starts_at,
            ends_at: silence.ends_at,
            is_active: false,
        })
    }

    fn covers(&self, labels: &Labels) -> bool {
        self.is_active
            && self
                .tests
                .iter()
                .all(|(name, test)| test.accepts(labels.value(name)))
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

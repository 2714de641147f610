//! Silences: which alerts nobody wants to hear of for a while, as Alertmanager's API keeps and shows them.
//!
//! They lie in the journal below `silences/`, which both replicas share; whichever of them is asked writes there.

mod planned;
mod posted;
mod quiet;
mod shown;

use std::sync::Arc;

use journal::{Change, Journal, JournalError};
use model::{Clock, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::matchers;
pub use planned::{covering, read};
pub(crate) use quiet::Quiet;

/// Kept at once, expired ones among them.
const SILENCES_MAX: usize = 10_000;
/// How long an expired one can still be looked up.
const RETENTION: std::time::Duration = std::time::Duration::from_secs(120 * 3600);
pub(crate) const PREFIX: &str = "silences/";

/// Status of an answer that is not 200, and a sentence.
pub(crate) type Refusal = (u16, String);

/// As it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Silence {
    pub(crate) id: String,
    pub(crate) matchers: Vec<model::Matcher>,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) created_by: String,
    pub(crate) comment: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Active,
    Pending,
    Expired,
}

impl State {
    pub(crate) const ALL: [Self; 3] = [Self::Active, Self::Pending, Self::Expired];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    pub(crate) fn state(&self, now: Timestamp) -> State {
        if now < self.starts_at {
            State::Pending
        } else if now < self.ends_at {
            State::Active
        } else {
            State::Expired
        }
    }

    fn is_forgotten(&self, now: Timestamp) -> bool {
        self.ends_at + RETENTION < now
    }

    /// The same one, over now.
    fn ended(&self, now: Timestamp) -> Self {
        Self {
            starts_at: self.starts_at.min(now),
            ends_at: now,
            updated_at: now,
            ..self.clone()
        }
    }

    /// Whether the new version may take this one's place; otherwise this one ends and the new one gets a name of
    /// its own, so that what an expired one has silenced stays true.
    fn becomes(&self, new: &Self, now: Timestamp) -> bool {
        self.matchers == new.matchers
            && match self.state(now) {
                State::Active => new.starts_at == self.starts_at && new.ends_at >= now,
                State::Pending => new.starts_at >= now,
                State::Expired => false,
            }
    }
}

pub(crate) struct Silences {
    journal: Journal,
    clock: Arc<dyn Clock>,
    /// One change at a time: each looks at what is there before it writes.
    changing: Mutex<()>,
    /// Wakes the notifier.
    pub(crate) changed: Notify,
}

impl Silences {
    pub(crate) fn new(journal: Journal, clock: Arc<dyn Clock>) -> Self {
        Self {
            journal,
            clock,
            changing: Mutex::new(()),
            changed: Notify::new(),
        }
    }

    /// Alertmanager's list, of those that have each of these matchers.
    pub(crate) fn list(&self, filter: &[String]) -> Result<String, Refusal> {
        let filter: Result<Vec<_>, String> = filter.iter().map(|text| matchers::one(text)).collect();
        let filter = filter.map_err(|why| sentence(400, &why))?;
        let now = self.clock.now();
        let mut silences: Vec<Silence> = all(&self.journal);
        silences.retain(|silence| {
            let has = |wanted| silence.matchers.contains(wanted);
            !silence.is_forgotten(now) && filter.iter().all(has)
        });
        Ok(shown::list(silences, now))
    }

    pub(crate) fn get(&self, id: &str) -> Result<String, Refusal> {
        Ok(shown::one(&self.find(id)?, self.clock.now()))
    }

    /// Creates one, or changes the one that the body names. Returns the id.
    pub(crate) fn put(&self, body: &[u8]) -> Result<String, Refusal> {
        let now = self.clock.now();
        let mut new = posted::read(body, now)?;
        let _one = self.changing.lock();
        let mut changes = Vec::new();
        let before = match new.id.as_str() {
            "" => None,
            id => {
                let found = self.journal.get::<Silence>(&key(id));
                Some(found.ok_or_else(unknown)?)
            }
        };
        let goes_on = before.as_ref().is_some_and(|before| before.becomes(&new, now));
        if !goes_on {
            let over = before.filter(|before| before.state(now) != State::Expired);
            changes.extend(over.map(|before| Change::put(key(&before.id), &before.ended(now))));
            new.id = fresh_id();
            new.starts_at = new.starts_at.max(now);
            changes.extend(self.room(now)?);
        }
        changes.push(Change::put(key(&new.id), &new));
        self.write(changes)?;
        Ok(new.id)
    }

    /// Ends one now; one that has ended stays as it is.
    pub(crate) fn delete(&self, id: &str) -> Result<(), Refusal> {
        let _one = self.changing.lock();
        let (silence, now) = (self.find(id)?, self.clock.now());
        if silence.state(now) == State::Expired {
            return Ok(());
        }
        self.write(vec![Change::put(key(id), &silence.ended(now))])
    }

    fn find(&self, id: &str) -> Result<Silence, Refusal> {
        if !is_id(id) {
            let why = format!("silenceID in path must be of type uuid: {id:?}");
            return Err((422, why));
        }
        let found = self.journal.get(&key(id));
        found.ok_or_else(unknown)
    }

    /// What has to go so that there is room for one more: what is forgotten, else the one that expired first.
    fn room(&self, now: Timestamp) -> Result<Vec<Change>, Refusal> {
        let mut kept: Vec<Silence> = all(&self.journal);
        let mut gone = take_forgotten(&mut kept, now);
        if kept.len() >= SILENCES_MAX {
            let over = kept.iter().filter(|silence| silence.state(now) == State::Expired);
            let oldest = over.min_by_key(|silence| silence.ends_at).ok_or_else(|| {
                let count = kept.len() + 1;
                let why = format!("exceeded maximum number of silences: {count} (limit: {SILENCES_MAX})");
                sentence(400, &why)
            })?;
            gone.push(Change::remove(key(&oldest.id)));
        }
        Ok(gone)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), Refusal> {
        let written = self.journal.change(changes);
        written.map_err(|error: JournalError| sentence(500, &error.to_string()))?;
        self.changed.notify_one();
        Ok(())
    }
}

fn all(journal: &Journal) -> Vec<Silence> {
    let entries = journal.entries(PREFIX);
    entries.into_iter().map(|(_, silence)| silence).collect()
}

/// Takes out those that expired long ago; returns how to remove them.
fn take_forgotten(silences: &mut Vec<Silence>, now: Timestamp) -> Vec<Change> {
    let gone = silences.extract_if(.., |silence| silence.is_forgotten(now));
    gone.map(|silence| Change::remove(key(&silence.id))).collect()
}

fn key(id: &str) -> String {
    format!("{PREFIX}{id}")
}

fn sentence(status: u16, why: &str) -> Refusal {
    (status, why.to_owned())
}

fn unknown() -> Refusal {
    sentence(404, "silence not found")
}

/// A random UUID, version 4.
fn fresh_id() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

fn is_id(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

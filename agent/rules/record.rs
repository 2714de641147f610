//! The alert table in the journal: a record for each alert, under a key that names its rule.

use std::sync::Arc;

use journal::{Change, Entry, Journal};
use model::Labels;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::alert::{Alert, State};

const PREFIX: &str = "rules/alert/";
/// The other replica's table, as the pair hands it over.
const PEER_PREFIX: &str = "peer/rules/alert/";

/// What makes a rule the same over reloads and restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) file: Arc<str>,
    pub(crate) group: Arc<str>,
    pub(crate) rule: Arc<str>,
    /// As written in the file.
    pub(crate) labels: Labels,
    /// Among rules of the group that are alike in all of the above.
    pub(crate) nth: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) rule: Identity,
    /// Link to the expression, for when the rule is gone.
    pub(crate) generator_url: String,
    pub(crate) alert: Alert,
}

impl Identity {
    /// Whether it is the same rule, perhaps moved to another group or file.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.rule == other.rule && self.labels == other.labels
    }

    fn hash(&self) -> u64 {
        let Self {
            file,
            group,
            rule,
            labels,
            nth,
        } = self;
        xxh3_64(format!("{file}\u{ff}{group}\u{ff}{rule}\u{ff}{labels}\u{ff}{nth}").as_bytes())
    }

    /// Name of the rule's target in the store.
    pub(crate) fn target(&self) -> String {
        format!(
            "rules/{};{}/{}/{:016x}",
            self.file,
            self.group,
            self.rule,
            self.hash()
        )
    }

    pub(crate) fn key(&self, alert: &Labels) -> String {
        format!("{PREFIX}{:016x}/{:016x}", self.hash(), alert.fingerprint())
    }
}

impl Record {
    pub(crate) fn put(&self) -> Change {
        Change::put(self.rule.key(&self.alert.labels), self)
    }

    pub(crate) fn remove(&self) -> Change {
        Change::remove(self.rule.key(&self.alert.labels))
    }

    /// The same alert of the same rule.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.rule == other.rule && self.alert.labels == other.alert.labels
    }
}

pub(crate) fn all(journal: &Journal) -> Vec<Record> {
    read(journal, PREFIX)
}

/// Whether this entry of the journal is an alert of the table, and it fires.
#[must_use]
pub fn fires(entry: &Entry) -> bool {
    let is_ours = entry.key().starts_with(PREFIX) && !entry.is_removal();
    is_ours
        && entry
            .read::<Record>()
            .is_some_and(|record| record.alert.state == State::Firing)
}

/// What the other replica says.
pub(crate) fn of_peer(journal: &Journal) -> Vec<Record> {
    read(journal, PEER_PREFIX)
}

fn read(journal: &Journal, prefix: &str) -> Vec<Record> {
    let entries = journal.entries::<Record>(prefix);
    entries.into_iter().map(|(_, record)| record).collect()
}

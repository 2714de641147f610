//! What is kept in the journal, under which keys, and written when.
//!
//! Changes of one step are gathered and made durable together, before anything is sent because of them.
//! A disk that does not take them silences nobody: they are kept, tried again with the next step, and said.
//! The journal is shared by a pair, and the newest write to a key stands: so only who speaks writes at all.

use std::collections::{BTreeMap, BTreeSet};

use journal::{Change, Journal};
use model::{Labels, Timestamp};
use prometheus::IntCounter;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tracing::{error, info};

use crate::alert::Alert;
use crate::delivered::Delivered;
use crate::history::{self, Said};
use crate::storm::Storm;

/// When a group first spoke: its ticks are counted from there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    pub(crate) group: String,
    pub(crate) first_flush: Timestamp,
}

/// What a receiver knows of a group.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ToldRecord {
    pub(crate) receiver: String,
    pub(crate) group: String,
    pub(crate) delivered: Delivered,
}

/// A group that a receiver has to be told of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QueueRecord {
    pub(crate) receiver: String,
    pub(crate) group: String,
    /// Since when.
    pub(crate) marked: Timestamp,
    pub(crate) may_repeat: bool,
    /// The message on its way. Found after a restart, nobody knows whether it arrived.
    pub(crate) intent: Option<Intent>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) at: Timestamp,
    /// Of the leader that sends it.
    pub(crate) epoch: u64,
    /// Fingerprints of the alerts told as firing.
    pub(crate) firing: Vec<u64>,
    /// And of those whose end it tells.
    #[serde(default)]
    pub(crate) resolved: Vec<u64>,
    /// Within a storm.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) in_storm: bool,
}

/// The storm of a receiver.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StormRecord {
    pub(crate) receiver: String,
    pub(crate) storm: Storm,
}

/// A message that its receiver refused for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Dead {
    pub(crate) receiver: String,
    pub(crate) group: String,
    pub(crate) labels: Labels,
    pub(crate) time: Timestamp,
    /// What would have been told.
    pub(crate) message: String,
    /// What the receiver said.
    pub(crate) answer: String,
    /// Hash of what was firing and what was resolved: the same is not tried again soon.
    pub(crate) content: u64,
}

const ALL: &str = "notifier/";
const ALERT: &str = "notifier/alert/";
const GROUP: &str = "notifier/group/";
const TOLD: &str = "notifier/told/";
const QUEUE: &str = "notifier/queue/";
const DEAD: &str = "notifier/dead/";
const SAID: &str = "notifier/said/";
const STORM: &str = "notifier/storm/";

/// Whether this key of the journal is what people have been told of open groups, and whom a silence keeps from it.
#[must_use]
pub fn is_told(key: &str) -> bool {
    let prefixes = [GROUP, TOLD, STORM, crate::silences::PREFIX];
    prefixes.iter().any(|prefix| key.starts_with(prefix))
}

/// Whether it is an alert that somebody has been or will be told of.
#[must_use]
pub fn is_open(key: &str) -> bool {
    key.starts_with(ALERT)
}

pub(crate) struct Records {
    journal: Journal,
    pending: BTreeMap<String, Change>,
    /// Whether anything is written. Who follows would overwrite what the speaker knows by what it has long known.
    is_open: bool,
    /// Up to which of the journal's changes we have looked; none while nobody else writes to it.
    seen: Option<u64>,
    /// Whether somebody else has written since we last looked.
    is_stirred: bool,
    /// Whether the last write failed: said once, not at every step.
    failing: bool,
    failures: IntCounter,
}

/// All that an earlier life left.
pub(crate) struct Left {
    pub(crate) alerts: Vec<Alert>,
    pub(crate) groups: Vec<GroupRecord>,
    pub(crate) told: Vec<ToldRecord>,
    pub(crate) queue: Vec<QueueRecord>,
    pub(crate) dead: Vec<Dead>,
    pub(crate) said: Vec<Said>,
    pub(crate) storms: Vec<StormRecord>,
}

impl Records {
    pub(crate) fn new(journal: Journal, failures: IntCounter) -> Self {
        Self {
            journal,
            pending: BTreeMap::new(),
            is_open: false,
            seen: None,
            is_stirred: false,
            failing: false,
            failures,
        }
    }

    /// Whether the disk took what was written last.
    pub(crate) fn are_durable(&self) -> bool {
        !self.failing
    }

    /// From now on changes are written.
    pub(crate) fn open(&mut self) {
        self.is_open = true;
    }

    /// From now on nothing is written, nor what the disk has not taken so far: false if there is such a thing.
    pub(crate) fn close(&mut self) -> bool {
        self.commit();
        let is_kept = self.pending.is_empty();
        self.pending.clear();
        self.is_open = false;
        is_kept
    }

    /// Says whether another replica writes to the same map.
    pub(crate) fn share(&mut self, is_shared: bool) {
        if is_shared != self.seen.is_some() {
            self.seen = is_shared.then(|| self.journal.seq());
            self.is_stirred = is_shared;
        }
    }

    /// Whether somebody else has written to our keys since this was last asked.
    pub(crate) fn were_stirred(&mut self) -> bool {
        self.look();
        std::mem::take(&mut self.is_stirred)
    }

    /// What is pending has just been written by us, or is about to be, and is no news.
    fn look(&mut self) {
        if let Some(seen) = &mut self.seen {
            let is_news = |key: &str| key.starts_with(ALL) && !self.pending.contains_key(key);
            let (news, upto) = self.journal.changed_since(*seen, 0, usize::MAX, is_news);
            *seen = upto;
            self.is_stirred |= !news.is_empty();
        }
    }

    /// Fingerprints of the alerts that the journal holds.
    pub(crate) fn alerts(&self) -> BTreeSet<u64> {
        let entries = self.journal.entries::<IgnoredAny>(ALERT);
        let names = entries.iter().filter_map(|(key, _)| key.strip_prefix(ALERT));
        names
            .filter_map(|name| u64::from_str_radix(name, 16).ok())
            .collect()
    }

    /// What was said, as the journal has it now.
    pub(crate) fn history(&self) -> Vec<Said> {
        self.all(SAID)
    }

    pub(crate) fn left(&self) -> Left {
        let mut alerts: Vec<Alert> = self.all(ALERT);
        alerts.iter_mut().for_each(|alert| alert.is_shared = true);
        Left {
            alerts,
            groups: self.all(GROUP),
            told: self.all(TOLD),
            queue: self.all(QUEUE),
            dead: self.all(DEAD),
            said: self.history(),
            storms: self.all(STORM),
        }
    }

    fn all<T: serde::de::DeserializeOwned>(&self, prefix: &str) -> Vec<T> {
        let entries = self.journal.entries(prefix);
        entries.into_iter().map(|(_, value)| value).collect()
    }

    pub(crate) fn alert(&mut self, alert: &Alert) {
        self.put(alert_key(alert.fingerprint), alert);
    }

    pub(crate) fn no_alert(&mut self, fingerprint: u64) {
        self.remove(alert_key(fingerprint));
    }

    pub(crate) fn group(&mut self, group: &str, first_flush: Timestamp) {
        let record = GroupRecord {
            group: group.to_owned(),
            first_flush,
        };
        self.put(format!("{GROUP}{group}"), &record);
    }

    pub(crate) fn no_group(&mut self, group: &str) {
        self.remove(format!("{GROUP}{group}"));
    }

    pub(crate) fn told(&mut self, receiver: &str, group: &str, delivered: &Delivered) {
        let record = ToldRecord {
            receiver: receiver.to_owned(),
            group: group.to_owned(),
            delivered: delivered.clone(),
        };
        self.put(format!("{TOLD}{receiver}/{group}"), &record);
    }

    pub(crate) fn not_told(&mut self, receiver: &str, group: &str) {
        self.remove(format!("{TOLD}{receiver}/{group}"));
    }

    pub(crate) fn queue(&mut self, record: &QueueRecord) {
        self.put(format!("{QUEUE}{}/{}", record.receiver, record.group), record);
    }

    pub(crate) fn not_queued(&mut self, receiver: &str, group: &str) {
        self.remove(format!("{QUEUE}{receiver}/{group}"));
    }

    pub(crate) fn dead(&mut self, dead: &Dead) {
        self.put(format!("{DEAD}{}/{}", dead.receiver, dead.group), dead);
    }

    pub(crate) fn not_dead(&mut self, receiver: &str, group: &str) {
        self.remove(format!("{DEAD}{receiver}/{group}"));
    }

    pub(crate) fn said(&mut self, said: &Said) {
        let place = said.nth % history::ROWS as u64;
        self.put(format!("{SAID}{place:03}"), said);
    }

    pub(crate) fn storm(&mut self, receiver: &str, storm: &Storm) {
        let record = StormRecord {
            receiver: receiver.to_owned(),
            storm: storm.clone(),
        };
        self.put(format!("{STORM}{receiver}"), &record);
    }

    pub(crate) fn no_storm(&mut self, receiver: &str) {
        self.remove(format!("{STORM}{receiver}"));
    }

    fn put(&mut self, key: String, value: &impl Serialize) {
        if !self.is_open {
            return;
        }
        self.pending.insert(key.clone(), Change::put(key, value));
    }

    fn remove(&mut self, key: String) {
        if !self.is_open {
            return;
        }
        // While the disk takes nothing, what it never had needs no removal: what is pending stays bounded.
        if self.failing && self.journal.get::<IgnoredAny>(&key).is_none() {
            self.pending.remove(&key);
            return;
        }
        self.pending.insert(key.clone(), Change::remove(key));
    }

    /// Makes durable what was gathered.
    pub(crate) fn commit(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        match self.journal.change(self.pending.values().cloned().collect()) {
            Ok(()) => {
                self.look();
                self.pending.clear();
                if std::mem::take(&mut self.failing) {
                    info!("the notifier's journal takes changes again");
                }
            }
            Err(error) => {
                self.failures.inc();
                if !std::mem::replace(&mut self.failing, true) {
                    error!(%error, source = ?std::error::Error::source(&error),
                        "what was told cannot be kept; after a restart it may be told again");
                }
            }
        }
    }
}

fn alert_key(fingerprint: u64) -> String {
    format!("{ALERT}{fingerprint:016x}")
}

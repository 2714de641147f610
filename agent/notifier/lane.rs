//! One receiver's queue: groups to tell, each once however often it changed, one message on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::labels::Fnv;
use model::{Labels, Timestamp};
use net::Backoff;

use crate::bucket::Bucket;
use crate::delivered::Delivered;
use crate::group::{Group, Key};
use crate::receiver::Receiver;
use crate::records::{Dead, Intent, QueueRecord};

const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(120);

pub(crate) struct Lane {
    pub(crate) receiver: Arc<Receiver>,
    /// What it says is decided when its turn comes, so a newer state replaces an older one by itself.
    pub(crate) waiting: BTreeMap<Key, Waiting>,
    pub(crate) sending: Option<Sending>,
    pub(crate) dead: BTreeMap<Key, Dead>,
    /// The other replica is being told what became of the last message; until it knows, there is no next one.
    pub(crate) is_sharing: bool,
    /// Groups that whoever spoke before us may have told of what is owed now.
    pub(crate) suspects: BTreeSet<Key>,
    /// What was wrong with the last attempt.
    pub(crate) failing: Option<String>,
    bucket: Bucket,
    backoff: Backoff,
    not_before: Timestamp,
    next_turn: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// Since when it is due.
    pub(crate) marked: Timestamp,
    /// After a failure it goes to the end of the queue, so that one bad message cannot block the others.
    turn: u64,
    pub(crate) may_repeat: bool,
    /// Row of the history.
    pub(crate) row: Option<u64>,
}

/// The message on its way.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) key: Key,
    pub(crate) waiting: Waiting,
    pub(crate) summary: String,
    pub(crate) labels: Labels,
    pub(crate) firing: BTreeSet<u64>,
    pub(crate) resolved: BTreeSet<u64>,
    /// Of the firing ones those that the receiver had not been told about.
    pub(crate) added: BTreeSet<u64>,
    /// What else might have arrived, before this attempt.
    pub(crate) maybe_before: BTreeSet<u64>,
    pub(crate) content: u64,
    /// A flush found more to tell meanwhile.
    pub(crate) again: bool,
    /// Of the leader that sent it.
    pub(crate) epoch: u64,
    /// We have since lost and taken back the word: what it said is counted as perhaps told already.
    pub(crate) is_outlived: bool,
}

impl Lane {
    pub(crate) fn new(receiver: Arc<Receiver>) -> Self {
        Self {
            bucket: receiver.bucket(),
            receiver,
            waiting: BTreeMap::new(),
            sending: None,
            dead: BTreeMap::new(),
            is_sharing: false,
            suspects: BTreeSet::new(),
            failing: None,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST),
            not_before: Timestamp::MIN,
            next_turn: 0,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.receiver.name
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.waiting.len() + usize::from(self.sending.is_some())
    }

    pub(crate) fn is_sending(&self, key: &str) -> bool {
        self.sending.as_ref().is_some_and(|sending| &*sending.key == key)
    }

    /// Nothing of this group waits, is on its way or was refused.
    pub(crate) fn is_open(&self, key: &str) -> bool {
        !self.waiting.contains_key(key) && !self.is_sending(key) && !self.dead.contains_key(key)
    }

    /// Puts a group at the end of the queue.
    pub(crate) fn enqueue(&mut self, key: Key, marked: Timestamp, may_repeat: bool, row: Option<u64>) {
        let turn = self.next_turn;
        self.next_turn += 1;
        let waiting = Waiting {
            marked,
            turn,
            may_repeat,
            row,
        };
        self.waiting.insert(key, waiting);
    }

    /// A message is on its way, or what became of the last one.
    pub(crate) fn is_busy(&self) -> bool {
        self.sending.is_some() || self.is_sharing
    }

    /// When something can be sent; none while nothing waits or the lane is busy.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let idle = !self.is_busy() && !self.waiting.is_empty();
        idle.then(|| self.not_before.max(self.bucket.ready_at()))
    }

    /// Whose turn it is.
    pub(crate) fn first(&self) -> Option<Key> {
        let (key, _) = self.waiting.iter().min_by_key(|(_, waiting)| waiting.turn)?;
        Some(Arc::clone(key))
    }

    pub(crate) fn start(&mut self, sending: Sending, now: Timestamp) {
        self.bucket.take(now);
        self.sending = Some(sending);
    }

    /// A message that is not in the queue takes its share of the rate as well.
    pub(crate) fn spend(&mut self, now: Timestamp) {
        self.bucket.take(now);
    }

    pub(crate) fn succeeded(&mut self) {
        self.backoff.reset();
        self.not_before = Timestamp::MIN;
    }

    /// Returns how long it rests.
    pub(crate) fn failed(&mut self, after: Option<Duration>, now: Timestamp) -> Duration {
        // Who says "at once" means soon.
        let rest = match after {
            Some(after) => after.max(RETRY_FIRST),
            None => self.backoff.next(),
        };
        self.not_before = now + rest;
        rest
    }

    /// Another address, another chance.
    pub(crate) fn replace(&mut self, receiver: Arc<Receiver>) {
        if *self.receiver != *receiver {
            self.succeeded();
            self.failing = None;
            self.dead.clear();
        }
        self.receiver = receiver;
    }

    /// What was refused is not tried again as it is, until the repeat interval has passed.
    pub(crate) fn refused(&self, key: &str, content: u64, repeat_interval: Duration, now: Timestamp) -> bool {
        let dead = self.dead.get(key);
        dead.is_some_and(|dead| dead.content == content && now < dead.time + repeat_interval)
    }

    pub(crate) fn record(&self, key: &str, waiting: &Waiting, intent: Option<Intent>) -> QueueRecord {
        QueueRecord {
            receiver: self.name().to_owned(),
            group: key.to_owned(),
            marked: waiting.marked,
            may_repeat: waiting.may_repeat,
            intent,
        }
    }

    pub(crate) fn clock_went_back(&mut self, by: Duration) {
        self.bucket.clock_went_back(by);
        self.not_before = self.not_before - by;
        for waiting in self.waiting.values_mut() {
            waiting.marked = waiting.marked - by;
        }
    }
}

/// Hash of what a message about this group would say now.
pub(crate) fn content(group: &Group, delivered: &Delivered) -> u64 {
    let mut hash = Fnv::default();
    for alert in group.alerts.values() {
        if group.may_tell(alert, delivered) || !alert.firing() && delivered.knows(alert.fingerprint) {
            hash.bytes(&alert.fingerprint.to_le_bytes());
            hash.bytes(&[u8::from(alert.firing())]);
        }
    }
    hash.0
}

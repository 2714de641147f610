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
use crate::storm::{CALM, Recent, Storm, Way};

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
    pub(crate) storm: Option<Storm>,
    /// When groups became due that would each be another message in the channel.
    pub(crate) newcomers: Recent,
    /// When groups went ahead of a storm.
    pub(crate) ahead: Recent,
    /// A storm's message was refused: until then each group is told by itself.
    no_storm_until: Timestamp,
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
    pub(crate) turn: u64,
    pub(crate) may_repeat: bool,
    /// Row of the history.
    pub(crate) row: Option<u64>,
    /// By itself it would be another message in the channel.
    pub(crate) is_newcomer: bool,
    /// How it is told; none as long as nobody has looked, and outside of storms.
    pub(crate) way: Option<Way>,
}

impl Waiting {
    pub(crate) fn since(marked: Timestamp) -> Self {
        Self {
            marked,
            turn: 0,
            may_repeat: false,
            row: None,
            is_newcomer: false,
            way: None,
        }
    }

    /// What is decided of it is to be decided anew, unless it goes ahead already.
    pub(crate) fn look_again(&mut self) {
        if self.way != Some(Way::Ahead) {
            self.way = None;
        }
    }
}

/// Whose turn it is.
#[derive(Debug, PartialEq)]
pub(crate) enum Turn {
    Group(Key),
    /// All groups that are told within it.
    Storm,
}

/// The message on its way.
#[derive(Debug)]
pub(crate) struct Sending {
    /// One group, or those that a storm's message tells something of.
    pub(crate) parts: BTreeMap<Key, Part>,
    pub(crate) is_storm: bool,
    pub(crate) summary: String,
    pub(crate) labels: Labels,
    /// Row of the history.
    pub(crate) row: Option<u64>,
    /// Of the leader that sent it.
    pub(crate) epoch: u64,
    /// We have since lost and taken back the word: what it said is counted as perhaps told already.
    pub(crate) is_outlived: bool,
}

/// What the message on its way says of one group.
#[derive(Debug)]
pub(crate) struct Part {
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
    /// Nothing of it fires any more.
    pub(crate) is_over: bool,
    /// Whether it belonged to a storm before this attempt.
    pub(crate) was_in_storm: bool,
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
            storm: None,
            newcomers: Recent::default(),
            ahead: Recent::default(),
            no_storm_until: Timestamp::MIN,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST),
            not_before: Timestamp::MIN,
            next_turn: 0,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.receiver.name
    }

    pub(crate) fn in_flight(&self) -> usize {
        let sending = self.sending.as_ref().map_or(0, |sending| sending.parts.len());
        self.waiting.len() + sending
    }

    pub(crate) fn is_sending(&self, key: &str) -> bool {
        let sending = self.sending.as_ref();
        sending.is_some_and(|sending| sending.parts.contains_key(key))
    }

    /// Nothing of this group waits, is on its way or was refused.
    pub(crate) fn is_open(&self, key: &str) -> bool {
        !self.waiting.contains_key(key) && !self.is_sending(key) && !self.dead.contains_key(key)
    }

    /// Puts a group at the end of the queue.
    pub(crate) fn enqueue(&mut self, key: Key, waiting: Waiting) {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.waiting.insert(key, Waiting { turn, ..waiting });
    }

    /// A message is on its way, or what became of the last one.
    pub(crate) fn is_busy(&self) -> bool {
        self.sending.is_some() || self.is_sharing
    }

    /// When something can be sent; none while nothing waits or the lane is busy.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let idle = !self.is_busy() && !self.waiting.is_empty();
        idle.then(|| {
            let ready = self.not_before.max(self.bucket.ready_at());
            let is_within = |waiting: &Waiting| waiting.way == Some(Way::Within);
            if self.waiting.values().all(is_within) {
                ready.max(self.storm_due())
            } else {
                ready
            }
        })
    }

    /// When the storm's message may change again.
    fn storm_due(&self) -> Timestamp {
        let told_at = self.storm.as_ref().and_then(|storm| storm.told_at);
        told_at.map_or(Timestamp::MIN, |at| at + self.receiver.storm_pause())
    }

    /// Whose turn it is: what goes ahead and was not tried yet, then by age.
    pub(crate) fn turn(&self, now: Timestamp) -> Option<Turn> {
        let may_storm = self.storm_due() <= now;
        let waiting = self.waiting.iter();
        let waiting = waiting.filter(|(_, waiting)| may_storm || waiting.way != Some(Way::Within));
        let rank = |waiting: &Waiting| {
            let is_ahead = waiting.way == Some(Way::Ahead) && waiting.row.is_none();
            (!is_ahead, waiting.turn)
        };
        let (key, waiting) = waiting.min_by_key(|(_, waiting)| rank(waiting))?;
        Some(match waiting.way {
            Some(Way::Within) => Turn::Storm,
            _ => Turn::Group(Arc::clone(key)),
        })
    }

    /// The groups that are told within the storm.
    pub(crate) fn within(&self) -> Vec<Key> {
        let waiting = self.waiting.iter();
        let within = waiting.filter(|(_, waiting)| waiting.way == Some(Way::Within));
        within.map(|(key, _)| Arc::clone(key)).collect()
    }

    /// Whether so many groups are due, or were within a minute, as make a storm.
    pub(crate) fn is_stormy(&self, now: Timestamp) -> bool {
        let most = self.receiver.storm_groups;
        if most == 0 || now < self.no_storm_until {
            return false;
        }
        let waiting = self.waiting.values().filter(|waiting| waiting.is_newcomer);
        self.newcomers.count(now) >= most || waiting.count() >= most
    }

    /// Its message was refused for good: for a while each group is told by itself.
    pub(crate) fn break_up(&mut self, now: Timestamp) {
        self.storm = None;
        self.no_storm_until = now + CALM;
        self.waiting.values_mut().for_each(|waiting| waiting.way = None);
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
        self.no_storm_until = self.no_storm_until - by;
        self.newcomers.clock_went_back(by);
        self.ahead.clock_went_back(by);
        if let Some(storm) = &mut self.storm {
            storm.clock_went_back(by);
        }
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

//! What replicas say to each other, as JSON. Unknown fields are passed over, so that a newer one may say more.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::Entry;
use model::{AlertEvent, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a beat is posted; the answer is one too.
pub(crate) const PATH: &str = "/peer/v1/beat";
/// Longest beat that is read. One is made at most about a quarter as long, unless a single entry is longer.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Shares of a beat's megabyte; what does not fit goes with the next, at once.
pub(crate) const MAP_BYTES: usize = 512 * 1024;
pub(crate) const WORDS_BYTES: usize = 256 * 1024;
/// Senders named in a beat at most.
pub(crate) const HEARD_MAX: usize = 4_000;

/// Of the journal and of what replicas say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Formats {
    pub(crate) lowest: u32,
    pub(crate) highest: u32,
}

impl Formats {
    /// What both write and read, if there is such a thing.
    pub(crate) fn agree(self, other: Self) -> Option<u32> {
        let highest = self.highest.min(other.highest);
        (highest >= self.lowest.max(other.lowest)).then_some(highest)
    }
}

/// How much a replica has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fullness {
    /// Time of the oldest sample.
    pub oldest: Option<Timestamp>,
    pub series: u64,
    pub alerts: u64,
}

impl Fullness {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.oldest.is_none() && self.alerts == 0
    }
}

/// Who held the lease last, as far as somebody has heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Last {
    pub(crate) epoch: u64,
    pub(crate) holder: Option<Arc<str>>,
}

/// A stretch of what one side knows: everything after `since`, up to `upto`, of `all`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct Part<T> {
    pub(crate) since: u64,
    pub(crate) upto: u64,
    pub(crate) all: u64,
    pub(crate) items: Vec<T>,
}

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self {
            since: 0,
            upto: 0,
            all: 0,
            items: Vec::new(),
        }
    }
}

/// How far somebody has got with what a certain life of the other said.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ack {
    pub(crate) incarnation: u64,
    pub(crate) map: u64,
    pub(crate) words: u64,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub(crate) format: Formats,
    pub(crate) replica: Arc<str>,
    /// Of this life of the process.
    pub(crate) incarnation: u64,
    /// Rises with everything said in it: what was delayed on its way claims nothing any more.
    pub(crate) nth: u64,
    /// The sender's wall clock, for the times below.
    pub(crate) now: Timestamp,
    /// The highest seen.
    pub(crate) epoch: u64,
    pub(crate) holds: bool,
    pub(crate) speaks: bool,
    /// Hears the other, which takes what it is told.
    pub(crate) in_step: bool,
    #[serde(default)]
    pub(crate) last: Last,
    #[serde(default)]
    pub(crate) fullness: Fullness,
    /// Has what it needs, and copies nothing.
    #[serde(default)]
    pub(crate) ready: bool,
    /// Knows all that was told, as far as one of two can.
    #[serde(default = "yes")]
    pub(crate) aware: bool,
    /// When each sender was last heard; not in every beat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) heard: Option<BTreeMap<Arc<str>, Timestamp>>,
    #[serde(default)]
    pub(crate) map: Part<Entry>,
    #[serde(default)]
    pub(crate) words: Part<AlertEvent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ack: Option<Ack>,
}

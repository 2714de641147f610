//! Storms: so many groups become due for one Slack channel at once that they share one message.
//!
//! A storm is open for as long as groups come that fast, and for some minutes after. While it is open, groups of which
//! the channel knows nothing are told in its message; those with a grave alert keep a message of their own as long as
//! there are not too many of them. A group that a storm has told of belongs to it until a message of its own was taken:
//! its end is told there, and once the storm has closed everything else about it by a message of its own.

mod digest;
mod send;

pub(crate) use digest::{Digest, Line, Standing, groups};

use std::collections::VecDeque;
use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::slack::Thread;

/// Groups in a minute that make a storm, where nothing else is said.
pub(crate) const GROUPS: usize = 20;
/// The minute in which they are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// How long a storm stays open after groups came that fast for the last time.
pub(crate) const CALM: Duration = Duration::from_secs(5 * 60);
/// Between two edits of its message.
pub(crate) const EDIT_PAUSE: Duration = Duration::from_secs(10);
/// Between two messages, where none can be edited.
pub(crate) const POST_PAUSE: Duration = Duration::from_secs(60);
/// Grave groups that get a message of their own in a minute of a storm; the others are told within it.
pub(crate) const AHEAD_MAX: usize = 10;

/// One receiver's storm; kept in the journal, but for its row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Storm {
    pub(crate) began: Timestamp,
    /// When groups last came that fast.
    pub(crate) blew: Timestamp,
    /// Whether groups of which the channel knows nothing are told within it; as of the last look.
    pub(crate) is_open: bool,
    /// Where its message stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) thread: Option<Thread>,
    /// When its last message was taken.
    pub(crate) told_at: Option<Timestamp>,
    /// Groups that were told in it, and told in it to be over.
    pub(crate) ended: usize,
    /// Whether the next message is for everybody to see: the storm began, or began again.
    pub(crate) rings: bool,
    /// Row of the history of a message that will be tried again.
    #[serde(skip)]
    pub(crate) row: Option<u64>,
}

impl Storm {
    pub(crate) fn begins(now: Timestamp) -> Self {
        Self {
            began: now,
            blew: now,
            is_open: true,
            thread: None,
            told_at: None,
            ended: 0,
            rings: true,
            row: None,
        }
    }

    /// What two who tell of the same storm know of it together; whose message is the newer edits on.
    pub(crate) fn join(&mut self, other: &Self) {
        let of = |storm: &Self| {
            (
                storm.told_at,
                storm.thread.as_ref().map(|thread| thread.ts.clone()),
            )
        };
        if other.thread.is_some() && (self.thread.is_none() || of(other) > of(self)) {
            self.thread.clone_from(&other.thread);
        }
        self.began = self.began.min(other.began);
        self.blew = self.blew.max(other.blew);
        self.told_at = self.told_at.max(other.told_at);
        self.ended = self.ended.max(other.ended);
        self.is_open |= other.is_open;
        self.rings &= other.rings;
    }

    pub(crate) fn clock_went_back(&mut self, by: Duration) {
        self.blew = self.blew - by;
        self.told_at = self.told_at.map(|at| at - by);
    }
}

/// How a group that waits is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By a message of its own, when its turn comes.
    Own,
    /// By a message of its own, before all others.
    Ahead,
    /// Within the storm.
    Within,
}

/// Times within the last minute, oldest first; no more of them than matter.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<Timestamp>);

impl Recent {
    pub(crate) fn note(&mut self, now: Timestamp, most: usize) {
        while self.0.len() >= most.max(1) {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    pub(crate) fn count(&self, now: Timestamp) -> usize {
        self.0.iter().filter(|at| **at + WINDOW > now).count()
    }

    pub(crate) fn clock_went_back(&mut self, by: Duration) {
        self.0.iter_mut().for_each(|at| *at = *at - by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_minute_counts_and_never_more_than_matter() {
        let mut recent = Recent::default();
        for second in 0..100 {
            recent.note(Timestamp(second * 1000), 20);
        }
        assert_eq!(recent.0.len(), 20);
        assert_eq!(recent.count(Timestamp(99_000)), 20);
        assert_eq!(recent.count(Timestamp(150_000)), 9);
        assert_eq!(recent.count(Timestamp(159_000)), 0);
    }
}

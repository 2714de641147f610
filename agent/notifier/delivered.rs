//! The notification log: what one receiver knows of one group, and whether it has to be told more.
//!
//! A resolve is owed for every alert whose firing was taken, or may have been; for no other.

use std::collections::BTreeSet;
use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::group::Group;
use crate::slack::Thread;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delivered {
    /// Told as firing and not yet as resolved.
    pub(crate) firing: BTreeSet<u64>,
    /// In a message of which nobody knows whether it arrived: the answer never came, or we did not live to
    /// read it.
    pub(crate) maybe: BTreeSet<u64>,
    /// Told as firing, and over while it was muted: the end is kept to ourselves, and they believe that it fires until
    /// their next message.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) untold: BTreeSet<u64>,
    /// Whose end the last message told; kept only where ends are told as Alertmanager tells them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) ended: BTreeSet<u64>,
    /// When the last message was taken.
    pub(crate) at: Option<Timestamp>,
    /// Where a card about the group stands, at Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) thread: Option<Thread>,
    /// It was told, or may have been told, within a storm, and by no message of its own since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) in_storm: bool,
}

/// Why a message is sent; the words are Alertmanager's `notification_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    First,
    New,
    SomeResolved,
    AllResolved,
    Repeat,
    /// Somebody pressed the button.
    Test,
}

impl Reason {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::First => "first notification",
            Self::New => "new alerts added",
            Self::SomeResolved => "some alerts resolved",
            Self::AllResolved => "all alerts resolved",
            Self::Repeat => "repeat interval elapsed",
            Self::Test => "test",
        }
    }
}

impl Delivered {
    /// Whether the receiver has heard, or may have heard, that this alert fires.
    pub(crate) fn knows(&self, fingerprint: u64) -> bool {
        self.firing.contains(&fingerprint) || self.maybe.contains(&fingerprint)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.firing.is_empty() && self.maybe.is_empty() && self.untold.is_empty()
    }

    /// Whether the receiver believes that anything of the group fires, as far as we know.
    pub(crate) fn believes(&self) -> bool {
        !self.firing.is_empty() || !self.untold.is_empty()
    }

    /// Its end is not told. Returns whether there was one to tell.
    pub(crate) fn keep(&mut self, fingerprint: u64) -> bool {
        let is_owed = self.knows(fingerprint);
        if is_owed {
            self.firing.remove(&fingerprint);
            self.maybe.remove(&fingerprint);
            self.untold.insert(fingerprint);
        }
        is_owed
    }

    /// That it was told of this one no longer counts, but for its end: should it fire on, or again, it is told once
    /// more. So it is with what is silenced, and with what may have been told to have ended. Returns whether it had
    /// been told.
    pub(crate) fn hush(&mut self, fingerprint: u64) -> bool {
        let was_told = self.firing.remove(&fingerprint);
        if was_told {
            self.maybe.insert(fingerprint);
        }
        was_told
    }

    pub(crate) fn forget(&mut self, fingerprint: u64) {
        self.firing.remove(&fingerprint);
        self.maybe.remove(&fingerprint);
        self.untold.remove(&fingerprint);
    }

    /// What there is to tell now, if anything; whether it is time to is not asked here.
    pub(crate) fn owed(&self, group: &Group, repeat_interval: Duration, now: Timestamp) -> Option<Reason> {
        let mut firing = group.alerts.values().filter(|alert| group.may_tell(alert, self));
        let resolved = group
            .alerts
            .values()
            .any(|alert| !alert.firing() && self.knows(alert.fingerprint));
        if firing.any(|alert| !self.firing.contains(&alert.fingerprint)) {
            let first = self.firing.is_empty();
            return Some(if first { Reason::First } else { Reason::New });
        }
        if resolved {
            let all = group.loud() == 0;
            return Some(if all {
                Reason::AllResolved
            } else {
                Reason::SomeResolved
            });
        }
        let repeat = self.at.is_some_and(|at| at + repeat_interval <= now);
        (group.loud() > 0 && repeat).then_some(Reason::Repeat)
    }
}

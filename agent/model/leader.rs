//! Who acts outside: buys from AWS, sends to people; and where replicas ask who may.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::BoxFuture;

/// Newest wins; handed out on a `watch` channel. Standalone holds it always, with epoch 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Name of the replica that holds the lease, if anybody is known to.
    pub holder: Option<Arc<str>>,
    /// Whether that is this process: it buys from AWS and reads what has no node of its own.
    pub here: bool,
    /// Whether this process tells people. The holder does, and for as long as nobody can say who holds the
    /// lease, so does the last holder, or whoever no longer hears it.
    pub speaks: bool,
    /// Rises with every change of holder; what carries a lower one is ignored.
    pub epoch: u64,
    /// Running time ([`crate::Clock::running`]) until which `here` and `speaks` may be relied on; beyond it both
    /// are false, whatever they say: this process stood still and the world went on. None is for good.
    pub until: Option<Duration>,
    /// It speaks without having heard what the other replica told since this process last did: what it says may be a
    /// repeat.
    pub unaware: bool,
}

impl Leadership {
    #[must_use]
    pub fn standalone() -> Self {
        Self {
            holder: None,
            here: true,
            speaks: true,
            epoch: 1,
            until: None,
            unaware: false,
        }
    }

    /// Nobody is known to lead yet.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            here: false,
            speaks: false,
            epoch: 0,
            ..Self::standalone()
        }
    }

    /// Whether this process may tell people at this running time.
    #[must_use]
    pub fn may_speak(&self, running: Duration) -> bool {
        self.speaks && self.until.is_none_or(|until| running < until)
    }

    /// Whether this process may do at this running time what only the holder does.
    #[must_use]
    pub fn may_lead(&self, running: Duration) -> bool {
        self.here && self.until.is_none_or(|until| running < until)
    }
}

/// The record that replicas compete for; a coordination.k8s.io Lease, or a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// None: given back.
    pub holder: Option<Arc<str>>,
    pub epoch: u64,
    pub duration_millis: u64,
    /// Rises with every renewal. Never read as a time: replicas measure from when they saw it change.
    pub renewals: u64,
}

/// Names one state of the lease; only good for being given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision(pub String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArbiterError {
    /// Somebody else wrote in between: read again.
    Lost,
    /// No answer: nothing is known, and a write may have happened.
    Away(String),
}

impl std::fmt::Display for ArbiterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost => f.write_str("somebody else wrote the lease in between"),
            Self::Away(why) => write!(f, "the lease cannot be asked for: {why}"),
        }
    }
}

impl std::error::Error for ArbiterError {}

/// Where the lease lies. A write succeeds only over the state that was read.
pub trait Arbiter: Send + Sync {
    /// None: there is no lease, or somebody deleted it.
    fn read(&self) -> BoxFuture<'_, Result<Option<(Lease, Revision)>, ArbiterError>>;

    /// `over` is the state it replaces; none makes a new one, which fails as [`ArbiterError::Lost`] if there is one.
    fn write(&self, lease: Lease, over: Option<Revision>) -> BoxFuture<'_, Result<Revision, ArbiterError>>;
}

/// A place outside of both replicas where a few hundred kilobytes outlive their disks.
pub trait Memo: Send + Sync {
    /// None: nobody has written anything there.
    fn read(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, String>>;

    /// In place of what is there, unless that is of a later epoch.
    fn write(&self, bytes: Vec<u8>, epoch: u64) -> BoxFuture<'_, Result<(), String>>;
}

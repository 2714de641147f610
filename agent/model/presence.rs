//! Which senders are heard: a silent sender is not a healthy one.

use std::sync::Arc;

use crate::{Labels, Timestamp};

/// The label that a sender's series bear; its value is the sender's name, taken from its credential.
pub const NODE: &str = "node";

/// A sender that should be heard and is not, in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent {
    /// Value of its series' [`NODE`] label.
    pub node: Arc<str>,
    /// When it was last heard here, or since when it could have been.
    pub since: Timestamp,
    pub silence: Silence,
}

/// What it means that a sender is not heard here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nobody hears it.
    Everywhere,
    /// The other replica hears it, or may well: it is we who are deaf, so nothing that its series seem to say here counts.
    Here,
    /// This process has not listened for long enough to know, so nothing counts either.
    Unknown,
}

/// What a replica knows of its senders. Rules ask it before they believe that something is missing.
pub trait Presence: Send + Sync {
    fn silent(&self) -> Vec<Silent>;
}

/// Where everything is read in the same process, nobody can be silent.
pub struct AllHere;

impl Presence for AllHere {
    fn silent(&self) -> Vec<Silent> {
        Vec::new()
    }
}

/// The silent sender that a series comes from, if it is one's.
#[must_use]
pub fn sender_of<'a>(silent: &'a [Silent], series: &Labels) -> Option<&'a Silent> {
    let node = series.get(NODE)?;
    silent.iter().find(|silent| *silent.node == *node)
}

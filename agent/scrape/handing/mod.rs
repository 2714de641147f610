//! Hands targets to the agents of the nodes that they are on.
//!
//! A target is read here until the agent of its node says that it has it, and again as soon as that agent no longer says so or is not
//! heard; so that it is always read by somebody, and by two only for as long as one of them cannot be asked. Its series are the same
//! whoever reads it: what an agent would have to name otherwise stays here, and is counted by reason.

mod desk;
mod given;
mod home;
mod pool;
#[cfg(test)]
mod tests;
mod wire;

use std::time::Duration;

pub(crate) use desk::Desk;
pub use desk::{Handed, List};
pub use given::Given;
pub use home::Reason;
pub(crate) use home::{Home, host, kept_back, node};
pub(crate) use wire::{Settings, entry};

/// An agent asks every five seconds. One that has not for so long is silent, and what it had is read here.
pub const SILENT: Duration = Duration::from_secs(15);
/// Whoever begins to hand out waits for agents so long to say what they have, before it reads that itself.
pub const AWAITED: Duration = Duration::from_secs(10);
/// Targets of one agent.
pub const TARGETS_MAX: usize = 2_000;

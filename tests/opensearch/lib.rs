//! What the sink for OpenSearch is held to: a real node, and a fake that misbehaves on demand.
//!
//! The fake is held to the node in turn: `alike.rs` asks both the same and compares the answers. Everything here blocks and
//! runs on threads of its own, so that tests of any kind can use it, with a runtime or without.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose peer fails has failed, and says why"
)]

pub mod fake;
pub mod http;
pub mod node;

#[cfg(test)]
mod alike;
#[cfg(test)]
mod behaves;

pub use fake::faults::{Fault, ItemFault, Plan};
pub use fake::{Counters, Fake, Poison, Rules, Seen};
pub use http::{Answer, ask, ask_within};
pub use node::{Documents, Node, Version};

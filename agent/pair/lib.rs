//! The other replica: who leads, what both know, and what fires because either says so.
//!
//! Nothing is sent outside by two replicas that hear each other, and nothing is left unsaid because nobody can say
//! who leads. A process that stood still acts on nothing before it has looked again. What decides is pure (elector,
//! speech, start, merge); one task asks the arbiter and beats, and an answered beat carries as much as a sent one.

mod beat;
mod checkup;
mod config;
mod core;
mod elector;
mod file;
mod handle;
mod isolation;
mod memo;
mod merge;
mod metrics;
mod pair;
mod peer;
mod speech;
mod start;
mod words;

#[cfg(test)]
mod tests;

pub use beat::{BODY_BYTES_MAX, Fullness};
pub use config::{Config, Keys};
pub use file::FileArbiter;
pub use handle::{Handle, PATHS};
pub use memo::{Keeps, Rank};
pub use pair::{Copying, Neighbours, Pair};

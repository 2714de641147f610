//! Tells people: groups alerts, decides when to speak, and hands messages to Slack, PagerDuty, mail servers and
//! webhooks.
//!
//! A firing is told at least once and, unless the process dies in the moment between an answer and its
//! record, once. A resolve is told if and only if the firing was, or may have been, and then always in the
//! end. What was told lies in the journal, so a restart repeats nothing and forgets nothing. One receiver
//! that is down keeps no other waiting. Of a pair one speaks, and asks right before each message whether it
//! still may; the other one takes over what the journal says is owed.

mod alert;
mod alertmanager;
mod board;
mod bucket;
mod changes;
mod checkup;
mod config;
mod core;
mod delivered;
mod email;
mod evidence;
mod group;
mod handle;
pub mod heartbeat;
mod history;
mod inhibit;
mod interval;
mod lane;
mod look;
mod matchers;
mod matching;
mod message;
mod metrics;
mod notifier;
mod pagerduty;
mod plan;
mod posted;
mod probe;
mod receiver;
mod records;
mod route;
mod shown;
mod silences;
mod slack;
mod storm;
mod verdict;
mod webhook;

#[cfg(test)]
mod tests;

pub use config::{Config, Dedup, Email, Files, PagerDuty, Slack, Webhook};
pub use email::Threads;
pub use evidence::Config as EvidenceConfig;
pub use handle::Handle;
pub use notifier::Notifier;
pub use probe::{Probed, probe, test};
pub use records::{is_open, is_told};
pub use silences::{covering, read as read_matchers};

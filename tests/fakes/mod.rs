//! Peers that misbehave on demand and enforce the real ones' limits.

pub mod mail;
pub mod pagerduty;
pub mod peer;
pub mod slack;

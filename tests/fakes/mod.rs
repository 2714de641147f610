//! Peers that misbehave on demand and enforce the real ones' limits.

pub mod dns;
#[expect(dead_code, reason = "rooms use the rest of it")]
pub mod gates;
pub mod mail;
pub mod meter;
pub mod pagerduty;
pub mod peer;
pub mod slack;

//! How samples are received.

use std::sync::Arc;
use std::time::Duration;

use model::text::duration;
use serde::Deserialize;

/// How samples that others send are received.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Longest request, unpacked, in bytes; a longer one is refused with 413.
    pub body_bytes_max: usize,
    /// Memory that requests may take together while they are read, in bytes; beyond it they are asked to come again.
    pub decoding_bytes_max: usize,
    /// Senders remembered at a time; more are asked to come again.
    pub senders_max: usize,
    /// Series remembered of one sender, about 60 bytes each; what is beyond costs more work, and is kept as well.
    pub sender_series_max: usize,
    /// A node that is not heard for so long is silent: two of its intervals.
    #[serde(deserialize_with = "duration::deserialize")]
    pub silence_after: Duration,
    /// Where nobody lists the nodes, one that is silent for so long is no longer missed.
    #[serde(deserialize_with = "duration::deserialize")]
    pub forget_after: Duration,
    /// Label `instance` of the series about senders; the hall sets it.
    #[serde(skip)]
    pub instance: Arc<str>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            decoding_bytes_max: 256 << 20,
            senders_max: 2_000,
            sender_series_max: 1_000_000,
            silence_after: Duration::from_secs(30),
            forget_after: Duration::from_secs(3_600),
            instance: "localhost".into(),
        }
    }
}

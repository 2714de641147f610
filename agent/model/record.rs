//! One log line with what is known about it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::labels::Fnv;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// A line as it is searched and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    pub time: Timestamp,
    pub level: Level,
    /// Short name of where it comes from: `syslog`, or `namespace/pod/container`.
    pub source: Arc<str>,
    /// `stdout`, `stderr` or empty.
    pub stream: Arc<str>,
    pub text: String,
    /// Path of the file and offset of the line's first byte in it.
    pub file: Arc<str>,
    pub offset_bytes: u64,
}

impl LogRecord {
    /// Tells it from the other lines of its millisecond; the same whenever and wherever it is looked for.
    #[must_use]
    pub fn identity(&self) -> u64 {
        let mut hash = Fnv::default();
        hash.bytes(self.file.as_bytes());
        hash.bytes(&self.offset_bytes.to_le_bytes());
        hash.bytes(&self.time.millis().to_le_bytes());
        hash.0
    }
}

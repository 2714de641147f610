//! The one way to keep small state: a map of keys to JSON that survives `kill -9`.
//!
//! A change is on the disk when the call returns, all of it or nothing. What the file holds in its torn
//! end after a crash was never promised to anybody and is cut off. It does no I/O but through [`Files`].
//! Two replicas that tell each other their changes end with the same map, in whatever order they hear them.

mod disk;
mod entry;
mod frame;
mod log;
mod map;
mod patient;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use disk::Disk;
pub use entry::{Change, Entry, Version};
pub use log::{FORMAT_HIGHEST, FORMAT_LOWEST, Journal, Merged};
pub use patient::Patient;

/// Worth retrying, all of them: the map is as it was before the call.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("reading {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("writing {path}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path} was written by a newer version of Skopos (format {found}, this one reads up to {known})")]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("{path} is not a journal of Skopos")]
    Foreign { path: PathBuf },
    #[error("writing the journal was broken off: {0}")]
    Stopped(String),
    #[error("value of {key} cannot be written as JSON")]
    Value { key: String, source: serde_json::Error },
}

//! The one way to keep small state: a map of keys to JSON that survives `kill -9`.
//!
//! A change is on the disk when the call returns, all of it or nothing. What the file holds in its torn
//! end after a crash was never promised to anybody and is cut off. It does no I/O but through [`Files`].

mod disk;
mod entry;
mod log;

use std::path::PathBuf;

pub use disk::Disk;
pub use entry::{Change, Version};
pub use log::Journal;

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
    #[error("value of {key} cannot be written as JSON")]
    Value { key: String, source: serde_json::Error },
}

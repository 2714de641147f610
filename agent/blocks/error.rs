//! What can go wrong with a block, and where.

use std::io;
use std::path::{Path, PathBuf};

use model::{SelectError, Timestamp};

use crate::ulid::Ulid;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk's own: it may be gone with the next try.
    #[error("{doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The bytes are not what they should be, and will not be with the next try.
    #[error("{}: {what}", path.display())]
    Broken { path: PathBuf, what: String },
    /// What was given cannot be put in a block: a mistake of the caller.
    #[error("cannot make a block: {0}")]
    Unfit(String),
    /// What is to be packed anew holds chunks that can only be copied.
    #[error("{}: chunks of unknown encodings overlap or are deleted in part", path.display())]
    Foreign { path: PathBuf },
    /// Half-open ranges of blocks begin and end at whole multiples of two hours.
    #[error("the range from {} to {} is not of whole two hours", start.0, end.0)]
    Unaligned { start: Timestamp, end: Timestamp },
    #[error("there is no block {0}")]
    Unknown(Ulid),
    #[error("there is a block {0} already")]
    Known(Ulid),
    /// Read by [`crate::Blocks::select`] before all of it was there.
    #[error("more than {limit} samples")]
    TooMany { limit: usize },
}

impl Error {
    pub(crate) fn broken(path: &Path, what: impl Into<String>) -> Self {
        Self::Broken {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// True when trying again is of no use.
    pub(crate) fn stays(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }
}

/// Says of what the disk did where it was.
pub(crate) trait At<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            doing,
            path: path.to_owned(),
            source,
        })
    }
}

impl From<Error> for SelectError {
    fn from(error: Error) -> Self {
        if let Error::TooMany { limit } = error {
            return Self::TooMany { limit };
        }
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(deeper) = source {
            text = format!("{text}: {deeper}");
            source = deeper.source();
        }
        Self::Unreadable(text)
    }
}

//! What was read from files, and is read again when they change.
//!
//! A change that cannot be read leaves the old in force and is said once: in the log, and to nobody else.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub struct Watched<T> {
    files: Vec<PathBuf>,
    every: Duration,
    read: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
    held: Mutex<Held<T>>,
}

struct Held<T> {
    value: Arc<T>,
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
}

/// Tells one state of a file from another without reading it; a file that was replaced has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    number: u64,
    length_bytes: u64,
    seconds: i64,
    nanos: i64,
}

impl<T> Watched<T> {
    /// Reads at once, and later looks at most once in `every` whether one of `files` has changed.
    ///
    /// # Errors
    /// That of `read`.
    pub fn open<E: fmt::Display>(
        files: Vec<PathBuf>,
        every: Duration,
        read: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        // Before the content: what is written in between is then read once more.
        let stamps = stamps(&files);
        let value = Arc::new(read()?);
        Ok(Self {
            files,
            every,
            read: Box::new(move || read().map_err(|error| error.to_string())),
            held: Mutex::new(Held {
                value,
                stamps,
                looked: Instant::now(),
            }),
        })
    }

    /// The newest that could be read.
    pub fn get(&self) -> Arc<T> {
        let mut held = self.held.lock();
        if held.looked.elapsed() >= self.every {
            held.looked = Instant::now();
            let stamps = stamps(&self.files);
            if stamps != held.stamps {
                held.stamps = stamps;
                self.renew(&mut held);
            }
        }
        Arc::clone(&held.value)
    }

    fn renew(&self, held: &mut Held<T>) {
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let files = files.join(", ");
        match (self.read)() {
            Ok(value) => {
                held.value = Arc::new(value);
                tracing::info!(files, "read again after a change");
            }
            Err(error) => {
                tracing::error!(files, %error, "changed and cannot be read; the old one is in force")
            }
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let facts = std::fs::metadata(file).ok()?;
    Some(Stamp {
        number: facts.ino(),
        length_bytes: facts.len(),
        seconds: facts.mtime(),
        nanos: facts.mtime_nsec(),
    })
}

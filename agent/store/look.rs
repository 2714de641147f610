//! Opens a store's folder for reading only, beside the process that writes it or without one; also the blocks that
//! a Prometheus left.
//!
//! The log is read first and the blocks after it: what goes from one to the other meanwhile is seen twice and read
//! once.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use blocks::Blocks;
use model::{Clock, Select, Timestamp};
use prometheus::Registry;

use crate::config::{Config, Retention};
use crate::sealing::Sealing;
use crate::store::{OpenError, Store, log_folder};
use crate::wal::disk::{Append, Disk, SystemDisk};
use crate::wal::replay;

/// Segments of the log go while it is read, when their samples are in a block. It is read again then, so many times.
const LOOKS_MAX: u32 = 10;

/// What there is in a folder.
pub struct Look {
    /// All of it.
    pub samples: Arc<dyn Select>,
    /// Time of the oldest sample, and until when there are some; none when there is none at all.
    pub span: Option<(Timestamp, Timestamp)>,
    /// How many blocks there are.
    pub blocks: u64,
    /// What is there and is not in `samples`, a sentence each.
    pub unseen: Vec<String>,
}

impl Store {
    /// All samples of a folder, as far as they are on the disk. Nothing in the folder is changed, whoever is at work
    /// there. What a process that runs has taken in its last moment, before it wrote that, is not seen.
    ///
    /// # Errors
    /// See [`OpenError`]. A broken block or log is none; `unseen` says what is missing.
    pub fn look(folder: &Path, clock: Arc<dyn Clock>) -> Result<Look, OpenError> {
        let mut looks = 0;
        let mut store = loop {
            looks += 1;
            match read_log(folder, clock.clone()) {
                Err(error) if error.is_missing() && looks < LOOKS_MAX => {}
                read => break read?,
            }
        };
        let (blocks, failed) = Blocks::look(folder, clock.clone()).map_err(OpenError::Blocks)?;
        let mut unseen: Vec<String> = failed
            .into_iter()
            .map(|error| format!("a block that cannot be read: {}", said(&error)))
            .collect();
        let corrupt = store.accounts.wal.corrupt.get();
        if corrupt > 0 {
            unseen.push(format!(
                "{corrupt} segments of the log are broken, and read up to there"
            ));
        }
        if is_head_of_prometheus(folder) {
            unseen.push(
                "the newest samples of a Prometheus, which are in its own log (wal, chunks_head) and in no block yet"
                    .to_owned(),
            );
        }
        let head = store.head_span();
        let sealed = blocks.span().map(|span| (span.start, Timestamp(span.end.0 - 1)));
        let both = || head.into_iter().chain(sealed);
        let span = both()
            .map(|(first, _)| first)
            .min()
            .zip(both().map(|(_, last)| last).max());
        let count = blocks.counts().blocks;
        store.sealing = Some(Sealing::of(blocks, None, &*clock));
        Ok(Look {
            samples: Arc::new(store),
            span,
            blocks: count,
            unseen,
        })
    }

    fn head_span(&self) -> Option<(Timestamp, Timestamp)> {
        let targets = self.all_targets();
        let newest = targets.iter().map(|target| target.state.lock().newest);
        self.head_oldest().zip(newest.max())
    }
}

impl OpenError {
    fn is_missing(&self) -> bool {
        let (Self::Folder { source, .. } | Self::Read { source, .. }) = self else {
            return false;
        };
        source.kind() == io::ErrorKind::NotFound
    }
}

/// A store in memory with all that the log has, and nothing that would write.
fn read_log(folder: &Path, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
    let store = Store::bare(None, unbounded(), clock, &Registry::new());
    let log = log_folder(folder).map_err(|source| OpenError::new(folder, source))?;
    replay::replay(&store, &Looking, &log, Timestamp::MIN)?;
    Ok(store)
}

/// What was taken once is not refused now.
fn unbounded() -> Config {
    Config {
        retention: Retention {
            time: Duration::MAX,
            size: 0,
        },
        series_max: usize::MAX,
        target_series_max: usize::MAX,
        memory_bytes_max: usize::MAX,
        labels_max: usize::MAX,
        label_name_bytes_max: usize::MAX,
        label_value_bytes_max: usize::MAX,
        exemplars_max: 0,
        ..Config::default()
    }
}

/// Our own stay out of its folder `wal`, which is there and empty.
fn is_head_of_prometheus(folder: &Path) -> bool {
    let any = |name: &str| {
        std::fs::read_dir(folder.join(name)).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_none()))
        })
    };
    any("wal") || any("chunks_head")
}

fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A disk that stays as it is. What is torn or old there is for whoever owns it to cut or remove.
struct Looking;

impl Disk for Looking {
    fn list(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        if folder.is_dir() {
            SystemDisk.list(folder)
        } else {
            Ok(Vec::new())
        }
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        SystemDisk.read(path)
    }

    fn create(&self, _: &Path) -> io::Result<Box<dyn Append>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn truncate(&self, _: &Path, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

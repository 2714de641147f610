//! The write-ahead log: what was committed survives the process.
//!
//! Segments in `log/`, each readable by itself, written by one thread and read once at start. A segment goes
//! when its newest sample is in a block, or past the retention. What the log cannot take is still in memory, and counted.

pub(crate) mod disk;
pub(crate) mod queue;
pub(crate) mod record;
pub(crate) mod replay;
mod segment;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use self::disk::Disk;
pub(crate) use self::queue::{Cutoff, Entry, Queue, What};
use self::segment::Closed;
use self::writer::{Settings, Writer};
use crate::accounts::WalAccounts;
use crate::config::Config;
use crate::index::Index;
use crate::store::OpenError;

/// Longest time that one segment covers: so much more than needed is read at a start.
const SPAN_MAX: Duration = Duration::from_mins(15);

#[derive(Debug)]
pub(crate) struct Wal {
    pub(crate) queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Whether everything was safe when it closed.
    closed: OnceLock<bool>,
}

/// Segments found at start, oldest first, and the number of the next.
pub(crate) struct Found {
    closed: VecDeque<Closed>,
    next_number: u64,
}

impl Wal {
    pub(crate) fn start(
        found: Found,
        disk: Arc<dyn Disk>,
        folder: &Path,
        config: &Config,
        accounts: &WalAccounts,
        index: Arc<RwLock<Index>>,
    ) -> io::Result<Self> {
        let settings = Settings {
            disk,
            index,
            folder: folder.to_owned(),
            accounts: accounts.clone(),
            sync_interval: config.wal_sync_interval,
            bytes_max: config.wal_bytes_max,
            span: (config.retention.time / 4).min(SPAN_MAX),
        };
        let queue = Arc::new(Queue::new());
        let writer = Writer::new(queue.clone(), settings, found.closed, found.next_number);
        let thread = Builder::new()
            .name("store-wal".to_owned())
            .spawn(|| writer.run())?;
        Ok(Self {
            queue,
            thread: Mutex::new(Some(thread)),
            closed: OnceLock::new(),
        })
    }

    /// Writes what waits, makes it safe, and ends the thread. False when something is not on the disk.
    pub(crate) fn close(&self) -> bool {
        *self.closed.get_or_init(|| {
            let safe = self.queue.sync();
            self.queue.stop();
            let thread = self.thread.lock().take();
            thread.is_none_or(|thread| thread.join().is_ok()) && safe
        })
    }
}

/// # Errors
/// The folder cannot be read, or holds what a newer version wrote.
pub(crate) fn find(disk: &dyn Disk, folder: &Path) -> Result<Vec<(u64, std::path::PathBuf, u64)>, OpenError> {
    let files = disk
        .list(folder)
        .map_err(|source| OpenError::new(folder, source))?;
    let mut segments: Vec<_> = files
        .into_iter()
        .filter_map(|(path, bytes)| Some((segment::number(&path)?, path, bytes)))
        .collect();
    segments.sort_unstable_by_key(|(number, ..)| *number);
    Ok(segments)
}

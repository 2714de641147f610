//! The store itself: what it holds, how it opens and closes.
//!
//! Locks are taken in this order, and never the other way: index, target's state, log queue. A commit takes
//! the state of its own target only; a reader takes it to copy `Arc`s.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use blocks::Blocks;
use hashbrown::HashMap;
use model::{Clock, Feed, Ledger, TargetDesc, TargetRef, Timestamp};
use parking_lot::{Mutex, RwLock};
use prometheus::Registry;

use crate::accounts::Accounts;
use crate::config::{Config, History};
use crate::exemplars::Ring;
use crate::families::Families;
use crate::guard::Guard;
use crate::index::Index;
use crate::lock;
use crate::reference::TARGETS_MAX;
use crate::sealing::Sealing;
use crate::selection::Selections;
use crate::target::Target;
use crate::wal::disk::{Disk, SystemDisk};
use crate::wal::{Wal, replay};

/// Samples in memory and in a log, for writers and readers at once.
pub struct Store {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) targets: RwLock<Targets>,
    pub(crate) index: Arc<RwLock<Index>>,
    pub(crate) families: Mutex<Families>,
    pub(crate) selections: Selections,
    pub(crate) accounts: Accounts,
    pub(crate) exemplars: Ring,
    pub(crate) guard: Guard,
    /// Whether there was ever a native histogram in memory.
    pub(crate) any_histograms: AtomicBool,
    /// None where no history is kept.
    pub(crate) wal: Option<Wal>,
    /// None where nothing is kept but what is in memory, and its log.
    pub(crate) sealing: Option<Sealing>,
    /// Who is handed what is kept, if anybody.
    pub(crate) feed: OnceLock<Arc<dyn Feed>>,
}

#[derive(Debug, Default)]
pub(crate) struct Targets {
    pub(crate) by_id: HashMap<TargetRef, Arc<Target>>,
    pub(crate) by_name: HashMap<Arc<str>, Arc<Target>>,
    next: u32,
}

/// The folder of the write-ahead log: a Prometheus that opens ours finds blocks only, and no `wal` of its own.
const LOG: &str = "log";
/// As it was called before there were blocks.
const LOG_BEFORE: &str = "wal";

/// Why the store cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("opening {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is in use by another process, a skopos or a Prometheus; stop it, or choose another folder", path.display())]
    InUse { path: PathBuf },
    #[error("opening the blocks")]
    Blocks(#[source] blocks::Error),
    #[error("{} has format {format}, written by a newer version", path.display())]
    Newer { path: PathBuf, format: u32 },
}

impl OpenError {
    pub(crate) fn new(path: &Path, source: io::Error) -> Self {
        Self::Folder {
            path: path.to_owned(),
            source,
        }
    }
}

impl Store {
    /// Reads back what the log in `folder` has of the retention, and goes on from there.
    ///
    /// # Errors
    /// See [`OpenError`]. A torn or broken log is none: what can be read of it is.
    pub fn open(
        folder: &Path,
        config: Config,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Arc<Self>, OpenError> {
        let sealing = match config.history {
            History::Full => {
                let lock = lock::take(folder)?;
                adopt_log(folder).map_err(|source| OpenError::new(&folder.join(LOG_BEFORE), source))?;
                Some(Sealing::open(folder, lock, &config, clock.clone())?)
            }
            History::None => None,
        };
        Self::start(Arc::new(SystemDisk), folder, sealing, config, clock, registry)
    }

    /// As [`Self::open`], on a disk that the caller owns: all of it in memory and in the log, without blocks.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        config: Config,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Arc<Self>, OpenError> {
        Self::start(disk, folder, None, config, clock, registry)
    }

    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        folder: &Path,
        sealing: Option<Sealing>,
        config: Config,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Arc<Self>, OpenError> {
        let mut store = Self::bare(sealing, config, clock, registry);
        if store.config.history == History::Full {
            let folder = folder.join(LOG);
            let cutoff = store.clock.now() - store.config.retention.time;
            let found = replay::replay(&store, &*disk, &folder, cutoff)?;
            let index = store.index.clone();
            let wal = Wal::start(found, disk, &folder, &store.config, &store.accounts.wal, index)
                .map_err(|source| OpenError::new(&folder, source))?;
            store.wal = Some(wal);
            let targets = store.targets.read();
            let points = targets
                .by_id
                .values()
                .map(|target| target.state.lock().tail.len());
            store.accounts.restored(points.sum());
        }
        store.show();
        Ok(Arc::new(store))
    }

    /// Without anything in memory, and without a log.
    pub(crate) fn bare(
        sealing: Option<Sealing>,
        config: Config,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Self {
        Self {
            accounts: Accounts::new(registry),
            clock,
            targets: RwLock::default(),
            index: Arc::new(RwLock::new(Index::new(config.history))),
            families: Mutex::default(),
            selections: Selections::new(config.history),
            exemplars: Ring::new(config.exemplars_max(), registry),
            guard: Guard::new(config.budget_bytes, registry),
            config,
            any_histograms: AtomicBool::new(false),
            wal: None,
            sealing,
            feed: OnceLock::new(),
        }
    }

    /// Returns once all that was committed is on the disk; false when it cannot be.
    pub fn sync(&self) -> bool {
        self.wal.as_ref().is_none_or(|wal| wal.queue.sync())
    }

    /// Returns once all that was committed has been written, though perhaps not yet synced: from then on only a power
    /// failure can lose it. Where the disk refuses it, at once.
    pub fn written(&self) {
        if let Some(wal) = &self.wal {
            wal.queue.written();
        }
    }

    /// Samples that wait to be written to the log, and how many may.
    #[must_use]
    pub fn log_waiting(&self) -> (usize, usize) {
        let waiting = self.wal.as_ref().map_or(0, |wal| wal.queue.waiting());
        (waiting, crate::wal::queue::VALUES_MAX)
    }

    /// Makes the log safe and ends its thread; what is committed from now on is in memory only. False when
    /// something is not on the disk.
    pub fn close(&self) -> bool {
        self.wal.as_ref().is_none_or(Wal::close)
    }

    /// Tells how much memory the process takes, so that new series are refused before the kernel ends it. Call it every
    /// few seconds.
    pub fn guard(&self, process_bytes: u64) {
        self.guard.look(process_bytes);
    }

    /// Whether new series of anybody are refused for want of memory.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.guard.level() > 0
    }

    /// Series held now.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.index.read().len()
    }

    /// Time of the oldest sample held, or when the first block begins; which of two stores is fuller is told by it.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        let sealed = self.sealing.as_ref().and_then(|sealing| sealing.blocks.span());
        let sealed = sealed.map(|span| span.start);
        self.head_oldest().into_iter().chain(sealed).min()
    }

    /// What is on disk behind the memory; none where no history is kept, or none on a disk of its own.
    #[must_use]
    pub fn blocks(&self) -> Option<&Blocks> {
        self.sealing.as_ref().map(|sealing| &sealing.blocks)
    }

    /// Size of the write-ahead log and of all blocks.
    #[must_use]
    pub fn bytes_on_disk(&self) -> u64 {
        let blocks = self
            .sealing
            .as_ref()
            .map_or(0, |sealing| sealing.blocks.counts().bytes);
        self.accounts.wal.bytes.get() as u64 + blocks
    }

    /// What became of the samples handed in since the start.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.accounts.ledger()
    }

    /// In the order of their ids, so that whatever is done to all of them is done in one order.
    pub(crate) fn all_targets(&self) -> Vec<Arc<Target>> {
        let mut targets: Vec<Arc<Target>> = self.targets.read().by_id.values().cloned().collect();
        targets.sort_unstable_by_key(|target| target.id);
        targets
    }

    pub(crate) fn target_of(&self, id: TargetRef) -> Option<Arc<Target>> {
        self.targets.read().by_id.get(&id).cloned()
    }

    /// The target of that name, made if there is none.
    pub(crate) fn find_target(&self, desc: &TargetDesc) -> Arc<Target> {
        if let Some(known) = self.targets.read().by_name.get(&desc.name) {
            return known.clone();
        }
        let mut targets = self.targets.write();
        if let Some(known) = targets.by_name.get(&desc.name) {
            return known.clone();
        }
        let id = targets.free_id();
        let target = Arc::new(Target::new(id, desc.clone(), self.config.history));
        targets.by_id.insert(id, target.clone());
        targets.by_name.insert(desc.name.clone(), target.clone());
        target
    }
}

/// Where the log is: in its place, or where a version without blocks had it.
pub(crate) fn log_folder(folder: &Path) -> io::Result<PathBuf> {
    let (before, now) = (folder.join(LOG_BEFORE), folder.join(LOG));
    let is_ours = |entry: io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|ending| ending == "wal"))
    };
    let is_before = !now.exists() && before.is_dir() && std::fs::read_dir(&before)?.any(is_ours);
    Ok(if is_before { before } else { now })
}

/// Moves the log of a version without blocks to its place.
fn adopt_log(folder: &Path) -> io::Result<()> {
    let (found, now) = (log_folder(folder)?, folder.join(LOG));
    if found == now {
        return Ok(());
    }
    std::fs::rename(found, now)
}

impl Targets {
    fn free_id(&mut self) -> TargetRef {
        loop {
            let id = TargetRef(self.next);
            self.next = (self.next + 1) % TARGETS_MAX;
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("config", &self.config)
            .field("series", &self.series_count())
            .finish()
    }
}

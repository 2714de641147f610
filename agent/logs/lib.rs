//! Tails log files and keeps their lines: discover ▸ tail ▸ join ▸ parse ▸ batches ▸ ship ▸ local segments.
//!
//! Every line once, also when the process is killed at any time: a line and the place reached in its file are one
//! append. Two threads, nothing asynchronous per line; while lines cannot be kept, reading waits, and the log files
//! are the buffer. Searching needs no running agent.

mod account;
mod batch;
mod bell;
mod board;
mod checkup;
mod config;
mod cri;
mod draft;
mod folders;
mod follow;
mod glob;
mod join;
mod level;
mod lines;
mod mark;
mod reader;
mod search;
mod segment;
mod ship;
mod source;
mod tail;
mod time;
mod watch;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::view::{LogPage, LogQuery, LogState};
use model::{Clock, Ledger};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use config::{Config, ReadFrom, Retention};
pub use follow::Follower;
pub use search::search;

use account::Account;
use batch::Batch;
use bell::Bell;
use board::Board;
use reader::Reader;
use segment::write::{Kept, Limits, Writer};
use ship::{Queue, Shipper};

/// Batches between the two threads; when they are all full, reading waits.
const QUEUE_BATCHES: usize = 2;
/// Changes are gathered for so long before they are looked at: a busy file is read in pieces and not line by line.
const GATHER: Duration = Duration::from_millis(40);

/// Why the room cannot start, or a search not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Config(String),
    #[error("opening log segments in {}", folder.display())]
    Open { folder: PathBuf, source: io::Error },
    #[error("searching log segments in {}", folder.display())]
    Search { folder: PathBuf, source: io::Error },
}

/// The room, ready to run.
pub struct Logs {
    shared: Arc<Shared>,
    reader: Reader<Queue>,
    shipper: Shipper<Writer>,
    clock: Arc<dyn Clock>,
}

/// What the rest of the house asks the room; cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    account: Arc<Account>,
    board: Arc<Board>,
    limits: Arc<Mutex<Limits>>,
    /// A configuration that the reader has not taken up yet.
    config: Mutex<Option<Config>>,
    bell: Bell,
    halt: Bell,
}

impl Logs {
    /// Opens the segments in `data_folder`. Nothing below `own_data_dir` is ever read as a log.
    ///
    /// # Errors
    /// A value in the configuration that cannot work, or a folder that cannot be written.
    pub fn new(
        config: Config,
        data_folder: PathBuf,
        own_data_dir: PathBuf,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, Error> {
        config.check().map_err(Error::Config)?;
        let limits = Arc::new(Mutex::new(limits(&config)));
        let opened = Writer::open(&data_folder, Arc::clone(&limits), clock.now());
        let (segments, kept) = opened.map_err(|source| Error::Open {
            folder: data_folder.clone(),
            source,
        })?;
        raise_descriptors();
        let shared = Arc::new(Shared {
            folder: data_folder,
            account: Arc::new(Account::new(registry)),
            board: Arc::new(Board::default()),
            limits,
            config: Mutex::new(None),
            bell: Bell::default(),
            halt: Bell::default(),
        });
        let (batches, inbox) = sync_channel(QUEUE_BATCHES); // full: reading waits, the log files are the buffer
        let (spare, spares) = sync_channel(QUEUE_BATCHES); // full: the memory is freed
        Ok(Self {
            reader: reader(config, &own_data_dir, kept, (batches, spares), &shared),
            shipper: Shipper {
                sink: segments,
                inbox,
                spare,
                room: shared.bell.clone(),
                halt: shared.halt.clone(),
                account: Arc::clone(&shared.account),
                board: Arc::clone(&shared.board),
                clock: Arc::clone(&clock),
            },
            shared,
            clock,
        })
    }

    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Runs until `stop`; then reading ends, what has been read is kept, and the segment is synced.
    pub async fn run(self, stop: CancellationToken) {
        let shared = self.shared;
        let descriptor = self.reader.folders().descriptor();
        let shipper = self.shipper;
        let Some(shipping) = thread("logs-ship", move || shipper.run()) else {
            return;
        };
        let (reader, clock) = (self.reader, self.clock);
        let reading = {
            let shared = Arc::clone(&shared);
            thread("logs-read", move || read(reader, &shared, &*clock))
        };
        ring_on_events(descriptor, &shared.bell, &stop).await;
        stop.cancelled().await;
        shared.bell.stop();
        shared.halt.stop();
        let ended = tokio::task::spawn_blocking(move || {
            // The reader first: the shipper runs until the reader's end of the queue is gone.
            let reading = reading.is_none_or(|reading| reading.join().is_ok());
            reading && shipping.join().is_ok()
        });
        if !matches!(ended.await, Ok(true)) {
            error!("a thread of the log room has failed");
        }
    }
}

impl Handle {
    #[must_use]
    pub fn state(&self) -> LogState {
        LogState {
            files: self.0.board.files(),
            lines: self.0.account.kept(),
            bytes_on_disk: self.0.board.bytes_on_disk(),
        }
    }

    /// Whether every folder has been looked at since the start: a file that is there by now is followed, even
    /// if it is rotated away in the next moment.
    #[must_use]
    pub fn looked(&self) -> bool {
        self.0.board.looked.load(Ordering::Relaxed)
    }

    /// Blocks while it reads from the disk: call it from a thread that may.
    ///
    /// # Errors
    /// The segments cannot be read.
    pub fn search(&self, query: &LogQuery) -> Result<LogPage, Error> {
        search(&self.0.folder, query)
    }

    /// Whether the disk does not take lines, so that reading waits.
    pub(crate) fn is_blocked(&self) -> bool {
        self.0.account.ship_blocked.get() > 0.0
    }

    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.account.ledger()
    }

    /// Takes up another configuration while running; nothing that is being read is read twice.
    ///
    /// # Errors
    /// A value that cannot work; the old configuration stays.
    pub fn apply(&self, config: Config) -> Result<(), Error> {
        config.check().map_err(Error::Config)?;
        *self.0.limits.lock() = limits(&config);
        *self.0.config.lock() = Some(config);
        self.0.bell.ring();
        Ok(())
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        segment_bytes: config.segment_bytes,
        retention: config.retention,
        compress: config.compress,
    }
}

fn reader(
    config: Config,
    own: &Path,
    kept: Kept,
    (batches, spare): (SyncSender<Batch>, Receiver<Batch>),
    shared: &Shared,
) -> Reader<Queue> {
    let (account, board) = (Arc::clone(&shared.account), Arc::clone(&shared.board));
    let outlet = Queue { batches, spare };
    Reader::new(config, own, kept, outlet, account, board, Instant::now())
}

/// The reader's thread.
fn read(mut reader: Reader<Queue>, shared: &Shared, clock: &dyn Clock) {
    while !shared.bell.stopped() {
        if let Some(config) = shared.config.lock().take() {
            reader.apply(config, Instant::now());
        }
        let rest = reader.turn(Instant::now(), clock.now());
        shared.board.looked.store(true, Ordering::Relaxed);
        if !rest.is_zero() {
            shared.bell.wait(rest);
        }
    }
    reader.finish();
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .inspect_err(|error| error!(%error, name, "thread cannot be started"))
        .ok()
}

/// Wakes the reader when inotify has something to tell, but not more often than it pays.
async fn ring_on_events(descriptor: Option<Arc<OwnedFd>>, bell: &Bell, stop: &CancellationToken) {
    let Some(descriptor) = descriptor else { return };
    loop {
        // Registered anew each time: while the reader gathers, events wake nobody.
        #[expect(
            deprecated,
            reason = "its successor is unsafe because a descriptor might be closed too early; an Arc<OwnedFd> is not"
        )]
        let events = AsyncFd::with_interest(Arc::clone(&descriptor), Interest::READABLE);
        let Ok(events) = events else { return };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ready = events.readable() => if ready.is_err() { return },
        }
        drop(events);
        bell.ring();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(GATHER) => {}
        }
    }
}

/// Every followed file is held open, so that a deleted one can still be read to its end.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let want = limit.maximum.unwrap_or(u64::MAX).min(65_536);
    if limit.current.is_some_and(|current| current < want) {
        limit.current = Some(want);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
}

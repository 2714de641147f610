//! Ships batches to OpenSearch: several on their way, and the watermarks move behind the oldest that is not settled.
//!
//! The log files are the buffer: when enough is on its way, reading waits. Watermarks are a log of their own, on the
//! disk within a second; while the disk takes none they stay in memory, and a restart sends more again, which OpenSearch
//! knows by its ids.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};
use model::{BoxFuture, Clock};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::flight::{Destination, Landed};
use super::setup;
use crate::account::Loss;
use crate::batch::Batch;
use crate::bell::Bell;
use crate::mark::{FileId, FileMark};
use crate::reader::Outlet;
use crate::segment::write::Writer;

/// Text of a batch: about a request of 4 MiB before it is packed.
pub(crate) const BATCH_BYTES: usize = 1 << 20;
/// What was acknowledged is on the disk after this at the latest.
const SYNC: Duration = Duration::from_secs(1);
/// For what is on its way when the process is told to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// The reader's end of the queue.
pub(crate) struct Channel {
    pub(crate) batches: mpsc::Sender<Batch>,
    pub(crate) spare: std::sync::mpsc::Receiver<Batch>,
}

impl Outlet for Channel {
    fn offer(&mut self, batch: Batch) -> Result<(), Batch> {
        self.batches
            .try_send(batch)
            .map_err(mpsc::error::TrySendError::into_inner)
    }

    fn push(&mut self, batch: Batch) {
        // When the shipper is gone the batch is not kept, and so read again at the next start.
        _ = self.batches.blocking_send(batch);
    }

    fn spare(&mut self) -> Option<Batch> {
        self.spare.try_recv().ok()
    }
}

pub(crate) struct Shipper {
    pub(crate) destination: Arc<Destination>,
    pub(crate) inbox: mpsc::Receiver<Batch>,
    pub(crate) spare: std::sync::mpsc::SyncSender<Batch>,
    pub(crate) marks: Marks,
    /// Rung when there is room in the queue again.
    pub(crate) room: Bell,
}

impl Shipper {
    /// Runs until the reader has let go of its end of the queue, and a moment longer for what is on its way.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = setup::prepare(&self.destination) => {}
            () = stop.cancelled() => return,
        }
        // One more than may be sent at a time, so that one is being encoded meanwhile.
        let window = self.destination.config.requests_max + 1;
        let mut flights: FuturesOrdered<BoxFuture<'static, Landed>> = FuturesOrdered::new();
        let mut begun = std::collections::VecDeque::new();
        let mut tick = interval(SYNC);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_open = true;
        let stopped = stop.cancelled_owned();
        let farewell = async move {
            stopped.await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::pin!(farewell);
        while is_open || !flights.is_empty() {
            tokio::select! {
                biased;
                Some(landed) = flights.next(), if !flights.is_empty() => {
                    begun.pop_front();
                    self.land(landed);
                }
                batch = self.inbox.recv(), if is_open && flights.len() < window => match batch {
                    Some(batch) => {
                        self.room.ring();
                        self.marks.begin(&batch.new_files);
                        begun.push_back(Instant::now());
                        flights.push_back(Box::pin(Arc::clone(&self.destination).fly(batch)));
                    }
                    None => is_open = false,
                },
                _ = tick.tick() => {
                    self.marks.sync(&self.destination);
                    let oldest = begun.front().map_or(0.0, |begun: &Instant| begun.elapsed().as_secs_f64());
                    self.destination.counts.unacknowledged(oldest);
                }
                () = &mut farewell => {
                    warn!(
                        sink = self.destination.config.name,
                        batches = flights.len(),
                        "stopping with log lines not acknowledged; they are read again"
                    );
                    break;
                }
            }
        }
        self.marks.sync(&self.destination);
    }

    fn land(&mut self, landed: Landed) {
        let Landed {
            mut batch,
            stored,
            letters,
        } = landed;
        self.marks.add(&batch.marks);
        let account = &self.destination.account;
        account.give(stored, batch.text.len() as u64);
        account.give_up(Loss::DeadLetter, letters);
        batch.clear(BATCH_BYTES);
        // With nobody to take it, it is just freed.
        _ = self.spare.try_send(batch);
    }
}

/// The watermarks of a sink that keeps its lines elsewhere.
pub(crate) struct Marks {
    log: Writer,
    clock: Arc<dyn Clock>,
    /// Acknowledged and not yet in the log.
    waiting: HashMap<FileId, FileMark>,
    is_failing: bool,
}

impl Marks {
    pub(crate) fn new(log: Writer, clock: Arc<dyn Clock>) -> Self {
        Self {
            log,
            clock,
            waiting: HashMap::new(),
            is_failing: false,
        }
    }

    /// Notes files before their first line is sent, so that it has the same id if it has to be sent again.
    fn begin(&mut self, files: &[FileMark]) {
        if !files.is_empty() {
            for mark in files {
                self.waiting.entry(mark.id).or_insert_with(|| mark.clone());
            }
            // A failure is told by the next sync.
            _ = self.append();
        }
    }

    fn add(&mut self, marks: &[FileMark]) {
        for mark in marks {
            self.waiting.insert(mark.id, mark.clone());
        }
    }

    fn append(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let batch = Batch {
            marks: self.waiting.values().cloned().collect(),
            ..Batch::default()
        };
        self.log.append(&batch, self.clock.now())?;
        self.waiting.clear();
        Ok(())
    }

    fn sync(&mut self, destination: &Destination) {
        let done = self.append().and_then(|()| self.log.sync());
        match done {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                info!(
                    sink = destination.config.name,
                    "places reached in log files are on the disk again"
                );
            }
            Ok(()) => {}
            Err(error) => {
                destination.counts.checkpoint_failed(1);
                if !std::mem::replace(&mut self.is_failing, true) {
                    warn!(
                        sink = destination.config.name,
                        %error,
                        "places reached in log files cannot be written; a restart would send lines again"
                    );
                }
            }
        }
    }
}

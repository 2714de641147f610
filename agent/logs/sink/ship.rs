//! Ships batches: several on their way, and the watermarks move behind the oldest that is not settled.
//!
//! The log files are the buffer: when enough is on its way, reading waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};
use model::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::Common;
use super::marks::{Clerk, Marks};
use crate::account::Loss;
use crate::batch::Batch;
use crate::bell::Bell;
use crate::reader::Outlet;

/// Text of a batch: about a request of 4 MiB before it is packed.
pub(crate) const BATCH_BYTES: usize = 1 << 20;
/// Between two looks at what is on its way.
const LOOK: Duration = Duration::from_secs(1);
/// For what is on its way when the process is told to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// Where batches fly to.
pub(crate) trait Destination: Send + Sync + 'static {
    fn common(&self) -> &Common;

    /// Its address, for people.
    fn target(&self) -> String;

    /// Requests that may be under way at a time.
    fn requests_max(&self) -> usize;

    /// Batches that may be under way at a time: one more than requests, so that one is being encoded meanwhile.
    fn batches_max(&self) -> usize {
        self.requests_max() + 1
    }

    /// Returns when lines can be sent.
    fn prepare(&self) -> BoxFuture<'_, ()>;

    /// Sends a batch, and what was not taken again. Nothing but the end of the process ends it before every record is settled.
    fn fly(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Landed>;
}

/// A batch of which every record is settled.
pub(crate) struct Landed {
    pub(crate) batch: Batch,
    pub(crate) stored: u64,
    pub(crate) letters: u64,
}

/// The reader's end of the queue.
pub(crate) struct Channel {
    pub(crate) batches: mpsc::Sender<Batch>,
    pub(crate) spare: Receiver<Batch>,
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
    pub(crate) destination: Arc<dyn Destination>,
    pub(crate) inbox: mpsc::Receiver<Batch>,
    pub(crate) spare: SyncSender<Batch>,
    pub(crate) clerk: Clerk,
    /// Rung when there is room in the queue again.
    pub(crate) room: Bell,
}

impl Shipper {
    /// Runs until the reader has let go of its end of the queue, and a moment longer for what is on its way.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = self.destination.prepare() => {}
            () = stop.cancelled() => return,
        }
        let Self {
            destination,
            mut inbox,
            spare,
            clerk,
            room,
        } = self;
        let marks = clerk.marks.clone();
        let writing = tokio::task::spawn_blocking(move || clerk.run());
        // Also when this task is let go: nothing else ends that thread.
        let closing = Closing(marks.clone());
        let window = destination.batches_max();
        let common = destination.common();
        let mut flights: FuturesOrdered<BoxFuture<'static, Landed>> = FuturesOrdered::new();
        let mut begun = VecDeque::new();
        let mut tick = interval(LOOK);
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
                    land(common, &marks, &spare, landed);
                }
                batch = inbox.recv(), if is_open && flights.len() < window => match batch {
                    Some(batch) => {
                        room.ring();
                        let noted = marks.begin(&batch.new_files, &batch.days);
                        begun.push_back(Instant::now());
                        flights.push_back(Box::pin(fly(Arc::clone(&destination), batch, noted)));
                    }
                    None => is_open = false,
                },
                _ = tick.tick() => {
                    let oldest = begun.front().map_or(0.0, |begun: &Instant| begun.elapsed().as_secs_f64());
                    common.counts.unacknowledged(oldest);
                }
                () = &mut farewell => {
                    warn!(
                        sink = common.name,
                        batches = flights.len(),
                        "stopping with log lines not acknowledged; they are read again"
                    );
                    break;
                }
            }
        }
        drop(closing);
        if writing.await.is_err() {
            error!(
                sink = common.name,
                "the thread that writes places reached in log files has failed"
            );
        }
    }
}

/// Ends the thread that writes watermarks when it is dropped.
struct Closing(Marks);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Sends a batch once its new files are noted.
async fn fly(
    destination: Arc<dyn Destination>,
    batch: Batch,
    noted: Option<oneshot::Receiver<()>>,
) -> Landed {
    if let Some(noted) = noted {
        // The thread that notes them may have ended with the house.
        _ = noted.await;
    }
    destination.fly(batch).await
}

fn land(common: &Common, marks: &Marks, spare: &SyncSender<Batch>, landed: Landed) {
    let Landed {
        mut batch,
        stored,
        letters,
    } = landed;
    marks.add(&batch.marks);
    let account = &common.account;
    account.give(stored, batch.text.len() as u64);
    account.give_up(Loss::DeadLetter, letters);
    batch.clear(BATCH_BYTES);
    // With nobody to take it, it is just freed.
    _ = spare.try_send(batch);
}

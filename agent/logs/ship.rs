//! Ships batches into local segments, on a thread of its own.
//!
//! A batch that cannot be kept is tried again until it can: meanwhile reading waits, and nothing is lost. Batches are
//! kept in order and none is left out, since each one's watermarks vouch for all before it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use model::{Clock, Timestamp};
use tracing::{info, warn};

use crate::account::Account;
use crate::batch::Batch;
use crate::bell::Bell;
use crate::board::Board;
use crate::draft::BATCH_BYTES;
use crate::reader::Outlet;
use crate::segment::write::Writer;

/// What was appended is on the disk after this at the latest.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
const RETAIN_INTERVAL: Duration = Duration::from_secs(60);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// Where batches are kept. A sink moves its watermarks only with what it has kept.
pub(crate) trait Sink {
    /// All of the batch or nothing of it; the same batch comes again after an error.
    fn keep(&mut self, batch: &Batch, now: Timestamp) -> io::Result<()>;

    /// Makes durable what was kept.
    fn sync(&mut self) -> io::Result<()>;

    /// Lets go of what is old. Called now and then.
    fn tidy(&mut self, now: Timestamp) -> io::Result<()>;

    /// Files on the disk, and their bytes.
    fn size(&self) -> (usize, u64);
}

impl Sink for Writer {
    fn keep(&mut self, batch: &Batch, now: Timestamp) -> io::Result<()> {
        self.append(batch, now)
    }

    fn sync(&mut self) -> io::Result<()> {
        Writer::sync(self)
    }

    fn tidy(&mut self, now: Timestamp) -> io::Result<()> {
        self.retain(now)
    }

    fn size(&self) -> (usize, u64) {
        (self.segments(), self.bytes_on_disk())
    }
}

/// The reader's end of the queue.
pub(crate) struct Queue {
    pub(crate) batches: SyncSender<Batch>,
    pub(crate) spare: Receiver<Batch>,
}

impl Outlet for Queue {
    fn offer(&mut self, batch: Batch) -> Result<(), Batch> {
        self.batches.try_send(batch).map_err(|error| match error {
            TrySendError::Full(batch) | TrySendError::Disconnected(batch) => batch,
        })
    }

    fn push(&mut self, batch: Batch) {
        // When the shipper is gone the batch is not kept, and so read again at the next start.
        _ = self.batches.send(batch);
    }

    fn spare(&mut self) -> Option<Batch> {
        self.spare.try_recv().ok()
    }
}

pub(crate) struct Shipper<S> {
    pub(crate) sink: S,
    pub(crate) inbox: Receiver<Batch>,
    pub(crate) spare: SyncSender<Batch>,
    /// Rung when there is room in the queue again.
    pub(crate) room: Bell,
    /// Stopped when waiting for better times has no point any more.
    pub(crate) halt: Bell,
    pub(crate) account: Arc<Account>,
    pub(crate) board: Arc<Board>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl<S: Sink> Shipper<S> {
    /// Runs until the reader has let go of its end of the queue.
    pub(crate) fn run(mut self) {
        let (mut synced, mut retained) = (Instant::now(), Instant::now());
        self.show();
        loop {
            match self.inbox.recv_timeout(SYNC_INTERVAL) {
                Ok(mut batch) => {
                    self.room.ring();
                    if !self.keep(&batch) {
                        return;
                    }
                    batch.clear(BATCH_BYTES);
                    // With nobody to take it, it is just freed.
                    _ = self.spare.try_send(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if synced.elapsed() >= SYNC_INTERVAL {
                self.sync();
                synced = Instant::now();
                self.show();
            }
            if retained.elapsed() >= RETAIN_INTERVAL {
                retained = Instant::now();
                if let Err(error) = self.sink.tidy(self.clock.now()) {
                    warn!(%error, "old log segments cannot be removed");
                }
            }
        }
        self.sync();
        self.show();
    }

    /// False when it could not be kept before the end. Nothing may be kept after that, see above; whatever was not
    /// kept is read again at the next start.
    fn keep(&mut self, batch: &Batch) -> bool {
        let (mut pause, mut failures) = (RETRY_FIRST, 0u32);
        while let Err(error) = self.sink.keep(batch, self.clock.now()) {
            failures += 1;
            self.count_failure(failures, &error);
            if !self.halt.pause(pause) {
                warn!(
                    records = batch.rows.len(),
                    "stopping with log lines not kept; they are read again"
                );
                return false;
            }
            pause = (pause * 2).min(RETRY_MOST);
        }
        if failures > 0 {
            self.account.ship_blocked.set(0.0);
            info!(failures, "log segments can be written again");
        }
        self.account
            .give(batch.rows.len() as u64, batch.text.len() as u64);
        true
    }

    fn count_failure(&self, failures: u32, error: &io::Error) {
        self.account.ship_failures.inc();
        // Once, not at each try.
        if failures == 1 {
            self.account.ship_blocked.set(1.0);
            warn!(%error, "log segments cannot be written; reading waits until they can");
        }
    }

    fn sync(&mut self) {
        if let Err(error) = self.sink.sync() {
            self.account.ship_failures.inc();
            warn!(%error, "log segment cannot be synced to the disk");
        }
    }

    fn show(&self) {
        let (files, bytes) = self.sink.size();
        self.board.bytes_on_disk.store(bytes, Ordering::Relaxed);
        self.account.segment_bytes.set(bytes as f64);
        self.account.segments.set(files as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use parking_lot::Mutex;
    use prometheus::Registry;
    use telemetry::clock::RuntimeClock;

    use super::*;
    use crate::account::Metrics;
    use crate::batch::Row;

    /// A disk that is full for the first few tries.
    struct Full {
        failures: usize,
        kept: Arc<Mutex<Vec<usize>>>,
    }

    impl Sink for Full {
        fn keep(&mut self, batch: &Batch, _: Timestamp) -> io::Result<()> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.kept.lock().push(batch.rows.len());
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn tidy(&mut self, _: Timestamp) -> io::Result<()> {
            Ok(())
        }

        fn size(&self) -> (usize, u64) {
            (0, 0)
        }
    }

    fn ship(failures: usize, stop: bool) -> (Vec<usize>, Arc<Account>) {
        let (batches, inbox) = sync_channel(4);
        let (spare, _spares) = sync_channel(4);
        let account = Arc::new(Account::new(&Metrics::new(&Registry::new()), "full"));
        for records in [3, 1, 2] {
            let rows = vec![Row::default(); records];
            account.take(records as u64);
            let batch = Batch {
                rows,
                ..Batch::default()
            };
            batches.send(batch).unwrap();
        }
        drop(batches);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let halt = Bell::default();
        if stop {
            halt.stop();
        }
        let shipper = Shipper {
            sink: Full {
                failures,
                kept: Arc::clone(&kept),
            },
            inbox,
            spare,
            room: Bell::default(),
            halt,
            account: Arc::clone(&account),
            board: Arc::default(),
            clock: RuntimeClock::system(),
        };
        shipper.run();
        let kept = kept.lock().clone();
        (kept, account)
    }

    #[test]
    fn a_full_disk_delays_and_loses_nothing() {
        let (kept, account) = ship(3, false);
        assert_eq!(kept, [3, 1, 2]);
        let ledger = account.ledger();
        assert_eq!((ledger.given, ledger.in_flight), (6, 0));
        assert_eq!(account.ship_failures.get(), 3);
        assert_eq!(account.ship_blocked.get(), 0.0);
    }

    #[test]
    fn nothing_is_kept_behind_a_batch_that_could_not_be() {
        let (kept, account) = ship(1, true);
        assert_eq!(kept, [0; 0]);
        let ledger = account.ledger();
        assert_eq!((ledger.given, ledger.in_flight), (0, 6));
        assert!(ledger.balances());
    }
}

//! The side of the sender that others hold: the store hands it rows, the page asks it how things stand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::view;
use model::{Clock, Fed, Feed, Ledger};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::queue::{Queue, reason};
use crate::send::status::Status;

/// Rows that wait to be encoded.
pub(crate) const ROWS_MAX: usize = 4_096;
/// Samples in them.
const SAMPLES_MAX: u64 = 4 << 20;

/// Whether samples of a metric of this name are sent.
pub type Forward = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Cheap to clone; all clones are one sender.
#[derive(Clone)]
pub struct SenderHandle(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) statuses: Vec<Mutex<Status>>,
    pub(crate) clock: Arc<dyn Clock>,
    rows: mpsc::Sender<Fed>,
    /// Samples handed over and not encoded yet.
    unencoded: AtomicU64,
    behind: AtomicU64,
    stopped: AtomicU64,
    /// With a number that changes when it does.
    forward: Mutex<(u64, Option<Forward>)>,
}

impl Shared {
    pub(crate) fn new(
        queue: Queue,
        statuses: Vec<Mutex<Status>>,
        clock: Arc<dyn Clock>,
        rows: mpsc::Sender<Fed>,
    ) -> Self {
        Self {
            queue,
            statuses,
            clock,
            rows,
            unencoded: AtomicU64::new(0),
            behind: AtomicU64::new(0),
            stopped: AtomicU64::new(0),
            forward: Mutex::new((0, None)),
        }
    }

    pub(crate) fn encoded(&self, samples: usize) {
        self.unencoded.fetch_sub(samples as u64, Ordering::Relaxed);
    }

    pub(crate) fn forward(&self) -> (u64, Option<Forward>) {
        self.forward.lock().clone()
    }

    /// Reasons with the samples dropped before anything could be encoded, each counted once.
    pub(crate) fn dropped_early(&self) -> [(&'static str, u64); 2] {
        [
            (reason::BEHIND, self.behind.load(Ordering::Relaxed)),
            (reason::STOPPED, self.stopped.load(Ordering::Relaxed)),
        ]
    }
}

impl Feed for SenderHandle {
    fn fed(&self, fed: Fed) {
        let samples = fed.series.len() as u64;
        if self.0.statuses.is_empty() || samples == 0 {
            return;
        }
        let before = self.0.unencoded.fetch_add(samples, Ordering::Relaxed);
        // One row is taken whatever its size.
        let refused = if before > 0 && before + samples > SAMPLES_MAX {
            Some(&self.0.behind)
        } else {
            match self.0.rows.try_send(fed) {
                Ok(()) => None,
                Err(mpsc::error::TrySendError::Full(_)) => Some(&self.0.behind),
                Err(mpsc::error::TrySendError::Closed(_)) => Some(&self.0.stopped),
            }
        };
        if let Some(counter) = refused {
            self.0.unencoded.fetch_sub(samples, Ordering::Relaxed);
            counter.fetch_add(samples, Ordering::Relaxed);
        }
    }
}

impl SenderHandle {
    /// From now on only series are sent whose metric it accepts; none: all. The others are not taken at all.
    pub fn set_forward(&self, forward: Option<Forward>) {
        let mut current = self.0.forward.lock();
        *current = (current.0 + 1, forward);
    }

    /// Samples, once for each destination. What waits to be encoded counts as taken when nothing is filtered, since
    /// nobody knows yet what of it is wanted when something is.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let totals = self.0.queue.totals();
        let destinations = self.0.statuses.len() as u64;
        let is_filtered = self.0.forward.lock().1.is_some();
        let unencoded = if is_filtered {
            0
        } else {
            self.0.unencoded.load(Ordering::Relaxed) * destinations
        };
        let mut dropped: BTreeMap<&'static str, u64> = totals.dropped;
        let mut taken = totals.taken + unencoded;
        for (reason, samples) in self.0.dropped_early() {
            taken += samples * destinations;
            dropped.insert(reason, samples * destinations);
        }
        dropped.insert(reason::FORGOTTEN, totals.forgotten);
        dropped.retain(|_, samples| *samples > 0);
        Ledger {
            things: "samples",
            taken,
            given: totals.given,
            dropped,
            in_flight: totals.waiting + unencoded,
        }
    }

    #[must_use]
    pub fn view(&self) -> Vec<view::Destination> {
        let now = self.0.clock.running();
        let statuses = self.0.statuses.iter().enumerate();
        statuses
            .map(|(nth, status)| {
                let waiting = self.0.queue.waiting(nth);
                status.lock().view(waiting, now)
            })
            .collect()
    }

    /// Everything that was taken has been given or dropped.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.0.unencoded.load(Ordering::Relaxed) == 0 && self.0.queue.is_empty()
    }

    /// Whether everything that was handed over is in the queue; of what is, a dying process loses nothing.
    #[must_use]
    pub fn is_encoded(&self) -> bool {
        self.0.unencoded.load(Ordering::Relaxed) == 0
    }

    /// How full the queue on disk is, from 0 to 1.
    #[must_use]
    pub fn fill(&self) -> f64 {
        self.0.queue.fill()
    }

    /// Bytes that the queue takes on disk.
    #[must_use]
    pub fn bytes_on_disk(&self) -> u64 {
        self.0.queue.disk_bytes()
    }
}

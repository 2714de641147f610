//! The sender: takes what the store keeps, makes blocks of it, and sends each destination all of them, in order.
//!
//! What it has taken into its queue it hands on or counts as dropped, whatever dies. Whoever feeds it never waits.

mod config;
mod destination;
mod encoder;
mod handle;
mod metrics;
mod status;
#[cfg(test)]
mod tests;
mod verdict;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, Files};
use model::{Clock, Describe, Fed};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::queue::{Block, OpenError, Queue};
pub use config::{Config, Destination, Limits, Message};
use encoder::Encoder;
pub use handle::{Forward, SenderHandle};
use handle::{ROWS_MAX, Shared};
use metrics::Metrics;
use status::Status;

/// How often the queue is made safe and cursors are saved.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);
/// How long after the end what is in the queue may still be sent; the rest waits there for the next start.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Samples encoded between two looks at anything else.
const BATCH_SAMPLES: usize = 64 << 10;
/// Bytes of blocks that are written together.
const WRITE_BYTES: usize = 256 << 10;
const FORGET_TICKS: u32 = 60;

pub struct Sender {
    rows: mpsc::Receiver<Fed>,
    shared: Arc<Shared>,
    names: Vec<String>,
    destinations: Vec<destination::Destination>,
    metrics: Arc<Metrics>,
    is_instant: bool,
}

impl Sender {
    /// Opens or creates the queue in `<folder>/remote`. No task is started yet.
    ///
    /// # Errors
    /// The queue cannot be read, or is not ours to read.
    pub fn open(
        destinations: &[Destination],
        limits: Limits,
        files: Arc<dyn Files>,
        folder: &Path,
        client: &Arc<dyn Client>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, OpenError> {
        let mut names: Vec<String> = Vec::new();
        for destination in destinations {
            // Two of one name would be one place in the queue; the configuration's check says so to people.
            let wanted = destination.config.display_name();
            let mut name = wanted.clone();
            let mut nth = 2;
            while names.contains(&name) {
                name = format!("{wanted} {nth}");
                nth += 1;
            }
            names.push(name);
        }
        let is_instant = files.is_instant();
        let Limits {
            bytes_max,
            memory_bytes_max,
        } = limits;
        let queue = Queue::open(files, folder, names.clone(), bytes_max, memory_bytes_max)?;
        let status =
            |(name, whom): (&String, &Destination)| Mutex::new(Status::new(name.clone(), &whom.config));
        let statuses = names.iter().zip(destinations).map(status).collect();
        let (feed, rows) = mpsc::channel(ROWS_MAX); // full: the row is dropped and counted as `behind`
        let shared = Arc::new(Shared::new(queue, statuses, clock, feed));
        let metrics = Arc::new(Metrics::new(registry, &names));
        let destinations = destinations.iter().zip(&names).enumerate();
        let destinations = destinations.map(|(nth, (whom, name))| {
            destination::Destination::new(
                nth,
                name.clone(),
                whom.clone(),
                Arc::clone(&shared),
                Arc::clone(client),
                Arc::clone(&metrics),
                is_instant,
            )
        });
        Ok(Self {
            rows,
            destinations: destinations.collect(),
            shared,
            names,
            metrics,
            is_instant,
        })
    }

    #[must_use]
    pub fn handle(&self) -> SenderHandle {
        SenderHandle(Arc::clone(&self.shared))
    }

    /// Sends until `stop`. Then all that was handed over is in the queue on disk, is sent for a moment more, and how
    /// far each destination came is saved.
    pub async fn run(self, describe: Arc<dyn Describe>, stop: CancellationToken) {
        let drain = CancellationToken::new();
        let mut sending = JoinSet::new();
        for destination in self.destinations {
            sending.spawn(destination.run(drain.clone()));
        }
        let mut writer = Writer {
            shared: Arc::clone(&self.shared),
            names: self.names,
            metrics: self.metrics,
            describe,
            is_instant: self.is_instant,
            encoder: Encoder::new(),
            forward_version: 0,
            ticks: 0,
        };
        let mut rows = self.rows;
        let mut tick = self.shared.clock.sleep(TIDY_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = &mut tick => {
                    writer = writer.tidy().await;
                    tick = self.shared.clock.sleep(TIDY_INTERVAL);
                }
                Some(row) = rows.recv() => writer = writer.write(batch(row, &mut rows)).await,
                Some(ended) = sending.join_next() => raise(ended),
            }
        }
        rows.close();
        while let Some(row) = rows.recv().await {
            writer = writer.write(batch(row, &mut rows)).await;
        }
        // What follows may be cut short; what was taken is safe first.
        writer = writer.tidy().await;
        drain.cancel();
        let last_words = self.shared.clock.sleep(LAST_WORDS);
        tokio::pin!(last_words);
        loop {
            tokio::select! {
                biased;
                ended = sending.join_next() => match ended {
                    Some(ended) => raise(ended),
                    None => break,
                },
                () = &mut last_words => break,
            }
        }
        sending.shutdown().await;
        writer.tidy().await;
    }
}

/// A task never ends by itself; if it did by a panic, so does the sender.
fn raise(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

fn batch(first: Fed, rows: &mut mpsc::Receiver<Fed>) -> Vec<Fed> {
    let mut samples = first.series.len();
    let mut batch = vec![first];
    while samples < BATCH_SAMPLES {
        let Ok(row) = rows.try_recv() else { break };
        samples += row.series.len();
        batch.push(row);
    }
    batch
}

/// Who encodes rows and writes them to the queue; away from the runtime where that may wait for a disk.
struct Writer {
    shared: Arc<Shared>,
    names: Vec<String>,
    metrics: Arc<Metrics>,
    describe: Arc<dyn Describe>,
    is_instant: bool,
    encoder: Encoder,
    forward_version: u64,
    ticks: u32,
}

impl Writer {
    async fn write(mut self, rows: Vec<Fed>) -> Self {
        off(self.is_instant, move || {
            self.write_now(&rows);
            self
        })
        .await
    }

    fn write_now(&mut self, rows: &[Fed]) {
        let started = self.shared.clock.running();
        let (version, forward) = self.shared.forward();
        if version != self.forward_version {
            self.forward_version = version;
            self.encoder.forget_all();
        }
        let (mut blocks, mut bytes, mut forgotten, mut samples) = (Vec::new(), 0, 0, 0);
        for row in rows {
            let before = blocks.len();
            forgotten += self
                .encoder
                .encode(row, &*self.describe, forward.as_ref(), started, &mut blocks);
            bytes += blocks
                .iter()
                .skip(before)
                .map(|block: &Block| block.bytes.len())
                .sum::<usize>();
            samples += row.series.len();
            if bytes >= WRITE_BYTES {
                self.shared.queue.push(std::mem::take(&mut blocks), forgotten);
                self.shared.encoded(samples);
                (bytes, forgotten, samples) = (0, 0, 0);
            }
        }
        self.shared.queue.push(blocks, forgotten);
        self.shared.encoded(samples);
        let took = self.shared.clock.running().saturating_sub(started);
        self.metrics.encode_duration.observe(took.as_secs_f64());
    }

    async fn tidy(mut self) -> Self {
        off(self.is_instant, move || {
            self.shared.queue.tidy();
            self.ticks += 1;
            if self.ticks.is_multiple_of(FORGET_TICKS) {
                self.encoder.forget_unused(self.shared.clock.running());
            }
            self.metrics.refresh(&self.shared, &self.names, &self.encoder);
            self
        })
        .await
    }
}

/// Does what may wait for a disk: on another thread, unless this disk never makes anybody wait.
async fn off<T: Send + 'static>(is_instant: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
    if is_instant {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going away, and everything in it.
        Err(_) => std::future::pending().await,
    }
}

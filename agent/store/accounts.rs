//! Where every sample went: the ledger, and the room's metrics.

use blocks::{Counts, Meta};
use model::column::Kept;
use model::{KeepError, Ledger, Timestamp};
use parking_lot::Mutex;
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge, histogram};

use crate::target::Points;

/// Why a sample that was handed in is not kept: first the refusals, then what provisional points gave way to.
const REASONS: [&str; 8] = [
    "out_of_order",
    "duplicate",
    "unknown",
    "provisional_full",
    "replaced",
    "filled",
    "retired",
    "expired",
];
const REFUSALS: usize = 4;

#[derive(Debug)]
pub(crate) struct Accounts {
    ledger: Mutex<Sums>,
    samples: IntCounter,
    /// In the order of [`REASONS`]; there from the start, since a counter that appears with its first drop hides that
    /// drop from `increase`.
    dropped: Vec<IntCounter>,
    ended: IntCounter,
    provisional: Gauge,
    settled: IntCounter,
    pub(crate) series: Gauge,
    pub(crate) targets: Gauge,
    pub(crate) memory_bytes: Gauge,
    pub(crate) oldest: Gauge,
    pub(crate) created: IntCounter,
    pub(crate) removed: IntCounter,
    pub(crate) refused: IntCounterVec,
    pub(crate) shared: IntCounter,
    pub(crate) evicted_blocks: IntCounter,
    pub(crate) wal: WalAccounts,
    pub(crate) sealing: SealingAccounts,
}

#[derive(Debug, Default)]
struct Sums {
    taken: u64,
    kept: u64,
    /// In the order of [`REASONS`].
    dropped: [u64; REASONS.len()],
    /// Points that are neither samples nor dropped.
    provisional: u64,
}

/// What the write-ahead log says of itself.
#[derive(Clone, Debug)]
pub(crate) struct WalAccounts {
    pub(crate) bytes: Gauge,
    pub(crate) segments: Gauge,
    pub(crate) dropped: IntCounterVec,
    pub(crate) failures: IntCounter,
    pub(crate) sync_seconds: Histogram,
    pub(crate) restored: IntCounter,
    pub(crate) corrupt: IntCounter,
    pub(crate) lost: IntCounterVec,
    pub(crate) missing_segments: IntCounter,
    pub(crate) refused: IntCounter,
    pub(crate) removed_segments: IntCounterVec,
}

impl Accounts {
    pub(crate) fn new(registry: &Registry) -> Self {
        let reason: &[&str] = &["reason"];
        let c = |name, help| counter(registry, name, help);
        let g = |name, help| gauge(registry, name, help);
        let cs = |name, help| counters(registry, name, help, reason);
        let refused = cs(
            "skopos_store_dropped_total",
            "Samples that were handed in and not kept.",
        );
        let gone = cs(
            "skopos_store_provisional_dropped_total",
            "Provisional points that were kept and gave way, by what they gave way to.",
        );
        let series = cs(
            "skopos_store_refused_series_total",
            "Times that a series was refused.",
        );
        for reason in KeepError::REASONS {
            series.with_label_values(&[reason]);
        }
        let (refusals, ways) = REASONS.split_at(REFUSALS);
        let refusals = refusals
            .iter()
            .map(|reason| refused.with_label_values(&[*reason]));
        let ways = ways.iter().map(|reason| gone.with_label_values(&[*reason]));
        let dropped = refusals.chain(ways).collect();
        Self {
            ledger: Mutex::default(),
            samples: c("skopos_store_samples_total", "Samples kept."),
            dropped,
            ended: c(
                "skopos_store_ended_series_total",
                "Series that ended with a stale marker.",
            ),
            provisional: g(
                "skopos_store_provisional_samples",
                "Provisional points that are not decided yet.",
            ),
            settled: c(
                "skopos_store_settled_samples_total",
                "Provisional points that became samples.",
            ),
            series: g("skopos_store_series", "Series held now."),
            targets: g("skopos_store_targets", "Targets held now."),
            memory_bytes: g("skopos_store_samples_bytes", "Memory that samples take."),
            oldest: g(
                "prometheus_tsdb_lowest_timestamp_seconds",
                "Time of the oldest sample, in memory or in a block.",
            ),
            created: c(
                "skopos_store_created_series_total",
                "Series seen for the first time.",
            ),
            removed: c(
                "skopos_store_removed_series_total",
                "Series forgotten after the retention.",
            ),
            refused: series,
            shared: c(
                "skopos_store_shared_series_total",
                "New series whose labels another target already has.",
            ),
            evicted_blocks: c(
                "skopos_store_evicted_blocks_total",
                "Blocks let go before the retention because samples took too much memory.",
            ),
            wal: WalAccounts::new(registry),
            sealing: SealingAccounts::new(registry),
        }
    }

    /// Counts a commit, and what became of provisional points.
    pub(crate) fn took(&self, kept: &Kept, points: &Points) {
        let refused = [kept.out_of_order, kept.duplicate, kept.unknown, kept.refused].map(count);
        let gone = [points.replaced, points.filled, points.retired, points.expired].map(count);
        let (said, settled) = (count(points.said), count(points.settled));
        let samples = count(kept.kept) - said;
        let provisional = {
            let mut sums = self.ledger.lock();
            sums.kept += samples + settled;
            sums.taken += samples + said + refused.iter().sum::<u64>();
            sums.provisional += said;
            sums.provisional -= settled + gone.iter().sum::<u64>();
            let dropped = refused.iter().chain(&gone);
            sums.dropped
                .iter_mut()
                .zip(dropped)
                .for_each(|(sum, number)| *sum += number);
            sums.provisional
        };
        self.provisional.set(provisional as f64);
        self.samples.inc_by(samples + settled);
        self.settled.inc_by(settled);
        self.ended.inc_by(count(kept.ended + points.ended));
        for (counter, number) in self.dropped.iter().zip(refused.iter().chain(&gone)) {
            counter.inc_by(*number);
        }
    }

    /// What came from the log and is still to be decided is taken anew.
    pub(crate) fn restored(&self, points: usize) {
        let mut sums = self.ledger.lock();
        sums.taken += count(points);
        sums.provisional += count(points);
        self.provisional.set(sums.provisional as f64);
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let sums = self.ledger.lock();
        Ledger {
            things: "samples",
            taken: sums.taken,
            given: sums.kept,
            dropped: REASONS.into_iter().zip(sums.dropped).collect(),
            in_flight: sums.provisional,
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What the blocks on disk say of themselves.
#[derive(Debug)]
pub(crate) struct SealingAccounts {
    pub(crate) windows: IntCounter,
    pub(crate) failures: IntCounter,
    blocks: Gauge,
    bytes: Gauge,
    samples: Gauge,
    broken: Gauge,
    broken_removed: IntCounter,
    compactions: IntCounter,
    pub(crate) compactions_failed: IntCounter,
    expired: IntCounterVec,
}

impl SealingAccounts {
    fn new(registry: &Registry) -> Self {
        let expired = counters(
            registry,
            "skopos_store_expired_blocks_total",
            "Blocks let go for their age, or for the size of all of them.",
            &["reason"],
        );
        for reason in ["age", "size"] {
            expired.with_label_values(&[reason]);
        }
        let c = |name, help| counter(registry, name, help);
        let g = |name, help| gauge(registry, name, help);
        Self {
            windows: c(
                "skopos_store_sealed_windows_total",
                "Windows of two hours written from memory to a block on disk.",
            ),
            failures: c(
                "skopos_store_seal_failures_total",
                "Times that a window could not be written; it stays in memory and in the log.",
            ),
            blocks: g("skopos_store_blocks", "Blocks on disk."),
            bytes: g("skopos_store_blocks_bytes", "Size of the blocks on disk."),
            samples: g("skopos_store_blocks_samples", "Samples in the blocks on disk."),
            broken: g(
                "skopos_store_broken_blocks",
                "Blocks that cannot be read: set aside as <ulid>.broken, or left out until the next start.",
            ),
            broken_removed: c(
                "skopos_store_broken_blocks_removed_total",
                "Blocks set aside as <ulid>.broken that were let go: more than three, or older than the retention.",
            ),
            compactions: c(
                "skopos_store_compactions_total",
                "Times that several blocks were made one.",
            ),
            compactions_failed: c(
                "skopos_store_compaction_failures_total",
                "Times that blocks could not be made one; they are as they were.",
            ),
            expired,
        }
    }

    /// Of blocks that were let go, those that are not older than `cutoff` went for their size.
    pub(crate) fn let_go(&self, gone: &[Meta], cutoff: Timestamp) {
        for meta in gone {
            let reason = if meta.max_time <= cutoff { "age" } else { "size" };
            self.expired.with_label_values(&[reason]).inc();
        }
    }

    pub(crate) fn show(&self, counts: &Counts) {
        self.blocks.set(counts.blocks as f64);
        self.bytes.set(counts.bytes as f64);
        self.samples.set(counts.samples as f64);
        self.broken.set((counts.aside + counts.unreadable) as f64);
        for (counter, now) in [
            (&self.compactions, counts.compacted),
            (&self.compactions_failed, counts.compactions_failed),
            (&self.broken_removed, counts.aside_removed),
        ] {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
    }
}

impl WalAccounts {
    pub(crate) fn new(registry: &Registry) -> Self {
        let reason: &[&str] = &["reason"];
        let c = |name, help| counter(registry, name, help);
        let g = |name, help| gauge(registry, name, help);
        let cs = |name, help| counters(registry, name, help, reason);
        Self {
            bytes: g("skopos_store_wal_bytes", "Size of the write-ahead log on disk."),
            segments: g("skopos_store_wal_segments", "Files of the write-ahead log."),
            dropped: cs(
                "skopos_store_wal_dropped_total",
                "Samples that are kept in memory and are missing in the write-ahead log.",
            ),
            failures: c(
                "skopos_store_wal_failures_total",
                "Writes to the write-ahead log that failed.",
            ),
            sync_seconds: histogram(
                registry,
                "skopos_store_wal_sync_seconds",
                "How long the disk took to make the write-ahead log safe.",
            ),
            restored: c(
                "skopos_store_wal_restored_samples_total",
                "Samples read back from the write-ahead log at start.",
            ),
            corrupt: c(
                "skopos_store_wal_corrupt_total",
                "Places in the write-ahead log from which the rest of a file could not be read.",
            ),
            lost: cs(
                "skopos_store_wal_lost_bytes_total",
                "Bytes of the write-ahead log that could not be read at start: a torn end, or what follows a broken place.",
            ),
            missing_segments: c(
                "skopos_store_wal_missing_segments_total",
                "Files of the write-ahead log that were not there at start, though older ones were.",
            ),
            refused: c(
                "skopos_store_wal_refused_samples_total",
                "Samples in the write-ahead log whose series the limits no longer let in at start.",
            ),
            removed_segments: cs(
                "skopos_store_wal_removed_segments_total",
                "Files of the write-ahead log removed, for their age or for the log's size.",
            ),
        }
    }
}

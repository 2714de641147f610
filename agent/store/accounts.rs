//! Where every sample went: the ledger, and the room's metrics.

use std::collections::BTreeMap;

use model::Ledger;
use model::column::Kept;
use parking_lot::Mutex;
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge, histogram};

pub(crate) const OUT_OF_ORDER: &str = "out_of_order";
pub(crate) const DUPLICATE: &str = "duplicate";
pub(crate) const UNKNOWN: &str = "unknown";

#[derive(Debug)]
pub(crate) struct Accounts {
    ledger: Mutex<Sums>,
    samples: IntCounter,
    dropped: IntCounterVec,
    ended: IntCounter,
    pub(crate) series: Gauge,
    pub(crate) targets: Gauge,
    pub(crate) memory_bytes: Gauge,
    pub(crate) created: IntCounter,
    pub(crate) removed: IntCounter,
    pub(crate) refused: IntCounterVec,
    pub(crate) shared: IntCounter,
    pub(crate) evicted_blocks: IntCounter,
    pub(crate) wal: WalAccounts,
}

#[derive(Debug, Default)]
struct Sums {
    taken: u64,
    kept: u64,
    out_of_order: u64,
    duplicate: u64,
    unknown: u64,
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
    pub(crate) removed_segments: IntCounterVec,
}

impl Accounts {
    pub(crate) fn new(registry: &Registry) -> Self {
        let reason: &[&str] = &["reason"];
        let c = |name, help| counter(registry, name, help);
        let g = |name, help| gauge(registry, name, help);
        let cs = |name, help| counters(registry, name, help, reason);
        Self {
            ledger: Mutex::default(),
            samples: c("skopos_store_samples_total", "Samples kept."),
            dropped: cs(
                "skopos_store_dropped_total",
                "Samples that were handed in and not kept.",
            ),
            ended: c(
                "skopos_store_ended_series_total",
                "Series that ended with a stale marker.",
            ),
            series: g("skopos_store_series", "Series held now."),
            targets: g("skopos_store_targets", "Targets held now."),
            memory_bytes: g("skopos_store_samples_bytes", "Memory that samples take."),
            created: c(
                "skopos_store_created_series_total",
                "Series seen for the first time.",
            ),
            removed: c(
                "skopos_store_removed_series_total",
                "Series forgotten after the retention.",
            ),
            refused: cs(
                "skopos_store_refused_series_total",
                "Times that a series was refused.",
            ),
            shared: c(
                "skopos_store_shared_series_total",
                "New series whose labels another target already has.",
            ),
            evicted_blocks: c(
                "skopos_store_evicted_blocks_total",
                "Blocks let go before the retention because samples took too much memory.",
            ),
            wal: WalAccounts::new(registry),
        }
    }

    pub(crate) fn commit(&self, kept: &Kept) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let refused = [
            (OUT_OF_ORDER, count(kept.out_of_order)),
            (DUPLICATE, count(kept.duplicate)),
            (UNKNOWN, count(kept.unknown)),
        ];
        {
            let mut sums = self.ledger.lock();
            sums.kept += count(kept.kept);
            sums.out_of_order += count(kept.out_of_order);
            sums.duplicate += count(kept.duplicate);
            sums.unknown += count(kept.unknown);
            sums.taken += count(kept.kept) + refused.iter().map(|(_, number)| number).sum::<u64>();
        }
        self.samples.inc_by(count(kept.kept));
        self.ended.inc_by(count(kept.ended));
        // Also by zero: a counter that appears with its first drop hides that drop from `increase`.
        for (reason, number) in refused {
            self.dropped.with_label_values(&[reason]).inc_by(number);
        }
    }

    pub(crate) fn retired(&self, ended: usize) {
        self.ended.inc_by(u64::try_from(ended).unwrap_or(u64::MAX));
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let sums = self.ledger.lock();
        Ledger {
            things: "samples",
            taken: sums.taken,
            given: sums.kept,
            dropped: BTreeMap::from([
                (OUT_OF_ORDER, sums.out_of_order),
                (DUPLICATE, sums.duplicate),
                (UNKNOWN, sums.unknown),
            ]),
            in_flight: 0,
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
            removed_segments: cs(
                "skopos_store_wal_removed_segments_total",
                "Files of the write-ahead log removed, for their age or for the log's size.",
            ),
        }
    }
}

//! What became of what was received, as an account and as metrics.

use model::Ledger;
use model::column::Kept;
use parking_lot::Mutex;
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge, histogram};

use super::intake::Counts;

pub(crate) struct Account {
    ledger: Mutex<Ledger>,
    pub(crate) requests: IntCounterVec,
    pub(crate) refused: IntCounterVec,
    pub(crate) bytes: IntCounter,
    pub(crate) duration: Histogram,
    pub(crate) decoding: Gauge,
    pub(crate) senders: Gauge,
    pub(crate) silent: Gauge,
    pub(crate) series: Gauge,
    pub(crate) cache: Gauge,
    samples: IntCounter,
    dropped: IntCounterVec,
    exemplars: IntCounter,
    exemplars_dropped: IntCounterVec,
    renamed: IntCounter,
    resolved: IntCounter,
}

impl Account {
    pub(crate) fn new(registry: &Registry) -> Self {
        let ledger = Ledger {
            things: "samples",
            ..Ledger::default()
        };
        Self {
            ledger: Mutex::new(ledger),
            requests: counters(
                registry,
                "skopos_remote_received_requests_total",
                "Remote write requests received, by who sent them and the status they were answered with.",
                &["role", "status"],
            ),
            refused: counters(
                registry,
                "skopos_remote_received_requests_refused_total",
                "Requests of which nothing was kept.",
                &["reason"],
            ),
            bytes: counter(
                registry,
                "skopos_remote_received_bytes_total",
                "Bytes of requests received, packed.",
            ),
            duration: histogram(
                registry,
                "skopos_remote_receive_duration_seconds",
                "How long it took to read and commit a request.",
            ),
            decoding: gauge(
                registry,
                "skopos_remote_decoding_bytes",
                "Memory set aside for requests that are being read.",
            ),
            senders: gauge(registry, "skopos_remote_senders", "Senders that are remembered."),
            silent: gauge(
                registry,
                "skopos_remote_senders_silent",
                "Senders that should be heard and are not.",
            ),
            series: gauge(
                registry,
                "skopos_remote_cached_series",
                "Series remembered of senders, so that they cost no label work.",
            ),
            cache: gauge(
                registry,
                "skopos_remote_cache_bytes",
                "Memory that what is remembered of senders takes.",
            ),
            samples: counter(
                registry,
                "skopos_remote_received_samples_total",
                "Samples received.",
            ),
            dropped: counters(
                registry,
                "skopos_remote_received_samples_dropped_total",
                "Samples received that were not kept.",
                &["reason"],
            ),
            exemplars: counter(
                registry,
                "skopos_remote_received_exemplars_total",
                "Exemplars received.",
            ),
            exemplars_dropped: counters(
                registry,
                "skopos_remote_received_exemplars_dropped_total",
                "Exemplars received that were not kept.",
                &["reason"],
            ),
            renamed: counter(
                registry,
                "skopos_remote_received_series_renamed_total",
                "Series whose label node claimed the name of another sender and became exported_node.",
            ),
            resolved: counter(
                registry,
                "skopos_remote_received_series_resolved_total",
                "Series whose labels had to be read because they were not remembered.",
            ),
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.ledger.lock().clone()
    }

    pub(crate) fn request(&self, counts: &Counts) {
        self.exemplars.inc_by(counts.exemplars as u64);
        for (reason, count) in &counts.exemplars_dropped {
            self.exemplars_dropped
                .with_label_values(&[*reason])
                .inc_by(*count as u64);
        }
        self.renamed.inc_by(counts.renamed as u64);
        self.resolved.inc_by(counts.resolved as u64);
        let fixed = [
            ("out_of_bounds", counts.out_of_bounds),
            ("native_histogram", counts.histograms.refused),
        ];
        let refused = counts.refused.iter().map(|(reason, samples)| (*reason, *samples));
        let kept = Kept {
            refused: counts.kept.refused,
            ..counts.all()
        };
        self.book(counts.samples, &kept, fixed.into_iter().chain(refused));
    }

    /// What this process says itself: about senders, and in their place.
    pub(crate) fn own(&self, samples: usize, kept: &Kept) {
        self.book(samples, kept, std::iter::empty());
    }

    fn book(&self, samples: usize, kept: &Kept, dropped: impl Iterator<Item = (&'static str, usize)>) {
        self.samples.inc_by(samples as u64);
        let mut ledger = self.ledger.lock();
        ledger.taken += samples as u64;
        ledger.given += kept.kept as u64;
        let store = [
            ("out_of_order", kept.out_of_order),
            ("duplicate", kept.duplicate),
            ("unknown", kept.unknown),
            ("refused", kept.refused),
        ];
        for (reason, count) in store.into_iter().chain(dropped).filter(|(_, count)| *count > 0) {
            self.dropped.with_label_values(&[reason]).inc_by(count as u64);
            *ledger.dropped.entry(reason).or_default() += count as u64;
        }
    }
}

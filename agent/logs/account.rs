//! Where every record is: the room's ledger and metrics.
//!
//! All of the ledger changes under one lock and once per batch, so it balances whenever somebody looks.

use std::collections::BTreeMap;

use model::Ledger;
use parking_lot::Mutex;
use prometheus::{Gauge, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge};

/// Why a line is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A hole left by a file that was truncated under its writer: zeros and nothing else.
    Hole,
}

impl Loss {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Hole => "hole",
        }
    }
}

pub(crate) struct Account {
    counts: Mutex<Counts>,
    lines: IntCounter,
    bytes: IntCounter,
    dropped: IntCounterVec,
    pub(crate) cut: IntCounter,
    pub(crate) malformed: IntCounter,
    pub(crate) rewritten: IntCounter,
    pub(crate) unread_at_unlink: IntCounter,
    pub(crate) ship_failures: IntCounterVec,
    pub(crate) ship_blocked: Gauge,
    pub(crate) files: Gauge,
    pub(crate) lag: Gauge,
    pub(crate) segments: Gauge,
    pub(crate) segment_bytes: Gauge,
}

#[derive(Default)]
struct Counts {
    taken: u64,
    given: u64,
    in_flight: u64,
    dropped: BTreeMap<&'static str, u64>,
}

impl Account {
    pub(crate) fn new(registry: &Registry) -> Self {
        let count = |name, help| counter(registry, name, help);
        let level = |name, help| gauge(registry, name, help);
        Self {
            counts: Mutex::default(),
            lines: count(
                "skopos_logs_lines_total",
                "Records kept, a joined group of partial lines being one.",
            ),
            bytes: count("skopos_logs_bytes_total", "Bytes of text kept."),
            dropped: counters(
                registry,
                "skopos_logs_dropped_total",
                "Lines let go, by reason.",
                &["reason"],
            ),
            cut: count(
                "skopos_logs_cut_total",
                "Lines longer than line_bytes_max, kept without their end.",
            ),
            malformed: count(
                "skopos_logs_malformed_total",
                "Lines of container logs not in CRI form, kept as they are.",
            ),
            rewritten: count(
                "skopos_logs_rewritten_total",
                "Files found truncated or begun anew under the same inode.",
            ),
            unread_at_unlink: count(
                "skopos_logs_unread_at_unlink_bytes_total",
                "Bytes of files that were gone before they could be read.",
            ),
            ship_failures: counters(
                registry,
                "skopos_logs_ship_failures_total",
                "Failed tries to keep a batch, by sink.",
                &["sink"],
            ),
            ship_blocked: level(
                "skopos_logs_ship_blocked",
                "Whether a batch cannot be kept at the moment, so that reading waits.",
            ),
            files: level("skopos_logs_files", "Files followed."),
            lag: level(
                "skopos_logs_lag_bytes",
                "Bytes in followed files that are not yet read.",
            ),
            segments: level("skopos_logs_segments", "Segments on the disk."),
            segment_bytes: level("skopos_logs_segment_bytes", "Size of all segments."),
        }
    }

    /// The reader has finished a batch of so many records.
    pub(crate) fn take(&self, records: u64) {
        let mut counts = self.counts.lock();
        counts.taken += records;
        counts.in_flight += records;
    }

    /// The shipper has kept a batch.
    pub(crate) fn give(&self, records: u64, bytes: u64) {
        let mut counts = self.counts.lock();
        counts.in_flight = counts.in_flight.saturating_sub(records);
        counts.given += records;
        self.lines.inc_by(records);
        self.bytes.inc_by(bytes);
    }

    pub(crate) fn let_go(&self, why: Loss) {
        let mut counts = self.counts.lock();
        counts.taken += 1;
        *counts.dropped.entry(why.reason()).or_default() += 1;
        self.dropped.with_label_values(&[why.reason()]).inc();
    }

    pub(crate) fn kept(&self) -> u64 {
        self.counts.lock().given
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let counts = self.counts.lock();
        Ledger {
            things: "records",
            taken: counts.taken,
            given: counts.given,
            dropped: counts.dropped.clone(),
            in_flight: counts.in_flight,
        }
    }
}

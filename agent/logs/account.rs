//! Where every record is: the room's ledger and metrics.
//!
//! All of the ledger changes under one lock and once per batch, so it balances whenever somebody looks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::Ledger;
use parking_lot::Mutex;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counters, gauge, gauges};

use crate::redact::Redaction;

/// Why a line is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A hole left by a file that was truncated under its writer: zeros and nothing else.
    Hole,
    /// The sink never takes it; it is in the dead-letter file.
    DeadLetter,
    /// A line of our own spool that cannot be read.
    Damaged,
    /// A filter or an annotation says that it is not wanted.
    Excluded,
    /// Only a share of lines like it is wanted.
    Sampled,
    /// Its source writes more than it may.
    Limited,
}

impl Loss {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::DeadLetter => "dead_letter",
            Self::Damaged => "damaged",
            Self::Excluded => "excluded",
            Self::Sampled => "sampled",
            Self::Limited => "limited",
        }
    }
}

/// What the room counts, each of it by sink: every sink has a reader of its own.
pub(crate) struct Metrics {
    lines: IntCounterVec,
    bytes: IntCounterVec,
    dropped: IntCounterVec,
    redacted: IntCounterVec,
    cut: IntCounterVec,
    malformed: IntCounterVec,
    rewritten: IntCounterVec,
    unread_at_unlink: IntCounterVec,
    ship_failures: IntCounterVec,
    ship_blocked: GaugeVec,
    files: GaugeVec,
    lag: GaugeVec,
    seconds_until_loss: GaugeVec,
    pinned: GaugeVec,
    shed: IntCounterVec,
    segments: Gauge,
    segment_bytes: Gauge,
}

/// Of one sink.
pub(crate) struct Account {
    sink: String,
    counts: Mutex<Counts>,
    lines: IntCounter,
    bytes: IntCounter,
    dropped: IntCounterVec,
    redacted: IntCounterVec,
    pub(crate) cut: IntCounter,
    pub(crate) malformed: IntCounter,
    pub(crate) rewritten: IntCounter,
    pub(crate) unread_at_unlink: IntCounter,
    pub(crate) ship_failures: IntCounter,
    pub(crate) ship_blocked: Gauge,
    pub(crate) files: Gauge,
    pub(crate) lag: Gauge,
    pub(crate) seconds_until_loss: Gauge,
    pub(crate) pinned: Gauge,
    pub(crate) shed: IntCounter,
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

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let count = |name, help| counters(registry, name, help, &["sink"]);
        let level = |name, help| gauges(registry, name, help, &["sink"]);
        Self {
            lines: count(
                "skopos_logs_lines_total",
                "Records kept, a joined group of partial lines being one.",
            ),
            bytes: count("skopos_logs_bytes_total", "Bytes of text kept."),
            dropped: counters(
                registry,
                "skopos_logs_dropped_total",
                "Lines let go, by reason.",
                &["sink", "reason"],
            ),
            redacted: counters(
                registry,
                "skopos_logs_redacted_total",
                "Places in lines that were taken out, by the rule that names them.",
                &["sink", "rule"],
            ),
            cut: count(
                "skopos_logs_cut_total",
                "Lines kept without their end: longer than line_bytes_max, or than the sink takes.",
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
            ship_failures: count("skopos_logs_ship_failures_total", "Failed tries to keep a batch."),
            ship_blocked: level(
                "skopos_logs_ship_blocked",
                "Whether a batch cannot be kept at the moment, so that reading waits.",
            ),
            files: level("skopos_logs_files", "Files followed."),
            lag: level(
                "skopos_logs_lag_bytes",
                "Bytes in followed files that are not yet read.",
            ),
            seconds_until_loss: level(
                "skopos_logs_seconds_until_loss",
                "Until the kubelet deletes what has not been read of the container that is worst off, at the speed at which it writes; +Inf when none is behind.",
            ),
            pinned: level(
                "skopos_logs_pinned_bytes",
                "Size of files that are deleted, not yet read to their end and held open for that.",
            ),
            shed: count(
                "skopos_logs_shed_bytes_total",
                "Bytes of deleted files let go unread, because such files took more than pinned_bytes_max.",
            ),
            segments: gauge(registry, "skopos_logs_segments", "Segments on the disk."),
            segment_bytes: gauge(registry, "skopos_logs_segment_bytes", "Size of all segments."),
        }
    }
}

impl Account {
    pub(crate) fn new(metrics: &Metrics, sink: &str) -> Self {
        let sink_only = [sink];
        Self {
            sink: sink.to_owned(),
            counts: Mutex::default(),
            lines: metrics.lines.with_label_values(&sink_only),
            bytes: metrics.bytes.with_label_values(&sink_only),
            dropped: metrics.dropped.clone(),
            redacted: metrics.redacted.clone(),
            cut: metrics.cut.with_label_values(&sink_only),
            malformed: metrics.malformed.with_label_values(&sink_only),
            rewritten: metrics.rewritten.with_label_values(&sink_only),
            unread_at_unlink: metrics.unread_at_unlink.with_label_values(&sink_only),
            ship_failures: metrics.ship_failures.with_label_values(&sink_only),
            ship_blocked: metrics.ship_blocked.with_label_values(&sink_only),
            files: metrics.files.with_label_values(&sink_only),
            lag: metrics.lag.with_label_values(&sink_only),
            seconds_until_loss: metrics.seconds_until_loss.with_label_values(&sink_only),
            pinned: metrics.pinned.with_label_values(&sink_only),
            shed: metrics.shed.with_label_values(&sink_only),
            segments: metrics.segments.clone(),
            segment_bytes: metrics.segment_bytes.clone(),
        }
    }

    /// The text without what nobody should find in it.
    pub(crate) fn redact<'t>(&self, redaction: &Redaction, text: &'t [u8]) -> Cow<'t, [u8]> {
        redaction.of(text, &self.redacted, &self.sink)
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
        self.let_all_go(why, 1);
    }

    pub(crate) fn let_all_go(&self, why: Loss, lines: u64) {
        if lines == 0 {
            return;
        }
        let mut counts = self.counts.lock();
        counts.taken += lines;
        *counts.dropped.entry(why.reason()).or_default() += lines;
        self.dropped
            .with_label_values(&[self.sink.as_str(), why.reason()])
            .inc_by(lines);
    }

    /// Records of a batch that the sink does not take.
    pub(crate) fn give_up(&self, why: Loss, records: u64) {
        if records == 0 {
            return;
        }
        let mut counts = self.counts.lock();
        counts.in_flight = counts.in_flight.saturating_sub(records);
        *counts.dropped.entry(why.reason()).or_default() += records;
        self.dropped
            .with_label_values(&[self.sink.as_str(), why.reason()])
            .inc_by(records);
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

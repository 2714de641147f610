//! What is counted of sinks elsewhere, by destination.

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, Registry};
use telemetry::metrics::{counters, gauges, histograms};

pub(crate) struct Metrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    again: IntCounterVec,
    known: IntCounterVec,
    letters: IntCounterVec,
    sent_bytes: IntCounterVec,
    limit: GaugeVec,
    checkpoint_failures: IntCounterVec,
    unacknowledged: GaugeVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            requests: counters(
                registry,
                "skopos_logs_requests_total",
                "Requests to a sink, by what came of them: ok, partial, or why not.",
                &["sink", "result"],
            ),
            seconds: histograms(
                registry,
                "skopos_logs_request_duration_seconds",
                "Time from a request to its whole answer.",
                &["sink"],
            ),
            again: counters(
                registry,
                "skopos_logs_records_retried_total",
                "Records sent again because the sink could not take them then.",
                &["sink"],
            ),
            known: counters(
                registry,
                "skopos_logs_records_known_total",
                "Records sent that the sink had already: after a lost answer or a restart.",
                &["sink"],
            ),
            letters: counters(
                registry,
                "skopos_logs_dead_letters_total",
                "Records that the sink will never take, kept in the dead-letter file, by its reason.",
                &["sink", "reason"],
            ),
            sent_bytes: counters(
                registry,
                "skopos_logs_sent_bytes_total",
                "Bytes of request bodies, as packed; for CloudWatch Logs as AWS counts them.",
                &["sink"],
            ),
            limit: gauges(
                registry,
                "skopos_logs_requests_limit",
                "Requests that may be under way at the same time; fewer when the sink pushes back.",
                &["sink"],
            ),
            checkpoint_failures: counters(
                registry,
                "skopos_logs_checkpoint_failures_total",
                "Failed tries to put watermarks on the disk. Meanwhile they are in memory, and a restart sends more again.",
                &["sink"],
            ),
            unacknowledged: gauges(
                registry,
                "skopos_logs_unacknowledged_seconds",
                "For how long the oldest batch has been waiting for its acknowledgement.",
                &["sink"],
            ),
        }
    }
}

/// Of one destination.
pub(crate) struct Counts {
    sink: String,
    metrics: std::sync::Arc<Metrics>,
}

impl Counts {
    pub(crate) fn new(sink: &str, metrics: std::sync::Arc<Metrics>) -> Self {
        let counts = Self {
            sink: sink.to_owned(),
            metrics,
        };
        // Counters that were never needed are there all the same, at 0.
        counts.again(0);
        counts.known(0);
        counts.checkpoint_failed(0);
        counts
    }

    pub(crate) fn request(&self, result: &str, seconds: f64, bytes: usize) {
        let metrics = &self.metrics;
        metrics
            .requests
            .with_label_values(&[self.sink.as_str(), result])
            .inc();
        metrics.seconds.with_label_values(&[&self.sink]).observe(seconds);
        metrics
            .sent_bytes
            .with_label_values(&[&self.sink])
            .inc_by(bytes as u64);
    }

    pub(crate) fn again(&self, records: usize) {
        self.metrics
            .again
            .with_label_values(&[&self.sink])
            .inc_by(records as u64);
    }

    pub(crate) fn known(&self, records: usize) {
        self.metrics
            .known
            .with_label_values(&[&self.sink])
            .inc_by(records as u64);
    }

    pub(crate) fn letter(&self, reason: &str) {
        self.metrics
            .letters
            .with_label_values(&[self.sink.as_str(), reason])
            .inc();
    }

    pub(crate) fn limit(&self, limit: f64) {
        self.metrics.limit.with_label_values(&[&self.sink]).set(limit);
    }

    pub(crate) fn checkpoint_failed(&self, times: u64) {
        self.metrics
            .checkpoint_failures
            .with_label_values(&[&self.sink])
            .inc_by(times);
    }

    pub(crate) fn unacknowledged(&self, seconds: f64) {
        self.metrics
            .unacknowledged
            .with_label_values(&[&self.sink])
            .set(seconds);
    }
}

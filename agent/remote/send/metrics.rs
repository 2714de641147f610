//! The sender's own series.

use std::collections::BTreeMap;

use prometheus::{Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge, gauges, histogram};

use crate::send::encoder::Encoder;
use crate::send::handle::Shared;

pub(crate) struct Metrics {
    queue_bytes: Gauge,
    queue_failures: IntCounter,
    series: Gauge,
    template_bytes: Gauge,
    oldest: GaugeVec,
    waiting: GaugeVec,
    pub(crate) sent: IntCounterVec,
    pub(crate) sent_bytes: IntCounterVec,
    /// Samples that `write_relabel_configs` leave out.
    pub(crate) relabelled: IntCounterVec,
    pub(crate) retries: IntCounterVec,
    dropped: IntCounterVec,
    pub(crate) encode_duration: Histogram,
}

/// Closed set of `retries_total{reason}`.
const RETRIES: [&str; 10] = [
    "bad_url",
    "broken",
    "connect",
    "credentials",
    "refused",
    "server_error",
    "throttled",
    "timeout",
    "too_large",
    "too_long",
];

impl Metrics {
    pub(crate) fn new(registry: &Registry, destinations: &[String]) -> Self {
        let own = &["destination"];
        let metrics = Self {
            queue_bytes: gauge(
                registry,
                "skopos_remote_queue_bytes",
                "Bytes of the queue on disk.",
            ),
            queue_failures: counter(
                registry,
                "skopos_remote_queue_failures_total",
                "Times that the disk did not do what the queue asked of it.",
            ),
            series: gauge(
                registry,
                "skopos_remote_series",
                "Series whose labels are held ready to be sent.",
            ),
            template_bytes: gauge(
                registry,
                "skopos_remote_template_bytes",
                "Memory that these labels take.",
            ),
            oldest: gauges(
                registry,
                "skopos_remote_oldest_sample_age_seconds",
                "Age of the oldest sample that waits to be sent; 0 when none does.",
                own,
            ),
            waiting: gauges(
                registry,
                "skopos_remote_waiting_samples",
                "Samples that wait to be sent.",
                own,
            ),
            relabelled: counters(
                registry,
                "skopos_remote_relabelled_samples_total",
                "Samples that write_relabel_configs leave out.",
                own,
            ),
            sent: counters(
                registry,
                "skopos_remote_sent_samples_total",
                "Samples that a receiver took.",
                own,
            ),
            sent_bytes: counters(
                registry,
                "skopos_remote_sent_bytes_total",
                "Bytes of requests, compressed, that were answered for good.",
                own,
            ),
            retries: counters(
                registry,
                "skopos_remote_retries_total",
                "Attempts to send that are made again.",
                &["destination", "reason"],
            ),
            dropped: counters(
                registry,
                "skopos_remote_dropped_samples_total",
                "Samples that were not sent and will not be.",
                &["destination", "reason"],
            ),
            encode_duration: histogram(
                registry,
                "skopos_remote_encode_duration_seconds",
                "Time that it took to encode what was handed over together, and to write it to the queue.",
            ),
        };
        for name in destinations {
            metrics.sent.with_label_values(&[name]);
            for reason in RETRIES {
                metrics.retries.with_label_values(&[name.as_str(), reason]);
            }
        }
        metrics
    }

    /// Copies what is counted elsewhere.
    pub(crate) fn refresh(&self, shared: &Shared, names: &[String], encoder: &Encoder) {
        let now = shared.clock.now();
        self.queue_bytes.set(shared.queue.disk_bytes() as f64);
        raise(&self.queue_failures, shared.queue.failures());
        self.series.set(encoder.series() as f64);
        self.template_bytes.set(encoder.bytes() as f64);
        let destinations = names.len().max(1) as u64;
        for (nth, name) in names.iter().enumerate() {
            let waiting = shared.queue.waiting(nth);
            let age = waiting
                .oldest
                .map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
            self.oldest.with_label_values(&[name]).set(age);
            self.waiting
                .with_label_values(&[name])
                .set(waiting.samples as f64);
            let mut dropped: BTreeMap<&'static str, u64> = shared.queue.dropped(nth);
            dropped.extend(shared.dropped_early());
            let forgotten = shared.queue.totals().forgotten / destinations;
            dropped.insert(crate::queue::reason::FORGOTTEN, forgotten);
            for (reason, samples) in dropped {
                raise(&self.dropped.with_label_values(&[name.as_str(), reason]), samples);
            }
        }
    }
}

fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

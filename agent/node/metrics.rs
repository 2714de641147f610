//! What this room says about itself.

use prometheus::{Histogram, IntCounter, IntCounterVec, Registry};

pub(crate) struct Metrics {
    pub(crate) rounds: IntCounter,
    pub(crate) missed: IntCounter,
    pub(crate) seconds: Histogram,
    pub(crate) samples: IntCounter,
    pub(crate) dropped: IntCounterVec,
    pub(crate) failures: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        use telemetry::metrics::{counter, counters, histogram};
        Self {
            rounds: counter(
                registry,
                "skopos_node_rounds_total",
                "Rounds of reading the machine.",
            ),
            missed: counter(
                registry,
                "skopos_node_rounds_missed_total",
                "Rounds left out because the one before was under way.",
            ),
            seconds: histogram(
                registry,
                "skopos_node_round_duration_seconds",
                "How long a round took.",
            ),
            samples: counter(
                registry,
                "skopos_node_samples_total",
                "Samples read from the machine.",
            ),
            dropped: counters(
                registry,
                "skopos_node_samples_dropped_total",
                "Samples read that the store did not keep.",
                &["reason"],
            ),
            failures: counters(
                registry,
                "skopos_node_collector_failures_total",
                "Rounds in which a collector failed.",
                &["collector"],
            ),
        }
    }
}

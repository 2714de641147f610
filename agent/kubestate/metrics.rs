//! What this room says about itself.

use prometheus::{Histogram, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, histogram};

pub(crate) struct Metrics {
    pub(crate) rounds: IntCounter,
    pub(crate) seconds: Histogram,
    pub(crate) samples: IntCounter,
    pub(crate) dropped: IntCounterVec,
    pub(crate) unread: IntCounterVec,
    pub(crate) unread_values: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            rounds: counter(
                registry,
                "skopos_kubestate_rounds_total",
                "Rounds of writing down what is known of objects.",
            ),
            seconds: histogram(
                registry,
                "skopos_kubestate_round_duration_seconds",
                "How long a round took.",
            ),
            samples: counter(registry, "skopos_kubestate_samples_total", "Samples of objects."),
            dropped: counters(
                registry,
                "skopos_kubestate_samples_dropped_total",
                "Samples of objects that the store did not keep.",
                &["reason"],
            ),
            unread: counters(
                registry,
                "skopos_kubestate_objects_unread_total",
                "Objects that were not what their kind says.",
                &["resource"],
            ),
            unread_values: counters(
                registry,
                "skopos_kubestate_values_unread_total",
                "Values of custom resources that were not what kube_state.custom_resource_state says.",
                &["resource"],
            ),
        }
    }
}

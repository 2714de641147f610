//! What this room says about itself.

use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, Registry};

pub(crate) struct Metrics {
    pub(crate) targets: Gauge,
    pub(crate) duration: Histogram,
    pub(crate) failures: IntCounterVec,
    pub(crate) missed: IntCounter,
    pub(crate) samples: IntCounter,
    pub(crate) dropped: IntCounterVec,
    pub(crate) renamed: IntCounter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        use telemetry::metrics::{counter, counters, gauge, histogram};
        Self {
            targets: gauge(registry, "skopos_scrape_targets", "Targets that are scraped."),
            duration: histogram(
                registry,
                "skopos_scrape_duration_seconds",
                "How long scrapes took.",
            ),
            failures: counters(
                registry,
                "skopos_scrape_failures_total",
                "Scrapes that failed.",
                &["reason"],
            ),
            missed: counter(
                registry,
                "skopos_scrape_missed_total",
                "Scrapes left out because the one before was under way.",
            ),
            samples: counter(
                registry,
                "skopos_scrape_samples_total",
                "Samples read from targets.",
            ),
            dropped: counters(
                registry,
                "skopos_scrape_samples_dropped_total",
                "Samples read that were not kept.",
                &["reason"],
            ),
            renamed: counter(
                registry,
                "skopos_scrape_samples_renamed_total",
                "Samples kept under another name because theirs is that of a target's report.",
            ),
        }
    }
}

//! The rule metrics of Prometheus, under its names, because dashboards and mixins use them; and our own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Ledger, Timestamp};
use prometheus::{GaugeVec, Histogram, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauges, histogram};

use crate::durations::Durations;

const GROUP: [&str; 1] = ["rule_group"];

pub(crate) struct Metrics {
    evaluations: IntCounterVec,
    failures: IntCounterVec,
    iterations: IntCounterVec,
    missed: IntCounterVec,
    replayed: IntCounterVec,
    interval: GaugeVec,
    last_evaluation: GaugeVec,
    last_duration: GaugeVec,
    last_rule_durations: GaugeVec,
    last_restore: GaugeVec,
    rules: GaugeVec,
    last_samples: GaugeVec,
    durations: Durations,
    durations_in_buckets: Histogram,
    group_durations: Durations,
    group_durations_in_buckets: Histogram,
    pub(crate) samples_dropped: IntCounterVec,
    pub(crate) template_failures: IntCounter,
    pub(crate) journal_failures: IntCounter,
    /// Alert events that were due, went to the notifier, and found its queue full.
    due: AtomicU64,
    sent: IntCounter,
    dropped: IntCounterVec,
}

/// One round over a group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Iteration {
    pub(crate) missed: u64,
    pub(crate) took: Duration,
    /// Sum over the rules, without what lies between them.
    pub(crate) rules_took: Duration,
    pub(crate) samples: usize,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let group_counter = |name, help| counters(registry, name, help, &GROUP);
        let group_gauge = |name, help| gauges(registry, name, help, &GROUP);
        Self {
            evaluations: group_counter("prometheus_rule_evaluations_total", "Rules evaluated."),
            failures: group_counter(
                "prometheus_rule_evaluation_failures_total",
                "Rules whose evaluation failed.",
            ),
            iterations: group_counter(
                "prometheus_rule_group_iterations_total",
                "Rounds due over the rules of the group, missed ones among them.",
            ),
            missed: group_counter(
                "prometheus_rule_group_iterations_missed_total",
                "Rounds left out because the one before took too long.",
            ),
            replayed: group_counter(
                "skopos_rules_slots_replayed_total",
                "Rounds of a short outage that were done afterwards, over what senders kept.",
            ),
            interval: group_gauge(
                "prometheus_rule_group_interval_seconds",
                "Time between two rounds.",
            ),
            last_evaluation: group_gauge(
                "prometheus_rule_group_last_evaluation_timestamp_seconds",
                "When the last round began.",
            ),
            last_duration: group_gauge(
                "prometheus_rule_group_last_duration_seconds",
                "How long the last round took.",
            ),
            last_rule_durations: group_gauge(
                "prometheus_rule_group_last_rule_duration_sum_seconds",
                "How long the rules of the last round took in all.",
            ),
            last_restore: group_gauge(
                "prometheus_rule_group_last_restore_duration_seconds",
                "How long it took to take up the alerts of before the start.",
            ),
            rules: group_gauge("prometheus_rule_group_rules", "Rules of the group."),
            last_samples: group_gauge(
                "prometheus_rule_group_last_evaluation_samples",
                "Samples that the last round gave.",
            ),
            durations: Durations::new(
                registry,
                "prometheus_rule_evaluation_duration_seconds",
                "How long the evaluation of one rule took.",
                &[0.5, 0.9, 0.99],
            ),
            durations_in_buckets: histogram(
                registry,
                "prometheus_rule_evaluation_duration_histogram_seconds",
                "How long the evaluation of one rule took.",
            ),
            group_durations: Durations::new(
                registry,
                "prometheus_rule_group_duration_seconds",
                "How long a round over the rules of a group took.",
                &[0.01, 0.05, 0.5, 0.9, 0.99],
            ),
            group_durations_in_buckets: histogram(
                registry,
                "prometheus_rule_group_duration_histogram_seconds",
                "How long a round over the rules of a group took.",
            ),
            samples_dropped: counters(
                registry,
                "skopos_rules_samples_dropped_total",
                "Samples of rules that the store did not keep.",
                &["reason"],
            ),
            template_failures: counter(
                registry,
                "skopos_rules_template_failures_total",
                "Labels and annotations that could not be expanded.",
            ),
            journal_failures: counter(
                registry,
                "skopos_rules_journal_failures_total",
                "Rounds whose alert state could not be made durable; the next round tries again.",
            ),
            due: AtomicU64::new(0),
            sent: counter(
                registry,
                "skopos_rules_events_sent_total",
                "Alert events handed to the notifier.",
            ),
            dropped: counters(
                registry,
                "skopos_rules_events_dropped_total",
                "Alert events left out; the state is sent again in the next round.",
                &["reason"],
            ),
        }
    }

    pub(crate) fn group(&self, group: &str, interval: Duration, rules: usize) {
        let label = [group];
        self.interval
            .with_label_values(&label)
            .set(interval.as_secs_f64());
        self.rules.with_label_values(&label).set(rules as f64);
        // A counter that is there from the start lets a rate see its first step.
        for counter in [
            &self.evaluations,
            &self.failures,
            &self.iterations,
            &self.missed,
            &self.replayed,
        ] {
            counter.with_label_values(&label).inc_by(0);
        }
    }

    pub(crate) fn restored(&self, group: &str, took: Duration) {
        self.last_restore
            .with_label_values(&[group])
            .set(took.as_secs_f64());
    }

    /// Slots that were missed while the process was not there.
    pub(crate) fn replayed(&self, group: &str, slots: u64) {
        self.replayed.with_label_values(&[group]).inc_by(slots);
    }

    pub(crate) fn begin(&self, group: &str, at: Timestamp) {
        self.last_evaluation.with_label_values(&[group]).set(at.seconds());
    }

    pub(crate) fn rule(&self, group: &str, took: Duration, failed: bool) {
        self.evaluations.with_label_values(&[group]).inc();
        self.failures
            .with_label_values(&[group])
            .inc_by(u64::from(failed));
        self.durations.observe(took);
        self.durations_in_buckets.observe(took.as_secs_f64());
    }

    pub(crate) fn end(&self, group: &str, iteration: Iteration) {
        let label = [group];
        self.iterations
            .with_label_values(&label)
            .inc_by(1 + iteration.missed);
        self.missed.with_label_values(&label).inc_by(iteration.missed);
        self.group_durations.observe(iteration.took);
        self.group_durations_in_buckets
            .observe(iteration.took.as_secs_f64());
        self.last_duration
            .with_label_values(&label)
            .set(iteration.took.as_secs_f64());
        self.last_rule_durations
            .with_label_values(&label)
            .set(iteration.rules_took.as_secs_f64());
        self.last_samples
            .with_label_values(&label)
            .set(iteration.samples as f64);
    }

    /// The group is gone, and its series with it.
    pub(crate) fn forget(&self, group: &str) {
        for counter in [
            &self.evaluations,
            &self.failures,
            &self.iterations,
            &self.missed,
            &self.replayed,
        ] {
            drop(counter.remove_label_values(&[group]));
        }
        for gauge in [
            &self.interval,
            &self.last_evaluation,
            &self.last_duration,
            &self.last_rule_durations,
            &self.last_restore,
            &self.rules,
            &self.last_samples,
        ] {
            drop(gauge.remove_label_values(&[group]));
        }
    }

    pub(crate) fn event(&self, sent: bool) {
        self.due.fetch_add(1, Ordering::Relaxed);
        if sent {
            self.sent.inc();
        } else {
            self.dropped.with_label_values(&["full"]).inc();
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let full = self.dropped.with_label_values(&["full"]).get();
        Ledger {
            things: "alert events",
            taken: self.due.load(Ordering::Relaxed),
            given: self.sent.get(),
            dropped: BTreeMap::from([("full", full)]),
            in_flight: 0,
        }
    }
}

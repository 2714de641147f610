//! The notifier's own series, and those of Alertmanager that dashboards ask for.

use prometheus::{Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge, gauges, histogram, histograms};

use crate::receiver::Receiver;
use crate::slack::upload::Fate;
use crate::verdict::REASONS;

pub(crate) struct Metrics {
    pub(crate) sent: IntCounterVec,
    failures: IntCounterVec,
    pub(crate) dropped: IntCounterVec,
    pub(crate) events: IntCounterVec,
    pub(crate) receiver_up: GaugeVec,
    pub(crate) queue_groups: Gauge,
    pub(crate) latency: Histogram,
    pub(crate) journal_failures: IntCounter,
    notifications: IntCounterVec,
    notifications_failed: IntCounterVec,
    notification_latency: HistogramVec,
    pub(crate) alerts: GaugeVec,
    pub(crate) groups: Gauge,
    pub(crate) silences: GaugeVec,
    pub(crate) evidence: IntCounterVec,
    pub(crate) evidence_lost: IntCounter,
    pub(crate) pictures: IntCounterVec,
    storm_messages: IntCounterVec,
    storm_groups: IntCounterVec,
}

/// What can become of an event; the closed set of `events_total{outcome}`.
pub(crate) const OUTCOMES: [&str; 8] = [
    "new",
    "changed",
    "same",
    "pending",
    "unconfirmed",
    "unknown",
    "stale",
    "full",
];
/// Why a notification was not sent; the closed set of `dropped_total{reason}`.
pub(crate) const DROPS: [&str; 7] = [
    "coalesced",
    "overtaken",
    "rejected",
    "evicted",
    "receiver_removed",
    "regrouped",
    "handed_over",
];

/// What can become of a question for evidence; the closed set of `evidence_total{outcome}`.
pub(crate) const EVIDENCE: [&str; 6] = ["in_time", "empty", "partial", "late", "busy", "failed"];

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            sent: counters(
                registry,
                "skopos_notifier_sent_total",
                "Messages that a receiver took.",
                &["receiver"],
            ),
            failures: counters(
                registry,
                "skopos_notifier_failures_total",
                "Attempts to send that failed.",
                &["receiver", "reason"],
            ),
            dropped: counters(
                registry,
                "skopos_notifier_dropped_total",
                "Notifications that were not sent.",
                &["reason"],
            ),
            events: counters(
                registry,
                "skopos_notifier_events_total",
                "Alert events heard from rules.",
                &["outcome"],
            ),
            receiver_up: gauges(
                registry,
                "skopos_notifier_receiver_up",
                "Whether the last attempt at this receiver succeeded.",
                &["receiver"],
            ),
            queue_groups: gauge(
                registry,
                "skopos_notifier_queue_groups",
                "Groups that wait to be told or are being told, over all receivers.",
            ),
            latency: histogram(
                registry,
                "skopos_notifier_latency_seconds",
                "Time from when a message was due until its receiver took it.",
            ),
            journal_failures: counter(
                registry,
                "skopos_notifier_journal_failures_total",
                "Writes to the journal that failed.",
            ),
            notifications: counters(
                registry,
                "alertmanager_notifications_total",
                "The total number of attempted notifications.",
                &["integration"],
            ),
            notifications_failed: counters(
                registry,
                "alertmanager_notifications_failed_total",
                "The total number of failed notifications.",
                &["integration", "reason"],
            ),
            notification_latency: histograms(
                registry,
                "alertmanager_notification_latency_seconds",
                "The latency of notifications in seconds.",
                &["integration"],
            ),
            alerts: gauges(
                registry,
                "alertmanager_alerts",
                "How many alerts by state.",
                &["state"],
            ),
            groups: gauge(
                registry,
                "alertmanager_dispatcher_aggregation_groups",
                "Number of active aggregation groups.",
            ),
            silences: gauges(
                registry,
                "alertmanager_silences",
                "How many silences by state.",
                &["state"],
            ),
            evidence: counters(
                registry,
                "skopos_notifier_evidence_total",
                "Questions for log lines and values of an alert before a message, by what became of them.",
                &["outcome"],
            ),
            evidence_lost: counter(
                registry,
                "skopos_notifier_evidence_lost_total",
                "Replies with log lines that Slack did not take; they are not sent again.",
            ),
            pictures: counters(
                registry,
                "skopos_notifier_pictures_total",
                "Pictures of a value that were to follow a card, by what became of them.",
                &["outcome"],
            ),
            storm_messages: counters(
                registry,
                "skopos_notifier_storm_messages_total",
                "Messages that were about many groups at once, because so many became due.",
                &["receiver"],
            ),
            storm_groups: counters(
                registry,
                "skopos_notifier_storm_groups_total",
                "Groups of which something was told by such a message, each time.",
                &["receiver"],
            ),
        };
        // A series that is there from the start can be told from one that is missing.
        for outcome in OUTCOMES {
            metrics.events.with_label_values(&[outcome]);
        }
        for outcome in EVIDENCE {
            metrics.evidence.with_label_values(&[outcome]);
        }
        for fate in Fate::ALL {
            metrics.pictures.with_label_values(&[fate.word()]);
        }
        for reason in DROPS {
            metrics.dropped.with_label_values(&[reason]);
        }
        metrics
    }

    /// Shows a receiver's series from its first day.
    pub(crate) fn add(&self, receiver: &Receiver) {
        self.sent.with_label_values(&[&*receiver.name]);
        if receiver.storm_groups > 0 {
            self.storm_told_to(&receiver.name, 0, 0);
        }
        for reason in REASONS {
            self.failures.with_label_values(&[&*receiver.name, reason]);
        }
        self.receiver_up.with_label_values(&[&*receiver.name]).set(1.0);
        self.notifications.with_label_values(&[receiver.integration()]);
    }

    pub(crate) fn remove(&self, receiver: &Receiver) {
        let name: &str = &receiver.name;
        // An error here says that the series was not there, which is what is wanted.
        _ = self.sent.remove_label_values(&[name]);
        _ = self.storm_messages.remove_label_values(&[name]);
        _ = self.storm_groups.remove_label_values(&[name]);
        for reason in REASONS {
            _ = self.failures.remove_label_values(&[name, reason]);
        }
        _ = self.receiver_up.remove_label_values(&[name]);
    }

    pub(crate) fn storm_told(&self, receiver: &str, groups: usize) {
        self.storm_told_to(receiver, 1, groups as u64);
    }

    fn storm_told_to(&self, receiver: &str, messages: u64, groups: u64) {
        self.storm_messages
            .with_label_values(&[receiver])
            .inc_by(messages);
        self.storm_groups.with_label_values(&[receiver]).inc_by(groups);
    }

    pub(crate) fn attempt(&self, receiver: &Receiver, failure: Option<&str>, seconds: f64) {
        let integration = receiver.integration();
        self.notifications.with_label_values(&[integration]).inc();
        self.notification_latency
            .with_label_values(&[integration])
            .observe(seconds);
        let up = self.receiver_up.with_label_values(&[&*receiver.name]);
        up.set(if failure.is_none() { 1.0 } else { 0.0 });
        if let Some(reason) = failure {
            self.failures.with_label_values(&[&*receiver.name, reason]).inc();
            self.notifications_failed
                .with_label_values(&[integration, alertmanager_reason(reason)])
                .inc();
        }
    }
}

/// Alertmanager's words for why.
fn alertmanager_reason(reason: &str) -> &'static str {
    match reason {
        "rejected" | "throttled" => "clientError",
        "server_error" => "serverError",
        "timeout" => "contextDeadlineExceeded",
        _ => "other",
    }
}

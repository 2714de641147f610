//! The pair's own series.

use model::Leadership;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge, gauges};

use crate::core::Core;

/// What can become of a beat that was sent; the closed set of `beats_total{outcome}`.
pub(crate) const OUTCOMES: [&str; 9] = [
    "answered",
    "refused",
    "malformed",
    "status",
    "connect",
    "timeout",
    "too_long",
    "broken",
    "bad_url",
];
/// Why a beat that came in was refused; the closed set of `refused_total{reason}`.
pub(crate) const REFUSALS: [&str; 5] = ["identity", "malformed", "namesake", "format", "starting"];

pub(crate) struct Metrics {
    leader: Gauge,
    speaks: Gauge,
    epoch: Gauge,
    transitions: IntCounter,
    in_step: Gauge,
    peer_heard_age: Gauge,
    map_unshared: Gauge,
    pub(crate) map_merged: IntCounterVec,
    pub(crate) arbiter_failures: IntCounter,
    pub(crate) beats: IntCounterVec,
    pub(crate) refused: IntCounterVec,
    old_epoch: IntCounter,
    words: GaugeVec,
    words_forgotten: IntCounter,
    pub(crate) journal_failures: IntCounter,
    pub(crate) forwarded: IntCounterVec,
    memo_writes: IntCounterVec,
    memo_bytes: Gauge,
    memo_left_out: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let one = |name: &str, help: &str| gauge(registry, &format!("skopos_pair_{name}"), help);
        let count = |name: &str, help: &str| counter(registry, &format!("skopos_pair_{name}"), help);
        let by = |name: &str, help: &str, label: &str| {
            counters(registry, &format!("skopos_pair_{name}"), help, &[label])
        };
        let metrics = Self {
            leader: one(
                "leader",
                "Whether this replica holds the lease and may act on it.",
            ),
            speaks: one("speaks", "Whether this replica tells people."),
            epoch: one("epoch", "The highest epoch that this replica has seen."),
            transitions: count("transitions_total", "Times that this replica took the lease."),
            in_step: one(
                "in_step",
                "Whether both replicas hear each other and take what they are told.",
            ),
            peer_heard_age: one(
                "peer_heard_age_seconds",
                "Time since the other replica was last heard; -1 before the first time.",
            ),
            map_unshared: one(
                "map_unshared",
                "Entries of the shared map that the other replica does not have.",
            ),
            map_merged: by(
                "map_merged_total",
                "Entries that the other replica sent, by what became of them.",
                "outcome",
            ),
            arbiter_failures: count(
                "arbiter_failures_total",
                "Times that the lease could not be asked for.",
            ),
            beats: by(
                "beats_total",
                "Heartbeats sent, by what became of them.",
                "outcome",
            ),
            refused: by(
                "refused_total",
                "Heartbeats of others that were refused.",
                "reason",
            ),
            old_epoch: count(
                "old_epoch_total",
                "Claims to lead or to speak with an epoch that is over.",
            ),
            words: gauges(
                registry,
                "skopos_pair_words",
                "Alerts of which a replica has said something.",
                &["whose"],
            ),
            words_forgotten: count(
                "words_forgotten_total",
                "Words forgotten because there were too many.",
            ),
            journal_failures: count("journal_failures_total", "Writes to the journal that failed."),
            forwarded: by(
                "forwarded_total",
                "Writes of people passed to the other replica.",
                "outcome",
            ),
            memo_writes: by(
                "memo_writes_total",
                "Writes of what was told to a place that outlives both disks.",
                "outcome",
            ),
            memo_bytes: one("memo_bytes", "How long that was the last time."),
            memo_left_out: one(
                "memo_left_out",
                "Entries for which there was no room in it the last time.",
            ),
        };
        // A series that is there from the start can be told from one that is missing.
        for outcome in OUTCOMES {
            metrics.beats.with_label_values(&[outcome]);
        }
        for reason in REFUSALS {
            metrics.refused.with_label_values(&[reason]);
        }
        for outcome in ["taken", "old", "same", "refused"] {
            metrics.map_merged.with_label_values(&[outcome]);
        }
        for outcome in ["written", "failed"] {
            metrics.memo_writes.with_label_values(&[outcome]);
        }
        metrics.peer_heard_age.set(-1.0);
        metrics
    }

    pub(crate) fn memo_written(&self, is_written: bool, bytes: usize, left_out: usize) {
        let outcome = if is_written { "written" } else { "failed" };
        self.memo_writes.with_label_values(&[outcome]).inc();
        if is_written {
            self.memo_bytes.set(bytes as f64);
            self.memo_left_out.set(left_out as f64);
        }
    }

    pub(crate) fn show(&self, core: &Core, leadership: &Leadership, now: std::time::Duration) {
        let flag = |gauge: &Gauge, on: bool| gauge.set(if on { 1.0 } else { 0.0 });
        flag(&self.leader, leadership.here);
        flag(&self.speaks, leadership.speaks);
        flag(&self.in_step, core.is_in_step(now));
        self.epoch.set(leadership.epoch as f64);
        if let Some(at) = core.peer.heard_at {
            self.peer_heard_age.set(now.saturating_sub(at).as_secs_f64());
        }
        self.map_unshared.set(core.unshared() as f64);
        let [own, peer] = core.words.lengths();
        self.words.with_label_values(&["own"]).set(own as f64);
        self.words.with_label_values(&["peer"]).set(peer as f64);
        raise(&self.transitions, core.elector.transitions);
        raise(&self.old_epoch, core.old_epochs());
        raise(&self.words_forgotten, core.words.forgotten());
    }
}

/// Brings a counter up to what was counted elsewhere.
fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

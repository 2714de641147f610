//! What has been read of log groups: taken = kept + in flight, and how it goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Ledger;
use model::view::LogService;
use parking_lot::Mutex;
use prometheus::{GaugeVec, IntCounterVec, Registry};
use telemetry::metrics::{counters, gauges};

/// Of all sources.
pub(crate) struct Metrics {
    events: IntCounterVec,
    repeated: IntCounterVec,
    requests: IntCounterVec,
    groups: GaugeVec,
    unread: GaugeVec,
    behind: GaugeVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Arc<Self> {
        let count = |name, help| counters(registry, name, help, &["source"]);
        let level = |name, help| gauges(registry, name, help, &["source"]);
        Arc::new(Self {
            events: count(
                "skopos_logs_source_events_total",
                "Events of log groups that are in the spool.",
            ),
            repeated: count(
                "skopos_logs_source_repeated_total",
                "Events read again, while late ones were looked for, and left out.",
            ),
            requests: counters(
                registry,
                "skopos_logs_source_requests_total",
                "Requests for events, by what came of them: ok, or why not.",
                &["source", "result"],
            ),
            groups: level("skopos_logs_source_groups", "Log groups that are read."),
            unread: level(
                "skopos_logs_source_unread_groups",
                "Log groups that cannot be read at the moment; 1 where none can.",
            ),
            behind: level(
                "skopos_logs_source_behind_seconds",
                "How long ago that is up to which all groups have been read; of the one that is worst off.",
            ),
        })
    }
}

/// Of one source.
pub(crate) struct Account {
    source: String,
    metrics: Arc<Metrics>,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    taken: u64,
    given: u64,
    in_flight: u64,
    groups: usize,
    reads: bool,
    region: String,
    /// Of the source itself, under an empty name, and of each group.
    troubles: BTreeMap<String, String>,
}

impl Account {
    pub(crate) fn new(source: &str, metrics: &Arc<Metrics>) -> Self {
        let label = [source];
        metrics.events.with_label_values(&label).inc_by(0);
        metrics.repeated.with_label_values(&label).inc_by(0);
        metrics.unread.with_label_values(&label).set(0.0);
        Self {
            source: source.to_owned(),
            metrics: Arc::clone(metrics),
            now: Mutex::default(),
        }
    }

    pub(crate) fn request(&self, result: &str) {
        let labels = [self.source.as_str(), result];
        self.metrics.requests.with_label_values(&labels).inc();
    }

    /// New events have come, and some again.
    pub(crate) fn take(&self, events: u64, repeated: u64) {
        let mut now = self.now.lock();
        now.taken += events;
        now.in_flight += events;
        let label = [self.source.as_str()];
        self.metrics.repeated.with_label_values(&label).inc_by(repeated);
    }

    /// They are in the spool.
    pub(crate) fn give(&self, events: u64) {
        let mut now = self.now.lock();
        now.in_flight -= events;
        now.given += events;
        let label = [self.source.as_str()];
        self.metrics.events.with_label_values(&label).inc_by(events);
    }

    /// They are not, and will be read again: nothing was taken.
    pub(crate) fn give_back(&self, events: u64) {
        let mut now = self.now.lock();
        now.in_flight -= events;
        now.taken -= events;
    }

    pub(crate) fn reads(&self, reads: bool, region: &str, groups: usize) {
        let mut now = self.now.lock();
        (now.reads, now.groups) = (reads, groups);
        if !region.is_empty() {
            region.clone_into(&mut now.region);
        }
        let label = [self.source.as_str()];
        self.metrics.groups.with_label_values(&label).set(groups as f64);
    }

    pub(crate) fn behind(&self, seconds: f64) {
        let label = [self.source.as_str()];
        self.metrics.behind.with_label_values(&label).set(seconds);
    }

    /// Why a group cannot be read, or with an empty name none; true when it is news.
    pub(crate) fn trouble(&self, group: &str, why: &str) -> bool {
        let mut now = self.now.lock();
        let is_news = now.troubles.insert(group.to_owned(), why.to_owned()).is_none();
        self.show(&now);
        is_news
    }

    /// True when it was not.
    pub(crate) fn well(&self, group: &str) -> bool {
        let mut now = self.now.lock();
        let is_news = now.troubles.remove(group).is_some();
        self.show(&now);
        is_news
    }

    /// Of what is not read any more nothing is said.
    pub(crate) fn forget(&self, is_read: impl Fn(&str) -> bool) {
        let mut now = self.now.lock();
        now.troubles.retain(|group, _| is_read(group));
        self.show(&now);
    }

    fn show(&self, now: &Now) {
        let label = [self.source.as_str()];
        self.metrics
            .unread
            .with_label_values(&label)
            .set(now.troubles.len() as f64);
    }

    pub(crate) fn state(&self) -> LogService {
        let now = self.now.lock();
        LogService {
            name: self.source.clone(),
            region: now.region.clone(),
            reads: now.reads,
            groups: now.groups as u64,
            events: now.given,
            troubles: now
                .troubles
                .iter()
                .map(|(group, why)| (group.clone(), why.clone()))
                .collect(),
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let now = self.now.lock();
        Ledger {
            things: "events",
            taken: now.taken,
            given: now.given,
            dropped: BTreeMap::new(),
            in_flight: now.in_flight,
        }
    }
}

//! What senders have brought: taken = kept + not kept + in flight, and why connections were closed.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use model::Ledger;
use parking_lot::Mutex;
use prometheus::{Gauge, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge};

/// The same complaint is not a warning more often than this.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Not kept: the sender was gone, or the process was stopped. Who asks for acknowledgements still has them.
const NOT_KEPT: &str = "not_kept";

pub(super) struct Account {
    counts: Mutex<Counts>,
    connections: Gauge,
    messages: IntCounter,
    records: IntCounter,
    bytes: IntCounter,
    acknowledged: IntCounter,
    not_kept: IntCounter,
    refused: IntCounterVec,
    waiting: Gauge,
}

#[derive(Default)]
struct Counts {
    taken: u64,
    given: u64,
    not_kept: u64,
    in_flight: u64,
    connections: u64,
    refused: BTreeMap<&'static str, u64>,
    said: HashMap<&'static str, Instant>,
    /// Connections whose records the spool does not take, and why.
    waiting: u64,
    trouble: String,
}

impl Account {
    pub(super) fn new(registry: &Registry) -> Self {
        let count = |name, help| counter(registry, name, help);
        Self {
            counts: Mutex::default(),
            connections: gauge(
                registry,
                "skopos_logs_forward_connections",
                "Senders connected by the Forward protocol.",
            ),
            messages: count(
                "skopos_logs_forward_messages_total",
                "Messages of the Forward protocol whose records are in the spool.",
            ),
            records: count(
                "skopos_logs_forward_records_total",
                "Records of senders put into the spool.",
            ),
            bytes: count(
                "skopos_logs_forward_bytes_total",
                "Bytes of messages taken, as they came over the wire.",
            ),
            acknowledged: count(
                "skopos_logs_forward_acknowledged_total",
                "Messages whose sender asked for an acknowledgement and has been sent one.",
            ),
            not_kept: count(
                "skopos_logs_forward_not_kept_total",
                "Records not put into the spool, because the sender was gone or the process was stopped; none of them was acknowledged.",
            ),
            refused: counters(
                registry,
                "skopos_logs_forward_refused_total",
                "Connections closed, by reason.",
                &["reason"],
            ),
            waiting: gauge(
                registry,
                "skopos_logs_forward_waiting",
                "Connections whose records the spool does not take at the moment.",
            ),
        }
    }

    pub(super) fn connected(&self, more: bool) {
        let mut counts = self.counts.lock();
        counts.connections = match more {
            true => counts.connections + 1,
            false => counts.connections.saturating_sub(1),
        };
        self.connections.set(counts.connections as f64);
    }

    pub(super) fn connections(&self) -> u64 {
        self.counts.lock().connections
    }

    /// A message with so many records is whole.
    pub(super) fn take(&self, records: u64) {
        let mut counts = self.counts.lock();
        counts.taken += records;
        counts.in_flight += records;
    }

    /// So many of them are in the spool.
    pub(super) fn give(&self, records: u64) {
        let mut counts = self.counts.lock();
        counts.in_flight = counts.in_flight.saturating_sub(records);
        counts.given += records;
        self.records.inc_by(records);
    }

    /// So many of them will not be.
    pub(super) fn give_up(&self, records: u64) {
        let mut counts = self.counts.lock();
        counts.in_flight = counts.in_flight.saturating_sub(records);
        counts.not_kept += records;
        self.not_kept.inc_by(records);
    }

    /// All of a message is in the spool.
    pub(super) fn finish(&self, bytes: u64) {
        self.messages.inc();
        self.bytes.inc_by(bytes);
    }

    pub(super) fn acknowledge(&self) {
        self.acknowledged.inc();
    }

    /// True when it is to be said aloud.
    pub(super) fn refuse(&self, reason: &'static str) -> bool {
        self.refused.with_label_values(&[reason]).inc();
        let mut counts = self.counts.lock();
        *counts.refused.entry(reason).or_default() += 1;
        let now = Instant::now();
        let is_said = counts
            .said
            .get(reason)
            .is_some_and(|said| now.saturating_duration_since(*said) < SAY_AGAIN);
        if !is_said {
            counts.said.insert(reason, now);
        }
        !is_said
    }

    pub(super) fn refused(&self) -> Vec<(String, u64)> {
        let counts = self.counts.lock();
        let refused = counts.refused.iter();
        refused
            .map(|(reason, count)| ((*reason).to_owned(), *count))
            .collect()
    }

    /// A connection begins to wait for the spool.
    pub(super) fn wait(&self, why: &str) {
        let mut counts = self.counts.lock();
        counts.waiting += 1;
        why.clone_into(&mut counts.trouble);
        self.waiting.set(counts.waiting as f64);
    }

    pub(super) fn go_on(&self) {
        let mut counts = self.counts.lock();
        counts.waiting = counts.waiting.saturating_sub(1);
        self.waiting.set(counts.waiting as f64);
    }

    /// Why nothing is taken at the moment.
    pub(super) fn trouble(&self) -> Option<String> {
        let counts = self.counts.lock();
        (counts.waiting > 0).then(|| counts.trouble.clone())
    }

    pub(super) fn ledger(&self) -> Ledger {
        let counts = self.counts.lock();
        let dropped = Some((NOT_KEPT, counts.not_kept));
        Ledger {
            things: "forwarded records",
            taken: counts.taken,
            given: counts.given,
            dropped: dropped.into_iter().filter(|(_, count)| *count > 0).collect(),
            in_flight: counts.in_flight,
        }
    }
}

//! What has been read of the journal: taken = in the spool + left out by reason + in flight, and how it goes.

use std::collections::BTreeMap;

use model::Ledger;
use model::view::LogJournal;
use parking_lot::Mutex;
use prometheus::{Gauge, IntCounter, IntCounterVec, Registry};
use telemetry::metrics::{counter, counters, gauge};

/// Why an entry is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    /// The configuration does not ask for it.
    Filtered,
    /// It is our own log.
    Own,
    /// It has no text.
    NoMessage,
    /// It is not of the Journal Export Format, or does not say when or where it stands.
    Malformed,
}

impl Skip {
    fn reason(self) -> &'static str {
        match self {
            Self::Filtered => "filtered",
            Self::Own => "own",
            Self::NoMessage => "no_message",
            Self::Malformed => "malformed",
        }
    }
}

pub(crate) struct Account {
    /// Whom is asked, for people.
    from: String,
    now: Mutex<Now>,
    entries: IntCounter,
    skipped: IntCounterVec,
    missing: IntCounter,
    failures: IntCounter,
    unread: Gauge,
    behind: Gauge,
}

#[derive(Default)]
struct Now {
    taken: u64,
    given: u64,
    in_flight: u64,
    skipped: BTreeMap<&'static str, u64>,
    missing: u64,
    trouble: Option<String>,
    remark: String,
}

impl Account {
    pub(crate) fn new(from: String, registry: &Registry) -> Self {
        let count = |name, help| counter(registry, name, help);
        Self {
            from,
            now: Mutex::default(),
            entries: count(
                "skopos_logs_journal_entries_total",
                "Entries of the journal that are in the spool.",
            ),
            skipped: counters(
                registry,
                "skopos_logs_journal_skipped_total",
                "Entries of the journal left out, by reason.",
                &["reason"],
            ),
            missing: count(
                "skopos_logs_journal_missing_total",
                "Entries that the journal had deleted before they were read, by its own numbers.",
            ),
            failures: count(
                "skopos_logs_journal_failures_total",
                "How often reading the journal ended before its time, and was begun again.",
            ),
            unread: gauge(
                registry,
                "skopos_logs_journal_unread",
                "Whether the journal cannot be read, or its entries not be kept, at the moment.",
            ),
            behind: gauge(
                registry,
                "skopos_logs_journal_behind_seconds",
                "How old the last entry was when it was kept.",
            ),
        }
    }

    pub(crate) fn skip(&self, why: Skip) {
        let mut now = self.now.lock();
        now.taken += 1;
        *now.skipped.entry(why.reason()).or_default() += 1;
        self.skipped.with_label_values(&[why.reason()]).inc();
    }

    /// So many entries are to be kept.
    pub(crate) fn take(&self, entries: u64) {
        let mut now = self.now.lock();
        now.taken += entries;
        now.in_flight += entries;
    }

    /// They are in the spool.
    pub(crate) fn give(&self, entries: u64, behind_seconds: f64) {
        let mut now = self.now.lock();
        now.in_flight -= entries;
        now.given += entries;
        self.entries.inc_by(entries);
        self.behind.set(behind_seconds);
    }

    /// They are not, and are read again: nothing was taken.
    pub(crate) fn give_back(&self, entries: u64) {
        let mut now = self.now.lock();
        now.in_flight -= entries;
        now.taken -= entries;
    }

    pub(crate) fn missing(&self, entries: u64) {
        self.now.lock().missing += entries;
        self.missing.inc_by(entries);
    }

    /// Reading has ended before its time; true when that is news.
    pub(crate) fn fail(&self, why: &str) -> bool {
        self.failures.inc();
        self.trouble(why)
    }

    /// Why entries are not read or kept; true when that is news.
    pub(crate) fn trouble(&self, why: &str) -> bool {
        self.unread.set(1.0);
        self.now.lock().trouble.replace(why.to_owned()).is_none()
    }

    /// True when it was not.
    pub(crate) fn well(&self) -> bool {
        self.unread.set(0.0);
        self.now.lock().trouble.take().is_some()
    }

    /// What the program says beside entries.
    pub(crate) fn remark(&self, words: &str) {
        words.clone_into(&mut self.now.lock().remark);
    }

    pub(crate) fn state(&self) -> LogJournal {
        let now = self.now.lock();
        LogJournal {
            from: self.from.clone(),
            entries: now.given,
            skipped: now
                .skipped
                .iter()
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect(),
            missing: now.missing,
            trouble: now.trouble.clone(),
            remark: now.remark.clone(),
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let now = self.now.lock();
        Ledger {
            things: "entries",
            taken: now.taken,
            given: now.given,
            dropped: now.skipped.clone(),
            in_flight: now.in_flight,
        }
    }
}

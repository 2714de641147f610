//! Where the samples went, as an account and as metrics.

use model::Ledger;
use model::column::Kept;
use parking_lot::Mutex;

use crate::intake::Counts;
use crate::metrics::Metrics;

pub(crate) struct Account {
    ledger: Mutex<Ledger>,
}

impl Account {
    pub(crate) fn new() -> Self {
        Self {
            ledger: Mutex::new(Ledger {
                things: "samples",
                ..Ledger::default()
            }),
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.ledger.lock().clone()
    }

    /// One scrape: the body's samples and those of the report, of which the store kept some.
    pub(crate) fn scrape(&self, counts: &Counts, reported: usize, kept: &Kept, metrics: &Metrics) {
        metrics.renamed.inc_by(counts.renamed as u64);
        // Somebody has said that these are not wanted: they are counted, and are no loss.
        metrics.samples.inc_by(counts.relabelled as u64);
        metrics
            .dropped
            .with_label_values(&["relabelled"])
            .inc_by(counts.relabelled as u64);
        let dropped = [
            ("repeated", counts.repeated),
            ("refused", counts.refused),
            ("out_of_bounds", counts.out_of_bounds),
            ("out_of_order", kept.out_of_order),
            ("duplicate", kept.duplicate),
            ("unknown", kept.unknown),
        ];
        let wanted = counts.samples - counts.relabelled;
        self.book(wanted, reported, kept.kept, &dropped, metrics);
    }

    /// A scrape of which nothing but the report is kept.
    pub(crate) fn failure(&self, samples: usize, reported: usize, kept: &Kept, metrics: &Metrics) {
        let dropped = [
            ("failed_scrape", samples),
            ("out_of_order", kept.out_of_order),
            ("duplicate", kept.duplicate),
            ("unknown", kept.unknown),
        ];
        self.book(samples, reported, kept.kept, &dropped, metrics);
    }

    /// A body that came when its target was gone.
    pub(crate) fn late(&self, samples: usize, metrics: &Metrics) {
        self.book(samples, 0, 0, &[("target_gone", samples)], metrics);
    }

    fn book(
        &self,
        read: usize,
        made: usize,
        given: usize,
        dropped: &[(&'static str, usize)],
        metrics: &Metrics,
    ) {
        metrics.samples.inc_by(read as u64);
        let mut ledger = self.ledger.lock();
        ledger.taken += (read + made) as u64;
        ledger.given += given as u64;
        for (reason, count) in dropped.iter().filter(|(_, count)| *count > 0) {
            metrics.dropped.with_label_values(&[reason]).inc_by(*count as u64);
            *ledger.dropped.entry(reason).or_default() += *count as u64;
        }
    }
}

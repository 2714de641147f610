//! A folder of blocks, a clock that stands still until it is set, and a plain idea of what must be read.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use blocks::{Blocks, Limits, Meta, Span};
use model::{BoxFuture, Clock, Labels, MatchOp, Matcher, Series, TimeRange, Timestamp};
use tempfile::TempDir;

pub(crate) const HOUR: i64 = 3_600_000;

pub(crate) struct Still(AtomicI64);

impl Still {
    pub(crate) fn at(hour: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(hour * HOUR)))
    }

    pub(crate) fn set(&self, hour: i64) {
        self.0.store(hour * HOUR, Ordering::Relaxed);
    }
}

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn running(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<Still>,
    pub(crate) limits: Limits,
}

impl House {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock: Still::at(1000),
            limits: Limits {
                retention: Duration::from_hours(15 * 24),
                bytes_max: None,
            },
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn open(&self) -> Blocks {
        Blocks::open(self.path(), self.limits, self.clock.clone()).expect("the folder opens")
    }

    /// Names of all that is in the folder, but for what promtool wants to be there.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        names.retain(|name| name != "wal");
        names.sort();
        names
    }
}

pub(crate) fn hours(start: i64, end: i64) -> Span {
    Span {
        start: Timestamp(start * HOUR),
        end: Timestamp(end * HOUR),
    }
}

pub(crate) fn range(after: i64, until: i64) -> TimeRange {
    TimeRange {
        after: Timestamp(after),
        until: Timestamp(until),
    }
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

pub(crate) fn series(labels: Labels, samples: impl IntoIterator<Item = (i64, f64)>) -> Series {
    let (times, values): (Vec<_>, Vec<_>) = samples
        .into_iter()
        .map(|(time, value)| (Timestamp(time), value))
        .unzip();
    Series {
        labels,
        times: times.into(),
        values: values.into(),
        staleness: None,
    }
}

/// `count` series of a counter, one sample every `step` milliseconds of a span.
pub(crate) fn counters(count: usize, span: Span, step: i64) -> Vec<Series> {
    let mut all: Vec<Series> = (0..count)
        .map(|nth| {
            let name = labels(&[
                ("__name__", "requests_total"),
                ("job", if nth % 2 == 0 { "web" } else { "db" }),
                ("pod", &format!("pod-{nth:05}")),
            ]);
            let times = (span.start.0..span.end.0).step_by(step as usize);
            series(
                name,
                times.map(|time| (time, ((time / step) * (nth as i64 + 1)) as f64)),
            )
        })
        .collect();
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

pub(crate) fn write(blocks: &Blocks, span: RangeInclusive<i64>, all: Vec<Series>) -> Meta {
    let meta = blocks.write(hours(*span.start(), *span.end()), all);
    meta.expect("written").expect("a block")
}

pub(crate) fn equal(name: &str, value: &str) -> Matcher {
    Matcher::new(name, MatchOp::Equal, value)
}

/// Samples by their labels, values as bits: what is equal is equal in every bit.
pub(crate) type Plain = BTreeMap<String, Vec<(i64, u64)>>;

pub(crate) fn plain(all: &[Series]) -> Plain {
    let samples = |series: &Series| -> Vec<(i64, u64)> {
        let pairs = series.times.iter().zip(series.values.iter());
        pairs.map(|(time, value)| (time.0, value.to_bits())).collect()
    };
    all.iter()
        .map(|series| (series.labels.to_string(), samples(series)))
        .collect()
}

pub(crate) fn everything(blocks: &Blocks) -> Plain {
    let all = blocks
        .select(&[], TimeRange::ALL, usize::MAX)
        .expect("all of it is read");
    assert!(all.is_sorted_by(|a, b| a.labels < b.labels), "sorted, each once");
    for series in &all {
        assert!(series.times.is_sorted_by(|a, b| a < b), "each time once");
        assert_eq!(series.times.len(), series.values.len());
    }
    plain(&all)
}

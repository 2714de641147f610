//! What goes from memory to blocks on disk, and that readers cannot tell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use blocks::Span;
use model::histogram::Reset;
use model::{
    BoxFuture, Clock, Column, Histogram, Histograms, Keep, Labels, MatchOp, Matcher, Round, Select,
    SelectError, TimeRange, Timestamp, Value, column,
};
use prometheus::Registry;
use store::{Config, Retention, Store};

use crate::harness::{desc, histogram, labels, samples, target};

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// A window begins then.
pub(crate) const BEGUN: i64 = 1_000 * 2 * HOUR;

/// Both of its times go as the test says: what the wall shows, and what has passed since the beginning.
pub(crate) struct TwoClocks {
    now: AtomicI64,
    passed: AtomicI64,
}

impl TwoClocks {
    pub(crate) fn at(now: i64) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicI64::new(now),
            passed: AtomicI64::new(0),
        })
    }

    pub(crate) fn pass(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
        self.passed.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) fn jump(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for TwoClocks {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    fn running(&self) -> Duration {
        Duration::from_millis(self.passed.load(Ordering::Relaxed).unsigned_abs())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A store on a real disk, and what it must answer.
pub(crate) struct Kept {
    folder: tempfile::TempDir,
    pub(crate) clock: Arc<TwoClocks>,
    pub(crate) store: Arc<Store>,
    all: BTreeMap<Labels, BTreeMap<i64, f64>>,
    /// How much each native histogram has counted.
    histograms: BTreeMap<Labels, BTreeMap<i64, u32>>,
    windows: usize,
}

impl Kept {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = TwoClocks::at(BEGUN);
        Self {
            store: open(folder.path(), &clock),
            folder,
            clock,
            all: BTreeMap::new(),
            histograms: BTreeMap::new(),
            windows: 0,
        }
    }

    pub(crate) fn reopen(self) -> Self {
        drop(self.store);
        Self {
            store: open(self.folder.path(), &self.clock),
            ..self
        }
    }

    /// All of it is taken.
    fn commit(&mut self, of: &str, time: i64, values: &[(&str, f64)]) {
        let kept = self.offer(of, time, values);
        assert_eq!(kept.kept, values.len(), "{of} at {time}: {kept:?}");
    }

    /// All of it is taken, or none.
    pub(crate) fn offer(&mut self, of: &str, time: i64, values: &[(&str, f64)]) -> column::Kept {
        let id = self.store.target(&target(of));
        let series = values
            .iter()
            .map(|(text, _)| self.store.series(id, &desc(text)).unwrap());
        let kept = self.store.commit(Column {
            target: id,
            time: Timestamp(time),
            round: Round::Part,
            series: series.collect(),
            values: values.iter().map(|(_, value)| *value).collect(),
        });
        if kept.kept > 0 {
            for (text, value) in values {
                self.all.entry(labels(text)).or_default().insert(time, *value);
            }
        }
        kept
    }

    fn commit_histogram(&mut self, of: &str, time: i64, name: &str, count: u32) {
        let id = self.store.target(&target(of));
        let series = self.store.series(id, &desc(name)).unwrap();
        let kept = self.store.histograms(Histograms {
            target: id,
            time: Timestamp(time),
            histograms: vec![(series, Arc::new(histogram(count)))],
        });
        assert_eq!(kept.kept, 1, "{of} at {time}: {kept:?}");
        self.histograms
            .entry(labels(name))
            .or_default()
            .insert(time, count);
    }

    /// A minute goes by.
    fn minute(&mut self) -> i64 {
        self.clock.pass(MINUTE);
        self.tend();
        self.clock.now().0
    }

    /// What the hall asks for every minute; gives the window that was sealed.
    pub(crate) fn tend(&mut self) -> Option<Span> {
        self.store.maintain();
        let sealed = self.store.seal();
        assert!(
            sealed.failed.is_none() && sealed.tended.failed.is_none(),
            "{sealed:?}"
        );
        self.windows += usize::from(sealed.window.is_some());
        sealed.window.map(|(span, _)| span)
    }

    pub(crate) fn check(&self) {
        let found = self.store.select(&[], TimeRange::ALL, usize::MAX).unwrap();
        assert!(found.is_sorted_by(|a, b| a.labels < b.labels));
        let found: BTreeMap<Labels, String> = found
            .iter()
            .map(|series| (series.labels.clone(), samples(series)))
            .collect();
        for (labels, wanted) in &self.all {
            let wanted: Vec<String> = wanted
                .iter()
                .map(|(time, value)| format!("{time}:{value}"))
                .collect();
            assert_eq!(found.get(labels), Some(&wanted.join(" ")), "{labels}");
        }
        assert_eq!(found.len(), self.all.len());
        let names = self.store.labels(&[], TimeRange::ALL).unwrap();
        let wanted: BTreeSet<&Labels> = self.all.keys().chain(self.histograms.keys()).collect();
        assert!(names.iter().eq(wanted));
        self.check_histograms();
    }

    fn check_histograms(&self) {
        let mixed = self.store.mixed(&[], TimeRange::ALL, usize::MAX).unwrap();
        assert!(mixed.iter().map(|one| &one.labels).eq(self.histograms.keys()));
        for one in mixed {
            let mut wanted = self.histograms[&one.labels].iter();
            for (time, value) in &one.samples {
                let Value::Histogram(found) = value else {
                    panic!("{} has a float", one.labels)
                };
                let (at, count) = wanted.next().unwrap();
                // A block knows whether one begins anew.
                let found = Histogram {
                    reset: Reset::Unknown,
                    ..(**found).clone()
                };
                assert_eq!((time.0, found), (*at, histogram(*count)));
            }
            assert_eq!(wanted.next(), None, "{} has all of them", one.labels);
        }
    }

    /// Samples of one series between two times.
    fn count(&self, name: &str, after: i64, until: i64) -> usize {
        let range = TimeRange {
            after: Timestamp(after),
            until: Timestamp(until),
        };
        let matcher = Matcher::new("__name__", MatchOp::Equal, name);
        let found = self.store.select(&[matcher], range, usize::MAX).unwrap();
        found.iter().map(|series| series.values.len()).sum()
    }

    fn blocks(&self) -> usize {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().join("meta.json").exists())
            .count()
    }
}

fn open(folder: &Path, clock: &Arc<TwoClocks>) -> Arc<Store> {
    let config = Config {
        retention: Retention {
            time: Duration::from_hours(240),
            size: 0,
        },
        ..Config::default()
    };
    Store::open(folder, config, clock.clone(), &Registry::new()).unwrap()
}

/// Rounds of two targets, one of them with a series that comes and goes.
fn hours(kept: &mut Kept, count: i64) {
    for nth in 0..count * 60 {
        let now = kept.minute();
        let value = nth as f64;
        kept.commit("steady", now, &[("a x=1", value), ("b", value / 3.0)]);
        // Now and then it begins anew.
        kept.commit_histogram("steady", now, "h", nth as u32 % 100);
        if nth % 200 < 20 {
            kept.commit("other", now - 13, &[("a x=2", -value), ("c", 7.0)]);
        }
        if nth % 47 == 0 {
            kept.check();
        }
    }
    kept.check();
}

#[test]
fn readers_see_memory_and_blocks_as_one() {
    let mut kept = Kept::new();
    hours(&mut kept, 9);
    assert_eq!(kept.windows, 4, "9 hours less one of patience");
    let oldest = kept.store.cardinality(1).oldest.unwrap();
    assert_eq!(oldest.0, BEGUN + 8 * HOUR, "what is in a block is not in memory");
    assert_eq!(kept.store.oldest(), Some(Timestamp(BEGUN)));
    // Across the joint, on either side of it, and a limit that counts both.
    assert_eq!(kept.count("b", BEGUN + 7 * HOUR, BEGUN + 9 * HOUR), 120);
    assert_eq!(kept.count("b", BEGUN + HOUR, BEGUN + 2 * HOUR), 60);
    assert_eq!(kept.count("b", BEGUN + 8 * HOUR, BEGUN + 9 * HOUR), 60);
    let limited = kept.store.select(&[], TimeRange::ALL, 1_000);
    assert_eq!(limited.unwrap_err(), SelectError::TooMany { limit: 1_000 });
}

#[test]
fn a_restart_changes_nothing() {
    let mut kept = Kept::new();
    hours(&mut kept, 4);
    assert!(kept.store.close());
    kept = kept.reopen();
    kept.check();
    hours(&mut kept, 6);
    assert!(kept.windows >= 4);
}

#[test]
fn the_log_of_a_version_without_blocks_is_adopted() {
    let mut kept = Kept::new();
    hours(&mut kept, 1);
    assert!(kept.store.close());
    let folder = kept.folder.path();
    std::fs::remove_dir(folder.join("wal")).unwrap();
    std::fs::rename(folder.join("log"), folder.join("wal")).unwrap();
    kept = kept.reopen();
    kept.check();
    hours(&mut kept, 1);
}

#[test]
fn what_comes_late_is_sealed_too() {
    let mut kept = Kept::new();
    hours(&mut kept, 7);
    assert_eq!(kept.windows, 3);
    // A machine that was cut off sends what it kept, hours later, all of it older than what has been sealed.
    for nth in 0..180 {
        kept.commit("late", BEGUN + nth * MINUTE + 7, &[("late", nth as f64)]);
    }
    kept.check();
    hours(&mut kept, 1);
    assert_eq!(kept.windows, 3 + 2, "its two windows, once each");
    assert!(kept.store.cardinality(1).oldest.unwrap().0 >= BEGUN + 6 * HOUR);
    assert!(kept.store.close());
    kept = kept.reopen();
    kept.check();
    hours(&mut kept, 3);
    assert!(kept.blocks() < kept.windows, "blocks of one window become one");
}

#[test]
fn a_second_store_in_the_folder_is_refused_until_the_first_is_gone() {
    let kept = Kept::new();
    let again = || {
        Store::open(
            kept.folder.path(),
            Config::default(),
            kept.clock.clone(),
            &Registry::new(),
        )
    };
    let error = again().expect_err("it is in use").to_string();
    let folder = kept.folder.path().display().to_string();
    assert!(
        error.starts_with(&folder) && error.contains("in use by another process"),
        "{error}"
    );
    // It has touched nothing of the first, which goes on.
    let mut kept = kept;
    hours(&mut kept, 1);
    kept = kept.reopen();
    kept.check();
}

#[test]
fn a_block_that_cannot_be_written_stays_in_memory_and_is_tried_again_after_ten_minutes() {
    let mut kept = Kept::new();
    for _ in 0..(2 * 60 + 58) {
        let now = kept.minute();
        kept.commit("steady", now, &[("a", 1.0)]);
    }
    // Nobody can make a folder in a file.
    let away = kept.folder.path().with_extension("away");
    std::fs::rename(kept.folder.path(), &away).unwrap();
    std::fs::write(kept.folder.path(), "").unwrap();
    kept.clock.pass(5 * MINUTE);
    assert!(kept.store.seal().failed.is_some());
    kept.check();
    for _ in 0..9 {
        kept.clock.pass(MINUTE);
        let rests = kept.store.seal();
        assert!(rests.window.is_none() && rests.failed.is_none(), "{rests:?}");
    }
    kept.clock.pass(MINUTE);
    assert!(kept.store.seal().failed.is_some(), "there is still no folder");
    std::fs::remove_file(kept.folder.path()).unwrap();
    std::fs::rename(&away, kept.folder.path()).unwrap();
    kept.clock.pass(9 * MINUTE);
    assert!(kept.store.seal().window.is_none(), "it rests again");
    kept.clock.pass(MINUTE);
    assert!(kept.store.seal().window.is_some());
    kept.check();
}

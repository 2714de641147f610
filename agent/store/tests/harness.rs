//! A store on a clock and a disk of the test's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use model::column::Kept;
use model::histogram::{Buckets, Span};
use model::{
    BoxFuture, Clock, Column, Histogram, Keep, Kind, Labels, MatchOp, Matcher, Round, Select, Series,
    SeriesDesc, SeriesRef, TargetDesc, TargetRef, TimeRange, Timestamp,
};
use prometheus::Registry;
use store::{Config, Retention, Store};

use crate::disk::Fake;

const FOLDER: &str = "metrics";

/// Stands until it is moved; nothing here waits for it.
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn at(millis: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(millis)))
    }

    pub(crate) fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn running(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

pub(crate) struct House {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) registry: Registry,
    pub(crate) disk: Fake,
    pub(crate) config: Config,
}

impl House {
    /// Six hours, all of it in memory.
    pub(crate) fn new() -> Self {
        Self::with(Config {
            retention: Retention {
                time: Duration::from_hours(6),
                ..Retention::default()
            },
            ..Config::default()
        })
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::on(Fake::default(), config)
    }

    pub(crate) fn on(disk: Fake, config: Config) -> Self {
        Self::open(disk, config, HandClock::at(1_000_000))
    }

    fn open(disk: Fake, config: Config, clock: Arc<HandClock>) -> Self {
        let registry = Registry::new();
        let (files, folder) = (Arc::new(disk.clone()), Path::new(FOLDER));
        let store = Store::open_on(files, folder, config.clone(), clock.clone(), &registry).expect("opens");
        Self {
            store,
            clock,
            registry,
            disk,
            config,
        }
    }

    /// Closes in order and opens again.
    pub(crate) fn restart(&mut self) {
        assert!(self.store.close());
        *self = Self::open(self.disk.clone(), self.config.clone(), self.clock.clone());
    }

    /// As after a power failure just now: another store opens what is on the disk.
    pub(crate) fn killed(&self) -> Self {
        assert!(self.store.sync());
        Self::open(
            self.disk.after_power_failure(),
            self.config.clone(),
            self.clock.clone(),
        )
    }

    pub(crate) fn target(&self, name: &str) -> TargetRef {
        self.store.target(&target(name))
    }

    pub(crate) fn series(&self, of: TargetRef, text: &str) -> SeriesRef {
        self.store.series(of, &desc(text)).expect("within the limits")
    }

    /// A whole round, asking for each series anew.
    pub(crate) fn whole(&self, of: TargetRef, time: i64, values: &[(&str, f64)]) -> Kept {
        self.column(of, time, Round::Whole, values)
    }

    pub(crate) fn part(&self, of: TargetRef, time: i64, values: &[(&str, f64)]) -> Kept {
        self.column(of, time, Round::Part, values)
    }

    pub(crate) fn provisional(&self, of: TargetRef, time: i64, values: &[(&str, f64)]) -> Kept {
        self.column(of, time, Round::Provisional, values)
    }

    fn column(&self, target: TargetRef, time: i64, round: Round, values: &[(&str, f64)]) -> Kept {
        let series = values.iter().map(|(text, _)| self.series(target, text)).collect();
        let values = values.iter().map(|(_, value)| *value).collect();
        self.store.commit(Column {
            target,
            time: Timestamp(time),
            round,
            series,
            values,
        })
    }

    /// Everything there is, as text.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        shown(
            &self
                .store
                .select(&[], TimeRange::ALL, usize::MAX)
                .expect("no matcher is wrong"),
        )
    }

    pub(crate) fn read(&self, text: &str, after: i64, until: i64) -> Vec<Series> {
        let range = TimeRange {
            after: Timestamp(after),
            until: Timestamp(until),
        };
        self.store
            .select(&[name_is(text)], range, usize::MAX)
            .expect("a plain matcher")
    }

    /// The value of one of our own metrics.
    pub(crate) fn metric(&self, name: &str, reason: Option<&str>) -> f64 {
        metric(&self.registry, name, reason)
    }
}

/// The value of a metric, of all reasons where none is given.
pub(crate) fn metric(registry: &Registry, name: &str, reason: Option<&str>) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
    let wanted = metrics.iter().filter(|metric| {
        reason.is_none()
            || metric
                .get_label()
                .iter()
                .any(|label| Some(label.value()) == reason)
    });
    wanted
        .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
        .sum()
}

impl Drop for House {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let ledger = self.store.ledger();
            assert!(ledger.balances(), "{ledger:?}");
        }
    }
}

/// Whether small numbers are to be the long run's.
pub(crate) fn long() -> bool {
    std::env::var_os("SKOPOS_TEST_LONG").is_some()
}

/// One that has seen `count` values between 0.5 and 1, and two of zero.
pub(crate) fn histogram(count: u32) -> Histogram {
    Histogram {
        count: f64::from(count) + 2.0,
        sum: f64::from(count) * 0.75,
        zero_threshold: 0.001,
        zero_count: 2.0,
        positive: Buckets {
            spans: vec![Span { offset: 0, length: 1 }],
            counts: vec![f64::from(count)],
        },
        integers: true,
        ..Histogram::default()
    }
}

/// Where segments lie on a fake disk.
pub(crate) fn segment(number: u64) -> PathBuf {
    Path::new(FOLDER).join(format!("log/{number:08}.wal"))
}

pub(crate) fn target(name: &str) -> TargetDesc {
    TargetDesc {
        name: name.into(),
        page: None,
        staleness: None,
    }
}

/// From `name a=1 b=2`.
pub(crate) fn labels(text: &str) -> Labels {
    let mut words = text.split(' ');
    let name = words.next().unwrap_or_default();
    let pairs = words.filter_map(|pair| pair.split_once('='));
    Labels::from_pairs(pairs.chain([(model::labels::METRIC_NAME, name)]))
}

pub(crate) fn desc(text: &str) -> SeriesDesc {
    let labels = labels(text);
    SeriesDesc {
        family: labels.name().into(),
        labels,
        kind: Kind::Gauge,
        help: "Of a test.".into(),
        unit: "".into(),
    }
}

pub(crate) fn name_is(name: &str) -> Matcher {
    Matcher::new(model::labels::METRIC_NAME, MatchOp::Equal, name)
}

/// `5:1 6:2 7:-`, a dash for a stale marker.
pub(crate) fn samples(series: &Series) -> String {
    assert_eq!(series.times.len(), series.values.len());
    let one = |(time, value): (&Timestamp, &f64)| {
        if model::is_stale(*value) {
            format!("{}:-", time.0)
        } else {
            format!("{}:{value}", time.0)
        }
    };
    series
        .times
        .iter()
        .zip(&*series.values)
        .map(one)
        .collect::<Vec<_>>()
        .join(" ")
}

pub(crate) fn shown(all: &[Series]) -> BTreeMap<String, String> {
    assert!(
        all.is_sorted_by(|a, b| a.labels < b.labels),
        "sorted by labels, each once"
    );
    all.iter()
        .map(|series| (series.labels.to_string(), samples(series)))
        .collect()
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(labels, samples)| ((*labels).to_owned(), (*samples).to_owned()))
        .collect()
}

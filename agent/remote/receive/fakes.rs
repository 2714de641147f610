//! A store that remembers what it was told, a clock that runs by hand, and senders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use journal::{Disk, Journal};
use model::column::Kept;
use model::outside::{Call, Identity, Response, Role};
use model::text::float;
use model::{
    Clock, Column, Exemplar, Histogram, Histograms, Keep, KeepError, Labels, NoExemplar, Round, SeriesDesc,
    SeriesRef, TargetDesc, TargetRef, Timestamp, Value, is_stale,
};
use parking_lot::Mutex;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;

use super::{Config, Receiver};
use crate::wire::decode::written::{self, Written};

#[derive(Default)]
pub(crate) struct Recorder(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    targets: Vec<TargetDesc>,
    series: Vec<Known>,
    lines: Vec<String>,
    histograms: Vec<(Labels, i64, Arc<Histogram>)>,
    /// As a store does that keeps no history.
    without_histograms: bool,
    retired: Vec<(String, i64)>,
    exemplars: Vec<(Labels, Exemplar)>,
    asked: usize,
    limit: Option<usize>,
}

struct Known {
    target: TargetRef,
    desc: SeriesDesc,
    last: Option<(i64, Value)>,
    forgotten: bool,
}

impl Known {
    /// Whether it goes in, counted either way.
    fn takes(&self, target: TargetRef, time: i64, value: &Value, kept: &mut Kept) -> bool {
        let same = |last: &Value| match (last, value) {
            (Value::Float(last), Value::Float(value)) => last.to_bits() == value.to_bits(),
            (last, value) => last == value,
        };
        let (takes, count) = match &self.last {
            _ if self.forgotten || self.target != target => (false, &mut kept.unknown),
            Some((last, before)) if *last == time && same(before) => (false, &mut kept.duplicate),
            Some((last, _)) if *last >= time => (false, &mut kept.out_of_order),
            _ => (true, &mut kept.kept),
        };
        *count += 1;
        takes
    }
}

impl Recorder {
    /// How often a series was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.0.lock().asked
    }

    pub(crate) fn limit(&self, series: usize) {
        self.0.lock().limit = Some(series);
    }

    pub(crate) fn exemplars(&self) -> Vec<(Labels, Exemplar)> {
        self.0.lock().exemplars.clone()
    }

    /// As after the retention: refs to series whose name is this are no longer good.
    pub(crate) fn forget(&self, name: &str) {
        let mut inner = self.0.lock();
        let named = inner
            .series
            .iter_mut()
            .filter(|known| known.desc.labels.name() == name);
        named.for_each(|known| known.forgotten = true);
    }

    /// What was committed since the last call: `target @time: series value, …`.
    pub(crate) fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().lines)
    }

    pub(crate) fn keep_no_histograms(&self) {
        self.0.lock().without_histograms = true;
    }

    /// Series whose last sample is their end.
    pub(crate) fn ended(&self) -> BTreeSet<String> {
        let inner = self.0.lock();
        let ended = |known: &&Known| matches!(known.last, Some((_, Value::Float(value))) if is_stale(value));
        let ended = inner.series.iter().filter(ended);
        ended.map(|known| known.desc.labels.to_string()).collect()
    }

    /// All that were kept, with their series and times.
    pub(crate) fn histograms(&self) -> Vec<(Labels, i64, Arc<Histogram>)> {
        self.0.lock().histograms.clone()
    }

    pub(crate) fn retired(&self) -> Vec<(String, i64)> {
        self.0.lock().retired.clone()
    }

    /// Type, help and unit of the family of a series.
    pub(crate) fn described(&self, name: &str) -> String {
        let inner = self.0.lock();
        let mut named = inner
            .series
            .iter()
            .filter(|known| known.desc.labels.name() == name);
        let desc = &named.next().unwrap().desc;
        format!("{} {} {} {}", desc.family, desc.kind.text(), desc.help, desc.unit)
            .trim()
            .to_owned()
    }
}

impl Inner {
    fn line(&self, column: &Column) -> String {
        let sample = |(series, value): (&SeriesRef, &f64)| {
            let value = if is_stale(*value) {
                "stale".to_owned()
            } else {
                float::go(*value)
            };
            format!("{} {value}", self.labels(*series))
        };
        let samples: Vec<String> = column.series.iter().zip(&column.values).map(sample).collect();
        let word = match column.round {
            Round::Whole => "whole ",
            Round::Part => "",
            Round::Provisional => "provisional ",
        };
        let target = self.place(column.target, column.time);
        format!("{word}{target}: {}", samples.join(", "))
    }

    fn histograms_line(&self, column: &Histograms) -> String {
        let histogram = |(series, histogram): &(SeriesRef, Arc<Histogram>)| {
            let (count, sum) = (float::go(histogram.count), float::go(histogram.sum));
            format!("{} {count}/{sum}", self.labels(*series))
        };
        let histograms: Vec<String> = column.histograms.iter().map(histogram).collect();
        let target = self.place(column.target, column.time);
        format!("histograms {target}: {}", histograms.join(", "))
    }

    fn labels(&self, series: SeriesRef) -> &Labels {
        &self.series[series.0 as usize].desc.labels
    }

    fn place(&self, target: TargetRef, time: Timestamp) -> String {
        format!("{} @{}", self.targets[target.0 as usize].name, time.0)
    }
}

impl Keep for Recorder {
    fn target(&self, target: &TargetDesc) -> TargetRef {
        let targets = &mut self.0.lock().targets;
        let known = targets.iter().position(|known| known.name == target.name);
        let at = known.unwrap_or_else(|| {
            targets.push(target.clone());
            targets.len() - 1
        });
        TargetRef(u32::try_from(at).unwrap())
    }

    fn series(&self, target: TargetRef, desc: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        let mut inner = self.0.lock();
        inner.asked += 1;
        let known = inner
            .series
            .iter()
            .position(|known| known.target == target && known.desc.labels == desc.labels && !known.forgotten);
        if let Some(at) = known {
            inner.series[at].desc = desc.clone();
            return Ok(SeriesRef(at as u64));
        }
        if let Some(limit) = inner.limit.filter(|limit| inner.series.len() >= *limit) {
            return Err(KeepError::SeriesLimit { limit });
        }
        inner.series.push(Known {
            target,
            desc: desc.clone(),
            last: None,
            forgotten: false,
        });
        Ok(SeriesRef(inner.series.len() as u64 - 1))
    }

    fn exemplar(&self, series: SeriesRef, exemplar: Exemplar) -> Result<(), NoExemplar> {
        let mut inner = self.0.lock();
        if inner.exemplars.last().is_some_and(|(_, last)| *last == exemplar) {
            return Err(NoExemplar::Duplicate);
        }
        let labels = inner.series[series.0 as usize].desc.labels.clone();
        inner.exemplars.push((labels, exemplar));
        Ok(())
    }

    fn commit(&self, column: Column) -> Kept {
        assert_eq!(column.series.len(), column.values.len());
        let mut inner = self.0.lock();
        let mut kept = Kept::default();
        let mut taken = Column {
            series: Vec::new(),
            values: Vec::new(),
            ..column
        };
        for (series, value) in column.series.iter().zip(&column.values) {
            let known = &mut inner.series[series.0 as usize];
            if !known.takes(column.target, column.time.0, &Value::Float(*value), &mut kept) {
                continue;
            }
            if column.round != Round::Provisional {
                known.last = Some((column.time.0, Value::Float(*value)));
            }
            taken.series.push(*series);
            taken.values.push(*value);
        }
        if !taken.series.is_empty() {
            let line = inner.line(&taken);
            inner.lines.push(line);
        }
        kept
    }

    fn histograms(&self, column: Histograms) -> Kept {
        let mut inner = self.0.lock();
        let mut kept = Kept::default();
        if inner.without_histograms {
            kept.refused = column.histograms.len();
            return kept;
        }
        let alone: BTreeSet<SeriesRef> = column.histograms.iter().map(|(series, _)| *series).collect();
        assert_eq!(alone.len(), column.histograms.len(), "of each series one");
        let mut taken = Histograms {
            histograms: Vec::new(),
            ..column
        };
        for (series, histogram) in column.histograms {
            assert_eq!(histogram.check(), Ok(()));
            let known = &mut inner.series[series.0 as usize];
            let value = Value::Histogram(histogram.clone());
            if known.takes(column.target, column.time.0, &value, &mut kept) {
                known.last = Some((column.time.0, value));
                let labels = known.desc.labels.clone();
                inner.histograms.push((labels, column.time.0, histogram.clone()));
                taken.histograms.push((series, histogram));
            }
        }
        if !taken.histograms.is_empty() {
            let line = inner.histograms_line(&taken);
            inner.lines.push(line);
        }
        kept
    }

    fn retire(&self, target: TargetRef, time: Timestamp) {
        let mut inner = self.0.lock();
        let name = inner.targets[target.0 as usize].name.to_string();
        inner.retired.push((name, time.0));
    }
}

pub(crate) struct Bench {
    pub(crate) keep: Arc<Recorder>,
    pub(crate) clock: Arc<RuntimeClock>,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) registry: Registry,
    pub(crate) folder: Arc<tempfile::TempDir>,
    config: Config,
}

/// Far enough from zero for every test's times to be possible.
pub(crate) const START: i64 = 1_000_000_000;

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::begin(config, folder, RuntimeClock::starting_at(Timestamp(START)))
    }

    fn begin(config: Config, folder: Arc<tempfile::TempDir>, clock: Arc<RuntimeClock>) -> Self {
        let (keep, registry) = (Arc::new(Recorder::default()), Registry::new());
        let journal = journal(&folder);
        let receiver = Receiver::new(config.clone(), keep.clone(), journal, clock.clone(), &registry);
        Self {
            keep,
            clock,
            receiver,
            registry,
            folder,
            config,
        }
    }

    /// At a time of its own.
    pub(crate) fn at(now: Timestamp) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::begin(Config::default(), folder, RuntimeClock::starting_at(now))
    }

    /// Another process on the same disk.
    pub(crate) fn restart(&self) -> Self {
        let clock = RuntimeClock::starting_at(self.clock.now());
        Self::begin(self.config.clone(), self.folder.clone(), clock)
    }

    pub(crate) fn send(&self, from: &Identity, protocol: &str, series: &[Written]) -> Response {
        let body = match protocol {
            "1.0" => written::one(series),
            _ => written::two(series),
        };
        self.receiver.write(&call(from, protocol, written::packed(&body)))
    }

    pub(crate) fn counter(&self, name: &str) -> f64 {
        self.sum(name, |_| true)
    }

    /// Of a counter by reasons.
    pub(crate) fn reason(&self, name: &str, reason: &str) -> f64 {
        self.sum(name, |value| value == reason)
    }

    fn sum(&self, name: &str, fits: impl Fn(&str) -> bool) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics
            .iter()
            .filter(|metric| metric.get_label().iter().all(|label| fits(label.value())))
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }

    pub(crate) fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.receiver.ledger().dropped
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.receiver.ledger().balances(), "{:?}", self.receiver.ledger());
        }
    }
}

pub(crate) fn journal(folder: &tempfile::TempDir) -> Journal {
    Journal::open(Disk::new(folder.path()), std::path::Path::new("state")).unwrap()
}

pub(crate) fn call(from: &Identity, protocol: &str, body: Vec<u8>) -> Call {
    let kind = match protocol {
        "1.0" => "application/x-protobuf",
        _ => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    };
    Call {
        method: "POST".to_owned(),
        path: "/api/v1/write".to_owned(),
        headers: vec![
            ("content-type".to_owned(), kind.to_owned()),
            ("content-encoding".to_owned(), "snappy".to_owned()),
        ],
        body,
        from: Some(from.clone()),
        ..Call::default()
    }
}

pub(crate) fn sender(role: Role, name: &str) -> Identity {
    Identity {
        role,
        name: name.into(),
    }
}

pub(crate) fn node(name: &str) -> Identity {
    sender(Role::Node, name)
}

pub(crate) fn writer() -> Identity {
    sender(Role::Writer, "prometheus")
}

//! A house for one room: a store in memory, a clock that can be set, a notifier that writes down.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use journal::{Disk, Journal};
use model::column::Kept;
use model::select::Last;
use model::{
    AlertEvent, AlertState, Answer, Ask, AskError, BoxFuture, Clock, Column, Keep, KeepError, Labels,
    Leadership, MatchOp, Matcher, Metadata, Round, STALE, Select, SelectError, Series, SeriesDesc, SeriesRef,
    TargetDesc, TargetRef, TimeRange, Timestamp,
};
use parking_lot::Mutex;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Manager, Neighbours, Options, load};

/// Slots, and samples twice as often.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
const SCRAPE: Duration = Duration::from_secs(5);
const START: Timestamp = Timestamp(1_700_000_000_000);

pub(super) struct House {
    pub(super) clock: Arc<RuntimeClock>,
    pub(super) store: Arc<Memory>,
    pub(super) gate: Arc<Gate>,
    pub(super) registry: Registry,
    pub(super) manager: Manager,
    pub(super) events: mpsc::Receiver<AlertEvent>,
    /// What is scraped, as long as it is here.
    scraped: BTreeMap<Labels, f64>,
    options: Options,
    folder: TempDir,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl House {
    pub(super) fn new(rules: &str) -> Self {
        Self::with(
            rules,
            Options {
                evaluation_interval: INTERVAL,
                ..Options::default()
            },
        )
    }

    pub(super) fn with(rules: &str, options: Options) -> Self {
        let clock = RuntimeClock::starting_at(START);
        let store = Arc::new(Memory::default());
        Self::open(rules, options, clock, store, tempfile::tempdir().unwrap())
    }

    fn open(
        rules: &str,
        options: Options,
        clock: Arc<RuntimeClock>,
        store: Arc<Memory>,
        folder: TempDir,
    ) -> Self {
        let registry = Registry::new();
        let gate = Arc::new(Gate {
            engine: promql::Engine::new(Arc::clone(&store) as Arc<dyn Select>, promql::Options::default()),
            failing: Mutex::default(),
            delay_millis: AtomicU64::new(0),
        });
        let (sender, events) = mpsc::channel(64);
        let manager = Manager::new(
            Neighbours {
                ask: Arc::clone(&gate) as Arc<dyn Ask>,
                keep: Arc::clone(&store) as Arc<dyn Keep>,
                journal: Journal::open(Disk::new(folder.path()), Path::new("alerts")).unwrap(),
                events: sender,
                leadership: watch::channel(Leadership {
                    epoch: 7,
                    ..Leadership::standalone()
                })
                .1,
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
            },
            &registry,
            options.clone(),
        );
        manager.apply(load(&[("a.yaml", rules)]).unwrap());
        let stop = CancellationToken::new();
        let task = tokio::spawn(manager.clone().run(stop.clone()));
        let scraped = BTreeMap::new();
        Self {
            clock,
            store,
            gate,
            registry,
            manager,
            events,
            scraped,
            options,
            folder,
            stop,
            task,
        }
    }

    /// Kills it and starts it again on the same disk, `down` later. With `store`, the samples survive.
    pub(super) async fn restart(self, rules: &str, down: Duration, keeps_samples: bool) -> Self {
        let Self {
            clock,
            store,
            manager,
            options,
            folder,
            task,
            stop,
            ..
        } = self;
        task.abort();
        drop((task.await, stop, manager));
        clock.sleep(down).await;
        let store = if keeps_samples {
            store
        } else {
            Arc::new(Memory::default())
        };
        store.forget_refs();
        Self::open(rules, options, clock, store, folder)
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    pub(super) fn apply(&self, rules: &str) {
        self.manager.apply(load(&[("a.yaml", rules)]).unwrap());
    }

    pub(super) fn set(&mut self, name: &str, instance: &str, value: f64) {
        self.scraped.insert(labels(name, instance), value);
    }

    /// The series is no longer scraped, and ends as when its target does.
    pub(super) fn end(&mut self, name: &str, instance: &str) {
        let labels = labels(name, instance);
        self.scraped.remove(&labels);
        self.store.push(&labels, self.clock.now(), STALE);
    }

    /// Lets time go by while everything is scraped.
    pub(super) async fn run(&self, time: Duration) {
        let until = self.clock.now() + time;
        while self.clock.now() < until {
            for (labels, value) in &self.scraped {
                assert!(
                    self.store.push(labels, self.clock.now(), *value),
                    "{labels} twice"
                );
            }
            self.clock.sleep(SCRAPE).await;
        }
    }

    pub(super) async fn seconds(&self, seconds: u64) {
        self.run(Duration::from_secs(seconds)).await;
    }

    /// What the notifier was told since the last time.
    pub(super) fn told(&mut self) -> Vec<AlertEvent> {
        let mut told = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            told.push(event);
        }
        told
    }

    /// The same in short, repetitions left out: `A firing`, `A resolved`.
    pub(super) fn news(&mut self) -> Vec<String> {
        let mut news: Vec<String> = Vec::new();
        for event in self.told() {
            let word = match event.state {
                AlertState::Firing => "firing",
                AlertState::Resolved => "resolved",
                AlertState::Pending => "pending",
            };
            let text = format!("{} {word}", event.labels.value("alertname"));
            if !news.contains(&text) {
                news.push(text);
            }
        }
        news
    }

    /// States of all alerts now, by name: `A pending`.
    pub(super) fn alerts(&self) -> Vec<String> {
        let groups = self.manager.view();
        let alerts = groups
            .iter()
            .flat_map(|group| &group.rules)
            .flat_map(|rule| &rule.alerts);
        let mut states: Vec<String> = alerts
            .map(|alert| format!("{} {:?}", alert.labels.value("alertname"), alert.state).to_lowercase())
            .collect();
        states.sort();
        states
    }

    pub(super) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.get_name() == name);
        family.map_or(0.0, |family| {
            let metrics = family.get_metric().iter();
            metrics
                .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
                .sum()
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Values of `expr` now.
    pub(super) async fn ask(&self, expr: &str) -> Vec<(Labels, f64)> {
        let answer = self.gate.engine.ask(expr, self.clock.now()).await.unwrap();
        answer
            .points
            .into_iter()
            .map(|point| (point.labels, point.value))
            .collect()
    }
}

pub(super) fn labels(name: &str, instance: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", "j"), ("instance", instance)])
}

/// The evaluator, and the ways in which it may fail.
pub(super) struct Gate {
    engine: promql::Engine,
    /// Parts of expressions that get no answer.
    failing: Mutex<BTreeSet<String>>,
    delay_millis: AtomicU64,
}

impl Gate {
    pub(super) fn fail(&self, part: &str) {
        self.failing.lock().insert(part.to_owned());
    }

    pub(super) fn mend(&self) {
        self.failing.lock().clear();
    }

    pub(super) fn delay(&self, time: Duration) {
        self.delay_millis
            .store(time.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Ask for Gate {
    fn ask<'a>(&'a self, expr: &'a str, time: Timestamp) -> BoxFuture<'a, Result<Answer, AskError>> {
        Box::pin(async move {
            let delay = Duration::from_millis(self.delay_millis.load(Ordering::Relaxed));
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if self.failing.lock().iter().any(|part| expr.contains(part)) {
                return Err(AskError::NoAnswer("the store is away".to_owned()));
            }
            self.engine.ask(expr, time).await
        })
    }
}

/// Samples by series. A whole round ends what it does not have.
#[derive(Default)]
pub(super) struct Memory(Mutex<Samples>);

#[derive(Default)]
struct Samples {
    series: BTreeMap<Labels, Vec<(Timestamp, f64)>>,
    targets: Vec<TargetDesc>,
    refs: Vec<Labels>,
    last: HashMap<TargetRef, BTreeSet<Labels>>,
}

impl Memory {
    /// Returns whether it was kept: an older sample than the last is not.
    pub(super) fn push(&self, labels: &Labels, at: Timestamp, value: f64) -> bool {
        let mut inner = self.0.lock();
        let samples = inner.series.entry(labels.clone()).or_default();
        let in_order = samples.last().is_none_or(|(last, _)| *last < at);
        if in_order {
            samples.push((at, value));
        }
        in_order
    }

    /// As a new process would find it.
    fn forget_refs(&self) {
        let mut inner = self.0.lock();
        let series = std::mem::take(&mut inner.series);
        *inner = Samples {
            series,
            ..Samples::default()
        };
    }

    fn end(&self, labels: &Labels, at: Timestamp) {
        let ended = self
            .0
            .lock()
            .series
            .get(labels)
            .is_some_and(|s| s.last().is_some_and(|l| l.1.to_bits() == STALE.to_bits()));
        if !ended {
            self.push(labels, at, STALE);
        }
    }
}

impl Keep for Memory {
    fn target(&self, target: &TargetDesc) -> TargetRef {
        let targets = &mut self.0.lock().targets;
        let at = targets
            .iter()
            .position(|known| known.name == target.name)
            .unwrap_or(targets.len());
        if at == targets.len() {
            targets.push(target.clone());
        }
        TargetRef(at as u32)
    }

    fn series(&self, _: TargetRef, series: &SeriesDesc) -> Result<SeriesRef, KeepError> {
        let refs = &mut self.0.lock().refs;
        let at = refs
            .iter()
            .position(|known| *known == series.labels)
            .unwrap_or(refs.len());
        if at == refs.len() {
            refs.push(series.labels.clone());
        }
        Ok(SeriesRef(at as u64))
    }

    fn commit(&self, column: Column) -> Kept {
        assert_eq!(column.round, Round::Whole);
        let labels: Vec<Labels> = {
            let inner = self.0.lock();
            column
                .series
                .iter()
                .map(|series| inner.refs[series.0 as usize].clone())
                .collect()
        };
        let mut kept = Kept::default();
        for (labels, value) in labels.iter().zip(&column.values) {
            let pushed = self.push(labels, column.time, *value);
            kept.kept += usize::from(pushed);
            kept.out_of_order += usize::from(!pushed);
        }
        let now: BTreeSet<Labels> = labels.into_iter().collect();
        let before = self
            .0
            .lock()
            .last
            .insert(column.target, now.clone())
            .unwrap_or_default();
        before
            .difference(&now)
            .for_each(|labels| self.end(labels, column.time));
        kept
    }

    fn retire(&self, target: TargetRef, time: Timestamp) {
        let before = self.0.lock().last.remove(&target).unwrap_or_default();
        before.iter().for_each(|labels| self.end(labels, time));
    }
}

impl Select for Memory {
    fn select(&self, matchers: &[Matcher], range: TimeRange, _: usize) -> Result<Vec<Series>, SelectError> {
        let inner = self.0.lock();
        let matches = |labels: &Labels| {
            matchers.iter().all(|matcher| match matcher.op {
                MatchOp::Equal => labels.value(&matcher.name) == &*matcher.value,
                MatchOp::NotEqual => labels.value(&matcher.name) != &*matcher.value,
                _ => panic!("no regular expressions here"),
            })
        };
        let found = inner
            .series
            .iter()
            .filter(|(labels, _)| matches(labels))
            .map(|(labels, samples)| {
                let inside: Vec<_> = samples.iter().filter(|(at, _)| range.contains(*at)).collect();
                Series {
                    labels: labels.clone(),
                    times: inside.iter().map(|(at, _)| *at).collect(),
                    values: inside.iter().map(|(_, value)| *value).collect(),
                    staleness: None,
                }
            });
        Ok(found.filter(|series| !series.times.is_empty()).collect())
    }

    fn labels(&self, _: &[Matcher], _: TimeRange) -> Result<Vec<Labels>, SelectError> {
        Ok(Vec::new())
    }

    fn metadata(&self) -> Vec<Metadata> {
        Vec::new()
    }

    fn last(&self, _: Option<&str>) -> Vec<Last> {
        Vec::new()
    }
}

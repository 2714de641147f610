//! A house for one room: a clock that can be set, a disk that can be full, an evaluator that can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use journal::{Disk, Journal};
use model::late::{Late, Mark};
use model::outside::Files;
use model::{
    AlertEvent, AlertState, Answer, Ask, AskError, BoxFuture, Clock, Keep, Labels, Leadership, Presence,
    STALE, Select, Silence, Silent, Timestamp,
};
use parking_lot::Mutex;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::memory::Memory;
use crate::{Manager, Neighbours, Options, load};

/// Slots, and samples twice as often.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
const SCRAPE: Duration = Duration::from_secs(5);
/// Job of what others say about a node.
const OTHERS: &str = "others";
const START: Timestamp = Timestamp(1_700_000_000_000);

pub(super) struct House {
    pub(super) clock: Arc<RuntimeClock>,
    pub(super) store: Arc<Memory>,
    pub(super) gate: Arc<Gate>,
    pub(super) disk: Arc<Flaky>,
    pub(super) registry: Registry,
    pub(super) manager: Manager,
    pub(super) events: mpsc::Receiver<AlertEvent>,
    /// What is scraped, as long as it is here.
    scraped: BTreeMap<Labels, f64>,
    options: Options,
    folder: TempDir,
    pub(super) presence: Arc<Hearing>,
    pub(super) late: Arc<Marked>,
    pub(super) journal: Journal,
    /// Nodes whose samples do not arrive.
    muted: BTreeSet<Arc<str>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Until when everything is there, whatever it is called.
#[derive(Default)]
pub(super) struct Marked(pub(super) Mutex<Option<Mark>>);

impl Late for Marked {
    fn mark(&self, _: &str) -> Option<Mark> {
        *self.0.lock()
    }
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
        let disk = Arc::new(Flaky {
            disk: Disk::new(folder.path()),
            full: AtomicBool::new(false),
            appends: AtomicU64::new(0),
        });
        let files = Arc::clone(&disk) as Arc<dyn Files>;
        let (sender, events) = mpsc::channel(64);
        let journal = Journal::open(files, Path::new("alerts")).unwrap();
        let presence = Arc::new(Hearing::default());
        let late = Arc::new(Marked::default());
        let manager = Manager::new(
            Neighbours {
                ask: Arc::clone(&gate) as Arc<dyn Ask>,
                keep: Arc::clone(&store) as Arc<dyn Keep>,
                journal: journal.clone(),
                events: sender,
                leadership: watch::channel(Leadership {
                    epoch: 7,
                    ..Leadership::standalone()
                })
                .1,
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                presence: Arc::clone(&presence) as Arc<dyn Presence>,
                late: Arc::clone(&late) as Arc<dyn Late>,
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
            disk,
            registry,
            manager,
            events,
            scraped,
            presence,
            late,
            journal,
            muted: BTreeSet::new(),
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

    /// A series that a node sends.
    pub(super) fn send(&mut self, node: &str, name: &str, instance: &str, value: f64) {
        self.scraped.insert(sent(node, name, instance), value);
    }

    /// A series about a node that somebody else sends.
    pub(super) fn observe(&mut self, node: &str, name: &str, value: f64) {
        let mut labels = sent(node, name, "here").to_builder();
        labels.set("job", OTHERS);
        self.scraped.insert(labels.build(), value);
    }

    /// Nothing of the node arrives any more; two intervals later it counts as silent. If the other replica does not
    /// hear it either, the receiver ends its series and says `up 0`.
    pub(super) async fn silence(&mut self, node: &str, deaf: bool) {
        let since = self.clock.now() - SCRAPE;
        self.muted.insert(node.into());
        self.seconds(25).await;
        self.presence.0.lock().push(Silent {
            node: node.into(),
            since,
            silence: if deaf { Silence::Here } else { Silence::Everywhere },
        });
        if deaf {
            return;
        }
        for labels in self.scraped.keys().filter(|labels| !self.arrives(labels)) {
            assert_eq!(labels.value("node"), node);
            let ups = labels.value("__name__") == "up";
            self.store
                .push(labels, self.clock.now(), if ups { 0.0 } else { STALE });
        }
    }

    /// It is known at once that nobody hears the node.
    pub(super) fn fall_silent(&mut self, node: &str) {
        self.muted.insert(node.into());
        self.presence.0.lock().push(Silent {
            node: node.into(),
            since: self.clock.now() - SCRAPE,
            silence: Silence::Everywhere,
        });
        let of_node = self.scraped.keys().filter(|labels| labels.value("node") == node);
        for labels in of_node.filter(|labels| !self.arrives(labels)) {
            self.store.push(labels, self.clock.now(), STALE);
        }
    }

    /// The node is heard again. What it sends from now on is in [`Self::scraped`].
    pub(super) fn hear(&mut self, node: &str) {
        self.muted.remove(node);
        self.presence.0.lock().retain(|silent| *silent.node != *node);
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
            for (labels, value) in self.scraped.iter().filter(|(labels, _)| self.arrives(labels)) {
                assert!(
                    self.store.push(labels, self.clock.now(), *value),
                    "{labels} twice"
                );
            }
            self.clock.sleep(SCRAPE).await;
        }
    }

    fn arrives(&self, labels: &Labels) -> bool {
        labels.value("job") == OTHERS || !self.muted.contains(labels.value("node"))
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
        let family = families.iter().find(|family| family.name() == name);
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

pub(super) fn sent(node: &str, name: &str, instance: &str) -> Labels {
    let mut labels = labels(name, instance).to_builder();
    labels.set("node", node);
    labels.build()
}

/// Who is heard, as a test says.
#[derive(Default)]
pub(super) struct Hearing(pub(super) Mutex<Vec<Silent>>);

impl Presence for Hearing {
    fn silent(&self) -> Vec<Silent> {
        self.0.lock().clone()
    }
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

/// A disk that can be full.
pub(super) struct Flaky {
    disk: Arc<Disk>,
    full: AtomicBool,
    appends: AtomicU64,
}

impl Flaky {
    pub(super) fn fill(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub(super) fn appends(&self) -> u64 {
        self.appends.load(Ordering::Relaxed)
    }

    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

impl Files for Flaky {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(path)
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.room()?;
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.disk.append(path, bytes)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.room()?;
        self.disk.replace(path, bytes)
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        self.disk.truncate(path, length_bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(folder)
    }
}

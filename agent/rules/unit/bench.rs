//! Rules on the bench: the room's own groups over a memory, moved by hand, with nobody around.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use model::outside::Files;
use model::{AllHere, Ask, Keep, Labels, Leadership, Timestamp};
use parking_lot::Mutex;
use prometheus::Registry;
use promql::{Engine, Outcome, QueryError};
use telemetry::clock::RuntimeClock;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Read;
use super::store::Store;
use crate::alert::State;
use crate::config::Options;
use crate::group::Group;
use crate::metrics::Metrics;
use crate::runner::{Last, Running};
use crate::state::{RuleState, identities};
use crate::world::{Neighbours, World};

pub(super) struct Bench {
    pub(super) store: Arc<Store>,
    engine: Arc<Engine>,
    world: World,
    groups: Vec<Running>,
    /// By rule, why a label or an annotation could not be expanded; its alerts go out all the same.
    notes: BTreeMap<Arc<str>, String>,
}

/// An alert as a test sees it: with every annotation of its rule, also those that came out empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Bench {
    /// `options` says what the whole agent would say.
    ///
    /// # Errors
    /// A sentence; nothing on the bench can fail but by our own mistake.
    pub(super) fn new(read: &Read, options: Options, start: Timestamp) -> Result<Self, String> {
        let store = Arc::new(Store::new(&read.memory));
        let near = Neighbours {
            ask: Arc::clone(&read.engine) as Arc<dyn Ask>,
            keep: Arc::clone(&store) as Arc<dyn Keep>,
            journal: Journal::open(Arc::new(NoDisk), Path::new("")).map_err(|error| error.to_string())?,
            events: mpsc::channel(1).0,
            leadership: watch::channel(Leadership::standalone()).1,
            clock: RuntimeClock::starting_at(start),
            presence: Arc::new(AllHere),
        };
        let interval = options.evaluation_interval;
        let world = World::new(near, options, Metrics::new(&Registry::new()));
        let running = |group: &Group| Running {
            states: states(group, &*store),
            interval: group.interval.unwrap_or(interval),
            group: group.clone(),
            last: Mutex::new(Last::default()),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
        };
        Ok(Self {
            groups: read.groups.iter().map(running).collect(),
            store,
            engine: Arc::clone(&read.engine),
            world,
            notes: BTreeMap::new(),
        })
    }

    /// How often each group runs by itself.
    pub(super) fn intervals(&self) -> impl Iterator<Item = Duration> {
        self.groups.iter().map(|group| group.interval)
    }

    /// Evaluates the groups that are due. Returns what went wrong, a sentence for each rule.
    pub(super) async fn evaluate(&mut self, at: Timestamp, is_due: impl Fn(Duration) -> bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for running in self.groups.iter().filter(|group| is_due(group.interval)) {
            running.evaluate(&self.world, at).await;
            let group = &running.group.name;
            let clashes = self.store.take_clashes().into_iter();
            wrong.extend(
                clashes
                    .map(|labels| format!("group {group}: {labels} has another value at this time already")),
            );
            for (rule, state) in running.group.rules.iter().zip(&running.states) {
                let state = state.lock();
                if !state.last_error.is_empty() {
                    wrong.push(format!(
                        "rule {} of group {group}: {}",
                        rule.name, state.last_error
                    ));
                }
                if let Some(error) = &state.template_error {
                    self.notes
                        .entry(Arc::clone(&rule.name))
                        .or_insert_with(|| error.clone());
                }
            }
        }
        wrong
    }

    /// What is worth knowing of the evaluations, beside their outcome.
    pub(super) fn into_notes(self) -> impl Iterator<Item = String> {
        let notes = self.notes.into_iter();
        notes.map(|(rule, error)| format!("rule {rule}: a template cannot be expanded: {error}"))
    }

    /// Alerts of this name in this state, of all groups.
    pub(super) fn alerts(&self, name: &str, wanted: State) -> Vec<Seen> {
        let mut seen = Vec::new();
        for running in &self.groups {
            let rules = running.group.rules.iter().zip(&running.states);
            for (rule, state) in rules.filter(|(rule, _)| *rule.name == *name) {
                let Some(alerting) = rule.alerting() else { continue };
                let state = state.lock();
                for alert in state.alerts.active().filter(|alert| alert.state == wanted) {
                    let names = alerting.annotations.iter().map(|(name, _)| name.to_string());
                    seen.push(Seen {
                        labels: written(&alert.labels),
                        annotations: names
                            .map(|name| {
                                let value = alert.annotations.value(&name).to_owned();
                                (name, value)
                            })
                            .collect(),
                    });
                }
            }
        }
        seen
    }

    /// # Errors
    /// There is no answer.
    pub(super) fn ask(&self, expr: &str, at: Timestamp) -> Result<Outcome, QueryError> {
        self.engine.instant(expr, at)
    }
}

fn states(group: &Group, keep: &dyn Keep) -> Vec<Mutex<RuleState>> {
    let states = identities(group).into_iter();
    states
        .map(|identity| Mutex::new(RuleState::new(identity, String::new(), keep)))
        .collect()
}

fn written(labels: &Labels) -> BTreeMap<String, String> {
    let pairs = labels.iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Nothing of a test outlives it.
struct NoDisk;

impl Files for NoDisk {
    fn read(&self, _: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn append(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn replace(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _: &Path, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn is_instant(&self) -> bool {
        true
    }
}

//! Rules on the bench: the room's own groups over a memory, moved by hand, with nobody around.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Keep, Labels, Timestamp};
use promql::{Engine, Outcome, QueryError};

use super::Read;
use super::store::Store;
use crate::alert::State;
use crate::config::Options;
use crate::runner::Running;
use crate::world::World;

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
        let ask = Arc::clone(&read.engine) as Arc<dyn Ask>;
        let keep = Arc::clone(&store) as Arc<dyn Keep>;
        let world = World::alone(ask, keep, options, start)?;
        Ok(Self {
            groups: read
                .groups
                .iter()
                .map(|group| Running::new(group, &world))
                .collect(),
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
                for alert in state.no_data.active().filter(|alert| alert.state == wanted) {
                    seen.push(Seen {
                        labels: written(&alert.labels),
                        annotations: written(&alert.annotations),
                    });
                }
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

fn written(labels: &Labels) -> BTreeMap<String, String> {
    let pairs = labels.iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

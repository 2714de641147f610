//! One alert instead of a storm: rules are frozen, because senders are silent or nothing has an answer.
//!
//! No rule can say this: where nothing is answered, none is evaluated. Of a single sender that is silent `AgentSilent`
//! tells, and of a single rule that fails `SkoposRuleFailing`; this is about two senders and more, and about all rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::labels::ALERT_NAME;
use model::{Labels, Silence, Timestamp, view};
use parking_lot::Mutex;

use crate::alert::{Found, Times};
use crate::evaluate::series;
use crate::record::Identity;
use crate::runner::Running;
use crate::state::{RuleState, Stuck};
use crate::tell;
use crate::view::of_alert;
use crate::world::World;

/// Name of the alert.
pub(crate) const UNREACHABLE: &str = "DatasourceUnreachable";
/// What to look at then.
const EXPR: &str = "skopos_sender_up == 0";
/// Rules are frozen for so long before anybody is told.
pub(crate) const HOLD: Duration = Duration::from_secs(300);
/// Of one silent sender its own alert tells.
const SENDERS_MIN: usize = 2;
/// Names that are written out.
const NAMES_MAX: usize = 10;

pub(crate) struct Unreachable {
    /// One, as a rule of its own has it.
    pub(crate) states: [Mutex<RuleState>; 1],
}

impl Unreachable {
    pub(crate) fn new(world: &World) -> Self {
        let identity = Identity {
            file: "".into(),
            group: "".into(),
            rule: UNREACHABLE.into(),
            labels: Labels::empty(),
            nth: 0,
        };
        let state = RuleState::new(identity, world.generator_url(EXPR), &*world.near.keep);
        Self {
            states: [Mutex::new(state)],
        }
    }

    /// Looks at all rules as they stand.
    pub(crate) async fn look(&self, world: &World, running: &[Arc<Running>]) {
        let at = world.near.clock.now();
        let [state] = &self.states;
        let found = found(world, running);
        {
            let mut state = state.lock();
            if found.is_none() && state.is_idle() {
                return;
            }
            let found: BTreeMap<_, _> = found.into_iter().collect();
            // Taken up, and it takes as long again to know.
            let is_young = |restored: Timestamp| at.since(restored) < 2 * HOLD;
            let young = state.alerts.active();
            let young = young.filter(|alert| alert.restored.is_some_and(is_young));
            let unknown: BTreeSet<Labels> = young.map(|alert| alert.labels.clone()).collect();
            let times = Times {
                hold: HOLD,
                ..Times::default()
            };
            state.alerts.step(at, times, found, &unknown);
            let samples = state.active().flat_map(series).collect();
            state
                .output
                .commit(&*world.near.keep, &world.metrics, at, samples);
            state.ended(at, Duration::ZERO, None);
        }
        tell::publish(world, &self.states, world.options.evaluation_interval, at).await;
    }

    /// A group of its own, while there is something to show.
    pub(crate) fn view(&self, interval: Duration) -> Option<view::RuleGroup> {
        let [state] = &self.states;
        let state = state.lock();
        state.all().next()?;
        Some(view::RuleGroup {
            name: UNREACHABLE.to_owned(),
            file: String::new(),
            interval,
            query_offset: Duration::ZERO,
            limit: 0,
            rules: vec![view::Rule {
                name: UNREACHABLE.to_owned(),
                alerting: true,
                expr: EXPR.to_owned(),
                hold: HOLD,
                keep_firing: Duration::ZERO,
                datapoints: None,
                on_missing: None,
                labels: Labels::empty(),
                annotations: Labels::empty(),
                health: state.health(),
                last_error: String::new(),
                last_evaluation: state.last_evaluation,
                last_duration: Duration::ZERO,
                alerts: state.all().map(of_alert).collect(),
                headroom: None,
            }],
            last_evaluation: state.last_evaluation,
            last_duration: Duration::ZERO,
        })
    }
}

/// Rules of which the last evaluation came to nothing, by why, and how many there are that were evaluated.
#[derive(Default)]
struct Count {
    frozen: BTreeSet<String>,
    unanswered: BTreeSet<String>,
    evaluated: usize,
    stuck: usize,
    error: String,
}

fn count(running: &[Arc<Running>], at: Timestamp) -> Count {
    let mut count = Count::default();
    for running in running {
        for (rule, state) in running.group.rules.iter().zip(&running.states) {
            let state = state.lock();
            // One that is evaluated once an hour says nothing about now.
            if at.since(state.stuck_at) > HOLD {
                continue;
            }
            count.evaluated += 1;
            match state.stuck {
                Stuck::No => {}
                Stuck::Frozen => _ = count.frozen.insert(rule.name.to_string()),
                Stuck::Unanswered => {
                    count.stuck += 1;
                    count.unanswered.insert(rule.name.to_string());
                    count.error.clone_from(&state.last_error);
                }
            }
        }
    }
    count
}

fn found(world: &World, running: &[Arc<Running>]) -> Option<(Labels, Found)> {
    let count = count(running, world.near.clock.now());
    let doubted = world.doubted().into_iter();
    let silent = doubted.filter(|doubted| {
        // What only we do not hear is judged by the other replica.
        doubted.silent.silence == Silence::Everywhere && doubted.heard_for.is_zero()
    });
    let silent: BTreeSet<String> = silent.map(|doubted| doubted.silent.node.to_string()).collect();
    let (summary, description, value) = if count.evaluated > 0 && count.stuck == count.evaluated {
        let summary = format!("None of {} rules gets an answer", count.evaluated);
        let description = format!(
            "Nothing that rules ask is answered ({}), so that all alerts stay as they were and none begins: {}.",
            count.error,
            names(&count.unanswered)
        );
        (summary, description, count.stuck)
    } else if silent.len() >= SENDERS_MIN && !count.frozen.is_empty() {
        let summary = format!(
            "{} senders are silent, and alerts of {} {} stay as they were",
            silent.len(),
            count.frozen.len(),
            if count.frozen.len() == 1 { "rule" } else { "rules" },
        );
        let description = format!(
            "Nothing is heard of {}. Nobody knows whether alerts of these rules have ended: {}.",
            names(&silent),
            names(&count.frozen)
        );
        (summary, description, silent.len())
    } else {
        return None;
    };
    let labels = Labels::from_pairs([(ALERT_NAME, UNREACHABLE), ("severity", "critical")]);
    let runbook = format!("{}/alerts/{UNREACHABLE}#runbook", world.options.external_url);
    let annotations = [
        ("summary", summary.as_str()),
        ("description", description.as_str()),
        ("runbook_url", runbook.as_str()),
    ];
    let found = Found {
        annotations: Labels::from_pairs(annotations),
        value: value as f64,
        source: Labels::empty(),
    };
    Some((labels, found))
}

/// The first of them, and how many more.
fn names(all: &BTreeSet<String>) -> String {
    let first: Vec<&str> = all.iter().take(NAMES_MAX).map(String::as_str).collect();
    match all.len().checked_sub(NAMES_MAX) {
        None | Some(0) => first.join(", "),
        Some(more) => format!("{} and {more} more", first.join(", ")),
    }
}

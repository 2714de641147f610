//! One evaluation of one rule: ask, expand, step the alerts, give the output to the store.
//!
//! When anything fails before the alerts are stepped, they stay exactly as they are, and nothing is
//! written: no samples and no stale markers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::labels::{ALERT_NAME, METRIC_NAME};
use model::{Answer, Labels, Point, Timestamp};
use parking_lot::Mutex;

use crate::alert::{Alert, Found, State, Times};
use crate::down::Down;
use crate::expand::Expander;
use crate::group::{Alerting, Group, Kind, OnMissing, Rule, Text};
use crate::heard::{self, About, Doubts};
use crate::output::{ALERTS, ALERTS_FOR_STATE, repeated};
use crate::state::{LIMIT_EXCEEDED, RuleState, Stuck};
use crate::world::World;

/// One rule at one slot.
pub(crate) struct Evaluation<'a> {
    pub(crate) world: &'a World,
    pub(crate) group: &'a Group,
    pub(crate) rule: &'a Rule,
    pub(crate) state: &'a Mutex<RuleState>,
    /// The slot; data is asked for, and output written, `offset` earlier.
    pub(crate) at: Timestamp,
    pub(crate) offset: Duration,
}

/// An active alert that an answer does not have.
struct Missing {
    labels: Labels,
    source: Labels,
    restored: Option<Timestamp>,
    /// Nothing was known of it before.
    unknown: bool,
}

impl Evaluation<'_> {
    /// Returns how many samples came out.
    pub(crate) async fn run(self) -> Result<usize, String> {
        // Looked at before the question and after the answer: whoever is silent in between has no part in it.
        self.world.doubted();
        let answer = self.world.ask(self.rule.expr.written(), self.data_at()).await;
        {
            let mut state = self.state.lock();
            state.stuck_at = self.world.near.clock.now();
            state.stuck = match answer {
                Ok(_) => Stuck::No,
                Err(_) => Stuck::Unanswered,
            };
        }
        let answer = answer?;
        match &self.rule.kind {
            Kind::Record { labels, without } => self.record(labels, without, answer).await,
            Kind::Alert(alerting) => self.alert(alerting, answer.points).await,
        }
    }

    /// Data is asked for as of then.
    fn data_at(&self) -> Timestamp {
        self.at - self.offset
    }

    fn commit(&self, samples: Vec<(Labels, f64)>) -> usize {
        let count = samples.len();
        let (keep, metrics) = (&*self.world.near.keep, &self.world.metrics);
        self.state
            .lock()
            .output
            .commit(keep, metrics, self.data_at(), samples);
        count
    }

    async fn record(&self, labels: &Labels, without: &[Arc<str>], answer: Answer) -> Result<usize, String> {
        let mut doubts = self.doubts(self.world.on_missing);
        let mut samples = Vec::with_capacity(answer.points.len());
        for point in answer.points {
            // What is made without a sender that only the other replica hears would stay a lie in history.
            if doubts.cover(&point.labels, About::Found).await? {
                continue;
            }
            let mut builder = point.labels.to_builder();
            builder.set(METRIC_NAME, &self.rule.name);
            for (name, value) in labels.iter() {
                builder.set(name, value);
            }
            for name in without {
                builder.set(name, "");
            }
            samples.push((builder.build(), point.value));
        }
        if let Some(labels) = repeated(samples.iter().map(|(labels, _)| labels)) {
            return Err(format!("two recorded series have the same labels {labels}"));
        }
        // Part of an aggregation would be a lie, so nothing is recorded, as in Prometheus.
        if let Some(error) = over_limit(self.group.limit, samples.len(), "series") {
            return Err(error);
        }
        Ok(self.commit(samples))
    }

    async fn alert(&self, alerting: &Alerting, points: Vec<Point>) -> Result<usize, String> {
        let on_missing = alerting.on_missing.unwrap_or(self.world.on_missing);
        let mut found = self.found(alerting, points).await?;
        let mut doubts = self.doubts(on_missing);
        let mut down = Down::new(self.world, &self.rule.expr, self.data_at());
        let mut unknown = self.seeming(&mut found, &mut doubts).await?;
        let error = over_limit(self.group.limit, found.len(), "alerts");
        if error.is_some() {
            self.cut(&mut found);
        }
        let judged = self.missing(&found, &unknown);
        unknown.extend(self.unknown(&judged, &mut doubts).await?);
        if on_missing != OnMissing::Resolve {
            unknown.extend(self.lost(&judged, &unknown, &mut down).await?);
        }
        let no_data = match on_missing {
            OnMissing::Alert => self.no_data(alerting, &mut doubts, &mut down).await?,
            OnMissing::Keep | OnMissing::Resolve => BTreeMap::new(),
        };
        let no_data_unknown = self.no_data_unknown(&no_data);
        let samples = {
            let mut state = self.state.lock();
            // Taken up from the other replica while this evaluation was under way.
            let late = state.alerts.active().filter(|alert| alert.restored.is_some());
            let late = late.filter(|alert| judged.iter().all(|judged| judged.labels != alert.labels));
            unknown.extend(late.map(|alert| alert.labels.clone()));
            state.alerts.step(self.at, alerting.times(), found, &unknown);
            let about = error.iter().map(|error| self.limit_alert(error)).collect();
            state
                .overflow
                .step(self.at, Times::default(), about, &BTreeSet::new());
            let times = Times {
                keep_firing: Duration::ZERO,
                ..alerting.times()
            };
            state.no_data.step(self.at, times, no_data, &no_data_unknown);
            if state.alerts.active().any(|alert| alert.unknown) {
                state.stuck = Stuck::Frozen;
            }
            state.active().flat_map(series).collect::<Vec<_>>()
        };
        let count = self.commit(samples);
        error.map_or(Ok(count), Err)
    }

    /// What is true now, by the labels that its alert has.
    async fn found(
        &self,
        alerting: &Alerting,
        points: Vec<Point>,
    ) -> Result<BTreeMap<Labels, Found>, String> {
        let near = &self.world.near;
        let mut expander = Expander::new(&*near.ask, &self.world.options, self.at);
        let mut found = BTreeMap::new();
        for point in points {
            let mut builder = point.labels.without_name().to_builder();
            for (name, value) in expand(&mut expander, &alerting.labels, &point).await {
                builder.set(&name, &value);
            }
            builder.set(ALERT_NAME, &self.rule.name);
            let labels = builder.build();
            let annotations = expand(&mut expander, &alerting.annotations, &point).await;
            let one = Found {
                annotations: Labels::from_pairs(annotations),
                value: point.value,
                source: point.labels,
            };
            if found.insert(labels.clone(), one).is_some() {
                return Err(format!("two alerts have the same labels {labels}"));
            }
        }
        self.world.metrics.template_failures.inc_by(expander.failures);
        self.note_template_error(expander.failure);
        Ok(found)
    }

    /// Said once for each change, not at every evaluation.
    fn note_template_error(&self, failure: Option<String>) {
        let mut state = self.state.lock();
        if let Some(error) = failure.as_ref().filter(|_| failure != state.template_error) {
            tracing::warn!(rule = %self.rule.name, %error, "a label or annotation cannot be expanded");
        }
        state.template_error = failure;
    }

    /// Leaves as many as the limit allows: first those that are alerts already, so that none of them is
    /// resolved by it.
    fn cut(&self, found: &mut BTreeMap<Labels, Found>) {
        let state = self.state.lock();
        let is_old = |labels: &Labels| state.alerts.alerts.get(labels).is_some_and(Alert::is_active);
        let mut left = self.group.limit;
        let mut keep = BTreeSet::new();
        for old in [true, false] {
            let candidates = found.keys().filter(|labels| is_old(labels) == old).take(left);
            let chosen: Vec<_> = candidates.cloned().collect();
            left -= chosen.len();
            keep.extend(chosen);
        }
        found.retain(|labels, _| keep.contains(labels));
    }

    fn limit_alert(&self, error: &str) -> (Labels, Found) {
        let labels = Labels::from_pairs([
            (ALERT_NAME, LIMIT_EXCEEDED),
            ("rule", &self.rule.name),
            ("rule_group", &self.group.label()),
            ("severity", "warning"),
        ]);
        let summary = format!("Rule {} gave more alerts than its group allows", self.rule.name);
        let annotations = Labels::from_pairs([("summary", summary.as_str()), ("description", error)]);
        let found = Found {
            annotations,
            value: self.group.limit as f64,
            source: Labels::empty(),
        };
        (labels, found)
    }

    fn doubts(&self, on_missing: OnMissing) -> Doubts<'_> {
        let keeps = on_missing != OnMissing::Resolve;
        Doubts::new(self.world, &self.rule.expr, self.data_at(), keeps)
    }

    /// Takes out what seems to be true only because this replica is deaf, and returns its labels.
    async fn seeming(
        &self,
        found: &mut BTreeMap<Labels, Found>,
        doubts: &mut Doubts<'_>,
    ) -> Result<BTreeSet<Labels>, String> {
        let mut seeming = BTreeSet::new();
        for (labels, one) in found.iter() {
            if doubts.cover(&one.source, About::Found).await? {
                seeming.insert(labels.clone());
            }
        }
        found.retain(|labels, _| !seeming.contains(labels));
        Ok(seeming)
    }

    /// Active alerts that the answer does not have.
    fn missing(&self, found: &BTreeMap<Labels, Found>, unknown: &BTreeSet<Labels>) -> Vec<Missing> {
        let state = self.state.lock();
        let is_missing = |labels: &Labels| !found.contains_key(labels) && !unknown.contains(labels);
        let missing = state.alerts.active();
        missing
            .filter(|alert| is_missing(&alert.labels))
            .map(|alert| Missing {
                labels: alert.labels.clone(),
                source: alert.source.clone(),
                restored: alert.restored,
                unknown: alert.unknown,
            })
            .collect()
    }

    /// Those of which that says nothing.
    async fn unknown(&self, missing: &[Missing], doubts: &mut Doubts<'_>) -> Result<Vec<Labels>, String> {
        let mut unknown = Vec::new();
        for alert in missing {
            let (heard, about) = match alert.restored {
                None => (true, About::Missing),
                Some(restored) => {
                    let (expr, at) = (&self.rule.expr, self.data_at());
                    let heard = heard::is_heard(self.world, expr, &alert.source, restored, at).await?;
                    (heard, About::Restored)
                }
            };
            if !heard || doubts.cover(&alert.source, about).await? {
                unknown.push(alert.labels.clone());
            }
        }
        Ok(unknown)
    }

    /// Those of the others that have lost what they were judged by, because a target is down.
    async fn lost(
        &self,
        missing: &[Missing],
        unknown: &BTreeSet<Labels>,
        down: &mut Down<'_>,
    ) -> Result<Vec<Labels>, String> {
        let mut lost = Vec::new();
        for alert in missing.iter().filter(|alert| !unknown.contains(&alert.labels)) {
            if down.cover(&alert.source, alert.unknown).await? {
                lost.push(alert.labels.clone());
            }
        }
        Ok(lost)
    }
}

pub(crate) async fn expand(
    expander: &mut Expander<'_>,
    texts: &[(std::sync::Arc<str>, Text)],
    point: &Point,
) -> Vec<(std::sync::Arc<str>, String)> {
    let mut expanded = Vec::with_capacity(texts.len());
    for (name, text) in texts {
        expanded.push((
            name.clone(),
            expander.expand(&text.0, &point.labels, point.value).await,
        ));
    }
    expanded
}

fn over_limit(limit: usize, count: usize, things: &str) -> Option<String> {
    (limit > 0 && count > limit).then(|| format!("exceeded limit of {limit} with {count} {things}"))
}

/// `ALERTS` and `ALERTS_FOR_STATE` of one alert.
pub(crate) fn series(alert: &Alert) -> [(Labels, f64); 2] {
    let state = if alert.state == State::Firing {
        "firing"
    } else {
        "pending"
    };
    let mut alerts = alert.labels.to_builder();
    alerts.set(METRIC_NAME, ALERTS).set("alertstate", state);
    let mut since = alert.labels.to_builder();
    since.set(METRIC_NAME, ALERTS_FOR_STATE);
    let active_at = alert.active_at.millis().div_euclid(1000) as f64;
    [(alerts.build(), 1.0), (since.build(), active_at)]
}

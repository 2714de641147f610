//! One evaluation of one rule: ask, expand, step the alerts, give the output to the store.
//!
//! When anything fails before the alerts are stepped, they stay exactly as they are, and nothing is
//! written: no samples and no stale markers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::labels::{ALERT_NAME, METRIC_NAME};
use model::{Answer, Labels, Point, Timestamp};
use parking_lot::Mutex;

use crate::alert::{Alert, Found, State, Times};
use crate::expand::Expander;
use crate::group::{Alerting, Group, Kind, Rule, Text};
use crate::heard;
use crate::output::{ALERTS, ALERTS_FOR_STATE, repeated};
use crate::state::{LIMIT_EXCEEDED, RuleState};
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

impl Evaluation<'_> {
    /// Returns how many samples came out.
    pub(crate) async fn run(&self) -> Result<usize, String> {
        let question = self
            .world
            .near
            .ask
            .ask(self.rule.expr.written(), self.at - self.offset);
        let timeout = self.world.options.config.query_timeout;
        let answer = match tokio::time::timeout(timeout, question).await {
            Ok(answer) => answer.map_err(|error| error.to_string())?,
            Err(_) => return Err("the query timed out".to_owned()),
        };
        match &self.rule.kind {
            Kind::Record { labels } => self.record(labels, answer),
            Kind::Alert(alerting) => self.alert(alerting, answer.points).await,
        }
    }

    fn commit(&self, samples: Vec<(Labels, f64)>) -> usize {
        let count = samples.len();
        let (keep, metrics) = (&*self.world.near.keep, &self.world.metrics);
        self.state
            .lock()
            .output
            .commit(keep, metrics, self.at - self.offset, samples);
        count
    }

    fn record(&self, labels: &Labels, answer: Answer) -> Result<usize, String> {
        let samples: Vec<_> = answer
            .points
            .into_iter()
            .map(|point| {
                let mut builder = point.labels.to_builder();
                builder.set(METRIC_NAME, &self.rule.name);
                for (name, value) in labels.iter() {
                    builder.set(name, value);
                }
                (builder.build(), point.value)
            })
            .collect();
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
        let mut found = self.found(alerting, points).await?;
        let error = over_limit(self.group.limit, found.len(), "alerts");
        if error.is_some() {
            self.cut(&mut found);
        }
        let unknown = self.unknown(&found).await?;
        let samples = {
            let mut state = self.state.lock();
            state.alerts.step(self.at, alerting.times(), found, &unknown);
            let about = error.iter().map(|error| self.limit_alert(error)).collect();
            state
                .overflow
                .step(self.at, Times::default(), about, &BTreeSet::new());
            state
                .alerts
                .active()
                .chain(state.overflow.active())
                .flat_map(series)
                .collect::<Vec<_>>()
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

    /// Alerts that are missing in the answer, of which that says nothing yet.
    async fn unknown(&self, found: &BTreeMap<Labels, Found>) -> Result<BTreeSet<Labels>, String> {
        let missing: Vec<_> = {
            let state = self.state.lock();
            let restored = state.alerts.active().filter(|alert| alert.restored);
            let missing = restored.filter(|alert| !found.contains_key(&alert.labels));
            missing
                .map(|alert| (alert.labels.clone(), alert.source.clone()))
                .collect()
        };
        let mut unknown = BTreeSet::new();
        for (labels, source) in missing {
            let heard = heard::is_heard(self.world, &self.rule.expr, &source, self.at - self.offset).await;
            if !heard.map_err(|error| error.to_string())? {
                unknown.insert(labels);
            }
        }
        Ok(unknown)
    }
}

async fn expand(
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
fn series(alert: &Alert) -> [(Labels, f64); 2] {
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

//! The last evaluations of a rule, done again, and when its alerts were pending and firing.

use std::sync::Arc;
use std::time::Duration;

use model::explanation::{Evaluation, Operator, Span};
use model::labels::{ALERT_NAME, METRIC_NAME};
use model::view::{Rule, RuleGroup, Why};
use model::{Labels, MatchOp, Matcher, Timestamp};
use promql::{Engine, MatrixSeries, Options, Value};

use super::super::rules::moment;
use super::has;

/// Evaluations in the timeline at most; a longer one begins later.
const STEPS_MAX: u32 = 10_000;
const ALERT_STATE: &str = "alertstate";

/// Looks back, as one question of the desk.
pub(super) struct Past {
    pub(super) engine: Arc<Engine>,
    /// Whose values are shown.
    pub(super) chosen: Option<Labels>,
    /// Who was asked for, if anybody was.
    pub(super) wanted: Option<Labels>,
    pub(super) now: Timestamp,
    pub(super) options: Options,
}

pub(super) struct Seen {
    pub(super) evaluations: Vec<Evaluation>,
    pub(super) timeline: Vec<Span>,
    pub(super) begins: Timestamp,
    /// Fingerprints of the alerts in it.
    pub(super) alerts: Vec<u64>,
}

impl Past {
    pub(super) fn look(&self, group: &RuleGroup, rule: &Rule, count: usize, since: Duration) -> Seen {
        // A rule that was not evaluated yet is shown as it would be now.
        let newest = rule.last_evaluation.unwrap_or(self.now);
        let count = if rule.last_evaluation.is_some() { count } else { 1 };
        let mut slot = newest;
        let mut evaluations = Vec::with_capacity(count);
        for _ in 0..count {
            let evaluation = self.evaluation(group, rule, slot);
            let failed = evaluation.error.is_some();
            evaluations.push(evaluation);
            if failed {
                // Whatever it was, most often time, the others would have it too.
                break;
            }
            slot = slot - group.interval;
        }
        let end = newest - group.query_offset;
        let series = if rule.alerting {
            self.alerts(group, rule, (end, since))
        } else {
            Vec::new()
        };
        Seen {
            evaluations,
            begins: end - group.interval * steps(since, group.interval),
            alerts: series.iter().map(|(labels, ..)| labels.fingerprint()).collect(),
            timeline: series.into_iter().flat_map(|(_, spans)| spans).collect(),
        }
    }

    fn evaluation(&self, group: &RuleGroup, rule: &Rule, slot: Timestamp) -> Evaluation {
        let at = slot - group.query_offset;
        let mut evaluation = Evaluation {
            time: moment(Some(slot)),
            data_time: moment(Some(at)),
            ..Evaluation::default()
        };
        let instances = (self.chosen.as_ref(), self.wanted.as_ref());
        match self.engine.examine(&rule.expr, at, instances, &self.options) {
            Ok(examined) => {
                evaluation.series = examined.rows.first().map_or(0, |row| row.series);
                evaluation.missing = examined.missing;
                evaluation.remarks = examined.remarks;
                evaluation.operators = examined.rows.into_iter().map(|row| operator(row, at)).collect();
            }
            Err(error) => evaluation.error = Some(error.to_string()),
        }
        evaluation
    }

    /// Alerts of the rule within the timeline, by their own labels.
    fn alerts(
        &self,
        group: &RuleGroup,
        rule: &Rule,
        (end, since): (Timestamp, Duration),
    ) -> Vec<(Labels, Vec<Span>)> {
        let step = group.interval.max(Duration::from_millis(1));
        let start = end - step * steps(since, step);
        let matrix = match self
            .engine
            .range_with(&selector(rule), (start, end), step, &self.options)
        {
            Ok(outcome) => outcome.value,
            Err(error) => {
                tracing::debug!(%error, rule = %rule.name, "looking up the timeline of a rule");
                return Vec::new();
            }
        };
        let Value::Matrix(all) = matrix else {
            return Vec::new();
        };
        let mut found: Vec<(Labels, Vec<Span>)> = Vec::new();
        for series in all {
            let state = series.labels.value(ALERT_STATE).to_owned();
            let mut labels = series.labels.to_builder();
            let labels = labels.remove(METRIC_NAME).remove(ALERT_STATE);
            let labels = std::mem::take(labels).build();
            if self.wanted.as_ref().is_some_and(|wanted| !has(&labels, wanted)) {
                continue;
            }
            let spans = spans(&series, &labels, &state, step, end);
            match found.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, all)) => all.extend(spans),
                None => found.push((labels, spans)),
            }
        }
        for (_, spans) in &mut found {
            spans.sort_by(|one, two| one.from.cmp(&two.from));
        }
        found
    }
}

/// Evaluations in the timeline, but for the last.
fn steps(since: Duration, interval: Duration) -> u32 {
    let steps = since.as_millis() / interval.as_millis().max(1);
    u32::try_from(steps).map_or(STEPS_MAX, |steps| steps.min(STEPS_MAX))
}

/// Of rules with the same name only this one's, as far as labels without templates tell them apart.
fn selector(rule: &Rule) -> String {
    let fixed = rule.labels.iter().filter(|(_, value)| !value.contains("{{"));
    let mut text = format!("ALERTS{{{}", Matcher::new(ALERT_NAME, MatchOp::Equal, &rule.name));
    for (name, value) in fixed {
        text.push_str(&format!(",{}", Matcher::new(name, MatchOp::Equal, value)));
    }
    text.push('}');
    text
}

fn spans(series: &MatrixSeries, labels: &Labels, state: &str, step: Duration, end: Timestamp) -> Vec<Span> {
    let mut spans: Vec<(Timestamp, Timestamp)> = Vec::new();
    for point in &series.points {
        match spans.last_mut() {
            Some((_, until)) if *until + step == point.time => *until = point.time,
            _ => spans.push((point.time, point.time)),
        }
    }
    let span = |(from, until): (Timestamp, Timestamp)| Span {
        labels: labels.clone(),
        state: state.to_owned(),
        from: moment(Some(from)),
        // It ended with the evaluation that no longer had it.
        until: (until < end).then(|| moment(Some(until + step))),
    };
    spans.into_iter().map(span).collect()
}

fn operator(row: Why, at: Timestamp) -> Operator {
    Operator {
        depth: row.depth,
        text: row.text,
        is_selector: row.is_selector,
        series: row.series,
        of: row.of,
        value: row.value.map(model::text::float::api),
        reading: row.reading,
        holds: row.holds,
        elements: row.elements,
        newest_age: row.newest.map(|newest| at.since(newest).as_secs_f64()),
    }
}

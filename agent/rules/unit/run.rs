//! One test group: samples and evaluations in turn, alerts looked at in between, questions at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use model::text::duration::short;
use model::time::millis;
use model::{Labels, Sample, Timestamp};
use promql::script::{Item, labels, values};
use promql::{Outcome, Value};
use yaml::{Spanned, complain_at};

use super::alerts::{self, Wanted};
use super::bench::{Bench, Seen};
use super::file::{AlertTest, Expected, ExprTest, Input, Pairs, Test};
use super::report::{Failure, GroupReport};
use super::{Read, samples};
use crate::alert::State;
use crate::config::Options;

/// What native histograms in a test file are answered with.
const NO_HISTOGRAMS: &str = "native histograms are not evaluated in unit tests of rules";

/// What fires at each time at which the test's alerts are looked at, in order, whatever it expects.
///
/// # Errors
/// What is wrong with the test, or with an evaluation.
pub(super) async fn fired(read: &Read, test: &Spanned<Test>) -> Result<Vec<Vec<Seen>>, String> {
    let mut run = Run::new(read, &test.value);
    let inputs = run.inputs(&mut Vec::new());
    let mut bench = run.bench()?;
    if run.failures.is_empty() && run.evaluations(&mut bench, inputs).await {
        return Ok(run.seen);
    }
    let failures: Vec<String> = run.failures.iter().map(ToString::to_string).collect();
    Err(failures.join("\n"))
}

pub(super) async fn group(read: &Read, nth: usize, test: &Spanned<Test>) -> GroupReport {
    let name = &test.value.name;
    let mut report = GroupReport {
        name: if name.is_empty() {
            format!("unnamed#{nth}")
        } else {
            name.clone()
        },
        ..GroupReport::default()
    };
    let mut run = Run::new(read, &test.value);
    let inputs = run.inputs(&mut report.notes);
    run.names();
    if run.failures.is_empty() {
        match run.bench() {
            Ok(mut bench) => {
                if run.evaluations(&mut bench, inputs).await {
                    for test in &run.test.promql_expr_test {
                        run.question(&bench, test);
                    }
                }
                report.notes.extend(bench.into_notes());
            }
            Err(message) => run.failures.push(Failure::of(message)),
        }
    }
    report.failures = run.failures;
    report
}

struct Run<'a> {
    read: &'a Read,
    test: &'a Test,
    start: Timestamp,
    failures: Vec<Failure>,
    /// What fired when alerts were looked at.
    seen: Vec<Vec<Seen>>,
}

/// An input series, of which `given` items are in the store.
struct Feed {
    items: Vec<Item>,
    given: usize,
}

impl<'a> Run<'a> {
    fn new(read: &'a Read, test: &'a Test) -> Self {
        Self {
            read,
            test,
            start: test.start_timestamp.map(|start| start.0).unwrap_or_default(),
            failures: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn complain<T>(&mut self, place: &Spanned<T>, message: impl Into<String>) {
        let complaint = complain_at(&self.read.name, &self.read.text, place, message);
        self.failures.push(Failure::of(complaint.to_string()));
    }

    /// A check that did not come out.
    fn fail<T>(&mut self, place: &Spanned<T>, what: String, details: Vec<String>) {
        let complaint = complain_at(&self.read.name, &self.read.text, place, "");
        self.failures.push(Failure {
            place: format!("{}:{}:{}", complaint.file, complaint.line, complaint.column),
            what,
            details,
        });
    }

    fn bench(&self) -> Result<Bench, String> {
        let external = written(&self.test.external_labels);
        let options = Options {
            evaluation_interval: self.read.evaluation_interval,
            external_labels: Labels::from_pairs(external),
            external_url: self.test.external_url.clone(),
            ..Options::default()
        };
        Bench::new(self.read, options, self.start)
    }

    /// Of a series that is there twice the last stands, as in promtool, but not without a word.
    fn inputs(&mut self, notes: &mut Vec<String>) -> BTreeMap<Labels, Feed> {
        let mut inputs = BTreeMap::new();
        for input in &self.test.input_series {
            match self.input(input) {
                Some((labels, items)) => {
                    let feed = Feed { items, given: 0 };
                    if inputs.insert(labels.clone(), feed).is_some() {
                        notes.push(format!("input series {labels} is there twice; the last stands"));
                    }
                }
                None => continue,
            }
        }
        inputs
    }

    fn input(&mut self, input: &Spanned<Input>) -> Option<(Labels, Vec<Item>)> {
        let Input {
            series: Some(series),
            values: values_written,
        } = &input.value
        else {
            self.complain(input, "an input series needs the key series");
            return None;
        };
        let labels = match labels(&series.value) {
            Ok(labels) if labels.is_empty() => {
                self.complain(series, "an input series needs a name, or a label");
                return None;
            }
            Ok(labels) => labels,
            Err(message) => {
                self.complain(series, message);
                return None;
            }
        };
        let Some(written) = values_written else {
            return Some((labels, Vec::new()));
        };
        match values(&written.value) {
            Ok(items) if items.contains(&Item::Histogram) => self.complain(written, NO_HISTOGRAMS),
            Ok(items) => return Some((labels, items)),
            Err(message) => self.complain(written, message),
        }
        None
    }

    fn names(&mut self) {
        for test in &self.test.alert_rule_test {
            if test.value.alertname.is_empty() {
                self.complain(test, "a test of alerts needs the key alertname");
            }
        }
    }

    /// Returns whether all of them went well; after one that did not, nothing more is known.
    async fn evaluations(&mut self, bench: &mut Bench, mut inputs: BTreeMap<Labels, Feed>) -> bool {
        let mut alerts: Vec<&Spanned<AlertTest>> = self.test.alert_rule_test.iter().collect();
        alerts.sort_by_key(|test| eval_time(&test.value));
        let mut alerts = alerts.into_iter().peekable();
        let exprs = self.test.promql_expr_test.iter();
        let times = exprs.map(|test| test.value.eval_time.map(|span| span.0).unwrap_or_default());
        let times = times.chain(
            self.test
                .alert_rule_test
                .iter()
                .map(|test| eval_time(&test.value)),
        );
        let last = times.max().unwrap_or_default();
        let mut passed = Duration::ZERO;
        loop {
            self.feed(bench, &mut inputs, passed);
            let own = self.read.file.use_group_interval;
            let is_due = |interval| !own || (millis(passed) % millis(interval).max(1)) == 0;
            let wrong = bench.evaluate(self.start + passed, is_due).await;
            let went_well = wrong.is_empty();
            for message in wrong {
                self.failures
                    .push(Failure::of(format!("at {}, {message}", short(passed))));
            }
            if !went_well {
                return false;
            }
            let next = self.next(bench, passed);
            // What is asked for between two evaluations is as it was at the first of them.
            while let Some(test) = alerts.next_if(|test| eval_time(&test.value) < next) {
                self.alerts(bench, test);
            }
            if next > last {
                return true;
            }
            passed = next;
        }
    }

    /// When something happens next: everything at the file's interval, and groups at their own.
    fn next(&self, bench: &Bench, passed: Duration) -> Duration {
        let after = |interval: Duration| {
            let interval = millis(interval).max(1);
            let next = (millis(passed) / interval)
                .saturating_add(1)
                .saturating_mul(interval);
            Duration::from_millis(next.unsigned_abs())
        };
        let own = bench.intervals().filter(|_| self.read.file.use_group_interval);
        let nexts = own.map(after);
        nexts
            .chain([after(self.read.evaluation_interval)])
            .min()
            .unwrap_or_default()
    }

    /// Gives the store what there is up to then, and nothing of later: an expression may look ahead.
    fn feed(&self, bench: &Bench, inputs: &mut BTreeMap<Labels, Feed>, passed: Duration) {
        let interval = self
            .test
            .interval
            .map(|span| span.0)
            .filter(|span| !span.is_zero());
        let interval = millis(interval.unwrap_or(self.read.evaluation_interval)).max(1);
        let count = usize::try_from(millis(passed) / interval).unwrap_or(usize::MAX);
        for (labels, feed) in inputs {
            let until = count.saturating_add(1).min(feed.items.len());
            for nth in feed.given..until {
                if let Some(Item::Value(value)) = feed.items.get(nth) {
                    let after = interval.saturating_mul(i64::try_from(nth).unwrap_or(i64::MAX));
                    let time = Timestamp(self.start.millis().saturating_add(after));
                    // A rule cannot have been here before: what it gives is of an earlier time.
                    _ = bench.store.memory.append(labels, Sample { time, value: *value });
                }
            }
            feed.given = until.max(feed.given);
        }
    }

    fn alerts(&mut self, bench: &Bench, test: &Spanned<AlertTest>) {
        let AlertTest {
            alertname,
            exp_alerts,
            exp_pending,
            ..
        } = &test.value;
        self.seen.push(bench.alerts(alertname, State::Firing));
        let states = [
            (State::Firing, "firing", Some(exp_alerts)),
            (State::Pending, "pending", exp_pending.as_ref()),
        ];
        for (state, word, expected) in states {
            let Some(expected) = expected else { continue };
            let wanted: Vec<Wanted> = expected.iter().map(|one| wanted(alertname, &one.value)).collect();
            let there = bench.alerts(alertname, state);
            let mut details = alerts::differences(&wanted, &there, word);
            if let Some(routes) = &self.read.routes {
                details.extend(alerts::astray(&wanted, &there, |seen| routes(&self.sent(seen))));
            } else if let Some(one) = expected.iter().find(|one| one.value.exp_receivers.is_some()) {
                self.complain(one, "exp_receivers needs a routing_file at the top of the file");
            }
            if !details.is_empty() {
                let at = short(eval_time(&test.value));
                self.fail(test, format!("{word} alerts {alertname} at {at}"), details);
            }
        }
    }

    /// The labels that an alert is sent with.
    fn sent(&self, seen: &Seen) -> Labels {
        let external = written(&self.test.external_labels);
        Labels::from_pairs(external.iter().chain(&seen.labels))
    }

    fn question(&mut self, bench: &Bench, test: &Spanned<ExprTest>) {
        let expr = &test.value.expr;
        let passed = test.value.eval_time.map(|span| span.0).unwrap_or_default();
        let mut expected = Vec::new();
        for sample in &test.value.exp_samples {
            if let Some(histogram) = sample
                .value
                .histogram
                .as_ref()
                .filter(|text| !text.value.is_empty())
            {
                return self.complain(histogram, NO_HISTOGRAMS);
            }
            match labels(&sample.value.labels) {
                Ok(labels) => expected.push((labels, sample.value.value.0)),
                Err(message) => return self.complain(sample, message),
            }
        }
        let details = match bench.ask(expr, self.start + passed) {
            Ok(outcome) => match points(outcome) {
                Ok(got) => samples::differences(expected, got, self.read.file.fuzzy_compare),
                Err(message) => vec![message],
            },
            Err(error) => vec![error.to_string()],
        };
        if !details.is_empty() {
            self.fail(test, format!("expression {expr} at {}", short(passed)), details);
        }
    }
}

fn eval_time(test: &AlertTest) -> Duration {
    test.eval_time.map(|span| span.0).unwrap_or_default()
}

fn wanted(alertname: &str, expected: &Expected) -> Wanted {
    let mut labels = written(&expected.exp_labels);
    labels.insert(model::labels::ALERT_NAME.to_owned(), alertname.to_owned());
    Wanted {
        labels,
        annotations: written(&expected.exp_annotations),
        partial: expected.partial,
        receivers: expected.exp_receivers.clone(),
    }
}

fn written(pairs: &Pairs) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.clone(), value.clone().unwrap_or_default()))
        .collect()
}

/// # Errors
/// It is no answer that a rule could use.
fn points(outcome: Outcome) -> Result<Vec<(Labels, f64)>, String> {
    match outcome.value {
        Value::Vector(points) => Ok(points
            .into_iter()
            .map(|point| (point.labels, point.value))
            .collect()),
        Value::Scalar { value, .. } => Ok(vec![(Labels::empty(), value)]),
        Value::String { .. } => {
            Err("the answer is a text; only a vector or a number can be compared".to_owned())
        }
        Value::Matrix(_) => {
            Err("the answer is a range vector; only a vector or a number can be compared".to_owned())
        }
    }
}

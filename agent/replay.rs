//! `skopos explain --as-test`: what happened, as a unit test of rules that Skopos and promtool run.
//!
//! An expression that only looks at the newest samples gets them as they were at each evaluation. Where ranges or offsets
//! are read, every sample is written, at a time that is less than a second from its own and on the same side of every
//! evaluation and of the edge of every range. The rules are then run over it: whether they come to what happened is known
//! before anybody else tries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use model::explanation::Explanation;
use model::labels::{ALERT_NAME, METRIC_NAME};
use model::text::{duration, float, quote};
use model::{Labels, MatchOp, Matcher, TimeRange, Timestamp, is_stale};
use promql::{At, Expr, Kind};
use rules::backtest::{Past, PastError, Read, Remote, Steps, reads};
use rules::unit::{Fired, replay};
use serde::Deserialize;

use crate::query::moment;

/// A test of more than these is read by nobody.
const SERIES_MAX: usize = 1_000;
const SAMPLES_MAX: usize = 1_000_000;
/// Times at which alerts are looked at, the newest.
const LOOKS_MAX: usize = 12;
/// How far back an alert may have become true to be tested from its beginning.
const BEGINNING: Duration = Duration::from_secs(6 * 3600);
/// Evaluations before and after what is looked at.
const MARGIN: u32 = 5;

#[derive(Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) file: String,
    #[serde(default)]
    interval: f64,
    #[serde(default)]
    limit: usize,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    /// A Prometheus has none.
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    r#type: String,
    query: String,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    keep_firing_for: f64,
    #[serde(default = "Labels::empty")]
    pub(crate) labels: Labels,
    #[serde(default = "Labels::empty")]
    annotations: Labels,
}

/// Two files, and where they do not come to what happened.
pub(crate) struct Made {
    pub(crate) test: String,
    pub(crate) rules: String,
    pub(crate) doubts: Vec<String>,
}

/// When evaluations were, and what is looked at.
struct Plan {
    interval: Duration,
    offset: Duration,
    /// First and last evaluation in which what is read counts.
    first: Timestamp,
    last: Timestamp,
    /// Slots at which alerts are looked at, in order.
    looks: Vec<Timestamp>,
    spans: Vec<Known>,
}

/// When an alert was pending or firing, in slots.
struct Known {
    labels: Labels,
    fires: bool,
    /// None: before anything that is known.
    from: Option<Timestamp>,
    /// None: it still is so.
    until: Option<Timestamp>,
}

/// Samples in the grid of a test.
struct Inputs {
    start: Timestamp,
    interval: Duration,
    /// By place in the grid; `None` is the end of the series.
    series: BTreeMap<Labels, BTreeMap<u64, Option<f64>>>,
}

/// `rule_file` is what the test names: the file of the rules, if they are written into one.
pub(crate) fn made(
    (base, timeout): (&str, Duration),
    explanations: &[Explanation],
    groups: &[Group],
    rule_file: Option<&str>,
) -> anyhow::Result<Made> {
    let first = explanations.first().context("there is no rule")?;
    ensure!(
        explanations.iter().all(|one| one.r#type == "alerting"),
        "{} records; only alerts become a test",
        first.name
    );
    ensure!(
        explanations
            .iter()
            .all(|one| (&one.file, &one.group) == (&first.file, &first.group)),
        "rules named {} stand in several groups; say which with --labels, or by its id",
        first.name
    );
    let plan = Plan::of(explanations)?;
    let of_file: Vec<&Group> = groups.iter().filter(|group| group.file == first.file).collect();
    let client = net::HttpClient::new().map_err(|error| anyhow!("{error}"))?;
    let past = Remote::new(client, base, timeout, SAMPLES_MAX);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let inputs = runtime.block_on(inputs(&past, &plan, explanations, &of_file))?;
    drop(runtime);
    let rules = rule_text(&of_file, first);
    let name = rule_file.unwrap_or(&first.file);
    let nothing: Vec<(Timestamp, Vec<Fired>)> = plan.looks.iter().map(|at| (*at, Vec::new())).collect();
    let blank = test_text(&plan, &inputs, (base, &first.name, name), &nothing)?;
    let came = replay(&blank, &rules).map_err(|error| anyhow!("{error}"))?;
    let mut expected = Vec::new();
    let mut doubts = Vec::new();
    for (at, fired) in plan.looks.iter().zip(came) {
        let happened = plan.firing(*at);
        let replayed: BTreeSet<Labels> = fired.iter().map(|one| Labels::from_pairs(&one.labels)).collect();
        if replayed != happened {
            let list = |all: &BTreeSet<Labels>| match all.is_empty() {
                true => "nothing".to_owned(),
                false => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            };
            doubts.push(format!(
                "at {} fired {}, and in the test {}",
                written(*at),
                list(&happened),
                list(&replayed)
            ));
        }
        expected.push((*at, with_annotations(happened, fired, explanations)));
    }
    Ok(Made {
        test: test_text(&plan, &inputs, (base, &first.name, name), &expected)?,
        rules,
        doubts,
    })
}

/// The alerts that fired, with the annotations that they come to.
fn with_annotations(
    happened: BTreeSet<Labels>,
    fired: Vec<Fired>,
    explanations: &[Explanation],
) -> Vec<Fired> {
    let own = |labels: &Labels| {
        let mut standing = explanations.iter().flat_map(|one| &one.alerts);
        let found = standing.find(|alert| alert.labels == *labels);
        found.map_or_else(Labels::empty, |alert| alert.annotations.clone())
    };
    let all = happened.into_iter().map(|labels| {
        let pairs: BTreeMap<String, String> = pairs(&labels);
        let known = fired.iter().find(|one| one.labels == pairs);
        known.cloned().unwrap_or_else(|| Fired {
            annotations: self::pairs(&own(&labels)),
            labels: pairs,
        })
    });
    all.collect()
}

fn pairs(labels: &Labels) -> BTreeMap<String, String> {
    let pairs = labels.iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl Plan {
    fn of(explanations: &[Explanation]) -> anyhow::Result<Self> {
        let one = explanations.first().context("there is no rule")?;
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let newest = one.evaluations.first().filter(|_| one.health != "unknown");
        let newest = newest.with_context(|| format!("{} has not been evaluated yet", one.name))?;
        let last = time(&newest.time)?;
        let interval = seconds(one.interval).max(Duration::from_millis(1));
        let offset = seconds(one.query_offset);
        let hold = explanations
            .iter()
            .map(|one| seconds(one.duration).max(seconds(one.keep_firing_for)))
            .max()
            .unwrap_or_default();
        let mut spans = Vec::new();
        for one in explanations {
            let begins = time(&one.timeline_from)?;
            for span in &one.timeline {
                let from = time(&span.from)?;
                spans.push(Known {
                    labels: span.labels.clone(),
                    fires: span.state == "firing",
                    from: (from > begins).then_some(from + offset),
                    until: match &span.until {
                        Some(until) => Some(time(until)? + offset),
                        None => None,
                    },
                });
            }
        }
        let oldest = last - BEGINNING.max(hold * 2);
        // Begins before the first beginning that is near enough.
        let latest = last - hold - interval * MARGIN;
        let beginnings = spans
            .iter()
            .filter_map(|span| span.from)
            .filter(|from| *from > oldest);
        let first = beginnings
            .map(|from| from - interval)
            .min()
            .map_or(latest, |first| first.min(latest));
        let slots = place(last.since(first), interval) + 1;
        let first = last - interval * u32::try_from(slots).context("too many evaluations for a test")?;
        let mut looks = BTreeSet::from([last]);
        for span in spans.iter().filter(|span| span.fires) {
            looks.extend(span.from.into_iter().flat_map(|from| [from - interval, from]));
            looks.extend(span.until);
        }
        // What has been true since before the first evaluation begins to be there.
        let is_old = |at: Timestamp| {
            let begun = spans
                .iter()
                .any(|span| span.from.is_none_or(|from| from <= first));
            begun && at < first + hold + interval
        };
        looks.retain(|at| *at >= first && !is_old(*at));
        let skipped = looks.len().saturating_sub(LOOKS_MAX);
        Ok(Self {
            interval,
            offset,
            first,
            last,
            looks: looks.into_iter().skip(skipped).collect(),
            spans,
        })
    }

    /// Evaluations, as of when they ask for data.
    fn steps(&self) -> Steps {
        let slots = self.last.since(self.first).as_millis() / self.interval.as_millis().max(1);
        Steps {
            first: self.first - self.offset,
            step: self.interval,
            count: u32::try_from(slots).unwrap_or(u32::MAX).saturating_add(1),
        }
    }

    /// What fired at an evaluation, by the series ALERTS.
    fn firing(&self, at: Timestamp) -> BTreeSet<Labels> {
        let is_then = |span: &&Known| {
            span.fires && span.from.is_none_or(|from| from <= at) && span.until.is_none_or(|until| at < until)
        };
        self.spans
            .iter()
            .filter(is_then)
            .map(|span| span.labels.clone())
            .collect()
    }
}

async fn inputs(
    past: &Remote,
    plan: &Plan,
    explanations: &[Explanation],
    groups: &[&Group],
) -> anyhow::Result<Inputs> {
    let recorded: BTreeMap<&str, &Rule> = groups
        .iter()
        .flat_map(|group| &group.rules)
        .filter(|rule| rule.r#type == "recording")
        .map(|rule| (rule.name.as_str(), rule))
        .collect();
    let mut all = Vec::new();
    let mut is_plain = plan.offset.is_zero();
    for one in explanations {
        let expr = promql::parse(&one.query).with_context(|| format!("reading {}", one.query))?;
        ensure!(
            !is_fixed(&expr),
            "{} speaks of a fixed time (@), which a test does not have",
            one.name
        );
        let steps = plan.steps();
        is_plain &= looks_at_newest(&expr);
        let mut left = reads(&expr, steps, Duration::ZERO);
        let mut known = BTreeSet::new();
        while let Some(read) = left.pop() {
            // What the rules record, they record in the test, too.
            let Some(rule) = name(&read.matchers).and_then(|name| recorded.get(name)) else {
                all.push(read);
                continue;
            };
            is_plain = false;
            if known.insert(rule.name.as_str()) {
                let expr = promql::parse(&rule.query).with_context(|| format!("reading {}", rule.query))?;
                let back = plan.last.since(read.range.after).as_millis() / plan.interval.as_millis().max(1);
                let count = u32::try_from(back).unwrap_or(u32::MAX).saturating_add(1);
                let steps = Steps {
                    first: steps.last() - plan.interval * count,
                    count: count.saturating_add(1),
                    ..steps
                };
                left.extend(reads(&expr, steps, Duration::ZERO));
            }
        }
    }
    match is_plain {
        true => newest(past, plan, &all).await,
        false => every(past, plan, &all).await,
    }
}

fn name(matchers: &[Matcher]) -> Option<&str> {
    let mut names = matchers
        .iter()
        .filter(|matcher| *matcher.name == *METRIC_NAME && matcher.op == MatchOp::Equal);
    names.next().map(|matcher| &*matcher.value)
}

/// Whether nothing but the newest samples counts.
fn looks_at_newest(expr: &Expr) -> bool {
    let mut newest = true;
    expr.walk(&mut |part| {
        newest &= match &part.kind {
            Kind::Selector(selector) => selector.when.offset == 0,
            Kind::Range { .. } | Kind::Subquery(_) => false,
            Kind::Call { function, .. } => function.name != "timestamp" && function.name != "info",
            _ => true,
        };
    });
    newest
}

fn is_fixed(expr: &Expr) -> bool {
    let mut fixed = false;
    expr.walk(&mut |part| {
        let when = match &part.kind {
            Kind::Selector(selector) | Kind::Range { selector, .. } => &selector.when,
            Kind::Subquery(subquery) => &subquery.when,
            _ => return,
        };
        fixed |= matches!(when.at, Some(At::Time(_)));
    });
    fixed
}

/// What each evaluation saw.
async fn newest(past: &Remote, plan: &Plan, reads: &[Read]) -> anyhow::Result<Inputs> {
    let steps = plan.steps();
    let mut inputs = Inputs {
        start: steps.first,
        interval: plan.interval,
        series: BTreeMap::new(),
    };
    for read in reads {
        let matchers: Vec<String> = read.matchers.iter().map(ToString::to_string).collect();
        let selector = format!("{{{}}}", matchers.join(","));
        for series in past.answers(&selector, steps).await.map_err(away)? {
            let mut cells = BTreeMap::new();
            for point in &series.points {
                let place = place(point.time.since(inputs.start), plan.interval);
                cells.insert(place, Some(point.value));
                // Ended, unless the next point says otherwise.
                if place < u64::from(steps.count - 1) {
                    cells.entry(place + 1).or_insert(None);
                }
            }
            inputs.add(series.labels, cells)?;
        }
    }
    Ok(inputs)
}

/// Every sample.
async fn every(past: &Remote, plan: &Plan, all: &[Read]) -> anyhow::Result<Inputs> {
    let steps = plan.steps();
    let first = all
        .iter()
        .map(|read| read.range.after)
        .min()
        .unwrap_or(steps.first);
    let ahead = place(steps.first.since(first), plan.interval) + 1;
    let start =
        steps.first - plan.interval * u32::try_from(ahead).context("it reads too far back for a test")?;
    // Between two places where something may begin or end.
    let second = Duration::from_secs(1);
    let cell = match plan.interval.as_millis() % 1000 {
        0 => second,
        _ => Duration::from_millis(2),
    };
    let samples = past.samples(all).await.map_err(away)?;
    let mut inputs = Inputs {
        start,
        interval: cell / 2,
        series: BTreeMap::new(),
    };
    for read in all {
        let range = TimeRange {
            after: start,
            until: plan.last,
        };
        for series in samples.select(&read.matchers, range, SAMPLES_MAX)? {
            let mut cells = BTreeMap::new();
            for (time, value) in series.times.iter().zip(&*series.values) {
                // In the middle of its cell, whose end belongs to it and whose beginning does not.
                let nth = time.since(start).as_millis().div_ceil(cell.as_millis()).max(1);
                let nth = u64::try_from(nth * 2 - 1).unwrap_or(u64::MAX);
                cells.insert(nth, (!is_stale(*value)).then_some(*value));
            }
            inputs.add(series.labels, cells)?;
        }
    }
    Ok(inputs)
}

fn place(since: Duration, interval: Duration) -> u64 {
    let place = since.as_millis() / interval.as_millis().max(1);
    u64::try_from(place).unwrap_or(u64::MAX)
}

fn away(error: PastError) -> anyhow::Error {
    match error {
        PastError::Unanswered(why) | PastError::Away(why) => anyhow!("{why}"),
    }
}

impl Inputs {
    fn add(&mut self, labels: Labels, cells: BTreeMap<u64, Option<f64>>) -> anyhow::Result<()> {
        let known = self.series.entry(labels).or_default();
        for (place, value) in cells {
            let cell = known.entry(place).or_insert(value);
            *cell = cell.or(value);
        }
        let samples: usize = self.series.values().map(BTreeMap::len).sum();
        if self.series.len() > SERIES_MAX || samples > SAMPLES_MAX {
            bail!(
                "a test would need more than {SERIES_MAX} series or {SAMPLES_MAX} samples; nobody would read it"
            );
        }
        Ok(())
    }
}

/// In promtool's notation: `_` is no sample, `v+0xN` the same N times more.
fn values(cells: &BTreeMap<u64, Option<f64>>) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = 0;
    let mut left = cells.iter().peekable();
    while let Some((place, value)) = left.next() {
        match place - next {
            0 => {}
            1 => words.push("_".to_owned()),
            gap => words.push(format!("_x{gap}")),
        }
        next = place + 1;
        let Some(value) = value else {
            words.push("stale".to_owned());
            continue;
        };
        let mut more = 0;
        while value.is_finite()
            && let Some((place, _)) =
                left.next_if(|(place, other)| **place == next && **other == Some(*value))
        {
            next = place + 1;
            more += 1;
        }
        let text = match value {
            value if value.is_nan() => "NaN".to_owned(),
            value if value.is_infinite() => (if *value > 0.0 { "Inf" } else { "-Inf" }).to_owned(),
            value => float::plain(*value),
        };
        words.push(match more {
            0 => text,
            more => format!("{text}+0x{more}"),
        });
    }
    words.join(" ")
}

fn test_text(
    plan: &Plan,
    inputs: &Inputs,
    (base, alert, rule_file): (&str, &str, &str),
    expected: &[(Timestamp, Vec<Fired>)],
) -> anyhow::Result<String> {
    let at = |time: Timestamp| duration::short(time.since(inputs.start));
    let mut text = format!(
        "# {alert} as {base} saw it, from {} to {}; 0s here is {}.\n",
        written(plan.first),
        written(plan.last),
        written(inputs.start)
    );
    writeln!(text, "rule_files: [{}]", yaml(rule_file))?;
    writeln!(text, "evaluation_interval: {}", duration::short(plan.interval))?;
    writeln!(text, "tests:")?;
    writeln!(
        text,
        "  - name: {}",
        yaml(&format!("{alert} at {}", written(plan.last)))
    )?;
    writeln!(text, "    interval: {}", duration::short(inputs.interval))?;
    let series = inputs.series.iter().filter(|(_, cells)| !cells.is_empty());
    let mut series = series.peekable();
    if series.peek().is_some() {
        writeln!(text, "    input_series:")?;
    }
    for (labels, cells) in series {
        writeln!(text, "      - series: {}", yaml(&selector(labels)))?;
        writeln!(text, "        values: {}", yaml(&values(cells)))?;
    }
    writeln!(text, "    alert_rule_test:")?;
    for (time, alerts) in expected {
        writeln!(text, "      # {}", written(*time))?;
        writeln!(text, "      - eval_time: {}", at(*time))?;
        writeln!(text, "        alertname: {}", yaml(alert))?;
        if alerts.is_empty() {
            writeln!(text, "        exp_alerts: []")?;
            continue;
        }
        writeln!(text, "        exp_alerts:")?;
        for alert in alerts {
            let labels = alert.labels.iter().filter(|(name, _)| *name != ALERT_NAME);
            writeln!(text, "          - exp_labels: {}", map(labels))?;
            writeln!(
                text,
                "            exp_annotations: {}",
                map(alert.annotations.iter())
            )?;
        }
    }
    Ok(text)
}

/// The rules of a file as the process has them.
fn rule_text(groups: &[&Group], explained: &Explanation) -> String {
    let seconds = |seconds: f64| {
        yaml(&duration::short(
            Duration::try_from_secs_f64(seconds).unwrap_or_default(),
        ))
    };
    let mut text = "groups:\n".to_owned();
    for group in groups {
        // Writing to a string cannot fail.
        _ = writeln!(text, "  - name: {}", yaml(&group.name));
        _ = writeln!(text, "    interval: {}", seconds(group.interval));
        if group.limit > 0 {
            _ = writeln!(text, "    limit: {}", group.limit);
        }
        if group.name == explained.group && explained.query_offset > 0.0 {
            _ = writeln!(text, "    query_offset: {}", seconds(explained.query_offset));
        }
        _ = writeln!(text, "    rules:");
        for rule in &group.rules {
            let kind = if rule.r#type == "alerting" {
                "alert"
            } else {
                "record"
            };
            _ = writeln!(text, "      - {kind}: {}", yaml(&rule.name));
            _ = writeln!(text, "        expr: {}", yaml(&rule.query));
            for (name, value) in [("for", rule.duration), ("keep_firing_for", rule.keep_firing_for)] {
                if value > 0.0 {
                    _ = writeln!(text, "        {name}: {}", seconds(value));
                }
            }
            for (name, labels) in [("labels", &rule.labels), ("annotations", &rule.annotations)] {
                if !labels.is_empty() {
                    let pairs = pairs(labels);
                    _ = writeln!(text, "        {name}: {}", map(pairs.iter()));
                }
            }
        }
    }
    text
}

/// As PromQL writes a series.
fn selector(labels: &Labels) -> String {
    let name = labels.name();
    let is_plain = model::text::is_legacy_metric_name(name);
    let own = labels
        .iter()
        .filter(|(label, _)| !is_plain || *label != METRIC_NAME);
    let own: Vec<String> = own
        .map(|(label, value)| format!("{label}={}", quote(value)))
        .collect();
    match is_plain {
        true => format!("{name}{{{}}}", own.join(",")),
        false => format!("{{{}}}", own.join(",")),
    }
}

/// YAML takes every JSON string as it is.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn map<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}: {}", yaml(name), yaml(value)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

fn time(text: &str) -> anyhow::Result<Timestamp> {
    moment(text).map(Timestamp::from_seconds)
}

fn written(time: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(time.millis())
        .map_or_else(|_| time.millis().to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_promtool_reads_them() {
        let written = |cells: &[(u64, Option<f64>)]| values(&cells.iter().copied().collect());
        assert_eq!(
            written(&[(0, Some(5.0)), (1, Some(5.0)), (2, Some(5.0))]),
            "5+0x2"
        );
        assert_eq!(
            written(&[
                (1, Some(-0.5)),
                (2, None),
                (5, Some(1e21)),
                (6, Some(f64::INFINITY))
            ]),
            "_ -0.5 stale _x2 1000000000000000000000 Inf"
        );
        assert_eq!(written(&[(0, Some(f64::NAN)), (1, Some(f64::NAN))]), "NaN NaN");
        // `0x3` alone would be a number in base 16.
        assert_eq!(written(&[(0, Some(0.0)), (1, Some(0.0))]), "0+0x1");
    }

    #[test]
    fn series_and_texts_are_quoted() {
        let labels = Labels::from_pairs([("__name__", "up"), ("path", "a\"\\")]);
        assert_eq!(selector(&labels), "up{path=\"a\\\"\\\\\"}");
        assert_eq!(yaml("{{ $value }}: \"x\""), "\"{{ $value }}: \\\"x\\\"\"");
        let odd = Labels::from_pairs([("__name__", "a.b")]);
        assert_eq!(selector(&odd), "{__name__=\"a.b\"}");
    }
}

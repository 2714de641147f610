//! From an objective to its rules: events and errors as they come, their ratio over each window, what is left of the
//! budget, and two alerts.

use std::fmt::Write;
use std::time::Duration;

use model::text;
use model::text::duration::{self, spoken};

use super::windows::{Pair, interval, pairs};

/// Rules of a group as they stand in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) interval: Duration,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) is_alert: bool,
    pub(crate) name: String,
    pub(crate) expr: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Vec<(String, String)>,
}

/// An objective that was checked.
#[derive(Clone, Debug)]
pub(super) struct Objective {
    pub(super) name: String,
    /// The share of events that may be bad.
    pub(super) budget: f64,
    pub(super) window: Duration,
    /// With `$window` where a range belongs.
    pub(super) total: String,
    pub(super) errors: String,
    pub(super) min_traffic: Option<f64>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) annotations: Vec<(String, String)>,
    pub(super) fast: String,
    pub(super) slow: String,
}

const FAST: &str = "ErrorBudgetBurnsFast";
const SLOW: &str = "ErrorBudgetBurnsSlowly";
/// What is asked over longer windows is asked less often.
const SLOW_INTERVAL: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn groups(objective: &Objective) -> Vec<Group> {
    let pairs = pairs(objective.window);
    let every = interval(&pairs);
    let writer = Writer {
        objective,
        every,
        base: pairs.iter().map(|pair| pair.short).min().unwrap_or(every),
    };
    let mut windows: Vec<Duration> = pairs.iter().flat_map(|pair| [pair.short, pair.long]).collect();
    windows.sort_unstable();
    windows.dedup();
    let (long, soon): (Vec<Duration>, Vec<Duration>) = windows.into_iter().partition(|window| *window >= DAY);

    let mut rules = Vec::from(writer.events());
    rules.extend(soon.iter().map(|window| writer.ratio(*window)));
    rules.extend(writer.alert(&pairs, true));
    rules.extend(writer.alert(&pairs, false));
    let mut slow: Vec<Rule> = long.iter().map(|window| writer.ratio(*window)).collect();
    slow.extend(writer.budget(&long));
    vec![
        Group {
            name: format!("slo-{}", objective.name),
            interval: every,
            rules,
        },
        Group {
            name: format!("slo-{}-budget", objective.name),
            interval: SLOW_INTERVAL.max(every),
            rules: slow,
        },
    ]
}

struct Writer<'a> {
    objective: &'a Objective,
    /// Between two evaluations.
    every: Duration,
    /// The shortest window.
    base: Duration,
}

impl Writer<'_> {
    fn selector(&self, metric: &str) -> String {
        format!("{metric}{{slo={}}}", text::quote(&self.objective.name))
    }

    fn recorded(&self, name: String, expr: String) -> Rule {
        Rule {
            is_alert: false,
            name,
            expr,
            labels: vec![("slo".to_owned(), self.objective.name.clone())],
            annotations: Vec::new(),
        }
    }

    fn events(&self) -> [Rule; 2] {
        let base = short(self.base);
        let with = |expr: &str| expr.replace("$window", &base);
        [
            self.recorded(format!("slo:sli_events:rate{base}"), with(&self.objective.total)),
            self.recorded(format!("slo:sli_errors:rate{base}"), with(&self.objective.errors)),
        ]
    }

    /// Weighed by traffic: an error at night is worth as much as one by day.
    fn ratio(&self, window: Duration) -> Rule {
        let base = short(self.base);
        let [errors, events] =
            ["errors", "events"].map(|what| self.selector(&format!("slo:sli_{what}:rate{base}")));
        let expr = if window == self.base {
            format!("{errors} / ({events} > 0)")
        } else {
            let range = short(window);
            format!("sum_over_time({errors}[{range}])\n  / (sum_over_time({events}[{range}]) > 0)")
        };
        self.recorded(ratio(window), expr)
    }

    fn budget(&self, windows: &[Duration]) -> Vec<Rule> {
        let objective = self.objective;
        let mut rules = Vec::new();
        if !windows.contains(&objective.window) {
            rules.push(self.ratio(objective.window));
        }
        let budget = objective.budget;
        let spent = self.selector(&ratio(objective.window));
        let good = rounded(1.0 - budget);
        for (name, expr) in [
            (
                "slo:period_error_budget_remaining:ratio",
                format!("1 - {spent} / {budget}"),
            ),
            ("slo:objective:ratio", format!("vector({good})")),
            ("slo:error_budget:ratio", format!("vector({budget})")),
        ] {
            rules.push(self.recorded(name.to_owned(), expr));
        }
        rules
    }

    /// None when it is not wanted, or when even errors alone would not be fast enough.
    fn alert(&self, pairs: &[Pair], fast: bool) -> Option<Rule> {
        let objective = self.objective;
        let severity = if fast { &objective.fast } else { &objective.slow };
        let possible = |pair: &&Pair| pair.is_fast == fast && pair.factor * objective.budget < 1.0;
        let pairs: Vec<&Pair> = pairs.iter().filter(possible).collect();
        let least = pairs.iter().map(|pair| pair.factor).reduce(f64::min)?;
        if severity.is_empty() {
            return None;
        }
        let conditions: Vec<String> = pairs.iter().map(|pair| self.condition(pair)).collect();
        let mut labels = vec![("severity".to_owned(), severity.clone())];
        for (name, value) in &objective.labels {
            labels.retain(|(known, _)| known != name);
            labels.push((name.clone(), value.clone()));
        }
        let mut annotations = self.annotations(least, fast);
        for (name, value) in &objective.annotations {
            annotations.retain(|(known, _)| known != name);
            annotations.push((name.clone(), value.clone()));
        }
        Some(Rule {
            is_alert: true,
            name: if fast { FAST } else { SLOW }.to_owned(),
            expr: conditions.join("\nor\n"),
            labels,
            annotations,
        })
    }

    fn condition(&self, pair: &Pair) -> String {
        let budget = self.objective.budget;
        let threshold = pair.factor * budget;
        let mut text = "(\n".to_owned();
        for (nth, window) in [pair.long, pair.short].into_iter().enumerate() {
            let joint = if nth == 0 { "    " } else { "and " };
            let ratio = self.selector(&ratio(window));
            // Writing to a string cannot fail.
            _ = writeln!(text, "  {joint}{ratio} > {} * {budget}", pair.factor);
        }
        // With fewer events one error alone would be too many, whatever was written for another window.
        let alone = (1.0 / rounded(threshold)).ceil();
        let least = match self.objective.min_traffic {
            Some(0.0) => 0.0,
            written => written.unwrap_or(0.0).max(alone),
        };
        if least > 0.0 {
            let events = self.selector(&format!("slo:sli_events:rate{}", short(self.base)));
            let (range, every) = (short(pair.long), self.every.as_secs());
            _ = writeln!(
                text,
                "  and sum_over_time({events}[{range}]) * {every} >= {least}"
            );
        }
        text.push(')');
        text
    }

    fn annotations(&self, factor: f64, fast: bool) -> Vec<(String, String)> {
        let objective = self.objective;
        let end = spoken(objective.window.div_f64(factor));
        let pace = if fast { "fast" } else { "too fast" };
        vec![
            (
                "summary".to_owned(),
                format!("{} spends its error budget {pace}", objective.name),
            ),
            (
                "description".to_owned(),
                format!(
                    "{{{{ $value | humanizePercentage }}}} of the events of {} were bad lately; over {} it may be {}%. At this pace a whole budget lasts {end} at most.",
                    objective.name,
                    spoken(objective.window),
                    rounded(objective.budget * 100.0),
                ),
            ),
        ]
    }
}

/// Whole days as days: a window of 28 days is not named after weeks.
fn short(window: Duration) -> String {
    let days = window.as_secs() / DAY.as_secs();
    if DAY * u32::try_from(days).unwrap_or(0) == window && days > 0 {
        format!("{days}d")
    } else {
        duration::short(window)
    }
}

fn ratio(window: Duration) -> String {
    format!("slo:sli_error:ratio_rate{}", short(window))
}

/// Without the dust of binary fractions.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e12).round() / 1e12
}

//! What the rules of some files give: recorded series, `ALERTS` and `ALERTS_FOR_STATE`. Who reads which of it is what
//! decides in which order they can be gone through; and what history has of the same names is not theirs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::labels::{ALERT_NAME, METRIC_NAME};
use model::{Labels, Matcher, Sample, Select, TimeRange, Timestamp};
use promql::script::Memory;
use promql::{Edges, Expr, Kind, When};

use crate::output::{ALERTS, ALERTS_FOR_STATE};

/// What one rule gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Output {
    Series(Arc<str>),
    /// By the name of the alert.
    Alerts(Arc<str>),
}

impl Output {
    /// To which a series belongs, if it is one of a rule.
    pub(super) fn of(series: &Labels) -> Self {
        match series.name() {
            ALERTS | ALERTS_FOR_STATE => Self::Alerts(series.value(ALERT_NAME).into()),
            name => Self::Series(name.into()),
        }
    }
}

/// What all of them give.
pub(super) struct Outputs {
    given: BTreeSet<Output>,
    /// A series for each, so that matchers can be asked which they mean.
    series: Memory,
    alerts: Memory,
}

/// How an expression looks at what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// What rules give and it may read.
    pub(super) reads: BTreeSet<Output>,
    /// It may look at what is later than the time it is asked for, or each step has to be asked for by itself for
    /// another reason.
    pub(super) looks_ahead: bool,
    /// It looks at a time that is named: nothing is ever too old for it.
    pub(super) is_pinned: bool,
}

impl Outputs {
    pub(super) fn new(given: BTreeSet<Output>) -> Self {
        let (series, alerts) = (Memory::new(), Memory::new());
        let sample = || {
            [Sample {
                time: Timestamp(0),
                value: 0.0,
            }]
        };
        for output in &given {
            match output {
                Output::Series(name) => series.add(&Labels::from_pairs([(METRIC_NAME, name)]), sample()),
                Output::Alerts(name) => {
                    for metric in [ALERTS, ALERTS_FOR_STATE] {
                        alerts.add(
                            &Labels::from_pairs([(METRIC_NAME, metric), (ALERT_NAME, name)]),
                            sample(),
                        );
                    }
                }
            }
        }
        Self {
            given,
            series,
            alerts,
        }
    }

    /// Whether a series is one that these rules give.
    pub(super) fn hold(&self, labels: &Labels) -> bool {
        self.given.contains(&Output::of(labels))
    }

    pub(super) fn reading(&self, expr: &Expr) -> Reading {
        let reads = promql::selectors(expr);
        Reading {
            reads: reads
                .iter()
                .flat_map(|(matchers, _)| self.meant(matchers))
                .collect(),
            looks_ahead: promql::differs_in_range(expr)
                || looks(expr, |when, edges| {
                    when.at.is_some() || when.offset < 0 || edges == Edges::Smoothed
                }),
            is_pinned: looks(expr, |when, _| when.at.is_some()),
        }
    }

    /// Which outputs a selector may mean. Labels that are only known once there is a series are not looked at.
    pub(super) fn meant(&self, matchers: &[Matcher]) -> BTreeSet<Output> {
        let about = |names: &[&str]| {
            let matchers = matchers.iter();
            matchers
                .filter(|matcher| names.contains(&&*matcher.name))
                .cloned()
                .collect::<Vec<_>>()
        };
        let series = self.series.labels(&about(&[METRIC_NAME]), TimeRange::ALL);
        let alerts = self
            .alerts
            .labels(&about(&[METRIC_NAME, ALERT_NAME]), TimeRange::ALL);
        let (Ok(series), Ok(alerts)) = (series, alerts) else {
            // A regular expression that does not compile: reading it fails in any case.
            return self.given.clone();
        };
        series.iter().chain(&alerts).map(Output::of).collect()
    }
}

/// Whether any selector or subquery looks so.
fn looks(expr: &Expr, so: impl Fn(&When, Edges) -> bool) -> bool {
    let mut found = false;
    expr.walk(&mut |part| {
        found |= match &part.kind {
            Kind::Selector(selector) | Kind::Range { selector, .. } => so(&selector.when, selector.edges),
            Kind::Subquery(subquery) => so(&subquery.when, Edges::Plain),
            _ => false,
        };
    });
    found
}

/// How far behind its time an expression looks, at most: its ranges and offsets, and the lookback of a sample.
pub(super) fn back(expr: &crate::Expr) -> Duration {
    expr.longest() + crate::heard::LOOKBACK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs() -> Outputs {
        let series = ["job:errors:rate5m", "job:all:rate5m"].map(|name| Output::Series(name.into()));
        let alerts = ["Down", "Slow"].map(|name| Output::Alerts(name.into()));
        Outputs::new(series.into_iter().chain(alerts).collect())
    }

    fn reads(text: &str) -> Vec<String> {
        let reading = outputs().reading(&promql::parse(text).unwrap());
        let names = reading.reads.into_iter().map(|output| match output {
            Output::Series(name) | Output::Alerts(name) => name.to_string(),
        });
        names.collect()
    }

    #[test]
    fn what_an_expression_may_read_is_found_by_name() {
        assert_eq!(reads("up == 0"), [""; 0]);
        assert_eq!(
            reads("job:errors:rate5m{job=\"a\"} / on(job) up"),
            ["job:errors:rate5m"]
        );
        assert_eq!(
            reads("{__name__=~\"job:.*\"}"),
            ["job:all:rate5m", "job:errors:rate5m"]
        );
        assert_eq!(
            reads("ALERTS{alertname=~\"D.*\", alertstate=\"firing\"}"),
            ["Down"]
        );
        assert_eq!(reads("ALERTS_FOR_STATE"), ["Down", "Slow"]);
        assert_eq!(reads("count({job=\"a\"})").len(), 4);
    }

    #[test]
    fn series_of_these_rules_are_known_by_name() {
        let holds = |pairs: &[(&str, &str)]| outputs().hold(&Labels::from_pairs(pairs.iter().copied()));
        assert!(holds(&[("__name__", "job:all:rate5m"), ("job", "a")]));
        assert!(holds(&[("__name__", "ALERTS"), ("alertname", "Down")]));
        assert!(!holds(&[("__name__", "ALERTS"), ("alertname", "Other")]));
        assert!(!holds(&[("__name__", "up")]));
    }

    #[test]
    fn what_looks_ahead_is_found() {
        let ahead = |text| outputs().reading(&promql::parse(text).unwrap()).looks_ahead;
        assert!(!ahead("rate(up[5m] offset 1m) > time() - timestamp(up)"));
        assert!(ahead("up offset -1m") && ahead("up @ 0"));
        assert!(ahead("max_over_time(up[5m:1m] @ end())"));
        assert!(ahead("rate(up[5m] smoothed)") && ahead("up > start()") && ahead("sum(topk(3, up))"));
    }
}

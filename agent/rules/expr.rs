//! A rule's expression: its text, and what it reads.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use model::labels::METRIC_NAME;
use model::presence::NODE;
use model::time::millis;
use model::{Labels, MatchOp, Matcher};
use promql::{Edges, Kind, Op, ParseError, Selector};

use crate::heard::LOOKBACK;

/// The labels that name a target; all series of a target have them alike.
pub(crate) const TARGET_LABELS: [&str; 3] = ["job", "instance", NODE];

/// Known by its text.
#[derive(Clone, Debug)]
pub struct Expr {
    written: Arc<str>,
    canonical: Arc<str>,
    reads: Arc<[Read]>,
}

/// One selector of the expression, unless an `@` ties it to another time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    matchers: Vec<Matcher>,
    /// How far behind the evaluation its data begins; zero for a plain instant selector.
    pub(crate) back: Duration,
    /// It stands to the right of an `unless`: where its data are missing, more is true and never less.
    pub(crate) excludes: bool,
}

/// Where in an expression a selector stands.
#[derive(Clone, Copy, Default)]
struct Place {
    /// How far back what encloses it looks already, in milliseconds.
    behind: i64,
    excludes: bool,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Expr {
    /// # Errors
    /// The first mistake, with its place in `text`.
    pub(crate) fn read(text: &str) -> Result<Self, ParseError> {
        let expr = promql::parse(text)?;
        let mut reads = Vec::new();
        collect(&expr, Place::default(), &mut reads);
        Ok(Self {
            written: text.into(),
            canonical: expr.to_string().into(),
            reads: reads.into(),
        })
    }

    /// As in the file.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// In the form that Prometheus prints.
    pub(crate) fn canonical(&self) -> &str {
        &self.canonical
    }

    pub(crate) fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// How far back its data reaches, at most.
    pub(crate) fn longest(&self) -> Duration {
        self.reads.iter().map(|read| read.back).max().unwrap_or_default()
    }
}

impl Read {
    fn new(selector: &Selector, place: Place) -> Self {
        Self {
            matchers: selector.all_matchers(),
            back: place.behind(),
            excludes: place.excludes,
        }
    }

    /// As part of a recorded metric that `outer` reads.
    pub(crate) fn inside(&self, outer: &Self) -> Self {
        Self {
            excludes: self.excludes || outer.excludes,
            ..self.clone()
        }
    }

    /// The metric, where the selector says its whole name.
    pub(crate) fn metric(&self) -> Option<&str> {
        let mut names = self
            .matchers
            .iter()
            .filter(|matcher| *matcher.name == *METRIC_NAME);
        let name = names.find(|matcher| matcher.op == MatchOp::Equal)?;
        Some(&name.value)
    }

    /// The selector for the series of one alert's target, as far as the alert's labels name it.
    pub(crate) fn of_target(&self, source: &Labels) -> String {
        let target = TARGET_LABELS
            .into_iter()
            .filter_map(|name| source.get(name).map(|value| Matcher::equal(name, value)));
        self.narrowed(target)
    }

    /// The selector with more matchers.
    pub(crate) fn narrowed(&self, more: impl IntoIterator<Item = Matcher>) -> String {
        written(self.matchers.iter().cloned().chain(more))
    }

    /// Whether a series with this [`NODE`] could match. Of a regex nobody knows here, so it could.
    pub(crate) fn allows(&self, node: &str) -> bool {
        let mut about_node = self.matchers.iter().filter(|matcher| *matcher.name == *NODE);
        about_node.all(|matcher| match matcher.op {
            MatchOp::Equal => *matcher.value == *node,
            MatchOp::NotEqual => *matcher.value != *node,
            MatchOp::Matches | MatchOp::NotMatches => true,
        })
    }
}

/// A selector with these matchers.
pub(crate) fn written(matchers: impl IntoIterator<Item = Matcher>) -> String {
    let mut text = "{".to_owned();
    for matcher in matchers {
        // Writing to a string cannot fail.
        _ = write!(text, "{matcher},");
    }
    text.push('}');
    text
}

impl Place {
    fn behind(self) -> Duration {
        Duration::from_millis(u64::try_from(self.behind).unwrap_or(0))
    }

    fn back(self, millis: i64) -> Self {
        Self {
            behind: self.behind.saturating_add(millis),
            ..self
        }
    }
}

fn collect(expr: &promql::Expr, place: Place, reads: &mut Vec<Read>) {
    match &expr.kind {
        Kind::Selector(selector) if selector.when.at.is_none() => {
            reads.push(Read::new(selector, place.back(selector.when.offset)));
        }
        Kind::Range { selector, range } if selector.when.at.is_none() => {
            let mut place = place.back(selector.when.offset).back(millis(*range));
            if selector.edges != Edges::Plain {
                // The sample before the range stands at its start.
                place = place.back(millis(LOOKBACK));
            }
            reads.push(Read::new(selector, place));
        }
        Kind::Subquery(subquery) if subquery.when.at.is_none() => {
            let place = place.back(subquery.when.offset).back(millis(subquery.range));
            collect(&subquery.expr, place, reads);
        }
        Kind::Unary { expr, .. } | Kind::Paren(expr) => collect(expr, place, reads),
        Kind::Binary(binary) => {
            collect(&binary.left, place, reads);
            let excludes = place.excludes || binary.op == Op::Unless;
            collect(&binary.right, Place { excludes, ..place }, reads);
        }
        Kind::Aggregate(aggregate) => {
            aggregate
                .param
                .iter()
                .for_each(|param| collect(param, place, reads));
            collect(&aggregate.expr, place, reads);
        }
        Kind::Call { function, args } if function.name == "info" => {
            args.iter().take(1).for_each(|arg| collect(arg, place, reads));
            let infos = promql::selectors(expr).pop();
            reads.extend(infos.map(|(matchers, _)| Read {
                matchers,
                back: place.behind(),
                excludes: place.excludes,
            }));
        }
        Kind::Call { args, .. } => args.iter().for_each(|arg| collect(arg, place, reads)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_says_how_far_back_it_looks() {
        let expr = Expr::read("rate(a[5m] offset 1m) / on() b > max_over_time(c[1h:1m]) + d @ 0").unwrap();
        let backs: Vec<u64> = expr.reads().iter().map(|read| read.back.as_secs()).collect();
        assert_eq!(backs, [360, 0, 3600]);
        assert_eq!(expr.longest(), Duration::from_secs(3600));
    }

    #[test]
    fn what_is_read_without_being_written_counts_too() {
        let expr = Expr::read("info(rate(a[5m] anchored), {x=\"y\"})").unwrap();
        let reads: Vec<_> = expr
            .reads()
            .iter()
            .map(|read| (read.metric().unwrap(), read.back.as_secs()))
            .collect();
        assert_eq!(reads, [("a", 600), ("target_info", 0)]);
    }

    #[test]
    fn what_stands_right_of_an_unless_only_takes_away() {
        let expr = Expr::read("a unless on (node) (b == 0 or c) or d").unwrap();
        let excluding: Vec<_> = expr
            .reads()
            .iter()
            .map(|read| (read.metric().unwrap(), read.excludes))
            .collect();
        assert_eq!(excluding, [("a", false), ("b", true), ("c", true), ("d", false)]);
    }

    #[test]
    fn a_selector_says_which_nodes_it_may_read() {
        let allows = |text| Expr::read(text).unwrap().reads()[0].allows("x");
        assert!(allows("up") && allows(r#"up{node="x"}"#) && allows(r#"up{node!="y"}"#));
        assert!(!allows(r#"up{node="y"}"#) && !allows(r#"up{node!="x"}"#) && allows(r#"up{node=~"y"}"#));
    }

    #[test]
    fn a_selector_is_narrowed_to_the_target_of_an_alert() {
        let expr = Expr::read(r#"up{job=~"a|b"} == 0"#).unwrap();
        let source = Labels::from_pairs([("instance", "x:1"), ("job", "a"), ("device", "sda")]);
        assert_eq!(
            expr.reads()[0].of_target(&source),
            r#"{__name__="up",job=~"a|b",job="a",instance="x:1",}"#
        );
        assert!(promql::parse(&expr.reads()[0].of_target(&source)).is_ok());
    }
}

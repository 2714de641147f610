//! A rule's expression: its text, and what it reads.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use model::time::millis;
use model::{Labels, Matcher};
use promql::{Kind, ParseError, Selector};

/// The labels that name a target; all series of a target have them alike.
const TARGET_LABELS: [&str; 2] = ["job", "instance"];

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
        collect(&expr, 0, &mut reads);
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
    fn new(selector: &Selector, back_millis: i64) -> Self {
        Self {
            matchers: selector.all_matchers(),
            back: Duration::from_millis(u64::try_from(back_millis).unwrap_or(0)),
        }
    }

    /// The selector for the series of one alert's target, as far as the alert's labels name it.
    pub(crate) fn of_target(&self, source: &Labels) -> String {
        let mut text = "{".to_owned();
        let target = TARGET_LABELS
            .into_iter()
            .filter_map(|name| source.get(name).map(|value| Matcher::equal(name, value)));
        for matcher in self.matchers.iter().cloned().chain(target) {
            // Writing to a string cannot fail.
            _ = write!(text, "{matcher},");
        }
        text.push('}');
        text
    }
}

/// `behind`: how far back what encloses `expr` looks already, in milliseconds.
fn collect(expr: &promql::Expr, behind: i64, reads: &mut Vec<Read>) {
    match &expr.kind {
        Kind::Selector(selector) if selector.when.at.is_none() => {
            reads.push(Read::new(selector, behind + selector.when.offset));
        }
        Kind::Range { selector, range } if selector.when.at.is_none() => {
            reads.push(Read::new(
                selector,
                behind + selector.when.offset + millis(*range),
            ));
        }
        Kind::Subquery(subquery) if subquery.when.at.is_none() => {
            collect(
                &subquery.expr,
                behind + subquery.when.offset + millis(subquery.range),
                reads,
            );
        }
        Kind::Unary { expr, .. } | Kind::Paren(expr) => collect(expr, behind, reads),
        Kind::Binary(binary) => {
            collect(&binary.left, behind, reads);
            collect(&binary.right, behind, reads);
        }
        Kind::Aggregate(aggregate) => {
            aggregate
                .param
                .iter()
                .for_each(|param| collect(param, behind, reads));
            collect(&aggregate.expr, behind, reads);
        }
        Kind::Call { args, .. } => args.iter().for_each(|arg| collect(arg, behind, reads)),
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

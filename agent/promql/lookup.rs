//! What an expression reads, for lints and for the order of rules.

use std::time::Duration;

use model::Matcher;

use crate::ast::{Aggregation, At, Expr, Kind, When};
use crate::eval::info_matchers;
use crate::functions::Run;

/// The matchers of every selector, in the order of the text, and the range of those that have one.
#[must_use]
pub fn selectors(expr: &Expr) -> Vec<(Vec<Matcher>, Option<Duration>)> {
    let mut found = Vec::new();
    collect(expr, &mut found);
    found
}

fn collect(expr: &Expr, found: &mut Vec<(Vec<Matcher>, Option<Duration>)>) {
    match &expr.kind {
        Kind::Selector(selector) => found.push((selector.all_matchers(), None)),
        Kind::Range { selector, range } => found.push((selector.all_matchers(), Some(*range))),
        // The braces behind the comma say which info series are read, and do not say all.
        Kind::Call { function, args } if matches!(function.run, Run::Info) => {
            args.iter().take(1).for_each(|arg| collect(arg, found));
            found.push((info_matchers(args), None));
        }
        other => other.each_child(&mut |child| collect(child, found)),
    }
}

/// Whether an answer may be another as a step of a range than alone: where an expression speaks of the query as a whole,
/// or where something is added up in the order in which an instant answer is ranked.
#[must_use]
pub fn differs_in_range(expr: &Expr) -> bool {
    let mut differs = expr.has_durations_of_query();
    let is_of_query = |when: &When| matches!(when.at, Some(At::Start | At::End));
    expr.walk(&mut |part| {
        differs |= match &part.kind {
            Kind::Selector(selector) | Kind::Range { selector, .. } => is_of_query(&selector.when),
            Kind::Subquery(subquery) => is_of_query(&subquery.when),
            Kind::Call { function, .. } => matches!(function.run, Run::OfQuery(_)),
            Kind::Aggregate(aggregate) => is_ranked(&aggregate.expr),
            _ => false,
        };
    });
    differs
}

fn is_ranked(expr: &Expr) -> bool {
    let mut ranked = false;
    expr.walk(&mut |part| {
        ranked |= match &part.kind {
            Kind::Call { function, .. } => matches!(function.run, Run::Sort { .. } | Run::SortByLabel { .. }),
            Kind::Aggregate(aggregate) => {
                matches!(aggregate.op, Aggregation::Topk | Aggregation::Bottomk)
            }
            _ => false,
        };
    });
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_is_found() {
        let expr =
            crate::parse(r#"sum(rate(a{b="c"}[5m])) / on() group_left d > max_over_time(e[1h:1m])"#).unwrap();
        let found: Vec<_> = selectors(&expr)
            .into_iter()
            .map(|(matchers, range)| (matchers[0].value.to_string(), matchers.len(), range))
            .collect();
        let minutes = |count: u64| Some(Duration::from_secs(count * 60));
        assert_eq!(
            found,
            [
                ("a".to_owned(), 2, minutes(5)),
                ("d".to_owned(), 1, None),
                ("e".to_owned(), 1, None)
            ]
        );
    }

    #[test]
    fn what_differs_in_a_range_is_known() {
        let differs = |text| differs_in_range(&crate::parse(text).unwrap());
        assert!(differs("up @ end()") && differs("rate(up[range()])") && differs("up > start()"));
        assert!(differs("sum(topk(3, up))") && differs("topk(2, sort(up) * 2)"));
        assert!(!differs(
            "topk(3, sum by (job) (rate(up[5m] @ 7))) > 1 or sort(up offset 1m)"
        ));
    }

    #[test]
    fn info_reads_info_series() {
        let expr = crate::parse(r#"info(up, {version=~".+"})"#).unwrap();
        let found: Vec<_> = selectors(&expr)
            .into_iter()
            .map(|(matchers, _)| {
                matchers
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            })
            .collect();
        assert_eq!(
            found,
            ["__name__=\"up\"", "__name__=\"target_info\", version=~\".+\""]
        );
    }
}

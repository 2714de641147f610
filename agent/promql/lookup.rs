//! What an expression reads, for lints and for the order of rules.

use std::time::Duration;

use model::Matcher;

use crate::ast::{Expr, Kind};

/// The matchers of every selector, in the order of the text, and the range of those that have one.
#[must_use]
pub fn selectors(expr: &Expr) -> Vec<(Vec<Matcher>, Option<Duration>)> {
    let mut found = Vec::new();
    expr.walk(&mut |node| match &node.kind {
        Kind::Selector(selector) => found.push((selector.all_matchers(), None)),
        Kind::Range { selector, range } => found.push((selector.all_matchers(), Some(*range))),
        _ => {}
    });
    found
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
}

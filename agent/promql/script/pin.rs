//! Pins an expression to a time, so that it must give the same answer whenever it is asked.

use model::Timestamp;

use crate::ast::{At, Expr, Kind};
use crate::functions::Run;

/// The expression with `@ time` on every selector that has none; `None` when it looks at the clock.
pub(super) fn pinned(expr: &Expr, time: Timestamp) -> Option<Expr> {
    let mut clocked = expr.has_durations_of_query();
    expr.walk(&mut |node| {
        clocked |= match &node.kind {
            Kind::Call { function, .. } => {
                matches!(
                    function.run,
                    Run::Time | Run::Timestamp | Run::Date(_) | Run::OfQuery(_)
                ) || function.name == "predict_linear"
            }
            Kind::Selector(selector) | Kind::Range { selector, .. } => by_query(selector.when.at),
            Kind::Subquery(subquery) => by_query(subquery.when.at),
            _ => false,
        };
    });
    (!clocked).then(|| {
        let mut expr = expr.clone();
        pin(&mut expr, time);
        expr
    })
}

/// `start()` and `end()` are of the query, not of the expression.
fn by_query(at: Option<At>) -> bool {
    matches!(at, Some(At::Start | At::End))
}

fn pin(expr: &mut Expr, time: Timestamp) {
    let at = At::Time(time);
    match &mut expr.kind {
        Kind::Selector(selector) | Kind::Range { selector, .. } => {
            selector.when.at.get_or_insert(at);
        }
        // What is inside a pinned subquery moves with the subquery's own steps.
        Kind::Subquery(subquery) => {
            subquery.when.at.get_or_insert(at);
        }
        other => other.each_child_mut(&mut |child| pin(child, time)),
    }
}

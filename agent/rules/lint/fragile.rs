//! `promql/fragile`: alerts that come and go, or fail, although nothing happens.

use std::collections::BTreeSet;

use promql::{Aggregate, Expr, Kind, Op};

use super::known::metric;
use super::report::Severity;
use super::{Desk, FRAGILE, Look, word};

pub(super) fn check(desk: &mut Desk<'_>, look: &Look<'_>) {
    let mut told = BTreeSet::new();
    for shape in &look.derived.shapes {
        let Some((span, op)) = shape.picked else {
            continue;
        };
        if told.insert((span.start, span.end)) {
            let message = format!(
                "{op} picks other series from one evaluation to the next, so that alerts come and go"
            );
            let advice = "compare with a threshold, or sum up what is picked";
            desk.say(
                look,
                look.at(span),
                word(FRAGILE, Severity::Warning, message, advice),
            );
        }
    }
    walk(desk, look, &look.rule.expr);
}

fn walk(desk: &mut Desk<'_>, look: &Look<'_>, expr: &Expr) {
    if let Kind::Binary(binary) = &expr.kind {
        let by_all_labels = binary.matching.as_ref().is_some_and(|matching| !matching.on);
        let (left, right) = (read(&binary.left), read(&binary.right));
        if by_all_labels && binary.op != Op::Or && left != right {
            for side in [&binary.left, &binary.right] {
                if aggregation(side).is_some_and(|aggregate| aggregate.grouping.without) {
                    let message = "both sides must have the same labels here, and `without` keeps any that comes to one of them";
                    let advice = "name the labels: by (…) on both sides, or on (…) between them";
                    desk.say(
                        look,
                        look.at(side.span),
                        word(FRAGILE, Severity::Info, message, advice),
                    );
                }
            }
        }
        let is_arithmetic = !(binary.op.is_comparison() || binary.op.is_set());
        let sums = [&binary.left, &binary.right].map(|side| aggregation(side).is_some());
        if is_arithmetic && sums == [true, true] && left != right && look.hold(desk).is_zero() {
            let message =
                "after a restart one side may have heard of more targets than the other for a while";
            let advice = "give the alert a `for` of some intervals";
            desk.say(
                look,
                look.at(expr.span),
                word(FRAGILE, Severity::Info, message, advice),
            );
        }
    }
    expr.kind.each_child(&mut |child| walk(desk, look, child));
}

fn aggregation(expr: &Expr) -> Option<&Aggregate> {
    match &expr.bare().kind {
        Kind::Aggregate(aggregate) => Some(aggregate),
        _ => None,
    }
}

/// The metrics of an expression.
fn read(expr: &Expr) -> BTreeSet<String> {
    let all = promql::selectors(expr);
    let names = all.iter().filter_map(|(matchers, _)| metric(matchers));
    names.map(str::to_owned).collect()
}

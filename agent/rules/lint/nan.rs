//! `promql/nan`: divisions by what may be zero, inside of aggregations that one such result spoils.

use promql::{Aggregation, Expr, Kind, Op};

use super::derive::{Derived, derive, shorten};
use super::functions::selector;
use super::known::metric;
use super::report::Severity;
use super::{Desk, Look, NAN, word};

pub(super) fn check(desk: &mut Desk<'_>, look: &Look<'_>) {
    walk(desk, look, &look.rule.expr, None);
}

fn walk(desk: &mut Desk<'_>, look: &Look<'_>, expr: &Expr, spoiled: Option<&'static str>) {
    match &expr.kind {
        Kind::Aggregate(aggregate) => {
            let inside = match aggregate.op {
                Aggregation::Sum | Aggregation::Avg | Aggregation::Stddev | Aggregation::Stdvar => {
                    Some(aggregate.op.text())
                }
                // These count or pick, whatever the number is.
                Aggregation::Count | Aggregation::CountValues | Aggregation::Group => None,
                _ => spoiled,
            };
            walk(desk, look, &aggregate.expr, inside);
        }
        Kind::Binary(binary) => {
            if matches!(binary.op, Op::Div | Op::Mod) {
                divided(desk, look, &binary.right, spoiled);
            }
            // A comparison leaves NaN out, and so does what it is compared with.
            let inside = if binary.op.is_comparison() && !binary.as_bool {
                None
            } else {
                spoiled
            };
            walk(desk, look, &binary.left, inside);
            walk(desk, look, &binary.right, inside);
        }
        Kind::Selector(_) => recorded(desk, look, expr, spoiled),
        other => other.each_child(&mut |child| walk(desk, look, child, spoiled)),
    }
}

/// A metric that is recorded as a division.
fn recorded(desk: &mut Desk<'_>, look: &Look<'_>, expr: &Expr, spoiled: Option<&'static str>) {
    let matchers = selector(expr)
        .map(promql::Selector::all_matchers)
        .unwrap_or_default();
    let (Some(name), Some(op)) = (metric(&matchers), spoiled) else {
        return;
    };
    let metrics = desk.metrics;
    let divisor = metrics.recording(name).iter().find_map(|one| {
        let derived = derive(&one.rule.text, &one.rule.expr, metrics);
        let divisor = divisor_of(&one.rule.expr, &derived)?;
        Some(shorten(divisor.span.of(&one.rule.text)))
    });
    if let Some(divisor) = divisor {
        let message = format!(
            "{name} is recorded as a division by `{divisor}`, and where that is 0, one series makes the whole {op} NaN or infinite"
        );
        let advice = "leave zeros out where it is recorded, or here those that are no number: … >= 0";
        desk.say(
            look,
            look.at(expr.span),
            word(NAN, Severity::Warning, message, advice),
        );
    }
}

/// What a result is divided by, where that may be 0.
fn divisor_of<'e>(expr: &'e Expr, derived: &Derived) -> Option<&'e Expr> {
    match &expr.kind {
        Kind::Paren(inner) | Kind::Unary { expr: inner, .. } => divisor_of(inner, derived),
        Kind::Binary(binary) if binary.op.is_comparison() && !binary.as_bool => None,
        Kind::Binary(binary) => {
            let range = derived.ranges.get(&binary.right.span);
            let zero = range.is_none_or(|range| range.holds(0.0));
            if matches!(binary.op, Op::Div | Op::Mod) && zero {
                return Some(&binary.right);
            }
            divisor_of(&binary.left, derived).or_else(|| divisor_of(&binary.right, derived))
        }
        _ => None,
    }
}

fn divided(desk: &mut Desk<'_>, look: &Look<'_>, divisor: &Expr, spoiled: Option<&'static str>) {
    let Some(range) = look.derived.ranges.get(&divisor.span).copied() else {
        return;
    };
    let shown = shorten(divisor.span.of(&look.rule.text));
    if range.number() == Some(0.0) {
        let message = "this divides by 0";
        let advice = "divide by something else";
        desk.say(
            look,
            look.at(divisor.span),
            word(NAN, Severity::Bug, message, advice),
        );
    } else if let Some(op) = spoiled.filter(|_| range.holds(0.0)) {
        let message =
            format!("where `{shown}` is 0, one division by it makes the whole {op} NaN or infinite");
        let advice = format!("leave zeros out, ({shown} > 0), or divide what is summed up");
        desk.say(
            look,
            look.at(divisor.span),
            word(NAN, Severity::Warning, message, advice),
        );
    }
}

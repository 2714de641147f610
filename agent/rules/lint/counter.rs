//! `promql/counter`: counters that are read without a rate, and rates of what is no counter.

use model::Kind as MetricKind;
use promql::{Aggregation, Expr, Kind, Op, Selector, Span};

use super::functions::selector;
use super::known::metric;
use super::report::Severity;
use super::{COUNTER, Desk, Look, word};

/// Functions for which a counter's size does not matter, or that know its resets.
const SAFE: [&str; 11] = [
    "rate",
    "irate",
    "increase",
    "resets",
    "changes",
    "absent",
    "absent_over_time",
    "present_over_time",
    "count_over_time",
    "timestamp",
    "info",
];
/// Functions that know resets, and take every fall for one.
const OF_COUNTERS: [&str; 3] = ["rate", "irate", "increase"];
/// Functions that take a reset for a fall.
const OF_GAUGES: [&str; 4] = ["delta", "idelta", "deriv", "predict_linear"];
/// Endings that no counter has.
const GAUGES: [&str; 7] = [
    "_ratio",
    "_percent",
    "_celsius",
    "_volts",
    "_info",
    "_timestamp_seconds",
    "_created",
];

pub(super) fn check(desk: &mut Desk<'_>, look: &Look<'_>) {
    walk(desk, look, &look.rule.expr, false);
}

/// `safe`: what stands around it may have counters.
fn walk(desk: &mut Desk<'_>, look: &Look<'_>, expr: &Expr, safe: bool) {
    match &expr.kind {
        Kind::Selector(found) | Kind::Range { selector: found, .. } if !safe => {
            bare(desk, look, found, expr.span)
        }
        Kind::Call { function, args } => {
            let name = function.name;
            for arg in args {
                call(desk, look, name, expr.span, arg);
                let told = OF_GAUGES.contains(&name) && selector(arg).is_some();
                walk(desk, look, arg, safe || told || SAFE.contains(&name));
            }
        }
        Kind::Aggregate(aggregate) => {
            let counts = matches!(aggregate.op, Aggregation::Count | Aggregation::Group);
            walk(desk, look, &aggregate.expr, safe || counts);
        }
        Kind::Binary(binary) => {
            // Only whether there are such series, and not what they say.
            let right =
                safe || matches!(binary.op, Op::Unless | Op::And) && selector(&binary.right).is_some();
            walk(desk, look, &binary.left, safe);
            walk(desk, look, &binary.right, right);
        }
        other => other.each_child(&mut |child| walk(desk, look, child, safe)),
    }
}

/// What a metric is: by its type where that is known, else by its name. And how that is known.
fn kind(desk: &Desk<'_>, selector: &Selector) -> Option<(String, MetricKind, bool)> {
    let matchers = selector.all_matchers();
    let name = metric(&matchers)?;
    if desk.metrics.recorded(name).is_some() || name.contains(':') {
        return None;
    }
    let live = desk.world.live.as_ref().ok();
    let known = live.and_then(|live| live.kind(name));
    let by_name = || {
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        match () {
            () if ends(&["_total", "_bucket", "_sum", "_count"]) => Some(MetricKind::Counter),
            () if ends(&GAUGES) => Some(MetricKind::Gauge),
            () => None,
        }
    };
    match known {
        Some(kind @ (MetricKind::Counter | MetricKind::Gauge)) => Some((name.to_owned(), kind, true)),
        Some(MetricKind::Unknown) | None => Some((name.to_owned(), by_name()?, false)),
        Some(_) => None,
    }
}

fn bare(desk: &mut Desk<'_>, look: &Look<'_>, selector: &Selector, span: Span) {
    let Some((name, MetricKind::Counter, by_type)) = kind(desk, selector) else {
        return;
    };
    // A gauge may well be named so: `kube_node_status_count`.
    let unsure = !by_type && (name.ends_with("_sum") || name.ends_with("_count"));
    let severity = if unsure { Severity::Info } else { Severity::Warning };
    let message = match by_type {
        true => format!("{name} is a counter: how large it is says only how long it has been counting"),
        false => {
            format!("{name} looks like a counter: how large it is says only how long it has been counting")
        }
    };
    let advice = "use increase(…) or rate(…)";
    desk.say(look, look.at(span), word(COUNTER, severity, message, advice));
}

fn call(desk: &mut Desk<'_>, look: &Look<'_>, function: &str, span: Span, arg: &Expr) {
    let counts = OF_COUNTERS.contains(&function);
    if let Some(found) = selector(arg) {
        match kind(desk, found) {
            Some((name, MetricKind::Gauge, by_type)) if counts => {
                let message =
                    format!("{name} is a gauge, and {function} takes each of its falls for a reset");
                let severity = if by_type { Severity::Bug } else { Severity::Warning };
                let advice = "use delta(…) or deriv(…)";
                desk.say(look, look.at(span), word(COUNTER, severity, message, advice));
            }
            Some((name, MetricKind::Counter, by_type)) if OF_GAUGES.contains(&function) => {
                let message = format!("{name} is a counter, and {function} takes a reset for a fall");
                let sure = by_type || name.ends_with("_total") || name.ends_with("_bucket");
                let severity = if sure { Severity::Warning } else { Severity::Info };
                let advice = "use increase(…) or rate(…)";
                desk.say(look, look.at(span), word(COUNTER, severity, message, advice));
            }
            _ if counts => of_recorded(desk, look, function, span, found),
            _ => {}
        }
    } else if let (true, Kind::Subquery(subquery)) = (counts, &arg.bare().kind)
        && let Some((op, name)) = summed(desk, &subquery.expr)
    {
        let message = format!("{function} of {op}({name}) takes a reset of one series for one of all");
        let advice = format!("take {function} first: {op}({function}({name}[…]))");
        desk.say(look, look.at(span), word(COUNTER, Severity::Bug, message, advice));
    }
}

/// A rate of what a rule has summed up.
fn of_recorded(desk: &mut Desk<'_>, look: &Look<'_>, function: &str, span: Span, selector: &Selector) {
    let matchers = selector.all_matchers();
    let name = metric(&matchers).unwrap_or_default();
    let mut recording = desk.metrics.recording(name).iter();
    if let Some((op, counter)) = recording.find_map(|one| summed(desk, &one.rule.expr)) {
        let message = format!(
            "{name} is recorded as {op}({counter}), and {function} takes a reset of one series for one of all"
        );
        let advice = format!("record {op}({function}({counter}[…]))");
        desk.say(look, look.at(span), word(COUNTER, Severity::Bug, message, advice));
    }
}

/// An aggregation of a counter as it is.
fn summed(desk: &Desk<'_>, expr: &Expr) -> Option<(&'static str, String)> {
    let Kind::Aggregate(aggregate) = &expr.bare().kind else {
        return None;
    };
    match kind(desk, selector(&aggregate.expr)?)? {
        (name, MetricKind::Counter, _) => Some((aggregate.op.text(), name)),
        _ => None,
    }
}

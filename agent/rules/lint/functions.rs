//! What functions do to labels and to numbers.

use model::MatchOp;
use promql::{Expr, Kind, Selector, Type};

use super::derive::Deriver;
use super::find;
use super::range::Range;
use super::report::Severity;
use super::shape::{Label, Shape, Why};

/// Those that need two samples to say something.
pub(super) const OF_CHANGE: [&str; 9] = [
    "rate",
    "irate",
    "increase",
    "delta",
    "idelta",
    "deriv",
    "predict_linear",
    "changes",
    "resets",
];

pub(super) fn call(deriver: &mut Deriver<'_>, expr: &Expr, name: &str, args: &[Expr]) -> Vec<Shape> {
    let mut all: Vec<Vec<Shape>> = Vec::new();
    // What stands in the braces of `info` is no selection of its own.
    let args_read = if name == "info" { 1 } else { args.len() };
    for arg in args.iter().take(args_read) {
        all.push(deriver.shapes(arg));
    }
    let is_series = |arg: &Expr| matches!(arg.returns(), Type::Vector | Type::Matrix);
    let first = args.iter().position(is_series);
    let mut shapes = first.and_then(|nth| all.get(nth)).cloned().unwrap_or_default();
    let number = |nth: usize| {
        let shape = all.get(nth).and_then(|shapes| shapes.first());
        shape.map_or(Range::ANY, |shape| shape.range)
    };
    match name {
        "absent" | "absent_over_time" => return vec![absent(deriver, expr, name, args, &shapes)],
        "vector" => return vec![Shape::number(expr.span, number(0))],
        "scalar" => {
            let range = shapes.iter().map(|shape| shape.range).reduce(Range::or);
            return vec![Shape::number(expr.span, range.unwrap_or(Range::ANY).or_nan())];
        }
        _ if shapes.is_empty() => return vec![Shape::number(expr.span, of_number(name, &number))],
        "label_replace" | "label_join" => relabelled(deriver, expr, name, args, &mut shapes),
        "histogram_quantile" | "histogram_fraction" | "histogram_quantiles" => {
            buckets(deriver, expr, name, args, &mut shapes);
        }
        "info" => shapes.iter_mut().for_each(Shape::open_up),
        _ => {}
    }
    for shape in &mut shapes {
        shape.range = range(name, shape.range, &number);
    }
    shapes
}

/// The selector of an instant or range vector.
pub(super) fn selector(expr: &Expr) -> Option<&Selector> {
    match &expr.bare().kind {
        Kind::Selector(selector) | Kind::Range { selector, .. } => Some(selector),
        _ => None,
    }
}

fn absent(deriver: &mut Deriver<'_>, expr: &Expr, name: &str, args: &[Expr], shapes: &[Shape]) -> Shape {
    let mut shape = Shape::open(expr.span);
    let matchers = args
        .first()
        .and_then(selector)
        .map(Selector::all_matchers)
        .unwrap_or_default();
    for matcher in &matchers {
        let alone = matchers.iter().filter(|other| other.name == matcher.name).count() == 1;
        if matcher.op == MatchOp::Equal && alone && !matcher.value.is_empty() {
            shape.set(&matcher.name, Label::Is((&*matcher.value).into()));
        }
    }
    let why = format!("`{name}` knows only the labels that its selector names with =");
    shape.close([], Why::written(why));
    shape.condition = true;
    shape.range = Range::constant(1.0);
    if shapes.iter().any(|shape| shape.always && !shape.condition) {
        let message = format!("`{name}` never gives anything here: what it looks at is always there");
        deriver.fault(
            expr.span,
            Severity::Bug,
            message,
            "take out what is always there, such as `or vector(0)`",
        );
    }
    shape
}

fn relabelled(deriver: &mut Deriver<'_>, expr: &Expr, name: &str, args: &[Expr], shapes: &mut [Shape]) {
    let texts: Vec<&str> = args
        .iter()
        .filter_map(|arg| match &arg.bare().kind {
            Kind::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    // label_replace(v, dst, replacement, src, regex) and label_join(v, dst, separator, src…).
    let sources = match name {
        "label_replace" => texts.get(2..3),
        _ => texts.get(2..),
    };
    for source in sources
        .unwrap_or_default()
        .iter()
        .filter(|source| !source.is_empty())
    {
        let why: Option<Vec<Why>> = shapes.iter().map(|shape| shape.never(source)).collect();
        if let Some(why) = why.and_then(|all| all.into_iter().next()).filter(|why| !why.seen) {
            let inner = args.first().map(|arg| arg.span).unwrap_or_default();
            let place = find::word(deriver.text, expr.span, &[inner], source);
            let message = format!(
                "`{name}` reads the label {source}, which is not there: {}",
                why.text
            );
            deriver.fault(place, Severity::Warning, message, "keep the label inside");
        }
    }
    if let Some(target) = texts.first() {
        shapes
            .iter_mut()
            .for_each(|shape| shape.set(target, Label::Maybe));
    }
}

/// Classic histograms are told by `le`; native ones have none, and are not named `_bucket`.
fn buckets(deriver: &mut Deriver<'_>, expr: &Expr, name: &str, args: &[Expr], shapes: &mut [Shape]) {
    let mut classic = false;
    expr.walk(&mut |part| {
        let metric = selector(part).and_then(|selector| selector.name.as_deref());
        classic |= metric.is_some_and(|metric| metric.ends_with("_bucket"));
    });
    let why: Option<Vec<Why>> = shapes.iter().map(|shape| shape.never("le")).collect();
    if let (true, Some(why)) = (classic, why.and_then(|all| all.into_iter().next())) {
        let message = format!("`{name}` needs the label le, which is not there: {}", why.text);
        deriver.fault(
            expr.span,
            Severity::Bug,
            message,
            "keep le inside: sum by (le, …)",
        );
    }
    for shape in shapes {
        shape.remove(
            &["le".to_owned()],
            &Why::written(format!("`{name}` takes it away")),
        );
        if let (true, Some(Kind::Text(label))) = (
            name == "histogram_quantiles",
            args.get(1).map(|arg| &arg.bare().kind),
        ) {
            shape.set(label, Label::Always);
        }
    }
}

fn of_number(name: &str, number: &dyn Fn(usize) -> Range) -> Range {
    match name {
        "pi" => Range::constant(std::f64::consts::PI),
        // Whoever compares with a smaller number has forgotten to subtract.
        "time" | "start" | "end" => Range::at_least(1e9),
        "min_of" | "max_of" => number(0).or(number(1)),
        _ => calendar(name),
    }
}

fn calendar(name: &str) -> Range {
    match name {
        "minute" => Range::of(0.0, 59.0),
        "hour" => Range::of(0.0, 23.0),
        "day_of_week" => Range::of(0.0, 6.0),
        "day_of_month" => Range::of(1.0, 31.0),
        "day_of_year" => Range::of(1.0, 366.0),
        "days_in_month" => Range::of(28.0, 31.0),
        "month" => Range::of(1.0, 12.0),
        _ => Range::ANY,
    }
}

fn range(name: &str, inner: Range, number: &dyn Fn(usize) -> Range) -> Range {
    match name {
        "rate" | "irate" | "increase" => Range::at_least(0.0).or_nan(),
        "changes" | "resets" => Range::at_least(0.0),
        "count_over_time" => Range::at_least(1.0),
        "present_over_time" => Range::constant(1.0),
        "stddev_over_time" | "stdvar_over_time" | "sqrt" | "histogram_count" => Range::at_least(0.0).or_nan(),
        "abs" if inner.min >= 0.0 => inner,
        "abs" => Range::at_least(0.0).as_sure_as(inner),
        "exp" => Range::at_least(0.0).or_nan(),
        "sgn" | "sin" | "cos" => Range::of(-1.0, 1.0).or_nan(),
        "histogram_fraction" => Range::of(0.0, 1.0).or_nan(),
        "sum_over_time" if inner.min >= 0.0 => Range::at_least(0.0).as_sure_as(inner),
        "ceil" => inner.each(f64::ceil),
        "floor" => inner.each(f64::floor),
        "clamp_min" => clamped(inner, number(1).number(), None),
        "clamp_max" => clamped(inner, None, number(1).number()),
        "clamp" => clamped(inner, number(1).number(), number(2).number()),
        "avg_over_time" | "min_over_time" | "max_over_time" | "last_over_time" | "first_over_time"
        | "label_replace" | "label_join" | "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc"
        | "info" => inner,
        "timestamp" => Range::at_least(0.0),
        _ => calendar(name),
    }
}

fn clamped(inner: Range, min: Option<f64>, max: Option<f64>) -> Range {
    let (low, high) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
    if low > high || low.is_nan() || high.is_nan() {
        return Range::ANY;
    }
    Range::of(inner.min.clamp(low, high), inner.max.clamp(low, high)).as_sure_as(inner)
}

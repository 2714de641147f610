//! From an expression to the shapes of what it gives, and what on the way can never be.

use std::collections::HashMap;
use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::{MatchOp, Matcher};
use promql::{Aggregate, Aggregation, Binary, Expr, Filter, Group, Kind, Op, Selector, Span, Type};

use super::functions;
use super::known::Metrics;
use super::matchers::apart;
use super::range::Range;
use super::report::Severity;
use super::shape::{Clash, Label, Shape, Why, clash, merged};
use super::{IMPOSSIBLE, SERIES, VECTOR_MATCHING, find};

/// Something in an expression that cannot be meant.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) span: Span,
    pub(super) check: &'static str,
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) advice: String,
}

pub(super) struct Derived {
    /// One for each way in which something comes about.
    pub(super) shapes: Vec<Shape>,
    pub(super) faults: Vec<Fault>,
    /// Of every part of the expression.
    pub(super) ranges: HashMap<Span, Range>,
}

pub(super) fn derive(text: &str, expr: &Expr, metrics: &Metrics<'_>) -> Derived {
    let mut deriver = Deriver {
        text,
        metrics,
        faults: Vec::new(),
        ranges: HashMap::new(),
    };
    let shapes = deriver.shapes(expr);
    Derived {
        shapes,
        faults: deriver.faults,
        ranges: deriver.ranges,
    }
}

pub(super) struct Deriver<'a> {
    pub(super) text: &'a str,
    metrics: &'a Metrics<'a>,
    faults: Vec<Fault>,
    ranges: HashMap<Span, Range>,
}

impl Deriver<'_> {
    pub(super) fn fault(&mut self, span: Span, severity: Severity, message: String, advice: &str) {
        self.fault_of(IMPOSSIBLE, span, severity, message, advice);
    }

    fn fault_of(
        &mut self,
        check: &'static str,
        span: Span,
        severity: Severity,
        message: String,
        advice: &str,
    ) {
        self.faults.push(Fault {
            span,
            check,
            severity,
            message,
            advice: advice.to_owned(),
        });
    }

    pub(super) fn shapes(&mut self, expr: &Expr) -> Vec<Shape> {
        let mut shapes = match &expr.kind {
            Kind::Number(number) => vec![Shape::number(expr.span, Range::constant(*number))],
            Kind::Text(_) => vec![Shape::number(expr.span, Range::ANY)],
            Kind::Selector(selector) | Kind::Range { selector, .. } => self.selector(selector, expr.span),
            Kind::Subquery(subquery) => self.shapes(&subquery.expr),
            Kind::Paren(inner) => self.shapes(inner),
            Kind::Unary {
                negative,
                expr: inner,
            } => self.unary(*negative, inner),
            Kind::Binary(binary) => self.binary(binary, expr.span),
            Kind::Aggregate(aggregate) => self.aggregate(aggregate, expr.span),
            Kind::Call { function, args } => functions::call(self, expr, function.name, args),
        };
        if let [only] = shapes.as_mut_slice() {
            only.span = expr.span;
        }
        if let Some(all) = merged(&shapes, expr.span) {
            self.ranges.insert(expr.span, all.range);
        }
        shapes
    }

    fn unary(&mut self, negative: bool, inner: &Expr) -> Vec<Shape> {
        let mut shapes = self.shapes(inner);
        for shape in shapes.iter_mut().filter(|_| negative) {
            shape.range = shape.range.negative();
        }
        shapes
    }

    fn selector(&mut self, selector: &Selector, span: Span) -> Vec<Shape> {
        let matchers = selector.all_matchers();
        self.contradictions(&matchers, span);
        let name = matchers
            .iter()
            .find(|matcher| *matcher.name == *METRIC_NAME && matcher.op == MatchOp::Equal)
            .map(|matcher| &*matcher.value);
        let own: Vec<&Matcher> = matchers
            .iter()
            .filter(|matcher| *matcher.name != *METRIC_NAME)
            .collect();
        let mut shapes = match name.and_then(|name| self.metrics.recorded(name)) {
            Some(recorded) => self.of_recorded(recorded, name.unwrap_or_default(), &own, span),
            None => vec![self.metrics.shape(name, &matchers, span)],
        };
        for shape in &mut shapes {
            shape.span = span;
            for matcher in &own {
                narrow(shape, matcher);
            }
        }
        shapes
    }

    /// Two matchers of a selector that no series can satisfy.
    fn contradictions(&mut self, matchers: &[Matcher], span: Span) {
        for (nth, one) in matchers.iter().enumerate() {
            let rest = matchers.iter().skip(nth + 1);
            for two in rest.filter(|two| two.name == one.name) {
                if apart(one, two) {
                    let earlier = matchers.iter().take_while(|other| !std::ptr::eq(*other, two));
                    let earlier = earlier.filter(|other| other.name == two.name).count();
                    let place = find::nth_word(self.text, span, &[], &two.name, earlier);
                    let message = format!("no series matches both {one} and {two}");
                    self.fault(place, Severity::Bug, message, "keep the one that is meant");
                }
            }
        }
    }

    /// Those ways in which the metric is recorded that the selector lets through.
    fn of_recorded(
        &mut self,
        recorded: &[Shape],
        name: &str,
        matchers: &[&Matcher],
        span: Span,
    ) -> Vec<Shape> {
        let refused = |shape: &Shape| {
            matchers
                .iter()
                .find(|matcher| !allows(matcher, &shape.label(&matcher.name)))
                .copied()
        };
        let left: Vec<Shape> = recorded
            .iter()
            .filter(|shape| refused(shape).is_none())
            .cloned()
            .collect();
        if !left.is_empty() {
            return left;
        }
        if let Some((shape, matcher)) = recorded.iter().find_map(|shape| Some((shape, refused(shape)?))) {
            let why = match shape.label(&matcher.name) {
                Label::Is(value) => format!("where it is recorded, {} is {value:?}", matcher.name),
                Label::Never(why) => format!("where it is recorded, {}", why.text),
                _ => "it is recorded otherwise".to_owned(),
            };
            let place = find::word(self.text, span, &[], &matcher.name);
            let message = format!("no series of {name} has {matcher}: {why}");
            let advice = "mend the matcher, or keep the label where the metric is recorded";
            self.fault(place, Severity::Bug, message, advice);
        }
        vec![Shape::open(span)]
    }

    fn aggregate(&mut self, aggregate: &Aggregate, span: Span) -> Vec<Shape> {
        let param = aggregate.param.as_ref().map(|param| self.shapes(param));
        let mut shapes = self.shapes(&aggregate.expr);
        let op = aggregate.op;
        if matches!(
            op,
            Aggregation::Topk | Aggregation::Bottomk | Aggregation::Limitk | Aggregation::LimitRatio
        ) {
            for shape in shapes.iter_mut().filter(|shape| !shape.is_single()) {
                shape.picked = Some((span, op.text()));
            }
            return shapes;
        }
        let Some(mut shape) = merged(&shapes, span) else {
            return shapes;
        };
        let grouping = &aggregate.grouping;
        let words = match grouping.labels.as_slice() {
            labels if grouping.without => format!("{} without ({})", op.text(), labels.join(", ")),
            [] => op.text().to_owned(),
            labels => format!("{} by ({})", op.text(), labels.join(", ")),
        };
        if grouping.without {
            shape.remove(
                &grouping.labels,
                &Why::written(format!("`{words}` takes it away")),
            );
        } else {
            self.grouped_by_nothing(aggregate, &shapes, span);
            let why = match grouping.labels.is_empty() {
                true => format!("`{words}` leaves no labels"),
                false => format!("`{words}` leaves no others"),
            };
            shape.keep(&grouping.labels, Why::written(why));
        }
        if let (Aggregation::CountValues, Some(Kind::Text(name))) =
            (op, aggregate.param.as_ref().map(|param| &param.bare().kind))
        {
            shape.set(name, Label::Always);
        }
        let param = param.and_then(|shapes| shapes.first().map(|shape| shape.range));
        shape.range = aggregated(op, shape.range, param);
        shape.aggregated = true;
        shape.is_bool = false;
        shape.picked = None;
        vec![shape]
    }

    fn grouped_by_nothing(&mut self, aggregate: &Aggregate, shapes: &[Shape], span: Span) {
        for name in &aggregate.grouping.labels {
            let lacking = shapes
                .iter()
                .filter_map(|shape| Some((shape, shape.never(name)?)));
            let lacking: Vec<(&Shape, Why)> = lacking.collect();
            let Some((shape, why)) = lacking.first() else {
                continue;
            };
            let place = find::word(self.text, span, &[aggregate.expr.span], name);
            let check = if why.seen { SERIES } else { IMPOSSIBLE };
            if lacking.len() == shapes.len() {
                let message = format!("there is no label {name} to group by: {}", why.text);
                let advice = "take it out here, or keep it inside";
                self.fault_of(check, place, Severity::Warning, message, advice);
            } else if !why.seen {
                let part = shorten(shape.span.of(self.text));
                let message = format!(
                    "`{part}` has no label {name} to group by, and makes a group of its own: {}",
                    why.text
                );
                let advice = "add it behind the aggregation, if it is to stand for groups that are missing";
                self.fault_of(check, place, Severity::Info, message, advice);
            }
        }
    }

    fn binary(&mut self, binary: &Binary, span: Span) -> Vec<Shape> {
        let left = self.shapes(&binary.left);
        let right = self.shapes(&binary.right);
        let sides = [&binary.left, &binary.right].map(|side| side.returns() == Type::Vector);
        match sides {
            [true, true] => self.vectors(binary, left, right, span),
            [false, true] => {
                let number = left.first().map_or(Range::ANY, |shape| shape.range);
                self.with_number(binary, right, number, true)
            }
            _ => {
                let number = right.first().map_or(Range::ANY, |shape| shape.range);
                self.with_number(binary, left, number, false)
            }
        }
    }

    /// A vector or a number, and a number.
    fn with_number(&mut self, binary: &Binary, shapes: Vec<Shape>, number: Range, first: bool) -> Vec<Shape> {
        if binary.op.is_comparison() {
            let op = if first { swapped(binary.op) } else { binary.op };
            let pairs = shapes.into_iter().map(|shape| (shape, number)).collect();
            return self.compared(binary, op, pairs);
        }
        let computed = |mut shape: Shape| {
            let (one, two) = if first {
                (number, shape.range)
            } else {
                (shape.range, number)
            };
            shape.range = one.computed(binary.op, two);
            shape
        };
        shapes.into_iter().map(computed).collect()
    }

    /// What a comparison leaves of each shape, and whether it says anything at all.
    fn compared(&mut self, binary: &Binary, op: Op, pairs: Vec<(Shape, Range)>) -> Vec<Shape> {
        let left: Vec<Option<Range>> = pairs
            .iter()
            .map(|(shape, other)| shape.range.narrowed(op, *other))
            .collect();
        let never = left.iter().all(Option::is_none);
        let always = pairs.iter().all(|(shape, other)| shape.range.always(op, *other));
        if let Some((shape, other)) = pairs.first().filter(|_| never || always) {
            self.empty_comparison(binary, op, (shape.range, *other), never);
        }
        let mut shapes = Vec::with_capacity(pairs.len());
        for ((mut shape, other), left) in pairs.into_iter().zip(left) {
            if binary.as_bool {
                shape.is_bool = !shape.condition;
                shape.range = match (left, shape.range.always(op, other)) {
                    (None, _) => Range::constant(0.0),
                    (_, true) => Range::constant(1.0),
                    _ => Range::of(0.0, 1.0),
                };
            } else if left.is_some() || never {
                shape.range = left.unwrap_or(shape.range);
                shape.condition = true;
                shape.always &= always;
            } else {
                // This way ends here, and others go on.
                continue;
            }
            shapes.push(shape);
        }
        shapes
    }

    fn empty_comparison(&mut self, binary: &Binary, op: Op, (one, other): (Range, Range), never: bool) {
        let place = self.operator(binary);
        let is = one.words();
        if !never {
            let message = format!("this leaves nothing out: what is compared is {is}");
            let advice = "leave it out, or compare with what says something";
            return self.fault(place, Severity::Info, message, advice);
        }
        let what = match other.number() {
            Some(number) => format!("{} {number}", op.text()),
            None => format!("{} what is {}", op.text(), other.words()),
        };
        let message = format!("this is never true: what is compared is {is}, and that is never {what}");
        let is_count = |side: &Expr| matches!(&side.bare().kind, Kind::Aggregate(inner) if inner.op == Aggregation::Count);
        let advice = if is_count(&binary.left) || is_count(&binary.right) {
            "where there is nothing to count there is no result: ask with absent(…), or add `or vector(0)`"
        } else {
            "compare with what can be"
        };
        self.fault(place, Severity::Bug, message, advice);
    }

    fn vectors(&mut self, binary: &Binary, left: Vec<Shape>, right: Vec<Shape>, span: Span) -> Vec<Shape> {
        let matching = binary.matching.clone().unwrap_or_default();
        let (Some(all_left), Some(all_right)) =
            (merged(&left, binary.left.span), merged(&right, binary.right.span))
        else {
            return left;
        };
        let is_filled = matching.fill.many.is_some() || matching.fill.one.is_some();
        if binary.op != Op::Or && !is_filled {
            self.joined(binary, &left, &right, &matching);
        }
        match binary.op {
            Op::Or => {
                self.useless_or(&all_left, &right, &matching, binary);
                left.into_iter().chain(right).collect()
            }
            Op::And => {
                let narrow = |mut shape: Shape| {
                    shape.condition |= all_right.condition;
                    shape.always &= all_right.always;
                    shape.picked = shape.picked.or(all_right.picked);
                    shape
                };
                left.into_iter().map(narrow).collect()
            }
            Op::Unless => {
                if all_right.always && matching.on && matching.labels.is_empty() {
                    let message = "this never gives anything: there is always something behind the `unless`";
                    let advice = "name the labels to compare, or a condition";
                    self.fault(binary.right.span, Severity::Bug, message.to_owned(), advice);
                }
                let narrow = |mut shape: Shape| {
                    shape.condition = true;
                    shape.always = false;
                    shape
                };
                left.into_iter().map(narrow).collect()
            }
            _ => {
                // The side of many gives the labels; the numbers stay where they are.
                let (many, one) = match matching.group {
                    Group::Right => (right, all_left),
                    _ => (left, all_right),
                };
                self.included(binary, &one, span);
                let is_grouped = matching.group != Group::None;
                let words = words(&matching);
                let mut pairs = Vec::with_capacity(many.len());
                for mut shape in many {
                    shape.matched(&one, &matching, is_grouped, &words);
                    shape.always &= one.always && !is_filled;
                    shape.aggregated &= one.aggregated;
                    shape.condition |= one.condition;
                    let (first, second) = match matching.group {
                        Group::Right => (one.range, shape.range),
                        _ => (shape.range, one.range),
                    };
                    // What is filled in is no number of either side.
                    let (first, second) = if is_filled {
                        (Range::ANY, Range::ANY)
                    } else {
                        (first, second)
                    };
                    shape.range = first;
                    pairs.push((shape, second));
                }
                if binary.op.is_comparison() {
                    return self.compared(binary, binary.op, pairs);
                }
                let computed = |(mut shape, second): (Shape, Range)| {
                    shape.range = shape.range.computed(binary.op, second);
                    shape
                };
                pairs.into_iter().map(computed).collect()
            }
        }
    }

    /// Sides of which no series ever finds its like.
    fn joined(&mut self, binary: &Binary, left: &[Shape], right: &[Shape], matching: &promql::Matching) {
        let mut first: Option<Clash> = None;
        for one in left {
            for two in right {
                match clash(one, two, matching) {
                    Some(clash) => drop(first.get_or_insert(clash)),
                    None => return self.joined_by_nothing(binary, left, right, matching),
                }
            }
        }
        let Some(clash) = first else {
            return;
        };
        let place = self.matching_label(binary, &clash.label);
        let check = if clash.seen { VECTOR_MATCHING } else { IMPOSSIBLE };
        let (severity, what) = match binary.op {
            Op::Unless => (Severity::Warning, "this `unless` never takes anything away"),
            _ => (Severity::Bug, "the two sides never match"),
        };
        let message = format!("{what}: {}", clash.text);
        let advice = match matching.on {
            true => "match on labels that both sides have",
            false => "name the labels that both sides have, with on (…)",
        };
        self.fault_of(check, place, severity, message, advice);
    }

    fn joined_by_nothing(
        &mut self,
        binary: &Binary,
        left: &[Shape],
        right: &[Shape],
        matching: &promql::Matching,
    ) {
        for name in matching.labels.iter().filter(|_| matching.on) {
            let why = left.iter().chain(right).map(|shape| shape.never(name));
            let Some(Some(why)) = why
                .collect::<Option<Vec<Why>>>()
                .map(|all| all.into_iter().next())
            else {
                continue;
            };
            let place = self.matching_label(binary, name);
            let check = if why.seen { VECTOR_MATCHING } else { IMPOSSIBLE };
            let message = format!("neither side has the label {name}: {}", why.text);
            self.fault_of(check, place, Severity::Warning, message, "take it out of on (…)");
        }
    }

    /// Labels to be taken over from a side that does not have them.
    fn included(&mut self, binary: &Binary, one: &Shape, span: Span) {
        let matching = binary.matching.iter();
        for name in matching.flat_map(|matching| &matching.include) {
            let Some(why) = one.never(name) else {
                continue;
            };
            let place = find::word(self.text, span, &[binary.left.span, binary.right.span], name);
            let check = if why.seen { VECTOR_MATCHING } else { IMPOSSIBLE };
            let message = format!("there is no label {name} to take over: {}", why.text);
            self.fault_of(
                check,
                place,
                Severity::Bug,
                message,
                "keep it on that side, or take it out here",
            );
        }
    }

    fn useless_or(&mut self, left: &Shape, right: &[Shape], matching: &promql::Matching, binary: &Binary) {
        let alike = matching.on && matching.labels.is_empty();
        let same = !matching.on && left.is_single() && right.iter().all(Shape::is_single) && {
            let names = left.names().chain(right.iter().flat_map(Shape::names));
            names.into_iter().all(|name| left.never(name).is_some())
        };
        if left.always && !left.condition && (alike || same) {
            let message = "what stands behind this `or` is never used: the left side always gives something";
            let advice = "swap the sides, or take it out";
            self.fault(binary.right.span, Severity::Warning, message.to_owned(), advice);
        }
    }

    fn operator(&self, binary: &Binary) -> Span {
        find::word(
            self.text,
            binary.left.span.to(binary.right.span),
            &[binary.left.span, binary.right.span],
            binary.op.text(),
        )
    }

    /// Where a label that is matched is written; the operator where it is not.
    fn matching_label(&self, binary: &Binary, name: &str) -> Span {
        let all = binary.left.span.to(binary.right.span);
        let outside = [binary.left.span, binary.right.span];
        let found = find::word(self.text, all, &outside, name);
        if found == all {
            self.operator(binary)
        } else {
            found
        }
    }
}

/// The keyword and labels that were written, for a sentence.
fn words(matching: &promql::Matching) -> String {
    let word = if matching.on { "on" } else { "ignoring" };
    format!("{word} ({})", matching.labels.join(", "))
}

/// The comparison that says the same with its sides swapped.
fn swapped(op: Op) -> Op {
    match op {
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        same => same,
    }
}

/// A part of an expression, for a sentence.
pub(super) fn shorten(text: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(CHARACTERS_MAX) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

fn aggregated(op: Aggregation, inner: Range, param: Option<Range>) -> Range {
    match op {
        Aggregation::Count => Range::at_least(1.0),
        Aggregation::Group => Range::constant(1.0),
        Aggregation::Stddev | Aggregation::Stdvar => Range::at_least(0.0).or_nan(),
        Aggregation::Sum if inner.min >= 0.0 => Range::at_least(inner.min).as_sure_as(inner),
        Aggregation::Min | Aggregation::Max | Aggregation::Avg => inner,
        // Beyond 0 and 1 a quantile is infinite.
        Aggregation::Quantile if param.is_some_and(|param| param.min >= 0.0 && param.max <= 1.0) => inner,
        _ => Range::ANY,
    }
}

/// Whether a series with such a label may match.
fn allows(matcher: &Matcher, label: &Label) -> bool {
    let value = match label {
        Label::Is(value) => value,
        Label::Never(_) => "",
        _ => return true,
    };
    Filter::new(matcher).map_or(true, |filter| filter.accepts_value(value))
}

/// What a matcher says of the label.
fn narrow(shape: &mut Shape, matcher: &Matcher) {
    if matcher.op == MatchOp::Equal {
        let label = match &*matcher.value {
            "" => Label::Never(Why::written(format!(
                "`{matcher}` lets through only series without it"
            ))),
            value => Label::Is(value.into()),
        };
        return shape.set(&matcher.name, label);
    }
    let needed = Filter::new(matcher).is_ok_and(|filter| !filter.accepts_value(""));
    if needed && matches!(shape.label(&matcher.name), Label::Maybe | Label::Always) {
        let label = match matcher.op {
            MatchOp::Matches => Label::Like(Arc::new(matcher.clone())),
            _ => Label::Always,
        };
        shape.set(&matcher.name, label);
    }
}

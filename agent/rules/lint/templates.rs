//! `alerts/template`: what the templates of an alert take, beside what its expression gives.

use std::collections::BTreeSet;

use model::text;
use promql::{Expr, Kind};
use template::{Template, What};
use yaml::Spanned;

use super::report::Severity;
use super::shape::Why;
use super::{Desk, Look, TEMPLATE, word};

/// Functions whose results are small numbers with many digits.
const RATES: [&str; 3] = ["rate", "irate", "deriv"];

pub(super) fn check(desk: &mut Desk<'_>, look: &Look<'_>) {
    let written = &look.rule.written;
    let of_group = &look.group.written.labels;
    for (name, value) in of_group.0.iter().chain(&written.labels.0) {
        template(desk, look, name, value, true);
    }
    for (name, value) in &written.annotations.0 {
        template(desk, look, name, value, false);
    }
}

fn template(
    desk: &mut Desk<'_>,
    look: &Look<'_>,
    name: &Spanned<String>,
    value: &Spanned<String>,
    is_label: bool,
) {
    let Ok(template) = Template::parse(&name.value, &value.value) else {
        return;
    };
    let mut told = BTreeSet::new();
    for one in template.uses() {
        let place = look.source.inside(value, (one.line, one.column));
        let said = match &one.what {
            What::Value if is_label => word(
                TEMPLATE,
                Severity::Bug,
                format!(
                    "the value in the label {} makes a new alert of every change",
                    name.value
                ),
                "put it into an annotation",
            ),
            What::Value => continue,
            What::Label(label) => match (told.insert(label.clone()), missing(look, label)) {
                (true, Some(said)) => said,
                _ => continue,
            },
            What::Query(expr) => match promql::parse(expr) {
                Ok(_) => continue,
                Err(mistake) => word(
                    TEMPLATE,
                    Severity::Bug,
                    format!(
                        "the question of this template cannot be read: {}",
                        mistake.message
                    ),
                    mistake
                        .suggestion
                        .unwrap_or_else(|| "mend the expression".to_owned()),
                ),
            },
        };
        desk.say(look, place, said);
    }
    if !is_label {
        raw_rate(desk, look, &template, value);
    }
}

/// A label that the result cannot have.
fn missing(look: &Look<'_>, label: &str) -> Option<super::Word> {
    let shapes = &look.derived.shapes;
    let why: Vec<Why> = shapes.iter().filter_map(|shape| shape.never(label)).collect();
    let first = why.first()?;
    let set = look.rule.labels.iter().find(|(name, _)| name == label);
    let all = why.len() == shapes.len();
    let message = match set {
        Some(_) => format!("the label {label} is the rule's own, and templates see those of the result only"),
        None if all => format!("the result has no label {label}: {}", first.text),
        None => format!("a part of the result has no label {label}: {}", first.text),
    };
    let advice = match set {
        Some((_, value)) if !value.contains("{{") => format!("write {} out", text::quote(value)),
        _ => "keep the label in the expression, or take it out of the text".to_owned(),
    };
    let severity = match all && !first.seen {
        true => Severity::Bug,
        false => Severity::Warning,
    };
    Some(word(TEMPLATE, severity, message, advice))
}

/// A rate that is shown as it comes.
fn raw_rate(desk: &mut Desk<'_>, look: &Look<'_>, template: &Template, value: &Spanned<String>) {
    let formatted = ["humanize", "printf"]
        .iter()
        .any(|word| value.value.contains(word));
    if !is_rate(&look.rule.expr) || formatted {
        return;
    }
    let Some(shown) = template.uses().into_iter().find(|one| one.what == What::Value) else {
        return;
    };
    let place = look.source.inside(value, (shown.line, shown.column));
    let message = "a rate is a number of many digits, and is shown as it comes";
    let advice = "write {{ $value | humanize }}, or humanizePercentage, or printf \"%.2f\"";
    desk.say(look, place, word(TEMPLATE, Severity::Info, message, advice));
}

/// Whether it is a rate, or sums and shares of rates.
fn is_rate(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Call { function, .. } => RATES.contains(&function.name),
        Kind::Aggregate(aggregate) => {
            use promql::Aggregation::{Count, CountValues, Group};
            !matches!(aggregate.op, Count | CountValues | Group) && is_rate(&aggregate.expr)
        }
        Kind::Binary(binary) if binary.op.is_set() => is_rate(&binary.left),
        other => {
            let mut rate = false;
            other.each_child(&mut |child| rate |= is_rate(child));
            rate
        }
    }
}

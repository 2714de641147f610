//! `alerts/*`: conditions, `for`, annotations.

use model::text::duration::short;
use promql::{Expr, Kind};

use super::derive::shorten;
use super::report::Severity;
use super::shape::Shape;
use super::{ABSENT, ANNOTATION, COMPARISON, Desk, FOR, Look, word};

pub(super) fn check(desk: &mut Desk<'_>, look: &Look<'_>) {
    comparison(desk, look);
    absent(desk, look);
    hold(desk, look);
    annotations(desk, look);
}

fn comparison(desk: &mut Desk<'_>, look: &Look<'_>) {
    let shapes = &look.derived.shapes;
    let alone = shapes.len() == 1;
    for shape in shapes.iter().filter(|shape| !shape.condition) {
        let shown = shorten(shape.span.of(&look.rule.text));
        let advice = "compare with a threshold: … > 0";
        let said = if shape.is_bool {
            let message = "`bool` says 0 or 1 and leaves nothing out, so this alert always fires";
            word(COMPARISON, Severity::Warning, message, "leave `bool` out")
        } else if shape.always && alone && is_constant(shape) {
            let message = "this alert always fires";
            let advice = "right for a dead man's switch; anything else needs a condition";
            word(COMPARISON, Severity::Info, message, advice)
        } else if shape.always {
            let message = match alone {
                true => "this alert always fires: the expression always gives something".to_owned(),
                false => format!("this alert fires where all else gives nothing: `{shown}` is always there"),
            };
            word(COMPARISON, Severity::Warning, message, advice)
        } else {
            let message = match alone {
                true => "this alert fires as long as there are such series, whatever they say".to_owned(),
                false => format!("this alert fires as long as there is `{shown}`, whatever it says"),
            };
            word(COMPARISON, Severity::Warning, message, advice)
        };
        desk.say(look, look.at(shape.span), said);
    }
}

fn is_constant(shape: &Shape) -> bool {
    shape.range.number().is_some()
}

/// Just after a start nothing is there yet.
fn absent(desk: &mut Desk<'_>, look: &Look<'_>) {
    let mut found: Option<&Expr> = None;
    outer_absent(&look.rule.expr, &mut found);
    let Some(expr) = found else {
        return;
    };
    let least = desk.world.scrape.default * 2;
    let hold = look.hold(desk);
    if hold >= least {
        return;
    }
    let message = match hold.is_zero() {
        true => "nothing is there yet just after a start, and this alert has no `for`".to_owned(),
        false => format!(
            "nothing is there yet just after a start, and `for` is {}",
            short(hold)
        ),
    };
    let advice = format!(
        "let `for` be two scrapes or more: {} ({})",
        short(least),
        desk.world.scrape.source
    );
    desk.say(
        look,
        look.at(expr.span),
        word(ABSENT, Severity::Warning, message, advice),
    );
}

/// An `absent` that itself decides: not one that another part is held against.
fn outer_absent<'e>(expr: &'e Expr, found: &mut Option<&'e Expr>) {
    match &expr.kind {
        Kind::Call { function, .. } if function.name == "absent" => *found = found.or(Some(expr)),
        Kind::Binary(binary) => {
            outer_absent(&binary.left, found);
            if binary.op == promql::Op::Or {
                outer_absent(&binary.right, found);
            }
        }
        Kind::Paren(inner) => outer_absent(inner, found),
        Kind::Aggregate(aggregate) => outer_absent(&aggregate.expr, found),
        _ => {}
    }
}

fn hold(desk: &mut Desk<'_>, look: &Look<'_>) {
    let written = &look.rule.written;
    let interval = look.group.interval(desk.world.evaluation_interval);
    for (key, value) in [
        ("for", &written.hold),
        ("keep_firing_for", &written.keep_firing_for),
    ] {
        let Some(value) = value else {
            continue;
        };
        let place = look.source.at(value);
        let length = value.value.0;
        if length.is_zero() {
            let message = format!("`{key}` is 0s when it is left out");
            desk.say(look, place, word(FOR, Severity::Info, message, "leave it out"));
        } else if length < interval {
            let message = format!(
                "`{key}` is shorter than the {} between two evaluations, which it then lasts",
                short(interval)
            );
            let advice = format!("write {} or more, or leave it out", short(interval));
            desk.say(look, place, word(FOR, Severity::Warning, message, advice));
        }
    }
}

fn annotations(desk: &mut Desk<'_>, look: &Look<'_>) {
    let annotations = &look.rule.written.annotations.0;
    let value = |wanted: &[&str]| {
        let mut found = annotations
            .iter()
            .filter(|(name, _)| wanted.contains(&name.value.as_str()));
        found
            .find(|(_, value)| !value.value.trim().is_empty())
            .map(|(_, value)| value)
    };
    if value(&["summary"]).is_none() {
        let described = value(&["description", "message", "title"]).is_some();
        let severity = if described {
            Severity::Info
        } else {
            Severity::Warning
        };
        let message = "this alert has no summary: whoever is told sees only its name";
        let advice = "add the annotation summary, one line with what is affected";
        desk.say(look, look.name(), word(ANNOTATION, severity, message, advice));
    }
    match value(&["runbook_url", "runbook"]) {
        None => {
            let message = "this alert has no link to a runbook";
            let advice = "add the annotation runbook_url";
            desk.say(
                look,
                look.name(),
                word(ANNOTATION, Severity::Info, message, advice),
            );
        }
        Some(link) => {
            let text = link.value.trim();
            let is_link = ["http://", "https://", "{{", "/"]
                .iter()
                .any(|start| text.starts_with(start));
            if !is_link {
                let message = "the link to the runbook is no URL";
                let advice = "begin it with https://";
                desk.say(
                    look,
                    look.source.at(link),
                    word(ANNOTATION, Severity::Warning, message, advice),
                );
            }
        }
    }
}

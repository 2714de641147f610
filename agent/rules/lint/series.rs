//! `promql/series`: selectors that match nothing that was ever seen.

use std::collections::BTreeSet;

use model::complaint::nearest;
use model::labels::METRIC_NAME;
use model::{MatchOp, Matcher};
use promql::{Expr, Filter, Kind, Op, Selector, Span};

use super::known::{Live, metric};
use super::report::Severity;
use super::{DEPENDENCY, Desk, Look, SERIES, find, word};

/// How a selector stands in its expression.
#[derive(Clone, Copy, Default)]
struct Stand {
    /// It may well match nothing: behind an `unless`, before an `or` that gives something, within `absent`.
    may_miss: bool,
    /// Its value is compared, so that it is meant to be there all the same.
    compared: bool,
}

pub(super) fn check(desk: &mut Desk<'_>, look: &Look<'_>) {
    let mut found = Vec::new();
    collect(&look.rule.expr, Stand::default(), &mut found);
    for (selector, span, stand) in found {
        let matchers = selector.all_matchers();
        if stand.may_miss && !stand.compared {
            continue;
        }
        match metric(&matchers) {
            Some("ALERTS" | "ALERTS_FOR_STATE") => of_alerts(desk, look, &matchers, span),
            Some(name) if desk.metrics.recorded(name).is_some() => {}
            Some(name) => named(desk, look, name, &matchers, span),
            None => nameless(desk, look, &matchers, span),
        }
    }
}

/// Metrics that an expression is meant to find, and of which no series is known; what a selector may well miss is left
/// alone, as are names that are not said in whole.
pub(crate) fn unseen(expr: &Expr, is_known: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let mut found = Vec::new();
    collect(expr, Stand::default(), &mut found);
    let meant = found
        .into_iter()
        .filter(|(_, _, stand)| !stand.may_miss || stand.compared);
    let mut unseen = BTreeSet::new();
    for (selector, _, _) in meant {
        let matchers = selector.all_matchers();
        match metric(&matchers) {
            None | Some("ALERTS" | "ALERTS_FOR_STATE") => {}
            Some(name) if is_known(name) => {}
            Some(name) => _ = unseen.insert(name.to_owned()),
        }
    }
    unseen
}

fn collect<'e>(expr: &'e Expr, stand: Stand, found: &mut Vec<(&'e Selector, Span, Stand)>) {
    match &expr.kind {
        Kind::Selector(selector) | Kind::Range { selector, .. } => found.push((selector, expr.span, stand)),
        Kind::Binary(binary) => {
            let missing = |may_miss: bool| Stand {
                may_miss: stand.may_miss || may_miss,
                compared: stand.compared || binary.op.is_comparison(),
            };
            let falls_back = binary.op == Op::Or && always(&binary.right);
            collect(&binary.left, missing(falls_back), found);
            let unless = binary.op == Op::Unless;
            collect(&binary.right, missing(unless), found);
        }
        Kind::Call { function, args } => {
            let absent = function.name.starts_with("absent");
            let stand = Stand {
                may_miss: stand.may_miss || absent,
                // What is compared is the answer of `absent`.
                compared: stand.compared && !absent,
            };
            // What stands in the braces of `info` are no series to be found alone.
            let most = if function.name == "info" { 1 } else { args.len() };
            args.iter().take(most).for_each(|arg| collect(arg, stand, found));
        }
        other => other.each_child(&mut |child| collect(child, stand, found)),
    }
}

/// `vector(0)`, or what is made of it.
fn always(expr: &Expr) -> bool {
    let mut reads = false;
    let mut gives = false;
    expr.walk(&mut |part| match &part.kind {
        Kind::Selector(_) | Kind::Range { .. } => reads = true,
        Kind::Call { function, .. } => gives |= function.name == "vector",
        _ => {}
    });
    gives && !reads
}

fn of_alerts(desk: &mut Desk<'_>, look: &Look<'_>, matchers: &[Matcher], span: Span) {
    let wanted = matchers
        .iter()
        .find(|matcher| *matcher.name == *"alertname" && matcher.op == MatchOp::Equal);
    let Some(wanted) = wanted else {
        return;
    };
    let alerts = desk.sources.rules().filter(|rule| rule.is_alert);
    let names: BTreeSet<&str> = alerts.map(|rule| rule.name.as_str()).collect();
    if names.contains(&*wanted.value) {
        return;
    }
    let place = find::word(&look.rule.text, span, &[], &wanted.name);
    let message = format!("no alert of these files is named {:?}", &*wanted.value);
    let advice = match nearest(&wanted.value, names) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "name the file with that alert too, or mend the name".to_owned(),
    };
    desk.say(
        look,
        look.at(place),
        word(DEPENDENCY, Severity::Warning, message, advice),
    );
}

fn named(desk: &mut Desk<'_>, look: &Look<'_>, name: &str, matchers: &[Matcher], span: Span) {
    let world = desk.world;
    let Ok(live) = &world.live else {
        // By custom only recorded metrics have colons in their names.
        if name.contains(':') {
            let recorded = desk.sources.rules().filter(|rule| !rule.is_alert);
            let names: BTreeSet<&str> = recorded.map(|rule| rule.name.as_str()).collect();
            let message = format!("no rule of these files records {name}");
            let advice = match nearest(name, names) {
                Some(near) => format!("did you mean {near}?"),
                None => "name the file that records it too, or mend the name".to_owned(),
            };
            let said = word(DEPENDENCY, Severity::Warning, message, advice);
            desk.say(look, look.at(span), said);
        }
        return;
    };
    if !live.names.contains(name) {
        let message = format!("no series of {name} was seen within a week at {}", live.source);
        let recorded = desk.sources.rules().filter(|rule| !rule.is_alert);
        let names = live.names.iter().map(String::as_str);
        let known = names.chain(recorded.map(|rule| rule.name.as_str()));
        let advice = match nearest(name, known) {
            Some(near) => format!("did you mean {near}?"),
            None => "see whether its target is scraped, or mend the name".to_owned(),
        };
        desk.say(look, look.at(span), word(SERIES, Severity::Bug, message, advice));
        return;
    }
    let Some((matching, complete)) = live.matching(name, matchers) else {
        return;
    };
    if !matching.is_empty() || !complete {
        return;
    }
    if live
        .series
        .get(name)
        .is_none_or(|sighting| sighting.labels.is_empty())
    {
        let message = format!("{name} was seen within a week, but not within the last hour");
        let advice = "see whether its target is still scraped";
        desk.say(look, look.at(span), word(SERIES, Severity::Info, message, advice));
        return;
    }
    unmatched(desk, look, live, name, matchers, span);
}

/// Each matcher that alone keeps all series out; where none does, all of them together.
fn unmatched(
    desk: &mut Desk<'_>,
    look: &Look<'_>,
    live: &Live,
    name: &str,
    matchers: &[Matcher],
    span: Span,
) {
    let mut said = false;
    let Some((all, _)) = live.matching(name, &[]) else {
        return;
    };
    for matcher in matchers.iter().filter(|matcher| *matcher.name != *METRIC_NAME) {
        let Ok(filter) = Filter::new(matcher) else {
            continue;
        };
        if all.iter().any(|labels| filter.accepts(labels)) {
            continue;
        }
        said = true;
        let place = find::word(&look.rule.text, span, &[], &matcher.name);
        let values: BTreeSet<&str> = all
            .iter()
            .filter_map(|labels| labels.get(&matcher.name))
            .collect();
        let (severity, message, advice) = if values.is_empty() {
            let names: BTreeSet<&str> = all
                .iter()
                .flat_map(|labels| labels.iter())
                .map(|(name, _)| name)
                .filter(|name| *name != METRIC_NAME)
                .collect();
            let message = format!("no series of {name} has the label {}", matcher.name);
            let advice = match nearest(&matcher.name, names.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("its labels are {}", listed(&names)),
            };
            (Severity::Bug, message, advice)
        } else {
            let message = format!("no series of {name} matches {matcher} at {}", live.source);
            let advice = match nearest(&matcher.value, values.iter().copied()) {
                Some(near) if *near != *matcher.value => format!("did you mean {near:?}?"),
                _ => format!("its values are {}", listed(&values)),
            };
            (Severity::Warning, message, advice)
        };
        desk.say(look, look.at(place), word(SERIES, severity, message, advice));
    }
    if !said {
        let message = format!("no series of {name} matches all of this at {}", live.source);
        let advice = "each matcher alone matches some; see which two exclude each other";
        desk.say(
            look,
            look.at(span),
            word(SERIES, Severity::Warning, message, advice),
        );
    }
}

fn listed(all: &BTreeSet<&str>) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<&str> = all.iter().copied().take(SHOWN).collect();
    if all.len() > SHOWN {
        shown.push("…");
    }
    shown.join(", ")
}

/// A name that is matched by a regular expression.
fn nameless(desk: &mut Desk<'_>, look: &Look<'_>, matchers: &[Matcher], span: Span) {
    let Ok(live) = &desk.world.live else {
        return;
    };
    let filters: Vec<Filter> = matchers
        .iter()
        .filter(|matcher| *matcher.name == *METRIC_NAME)
        .filter_map(|matcher| Filter::new(matcher).ok())
        .collect();
    let recorded = desk.sources.rules().filter(|rule| !rule.is_alert);
    let names = live.names.iter().map(String::as_str);
    let mut known = names.chain(recorded.map(|rule| rule.name.as_str()));
    if known.any(|name| filters.iter().all(|filter| filter.accepts_value(name))) {
        return;
    }
    let message = format!(
        "no metric with such a name was seen within a week at {}",
        live.source
    );
    let advice = "mend the regular expression";
    desk.say(look, look.at(span), word(SERIES, Severity::Bug, message, advice));
}

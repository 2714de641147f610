//! `rule/*`: rules beside other rules, of all files.

use std::collections::BTreeMap;

use promql::{Kind, Selector};

use super::derive::derive;
use super::functions::selector;
use super::known::{Recording, metric};
use super::matchers::apart;
use super::read::{Group, Rule, Source};
use super::report::Severity;
use super::shape::{Label, Shape};
use super::{DEPENDENCY, DUPLICATE, Desk, Look, NAME, find, word};

/// Rules of one name that are held against each other, one with each.
const ALIKE_MAX: usize = 200;

type Standing<'a> = (&'a Source, &'a Group, &'a Rule);
/// Alert or not, name, labels.
type Key<'a> = (bool, &'a str, &'a [(String, String)]);

pub(super) fn check(desk: &mut Desk<'_>) {
    let sources = desk.sources;
    let mut alike: BTreeMap<Key<'_>, Vec<Standing<'_>>> = BTreeMap::new();
    for source in &sources.files {
        for group in &source.groups {
            for rule in &group.rules {
                let key = (rule.is_alert, rule.name.as_str(), rule.labels.as_slice());
                alike.entry(key).or_default().push((source, group, rule));
            }
        }
    }
    for rules in alike.values() {
        let rules = rules.get(..ALIKE_MAX).unwrap_or(rules);
        for (nth, later) in rules.iter().enumerate().skip(1) {
            let earlier = rules.get(..nth).unwrap_or_default();
            // Of many the first is named; it is the one to look at.
            if let Some(first) = earlier.iter().find(|first| first.2.expr == later.2.expr) {
                twice(desk, *first, *later);
            } else if let Some(first) = earlier.iter().find(|first| may_meet(desk, first.2, later.2)) {
                meeting(desk, *first, *later);
            }
        }
    }
    names(desk);
}

fn place((source, _, rule): Standing<'_>) -> String {
    let line = rule.named().map_or(rule.line, |name| source.at(name).line);
    format!("{}:{line}", source.name)
}

fn say(desk: &mut Desk<'_>, standing: Standing<'_>, said: super::Word) {
    let (source, group, rule) = standing;
    let Some(name) = rule.named() else {
        return;
    };
    desk.say_of(
        source,
        (group.line, rule.line),
        rule.name.clone(),
        source.at(name),
        said,
    );
}

fn twice(desk: &mut Desk<'_>, first: Standing<'_>, later: Standing<'_>) {
    let what = if later.2.is_alert {
        "alert"
    } else {
        "recording rule"
    };
    let message = format!(
        "this {what} stands at {} already, with the same expression and labels",
        place(first)
    );
    say(
        desk,
        later,
        word(DUPLICATE, Severity::Bug, message, "keep one of them"),
    );
}

fn meeting(desk: &mut Desk<'_>, first: Standing<'_>, later: Standing<'_>) {
    let (check, message, advice) = if later.2.is_alert {
        let message = format!(
            "this and the alert at {} may fire for the same series, and nothing tells the two apart",
            place(first)
        );
        (
            DUPLICATE,
            message,
            "give them different names, or a label that differs",
        )
    } else {
        let message = format!(
            "this and the rule at {} may record the same series with different values",
            place(first)
        );
        (
            NAME,
            message,
            "give them different names, or a label that differs",
        )
    };
    say(desk, later, word(check, Severity::Warning, message, advice));
}

/// Whether two rules of one name and the same labels may give the same series.
fn may_meet(desk: &Desk<'_>, one: &Rule, two: &Rule) -> bool {
    if one.is_alert {
        // Different questions are different alerts; only the same question may be asked twice by chance.
        return matches!((only_selector(one), only_selector(two)), (Some(one), Some(two)) if overlap(one, two));
    }
    let shapes = |rule: &Rule| derive(&rule.text, &rule.expr, desk.metrics).shapes;
    let (one, two) = (shapes(one), shapes(two));
    one.iter().any(|one| two.iter().any(|two| !distinct(one, two)))
}

/// A label that the two never have alike.
fn distinct(one: &Shape, two: &Shape) -> bool {
    let mut names = one.names().chain(two.names());
    names.any(|name| match (one.label(name), two.label(name)) {
        (Label::Never(_), other) | (other, Label::Never(_)) => other.is_there(),
        (one, two) => one.is_apart(&two, name),
    })
}

fn only_selector(rule: &Rule) -> Option<&Selector> {
    let mut found = Vec::new();
    rule.expr.walk(&mut |part| {
        if matches!(part.kind, Kind::Selector(_) | Kind::Range { .. }) {
            found.extend(selector(part));
        }
    });
    match found.as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

fn overlap(one: &Selector, two: &Selector) -> bool {
    let (one, two) = (one.all_matchers(), two.all_matchers());
    let same = metric(&one).is_some() && metric(&one) == metric(&two);
    same && !one.iter().any(|left| {
        two.iter()
            .any(|right| left.name == right.name && apart(left, right))
    })
}

/// What is recorded should be known for it, and should not take the name of something else.
fn names(desk: &mut Desk<'_>) {
    let (sources, world) = (desk.sources, desk.world);
    for source in &sources.files {
        for group in &source.groups {
            for rule in group.rules.iter().filter(|rule| !rule.is_alert) {
                let live = world.live.as_ref().ok();
                let scraped = live.filter(|live| live.types.contains_key(&rule.name));
                let said = match scraped {
                    Some(live) => {
                        let message = format!("targets of {} give a metric {} too", live.source, rule.name);
                        let advice = "record it under another name, with colons";
                        word(NAME, Severity::Warning, message, advice)
                    }
                    None if !rule.name.contains(':') => {
                        let message = "the name does not show that this is recorded";
                        let advice = "name it level:metric:operation, as is the custom";
                        word(NAME, Severity::Info, message, advice)
                    }
                    None => continue,
                };
                say(desk, (source, group, rule), said);
            }
        }
    }
}

/// A rule that reads what is recorded elsewhere, or further down.
pub(super) fn dependencies(desk: &mut Desk<'_>, look: &Look<'_>) {
    let metrics = desk.metrics;
    for name in &look.rule.metrics {
        let recording = metrics.recording(name);
        let own = |one: &Recording<'_>| std::ptr::eq(one.group, look.group);
        let Some(first) = recording.first() else {
            continue;
        };
        let said = if !recording.iter().any(own) {
            // Alerts mostly stand in a group of their own, and a little later does no harm.
            if look.rule.is_alert {
                continue;
            }
            let message = format!(
                "{name} is recorded in group {}, and groups do not wait for each other: this may be one evaluation late",
                first.group.name
            );
            word(
                DEPENDENCY,
                Severity::Info,
                message,
                "put both into one group, in this order",
            )
        } else if recording.iter().all(|one| !own(one) || one.nth > look.nth) {
            let message = format!(
                "{name} is recorded further down, so that this reads what the evaluation before gave"
            );
            let severity = if look.rule.is_alert {
                Severity::Info
            } else {
                Severity::Warning
            };
            word(
                DEPENDENCY,
                severity,
                message,
                "move it below the rule that records it",
            )
        } else {
            continue;
        };
        let place = find::word(&look.rule.text, look.rule.expr.span, &[], name);
        desk.say(look, look.at(place), said);
    }
}

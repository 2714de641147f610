//! `/rules/{file}/{rule}`: one rule: how near it is, over time, and operator by operator.

use maud::{Markup, html};
use model::AlertState;
use model::text::duration;
use model::view::{Rule, RuleGroup, Told};

use super::backtest::{self, Asked};
use super::condition::Condition;
use super::explained::{self, Explained};
use super::frame::{Place, Sheet, empty, section};
use super::graph::{self, Graph, Line};
use super::visit::Visit;
use super::watching::Watching;
use super::{alert, condition, link, shape, status, told, why, words};

pub(super) fn view(
    visit: &Visit,
    explained: &Explained,
    tried: Option<&Asked>,
    file: &str,
    name: &str,
) -> Sheet {
    // A name may be given to several rules of a file, for example one for each severity.
    let found: Vec<Watching<'_>> = visit
        .all_rules()
        .filter(|(group, rule)| {
            rule.name == name && (group.file == file || link::file_name(&group.file) == file)
        })
        .map(|(group, rule)| Watching { group, rule })
        .collect();
    let Some(first) = found.first() else {
        let sentence = status::fit(format!("No rule {name} is loaded from {file}"));
        return Sheet::missing(
            Place::Rules,
            &sentence,
            &html! { p { a href="/rules" { "All rules" } } },
        );
    };
    let range = visit.range(visit.window().max(std::time::Duration::from_secs(900)));
    let any = |state| {
        found
            .iter()
            .any(|one| one.rule.alerts.iter().any(|alert| alert.state == state))
    };
    let works = found.iter().all(|one| one.rule.health != "err");
    let health = alert::of_rule(any(AlertState::Firing), any(AlertState::Pending), works);
    let main = html! {
        nav.crumbs aria-label="Path" { a href="/rules" data-keys="u" { "Rules" } " / " (link::file_name(&first.group.file)) }
        (status::line(health, &sentence(first), &more(first), &checked(visit, first.group, first.rule)))
        @if let Some(complaint) = &range.complaint { p.complaint role="alert" { (complaint) } }
        @for (nth, one) in found.iter().enumerate() {
            @if found.len() > 1 { h2.part { (one.rule.labels.get("severity").unwrap_or(one.group.name.as_str())) } }
            div.columns {
                div {
                    (alerts(visit, nth, one.rule))
                    (value(visit, nth, &range, one.rule))
                    (why_of(visit, explained, nth, one))
                    (told_of(visit, explained, nth, one))
                    (backtest::section_of(visit, tried, nth, one))
                    (expression(nth, one.rule, &range))
                }
                // Rules of one name share their runbook.
                div { @if one.rule.alerting && nth == 0 { (alert::runbook(visit, &one.rule.name, "")) } }
            }
        }
    };
    Sheet {
        title: name.to_owned(),
        keys: vec![
            ("u", "up to rules"),
            ("t", "copy as a test"),
            ("g a", "alerts"),
            ("g x", "explore"),
        ],
        range: Some(range),
        still: tried.is_some(),
        ..Sheet::new(Place::Rules, main)
    }
}

fn sentence(one: &Watching<'_>) -> String {
    let rule = one.rule;
    let count = |state| rule.alerts.iter().filter(|alert| alert.state == state).count();
    status::fit(
        match (
            count(AlertState::Firing),
            count(AlertState::Pending),
            &rule.headroom,
        ) {
            _ if !rule.last_error.is_empty() => format!("{} cannot be evaluated", rule.name),
            _ if !rule.alerting => format!(
                "{} is recorded every {}",
                rule.name,
                duration::spoken(one.group.interval)
            ),
            (0, 0, Some(headroom)) => {
                let (value, limit) = condition::figures(rule, headroom);
                let place =
                    words::place(&headroom.labels).map_or_else(String::new, |place| format!(" for {place}"));
                format!(
                    "{} is not true: {value}{place}, it fires {}",
                    rule.name,
                    words::condition(headroom.op, &limit)
                )
            }
            (0, 0, None) => format!("{} is not true", rule.name),
            (0, pending, _) => format!("{} is pending in {}", rule.name, words::count(pending, "place")),
            (firing, ..) => format!("{} is firing in {}", rule.name, words::count(firing, "place")),
        },
    )
}

fn more(one: &Watching<'_>) -> Markup {
    let rule = one.rule;
    html! {
        p {
            @if rule.alerting {
                @if let Some((m, n)) = rule.datapoints { "It fires while it was true in " (m) " of the last " (n) " evaluations" }
                @else if rule.hold.is_zero() { "It fires as soon as it is true" } @else { "It fires once it was true for " (duration::spoken(rule.hold)) }
                @if !rule.keep_firing.is_zero() { ", and goes on for " (duration::spoken(rule.keep_firing)) " after it ended" }
                ". "
            }
            "Group " b { (one.group.name) } "."
            @if !rule.last_error.is_empty() { " " span.wrong { (rule.last_error) } }
        }
    }
}

fn checked(visit: &Visit, group: &RuleGroup, rule: &Rule) -> Markup {
    html! {
        @if let Some(last) = rule.last_evaluation { "evaluated " (visit.wall.second(last)) ", " }
        "every " (duration::spoken(group.interval))
    }
}

fn alerts(visit: &Visit, nth: usize, rule: &Rule) -> Markup {
    if rule.alerts.is_empty() {
        return html! {};
    }
    let body = html! {
        ul.panel.list {
            @for alert in &rule.alerts {
                li data-row data-event {
                    (shape::alert(alert.state))
                    div {
                        p { a.strong href=(link::alert(&rule.name, alert)) { (words::place(&alert.labels).unwrap_or(&rule.name)) } }
                        p.small { (alert.annotations.value("summary")) }
                    }
                    span.age { "true since " (visit.wall.second(alert.active_at)) }
                }
            }
        }
    };
    section(&format!("alerts-{nth}"), "Alerts", &html! {}, &html! {}, &body)
}

fn value(visit: &Visit, nth: usize, range: &super::when::Range, rule: &Rule) -> Markup {
    let mut condition = Condition::near(rule);
    if condition.value.is_empty() {
        condition = Condition::of(rule);
    }
    if !rule.alerting {
        condition.value.clone_from(&rule.name);
    }
    if condition.value.is_empty() {
        return html! {};
    }
    let chosen = rule.headroom.as_ref().map(|headroom| headroom.labels.clone());
    let graph = Graph {
        title: chosen
            .as_ref()
            .and_then(words::place)
            .unwrap_or("Value")
            .to_owned(),
        unit: if chosen.is_some() {
            "the series nearest to firing".to_owned()
        } else {
            String::new()
        },
        kind: condition.unit,
        most: condition.unit.most(),
        least: None,
        threshold: condition.threshold(),
        lines: vec![Line {
            label: "value",
            expr: condition.value,
        }],
        chosen,
        readings: None,
    };
    let body = html! { div.panel.one { (graph::figure(visit, range, &graph)) } };
    section(&format!("value-{nth}"), "Value", &html! {}, &html! {}, &body)
}

fn expression(nth: usize, rule: &Rule, range: &super::when::Range) -> Markup {
    alert::expression(
        nth,
        rule,
        &link::explore_between(&rule.expr, range.from, range.to),
    )
}

/// Messages about its alerts, and about those that stood in the last hours.
fn told_of(visit: &Visit, explained: &Explained, nth: usize, one: &Watching<'_>) -> Markup {
    let mut alerts = explained.alerts(one.group, one.rule);
    alerts.extend(one.rule.alerts.iter().map(|alert| alert.fingerprint));
    if alerts.is_empty() {
        return html! {};
    }
    let is_meant = |told: &Told| told.alerts.iter().any(|alert| alerts.contains(alert));
    told::section_with(visit, &format!("told-{nth}"), "Told and answered", is_meant)
}

fn why_of(visit: &Visit, explained: &Explained, nth: usize, one: &Watching<'_>) -> Markup {
    let (group, rule) = (one.group, one.rule);
    let rows = (visit.rooms.why)(&group.file, &group.name, &rule.name, None);
    let footer = html! {
        @if let Some((m, n)) = rule.datapoints { code { "datapoints: {m: " (m) ", n: " (n) "}" } }
        @else if rule.alerting { code { "for: " (duration::short(rule.hold)) } }
        @if rule.alerting { ", " code { "keep_firing_for: " (duration::short(rule.keep_firing)) } }
        @else { "recorded as " code { (rule.name) } }
    };
    let is = |state| rule.alerts.iter().any(|alert| alert.state == state);
    let title = match (is(AlertState::Firing), is(AlertState::Pending)) {
        (true, _) => "Why it fires",
        (_, true) => "Why it is true",
        _ if !rule.alerting => "What it records",
        _ => "Why it is not true",
    };
    let body = html! {
        (explained::sentences(visit, explained, group, rule, false))
        @if rows.is_empty() {
            (empty("The expression was not taken apart: it has not been evaluated yet."))
        } @else {
            (why::tree(&rows, &footer))
        }
        (explained::evaluations(visit, explained, group, rule, nth))
    };
    section(
        &format!("why-{nth}"),
        title,
        &html! { "every operator's value now" },
        &html! {},
        &body,
    )
}

//! What needs a person: a card for each rule that fires, a row for each alert that might.
//!
//! Only facts: what is true, since when, who was told, the last grave lines. No guess is worded as a cause.

use std::time::Duration;

use maud::{Markup, html};
use model::text::duration;
use model::view::{Asked, Health, LogQuery, OwnLines};
use model::{AlertState, Labels, Level};

use super::condition::Condition;
use super::frame::section;
use super::graph::{self, Graph, Line};
use super::lines::Links;
use super::unit::Unit;
use super::visit::{Standing, Visit};
use super::when::{Range, SPANS};
use super::{lines, link, shape, words};

/// Cards with a graph and lines; what fires beyond them is a row each.
const CARDS_MAX: usize = 3;
/// Log lines in one card.
const LINES: usize = 4;
/// Places named in one card.
const PLACES_MAX: usize = 6;

pub(super) fn firing(visit: &Visit) -> Markup {
    let firing = visit.standing(AlertState::Firing);
    let groups = by_rule(&firing);
    if groups.is_empty() {
        return html! {};
    }
    let (cards, rows) = groups.split_at(groups.len().min(CARDS_MAX));
    let body = html! {
        @for (nth, group) in cards.iter().enumerate() { (card(visit, group, nth == 0)) }
        @if !rows.is_empty() {
            ul.panel.list {
                @for group in rows { @for standing in group { (row(visit, standing)) } }
            }
        }
    };
    section("firing", "Needs a person", &html! {}, &html! {}, &body)
}

pub(super) fn pending(visit: &Visit) -> Markup {
    let pending = visit.standing(AlertState::Pending);
    if pending.is_empty() {
        return html! {};
    }
    let body = html! { ul.panel.list { @for standing in &pending { (row(visit, standing)) } } };
    section(
        "pending",
        "Pending",
        &html! {},
        &html! { "true now, not yet for long enough" },
        &body,
    )
}

/// Alerts of one rule are one incident.
fn by_rule<'a>(firing: &[Standing<'a>]) -> Vec<Vec<Standing<'a>>> {
    let mut groups: Vec<Vec<Standing<'a>>> = Vec::new();
    for standing in firing {
        let same = |group: &&mut Vec<Standing<'a>>| {
            group
                .first()
                .is_some_and(|first| std::ptr::eq(first.rule, standing.rule))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(*standing),
            None => groups.push(vec![*standing]),
        }
    }
    groups
}

fn card(visit: &Visit, group: &[Standing<'_>], primary: bool) -> Markup {
    let Some(first) = group.first() else {
        return html! {};
    };
    let (rule, alert) = (first.rule, first.alert);
    let href = link::alert(&rule.name, alert);
    let id = format!("incident-{:016x}", alert.fingerprint);
    let severity = alert.labels.value("severity");
    let all: Vec<&Labels> = group.iter().map(|one| &one.alert.labels).collect();
    let places: Vec<String> = all.iter().map(|one| words::apart(one, &all)).collect();
    html! {
        article.inc aria-labelledby=(id) data-row data-event {
            header {
                (shape::alert(AlertState::Firing))
                h3 id=(id) { a href=(href) { (rule.name) } }
                @if !severity.is_empty() { span.severity { (severity) } }
                span.where { (words::list_short(&places, PLACES_MAX)) }
                span.how-long { "firing for " (duration::spoken(visit.now.since(first.since()))) }
            }
            div.body {
                dl.facts {
                    @for (name, fact) in facts(visit, group) { div { dt { (name) } dd { (fact) } } }
                }
                (value_graph(visit, first))
            }
            (evidence(visit, first))
            div.acts.pad {
                a.button.primary[primary] href=(href) data-keys=[primary.then_some("o")] { "Open" @if primary { kbd { "o" } } }
                a.button href={ (href) "#why" } data-keys=[primary.then_some("w")] { "Why" @if primary { kbd { "w" } } }
                @if visit.rooms.silences.is_some() {
                    a.button href={ (href) "#silence" } data-keys=[primary.then_some("s")] { "Silence" @if primary { kbd { "s" } } }
                }
                a.button href={ (href) "#runbook" } data-keys=[primary.then_some("b")] { "Runbook" @if primary { kbd { "b" } } }
                a.button href=(logs_around(first)) data-keys=[primary.then_some("l")] { "Logs" @if primary { kbd { "l" } } }
            }
        }
    }
}

fn facts(visit: &Visit, group: &[Standing<'_>]) -> Vec<(&'static str, Markup)> {
    let Some(first) = group.first() else {
        return Vec::new();
    };
    let (rule, alert) = (first.rule, first.alert);
    let mut facts = Vec::new();
    // The description has the figures, the summary is for a message's first line.
    let said = [
        alert.annotations.value("description"),
        alert.annotations.value("summary"),
    ];
    if let Some(said) = said.into_iter().find(|said| !said.is_empty()) {
        facts.push(("Happening", html! { (said) }));
    }
    facts.push(("Measured", measured(group)));
    facts.push((
        "Since",
        html! {
            "true since " (visit.wall.second(alert.active_at))
            @if let Some(fired) = alert.fired_at { ", firing since " (visit.wall.second(fired)) }
            @if !rule.hold.is_zero() { span.dim { " (must last " (duration::spoken(rule.hold)) ")" } }
            @if alert.restored { span.dim { ", as it was before the restart" } }
        },
    ));
    facts.push(("Told", told(visit, alert.fingerprint)));
    facts
}

/// The value against the threshold; of several places the value of each.
fn measured(group: &[Standing<'_>]) -> Markup {
    let Some(first) = group.first() else {
        return html! {};
    };
    let condition = Condition::of(first.rule);
    let all: Vec<&Labels> = group.iter().map(|one| &one.alert.labels).collect();
    html! {
        @for (nth, one) in group.iter().take(PLACES_MAX).enumerate() {
            @if nth > 0 { ", " }
            b { (condition.write(one.alert.value)) }
            // Of one place the header speaks.
            @if all.len() > 1 { " " (words::apart(&one.alert.labels, &all)) }
        }
        @if let Some(fires) = condition.fires() { span.dim { " (fires " (fires) ")" } }
    }
}

/// Who heard of it, and whether they did.
pub(super) fn told(visit: &Visit, fingerprint: u64) -> Markup {
    let last = visit
        .telling
        .told
        .iter()
        .find(|told| told.alerts.contains(&fingerprint));
    html! {
        @match last {
            Some(told) => {
                (told.receiver) " " (visit.wall.second(told.time)) ", " (told.message) " "
                span.dim { "(" (told.answer) ")" }
            },
            None if visit.telling.receivers.is_empty() => "nobody: no receiver is configured, it is only here and in the log",
            None => { (words::list(&visit.telling.receivers)) " will be, as soon as the group's wait is over" },
        }
    }
}

/// The compared value around the time it began to be true.
fn value_graph(visit: &Visit, standing: &Standing<'_>) -> Markup {
    let since = visit.now.since(standing.alert.active_at);
    match value(standing) {
        Some(graph) => graph::figure(visit, &Range::last(around(since), visit.now), &graph),
        None => html! {},
    }
}

/// The value a rule compares, as a graph with its threshold.
pub(super) fn value(standing: &Standing<'_>) -> Option<Graph> {
    let (rule, alert) = (standing.rule, standing.alert);
    let condition = Condition::of(rule);
    (!condition.value.is_empty()).then(|| Graph {
        title: words::place(&alert.labels).unwrap_or("Value").to_owned(),
        unit: String::new(),
        most: condition.unit.most(),
        least: None,
        kind: condition.unit,
        threshold: condition.threshold(),
        lines: vec![Line {
            label: "value",
            expr: condition.value,
        }],
        chosen: Some(alert.labels.clone()),
        readings: None,
    })
}

/// A span of the picker that shows some time before the beginning.
pub(super) fn around(since: Duration) -> Duration {
    let wanted = (since + since / 3).max(Duration::from_secs(900));
    let spans = SPANS.iter().map(|(span, ..)| *span);
    spans
        .into_iter()
        .find(|span| *span >= wanted)
        .unwrap_or(Duration::from_secs(7 * 86_400))
}

fn logs_around(standing: &Standing<'_>) -> String {
    let begin = standing.alert.active_at - Duration::from_secs(300);
    link::to(
        "/logs",
        &[
            ("level", "warn"),
            ("from", &super::when::Wall::absolute(begin)),
            ("to", "now"),
        ],
    )
}

/// What the logs said last: of what the alert is about, where a label says whose lines these are; else the warnings.
fn evidence(visit: &Visit, standing: &Standing<'_>) -> Markup {
    let own = own_lines(visit, standing, LINES);
    if own.lines.is_empty() {
        return html! {
            @if !own.nodes.unheard.is_empty() { div.evidence { (lines::unheard(&own.nodes)) } }
            (grave_lines(visit, standing))
        };
    }
    html! { div.evidence { (said(visit, &own)) } }
}

pub(super) fn own_lines(visit: &Visit, standing: &Standing<'_>, most: usize) -> OwnLines {
    (visit.rooms.own_lines)(&standing.alert.labels, visit.now, most).unwrap_or_default()
}

/// An alert's own lines, and where there are more of them.
pub(super) fn said(visit: &Visit, own: &OwnLines) -> Markup {
    // What is around a node's line is on the node.
    let links = if own.nodes == Asked::default() {
        Links::Search("/logs")
    } else {
        Links::None
    };
    let last = own.lines.last();
    let source = last.map_or("", |line| &*line.source);
    let time = [("from", "now-1h"), ("to", "now")];
    let all = match last.and_then(lines::Place::of) {
        Some(lines::Place {
            namespace,
            pod,
            container,
        }) => {
            let whose = [("ns", namespace), ("pod", pod), ("container", container)];
            link::to("/logs", &[&whose[..], &time[..]].concat())
        }
        None => link::to("/logs", &[&[("source", source)][..], &time[..]].concat()),
    };
    html! {
        p.small {
            span { "Last lines of " (source) }
            a href=(all) { "all of it" }
        }
        (lines::list(&visit.wall, own.lines.iter(), "", &links))
        (lines::unheard(&own.nodes))
    }
}

/// The last warnings and worse since shortly before it began.
fn grave_lines(visit: &Visit, standing: &Standing<'_>) -> Markup {
    let query = LogQuery {
        level: Some(Level::Warn),
        from: standing.alert.active_at - Duration::from_secs(300),
        to: visit.now,
        lines_max: LINES,
        ..LogQuery::default()
    };
    let page = (visit.rooms.logs)(&query);
    html! {
        @if !page.lines.is_empty() {
            div.evidence {
                p.small {
                    span { "Last warnings in this machine's log" }
                    a href=(logs_around(standing)) { "all " (model::text::count(page.matched)) }
                }
                (lines::list(&visit.wall, page.lines.iter(), "", &Links::Search("/logs")))
            }
        }
    }
}

pub(super) fn row(visit: &Visit, standing: &Standing<'_>) -> Markup {
    let (rule, alert) = (standing.rule, standing.alert);
    let condition = Condition::of(rule);
    let summary = alert.annotations.value("summary");
    html! {
        li data-row data-event {
            (shape::alert(alert.state))
            div {
                p {
                    a.strong href=(link::alert(&rule.name, alert)) { (rule.name) }
                    @if let Some(place) = words::place(&alert.labels) { " " (place) }
                }
                p.small {
                    @if summary.is_empty() { (condition.write(alert.value)) } @else { (summary) }
                    // A bare number beside a sentence would only be in its way.
                    @if let (Some(fires), true) = (condition.fires(), condition.unit != Unit::Plain) {
                        ": " (condition.write(alert.value)) ", fires " (fires)
                    }
                    " " a href={ (link::alert(&rule.name, alert)) "#why" } { "why" }
                }
            }
            @if alert.state == AlertState::Pending {
                span.due {
                    span { "fires " (words::due(rule, alert, &visit.wall)) }
                    @if rule.datapoints.is_none() { (progress(visit.now.since(alert.active_at), rule.hold)) }
                }
            } @else {
                span.due.hot { "firing for " (duration::spoken(visit.now.since(standing.since()))) }
            }
        }
    }
}

/// How much of `for` is over.
pub(super) fn progress(over: Duration, whole: Duration) -> Markup {
    let share = if whole.is_zero() {
        1.0
    } else {
        (over.as_secs_f64() / whole.as_secs_f64()).clamp(0.0, 1.0)
    };
    html! {
        svg.hr role="img" aria-label={ (duration::spoken(over)) " of " (duration::spoken(whole)) " are over" } width="72" height="12" {
            rect.track x="0" y="2" width="100%" height="8" rx="1" {}
            rect.near x="0" y="2" width={ (format!("{:.1}", share * 100.0)) "%" } height="8" rx="1" {}
        }
    }
}

/// State of a rule's alerts as one.
pub(super) fn worst(state: AlertState) -> Health {
    match state {
        AlertState::Firing => Health::Bad,
        AlertState::Pending => Health::Pending,
        AlertState::Resolved => Health::Good,
    }
}

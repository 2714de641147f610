//! `/alerts/{name}/{group}`: one alert: its state over time, why it is true, who was told, what to do.

use maud::{Markup, html};
use model::AlertState;
use model::text::{self, duration};
use model::view::Health;

use super::condition::Condition;
use super::explained::{self, Explained};
use super::frame::{Place, Sheet, empty, section};
use super::silence::{self, Told};
use super::visit::{Standing, Visit};
use super::when::Range;
use super::{band, graph, incident, lines, link, markdown, rule, status, told, why, words};

/// Log lines shown of what an alert is about.
const LINES: usize = 20;

/// What was asked for before the view is drawn.
pub(super) struct Asked {
    pub(super) told: Told,
    pub(super) explained: Explained,
}

/// The last part of an alert's address.
pub(super) fn fingerprint(group: &str) -> Option<u64> {
    u64::from_str_radix(group, 16).ok()
}

pub(super) fn view(visit: &Visit, asked: &Asked, name: &str, group: &str) -> Sheet {
    let fingerprint = fingerprint(group);
    let standing = visit
        .alert_rules()
        .filter(|(_, rule)| rule.name == name)
        .find_map(|(group, rule)| {
            let alert = rule
                .alerts
                .iter()
                .find(|alert| Some(alert.fingerprint) == fingerprint)?;
            Some(Standing { group, rule, alert })
        });
    match standing {
        Some(standing) => found(visit, asked, &standing),
        None => gone(visit, name),
    }
}

/// The gravest of the alerts with this name; while there is none, the rule that would make one.
pub(super) fn by_name(visit: &Visit, asked: &Asked, name: &str) -> Sheet {
    let states = [AlertState::Firing, AlertState::Pending, AlertState::Resolved];
    let mut standing = states.into_iter().flat_map(|state| visit.standing(state));
    if let Some(standing) = standing.find(|standing| standing.rule.name == name) {
        return found(visit, asked, &standing);
    }
    match visit.alert_rules().find(|(_, rule)| rule.name == name) {
        Some((group, _)) => rule::view(visit, &asked.explained, None, link::file_name(&group.file), name),
        None => gone(visit, name),
    }
}

fn gone(visit: &Visit, name: &str) -> Sheet {
    let rule = visit.alert_rules().find(|(_, rule)| rule.name == name);
    let sentence = status::fit(format!("{name} is not true here now"));
    let more = html! {
        p {
            "It ended, or its labels changed. "
            @match rule {
                Some((group, rule)) => { a href=(link::rule(group, rule)) { "The rule" } " shows how near it is to firing" },
                None => "No rule of this name is loaded",
            }
            "; " a href=(link::explore(&format!("ALERTS{{alertname={}}}", text::quote(name)))) { "its past" } " is in the series ALERTS."
        }
    };
    Sheet::missing(Place::Alerts, &sentence, &more)
}

fn found(visit: &Visit, asked: &Asked, standing: &Standing<'_>) -> Sheet {
    let (rule, alert) = (standing.rule, standing.alert);
    let range = visit.range(incident::around(visit.now.since(alert.active_at)));
    let runbook = runbook(visit, &rule.name, alert.annotations.value("runbook_url"));
    let explore = link::explore_between(&rule.expr, range.from, range.to);
    let main = html! {
        nav.crumbs aria-label="Path" {
            a href="/alerts" data-keys="u" { "Alerts" } " / "
            a href=(link::rule(standing.group, rule)) { (link::file_name(&standing.group.file)) }
        }
        (status::line(incident::worst(alert.state), &sentence(visit, standing), &more(visit, standing), &checked(visit, standing)))
        @if let Some(complaint) = &range.complaint { p.complaint role="alert" { (complaint) } }
        div.acts.under-status {
            @if visit.rooms.silences.is_some() { a.button href="#silence" data-keys="s" { "Silence" kbd { "s" } } }
            a.button href="#runbook" data-keys="b" { "Runbook" kbd { "b" } }
            a.button href="#why" data-keys="w" { "Why" kbd { "w" } }
            a.button href=(logs(&range)) data-keys="l" { "Logs" kbd { "l" } }
            @if visit.rooms.try_rule.is_some() { a.button href={ (link::rule(standing.group, rule)) "#backtest" } { "Back-test" } }
            a.button href=(explore) data-keys="x" { "Explore" kbd { "x" } }
        }
        div.columns {
            div {
                (state(visit, &range, standing))
                (why_it_fires(visit, &asked.explained, standing))
                (own_lines(visit, standing))
                (told::section_of(visit, "Told and answered", |told| told.alerts.contains(&alert.fingerprint)))
                (expression(0, rule, &explore))
            }
            div {
                (silence::of_alert(visit, &asked.told, standing))
                (runbook)
                (labels(standing))
            }
        }
    };
    Sheet {
        title: rule.name.clone(),
        keys: vec![
            ("s", "silence"),
            ("b", "runbook"),
            ("t", "copy as a test"),
            ("l", "logs"),
            ("x", "explore"),
            ("u", "up to alerts"),
        ],
        range: Some(range),
        ..Sheet::new(Place::Alerts, main)
    }
}

fn sentence(visit: &Visit, standing: &Standing<'_>) -> String {
    let (rule, alert, wall) = (standing.rule, standing.alert, &visit.wall);
    let place = words::place(&alert.labels).map_or_else(String::new, |place| format!(" for {place}"));
    status::fit(match alert.state {
        AlertState::Firing => format!(
            "{} is firing{place} since {}",
            rule.name,
            wall.minute(standing.since())
        ),
        AlertState::Pending => {
            format!("{} will fire{place} {}", rule.name, words::due(rule, alert, wall))
        }
        AlertState::Resolved => format!("{} ended{place} at {}", rule.name, wall.minute(standing.since())),
    })
}

fn more(visit: &Visit, standing: &Standing<'_>) -> Markup {
    let (rule, alert) = (standing.rule, standing.alert);
    let summary = alert.annotations.value("summary");
    let description = alert.annotations.value("description");
    let condition = Condition::of(rule);
    html! {
        p {
            @for said in [summary, description] { @if !said.is_empty() { (ended_with_stop(said)) " " } }
            "True since " (visit.wall.second(alert.active_at))
            @if let Some((m, n)) = rule.datapoints { ", and it must be in " (m) " of " (n) " evaluations" }
            @if !rule.hold.is_zero() { ", and it must last " (duration::spoken(rule.hold)) }
            "; the value is " b { (condition.write(alert.value)) }
            @if let Some(fires) = condition.fires() { ", it fires " (fires) }
            "."
            @if alert.restored { " It was so before the restart and has not been seen since." }
            @if let Some(since) = alert.keep_firing_since {
                " The condition ended at " (visit.wall.second(since)) "; it goes on firing for " (duration::spoken(rule.keep_firing)) "."
            }
        }
    }
}

pub(super) fn ended_with_stop(said: &str) -> String {
    let said = said.trim();
    if said.ends_with(['.', '!', '?']) {
        said.to_owned()
    } else {
        format!("{said}.")
    }
}

fn checked(visit: &Visit, standing: &Standing<'_>) -> Markup {
    html! {
        @if let Some(last) = standing.rule.last_evaluation.or(standing.group.last_evaluation) {
            "checked " (visit.wall.second(last)) ", "
        }
        "every " (duration::spoken(standing.group.interval))
    }
}

/// Bands and the value below, on one axis.
fn state(visit: &Visit, range: &Range, standing: &Standing<'_>) -> Markup {
    let legend = html! { span.swatch.pending {} "pending " span.swatch.firing {} "firing" };
    let value = incident::value(standing);
    let body = html! {
        (band::patterns())
        div.panel.lanes {
            (band::draw(visit, range, standing))
            @match &value {
                Some(value) => div.value-lane { (graph::figure(visit, range, value)) },
                None => (band::axis(visit, range)),
            }
        }
    };
    section("state", "State", &html! {}, &legend, &body)
}

/// Only where a label says whose lines these are.
fn own_lines(visit: &Visit, standing: &Standing<'_>) -> Markup {
    let own = incident::own_lines(visit, standing, LINES);
    let body = match (own.lines.is_empty(), own.nodes.unheard.is_empty()) {
        (true, true) => return html! {},
        (true, false) => html! { div.panel { (lines::unheard(&own.nodes)) } },
        (false, _) => html! { div.panel.cut { div.evidence { (incident::said(visit, &own)) } } },
    };
    section("lines", "Lines", &html! {}, &html! {}, &body)
}

fn why_it_fires(visit: &Visit, explained: &Explained, standing: &Standing<'_>) -> Markup {
    let (group, rule, alert) = (standing.group, standing.rule, standing.alert);
    let rows = (visit.rooms.why)(&group.file, &group.name, &rule.name, Some(alert.fingerprint));
    let place = words::place(&alert.labels);
    let remark = html! { "every operator's value" @if let Some(place) = place { " for " (place) } };
    let footer = html! {
        @if let Some((m, n)) = rule.datapoints { code { "datapoints: {m: " (m) ", n: " (n) "}" } }
        @else { code { "for: " (duration::short(rule.hold)) } }
        " true for " (duration::spoken(alert.resolved_at.unwrap_or(visit.now).since(alert.active_at)))
        " since " (visit.wall.second(alert.active_at))
        @if let Some(fired) = alert.fired_at { ", over at " (visit.wall.second(fired)) }
        ". "
        code { "keep_firing_for: " (duration::short(rule.keep_firing)) }
        @if alert.keep_firing_since.is_some() { " running." } @else { " not running." }
    };
    let title = if alert.state == AlertState::Firing {
        "Why it fires"
    } else {
        "Why it is true"
    };
    let body = html! {
        (explained::sentences(visit, explained, group, rule, true))
        @if rows.is_empty() {
            (empty("The expression cannot be taken apart now: its rule is being loaded, or the samples are gone."))
        } @else {
            (why::tree(&rows, &footer))
        }
        (explained::evaluations(visit, explained, group, rule, 0))
    };
    section("why", title, &remark, &html! {}, &body)
}

pub(super) fn expression(nth: usize, rule: &model::view::Rule, explore: &str) -> Markup {
    let id = format!("expression-{nth}");
    let body = html! {
        div.panel.pad {
            pre id=(id) tabindex="0" aria-label="Expression" { code { (rule.expr) } }
            div.acts {
                a.button href=(explore) { "Explore" }
                button.button type="button" data-copy={ "#" (id) } { "Copy" }
            }
        }
    };
    section(&format!("expr-{nth}"), "Expression", &html! {}, &html! {}, &body)
}

/// The shipped text for this rule, or the address its annotation names.
pub(super) fn runbook(visit: &Visit, name: &str, url: &str) -> Markup {
    let anchor = url.rsplit_once('#').map_or("", |(_, anchor)| anchor);
    let lower = name.to_lowercase();
    let keys = [name, anchor, &lower].into_iter().filter(|key| !key.is_empty());
    let text = keys.filter_map(|key| (visit.rooms.runbook)(key)).next();
    let body = match text {
        Some(text) => html! { div.panel.pad.prose { (markdown::render(&text)) } },
        None if markdown::is_safe(url) => html! {
            p.panel.empty { "The runbook of this rule is elsewhere: " a href=(url) rel="noopener noreferrer" { (url) } }
        },
        None => {
            empty("No runbook: the rule has no annotation runbook_url, and none is shipped under its name.")
        }
    };
    section("runbook", "Runbook", &html! {}, &html! {}, &body)
}

fn labels(standing: &Standing<'_>) -> Markup {
    let series = link::explore(&link::series_of(&standing.alert.labels));
    let body = html! {
        dl.labels {
            @for (name, value) in standing.alert.labels.iter() {
                div {
                    dt { (name) }
                    dd { a href=(link::explore(&format!("ALERTS{{{name}={}}}", text::quote(value)))) { (value) } }
                }
            }
        }
    };
    section(
        "labels",
        "Labels",
        &html! {},
        &html! { a href=(series) { "as a series" } },
        &body,
    )
}

fn logs(range: &Range) -> String {
    let absolute = super::when::Wall::absolute;
    link::to(
        "/logs",
        &[
            ("level", "warn"),
            ("from", &absolute(range.from)),
            ("to", &absolute(range.to)),
        ],
    )
}

/// The health a rule's page begins with.
pub(super) fn of_rule(firing: bool, pending: bool, works: bool) -> Health {
    match (firing, pending, works) {
        (true, ..) => Health::Bad,
        (_, true, _) | (.., false) => Health::Pending,
        _ => Health::Good,
    }
}

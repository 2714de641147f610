//! `/alerts`: what fires, what might, what ended, who was told.

use maud::{Markup, html};
use model::AlertState;
use model::text::duration;

use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::{history, incident, link, overview, shape, status, told, words};

pub(super) fn view(visit: &Visit) -> Sheet {
    let (health, sentence) = status::sentence(&status::facts(visit), &visit.wall);
    let quiet =
        visit.standing(AlertState::Firing).is_empty() && visit.standing(AlertState::Pending).is_empty();
    let main = html! {
        (status::line(health, &sentence, &more(visit), &overview::fresh(visit)))
        @if quiet {
            (section("firing", "Needs a person", &html! {}, &html! {}, &empty(&nothing(visit))))
        }
        (incident::firing(visit))
        (incident::pending(visit))
        (ended(visit))
        (told::section_of(visit, "Told and answered", |_| true))
        (history::section_of(visit))
    };
    Sheet {
        keys: vec![
            ("j", "next"),
            ("o", "open"),
            ("g s", "silences"),
            ("g r", "rules"),
        ],
        ..Sheet::new(Place::Alerts, main)
    }
}

fn more(visit: &Visit) -> Markup {
    let rules = visit.alert_rules().count();
    let labels = "alerts of one rule are shown as one";
    html! { p { (words::count(rules, "rule")) " evaluated; " (labels) ". " a href="/rules" { "What watches" } "; " a href="/routes" { "who is told" } "; " a href="/silences" { "what is silenced" } "." } }
}

fn nothing(visit: &Visit) -> String {
    match visit.standing(AlertState::Resolved).last() {
        Some(last) => format!(
            "Nothing fires and nothing is pending. The last alert was {}, which ended {}.",
            last.rule.name,
            visit.wall.ago(last.since())
        ),
        None => format!(
            "Nothing fires and nothing is pending. No alert has fired since {}, when Skopos started.",
            visit.wall.second(visit.own.started)
        ),
    }
}

fn ended(visit: &Visit) -> Markup {
    let mut ended = visit.standing(AlertState::Resolved);
    ended.reverse();
    let body = html! {
        ul.panel.list {
            @for standing in &ended {
                li data-row {
                    (shape::alert(AlertState::Resolved))
                    div {
                        p {
                            a.strong href=(link::alert(&standing.rule.name, standing.alert)) { (standing.rule.name) }
                            @if let Some(place) = words::place(&standing.alert.labels) { " " (place) }
                        }
                        p.small {
                            "true from " (visit.wall.second(standing.alert.active_at))
                            @if let Some(end) = standing.alert.resolved_at {
                                ", for " (duration::spoken(end.since(standing.alert.active_at)))
                            }
                        }
                    }
                    span.age { "ended " (visit.wall.minute(standing.since())) }
                }
            }
        }
    };
    if ended.is_empty() {
        html! {}
    } else {
        section("ended", "Ended", &html! { "kept for 15 min" }, &html! {}, &body)
    }
}

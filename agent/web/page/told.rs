//! *Told and answered*: who was sent what, and what they said.

use maud::{Markup, html};
use model::view::Told;

use super::frame::{empty, section};
use super::visit::Visit;
use super::{shape, words};

/// Messages shown; the newest are what one looks for.
const SHOWN: usize = 30;

pub(super) fn section_of(visit: &Visit, title: &str, which: impl Fn(&Told) -> bool) -> Markup {
    section_with(visit, "told", title, which)
}

/// Where a view has several of them.
pub(super) fn section_with(visit: &Visit, id: &str, title: &str, which: impl Fn(&Told) -> bool) -> Markup {
    let telling = &visit.telling;
    let told: Vec<&Told> = telling
        .told
        .iter()
        .filter(|told| which(told))
        .take(SHOWN)
        .collect();
    let remark = html! {
        (words::count(telling.receivers.len(), "receiver")) "; "
        @if telling.waiting == 0 { "nothing waiting" } @else { (words::count(telling.waiting, "message")) " waiting" }
    };
    let body = if told.is_empty() {
        empty(&nobody(visit))
    } else {
        html! {
            div.panel.cut {
                table.cards {
                    caption.unseen { "Messages, newest first" }
                    thead {
                        tr {
                            th scope="col" aria-sort="descending" { "Time" }
                            th scope="col" { "Receiver" }
                            th scope="col" { "Message" }
                            th scope="col" { "Answer" }
                            th.n scope="col" { "Took" }
                        }
                    }
                    tbody { @for message in &told { (row(visit, message)) } }
                }
                @for (receiver, error) in &telling.failing {
                    p.note { b { (receiver) } " does not take messages now: " (error) }
                }
            }
        }
    };
    section(id, title, &remark, &html! {}, &body)
}

fn row(visit: &Visit, told: &Told) -> Markup {
    html! {
        tr data-event data-row tabindex="-1" {
            td.time { (visit.wall.second(told.time)) }
            td.name { (shape::works(told.health)) span { (told.receiver) } }
            td.wide { (told.message) }
            td.wide.second { (told.answer) }
            td.n data-label="Took" { (took(told)) }
        }
    }
}

fn took(told: &Told) -> String {
    if told.took.is_zero() {
        "–".to_owned()
    } else if told.took.as_secs() >= 1 {
        format!("{:.1} s", told.took.as_secs_f64())
    } else {
        format!("{} ms", told.took.as_millis())
    }
}

fn nobody(visit: &Visit) -> String {
    let telling = &visit.telling;
    match (telling.receivers.is_empty(), telling.failing.first()) {
        (true, _) => "Nobody is told: the configuration names no receiver. Alerts are on this page and in Skopos' own log.".to_owned(),
        (_, Some((receiver, error))) => format!("Nothing was told yet, and {receiver} does not take messages now: {error}."),
        _ => format!(
            "Nothing was told since {}. {} will be told when an alert fires.",
            visit.wall.second(visit.own.started),
            words::list(&telling.receivers)
        ),
    }
}

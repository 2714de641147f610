//! One line among those its source said just before and after it: where a line's own link leads.

use maud::{Markup, html};
use model::view::{Health, LogContext};
use model::{LogRecord, Timestamp};

use super::asked::{AROUND_MAX, Asked};
use crate::page::frame::{Place, Sheet, empty, section};
use crate::page::lines::{self, Links};
use crate::page::visit::Visit;
use crate::page::{status, words};

pub(super) fn view(visit: &Visit, asked: &Asked<'_>, time: Timestamp, identity: u64) -> Sheet {
    let most = asked.around();
    let found = (visit.rooms.around)(time, identity, most);
    let (health, sentence) = match &found {
        Some(found) => (Health::Good, spoken(visit, &found.line)),
        None => (
            Health::Unknown,
            format!("The line of {} is no longer kept here", visit.wall.milli(time)),
        ),
    };
    let back = asked.with(&[("around", "")]);
    let more = html! {
        p {
            a href=(back) data-keys="u" { "Back to the search" }
            @if let Some(place) = found.as_ref().and_then(|found| lines::Place::of(&found.line)) {
                " · " a href=(place.logs()) { "all lines of " (place.pod) }
            }
        }
    };
    let main = html! {
        (status::line(health, &status::fit(sentence), &more, &html! {}))
        @match &found {
            Some(found) => (around(visit, asked, found, most)),
            None => (empty("Lines leave with their segment once logs.retention is reached, and a line of another machine is only there.")),
        }
    };
    Sheet {
        title: "a line".to_owned(),
        keys: vec![("u", "back"), ("n", "next match"), ("p", "previous match")],
        still: true,
        ..Sheet::new(Place::Logs, main)
    }
}

fn spoken(visit: &Visit, line: &LogRecord) -> String {
    format!(
        "{} said this at {}",
        match lines::Place::of(line) {
            Some(place) => format!("{} of {}", place.container, place.pod),
            None => line.source.to_string(),
        },
        visit.wall.milli(line.time)
    )
}

fn around(visit: &Visit, asked: &Asked<'_>, found: &LogContext, most: usize) -> Markup {
    let all = found.before.iter().chain([&found.line]).chain(&found.after);
    let remark = html! {
        (words::count(found.before.len(), "line")) " before, " (words::count(found.after.len(), "line")) " after"
    };
    let own = lines::address(&found.line);
    let wider = (most * 3).min(AROUND_MAX).to_string();
    let right = html! {
        @if most < AROUND_MAX {
            a href={ (asked.with(&[("line", &own), ("around", &wider)])) "#l" (format!("{:016x}", found.line.identity())) } { "more around it" }
        }
    };
    let body = html! {
        div.panel.cut {
            (lines::list(&visit.wall, all, asked.text, &Links::Line(found.line.identity())))
        }
    };
    section("lines", "Around this line", &remark, &right, &body)
}

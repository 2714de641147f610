//! `/logs`: looks for lines. The form is a form: what it asks stands in the address, and every chip, bar and line is a link.

mod asked;
mod context;
mod kept;
mod narrow;

use maud::{Markup, html};
use model::view::{Asked as Nodes, Health, LogPage, LogState};

use self::asked::Asked;
use super::frame::{Place, Sheet, empty, section};
use super::lines::{self, Links};
use super::visit::Visit;
use super::when::{Range, Wall};
use super::{own, status, words};

pub(super) fn view(visit: &Visit) -> Sheet {
    let asked = Asked::read(visit);
    if let Some((time, identity)) = asked.line() {
        return context::view(visit, &asked, time, identity);
    }
    let range = visit.range(std::time::Duration::from_secs(3600));
    let state = (visit.rooms.log_state)();
    let page = (visit.rooms.logs)(&asked.query(&range));
    let (health, sentence) = sentence(visit, &range, &asked, &page, &state);
    let main = html! {
        (status::line(health, &sentence, &kept::kept(visit, &state), &html! {}))
        @if let Some(complaint) = &range.complaint { p.complaint role="alert" { (complaint) } }
        (narrow::form(visit, &asked, &state))
        (narrow::chips(visit, &asked, &page))
        (found(visit, &range, &asked, &page))
        (own::log_files(visit, &state))
    };
    Sheet {
        keys: vec![
            ("/", "search"),
            ("f", "follow"),
            ("n", "next match"),
            ("p", "previous match"),
            ("e", "next warning"),
            ("[", "earlier"),
        ],
        range: Some(range),
        ..Sheet::new(Place::Logs, main)
    }
}

fn sentence(
    visit: &Visit,
    range: &Range,
    asked: &Asked<'_>,
    page: &LogPage,
    state: &LogState,
) -> (Health, String) {
    let when = range.spoken(&visit.wall);
    let has_inputs = !state.inputs.is_empty() || state.journal.is_some();
    if page.nodes == Nodes::default()
        && page.lines.is_empty()
        && state.files.is_empty()
        && !has_inputs
        && state.services.is_empty()
    {
        let text = match state.nodes {
            0 => "No log file is read on this machine",
            _ => "Name a namespace and a pod: its node is asked for its last lines",
        };
        return (Health::Unknown, text.to_owned());
    }
    let count = usize::try_from(page.matched).unwrap_or(usize::MAX);
    let errors: u64 = page.histogram.iter().map(|bucket| bucket.errors).sum();
    let errors = usize::try_from(errors).unwrap_or(usize::MAX);
    let lines = words::count(count, "line");
    let mut text = match (count, asked.is_narrow()) {
        (0, true) => format!("No line matches {when}"),
        (0, false) => format!("No line {when}"),
        (1, true) => format!("1 line matches {when}"),
        (_, true) => format!("{lines} match {when}"),
        (_, false) => format!("{lines} {when}"),
    };
    if asked.level != "error" {
        match errors {
            0 => {}
            all if all == count && count > 1 => text.push_str(", all of them errors"),
            some => text.push_str(&format!(", {} of them errors", model::text::count(some as u64))),
        }
    }
    let sinks = state.sinks.iter().map(|sink| (&sink.name, &sink.trouble));
    let inputs = state.inputs.iter().map(|input| (&input.name, &input.trouble));
    let stuck = sinks.chain(inputs).filter(|(_, trouble)| trouble.is_some());
    let mut stuck: Vec<String> = stuck.map(|(name, _)| name.clone()).collect();
    let journal = state.journal.as_ref().filter(|journal| journal.trouble.is_some());
    stuck.extend(journal.map(|_| "the journal's input".to_owned()));
    match stuck.as_slice() {
        [] if !page.nodes.unheard.is_empty() => (
            Health::Pending,
            status::fit(format!(
                "{text}; {} did not answer",
                words::count(page.nodes.unheard.len(), "node")
            )),
        ),
        [] => (Health::Good, status::fit(text)),
        [one] => (
            Health::Pending,
            status::fit(format!("{text}; {one} takes nothing at the moment")),
        ),
        several => (
            Health::Pending,
            status::fit(format!(
                "{text}; {} take nothing at the moment",
                words::list_short(several, 3)
            )),
        ),
    }
}

fn found(visit: &Visit, range: &Range, asked: &Asked<'_>, page: &LogPage) -> Markup {
    let between = |from, to| asked.with(&[("from", &Wall::exact(from)), ("to", &Wall::exact(to))]);
    let kept = asked.with(&[]);
    // What is around a node's line is on the node.
    let links = match page.nodes == Nodes::default() {
        true => Links::Search(&kept),
        false => Links::None,
    };
    let body = if page.lines.is_empty() {
        empty(&nothing(visit, range, asked, page))
    } else {
        html! {
            div.panel.cut {
                (lines::histogram(&visit.wall, range, &page.histogram, Some(&between)))
                @if asked.is_oldest_first {
                    (lines::list(&visit.wall, page.lines.iter(), asked.text, &links))
                } @else {
                    (lines::list(&visit.wall, page.lines.iter().rev(), asked.text, &links))
                }
            }
        }
    };
    let right = html! {
        @if range.live {
            // Drawn by the script that knows how to follow; useless without it.
            button.button.small type="button" id="follow" data-follow data-keys="f" aria-pressed="false" hidden data-keep { "Follow" kbd { "f" } }
        }
        a href=(asked.with(&[("order", if asked.is_oldest_first { "" } else { "old" })])) {
            @if asked.is_oldest_first { "newest first" } @else { "oldest first" }
        }
    };
    let remark = html! { (lines::how_many(&visit.wall, page, page.lines.len())) };
    let body = html! {
        (narrow::levels(asked, page))
        (body)
        (lines::unheard(&page.nodes))
    };
    section("lines", "Lines", &remark, &right, &body)
}

fn nothing(visit: &Visit, range: &Range, asked: &Asked<'_>, page: &LogPage) -> String {
    if !asked.is_narrow() {
        return lines::none(visit, range);
    }
    let when = range.spoken(&visit.wall);
    match (page.nodes.heard, page.nodes.known) {
        (0, _) => {}
        (heard, false) => {
            return format!(
                "{} answered and none has a pod of this name: it may be gone, and its files with it.",
                words::count(heard, "node")
            );
        }
        (_, true) => {
            return format!("Nothing matches {when} among the last lines that the pod's node still has.");
        }
    }
    let looked = match page.looked_from {
        Some(since) => format!(
            " Lines before {} were not looked at: a narrower time reaches them.",
            visit.wall.second(since)
        ),
        None => String::new(),
    };
    format!("Nothing matches {when}. Fewer words, another level or a wider time may find it.{looked}")
}

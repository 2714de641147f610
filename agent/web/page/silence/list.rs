//! `/silences`: what is muted, who did it, why and for how long; and the form for one more.

use http::StatusCode;
use maud::{Markup, html};
use model::text::duration;
use model::view::Health;
use model::{Labels, MatchOp, Matcher, Timestamp};
use serde::Deserialize;

use super::now::{Now, Told};
use super::typed::{Typed, UNTIL};
use super::{form, preview};
use crate::page::frame::{Place, Sheet, empty, section};
use crate::page::visit::Visit;
use crate::page::{link, shape, status, words};

/// Rows of each kind; more nobody reads, and API v2 has them all.
const ROWS_MAX: usize = 100;

/// A silence as API v2 shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    status: State,
    comment: String,
    created_by: String,
    starts_at: String,
    ends_at: String,
    matchers: Vec<ShownMatcher>,
}

#[derive(Deserialize)]
struct State {
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShownMatcher {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

pub(super) struct Kept {
    id: String,
    state: String,
    comment: String,
    by: String,
    pub(super) starts: Timestamp,
    ends: Timestamp,
    matchers: Vec<Matcher>,
}

impl From<Shown> for Kept {
    fn from(shown: Shown) -> Self {
        let time = |text: &str| {
            let time = text.parse::<jiff::Timestamp>();
            time.map_or(Timestamp::MIN, |time| Timestamp(time.as_millisecond()))
        };
        let matchers = shown.matchers.iter().map(|matcher| {
            let op = match (matcher.is_equal, matcher.is_regex) {
                (true, false) => MatchOp::Equal,
                (false, false) => MatchOp::NotEqual,
                (true, true) => MatchOp::Matches,
                (false, true) => MatchOp::NotMatches,
            };
            Matcher::new(&matcher.name, op, &matcher.value)
        });
        Self {
            matchers: matchers.collect(),
            starts: time(&shown.starts_at),
            ends: time(&shown.ends_at),
            id: shown.id,
            state: shown.status.state,
            comment: shown.comment,
            by: shown.created_by,
        }
    }
}

impl Kept {
    pub(super) fn of(visit: &Visit, id: &str) -> Option<Self> {
        if id.is_empty() {
            return None;
        }
        let text = (visit.rooms.silences.as_ref()?.get)(id)?;
        let shown: Shown = serde_json::from_str(&text).ok()?;
        Some(shown.into())
    }

    fn all(visit: &Visit) -> Vec<Self> {
        let listed = visit.rooms.silences.as_ref().map(|silences| (silences.list)(&[]));
        let text = listed.and_then(Result::ok).unwrap_or_default();
        let shown: Vec<Shown> = serde_json::from_str(&text).unwrap_or_default();
        shown.into_iter().map(Self::from).collect()
    }

    pub(super) fn is_expired(&self) -> bool {
        self.state == "expired"
    }

    fn is_active(&self) -> bool {
        self.state == "active"
    }

    /// The form to change it by.
    pub(super) fn typed(&self, visit: &Visit) -> Typed {
        let mut typed = Typed {
            id: self.id.clone(),
            matchers: self.matchers.clone(),
            because: self.comment.clone(),
            by: self.by.clone(),
            ..Typed::empty()
        };
        if !self.is_expired() {
            UNTIL.clone_into(&mut typed.length);
            typed.until = visit.wall.typed(self.ends);
            if self.starts > visit.now {
                typed.begins = visit.wall.typed(self.starts);
            }
        }
        typed
    }
}

/// Under the form of an alert: what keeps it quiet already, or when something last did.
pub(super) fn covering(visit: &Visit, labels: &Labels) -> Markup {
    let covers = |kept: &&Kept| {
        let silences = visit.rooms.silences.as_ref();
        let covers = silences.and_then(|silences| (silences.covering)(&kept.matchers).ok());
        covers.is_some_and(|covers| covers(labels))
    };
    let all = Kept::all(visit);
    let covering: Vec<&Kept> = all.iter().filter(covers).collect();
    let active = covering.iter().find(|kept| kept.is_active());
    let last = covering
        .iter()
        .filter(|kept| kept.is_expired())
        .max_by_key(|kept| kept.ends);
    html! {
        p.small.under-form {
            @match (active, last) {
                (Some(kept), _) => {
                    (shape::silence(true, "silenced")) "It is silent until " (visit.wall.minute(kept.ends)) ", by "
                    (words::or_dash(&kept.by)) ": " (kept.comment) ". "
                    a href={ "/silences#silence-" (kept.id) } { "The silence" }
                },
                (None, Some(last)) => {
                    "No silence matches this alert now. The last one ended " (visit.wall.minute(last.ends)) ", by " (words::or_dash(&last.by)) "."
                },
                (None, None) => "No silence matches this alert now.",
            }
        }
    }
}

pub(super) fn view(
    visit: &Visit,
    told: &Told,
    typed: Option<Typed>,
    failed: Option<(StatusCode, String)>,
) -> Sheet {
    let Some(silences) = &visit.rooms.silences else {
        let more = html! { p { "Role " (visit.own.role) " tells nobody: ask a replica that does." } };
        let main = status::line(Health::Unknown, "No silences are kept here", &more, &html! {});
        return Sheet::new(Place::Alerts, main);
    };
    let (all, now) = (Kept::all(visit), told.now(visit));
    let counts: Vec<usize> = all
        .iter()
        .enumerate()
        .map(|(nth, kept)| {
            // Active ones come first; of those that are not shown nobody sees the count.
            if kept.is_active() && nth < ROWS_MAX {
                preview::covered(silences, &kept.matchers, &now)
            } else {
                0
            }
        })
        .collect();
    let (health, sentence) = sentence(visit, &all, &now, silences);
    let is_asked = typed.is_some();
    let (code, why) = failed.unzip();
    let typed = typed.unwrap_or_else(Typed::empty);
    let head = form::title(visit, &typed);
    let remark = html! { "nothing is sent while it lasts" };
    let form = form::form(visit, told, &typed, is_asked, why.as_deref());
    let more = html! {
        p { "A silence keeps messages back and nothing else: rules go on, and alerts are on " a href="/alerts" { "their page" } "." (done(visit, &all)) }
    };
    let main = html! {
        (status::line(health, &sentence, &more, &html! {}))
        div.columns.form-first[is_asked] {
            div {
                @for (state, title) in [("active", "Active"), ("pending", "Yet to begin"), ("expired", "Expired")] {
                    (rows(visit, &all, &counts, state, title))
                }
            }
            div { (section("silence", head, &remark, &html! {}, &form)) }
        }
    };
    Sheet {
        title: "Silences".to_owned(),
        keys: vec![("j", "next"), ("g a", "alerts"), ("g e", "routes")],
        code: code.unwrap_or(StatusCode::OK),
        // A form that is being filled in is not drawn anew, and a preview of the past not asked for again and again.
        still: is_asked,
        ..Sheet::new(Place::Alerts, main)
    }
}

fn sentence(visit: &Visit, all: &[Kept], now: &[Now], silences: &crate::Silences) -> (Health, String) {
    let active: Vec<&Kept> = all.iter().filter(|kept| kept.is_active()).collect();
    let covering: Vec<_> = active
        .iter()
        .filter_map(|kept| (silences.covering)(&kept.matchers).ok())
        .collect();
    let firing = now.iter().filter(|now| now.state == model::AlertState::Firing);
    let quiet = firing
        .filter(|now| covering.iter().any(|covers| covers(&now.labels)))
        .count();
    match active.as_slice() {
        [] => (Health::Good, "Nothing is silenced".to_owned()),
        [only] => (
            Health::Unknown,
            status::fit(format!(
                "1 silence keeps {} quiet, until {}",
                words::count(quiet, "alert"),
                visit.wall.minute(only.ends)
            )),
        ),
        [first, ..] => (
            Health::Unknown,
            status::fit(format!(
                "{} silences keep {} quiet, the next ends at {}",
                active.len(),
                words::count(quiet, "alert"),
                visit.wall.minute(first.ends)
            )),
        ),
    }
}

/// What somebody has just done here.
fn done(visit: &Visit, all: &[Kept]) -> Markup {
    let named = |name: &str| all.iter().find(|kept| kept.id == visit.asked(name));
    html! {
        @if let Some(kept) = named("made") { " " b { "Done: silent until " (visit.wall.minute(kept.ends)) "." } }
        @if named("ended").is_some_and(Kept::is_expired) { " " b { "Done: it has ended, and what still fires is told again." } }
    }
}

fn rows(visit: &Visit, all: &[Kept], counts: &[usize], state: &str, title: &str) -> Markup {
    let of_state: Vec<(&Kept, usize)> = all
        .iter()
        .zip(counts.iter().copied())
        .filter(|(kept, _)| kept.state == state)
        .collect();
    if of_state.is_empty() {
        if state != "active" {
            return html! {};
        }
        let last = all
            .iter()
            .filter(|kept| kept.is_expired())
            .max_by_key(|kept| kept.ends);
        let sentence = match last {
            Some(last) => format!(
                "No alert is silenced now. The last silence ended {}, by {}.",
                visit.wall.minute(last.ends),
                words::or_dash(&last.by)
            ),
            None => "No alert is silenced, and no silence is remembered.".to_owned(),
        };
        return section(state, title, &html! {}, &html! {}, &empty(&sentence));
    }
    let more = of_state.len().saturating_sub(ROWS_MAX);
    let body = html! {
        div.panel.cut {
            table.cards.silences {
                caption.unseen { (title) " silences" }
                thead {
                    tr {
                        th scope="col" { "Matches" }
                        th scope="col" { "Because" }
                        th scope="col" { @match state { "active" => "Until", "pending" => "From", _ => "Ended" } }
                        th.n scope="col" { "Alerts" }
                        th.n scope="col" { span.unseen { "What to do" } }
                    }
                }
                tbody { @for (kept, count) in of_state.iter().take(ROWS_MAX) { (row(visit, kept, *count)) } }
            }
            @if more > 0 { p.note { "and " (more) " more; " a href="/api/v2/silences" { "all of them" } } }
        }
    };
    let count = words::count(of_state.len(), "silence");
    section(state, title, &html! { (count) }, &html! {}, &body)
}

fn row(visit: &Visit, kept: &Kept, count: usize) -> Markup {
    let change = link::to("/silences", &[("id", &kept.id)]) + "#silence";
    html! {
        tr id={ "silence-" (kept.id) } data-row tabindex="-1" {
            td.wide {
                div.chips {
                    (shape::silence(kept.is_active(), &kept.state))
                    @for matcher in &kept.matchers { span.chip { code { (matcher) } } }
                }
            }
            td.wide.second { (kept.comment) " " span.dim { "by " (words::or_dash(&kept.by)) } }
            td data-label=(if kept.is_active() { "Until" } else if kept.is_expired() { "Ended" } else { "From" }) { (time(visit, kept)) }
            td.n data-label="Alerts" { @if kept.is_active() { (count) } @else { "–" } }
            td.n.do {
                a.button.small href=(change) { @if kept.is_expired() { "Renew" } @else { "Edit" } }
                @if !kept.is_expired() { " " (expire(kept, count)) }
            }
        }
    }
}

fn time(visit: &Visit, kept: &Kept) -> Markup {
    let wall = &visit.wall;
    if kept.is_expired() {
        return html! {
            (wall.minute(kept.ends))
            span.small { " after " (duration::spoken(kept.ends.since(kept.starts))) }
        };
    }
    if kept.is_active() {
        return html! { (wall.minute(kept.ends)) span.small { " in " (duration::spoken(kept.ends.since(visit.now))) } };
    }
    html! { (wall.minute(kept.starts)) span.small { " until " (wall.minute(kept.ends)) } }
}

/// A second step: what is silent may be told at once.
fn expire(kept: &Kept, count: usize) -> Markup {
    let id = format!("expire-{}", kept.id);
    let title = format!("{id}-title");
    html! {
        button.button.small type="button" popovertarget=(id) { "Expire" }
        div.sheet.middle.small-sheet id=(id) popover role="dialog" aria-labelledby=(title) {
            h2 id=(title) { "End this silence now?" }
            p.chips { @for matcher in &kept.matchers { span.chip { code { (matcher) } } } }
            p { @if count > 0 { (words::count(count, "alert")) " that it keeps quiet will be told." } @else { "It keeps no alert quiet now." } }
            form.acts method="post" action={ "/silences/" (link::encode(&kept.id)) "/expire" } {
                button.button.primary type="submit" { "End it now" }
                button.button type="button" popovertarget=(id) popovertargetaction="hide" { "Keep it" }
            }
        }
    }
}

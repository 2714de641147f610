//! The form: matchers as chips, four lengths, a reason, who; and what it would do.

use maud::{Markup, html};
use model::Matcher;

use super::list::Kept;
use super::now::Told;
use super::preview::Preview;
use super::typed::{LENGTHS, Typed, UNTIL};
use crate::page::frame::section;
use crate::page::visit::Visit;
use crate::page::words;

/// On a view that is drawn again and again: what the last days would have lost a script asks for, once.
pub(super) fn section_of(visit: &Visit, told: &Told, typed: &Typed, note: &Markup) -> Markup {
    let remark = html! { "nothing is sent while it lasts" };
    let body = html! { (form(visit, told, typed, false, None)) (note) };
    section("silence", title(visit, typed), &remark, &html! {}, &body)
}

pub(super) fn title(visit: &Visit, typed: &Typed) -> &'static str {
    match Kept::of(visit, &typed.id) {
        Some(kept) if kept.is_expired() => "Renew the silence",
        Some(_) => "Change the silence",
        None => "Silence",
    }
}

pub(super) fn form(
    visit: &Visit,
    told: &Told,
    typed: &Typed,
    with_past: bool,
    failed: Option<&str>,
) -> Markup {
    let preview = Preview::of(visit, told, typed, with_past);
    let kept = Kept::of(visit, &typed.id);
    let has_begun = kept
        .as_ref()
        .is_some_and(|kept| !kept.is_expired() && kept.starts <= visit.now);
    let wrong_time = typed
        .time(visit)
        .err()
        .filter(|_| typed.is_asked && failed.is_none());
    html! {
        form.panel.pad.silencing action="/silences" method="get" data-keep data-preview=(if with_past { "whole" } else { "now" }) {
            @if let Some(why) = failed { p.complaint role="alert" { "Not done: " (why) } }
            @if !typed.id.is_empty() { input type="hidden" name="id" value=(typed.id); }
            (chips(typed, failed.is_some()))
            fieldset {
                legend { "For" }
                div.lengths {
                    @for (value, word) in LENGTHS.iter().map(|(value, word, _)| (*value, *word)).chain([(UNTIL, "until…")]) {
                        label { input type="radio" name="for" value=(value) checked[is_chosen(typed, value)]; span { (word) } }
                    }
                }
            }
            div.times {
                @if !has_begun {
                    label { "Begins" input name="begins" value=(typed.begins) autocomplete="off" spellcheck="false"; }
                }
                label { "Until" input name="until" value=(until(typed)) placeholder="18:00, 3h, 2026-01-31T14:37" autocomplete="off" spellcheck="false"; }
            }
            @if let Some(why) = wrong_time { p.wrong { (why) } }
            label { "Because" input name="because" value=(typed.because) required autocomplete="off"; }
            label { "Your name" input name="by" value=(typed.by) required autocomplete="name" data-remember="name"; }
            div.sunk id="preview" aria-live="polite" { (preview.drawn) }
            div.acts {
                button.button type="submit" formnovalidate { "Preview" }
                button.button.primary type="submit" formmethod="post" formaction="/silences" id="silence-now" {
                    @match kept {
                        Some(kept) if kept.is_expired() => "Renew, silence ",
                        Some(_) => "Change, silence ",
                        None => "Silence ",
                    }
                    (words::count(preview.count, "alert"))
                }
                @if typed.is_asked { a.button href="/silences" { "Cancel" } }
            }
        }
    }
}

/// A length that nobody offers is a time that was typed.
fn is_chosen(typed: &Typed, value: &str) -> bool {
    let is_known = LENGTHS.iter().any(|(known, ..)| *known == typed.length);
    value == if is_known { typed.length.as_str() } else { UNTIL }
}

fn until(typed: &Typed) -> &str {
    let is_offered = typed.length == UNTIL || LENGTHS.iter().any(|(known, ..)| *known == typed.length);
    if is_offered { &typed.until } else { &typed.length }
}

fn chips(typed: &Typed, has_failed: bool) -> Markup {
    let (text, why) = typed.wrong.clone().unwrap_or_default();
    let chip = |matcher: &Matcher, is_on: bool| {
        let text = matcher.to_string();
        html! {
            label.chip {
                input type="checkbox" name="matcher" value=(text) checked[is_on];
                code { (text) }
            }
            // What is let go of can be taken again.
            input type="hidden" name="offer" value=(text);
        }
    };
    html! {
        fieldset id="chips" {
            legend { "Matches" }
            div.chips {
                @for matcher in &typed.matchers { (chip(matcher, true)) }
                @for matcher in &typed.offered { (chip(matcher, false)) }
            }
            input name="add" value=(text) placeholder="add one: severity=\"warning\", node=~\"web-.*\"" aria-label="Add matchers"
                aria-invalid=[(!why.is_empty()).then_some("true")] autocomplete="off" spellcheck="false";
            @if !why.is_empty() && !has_failed { p.wrong role="alert" { (why) } }
        }
    }
}

//! How a search is made narrower or wider: the form, the levels with their numbers, and what is asked for as chips.

use maud::{Markup, html};
use model::view::{LogPage, LogState};
use model::{LogRecord, MatchOp, Matcher, SelectError, TimeRange, text};

use super::asked::{Asked, LEVELS};
use crate::page::lines::Place;
use crate::page::link;
use crate::page::visit::Visit;

/// Names offered in a field.
const NAMES_MAX: usize = 100;

pub(super) fn form(visit: &Visit, asked: &Asked<'_>, state: &LogState) -> Markup {
    let known = Known::of(state);
    let is_cluster = !known.pods.is_empty() || asked.minds_pod() || state.nodes > 0;
    html! {
        form.search.of-lines action="/logs" role="search" aria-label="Lines" {
            label.grow {
                span { "Words" }
                input type="search" id="q" name="q" value=(visit.asked("q")) placeholder="every word must occur"
                    autocomplete="off" spellcheck="false" data-keys="/";
            }
            label {
                span { "Level" }
                select name="level" {
                    @for (name, word, ..) in LEVELS { option value=(name) selected[name == asked.level] { (word) } }
                }
            }
            @if is_cluster {
                (field("Namespace", "ns", asked.namespace, &known.namespaces))
                (field("Pod", "pod", asked.pod, &known.pods))
                (field("Container", "container", asked.container, &known.containers))
            }
            @if !is_cluster || !asked.source.is_empty() {
                (field("Source", "source", asked.source, &known.files))
            }
            @for name in ["from", "to", "order"] {
                @if !visit.asked(name).is_empty() { input type="hidden" name=(name) value=(visit.asked(name)); }
            }
            button.button.primary type="submit" { "Search" }
        }
    }
}

fn field(word: &str, name: &str, value: &str, offered: &[&str]) -> Markup {
    let list = format!("log-{name}");
    html! {
        label {
            span { (word) }
            input name=(name) value=(value) placeholder="all" list=(list) autocomplete="off" spellcheck="false";
            datalist id=(list) { @for name in offered { option value=(name) {} } }
        }
    }
}

/// Levels as links, with how many there are of each as far as is known.
pub(super) fn levels(asked: &Asked<'_>, page: &LogPage) -> Markup {
    let sum = |count: fn(&model::view::LogBucket) -> u64| page.histogram.iter().map(count).sum::<u64>();
    let (grave, errors) = (sum(|bucket| bucket.grave), sum(|bucket| bucket.errors));
    // A narrower search says nothing of what it leaves out.
    let count = |name: &str| match (name, asked.level) {
        ("", "") | ("info", "info") => Some(page.matched),
        ("warn", "" | "info" | "warn") => Some(grave),
        ("error", _) => Some(errors),
        _ => None,
    };
    html! {
        nav.levels aria-label="Levels" {
            @for (name, _, word, _) in LEVELS {
                a href=(asked.with(&[("level", name), ("line", "")])) aria-current=[(name == asked.level).then_some("true")] {
                    (word)
                    @if let Some(count) = count(name) { " " b class={ (name) } { (text::count(count)) } }
                }
            }
        }
    }
}

/// What is asked for, each with a link to the same without it; and where else there is something of the one pod.
pub(super) fn chips(visit: &Visit, asked: &Asked<'_>, page: &LogPage) -> Markup {
    let all = [
        ("q", "words", asked.text),
        ("ns", "namespace", asked.namespace),
        ("pod", "pod", asked.pod),
        ("container", "container", asked.container),
        ("source", "source", asked.source),
    ];
    let (from, to) = (visit.asked("from"), visit.asked("to"));
    let has_time = !(from.is_empty() && to.is_empty());
    html! {
        @if has_time || all.iter().any(|(.., value)| !value.is_empty()) {
            ul.chips.asked aria-label="Asked for" {
                @for (name, word, value) in all.iter().filter(|(.., value)| !value.is_empty()) {
                    (chip(word, value, &asked.with(&[(name, "")])))
                }
                @if has_time { (chip("time", &format!("{from} – {}", if to.is_empty() { "now" } else { to }), &asked.with(&[("from", ""), ("to", "")]))) }
                @if let Some(place) = one_pod(&page.lines).filter(|place| asked.minds_pod() && has_series(visit, place)) {
                    li { a href=(series(&place)) { "graphs of " (place.pod) } }
                }
            }
        }
    }
}

fn chip(word: &str, value: &str, without: &str) -> Markup {
    html! {
        li.chip {
            span.small { (word) " " } code { (value) }
            a href=(without) aria-label={ "without the " (word) " " (value) } { "×" }
        }
    }
}

/// The pod that all lines are of.
fn one_pod(lines: &[LogRecord]) -> Option<Place<'_>> {
    let mut places = lines.iter().map(Place::of);
    let first = places.next()??;
    let same = |place: Option<Place<'_>>| {
        place.is_some_and(|place| (place.namespace, place.pod) == (first.namespace, first.pod))
    };
    places.all(same).then_some(first)
}

fn series(place: &Place<'_>) -> String {
    let written = |name: &str, value: &str| Matcher::new(name, MatchOp::Equal, value).to_string();
    let (namespace, pod) = (written("namespace", place.namespace), written("pod", place.pod));
    link::explore(&format!("{{{namespace},{pod}}}"))
}

/// Whether the store knows the pod at all, so that no link leads to nothing.
fn has_series(visit: &Visit, place: &Place<'_>) -> bool {
    let matchers = [
        Matcher::equal("namespace", place.namespace),
        Matcher::equal("pod", place.pod),
    ];
    let range = TimeRange {
        after: visit.now - std::time::Duration::from_secs(300),
        until: visit.now,
    };
    // More than fit is something, too.
    match visit.rooms.select.select(&matchers, range, 10_000) {
        Ok(series) => !series.is_empty(),
        Err(error) => matches!(error, SelectError::TooMany { .. }),
    }
}

/// Names that the followed files have, for the fields.
struct Known<'a> {
    namespaces: Vec<&'a str>,
    pods: Vec<&'a str>,
    containers: Vec<&'a str>,
    files: Vec<&'a str>,
}

impl<'a> Known<'a> {
    fn of(state: &'a LogState) -> Self {
        let places = || state.files.iter().filter_map(|file| Place::of_path(&file.path));
        let short = |names: &mut dyn Iterator<Item = &'a str>| {
            let mut names: Vec<&str> = names.collect();
            names.sort_unstable();
            names.dedup();
            names.truncate(NAMES_MAX);
            names
        };
        Self {
            namespaces: short(&mut places().map(|place| place.namespace)),
            pods: short(&mut places().map(|place| place.pod)),
            containers: short(&mut places().map(|place| place.container)),
            files: short(&mut state.files.iter().map(|file| link::file_name(&file.path))),
        }
    }
}

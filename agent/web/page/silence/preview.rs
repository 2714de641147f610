//! What a silence would do: what falls silent now, what stays loud and why, what the last days would have lost.

use std::sync::Arc;

use maud::{Markup, html};
use model::{AlertState, MatchOp, Matcher, labels};

use super::now::{Now, Told};
use super::typed::Typed;
use crate::page::past::{Fired, Past};
use crate::page::visit::Visit;
use crate::page::{shape, words};
use crate::{Covers, Silences};

/// Alerts named; the others are counted.
const NAMED_MAX: usize = 5;

pub(super) struct Preview {
    /// On the button.
    pub(super) count: usize,
    pub(super) drawn: Markup,
}

impl Preview {
    /// With the past, which takes a moment, or without.
    pub(super) fn of(visit: &Visit, told: &Told, typed: &Typed, with_past: bool) -> Self {
        let Some(silences) = &visit.rooms.silences else {
            return Self::said("No silences are kept here.");
        };
        if typed.matchers.is_empty() {
            return Self::said("Name at least one label: then you see here what falls silent.");
        }
        let covers = match (silences.covering)(&typed.matchers) {
            Ok(covers) => covers,
            Err(why) => {
                return Self {
                    count: 0,
                    drawn: html! { p.wrong { (why) } },
                };
            }
        };
        let all = told.now(visit);
        let (covered, loud): (Vec<Now>, Vec<Now>) = all.into_iter().partition(|now| covers(&now.labels));
        let (firing, pending): (Vec<Now>, Vec<Now>) = covered
            .into_iter()
            .partition(|now| now.state == AlertState::Firing);
        let past = with_past.then(|| Past::look(visit));
        let drawn = html! {
            p.strong { (heading(visit, typed, firing.len())) }
            ul {
                @if firing.is_empty() { li { (shape::silence(false, "nothing")) span { "nothing that fires now falls silent" } } }
                @else { li { (shape::alert(AlertState::Firing)) span { (firing.len()) " firing now: " (named(&firing)) (already(&firing)) } } }
                @if !pending.is_empty() {
                    li { (shape::alert(AlertState::Pending)) span { (pending.len()) " pending would fire unheard: " (named(&pending)) } }
                }
                @for (now, why) in nearest(silences, &typed.matchers, &loud) {
                    li { (shape::alert(now.state)) span { b { (name(&now.labels)) } " stays loud: " (why) } }
                }
                @if let Some(past) = &past { (lost(visit, past, &covers)) }
            }
        };
        Self {
            count: firing.len(),
            drawn,
        }
    }

    fn said(sentence: &str) -> Self {
        Self {
            count: 0,
            drawn: html! { p { (sentence) } },
        }
    }
}

fn heading(visit: &Visit, typed: &Typed, firing: usize) -> String {
    let alerts = words::count(firing, "alert");
    match typed.time(visit) {
        Ok((begins, ends)) if begins > visit.now => format!(
            "Silences from {} until {}; {alerts} of now would be",
            visit.wall.minute(begins),
            visit.wall.minute(ends)
        ),
        Ok((_, ends)) => format!("Silences {alerts} until {}", visit.wall.minute(ends)),
        Err(_) => format!("Silences {alerts}"),
    }
}

fn already(firing: &[Now]) -> String {
    let silent = firing
        .iter()
        .filter(|now| now.is_silenced || now.is_inhibited)
        .count();
    match silent {
        0 => String::new(),
        silent => format!(" ({silent} of them silent already)"),
    }
}

fn name(labels: &model::Labels) -> String {
    let name = labels.value(labels::ALERT_NAME);
    match words::place(labels) {
        Some(place) => format!("{name} {place}"),
        None => name.to_owned(),
    }
}

fn named(all: &[Now]) -> String {
    let names: Vec<String> = all.iter().map(|now| name(&now.labels)).collect();
    words::list_short(&names, NAMED_MAX)
}

/// What fires on, those first that the fewest matchers leave out.
fn nearest<'a>(silences: &Silences, matchers: &[Matcher], loud: &'a [Now]) -> Vec<(&'a Now, String)> {
    let mut all: Vec<(usize, &Now, String)> = loud
        .iter()
        .filter(|now| now.state == AlertState::Firing && !now.is_silenced && !now.is_inhibited)
        .map(|now| {
            let mut against = matchers.iter().filter(|matcher| !accepts(silences, matcher, now));
            let first = against
                .next()
                .map_or_else(String::new, |matcher| why(matcher, now));
            (against.count(), now, first)
        })
        .collect();
    all.sort_by_key(|(count, ..)| *count);
    let near = all.into_iter().take(NAMED_MAX);
    near.map(|(_, now, why)| (now, why)).collect()
}

fn accepts(silences: &Silences, matcher: &Matcher, now: &Now) -> bool {
    // Alone it might silence everything, which no silence may; together with a label that is there it may.
    let Some((name, value)) = now.labels.iter().next() else {
        return false;
    };
    let together = [matcher.clone(), Matcher::equal(name, value)];
    (silences.covering)(&together).is_ok_and(|covers: Covers| covers(&now.labels))
}

fn why(matcher: &Matcher, now: &Now) -> String {
    let (name, value) = (&matcher.name, now.labels.value(&matcher.name));
    match matcher.op {
        MatchOp::Equal if **name == *labels::ALERT_NAME => "another alertname".to_owned(),
        MatchOp::Equal if value.is_empty() => format!("it has no {name}"),
        MatchOp::Equal => format!("another {name}, {value}"),
        MatchOp::NotEqual | MatchOp::Matches | MatchOp::NotMatches => {
            format!("its {name} is {value:?}, and {matcher} does not take that")
        }
    }
}

fn lost(visit: &Visit, past: &Past, covers: &Covers) -> Markup {
    let lost: Vec<&Fired> = past.fired.iter().filter(|fired| covers(&fired.labels)).collect();
    let when = past.spoken(visit.now);
    html! {
        li {
            (shape::silence(true, "held back"))
            span {
                @if lost.is_empty() { "would have held back nothing " (when) }
                @else { "would have held back " (words::count(lost.len(), "alert")) " " (when) ": " }
                @for (nth, fired) in lost.iter().take(NAMED_MAX).enumerate() {
                    @if nth > 0 { "; " }
                    (visit.wall.minute(fired.from)) " " (name(&fired.labels))
                    @match fired.to {
                        Some(to) => { ", " (model::text::duration::spoken(to.since(fired.from))) },
                        None => ", still",
                    }
                }
                @if lost.len() > NAMED_MAX { "; and " (lost.len() - NAMED_MAX) " more" }
            }
        }
    }
}

/// How many alerts each of several silences covers now.
pub(super) fn covered(silences: &Silences, matchers: &[Matcher], all: &[Now]) -> usize {
    let covers = (silences.covering)(matchers).unwrap_or_else(|_| Arc::new(|_| false));
    let firing = all.iter().filter(|now| now.state == AlertState::Firing);
    firing.filter(|now| covers(&now.labels)).count()
}

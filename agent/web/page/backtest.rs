//! A rule in another form over what is kept: how often it would have fired, beside the rule as it is.
//!
//! It takes a place at the desk like a question and is never asked for by itself: a view with an answer stands still.

use std::time::Duration;

use maud::{Markup, html};
use model::text::duration;
use model::view::{Episode, Fires, Rule, RuleGroup, Trial, Tried};
use model::{Labels, Timestamp};

use super::frame::{empty, section};
use super::graph::marks;
use super::visit::Visit;
use super::watching::Watching;
use super::when::Range;
use super::{band, link, shape, words};
use crate::Rooms;
use crate::api::rule_id;
use crate::desk::{Desk, Unserved};

/// How far back one may look.
const DAYS: [u32; 4] = [1, 3, 7, 14];
const DAYS_DEFAULT: u32 = 7;
const DAY: Duration = Duration::from_hours(24);
/// Longest time a back-test may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Times listed; of more only the newest.
const LISTED_MAX: usize = 12;

/// What was asked for, and what came of it.
pub(super) struct Asked {
    /// Of the rule.
    id: String,
    expr: String,
    hold: String,
    days: u32,
    span: (Timestamp, Timestamp),
    outcome: Result<Tried, String>,
}

/// Ends the work when whoever asked has gone or waits no longer.
struct Leash(promql::Stop);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// As the address asks; none if it asks for nothing.
pub(super) async fn ask(rooms: &Rooms, desk: &Desk, pairs: &[(String, String)]) -> Option<Asked> {
    let given = |name: &str| {
        let pair = pairs.iter().find(|(known, _)| known == name);
        pair.map_or("", |(_, value)| value.trim())
    };
    let id = given("try");
    if id.is_empty() {
        return None;
    }
    let days = given("days").parse().ok().filter(|days| DAYS.contains(days));
    let days = days.unwrap_or(DAYS_DEFAULT);
    let now = rooms.clock.now();
    let oldest = (rooms.kept)().oldest.unwrap_or(now);
    let span = ((now - DAY * days).max(oldest.min(now)), now);
    let asked = Asked {
        id: id.to_owned(),
        expr: given("expr").to_owned(),
        hold: given("for").to_owned(),
        days,
        span,
        outcome: Err(String::new()),
    };
    let outcome = asked.outcome_of(rooms, desk).await;
    Some(Asked { outcome, ..asked })
}

impl Asked {
    async fn outcome_of(&self, rooms: &Rooms, desk: &Desk) -> Result<Tried, String> {
        let Some(make) = rooms.try_rule.clone() else {
            return Err("no rules are evaluated here".to_owned());
        };
        let trial = self.trial(rooms)?;
        let stop = promql::Stop::default();
        let _leash = Leash(stop.clone());
        match desk.ask(PATIENCE, move || make(&trial, &stop)).await {
            Ok(outcome) => outcome,
            Err(Unserved::Late) => Err(format!(
                "that took longer than {}: try fewer days, or `skopos backtest`, which may take its time",
                duration::spoken(PATIENCE)
            )),
            Err(unserved) => Err(unserved.to_string()),
        }
    }

    fn trial(&self, rooms: &Rooms) -> Result<Trial, String> {
        let hold = match self.hold.as_str() {
            "" => Duration::ZERO,
            text => duration::parse(text)
                .map_err(|_| format!("for: {text:?} is no duration; write for example 5m"))?,
        };
        if self.expr.is_empty() {
            return Err("there is no expression: write one, or take the rule's own".to_owned());
        }
        let groups = (rooms.rules)();
        let mut rules = groups
            .iter()
            .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
        let (group, rule) = rules
            .find(|(group, rule)| rule_id(group, rule) == self.id)
            .ok_or_else(|| "the rule was changed meanwhile: this is its page as it is now".to_owned())?;
        Ok(Trial {
            file: group.file.clone(),
            group: group.name.clone(),
            name: rule.name.clone(),
            labels: rule.labels.clone(),
            expr: rule.expr.clone(),
            hold: rule.hold,
            tried_expr: self.expr.clone(),
            tried_hold: hold,
            from: self.span.0,
            until: self.span.1,
        })
    }

    fn is_of(&self, group: &RuleGroup, rule: &Rule) -> bool {
        self.id == rule_id(group, rule)
    }
}

pub(super) fn section_of(visit: &Visit, asked: Option<&Asked>, nth: usize, one: &Watching<'_>) -> Markup {
    if visit.rooms.try_rule.is_none() || !one.rule.alerting {
        return html! {};
    }
    let asked = asked.filter(|asked| asked.is_of(one.group, one.rule));
    let id = if nth == 0 {
        "backtest".to_owned()
    } else {
        format!("backtest-{nth}")
    };
    let (title, remark) = match asked.map(|asked| (asked, &asked.outcome)) {
        Some((asked, Ok(tried))) => (
            heading(asked, tried),
            format!("over what is kept, in {:.1} s", tried.took.as_secs_f64()),
        ),
        Some((_, Err(_))) => ("No back-test".to_owned(), String::new()),
        None => (
            "Back-test".to_owned(),
            "how often it would have fired, also in another form".to_owned(),
        ),
    };
    let body = html! {
        @match asked.map(|asked| (asked, &asked.outcome)) {
            Some((_, Err(why))) => p.complaint role="alert" { (why) },
            Some((asked, Ok(tried))) => (answer(visit, asked, tried)),
            None => {},
        }
        (form(visit, asked, &id, one))
    };
    section(&id, &title, &html! { (remark) }, &html! {}, &body)
}

/// The answer: `Would have fired 3 times in 7 days, 41 min in all, longest 22 min; today's rule: 5 times`.
fn heading(asked: &Asked, tried: &Tried) -> String {
    let when = span(asked);
    let (now, today) = (&tried.tried, times(tried.today.fired));
    if now.fired == 0 {
        let pending = match now.only_pending {
            0 => String::new(),
            many => format!(", but was pending {}", times(many)),
        };
        return format!("Would not have fired {when}{pending}; today's rule: {today}");
    }
    format!(
        "Would have fired {} {when}, {} in all, longest {}; today's rule: {today}",
        times(now.fired),
        duration::spoken(now.firing),
        duration::spoken(now.longest)
    )
}

/// `in 7 days`, or in as much of them as is kept.
fn span(asked: &Asked) -> String {
    let (from, until) = asked.span;
    let looked = until.since(from);
    if looked >= DAY * asked.days {
        format!("in {}", words::count(asked.days as usize, "day"))
    } else {
        format!("in the {} that are kept", duration::spoken(looked))
    }
}

fn times(many: u64) -> String {
    match many {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        many => format!("{} times", model::text::count(many)),
    }
}

fn answer(visit: &Visit, asked: &Asked, tried: &Tried) -> Markup {
    let range = Range {
        from: asked.span.0,
        to: asked.span.1,
        live: false,
        asked: true,
        complaint: None,
    };
    html! {
        (band::patterns())
        div.panel.lanes {
            (lane(visit, &range, "as written below", &tried.tried, &tried.gaps))
            (lane(visit, &range, "as it is today", &tried.today, &tried.gaps))
            (axis(visit, &range))
            (hits(visit, asked, &tried.tried))
            @if !tried.others.is_empty() { p.note { (others(tried)) } }
            @for (from, to) in &tried.gaps {
                p.note { "Nothing was kept from " (visit.wall.minute(*from)) " to " (visit.wall.minute(*to)) "." }
            }
            @for note in &tried.notes { p.note { (note) } }
        }
    }
}

fn lane(visit: &Visit, range: &Range, name: &str, fires: &Fires, gaps: &[(Timestamp, Timestamp)]) -> Markup {
    let place = |at: Timestamp| {
        let window = range.window().as_secs_f64().max(0.001);
        (at.max(range.from).since(range.from).as_secs_f64() / window * 100.0).min(100.0)
    };
    let drawn = |class: &str, from: Timestamp, to: Timestamp| {
        let (from, to) = (place(from), place(to));
        html! {
            rect class=(class) x={ (format!("{from:.3}")) "%" } y="0" width={ (format!("{:.3}", (to - from).max(0.3))) "%" } height="16" {}
        }
    };
    let spoken = format!("{name}: fired {}", times(fires.fired));
    html! {
        div.lane {
            p.gutter {
                (shape::health(if fires.fired > 0 { model::view::Health::Bad } else { model::view::Health::Good }))
                span { (name) }
            }
            svg.band role="img" aria-label=(spoken) width="100%" height="16" {
                rect.track x="0" y="0" width="100%" height="16" {}
                @for (from, to) in gaps { (drawn("gap", *from, *to)) }
                @for episode in &fires.episodes {
                    @let end = episode.ended_at.unwrap_or(visit.now);
                    @let fired = episode.fired_at.unwrap_or(end);
                    @if fired > episode.active_at { (drawn("pending", episode.active_at, fired)) }
                    @if episode.fired_at.is_some() { (drawn("firing", fired, end)) }
                }
            }
        }
    }
}

fn axis(visit: &Visit, range: &Range) -> Markup {
    html! {
        div.lane.axis {
            p.gutter {}
            svg width="100%" height="20" aria-hidden="true" {
                @for (at, word) in marks(&visit.wall, range, 7) {
                    text x={ (format!("{at:.2}")) "%" } y="14" text-anchor="middle" { (word) }
                }
            }
        }
    }
}

/// Each leads to the expression around that time.
fn hits(visit: &Visit, asked: &Asked, fires: &Fires) -> Markup {
    let fired: Vec<(&Episode, Timestamp)> = fires
        .episodes
        .iter()
        .filter_map(|episode| Some((episode, episode.fired_at?)))
        .collect();
    if fired.is_empty() {
        return html! {};
    }
    let all: Vec<&Labels> = fired.iter().map(|(episode, _)| &episode.labels).collect();
    html! {
        ul.hits {
            @for (episode, at) in fired.iter().rev().take(LISTED_MAX) {
                @let end = episode.ended_at.unwrap_or(visit.now);
                @let around = (end.since(episode.active_at) / 2).max(Duration::from_mins(10));
                li {
                    a href=(link::explore_between(&asked.expr, episode.active_at - around, (end + around).min(visit.now))) {
                        (visit.wall.minute(*at))
                    }
                    span {
                        (words::apart(&episode.labels, &all)) ", " (duration::spoken(end.since(*at)))
                        @if episode.ended_at.is_none() { ", still" }
                    }
                }
            }
        }
        @if fires.fired > LISTED_MAX as u64 {
            p.note { "and " (model::text::count(fires.fired - LISTED_MAX as u64)) " earlier" }
        }
    }
}

/// `With for: 2m also 3 times, with 15m never.`
fn others(tried: &Tried) -> Markup {
    html! {
        "With "
        @for (nth, (hold, fires)) in tried.others.iter().enumerate() {
            @if nth > 0 { ", with " }
            code { "for: " (duration::short(*hold)) }
            @if fires.fired == tried.tried.fired && fires.fired > 0 { " also" }
            " " (times(fires.fired))
        }
        "."
    }
}

fn form(visit: &Visit, asked: Option<&Asked>, id: &str, one: &Watching<'_>) -> Markup {
    let expr = asked.map_or(one.rule.expr.as_str(), |asked| &asked.expr);
    let hold = asked.map_or_else(|| duration::short(one.rule.hold), |asked| asked.hold.clone());
    let days = asked.map_or(DAYS_DEFAULT, |asked| asked.days);
    let field = |name: &str| format!("{id}-{name}");
    html! {
        @if (visit.rooms.kept)().oldest.is_none() {
            (empty("Nothing is kept yet that a rule could be tried over."))
        }
        form.panel.pad.trying.next action={ (link::rule(one.group, one.rule)) "#" (id) } data-keep {
            input type="hidden" name="try" value=(rule_id(one.group, one.rule));
            label for=(field("expr")) { "Expression" }
            textarea id=(field("expr")) name="expr" rows="3" spellcheck="false" autocomplete="off" autocapitalize="off" data-submit { (expr) }
            div.search {
                label { span { "for" } input name="for" value=(hold) size="8" autocomplete="off" spellcheck="false"; }
                label {
                    span { "Over" }
                    select name="days" {
                        @for known in DAYS { option value=(known) selected[known == days] { (words::count(known as usize, "day")) } }
                    }
                }
                button.button type="submit" { "Try it" }
                @if asked.is_some() { a.button href=(link::rule(one.group, one.rule)) { "Back to the rule" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(hours: u64) -> Asked {
        let until = Timestamp(1_795_687_255_000);
        Asked {
            id: String::new(),
            expr: "up == 0".to_owned(),
            hold: "5m".to_owned(),
            days: 7,
            span: (until - Duration::from_hours(hours), until),
            outcome: Err(String::new()),
        }
    }

    #[test]
    fn the_heading_is_the_answer() {
        let fires = |fired, minutes| Fires {
            fired,
            firing: Duration::from_mins(minutes),
            longest: Duration::from_mins(minutes / 2),
            ..Fires::default()
        };
        let mut tried = Tried {
            tried: fires(3, 44),
            today: fires(5, 90),
            ..Tried::default()
        };
        assert_eq!(
            heading(&asked(168), &tried),
            "Would have fired 3 times in 7 days, 44 min in all, longest 22 min; today's rule: 5 times"
        );
        tried.tried = Fires {
            only_pending: 1,
            ..Fires::default()
        };
        assert_eq!(
            heading(&asked(2), &tried),
            "Would not have fired in the 2 h that are kept, but was pending once; today's rule: 5 times"
        );
    }
}

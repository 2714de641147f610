//! *History*: what fired in the last days, for how long, and who was told.

use maud::{Markup, html};
use model::text::{self, duration};
use model::view::Told;
use model::{AlertState, Labels, labels};

use super::frame::{empty, section};
use super::past::{Fired, Past};
use super::visit::Visit;
use super::{link, shape, words};

/// Rows shown, the newest; more is a question to the series.
const ROWS_MAX: usize = 50;
/// An end is told some time after it.
const TOLD_WITHIN: std::time::Duration = std::time::Duration::from_mins(15);

pub(super) fn section_of(visit: &Visit) -> Markup {
    let past = Past::look(visit);
    let when = past.spoken(visit.now);
    let series = link::explore_between("ALERTS", past.since, visit.now);
    let right = html! { a href=(series) { "as series" } };
    if past.fired.is_empty() {
        let body = empty(&format!(
            "Nothing fired {when}, as far as the series ALERTS are kept."
        ));
        return section("history", "History", &html! {}, &right, &body);
    }
    let more = past.fired.len().saturating_sub(ROWS_MAX);
    let body = html! {
        div.panel.cut {
            table.cards {
                caption.unseen { "What fired, newest first" }
                thead {
                    tr {
                        th scope="col" { "Alert" }
                        th scope="col" { "Where" }
                        th scope="col" aria-sort="descending" { "Fired" }
                        th scope="col" { "Ended" }
                        th.n scope="col" { "Lasted" }
                        th scope="col" { "Told" }
                    }
                }
                tbody { @for fired in past.fired.iter().take(ROWS_MAX) { (row(visit, fired)) } }
            }
            @if more > 0 { p.note { "and " (text::count(more as u64)) " earlier, " a href=(series) { "as series" } "." } }
        }
    };
    let remark = html! { (times(past.fired.len())) " " (when) (most(&past.fired)) };
    section("history", "History", &remark, &right, &body)
}

fn times(many: usize) -> String {
    if many == 1 {
        "once".to_owned()
    } else {
        format!("{} times", text::count(many as u64))
    }
}

/// What fires most often is what should be looked at.
fn most(fired: &[Fired]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for one in fired {
        let name = one.labels.value(labels::ALERT_NAME);
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    match counts.iter().max_by_key(|(_, count)| *count) {
        Some((name, count)) if *count > 1 && counts.len() > 1 => {
            format!("; {name} most often, {}", times(*count))
        }
        _ => String::new(),
    }
}

fn row(visit: &Visit, fired: &Fired) -> Markup {
    let name = fired.labels.value(labels::ALERT_NAME);
    let end = fired.to.unwrap_or(visit.now);
    html! {
        tr data-row data-event[fired.to.is_none()] {
            th.name scope="row" {
                (shape::alert(if fired.to.is_none() { AlertState::Firing } else { AlertState::Resolved }))
                a href=(address(visit, name, &fired.labels)) { (name) }
            }
            td.second { (words::or_dash(words::place(&fired.labels).unwrap_or_default())) }
            td data-label="Fired" { (visit.wall.second(fired.from)) }
            td data-label="Ended" { (fired.to.map_or_else(|| "still fires".to_owned(), |to| visit.wall.second(to))) }
            td.n data-label="Lasted" { (duration::spoken(end.since(fired.from))) }
            td.wide.second { (told(visit, fired)) }
        }
    }
}

/// The alert while it stands, its rule afterwards; a rule that is gone has its series.
fn address(visit: &Visit, name: &str, labels: &Labels) -> String {
    let named = || visit.alert_rules().filter(|(_, rule)| rule.name == name);
    let standing = named().find_map(|(_, rule)| rule.alerts.iter().find(|alert| alert.labels == *labels));
    match (standing, named().next()) {
        (Some(alert), _) => link::alert(name, alert),
        (None, Some((group, rule))) => link::rule(group, rule),
        (None, None) => link::explore(&link::series_of(labels)),
    }
}

/// The first message of it, and how many there were; only the last messages are remembered.
fn told(visit: &Visit, fired: &Fired) -> String {
    let fingerprint = fired.labels.fingerprint();
    let end = fired.to.unwrap_or(visit.now) + TOLD_WITHIN;
    let is_of =
        |told: &&Told| told.alerts.contains(&fingerprint) && told.time >= fired.from && told.time <= end;
    let told: Vec<&Told> = visit.telling.told.iter().filter(is_of).collect();
    match told.as_slice() {
        [] => "–".to_owned(),
        [only] => format!("{} {}", only.receiver, visit.wall.second(only.time)),
        [.., first] => format!(
            "{} {}, {} messages in all",
            first.receiver,
            visit.wall.second(first.time),
            told.len()
        ),
    }
}

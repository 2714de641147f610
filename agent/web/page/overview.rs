//! `/`: whether anything is wrong, what needs a person, the machine, what watches it, what is read, what was said.

use maud::{Markup, html};
use model::AlertState;
use model::text::{self, duration};

use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::watching;
use super::{cluster, incident, lines, machine, pair, reading, status, steps, words};

/// Rules shown here; the rest is a click away.
const RULES_SHOWN: usize = 9;

pub(super) fn view(visit: &Visit) -> Sheet {
    let range = visit.range(visit.window());
    let (health, sentence) = status::sentence(&status::facts(visit), &visit.wall);
    let main = html! {
        (status::line(health, &sentence, &more(visit), &fresh(visit)))
        @if let Some(complaint) = &range.complaint { p.complaint role="alert" { (complaint) } }
        (incident::firing(visit))
        (incident::pending(visit))
        (cluster::draw(visit))
        (machine::draw(visit, &range))
        (steps::draw(visit))
        p.answer-of-test id="test-answer" data-keep aria-live="polite" {}
        div.columns {
            (rules(visit))
            (reading::draw(visit, &html! { a href="/targets" { "targets" } }))
        }
        (lines::latest(visit, &range))
    };
    Sheet {
        keys: vec![
            ("/", "search"),
            ("g r", "rules"),
            ("g t", "targets"),
            ("g l", "logs"),
        ],
        range: Some(range),
        ..Sheet::new(Place::Overview, main)
    }
}

/// Counts, what is kept where, who is told.
fn more(visit: &Visit) -> Markup {
    let own = &visit.own;
    let files = (visit.rooms.log_state)()
        .files
        .iter()
        .filter(|file| file.error.is_empty())
        .count();
    html! {
        (pair::remark(visit))
        p {
            (watched(visit)) " " (read(visit, files))
            @if !own.data_dir.is_empty() {
                ", and keeps what it reads in " code { (own.data_dir) } " (" (text::bytes(own.data_bytes as f64)) ")"
            }
            ". " (who_is_told(visit))
        }
    }
}

fn read(visit: &Visit, files: usize) -> String {
    let machine = visit.targets.iter().any(|target| target.job == "node");
    let every = format!("this machine every {}", duration::spoken(machine::every(visit)));
    let files = words::growing(files, "log file");
    match (machine, files.starts_with('0')) {
        (true, false) => format!("Skopos reads {every} and {files}"),
        (true, true) => format!("Skopos reads {every}"),
        (false, false) => format!("Skopos reads {files}"),
        (false, true) => "Skopos has not read anything yet".to_owned(),
    }
}

fn watched(visit: &Visit) -> String {
    let rules = visit.alert_rules().count();
    let (firing, pending) = (
        visit.standing(AlertState::Firing).len(),
        visit.standing(AlertState::Pending).len(),
    );
    let watch = if rules == 1 { "is watching" } else { "are watching" };
    let counts = match (firing, pending) {
        (0, 0) if rules == 1 => "it is not true".to_owned(),
        (0, 0) => "none is true".to_owned(),
        (0, pending) => format!("{} pending", words::count(pending, "alert")),
        (firing, 0) => format!("{} firing", words::count(firing, "alert")),
        (firing, pending) => format!("{} firing and {pending} pending", words::count(firing, "alert")),
    };
    if rules == 0 {
        return "No alert rule is loaded.".to_owned();
    }
    let joint = if firing + pending == 0 { " and " } else { ": " };
    format!("{} {watch}{joint}{counts}.", words::count(rules, "rule"))
}

fn who_is_told(visit: &Visit) -> String {
    let telling = &visit.telling;
    if telling.receivers.is_empty() {
        return "Nobody is told yet: alerts appear here and in its own log.".to_owned();
    }
    let receivers = words::list(&telling.receivers);
    let verb = if telling.receivers.len() == 1 { "is" } else { "are" };
    match telling.failing.first() {
        Some((receiver, error)) => {
            format!("{receivers} {verb} told, but {receiver} does not take messages: {error}.")
        }
        None if telling.waiting > 0 => {
            format!(
                "{receivers} {verb} told; {} waiting.",
                words::count(telling.waiting, "message")
            )
        }
        None => format!("{receivers} {verb} told."),
    }
}

pub(super) fn fresh(visit: &Visit) -> Markup {
    if visit.uptime().as_secs() < 3600 {
        return html! { "started " (visit.wall.second(visit.own.started)) };
    }
    let last = visit.rules.iter().filter_map(|group| group.last_evaluation).max();
    html! {
        @match last {
            Some(last) => { "checked " (visit.wall.second(last)) ", up " (duration::spoken(visit.uptime())) },
            None => { "up " (duration::spoken(visit.uptime())) },
        }
    }
}

fn rules(visit: &Visit) -> Markup {
    let watching = watching::nearest(visit.alert_rules());
    let shown = watching
        .get(..watching.len().min(RULES_SHOWN))
        .unwrap_or_default();
    let remark = html! {
        @if shown.len() < watching.len() { (shown.len()) " of " (watching.len()) ", " }
        "nearest to firing first"
    };
    let body = if shown.is_empty() {
        empty(
            "No alert rule is loaded: name files under rule_files, or start without a configuration to get the shipped ones.",
        )
    } else {
        watching::table(shown)
    };
    let all = html! { a href="/rules" { "all rules" } };
    section("rules", "Rules that are watching", &remark, &all, &body)
}

//! `/checks`: what `skopos doctor` says, room by room, the gravest first.

use maud::{Markup, html};
use model::view::{Checkup, Health, Verdict};

use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::{shape, status, words};

pub(super) fn view(visit: &Visit, looked: &Result<Vec<Checkup>, String>) -> Sheet {
    let none = Vec::new();
    let checks = looked.as_ref().unwrap_or(&none);
    let (health, sentence) = match looked {
        Ok(checks) => sentence(checks),
        Err(why) => (Health::Unknown, format!("Nobody could look: {why}")),
    };
    let more = html! {
        p {
            "The same as " code { "skopos doctor" } "; with " code { "--live" } " it also asks the receivers. "
            a href="/self" data-keys="u" { "What Skopos itself uses" } "."
        }
    };
    let fresh = html! { "looked at " (visit.wall.second(visit.now)) };
    let main = html! {
        (status::line(health, &status::fit(sentence), &more, &fresh))
        @if checks.is_empty() { (empty("No room has a check here.")) }
        @for room in rooms(checks) { (of_room(room, checks)) }
    };
    Sheet {
        title: "Checks".to_owned(),
        keys: vec![("u", "up to Skopos itself"), ("g g", "the house")],
        ..Sheet::new(Place::Own, main)
    }
}

fn sentence(checks: &[Checkup]) -> (Health, String) {
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (fails, warns, fine) = (count(Verdict::Fail), count(Verdict::Warn), count(Verdict::Ok));
    let worst = |verdict| checks.iter().find(|check| check.verdict == verdict);
    match (worst(Verdict::Fail), worst(Verdict::Warn)) {
        (Some(worst), _) if fails == 1 => (Health::Bad, format!("{}: {}", worst.name, worst.seen)),
        (Some(_), _) => (Health::Bad, format!("{} fail", words::count(fails, "check"))),
        (None, Some(worst)) if warns == 1 => (Health::Pending, format!("{}: {}", worst.name, worst.seen)),
        (None, Some(_)) => (
            Health::Pending,
            format!("{} should be looked at", words::count(warns, "check")),
        ),
        (None, None) if fine == 0 => (Health::Unknown, "There is nothing to check here".to_owned()),
        (None, None) => (
            Health::Good,
            format!("Skopos has what it needs, by {}", words::count(fine, "check")),
        ),
    }
}

/// Those with the gravest check first, else in the order in which they come.
fn rooms(checks: &[Checkup]) -> Vec<&str> {
    let mut rooms: Vec<(&str, Verdict)> = Vec::new();
    for check in checks {
        match rooms.iter_mut().find(|(room, _)| *room == check.room) {
            Some((_, worst)) => *worst = check.verdict.max(*worst),
            None => rooms.push((&check.room, check.verdict)),
        }
    }
    let is_grave = |verdict: Verdict| verdict.max(Verdict::Ok);
    rooms.sort_by_key(|(_, worst)| std::cmp::Reverse(is_grave(*worst)));
    rooms.into_iter().map(|(room, _)| room).collect()
}

fn of_room(room: &str, checks: &[Checkup]) -> Markup {
    let mut own: Vec<&Checkup> = checks.iter().filter(|check| check.room == room).collect();
    own.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    let body = html! { ul.panel.list { @for check in &own { (row(check)) } } };
    let id = format!("room-{room}");
    section(
        &id,
        room,
        &html! { (words::count(own.len(), "check")) },
        &html! {},
        &body,
    )
}

fn row(check: &Checkup) -> Markup {
    html! {
        li data-row data-event[check.verdict >= Verdict::Warn] {
            (shape::works(health(check.verdict)))
            div {
                p { b { (check.name) } " " (words::clean(&check.seen)) }
                @for finding in &check.findings { p.small { (words::clean(finding)) } }
                @if check.more > 0 { p.small { "and " (check.more) " more" } }
                @if !check.advice.is_empty() { p.small { "→ " (words::clean(&check.advice)) } }
            }
            @if check.verdict != Verdict::Ok { span.due { (check.verdict.word()) } }
        }
    }
}

fn health(verdict: Verdict) -> Health {
    match verdict {
        Verdict::Off => Health::Unknown,
        Verdict::Ok => Health::Good,
        Verdict::Warn => Health::Pending,
        Verdict::Fail => Health::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_comes_first_and_is_said_where_it_is_alone() {
        let fine = Checkup::ok("store", "disk", "there is room");
        let warns = Checkup::warn("logs", "lines lost", "3 lines were lost");
        let fails = Checkup::fail("notifier", "receivers", "slack does not take messages");
        let off = Checkup::off("pair", "peer", "there is no other replica");
        let all = [off.clone(), fine.clone(), warns.clone(), fails.clone()];
        assert_eq!(rooms(&all), ["notifier", "logs", "pair", "store"]);
        let said = |checks: &[Checkup]| sentence(checks);
        assert_eq!(
            said(&all),
            (Health::Bad, "receivers: slack does not take messages".to_owned())
        );
        assert_eq!(
            said(&[fails.clone(), fails]),
            (Health::Bad, "2 checks fail".to_owned())
        );
        assert_eq!(said(&[fine.clone(), warns]).0, Health::Pending);
        assert_eq!(
            said(&[fine, off.clone()]),
            (Health::Good, "Skopos has what it needs, by 1 check".to_owned())
        );
        assert_eq!(said(&[off]).0, Health::Unknown);
    }
}

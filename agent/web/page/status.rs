//! The sentence every visit begins with: whether anything is wrong, what, and since when.

use std::time::Duration;

use maud::{Markup, html};
use model::text::duration;
use model::view::Health;
use model::{AlertState, Timestamp};

use super::visit::{Standing, Visit};
use super::when::Wall;
use super::{pair, shape, words};

/// A sentence longer than this is not read at a glance.
const LETTERS_MAX: usize = 90;
/// A process younger than this cannot say much about the machine.
const YOUNG: Duration = Duration::from_secs(3600);

/// The facts behind the sentence.
pub(super) struct Facts<'a> {
    pub(super) name: &'a str,
    pub(super) ready: Result<(), String>,
    /// The oldest first.
    pub(super) firing: Vec<Standing<'a>>,
    pub(super) pending: Vec<Standing<'a>>,
    pub(super) rules: usize,
    /// Rules whose last evaluation failed.
    pub(super) broken: usize,
    /// What is not as it should be between processes, the gravest first.
    pub(super) doubts: Vec<String>,
    /// Targets that do not answer.
    pub(super) down: Vec<&'a str>,
    pub(super) uptime: Duration,
    /// The last alert that ended, and when.
    pub(super) resolved: Option<(&'a str, Timestamp)>,
}

pub(super) fn facts(visit: &Visit) -> Facts<'_> {
    let resolved = visit.standing(AlertState::Resolved);
    let bad = visit.targets.iter().filter(|target| target.health == Health::Bad);
    Facts {
        name: visit.name(),
        ready: (visit.rooms.ready)(),
        firing: visit.standing(AlertState::Firing),
        pending: visit.standing(AlertState::Pending),
        rules: visit.alert_rules().count(),
        broken: visit.all_rules().filter(|(_, rule)| rule.health == "err").count(),
        doubts: pair::doubts(visit),
        down: bad.map(|target| target.job.as_str()).collect(),
        uptime: visit.uptime(),
        resolved: resolved
            .last()
            .map(|last| (last.rule.name.as_str(), last.since())),
    }
}

/// At most 90 letters: what, since when, where.
pub(super) fn sentence(facts: &Facts<'_>, wall: &Wall) -> (Health, String) {
    let name = facts.name;
    if let (Err(why), true) = (&facts.ready, facts.firing.is_empty()) {
        return (
            Health::Unknown,
            fit(format!("Skopos on {name} is not ready: {why}")),
        );
    }
    match (facts.firing.as_slice(), facts.pending.as_slice()) {
        ([], []) => calm(facts, wall),
        ([], [first, rest @ ..]) => {
            let what = &first.rule.name;
            let due = words::due(first.rule, first.alert, wall);
            let others = if rest.is_empty() {
                String::new()
            } else {
                format!(", and {} more wait", rest.len())
            };
            (
                Health::Pending,
                fit(format!("Nothing fires yet; {what} will {due}{others}")),
            )
        }
        ([only], _) => {
            let (what, since) = (&only.rule.name, wall.minute(only.since()));
            let plain = format!("{what} is firing since {since}");
            let placed = words::place(&only.alert.labels)
                .map(|place| format!("{what} is firing for {place} since {since}"));
            (
                Health::Bad,
                placed.filter(|placed| fits(placed)).unwrap_or_else(|| fit(plain)),
            )
        }
        ([first, rest @ ..], _) => {
            let (what, since, all) = (&first.rule.name, wall.minute(first.since()), rest.len() + 1);
            let same = rest.iter().all(|other| other.rule.name == *what);
            let text = if same {
                format!("{what} is firing since {since}, in {all} places")
            } else {
                format!("{all} alerts are firing, first {what} since {since}")
            };
            (Health::Bad, fit(text))
        }
    }
}

fn calm(facts: &Facts<'_>, wall: &Wall) -> (Health, String) {
    let name = facts.name;
    if facts.rules == 0 {
        return (
            Health::Unknown,
            fit(format!("Nobody watches {name}: no alert rule is loaded")),
        );
    }
    if facts.broken > 0 {
        let rules = words::count(facts.broken, "rule");
        return (
            Health::Pending,
            fit(format!(
                "Nothing fires on {name}, but {rules} cannot be evaluated"
            )),
        );
    }
    if let Some(doubt) = facts.doubts.first() {
        return (
            Health::Pending,
            fit(format!("Nothing fires on {name}, but {doubt}")),
        );
    }
    if let [only] = facts.down.as_slice() {
        return (
            Health::Pending,
            fit(format!("Nothing fires on {name}, but {only} does not answer")),
        );
    }
    if !facts.down.is_empty() {
        let targets = words::count(facts.down.len(), "target");
        return (
            Health::Pending,
            fit(format!("Nothing fires on {name}, but {targets} do not answer")),
        );
    }
    let text = match facts.resolved {
        Some((what, at)) => format!(
            "Nothing is wrong on {name} since {what} ended at {}",
            wall.minute(at)
        ),
        None if facts.uptime < YOUNG => {
            format!(
                "Nothing is wrong on {name}, as far as {} can tell",
                long(facts.uptime)
            )
        }
        None => format!(
            "Nothing has been wrong on {name} for {}",
            duration::spoken(facts.uptime)
        ),
    };
    (Health::Good, fit(text))
}

fn short_state(facts: &Facts<'_>, wall: &Wall) -> (Health, String) {
    let (health, _) = sentence(facts, wall);
    let text = match (facts.firing.len(), facts.pending.len()) {
        (0, 0) if health == Health::Good => "nothing is wrong".to_owned(),
        (0, 0) if health == Health::Pending => "in doubt".to_owned(),
        (0, 0) => "not watching".to_owned(),
        (0, pending) => format!("{pending} pending"),
        (firing, _) => format!("{firing} firing"),
    };
    (health, text)
}

pub(super) fn fit(text: String) -> String {
    if fits(&text) {
        return text;
    }
    let (head, _) = words::cut(&text, LETTERS_MAX - 1);
    format!("{}…", head.trim_end())
}

/// `48 seconds`, `1 minute`: spelled out, as it stands in a sentence of its own.
pub(super) fn long(time: Duration) -> String {
    let (number, word) = match time.as_secs() {
        seconds @ 0..=119 => (seconds, "second"),
        seconds @ 120..=7199 => (seconds / 60, "minute"),
        seconds => (seconds / 3600, "hour"),
    };
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn fits(text: &str) -> bool {
    text.chars().count() <= LETTERS_MAX
}

/// The status line as it is drawn: shape, sentence, more below, freshness at the right.
pub(super) fn line(health: Health, sentence: &str, more: &Markup, fresh: &Markup) -> Markup {
    html! {
        div.status {
            (shape::health(health))
            div.answer {
                h1 { (sentence) }
                div.more { (more) }
            }
            p.fresh data-fresh { (fresh) }
        }
    }
}

/// For the document's title: `1 firing`, `nothing is wrong`.
pub(super) fn short(visit: &Visit) -> (Health, String) {
    short_state(&facts(visit), &visit.wall)
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;

//! `/changes`: what has changed in the cluster, newest first; and the letters by which graphs name a change.
//!
//! A letter is the same on every graph of a view: the newest change of the view has the last of them.

use std::time::Duration;

use maud::{Markup, html};
use model::view::Health;
use model::{Change, ChangeKind};

use super::frame::{Place, Sheet, empty, section};
use super::visit::Visit;
use super::when::{Range, Wall};
use super::{status, words};

/// Changes are kept for so long.
const KEPT: Duration = Duration::from_hours(24);
/// Changes that are listed; older ones are found in a narrower time.
const ROWS_MAX: usize = 200;
/// There are no more letters.
const LETTERS: [char; 26] = [
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u',
    'v', 'w', 'x', 'y', 'z',
];

/// A change with the letter that graphs of the same view have for it.
pub(super) struct Lettered {
    pub(super) letter: Option<char>,
    pub(super) change: Change,
}

pub(super) fn view(visit: &Visit) -> Sheet {
    let range = visit.range(KEPT);
    let is_watched = visit
        .rooms
        .objects
        .as_ref()
        .is_some_and(|objects| objects.changes.is_some());
    let changes = within(visit, &range, |_| true);
    let (health, sentence) = match is_watched {
        true => sentence(&visit.wall, &range, &changes),
        false => (Health::Unknown, "Nobody looks for changes here".to_owned()),
    };
    let shown = changes.get(..changes.len().min(ROWS_MAX)).unwrap_or_default();
    let body = if changes.is_empty() {
        empty(&none(visit, &range, is_watched))
    } else {
        html! {
            div.panel { (list(visit, shown)) }
            @if changes.len() > shown.len() {
                p.note.small { (words::count(changes.len() - shown.len(), "older change")) " in this time: a narrower one shows them." }
            }
        }
    };
    let more = html! {
        p { "Deploys, scalings and nodes that come, go or are cordoned, as the API server tells them. They are kept for 24 hours, since Skopos started." }
    };
    let main = html! {
        (status::line(health, &sentence, &more, &html! {}))
        @if let Some(complaint) = &range.complaint { p.complaint role="alert" { (complaint) } }
        (section("changes", "What changed", &html! { "newest first" }, &html! {}, &body))
    };
    Sheet {
        title: "Changes".to_owned(),
        range: Some(range),
        keys: vec![
            ("j", "next"),
            ("[", "earlier"),
            ("]", "later"),
            ("g o", "overview"),
        ],
        ..Sheet::new(Place::Overview, main)
    }
}

fn sentence(wall: &Wall, range: &Range, changes: &[Lettered]) -> (Health, String) {
    let when = range.spoken(wall);
    let text = match changes {
        [] => format!("Nothing has changed {when}"),
        [only] => format!(
            "1 change {when}: {} at {}",
            only.change.name,
            wall.minute(only.change.time)
        ),
        [last, ..] => format!(
            "{} {when}, the last of {} at {}",
            words::count(changes.len(), "change"),
            last.change.name,
            wall.minute(last.change.time)
        ),
    };
    (Health::Good, status::fit(text))
}

/// That there is none, why, and how far that reaches.
fn none(visit: &Visit, range: &Range, is_watched: bool) -> String {
    match (is_watched, visit.rooms.objects.is_some()) {
        (_, false) => {
            "No cluster is asked here: outside of a pod kubernetes.kubeconfig names one.".to_owned()
        }
        (false, true) => "Changes are not looked for: kubernetes.changes.enabled is false.".to_owned(),
        (true, true) => format!(
            "No workload, autoscaler or node has changed {}. Skopos has looked since {}.",
            range.spoken(&visit.wall),
            visit.wall.second(visit.own.started)
        ),
    }
}

/// Newest first, of what is wanted; the newest ones have letters.
pub(super) fn within(visit: &Visit, range: &Range, wanted: impl Fn(&Change) -> bool) -> Vec<Lettered> {
    let objects = visit.rooms.objects.as_ref();
    let Some(changes) = objects.and_then(|objects| objects.changes.as_ref()) else {
        return Vec::new();
    };
    let mut all: Vec<Change> = changes(range.from)
        .into_iter()
        .filter(|change| change.time <= range.to && wanted(change))
        .collect();
    all.sort_by_key(|change| change.time);
    lettered(all)
}

/// Oldest first in, newest first out.
fn lettered(changes: Vec<Change>) -> Vec<Lettered> {
    let without = changes.len().saturating_sub(LETTERS.len());
    let letters = std::iter::repeat_n(None, without).chain(LETTERS.into_iter().map(Some));
    let mut all: Vec<Lettered> = letters
        .zip(changes)
        .map(|(letter, change)| Lettered { letter, change })
        .collect();
    all.reverse();
    all
}

pub(super) fn list(visit: &Visit, changes: &[Lettered]) -> Markup {
    html! {
        ol.changes {
            @for one in changes { (row(&visit.wall, one)) }
        }
    }
}

/// Where graphs draw them.
pub(super) fn marks(changes: &[Lettered]) -> Vec<(i64, char)> {
    changes
        .iter()
        .filter_map(|one| Some((one.change.time.millis(), one.letter?)))
        .collect()
}

fn row(wall: &Wall, one: &Lettered) -> Markup {
    let change = &one.change;
    html! {
        li data-row {
            span.letter aria-hidden="true" { @if let Some(letter) = one.letter { (letter) } }
            time datetime=(Wall::exact(change.time)) title=(wall.second(change.time)) { (wall.minute(change.time)) }
            div {
                p { b { (change.name) } " " (did(change.kind)) }
                p.small { (change.text) }
                p.small.dim { (change.object) @if !change.namespace.is_empty() { " in " (change.namespace) } }
            }
        }
    }
}

fn did(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Deploy => "deployed",
        ChangeKind::Scale => "scaled",
        ChangeKind::Autoscale => "scaled by its autoscaler",
        ChangeKind::Node => "changed",
        ChangeKind::Config => "configuration edited",
        ChangeKind::OomKill => "ran out of memory",
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn change(minute: i64) -> Change {
        Change {
            time: Timestamp(minute * 60_000),
            kind: ChangeKind::Deploy,
            object: "Deployment",
            namespace: "shop".to_owned(),
            name: format!("web-{minute}"),
            text: "image shop/web:1.2 → 1.3".to_owned(),
        }
    }

    #[test]
    fn the_newest_change_has_the_last_letter_and_the_oldest_beyond_all_letters_none() {
        let few = lettered((0..3).map(change).collect());
        let letters: Vec<Option<char>> = few.iter().map(|one| one.letter).collect();
        assert_eq!(letters, [Some('c'), Some('b'), Some('a')]);
        assert_eq!(few[0].change.name, "web-2");
        let many = lettered((0..30).map(change).collect());
        assert_eq!(
            (many[0].letter, many[25].letter, many[26].letter),
            (Some('z'), Some('a'), None)
        );
        assert_eq!(many.len(), 30);
    }
}

//! Sorting tables by an address: `?sort=name`, `?sort=-samples`. Works without JavaScript.

use std::cmp::Ordering;

use maud::{Markup, html};

use super::link;
use super::visit::Visit;

/// One column that can be sorted by.
pub(super) struct Key<T> {
    pub(super) name: &'static str,
    pub(super) word: &'static str,
    pub(super) numeric: bool,
    pub(super) compare: fn(&T, &T) -> Ordering,
}

/// Sorts as the address asks, or leaves the order it finds.
pub(super) fn sort<T>(visit: &Visit, keys: &[Key<T>], rows: &mut [T]) {
    let asked = visit.asked("sort");
    let (name, falling) = asked
        .strip_prefix('-')
        .map_or((asked, false), |name| (name, true));
    if let Some(key) = keys.iter().find(|key| key.name == name) {
        rows.sort_by(|left, right| {
            let order = (key.compare)(left, right);
            if falling { order.reverse() } else { order }
        });
    }
}

/// Heads of the sortable columns; a second click turns the order around.
pub(super) fn heads<T>(visit: &Visit, keys: &[Key<T>]) -> Markup {
    html! {
        @for key in keys {
            th.n[key.numeric] scope="col" aria-sort=[direction(visit, key.name)] {
                a href=(address(visit, key)) { (key.word) }
            }
        }
    }
}

/// The same as links, for a phone, where a table has no heads.
pub(super) fn choices<T>(visit: &Visit, keys: &[Key<T>]) -> Markup {
    html! {
        nav.sort-by aria-label="Sort by" {
            span { "Sort by" }
            @for key in keys {
                a href=(address(visit, key)) aria-current=[direction(visit, key.name).map(|_| "true")] { (key.word) }
            }
        }
    }
}

fn direction(visit: &Visit, name: &str) -> Option<&'static str> {
    match visit.asked("sort") {
        asked if asked == name => Some("ascending"),
        asked if asked.strip_prefix('-') == Some(name) => Some("descending"),
        _ => None,
    }
}

fn address<T>(visit: &Visit, key: &Key<T>) -> String {
    // Of numbers the largest is what one looks for first.
    let next = match (direction(visit, key.name), key.numeric) {
        (None, true) | (Some("ascending"), _) => format!("-{}", key.name),
        _ => key.name.to_owned(),
    };
    let mut pairs: Vec<(&str, &str)> = visit.pairs().filter(|(name, _)| *name != "sort").collect();
    pairs.push(("sort", &next));
    link::to(&visit.path, &pairs)
}

//! From matchers to the series of one block: lists are read, put together and cut with each other.
//!
//! A matcher that would have to look at more values than there are series left is put off until their labels are
//! read anyway.

use crate::error::Error;
use crate::matching::{Ready, Test};
use crate::read::index::{Index, read_list};
use crate::read::source::Window;

/// Series that may match, sorted, and what is still to be asked of their labels.
pub(crate) struct Found<'r> {
    pub(crate) ids: Vec<u32>,
    pub(crate) late: Vec<&'r Ready>,
}

pub(crate) fn find<'r>(index: &Index, ready: &'r [Ready]) -> Result<Found<'r>, Error> {
    let (named, mut rest): (Vec<&Ready>, Vec<&Ready>) = ready
        .iter()
        .filter(|ready| !is_idle(ready))
        .partition(|ready| values_of(ready).is_some());
    let mut ids: Option<Vec<u32>> = None;
    for ready in named {
        let list = named_list(index, ready)?;
        cut(&mut ids, list);
        if ids.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
    }
    // Those that want their label to be there come first: they make the list shorter, or the first list.
    rest.sort_by_key(|ready| ready.accepts(""));
    let mut late = Vec::new();
    for ready in rest {
        let few = |ids: &Vec<u32>| ids.len() <= index.value_count(&ready.name) as usize;
        if ids.as_ref().is_some_and(few) {
            late.push(ready);
        } else if ready.accepts("") {
            let refused = lists(index, ready, false)?;
            let mut left = match ids.take() {
                Some(ids) => ids,
                None => index.all()?,
            };
            subtract(&mut left, &refused);
            ids = Some(left);
        } else {
            let accepted = lists(index, ready, true)?;
            cut(&mut ids, accepted);
        }
    }
    let ids = match ids {
        Some(ids) => ids,
        None => index.all()?,
    };
    Ok(Found { ids, late })
}

/// Accepts whatever comes.
fn is_idle(ready: &Ready) -> bool {
    matches!(ready.test, Test::Anything) && !ready.negated
}

/// The values a matcher names outright, none of them empty.
fn values_of(ready: &Ready) -> Option<&[Box<str>]> {
    match &ready.test {
        Test::OneOf(values) if !ready.negated && values.iter().all(|value| !value.is_empty()) => Some(values),
        _ => None,
    }
}

fn named_list(index: &Index, ready: &Ready) -> Result<Vec<u32>, Error> {
    let mut places = Vec::new();
    for value in values_of(ready).unwrap_or_default() {
        places.extend(index.place(&ready.name, value)?);
    }
    join(index, places)
}

/// Series with a value that the matcher accepts, or with one that it refuses.
fn lists(index: &Index, ready: &Ready, accepted: bool) -> Result<Vec<u32>, Error> {
    let mut places = Vec::new();
    index.each_value(&ready.name, "", |value, place| {
        if ready.accepts(value) == accepted {
            places.push(place);
        }
        true
    })?;
    join(index, places)
}

fn join(index: &Index, mut places: Vec<u64>) -> Result<Vec<u32>, Error> {
    let mut window = Window::new(&index.source);
    let mut ids = Vec::new();
    places.sort_unstable();
    places.dedup();
    for place in places {
        read_list(&mut window, place, &mut ids)?;
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn cut(ids: &mut Option<Vec<u32>>, list: Vec<u32>) {
    match ids {
        None => *ids = Some(list),
        Some(ids) => intersect(ids, &list),
    }
}

fn intersect(ids: &mut Vec<u32>, list: &[u32]) {
    let mut left = list;
    ids.retain(|id| reaches(&mut left, *id));
}

fn subtract(ids: &mut Vec<u32>, gone: &[u32]) {
    let mut left = gone;
    ids.retain(|id| !reaches(&mut left, *id));
}

/// Walks a sorted list along with rising questions, in leaps where it is much the longer.
fn reaches(left: &mut &[u32], id: u32) -> bool {
    let mut leap = 1;
    while left.get(leap).is_some_and(|known| *known < id) {
        leap *= 2;
    }
    let near = left.get(..=leap).unwrap_or(left);
    let skip = near.partition_point(|known| *known < id);
    *left = left.get(skip..).unwrap_or_default();
    left.first() == Some(&id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_and_thinned() {
        let mut ids = vec![1, 3, 5, 7, 900];
        intersect(&mut ids, &(0..2000).filter(|id| id % 3 == 0).collect::<Vec<_>>());
        assert_eq!(ids, [3, 900]);
        subtract(&mut ids, &[0, 1, 2, 900, 901]);
        assert_eq!(ids, [3]);
        intersect(&mut ids, &[]);
        assert!(ids.is_empty());
    }
}

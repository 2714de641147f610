//! From matchers to series by postings: lists are put together and cut with each other, shortest first.

use blocks::matching::{Ready, Test};

use crate::lean::Lean;
use crate::postings::Postings;

/// Series and their pairs, and for each pair its series.
#[derive(Clone, Copy)]
struct Indexed<'a> {
    postings: &'a Postings,
    lean: &'a Lean,
}

impl<'a> Indexed<'a> {
    fn posting(self, name: &str, value: &str) -> &'a [u32] {
        let pair = self.lean.pairs().find(name, value);
        pair.map(|pair| self.postings.list(pair)).unwrap_or_default()
    }

    /// The values of a label whose acceptance is as `wanted`, as their series.
    fn accepted(self, ready: &Ready, wanted: bool) -> Vec<u32> {
        let pairs = self.postings.pairs(&ready.name).iter();
        let chosen = pairs.filter(|pair| {
            let value = self.lean.pairs().get(**pair).map(|(_, value)| value);
            value.is_some_and(|value| ready.accepts(value) == wanted)
        });
        join(chosen.map(|pair| self.postings.list(*pair)))
    }
}

/// Numbers of the series that match, sorted.
pub(crate) fn ids(postings: &Postings, lean: &Lean, ready: &[Ready]) -> Vec<u32> {
    let index = Indexed { postings, lean };
    let (direct, mut rest): (Vec<&Ready>, Vec<&Ready>) =
        ready.iter().partition(|ready| values_of(ready).is_some());
    let mut lists: Vec<List<'_>> = direct.iter().filter_map(|ready| List::of(index, ready)).collect();
    lists.sort_by_key(List::len);
    let mut lists = lists.into_iter();
    let mut ids = match lists.next() {
        Some(list) => list.into_vec(),
        None => start(index, &mut rest),
    };
    for list in lists {
        intersect(&mut ids, &list);
    }
    for ready in rest {
        narrow(index, ready, &mut ids);
    }
    ids
}

/// The values a matcher names outright, none of them empty.
fn values_of(ready: &Ready) -> Option<&[Box<str>]> {
    match &ready.test {
        Test::OneOf(values) if !ready.negated && values.iter().all(|value| !value.is_empty()) => Some(values),
        _ => None,
    }
}

enum List<'a> {
    Kept(&'a [u32]),
    Joined(Vec<u32>),
}

impl<'a> List<'a> {
    fn of(index: Indexed<'a>, ready: &Ready) -> Option<Self> {
        let values = values_of(ready)?;
        if let [value] = values {
            return Some(Self::Kept(index.posting(&ready.name, value)));
        }
        Some(Self::Joined(join(
            values.iter().map(|value| index.posting(&ready.name, value)),
        )))
    }

    fn slice(&self) -> &[u32] {
        match self {
            Self::Kept(ids) => ids,
            Self::Joined(ids) => ids,
        }
    }

    fn len(&self) -> usize {
        self.slice().len()
    }

    fn into_vec(self) -> Vec<u32> {
        match self {
            Self::Kept(ids) => ids.to_vec(),
            Self::Joined(ids) => ids,
        }
    }
}

/// Series that have any of some values of one label; each has one value, so that no number comes twice.
fn join<'a>(postings: impl Iterator<Item = &'a [u32]>) -> Vec<u32> {
    let mut ids: Vec<u32> = postings.flatten().copied().collect();
    ids.sort_unstable();
    ids
}

/// Where no matcher names values: those of the first that wants its label to be there, else everything.
fn start(index: Indexed<'_>, rest: &mut Vec<&Ready>) -> Vec<u32> {
    let Some(at) = rest.iter().position(|ready| !ready.accepts("")) else {
        return index.lean.all().collect();
    };
    let ready = rest.remove(at);
    index.accepted(ready, true)
}

/// Leaves the ids that a matcher accepts, by whichever is fewer: their own values or all values of the label.
fn narrow(index: Indexed<'_>, ready: &Ready, ids: &mut Vec<u32>) {
    if index.postings.pairs(&ready.name).len() >= ids.len() {
        ids.retain(|id| ready.accepts(index.lean.value(*id, &ready.name)));
    } else if ready.accepts("") {
        let refused = index.accepted(ready, false);
        subtract(ids, &refused);
    } else {
        let kept = List::Joined(index.accepted(ready, true));
        intersect(ids, &kept);
    }
}

fn intersect(ids: &mut Vec<u32>, list: &List<'_>) {
    let mut walk = Walk { left: list.slice() };
    ids.retain(|id| walk.reaches(*id));
}

fn subtract(ids: &mut Vec<u32>, gone: &[u32]) {
    let mut walk = Walk { left: gone };
    ids.retain(|id| !walk.reaches(*id));
}

/// Walks a sorted list along with rising questions, in leaps where it is much the longer.
struct Walk<'a> {
    left: &'a [u32],
}

impl Walk<'_> {
    fn reaches(&mut self, id: u32) -> bool {
        let mut leap = 1;
        while self.left.get(leap).is_some_and(|known| *known < id) {
            leap *= 2;
        }
        let near = self.left.get(..=leap).unwrap_or(self.left);
        let skip = near.partition_point(|known| *known < id);
        self.left = self.left.get(skip..).unwrap_or_default();
        self.left.first() == Some(&id)
    }
}

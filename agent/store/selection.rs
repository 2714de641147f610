//! From matchers to series, by the index; remembered while the index stays as it is.
//!
//! Rules and pages ask the same few questions again and again; between two changes of the index the answer is
//! the same list, already sorted by labels.

use std::sync::Arc;

use hashbrown::HashMap;
use model::{Labels, Matcher, SelectError, SeriesRef};
use parking_lot::{Mutex, RwLock};

use crate::index::{Index, Values};
use crate::matching::{Ready, Test};

/// Questions remembered at a time, and series in all of their answers.
const QUESTIONS_MAX: usize = 256;
const PICKS_MAX: usize = 1 << 18;

#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) labels: Labels,
    pub(crate) series: SeriesRef,
}

#[derive(Debug, Default)]
pub(crate) struct Selections {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    answers: HashMap<Box<[Matcher]>, Answer>,
    picks: usize,
    /// Counts questions, to find the one not asked for longest.
    turn: u64,
}

#[derive(Debug)]
struct Answer {
    ready: Arc<[Ready]>,
    generation: u64,
    picks: Arc<[Pick]>,
    turn: u64,
}

impl Selections {
    /// Series that match, sorted by labels and then by ref.
    pub(crate) fn pick(
        &self,
        index: &RwLock<Index>,
        matchers: &[Matcher],
    ) -> Result<Arc<[Pick]>, SelectError> {
        let ready = self.known.lock().ready(matchers);
        let ready = match ready {
            Some(ready) => ready,
            None => matchers.iter().map(Ready::new).collect::<Result<_, _>>()?,
        };
        let (generation, mut picks) = {
            let index = index.read();
            if let Some(picks) = self.known.lock().picks(matchers, index.generation) {
                return Ok(picks);
            }
            (index.generation, collect(&index, &ready))
        };
        picks.sort_unstable_by(|a, b| a.labels.cmp(&b.labels).then(a.series.cmp(&b.series)));
        let picks: Arc<[Pick]> = picks.into();
        self.known
            .lock()
            .remember(matchers, ready, generation, picks.clone());
        Ok(picks)
    }
}

impl Known {
    fn ready(&mut self, matchers: &[Matcher]) -> Option<Arc<[Ready]>> {
        self.turn += 1;
        let answer = self.answers.get_mut(matchers)?;
        answer.turn = self.turn;
        Some(answer.ready.clone())
    }

    fn picks(&self, matchers: &[Matcher], generation: u64) -> Option<Arc<[Pick]>> {
        let answer = self.answers.get(matchers)?;
        (answer.generation == generation).then(|| answer.picks.clone())
    }

    fn remember(&mut self, matchers: &[Matcher], ready: Arc<[Ready]>, generation: u64, picks: Arc<[Pick]>) {
        self.forget(matchers);
        if picks.len() > PICKS_MAX {
            return;
        }
        while self.answers.len() >= QUESTIONS_MAX || self.picks + picks.len() > PICKS_MAX {
            let oldest = self.answers.iter().min_by_key(|(_, answer)| answer.turn);
            let Some(oldest) = oldest.map(|(matchers, _)| matchers.clone()) else {
                break;
            };
            self.forget(&oldest);
        }
        self.picks += picks.len();
        self.answers.insert(
            matchers.into(),
            Answer {
                ready,
                generation,
                picks,
                turn: self.turn,
            },
        );
    }

    fn forget(&mut self, matchers: &[Matcher]) {
        if let Some(answer) = self.answers.remove(matchers) {
            self.picks -= answer.picks.len();
        }
    }
}

fn collect(index: &Index, ready: &[Ready]) -> Vec<Pick> {
    let pick = |id: u32| {
        let entry = index.entry(id)?;
        Some(Pick {
            labels: entry.labels.clone(),
            series: entry.series,
        })
    };
    ids(index, ready).into_iter().filter_map(pick).collect()
}

/// Numbers of the series that match, sorted.
fn ids(index: &Index, ready: &[Ready]) -> Vec<u32> {
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
    fn of(index: &'a Index, ready: &Ready) -> Option<Self> {
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
fn start(index: &Index, rest: &mut Vec<&Ready>) -> Vec<u32> {
    let Some(at) = rest.iter().position(|ready| !ready.accepts("")) else {
        return index.all().collect();
    };
    let ready = rest.remove(at);
    index
        .values(&ready.name)
        .map(|values| accepted(values, ready, true))
        .unwrap_or_default()
}

fn accepted(values: &Values, ready: &Ready, wanted: bool) -> Vec<u32> {
    let chosen = values.iter().filter(|(value, _)| ready.accepts(value) == wanted);
    join(chosen.map(|(_, posting)| posting.as_slice()))
}

/// Leaves the ids that a matcher accepts, by whichever is fewer: their own values or all values of the label.
fn narrow(index: &Index, ready: &Ready, ids: &mut Vec<u32>) {
    let none = Values::default();
    let values = index.values(&ready.name).unwrap_or(&none);
    if values.len() >= ids.len() {
        ids.retain(|id| {
            index
                .entry(*id)
                .is_some_and(|entry| ready.accepts(entry.labels.value(&ready.name)))
        });
    } else if ready.accepts("") {
        let refused = accepted(values, ready, false);
        subtract(ids, &refused);
    } else {
        let kept = List::Joined(accepted(values, ready, true));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use model::{MatchOp, TargetRef};
    use proptest::prelude::*;

    fn matcher() -> impl Strategy<Value = Matcher> {
        let name = prop::sample::select(vec!["__name__", "a", "b", "never"]);
        let op = prop::sample::select(vec![
            MatchOp::Equal,
            MatchOp::NotEqual,
            MatchOp::Matches,
            MatchOp::NotMatches,
        ]);
        let value = prop::sample::select(vec![
            "", "x", "y", ".*", ".+", "x|y", "x|", "(x|z)", "[xy]", "x?", "y.*",
        ]);
        (name, op, value).prop_map(|(name, op, value)| Matcher::new(name, op, value))
    }

    /// Label sets by the value of each label; 0 is none.
    fn sets() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
        prop::collection::vec((1..4_usize, 0..5_usize, 0..5_usize), 0..40)
    }

    proptest! {
        #[test]
        fn the_index_finds_what_asking_each_series_finds(
            sets in sets(),
            gone in prop::collection::vec(0..40_u32, 0..10),
            matchers in prop::collection::vec(matcher(), 0..4),
        ) {
            let text = ["", "x", "y", "z", "yy"];
            let mut index = Index::default();
            let mut all: Vec<(u32, Labels)> = Vec::new();
            for (slot, (name, a, b)) in (0..).zip(&sets) {
                let labels = Labels::from_pairs([("__name__", text[*name]), ("a", text[*a]), ("b", text[*b])]);
                all.push((index.next(), labels.clone()));
                index.insert(labels, reference::make(TargetRef(0), 0, slot));
            }
            index.remove(&gone);
            all.retain(|(id, _)| !gone.contains(id));
            let ready: Vec<Ready> = matchers.iter().map(|m| Ready::new(m).expect("compiles")).collect();
            let wanted: Vec<u32> = all
                .iter()
                .filter(|(_, labels)| ready.iter().all(|ready| ready.accepts(labels.value(&ready.name))))
                .map(|(id, _)| *id)
                .collect();
            prop_assert_eq!(ids(&index, &ready), wanted);
        }
    }
}

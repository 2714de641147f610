//! Which series there are, by their labels.
//!
//! Series have small numbers, used again when a series is forgotten. A series belongs to one target: the same
//! labels from another target are another entry, and readers join the two. A store with history answers from
//! postings; one of last values is asked seldom and must be small, so that it looks at every series instead.

use blocks::matching::Ready;
use model::{Labels, SeriesRef, TargetRef};

use crate::config::History;
use crate::finding;
use crate::lean::Lean;
use crate::postings::Postings;
use crate::selection::Pick;

#[derive(Debug)]
pub(crate) struct Index {
    kept: Kept,
    /// Changes whenever a series comes or goes.
    pub(crate) generation: u64,
}

#[derive(Debug)]
enum Kept {
    Whole(Postings),
    Lean(Lean),
}

/// What the index says to a label set that a target asks for.
pub(crate) struct Found {
    /// The target's own series with these labels.
    pub(crate) own: Option<SeriesRef>,
    /// Whether other targets have series with these labels.
    pub(crate) shared: bool,
}

impl Index {
    pub(crate) fn new(history: History) -> Self {
        let kept = match history {
            History::Full => Kept::Whole(Postings::default()),
            History::None => Kept::Lean(Lean::default()),
        };
        Self { kept, generation: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.kept {
            Kept::Whole(index) => index.len(),
            Kept::Lean(index) => index.len(),
        }
    }

    pub(crate) fn find(&self, labels: &Labels, target: TargetRef) -> Found {
        match &self.kept {
            Kept::Whole(index) => index.find(labels, target),
            Kept::Lean(index) => index.find(labels, target),
        }
    }

    /// A series by its number.
    pub(crate) fn pick(&self, id: u32) -> Option<Pick> {
        match &self.kept {
            Kept::Whole(index) => index.entry(id).map(|entry| Pick {
                labels: entry.labels.clone(),
                series: entry.series,
                repeats: false,
            }),
            Kept::Lean(index) => index.pick(id),
        }
    }

    /// The metric of a series.
    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        match &self.kept {
            Kept::Whole(index) => index.entry(id).map(|entry| entry.labels.name()),
            Kept::Lean(index) => index.name(id),
        }
    }

    /// Numbers of the series that match, sorted.
    pub(crate) fn ids(&self, ready: &[Ready]) -> Vec<u32> {
        match &self.kept {
            Kept::Whole(index) => finding::ids(index, ready),
            Kept::Lean(index) => index.ids(ready),
        }
    }

    /// Calls `tell` for each pair of a label and a value there is, with how many series have it.
    pub(crate) fn each_pair(&self, tell: impl FnMut(&str, &str, u64)) {
        match &self.kept {
            Kept::Whole(index) => index.each_pair(tell),
            Kept::Lean(index) => index.each_pair(tell),
        }
    }

    /// The number that the next series will get.
    pub(crate) fn next(&self) -> u32 {
        match &self.kept {
            Kept::Whole(index) => index.next(),
            Kept::Lean(index) => index.next(),
        }
    }

    /// Takes a series that [`Self::find`] did not find; its number is [`Self::next`].
    pub(crate) fn insert(&mut self, labels: &Labels, series: SeriesRef) {
        self.generation += 1;
        match &mut self.kept {
            Kept::Whole(index) => index.insert(labels.clone(), series),
            Kept::Lean(index) => index.insert(labels, series),
        }
    }

    /// Forgets many at once.
    pub(crate) fn remove(&mut self, ids: &[u32]) {
        self.generation += 1;
        match &mut self.kept {
            Kept::Whole(index) => index.remove(ids),
            Kept::Lean(index) => index.remove(ids),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use model::{MatchOp, Matcher};
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

    fn labels((name, a, b): (usize, usize, usize)) -> Labels {
        let text = ["", "x", "y", "z", "yy"];
        Labels::from_pairs([("__name__", text[name]), ("a", text[a]), ("b", text[b])])
    }

    proptest! {
        #[test]
        fn the_index_finds_what_asking_each_series_finds(
            before in sets(),
            gone in prop::collection::vec(0..40_u32, 0..10),
            after in sets(),
            matchers in prop::collection::vec(matcher(), 0..4),
        ) {
            for history in [History::Full, History::None] {
                let mut index = Index::new(history);
                let mut all: Vec<(u32, Labels, SeriesRef)> = Vec::new();
                let mut slots = 0..;
                let mut insert = |index: &mut Index, all: &mut Vec<_>, set| {
                    let (id, labels) = (index.next(), labels(set));
                    let series = reference::make(TargetRef(0), 0, slots.next().unwrap_or_default());
                    index.insert(&labels, series);
                    all.push((id, labels, series));
                };
                before.iter().for_each(|set| insert(&mut index, &mut all, *set));
                index.remove(&gone);
                all.retain(|(id, ..)| !gone.contains(id));
                after.iter().for_each(|set| insert(&mut index, &mut all, *set));
                all.sort_by_key(|(id, ..)| *id);
                prop_assert_eq!(index.len(), all.len());
                for (id, labels, series) in &all {
                    let pick = index.pick(*id).expect("there");
                    prop_assert_eq!((&pick.labels, pick.series), (labels, *series));
                    prop_assert!(index.find(labels, TargetRef(0)).own.is_some());
                    prop_assert!(index.find(labels, TargetRef(1)).shared);
                }
                let ready: Vec<Ready> = matchers.iter().map(|m| Ready::new(m).expect("compiles")).collect();
                let accepted = |labels: &Labels| {
                    ready.iter().all(|ready| ready.accepts(labels.value(&ready.name)))
                };
                let wanted = all.iter().filter(|(_, labels, _)| accepted(labels));
                let wanted: Vec<u32> = wanted.map(|(id, ..)| *id).collect();
                prop_assert_eq!(index.ids(&ready), wanted);
            }
        }
    }
}

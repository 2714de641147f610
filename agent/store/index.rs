//! Which series there are, by their labels.
//!
//! Series have small numbers, used again when a series is forgotten. A series belongs to one target: the same
//! labels from another target are another entry, and readers join the two. A store with history answers from
//! postings; one of last values is asked seldom and must be small, so that it looks at every series instead.

use blocks::matching::Ready;
use hashbrown::HashMap;
use model::{Labels, SeriesRef, TargetRef};
use parking_lot::Mutex;

use crate::config::History;
use crate::finding;
use crate::lean::Lean;
use crate::picked::Pick;
use crate::postings::Postings;

#[derive(Debug)]
pub(crate) struct Index {
    lean: Lean,
    postings: Option<Postings>,
    /// Label sets that readers hold, so that all hold the same: whole, they take more than all else of a series.
    held: Mutex<HashMap<u32, Labels>>,
    /// Changes whenever a series comes or goes.
    pub(crate) generation: u64,
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
        Self {
            lean: Lean::default(),
            postings: (history == History::Full).then(Postings::default),
            held: Mutex::default(),
            generation: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lean.len()
    }

    pub(crate) fn find(&self, labels: &Labels, target: TargetRef) -> Found {
        self.lean.find(labels, target)
    }

    pub(crate) fn series(&self, id: u32) -> Option<SeriesRef> {
        self.lean.series(id)
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, id: u32) -> Option<Labels> {
        self.lean.series(id)?;
        let held = self.held.lock().get(&id).cloned();
        Some(held.unwrap_or_else(|| self.lean.labels(id)))
    }

    /// A series by its number, for who soon lets go of it.
    pub(crate) fn whole(&self, id: u32) -> Option<Pick> {
        Some(Pick {
            series: self.lean.series(id)?,
            labels: self.labels(id)?,
            id,
            repeats: false,
        })
    }

    /// A series by its number, for who remembers it.
    pub(crate) fn pick(&self, id: u32) -> Option<Pick> {
        let series = self.lean.series(id)?;
        let labels = match self.postings {
            Some(_) => {
                let mut held = self.held.lock();
                held.entry(id).or_insert_with(|| self.lean.labels(id)).clone()
            }
            None => self.lean.labels(id),
        };
        Some(Pick {
            labels,
            series,
            id,
            repeats: false,
        })
    }

    /// Lets go of label sets that nobody else holds.
    pub(crate) fn let_go(&self) {
        let mut held = self.held.lock();
        held.retain(|_, labels| labels.is_shared());
        if held.capacity() > 4 * held.len() {
            held.shrink_to_fit();
        }
    }

    /// The metric of a series.
    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        self.lean.name(id)
    }

    /// Numbers of the series that match, sorted.
    pub(crate) fn ids(&self, ready: &[Ready]) -> Vec<u32> {
        match &self.postings {
            Some(postings) => finding::ids(postings, &self.lean, ready),
            None => self.lean.ids(ready),
        }
    }

    /// All series by the first of their labels, in the order of these.
    pub(crate) fn by_first_label(&self) -> Vec<(Labels, Vec<u32>)> {
        let mut by_pair: HashMap<u32, Vec<u32>> = HashMap::new();
        for id in self.lean.all() {
            if let Some(first) = self.lean.pairs_of(id).first() {
                by_pair.entry(*first).or_default().push(id);
            }
        }
        let pairs = self.lean.pairs();
        let first = |pair: u32| Labels::from_sorted(pairs.get(pair).into_iter());
        let mut all: Vec<_> = by_pair
            .into_iter()
            .map(|(pair, ids)| (first(pair), ids))
            .collect();
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// Calls `tell` for each pair of a label and a value there is, with how many series have it.
    pub(crate) fn each_pair(&self, tell: impl FnMut(&str, &str, u64)) {
        self.lean.each_pair(tell);
    }

    /// The number that the next series will get.
    pub(crate) fn next(&self) -> u32 {
        self.lean.next()
    }

    /// Takes a series that [`Self::find`] did not find; its number is [`Self::next`].
    pub(crate) fn insert(&mut self, labels: &Labels, series: SeriesRef) {
        self.generation += 1;
        let id = self.lean.next();
        self.lean.insert(labels, series);
        if let Some(postings) = &mut self.postings {
            postings.insert(id, self.lean.pairs_of(id), self.lean.pairs());
        }
    }

    /// Forgets many at once.
    pub(crate) fn remove(&mut self, ids: &[u32]) {
        self.generation += 1;
        if let Some(postings) = &mut self.postings {
            postings.remove(ids, &self.lean);
        }
        self.lean.remove(ids);
        let held = self.held.get_mut();
        for id in ids {
            held.remove(id);
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

    #[test]
    fn a_forgotten_series_leaves_nothing_behind() {
        let labels = |text: &str| Labels::from_pairs(text.split(' ').filter_map(|pair| pair.split_once('=')));
        let mut index = Index::new(History::Full);
        let texts = ["__name__=a x=1", "__name__=a x=2", "__name__=b x=1"];
        for (text, slot) in texts.iter().zip(0..) {
            index.insert(&labels(text), reference::make(TargetRef(1), 0, slot));
        }
        let ids = |index: &Index, name: &str| {
            index.ids(&[Ready::new(&Matcher::equal("__name__", name)).expect("compiles")])
        };
        assert_eq!(ids(&index, "a"), [0, 1]);
        let held = index.pick(1).expect("there").labels;
        index.remove(&[0, 2]);
        assert_eq!((index.len(), ids(&index, "a")), (1, vec![1]));
        assert!(ids(&index, "b").is_empty());
        assert!(index.find(&labels(texts[0]), TargetRef(1)).own.is_none());
        // Its number is used again, and lists stay sorted.
        index.insert(&labels("__name__=a x=3"), reference::make(TargetRef(1), 0, 7));
        assert!(ids(&index, "a").is_sorted());
        assert_eq!(ids(&index, "a").len(), 2);
        let again = index.pick(1).expect("there").labels;
        assert_eq!(again, held);
        index.let_go();
        assert_eq!(index.held.lock().len(), 1);
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
                    prop_assert_eq!(index.labels(*id), Some(labels.clone()));
                    prop_assert!(index.find(labels, TargetRef(0)).own.is_some());
                    prop_assert!(index.find(labels, TargetRef(1)).shared);
                }
                let grouped = index.by_first_label();
                prop_assert!(grouped.is_sorted_by(|(one, _), (next, _)| one < next));
                prop_assert_eq!(grouped.iter().map(|(_, ids)| ids.len()).sum::<usize>(), all.len());
                index.let_go();
                prop_assert!(index.held.lock().is_empty());
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

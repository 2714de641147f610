//! Every series and its labels, as small as they can be.
//!
//! A series is a list of pairs' numbers; label sets are put together when somebody wants to see them. A store of last
//! values has nothing else and looks through all of it for each question: a matcher is asked once for each pair, so that
//! looking at every series costs a few comparisons each.

use std::hash::BuildHasher;

use blocks::matching::Ready;
use hashbrown::{DefaultHashBuilder, HashTable};
use model::labels::METRIC_NAME;
use model::{Labels, SeriesRef, TargetRef};

use crate::index::Found;
use crate::pairs::Pairs;
use crate::reference;
use crate::sets::{Place, Sets};
use crate::slots::push;

/// Matchers looked at in one go: a bit each.
const AT_ONCE: usize = u64::BITS as usize;

#[derive(Debug, Default)]
pub(crate) struct Lean {
    pairs: Pairs,
    /// Of each series, sorted by name.
    sets: Sets,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_pairs: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Entry {
    pairs: Place,
    series: SeriesRef,
}

/// What some matchers say to a pair or a label set.
#[derive(Clone, Copy, Default)]
struct Verdict {
    /// The label that they ask for is there.
    there: u64,
    /// And they accept it.
    accepted: u64,
}

impl Lean {
    pub(crate) fn len(&self) -> usize {
        self.by_pairs.len()
    }

    pub(crate) fn find(&self, labels: &Labels, target: TargetRef) -> Found {
        let mut found = Found {
            own: None,
            shared: false,
        };
        let pairs = labels.iter().map(|(name, value)| self.pairs.find(name, value));
        let Some(pairs) = pairs.collect::<Option<Vec<u32>>>() else {
            return found;
        };
        for id in self.by_pairs.iter_hash(self.hasher.hash_one(&*pairs)) {
            let entry = self.entry(*id);
            let Some(entry) = entry.filter(|entry| self.sets.get(entry.pairs) == pairs) else {
                continue;
            };
            if reference::target(entry.series) == target {
                found.own = Some(entry.series);
            } else {
                found.shared = true;
            }
        }
        found
    }

    pub(crate) fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// Numbers of a series' pairs, sorted by name.
    pub(crate) fn pairs_of(&self, id: u32) -> &[u32] {
        let entry = self.entry(id);
        entry.map(|entry| self.sets.get(entry.pairs)).unwrap_or_default()
    }

    pub(crate) fn series(&self, id: u32) -> Option<SeriesRef> {
        Some(self.entry(id)?.series)
    }

    pub(crate) fn labels(&self, id: u32) -> Labels {
        let pairs = self.pairs_of(id).iter();
        Labels::from_sorted(pairs.filter_map(|pair| self.pairs.get(*pair)))
    }

    /// The value of a label, or the empty string.
    pub(crate) fn value(&self, id: u32, label: &str) -> &str {
        let pairs = self.pairs_of(id).iter();
        let mut pairs = pairs.filter_map(|pair| self.pairs.get(*pair));
        let found = pairs.find(|(name, _)| *name == label);
        found.map(|(_, value)| value).unwrap_or_default()
    }

    /// Every series there is, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = u32> {
        let all = self.entries.iter().zip(0..);
        all.filter_map(|(entry, id)| entry.is_some().then_some(id))
    }

    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        self.entry(id).map(|_| self.value(id, METRIC_NAME))
    }

    pub(crate) fn ids(&self, ready: &[Ready]) -> Vec<u32> {
        let mut ids: Vec<u32> = self.all().collect();
        for ready in ready.chunks(AT_ONCE) {
            let verdicts = self.verdicts(ready);
            let wanted = u64::MAX >> (AT_ONCE - ready.len());
            let if_absent = bits(ready, |ready| ready.accepts(""));
            ids.retain(|id| {
                let pairs = self.entry(*id).map(|entry| self.sets.get(entry.pairs));
                let verdict = pairs.into_iter().flatten().fold(Verdict::default(), |sum, pair| {
                    let one = verdicts.get(*pair as usize).copied().unwrap_or_default();
                    Verdict {
                        there: sum.there | one.there,
                        accepted: sum.accepted | one.accepted,
                    }
                });
                verdict.accepted | (if_absent & !verdict.there) == wanted
            });
        }
        ids
    }

    /// By the number of the pair.
    fn verdicts(&self, ready: &[Ready]) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::default(); self.pairs.end()];
        for (id, name, value) in self.pairs.iter() {
            if let Some(verdict) = verdicts.get_mut(id) {
                verdict.there = bits(ready, |ready| *ready.name == *name);
                verdict.accepted = bits(ready, |ready| *ready.name == *name && ready.accepts(value));
            }
        }
        verdicts
    }

    pub(crate) fn each_pair(&self, mut tell: impl FnMut(&str, &str, u64)) {
        self.pairs
            .uses()
            .for_each(|(name, value, series)| tell(name, value, series));
    }

    pub(crate) fn next(&self) -> u32 {
        let end = || u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.free.last().copied().unwrap_or_else(end)
    }

    pub(crate) fn insert(&mut self, labels: &Labels, series: SeriesRef) {
        let id = self.next();
        let pairs: Vec<u32> = labels
            .iter()
            .map(|(name, value)| self.pairs.take(name, value))
            .collect();
        let hash = self.hasher.hash_one(&*pairs);
        let entry = Some(Entry {
            pairs: self.sets.add(&pairs),
            series,
        });
        if self.free.pop().is_some() {
            if let Some(empty) = self.entries.get_mut(id as usize) {
                *empty = entry;
            }
        } else {
            push(&mut self.entries, entry);
        }
        let (entries, sets, hasher) = (&self.entries, &self.sets, &self.hasher);
        let hash_of = |id: &u32| {
            let entry = entries.get(*id as usize).and_then(Option::as_ref);
            entry.map_or(0, |entry| hasher.hash_one(sets.get(entry.pairs)))
        };
        self.by_pairs.insert_unique(hash, id, hash_of);
    }

    pub(crate) fn remove(&mut self, ids: &[u32]) {
        for id in ids {
            let Some(entry) = self.entries.get_mut(*id as usize).and_then(Option::take) else {
                continue;
            };
            let pairs = self.sets.get(entry.pairs);
            let hash = self.hasher.hash_one(pairs);
            if let Ok(found) = self.by_pairs.find_entry(hash, |known| known == id) {
                found.remove();
            }
            pairs.iter().for_each(|pair| self.pairs.give_back(*pair));
            self.sets.remove(entry.pairs);
            self.free.push(*id);
        }
        self.pairs.forget_names();
    }

    fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(id as usize)?.as_ref()
    }
}

/// A bit for each matcher of which something is so.
fn bits(ready: &[Ready], is: impl Fn(&Ready) -> bool) -> u64 {
    let set = ready.iter().zip(0..).filter(|(ready, _)| is(ready));
    set.fold(0, |bits, (_, nth)| bits | 1 << nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgotten_series_leave_nothing_behind_and_their_places_are_used_again() {
        let mut lean = Lean::default();
        let labels = |turn: u32, nth: u32| {
            let value = |nth: u32| format!("{turn}/{nth}");
            Labels::from_pairs([
                ("__name__", "a".to_owned()),
                ("x", value(nth)),
                ("y", value(nth / 10)),
            ])
        };
        for turn in 0..50 {
            let ids: Vec<u32> = (0..1000)
                .map(|nth| {
                    let id = lean.next();
                    lean.insert(&labels(turn, nth), reference::make(TargetRef(1), turn, nth));
                    id
                })
                .collect();
            assert_eq!(lean.len(), 1000);
            assert!(ids.iter().all(|id| *id < 1000));
            assert!(lean.pairs.end() <= 1101, "{}", lean.pairs.end());
            lean.remove(&ids);
            assert_eq!((lean.len(), lean.pairs.iter().count()), (0, 0));
        }
        assert!(lean.sets.bytes() <= 64 << 10);
    }
}

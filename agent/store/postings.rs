//! The index of a store with history: for each label, which series have it.
//!
//! A posting is a sorted list of series' numbers. Label sets are kept whole, so that readers get them for nothing.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};
use model::{Labels, SeriesRef, TargetRef};

use crate::index::Found;
use crate::reference;

#[derive(Debug, Default)]
pub(crate) struct Postings {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_labels: HashTable<u32>,
    names: HashMap<Box<str>, Values>,
    hasher: DefaultHashBuilder,
}

/// Values of one label name, each with the series that have it.
pub(crate) type Values = HashMap<Box<str>, Vec<u32>>;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) labels: Labels,
    pub(crate) series: SeriesRef,
}

impl Postings {
    pub(crate) fn len(&self) -> usize {
        self.by_labels.len()
    }

    pub(crate) fn find(&self, labels: &Labels, target: TargetRef) -> Found {
        let mut found = Found {
            own: None,
            shared: false,
        };
        for id in self.by_labels.iter_hash(self.hasher.hash_one(labels)) {
            let Some(entry) = self.entry(*id).filter(|entry| entry.labels == *labels) else {
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

    pub(crate) fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(id as usize)?.as_ref()
    }

    /// Every series there is, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = u32> {
        self.entries
            .iter()
            .zip(0..)
            .filter_map(|(entry, id)| entry.is_some().then_some(id))
    }

    pub(crate) fn values(&self, name: &str) -> Option<&Values> {
        self.names.get(name)
    }

    pub(crate) fn each_pair(&self, mut tell: impl FnMut(&str, &str, u64)) {
        for (name, values) in &self.names {
            for (value, posting) in values {
                tell(name, value, posting.len() as u64);
            }
        }
    }

    pub(crate) fn posting(&self, name: &str, value: &str) -> &[u32] {
        let posting = self.values(name).and_then(|values| values.get(value));
        posting.map(Vec::as_slice).unwrap_or_default()
    }

    /// The number that the next series will get.
    pub(crate) fn next(&self) -> u32 {
        let end = || u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.free.last().copied().unwrap_or_else(end)
    }

    /// Takes a series that [`Self::find`] did not find; its number is [`Self::next`].
    pub(crate) fn insert(&mut self, labels: Labels, series: SeriesRef) {
        let id = self.next();
        let hash = self.hasher.hash_one(&labels);
        for (name, value) in labels.iter() {
            let posting = slot(slot(&mut self.names, name), value);
            // Mostly it is the highest number so far.
            let at = if posting.last().is_none_or(|last| *last < id) {
                posting.len()
            } else {
                posting.partition_point(|known| *known < id)
            };
            posting.insert(at, id);
        }
        let entry = Some(Entry { labels, series });
        if self.free.pop().is_some() {
            if let Some(empty) = self.entries.get_mut(id as usize) {
                *empty = entry;
            }
        } else {
            self.entries.push(entry);
        }
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_labels
            .insert_unique(hash, id, |id| hash_of(entries, hasher, *id));
    }

    /// Forgets many at once: each posting is walked once, however many of its series go.
    pub(crate) fn remove(&mut self, ids: &[u32]) {
        let mut gone: HashMap<u32, Labels> = HashMap::with_capacity(ids.len());
        for id in ids {
            let Some(entry) = self.entries.get_mut(*id as usize).and_then(Option::take) else {
                continue;
            };
            let hash = self.hasher.hash_one(&entry.labels);
            if let Ok(found) = self.by_labels.find_entry(hash, |known| known == id) {
                found.remove();
            }
            self.free.push(*id);
            gone.insert(*id, entry.labels);
        }
        if gone.is_empty() {
            return;
        }
        let pairs: HashSet<(&str, &str)> = gone.values().flat_map(Labels::iter).collect();
        for (name, value) in pairs {
            let Some(values) = self.names.get_mut(name) else {
                continue;
            };
            let Some(posting) = values.get_mut(value) else {
                continue;
            };
            posting.retain(|id| !gone.contains_key(id));
            posting.shrink_to(posting.len() * 2);
            if posting.is_empty() {
                values.remove(value);
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
    }
}

/// The value under a key, made if there is none; the key is copied only then.
fn slot<'a, V: Default>(map: &'a mut HashMap<Box<str>, V>, key: &str) -> &'a mut V {
    let hash = map.hasher().hash_one(key);
    map.raw_entry_mut()
        .from_key_hashed_nocheck(hash, key)
        .or_insert_with(|| (key.into(), V::default()))
        .1
}

fn hash_of(entries: &[Option<Entry>], hasher: &DefaultHashBuilder, id: u32) -> u64 {
    let entry = entries.get(id as usize).and_then(Option::as_ref);
    entry.map_or(0, |entry| hasher.hash_one(&entry.labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        Labels::from_pairs(text.split(' ').filter_map(|pair| pair.split_once('=')))
    }

    #[test]
    fn a_forgotten_series_leaves_nothing_behind() {
        let mut index = Postings::default();
        let texts = ["__name__=a x=1", "__name__=a x=2", "__name__=b x=1"];
        for (text, slot) in texts.iter().zip(0..) {
            index.insert(labels(text), reference::make(TargetRef(1), 0, slot));
        }
        assert_eq!(index.posting("__name__", "a"), [0, 1]);
        index.remove(&[0, 2]);
        assert_eq!(index.len(), 1);
        assert_eq!(index.posting("__name__", "a"), [1]);
        assert!(index.values("x").is_some_and(|values| values.len() == 1));
        assert!(index.find(&labels(texts[0]), TargetRef(1)).own.is_none());
        // Its number is used again, and lists stay sorted.
        index.insert(labels("__name__=a x=3"), reference::make(TargetRef(1), 0, 7));
        assert!(index.posting("__name__", "a").is_sorted());
        assert_eq!(index.all().count(), 2);
    }

    #[test]
    fn the_same_labels_of_another_target_are_another_series() {
        let mut index = Postings::default();
        index.insert(labels("__name__=a"), reference::make(TargetRef(1), 0, 0));
        let found = index.find(&labels("__name__=a"), TargetRef(2));
        assert!(found.own.is_none() && found.shared);
    }
}

//! What was found out about a list of label sets, for the next time that the same list comes.
//!
//! Rules ask the same of the same series every few seconds, and looking at labels costs more than all of the computing.
//! A store hands out the very same label sets again and again, so that a list is known by comparing addresses. Whatever
//! is not the same list is looked at anew: nothing here ever has to be told that series came or went.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap};
use model::Labels;
use parking_lot::Mutex;

/// Shorter lists are looked at faster than found.
const LENGTH_MIN: usize = 32;
/// Label sets in all lists together; when there are more, all is forgotten and begins anew.
const LABELS_MAX: usize = 1 << 18;

pub(crate) struct Seen<T> {
    lists: Mutex<Lists<T>>,
    hashes: DefaultHashBuilder,
}

struct Lists<T> {
    by_hash: HashMap<u64, List<T>>,
    labels: usize,
}

struct List<T> {
    labels: Arc<[Labels]>,
    found: Arc<T>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self {
            lists: Mutex::new(Lists {
                by_hash: HashMap::new(),
                labels: 0,
            }),
            hashes: DefaultHashBuilder::default(),
        }
    }
}

impl<T> Seen<T> {
    /// What `find` finds out about a list, asked for `purpose`, or did the last time; `fits` is asked whether that is
    /// what was asked for.
    pub(crate) fn find<'l>(
        &self,
        purpose: impl Hash,
        labels: impl ExactSizeIterator<Item = &'l Labels> + Clone,
        fits: impl Fn(&T) -> bool,
        find: impl FnOnce() -> T,
    ) -> Arc<T> {
        let is_same = |list: &Arc<[Labels]>| list.iter().eq(labels.clone());
        let list = || labels.clone().cloned().collect();
        self.look((purpose, labels.clone()), is_same, fits, list, find)
    }

    /// The same for a list that comes as one, and is mostly known by its address.
    pub(crate) fn find_list(
        &self,
        purpose: impl Hash,
        labels: &Arc<[Labels]>,
        fits: impl Fn(&T) -> bool,
        find: impl FnOnce() -> T,
    ) -> Arc<T> {
        let is_same = |list: &Arc<[Labels]>| Arc::ptr_eq(list, labels) || list.iter().eq(labels.iter());
        self.look((purpose, labels.iter()), is_same, fits, || labels.clone(), find)
    }

    fn look<'l>(
        &self,
        (purpose, mut labels): (impl Hash, impl ExactSizeIterator<Item = &'l Labels>),
        is_same: impl Fn(&Arc<[Labels]>) -> bool,
        fits: impl Fn(&T) -> bool,
        list: impl FnOnce() -> Arc<[Labels]>,
        find: impl FnOnce() -> T,
    ) -> Arc<T> {
        let length = labels.len();
        if length < LENGTH_MIN {
            return Arc::new(find());
        }
        let hash = self.hashes.hash_one((purpose, length, labels.next()));
        let known = self
            .lists
            .lock()
            .by_hash
            .get(&hash)
            .map(|list| (list.labels.clone(), list.found.clone()));
        if let Some((_, found)) = known.filter(|(list, found)| fits(found) && is_same(list)) {
            return found;
        }
        let found = Arc::new(find());
        self.lists.lock().keep(hash, list(), &found);
        found
    }
}

impl<T> Lists<T> {
    fn keep(&mut self, hash: u64, labels: Arc<[Labels]>, found: &Arc<T>) {
        if labels.len() > LABELS_MAX {
            return;
        }
        if let Some(old) = self.by_hash.remove(&hash) {
            self.labels -= old.labels.len();
        }
        if self.labels + labels.len() > LABELS_MAX {
            self.by_hash.clear();
            self.labels = 0;
        }
        self.labels += labels.len();
        let found = Arc::clone(found);
        self.by_hash.insert(hash, List { labels, found });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn list(count: usize) -> Vec<Labels> {
        (0..count)
            .map(|nth| Labels::from_pairs([("nth", nth.to_string())]))
            .collect()
    }

    #[test]
    fn the_same_list_is_looked_at_once_and_another_anew() {
        let (seen, looks) = (Seen::default(), Cell::new(0));
        let look = |purpose: &str, labels: &[Labels]| {
            let find = || {
                looks.set(looks.get() + 1);
                labels.len()
            };
            assert_eq!(*seen.find(purpose, labels.iter(), |_| true, find), labels.len());
            looks.get()
        };
        let mut labels = list(100);
        assert_eq!(
            [look("a", &labels), look("a", &labels), look("b", &labels)],
            [1, 1, 2]
        );
        labels[99] = Labels::from_pairs([("nth", "another")]);
        assert_eq!([look("a", &labels), look("a", &labels)], [3, 3]);
        labels.pop();
        assert_eq!([look("a", &labels), look("a", &labels)], [4, 4]);
        // As a list of its own it is still the same.
        let whole: Arc<[Labels]> = labels.into();
        let find = || panic!("it is known");
        assert_eq!(*seen.find_list("a", &whole, |_| true, find), whole.len());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let seen = Seen::default();
        let labels = list(1_000);
        for purpose in 0..1_000 {
            seen.find(purpose, labels.iter(), |_| true, || ());
        }
        let lists = seen.lists.lock();
        assert!(lists.labels <= LABELS_MAX);
        assert_eq!(lists.labels, lists.by_hash.len() * 1_000);
    }
}

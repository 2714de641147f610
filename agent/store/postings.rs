//! For each label pair, which series have it: what a store with history answers from.
//!
//! A posting is a sorted list of series' numbers, under the number of its pair.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::lean::Lean;
use crate::pairs::Pairs;

/// A posting may be so much longer than its numbers before it is cut to them.
const SPARE_MIN: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Postings {
    /// By the number of the pair.
    lists: Vec<Vec<u32>>,
    /// The pairs of each label name, in no order.
    names: HashMap<Arc<str>, Vec<u32>>,
}

impl Postings {
    /// Numbers of the pairs that have a label name.
    pub(crate) fn pairs(&self, name: &str) -> &[u32] {
        self.names.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The series that have a pair.
    pub(crate) fn list(&self, pair: u32) -> &[u32] {
        self.lists
            .get(pair as usize)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Takes a series and the numbers of its pairs.
    pub(crate) fn insert(&mut self, id: u32, of: &[u32], pairs: &Pairs) {
        for pair in of {
            let at = *pair as usize;
            if self.lists.len() <= at {
                self.lists.resize_with(at + 1, Vec::new);
            }
            let Some(list) = self.lists.get_mut(at) else {
                continue;
            };
            if list.is_empty()
                && let Some(name) = pairs.name(*pair)
            {
                self.names.entry(name.clone()).or_default().push(*pair);
            }
            // Mostly it is the highest number so far.
            let place = if list.last().is_none_or(|last| *last < id) {
                list.len()
            } else {
                list.partition_point(|known| *known < id)
            };
            if list.len() == list.capacity() {
                // There are many lists, most of them short, and they stay.
                list.reserve_exact(list.len().div_ceil(4).max(1));
            }
            list.insert(place, id);
        }
    }

    /// Forgets many at once, while `lean` still has them: each posting is walked once, however many of its series go.
    pub(crate) fn remove(&mut self, ids: &[u32], lean: &Lean) {
        let gone: HashSet<u32> = ids.iter().copied().collect();
        let touched: HashSet<u32> = ids.iter().flat_map(|id| lean.pairs_of(*id)).copied().collect();
        let mut emptied: HashMap<&Arc<str>, HashSet<u32>> = HashMap::new();
        for pair in touched {
            let Some(list) = self.lists.get_mut(pair as usize) else {
                continue;
            };
            list.retain(|id| !gone.contains(id));
            if list.capacity() > list.len() * 2 + SPARE_MIN || list.is_empty() {
                list.shrink_to_fit();
            }
            if list.is_empty()
                && let Some(name) = lean.pairs().name(pair)
            {
                emptied.entry(name).or_default().insert(pair);
            }
        }
        for (name, empty) in emptied {
            let Some(pairs) = self.names.get_mut(name) else {
                continue;
            };
            pairs.retain(|pair| !empty.contains(pair));
            if pairs.is_empty() {
                self.names.remove(name);
            }
        }
    }
}

//! Label pairs, each kept once however many series have it, under small numbers that are used again.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};

#[derive(Debug, Default)]
pub(crate) struct Pairs {
    entries: Vec<Option<Pair>>,
    free: Vec<u32>,
    by_text: HashTable<u32>,
    names: HashSet<Arc<str>>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Pair {
    name: Arc<str>,
    value: Box<str>,
    /// Series that have it.
    uses: u32,
}

impl Pairs {
    pub(crate) fn find(&self, name: &str, value: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((name, value));
        let same = |id: &u32| self.get(*id) == Some((name, value));
        self.by_text.find(hash, same).copied()
    }

    pub(crate) fn get(&self, id: u32) -> Option<(&str, &str)> {
        let pair = self.entries.get(id as usize)?.as_ref()?;
        Some((&pair.name, &pair.value))
    }

    pub(crate) fn name(&self, id: u32) -> Option<&Arc<str>> {
        Some(&self.entries.get(id as usize)?.as_ref()?.name)
    }

    /// Every number and its pair.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(id, pair)| pair.as_ref().map(|pair| (id, &*pair.name, &*pair.value)))
    }

    /// Every pair and how many series have it.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let pairs = self.entries.iter().flatten();
        pairs.map(|pair| (&*pair.name, &*pair.value, u64::from(pair.uses)))
    }

    /// Numbers are below.
    pub(crate) fn end(&self) -> usize {
        self.entries.len()
    }

    /// For one more series.
    pub(crate) fn take(&mut self, name: &str, value: &str) -> u32 {
        let id = self.find(name, value).unwrap_or_else(|| self.add(name, value));
        if let Some(Some(pair)) = self.entries.get_mut(id as usize) {
            pair.uses += 1;
        }
        id
    }

    /// For one series less.
    pub(crate) fn give_back(&mut self, id: u32) {
        let Some(entry) = self.entries.get_mut(id as usize) else {
            return;
        };
        let Some(pair) = entry else { return };
        pair.uses -= 1;
        if pair.uses > 0 {
            return;
        }
        let hash = self.hasher.hash_one((&*pair.name, &*pair.value));
        *entry = None;
        if let Ok(found) = self.by_text.find_entry(hash, |known| *known == id) {
            found.remove();
        }
        self.free.push(id);
    }

    /// Lets go of names that no pair has any more.
    pub(crate) fn forget_names(&mut self) {
        self.names.retain(|name| Arc::strong_count(name) > 1);
    }

    fn add(&mut self, name: &str, value: &str) -> u32 {
        let known = self.names.get(name).cloned();
        let pair = Pair {
            name: known.unwrap_or_else(|| {
                let new: Arc<str> = name.into();
                self.names.insert(new.clone());
                new
            }),
            value: value.into(),
            uses: 0,
        };
        let id = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(entry) = self.entries.get_mut(id as usize) {
            *entry = Some(pair);
        }
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash_of = |id: &u32| {
            let pair = entries.get(*id as usize).and_then(Option::as_ref);
            pair.map_or(0, |pair| hasher.hash_one((&*pair.name, &*pair.value)))
        };
        let hash = hasher.hash_one((name, value));
        self.by_text.insert_unique(hash, id, hash_of);
        id
    }
}

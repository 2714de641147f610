//! The map in memory: what each key is, in which order this process learned it, and what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::entry::{Entry, Version};

/// Removals that keep counting, so that an older value from elsewhere does not bring a key back.
pub(crate) const GRAVES_MAX: usize = 20_000;

#[derive(Clone)]
pub(crate) struct Map {
    slots: BTreeMap<Arc<str>, Slot>,
    /// When this process learned it → which key.
    order: BTreeMap<u64, Arc<str>>,
    graves: BTreeSet<u64>,
    /// The highest seen of both, whoever wrote it.
    pub(crate) epoch: u64,
    pub(crate) version: u64,
    pub(crate) seq: u64,
    pub(crate) live_bytes: usize,
}

#[derive(Clone)]
struct Slot {
    entry: Entry,
    seq: u64,
    /// Who told us; 0 for our own.
    origin: u64,
}

impl Default for Map {
    fn default() -> Self {
        Self {
            slots: BTreeMap::new(),
            order: BTreeMap::new(),
            graves: BTreeSet::new(),
            epoch: 1,
            version: 0,
            seq: 0,
            live_bytes: 0,
        }
    }
}

impl Map {
    /// What is there, removals included.
    pub(crate) fn known(&self, key: &str) -> Option<&Entry> {
        self.slots.get(key).map(|slot| &slot.entry)
    }

    pub(crate) fn alike<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Entry> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let range = self.slots.range::<str, _>(from);
        let alike = range.take_while(move |(key, _)| key.starts_with(prefix));
        alike
            .map(|(_, slot)| &slot.entry)
            .filter(|entry| !entry.is_removal())
    }

    /// Everything that has to stand in the file.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.slots.values().map(|slot| &slot.entry)
    }

    /// In the order learned, what came after `seq` and not from `origin`.
    pub(crate) fn since(&self, seq: u64, origin: u64) -> impl Iterator<Item = (u64, &Entry)> {
        let later = self.order.range((Bound::Excluded(seq), Bound::Unbounded));
        later.filter_map(move |(seq, key)| {
            let slot = self.slots.get(key)?;
            (origin == 0 || slot.origin != origin).then_some((*seq, &slot.entry))
        })
    }

    /// Puts it in place of whatever is there.
    pub(crate) fn apply(&mut self, entry: Entry, origin: u64) {
        let Version { epoch, version, .. } = entry.version;
        self.epoch = self.epoch.max(epoch);
        self.version = self.version.max(version);
        self.forget(&entry.key);
        if entry.is_removal() && !entry.grave {
            return;
        }
        self.seq += 1;
        self.live_bytes += entry.bytes();
        if entry.is_removal() {
            self.graves.insert(self.seq);
        }
        let key = Arc::clone(&entry.key);
        self.order.insert(self.seq, Arc::clone(&key));
        let seq = self.seq;
        self.slots.insert(key, Slot { entry, seq, origin });
        if self.graves.len() > GRAVES_MAX
            && let Some(oldest) = self.graves.first()
            && let Some(key) = self.order.get(oldest).cloned()
        {
            self.forget(&key);
        }
    }

    /// Somebody else says what is there already.
    pub(crate) fn confirm(&mut self, key: &str, origin: u64) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.origin = origin;
        }
    }

    /// Keys under a prefix that `origin` has not told us.
    pub(crate) fn not_from(&self, prefix: &str, origin: u64) -> Vec<String> {
        let alike = self.alike(prefix).map(|entry| &entry.key);
        let others = alike.filter(|key| self.slots.get(*key).is_some_and(|slot| slot.origin != origin));
        others.map(|key| key.to_string()).collect()
    }

    fn forget(&mut self, key: &str) {
        if let Some(slot) = self.slots.remove(key) {
            self.order.remove(&slot.seq);
            self.graves.remove(&slot.seq);
            self.live_bytes = self.live_bytes.saturating_sub(slot.entry.bytes());
        }
    }
}

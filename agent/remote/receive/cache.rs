//! What is remembered of one sender: which series its bytes name, so that a known one costs no label work.

use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use model::{Keep, SeriesRef, TargetDesc, TargetRef};

use super::families::Families;
use super::lists::Lists;

/// In place of a number: none.
pub(crate) const NONE: u32 = u32::MAX;
/// As [`Entry::said`]: ask again when it comes the next time.
pub(crate) const AGAIN: u32 = 1;
/// Series that another writer may still be sending; younger ones are not let go to make room.
const LIVE_SECONDS: u32 = 120;
/// Pairs of job and instance of one sender; each costs the store a target.
const TARGETS_MAX: usize = 65_536;

#[derive(Default)]
pub(crate) struct Cache {
    entries: Vec<Entry>,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    targets: Vec<Option<Target>>,
    targets_free: Vec<u32>,
    by_name: HashMap<Arc<str>, u32>,
    pub(crate) lists: Lists,
    pub(crate) families: Families,
    /// The series of 1.0 that came last.
    last: u32,
    /// Running second of the last attempt to make room.
    swept: u32,
    /// For which set of nodes its labels hold.
    pub(crate) nodes: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// Hash of the labels as the sender writes them in 1.0.
    key: u128,
    pub(crate) series: SeriesRef,
    /// [`NONE`] while the place is empty.
    pub(crate) target: u32,
    /// Running second in which it came last.
    pub(crate) used: u32,
    /// The series that came after it.
    next: u32,
    /// Mark of what was said of it; 0 is nothing.
    pub(crate) said: u32,
    /// Stem of its name.
    pub(crate) stem: u32,
}

pub(crate) struct Target {
    pub(crate) desc: TargetDesc,
    pub(crate) id: TargetRef,
    entries: u32,
    /// Its series `up`.
    pub(crate) up: u32,
}

impl Cache {
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.by_key.capacity() * size_of::<u32>()
            + self.targets.len() * (size_of::<Target>() + 64)
            + self.lists.bytes()
            + self.families.bytes()
    }

    /// The series of 1.0 with that key; first the one is looked at that followed the last series before.
    #[inline]
    pub(crate) fn follow(&mut self, key: u128) -> Option<u32> {
        let expected = self.entries.get(self.last as usize).map(|entry| entry.next);
        if let Some(place) = expected
            && self.entry(place).is_some_and(|entry| entry.key == key)
        {
            self.last = place;
            return Some(place);
        }
        let place = self.find(key)?;
        self.came(place);
        Some(place)
    }

    /// Notes which series of 1.0 came last.
    pub(crate) fn came(&mut self, place: u32) {
        if self.last == place {
            return;
        }
        if let Some(last) = self.entries.get_mut(self.last as usize) {
            last.next = place;
        }
        self.last = place;
    }

    pub(crate) fn find(&self, key: u128) -> Option<u32> {
        let entries = &self.entries;
        let same = |place: &u32| entries.get(*place as usize).is_some_and(|entry| entry.key == key);
        self.by_key.find(key as u64, same).copied()
    }

    #[inline]
    pub(crate) fn entry(&self, place: u32) -> Option<&Entry> {
        self.entries
            .get(place as usize)
            .filter(|entry| entry.target != NONE)
    }

    /// The entry of a series that has come now.
    #[inline]
    pub(crate) fn touch(&mut self, place: u32, now: u32) -> Option<&Entry> {
        let entry = self.entries.get_mut(place as usize)?;
        entry.used = now;
        (entry.target != NONE).then_some(&*entry)
    }

    /// Notes what the store says of a series that is known, or remembers a new one. None when there is no room.
    pub(crate) fn remember(
        &mut self,
        key: u128,
        series: SeriesRef,
        target: u32,
        about: About,
        series_max: usize,
    ) -> Option<u32> {
        let place = match self.find(key) {
            Some(known) => known,
            None => self.place(key, about.now, series_max)?,
        };
        let entry = self.entries.get_mut(place as usize)?;
        let left = std::mem::replace(&mut entry.target, target);
        entry.series = series;
        entry.used = about.now;
        entry.said = about.said;
        entry.stem = about.stem;
        self.leave(left, place);
        if let Some(target) = self.target_mut(target) {
            target.entries += 1;
            if about.is_up {
                target.up = place;
            }
        }
        Some(place)
    }

    fn place(&mut self, key: u128, now: u32, series_max: usize) -> Option<u32> {
        if self.len() >= series_max {
            let cutoff = now.saturating_sub(LIVE_SECONDS);
            if self.swept > cutoff {
                return None;
            }
            self.sweep(cutoff, now);
            if self.len() >= series_max {
                return None;
            }
        }
        let fresh = Entry {
            key,
            series: SeriesRef(u64::MAX),
            target: NONE,
            used: now,
            next: NONE,
            said: 0,
            stem: 0,
        };
        let place = match self.free.pop() {
            Some(place) => {
                *self.entries.get_mut(place as usize)? = fresh;
                place
            }
            None => {
                let place = u32::try_from(self.entries.len())
                    .ok()
                    .filter(|place| *place < NONE)?;
                self.entries.push(fresh);
                place
            }
        };
        let entries = &self.entries;
        let hash = |place: &u32| entries.get(*place as usize).map_or(0, |entry| entry.key as u64);
        self.by_key.insert_unique(key as u64, place, hash);
        Some(place)
    }

    /// An entry has left its target.
    fn leave(&mut self, target: u32, place: u32) {
        if let Some(target) = self.target_mut(target) {
            target.entries = target.entries.saturating_sub(1);
            if target.up == place {
                target.up = NONE;
            }
        }
    }

    /// Lets go of series that have not come since `cutoff`, and of targets that have none left.
    pub(crate) fn sweep(&mut self, cutoff: u32, now: u32) {
        self.swept = now.max(1);
        for place in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(place) else {
                break;
            };
            if entry.target == NONE || entry.used >= cutoff {
                continue;
            }
            let (key, target) = (entry.key, std::mem::replace(&mut entry.target, NONE));
            let place = u32::try_from(place).unwrap_or(NONE);
            if let Ok(found) = self.by_key.find_entry(key as u64, |known| *known == place) {
                found.remove();
            }
            self.leave(target, place);
            self.free.push(place);
        }
        let entries = &self.entries;
        self.lists.sweep(cutoff, |place| {
            entries
                .get(place as usize)
                .is_some_and(|entry| entry.target != NONE)
        });
        for (slot, number) in self.targets.iter_mut().zip(0..) {
            if let Some(target) = slot.take_if(|target| target.entries == 0) {
                self.by_name.remove(&target.desc.name);
                self.targets_free.push(number);
            }
        }
        if self.by_key.is_empty() {
            // After a flood of series nothing of it is left.
            *self = Self {
                families: std::mem::take(&mut self.families),
                swept: self.swept,
                nodes: self.nodes,
                ..Self::default()
            };
        }
    }

    /// Everything is asked for again, because names may now mean something else.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            families: std::mem::take(&mut self.families),
            ..Self::default()
        };
    }

    /// The number of the target with that name; none when there are too many.
    pub(crate) fn target(&mut self, name: &str, keep: &dyn Keep) -> Option<u32> {
        if let Some(known) = self.by_name.get(name) {
            return Some(*known);
        }
        if self.by_name.len() >= TARGETS_MAX {
            return None;
        }
        let number = self.targets_free.pop().or_else(|| {
            self.targets.push(None);
            u32::try_from(self.targets.len() - 1).ok()
        })?;
        let desc = TargetDesc {
            name: name.into(),
            page: None,
            staleness: None,
        };
        self.by_name.insert(desc.name.clone(), number);
        *self.targets.get_mut(number as usize)? = Some(Target {
            id: keep.target(&desc),
            desc,
            entries: 0,
            up: NONE,
        });
        Some(number)
    }

    pub(crate) fn id(&self, target: u32) -> TargetRef {
        let known = self.targets.get(target as usize).and_then(Option::as_ref);
        known.map_or(TargetRef(u32::MAX), |target| target.id)
    }

    fn target_mut(&mut self, target: u32) -> Option<&mut Target> {
        self.targets.get_mut(target as usize)?.as_mut()
    }

    /// Introduces a target to the store once more, which may have retired or forgotten it.
    pub(crate) fn introduce(&mut self, target: u32, keep: &dyn Keep) {
        if let Some(target) = self.target_mut(target) {
            target.id = keep.target(&target.desc);
        }
    }

    /// What was said of these families is no longer what holds.
    pub(crate) fn describe_again(&mut self, stems: &[u32]) {
        for entry in self.entries.iter_mut().filter(|entry| entry.target != NONE) {
            if stems.contains(&entry.stem) {
                entry.said = AGAIN;
            }
        }
    }

    /// Whether this place is the target's series `up`.
    pub(crate) fn is_up(&self, target: u32, place: u32) -> bool {
        let known = self.targets.get(target as usize).and_then(Option::as_ref);
        known.is_some_and(|target| target.up == place)
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = (u32, &Target)> {
        let known = self.targets.iter().zip(0..);
        known.filter_map(|(target, number)| Some((number, target.as_ref()?)))
    }

    /// All series with their places.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, &Entry)> {
        let living = |(place, entry): (u32, _)| {
            let entry: &Entry = entry;
            (entry.target != NONE).then_some((place, entry))
        };
        (0..).zip(&self.entries).filter_map(living)
    }
}

/// What is remembered with a series.
#[derive(Clone, Copy)]
pub(crate) struct About {
    pub(crate) now: u32,
    pub(crate) said: u32,
    pub(crate) stem: u32,
    pub(crate) is_up: bool,
}

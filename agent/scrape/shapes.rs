//! What a target's body looked like last time, so that a warm scrape makes no labels.
//!
//! Each line is matched against the one that followed its predecessor in the scrape before: a hit costs one
//! hash. A surprise is looked up, and only what was never seen is read label by label. Lines are not kept, since
//! they would take more than all the rest of a target: a hash of them is.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use model::SeriesRef;

use crate::text::{Key, Keys};

/// A line's place in the cache.
pub(crate) type Place = u32;

/// A ref of no series; a store that gave it out would be taken at its word that it has none.
const NONE: SeriesRef = SeriesRef(u64::MAX);
/// In place of a series: rules drop it, and nobody is asked.
const DROPPED: SeriesRef = SeriesRef(u64::MAX - 1);

pub(crate) struct Shapes {
    shapes: Vec<Shape>,
    index: HashTable<Place>,
    /// Homes of the series that were given out.
    homes: HashTable<Place>,
    hasher: DefaultHashBuilder,
    keys: Keys,
    first: Place,
}

pub(crate) struct Shape {
    /// Of the line as written, up to the value.
    key: Key,
    /// The line that came next.
    next: Place,
    series: SeriesRef,
    /// The place that is marked `given` for this one: another one's when two spellings mean one series.
    pub(crate) home: Place,
    /// Scrape in which it was last met, in which it had no time of its own, and in which it was handed over.
    pub(crate) seen: u32,
    pub(crate) plain: u32,
    pub(crate) given: u32,
    /// Description of the families that its series was told with.
    pub(crate) edition: u32,
    /// Whether it had a report's labels and was renamed.
    pub(crate) renamed: bool,
}

impl Shape {
    /// None until the store has given one out, or when it refused.
    pub(crate) fn series(&self) -> Option<SeriesRef> {
        (self.series != NONE && self.series != DROPPED).then_some(self.series)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.series == DROPPED
    }
}

impl Shapes {
    pub(crate) fn new() -> Self {
        Self {
            shapes: Vec::new(),
            index: HashTable::new(),
            homes: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            keys: Keys::new(),
            first: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shapes.len()
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Shape> {
        self.shapes.get(place as usize)
    }

    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut Shape> {
        self.shapes.get_mut(place as usize)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Shape> {
        self.shapes.iter_mut()
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The line to expect after `last`, or as the first.
    pub(crate) fn expected(&self, last: Option<Place>) -> Option<(Place, &Key)> {
        let place = match last {
            Some(last) => self.get(last)?.next,
            None => self.first,
        };
        Some((place, &self.get(place)?.key))
    }

    pub(crate) fn find(&self, line: &str) -> Option<Place> {
        let key = self.keys.of(line);
        let is_it = |place: &Place| self.get(*place).is_some_and(|shape| shape.key == key);
        self.index.find(key.short(), is_it).copied()
    }

    pub(crate) fn add(&mut self, line: &str) -> Place {
        let key = self.keys.of(line);
        let place = Place::try_from(self.shapes.len()).unwrap_or(Place::MAX);
        self.shapes.push(Shape {
            key,
            next: place.saturating_add(1),
            series: NONE,
            home: place,
            seen: 0,
            plain: 0,
            given: 0,
            edition: 0,
            renamed: false,
        });
        insert(&mut self.index, &self.shapes, place);
        place
    }

    /// Remembers that `place` came after `last`.
    pub(crate) fn follow(&mut self, last: Option<Place>, place: Place) {
        match last {
            None => self.first = place,
            Some(last) => {
                if let Some(last) = self.get_mut(last) {
                    last.next = place;
                }
            }
        }
    }

    /// What rules say to a line: that nothing is kept of it, until it is described anew.
    pub(crate) fn drop(&mut self, place: Place, edition: u32) {
        self.put(place, DROPPED);
        if let Some(shape) = self.get_mut(place) {
            shape.edition = edition;
        }
    }

    /// What the store says to a line: its series, if it takes one.
    pub(crate) fn settle(&mut self, place: Place, series: Option<SeriesRef>) {
        self.put(place, series.unwrap_or(NONE));
    }

    fn put(&mut self, place: Place, series: SeriesRef) {
        let Some(shape) = self.shapes.get_mut(place as usize) else {
            return;
        };
        let before = std::mem::replace(&mut shape.series, series);
        if before != series && before != NONE && before != DROPPED {
            let was_home = self
                .homes
                .find_entry(self.hasher.hash_one(before), |home| *home == place);
            if let Ok(home) = was_home {
                home.remove();
            }
        }
        self.find_home(place);
    }

    /// All series are to be asked for again.
    pub(crate) fn forget_homes(&mut self) {
        self.homes.clear();
    }

    /// The first line of a series is the home of all.
    fn find_home(&mut self, place: Place) {
        let Some(series) = self.get(place).and_then(Shape::series) else {
            return;
        };
        let (shapes, hasher) = (&self.shapes, &self.hasher);
        let series_at = |place: &Place| shapes.get(*place as usize).map_or(NONE, |shape| shape.series);
        let hash_of = |place: &Place| hasher.hash_one(series_at(place));
        let hash = hasher.hash_one(series);
        let home = self
            .homes
            .entry(hash, |place| series_at(place) == series, hash_of);
        let home = *home.or_insert(place).get();
        if let Some(shape) = self.get_mut(place) {
            shape.home = home;
        }
    }

    /// Takes back what was added from `count` on, which nobody has been asked about yet.
    pub(crate) fn truncate(&mut self, count: usize) {
        if count < self.shapes.len() {
            self.shapes.truncate(count);
            self.reindex();
        }
    }

    /// Keeps what was met since `oldest`. Places change.
    pub(crate) fn retain(&mut self, oldest: u32) {
        self.shapes.retain(|shape| shape.seen >= oldest);
        self.homes.clear();
        for place in 0..self.shapes.len() {
            let place = Place::try_from(place).unwrap_or(Place::MAX);
            if let Some(shape) = self.get_mut(place) {
                shape.home = place;
            }
            self.find_home(place);
        }
        self.reindex();
    }

    /// Gives back what growing took too much.
    pub(crate) fn shrink(&mut self) {
        if self.shapes.capacity() > self.shapes.len() + self.shapes.len() / 8 {
            self.shapes.shrink_to_fit();
        }
    }

    fn reindex(&mut self) {
        self.index.clear();
        self.first = 0;
        for place in 0..self.shapes.len() {
            let place = Place::try_from(place).unwrap_or(Place::MAX);
            let Some(shape) = self.shapes.get_mut(place as usize) else {
                break;
            };
            shape.next = place.saturating_add(1);
            insert(&mut self.index, &self.shapes, place);
        }
    }
}

fn insert(index: &mut HashTable<Place>, shapes: &[Shape], place: Place) {
    let hash_of = |place: &Place| {
        let shape = shapes.get(*place as usize);
        shape.map_or(0, |shape| shape.key.short())
    };
    index.insert_unique(hash_of(&place), place, hash_of);
}

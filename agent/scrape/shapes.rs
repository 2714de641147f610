//! What a target's body looked like last time, so that a warm scrape makes no labels.
//!
//! Each line is matched against the one that followed its predecessor in the scrape before: a hit costs one
//! comparison. A surprise is hashed and looked up, and only what was never seen is read label by label.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use model::SeriesRef;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A line's place in the cache.
pub(crate) type Place = u32;

pub(crate) struct Shapes {
    shapes: Vec<Shape>,
    index: HashTable<Place>,
    /// Targets are not trusted: without the seed nobody can forge lines that collide.
    seed: u64,
    first: Place,
}

pub(crate) struct Shape {
    /// As written, up to the value.
    key: Box<str>,
    hash: u64,
    /// None until the store has given one out, or when it refused.
    pub(crate) series: Option<SeriesRef>,
    /// The place that is marked `given` for this one: another one's when two spellings mean one series.
    pub(crate) home: Place,
    /// The line that came next.
    next: Place,
    /// Scrape in which it was last met, in which it had no time of its own, and in which it was handed over.
    pub(crate) seen: u32,
    pub(crate) plain: u32,
    pub(crate) given: u32,
    /// Description of the families that its series was told with.
    pub(crate) edition: u32,
    /// Whether it had a report's labels and was renamed.
    pub(crate) renamed: bool,
}

impl Shapes {
    pub(crate) fn new() -> Self {
        Self {
            shapes: Vec::new(),
            index: HashTable::new(),
            seed: RandomState::new().hash_one(0),
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

    /// The line to expect after `last`, or as the first.
    pub(crate) fn expected(&self, last: Option<Place>) -> Option<(Place, &str)> {
        let place = match last {
            Some(last) => self.get(last)?.next,
            None => self.first,
        };
        Some((place, &self.get(place)?.key))
    }

    pub(crate) fn find(&self, key: &str) -> Option<Place> {
        let hash = self.hash(key);
        let is_it = |place: &Place| {
            self.get(*place)
                .is_some_and(|shape| shape.hash == hash && &*shape.key == key)
        };
        self.index.find(hash, is_it).copied()
    }

    pub(crate) fn add(&mut self, key: &str) -> Place {
        let hash = self.hash(key);
        let place = Place::try_from(self.shapes.len()).unwrap_or(Place::MAX);
        self.shapes.push(Shape {
            key: key.into(),
            hash,
            series: None,
            home: place,
            next: place.saturating_add(1),
            seen: 0,
            plain: 0,
            given: 0,
            edition: 0,
            renamed: false,
        });
        insert(&mut self.index, &self.shapes, hash, place);
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

    /// Takes back what was added from `count` on.
    pub(crate) fn truncate(&mut self, count: usize) {
        if count < self.shapes.len() {
            self.shapes.truncate(count);
            self.reindex();
        }
    }

    /// Keeps what was met since `oldest`. Places change, and each shape is its own home again.
    pub(crate) fn retain(&mut self, oldest: u32) {
        self.shapes.retain(|shape| shape.seen >= oldest);
        for (place, shape) in (0..).zip(&mut self.shapes) {
            shape.home = place;
        }
        self.reindex();
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
            let hash = shape.hash;
            insert(&mut self.index, &self.shapes, hash, place);
        }
    }

    fn hash(&self, key: &str) -> u64 {
        xxh3_64_with_seed(key.as_bytes(), self.seed)
    }
}

fn insert(index: &mut HashTable<Place>, shapes: &[Shape], hash: u64, place: Place) {
    let hash_of = |place: &Place| shapes.get(*place as usize).map_or(0, |shape| shape.hash);
    index.insert_unique(hash, place, hash_of);
}

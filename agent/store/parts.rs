//! Lists of series that a source commits as parts again and again, to be known by sight.
//!
//! A receiver gets a sender's series in the same few lists each time. Telling that a list is a known one costs a
//! comparison; without it each of its series is looked at.

use std::sync::Arc;

use hashbrown::HashMap;
use model::SeriesRef;

use crate::row::Shape;

/// Lists remembered at a time.
const LISTS_MAX: usize = 128;
/// Turns after which a list that did not come is forgotten.
const TURNS_MAX: u8 = 10;

/// What of a list tells it from others at once; the rest is compared.
type Key = (SeriesRef, SeriesRef, usize);

#[derive(Debug, Default)]
pub(crate) struct Parts {
    known: HashMap<Key, Known>,
}

#[derive(Debug)]
struct Known {
    shape: Arc<Shape>,
    /// How often [`Parts::turn`] was called since it came.
    turns: u8,
}

impl Parts {
    pub(crate) fn find(&mut self, refs: &[SeriesRef]) -> Option<Arc<Shape>> {
        let known = self.known.get_mut(&key(refs)?)?;
        if *known.shape.refs != *refs {
            return None;
        }
        known.turns = 0;
        Some(known.shape.clone())
    }

    pub(crate) fn remember(&mut self, shape: &Arc<Shape>) {
        let Some(key) = key(&shape.refs) else { return };
        if self.known.len() >= LISTS_MAX {
            self.known.clear();
        }
        let known = Known {
            shape: shape.clone(),
            turns: 0,
        };
        self.known.insert(key, known);
    }

    /// To be called now and then: lists that no longer come are forgotten.
    pub(crate) fn turn(&mut self) {
        self.known.retain(|_, known| {
            known.turns += 1;
            known.turns <= TURNS_MAX
        });
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Shape) -> bool) {
        self.known.retain(|_, known| keep(&known.shape));
    }
}

fn key(refs: &[SeriesRef]) -> Option<Key> {
    Some((*refs.first()?, *refs.last()?, refs.len()))
}

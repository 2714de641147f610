//! Lists of numbers, many and short, one after the other in large pieces.
//!
//! A list by itself would take as much for its allocation as for its numbers. A place that is given back is used
//! again for a list of the same length, which is what a series that comes for one that went mostly has.

use std::num::NonZeroU32;

use hashbrown::HashMap;

/// Numbers in a piece: 64 KiB.
const PIECE: usize = 1 << PIECE_BITS;
const PIECE_BITS: u32 = 14;

/// Where a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// One more than where it begins, so that a place which may be missing takes no more.
    at: NonZeroU32,
    length: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Sets {
    pieces: Vec<Box<[u32]>>,
    /// Numbers taken of the last piece.
    used: usize,
    /// By length.
    free: HashMap<u32, Vec<NonZeroU32>>,
}

impl Sets {
    pub(crate) fn get(&self, place: Place) -> &[u32] {
        let (piece, at) = split(place.at);
        let piece = self.pieces.get(piece).map(|piece| &**piece).unwrap_or_default();
        piece.get(at..at + place.length as usize).unwrap_or_default()
    }

    pub(crate) fn add(&mut self, list: &[u32]) -> Place {
        let length = u32::try_from(list.len()).unwrap_or(u32::MAX);
        let again = self.free.get_mut(&length).and_then(Vec::pop);
        let at = again.unwrap_or_else(|| self.fresh(list.len()));
        let (piece, offset) = split(at);
        let piece = self.pieces.get_mut(piece);
        if let Some(to) = piece.and_then(|piece| piece.get_mut(offset..offset + list.len())) {
            to.copy_from_slice(list);
        }
        Place { at, length }
    }

    pub(crate) fn remove(&mut self, place: Place) {
        self.free.entry(place.length).or_default().push(place.at);
    }

    /// What the lists take, with those that were given back.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len() * 4).sum()
    }

    fn fresh(&mut self, length: usize) -> NonZeroU32 {
        let left = self.pieces.last().map_or(0, |last| last.len() - self.used);
        if left < length || left == 0 {
            // A list longer than a piece has one of its own; what is left of the last is given up.
            self.pieces.push(vec![0; PIECE.max(length)].into());
            self.used = 0;
        }
        let piece = self.pieces.len() - 1;
        let at = piece << PIECE_BITS | self.used;
        self.used += length;
        NonZeroU32::MIN.saturating_add(u32::try_from(at).unwrap_or(u32::MAX))
    }
}

fn split(at: NonZeroU32) -> (usize, usize) {
    let at = at.get() - 1;
    ((at >> PIECE_BITS) as usize, at as usize & (PIECE - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_and_their_places_are_used_again() {
        let mut sets = Sets::default();
        let list = |nth: u32, length: usize| vec![nth; length];
        let lengths = [3, 0, PIECE - 4, 2, 40_000, 1, 7];
        let places: Vec<Place> = (0..)
            .zip(lengths)
            .map(|(nth, length)| sets.add(&list(nth, length)))
            .collect();
        for ((nth, length), place) in (0..).zip(lengths).zip(&places) {
            assert_eq!(sets.get(*place), list(nth, length), "{length}");
        }
        sets.remove(places[6]);
        assert_eq!(sets.add(&list(9, 7)), places[6]);
        assert_eq!(sets.get(places[6]), list(9, 7));
        assert_eq!(sets.get(places[5]), [5]);
    }
}

//! Looks for what has been there before: only in front of words, since little else pays.

use std::ops::Range;

use crate::lanes::{self, BLOCK, lanes, part};

/// A copy of fewer bytes from far away costs as much as the bytes.
pub(super) const FOUND_MIN: usize = 6;
/// Places remembered; the table fits into the nearest cache.
const PLACES: usize = 1 << 12;
/// Bytes below are between words: white space, quotes, points, commas, lines and strokes.
const WORDS_FROM: u8 = 0x30;
/// Of most copies the whole.
const CHUNK: usize = 32;

/// For the front of a word the last place at which it stood.
pub(super) struct Finder {
    places: Box<[u32; PLACES]>,
    /// Of the text looked at last, in order; behind `count` others of before.
    found: Vec<Found>,
    count: usize,
}

/// What may have stood before. They may lie upon each other.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    at: u32,
    distance: u32,
}

impl Default for Finder {
    fn default() -> Self {
        Self {
            places: Box::new([0; PLACES]),
            found: Vec::new(),
            count: 0,
        }
    }
}

impl Found {
    #[inline]
    pub(super) fn at(self) -> usize {
        self.at as usize
    }

    #[inline]
    pub(super) fn distance(self) -> usize {
        self.distance as usize
    }

    /// How much of it is the same, not beyond `end`.
    #[inline]
    pub(super) fn length(self, plain: &[u8], end: usize) -> usize {
        let (at, before) = (self.at(), self.at() - self.distance());
        let (Some(here), Some(there)) = (part(plain, at), part(plain, before)) else {
            return 0;
        };
        let mut length = alike(here, there);
        if length == CHUNK {
            length += common(plain, before + CHUNK, at + CHUNK, end.saturating_sub(at + CHUNK));
        }
        length.min(end - at)
    }
}

impl Finder {
    pub(super) fn forget(&mut self) {
        self.places.fill(0);
    }

    pub(super) fn found(&self) -> &[Found] {
        self.found.get(..self.count).unwrap_or_default()
    }

    /// Finds which words of a text may have stood before, and remembers where all of them stand.
    ///
    /// None waits for what is found of the one in front of it: that some are found in vain costs less.
    pub(super) fn look(&mut self, plain: &[u8], base: u32, text: Range<usize>) {
        let Self { places, found, .. } = self;
        let (mut count, mut block, mut carry) = (0, text.start, 0);
        let end = text.end.min((plain.len() + 1).saturating_sub(CHUNK));
        while block < end {
            if found.len() < count + BLOCK {
                found.resize(count + BLOCK, Found::default());
            }
            let between = between(plain, block);
            // Where what is between words begins: it goes with the word behind it.
            let mut begins = between & !(between << 1 | carry);
            carry = between >> (BLOCK - 1);
            if end - block < BLOCK {
                begins &= (1 << (end - block)) - 1;
            }
            while begins != 0 {
                let at = block + begins.trailing_zeros() as usize;
                begins &= begins - 1;
                let Some(here) = part::<CHUNK>(plain, at) else {
                    break;
                };
                let Some(distance) = replace(places, here, base.wrapping_add(at as u32), at) else {
                    continue;
                };
                if let Some(place) = found.get_mut(count) {
                    *place = Found {
                        at: at as u32,
                        distance: distance as u32,
                    };
                    count += 1;
                }
            }
            block += BLOCK;
        }
        self.count = count;
    }
}

/// Remembers where these bytes stand; how far back they stood before, if that is near enough.
#[inline]
fn replace(places: &mut [u32; PLACES], bytes: &[u8; CHUNK], place: u32, at: usize) -> Option<usize> {
    let word = u64::from_le_bytes(*bytes.first_chunk()?);
    // Five bytes of it, mixed; the upper bits are the best.
    let hash = (word << 24).wrapping_mul(0x9e37_79b1_85eb_ca87) >> 52;
    let known = std::mem::replace(&mut places[hash as usize % PLACES], place);
    let distance = place.wrapping_sub(known) as usize;
    (distance.wrapping_sub(1) < super::WINDOW_BYTES.min(at)).then_some(distance)
}

/// Which bytes of the block from here on are between words; the first one is the lowest bit. Behind the end nothing is.
#[inline]
fn between(plain: &[u8], from: usize) -> u64 {
    let Some(block) = part::<BLOCK>(plain, from) else {
        let rest = plain.get(from..).unwrap_or_default().iter().enumerate();
        return rest.fold(0, |mask, (nth, byte)| mask | u64::from(*byte < WORDS_FROM) << nth);
    };
    lanes::mask(block, lanes::below::<WORDS_FROM>)
}

/// How many bytes at two places are the same, at most `most`; they may overlap.
fn common(plain: &[u8], one: usize, other: usize, most: usize) -> usize {
    let mut at = 0;
    while at < most {
        let (Some(left), Some(right)) = (part(plain, one + at), part(plain, other + at)) else {
            break;
        };
        let alike = alike(left, right);
        at += alike;
        if alike < CHUNK {
            return most.min(at);
        }
    }
    while at < most && plain.get(one + at) == plain.get(other + at) {
        at += 1;
    }
    most.min(at)
}

/// Which of a block's bytes are the same as those at another place, at most `most` of them; the first one is the lowest bit.
#[inline]
pub(super) fn same(plain: &[u8], one: usize, other: usize, most: usize) -> u64 {
    let same = match (part::<BLOCK>(plain, one), part::<BLOCK>(plain, other)) {
        (Some(left), Some(right)) => lanes::same(left, right),
        _ => (0..most.min(BLOCK)).fold(0, |mask, nth| {
            mask | u64::from(plain.get(one + nth) == plain.get(other + nth)) << nth
        }),
    };
    match most {
        BLOCK.. => same,
        _ => same & ((1 << most) - 1),
    }
}

/// How many of the first bytes are the same.
#[inline]
fn alike(one: &[u8; CHUNK], other: &[u8; CHUNK]) -> usize {
    let same = |nth| u64::from(lanes(one, nth).simd_eq(lanes(other, nth)).to_bitmask());
    (same(0) | same(1) << lanes::LANES).trailing_ones() as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_word_is_found_where_it_stood_last_and_with_what_is_the_same_behind_it() {
        let text = b"x error=5 y error=5 z error=6 then quite other words stand here to the end";
        let mut finder = Finder::default();
        finder.look(text, 1, 0..text.len());
        let found: Vec<_> = finder.found().iter().collect();
        let shown = found
            .iter()
            .map(|found| (found.at(), found.distance(), found.length(text, text.len())));
        assert_eq!(shown.collect::<Vec<_>>(), [(11, 10, 9), (21, 10, 7)]);
    }

    proptest! {
        #[test]
        fn what_is_found_in_words_is_what_is_found_byte_by_byte(
            text in prop::collection::vec(prop_oneof![Just(b'a'), Just(b' '), Just(0x2f), Just(0x30), any::<u8>()], 0..300),
            one in 0usize..150,
            gap in 1usize..150,
            most in 0usize..150,
        ) {
            let other = one + gap;
            let most = most.min(text.len().saturating_sub(other));
            let is_same = |nth: usize| text.get(one + nth) == text.get(other + nth);
            let alike = (0..most).take_while(|nth| is_same(*nth)).count();
            prop_assert_eq!(common(&text, one, other, most), alike);
            let mask = same(&text, one, other, most);
            for nth in 0..BLOCK {
                prop_assert_eq!(mask >> nth & 1 == 1, nth < most && is_same(nth), "byte {}", nth);
            }
            let (front, end) = (one.min(text.len()), text.len());
            let mut finder = Finder::default();
            finder.look(&text, 1, front..end);
            let is_between = |at: usize| text[at] < WORDS_FROM;
            let begins = (front..end).filter(|at| is_between(*at) && (*at == front || !is_between(at - 1)));
            let begins: Vec<usize> = begins.collect();
            prop_assert!(finder.found().is_sorted_by_key(|found| found.at()));
            for found in finder.found() {
                let before = found.at() - found.distance();
                prop_assert!(before < found.at() && begins.contains(&found.at()) && begins.contains(&before));
                let same = (found.at()..end).take_while(|at| text[*at] == text[at - found.distance()]);
                prop_assert_eq!(found.length(&text, end), same.count());
            }
        }
    }
}

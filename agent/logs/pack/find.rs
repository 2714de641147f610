//! Looks for what has been there before: only where a word begins, since little else pays.

/// A copy of fewer bytes from far away costs as much as the bytes.
const FOUND_MIN: usize = 5;
/// Places remembered; the table fits into the nearest cache.
const PLACES: usize = 1 << 12;
/// Bytes below are between words: white space, quotes, points, commas, lines and strokes.
const WORDS_FROM: u64 = 0x30;
const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = ONES << 7;

/// For the first bytes of a word the last place at which they stood.
pub(super) struct Finder(Box<[u32; PLACES]>);

impl Default for Finder {
    fn default() -> Self {
        Self(Box::new([0; PLACES]))
    }
}

impl Finder {
    pub(super) fn forget(&mut self) {
        self.0.fill(0);
    }

    /// Length and distance of what stands at `at` and has stood before, up to `end`; remembers the place.
    pub(super) fn find(&mut self, plain: &[u8], base: u32, at: usize, end: usize) -> Option<(usize, usize)> {
        let word = u64::from_le_bytes(*plain.get(at..)?.first_chunk()?);
        // Five bytes of it, mixed; the upper bits are the best.
        let hash = (word << 24).wrapping_mul(0x9e37_79b1_85eb_ca87) >> 52;
        let place = base.wrapping_add(at as u32);
        let known = std::mem::replace(self.0.get_mut(hash as usize)?, place);
        let distance = place.wrapping_sub(known) as usize;
        if distance > super::WINDOW_BYTES || distance > at || distance == 0 {
            return None;
        }
        let length = common(plain, at - distance, at, end.saturating_sub(at));
        (length >= FOUND_MIN).then_some((length, distance))
    }
}

/// The place behind the next byte that is between words; `end` when there is none.
pub(super) fn word(plain: &[u8], from: usize, end: usize) -> usize {
    let mut at = from;
    while let Some(word) = plain.get(at..end).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        let between = word.wrapping_sub(ONES * WORDS_FROM) & !word & HIGHS;
        if between != 0 {
            return at + between.trailing_zeros() as usize / 8 + 1;
        }
        at += 8;
    }
    let rest = plain.get(at..end).unwrap_or_default();
    let found = rest.iter().position(|byte| u64::from(*byte) < WORDS_FROM);
    found.map_or(end, |found| at + found + 1)
}

/// How many bytes at two places are the same, at most `most`; they may overlap.
pub(super) fn common(plain: &[u8], one: usize, other: usize, most: usize) -> usize {
    let (Some(one), Some(other)) = (plain.get(one..one + most), plain.get(other..other + most)) else {
        return 0;
    };
    let (ones, one_rest) = one.as_chunks::<8>();
    let (others, other_rest) = other.as_chunks::<8>();
    let mut at = 0;
    for (one, other) in ones.iter().zip(others) {
        let differing = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differing != 0 {
            return at + differing.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = one_rest.iter().zip(other_rest);
    at + rest.take_while(|(one, other)| one == other).count()
}

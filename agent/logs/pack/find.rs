//! Looks for what has been there before: only where a word begins, since little else pays.

/// A copy of fewer bytes from far away costs as much as the bytes.
const FOUND_MIN: usize = 6;
/// Places remembered; the table fits into the nearest cache.
const PLACES: usize = 1 << 12;
/// Bytes below are between words: white space, quotes, points, commas, lines and strokes.
const WORDS_FROM: u8 = 0x30;
/// Bytes looked at together.
const CHUNK: usize = 16;
pub(super) const BLOCK: usize = 64;

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
    #[inline]
    pub(super) fn find(&mut self, plain: &[u8], base: u32, at: usize, end: usize) -> Option<(usize, usize)> {
        let here = part::<CHUNK>(plain, at)?;
        let word = u64::from_le_bytes(*here.first_chunk()?);
        // Five bytes of it, mixed; the upper bits are the best.
        let hash = (word << 24).wrapping_mul(0x9e37_79b1_85eb_ca87) >> 52;
        let place = base.wrapping_add(at as u32);
        let known = std::mem::replace(self.0.get_mut(hash as usize)?, place);
        let distance = place.wrapping_sub(known) as usize;
        if distance > super::WINDOW_BYTES || distance > at || distance == 0 {
            return None;
        }
        let mut length = alike(here, part(plain, at - distance)?);
        if length == CHUNK {
            let at = at + length;
            length += common(plain, at - distance, at, end.saturating_sub(at));
        }
        let length = length.min(end - at);
        (length >= FOUND_MIN).then_some((length, distance))
    }
}

#[inline]
fn part<const BYTES: usize>(plain: &[u8], at: usize) -> Option<&[u8; BYTES]> {
    plain.get(at..)?.first_chunk()
}

/// The place behind the next byte that is between words; `end` when there is none.
#[inline]
pub(super) fn word(plain: &[u8], from: usize, end: usize) -> usize {
    let mut at = from;
    while let Some(bytes) = part(plain, at) {
        let [low, high] = words(bytes).map(swar::below::<WORDS_FROM>);
        let between = first(low, high);
        if between < CHUNK {
            return end.min(at + between + 1);
        }
        at += CHUNK;
        if at >= end {
            return end;
        }
    }
    let rest = plain.get(at..end).unwrap_or_default();
    let found = rest.iter().position(|byte| *byte < WORDS_FROM);
    found.map_or(end, |found| at + found + 1)
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
        (Some(left), Some(right)) => same_of(left, right),
        _ => (0..most.min(BLOCK)).fold(0, |mask, nth| {
            mask | u64::from(plain.get(one + nth) == plain.get(other + nth)) << nth
        }),
    };
    match most {
        BLOCK.. => same,
        _ => same & ((1 << most) - 1),
    }
}

#[inline]
fn same_of(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u64 {
    let (one, _) = one.as_chunks::<8>();
    let (other, _) = other.as_chunks::<8>();
    let pairs = one.iter().zip(other).enumerate();
    !pairs.fold(0, |mask, (nth, (one, other))| {
        let differing = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        mask | swar::bits(swar::not_zero(differing)) << (8 * nth)
    })
}

/// How many of the first bytes are the same.
#[inline]
fn alike(one: &[u8; CHUNK], other: &[u8; CHUNK]) -> usize {
    let ([one_low, one_high], [other_low, other_high]) = (words(one), words(other));
    first(one_low ^ other_low, one_high ^ other_high)
}

#[inline]
fn words(bytes: &[u8; CHUNK]) -> [u64; 2] {
    let both = u128::from_le_bytes(*bytes);
    [both as u64, (both >> 64) as u64]
}

/// The first byte that is not zero.
#[inline]
fn first(low: u64, high: u64) -> usize {
    let (low_zeros, high_zeros) = (low.trailing_zeros(), high.trailing_zeros());
    let zeros = if low == 0 { 64 + high_zeros } else { low_zeros };
    zeros as usize / 8
}

/// Eight bytes in one word. What is found of a byte is its highest bit.
mod swar {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;

    #[inline]
    pub(super) fn not_zero(word: u64) -> u64 {
        (((word & !HIGHS) + !HIGHS) | word) & HIGHS
    }

    /// At the first of them, and perhaps behind it.
    #[inline]
    pub(super) fn below<const LIMIT: u8>(word: u64) -> u64 {
        word.wrapping_sub(ONES * LIMIT as u64) & !word & HIGHS
    }

    /// The highest bits side by side.
    #[inline]
    pub(super) fn bits(highs: u64) -> u64 {
        highs.wrapping_mul(0x0002_0408_1020_4081) >> 56
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let end = text.len().max(one);
            let next = (one..end).find(|at| text[*at] < WORDS_FROM);
            prop_assert_eq!(word(&text, one, end), next.map_or(end, |next| next + 1));
        }
    }
}

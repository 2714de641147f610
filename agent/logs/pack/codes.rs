//! Huffman codes of RFC 1951, made from counts: every symbol has one, whatever comes later.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::bits::{Bits, Word};
use super::seq::{Sequence, first_of};
use super::{COPY_MAX, COPY_MIN};

/// Literals, the end of a block, and lengths of copies.
const SYMBOLS: usize = 286;
const DISTANCES: usize = 30;
/// A power of two, so that no index needs to be checked.
const DISTANCES_ROOM: usize = 32;
const END: usize = 256;
/// Longest code of a symbol: four literals, or both codes of a copy, and what a flush has left fit into one word.
const CODE_BITS_MAX: u8 = 13;
/// Longest code of the code lengths themselves.
const LENGTH_BITS_MAX: u8 = 7;
/// In this order the lengths of the code lengths' own codes are written.
const LENGTHS_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// How often each symbol is used.
#[derive(Clone)]
pub(crate) struct Counts {
    symbols: [u32; SYMBOLS],
    distances: [u32; DISTANCES],
}

/// Bits as they are written, above the lowest six, which say how many. Sums of them say how many all are, and what is
/// shifted by them is shifted by so many.
#[derive(Clone, Copy, Default)]
struct Code(u32);

/// Of a code, how many bits it has.
const COUNT: u32 = 0x3f;

impl Code {
    fn new(bits: u32, count: u32) -> Self {
        Self(bits << 6 | count)
    }

    #[inline]
    fn bits(self) -> u64 {
        u64::from(self.0 >> 6)
    }

    /// Both, one behind the other.
    fn with(self, behind: Self) -> Self {
        Self::new(
            (self.bits() | behind.bits() << self.count()) as u32,
            self.count() + behind.count(),
        )
    }

    #[inline]
    fn count(self) -> u32 {
        self.0 & COUNT
    }
}

/// By two bytes of which neither is more than this one, which writes nothing.
const PAIRS: usize = 1 << 16;
const NOTHING: usize = 128;
const ALL_NOTHING: u64 = u32::MAX as u64 / 255 * NOTHING as u64;

pub(crate) struct Codes {
    /// Most of what is logged is ASCII.
    pairs: Box<[Code; PAIRS]>,
    /// By byte; behind them as many that write nothing.
    literals: [Code; 512],
    /// By length; what the length has behind its code is in it.
    copies: [Code; COPY_MAX + 1],
    distances: [Code; DISTANCES_ROOM],
    end: Code,
    lengths: Vec<u8>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            // Each at least once.
            symbols: [1; SYMBOLS],
            distances: [1; DISTANCES],
        }
    }
}

impl Counts {
    /// Of these sequences; `plain` begins with them.
    pub(crate) fn of(plain: &[u8], sequences: &[Sequence]) -> Self {
        let (mut counts, mut at) = (Self::default(), 0);
        for sequence in sequences {
            let end = at + sequence.literals as usize;
            for byte in plain.get(at..end).unwrap_or_default() {
                if let Some(count) = counts.symbols.get_mut(usize::from(*byte)) {
                    *count += 1;
                }
            }
            let (mut length, distance) = (sequence.length as usize, sequence.distance as usize);
            while let Some(first) = first_of(length) {
                counts.copy(first, distance);
                length -= first;
            }
            if length > 0 {
                counts.copy(length, distance);
            }
            at = end + sequence.length as usize;
        }
        counts
    }

    fn copy(&mut self, length: usize, distance: usize) {
        if let Some(count) = self.symbols.get_mut(length_parts(length).symbol) {
            *count += 1;
        }
        if let Some(count) = self.distances.get_mut(distance_parts(distance).symbol) {
            *count += 1;
        }
    }
}

impl Codes {
    pub(crate) fn new(counts: &Counts) -> Self {
        let symbols = lengths(&counts.symbols, CODE_BITS_MAX);
        let distances = lengths(&counts.distances, CODE_BITS_MAX);
        let codes = canonical(&symbols);
        let code = |symbol: usize| codes.get(symbol).copied().unwrap_or_default();
        let copies = std::array::from_fn(|length| {
            if length < COPY_MIN {
                return Code::default();
            }
            let parts = length_parts(length);
            let code = code(parts.symbol);
            Code::new(
                code.bits() as u32 | parts.rest << code.count(),
                code.count() + parts.rest_bits,
            )
        });
        let mut literals = [Code::default(); 512];
        for (place, code) in literals.iter_mut().zip(codes.iter().take(256)) {
            *place = *code;
        }
        let mut pairs = Box::new([Code::default(); PAIRS]);
        let plain = literals.iter().take(NOTHING).copied();
        let plain = plain.chain([Code::default()]);
        for (behind, row) in plain.clone().zip(pairs.chunks_exact_mut(256)) {
            for (place, front) in row.iter_mut().zip(plain.clone()) {
                *place = front.with(behind);
            }
        }
        let mut of_distances = [Code::default(); DISTANCES_ROOM];
        for (place, code) in of_distances.iter_mut().zip(canonical(&distances)) {
            *place = code;
        }
        Self {
            pairs,
            literals,
            copies,
            distances: of_distances,
            end: code(END),
            lengths: symbols.into_iter().chain(distances).collect(),
        }
    }

    /// Of a copy, both of its codes.
    #[inline]
    pub(super) fn copy(&self, length: usize, distance: usize) -> Word {
        let parts = distance_parts(distance);
        let length = self.copies[length.min(COPY_MAX)];
        let distance = self.distances[parts.symbol % DISTANCES_ROOM];
        let behind = distance.bits() | u64::from(parts.rest).wrapping_shl(distance.0);
        Word {
            bits: length.bits() | behind.wrapping_shl(length.0),
            count: (length.0.wrapping_add(distance.0) & COUNT) + parts.rest_bits,
        }
    }

    /// Of the first `count` of four literals.
    #[inline]
    pub(super) fn literals(&self, four: [u8; 4], count: usize) -> Word {
        let wanted = (1 << (8 * count)) - 1;
        let bytes = u64::from(u32::from_le_bytes(four)) & wanted;
        if bytes & ALL_NOTHING != 0 {
            return self.any_literals(four, count);
        }
        let bytes = bytes | ALL_NOTHING & !wanted;
        let pair = |bytes: u64| self.pairs[bytes as usize % PAIRS];
        let (front, behind) = (pair(bytes), pair(bytes >> 16));
        Word {
            bits: front.bits() | behind.bits().wrapping_shl(front.0),
            count: front.0.wrapping_add(behind.0) & COUNT,
        }
    }

    /// Likewise where some may be more than ASCII.
    #[inline(never)]
    fn any_literals(&self, four: [u8; 4], count: usize) -> Word {
        let of = |nth: usize, byte: u8| {
            let none = usize::from(nth >= count) << 8;
            self.literals[none | usize::from(byte)]
        };
        let [one, two, three, four] = four;
        let (one, two, three, four) = (of(0, one), of(1, two), of(2, three), of(3, four));
        let half = one.0.wrapping_add(two.0);
        let front = one.bits() | two.bits().wrapping_shl(one.0);
        let behind = three.bits() | four.bits().wrapping_shl(three.0);
        Word {
            bits: front | behind.wrapping_shl(half),
            count: half.wrapping_add(three.0).wrapping_add(four.0) & COUNT,
        }
    }

    /// The front of the one block: last, with codes of its own, and these codes.
    pub(crate) fn write_front(&self, bits: &mut Bits) {
        let mut counts = [1u32; LENGTHS_ORDER.len()];
        for length in &self.lengths {
            if let Some(count) = counts.get_mut(usize::from(*length)) {
                *count += 1;
            }
        }
        let lengths = lengths(&counts, LENGTH_BITS_MAX);
        let codes = canonical(&lengths);
        bits.reserve(3 * (self.lengths.len() + LENGTHS_ORDER.len()));
        bits.put(0b101, 3);
        bits.put((SYMBOLS - 257) as u64, 5);
        bits.put((DISTANCES - 1) as u64, 5);
        bits.put((LENGTHS_ORDER.len() - 4) as u64, 4);
        bits.flush();
        for symbol in LENGTHS_ORDER {
            bits.put(u64::from(lengths.get(symbol).copied().unwrap_or_default()), 3);
            bits.flush();
        }
        for length in &self.lengths {
            let code = codes.get(usize::from(*length)).copied().unwrap_or_default();
            bits.put(code.bits(), code.count());
            bits.flush();
        }
    }

    pub(crate) fn write_end(&self, bits: &mut Bits) {
        bits.reserve(0);
        bits.put(self.end.bits(), self.end.count());
        bits.flush();
    }
}

/// A number as a symbol and the bits behind it.
struct Parts {
    symbol: usize,
    rest: u32,
    rest_bits: u32,
}

fn length_parts(length: usize) -> Parts {
    if length == COPY_MAX {
        return Parts {
            symbol: 285,
            rest: 0,
            rest_bits: 0,
        };
    }
    let above = u32::try_from(length - COPY_MIN).unwrap_or_default();
    if above < 8 {
        return Parts {
            symbol: 257 + above as usize,
            rest: 0,
            rest_bits: 0,
        };
    }
    // Four symbols for each number of bits behind them.
    let rest_bits = above.ilog2() - 2;
    Parts {
        symbol: 257 + (4 * rest_bits + (above >> rest_bits)) as usize,
        rest: above & ((1 << rest_bits) - 1),
        rest_bits,
    }
}

#[inline]
fn distance_parts(distance: usize) -> Parts {
    let above = (distance as u32).wrapping_sub(1);
    // Two symbols for each number of bits behind them.
    let rest_bits = (above | 2).ilog2() - 1;
    Parts {
        symbol: (2 * rest_bits + (above >> rest_bits)) as usize,
        rest: above & ((1 << rest_bits) - 1),
        rest_bits,
    }
}

/// Lengths of codes, none longer than `bits_max`.
fn lengths(counts: &[u32], bits_max: u8) -> Vec<u8> {
    let mut counts = counts.to_vec();
    loop {
        let lengths = unbounded(&counts);
        if lengths.iter().all(|bits| *bits <= bits_max) {
            return lengths;
        }
        // With counts nearer to each other the longest code is shorter; with all the same it is the shortest.
        for count in &mut counts {
            *count = count.div_ceil(2);
        }
    }
}

/// Huffman's own algorithm: the two that are used least become one, until one is left.
fn unbounded(counts: &[u32]) -> Vec<u8> {
    let mut heap: BinaryHeap<Reverse<(u64, usize)>> = counts
        .iter()
        .enumerate()
        .map(|(symbol, count)| Reverse((u64::from(*count), symbol)))
        .collect();
    // Of each symbol and each pair the pair that it is in.
    let mut above = vec![0; 2 * counts.len()];
    let mut next = counts.len();
    while let (Some(Reverse((one, left))), Some(Reverse((other, right)))) = (heap.pop(), heap.pop()) {
        for child in [left, right] {
            if let Some(above) = above.get_mut(child) {
                *above = next;
            }
        }
        heap.push(Reverse((one + other, next)));
        next += 1;
        if heap.len() == 1 {
            break;
        }
    }
    let root = next - 1;
    let depth = |mut symbol: usize| {
        let mut depth = 0u8;
        while symbol != root {
            symbol = above.get(symbol).copied().unwrap_or(root);
            depth = depth.saturating_add(1);
        }
        depth
    };
    (0..counts.len()).map(depth).collect()
}

/// The codes that follow from their lengths, turned around as they are written.
fn canonical(lengths: &[u8]) -> Vec<Code> {
    let mut codes = vec![Code::default(); lengths.len()];
    let mut next = 0u32;
    for bits in 1..=15u8 {
        next <<= 1;
        for (code, _) in codes
            .iter_mut()
            .zip(lengths)
            .filter(|(_, length)| **length == bits)
        {
            let count = u32::from(bits);
            *code = Code::new(next.reverse_bits() >> (32 - count), count);
            next += 1;
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_too_long_and_together_they_leave_no_room() {
        // Counts as Fibonacci's numbers make the longest codes there can be.
        let (mut one, mut other) = (1u32, 1u32);
        let counts: Vec<u32> = (0..40)
            .map(|_| {
                (one, other) = (other, one + other);
                one
            })
            .collect();
        for bits_max in [7, 14] {
            let lengths = lengths(&counts, bits_max);
            assert!(lengths.iter().all(|bits| (1..=bits_max).contains(bits)));
            let sum: u64 = lengths.iter().map(|bits| 1 << (32 - u64::from(*bits))).sum();
            assert_eq!(sum, 1 << 32);
        }
    }

    #[test]
    fn lengths_and_distances_have_the_symbols_of_the_standard() {
        for (length, symbol, rest_bits) in [
            (3, 257, 0),
            (10, 264, 0),
            (11, 265, 1),
            (12, 265, 1),
            (115, 280, 4),
            (131, 281, 5),
            (257, 284, 5),
            (258, 285, 0),
        ] {
            let parts = length_parts(length);
            assert_eq!((parts.symbol, parts.rest_bits), (symbol, rest_bits), "{length}");
        }
        for (distance, symbol, rest_bits) in [
            (1, 0, 0),
            (4, 3, 0),
            (5, 4, 1),
            (6, 4, 1),
            (7, 5, 1),
            (24_577, 29, 13),
            (32_768, 29, 13),
        ] {
            let parts = distance_parts(distance);
            assert_eq!((parts.symbol, parts.rest_bits), (symbol, rest_bits), "{distance}");
        }
    }
}

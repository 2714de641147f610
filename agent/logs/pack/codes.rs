//! Huffman codes of RFC 1951, made from counts: every symbol has one, whatever comes later.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::bits::Bits;
use super::{COPY_MAX, COPY_MIN};

/// Literals, the end of a block, and lengths of copies.
const SYMBOLS: usize = 286;
const DISTANCES: usize = 30;
const END: usize = 256;
/// Longest code of a symbol: four literals and what a flush has left fit into one word.
const CODE_BITS_MAX: u8 = 14;
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

/// Bits as they are written, and how many.
#[derive(Clone, Copy, Default)]
pub(crate) struct Code {
    pub(crate) bits: u32,
    pub(crate) count: u32,
}

pub(crate) struct Codes {
    pub(crate) literals: [Code; 256],
    /// By length; what the length has behind its code is in it.
    copies: Vec<Code>,
    distances: [Code; DISTANCES],
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
    pub(crate) fn literal(&mut self, byte: u8) {
        if let Some(count) = self.symbols.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }

    pub(crate) fn copy(&mut self, length: usize, distance: usize) {
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
        let copies = (0..=COPY_MAX).map(|length| {
            if length < COPY_MIN {
                return Code::default();
            }
            let parts = length_parts(length);
            let code = code(parts.symbol);
            Code {
                bits: code.bits | parts.rest << code.count,
                count: code.count + parts.rest_bits,
            }
        });
        let mut literals = [Code::default(); 256];
        literals.copy_from_slice(codes.get(..256).unwrap_or(&[Code::default(); 256]));
        let mut of_distances = [Code::default(); DISTANCES];
        of_distances.copy_from_slice(&canonical(&distances));
        Self {
            literals,
            copies: copies.collect(),
            distances: of_distances,
            end: code(END),
            lengths: symbols.into_iter().chain(distances).collect(),
        }
    }

    /// Of a copy, both of its codes.
    pub(crate) fn copy(&self, length: usize, distance: usize) -> (u64, u32) {
        let parts = distance_parts(distance);
        let length = self.copies.get(length).copied().unwrap_or_default();
        let distance = self.distances.get(parts.symbol).copied().unwrap_or_default();
        let behind = u64::from(distance.bits) | u64::from(parts.rest) << distance.count;
        (
            u64::from(length.bits) | behind << length.count,
            length.count + distance.count + parts.rest_bits,
        )
    }

    pub(crate) fn literal(&self, byte: u8) -> Code {
        // There are 256 of them.
        self.literals.get(usize::from(byte)).copied().unwrap_or_default()
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
            bits.put(u64::from(code.bits), code.count);
            bits.flush();
        }
    }

    pub(crate) fn write_end(&self, bits: &mut Bits) {
        bits.reserve(0);
        bits.put(u64::from(self.end.bits), self.end.count);
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

fn distance_parts(distance: usize) -> Parts {
    let above = u32::try_from(distance - 1).unwrap_or_default();
    if above < 4 {
        return Parts {
            symbol: above as usize,
            rest: 0,
            rest_bits: 0,
        };
    }
    // Two symbols for each number of bits behind them.
    let rest_bits = above.ilog2() - 1;
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
            *code = Code {
                bits: next.reverse_bits() >> (32 - count),
                count,
            };
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

//! Whole numbers in as few bits as one of several widths allows: so many ones and a zero say which.
//!
//! Zero is a single 0, the first width stands behind 10, the second behind 110; what fits none stands whole behind one
//! more one than there are widths. The differences of times in XOR chunks are written so, and with more widths most of
//! what is in chunks of histograms.

use crate::bits::{BitReader, BitWriter};

/// Of chunks of histograms.
pub(crate) const WIDTHS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

pub(crate) fn put(bits: &mut BitWriter, widths: &[u32], number: i64) {
    // Signed numbers that begin one above the least that the bits could say.
    let fits = |width: u32| (-(1 << (width - 1)) + 1..=1 << (width - 1)).contains(&number);
    put_some(bits, widths, number.cast_unsigned(), fits);
}

/// Of numbers that are not below zero each width says twice as many.
pub(crate) fn put_unsigned(bits: &mut BitWriter, widths: &[u32], number: u64) {
    put_some(bits, widths, number, |width| number < 1 << width);
}

fn put_some(bits: &mut BitWriter, widths: &[u32], number: u64, fits: impl Fn(u32) -> bool) {
    if number == 0 {
        return bits.put(0, 1);
    }
    match (1..).zip(widths).find(|(_, width)| fits(**width)) {
        Some((ones, width)) => {
            bits.put((1 << (ones + 1)) - 2, ones + 1);
            bits.put(number, *width);
        }
        None => {
            let ones = widths.len() as u32 + 1;
            bits.put((1 << ones) - 1, ones);
            bits.put(number, 64);
        }
    }
}

pub(crate) fn take(bits: &mut BitReader<'_>, widths: &[u32]) -> Option<i64> {
    let (number, width) = take_some(bits, widths)?;
    let number = number.cast_signed();
    let negative = width < 64 && number > 1 << (width - 1);
    Some(if negative { number - (1 << width) } else { number })
}

pub(crate) fn take_unsigned(bits: &mut BitReader<'_>, widths: &[u32]) -> Option<u64> {
    take_some(bits, widths).map(|(number, _)| number)
}

/// The bits, and how many they are; of zero as if they were all.
fn take_some(bits: &mut BitReader<'_>, widths: &[u32]) -> Option<(u64, u32)> {
    let ones = bits.peek().leading_ones();
    if ones == 0 {
        return bits.skip(1).then_some((0, 64));
    }
    let Some(width) = widths.get(ones as usize - 1).copied() else {
        bits.skip(widths.len() as u32 + 1);
        return bits.take(64).map(|number| (number, 64));
    };
    bits.skip(ones + 1);
    bits.take(width).map(|number| (number, width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Worked out by hand: 0; 10 and 4 of three bits; 110 and -4 of six; 1110 and 511 of nine, unsigned.
    #[test]
    fn the_bits_are_those_of_the_format() {
        let mut bits = BitWriter::default();
        put(&mut bits, &WIDTHS, 0);
        put(&mut bits, &WIDTHS, 4);
        put(&mut bits, &WIDTHS, -4);
        put_unsigned(&mut bits, &WIDTHS, 511);
        assert_eq!(
            bits.finish(),
            [0b0101_0011, 0b0111_1001, 0b1101_1111, 0b1111_0000]
        );
    }

    #[test]
    fn numbers_at_the_edges_of_every_width_come_back() {
        let edges = WIDTHS.map(|width| 1i64 << (width - 1));
        let all: Vec<i64> = edges
            .iter()
            .flat_map(|edge| [*edge, edge + 1, -edge, 1 - edge, edge * 2 - 1, edge * 2])
            .chain([0, i64::MIN, i64::MAX])
            .collect();
        let mut bits = BitWriter::default();
        for number in &all {
            put(&mut bits, &WIDTHS, *number);
            put_unsigned(&mut bits, &WIDTHS, number.cast_unsigned());
        }
        let bytes = bits.finish();
        let mut reader = BitReader::new(&bytes);
        for number in &all {
            assert_eq!(take(&mut reader, &WIDTHS), Some(*number));
            assert_eq!(take_unsigned(&mut reader, &WIDTHS), Some(number.cast_unsigned()));
        }
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(all in proptest::collection::vec((any::<i64>(), 0..64u32), 0..50)) {
            let all: Vec<i64> = all.into_iter().map(|(number, shift)| number >> shift).collect();
            let mut bits = BitWriter::default();
            all.iter().for_each(|number| put(&mut bits, &WIDTHS, *number));
            all.iter().for_each(|number| put_unsigned(&mut bits, &WIDTHS, number.cast_unsigned()));
            let bytes = bits.finish();
            let mut reader = BitReader::new(&bytes);
            for number in &all {
                prop_assert_eq!(take(&mut reader, &WIDTHS), Some(*number));
            }
            for number in &all {
                prop_assert_eq!(take_unsigned(&mut reader, &WIDTHS), Some(number.cast_unsigned()));
            }
        }
    }
}

//! Samples of one series packed by the difference of differences of their times and the bits by which a value
//! differs from the one before.
//!
//! The format is Prometheus' XOR chunk, bit for bit: prometheus/prometheus tsdb/docs/format/chunks.md. A value
//! is its bits and nothing else, so that stale markers and other NaNs come back as they were.

use crate::bits::{BitReader, BitWriter};
use crate::bytes::{put_uvarint, put_varint};
use crate::differing::{DifferingReader, DifferingWriter};
use crate::varbit;

/// Samples that we put in a chunk, as Prometheus does; others may have put in more.
pub(crate) const CHUNK_SAMPLES: usize = 120;
/// What the chunks file calls this encoding.
pub(crate) const ENCODING: u8 = 1;

/// Widths of the difference of differences.
const WIDTHS: [u32; 3] = [14, 17, 20];

/// Takes samples in the order of their times.
#[derive(Default)]
pub(crate) struct Encoder {
    bits: BitWriter,
    count: u16,
    time: i64,
    step: u64,
    value: DifferingWriter,
}

impl Encoder {
    pub(crate) fn append(&mut self, time: i64, value: f64) {
        let step = time.wrapping_sub(self.time).cast_unsigned();
        match self.count {
            0 => {
                let mut bytes = Vec::with_capacity(10);
                put_varint(&mut bytes, time);
                self.bits.bytes = vec![0, 0];
                self.bits.bytes.append(&mut bytes);
                self.value.begin(&mut self.bits, value);
            }
            1 => {
                let mut bytes = Vec::with_capacity(10);
                put_uvarint(&mut bytes, step);
                bytes.iter().for_each(|byte| self.bits.put(u64::from(*byte), 8));
                self.value.put(&mut self.bits, value);
            }
            _ => {
                let change = step.wrapping_sub(self.step).cast_signed();
                varbit::put(&mut self.bits, &WIDTHS, change);
                self.value.put(&mut self.bits, value);
            }
        }
        if self.count > 0 {
            self.step = step;
        }
        self.time = time;
        self.count += 1;
    }

    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// The chunk's data, its number of samples in front.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut bytes = self.bits.finish();
        if let Some(count) = bytes.first_chunk_mut() {
            *count = self.count.to_be_bytes();
        }
        bytes
    }
}

/// How many samples a chunk says it has; so for all encodings.
pub(crate) fn count(data: &[u8]) -> u16 {
    data.first_chunk()
        .map(|bytes| u16::from_be_bytes(*bytes))
        .unwrap_or_default()
}

/// What a chunk says makes no sense, or it ends too early.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadChunk;

/// Gives the samples of a chunk one by one; after an error nothing more.
pub(crate) struct Decoder<'a> {
    bits: BitReader<'a>,
    left: u16,
    read: u16,
    time: i64,
    step: u64,
    value: DifferingReader,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self {
            bits: BitReader::new(data.get(2..).unwrap_or_default()),
            left: count(data),
            read: 0,
            time: 0,
            step: 0,
            value: DifferingReader::default(),
        }
    }

    fn sample(&mut self) -> Option<(i64, f64)> {
        match self.read {
            0 => self.time = self.varint()?,
            1 => self.step = self.uvarint()?,
            _ => {
                let change = varbit::take(&mut self.bits, &WIDTHS)?;
                self.step = self.step.wrapping_add(change.cast_unsigned());
            }
        }
        let value = if self.read == 0 {
            self.value.begin(&mut self.bits)?
        } else {
            self.time = self.time.wrapping_add(self.step.cast_signed());
            self.value.take(&mut self.bits)?
        };
        self.read = self.read.saturating_add(1).min(2);
        Some((self.time, value))
    }

    fn uvarint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.bits.take(8)?;
            number |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn varint(&mut self) -> Option<i64> {
        let number = self.uvarint()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<(i64, f64), BadChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let sample = self.sample();
        if sample.is_none() {
            self.left = 0;
        }
        Some(sample.ok_or(BadChunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::STALE;
    use proptest::prelude::*;

    fn encode(samples: &[(i64, f64)]) -> Vec<u8> {
        let mut encoder = Encoder::default();
        for (time, value) in samples {
            encoder.append(*time, *value);
        }
        encoder.finish()
    }

    fn bits(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
        samples
            .iter()
            .map(|(time, value)| (*time, value.to_bits()))
            .collect()
    }

    fn decode(data: &[u8]) -> Vec<(i64, u64)> {
        let samples: Result<Vec<_>, _> = Decoder::new(data).collect();
        bits(&samples.expect("a good chunk"))
    }

    /// Worked out by hand. 1000 is 2000 as a signed varint: d0 0f; then 1.0. Step 15 is 0f, and an unchanged
    /// value a 0. Step unchanged: 0; 1.0 ^ 2.0 is 0x7ff0…: 11, 1 leading zero 00001, 11 bits wide 001011, eleven
    /// ones. Step 16, a change of 1: 10 and fourteen bits, value unchanged: 0.
    #[test]
    fn the_bytes_are_those_of_the_format() {
        let data = encode(&[(1000, 1.0), (1015, 1.0), (1030, 2.0), (1046, 2.0)]);
        let by_hand = [
            0,
            4, // samples
            0xd0,
            0x0f,
            0x3f,
            0xf0,
            0,
            0,
            0,
            0,
            0,
            0,    // 1000, 1.0
            0x0f, // 15
            0b0011_0000,
            0b1001_0111,
            0b1111_1111,
            0b1110_0000,
            0b0000_0000,
            0b0100_0000,
        ];
        assert_eq!(data, by_hand);
        assert_eq!(decode(&data).len(), 4);
    }

    #[test]
    fn steps_of_every_width_come_back() {
        let edges = [14, 17, 20, 62].map(|width: u32| 1i64 << (width - 1));
        let changes = edges
            .iter()
            .flat_map(|edge| [*edge, edge + 1, -edge, 1 - edge, -edge - 1]);
        let (mut samples, mut time, mut step) = (vec![(0, 0.0), (7, 0.0)], 7i64, 7i64);
        for change in changes {
            step = step.wrapping_add(change);
            time = time.wrapping_add(step);
            samples.push((time, 1.0));
        }
        assert_eq!(decode(&encode(&samples)), bits(&samples));
    }

    #[test]
    fn markers_and_other_nans_keep_their_bits() {
        let values = [
            STALE,
            f64::NAN,
            f64::from_bits(0x7ff8_dead_beef_0001),
            -0.0,
            0.0,
            f64::INFINITY,
            STALE,
        ];
        let samples: Vec<_> = (0..).zip(values).collect();
        assert_eq!(decode(&encode(&samples)), bits(&samples));
    }

    #[test]
    fn a_chunk_that_ends_too_early_is_an_error() {
        let data = encode(&[(1000, 1.0), (1015, 1.5), (1030, 2.0)]);
        for length in 2..data.len() {
            let samples: Vec<_> = Decoder::new(&data[..length]).collect();
            assert_eq!(samples.last(), Some(&Err(BadChunk)), "{length} bytes");
        }
        assert_eq!(Decoder::new(&[]).count(), 0);
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (0..100i32).prop_map(f64::from),
            Just(STALE)
        ]
    }

    proptest! {
        #[test]
        fn any_samples_come_back(samples in proptest::collection::vec((any::<i64>(), any_value()), 0..200)) {
            prop_assert_eq!(decode(&encode(&samples)), bits(&samples));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Decoder::new(&data).count() <= usize::from(count(&data)));
        }
    }
}

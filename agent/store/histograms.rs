//! Native histograms of a target, as they were committed: few targets have any, and what has none pays nothing.
//!
//! Packed from the beginning, by the same bytes in memory and in the log: a histogram of fifty buckets takes about
//! a hundred. They count towards the memory that samples may take, by the bytes that they have.

use std::sync::Arc;

use model::histogram::{Buckets, CUSTOM, Reset, Span};
use model::{Histogram, SeriesRef, Timestamp};

use crate::row::Shape;

/// Histograms of some series at one time, in the order of the shape.
#[derive(Debug)]
pub(crate) struct HistogramRow {
    pub(crate) time: Timestamp,
    pub(crate) shape: Arc<Shape>,
    pub(crate) packed: Packed,
}

/// Histograms, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    bytes: Box<[u8]>,
    /// Where each ends.
    ends: Box<[u32]>,
}

impl HistogramRow {
    pub(crate) fn get(&self, series: SeriesRef) -> Option<Histogram> {
        self.packed.get(self.shape.position(series)?)
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.packed.bytes.len() + self.packed.ends.len() * 4
    }
}

impl Packed {
    pub(crate) fn of<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for histogram in histograms {
            write(&mut bytes, histogram);
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        Self {
            bytes: bytes.into(),
            ends: ends.into(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// None where the bytes are not just so many histograms.
    pub(crate) fn read(bytes: &[u8], count: usize) -> Option<Self> {
        let mut reading = Reading(bytes);
        let mut ends = Vec::new();
        for _ in 0..count {
            reading.histogram()?;
            ends.push(u32::try_from(bytes.len() - reading.0.len()).ok()?);
        }
        reading.0.is_empty().then(|| Self {
            bytes: bytes.into(),
            ends: ends.into(),
        })
    }

    pub(crate) fn get(&self, at: usize) -> Option<Histogram> {
        let end = *self.ends.get(at)? as usize;
        let start = at
            .checked_sub(1)
            .map_or(Some(0), |before| self.ends.get(before).copied())? as usize;
        Reading(self.bytes.get(start..end)?).histogram()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<Histogram>> {
        (0..self.len()).map(|at| self.get(at))
    }
}

const INTEGERS: u8 = 1;
const RESETS: [Reset; 4] = [Reset::Unknown, Reset::Yes, Reset::No, Reset::Gauge];

/// Flags, schema, sum, zero bucket, count, both sides, bounds. Whole counts are written as the difference to the one
/// before, all numbers in as few bytes as they need.
fn write(out: &mut Vec<u8>, histogram: &Histogram) {
    let reset = RESETS.iter().position(|reset| *reset == histogram.reset);
    let reset = u8::try_from(reset.unwrap_or_default()).unwrap_or_default();
    out.push(u8::from(histogram.integers) | reset << 1);
    signed(out, i64::from(histogram.schema));
    float(out, histogram.sum);
    float(out, histogram.zero_threshold);
    let count = |out: &mut Vec<u8>, count: f64| match histogram.integers {
        true => unsigned(out, count as u64),
        false => float(out, count),
    };
    count(out, histogram.zero_count);
    count(out, histogram.count);
    for side in [&histogram.positive, &histogram.negative] {
        unsigned(out, side.spans.len() as u64);
        for span in &side.spans {
            signed(out, i64::from(span.offset));
            unsigned(out, u64::from(span.length));
        }
        unsigned(out, side.counts.len() as u64);
        let mut before = 0_i64;
        for count in &side.counts {
            if histogram.integers {
                let count = *count as i64;
                signed(out, count.wrapping_sub(before));
                before = count;
            } else {
                float(out, *count);
            }
        }
    }
    if histogram.schema == CUSTOM {
        unsigned(out, histogram.bounds.len() as u64);
        histogram.bounds.iter().for_each(|bound| float(out, *bound));
    }
}

fn float(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn signed(out: &mut Vec<u8>, number: i64) {
    unsigned(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Seven bits a byte, the lowest first.
fn unsigned(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

struct Reading<'a>(&'a [u8]);

impl Reading<'_> {
    fn histogram(&mut self) -> Option<Histogram> {
        let flags = self.byte()?;
        let integers = flags & INTEGERS != 0;
        let reset = *RESETS.get(usize::from(flags >> 1))?;
        let schema = i32::try_from(self.signed()?).ok()?;
        let (sum, zero_threshold) = (self.float()?, self.float()?);
        let (zero_count, count) = (self.count(integers)?, self.count(integers)?);
        let (positive, negative) = (self.side(integers)?, self.side(integers)?);
        let bounds = match schema {
            CUSTOM => (0..self.length(8)?)
                .map(|_| self.float())
                .collect::<Option<_>>()?,
            _ => Vec::new(),
        };
        Some(Histogram {
            count,
            sum,
            schema,
            zero_threshold,
            zero_count,
            positive,
            negative,
            bounds,
            reset,
            integers,
        })
    }

    fn side(&mut self, integers: bool) -> Option<Buckets> {
        let mut spans = Vec::new();
        for _ in 0..self.length(2)? {
            spans.push(Span {
                offset: i32::try_from(self.signed()?).ok()?,
                length: u32::try_from(self.unsigned()?).ok()?,
            });
        }
        let length = self.length(if integers { 1 } else { 8 })?;
        let (mut counts, mut before) = (Vec::with_capacity(length), 0_i64);
        for _ in 0..length {
            counts.push(if integers {
                before = before.wrapping_add(self.signed()?);
                before as f64
            } else {
                self.float()?
            });
        }
        Some(Buckets { spans, counts })
    }

    fn count(&mut self, integers: bool) -> Option<f64> {
        if integers {
            self.unsigned().map(|count| count as f64)
        } else {
            self.float()
        }
    }

    /// How many follow, of so many bytes each at least: no more than there are can be asked for.
    fn length(&mut self, bytes_each: usize) -> Option<usize> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        (length <= self.0.len() / bytes_each).then_some(length)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn float(&mut self) -> Option<f64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_bits(u64::from_le_bytes(*bytes)))
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.unsigned()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn side(integers: bool) -> impl Strategy<Value = Buckets> {
        let span = (-9_i32..1_000_000, 0_u32..4).prop_map(|(offset, length)| Span { offset, length });
        prop::collection::vec(span, 0..4).prop_flat_map(move |spans| {
            let length = spans.iter().map(|span| span.length as usize).sum::<usize>();
            let count = if integers {
                (0_u64..1 << 53).prop_map(|count| count as f64).boxed()
            } else {
                any::<f64>().boxed()
            };
            prop::collection::vec(count, length).prop_map(move |counts| Buckets {
                spans: spans.clone(),
                counts,
            })
        })
    }

    fn histogram() -> impl Strategy<Value = Histogram> {
        let schema = prop_oneof![-4_i32..=8, Just(CUSTOM)];
        (any::<bool>(), schema).prop_flat_map(|(integers, schema)| {
            let bounds = if schema == CUSTOM { 0..5_usize } else { 0..1 };
            (
                (side(integers), side(integers), any::<(f64, f64)>()),
                (0_u64..1 << 53, 0_u64..1 << 53, 0_usize..4),
                prop::collection::vec(any::<f64>(), bounds),
            )
                .prop_map(move |(sides, counts, bounds)| {
                    let (positive, negative, (sum, zero_threshold)) = sides;
                    Histogram {
                        count: counts.0 as f64,
                        sum,
                        schema,
                        zero_threshold,
                        zero_count: counts.1 as f64,
                        positive,
                        negative,
                        bounds,
                        reset: RESETS[counts.2],
                        integers,
                    }
                })
        })
    }

    /// By the bits of its numbers, since what is no number equals nothing.
    fn text(histogram: &Histogram) -> String {
        format!("{histogram:?}")
    }

    proptest! {
        #[test]
        fn histograms_come_back_as_they_were(all in prop::collection::vec(histogram(), 0..5)) {
            let packed = Packed::of(all.iter());
            prop_assert_eq!(Packed::read(packed.bytes(), all.len()), Some(packed.clone()));
            for (one, read) in all.iter().zip(packed.iter()) {
                prop_assert_eq!(text(one), text(&read.expect("it is whole")));
            }
            prop_assert_eq!(packed.get(all.len()), None);
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0_usize..4) {
            if let Some(packed) = Packed::read(&bytes, count) {
                prop_assert_eq!(packed.iter().flatten().count(), count);
            }
        }

        #[test]
        fn a_cut_histogram_is_none(one in histogram(), cut in any::<prop::sample::Index>()) {
            let packed = Packed::of([&one].into_iter());
            let end = cut.index(packed.bytes().len());
            prop_assert_eq!(Packed::read(&packed.bytes()[..end], 1), None);
        }
    }

    #[test]
    fn one_of_fifty_buckets_takes_about_a_hundred_bytes() {
        let counts: Vec<f64> = (0..50).map(|nth| f64::from(20 * nth)).collect();
        let one = Histogram {
            count: counts.iter().sum(),
            schema: 3,
            positive: Buckets {
                spans: vec![Span {
                    offset: 4,
                    length: 50,
                }],
                counts,
            },
            integers: true,
            ..Histogram::default()
        };
        let bytes = Packed::of([&one].into_iter()).bytes().len();
        assert!((60..=110).contains(&bytes), "{bytes}");
    }
}

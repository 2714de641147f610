//! Packs histograms of one layout.

use model::histogram::{Buckets, Histogram};

use super::{FLOATS, HELD_BYTES_MAX, Header, INTEGERS, layout};
use crate::bits::BitWriter;
use crate::differing::DifferingWriter;
use crate::varbit::{self, WIDTHS};

/// Far below what may be read, for what is written here is to be read.
const ENCODED_HELD_MAX: usize = HELD_BYTES_MAX / 8;

/// Whole numbers that a float says exactly, and the differences of their differences too.
const WHOLE_MAX: f64 = (1_u64 << 53) as f64;

/// One of the fields that stand in every sample.
enum Field {
    Whole { value: i64, step: i64 },
    Float(DifferingWriter),
}

impl Field {
    fn put(&mut self, bits: &mut BitWriter, number: f64) {
        match self {
            Self::Whole { value, step } => {
                let new = number as i64;
                let change = new - *value;
                varbit::put(bits, &WIDTHS, change - *step);
                (*value, *step) = (new, change);
            }
            Self::Float(differing) => differing.put(bits, number),
        }
    }
}

/// Takes histograms in the order of their times. Which of them may come together is for the caller to see to, with
/// [`Encoder::fits`] and [`super::is_reset`].
pub(crate) struct Encoder {
    bits: BitWriter,
    count: u16,
    layout: Histogram,
    encoding: u8,
    time: i64,
    step: i64,
    total: Field,
    zero: Field,
    sum: DifferingWriter,
    buckets: Vec<Field>,
}

impl Encoder {
    /// Begins with a histogram that [`super::check`] has found good, and that stays the measure of what fits.
    pub(crate) fn begin(time: i64, first: &Histogram, header: Header) -> Self {
        let mut bits = BitWriter::default();
        bits.bytes = vec![0, 0, (header as u8) << 6];
        layout::put(&mut bits, first);
        varbit::put(&mut bits, &WIDTHS, time);
        let encoding = encoding(first);
        let field = |bits: &mut BitWriter, number: f64, value: i64, signed: bool| {
            if encoding == FLOATS {
                let mut differing = DifferingWriter::default();
                differing.begin(bits, number);
                return Field::Float(differing);
            }
            if signed {
                varbit::put(bits, &WIDTHS, value);
            } else {
                varbit::put_unsigned(bits, &WIDTHS, value.cast_unsigned());
            }
            Field::Whole { value, step: 0 }
        };
        let total = field(&mut bits, first.count, first.count as i64, false);
        let zero = field(&mut bits, first.zero_count, first.zero_count as i64, false);
        let mut sum = DifferingWriter::default();
        sum.begin(&mut bits, first.sum);
        let numbers = numbers(first, encoding);
        let buckets = numbers.map(|number| field(&mut bits, number, number as i64, true));
        Self {
            buckets: buckets.collect(),
            bits,
            count: 1,
            layout: first.clone(),
            encoding,
            time,
            step: 0,
            total,
            zero,
            sum,
        }
    }

    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    pub(crate) fn encoding(&self) -> u8 {
        self.encoding
    }

    /// Whether a histogram has the layout and the kind of counts of this chunk, and there is room.
    pub(crate) fn fits(&self, next: &Histogram) -> bool {
        let same = |ours: &Buckets, theirs: &Buckets| {
            ours.spans == theirs.spans && ours.counts.len() == theirs.counts.len()
        };
        let layout = &self.layout;
        layout.schema == next.schema
            && layout.zero_threshold.to_bits() == next.zero_threshold.to_bits()
            && same(&layout.positive, &next.positive)
            && same(&layout.negative, &next.negative)
            && layout.bounds == next.bounds
            && self.encoding == encoding(next)
            && layout.bytes() * (usize::from(self.count) + 1) <= ENCODED_HELD_MAX
    }

    /// Adds one that fits.
    pub(crate) fn append(&mut self, time: i64, next: &Histogram) {
        let step = time.wrapping_sub(self.time);
        varbit::put(&mut self.bits, &WIDTHS, step.wrapping_sub(self.step));
        (self.time, self.step) = (time, step);
        self.total.put(&mut self.bits, next.count);
        self.zero.put(&mut self.bits, next.zero_count);
        self.sum.put(&mut self.bits, next.sum);
        for (field, number) in self.buckets.iter_mut().zip(numbers(next, self.encoding)) {
            field.put(&mut self.bits, number);
        }
        self.count += 1;
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

/// Counts that came as whole numbers are written as such when they are.
fn encoding(histogram: &Histogram) -> u8 {
    let is_whole = |count: f64| (0.0..=WHOLE_MAX).contains(&count) && count.fract() == 0.0;
    let buckets = histogram.positive.counts.iter().chain(&histogram.negative.counts);
    let whole = histogram.integers
        && is_whole(histogram.count)
        && is_whole(histogram.zero_count)
        && buckets.copied().all(is_whole);
    if whole { INTEGERS } else { FLOATS }
}

/// What is written of the buckets of both sides: floats as they are, whole counts as the difference from the bucket
/// before.
fn numbers(histogram: &Histogram, encoding: u8) -> impl Iterator<Item = f64> + '_ {
    let sides = [&histogram.positive, &histogram.negative];
    sides.into_iter().flat_map(move |side| {
        let mut before = 0.0;
        side.counts.iter().map(move |count| {
            let number = count - before;
            if encoding == INTEGERS {
                before = *count;
            }
            number
        })
    })
}

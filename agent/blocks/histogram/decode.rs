//! Unpacks a chunk of histograms. What it says is believed of nothing that memory is asked for.

use std::sync::Arc;

use model::histogram::{Buckets, Histogram, Reset};
use model::{STALE, Timestamp, Value, is_stale};

use super::{HELD_BYTES_MAX, INTEGERS, layout};
use crate::bits::BitReader;
use crate::differing::DifferingReader;
use crate::varbit::{self, WIDTHS};
use crate::xor::{BadChunk, count};

/// One of the fields that stand in every sample.
enum Field {
    Whole { value: i64, step: i64 },
    Float(DifferingReader),
}

impl Field {
    fn take(&mut self, bits: &mut BitReader<'_>) -> Option<Number> {
        match self {
            Self::Whole { value, step } => {
                *step = step.wrapping_add(varbit::take(bits, &WIDTHS)?);
                *value = value.wrapping_add(*step);
                Some(Number::Whole(*value))
            }
            Self::Float(differing) => differing.take(bits).map(Number::Float),
        }
    }
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i64),
    Float(f64),
}

impl Number {
    /// As a count by itself, which is not below zero when it is whole.
    fn count(self) -> Option<f64> {
        match self {
            Self::Whole(whole) => u64::try_from(whole).ok().map(|whole| whole as f64),
            Self::Float(float) => Some(float),
        }
    }
}

/// Gives the samples of a chunk one by one; after an error nothing more. Of a chunk's first sample it is never said
/// whether it is a reset, as Prometheus does not: the chunk before may have gone, or another have come between.
pub(crate) struct Decoder<'a> {
    bits: BitReader<'a>,
    integers: bool,
    is_gauge: bool,
    left: u16,
    /// Once the first sample was read.
    begun: Option<Begun>,
}

struct Begun {
    layout: Histogram,
    time: i64,
    step: i64,
    total: Field,
    zero: Field,
    sum: DifferingReader,
    buckets: Vec<Field>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(encoding: u8, data: &'a [u8]) -> Self {
        let header = data.get(2).copied();
        Self {
            bits: BitReader::new(data.get(3..).unwrap_or_default()),
            integers: encoding == INTEGERS,
            is_gauge: header.is_some_and(|header| header >> 6 == 0b11),
            left: count(data),
            begun: None,
        }
    }

    fn sample(&mut self) -> Option<(Timestamp, Value)> {
        match self.begun.take() {
            None => self.first(),
            Some(begun) => self.next_one(begun),
        }
    }

    fn first(&mut self) -> Option<(Timestamp, Value)> {
        let mut layout = layout::take(&mut self.bits)?;
        if layout.bytes().checked_mul(usize::from(self.left) + 1)? > HELD_BYTES_MAX {
            return None;
        }
        layout.integers = self.integers;
        layout.reset = if self.is_gauge { Reset::Gauge } else { Reset::No };
        let time = varbit::take(&mut self.bits, &WIDTHS)?;
        let (total, count) = self.begin(false)?;
        let (zero, zero_count) = self.begin(false)?;
        let mut sum = DifferingReader::default();
        let first_sum = sum.begin(&mut self.bits)?;
        let length = layout.positive.counts.len() + layout.negative.counts.len();
        let (mut buckets, mut numbers) = (Vec::with_capacity(length), Vec::with_capacity(length));
        for _ in 0..length {
            let (field, number) = self.begin(true)?;
            buckets.push(field);
            numbers.push(number);
        }
        let begun = Begun {
            layout,
            time,
            step: 0,
            total,
            zero,
            sum,
            buckets,
        };
        let value = if is_stale(first_sum) {
            Value::Float(STALE)
        } else {
            let mut numbers = numbers.into_iter().map(Some);
            let mut histogram =
                begun.histogram(count.count()?, zero_count.count()?, first_sum, &mut numbers)?;
            if histogram.reset == Reset::No {
                histogram.reset = Reset::Unknown;
            }
            Value::Histogram(Arc::new(histogram))
        };
        self.begun = Some(begun);
        Some((Timestamp(time), value))
    }

    /// A field of the first sample. Buckets are written with a sign.
    fn begin(&mut self, signed: bool) -> Option<(Field, Number)> {
        if !self.integers {
            let mut differing = DifferingReader::default();
            let float = differing.begin(&mut self.bits)?;
            return Some((Field::Float(differing), Number::Float(float)));
        }
        let value = if signed {
            varbit::take(&mut self.bits, &WIDTHS)?
        } else {
            varbit::take_unsigned(&mut self.bits, &WIDTHS)?.cast_signed()
        };
        Some((Field::Whole { value, step: 0 }, Number::Whole(value)))
    }

    fn next_one(&mut self, mut begun: Begun) -> Option<(Timestamp, Value)> {
        let bits = &mut self.bits;
        begun.step = begun.step.wrapping_add(varbit::take(bits, &WIDTHS)?);
        begun.time = begun.time.wrapping_add(begun.step);
        let count = begun.total.take(bits)?;
        let zero_count = begun.zero.take(bits)?;
        let sum = begun.sum.take(bits)?;
        let value = if is_stale(sum) {
            // Then there are no buckets.
            Value::Float(STALE)
        } else {
            let mut fields = std::mem::take(&mut begun.buckets);
            let mut numbers = fields.iter_mut().map(|field| field.take(bits));
            let histogram = begun.histogram(count.count()?, zero_count.count()?, sum, &mut numbers)?;
            drop(numbers);
            begun.buckets = fields;
            Value::Histogram(Arc::new(histogram))
        };
        let time = begun.time;
        self.begun = Some(begun);
        Some((Timestamp(time), value))
    }
}

impl Begun {
    fn histogram(
        &self,
        count: f64,
        zero_count: f64,
        sum: f64,
        numbers: &mut dyn Iterator<Item = Option<Number>>,
    ) -> Option<Histogram> {
        let mut histogram = Histogram {
            count,
            zero_count,
            sum,
            ..self.layout.clone()
        };
        fill(&mut histogram.positive, numbers)?;
        fill(&mut histogram.negative, numbers)?;
        Some(histogram)
    }
}

fn fill(side: &mut Buckets, numbers: &mut dyn Iterator<Item = Option<Number>>) -> Option<()> {
    let mut before = 0_i64;
    for count in &mut side.counts {
        *count = match numbers.next()?? {
            Number::Whole(difference) => {
                before = before.wrapping_add(difference);
                Number::Whole(before).count()?
            }
            Number::Float(float) => float,
        };
    }
    Some(())
}

impl Iterator for Decoder<'_> {
    type Item = Result<(Timestamp, Value), BadChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let sample = self.sample();
        if sample.is_none() {
            self.left = 0;
        }
        Some(sample.ok_or(BadChunk))
    }
}

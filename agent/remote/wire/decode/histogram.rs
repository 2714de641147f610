//! Native histograms, which both messages write alike.

use model::histogram::{BUCKETS_MAX, BadHistogram, Buckets, Reset, Span};
use model::{Histogram, is_stale};

use super::{Fields, Malformed, Value};

/// The histograms of one series, for [`Reader::read`].
#[derive(Clone, Copy, Debug)]
pub struct Histograms<'a> {
    fields: Fields<'a>,
    number: u32,
}

impl<'a> Histograms<'a> {
    pub(super) fn new(series: &'a [u8], number: u32) -> Self {
        Self {
            fields: Fields::new(series),
            number,
        }
    }

    /// None at the end.
    ///
    /// # Errors
    /// The bytes are not the message.
    pub fn step(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        while let Some(field) = self.fields.step()? {
            if let Value::Bytes(message) = field.value
                && field.number == self.number
            {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// What one message says.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    /// None says that the series has ended, as a stale marker does among floats.
    pub histogram: Result<Option<Histogram>, Unfit>,
}

/// Why a histogram is not taken; the rest of its request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(transparent)]
    Bad(#[from] BadHistogram),
    #[error("a count is larger than 63 bits")]
    TooLarge,
}

/// Room for the lists of one message, used for one after the other: so that what is kept is no longer than it must be.
#[derive(Debug, Default)]
pub struct Reader {
    negative: Side,
    positive: Side,
    bounds: List<f64>,
}

#[derive(Debug, Default)]
struct Side {
    spans: List<Span>,
    /// Of whole counts, each from the one before.
    deltas: List<i64>,
    counts: List<f64>,
}

/// No longer than any list that is kept.
#[derive(Debug)]
struct List<T> {
    items: Vec<T>,
    full: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            full: false,
        }
    }
}

impl<T> List<T> {
    fn clear(&mut self) {
        self.items.clear();
        self.full = false;
    }

    fn push(&mut self, item: T) {
        if self.items.len() < BUCKETS_MAX {
            self.items.push(item);
        } else {
            self.full = true;
        }
    }

    fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<T>()
    }
}

/// Which kind a histogram is of follows from its count; what it says for the other kind is nothing said.
#[derive(Clone, Copy, Debug)]
enum Count {
    Whole(u64),
    Float(f64),
}

impl Reader {
    /// # Errors
    /// The bytes are not the message.
    pub fn read(&mut self, message: &[u8]) -> Result<Read, Malformed> {
        let Self {
            negative,
            positive,
            bounds,
        } = self;
        negative.clear();
        positive.clear();
        bounds.clear();
        let (mut count, mut zero_count) = (Count::Whole(0), Count::Whole(0));
        let (mut time, mut histogram) = (0, Histogram::default());
        let mut fields = Fields::new(message);
        while let Some(field) = fields.step()? {
            match (field.number, field.value) {
                (1, Value::Varint(number)) => count = Count::Whole(number),
                (2, Value::Fixed64(bits)) => count = Count::Float(f64::from_bits(bits)),
                (3, Value::Fixed64(bits)) => histogram.sum = f64::from_bits(bits),
                (4, Value::Varint(number)) => histogram.schema = signed_32(number),
                (5, Value::Fixed64(bits)) => histogram.zero_threshold = f64::from_bits(bits),
                (6, Value::Varint(number)) => zero_count = Count::Whole(number),
                (7, Value::Fixed64(bits)) => zero_count = Count::Float(f64::from_bits(bits)),
                (8, value) => negative.spans.push(span(value)?),
                (9, value) => integers(value, &mut negative.deltas)?,
                (10, value) => floats(value, &mut negative.counts)?,
                (11, value) => positive.spans.push(span(value)?),
                (12, value) => integers(value, &mut positive.deltas)?,
                (13, value) => floats(value, &mut positive.counts)?,
                (14, Value::Varint(number)) => histogram.reset = reset(number),
                (15, Value::Varint(number)) => time = number.cast_signed(),
                (16, value) => floats(value, bounds)?,
                (1..=15, _) => return Err(Malformed("a histogram's field has another type")),
                _ => {}
            }
        }
        let histogram = if is_stale(histogram.sum) {
            Ok(None)
        } else {
            self.complete(histogram, count, zero_count).map(Some)
        };
        Ok(Read { time, histogram })
    }

    /// Fills in what lies here, and checks it.
    fn complete(
        &self,
        mut histogram: Histogram,
        count: Count,
        zero_count: Count,
    ) -> Result<Histogram, Unfit> {
        histogram.integers = matches!(count, Count::Whole(_));
        histogram.count = match count {
            Count::Whole(number) => number as f64,
            Count::Float(number) => number,
        };
        histogram.zero_count = match zero_count {
            Count::Whole(number) if histogram.integers => number as f64,
            Count::Float(number) if !histogram.integers => number,
            _ => 0.0,
        };
        histogram.negative = self.negative.buckets(histogram.integers)?;
        histogram.positive = self.positive.buckets(histogram.integers)?;
        if self.bounds.full {
            return Err(BadHistogram::TooManyBuckets.into());
        }
        histogram.bounds.clone_from(&self.bounds.items);
        histogram.check()?;
        Ok(histogram)
    }

    /// What it holds on to.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.negative.bytes() + self.positive.bytes() + self.bounds.bytes()
    }
}

impl Side {
    fn clear(&mut self) {
        self.spans.clear();
        self.deltas.clear();
        self.counts.clear();
    }

    fn buckets(&self, integers: bool) -> Result<Buckets, Unfit> {
        if self.spans.full || self.deltas.full || self.counts.full {
            return Err(BadHistogram::TooManyBuckets.into());
        }
        let counts = if integers {
            whole(&self.deltas.items)?
        } else {
            self.counts.items.clone()
        };
        Ok(Buckets {
            spans: self.spans.items.clone(),
            counts,
        })
    }

    fn bytes(&self) -> usize {
        self.spans.bytes() + self.deltas.bytes() + self.counts.bytes()
    }
}

/// Counts from what each differs by from the one before.
fn whole(deltas: &[i64]) -> Result<Vec<f64>, Unfit> {
    let mut counts = Vec::with_capacity(deltas.len());
    let mut count = 0_i64;
    for delta in deltas {
        count = count.checked_add(*delta).ok_or(Unfit::TooLarge)?;
        if count < 0 {
            return Err(BadHistogram::Negative.into());
        }
        counts.push(count as f64);
    }
    Ok(counts)
}

fn span(value: Value<'_>) -> Result<Span, Malformed> {
    const OFFSET: u32 = 1;
    const LENGTH: u32 = 2;
    let Value::Bytes(message) = value else {
        return Err(Malformed("a histogram's span has another type"));
    };
    let mut span = Span::default();
    let mut fields = Fields::new(message);
    while let Some(field) = fields.step()? {
        match (field.number, field.value) {
            (OFFSET, Value::Varint(number)) => span.offset = signed_32(number),
            // Of a number that is too long the low bits count, everywhere.
            (LENGTH, Value::Varint(number)) => span.length = number as u32,
            (OFFSET | LENGTH, _) => return Err(Malformed("a field of a span has another type")),
            _ => {}
        }
    }
    Ok(span)
}

/// One number, or several packed.
fn integers(value: Value<'_>, list: &mut List<i64>) -> Result<(), Malformed> {
    match value {
        Value::Varint(number) => list.push(signed(number)),
        Value::Bytes(packed) => {
            let mut numbers = Fields::new(packed);
            while !numbers.rest().is_empty() {
                list.push(signed(numbers.varint()?));
            }
        }
        _ => return Err(Malformed("a histogram's count has another type")),
    }
    Ok(())
}

/// One number, or several packed.
fn floats(value: Value<'_>, list: &mut List<f64>) -> Result<(), Malformed> {
    match value {
        Value::Fixed64(bits) => list.push(f64::from_bits(bits)),
        Value::Bytes(packed) => {
            let (numbers, rest) = packed.as_chunks();
            if !rest.is_empty() {
                return Err(Malformed("a number is cut off"));
            }
            for bytes in numbers {
                list.push(f64::from_le_bytes(*bytes));
            }
        }
        _ => return Err(Malformed("a histogram's number has another type")),
    }
    Ok(())
}

/// Zigzag: 0, -1, 1, -2 and so on.
fn signed(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn signed_32(number: u64) -> i32 {
    let number = number as u32;
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// What nobody has defined yet is nothing said.
fn reset(number: u64) -> Reset {
    match number {
        1 => Reset::Yes,
        2 => Reset::No,
        3 => Reset::Gauge,
        _ => Reset::Unknown,
    }
}

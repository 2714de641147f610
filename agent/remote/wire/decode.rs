//! Walks over the bytes of remote write requests, without copying and without believing them.
//!
//! Total: whatever the bytes are, there is an answer, and nothing is allocated by what they claim. Fields that are
//! not known are passed over. `two` is `io.prometheus.write.v2.Request`, `one` is `prometheus.WriteRequest`.

mod fields;
pub mod histogram;
pub mod labels;
pub mod one;
pub mod two;
mod unpack;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod written;

use model::Kind;

pub use fields::{Field, Fields, Value};
pub use labels::BadLabels;
pub use unpack::{UnpackError, unpack, unpacked_bytes};

/// The bytes are not the message they should be: nothing of the request can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a remote write request: {0}")]
pub struct Malformed(pub &'static str);

/// One sample of a series.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    pub value: f64,
    /// When the counter began, in the same milliseconds; 0 is not said. Only 2.0 has it.
    pub start: i64,
}

impl Sample {
    const VALUE: u32 = 1;
    const TIME: u32 = 2;
    const START: u32 = 3;

    #[inline]
    fn read(message: &[u8]) -> Result<Self, Malformed> {
        Self::usual(message).map_or_else(|| Self::any(message), Ok)
    }

    /// A value and a time in this order and nothing else, as everybody writes them.
    #[inline]
    fn usual(message: &[u8]) -> Option<Self> {
        const VALUE_TAG: u8 = 1 << 3 | 1;
        const TIME_TAG: u8 = 2 << 3;
        let ([VALUE_TAG], rest) = message.split_first_chunk()? else {
            return None;
        };
        let (value, rest) = rest.split_first_chunk()?;
        let ([TIME_TAG], rest) = rest.split_first_chunk()? else {
            return None;
        };
        let (last, first) = rest.split_last()?;
        // Nine bytes hold 63 bits.
        let fits = first.len() < 9 && *last < 0x80 && first.iter().all(|byte| *byte >= 0x80);
        fits.then(|| {
            let low = |sum: u64, byte: &u8| sum << 7 | u64::from(byte & 0x7f);
            Self {
                time: rest.iter().rev().fold(0, low).cast_signed(),
                value: f64::from_bits(u64::from_le_bytes(*value)),
                start: 0,
            }
        })
    }

    fn any(message: &[u8]) -> Result<Self, Malformed> {
        let mut sample = Self {
            time: 0,
            value: 0.0,
            start: 0,
        };
        let mut fields = Fields::new(message);
        while let Some(field) = fields.step()? {
            match (field.number, field.value) {
                (Self::VALUE, Value::Fixed64(bits)) => sample.value = f64::from_bits(bits),
                (Self::TIME, Value::Varint(time)) => sample.time = time.cast_signed(),
                (Self::START, Value::Varint(time)) => sample.start = time.cast_signed(),
                (Self::VALUE..=Self::START, _) => return Err(Malformed("a sample's field has another type")),
                _ => {}
            }
        }
        Ok(sample)
    }
}

/// An exemplar: its value and time, and each of its labels as the message has them.
fn exemplar<'a>(
    message: &'a [u8],
    mut label: impl FnMut(Value<'a>) -> Result<(), Malformed>,
) -> Result<Sample, Malformed> {
    const LABELS: u32 = 1;
    const VALUE: u32 = 2;
    const TIME: u32 = 3;
    let mut sample = Sample {
        time: 0,
        value: 0.0,
        start: 0,
    };
    let mut fields = Fields::new(message);
    while let Some(field) = fields.step()? {
        match (field.number, field.value) {
            (LABELS, value) => label(value)?,
            (VALUE, Value::Fixed64(bits)) => sample.value = f64::from_bits(bits),
            (TIME, Value::Varint(time)) => sample.time = time.cast_signed(),
            (VALUE..=TIME, _) => return Err(Malformed("an exemplar's field has another type")),
            _ => {}
        }
    }
    Ok(sample)
}

/// Both messages number types alike. What the text format has no word for becomes the nearest that it has.
fn kind(number: u64) -> Kind {
    const COUNTER: u64 = 1;
    const GAUGE: u64 = 2;
    const HISTOGRAM: u64 = 3;
    const SUMMARY: u64 = 5;
    const INFO: u64 = 6;
    const STATE_SET: u64 = 7;
    match number {
        COUNTER => Kind::Counter,
        GAUGE | INFO | STATE_SET => Kind::Gauge,
        HISTOGRAM => Kind::Histogram,
        SUMMARY => Kind::Summary,
        _ => Kind::Unknown,
    }
}

//! A piece of one series as it is stored.

use model::{TimeRange, Timestamp, Value};

use crate::histogram;
use crate::xor::{self, BadChunk, Decoder};

/// Magic and version of a file of chunks, and zeros up to the first: prometheus/prometheus
/// tsdb/docs/format/chunks.md.
pub(crate) const MAGIC: u32 = 0x85bd_40dd;
pub(crate) const VERSION: u8 = 1;
pub(crate) const HEADER_BYTES: u64 = 8;

/// Its samples, packed, and which way.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// Of the first and the last sample.
    pub(crate) min: Timestamp,
    pub(crate) max: Timestamp,
    pub(crate) encoding: u8,
    pub(crate) data: Vec<u8>,
}

/// By its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Floats,
    Histograms,
    /// None that is known here; it can only be copied.
    Foreign,
}

impl Kind {
    pub(crate) fn of(encoding: u8) -> Self {
        match encoding {
            xor::ENCODING => Self::Floats,
            histogram::INTEGERS | histogram::FLOATS => Self::Histograms,
            _ => Self::Foreign,
        }
    }
}

impl Chunk {
    pub(crate) fn kind(&self) -> Kind {
        Kind::of(self.encoding)
    }

    pub(crate) fn samples(&self) -> u16 {
        xor::count(&self.data)
    }
}

/// What the index says of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) min: Timestamp,
    pub(crate) max: Timestamp,
    /// The number of the file in the upper half, the offset in it in the lower.
    pub(crate) reference: u64,
}

impl Place {
    /// Whether it may have a sample there.
    pub(crate) fn meets(self, range: TimeRange) -> bool {
        self.max > range.after && self.min <= range.until
    }

    pub(crate) fn file(self) -> usize {
        (self.reference >> 32) as usize
    }

    pub(crate) fn offset(self) -> u64 {
        self.reference & 0xffff_ffff
    }
}

/// Gives the samples of a chunk, none of a foreign one, until one is refused.
pub(crate) fn decode<E: From<BadChunk>>(
    encoding: u8,
    data: &[u8],
    mut take: impl FnMut(Timestamp, Value) -> Result<(), E>,
) -> Result<(), E> {
    match Kind::of(encoding) {
        Kind::Floats => Decoder::new(data).try_for_each(|sample| {
            let (time, value) = sample?;
            take(Timestamp(time), Value::Float(value))
        }),
        Kind::Histograms => histogram::Decoder::new(encoding, data).try_for_each(|sample| {
            let (time, value) = sample?;
            take(time, value)
        }),
        Kind::Foreign => Ok(()),
    }
}

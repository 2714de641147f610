//! A piece of one series as it is stored, and how samples are cut into such pieces.

use model::{Series, Timestamp};

use crate::xor::{self, CHUNK_SAMPLES, Encoder};

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

impl Chunk {
    pub(crate) fn is_float(&self) -> bool {
        self.encoding == xor::ENCODING
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
    pub(crate) fn file(self) -> usize {
        (self.reference >> 32) as usize
    }

    pub(crate) fn offset(self) -> u64 {
        self.reference & 0xffff_ffff
    }
}

/// Packs samples that are in order.
pub(crate) fn pack(series: &Series) -> Vec<Chunk> {
    let pieces = series
        .times
        .chunks(CHUNK_SAMPLES)
        .zip(series.values.chunks(CHUNK_SAMPLES));
    pieces
        .filter_map(|(times, values)| {
            let mut encoder = Encoder::default();
            for (time, value) in times.iter().zip(values) {
                encoder.append(time.0, *value);
            }
            Some(Chunk {
                min: *times.first()?,
                max: *times.last()?,
                encoding: xor::ENCODING,
                data: encoder.finish(),
            })
        })
        .collect()
}

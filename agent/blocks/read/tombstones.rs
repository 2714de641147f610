//! What has been deleted from a block after it was written, by a Prometheus that was asked to.
//!
//! The format is the one of prometheus/prometheus tsdb/docs/format/tombstones.md; the checksum leaves out magic and
//! version, as in its tsdb/tombstones. We write none but the empty ones.

use std::path::Path;

use hashbrown::HashMap;
use model::Timestamp;

use crate::bytes::{Cursor, be32};
use crate::error::Error;
use crate::read::source::Source;

pub(crate) const FILE: &str = "tombstones";
const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const CRC_BYTES: usize = 4;

/// Both ends are deleted too.
type Interval = (Timestamp, Timestamp);

#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    by_series: HashMap<u32, Vec<Interval>>,
}

/// The file of a block from which nothing was deleted.
pub(crate) fn none() -> Vec<u8> {
    let mut bytes = MAGIC.to_be_bytes().to_vec();
    bytes.push(VERSION);
    bytes.extend_from_slice(&crc32c::crc32c(&[]).to_be_bytes());
    bytes
}

impl Tombstones {
    /// Also gives the size of the file. A missing one is as good as an empty one, as in Prometheus.
    pub(crate) fn read(folder: &Path) -> Result<(Self, u64), Error> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok((Self::default(), 0));
        }
        let source = Source::open(&path)?;
        source.begins(MAGIC, VERSION)?;
        let bytes = source.take(0, source.bytes)?;
        let cut = || source.broken("ends in the middle of something");
        let end = bytes.len().checked_sub(CRC_BYTES).ok_or_else(cut)?;
        let stones = bytes.get(HEADER_BYTES..end).ok_or_else(cut)?;
        if be32(bytes.get(end..).unwrap_or_default()) != crc32c::crc32c(stones) {
            return Err(source.broken("has a wrong checksum"));
        }
        let mut tombstones = Self::default();
        let mut cursor = Cursor(stones);
        while !cursor.0.is_empty() {
            let mut stone = || Some((cursor.uvarint()?, cursor.varint()?, cursor.varint()?));
            let (series, min, max) = stone().ok_or_else(cut)?;
            let series = u32::try_from(series).map_err(|_| source.broken("names a series that cannot be"))?;
            let intervals = tombstones.by_series.entry(series).or_default();
            intervals.push((Timestamp(min), Timestamp(max)));
        }
        Ok((tombstones, source.bytes))
    }

    /// What is deleted of a series.
    pub(crate) fn of(&self, series: u32) -> &[Interval] {
        self.by_series.get(&series).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Whether a sample at this time is deleted.
pub(crate) fn covers(intervals: &[Interval], time: Timestamp) -> bool {
    intervals.iter().any(|(min, max)| (*min..=*max).contains(&time))
}

/// Whether anything between two times, both with it, may be deleted.
pub(crate) fn touches(intervals: &[Interval], from: Timestamp, to: Timestamp) -> bool {
    intervals.iter().any(|(min, max)| *min <= to && *max >= from)
}

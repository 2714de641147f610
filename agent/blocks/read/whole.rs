//! Series as they are stored, chunks and all.

use std::path::PathBuf;

use model::{Labels, TimeRange, Timestamp};

use crate::chunk::{Chunk, Place};
use crate::error::Error;
use crate::matching::Ready;
use crate::merge::Labeled;
use crate::read::block::Block;
use crate::read::chunks::ChunkReader;
use crate::read::finding::Found;
use crate::read::series::SeriesReader;
use crate::read::tombstones::touches;

/// A series of one block.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) labels: Labels,
    /// Of which nothing is deleted, or some is as `deleted` says.
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) deleted: Vec<(Timestamp, Timestamp)>,
    folder: PathBuf,
}

impl Whole {
    pub(crate) fn broken(&self) -> Error {
        Error::broken(
            &self.folder,
            format!("a chunk of {} does not decode", self.labels),
        )
    }
}

impl Labeled for Whole {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// Series that match, with the chunks that may have samples in a range.
pub(crate) struct Wholes<'a> {
    block: &'a Block,
    ids: std::vec::IntoIter<u32>,
    late: Vec<&'a Ready>,
    range: TimeRange,
    series: SeriesReader<'a>,
    chunks: ChunkReader<'a>,
}

impl<'a> Wholes<'a> {
    pub(crate) fn new(block: &'a Block, found: Found<'a>, range: TimeRange) -> Self {
        Self {
            block,
            ids: found.ids.into_iter(),
            late: found.late,
            range,
            series: SeriesReader::new(&block.index),
            chunks: ChunkReader::new(&block.chunks),
        }
    }

    /// None when it does not match, or has no chunk there.
    fn whole(&mut self, id: u32) -> Result<Option<Whole>, Error> {
        self.series.read(id)?;
        let deleted = self.block.tombstones.of(id);
        let left = |place: &&Place| {
            let all = |(min, max): &(Timestamp, Timestamp)| *min <= place.min && place.max <= *max;
            let gone = touches(deleted, place.min, place.max) && deleted.iter().any(all);
            !gone && place.meets(self.range)
        };
        let places: Vec<Place> = self.series.places.iter().filter(left).copied().collect();
        if places.is_empty() {
            return Ok(None);
        }
        let labels = self.series.labels()?;
        let matches = |ready: &&Ready| ready.accepts(labels.value(&ready.name));
        if !self.late.iter().all(matches) {
            return Ok(None);
        }
        let chunks: Result<Vec<_>, _> = places.iter().map(|place| self.chunks.take(*place)).collect();
        Ok(Some(Whole {
            labels,
            chunks: chunks?,
            deleted: deleted.to_vec(),
            folder: self.block.folder.clone(),
        }))
    }
}

impl Iterator for Wholes<'_> {
    type Item = Result<Whole, Error>;

    /// After an error nothing more comes.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let id = self.ids.next()?;
            match self.whole(id) {
                Ok(None) => {}
                Ok(Some(whole)) => return Some(Ok(whole)),
                Err(error) => {
                    self.ids = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}

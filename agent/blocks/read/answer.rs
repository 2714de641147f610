//! Series of one block that were found, read one by one in the order of their labels.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Labels, Series, TimeRange, Timestamp};

use crate::chunk::{Chunk, Place};
use crate::error::Error;
use crate::matching::Ready;
use crate::read::block::Block;
use crate::read::chunks::ChunkReader;
use crate::read::finding::Found;
use crate::read::series::SeriesReader;
use crate::read::tombstones::{covers, touches};
use crate::xor::{BadChunk, Decoder, ENCODING};

/// Samples that one question may still read, of all blocks together.
pub(crate) struct Budget {
    limit: usize,
    left: Cell<usize>,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            left: Cell::new(limit),
        }
    }

    fn take(&self, samples: usize) -> Result<(), Error> {
        let left = self.left.get().checked_sub(samples);
        self.left.set(left.ok_or(Error::TooMany { limit: self.limit })?);
        Ok(())
    }
}

pub(crate) struct Answer<'a> {
    block: &'a Block,
    ids: std::vec::IntoIter<u32>,
    late: Vec<&'a Ready>,
    range: TimeRange,
    budget: &'a Budget,
    series: SeriesReader<'a>,
    chunks: ChunkReader<'a>,
    times: Vec<Timestamp>,
    values: Vec<f64>,
    /// The times of the series before, which are often those of the next: then one column is enough.
    previous: Arc<[Timestamp]>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(block: &'a Block, found: Found<'a>, range: TimeRange, budget: &'a Budget) -> Self {
        Self {
            block,
            ids: found.ids.into_iter(),
            late: found.late,
            range,
            budget,
            series: SeriesReader::new(&block.index),
            chunks: ChunkReader::new(&block.chunks),
            times: Vec::new(),
            values: Vec::new(),
            previous: Arc::default(),
        }
    }

    /// The labels alone, of the same series.
    pub(crate) fn labels(mut self) -> impl Iterator<Item = Result<Labels, Error>> + use<'a> {
        std::iter::from_fn(move || {
            loop {
                let id = self.ids.next()?;
                match self.labels_of(id) {
                    Ok(None) => {}
                    Ok(Some(labels)) => return Some(Ok(labels)),
                    Err(error) => return Some(Err(self.stop(error))),
                }
            }
        })
    }

    fn labels_of(&mut self, id: u32) -> Result<Option<Labels>, Error> {
        let Some(labels) = self.look(id)? else {
            return Ok(None);
        };
        Ok((self.is_sure(id) || self.read(id)? > 0).then_some(labels))
    }

    fn series_of(&mut self, id: u32) -> Result<Option<Series>, Error> {
        let Some(labels) = self.look(id)? else {
            return Ok(None);
        };
        if self.read(id)? == 0 {
            return Ok(None);
        }
        if *self.previous != *self.times {
            self.previous = self.times.as_slice().into();
        }
        Ok(Some(Series {
            labels,
            times: self.previous.clone(),
            values: self.values.as_slice().into(),
            staleness: None,
        }))
    }

    fn wanted(&self, place: &Place) -> bool {
        place.max > self.range.after && place.min <= self.range.until
    }

    /// The labels of a series, if it matches and may have samples in the range.
    fn look(&mut self, id: u32) -> Result<Option<Labels>, Error> {
        self.series.read(id)?;
        if !self.series.places.iter().any(|place| self.wanted(place)) {
            return Ok(None);
        }
        let labels = self.series.labels()?;
        let matches = |ready: &&Ready| ready.accepts(labels.value(&ready.name));
        Ok(self.late.iter().all(matches).then_some(labels))
    }

    /// Whether the index alone says that there is a sample: the first and the last of a chunk are at its ends.
    fn is_sure(&self, id: u32) -> bool {
        let plain = self.block.meta.stats.num_histogram_samples == 0
            && self.block.meta.stats.num_float_samples > 0
            && self.block.tombstones.of(id).is_empty();
        let inside = |place: &Place| self.range.contains(place.min) || self.range.contains(place.max);
        plain && self.series.places.iter().any(inside)
    }

    /// Reads the samples of the series that was looked at, and tells how many there are in the range.
    fn read(&mut self, id: u32) -> Result<usize, Error> {
        self.times.clear();
        self.values.clear();
        let deleted = self.block.tombstones.of(id);
        for place in &self.series.places {
            if !self.wanted(place) {
                continue;
            }
            let (encoding, data) = self.chunks.read(*place)?;
            if encoding != ENCODING {
                self.block.foreign.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let before = self.times.len();
            let range = self.range;
            let decoded = decode(data, |time, value| {
                if range.contains(time) && !covers(deleted, time) {
                    self.times.push(time);
                    self.values.push(value);
                }
            });
            decoded.map_err(|BadChunk| self.chunks.broken(*place))?;
            self.budget.take(self.times.len() - before)?;
        }
        if !self.times.is_sorted_by(|a, b| a < b) {
            self.put_in_order();
        }
        Ok(self.times.len())
    }

    /// Chunks of others may overlap.
    fn put_in_order(&mut self) {
        let mut all: Vec<_> = self.times.drain(..).zip(self.values.drain(..)).collect();
        all.sort_by_key(|(time, _)| *time);
        all.dedup_by_key(|(time, _)| *time);
        (self.times, self.values) = all.into_iter().unzip();
    }

    /// After an error nothing more comes.
    fn stop(&mut self, error: Error) -> Error {
        self.ids = Vec::new().into_iter();
        error
    }
}

impl Iterator for Answer<'_> {
    type Item = Result<Series, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let id = self.ids.next()?;
            match self.series_of(id) {
                Ok(None) => {}
                Ok(Some(series)) => return Some(Ok(series)),
                Err(error) => return Some(Err(self.stop(error))),
            }
        }
    }
}

pub(crate) fn decode(data: &[u8], mut take: impl FnMut(Timestamp, f64)) -> Result<(), BadChunk> {
    for sample in Decoder::new(data) {
        let (time, value) = sample?;
        take(Timestamp(time), value);
    }
    Ok(())
}

/// A series as it is stored.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) labels: Labels,
    /// Of which nothing is deleted, or some is as `deleted` says.
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) deleted: Vec<(Timestamp, Timestamp)>,
}

/// All series of a block, chunks and all.
pub(crate) struct Wholes<'a> {
    block: &'a Block,
    ids: std::vec::IntoIter<u32>,
    series: SeriesReader<'a>,
    chunks: ChunkReader<'a>,
}

impl<'a> Wholes<'a> {
    pub(crate) fn new(block: &'a Block, ids: Vec<u32>) -> Self {
        Self {
            block,
            ids: ids.into_iter(),
            series: SeriesReader::new(&block.index),
            chunks: ChunkReader::new(&block.chunks),
        }
    }

    fn whole(&mut self, id: u32) -> Result<Whole, Error> {
        self.series.read(id)?;
        let deleted = self.block.tombstones.of(id);
        let left = |place: &&Place| {
            let all = |(min, max): &(Timestamp, Timestamp)| *min <= place.min && place.max <= *max;
            !touches(deleted, place.min, place.max) || !deleted.iter().any(all)
        };
        let places: Vec<Place> = self.series.places.iter().filter(left).copied().collect();
        let chunks: Result<Vec<_>, _> = places.iter().map(|place| self.chunks.take(*place)).collect();
        Ok(Whole {
            labels: self.series.labels()?,
            chunks: chunks?,
            deleted: deleted.to_vec(),
        })
    }
}

impl Iterator for Wholes<'_> {
    type Item = Result<Whole, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.ids.next()?;
        let whole = self.whole(id);
        if whole.is_err() {
            self.ids = Vec::new().into_iter();
        }
        Some(whole)
    }
}

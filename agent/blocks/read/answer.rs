//! Series of one block that were found, read one by one in the order of their labels.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Labels, Series, TimeRange, Timestamp};

use crate::chunk::{Kind, Place, decode};
use crate::error::Error;
use crate::matching::Ready;
use crate::read::block::Block;
use crate::read::chunks::ChunkReader;
use crate::read::finding::Found;
use crate::read::series::SeriesReader;
use crate::read::tombstones::covers;
use crate::xor::{BadChunk, Decoder};

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

    pub(crate) fn take(&self, samples: usize) -> Result<(), Error> {
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
        Ok((self.is_sure(id) || self.has_any(id)?).then_some(labels))
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

    /// The labels of a series, if it matches and may have samples in the range.
    fn look(&mut self, id: u32) -> Result<Option<Labels>, Error> {
        self.series.read(id)?;
        if !self.series.places.iter().any(|place| place.meets(self.range)) {
            return Ok(None);
        }
        let labels = self.series.labels()?;
        let matches = |ready: &&Ready| ready.accepts(labels.value(&ready.name));
        Ok(self.late.iter().all(matches).then_some(labels))
    }

    /// Whether the index alone says that there is a sample: the first and the last of a chunk are at its ends.
    fn is_sure(&self, id: u32) -> bool {
        let stats = &self.block.meta.stats;
        let known = stats.num_float_samples + stats.num_histogram_samples;
        let plain = known > 0 && known == stats.num_samples && self.block.tombstones.of(id).is_empty();
        let inside = |place: &Place| self.range.contains(place.min) || self.range.contains(place.max);
        plain && self.series.places.iter().any(inside)
    }

    /// Whether the series that was looked at has a sample of any kind in the range.
    fn has_any(&mut self, id: u32) -> Result<bool, Error> {
        let deleted = self.block.tombstones.of(id);
        for place in &self.series.places {
            if !place.meets(self.range) {
                continue;
            }
            let (encoding, data) = self.chunks.read(*place)?;
            if Kind::of(encoding) == Kind::Foreign {
                self.block.foreign.fetch_add(1, Ordering::Relaxed);
            }
            let mut found = false;
            let decoded: Result<(), BadChunk> = decode(encoding, data, |time, _| {
                found |= self.range.contains(time) && !covers(deleted, time);
                Ok(())
            });
            decoded.map_err(|BadChunk| self.chunks.broken(*place))?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the floats of the series that was looked at, and tells how many there are in the range.
    fn read(&mut self, id: u32) -> Result<usize, Error> {
        self.times.clear();
        self.values.clear();
        let deleted = self.block.tombstones.of(id);
        for place in &self.series.places {
            if !place.meets(self.range) {
                continue;
            }
            let (encoding, data) = self.chunks.read(*place)?;
            match Kind::of(encoding) {
                Kind::Floats => {}
                Kind::Histograms => continue,
                Kind::Foreign => {
                    self.block.foreign.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
            let before = self.times.len();
            let range = self.range;
            let decoded = Decoder::new(data).try_for_each(|sample| {
                let (time, value) = sample?;
                let time = Timestamp(time);
                if range.contains(time) && !covers(deleted, time) {
                    self.times.push(time);
                    self.values.push(value);
                }
                Ok(())
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

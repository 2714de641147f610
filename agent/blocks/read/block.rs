//! One sealed block on disk, open.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Labels, Matcher, Mixed, SelectError, Series, TimeRange};

use crate::error::Error;
use crate::matching::Ready;
use crate::meta::Meta;
use crate::read::answer::{Answer, Budget};
use crate::read::chunks;
use crate::read::finding::find;
use crate::read::index::Index;
use crate::read::mixed;
use crate::read::source::Source;
use crate::read::tombstones::Tombstones;
use crate::read::whole::Wholes;

/// A block of samples, ours or a Prometheus'. Nothing in it changes, and it can be read by many at once. Its files
/// stay open: who holds it reads it to the end, even when its folder has gone meanwhile.
pub struct Block {
    pub(crate) folder: PathBuf,
    pub(crate) meta: Meta,
    pub(crate) index: Index,
    pub(crate) chunks: Vec<Source>,
    pub(crate) tombstones: Tombstones,
    bytes: u64,
    /// Chunks met whose encoding is not known.
    pub(crate) foreign: AtomicU64,
}

impl Block {
    /// Reads what must be in memory and checks it: `meta.json`, the tombstones, and of the index the table of
    /// contents, the symbols and the table of lists. What is read later is checked when it is read.
    ///
    /// # Errors
    /// [`Error::Broken`] says which file is not what it should be; [`Error::Io`] is the disk's own.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let meta = Meta::read(folder)?;
        let index = Index::open(folder)?;
        let chunks = chunks::open(folder)?;
        let (tombstones, tombstone_bytes) = Tombstones::read(folder)?;
        let bytes = index.source.bytes
            + chunks.iter().map(|file| file.bytes).sum::<u64>()
            + tombstone_bytes
            + meta.to_json().len() as u64;
        Ok(Self {
            folder: folder.to_owned(),
            meta,
            index,
            chunks,
            tombstones,
            bytes,
            foreign: AtomicU64::new(0),
        })
    }

    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its folder, which may have gone meanwhile.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// On disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it takes of memory while nobody asks.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.index.memory_bytes()
    }

    /// How many chunks of unknown encodings were passed over by its readers.
    #[must_use]
    pub fn foreign_chunks(&self) -> u64 {
        self.foreign.load(Ordering::Relaxed)
    }

    /// As [`model::Select::select`]. A block knows of no series' own staleness: whoever does asks for an earlier
    /// beginning.
    ///
    /// # Errors
    /// See [`SelectError`].
    pub fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Series>, SelectError> {
        let ready = Ready::all(matchers)?;
        let budget = Budget::new(samples_max);
        let answer: Result<Vec<_>, Error> = self.answer(&ready, range, &budget)?.collect();
        Ok(answer?)
    }

    /// As [`model::Select::mixed`]; see [`crate::Blocks::mixed`].
    ///
    /// # Errors
    /// See [`SelectError`].
    pub fn mixed(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Mixed>, SelectError> {
        mixed::read(&[self], matchers, range, samples_max)
    }

    /// False when its `meta.json` says that all of its samples are floats.
    #[must_use]
    pub fn has_histograms(&self) -> bool {
        let stats = &self.meta.stats;
        stats.num_samples == 0 || stats.num_float_samples != stats.num_samples
    }

    /// As [`model::Select::labels`].
    ///
    /// # Errors
    /// See [`SelectError`].
    pub fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        let ready = Ready::all(matchers)?;
        let budget = Budget::new(usize::MAX);
        let labels: Result<Vec<_>, Error> = self.answer(&ready, range, &budget)?.labels().collect();
        Ok(labels?)
    }

    pub(crate) fn answer<'a>(
        &'a self,
        ready: &'a [Ready],
        range: TimeRange,
        budget: &'a Budget,
    ) -> Result<Answer<'a>, Error> {
        let found = find(&self.index, ready)?;
        Ok(Answer::new(self, found, range, budget))
    }

    /// Series as they are stored, in order.
    pub(crate) fn wholes<'a>(&'a self, ready: &'a [Ready], range: TimeRange) -> Result<Wholes<'a>, Error> {
        let found = find(&self.index, ready)?;
        Ok(Wholes::new(self, found, range))
    }
}

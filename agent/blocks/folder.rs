//! The folder of all blocks: opens it, reads across it, seals into it.

mod aside;
mod look;
mod maintain;
mod start;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashSet;
use model::time::millis;
use model::{Clock, Labels, Matcher, Mixed, SelectError, Series, TimeRange, Timestamp};
use parking_lot::{Mutex, RwLock};

pub use self::maintain::{Compacted, Done};
use crate::error::Error;
use crate::matching::Ready;
use crate::merge::{Groups, join};
use crate::meta::{Meta, Span};
use crate::pack::Samples;
use crate::plan::SPAN;
use crate::read::answer::Budget;
use crate::read::block::Block;
use crate::read::mixed;
use crate::ulid::Ulid;
use crate::write::Writer;
use crate::write::chunks::FILE_BYTES_MAX;

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A block goes once all of it is so much older than the end of the newest. No block becomes longer than a tenth
    /// of it, two hours at least and 31 days at most.
    pub retention: Duration,
    /// Most bytes of blocks on disk; beyond it the oldest go. The newest stays even when it alone is more.
    pub bytes_max: Option<u64>,
}

/// What the folder is like now, and what has happened in it since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub blocks: u64,
    pub bytes: u64,
    pub series: u64,
    pub samples: u64,
    /// Blocks set aside as broken.
    pub broken: u64,
    /// Broken blocks that are on disk now, also from before, and those that were let go.
    pub aside: u64,
    pub aside_removed: u64,
    /// Blocks left out because the disk would not read them when the folder was opened.
    pub unreadable: u64,
    /// Chunks of unknown encodings that readers passed over.
    pub foreign_chunks: u64,
    pub written: u64,
    pub compacted: u64,
    pub compactions_failed: u64,
    /// Blocks that the retention let go.
    pub dropped: u64,
}

#[derive(Default)]
struct Tally {
    broken: AtomicU64,
    aside: AtomicU64,
    aside_removed: AtomicU64,
    unreadable: AtomicU64,
    /// Of blocks that have gone meanwhile.
    foreign_chunks: AtomicU64,
    written: AtomicU64,
    compacted: AtomicU64,
    compactions_failed: AtomicU64,
    dropped: AtomicU64,
}

/// What `maintain` remembers from call to call.
struct Care {
    /// Blocks that cannot be compacted.
    failed: HashSet<Ulid>,
    /// When the disk has failed: not before.
    rest_until: Timestamp,
}

/// All blocks of a folder. Any thread may read, write, receive and maintain at the same time; readers hold no lock
/// while they read, and what they began with stays readable until they end.
pub struct Blocks {
    folder: PathBuf,
    limits: Limits,
    clock: Arc<dyn Clock>,
    /// By their beginnings.
    all: RwLock<Vec<Arc<Block>>>,
    care: Mutex<Care>,
    tally: Tally,
}

impl Blocks {
    /// Opens every block of a folder, which is made if there is none; other things in it are left alone. Half-made
    /// and half-deleted blocks are removed, blocks whose place another has taken too, and broken ones are set aside,
    /// said and counted.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder itself cannot be made or listed. A block is never a reason.
    pub fn open(folder: &Path, limits: Limits, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let blocks = Self::empty(folder, limits, clock);
        blocks.start()?;
        Ok(blocks)
    }

    /// Before anything of the folder is known.
    fn empty(folder: &Path, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        Self {
            folder: folder.to_owned(),
            limits,
            clock,
            all: RwLock::default(),
            care: Mutex::new(Care {
                failed: HashSet::new(),
                rest_until: Timestamp::MIN,
            }),
            tally: Tally::default(),
        }
    }

    /// Seals what is given as a new block, and returns once it is safe: after that it is there whatever happens,
    /// before that nothing is. None when there was no sample, and no block then. Memory is bounded as the room
    /// promises; `series` is asked for one after the other.
    ///
    /// Series come in the order of their labels, each once, with samples in the order of their times, floats and native
    /// histograms at times of their own, all of them in `span`, whose ends are multiples of [`SPAN`]. What was written before may be written again: readers see each
    /// time once, and `maintain` puts the two together.
    ///
    /// # Errors
    /// [`Error::Unaligned`] and [`Error::Unfit`] when what is given is not as it must be; [`Error::Io`] is the
    /// disk's own. Nothing is seen of the block then; when only the very last step failed, the next start may find it.
    pub fn write(
        &self,
        span: Span,
        series: impl IntoIterator<Item = impl Into<Samples>>,
    ) -> Result<Option<Meta>, Error> {
        let Span { start, end } = span;
        let aligned = |time: Timestamp| time.0.rem_euclid(millis(SPAN)) == 0;
        if start >= end || !aligned(start) || !aligned(end) {
            return Err(Error::Unaligned { start, end });
        }
        let mut writer = Writer::create(&self.folder, Meta::new(self.new_ulid(), span), FILE_BYTES_MAX)?;
        for one in series {
            let one: Samples = one.into();
            writer.put(&one.series.labels, &one.pack()?)?;
        }
        let Some((folder, meta)) = writer.finish()? else {
            return Ok(None);
        };
        self.adopt(Block::open(&folder)?);
        self.tally.written.fetch_add(1, Ordering::Relaxed);
        Ok(Some(meta))
    }

    /// As [`model::Select::select`], across all blocks: a series that is in several comes once, and each time once.
    /// The staleness of a series is not known here: whoever knows it asks for an earlier beginning.
    ///
    /// # Errors
    /// See [`SelectError`]; `Unreadable` says which file of which block, and what is wrong with it.
    pub fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Series>, SelectError> {
        let ready = Ready::all(matchers)?;
        let budget = Budget::new(samples_max);
        let blocks = self.meeting(range);
        let answers: Result<Vec<_>, Error> = blocks
            .iter()
            .map(|block| block.answer(&ready, range, &budget))
            .collect();
        let mut all = Vec::new();
        for group in Groups::new(answers?) {
            all.extend(join(group?));
        }
        Ok(all)
    }

    /// As [`model::Select::mixed`], across all blocks. Of what several blocks say of one time a histogram goes before a
    /// float, a float before a stale marker, and among the same what is in the block that begins first. A histogram that
    /// takes more memory than its buckets should counts for more of `samples_max`.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub fn mixed(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Mixed>, SelectError> {
        let blocks = self.meeting(range);
        let blocks: Vec<&Block> = blocks.iter().map(|block| &**block).collect();
        mixed::read(&blocks, matchers, range, samples_max)
    }

    /// False when no block holds a native histogram, as their `meta.json` say. Blocks of a Prometheus before 3.6 do not
    /// say it, and may.
    #[must_use]
    pub fn has_histograms(&self) -> bool {
        self.all.read().iter().any(|block| block.has_histograms())
    }

    /// As [`model::Select::labels`], across all blocks.
    ///
    /// # Errors
    /// See [`SelectError`].
    pub fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        let ready = Ready::all(matchers)?;
        let budget = Budget::new(usize::MAX);
        let blocks = self.meeting(range);
        let answers: Result<Vec<_>, Error> = blocks
            .iter()
            .map(|block| Ok(block.answer(&ready, range, &budget)?.labels()))
            .collect();
        let mut all = Vec::new();
        for group in Groups::new(answers?) {
            all.extend(group?.into_iter().next());
        }
        Ok(all)
    }

    /// Names of labels, sorted, of all blocks that meet a range: for lists to choose from, without reading series.
    #[must_use]
    pub fn label_names(&self, range: TimeRange) -> Vec<String> {
        let blocks = self.meeting(range);
        let mut names: Vec<String> = blocks
            .iter()
            .flat_map(|block| block.index.names().map(str::to_owned))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Values of a label, likewise.
    ///
    /// # Errors
    /// See [`SelectError`].
    pub fn label_values(&self, name: &str, range: TimeRange) -> Result<Vec<String>, SelectError> {
        let mut values = Vec::new();
        for block in self.meeting(range) {
            block.index.each_value(name, "", |value, _| {
                values.push(value.to_owned());
                true
            })?;
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    /// All blocks, by their beginnings.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Block>> {
        self.all.read().clone()
    }

    /// From the beginning of the first block to the end of the last.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        let all = self.all.read();
        Some(Span {
            start: all.iter().map(|block| block.meta.min_time).min()?,
            end: all.iter().map(|block| block.meta.max_time).max()?,
        })
    }

    /// Whether a block is here, by itself or as a part of another.
    #[must_use]
    pub fn holds(&self, ulid: Ulid) -> bool {
        self.all.read().iter().any(|block| {
            let Meta {
                ulid: own,
                compaction,
                ..
            } = &block.meta;
            let parent = compaction.parents.iter().any(|parent| parent.ulid == ulid);
            *own == ulid || parent || compaction.sources.contains(&ulid)
        })
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        let all = self.all.read();
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let sum = |each: fn(&Block) -> u64| all.iter().map(|block| each(block)).sum();
        Counts {
            blocks: all.len() as u64,
            bytes: sum(Block::bytes),
            series: sum(|block| block.meta.stats.num_series),
            samples: sum(|block| block.meta.stats.num_samples),
            broken: of(&self.tally.broken),
            aside: of(&self.tally.aside),
            aside_removed: of(&self.tally.aside_removed),
            unreadable: of(&self.tally.unreadable),
            foreign_chunks: of(&self.tally.foreign_chunks) + sum(Block::foreign_chunks),
            written: of(&self.tally.written),
            compacted: of(&self.tally.compacted),
            compactions_failed: of(&self.tally.compactions_failed),
            dropped: of(&self.tally.dropped),
        }
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn meeting(&self, range: TimeRange) -> Vec<Arc<Block>> {
        let all = self.all.read();
        let meets = |block: &&Arc<Block>| block.meta.span().meets(range);
        all.iter().filter(meets).cloned().collect()
    }

    fn new_ulid(&self) -> Ulid {
        Ulid::new(self.clock.now(), fastrand::u128(..))
    }
}

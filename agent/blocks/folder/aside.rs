//! Broken blocks stay for somebody to look at, under another name: a few of them, and not for ever.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::durable;
use crate::error::Error;
use crate::folder::Blocks;
use crate::folder::start::{beside, said};
use crate::ulid::Ulid;

const BROKEN: &str = ".broken";
/// They take room that nothing else accounts for.
const ASIDE_MAX: usize = 3;

impl Blocks {
    /// Takes a block that cannot be read from among the others.
    pub(crate) fn set_aside(&self, path: &Path, error: &Error) {
        self.tally.broken.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, "a block is broken and set aside as {}{BROKEN}", path.display());
        let aside = beside(path, BROKEN);
        let renamed = durable::remove(&aside).and_then(|()| durable::rename(path, &aside));
        said("a broken block is not set aside", renamed);
    }

    /// Lets go of those that are older than the retention, or too many, and counts the rest.
    pub(crate) fn tend_aside(&self) {
        let mut aside = self.found_aside();
        aside.sort_by_key(|(ulid, _)| *ulid);
        let too_many = aside.len().saturating_sub(ASIDE_MAX);
        // As in `plan::expired`: a clock that jumps ahead takes nothing with it.
        let newest = self.all.read().iter().map(|block| block.meta.max_time).max();
        let now = self.clock.now();
        let cutoff = newest.map_or(now, |newest| newest.min(now)) - self.limits.retention;
        let count = aside.len();
        let gone = aside.into_iter().enumerate();
        let gone = gone.filter(|(nth, (ulid, _))| *nth < too_many || ulid.made() < cutoff);
        let mut removed = 0;
        for (_, (_, path)) in gone {
            match durable::remove(&path) {
                Ok(()) => {
                    removed += 1;
                    tracing::warn!(path = %path.display(), "a broken block is let go");
                }
                failed => said("a broken block stays on disk", failed),
            }
        }
        self.tally
            .aside
            .store((count - removed) as u64, Ordering::Relaxed);
        self.tally
            .aside_removed
            .fetch_add(removed as u64, Ordering::Relaxed);
    }

    /// A folder that cannot be listed has none.
    fn found_aside(&self) -> Vec<(Ulid, PathBuf)> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let one = |entry: std::fs::DirEntry| {
            let ulid = entry.file_name().to_str()?.strip_suffix(BROKEN)?.parse().ok()?;
            Some((ulid, entry.path()))
        };
        entries.filter_map(one).collect()
    }
}

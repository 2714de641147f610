//! One bounded queue on disk for all destinations: blocks ready to be sent, and how far each destination is.
//!
//! A block is written as soon as it is taken, so that `kill -9` loses nothing; a power failure loses at most a second. What a destination was sent since its cursor was last saved may be sent again after a restart.
//! When the queue is full its oldest segment goes, counted for whoever had not been sent it. When the disk takes
//! nothing, blocks wait in a small tail in memory and are sent from there.

#[cfg(test)]
pub(crate) mod fake;
mod index;
mod open;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::outside::Files;
use parking_lot::Mutex;
use tokio::sync::watch;

pub(crate) use index::{Index, Take, Waiting, reason};
pub use open::OpenError;
pub(crate) use segment::Block;
use segment::{Cursor, Frames, Head, behind_segment_head};

pub(crate) struct Queue {
    files: Arc<dyn Files>,
    folder: PathBuf,
    names: Vec<String>,
    index: Mutex<Index>,
    disk: Mutex<Disk>,
    /// The number after the newest block; whoever has nothing to send waits for it to change. One each: those who wait
    /// at one channel are woken in any order.
    ends: Vec<watch::Sender<u64>>,
}

/// What only whoever writes looks at.
#[derive(Default)]
struct Disk {
    /// Cursors as they are on the disk.
    saved: BTreeMap<String, Cursor>,
    /// The last write failed, and nothing has been written since.
    failing: bool,
    failures: u64,
}

/// A look at the whole queue.
pub(crate) struct Totals {
    pub(crate) taken: u64,
    pub(crate) forgotten: u64,
    pub(crate) given: u64,
    pub(crate) waiting: u64,
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

impl Queue {
    /// Takes in new blocks, writes them, and makes room by letting go of the oldest. `forgotten` samples came with
    /// them that could not be encoded. May wait for the disk.
    pub(crate) fn push(&self, blocks: Vec<Block>, forgotten: u64) {
        self.index.lock().push(blocks, forgotten);
        let mut disk = self.disk.lock();
        // While the disk takes nothing it is asked once a second, and not at each block.
        if disk.failing {
            self.index.lock().bound_tail();
        } else {
            self.write(&mut disk);
        }
        drop(disk);
        let end = self.index.lock().end();
        for waiting in &self.ends {
            waiting.send_replace(end);
        }
    }

    fn write(&self, disk: &mut Disk) {
        loop {
            let Some(write) = self.index.lock().plan_write() else {
                return;
            };
            let path = segment_path(&self.folder, write.segment);
            if let Err(error) = self.files.add(&path, &write.bytes) {
                if !disk.failing {
                    tracing::warn!(%error, path = %path.display(), "samples to be sent wait in memory: the disk takes nothing");
                }
                disk.failing = true;
                disk.failures += 1;
                // A part may have been written.
                let undone = if write.is_new {
                    self.files.remove(&path)
                } else {
                    self.files.truncate(&path, write.offset)
                };
                let mut index = self.index.lock();
                if undone.is_err() {
                    index.abandon(&write);
                }
                index.bound_tail();
                return;
            }
            if disk.failing {
                tracing::info!("samples to be sent are written to the disk again");
            }
            disk.failing = false;
            self.index.lock().written(&write);
        }
    }

    /// What is due once a second and at the end: another try at a failing disk, safety from power failures, cursors,
    /// and the end of files that nobody needs. May wait for the disk.
    pub(crate) fn tidy(&self) {
        let mut disk = self.disk.lock();
        if disk.failing {
            self.write(&mut disk);
        }
        let dirty = self.index.lock().take_dirty();
        for number in dirty {
            if let Err(error) = self.files.sync(&segment_path(&self.folder, number)) {
                tracing::debug!(%error, number, "a segment cannot be synced");
                disk.failures += 1;
                self.index.lock().unsafe_still(number);
            }
        }
        self.save_cursors(&mut disk);
        // Only now: what a saved cursor points to must be there, or be behind it.
        let spent: Vec<u64> = self.index.lock().spent.iter().copied().collect();
        for number in spent {
            match self.files.remove(&segment_path(&self.folder, number)) {
                Ok(()) => drop(self.index.lock().spent.remove(&number)),
                Err(error) => {
                    tracing::debug!(%error, number, "a sent segment cannot be removed yet");
                    disk.failures += 1;
                }
            }
        }
    }

    fn save_cursors(&self, disk: &mut Disk) {
        for (nth, name) in self.names.iter().enumerate() {
            let (segment, offset) = self.index.lock().cursor(nth);
            let name = name.clone();
            let cursor = Cursor {
                name,
                segment,
                offset,
            };
            if disk.saved.get(&cursor.name) == Some(&cursor) {
                continue;
            }
            match self
                .files
                .replace(&cursor_path(&self.folder, &cursor.name), &cursor.to_bytes())
            {
                Ok(()) => drop(disk.saved.insert(cursor.name.clone(), cursor)),
                Err(error) => {
                    tracing::debug!(%error, destination = cursor.name, "how far it was sent cannot be saved");
                    disk.failures += 1;
                }
            }
        }
    }

    /// What is next for a destination. Returns at once; [`Take::Read`] wants [`Self::load`] called where waiting is
    /// allowed.
    pub(crate) fn take(&self, nth: usize) -> Take {
        self.index.lock().take(nth)
    }

    /// Reads a segment for a destination. May wait for the disk.
    ///
    /// # Errors
    /// The disk's own: worth another try. A segment that is not there any more, or not what it was, is no error.
    pub(crate) fn load(&self, nth: usize, number: u64) -> std::io::Result<()> {
        let bytes = self.files.read(&segment_path(&self.folder, number))?;
        let mut blocks = Vec::new();
        if let Head::Ours(rest) = behind_segment_head(bytes.as_deref().unwrap_or_default()) {
            blocks.extend(Frames(rest).map(|frame| Arc::new(frame.to_block())));
        }
        self.index.lock().loaded(nth, number, blocks);
        Ok(())
    }

    /// See [`Index::is_wanted`].
    pub(crate) fn is_wanted(&self, nth: usize) -> bool {
        self.index.lock().is_wanted(nth)
    }

    /// See [`Index::passed`]; nothing was too large.
    #[cfg(test)]
    pub(crate) fn passed(&self, nth: usize, given: u64) {
        self.passed_but(nth, given, 0);
    }

    /// See [`Index::passed`].
    pub(crate) fn passed_but(&self, nth: usize, given: u64, too_large: u64) {
        self.index.lock().passed(nth, given, too_large);
    }

    /// None for a destination that there is not.
    pub(crate) fn watch(&self, nth: usize) -> Option<watch::Receiver<u64>> {
        self.ends.get(nth).map(watch::Sender::subscribe)
    }

    pub(crate) fn waiting(&self, nth: usize) -> Waiting {
        self.index.lock().waiting(nth)
    }

    pub(crate) fn dropped(&self, nth: usize) -> BTreeMap<&'static str, u64> {
        let index = self.index.lock();
        index
            .places
            .get(nth)
            .map(|place| place.dropped.clone())
            .unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.index.lock().places.iter().all(|place| place.waiting == 0)
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.index.lock().disk_bytes()
    }

    pub(crate) fn fill(&self) -> f64 {
        self.index.lock().fill()
    }

    pub(crate) fn failures(&self) -> u64 {
        self.disk.lock().failures
    }

    pub(crate) fn totals(&self) -> Totals {
        let index = self.index.lock();
        let mut totals = Totals {
            taken: index.taken,
            forgotten: index.forgotten,
            given: 0,
            waiting: 0,
            dropped: BTreeMap::new(),
        };
        for place in &index.places {
            totals.given += place.given;
            totals.waiting += place.waiting;
            for (reason, samples) in &place.dropped {
                *totals.dropped.entry(reason).or_default() += samples;
            }
        }
        totals
    }

    /// Samples before a destination, counted anew from frames.
    #[cfg(test)]
    pub(crate) fn count(&self, nth: usize) -> u64 {
        self.index.lock().count(nth)
    }
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("segment-{number:016}"))
}

/// A name may hold anything; its hash may not.
fn cursor_path(folder: &Path, name: &str) -> PathBuf {
    let hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
    folder.join(format!("cursor-{hash:016x}"))
}

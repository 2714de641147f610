//! What the room shows of itself: one row per file, changed only where something changed.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::view::{Health, LogFile};
use parking_lot::Mutex;

use crate::tail::Tail;

/// Troubles shown at most.
const TROUBLES_MAX: usize = 1_000;

#[derive(Default)]
pub(crate) struct Board {
    files: Mutex<HashMap<usize, LogFile>>,
    /// Files and folders that cannot be read, and why.
    troubles: Mutex<BTreeMap<PathBuf, String>>,
    pub(crate) bytes_on_disk: AtomicU64,
    /// Whether every folder has been looked at once: what is there from then on is not missed.
    pub(crate) looked: AtomicBool,
}

impl Board {
    pub(crate) fn show(&self, number: usize, tail: &Tail) {
        let mut files = self.files.lock();
        let row = files.entry(number).or_insert_with(|| LogFile {
            path: String::new(),
            health: Health::Good,
            error: String::new(),
            size_bytes: 0,
            offset_bytes: 0,
            last: None,
        });
        if row.path != *tail.path {
            row.path = tail.path.to_string();
        }
        row.size_bytes = tail.size.max(tail.start);
        row.offset_bytes = tail.start;
        row.last = tail.last;
    }

    pub(crate) fn remove(&self, number: usize) {
        self.files.lock().remove(&number);
    }

    /// True when this trouble is new and so worth saying.
    pub(crate) fn trouble(&self, path: &Path, why: &str) -> bool {
        let mut troubles = self.troubles.lock();
        if troubles.get(path).is_some_and(|known| known == why) || troubles.len() >= TROUBLES_MAX {
            return false;
        }
        troubles.insert(path.to_owned(), why.to_owned());
        true
    }

    pub(crate) fn fine(&self, path: &Path) {
        let mut troubles = self.troubles.lock();
        if !troubles.is_empty() {
            troubles.remove(path);
        }
    }

    pub(crate) fn files(&self) -> Vec<LogFile> {
        let mut files: Vec<LogFile> = self.files.lock().values().cloned().collect();
        let troubles = self.troubles.lock();
        files.extend(troubles.iter().map(|(path, why)| LogFile {
            path: path.display().to_string(),
            health: Health::Bad,
            error: why.clone(),
            size_bytes: 0,
            offset_bytes: 0,
            last: None,
        }));
        files.sort_unstable_by(|left, right| left.path.cmp(&right.path));
        files
    }

    pub(crate) fn bytes_on_disk(&self) -> u64 {
        self.bytes_on_disk.load(Ordering::Relaxed)
    }
}

//! Which spool files there are, how much of each is on the disk for good, and how far each sink has kept it.
//!
//! Readers see no more of a file than that: what a failed write or a power cut takes away has never been read.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::warn;

use super::places::Places;
use super::{Metrics, number_of, path};
use crate::bell::Bell;
use crate::mark::FileMark;

pub(crate) struct Books {
    pub(crate) folder: PathBuf,
    metrics: Metrics,
    state: Mutex<State>,
}

struct State {
    files: BTreeMap<u64, Entry>,
    bytes_max: u64,
    /// Rung when something has changed.
    lanes: Vec<Bell>,
    /// Rises with each change that a reader must see.
    version: u64,
    places: Places,
    /// Whether it has been said that a file cannot be removed.
    said_stuck: bool,
}

struct Entry {
    bytes: u64,
    is_closed: bool,
    /// Per lane: in front of this all is kept, and the sink's watermark on the disk.
    passed: Vec<u64>,
}

/// A file of the spool as a reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) number: u64,
    /// On the disk for good.
    pub(crate) bytes: u64,
    /// Whether it will not grow any more.
    pub(crate) is_closed: bool,
}

/// A reader's view of the spool.
pub(crate) struct News {
    books: Arc<Books>,
    seen: Option<u64>,
}

/// Where a sink says how far its watermarks are on the disk.
pub(crate) struct Cursor {
    books: Arc<Books>,
    lane: usize,
}

impl Books {
    pub(super) fn new(
        folder: PathBuf,
        (found, places): (Vec<(u64, u64)>, Places),
        bytes_max: u64,
        metrics: Metrics,
    ) -> Self {
        let files = found.into_iter().map(|(number, bytes)| {
            let entry = Entry {
                bytes,
                is_closed: true,
                passed: Vec::new(),
            };
            (number, entry)
        });
        let state = State {
            files: files.collect(),
            bytes_max,
            lanes: Vec::new(),
            version: 0,
            places,
            said_stuck: false,
        };
        metrics.bytes.set(state.bytes() as f64);
        metrics.bytes_max.set(bytes_max as f64);
        Self {
            folder,
            metrics,
            state: Mutex::new(state),
        }
    }

    /// Another sink, which from now on must have a file before it goes.
    pub(crate) fn lane(self: &Arc<Self>, bell: Bell) -> (News, Cursor) {
        let mut state = self.state.lock();
        state.lanes.push(bell);
        let cursor = Cursor {
            books: Arc::clone(self),
            lane: state.lanes.len() - 1,
        };
        let news = News {
            books: Arc::clone(self),
            seen: None,
        };
        (news, cursor)
    }

    pub(crate) fn set_bytes_max(&self, bytes_max: u64) {
        self.state.lock().bytes_max = bytes_max;
        self.metrics.bytes_max.set(bytes_max as f64);
    }

    /// Size and greatest size.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.bytes(), state.bytes_max)
    }

    pub(super) fn has_room(&self, more: u64) -> bool {
        let state = self.state.lock();
        state.bytes() + more <= state.bytes_max
    }

    pub(super) fn refused(&self, reason: &str) {
        self.metrics.refused.with_label_values(&[reason]).inc();
    }

    pub(super) fn kept(&self, records: u64) {
        self.metrics.records.inc_by(records);
    }

    /// So much of the file that is being written is on the disk for good.
    pub(super) fn durable(&self, number: u64, bytes: u64) {
        self.change(|state| {
            let entry = state.files.entry(number).or_insert(Entry {
                bytes: 0,
                is_closed: false,
                passed: Vec::new(),
            });
            entry.bytes = bytes;
        });
    }

    /// A file will not grow any more.
    pub(super) fn close(&self, number: u64) {
        self.change(|state| {
            if let Some(entry) = state.files.get_mut(&number) {
                entry.is_closed = true;
            }
        });
        // So that the next start need not look for places in it. If it fails, that start does.
        _ = self.save();
        self.tidy();
    }

    /// How far an input has come.
    pub(super) fn place(&self, input: &str) -> Option<String> {
        self.state.lock().places.get(input).map(str::to_owned)
    }

    /// An input has come so far, and all its records up to there are on the disk for good.
    pub(super) fn put_place(&self, input: String, at: String) {
        self.state.lock().places.put(input, at);
    }

    /// Puts places on the disk that have no record.
    pub(super) fn save(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.save(&self.folder)
    }

    fn change(&self, what: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        what(&mut state);
        state.tell();
        self.metrics.bytes.set(state.bytes() as f64);
    }

    /// Removes the files that every sink has.
    fn tidy(&self) {
        let mut state = self.state.lock();
        let lanes = state.lanes.len();
        let done: Vec<u64> = state
            .files
            .iter()
            .filter(|(_, entry)| entry.is_passed(lanes))
            .map(|(number, _)| *number)
            .collect();
        if done.is_empty() {
            return;
        }
        // Nowhere else is it known how far their inputs have come.
        if let Err(error) = state.save(&self.folder) {
            if !std::mem::replace(&mut state.said_stuck, true) {
                warn!(%error, folder = %self.folder.display(), "places of inputs cannot be written; spool files stay until they can");
            }
            return;
        }
        for number in done {
            let path = path(&self.folder, number);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    // It is tried again with the next watermark.
                    if !std::mem::replace(&mut state.said_stuck, true) {
                        warn!(%error, path = %path.display(), "a spool file that every sink has cannot be removed");
                    }
                }
                _ => drop(state.files.remove(&number)),
            }
        }
        state.tell();
        self.metrics.bytes.set(state.bytes() as f64);
    }
}

impl State {
    fn bytes(&self) -> u64 {
        self.files.values().map(|entry| entry.bytes).sum()
    }

    fn save(&mut self, folder: &std::path::Path) -> io::Result<()> {
        let open = self.files.iter().find(|(_, entry)| !entry.is_closed);
        let last = match open {
            Some((number, _)) => number.saturating_sub(1),
            None => self.files.last_key_value().map_or(0, |(number, _)| *number),
        };
        self.places.save(folder, last)
    }

    fn tell(&mut self) {
        self.version += 1;
        for bell in &self.lanes {
            bell.ring();
        }
    }
}

impl Entry {
    fn is_passed(&self, lanes: usize) -> bool {
        let passed = self.passed.iter().filter(|passed| **passed >= self.bytes);
        self.is_closed && lanes > 0 && passed.count() == lanes
    }
}

impl News {
    /// All files, the oldest first, when anything has changed since the last time.
    pub(crate) fn take(&mut self) -> Option<Vec<Kept>> {
        let state = self.books.state.lock();
        if self.seen == Some(state.version) {
            return None;
        }
        self.seen = Some(state.version);
        let files = state.files.iter().map(|(number, entry)| Kept {
            number: *number,
            bytes: entry.bytes,
            is_closed: entry.is_closed,
        });
        Some(files.collect())
    }

    /// What there was must be looked at once more.
    pub(crate) fn forget(&mut self) {
        self.seen = None;
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.books.folder
    }
}

impl Cursor {
    /// These watermarks of spool files are on the disk.
    pub(crate) fn passed<'a>(&self, marks: impl Iterator<Item = &'a FileMark>) {
        let mut state = self.books.state.lock();
        for mark in marks {
            let number = number_of(std::path::Path::new(&*mark.path));
            if let Some(entry) = number.and_then(|number| state.files.get_mut(&number)) {
                let lane = self.lane;
                if entry.passed.len() <= lane {
                    entry.passed.resize(lane + 1, 0);
                }
                if let Some(passed) = entry.passed.get_mut(lane) {
                    *passed = mark.resume_bytes().max(*passed);
                }
            }
        }
        drop(state);
        self.books.tidy();
    }
}

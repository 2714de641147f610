//! One file of the log, being written: defines each thing the first time a row speaks of it.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Labels, SeriesRef, Timestamp};
use parking_lot::RwLock;

use super::disk::{Append, Disk};
use super::queue::{Cutoff, Entry, What};
use super::record;
use crate::families::Family;
use crate::histograms::HistogramRow;
use crate::index::Index;
use crate::row::{Row, Shape};
use crate::target::{LOOKUP, Target};

/// Bytes gathered before they go to the file.
const BUFFER_BYTES: usize = 256 << 10;

pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.wal"))
}

/// None for files that are not of the log.
pub(crate) fn number(path: &Path) -> Option<u64> {
    let number: u32 = path.file_name()?.to_str()?.strip_suffix(".wal")?.parse().ok()?;
    Some(number.into())
}

/// What is left of a file that was given up.
pub(crate) enum Left {
    Nothing,
    /// The disk would not have it removed; reading stops at its first broken record, and takes a row that is there
    /// twice once.
    Scrap,
    Safe(Closed),
}

/// What is known of a file that is no longer written.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// Time of its newest sample.
    pub(crate) newest: Timestamp,
    /// The number of its last entry, of all ever pushed by this process.
    pub(crate) last: u64,
}

impl Closed {
    pub(crate) fn is_past(&self, cutoff: Cutoff) -> bool {
        self.newest < cutoff.time && self.last <= cutoff.pushed
    }
}

pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    file: Box<dyn Append>,
    buffer: Vec<u8>,
    /// In the file, without the buffer.
    file_bytes: u64,
    /// Of these, safe.
    synced_bytes: u64,
    /// What definitions take.
    pub(crate) defined_bytes: u64,
    /// Time of its first row.
    pub(crate) first: Option<Timestamp>,
    pub(crate) newest: Timestamp,
    /// The number of its last entry.
    last: u64,
    targets: HashSet<u32>,
    families: HashSet<u32>,
    series: HashSet<SeriesRef>,
    shapes: HashSet<u64>,
}

impl Segment {
    pub(crate) fn create(disk: &dyn Disk, folder: &Path, number: u64) -> io::Result<Self> {
        let path = path(folder, number);
        Ok(Self {
            file: disk.create(&path)?,
            path,
            buffer: record::header().to_vec(),
            file_bytes: 0,
            synced_bytes: 0,
            defined_bytes: 0,
            first: None,
            newest: Timestamp::MIN,
            last: 0,
            targets: HashSet::new(),
            families: HashSet::new(),
            series: HashSet::new(),
            shapes: HashSet::new(),
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.file_bytes + self.buffer.len() as u64
    }

    /// Writes the entry of this number. False when its row is too long for a record, and so is not in the log.
    pub(crate) fn write(&mut self, entry: &Entry, number: u64, index: &RwLock<Index>) -> io::Result<bool> {
        let before = self.bytes();
        self.last = number;
        let row = match &entry.what {
            What::Row(row) | What::Said(row) => row,
            What::Histograms(row) => return self.write_histograms(&entry.target, row, index),
            What::Retired => {
                self.define_target(&entry.target);
                record::retired(&mut self.buffer, entry.target.id.0);
                return Ok(true);
            }
        };
        let values_max = record::RECORD_BYTES_MAX / 8 - 8;
        if row
            .values
            .len()
            .max(row.live.as_ref().map_or(0, |live| live.refs.len()))
            > values_max
        {
            return Ok(false);
        }
        self.define_shape(&entry.target, &row.shape, index)?;
        if let Some(live) = &row.live {
            self.define_shape(&entry.target, live, index)?;
        }
        self.defined_bytes += self.bytes() - before;
        self.first.get_or_insert(row.time);
        self.newest = self.newest.max(row.time);
        let Row {
            time, shape, values, ..
        } = &**row;
        if matches!(entry.what, What::Said(_)) {
            record::said(&mut self.buffer, shape.id, *time, values);
        } else {
            let live = row.live.as_ref().map(|live| live.id);
            record::row(&mut self.buffer, shape.id, live, *time, values);
        }
        self.flush_when_full()?;
        Ok(true)
    }

    fn write_histograms(
        &mut self,
        target: &Target,
        row: &HistogramRow,
        index: &RwLock<Index>,
    ) -> io::Result<bool> {
        let before = self.bytes();
        if row.bytes() > record::RECORD_BYTES_MAX - 64 {
            return Ok(false);
        }
        self.define_shape(target, &row.shape, index)?;
        self.defined_bytes += self.bytes() - before;
        self.first.get_or_insert(row.time);
        self.newest = self.newest.max(row.time);
        record::histograms(&mut self.buffer, row.shape.id, row.time, &row.packed);
        self.flush_when_full()?;
        Ok(true)
    }

    fn define_target(&mut self, target: &Target) {
        if self.targets.insert(target.id.0) {
            let staleness = target.state.lock().desc.staleness;
            let staleness = staleness.and_then(|staleness| u64::try_from(staleness.as_millis()).ok());
            record::target(&mut self.buffer, target.id.0, staleness, &target.name);
        }
    }

    fn define_shape(&mut self, target: &Target, shape: &Arc<Shape>, index: &RwLock<Index>) -> io::Result<()> {
        if self.shapes.contains(&shape.id) {
            return Ok(());
        }
        self.define_target(target);
        let new: Vec<SeriesRef> = shape
            .refs
            .iter()
            .copied()
            .filter(|series| !self.series.contains(series))
            .collect();
        for some in new.chunks(LOOKUP) {
            for (series, labels, family) in target.look_up(some, index).into_iter().flatten() {
                self.define_series(series, &labels, &family);
            }
            self.flush_when_full()?;
        }
        record::shape(&mut self.buffer, shape.id, target.id.0, &shape.refs);
        self.shapes.insert(shape.id);
        Ok(())
    }

    fn define_series(&mut self, series: SeriesRef, labels: &Labels, family: &Family) {
        if self.families.insert(family.id) {
            record::family(&mut self.buffer, family.id, &family.metadata);
        }
        record::series(&mut self.buffer, series, family.id, labels);
        self.series.insert(series);
    }

    fn flush_when_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.append(&self.buffer)?;
            self.file_bytes += self.buffer.len() as u64;
            self.buffer.clear();
            self.buffer.shrink_to(BUFFER_BYTES);
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync()?;
        self.synced_bytes = self.file_bytes;
        Ok(())
    }

    pub(crate) fn close(self) -> Closed {
        Closed {
            path: self.path,
            bytes: self.file_bytes,
            newest: self.newest,
            last: self.last,
        }
    }

    /// Whether nothing that is in it so far need be kept.
    pub(crate) fn is_past(&self, cutoff: Cutoff) -> bool {
        self.newest < cutoff.time && self.last <= cutoff.pushed
    }

    /// After a failure: the file keeps what is safe and loses the rest, which is written elsewhere.
    pub(crate) fn abandon(self, disk: &dyn Disk) -> Left {
        let Self {
            path,
            file,
            synced_bytes,
            newest,
            last,
            ..
        } = self;
        drop(file);
        let done = if synced_bytes == 0 {
            disk.remove(&path)
        } else {
            disk.truncate(&path, synced_bytes)
        };
        if let Err(error) = &done {
            tracing::debug!(%error, path = %path.display(), "log segment keeps a broken end");
        }
        match done {
            _ if synced_bytes > 0 => Left::Safe(Closed {
                path,
                bytes: synced_bytes,
                newest,
                last,
            }),
            Ok(()) => Left::Nothing,
            Err(_) => Left::Scrap,
        }
    }
}

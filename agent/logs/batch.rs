//! Finished batches: what the reader hands on, once per half a megabyte and not once per line.
//!
//! The bytes are encoded for good, and a table says which of them are which record, of which file, at which offset.

use std::sync::Arc;

use model::{Level, Timestamp};

use crate::days::Days;
use crate::mark::{FileId, FileMark};
use crate::plan::Plan;

/// One record of a batch. Its text is `start..end` of the batch's bytes; between two stands a line feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) time: Timestamp,
    /// Nanoseconds of the time below its millisecond, where the line says them.
    pub(crate) nanos: u32,
    /// Whether the line itself says its time; otherwise it is when it was read.
    pub(crate) is_timed: bool,
    /// Of the record's first byte in its file.
    pub(crate) offset: u64,
    pub(crate) end: u32,
    /// Index into the batch's marks.
    pub(crate) file: u16,
    /// 1 is stdout, 2 is stderr, 0 is neither.
    pub(crate) stream: u8,
    pub(crate) level: u8,
    /// Which of the batch's ids is the record's, counted from 1; 0: its id is made of its place.
    pub(crate) given: u32,
    /// Lines of the file that it is made of, where they are several; else 0.
    pub(crate) lines: u32,
}

/// Records in the order they were read, and for each of their files the watermark that stands once they are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) text: Vec<u8>,
    pub(crate) rows: Vec<Row>,
    pub(crate) marks: Vec<FileMark>,
    /// Files that are first read now, as they are before their first record.
    pub(crate) new_files: Vec<FileMark>,
    /// Of files of which lines without a time are read on another day now.
    pub(crate) days: Vec<(FileId, Days)>,
    /// Ids that sources have given their records.
    pub(crate) ids: Vec<Box<str>>,
    /// What is done with the lines of each mark's source.
    pub(crate) plans: Vec<Arc<Plan>>,
}

impl Batch {
    /// Empties it, keeping its memory unless one huge record has blown it up.
    pub(crate) fn clear(&mut self, text_bytes: usize) {
        self.text.clear();
        self.text.shrink_to(2 * text_bytes);
        self.rows.clear();
        self.marks.clear();
        self.new_files.clear();
        self.days.clear();
        self.ids.clear();
        self.plans.clear();
    }

    /// A record and its text.
    pub(crate) fn record(&self, nth: usize) -> Option<(Row, &[u8])> {
        let row = *self.rows.get(nth)?;
        let before = nth.checked_sub(1).and_then(|before| self.rows.get(before));
        // Behind the text before it stands a line feed.
        let start = before.map_or(0, |before| before.end as usize + 1);
        Some((row, self.text.get(start..row.end as usize)?))
    }

    /// Of the text of these records.
    pub(crate) fn text_bytes(&self, rows: &[usize]) -> usize {
        let records = rows.iter().filter_map(|nth| self.record(*nth));
        records.map(|(_, text)| text.len()).sum()
    }

    /// The id that a record's source has given it.
    pub(crate) fn given(&self, row: &Row) -> Option<&str> {
        let nth = usize::try_from(row.given).ok()?.checked_sub(1)?;
        self.ids.get(nth).map(|id| &**id)
    }

    /// What is done with the lines of a mark's source.
    pub(crate) fn plan(&self, mark: usize) -> Option<&Plan> {
        self.plans.get(mark).map(|plan| &**plan)
    }

    /// Earliest and latest time of the records; `None` without records.
    pub(crate) fn times(&self) -> Option<(Timestamp, Timestamp)> {
        let earliest = self.rows.iter().map(|row| row.time).min()?;
        let latest = self.rows.iter().map(|row| row.time).max()?;
        Some((earliest, latest))
    }
}

/// Levels as a byte, in rising gravity.
pub(crate) fn level_of(code: u8) -> Level {
    match code {
        0 => Level::Trace,
        1 => Level::Debug,
        3 => Level::Warn,
        4 => Level::Error,
        5 => Level::Fatal,
        _ => Level::Info,
    }
}

pub(crate) fn level_code(level: Level) -> u8 {
    match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
        Level::Fatal => 5,
    }
}

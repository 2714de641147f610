//! Which lines a question asks for.
//!
//! Words are looked for over all texts of a frame at once, the longest first; the other conditions are only asked
//! of the lines it is found in.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use memchr::memmem::Finder;
use model::LogRecord;
use model::view::{LogQuery, PodQuery};
use regex::bytes::Regex;

use crate::batch::{Row, level_code, level_of};
use crate::mark::FileMark;
use crate::segment::frame::{Frame, Header};

pub(crate) struct Matching {
    /// In lower case, the longest first.
    words: Vec<Finder<'static>>,
    pattern: Option<Regex>,
    level: u8,
    source: String,
    pods: PodQuery,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// A frame's text in lower case.
    lower: RefCell<Vec<u8>>,
}

/// The marks of a frame, read only when a line of it is wanted.
pub(crate) struct Files<'a> {
    frame: &'a Frame,
    marks: Option<Vec<FileMark>>,
}

impl Matching {
    /// # Errors
    /// The pattern is no regular expression.
    pub(crate) fn new(query: &LogQuery) -> io::Result<Self> {
        let pattern = (!query.pattern.is_empty()).then(|| Regex::new(&query.pattern));
        let pattern = pattern
            .transpose()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let lower = query.text.to_ascii_lowercase();
        let mut words: Vec<&str> = lower.split_whitespace().collect();
        words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
        Ok(Self {
            words: words
                .into_iter()
                .map(|word| Finder::new(word).into_owned())
                .collect(),
            pattern,
            level: query.level.map_or(0, level_code),
            source: query.source.clone(),
            pods: query.pods.clone(),
            from: query.from.0,
            to: query.to.0,
            lower: RefCell::default(),
        })
    }

    /// Whether a frame can hold a line that is asked for.
    pub(crate) fn may_match(&self, header: &Header) -> bool {
        header.latest.0 >= self.from && header.earliest.0 <= self.to && header.level_max >= self.level
    }

    /// Whether nothing but time is asked for.
    pub(crate) fn is_everything(&self) -> bool {
        self.words.is_empty() && self.pattern.is_none() && self.level == 0 && !self.minds_source()
    }

    /// The lines of a frame that are asked for, in the order they were read.
    pub(crate) fn rows(&self, frame: &Frame, files: &mut Files<'_>) -> Vec<usize> {
        let mut rows = Vec::new();
        let Some((first, others)) = self.words.split_first() else {
            rows.extend((0..frame.rows()).filter(|nth| self.wants(frame, *nth, &frame.row(*nth), files)));
            return rows;
        };
        let mut lower = self.lower.borrow_mut();
        lower.clear();
        lower.extend_from_slice(frame.text());
        lower.make_ascii_lowercase();
        let (mut at, mut nth) = (0, 0);
        while let Some(found) = lower.get(at..).and_then(|rest| first.find(rest)) {
            nth = frame.row_at(at + found, nth);
            let row = frame.row(nth);
            let end = row.end as usize;
            let text = lower.get(frame.start(nth)..end).unwrap_or_default();
            if others.iter().all(|word| word.find(text).is_some()) && self.wants(frame, nth, &row, files) {
                rows.push(nth);
            }
            at = end + 1;
            nth += 1;
        }
        rows
    }

    fn minds_source(&self) -> bool {
        !self.source.is_empty() || self.pods != PodQuery::default()
    }

    fn wants(&self, frame: &Frame, nth: usize, row: &Row, files: &mut Files<'_>) -> bool {
        row.level >= self.level
            && (self.from..=self.to).contains(&row.time.0)
            && (!self.minds_source()
                || files
                    .of(row)
                    .is_some_and(|mark| mark.source.contains(&self.source) && self.pods.has(&mark.source)))
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(frame.text_of(nth)))
    }
}

impl<'a> Files<'a> {
    pub(crate) fn new(frame: &'a Frame) -> Self {
        Self { frame, marks: None }
    }

    fn of(&mut self, row: &Row) -> Option<&FileMark> {
        let frame = self.frame;
        self.marks
            .get_or_insert_with(|| frame.marks().unwrap_or_default())
            .get(usize::from(row.file))
    }

    pub(crate) fn record(&mut self, nth: usize) -> LogRecord {
        let row = self.frame.row(nth);
        let text = String::from_utf8_lossy(self.frame.text_of(nth)).into_owned();
        let (source, file) = match self.of(&row) {
            Some(mark) => (Arc::clone(&mark.source), Arc::clone(&mark.path)),
            None => ("".into(), "".into()),
        };
        LogRecord {
            time: row.time,
            level: level_of(row.level),
            source,
            stream: match row.stream {
                1 => "stdout",
                2 => "stderr",
                _ => "",
            }
            .into(),
            text,
            file,
            offset_bytes: row.offset,
        }
    }
}

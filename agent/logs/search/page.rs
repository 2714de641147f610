//! The answer while it is being put together: the newest lines, and how many there were when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::view::{LogBucket, LogPage, LogQuery};
use model::{LogRecord, Timestamp};

use super::Place;
use super::matching::{Files, Matching};
use crate::segment::frame::{ERROR, Frame, GRAVE, Header};

const BUCKETS: i64 = 60;

pub(super) struct Page {
    lines_max: usize,
    /// The newest lines so far, the oldest of them on top.
    newest: BinaryHeap<Reverse<Line>>,
    matched: u64,
    looked_from: Option<Timestamp>,
    buckets: Vec<LogBucket>,
    start: i64,
    width: i64,
}

/// Lines of the same millisecond stay in the order in which they were read.
struct Line {
    order: (i64, Place, usize),
    record: LogRecord,
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Line {}

impl PartialOrd for Line {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Line {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

impl Page {
    /// `kept` stands in for a beginning or an end that the question leaves open.
    pub(super) fn new(query: &LogQuery, kept: Option<(i64, i64)>) -> Self {
        let (earliest, latest) = kept.unwrap_or_default();
        // Nobody asks for the years before 1970; a zero is "from the beginning" too.
        let start = if query.from.0 <= 0 { earliest } else { query.from.0 };
        let end = if query.to == Timestamp::MAX {
            latest
        } else {
            query.to.0
        };
        let span = end.saturating_sub(start).saturating_add(1).max(1);
        let width = (span / BUCKETS + i64::from(span % BUCKETS > 0)).max(1);
        let count = if kept.is_some() {
            span / width + i64::from(span % width > 0)
        } else {
            0
        };
        let buckets = (0..count)
            .map(|nth| LogBucket {
                start: Timestamp(start + nth * width),
                ..LogBucket::default()
            })
            .collect();
        Self {
            lines_max: query.lines_max,
            newest: BinaryHeap::new(),
            matched: 0,
            looked_from: None,
            buckets,
            start,
            width,
        }
    }

    /// Whether it is enough to count a frame's lines, without reading it.
    pub(super) fn counts_whole(&self, matching: &Matching, header: &Header) -> bool {
        let (earliest, latest) = (header.earliest.0, header.latest.0);
        let oldest = self.newest.peek().map(|Reverse(line)| line.order.0);
        let full = self.newest.len() >= self.lines_max;
        matching.is_everything()
            && header.errors().is_some()
            && full
            && oldest.is_none_or(|oldest| latest < oldest)
            && earliest >= matching.from
            && latest <= matching.to
            && self.bucket_of(earliest) == self.bucket_of(latest)
    }

    /// Counts a frame's lines, all of which match.
    pub(super) fn count(&mut self, header: &Header) {
        self.matched += u64::from(header.records);
        if let Some(bucket) = self.bucket_mut(header.earliest.0) {
            bucket.lines += u64::from(header.records);
            bucket.grave += u64::from(header.grave);
            bucket.errors += u64::from(header.errors().unwrap_or(0));
        }
    }

    pub(super) fn add(&mut self, matching: &Matching, frame: &Frame, place: Place) {
        let mut files = Files::new(frame);
        for nth in matching.rows(frame, &mut files).into_iter().rev() {
            let row = frame.row(nth);
            self.matched += 1;
            if let Some(bucket) = self.bucket_mut(row.time.0) {
                bucket.lines += 1;
                bucket.grave += u64::from(row.level >= GRAVE);
                bucket.errors += u64::from(row.level >= ERROR);
            }
            let order = (row.time.0, place, nth);
            if self.newest.len() >= self.lines_max {
                match self.newest.peek() {
                    Some(Reverse(oldest)) if oldest.order < order => drop(self.newest.pop()),
                    _ => continue,
                }
            }
            let record = files.record(nth);
            self.newest.push(Reverse(Line { order, record }));
        }
    }

    /// Lines of this frame and older ones are not looked at.
    pub(super) fn cut(&mut self, header: &Header) {
        self.looked_from = Some(header.latest);
    }

    pub(super) fn finish(self) -> LogPage {
        let mut lines: Vec<Line> = self.newest.into_iter().map(|Reverse(line)| line).collect();
        lines.sort_unstable();
        LogPage {
            cut: self.looked_from.is_some() || self.matched > lines.len() as u64,
            looked_from: self.looked_from,
            lines: lines.into_iter().map(|line| line.record).collect(),
            matched: self.matched,
            histogram: self.buckets,
            ..LogPage::default()
        }
    }

    fn bucket_of(&self, time: i64) -> Option<usize> {
        usize::try_from(time.checked_sub(self.start)?.div_euclid(self.width)).ok()
    }

    fn bucket_mut(&mut self, time: i64) -> Option<&mut LogBucket> {
        let nth = self.bucket_of(time)?;
        self.buckets.get_mut(nth)
    }
}

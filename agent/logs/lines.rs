//! Makes records of lines: time, level, stream, and the text without what the row says already.

use std::sync::Arc;
use std::time::Instant;

use jiff::tz::TimeZone;
use model::{Level, Timestamp};

use crate::account::{Account, Loss};
use crate::batch::{Row, level_code};
use crate::draft::Draft;
use crate::join::{Group, Join};
use crate::mark::Form;
use crate::redact::Redaction;
use crate::spool::line::Line;
use crate::time::{Times, below_millis};
use crate::{cri, level, spool};

/// All open records together hold no more text than this; what comes on top is cut.
const JOINED_BYTES_MAX: usize = 64 << 20;

/// A longer id is no id to a sink: the record gets one of its place.
const ID_BYTES_MAX: usize = 512;

pub(crate) struct Lines {
    times: Times,
    account: Arc<Account>,
    pub(crate) redaction: Redaction,
    pub(crate) line_bytes_max: usize,
    /// Bytes of text held in open records of all containers.
    joined: usize,
    /// Wall clock of this turn: the time of lines that have none.
    pub(crate) now: Timestamp,
    pub(crate) running: Instant,
}

/// Where a line stands.
pub(crate) struct At {
    /// The reader's number of the file.
    pub(crate) file: usize,
    /// The file's number in the draft.
    pub(crate) number: u16,
    pub(crate) form: Form,
    pub(crate) offset: u64,
    /// See [`crate::tail::Tail::skip`].
    pub(crate) skip: [u64; 3],
}

impl Lines {
    pub(crate) fn new(account: Arc<Account>, redaction: Redaction, line_bytes_max: usize) -> Self {
        Self {
            times: Times::new(TimeZone::system()),
            account,
            redaction,
            line_bytes_max,
            joined: 0,
            now: Timestamp(0),
            running: Instant::now(),
        }
    }

    /// Takes one line, without its line feed. `length` is more than `line` has when the rest was not read.
    pub(crate) fn take(&mut self, draft: &mut Draft, join: &mut Join, at: &At, line: &[u8], length: u64) {
        let kept = line.get(..self.line_bytes_max).unwrap_or(line);
        match at.form {
            Form::Plain => self.plain(draft, at, kept, length),
            Form::Cri => self.cri(draft, join, at, kept, length),
            Form::Spool => self.spool(draft, at, line),
        }
    }

    fn plain(&mut self, draft: &mut Draft, at: &At, line: &[u8], length: u64) {
        let [skip, ..] = at.skip;
        if at.offset < skip {
            return;
        }
        // A file truncated under a writer that keeps its place begins with zeros.
        let zeros = line.iter().take_while(|byte| **byte == 0).count();
        let line = line.get(zeros..).unwrap_or_default();
        if line.is_empty() && zeros > 0 {
            return self.account.let_go(Loss::Hole);
        }
        let mut length = length - zeros as u64;
        let mut text = line;
        if length == line.len() as u64
            && let Some(rest) = line.strip_suffix(b"\r")
        {
            text = rest;
            length -= 1;
        }
        let mut row = self.row_of(at, 0);
        if let Some((found, used)) = self.times.of_line(text, self.now) {
            row.nanos = below_millis(text.get(..used).unwrap_or_default());
            (row.time, row.is_timed) = (found, true);
            let rest = text.get(used..).unwrap_or_default();
            let rest = rest.strip_prefix(b" ").unwrap_or(rest);
            // A line that is nothing but a time stays as it is.
            if !rest.is_empty() {
                length -= (text.len() - rest.len()) as u64;
                text = rest;
            }
        }
        self.push(draft, row, text, length);
    }

    fn cri(&mut self, draft: &mut Draft, join: &mut Join, at: &At, line: &[u8], length: u64) {
        let Some(parsed) = cri::parse(line) else {
            let [skip, ..] = at.skip;
            if at.offset >= skip && length > 0 {
                self.account.malformed.inc();
                self.push(draft, self.row_of(at, 0), line, length);
            }
            return;
        };
        let stream = parsed.stream.number();
        if at
            .skip
            .get(usize::from(stream))
            .is_some_and(|skip| at.offset < *skip)
        {
            return;
        }
        let length = length - (line.len() - parsed.message.len()) as u64;
        if !join.wants(&parsed) {
            let row = Row {
                time: parsed.time,
                nanos: parsed.nanos,
                is_timed: true,
                ..self.row_of(at, stream)
            };
            return self.push(draft, row, parsed.message, length);
        }
        let held = join.held();
        let room = JOINED_BYTES_MAX.saturating_sub(self.joined);
        let bytes_max = self.line_bytes_max.min(held + room);
        let group = join.add(&parsed, length, at.file, at.offset, bytes_max);
        let whole = group.as_ref().map_or(0, |group| group.text.len());
        self.joined = (self.joined + join.held() + whole).saturating_sub(held);
        if let Some(group) = group {
            self.group(draft, &group);
        }
    }

    fn spool(&mut self, draft: &mut Draft, at: &At, line: &[u8]) {
        let [skip, ..] = at.skip;
        if at.offset < skip || (at.offset == 0 && spool::is_title(line)) {
            return;
        }
        let Some(read) = Line::read(line) else {
            tracing::warn!(
                offset_bytes = at.offset,
                "a line of the spool is damaged and left out"
            );
            return self.account.let_go(Loss::Damaged);
        };
        let Some(number) = draft.touch_as(at.file, read.from.get(), self.running) else {
            return self.account.let_go(Loss::Damaged);
        };
        let millis = read.time.div_euclid(1_000_000);
        let row = Row {
            time: Timestamp(millis),
            nanos: u32::try_from(read.time.rem_euclid(1_000_000)).unwrap_or(0),
            is_timed: true,
            offset: at.offset,
            end: 0,
            file: number,
            stream: read.stream,
            level: 0,
            given: read
                .id
                .filter(|id| (1..=ID_BYTES_MAX).contains(&id.len()))
                .map_or(0, |id| draft.give(&id)),
        };
        let text = read.text.as_bytes();
        let kept = text.get(..self.line_bytes_max).unwrap_or(text);
        let length = read.bytes.unwrap_or(text.len() as u64);
        match read.level {
            Some(code) => self.push_as(draft, Row { level: code, ..row }, kept, length),
            None => self.push(draft, row, kept, length),
        }
    }

    /// A joined record: it belongs to the file of its first piece, and moves the watermarks of all its files.
    pub(crate) fn group(&mut self, draft: &mut Draft, group: &Group) {
        self.joined = self.joined.saturating_sub(group.text.len());
        let Some((first, offset)) = group.files.first() else {
            return;
        };
        let number = draft.touch(*first, self.running);
        for (file, _) in &group.files {
            draft.touch(*file, self.running);
        }
        let row = Row {
            time: group.time,
            nanos: group.nanos,
            is_timed: true,
            offset: *offset,
            end: 0,
            file: number,
            stream: group.stream.number(),
            level: 0,
            given: 0,
        };
        self.push(draft, row, &group.text, group.length);
    }

    /// A row of a line without a time, still without its level and its place in the text.
    fn row_of(&self, at: &At, stream: u8) -> Row {
        Row {
            time: self.now,
            nanos: 0,
            is_timed: false,
            offset: at.offset,
            end: 0,
            file: at.number,
            stream,
            level: 0,
            given: 0,
        }
    }

    fn push(&self, draft: &mut Draft, row: Row, text: &[u8], length: u64) {
        let level = level::of_line(text).unwrap_or(Level::Info);
        let row = Row {
            level: level_code(level),
            ..row
        };
        self.push_as(draft, row, text, length);
    }

    /// Likewise where the row has its level.
    fn push_as(&self, draft: &mut Draft, row: Row, text: &[u8], length: u64) {
        if length > text.len() as u64 {
            self.account.cut.inc();
        }
        if self.redaction.is_empty() {
            return draft.push(row, text, length);
        }
        let changed = self.account.redact(&self.redaction, text);
        let length = length - text.len() as u64 + changed.len() as u64;
        draft.push(row, &changed, length);
    }
}

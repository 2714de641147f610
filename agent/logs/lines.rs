//! Makes records of lines: time, level, stream, and the text without what the row says already. What a source's plan does
//! not want is left out here, and counted.

use std::sync::Arc;
use std::time::Instant;

use jiff::tz::TimeZone;
use model::{Level, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use crate::account::{Account, Loss};
use crate::batch::{Row, level_code};
use crate::draft::Draft;
use crate::join::{Group, Piece};
use crate::mark::Form;
use crate::multiline::{Fate, Mode, Which};
use crate::plan::{Plan, Way};
use crate::redact::Redaction;
use crate::source::Source;
use crate::spool::line::Line;
use crate::time::{Recent, Times, below_millis};
use crate::{cri, docker, level, spool};

/// All open records together hold no more text than this; what comes on top is cut.
const JOINED_BYTES_MAX: usize = 64 << 20;

/// What is kept for the next message of Docker's.
const UNESCAPED_BYTES: usize = 64 << 10;

/// A longer id is no id to a sink: the record gets one of its place.
const ID_BYTES_MAX: usize = 512;

pub(crate) struct Lines {
    times: Times,
    recent: Recent,
    account: Arc<Account>,
    pub(crate) redaction: Redaction,
    pub(crate) line_bytes_max: usize,
    /// Bytes of text held in open records of all containers.
    joined: usize,
    skipped: Skipped,
    /// Memory for messages of Docker's lines.
    unescaped: Vec<u8>,
    /// Wall clock of this turn.
    pub(crate) now: Timestamp,
    pub(crate) running: Instant,
}

/// Lines that are not wanted, since they were last counted.
#[derive(Default)]
struct Skipped {
    excluded: u64,
    sampled: u64,
    limited: u64,
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
    /// Of lines that do not say when they were written.
    pub(crate) now: Timestamp,
    /// The source's.
    pub(crate) plan: Arc<Plan>,
}

impl Lines {
    pub(crate) fn new(account: Arc<Account>, redaction: Redaction, line_bytes_max: usize) -> Self {
        Self {
            times: Times::new(TimeZone::system()),
            recent: Recent::default(),
            account,
            redaction,
            line_bytes_max,
            joined: 0,
            skipped: Skipped::default(),
            unescaped: Vec::new(),
            now: Timestamp(0),
            running: Instant::now(),
        }
    }

    /// Takes one line, without its line feed. `length` is more than `line` has when the rest was not read.
    pub(crate) fn take(&mut self, draft: &mut Draft, source: &mut Source, at: &At, line: &[u8], length: u64) {
        let kept = line.get(..self.line_bytes_max).unwrap_or(line);
        match at.form {
            Form::Plain => self.plain(draft, source, at, kept, length),
            Form::Cri => {
                // Of what could not be read whole nothing is JSON.
                let is_docker = line.first() == Some(&b'{') && line.len() as u64 == length;
                self.container(draft, source, at, if is_docker { line } else { kept }, length);
            }
            Form::Spool => self.spool(draft, at, line),
        }
    }

    /// Counts what was not wanted.
    pub(crate) fn settle(&mut self) {
        let Skipped {
            excluded,
            sampled,
            limited,
        } = std::mem::take(&mut self.skipped);
        self.account.let_all_go(Loss::Excluded, excluded);
        self.account.let_all_go(Loss::Sampled, sampled);
        self.account.let_all_go(Loss::Limited, limited);
    }

    fn plain(&mut self, draft: &mut Draft, source: &mut Source, at: &At, line: &[u8], length: u64) {
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
        let files = [(at.file, at.offset)];
        let mut piece = Self::untimed(at, text, length, &files);
        if let Some((found, used)) = self.times.of_line(text, self.now) {
            piece.nanos = below_millis(text.get(..used).unwrap_or_default());
            (piece.time, piece.is_timed) = (found, true);
            let rest = text.get(used..).unwrap_or_default();
            let rest = rest.strip_prefix(b" ").unwrap_or(rest);
            // A line that is nothing but a time stays as it is.
            if !rest.is_empty() {
                piece.length -= (text.len() - rest.len()) as u64;
                piece.text = rest;
            }
        } else if let Some((found, nanos)) = at.plan.way(0).parser.time(text, &mut self.times, self.now) {
            (piece.time, piece.nanos, piece.is_timed) = (found, nanos, true);
        }
        self.line(draft, source, &at.plan, at.number, &piece);
    }

    /// A line of CRI or of Docker's `json-file`, whichever it is.
    fn container(&mut self, draft: &mut Draft, source: &mut Source, at: &At, line: &[u8], length: u64) {
        let mut unescaped = std::mem::take(&mut self.unescaped);
        if line.first() == Some(&b'{')
            && let Some(parsed) = docker::parse(line, &mut unescaped)
        {
            let length = parsed.message.len() as u64;
            let message = parsed.message.get(..self.line_bytes_max);
            let message = message.unwrap_or(parsed.message);
            self.piece(draft, source, at, cri::Line { message, ..parsed }, length);
        } else if let Some(parsed) = cri::parse(line, &mut self.recent) {
            let length = length - (line.len() - parsed.message.len()) as u64;
            self.piece(draft, source, at, parsed, length);
        } else {
            let [skip, ..] = at.skip;
            if at.offset >= skip && length > 0 {
                self.account.malformed.inc();
                let kept = line.get(..self.line_bytes_max).unwrap_or(line);
                let files = [(at.file, at.offset)];
                let piece = Self::untimed(at, kept, length, &files);
                self.line(draft, source, &at.plan, at.number, &piece);
            }
        }
        unescaped.shrink_to(UNESCAPED_BYTES);
        self.unescaped = unescaped;
    }

    /// A record or a piece of one. `length` is that of the message, of which there may be only the front.
    fn piece(&mut self, draft: &mut Draft, source: &mut Source, at: &At, parsed: cri::Line<'_>, length: u64) {
        let files = [(at.file, at.offset)];
        let stream = parsed.stream.number();
        if at
            .skip
            .get(usize::from(stream))
            .is_some_and(|skip| at.offset < *skip)
        {
            return;
        }
        if !source.join.wants(&parsed) {
            let piece = Piece {
                time: parsed.time,
                nanos: parsed.nanos,
                is_timed: true,
                has_written_time: true,
                stream,
                text: parsed.message,
                length,
                files: &files,
                lines: 1,
            };
            return self.line(draft, source, &at.plan, at.number, &piece);
        }
        let held = source.join.held();
        let room = JOINED_BYTES_MAX.saturating_sub(self.joined);
        let bytes_max = self.line_bytes_max.min(held + room);
        let group = source.join.add(&parsed, length, at.file, at.offset, bytes_max);
        self.joined = (self.joined + source.join.held()).saturating_sub(held);
        if let Some(group) = group {
            let number = self.touch(draft, &group.files);
            self.line(draft, source, &at.plan, number, &group.piece());
        }
    }

    /// A whole line, which may be part of a record of several.
    fn line(&mut self, draft: &mut Draft, source: &mut Source, plan: &Plan, number: u16, piece: &Piece<'_>) {
        let way = plan.way(piece.stream);
        let joins = !way.is_excluded && !matches!(way.mode, Mode::None);
        // It was begun under another plan.
        if !joins && let Some(group) = source.multiline.end_for(piece) {
            self.joined = self.joined.saturating_sub(group.text.len());
            self.finished(draft, source, &group);
        }
        if way.is_excluded {
            self.skipped.excluded += 1;
            return;
        }
        let level = level::of_line(piece.text);
        let mut ended = None;
        if joins {
            let held = source.multiline.held();
            let room = JOINED_BYTES_MAX.saturating_sub(self.joined);
            let limits = (self.running, self.line_bytes_max.min(held + room));
            let fate = source
                .multiline
                .take(&way.mode, piece, level, limits, |group| ended = Some(group));
            self.joined = (self.joined + source.multiline.held()).saturating_sub(held);
            if let Some(group) = ended {
                self.finished(draft, source, &group);
            }
            if fate != Fate::Alone {
                return;
            }
        }
        self.keep(draft, source, way, number, piece, level);
    }

    /// A record of several lines, and nothing of it can come any more: it belongs to the file of its first line, and moves
    /// the watermarks of all its files.
    pub(crate) fn finished(&mut self, draft: &mut Draft, source: &mut Source, group: &Group) {
        let plan = Arc::clone(&source.plan);
        let number = self.touch(draft, &group.files);
        let way = plan.way(group.stream);
        self.keep(draft, source, way, number, &group.piece(), group.level);
    }

    /// Ends what is open in a source: all, or what nothing has come to for long enough.
    pub(crate) fn end(&mut self, draft: &mut Draft, source: &mut Source, which: Which) {
        if matches!(which, Which::All) {
            let plan = Arc::clone(&source.plan);
            let partial: Vec<Group> = source.join.take().collect();
            for group in partial {
                self.joined = self.joined.saturating_sub(group.text.len());
                let number = self.touch(draft, &group.files);
                self.line(draft, source, &plan, number, &group.piece());
            }
        }
        for group in source.multiline.end(which) {
            self.joined = self.joined.saturating_sub(group.text.len());
            self.finished(draft, source, &group);
        }
        self.settle();
    }

    /// The first file's number in the draft; the marks of all go with it.
    fn touch(&self, draft: &mut Draft, files: &[(usize, u64)]) -> u16 {
        let mut numbers = files.iter().map(|(file, _)| draft.touch(*file, self.running));
        let first = numbers.next().unwrap_or(u16::MAX);
        numbers.for_each(drop);
        first
    }

    /// Keeps a record, unless it is one of too many.
    fn keep(
        &mut self,
        draft: &mut Draft,
        source: &mut Source,
        way: &Way,
        number: u16,
        piece: &Piece<'_>,
        level: Option<Level>,
    ) {
        let offset = piece.files.first().map_or(0, |(_, offset)| *offset);
        let level = way.parser.level(piece.text).or(level).unwrap_or(Level::Info);
        if let Some(share) = way.sample
            && level < Level::Warn
            && chance(piece, offset) >= share
        {
            self.skipped.sampled += 1;
            return;
        }
        if let Some(rate) = way.rate
            && !source.bucket.take(rate, piece.time)
        {
            self.skipped.limited += 1;
            return;
        }
        let row = Row {
            time: piece.time,
            nanos: piece.nanos,
            is_timed: piece.is_timed,
            offset,
            end: 0,
            file: number,
            stream: piece.stream,
            level: level_code(level),
            given: 0,
            lines: if piece.lines > 1 { piece.lines } else { 0 },
        };
        self.push(draft, row, piece.text, piece.length);
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
            level: read
                .level
                .unwrap_or_else(|| level_code(level::of_line(read.text.as_bytes()).unwrap_or(Level::Info))),
            lines: 0,
            given: read
                .id
                .filter(|id| (1..=ID_BYTES_MAX).contains(&id.len()))
                .map_or(0, |id| draft.give(&id)),
        };
        let text = read.text.as_bytes();
        let kept = text.get(..self.line_bytes_max).unwrap_or(text);
        let length = read.bytes.unwrap_or(text.len() as u64);
        self.push(draft, row, kept, length);
    }

    /// A line of which nobody says when it was written.
    fn untimed<'t>(at: &At, text: &'t [u8], length: u64, files: &'t [(usize, u64)]) -> Piece<'t> {
        Piece {
            time: at.now,
            nanos: 0,
            is_timed: false,
            has_written_time: false,
            stream: 0,
            text,
            length,
            files,
            lines: 1,
        }
    }

    fn push(&self, draft: &mut Draft, row: Row, text: &[u8], length: u64) {
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

/// The same for the same line whenever it is read, where it has a time of its own.
fn chance(piece: &Piece<'_>, offset: u64) -> u32 {
    let time = if piece.is_timed { piece.time.0 } else { 0 };
    let place = [offset.to_le_bytes(), time.to_le_bytes()].concat();
    // Its upper half.
    u32::try_from(xxh3_64(&place) >> 32).unwrap_or(0)
}

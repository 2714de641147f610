//! Joins lines that belong together: stack traces of Java, .NET, Node.js, Python, Go, Rust, Ruby and PHP, or what a pattern
//! begins.
//!
//! A record is held until a line comes that does not belong to it, or nothing has come for a while. Meanwhile its stream's
//! watermark stays at its first line. Which lines are one record is said by the lines and the times that the runtime gave
//! them, so that a restart joins them alike; how many they are is part of the record's id, so that a record that was ended
//! too early is never taken for the longer one.

mod trace;

use std::time::{Duration, Instant};

use model::{Level, Timestamp};
use regex::bytes::Regex;

use crate::join::{Group, Piece};
pub(crate) use trace::Trace;

/// Lines of a record follow each other within this, by the times in front of them.
const GAP_MS: i64 = 1_000;
/// A record is ended when nothing has come for so long: later than any line that could still belong to it, unless the
/// runtime holds one back for half a second.
pub(crate) const QUIET: Duration = Duration::from_millis(1_500);
/// Longer records are ended.
const LINES_MAX: u32 = 1_000;

/// Which lines of a stream are joined.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mode {
    None,
    /// Stack traces, by their looks, to the line above them.
    #[default]
    Auto,
    /// Everything up to the next line that matches.
    Start(Regex),
}

/// Records of one source that may go on: of neither stream, stdout and stderr.
#[derive(Default)]
pub(crate) struct Multiline {
    open: [Option<Open>; 3],
}

struct Open {
    group: Group,
    trace: Trace,
    /// The last line's own time.
    last: Timestamp,
    /// When it was read.
    since: Instant,
}

/// What is to be done with a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is with the open record of its stream.
    Joined,
    /// It is held, as the first of a record.
    Held,
    /// It is a record of its own.
    Alone,
}

impl Multiline {
    /// Decides on a line. What it ends is handed to `end` first. At most `bytes_max` of a record's text are held.
    pub(crate) fn take(
        &mut self,
        mode: &Mode,
        piece: &Piece<'_>,
        level: Option<Level>,
        (now, bytes_max): (Instant, usize),
        end: impl FnOnce(Group),
    ) -> Fate {
        let Some(slot) = self.open.get_mut(usize::from(piece.stream)) else {
            return Fate::Alone;
        };
        if let Some(open) = slot {
            if let Some(trace) = open.goes_on(mode, piece) {
                open.group.add(b"\n", piece, bytes_max);
                (open.trace, open.last, open.since) = (trace, piece.time, now);
                return Fate::Joined;
            }
            if let Some(open) = slot.take() {
                end(open.ended());
            }
        }
        let Some(trace) = begins(mode, piece, level) else {
            return Fate::Alone;
        };
        *slot = Some(Open {
            group: Group::of(piece, level),
            trace,
            last: piece.time,
            since: now,
        });
        Fate::Held
    }

    /// Ends records, all or those to which nothing has come for long enough.
    pub(crate) fn end(&mut self, quiet: Option<Instant>) -> Vec<Group> {
        let ended = self.open.iter_mut().filter_map(|slot| {
            slot.take_if(|open| quiet.is_none_or(|now| now.saturating_duration_since(open.since) >= QUIET))
        });
        ended.map(Open::ended).collect()
    }

    /// Ends the record of a stream that is not joined any more.
    pub(crate) fn end_of(&mut self, stream: u8) -> Option<Group> {
        let slot = self.open.get_mut(usize::from(stream))?;
        slot.take().map(Open::ended)
    }

    /// When the first of them may be ended.
    pub(crate) fn due(&self) -> Option<Instant> {
        let open = self.open.iter().flatten();
        open.map(|open| open.since + QUIET).min()
    }

    pub(crate) fn held(&self, stream: u8) -> usize {
        let open = self.open.get(usize::from(stream)).and_then(Option::as_ref);
        open.map_or(0, |open| open.group.text.len())
    }

    /// Per stream, where in `file` an open record begins.
    pub(crate) fn open_in(&self, file: usize) -> [Option<u64>; 3] {
        self.open
            .each_ref()
            .map(|open| open.as_ref().and_then(|open| open.group.begins_in(file)))
    }
}

impl Open {
    /// A trace is an error, whatever its first line says or does not say.
    fn ended(self) -> Group {
        let is_trace = self.trace != Trace::Head && self.group.lines > 1;
        let level = self.group.level.or(is_trace.then_some(Level::Error));
        Group { level, ..self.group }
    }

    fn goes_on(&self, mode: &Mode, piece: &Piece<'_>) -> Option<Trace> {
        let gap = piece.time.0 - self.last.0;
        // A line without a time of its own has the one at which it was read, which says nothing.
        let is_late = piece.has_written_time && !(-GAP_MS..=GAP_MS).contains(&gap);
        // Of plain files each is on its own; a container's are one after the other.
        let is_other = piece.stream == 0 && self.group.files.iter().all(|(file, _)| *file != piece.file());
        if is_late || is_other || self.group.lines >= LINES_MAX {
            return None;
        }
        match mode {
            Mode::None => None,
            Mode::Auto if piece.is_timed && !piece.has_written_time => None,
            Mode::Auto => self.trace.goes_on(piece.text),
            Mode::Start(start) => (!start.is_match(piece.text)).then_some(self.trace),
        }
    }
}

fn begins(mode: &Mode, piece: &Piece<'_>, level: Option<Level>) -> Option<Trace> {
    match mode {
        Mode::None => None,
        Mode::Auto => Trace::begins(piece.text, level),
        Mode::Start(start) => start.is_match(piece.text).then_some(Trace::Head),
    }
}

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

/// Records of one source that may go on.
#[derive(Default)]
pub(crate) struct Multiline {
    /// One for each stream of a container, and for each of the plain files that have one name, of which one is written
    /// and the others are read to their end.
    open: Vec<Open>,
}

struct Open {
    group: Group,
    trace: Trace,
    /// The last line's own time.
    last: Timestamp,
    /// When it was read.
    since: Instant,
}

/// Records that are to be ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    All,
    /// Those with lines of this file: of plain files of one name each is on its own.
    Of(usize),
    /// Those to which nothing has come for long enough.
    Quiet(Instant),
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
        if let Some(at) = self.open.iter().position(|open| open.may_have(piece)) {
            if let Some(open) = self.open.get_mut(at)
                && let Some(trace) = open.goes_on(mode, piece)
            {
                open.group.add(b"\n", piece, bytes_max);
                (open.trace, open.last, open.since) = (trace, piece.time, now);
                return Fate::Joined;
            }
            end(self.open.swap_remove(at).ended());
        }
        let Some(trace) = begins(mode, piece, level) else {
            return Fate::Alone;
        };
        self.open.push(Open {
            group: Group::of(piece, level),
            trace,
            last: piece.time,
            since: now,
        });
        Fate::Held
    }

    /// Ends records, all or those to which nothing has come for long enough.
    pub(crate) fn end(&mut self, which: Which) -> Vec<Group> {
        let is_ended = |open: &Open| match which {
            Which::All => true,
            Which::Of(file) => open.group.begins_in(file).is_some(),
            Which::Quiet(now) => now.saturating_duration_since(open.since) >= QUIET,
        };
        let ended = self.open.extract_if(.., |open| is_ended(open));
        ended.map(Open::ended).collect()
    }

    /// Ends what a line could belong to, of a stream that is not joined any more.
    pub(crate) fn end_for(&mut self, piece: &Piece<'_>) -> Option<Group> {
        let at = self.open.iter().position(|open| open.may_have(piece))?;
        Some(self.open.swap_remove(at).ended())
    }

    /// When the first of them may be ended.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.open.iter().map(|open| open.since + QUIET).min()
    }

    /// Bytes of text.
    pub(crate) fn held(&self) -> usize {
        self.open.iter().map(|open| open.group.text.len()).sum()
    }

    /// Per stream, where in `file` an open record begins.
    pub(crate) fn open_in(&self, file: usize) -> [Option<u64>; 3] {
        let mut begins = [None; 3];
        for open in &self.open {
            if let Some(place) = begins.get_mut(usize::from(open.group.stream)) {
                *place = open.group.begins_in(file).or(*place);
            }
        }
        begins
    }
}

impl Open {
    /// A trace is an error, whatever its first line says or does not say.
    fn ended(self) -> Group {
        let is_trace = self.trace != Trace::Head && self.group.lines > 1;
        let level = self.group.level.or(is_trace.then_some(Level::Error));
        Group { level, ..self.group }
    }

    /// Whether a line could belong to it: of a container's stream, or of the same plain file.
    fn may_have(&self, piece: &Piece<'_>) -> bool {
        self.group.stream == piece.stream
            && (piece.stream != 0 || self.group.begins_in(piece.file()).is_some())
    }

    fn goes_on(&self, mode: &Mode, piece: &Piece<'_>) -> Option<Trace> {
        let gap = piece.time.0 - self.last.0;
        // A line without a time of its own has the one at which it was read, which says nothing.
        let is_late = piece.has_written_time && !(-GAP_MS..=GAP_MS).contains(&gap);
        if is_late || self.group.lines >= LINES_MAX {
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

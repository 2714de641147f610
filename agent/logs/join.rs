//! Joins the partial lines of container runtimes into records, per stream, over as many files as they span.
//!
//! While a record is open the watermark of its stream stays at its first piece, in the file that piece is in, so a
//! restart reads the pieces again and joins them alike.

use model::{Level, Timestamp};

use crate::cri::{Line, Stream};

/// Open records of one container.
#[derive(Default)]
pub(crate) struct Join {
    stdout: Option<Group>,
    stderr: Option<Group>,
}

/// A line, or what partial lines have become together.
pub(crate) struct Piece<'t> {
    pub(crate) time: Timestamp,
    pub(crate) nanos: u32,
    /// Whether the line itself says its time.
    pub(crate) is_timed: bool,
    /// Whether the runtime has written a time in front of each line.
    pub(crate) has_written_time: bool,
    /// As records number it.
    pub(crate) stream: u8,
    pub(crate) text: &'t [u8],
    /// All of it, more than `text` when it is too long.
    pub(crate) length: u64,
    /// Where each file's first byte of it is; the first entry is where it begins.
    pub(crate) files: &'t [(usize, u64)],
    /// Lines of the file that it is made of.
    pub(crate) lines: u32,
}

impl Piece<'_> {
    /// The reader's number of the file in which it begins.
    pub(crate) fn file(&self) -> usize {
        self.files.first().map_or(usize::MAX, |(file, _)| *file)
    }
}

/// A record of several lines.
pub(crate) struct Group {
    pub(crate) time: Timestamp,
    pub(crate) nanos: u32,
    pub(crate) is_timed: bool,
    pub(crate) has_written_time: bool,
    /// As records number it.
    pub(crate) stream: u8,
    /// Of its first line, where it was looked for.
    pub(crate) level: Option<Level>,
    pub(crate) text: Vec<u8>,
    /// All of it, more than `text` holds when it is too long.
    pub(crate) length: u64,
    /// Where each file's first piece begins; the first entry is where the record begins.
    pub(crate) files: Vec<(usize, u64)>,
    /// Lines of the files that it is made of.
    pub(crate) lines: u32,
}

impl Group {
    pub(crate) fn of(piece: &Piece<'_>, level: Option<Level>) -> Self {
        Self {
            time: piece.time,
            nanos: piece.nanos,
            is_timed: piece.is_timed,
            has_written_time: piece.has_written_time,
            stream: piece.stream,
            level,
            text: piece.text.to_vec(),
            length: piece.length,
            files: piece.files.to_vec(),
            lines: piece.lines,
        }
    }

    /// Appends a piece with `glue` in front of it. At most `bytes_max` of the text are held.
    pub(crate) fn add(&mut self, glue: &[u8], piece: &Piece<'_>, bytes_max: usize) {
        for (file, offset) in piece.files {
            if self.begins_in(*file).is_none() {
                self.files.push((*file, *offset));
            }
        }
        // What was cut before stays cut: pieces behind a hole would read as if they belonged there.
        if self.length == self.text.len() as u64 {
            for part in [glue, piece.text] {
                let room = bytes_max.saturating_sub(self.text.len());
                self.text.extend_from_slice(part.get(..room).unwrap_or(part));
            }
        }
        self.length += glue.len() as u64 + piece.length;
        self.lines = self.lines.saturating_add(piece.lines);
    }

    /// Where its first piece in a file is.
    pub(crate) fn begins_in(&self, file: usize) -> Option<u64> {
        let known = self.files.iter().find(|(known, _)| *known == file);
        known.map(|(_, offset)| *offset)
    }

    pub(crate) fn piece(&self) -> Piece<'_> {
        Piece {
            time: self.time,
            nanos: self.nanos,
            is_timed: self.is_timed,
            has_written_time: self.has_written_time,
            stream: self.stream,
            text: &self.text,
            length: self.length,
            files: &self.files,
            lines: self.lines,
        }
    }
}

impl Join {
    fn slot(&mut self, stream: Stream) -> &mut Option<Group> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Whether this line is more than a piece of its own: it has to go through [`Self::add`].
    pub(crate) fn wants(&mut self, line: &Line<'_>) -> bool {
        line.partial || self.slot(line.stream).is_some()
    }

    /// Adds a line; returns the record when the line ends it. At most `bytes_max` of its text are held.
    pub(crate) fn add(
        &mut self,
        line: &Line<'_>,
        length: u64,
        file: usize,
        offset: u64,
        bytes_max: usize,
    ) -> Option<Group> {
        let files = [(file, offset)];
        let piece = Piece {
            time: line.time,
            nanos: line.nanos,
            is_timed: true,
            has_written_time: true,
            stream: line.stream.number(),
            text: line.message,
            length,
            files: &files,
            lines: 1,
        };
        let slot = self.slot(line.stream);
        match slot {
            Some(group) => group.add(b"", &piece, bytes_max),
            None => {
                let text = line.message.get(..bytes_max).unwrap_or(line.message);
                *slot = Some(Group::of(&Piece { text, ..piece }, None));
            }
        }
        if line.partial { None } else { slot.take() }
    }

    /// Takes the open records as they are: nobody will end them.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Group> {
        [self.stdout.take(), self.stderr.take()].into_iter().flatten()
    }

    /// Bytes of text held.
    pub(crate) fn held(&self) -> usize {
        let held = |group: &Option<Group>| group.as_ref().map_or(0, |group| group.text.len());
        held(&self.stdout) + held(&self.stderr)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }

    /// Per stream, where in `file` the pieces of an open record begin.
    pub(crate) fn open_in(&self, file: usize) -> [Option<u64>; 3] {
        let begin = |group: &Option<Group>| group.as_ref()?.begins_in(file);
        [None, begin(&self.stdout), begin(&self.stderr)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stream: Stream, partial: bool, message: &str) -> Line<'_> {
        Line {
            time: Timestamp(message.len() as i64),
            nanos: 0,
            stream,
            partial,
            message: message.as_bytes(),
        }
    }

    #[test]
    fn streams_are_joined_apart_and_over_files() {
        use Stream::{Stderr, Stdout};
        let mut join = Join::default();
        assert!(join.add(&line(Stdout, true, "a"), 1, 7, 10, 99).is_none());
        assert!(!join.wants(&line(Stderr, false, "x")));
        assert!(join.add(&line(Stdout, true, "b"), 1, 8, 0, 99).is_none());
        assert!(join.add(&line(Stdout, true, "c"), 1, 8, 50, 99).is_none());
        assert_eq!(join.open_in(7), [None, Some(10), None]);
        assert_eq!(join.open_in(8), [None, Some(0), None]);
        let group = join.add(&line(Stdout, false, "dd"), 2, 8, 90, 99).unwrap();
        assert_eq!((group.text.as_slice(), group.length), (&b"abcdd"[..], 5));
        assert_eq!((group.time, group.files[0]), (Timestamp(1), (7, 10)));
        assert!(!join.is_open());
    }

    #[test]
    fn a_long_record_holds_its_beginning_only() {
        let mut join = Join::default();
        for nth in 0..1000 {
            join.add(&line(Stream::Stdout, true, "0123456789"), 10, 0, nth, 25);
        }
        let group = join.take().next().unwrap();
        assert_eq!(
            (group.text.as_slice(), group.length),
            (&b"0123456789012345678901234"[..], 10_000)
        );
    }
}

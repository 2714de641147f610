//! Joins the partial lines of container runtimes into records, per stream, over as many files as they span.
//!
//! While a record is open the watermark of its stream stays at its first piece, in the file that piece is in, so a
//! restart reads the pieces again and joins them alike.

use model::Timestamp;

use crate::cri::{Line, Stream};

/// Open records of one container.
#[derive(Default)]
pub(crate) struct Join {
    stdout: Option<Group>,
    stderr: Option<Group>,
}

/// A record whose end has not come yet.
pub(crate) struct Group {
    pub(crate) time: Timestamp,
    pub(crate) nanos: u32,
    pub(crate) stream: Stream,
    pub(crate) text: Vec<u8>,
    /// All of it, more than `text` holds when it is too long.
    pub(crate) length: u64,
    /// Where each file's first piece begins; the first entry is where the record begins.
    pub(crate) files: Vec<(usize, u64)>,
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
        let slot = self.slot(line.stream);
        let group = slot.get_or_insert_with(|| Group {
            time: line.time,
            nanos: line.nanos,
            stream: line.stream,
            text: Vec::new(),
            length: 0,
            files: Vec::new(),
        });
        if group.files.iter().all(|(known, _)| *known != file) {
            group.files.push((file, offset));
        }
        let room = bytes_max.saturating_sub(group.text.len());
        let kept = line.message.get(..room).unwrap_or(line.message);
        // What was cut before stays cut: pieces behind a hole would read as if they belonged there.
        if group.length == group.text.len() as u64 {
            group.text.extend_from_slice(kept);
        }
        group.length += length;
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
        let begin = |group: &Option<Group>| {
            let files = &group.as_ref()?.files;
            files
                .iter()
                .find(|(known, _)| *known == file)
                .map(|(_, offset)| *offset)
        };
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

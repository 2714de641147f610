//! The lines of container runtimes: `2016-10-06T00:17:09.669794202Z stdout P message`.
//!
//! By hand and without a copy; a line that is not of this form is text like any other.

use model::Timestamp;

use crate::time::Recent;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// As records and marks number it; 0 is for lines of neither.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time: Timestamp,
    /// Of the time, below its millisecond.
    pub(crate) nanos: u32,
    pub(crate) stream: Stream,
    /// Whether the message goes on in the stream's next line.
    pub(crate) partial: bool,
    pub(crate) message: &'a [u8],
}

pub(crate) fn parse<'a>(line: &'a [u8], recent: &mut Recent) -> Option<Line<'a>> {
    let (time, nanos, used) = recent.read(line)?;
    let rest = line.get(used..)?;
    let (stream, rest) = if let Some(rest) = rest.strip_prefix(b" stdout ") {
        (Stream::Stdout, rest)
    } else {
        (Stream::Stderr, rest.strip_prefix(b" stderr ")?)
    };
    // Tags are joined by colons, and the first says whether the line is whole.
    let partial = match rest.first()? {
        b'F' => false,
        b'P' => true,
        _ => return None,
    };
    let message = match rest.get(1) {
        None => &[],
        Some(b' ') => rest.get(2..)?,
        Some(b':') => rest.get(memchr::memchr(b' ', rest)? + 1..)?,
        Some(_) => return None,
    };
    Some(Line {
        time,
        nanos,
        stream,
        partial,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[u8]) -> Option<Line<'_>> {
        super::parse(line, &mut Recent::default())
    }

    #[test]
    fn stream_tag_and_message_are_told_apart() {
        let line = parse(b"2016-10-06T00:17:09.669794202Z stderr P log content 2").unwrap();
        assert_eq!(line.time.0, 1_475_713_029_669);
        assert_eq!((line.stream, line.partial), (Stream::Stderr, true));
        assert_eq!(line.message, b"log content 2");
    }

    #[test]
    fn messages_may_be_empty_tagged_or_begin_with_blanks() {
        let message = |line: &'static str| parse(line.as_bytes()).map(|line| line.message);
        assert_eq!(message("2016-10-06T00:17:09Z stdout F"), Some(&b""[..]));
        assert_eq!(message("2016-10-06T00:17:09Z stdout F "), Some(&b""[..]));
        assert_eq!(
            message("2016-10-06T00:17:09+02:00 stdout F:x:y  z"),
            Some(&b" z"[..])
        );
    }

    #[test]
    fn other_lines_are_not_taken_for_it() {
        for line in [
            "",
            "plain",
            "2016-10-06T00:17:09Z",
            "2016-10-06T00:17:09Z stdin F x",
            "2016-10-06T00:17:09Z stdout X x",
            "2016-10-06T00:17:09Z stdout Full x",
            "2016-10-06 stdout F x",
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}

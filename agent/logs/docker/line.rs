//! The lines of Docker's `json-file` driver: `{"log":"message\n","stream":"stdout","time":"2016-10-06T00:17:09.66Z"}`.
//!
//! By hand and, where nothing in the message is escaped but its end, without a copy. Whatever stands in another order is
//! left to a parser that knows all of JSON.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memrchr};
use serde::Deserialize;

use crate::cri::{Line, Stream};
use crate::time;

/// A line in whatever order.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// `text` is memory for a message that does not stand in the line as it is.
///
/// A message without a line feed at its end goes on in the stream's next line.
pub(crate) fn parse<'a>(line: &'a [u8], text: &'a mut Vec<u8>) -> Option<Line<'a>> {
    text.clear();
    match parts(line) {
        Some((log, stream, time)) => {
            let Some(first) = memchr(b'\\', log) else {
                return finish(log, stream, time);
            };
            if first + 2 == log.len() && log.ends_with(b"n") {
                return whole(log.get(..first)?, stream, time);
            }
            unescape(log, text)?;
            finish(text, stream, time)
        }
        None => {
            let entry: Entry<'_> = serde_json::from_slice(line).ok()?;
            text.extend_from_slice(entry.log.as_bytes());
            finish(text, entry.stream.as_bytes(), entry.time.as_bytes())
        }
    }
}

fn finish<'a>(log: &'a [u8], stream: &[u8], time: &[u8]) -> Option<Line<'a>> {
    if let Some(message) = log.strip_suffix(b"\n") {
        return whole(message, stream, time);
    }
    whole(log, stream, time).map(|line| Line {
        partial: true,
        message: log,
        ..line
    })
}

fn whole<'a>(message: &'a [u8], stream: &[u8], written: &[u8]) -> Option<Line<'a>> {
    let (time, used) = time::rfc3339(written)?;
    if used != written.len() {
        return None;
    }
    Some(Line {
        time,
        nanos: time::below_millis(written),
        stream: match stream {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        },
        partial: false,
        // A terminal ends its lines with both.
        message: message.strip_suffix(b"\r").unwrap_or(message),
    })
}

/// Message (escaped), stream and time of a line as Docker writes it, with or without `attrs`.
fn parts(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let rest = line.strip_prefix(b"{\"log\":\"")?;
    let end = string_end(rest)?;
    let (log, rest) = (rest.get(..end)?, rest.get(end + 1..)?);
    let rest = rest.strip_prefix(b",\"stream\":\"")?;
    let end = memchr(b'"', rest)?;
    let (stream, rest) = (rest.get(..end)?, rest.get(end + 1..)?);
    let rest = rest.strip_suffix(b"\"}")?;
    let start = memrchr(b'"', rest)? + 1;
    let (between, time) = (rest.get(..start)?, rest.get(start..)?);
    let between = between.strip_suffix(b",\"time\":\"")?;
    let is_plain = between.is_empty() || (between.starts_with(b",\"attrs\":{") && between.ends_with(b"}"));
    is_plain.then_some((log, stream, time))
}

/// Where the string that `rest` begins with ends.
fn string_end(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', rest.get(at..)?)?;
        if rest.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

fn unescape(mut raw: &[u8], text: &mut Vec<u8>) -> Option<()> {
    while let Some(at) = memchr(b'\\', raw) {
        text.extend_from_slice(raw.get(..at)?);
        let letter = *raw.get(at + 1)?;
        raw = raw.get(at + 2..)?;
        text.push(match letter {
            b'"' | b'\\' | b'/' => letter,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                raw = letter_of(raw, text)?;
                continue;
            }
            _ => return None,
        });
    }
    text.extend_from_slice(raw);
    Some(())
}

/// Appends the letter whose number `raw` begins with, behind `\u`; returns what is behind it.
fn letter_of<'a>(raw: &'a [u8], text: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (mut number, mut rest) = unit(raw)?;
    if (0xd800..0xdc00).contains(&number) {
        let (low, behind) = unit(rest.strip_prefix(b"\\u")?)?;
        number = 0x10000 + ((number - 0xd800) << 10) + low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        rest = behind;
    }
    let letter = char::from_u32(number)?;
    text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    Some(rest)
}

fn unit(raw: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = raw.split_at_checked(4)?;
    let mut number = 0;
    for digit in digits {
        number = number * 16 + char::from(*digit).to_digit(16)?;
    }
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(line: &str) -> Option<(Vec<u8>, Stream, bool)> {
        let mut text = Vec::new();
        parse(line.as_bytes(), &mut text).map(|line| (line.message.to_vec(), line.stream, line.partial))
    }

    #[test]
    fn a_line_of_docker_has_time_stream_and_message() {
        let mut text = Vec::new();
        let line = br#"{"log":"GET / 200\n","stream":"stderr","time":"2016-10-06T00:17:09.669794202Z"}"#;
        let line = parse(line, &mut text).unwrap();
        assert_eq!((line.time, line.nanos), (Timestamp(1_475_713_029_669), 794_202));
        assert_eq!((line.stream, line.partial), (Stream::Stderr, false));
        assert_eq!(line.message, b"GET / 200");
    }

    #[test]
    fn what_is_escaped_is_read_and_the_end_of_a_terminals_line_goes() {
        let line = r#"{"log":"\u001b[31m\u003ca\u003e \"q\" \\ \ud83d\ude00\t\r\n","stream":"stdout","attrs":{"tag":"a\"}"},"time":"2016-10-06T00:17:09Z"}"#;
        let (message, ..) = read(line).unwrap();
        assert_eq!(
            String::from_utf8(message).unwrap(),
            "\u{1b}[31m<a> \"q\" \\ \u{1f600}\t"
        );
    }

    #[test]
    fn a_message_without_a_line_feed_goes_on() {
        for (log, partial) in [
            ("abc", true),
            ("abc\\n", false),
            ("", true),
            ("\\n", false),
            ("a\\\\n", true),
        ] {
            let line = format!(r#"{{"log":"{log}","stream":"stdout","time":"2016-10-06T00:17:09Z"}}"#);
            assert_eq!(read(&line).unwrap().2, partial, "{log}");
        }
    }

    #[test]
    fn other_objects_are_not_taken_for_it() {
        for line in [
            "",
            "{}",
            r#"{"log":"a\n"}"#,
            r#"{"log":"a\n","stream":"stdout","time":"yesterday"}"#,
            r#"{"log":"a\n","stream":"stdin","time":"2016-10-06T00:17:09Z"}"#,
            r#"{"log":"a\n","stream":"stdout","time":"2016-10-06T00:17:09Z"} x"#,
            r#"{"log":"a\x","stream":"stdout","time":"2016-10-06T00:17:09Z"}"#,
            r#"{"log":"a\ud800","stream":"stdout","time":"2016-10-06T00:17:09Z"}"#,
            r#"{"log":"a\n","stream":"stdout","time":"2016-10-06T00:17:09Z""#,
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    /// Text with many of the letters that matter.
    fn texts() -> impl Strategy<Value = String> {
        let letter = prop_oneof![
            4 => any::<char>(),
            4 => prop::sample::select(vec!['"', '\\', '\n', '\r', 'n', 'u', '{', '}', ',', 'a', '\u{0}', '\u{1f600}']),
        ];
        prop::collection::vec(letter, 0..40).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn every_line_says_what_a_parser_of_json_says(
            log in texts(), tag in texts(), has_tag: bool, is_ascii: bool, is_other_order: bool,
        ) {
            let (stream, time) = ("stdout", "2016-10-06T00:17:09.5Z");
            let mut log_json = json!(log).to_string();
            if is_ascii {
                // As clients do that write letters by their number.
                log_json = log_json.chars().map(|letter| if letter.is_ascii() { letter.to_string() } else {
                    letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect()
                }).collect();
            }
            let attrs = if has_tag { format!(",\"attrs\":{}", json!({ "tag": tag })) } else { String::new() };
            let line = if is_other_order {
                format!(r#"{{"time":"{time}"{attrs}, "stream":"{stream}","log":{log_json}}}"#)
            } else {
                format!(r#"{{"log":{log_json},"stream":"{stream}"{attrs},"time":"{time}"}}"#)
            };
            prop_assert!(is_other_order || parts(line.as_bytes()).is_some());
            let whole = log.strip_suffix('\n');
            let want = whole.map_or(log.as_str(), |log| log.strip_suffix('\r').unwrap_or(log));
            prop_assert_eq!(read(&line), Some((want.as_bytes().to_vec(), Stream::Stdout, whole.is_none())));
        }

        #[test]
        fn what_a_parser_of_json_takes_is_never_read_in_another_way(
            mut line in prop::sample::select(vec![
                r#"{"log":"a\u00e9\n","stream":"stdout","attrs":{"a":"b"},"time":"2016-10-06T00:17:09.5Z"}"#,
                r#"{"log":"some text\n","stream":"stderr","time":"2016-10-06T00:17:09.5Z"}"#,
            ]).prop_map(|line| line.as_bytes().to_vec()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"\"\\{},:nu0".to_vec())), 1..3),
        ) {
            for (at, byte) in changes {
                let at = at.index(line.len());
                line[at] = byte;
            }
            let oracle = serde_json::from_slice::<Entry<'_>>(&line).ok().and_then(|entry| {
                finish(entry.log.as_bytes(), entry.stream.as_bytes(), entry.time.as_bytes())
                    .map(|line| (line.message.to_vec(), line.stream, line.partial, line.time))
            });
            let mut text = Vec::new();
            let ours = parse(&line, &mut text).map(|line| (line.message.to_vec(), line.stream, line.partial, line.time));
            if oracle.is_some() {
                prop_assert_eq!(ours, oracle);
            }
        }
    }
}

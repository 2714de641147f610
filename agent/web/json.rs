//! Writes large answers piece by piece, so that a result of a million samples is never text all at once.

use std::fmt::Write;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use model::text::float;
use model::{Labels, Timestamp};

/// Text is handed to the connection in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// `head`, the items with commas between them, `tail`. An answer of one piece carries its length.
pub(crate) fn list<T: Send + 'static>(
    head: String,
    items: Vec<T>,
    write: impl Fn(&mut String, &T) + Send + 'static,
    tail: String,
) -> Body {
    let mut pieces = Pieces {
        text: head,
        items: items.into_iter(),
        comma: false,
        write,
        tail: Some(tail),
    };
    let Some(first) = pieces.next() else {
        return Body::empty();
    };
    if pieces.tail.is_none() {
        return Body::from(first);
    }
    let all = std::iter::once(first).chain(pieces);
    Body::from_stream(stream::iter(all.map(Ok::<Bytes, std::convert::Infallible>)))
}

struct Pieces<T, W> {
    text: String,
    items: std::vec::IntoIter<T>,
    comma: bool,
    write: W,
    /// Taken with the last piece.
    tail: Option<String>,
}

impl<T, W: Fn(&mut String, &T)> Iterator for Pieces<T, W> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.tail.as_ref()?;
        let mut text = std::mem::take(&mut self.text);
        while text.len() < PIECE_BYTES {
            let Some(item) = self.items.next() else {
                text.push_str(&self.tail.take().unwrap_or_default());
                break;
            };
            if self.comma {
                text.push(',');
            }
            self.comma = true;
            (self.write)(&mut text, &item);
        }
        Some(Bytes::from(text))
    }
}

pub(crate) fn string(text: &mut String, value: &str) {
    text.push('"');
    let mut plain_from = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        text.push_str(value.get(plain_from..at).unwrap_or_default());
        if escape.is_empty() {
            // Writing to a string cannot fail.
            _ = write!(text, "\\u{byte:04x}");
        } else {
            text.push_str(escape);
        }
        plain_from = at + 1;
    }
    text.push_str(value.get(plain_from..).unwrap_or_default());
    text.push('"');
}

pub(crate) fn labels(text: &mut String, labels: &Labels) {
    text.push('{');
    for (nth, (name, value)) in labels.iter().enumerate() {
        if nth > 0 {
            text.push(',');
        }
        string(text, name);
        text.push(':');
        string(text, value);
    }
    text.push('}');
}

/// `[1435781430.781,"1"]`
pub(crate) fn point(text: &mut String, at: Timestamp, value: f64) {
    text.push('[');
    time(text, at);
    // Writing to a string cannot fail.
    _ = write!(text, ",\"{}\"]", float::api(value));
}

/// In seconds, whole or with three digits, as Prometheus prints the times of samples.
pub(crate) fn time(text: &mut String, time: Timestamp) {
    let magnitude = time.millis().unsigned_abs();
    let sign = if time.millis() < 0 { "-" } else { "" };
    let (seconds, millis) = (magnitude / 1000, magnitude % 1000);
    // Writing to a string cannot fail.
    _ = write!(text, "{sign}{seconds}");
    if millis > 0 {
        _ = write!(text, ".{millis:03}");
    }
}

/// A time as scalars and strings carry it: shortest digits.
pub(crate) fn seconds(text: &mut String, time: Timestamp) {
    // Writing to a string cannot fail.
    _ = write!(text, "{}", time.seconds());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut String)) -> String {
        let mut text = String::new();
        write(&mut text);
        text
    }

    #[test]
    fn strings_read_back() {
        for value in [
            "",
            "plain",
            "\"q\" \\ \n\r\t\u{1}\u{1f}",
            "grüß €",
            "\n",
            "a\u{2028}",
        ] {
            let text = written(|text| string(text, value));
            assert_eq!(serde_json::from_str::<String>(&text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn times_are_printed_as_prometheus_does() {
        for (millis, text) in [
            (1_435_781_430_781, r#"[1435781430.781,"1"]"#),
            (2_500, r#"[2.500,"1"]"#),
            (1_000, r#"[1,"1"]"#),
            (0, r#"[0,"1"]"#),
            (-250, r#"[-0.250,"1"]"#),
        ] {
            assert_eq!(written(|out| point(out, Timestamp(millis), 1.0)), text);
        }
        assert_eq!(
            written(|out| seconds(out, Timestamp(1_795_661_540_910))),
            "1795661540.91"
        );
        assert_eq!(written(|out| seconds(out, Timestamp(-1_000))), "-1");
    }

    #[test]
    fn pieces_join_to_the_whole() {
        let items: Vec<u32> = (0..50_000).collect();
        let pieces = Pieces {
            text: "[".to_owned(),
            items: items.clone().into_iter(),
            comma: false,
            write: |text: &mut String, item: &u32| text.push_str(&item.to_string()),
            tail: Some("]".to_owned()),
        };
        let pieces: Vec<Bytes> = pieces.collect();
        assert!(pieces.len() > 3, "{}", pieces.len());
        assert_eq!(
            serde_json::from_slice::<Vec<u32>>(&pieces.concat()).unwrap(),
            items
        );
    }
}

//! A batch as lines: JSON documents, or text for people.

use std::io::Write;

use super::config::Format;
use crate::batch::{Batch, level_of};
use crate::sink::document::{Documents, Style};

/// All records of a batch, a line feed behind each.
pub(super) fn lines(batch: &Batch, format: Format, style: Style<'_>) -> Vec<u8> {
    let mut lines = Vec::with_capacity(2 * batch.text.len());
    match format {
        Format::Json => {
            let mut documents = Documents::new(batch, style);
            for nth in 0..batch.rows.len() {
                lines.extend_from_slice(&documents.document(nth));
                lines.push(b'\n');
            }
        }
        Format::Text => {
            for nth in 0..batch.rows.len() {
                text(&mut lines, batch, nth);
            }
        }
    }
    lines
}

fn text(lines: &mut Vec<u8>, batch: &Batch, nth: usize) {
    let Some((row, text)) = batch.record(nth) else {
        return;
    };
    let mark = batch.marks.get(usize::from(row.file));
    let source = mark.map_or("", |mark| match &mark.facts {
        Some(facts) => &facts.source,
        None => &mark.source,
    });
    let time = jiff::Timestamp::from_millisecond(row.time.0).unwrap_or_default();
    // Writing to memory cannot fail.
    _ = write!(lines, "{time:.3} {:<5} {source}: ", level_of(row.level).word());
    for letter in String::from_utf8_lossy(text).chars() {
        match letter {
            '\n' => lines.extend_from_slice(b"\n  "),
            '\t' => lines.push(b'\t'),
            // A terminal would do what it says.
            letter if letter.is_control() => lines.extend_from_slice("\u{fffd}".as_bytes()),
            letter => lines.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;
    use crate::batch::{Row, level_code};
    use crate::mark::Form;
    use crate::sink::document::tests::one;

    const STYLE: Style<'_> = Style {
        says_id: true,
        reads_fields: true,
        says_place: true,
        host: "node-1",
    };

    #[test]
    fn a_line_is_a_document_or_text_that_harms_no_terminal() {
        let row = Row {
            time: Timestamp(1_795_780_800_123),
            level: level_code(model::Level::Error),
            ..Row::default()
        };
        let batch = one(
            "no \u{1b}[31mroom\nat all".as_bytes(),
            row,
            "/var/log/a.log",
            Form::Plain,
        );
        let text = String::from_utf8(lines(&batch, Format::Text, STYLE)).unwrap();
        assert!(text.starts_with("2026-11-27T12:00:00.123Z ERROR "), "{text}");
        assert!(text.ends_with(": no \u{fffd}[31mroom\n  at all\n"), "{text}");
        let json = lines(&batch, Format::Json, STYLE);
        let document: serde_json::Value = serde_json::from_slice(json.strip_suffix(b"\n").unwrap()).unwrap();
        assert_eq!(document["level"], "error");
        assert!(document["event"]["id"].is_string());
    }
}

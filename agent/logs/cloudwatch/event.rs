//! A record as an event: its document as the message, cut where AWS takes no more.

use super::cut::MESSAGE_BYTES_MAX;
use crate::batch::{Batch, Row};
use crate::sink::document::{Documents, Dress, Style};
use crate::sink::escape::fitting;

/// Writes the events of one batch.
pub(crate) struct Events<'a>(Documents<'a>);

impl<'a> Events<'a> {
    pub(crate) fn new(batch: &'a Batch, style: Style<'a>) -> Self {
        Self(Documents::new(batch, style))
    }

    /// Writes the message of a record in place of what `message` held. True when it is cut.
    pub(crate) fn write(&mut self, message: &mut Vec<u8>, nth: usize) -> bool {
        message.clear();
        let Some((row, text)) = self.0.batch().record(nth) else {
            return false;
        };
        let id = self.0.id(&row);
        self.0.write(message, &row, text, Dress::Full, &id);
        if message.len() <= MESSAGE_BYTES_MAX {
            return false;
        }
        let marker = format!("… [cut, the line has {} bytes]", text.len());
        message.clear();
        self.0.write(message, &row, marker.as_bytes(), Dress::Full, &id);
        let room = MESSAGE_BYTES_MAX.saturating_sub(message.len());
        let mut front = text.get(..fitting(text, room)).unwrap_or_default().to_vec();
        front.extend_from_slice(marker.as_bytes());
        message.clear();
        // With the marker at its end it is no JSON object any more, and so it is written as text.
        self.0.write(message, &row, &front, Dress::Full, &id);
        true
    }

    /// When a record was written, in milliseconds; nothing is older than 1970 to AWS.
    pub(crate) fn time(row: &Row) -> i64 {
        row.time.0.max(0)
    }

    pub(crate) fn id(&self, row: &Row) -> String {
        self.0.id(row).text().into_owned()
    }

    /// The whole document, however long.
    pub(crate) fn document(&mut self, nth: usize) -> Vec<u8> {
        self.0.document(nth)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::mark::Form;
    use crate::sink::document::tests::one;

    const STYLE: Style<'_> = Style {
        says_id: true,
        reads_fields: true,
        says_place: true,
        host: "node-1",
    };

    #[test]
    fn a_message_is_as_long_as_aws_takes_it_and_says_what_is_missing() {
        for text in [
            "x".repeat(1 << 20),
            "σ".repeat(600_000),
            "\"".repeat(600_000),
            "\u{1}".repeat(200_000),
            format!("{{\"msg\":\"{}\",\"level\":\"warn\"}}", "y".repeat(1 << 20)),
        ] {
            let batch = one(text.as_bytes(), Row::default(), "/a", Form::Plain);
            let (mut events, mut message) = (Events::new(&batch, STYLE), Vec::new());
            assert!(events.write(&mut message, 0));
            assert!(
                message.len() <= MESSAGE_BYTES_MAX && message.len() > MESSAGE_BYTES_MAX - 8,
                "{}",
                message.len()
            );
            let document: Value = serde_json::from_slice(&message).unwrap();
            let said = document["message"].as_str().unwrap();
            let (front, marker) = said.rsplit_once('…').unwrap();
            assert!(text.starts_with(front));
            assert_eq!(marker, format!(" [cut, the line has {} bytes]", text.len()));
            assert!(document["event"]["id"].is_string() && document["host"]["name"] == "node-1");
        }
    }

    #[test]
    fn a_message_that_fits_is_whole() {
        let overhead = {
            let batch = one(b"", Row::default(), "/a", Form::Plain);
            let mut message = Vec::new();
            Events::new(&batch, STYLE).write(&mut message, 0);
            message.len()
        };
        let text = "x".repeat(MESSAGE_BYTES_MAX - overhead);
        let batch = one(text.as_bytes(), Row::default(), "/a", Form::Plain);
        let mut message = Vec::new();
        assert!(!Events::new(&batch, STYLE).write(&mut message, 0));
        assert_eq!(message.len(), MESSAGE_BYTES_MAX);
    }
}

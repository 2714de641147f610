//! A record as a line of a spool file: JSON, so that a person can read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::batch::level_code;
use crate::mark::Facts;
use model::Level;

/// A record that an input has been given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Since 1970.
    pub(crate) nanos: i64,
    pub(crate) facts: Arc<Facts>,
    /// 1 is stdout, 2 is stderr, 0 is neither.
    pub(crate) stream: u8,
    /// Where its source says one; otherwise its text is asked.
    pub(crate) level: Option<Level>,
    /// The id that its source has given it; none when it has none that stays the same when it is read again.
    pub(crate) id: Option<String>,
    /// A JSON object when it has more than a text.
    pub(crate) text: Vec<u8>,
    /// Of the whole text, when `text` may be its front.
    pub(crate) bytes: Option<u64>,
    /// Where its input goes on behind it: in the same line, so that both are on the disk or neither is.
    pub(crate) place: Option<Place>,
}

/// How far an input has come with what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its name.
    pub(crate) input: &'static str,
    /// In its own words.
    pub(crate) at: String,
}

#[derive(Serialize)]
struct Written<'a> {
    time: i64,
    from: &'a Facts,
    #[serde(skip_serializing_if = "is_zero")]
    stream: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<(&'a str, &'a str)>,
    /// Of the whole text, when this is only its front.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    text: Cow<'a, str>,
}

/// A line as read.
#[derive(Deserialize)]
pub(crate) struct Line<'a> {
    pub(crate) time: i64,
    #[serde(borrow)]
    pub(crate) from: &'a RawValue,
    #[serde(default)]
    pub(crate) stream: u8,
    #[serde(default)]
    pub(crate) level: Option<u8>,
    #[serde(default, borrow)]
    pub(crate) id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) bytes: Option<u64>,
    #[serde(borrow)]
    pub(crate) text: Cow<'a, str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl Record {
    /// Appends the line, its line feed included. Bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn write(&self, lines: &mut Vec<u8>, text_bytes_max: usize) {
        let whole = self.bytes.unwrap_or(0).max(self.text.len() as u64);
        let front = self.text.get(..text_bytes_max).unwrap_or(&self.text);
        let written = Written {
            time: self.nanos,
            from: &self.facts,
            stream: self.stream,
            level: self.level.map(level_code),
            id: self.id.as_deref(),
            place: self.place.as_ref().map(|place| (place.input, place.at.as_str())),
            bytes: (whole > front.len() as u64).then_some(whole),
            text: String::from_utf8_lossy(front),
        };
        // Numbers and strings into memory: this cannot fail.
        _ = serde_json::to_writer(&mut *lines, &written);
        lines.push(b'\n');
    }
}

impl<'a> Line<'a> {
    /// None when this is no line of a spool.
    pub(crate) fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// The place that a line holds.
#[derive(Deserialize)]
struct Placed {
    place: (String, String),
}

/// Input and place of a line that holds one.
pub(super) fn place(line: &[u8]) -> Option<(String, String)> {
    // Most lines have none, and need not be read for that.
    memchr::memmem::find(line, b"\"place\":[")?;
    let Placed { place } = serde_json::from_slice(line).ok()?;
    Some(place)
}

/// Facts as they stand in a line.
pub(crate) fn facts(raw: &str) -> Option<Facts> {
    serde_json::from_str(raw).ok()
}

impl Facts {
    /// What its input has said under a name.
    pub(crate) fn said(&self, name: &str) -> Option<&str> {
        self.more.get(name).map(String::as_str)
    }

    pub(crate) fn new(source: &str, more: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let more = more.into_iter().filter(|(_, value)| !value.is_empty());
        Self {
            source: source.into(),
            more: more
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}

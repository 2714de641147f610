//! A record as a line of a spool file: JSON, so that a person can read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::mark::Facts;

/// A record that an input has been given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Since 1970.
    pub(crate) nanos: i64,
    pub(crate) facts: Arc<Facts>,
    /// 1 is stdout, 2 is stderr, 0 is neither.
    pub(crate) stream: u8,
    /// The id that its source has given it; none when it has none that stays the same when it is read again.
    pub(crate) id: Option<String>,
    /// A JSON object when it has more than a text.
    pub(crate) text: Vec<u8>,
}

#[derive(Serialize)]
struct Written<'a> {
    time: i64,
    from: &'a Facts,
    #[serde(skip_serializing_if = "is_zero")]
    stream: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
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
        let front = self.text.get(..text_bytes_max);
        let written = Written {
            time: self.nanos,
            from: &self.facts,
            stream: self.stream,
            id: self.id.as_deref(),
            bytes: front.map(|_| self.text.len() as u64),
            text: String::from_utf8_lossy(front.unwrap_or(&self.text)),
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

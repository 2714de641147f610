//! Lines that are JSON objects: their message, and the rest of their fields as they are written.
//!
//! Nothing is read that is not needed: values stay the bytes that they were.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Names under which loggers write what people read, the first that is there.
const MESSAGE: [&str; 3] = ["message", "msg", "log"];

/// Deeper objects are text: a `flat_object` of some hundreds of levels ends the thread of OpenSearch that reads it, and the
/// whole request is never answered.
const DEPTH_MAX: usize = 32;

/// How lines that are JSON objects with a message are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Json {
    /// The message as such, and the rest under `fields`.
    #[default]
    Fields,
    /// The line as it is.
    Text,
}

pub(crate) struct Object<'a> {
    pub(crate) message: Cow<'a, str>,
    /// All others, in their order.
    pub(crate) fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// The line as an object with a message; everything else is text.
pub(crate) fn object(text: &[u8]) -> Option<Object<'_>> {
    let text = text.trim_ascii();
    if text.first() != Some(&b'{') || text.last() != Some(&b'}') {
        return None;
    }
    if depth(text) > DEPTH_MAX {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut fields = reader.deserialize_map(Fields).ok()?;
    reader.end().ok()?;
    let at = MESSAGE
        .iter()
        .find_map(|name| fields.iter().position(|(key, _)| key == name))?;
    let (_, message) = fields.remove(at);
    let message = words(message.get())?;
    Some(Object { message, fields })
}

/// How many brackets are open at most, those in strings left out.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut most, mut at) = (0usize, 0, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                most = most.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at += string_bytes(text.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
        at += 1;
    }
    most
}

/// Up to the quote that ends a string, that one included.
fn string_bytes(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += found + 1;
        if text.get(at - 1) == Some(&b'"') {
            return at;
        }
        // Whatever stands behind a backslash ends nothing.
        at += 1;
    }
    text.len()
}

/// A JSON string's content, borrowed where nothing in it is escaped.
fn words(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

struct Fields;

impl<'a> Visitor<'a> for Fields {
    type Value = Vec<(Cow<'a, str>, &'a RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            fields.push((key, map.next_value()?));
        }
        Ok(fields)
    }
}

/// A key, borrowed where it can be.
struct Key;

impl<'a> serde::de::DeserializeSeed<'a> for Key {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'a str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_is_its_message_and_its_fields() {
        let line = br#" {"ts":1,"msg":"a \"b\"","k":{"x":[1,2]},"log":"no"} "#;
        let object = object(line).unwrap();
        assert_eq!(object.message, "a \"b\"");
        let fields: Vec<(&str, &str)> = object
            .fields
            .iter()
            .map(|(key, value)| (&**key, value.get()))
            .collect();
        assert_eq!(fields, [("ts", "1"), ("k", r#"{"x":[1,2]}"#), ("log", "\"no\"")]);
    }

    #[test]
    fn an_object_that_is_too_deep_is_text() {
        let line = |levels: usize| {
            format!(
                "{{\"msg\":\"a {{{{[ \\\" [[\",\"x\":{}1{}}}",
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        assert!(object(line(DEPTH_MAX - 1).as_bytes()).is_some());
        assert!(object(line(DEPTH_MAX).as_bytes()).is_none());
        assert!(object(line(10_000).as_bytes()).is_none());
    }

    #[test]
    fn whatever_is_no_object_with_a_message_is_text() {
        for line in [
            "{}",
            r#"{"a":1}"#,
            r#"{"msg":5}"#,
            r#"{"msg":"a"} x"#,
            r#"{"msg":"a""#,
            r#"{"msg":"a",}"#,
            r#"["msg"]"#,
            "{ not json }",
            "text",
            "",
        ] {
            assert!(object(line.as_bytes()).is_none(), "{line}");
        }
        assert!(object(b"{\"msg\":\"\xff\"}").is_none());
    }
}

//! Lines that are JSON objects: their message, and the rest of their fields as they are written.
//!
//! Nothing is read that is not needed: one look at every byte says whether the line is JSON, and where its message
//! stands; what is passed on are the bytes that they were.

use serde::Deserialize;

use wide::u8x16;

use super::escape::specials;
use crate::lanes::{self, LANES};

/// Names under which loggers write what people read, the first that is there.
const MESSAGE: [&[u8]; 3] = [b"message", b"msg", b"log"];

/// Deeper objects are text: a `flat_object` of some hundreds of levels ends the thread of OpenSearch that reads it, and the
/// whole request is never answered.
const DEPTH_MAX: u32 = 32;

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

/// Parts of a line, as they stand there.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    /// Inside of a JSON string.
    pub(crate) message: &'a [u8],
    /// Members in front of it and behind it, with commas between them but not around.
    pub(crate) fields: [&'a [u8]; 2],
}

/// The line as an object with a message; everything else is text.
pub(crate) fn object(text: &[u8]) -> Option<Object<'_>> {
    let text = text.trim_ascii();
    if text.first() != Some(&b'{') || text.last() != Some(&b'}') {
        return None;
    }
    std::str::from_utf8(text).ok()?;
    let mut scanner = Scanner { text, at: 1 };
    let mut found: [Option<Member>; 3] = [None; 3];
    scanner.members(&mut found)?;
    if scanner.at != text.len() {
        return None;
    }
    let member = found.into_iter().flatten().next()?;
    let value = text.get(member.value..member.end)?;
    let message = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let before = text.get(1..member.start)?.trim_ascii();
    let behind = text.get(member.end..text.len() - 1)?.trim_ascii();
    Some(Object {
        message,
        fields: [
            before.strip_suffix(b",").unwrap_or(before).trim_ascii_end(),
            behind.strip_prefix(b",").unwrap_or(behind).trim_ascii_start(),
        ],
    })
}

/// Where a member of the object begins, where its value does, and where that ends.
#[derive(Clone, Copy)]
struct Member {
    start: usize,
    value: usize,
    end: usize,
}

/// Goes over JSON as RFC 8259 has it; `None` where it is none. A line feed between tokens is not taken either: it would
/// end the document.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Of the outer object, behind its bracket: up to and with the other one.
    fn members(&mut self, found: &mut [Option<Member>; 3]) -> Option<()> {
        self.space();
        if self.take(b'}') {
            return Some(());
        }
        loop {
            let start = self.at;
            let key = self.key()?;
            let name = self.text.get(key.0..key.1)?;
            let value = self.at;
            self.value()?;
            let place = MESSAGE
                .iter()
                .zip(found.iter_mut())
                .find(|(known, _)| **known == name);
            if let Some((_, place @ None)) = place {
                *place = Some(Member {
                    start,
                    value,
                    end: self.at,
                });
            }
            self.space();
            if self.take(b'}') {
                return Some(());
            }
            self.need(b',')?;
            self.space();
        }
    }

    /// A key, and what stands between it and its value.
    fn key(&mut self) -> Option<(usize, usize)> {
        self.need(b'"')?;
        let start = self.at;
        self.string()?;
        let end = self.at - 1;
        self.space();
        self.need(b':')?;
        self.space();
        Some((start, end))
    }

    /// Any value, with all that is in it.
    fn value(&mut self) -> Option<()> {
        // Of each bracket that is open, the innermost lowest: whether it is an object.
        let (mut kinds, mut depth) = (0u32, 1);
        loop {
            // Here a value begins.
            match self.next()? {
                b'"' => self.string()?,
                open @ (b'{' | b'[') => {
                    let is_object = open == b'{';
                    depth += 1;
                    if depth > DEPTH_MAX {
                        return None;
                    }
                    kinds = kinds << 1 | u32::from(is_object);
                    self.space();
                    if !self.take(if is_object { b'}' } else { b']' }) {
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                    (kinds, depth) = (kinds >> 1, depth - 1);
                }
                b't' => self.word(b"rue")?,
                b'f' => self.word(b"alse")?,
                b'n' => self.word(b"ull")?,
                byte => self.number(byte)?,
            }
            // Here one has ended, and perhaps what it is in.
            loop {
                if depth == 1 {
                    return Some(());
                }
                let is_object = kinds & 1 == 1;
                self.space();
                if self.take(b',') {
                    self.space();
                    if is_object {
                        self.key()?;
                    }
                    break;
                }
                self.need(if is_object { b'}' } else { b']' })?;
                (kinds, depth) = (kinds >> 1, depth - 1);
            }
        }
    }

    /// Behind the quote that opens it, to behind the one that ends it.
    fn string(&mut self) -> Option<()> {
        loop {
            while let Some(bytes) = lanes::part(self.text, self.at) {
                let special = specials(u8x16::new(*bytes)).to_bitmask();
                if special != 0 {
                    self.at += special.trailing_zeros() as usize;
                    break;
                }
                self.at += LANES;
            }
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => self.escaped()?,
                byte if byte < 0x20 => return None,
                _ => {}
            }
        }
    }

    fn escaped(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.hexadecimal()? {
                // The first half of a pair wants the second.
                0xd800..=0xdbff => {
                    self.need(b'\\')?;
                    self.need(b'u')?;
                    (0xdc00..=0xdfff).contains(&self.hexadecimal()?).then_some(())
                }
                0xdc00..=0xdfff => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |number, _| {
            Some(number << 4 | char::from(self.next()?).to_digit(16)?)
        })
    }

    fn number(&mut self, first: u8) -> Option<()> {
        let first = if first == b'-' { self.next()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => _ = self.digits(),
            _ => return None,
        }
        if self.take(b'.') && self.digits() == 0 {
            return None;
        }
        if self.take(b'e') || self.take(b'E') {
            _ = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return None;
            }
        }
        Some(())
    }

    fn digits(&mut self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        let is_it = self.text.get(self.at..)?.starts_with(rest);
        self.at += rest.len();
        is_it.then_some(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_it = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_it);
        is_it
    }

    fn need(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use serde_json::{Map, Value};

    use super::*;

    fn put_together(object: &Object<'_>) -> Map<String, Value> {
        let fields: Vec<&[u8]> = object
            .fields
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        let text = [b"{", fields.join(&b","[..]).as_slice(), b"}"].concat();
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn a_line_of_json_is_its_message_and_its_fields() {
        let line = br#" {"ts":1 , "msg":"a \"b\"" ,"k":{"x":[1,2]},"log":"no"} "#;
        let object = object(line).unwrap();
        assert_eq!(object.message, br#"a \"b\""#);
        assert_eq!(
            object.fields,
            [&br#""ts":1"#[..], br#""k":{"x":[1,2]},"log":"no""#]
        );
        for (line, fields) in [
            (r#"{"msg":"a"}"#, ["", ""]),
            (r#"{ "msg" : "a" , "b" : null }"#, ["", r#""b" : null"#]),
            (r#"{"b":[],"msg":"a"}"#, [r#""b":[]"#, ""]),
        ] {
            let object = super::object(line.as_bytes()).unwrap();
            assert_eq!(object.fields, fields.map(str::as_bytes), "{line}");
        }
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
        let most = DEPTH_MAX as usize;
        assert!(object(line(most - 1).as_bytes()).is_some());
        assert!(object(line(most).as_bytes()).is_none());
        assert!(object(line(10_000).as_bytes()).is_none());
    }

    #[test]
    fn whatever_is_no_object_with_a_message_is_text() {
        for line in [
            "{}",
            r#"{"a":1}"#,
            r#"{"msg":5}"#,
            r#"{"msg":"b","message":5}"#,
            r#"{"msg":"a"} x"#,
            r#"{"msg":"a"}}"#,
            r#"{"msg":"a""#,
            r#"{"msg":"a",}"#,
            r#"{"msg":"a","b":01}"#,
            r#"{"msg":"a","b":1.}"#,
            r#"{"msg":"a","b":tru}"#,
            r#"{"msg":"a","b":[1,]}"#,
            r#"{"msg":"a","b":[1}]}"#,
            r#"{"msg":"a","b":{"c"}}"#,
            r#"{"msg":"\ud800"}"#,
            r#"{"msg":"\x"}"#,
            "{\"msg\":\"a\tb\"}",
            "{\"msg\":\"a\",\n\"b\":1}",
            r#"["msg"]"#,
            "{ not json }",
            "text",
            "",
        ] {
            assert!(object(line.as_bytes()).is_none(), "{line}");
        }
        assert!(object(b"{\"msg\":\"\xff\"}").is_none());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 20, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// As another reader has it, whatever was done to the text.
        #[test]
        fn what_is_json_is_taken_apart_and_what_is_not_is_text(
            members in prop::collection::vec(("(message|msg|log|a|b|c)", value()), 0..6),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            is_changed in any::<bool>(),
        ) {
            let mut text = serde_json::to_vec(&Value::Object(members.into_iter().collect())).unwrap();
            for (at, byte) in changes.iter().filter(|_| is_changed) {
                let at = at.index(text.len());
                text[at] = *byte;
            }
            let found = object(&text);
            let grammar = serde_json::from_slice::<std::collections::BTreeMap<String, &RawValue>>(&text);
            if grammar.is_err() {
                prop_assert!(found.is_none(), "{}", String::from_utf8_lossy(&text));
                return Ok(());
            }
            // Numbers that are larger than any are numbers all the same.
            let theirs = serde_json::from_slice::<Map<String, Value>>(&text);
            let Ok(theirs) = theirs else { return Ok(()) };
            let name = ["message", "msg", "log"].into_iter().find(|name| theirs.contains_key(*name));
            let message = name.and_then(|name| theirs[name].as_str());
            // A member that is there twice, and an escaped name, are read in another way; nothing is lost by it.
            let names = text.windows(2).filter(|pair| pair == b"\":").count();
            if is_changed && names != theirs.len() {
                return Ok(());
            }
            match (&found, message) {
                (Some(found), Some(message)) => {
                    let quoted = [b"\"", found.message, b"\""].concat();
                    prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), message);
                    let mut rest = theirs.clone();
                    rest.remove(name.unwrap());
                    prop_assert_eq!(put_together(found), rest);
                }
                (None, None) => {}
                (found, message) => prop_assert!(
                    text.contains(&b'\n') || text.contains(&b'\\'),
                    "{:?} {:?} {}", found, message, String::from_utf8_lossy(&text)
                ),
            }
        }
    }
}

//! JSON as OpenSearch reads it: strictly, but a name only once in an object, and half a surrogate pair is let through.

/// One value. Numbers stay as they are written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// What is wrong, and at which byte.
#[derive(Debug, PartialEq)]
pub(crate) struct Bad {
    pub(crate) what: String,
    pub(crate) offset: usize,
}

/// Deeper than this nothing is read; the real one gives up earlier, but how depends on the field.
const DEPTH_MAX: usize = 1_500;

/// One value and nothing but white space behind it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Json, Bad> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at == bytes.len() {
        return Ok(value);
    }
    Err(reader.bad("Malformed content, found extra data after parsing"))
}

/// The name and the value that an object begins with; what stands behind them is not looked at. None if it is no such object.
pub(crate) fn first_entry(bytes: &[u8]) -> Result<Option<(String, Json)>, Bad> {
    let mut reader = Reader { bytes, at: 0 };
    reader.space();
    if reader.next() != Some(b'{') {
        return reader.value(0).map(|_| None);
    }
    reader.at += 1;
    reader.space();
    match reader.next() {
        Some(b'}') => return Ok(None),
        Some(b'"') => {}
        _ => return Err(reader.bad("was expecting double-quote to start property name")),
    }
    let name = reader.text()?;
    reader.space();
    reader.expect(b':')?;
    Ok(Some((name, reader.value(1)?)))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn bad(&self, what: impl Into<String>) -> Bad {
        Bad {
            what: what.into(),
            offset: self.at,
        }
    }

    fn next(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.next(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, Bad> {
        self.space();
        if depth > DEPTH_MAX {
            return Err(self.bad(format!("nesting depth exceeds the maximum allowed ({DEPTH_MAX})")));
        }
        match self.next() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => Ok(Json::Text(self.text()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(byte) => Err(self.bad(format!("Unexpected character ({byte})"))),
            None => Err(self.bad("Unexpected end-of-input")),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, Bad> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.bad("Unrecognized token"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Json, Bad> {
        let mut entries: Vec<(String, Json)> = Vec::new();
        self.at += 1;
        self.space();
        if self.next() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(entries));
        }
        loop {
            self.space();
            if self.next() != Some(b'"') {
                return Err(self.bad("was expecting double-quote to start property name"));
            }
            let name = self.text()?;
            if entries.iter().any(|(known, _)| *known == name) {
                return Err(self.bad(format!("Duplicate Object property \"{name}\"")));
            }
            self.space();
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            entries.push((name, value));
            self.space();
            if self.next() == Some(b'}') {
                self.at += 1;
                return Ok(Json::Object(entries));
            }
            self.expect(b',')?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, Bad> {
        let mut entries = Vec::new();
        self.at += 1;
        self.space();
        if self.next() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(entries));
        }
        loop {
            entries.push(self.value(depth + 1)?);
            self.space();
            if self.next() == Some(b']') {
                self.at += 1;
                return Ok(Json::List(entries));
            }
            self.expect(b',')?;
        }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Bad> {
        if self.next() != Some(wanted) {
            return Err(self.bad(format!("was expecting '{}'", char::from(wanted))));
        }
        self.at += 1;
        Ok(())
    }

    fn number(&mut self) -> Result<Json, Bad> {
        let begin = self.at;
        if self.next() == Some(b'-') {
            self.at += 1;
        }
        let first = self.next();
        if self.digits() == 0 {
            return Err(self.bad("expected digit"));
        }
        if first == Some(b'0') && self.at - begin > 1 + usize::from(self.bytes.get(begin) == Some(&b'-')) {
            return Err(self.bad("Leading zeroes not allowed"));
        }
        if self.next() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.bad("decimal point not followed by a digit"));
            }
        }
        if matches!(self.next(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.next(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.bad("exponent not followed by a digit"));
            }
        }
        let text = self.bytes.get(begin..self.at).unwrap_or_default();
        Ok(Json::Number(String::from_utf8_lossy(text).into_owned()))
    }

    fn digits(&mut self) -> usize {
        let begin = self.at;
        while matches!(self.next(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - begin
    }

    fn text(&mut self) -> Result<String, Bad> {
        let mut text = Vec::new();
        self.at += 1;
        loop {
            match self.next() {
                None => return Err(self.bad("Unexpected end-of-input in VALUE_STRING")),
                Some(b'"') => {
                    self.at += 1;
                    let text = String::from_utf8(text);
                    return text.map_err(|_| self.bad("Invalid UTF-8"));
                }
                Some(b'\\') => {
                    self.at += 1;
                    let letter = self.escape()?;
                    text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(0..=0x1f) => return Err(self.bad("Illegal unquoted character")),
                Some(byte) => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Bad> {
        let letter = self.next();
        self.at += 1;
        Ok(match letter {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'u') => {
                let high = self.unit()?;
                let begin = self.at;
                let is_pair =
                    (0xd800..0xdc00).contains(&high) && self.bytes.get(begin..begin + 2) == Some(b"\\u");
                let mut units = vec![high];
                if is_pair {
                    self.at += 2;
                    units.push(self.unit()?);
                }
                match char::decode_utf16(units).next() {
                    Some(Ok(letter)) => letter,
                    _ => {
                        // Half a pair: what follows it is read by itself.
                        self.at = begin;
                        char::REPLACEMENT_CHARACTER
                    }
                }
            }
            _ => return Err(self.bad("Unrecognized character escape")),
        })
    }

    fn unit(&mut self) -> Result<u16, Bad> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        let is_hex = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let unit = u16::from_str_radix(digits, 16).ok().filter(|_| is_hex);
        let unit = unit.ok_or_else(|| self.bad("expected a hex-digit for character escape sequence"))?;
        self.at += 4;
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_takes_is_taken_and_what_it_refuses_is_refused() {
        let taken = [
            r#"{"a":[1,-0.5e+3,true,null,"x\n\u00e9\ud83d\ude00\/"],"b":{}}"#,
            " [ ] ",
            "0",
            "-1.0E2",
            r#""""#,
            "{ \"a\" : { } }",
        ];
        let refused = [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "-",
            "1.",
            "1e",
            "+1",
            "nul",
            "\"\u{1}\"",
            r#""\x""#,
            r#""\u12g4""#,
            "{a:1}",
            "{}{}",
            "'a'",
            "NaN",
            "[1 2]",
            r#"{"a" 1}"#,
            "\"",
        ];
        for (text, is_taken) in taken
            .iter()
            .map(|text| (text, true))
            .chain(refused.iter().map(|text| (text, false)))
        {
            let ours = parse(text.as_bytes());
            assert_eq!(ours.is_ok(), is_taken, "{text}: {ours:?}");
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(text).is_ok(),
                is_taken,
                "{text}"
            );
        }
        assert_eq!(
            parse(br#""\ud83d\ude00""#),
            Ok(Json::Text("\u{1f600}".to_owned()))
        );
    }

    #[test]
    fn names_are_there_once_and_half_a_pair_is_let_through() {
        assert!(parse(br#"{"a":1,"a":1}"#).is_err());
        assert!(parse(b"\"\xff\"").is_err());
        assert_eq!(parse(br#""\ud800x""#), Ok(Json::Text("\u{fffd}x".to_owned())));
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(deep(DEPTH_MAX).as_bytes()).is_ok() && parse(deep(DEPTH_MAX + 2).as_bytes()).is_err());
    }
}

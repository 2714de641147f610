//! Numbers, durations and strings as they are written in an expression.

/// Milliseconds of `1h30m`: units in falling order and each once. `None` is not a duration or too long.
pub(crate) fn duration(text: &str) -> Option<i64> {
    const LONGEST_MS: i64 = i64::MAX / 1_000_000;
    let length = model::text::duration::parse(text).ok()?;
    i64::try_from(length.as_millis())
        .ok()
        .filter(|millis| *millis <= LONGEST_MS)
}

/// A number as Go reads it: decimal, exponent, `0x`, octal by a leading zero, `_` between digits.
pub(crate) fn number(text: &str) -> Option<f64> {
    let plain: String = text.chars().filter(|letter| *letter != '_').collect();
    if let Some(hex) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).ok().map(|whole| whole as f64);
    }
    let octal = plain.len() > 1 && plain.starts_with('0') && plain.bytes().all(|b| (b'0'..b'8').contains(&b));
    if octal {
        return i64::from_str_radix(&plain, 8).ok().map(|whole| whole as f64);
    }
    model::text::float::parse(&plain)
}

/// What a quoted string says. `Err` names the escape that is none.
///
/// The second half is false when `\x` escapes made bytes that are not UTF-8; they are replaced.
pub(crate) fn unquote(quoted: &str) -> Result<(String, bool), String> {
    let quote = quoted.chars().next().unwrap_or('"');
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if quote == '`' {
        return Ok((inner.replace('\r', ""), true));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        let (plain, escaped) = rest.split_at(at);
        bytes.extend_from_slice(plain.as_bytes());
        rest = escape(escaped, quote, &mut bytes)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(match String::from_utf8(bytes) {
        Ok(text) => (text, true),
        Err(broken) => (String::from_utf8_lossy(broken.as_bytes()).into_owned(), false),
    })
}

/// Reads one escape at the start of `text` and returns what follows it.
fn escape<'t>(text: &'t str, quote: char, bytes: &mut Vec<u8>) -> Result<&'t str, String> {
    let mut letters = text.chars();
    let (_, letter) = (letters.next(), letters.next());
    let wrong = || {
        let shown: String = text.chars().take(2).collect();
        format!("invalid escape {shown:?} in string")
    };
    let simple = match letter.ok_or_else(wrong)? {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        same if same == quote => quote as u8,
        'x' => return coded(text, 2, 2, 16, bytes).ok_or_else(wrong),
        'u' => return coded(text, 2, 4, 16, bytes).ok_or_else(wrong),
        'U' => return coded(text, 2, 8, 16, bytes).ok_or_else(wrong),
        '0'..='7' => return coded(text, 1, 3, 8, bytes).ok_or_else(wrong),
        _ => return Err(wrong()),
    };
    bytes.push(simple);
    Ok(letters.as_str())
}

/// Reads `digits` digits after `skip` bytes; two hexadecimal or three octal ones make a byte, others a character.
fn coded<'t>(text: &'t str, skip: usize, digits: usize, radix: u32, bytes: &mut Vec<u8>) -> Option<&'t str> {
    let code = text.get(skip..skip + digits)?;
    if !code.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(code, radix).ok()?;
    if digits < 4 {
        bytes.push(u8::try_from(code).ok()?);
    } else {
        let mut buffer = [0; 4];
        bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
    }
    text.get(skip + digits..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_does() {
        for (text, value) in [
            ("1_000", 1000.0),
            ("0x1F", 31.0),
            ("0x_53_AB", 21419.0),
            ("010", 8.0),
            ("09", 9.0),
            (".5", 0.5),
            ("1e-3", 0.001),
            ("5.", 5.0),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        assert_eq!(number("0x"), None);
    }

    #[test]
    fn strings_know_all_escapes() {
        let read = |text: &str| unquote(text).map(|(text, _)| text);
        assert_eq!(
            read(r#""a\tb\\\"\x41\101\u00e9\U0001F600""#),
            Ok("a\tb\\\"AAé😀".to_owned())
        );
        assert_eq!(read(r"'it\'s'"), Ok("it's".to_owned()));
        assert_eq!(read(r"`raw\n`"), Ok("raw\\n".to_owned()));
        assert!(read(r#""\'""#).is_err(), "the other quote needs no escape");
        assert!(read(r#""\400""#).is_err(), "more than a byte");
        assert_eq!(unquote(r#""a\xc5z""#), Ok(("a\u{fffd}z".to_owned(), false)));
    }

    #[test]
    fn durations_beyond_go_are_refused() {
        assert_eq!(duration("1h30m"), Some(5_400_000));
        assert_eq!(duration("300y"), None);
    }
}

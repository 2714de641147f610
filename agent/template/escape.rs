//! `html`, `js` and `urlquery`, as in Go's `text/template`.

use std::fmt::Write;

pub(crate) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\0' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

pub(crate) fn js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str(r"\\"),
            '\'' => escaped.push_str(r"\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' => code(&mut escaped, letter),
            other if other.is_control() => code(&mut escaped, other),
            other => escaped.push(other),
        }
    }
    escaped
}

fn code(text: &mut String, letter: char) {
    // Writing to a string cannot fail.
    _ = write!(text, "\\u{:04X}", u32::from(letter));
}

/// Go's `url.QueryEscape`: a space becomes `+`.
pub(crate) fn url_query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            other => _ = write!(escaped, "%{other:02X}"),
        }
    }
    escaped
}

//! Text as the inside of a JSON string.

use wide::u8x16;

use crate::lanes::{self, BLOCK, LANES};

/// Appends text; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn escape(body: &mut Vec<u8>, text: &[u8]) {
    // Most of what is logged is ASCII with nothing special in it.
    let (front, rest) = text.split_at(usual(text));
    body.extend_from_slice(front);
    if rest.is_empty() {
        return;
    }
    if std::str::from_utf8(rest).is_ok() {
        return escape_valid(body, rest);
    }
    for chunk in rest.utf8_chunks() {
        escape_valid(body, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            body.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// How much of the front of a text has `room`; it ends between two letters.
pub(crate) fn fitting(text: &[u8], room: usize) -> usize {
    let (mut used, mut front) = (0, 0);
    for chunk in text.utf8_chunks() {
        let letters = chunk.valid().chars().map(|letter| match letter {
            '"' | '\\' | '\n' | '\r' | '\t' => (2, 1),
            control if control < ' ' => (6, 1),
            letter => (letter.len_utf8(), letter.len_utf8()),
        });
        let torn = chunk.invalid().len();
        let torn = (torn > 0).then_some(('\u{fffd}'.len_utf8(), torn));
        for (escaped, bytes) in letters.chain(torn) {
            if used + escaped > room {
                return front;
            }
            used += escaped;
            front += bytes;
        }
    }
    front
}

/// How many of the first bytes are ASCII that stands in a string as it is.
fn usual(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        let bytes = u8x16::new(front::<LANES>(text, at));
        // The highest bit is asked for, and is that of what is no ASCII.
        let unusual = (specials(bytes) | bytes).to_bitmask();
        if unusual != 0 {
            return at + unusual.trailing_zeros() as usize;
        }
        at += LANES;
    }
    text.len()
}

fn escape_valid(body: &mut Vec<u8>, text: &[u8]) {
    // Everything in front of `from` is written, and nothing special stands between it and `at`.
    let (mut from, mut at) = (0, 0);
    loop {
        let mut found = lanes::mask(&front::<BLOCK>(text, at), specials);
        while found != 0 {
            let special = at + found.trailing_zeros() as usize;
            escape_byte(body, text, from, special);
            from = special + 1;
            found &= found - 1;
        }
        at += BLOCK;
        if at >= text.len() {
            break;
        }
    }
    body.extend_from_slice(text.get(from..).unwrap_or_default());
}

/// The bytes from `at` on; behind the last one nothing is special.
#[inline]
fn front<const BYTES: usize>(text: &[u8], at: usize) -> [u8; BYTES] {
    lanes::part(text, at).copied().unwrap_or_else(|| {
        let mut filled = [b' '; BYTES];
        let rest = text.get(at..).unwrap_or_default();
        for (place, byte) in filled.iter_mut().zip(rest) {
            *place = *byte;
        }
        filled
    })
}

/// Quotes, backslashes and control characters.
#[inline]
pub(super) fn specials(bytes: u8x16) -> u8x16 {
    let is = |byte| bytes.simd_eq(u8x16::splat(byte));
    lanes::below::<0x20>(bytes) | is(b'"') | is(b'\\')
}

/// Writes what stands between `from` and `at`, and the byte there in another way.
fn escape_byte(body: &mut Vec<u8>, text: &[u8], from: usize, at: usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    body.extend_from_slice(text.get(from..at).unwrap_or_default());
    match text.get(at).copied().unwrap_or_default() {
        b'"' => body.extend_from_slice(b"\\\""),
        b'\\' => body.extend_from_slice(b"\\\\"),
        b'\n' => body.extend_from_slice(b"\\n"),
        b'\r' => body.extend_from_slice(b"\\r"),
        b'\t' => body.extend_from_slice(b"\\t"),
        byte => {
            body.extend_from_slice(b"\\u00");
            for nibble in [byte >> 4, byte & 15] {
                body.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_front_that_fits_is_as_long_as_it_can_be(text in prop::collection::vec(any::<u8>(), 0..100), room in 0usize..300) {
            let escaped = |text: &[u8]| {
                let mut body = Vec::new();
                escape(&mut body, text);
                body.len()
            };
            let front = fitting(&text, room);
            prop_assert!(escaped(&text[..front]) <= room);
            prop_assert!(String::from_utf8_lossy(&text).starts_with(&*String::from_utf8_lossy(&text[..front])));
            // The next letter has six bytes at most.
            prop_assert!(front == text.len() || escaped(&text[..front]) + 6 > room);
        }

        #[test]
        fn any_bytes_are_a_json_string(text in prop::collection::vec(prop_oneof![
            3 => any::<u8>(), 97 => b' '..0x7f, 1 => Just(b'"'),
        ], 0..200)) {
            let mut body = vec![b'"'];
            escape(&mut body, &text);
            body.push(b'"');
            let read: String = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&text));
        }
    }
}

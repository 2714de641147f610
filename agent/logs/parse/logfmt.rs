//! `level=info msg="it works" took=3ms`, as Go's loggers write it.

use std::borrow::Cow;

use super::Fields;

/// How much a line must look like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Somebody has said that it is: words without a value are fields without one.
    Lenient,
    /// Nobody has: nothing but pairs, and one of them a message.
    Strict,
}

/// Names under which loggers write what people read, the first that is there.
const MESSAGE: [&[u8]; 2] = [b"msg", b"message"];

pub(super) fn read(text: &[u8], care: Care) -> Option<Fields<'_>> {
    let fields = pairs(text, text, care)?;
    let message = MESSAGE.iter().find_map(|name| {
        let at = fields.list.iter().position(|field| &*field.name == *name)?;
        Some(at)
    });
    match (message, care) {
        (Some(at), _) => {
            let mut fields = fields;
            fields.message = fields.list.remove(at).value;
            Some(fields)
        }
        (None, Care::Strict) => None,
        (None, Care::Lenient) => (!fields.list.is_empty()).then_some(fields),
    }
}

/// The pairs of `text`; the message is `message`.
pub(super) fn pairs<'t>(text: &'t [u8], message: &'t [u8], care: Care) -> Option<Fields<'t>> {
    let mut fields = Fields::new(message);
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let length = rest
            .iter()
            .take_while(|byte| **byte > b' ' && !matches!(byte, b'=' | b'"'))
            .count();
        let (name, behind) = rest.split_at(length);
        if name.is_empty() {
            return None;
        }
        let Some(value) = behind.strip_prefix(b"=") else {
            // A word without a value, or a quote in the middle of one.
            if care == Care::Strict || behind.first() == Some(&b'"') {
                return None;
            }
            fields.add(name, &b""[..]);
            rest = behind.trim_ascii_start();
            continue;
        };
        let (value, behind) = match value.first() {
            Some(b'"') => quoted(value)?,
            _ => {
                let length = value.iter().take_while(|byte| **byte > b' ').count();
                let (value, behind) = value.split_at(length);
                (Cow::Borrowed(value), behind)
            }
        };
        if behind.first().is_some_and(|byte| *byte > b' ') {
            return None;
        }
        fields.add(name, value);
        rest = behind.trim_ascii_start();
    }
    Some(fields)
}

/// A value in quotes, as Go's `strconv.Quote` writes it, and what stands behind it.
pub(super) fn quoted(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let end = memchr::memchr2(b'"', b'\\', text)?;
    let (front, behind) = text.split_at(end);
    if let Some(behind) = behind.strip_prefix(b"\"") {
        return Some((Cow::Borrowed(front), behind));
    }
    let mut value = front.to_vec();
    let mut rest = behind.iter();
    loop {
        match *rest.next()? {
            b'"' => return Some((Cow::Owned(value), rest.as_slice())),
            b'\\' => match *rest.next()? {
                b'n' => value.push(b'\n'),
                b't' => value.push(b'\t'),
                b'r' => value.push(b'\r'),
                b'u' => letter(&mut value, &mut rest, 4)?,
                b'U' => letter(&mut value, &mut rest, 8)?,
                b'x' => value.push(u8::try_from(number(&mut rest, 2)?).ok()?),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

fn letter(value: &mut Vec<u8>, rest: &mut std::slice::Iter<'_, u8>, digits: usize) -> Option<()> {
    let letter = char::from_u32(number(rest, digits)?).unwrap_or(char::REPLACEMENT_CHARACTER);
    value.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

fn number(rest: &mut std::slice::Iter<'_, u8>, digits: usize) -> Option<u32> {
    (0..digits).try_fold(0, |sum: u32, _| {
        let digit = char::from(*rest.next()?).to_digit(16)?;
        Some(sum << 4 | digit)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    fn strict(line: &str) -> Option<(String, String)> {
        shown(read(line.as_bytes(), Care::Strict))
    }

    #[test]
    fn pairs_become_fields_and_the_message_is_one_of_them() {
        let (message, fields) =
            strict(r#"time=2026-11-27T12:00:00Z level=warn msg="slow \"disk\"\n" took=3ms err="""#).unwrap();
        assert_eq!(message, "slow \"disk\"\n");
        assert_eq!(fields, "time=2026-11-27T12:00:00Z|level=warn|took=3ms|err=");
        assert_eq!(
            strict("a=1 a=2 msg=x").unwrap().1,
            "a=1",
            "the first of a name counts"
        );
        assert_eq!(strict(r#"msg="\u00e9\x41\U0001f600""#).unwrap().0, "éA😀");
    }

    #[test]
    fn what_is_prose_with_a_pair_in_it_is_none() {
        for line in [
            "msg=hello there",
            "level=info took=3ms",
            "msg=\"open",
            "msg=\"a\"b",
            "=x msg=y",
            "msg\"x\"=y",
        ] {
            assert_eq!(strict(line), None, "{line}");
        }
        let lenient = shown(read(b"took=3ms done", Care::Lenient)).unwrap();
        assert_eq!(lenient, ("took=3ms done".to_owned(), "took=3ms|done=".to_owned()));
    }
}

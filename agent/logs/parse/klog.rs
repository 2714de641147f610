//! `I0102 15:04:05.000000   1 server.go:7] text`, as Kubernetes' own components write, also with pairs behind the text.

use super::{Fields, logfmt};

pub(super) fn read(text: &[u8]) -> Option<Fields<'_>> {
    let digits = text.get(1..5)?;
    let is_one = matches!(text.first()?, b'I' | b'W' | b'E' | b'F')
        && digits.iter().all(u8::is_ascii_digit)
        && text.get(5) == Some(&b' ')
        && text.get(8) == Some(&b':')
        && text.get(11) == Some(&b':');
    if !is_one {
        return None;
    }
    let end = memchr::memchr(b']', text.get(..256).unwrap_or(text))?;
    let head = text.get(14..end)?;
    let message = text.get(end + 1..)?;
    let message = message.strip_prefix(b" ").unwrap_or(message);
    // The rest of the second, the thread, and the place in the source.
    let mut words = head
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
        .skip(1);
    let (thread, place) = (words.next()?, words.next()?);
    let mut fields = structured(message).unwrap_or_else(|| Fields::new(message));
    fields.add(&b"thread"[..], thread);
    fields.add(&b"source"[..], place);
    Some(fields)
}

/// `"Updated pod" pod="kube-system/kubedns" status="ready"`.
fn structured(message: &[u8]) -> Option<Fields<'_>> {
    let (text, pairs) = logfmt::quoted(message)?;
    let mut fields = logfmt::pairs(pairs, message, logfmt::Care::Strict)?;
    fields.message = text;
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    #[test]
    fn text_thread_source_and_pairs_are_told_apart() {
        let read = |line: &'static str| shown(read(line.as_bytes())).unwrap();
        assert_eq!(
            read("W0102 15:04:05.000001   12 server.go:7] slow: [x]"),
            ("slow: [x]".to_owned(), "thread=12|source=server.go:7".to_owned())
        );
        assert_eq!(
            read(r#"E1127 15:04:05.000001 1 pod.go:70] "Sync failed" pod="shop/api" err="no \"route\"""#),
            (
                "Sync failed".to_owned(),
                "pod=shop/api|err=no \"route\"|thread=1|source=pod.go:70".to_owned()
            )
        );
        assert_eq!(
            read(r#"I1127 15:04:05.000001 1 a.go:1] "quoted" and then prose"#).0,
            r#""quoted" and then prose"#
        );
    }

    #[test]
    fn anything_else_is_none() {
        for line in [
            "I0102",
            "E0102 15:04",
            "Info 0102 15:04:05.000000 1 x] y",
            "I0102 15:04:05.000000 no bracket",
        ] {
            assert_eq!(read(line.as_bytes()), None, "{line}");
        }
    }
}

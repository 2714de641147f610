//! Finds how grave a line is, by looking at its first bytes only.
//!
//! Structured levels (`"level":"warn"`, `level=warn`, klog's `W0102`) count before words; a word counts when it is
//! written as a level is: in capitals, or followed by a colon, or in brackets.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use model::Level;

/// How far a key such as `"level":` is looked for.
const KEY_REACH: usize = 512;
/// How far a bare word is looked for.
const WORD_REACH: usize = 96;

static JSON_KEYS: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["\"level\"", "\"severity\"", "\"lvl\""].map(Finder::new));
/// The longest first, and what they all end with.
const TEXT_KEYS: [&[u8]; 2] = [b"level=", b"lvl="];
static KEYS_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("l="));

pub(crate) fn of_line(line: &[u8]) -> Option<Level> {
    let head = line.get(..KEY_REACH).unwrap_or(line);
    if memchr::memchr(ESCAPE, head).is_some() {
        return of_head(&without_colours(head));
    }
    of_head(head)
}

const ESCAPE: u8 = 0x1b;

/// Terminal colours stand directly before a level and would make one word with it: `ESC[31mERROR`.
fn without_colours(head: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(head.len());
    let mut rest = head.iter().copied();
    while let Some(byte) = rest.next() {
        if byte == ESCAPE {
            // A control sequence ends with a letter.
            _ = rest.find(u8::is_ascii_alphabetic);
        } else {
            plain.push(byte);
        }
    }
    plain
}

fn of_head(head: &[u8]) -> Option<Level> {
    if head.first() == Some(&b'{') {
        return JSON_KEYS
            .iter()
            .find_map(|key| json_value(head.get(key.find(head)? + key.needle().len()..)?));
    }
    klog(head)
        .or_else(|| text_value(head))
        .or_else(|| words(head.get(..WORD_REACH).unwrap_or(head)))
}

/// `E0102 15:04:05.000000 …`, as Kubernetes' own components write.
fn klog(head: &[u8]) -> Option<Level> {
    let digits = head.get(1..5)?;
    if !digits.iter().all(u8::is_ascii_digit) || head.get(5) != Some(&b' ') {
        return None;
    }
    match head.first()? {
        b'I' => Some(Level::Info),
        b'W' => Some(Level::Warn),
        b'E' => Some(Level::Error),
        b'F' => Some(Level::Fatal),
        _ => None,
    }
}

/// What stands behind a JSON key: a word in quotes, or a number as pino and bunyan have it.
fn json_value(rest: &[u8]) -> Option<Level> {
    let rest = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    if let Some(word) = rest.strip_prefix(b"\"") {
        return of_word(word);
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest.get(..digits)? {
        b"10" => Some(Level::Trace),
        b"20" => Some(Level::Debug),
        b"30" => Some(Level::Info),
        b"40" => Some(Level::Warn),
        b"50" => Some(Level::Error),
        b"60" => Some(Level::Fatal),
        _ => None,
    }
}

/// What stands behind `level=`, or else behind `lvl=`; each counts where it stands first.
fn text_value(head: &[u8]) -> Option<Level> {
    let mut first = [None; TEXT_KEYS.len()];
    for end in KEYS_END.find_iter(head).map(|at| at + KEYS_END.needle().len()) {
        let front = head.get(..end).unwrap_or_default();
        for (place, _) in first
            .iter_mut()
            .zip(TEXT_KEYS)
            .filter(|(_, key)| front.ends_with(key))
        {
            place.get_or_insert(end);
        }
    }
    first
        .into_iter()
        .flatten()
        .find_map(|end| of_word(head.get(end..)?))
}

/// The word in front of `text`, in quotes or not.
fn of_word(text: &[u8]) -> Option<Level> {
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    let letters = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    named(text.get(..letters)?)
}

fn words(head: &[u8]) -> Option<Level> {
    let mut at = 0;
    while at < head.len() {
        let rest = head.get(at..)?;
        let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        if (3..=11).contains(&letters) {
            let word = rest.get(..letters)?;
            let before = at.checked_sub(1).and_then(|before| head.get(before)).copied();
            let after = rest.get(letters).copied();
            if is_alone(before, after)
                && is_written_as_level(word, before, after)
                && let Some(level) = named(word)
            {
                return Some(level);
            }
        }
        at += letters.max(1);
    }
    None
}

fn is_alone(before: Option<u8>, after: Option<u8>) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'.');
    !before.is_some_and(inside) && !after.is_some_and(|byte| inside(byte) && byte != b'-' && byte != b'.')
}

/// `no error was found` says nothing about its line.
fn is_written_as_level(word: &[u8], before: Option<u8>, after: Option<u8>) -> bool {
    let bracketed = matches!(
        (before, after),
        (Some(b'['), Some(b']'))
            | (Some(b'<'), Some(b'>'))
            | (Some(b'('), Some(b')'))
            | (Some(b'|'), Some(b'|'))
    );
    bracketed || after == Some(b':') || word.iter().all(u8::is_ascii_uppercase)
}

/// A word that is a level.
pub(crate) fn named(word: &[u8]) -> Option<Level> {
    let mut lower = [0; 11];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"trace" | b"trc" => Level::Trace,
        b"debug" | b"dbg" | b"fine" => Level::Debug,
        b"info" | b"information" | b"notice" => Level::Info,
        b"warn" | b"warning" => Level::Warn,
        b"error" | b"err" | b"severe" => Level::Error,
        b"fatal" | b"critical" | b"crit" | b"panic" | b"dpanic" | b"emerg" | b"emergency" | b"alert" => {
            Level::Fatal
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_do_not_hide_a_level() {
        assert_eq!(of_line(b"\x1b[31mERROR\x1b[0m red"), Some(Level::Error));
        assert_eq!(
            of_line(b"\x1b[2m2026-01-01T00:00:00Z\x1b[0m \x1b[33m WARN\x1b[0m skopos: x"),
            Some(Level::Warn)
        );
        assert_eq!(of_line(b"\x1b[0mnothing grave"), None);
        assert_eq!(of_line(b"\x1b["), None);
    }

    #[test]
    fn levels_are_found_where_loggers_put_them() {
        for (line, want) in [
            (r#"{"ts":1,"level":"warn","msg":"x"}"#, Some(Level::Warn)),
            (r#"{"severity": "ERROR"}"#, Some(Level::Error)),
            (r#"{"level":50,"msg":"x"}"#, Some(Level::Error)),
            (r#"{"msg":"ERROR in text"}"#, None),
            ("E0102 15:04:05.000000 1 x.go:1] failed", Some(Level::Error)),
            ("I0102 15:04:05.000000 1 x.go:1] ERROR", Some(Level::Info)),
            ("time=x level=error msg=y", Some(Level::Error)),
            ("level=\"debug\" msg=y", Some(Level::Debug)),
            ("[main] WARN  o.s.Boot - slow", Some(Level::Warn)),
            ("host sshd[1]: error: kex", Some(Level::Error)),
            ("[error] 12#12: open() failed", Some(Level::Error)),
            ("[client] FATAL: role does not exist", Some(Level::Fatal)),
            ("no error was found", None),
            ("GET /error HTTP/1.1", None),
            ("NO_ERROR", None),
            ("", None),
        ] {
            assert_eq!(of_line(line.as_bytes()), want, "{line}");
        }
    }

    #[test]
    fn a_level_far_inside_a_line_is_part_of_its_text() {
        let line = format!("{} ERROR", "x".repeat(200));
        assert_eq!(of_line(line.as_bytes()), None);
    }
}

//! Expressions in RE2's language, which Prometheus has from Go, compiled to match all of a text.
//!
//! The engine here speaks nearly the same language. What it reads otherwise is written anew first: `\d`, `\w`, `\s` and
//! `\b` are those of ASCII, braces and brackets that mean themselves are escaped, and flags that RE2 does not have are
//! mistakes.

mod class;

use std::collections::HashSet;
use std::iter::Peekable;
use std::str::CharIndices;

use regex::{Captures, Regex};

/// RE2 repeats nothing more often.
const REPEATS_MAX: u32 = 1000;

#[derive(Debug)]
pub(crate) enum Pattern {
    /// `.*`, and the whole as a group where it is `(.*)`.
    Anything {
        grouped: bool,
    },
    /// Words with `|` between them, with or without parentheses around them.
    Words {
        words: HashSet<Box<str>>,
        grouped: bool,
    },
    Regex(Box<Regex>),
}

/// A match of all of a text.
pub(crate) enum Found<'t> {
    /// The only group, if there is one, is all of it.
    Whole(&'t str),
    Groups(Captures<'t>),
}

impl Found<'_> {
    pub(crate) fn group(&self, nth: usize) -> &str {
        match self {
            Self::Whole(text) => text,
            Self::Groups(groups) => groups.get(nth).map_or("", |group| group.as_str()),
        }
    }
}

impl Pattern {
    /// # Errors
    /// What is wrong with it, as the rest of a sentence.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let (grouped, inner) = (inner.is_some(), inner.unwrap_or(text));
        if inner == ".*" {
            return Ok(Self::Anything { grouped });
        }
        let is_plain =
            |letter: char| letter == '|' || letter == '_' || letter == ':' || letter.is_ascii_alphanumeric();
        if inner.chars().all(is_plain) {
            let words = inner.split('|').map(Into::into).collect();
            return Ok(Self::Words { words, grouped });
        }
        let ours = translate(text)?;
        // Alone first, so that `a)(b` does not slip through the anchors.
        let compiled = Regex::new(&ours).and_then(|_| Regex::new(&format!(r"\A(?s:{ours})\z")));
        compiled.map(|regex| Self::Regex(Box::new(regex))).map_err(|why| {
            let why = why.to_string();
            let reason = why
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            reason.to_owned()
        })
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Anything { .. } => true,
            Self::Words { words, .. } => words.contains(text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }

    pub(crate) fn find<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        match self {
            Self::Regex(regex) => regex.captures(text).map(Found::Groups),
            simple => simple.matches(text).then_some(Found::Whole(text)),
        }
    }

    /// Which group is meant by a name or a number; none when there is no such group.
    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        let is_number = name.bytes().all(|letter| letter.is_ascii_digit());
        let number = name
            .parse::<usize>()
            .ok()
            .filter(|_| is_number && (name == "0" || !name.starts_with('0')));
        let count = match self {
            Self::Anything { grouped } | Self::Words { grouped, .. } => 1 + usize::from(*grouped),
            Self::Regex(regex) => regex.captures_len(),
        };
        match (number, self) {
            (Some(number), _) => (number < count).then_some(number),
            (None, Self::Regex(regex)) => regex.capture_names().position(|known| known == Some(name)),
            (None, _) => None,
        }
    }
}

type Letters<'t> = Peekable<CharIndices<'t>>;

/// From RE2's language to that of the engine.
fn translate(text: &str) -> Result<String, String> {
    let mut ours = String::with_capacity(text.len() + 16);
    let mut letters = text.char_indices().peekable();
    // Whether what came last is repeated already.
    let mut is_repeated = false;
    while let Some((at, letter)) = letters.next() {
        let rest = text.get(at..).unwrap_or_default();
        let repeats = repeat(rest);
        if let Some((length, times)) = repeats {
            if is_repeated {
                return Err("repeats what is repeated already".to_owned());
            }
            if times > REPEATS_MAX {
                return Err(format!("repeats {times} times, and {REPEATS_MAX} is the most"));
            }
            let is_lazy = rest.get(length..).is_some_and(|rest| rest.starts_with('?'));
            let length = length + usize::from(is_lazy);
            ours.push_str(rest.get(..length).unwrap_or_default());
            skip(&mut letters, at + length);
            is_repeated = true;
            continue;
        }
        is_repeated = false;
        match letter {
            '\\' if rest.starts_with(r"\Q") => {
                let Some((quoted, _)) = rest.get(2..).and_then(|rest| rest.split_once(r"\E")) else {
                    return Err(r"has a \Q without its \E".to_owned());
                };
                ours.push_str(&regex::escape(quoted));
                skip(&mut letters, at + 2 + quoted.len() + 2);
            }
            '\\' => match long_escape(rest) {
                Some((length, escape)) => {
                    ours.push_str(&escape);
                    skip(&mut letters, at + length);
                }
                None => ours.push_str(&escape(&mut letters)?),
            },
            '[' => class::translate(text, &mut letters, &mut ours)?,
            '{' => ours.push_str(r"\{"),
            '(' if rest.starts_with("(?") => {
                flags(rest.get(2..).unwrap_or_default())?;
                // What follows belongs to the parenthesis and repeats nothing.
                ours.push_str("(?");
                skip(&mut letters, at + 2);
            }
            other => ours.push(other),
        }
    }
    Ok(ours)
}

/// An escape of more than one letter, such as `\p{Greek}`, `\x41` or `\07`: how long it is, and as the engine has it.
fn long_escape(text: &str) -> Option<(usize, String)> {
    let rest = text.strip_prefix('\\')?;
    let first = rest.chars().next()?;
    let braced = || {
        let inner = rest.get(1..)?.strip_prefix('{')?;
        inner.find('}').map(|end| end + 4)
    };
    let length = match first {
        'p' | 'P' => braced().or_else(|| Some(2 + rest.chars().nth(1)?.len_utf8()))?,
        'x' => braced().unwrap_or(4),
        '0'..='7' => {
            let is_octal = |letter: &u8| (b'0'..=b'7').contains(letter);
            let digits = rest.bytes().take(3).take_while(is_octal).count();
            // One alone is what RE2 does not have: a group that was found before.
            if first != '0' && digits < 2 {
                return None;
            }
            let code = u32::from_str_radix(rest.get(..digits)?, 8).ok()?;
            return Some((1 + digits, format!("\\x{{{code:x}}}")));
        }
        _ => return None,
    };
    Some((length, text.get(..length)?.to_owned()))
}

fn skip(letters: &mut Letters<'_>, to: usize) {
    while letters.next_if(|(at, _)| *at < to).is_some() {}
}

/// What follows a backslash outside of brackets.
fn escape(letters: &mut Letters<'_>) -> Result<String, String> {
    let Some((_, letter)) = letters.next() else {
        return Err("a backslash at its end escapes nothing".to_owned());
    };
    Ok(match (class::set(letter), letter) {
        (Some((not, set)), _) => format!("[{not}{set}]"),
        (None, 'b') => r"(?-u:\b)".to_owned(),
        (None, 'B') => r"(?-u:\B)".to_owned(),
        // Here they would be the begin and the end of a word.
        (None, '<' | '>') => letter.to_string(),
        (None, _) => format!("\\{letter}"),
    })
}

/// Length of `*`, `{2}`, `{2,}` or `{2,5}`, and the larger of its numbers; none for braces that mean themselves.
fn repeat(text: &str) -> Option<(usize, u32)> {
    if text.starts_with(['*', '+', '?']) {
        return Some((1, 1));
    }
    let (inner, _) = text.strip_prefix('{')?.split_once('}')?;
    let number = |text: &str| -> Option<u32> {
        let is_number = !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u32::MAX))
    };
    let times = match inner.split_once(',') {
        None => number(inner)?,
        Some((least, "")) => number(least)?,
        Some((least, most)) => number(least)?.max(number(most)?),
    };
    Some((inner.len() + 2, times))
}

/// The engine has flags that RE2 does not, and that change what all of it means.
fn flags(text: &str) -> Result<(), String> {
    if text.starts_with(['P', '<', '=', '!', '#']) {
        return Ok(());
    }
    let flags = text.split([':', ')']).next().unwrap_or_default();
    match flags.chars().find(|flag| !"imsU-".contains(*flag)) {
        Some(flag) => Err(format!("(?{flag}) is no flag of RE2, which has i, m, s and U")),
        None => Ok(()),
    }
}

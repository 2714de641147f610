//! Texts with groups of an expression in them, `$1`, `${name}` and `$$`, as Go expands them.

use std::fmt::Write;

use crate::pattern::{Found, Pattern};

/// A text, taken apart once.
#[derive(Debug)]
pub(crate) enum Template {
    /// The same for everybody.
    Plain(Box<str>),
    Parts(Box<[Part]>),
}

#[derive(Debug)]
pub(crate) enum Part {
    Text(Box<str>),
    /// A group that the expression has.
    Group(usize),
}

impl Template {
    pub(crate) fn new(text: &str, pattern: &Pattern) -> Self {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            rest = after;
            if let Some(after) = after.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let Some((name, after)) = reference(after) else {
                // What is no reference stands as it is.
                plain.push('$');
                continue;
            };
            rest = after;
            // A group that the expression does not have is empty.
            if let Some(group) = pattern.group(name) {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain).into()));
                }
                parts.push(Part::Group(group));
            }
        }
        plain.push_str(rest);
        if parts.is_empty() {
            return Self::Plain(plain.into());
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Self::Parts(parts.into())
    }

    /// Uses `room` where it has to be written down.
    pub(crate) fn expand<'a>(&'a self, found: &'a Found<'a>, room: &'a mut String) -> &'a str {
        let parts = match self {
            Self::Plain(text) => return text,
            Self::Parts(parts) => parts,
        };
        if let [Part::Group(group)] = &**parts {
            return found.group(*group);
        }
        room.clear();
        for part in parts {
            let text = match part {
                Part::Text(text) => text,
                Part::Group(group) => found.group(*group),
            };
            // Writing to a string cannot fail.
            _ = room.write_str(text);
        }
        room
    }
}

/// The name behind a `$`, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (is_braced, text) = match text.strip_prefix('{') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let end = text
        .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
    match is_braced {
        true => Some((name, rest.strip_prefix('}')?)),
        false => Some((name, rest)),
    }
}

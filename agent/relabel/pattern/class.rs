//! What stands in brackets, letter by letter: RE2 has neither nested brackets nor `&&`, `--` and `~~`.

use super::Letters;

/// `\d` and its like, of ASCII: whether all others are meant, and what is in it.
pub(super) fn set(letter: char) -> Option<(&'static str, &'static str)> {
    let not = if letter.is_ascii_uppercase() { "^" } else { "" };
    let set = match letter {
        'd' | 'D' => "0-9",
        'w' | 'W' => "0-9A-Za-z_",
        's' | 'S' => r"\t\n\f\r ",
        _ => return None,
    };
    Some((not, set))
}

/// From behind the bracket that opens to behind the one that closes.
pub(super) fn translate(text: &str, letters: &mut Letters<'_>, ours: &mut String) -> Result<(), String> {
    const OPEN: &str = "a bracket is not closed";
    ours.push('[');
    if letters.next_if(|(_, letter)| *letter == '^').is_some() {
        ours.push('^');
    }
    let mut is_first = true;
    loop {
        let Some((at, letter)) = letters.next() else {
            return Err(OPEN.to_owned());
        };
        if letter == ']' && !is_first {
            ours.push(']');
            return Ok(());
        }
        is_first = false;
        let rest = text.get(at..).unwrap_or_default();
        if let Some(length) = named(rest) {
            ours.push_str(rest.get(..length).unwrap_or_default());
            super::skip(letters, at + length);
            continue;
        }
        match one(text, at, letter, letters)? {
            One::Set(set) => ours.push_str(&set),
            One::Letter(low) => {
                ours.push_str(&low);
                let mut ahead = letters.clone();
                let is_range =
                    matches!(ahead.next(), Some((_, '-'))) && !matches!(ahead.next(), Some((_, ']')) | None);
                if !is_range {
                    continue;
                }
                letters.next();
                let Some((at, letter)) = letters.next() else {
                    return Err(OPEN.to_owned());
                };
                match one(text, at, letter, letters)? {
                    One::Letter(high) => {
                        ours.push('-');
                        ours.push_str(&high);
                    }
                    One::Set(_) => return Err("a range in brackets does not end with a letter".to_owned()),
                }
            }
        }
    }
}

/// Length of `[:alpha:]` at the start.
fn named(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("[:")?;
    inner.find(":]").map(|end| end + 4)
}

enum One {
    Letter(String),
    Set(String),
}

fn one(text: &str, at: usize, letter: char, letters: &mut Letters<'_>) -> Result<One, String> {
    if letter != '\\' {
        return Ok(One::Letter(meant(letter)));
    }
    let Some((_, escaped)) = letters.next() else {
        return Err("a backslash at its end escapes nothing".to_owned());
    };
    if let Some((not, set)) = set(escaped) {
        return Ok(One::Set(format!("[{not}{set}]")));
    }
    let rest = text.get(at..).unwrap_or_default();
    let length = match escaped {
        'p' | 'P' | 'x' => match rest
            .find('}')
            .filter(|_| rest.get(2..).is_some_and(|rest| rest.starts_with('{')))
        {
            Some(end) => end + 1,
            None if escaped == 'x' => 4,
            None => 3,
        },
        '<' | '>' => return Ok(One::Letter(escaped.to_string())),
        _ => 1 + escaped.len_utf8(),
    };
    super::skip(letters, at + length);
    let taken = rest.get(..length).unwrap_or(rest).to_owned();
    Ok(match escaped {
        'p' | 'P' => One::Set(taken),
        _ => One::Letter(taken),
    })
}

/// A letter that means itself.
fn meant(letter: char) -> String {
    match letter {
        '[' | ']' | '&' | '~' | '-' | '^' => format!("\\{letter}"),
        other => other.to_string(),
    }
}

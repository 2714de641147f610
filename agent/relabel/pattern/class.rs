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
        if let Some(length) = named(rest)? {
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

const NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Length of `[:alpha:]` at the start.
fn named(text: &str) -> Result<Option<usize>, String> {
    let inner = text.strip_prefix("[:").and_then(|inner| inner.split_once(":]"));
    let Some((name, _)) = inner else {
        return Ok(None);
    };
    match NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        true => Ok(Some(name.len() + 4)),
        false => Err(format!("[:{name}:] is no class of letters")),
    }
}

enum One {
    Letter(String),
    Set(String),
}

fn one(text: &str, at: usize, letter: char, letters: &mut Letters<'_>) -> Result<One, String> {
    if letter != '\\' {
        return Ok(One::Letter(meant(letter)));
    }
    let rest = text.get(at..).unwrap_or_default();
    if let Some((length, escape)) = super::long_escape(rest) {
        super::skip(letters, at + length);
        let is_set = rest.starts_with(r"\p") || rest.starts_with(r"\P");
        return Ok(if is_set {
            One::Set(escape)
        } else {
            One::Letter(escape)
        });
    }
    let Some((_, escaped)) = letters.next() else {
        return Err("a backslash at its end escapes nothing".to_owned());
    };
    Ok(match (set(escaped), escaped) {
        (Some((not, set)), _) => One::Set(format!("[{not}{set}]")),
        (None, '<' | '>') => One::Letter(escaped.to_string()),
        (None, _) => One::Letter(format!("\\{escaped}")),
    })
}

/// A letter that means itself.
fn meant(letter: char) -> String {
    match letter {
        '[' | ']' | '&' | '~' | '-' | '^' => format!("\\{letter}"),
        other => other.to_string(),
    }
}

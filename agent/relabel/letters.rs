//! Letters of the other case, one for one as Go has them: `ß` stays what it is, and no letter becomes two.

pub(crate) fn lower(text: &str) -> String {
    let lower = |letter: char| match letter {
        // The only one that the full mapping makes two of.
        '\u{130}' => 'i',
        other => single(other.to_lowercase()).unwrap_or(other),
    };
    text.chars().map(lower).collect()
}

pub(crate) fn upper(text: &str) -> String {
    let upper = |letter: char| single(letter.to_uppercase()).unwrap_or_else(|| titled(letter));
    text.chars().map(upper).collect()
}

fn single(mut letters: impl Iterator<Item = char>) -> Option<char> {
    let first = letters.next()?;
    letters.next().is_none().then_some(first)
}

/// Greek letters with an iota below have one with an iota beside; others that would become two stay.
fn titled(letter: char) -> char {
    let beside = match letter {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => 0,
    };
    char::from_u32(u32::from(letter) + beside).unwrap_or(letter)
}

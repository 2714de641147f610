//! Takes the compared value out of a rule's expression: `a / b` of `a / b > 0.9 and on () c`.
//!
//! Reads the text with its strings and brackets, not the grammar: where it is not sure it finds nothing,
//! and then no graph is drawn.

/// The left side of the first comparison on the top level.
pub(super) fn compared(expr: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, letter) in expr.char_indices() {
        if let Some(open) = quote {
            let closes = letter == open && !escaped;
            escaped = letter == '\\' && !escaped && open != '`';
            if closes {
                quote = None;
            }
            continue;
        }
        match letter {
            '"' | '\'' | '`' => quote = Some(letter),
            // A comment may hold anything; it is not worth reading on.
            '#' => return None,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            '<' | '>' if depth == 0 => return side(expr, at),
            '=' | '!' if depth == 0 && expr.get(at + 1..)?.starts_with('=') => return side(expr, at),
            _ => {}
        }
    }
    // The whole may stand in brackets.
    let inner = expr.trim().strip_prefix('(')?.strip_suffix(')')?;
    balanced(inner).then(|| compared(inner)).flatten()
}

fn side(expr: &str, at: usize) -> Option<&str> {
    let side = expr.get(..at)?.trim();
    let usable = !side.is_empty() && ![" and ", " or ", " unless "].iter().any(|word| top_level_has(side, word));
    usable.then_some(side)
}

fn top_level_has(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| text.get(..at).is_some_and(balanced))
}

/// Whether every bracket that opens closes, in order.
fn balanced(text: &str) -> bool {
    let mut depth = 0_i32;
    for letter in text.chars() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compared_value_is_what_stands_left_of_the_first_comparison() {
        for (expr, value) in [
            ("a / b > 0.9", Some("a / b")),
            ("1 - (a{x=\"<\"} / b) >= bool 0.9 and c > 1", Some("1 - (a{x=\"<\"} / b)")),
            ("up == 0", Some("up")),
            ("(up == 0)", Some("up")),
            ("rate(x{a!=\"b\",c=~\"d>\"}[5m]) < 1", Some("rate(x{a!=\"b\",c=~\"d>\"}[5m])")),
            ("absent(up)", None),
            ("a and b > 1", None),
            ("a # > 1", None),
            ("((", None),
            (")", None),
            ("", None),
        ] {
            assert_eq!(compared(expr), value, "{expr}");
        }
    }
}

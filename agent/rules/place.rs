//! From a place inside a YAML scalar's value to the place in the file.
//!
//! A value's characters lie in the file in the same order, with nothing between them but indentation, line
//! ends that folding made spaces, and escapes. So both are walked together, white space aside.

/// `start` is where the scalar stands in `file` (line and column from 1), `inside` a place in `value`.
/// Falls back to `start` when the two do not go together.
pub(crate) fn in_file(
    file: &str,
    start: (usize, usize),
    value: &str,
    inside: (usize, usize),
) -> (usize, usize) {
    walk(file, start, value, inside).unwrap_or(start)
}

fn walk(file: &str, start: (usize, usize), value: &str, inside: (usize, usize)) -> Option<(usize, usize)> {
    let mut cursor = Cursor::at(file, start)?;
    match cursor.peek()? {
        '|' | '>' => cursor.next_line(),
        quote @ ('"' | '\'') if !value.starts_with(quote) => cursor.step(),
        _ => {}
    }
    let wanted = offset(value, inside);
    for (at, letter) in value.char_indices() {
        if letter.is_whitespace() {
            continue;
        }
        while cursor.peek()? != letter {
            cursor.step();
        }
        if at >= wanted {
            return Some((cursor.line, cursor.column));
        }
        cursor.step();
    }
    // Behind the last character: an end that came too soon.
    Some((cursor.line, cursor.column))
}

/// Bytes in front of a place.
fn offset(text: &str, (line, column): (usize, usize)) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let rest = text.get(before..).unwrap_or_default();
    let inside = rest
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(rest.len(), |(at, _)| at);
    before + inside
}

struct Cursor<'a> {
    rest: std::str::Chars<'a>,
    line: usize,
    column: usize,
}

impl<'a> Cursor<'a> {
    fn at(file: &'a str, (line, column): (usize, usize)) -> Option<Self> {
        let at = offset(file, (line, column));
        Some(Self {
            rest: file.get(at..)?.chars(),
            line,
            column,
        })
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn step(&mut self) {
        if self.rest.next() == Some('\n') {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
    }

    fn next_line(&mut self) {
        let line = self.line;
        while self.line == line && self.peek().is_some() {
            self.step();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, start: (usize, usize), value: &str, inside: (usize, usize), expected: &str) {
        let (line, column) = in_file(file, start, value, inside);
        let found: String = file
            .lines()
            .nth(line - 1)
            .unwrap_or_default()
            .chars()
            .skip(column - 1)
            .collect();
        assert!(found.starts_with(expected), "{line}:{column} is {found:?}");
    }

    #[test]
    fn plain_and_quoted_scalars() {
        check("expr: up == bad", (1, 7), "up == bad", (1, 7), "bad");
        check("expr: 'up == bad'", (1, 7), "up == bad", (1, 7), "bad");
        check(
            r#"expr: "up{a=\"b\"} == bad""#,
            (1, 7),
            r#"up{a="b"} == bad"#,
            (1, 14),
            "bad",
        );
        check("expr: up ==\n   bad(", (1, 7), "up == bad(", (1, 7), "bad");
    }

    #[test]
    fn block_scalars() {
        check(
            "expr: |\n    up\n      == bad\n",
            (1, 7),
            "up\n  == bad\n",
            (2, 6),
            "bad",
        );
        check(
            "expr: >-  # why\n    up\n    == bad\n",
            (1, 7),
            "up == bad",
            (1, 7),
            "bad",
        );
    }

    #[test]
    fn an_end_that_came_too_soon_is_behind_the_last_character() {
        assert_eq!(in_file("expr: sum(", (1, 7), "sum(", (1, 5)), (1, 11));
        assert_eq!(in_file("expr: x", (1, 7), "y", (1, 1)), (1, 7));
    }
}

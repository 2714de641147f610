//! Finds a word in the text of an expression: labels and operators have no place of their own in its tree.

use promql::Span;

/// The place of `word` within a part of the text and outside of others; the whole part when it is not found.
pub(super) fn word(text: &str, within: Span, outside: &[Span], word: &str) -> Span {
    nth_word(text, within, outside, word, 0)
}

/// The same, after so many others that are the same.
pub(super) fn nth_word(text: &str, within: Span, outside: &[Span], word: &str, nth: usize) -> Span {
    let mut plain = Vec::new();
    let mut quoted = Vec::new();
    for (start, token) in tokens(within.of(text)) {
        let start = within.start as usize + start;
        let span = Span::new(start, start + token.len());
        let apart = |other: &Span| span.end <= other.start || other.end <= span.start;
        if !outside.iter().all(apart) {
            continue;
        }
        if token == word {
            plain.push(span);
        } else if unquoted(token) == Some(word) {
            quoted.push(span);
        }
    }
    // A value may be the same word as a label; a name in quotes is rare.
    let mut found = plain.into_iter().chain(quoted);
    found.nth(nth).unwrap_or(within)
}

fn unquoted(token: &str) -> Option<&str> {
    let quote = token.chars().next().filter(|letter| "\"'`".contains(*letter))?;
    token.strip_prefix(quote)?.strip_suffix(quote)
}

/// Words, quoted texts and signs, without comments.
fn tokens(text: &str) -> Vec<(usize, &str)> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or_default();
        let length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' | '`' => quoted(rest, first),
            letter if is_word(letter) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            '=' | '!' | '<' | '>' => rest
                .find(|letter| !"=!<>~/".contains(letter))
                .unwrap_or(rest.len()),
            other => other.len_utf8(),
        };
        let token = rest.get(..length).unwrap_or(rest);
        if first != '#' && !first.is_whitespace() {
            found.push((at, token));
        }
        at += token.len().max(1);
    }
    found
}

/// How long a quoted text is, its quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if letter == quote => return at + letter.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: &str, outside: &str, expected: usize) {
        let all = Span::new(0, text.len());
        let outside = text
            .find(outside)
            .map(|start| Span::new(start, start + outside.len()));
        let outside: Vec<Span> = outside.into_iter().filter(|span| span.start < span.end).collect();
        assert_eq!(
            word(text, all, &outside, wanted).start as usize,
            expected,
            "{text}"
        );
    }

    #[test]
    fn words_are_whole_and_neither_quoted_nor_commented_by_chance() {
        check("a{job=\"on job\"} on (job) b", "job", "a{job=\"on job\"}", 20);
        check("sum by (abc, a) (a)", "a", "", 13);
        check("x # job\n{job=\"a\"}", "job", "", 9);
        check("sum by (\"a.b\") (x)", "a.b", "", 8);
        check("a == b", "==", "", 2);
        check("a >= bool 1", ">=", "", 2);
        check("x", "y", "", 0);
        check("x{b=\"a\",a=\"b\"}", "a", "", 8);
        check("\"é\\\"job\" job", "job", "", 10);
    }
}

//! Matchers as people write them in Alertmanager's files, queries and commands: `name="value"`, `a=~b, c!=d`,
//! `{"a name"!="value"}`.
//!
//! Alertmanager reads each text in two ways, an older one and one for all of UTF-8, and where both can read it and
//! differ the older one stands. So the older one is tried first here.

use model::{MatchOp, Matcher};

/// # Errors
/// A sentence in Alertmanager's words.
pub(crate) fn one(text: &str) -> Result<Matcher, String> {
    if text.trim_start().starts_with('{') || text.trim_end().ends_with('}') {
        return Err(format!("unexpected open or close brace: {text}"));
    }
    classic(text).or_else(|why| match modern(text) {
        Some(found) => <[Matcher; 1]>::try_from(found).map(|[one]| one).map_err(|_| why),
        None => Err(why),
    })
}

/// Any number of them, with commas between, in braces or without.
///
/// # Errors
/// A sentence in Alertmanager's words.
pub(crate) fn list(text: &str) -> Result<Vec<Matcher>, String> {
    let parts: Result<Vec<_>, String> = parts(text).iter().map(|part| classic(part)).collect();
    parts.or_else(|why| modern(text).ok_or(why))
}

/// What stands between commas outside of quotes; braces around the whole are left out, a comma at the end too.
fn parts(text: &str) -> Vec<String> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    let (mut quoted, mut escaped) = (false, false);
    let mut parts = Vec::new();
    let mut part = String::new();
    for letter in text.chars() {
        match letter {
            ',' if !quoted => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
        part.push(letter);
    }
    if !part.trim().is_empty() {
        parts.push(part.trim().to_owned());
    }
    parts
}

fn classic(text: &str) -> Result<Matcher, String> {
    let bad = || format!("bad matcher format: {text}");
    let trimmed = text.trim_start();
    let letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || letter == ':';
    let end = trimmed
        .find(|found: char| !letter(found) && !found.is_ascii_digit())
        .unwrap_or(trimmed.len());
    let (name, rest) = trimmed.split_at_checked(end).ok_or_else(bad)?;
    if !name.starts_with(letter) {
        return Err(bad());
    }
    let (op, value) = op(rest.trim_start()).ok_or_else(bad)?;
    Ok(Matcher::new(name, op, &unescaped(value.trim())?))
}

fn op(text: &str) -> Option<(MatchOp, &str)> {
    let known = [
        MatchOp::Matches,
        MatchOp::NotMatches,
        MatchOp::NotEqual,
        MatchOp::Equal,
    ];
    known
        .into_iter()
        .find_map(|op| Some((op, text.strip_prefix(op.text())?)))
}

/// With quotes around it or without; a backslash before another letter than `n`, `"` and itself stands for itself.
fn unescaped(raw: &str) -> Result<String, String> {
    let wrong = || format!("matcher value contains unescaped double quote: {raw}");
    let inner = raw.strip_prefix('"');
    let mut letters = inner.unwrap_or(raw).chars().peekable();
    let mut is_closed = inner.is_none();
    let mut value = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_closed || letters.peek().is_some() => return Err(wrong()),
            '"' => is_closed = true,
            '\\' => match letters.next() {
                Some('n') => value.push('\n'),
                Some(plain @ ('"' | '\\')) => value.push(plain),
                Some(other) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    if is_closed { Ok(value) } else { Err(wrong()) }
}

/// The grammar for names and values of any letters: either may be quoted as in Go, and is without what is reserved
/// where it is not.
fn modern(text: &str) -> Option<Vec<Matcher>> {
    let mut rest = text.trim_start();
    let braced = rest.strip_prefix('{');
    rest = braced.unwrap_or(rest).trim_start();
    let mut found = Vec::new();
    while !rest.is_empty() && !rest.starts_with('}') {
        let (name, after) = word(rest)?;
        let (op, after) = op(after.trim_start())?;
        let (value, after) = word(after.trim_start())?;
        if name.is_empty() {
            return None;
        }
        found.push(Matcher::new(&name, op, &value));
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() || rest.starts_with('}') => break,
            None => return None,
        }
    }
    if braced.is_some() {
        rest = rest.strip_prefix('}')?.trim_start();
    }
    rest.is_empty().then_some(found)
}

fn word(text: &str) -> Option<(String, &str)> {
    const RESERVED: &str = "{}!=~,\\\"'`";
    if text.starts_with('"') {
        let mut escaped = false;
        let end = text.char_indices().skip(1).find(|(_, letter)| {
            let is_end = *letter == '"' && !escaped;
            escaped = *letter == '\\' && !escaped;
            is_end
        });
        let (quoted, rest) = text.split_at_checked(end?.0 + 1)?;
        // Go's escapes are JSON's, and a few that nobody writes in labels.
        return Some((serde_json::from_str(quoted).ok()?, rest));
    }
    let end = text.find(|letter: char| letter.is_whitespace() || RESERVED.contains(letter));
    let (word, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    (!word.is_empty()).then(|| (word.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read_as_amtool_writes_them() {
        for (text, name, op, value) in [
            (r#"a="b""#, "a", MatchOp::Equal, "b"),
            ("a=b", "a", MatchOp::Equal, "b"),
            (r#"a =~ "b|c""#, "a", MatchOp::Matches, "b|c"),
            (r#"a!="\"q\"""#, "a", MatchOp::NotEqual, "\"q\""),
            (r#""a b"!~"é""#, "a b", MatchOp::NotMatches, "é"),
            ("a=", "a", MatchOp::Equal, ""),
            (r"a=\d", "a", MatchOp::Equal, r"\d"),
            ("a=b c", "a", MatchOp::Equal, "b c"),
            ("é=b", "é", MatchOp::Equal, "b"),
        ] {
            assert_eq!(one(text), Ok(Matcher::new(name, op, value)), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_in_alertmanagers_words() {
        for (text, why) in [
            ("foo", "bad matcher format: foo"),
            ("", "bad matcher format: "),
            ("=b", "bad matcher format: =b"),
            (r#"{z="c"}"#, r#"unexpected open or close brace: {z="c"}"#),
            (
                r#"a = "b",z=c"#,
                r#"matcher value contains unescaped double quote: "b",z=c"#,
            ),
        ] {
            assert_eq!(one(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_list_may_stand_in_braces_and_end_with_a_comma() {
        let wanted = [
            Matcher::equal("a", "b, c"),
            Matcher::new("d", MatchOp::NotMatches, "e"),
        ];
        for text in [
            r#"{a="b, c", d!~"e",}"#,
            r#"a="b, c",d!~e"#,
            r#"{"a"="b, c",d!~"e"}"#,
        ] {
            assert_eq!(list(text).as_deref(), Ok(wanted.as_slice()), "{text}");
        }
        assert_eq!(list("{}"), Ok(vec![]));
        assert!(list("{a=b, c}").is_err());
    }
}

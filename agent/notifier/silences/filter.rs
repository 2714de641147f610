//! One matcher as people write it in a query: `name="value"`, `name=~value`, `"a name"!="value"`.

use model::{MatchOp, Matcher};

/// Whatever is said against it is a sentence for who asked.
pub(super) fn read(text: &str) -> Result<Matcher, String> {
    let bad = || format!("bad matcher format: {text}");
    if text.trim_start().starts_with('{') || text.trim_end().ends_with('}') {
        return Err(format!("unexpected open or close brace: {text}"));
    }
    let (name, rest) = name(text.trim()).ok_or_else(bad)?;
    let (op, value) = op(rest.trim_start()).ok_or_else(bad)?;
    let value = match value.trim() {
        quoted if quoted.starts_with('"') => match unquote(quoted) {
            Some((value, "")) => value,
            Some(_) => return Err(format!("matcher value contains unescaped double quote: {quoted}")),
            None => return Err(bad()),
        },
        plain => plain.to_owned(),
    };
    Ok(Matcher::new(&name, op, &value))
}

fn name(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        return unquote(text);
    }
    let end = text.find(|letter: char| letter.is_whitespace() || "=!~,\"'`".contains(letter))?;
    let (name, rest) = text.split_at_checked(end)?;
    (!name.is_empty()).then(|| (name.to_owned(), rest))
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

/// A text between double quotes, and what follows them.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.strip_prefix('"')?.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 2..)?)),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
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
        ] {
            assert_eq!(read(text), Ok(Matcher::new(name, op, value)), "{text}");
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
            assert_eq!(read(text), Err(why.to_owned()), "{text}");
        }
    }
}

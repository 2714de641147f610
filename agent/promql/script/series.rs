//! Series as test files write them: `up{job="a"} 0+1x10 _x3 stale`.

use model::labels::METRIC_NAME;
use model::{Labels, LabelsBuilder, STALE, text};

use crate::lex::{self, Kind, Token};

/// One place in a sequence of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item {
    /// `_`: no sample.
    Missing,
    /// A number, or a stale marker.
    Value(f64),
    /// `{{…}}`: a native histogram.
    Histogram,
}

/// Most values one line may stand for.
const ITEMS_MAX: usize = 1_000_000;

/// A whole line: the label set and its values.
///
/// # Errors
/// What is wrong with it.
pub fn line(line: &str) -> Result<(Labels, Vec<Item>), String> {
    let end = metric_end(line);
    let (metric, rest) = line.split_at(end);
    Ok((labels(metric)?, values(rest)?))
}

/// A label set: `up{job="a"}`, `{"my.metric", a="b"}`, `{}`.
///
/// # Errors
/// What is wrong with it.
pub fn labels(metric: &str) -> Result<Labels, String> {
    let wrong = || format!("{metric:?} is no metric; write for example up{{job=\"a\"}}");
    let tokens = lex::tokens(metric).map_err(|error| format!("{metric:?}: {}", error.message))?;
    let mut tokens = tokens.iter().peekable();
    let mut labels = LabelsBuilder::default();
    if let Some(Token { span, .. }) = tokens.next_if(|token| token.kind == Kind::Word) {
        labels.set(METRIC_NAME, span.of(metric));
    }
    let mut sign = |wanted: &'static str| tokens.next_if(|token| token.kind == Kind::Sign(wanted)).is_some();
    if !sign("{") {
        return match tokens.next() {
            Some(Token { kind: Kind::End, .. }) => Ok(labels.build()),
            _ => Err(wrong()),
        };
    }
    loop {
        let name = match tokens.next() {
            Some(Token {
                kind: Kind::Sign("}"),
                ..
            }) => break,
            Some(Token {
                kind: Kind::Word,
                span,
                ..
            }) => span.of(metric),
            Some(Token {
                kind: Kind::Text { value, .. },
                ..
            }) => {
                let alone = tokens
                    .peek()
                    .is_some_and(|next| matches!(next.kind, Kind::Sign("," | "}")));
                if alone {
                    labels.set(METRIC_NAME, value);
                    tokens.next_if(|token| token.kind == Kind::Sign(","));
                    continue;
                }
                value
            }
            _ => return Err(wrong()),
        };
        let (Some(equals), Some(value)) = (tokens.next(), tokens.next()) else {
            return Err(wrong());
        };
        match (&equals.kind, &value.kind) {
            (Kind::Sign("="), Kind::Text { value, .. }) => labels.set(name, value),
            _ => return Err(wrong()),
        };
        let comma = tokens.next_if(|token| token.kind == Kind::Sign(","));
        let ends = tokens.peek().is_some_and(|token| token.kind == Kind::Sign("}"));
        if comma.is_none() && !ends {
            return Err(wrong());
        }
    }
    match tokens.next() {
        Some(Token { kind: Kind::End, .. }) => Ok(labels.build()),
        _ => Err(wrong()),
    }
}

/// Where the label set at the start of a line ends.
fn metric_end(line: &str) -> usize {
    let (mut quote, mut escaped, mut depth) = (None, false, 0usize);
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (None, '{') => depth += 1,
            (None, '}') if depth <= 1 => return at + 1,
            (None, '}') => depth -= 1,
            // Blanks may stand between a name and its braces.
            (None, _) if letter.is_whitespace() && depth == 0 => {
                let rest = line.get(at..).unwrap_or_default().trim_start();
                if !rest.starts_with('{') || rest.starts_with("{{") {
                    return at;
                }
            }
            _ => {}
        }
    }
    line.len()
}

/// A sequence of values, expanded.
///
/// # Errors
/// What is wrong with it.
pub fn values(text: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = item(rest, &mut items)?.trim_start();
        if items.len() > ITEMS_MAX {
            return Err(format!("more than {ITEMS_MAX} values"));
        }
    }
    Ok(items)
}

/// Reads one item from the start of `text` and returns what follows it.
fn item<'t>(text: &'t str, items: &mut Vec<Item>) -> Result<&'t str, String> {
    if text.starts_with("{{") {
        return histogram(text, items);
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let wrong = || format!("{word:?} is no value; write for example 5, 0+10x5, _, _x3 or stale");
    if word == "stale" {
        items.push(Item::Value(STALE));
        return Ok(rest);
    }
    if let Some(times) = word.strip_prefix('_') {
        let count = if times.is_empty() {
            1
        } else {
            repeats(times).ok_or_else(wrong)?
        };
        items.extend(std::iter::repeat_n(Item::Missing, count));
        return Ok(rest);
    }
    let (first, tail) = number(word).ok_or_else(wrong)?;
    if tail.is_empty() {
        items.push(Item::Value(first));
        return Ok(rest);
    }
    let (step, times) = match tail.strip_prefix(['+', '-']) {
        None => (0.0, tail),
        Some(change) => {
            let unsigned = Some(change).filter(|change| !change.starts_with(['+', '-']));
            let (step, times) = unsigned.and_then(number).ok_or_else(wrong)?;
            (if tail.starts_with('-') { -step } else { step }, times)
        }
    };
    // `Infx5` is one word, and no number.
    if !first.is_finite() && tail.starts_with('x') {
        return Err(wrong());
    }
    let count = repeats(times).ok_or_else(wrong)?;
    let mut value = first;
    items.push(Item::Value(value));
    for _ in 0..count {
        value += step;
        items.push(Item::Value(value));
    }
    Ok(rest)
}

/// `x5`.
fn repeats(text: &str) -> Option<usize> {
    text.strip_prefix('x')?
        .parse()
        .ok()
        .filter(|count| *count <= ITEMS_MAX)
}

/// A number at the start of `text`, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let signed = text.len() - text.strip_prefix(['+', '-']).unwrap_or(text).len();
    let bytes = text.as_bytes();
    let mut end = signed;
    while let Some(byte) = bytes.get(end) {
        let exponent = matches!(byte, b'+' | b'-')
            && end > signed
            && matches!(bytes.get(end - 1), Some(b'e' | b'E'))
            && bytes.get(signed).is_some_and(u8::is_ascii_digit);
        // `1_000`.
        let between = *byte == b'_'
            && bytes
                .get(signed..end)
                .is_some_and(|before| before.last().is_some_and(u8::is_ascii_digit))
            && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        let part = between
            || byte.is_ascii_digit()
            || *byte == b'.'
            || (byte.is_ascii_alphabetic() && *byte != b'x');
        if !part && !exponent {
            break;
        }
        end += 1;
    }
    let (number, rest) = text.split_at(end);
    let plain = number.replace('_', "");
    let value =
        text::float::parse(&plain).or_else(|| plain.eq_ignore_ascii_case("nan").then_some(f64::NAN))?;
    Some((value, rest))
}

/// `{{…}}`, `{{…}}x5`, `{{…}}+{{…}}x5`: as many places as it stands for.
fn histogram<'t>(text: &'t str, items: &mut Vec<Item>) -> Result<&'t str, String> {
    let wrong = || "a native histogram ends with }}".to_owned();
    let mut rest = text;
    loop {
        let end = rest.find("}}").ok_or_else(wrong)?;
        rest = rest.get(end + 2..).unwrap_or_default();
        match rest.strip_prefix(['+', '-']) {
            Some(more) if more.starts_with("{{") => rest = more,
            _ => break,
        }
    }
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (times, rest) = rest.split_at(end);
    let count = if times.is_empty() {
        0
    } else {
        repeats(times).ok_or_else(wrong)?
    };
    items.extend(std::iter::repeat_n(Item::Histogram, count + 1));
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<f64> {
        values(text)
            .unwrap()
            .into_iter()
            .map(|item| match item {
                Item::Value(value) => value,
                _ => -1.0,
            })
            .collect()
    }

    #[test]
    fn sequences_expand() {
        assert_eq!(
            numbers("1 2+3x2 5-1x1 _x2 1e+2 0x1"),
            [1.0, 2.0, 5.0, 8.0, 5.0, 4.0, -1.0, -1.0, 100.0, 0.0, 0.0]
        );
        assert_eq!(
            numbers("-1-2x1 Inf -Inf .5 1_000"),
            [-1.0, -3.0, f64::INFINITY, f64::NEG_INFINITY, 0.5, 1000.0]
        );
        assert!(
            matches!(values("stale NaN").as_deref(), Ok([Item::Value(stale), Item::Value(_)]) if model::is_stale(*stale))
        );
        assert_eq!(
            values("{{schema:0 sum:5}}+{{sum:1}}x2 _"),
            Ok(vec![
                Item::Histogram,
                Item::Histogram,
                Item::Histogram,
                Item::Missing
            ])
        );
        assert!(values("1x").is_err() && values("1+-2x1").is_err() && values("1_").is_err());
        assert!(values("1x99999999999").is_err());
    }

    #[test]
    fn metrics_may_be_quoted() {
        let read = |text: &str| line(text).map(|(labels, items)| (labels.to_string(), items.len()));
        assert_eq!(
            read(r#"up{a="} {", b="c"} 1 2"#),
            Ok((r#"up{a="} {", b="c"}"#.to_owned(), 2))
        );
        assert_eq!(
            read(r#"{"my.metric", "l.n"="v"} 1"#),
            Ok((r#"{"my.metric", "l.n"="v"}"#.to_owned(), 1))
        );
        assert!(read(r#"up{a="b" c="d"} 1"#).is_err());
        assert_eq!(read("{} 1"), Ok(("{}".to_owned(), 1)));
        assert_eq!(read("up {{sum:1}}"), Ok(("up".to_owned(), 1)));
    }
}

//! The functions Prometheus gives its templates.

use std::sync::{Arc, LazyLock};

use model::Point;
use model::text::duration;
use regex::Regex;

use crate::builtin::first;
use crate::error::Problem;
use crate::escape;
use crate::human;
use crate::language::Entry;
use crate::render::Context;
use crate::value::{List, Map, Value};

/// Lists and maps made by functions within each other.
const DEPTH_MAX: u8 = 8;
/// Memory one compiled pattern of a template may take.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

pub(crate) const TABLE: &[Entry] = &[
    ("query", 1, Some(1), query),
    ("first", 1, Some(1), first_sample),
    ("label", 2, Some(2), |_, values| label(values)),
    ("value", 1, Some(1), |_, values| {
        sample(first(values)).map(|(_, value)| value)
    }),
    ("strvalue", 1, Some(1), |_, values| {
        sample(first(values)).map(|(labels, _)| label_of(&labels, "__value__"))
    }),
    ("sortByLabel", 2, Some(2), sort_by_label),
    ("args", 0, None, args),
    ("match", 2, Some(2), matches),
    ("reReplaceAll", 3, Some(3), replace_all),
    ("safeHtml", 1, Some(1), |_, values| {
        text(values, 0).map(Value::Text)
    }),
    ("title", 1, Some(1), |_, values| {
        Ok(title(&text(values, 0)?).into())
    }),
    ("toUpper", 1, Some(1), |_, values| {
        Ok(upper(&text(values, 0)?).into())
    }),
    ("toLower", 1, Some(1), |_, values| {
        Ok(lower(&text(values, 0)?).into())
    }),
    ("graphLink", 1, Some(1), |_, values| {
        Ok(link(&text(values, 0)?, 0).into())
    }),
    ("tableLink", 1, Some(1), |_, values| {
        Ok(link(&text(values, 0)?, 1).into())
    }),
    ("stripPort", 1, Some(1), |_, values| {
        Ok(Value::text(strip_port(&text(values, 0)?)))
    }),
    ("stripDomain", 1, Some(1), |_, values| {
        Ok(strip_domain(&text(values, 0)?).into())
    }),
    ("humanize", 1, Some(1), |_, values| {
        Ok(human::humanize(number(values)?).into())
    }),
    ("humanize1024", 1, Some(1), |_, values| {
        Ok(human::humanize_1024(number(values)?).into())
    }),
    ("humanizeDuration", 1, Some(1), |_, values| {
        Ok(human::humanize_duration(number(values)?).into())
    }),
    ("humanizePercentage", 1, Some(1), |_, values| {
        Ok(human::humanize_percentage(number(values)?).into())
    }),
    ("humanizeTimestamp", 1, Some(1), |_, values| {
        Ok(human::humanize_timestamp(number(values)?)?.into())
    }),
    ("toTime", 1, Some(1), |_, values| {
        Ok(human::timestamp(number(values)?)?.into())
    }),
    ("toDuration", 1, Some(1), |_, values| {
        Ok(Value::Duration((number(values)? * 1e9) as i64))
    }),
    ("now", 0, Some(0), |context, _| Ok(context.now.seconds().into())),
    ("parseDuration", 1, Some(1), |_, values| {
        Ok(duration::parse(&text(values, 0)?)?.as_secs_f64().into())
    }),
    ("externalURL", 0, Some(0), |context, _| {
        Ok(Value::text(context.external_url))
    }),
    ("pathPrefix", 0, Some(0), |context, _| {
        Ok(Value::text(path_of(context.external_url)))
    }),
    ("urlQueryEscape", 1, Some(1), |_, values| {
        Ok(escape::url_query(&text(values, 0)?).into())
    }),
];

pub(crate) fn number(values: &[Value]) -> Result<f64, Problem> {
    human::number(first(values)).map_err(Problem::Wrong)
}

pub(crate) fn text(values: &[Value], nth: usize) -> Result<Arc<str>, Problem> {
    match values.get(nth) {
        Some(Value::Text(text)) => Ok(Arc::clone(text)),
        other => {
            let got = other.map_or("nothing", Value::type_name);
            Err(format!("wrong type for value; expected string; got {got}").into())
        }
    }
}

fn query(context: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let expr = text(values, 0)?;
    match (context.queries)(&expr) {
        None => Err(Problem::Unanswered(expr.to_string())),
        Some(Err(why)) => Err(Problem::Wrong(why)),
        Some(Ok(points)) => Ok(samples(points.iter().map(of_point).collect())),
    }
}

fn samples(items: Vec<Value>) -> Value {
    Value::List(Arc::new(List {
        items,
        type_name: "template.queryResult",
        ..List::default()
    }))
}

fn of_point(point: &Point) -> Value {
    let fields = vec![
        ("Labels", Value::labels(&point.labels)),
        ("Value", Value::Float(point.value)),
    ];
    Value::record("template.sample", fields)
}

/// Labels and value of a sample.
fn sample(value: &Value) -> Result<(Value, Value), Problem> {
    let found = match value {
        Value::Record(record) => record.get("Labels").zip(record.get("Value")),
        _ => None,
    };
    found
        .map(|(labels, value)| (labels.clone(), value.clone()))
        .ok_or_else(|| {
            format!(
                "wrong type for value; expected a sample; got {}",
                value.type_name()
            )
            .into()
        })
}

fn label_of(labels: &Value, name: &str) -> Value {
    match labels {
        Value::Map(map) => map.entries.get(name).unwrap_or(&map.zero).clone(),
        _ => Value::text(""),
    }
}

fn label(values: &[Value]) -> Result<Value, Problem> {
    let name = text(values, 0)?;
    let (labels, _) = sample(values.get(1).unwrap_or(&Value::Nil))?;
    Ok(label_of(&labels, &name))
}

fn vector(value: &Value) -> Result<&[Value], Problem> {
    match value {
        Value::List(list) => Ok(&list.items),
        other => Err(format!(
            "wrong type for value; expected a vector; got {}",
            other.type_name()
        )
        .into()),
    }
}

fn first_sample(_: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let items = vector(first(values))?;
    let found = items.first().cloned();
    found.ok_or_else(|| "first() called on vector with no elements".into())
}

fn sort_by_label(_: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let name = text(values, 0)?;
    let mut keyed = Vec::new();
    for item in vector(values.get(1).unwrap_or(&Value::Nil))? {
        let (labels, _) = sample(item)?;
        let key = match label_of(&labels, &name) {
            Value::Text(key) => key,
            _ => "".into(),
        };
        keyed.push((key, item.clone()));
    }
    keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(samples(keyed.into_iter().map(|(_, item)| item).collect()))
}

/// Of what is made of these.
pub(crate) fn deeper(values: &[Value]) -> Result<u8, Problem> {
    let depth = values.iter().map(Value::depth).max().unwrap_or_default() + 1;
    if depth > DEPTH_MAX {
        return Err(format!("lists and maps within each other, more than {DEPTH_MAX} deep").into());
    }
    Ok(depth)
}

fn args(_: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let depth = deeper(values)?;
    let numbered = values.iter().enumerate();
    Ok(Value::Map(Arc::new(Map {
        entries: numbered
            .map(|(nth, value)| (format!("arg{nth}").into(), value.clone()))
            .collect(),
        depth,
        ..Map::default()
    })))
}

fn pattern(text: &str) -> Result<Regex, Problem> {
    let pattern = regex::RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES_MAX)
        .build();
    pattern.map_err(|error| format!("regular expression {text:?}: {error}").into())
}

pub(crate) fn matches(_: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let pattern = pattern(&text(values, 0)?)?;
    Ok(pattern.is_match(&text(values, 1)?).into())
}

pub(crate) fn replace_all(context: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let (pattern, by, text) = (pattern(&text(values, 0)?)?, text(values, 1)?, text(values, 2)?);
    // Every place may grow by the replacement, which may repeat the whole text a few times.
    let places = pattern.find_iter(&text).count() + 1;
    if places.saturating_mul(by.len() + text.len()) > 64 * context.limits.bytes {
        return Err("the replaced text would be too long".into());
    }
    Ok(pattern.replace_all(&text, &*by).into_owned().into())
}

/// Letter by letter, as Go's `strings.ToUpper`: `ß` stays what it is.
pub(crate) fn upper(text: &str) -> String {
    let letters = text.chars().map(|letter| {
        let mut upper = letter.to_uppercase();
        upper.next().filter(|_| upper.next().is_none()).unwrap_or(letter)
    });
    letters.collect()
}

/// As Go's `strings.ToLower`.
pub(crate) fn lower(text: &str) -> String {
    text.chars()
        .filter_map(|letter| letter.to_lowercase().next())
        .collect()
}

/// As Prometheus' `title`: the first letter of every word is raised, the others stay. `it's` and `a.b` are one word,
/// `a..b` and `a-b` are two.
pub(crate) fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut is_in_word = false;
    let mut was_mark = false;
    for letter in text.chars() {
        let is_mark = MARKS.contains(letter);
        if was_mark && is_mark {
            is_in_word = false;
        }
        let has_case = letter.is_lowercase() || letter.is_uppercase();
        if has_case && !is_in_word {
            let mut upper = letter.to_uppercase();
            titled.extend(upper.next());
            titled.extend(upper.flat_map(char::to_lowercase));
        } else {
            titled.push(letter);
        }
        is_in_word = match has_case {
            true => true,
            false => is_in_word && (is_mark || is_of_word(letter)),
        };
        was_mark = is_mark;
    }
    titled
}

/// One of these between two letters leaves them one word.
const MARKS: &str = "'.:\u{b7}\u{387}՟״‘’․‧︓﹒﹕＇．：";

/// Neither has a case nor ends a word, after Unicode's word boundaries.
fn is_of_word(letter: char) -> bool {
    static OTHERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"[\p{M}\p{Nd}\p{Pc}\p{Alphabetic}--[\p{Ideographic}\p{Hiragana}]]").ok()
    });
    if letter.is_ascii() {
        return letter.is_ascii_alphanumeric() || letter == '_';
    }
    let mut bytes = [0; 4];
    OTHERS
        .as_ref()
        .is_some_and(|others| others.is_match(letter.encode_utf8(&mut bytes)))
}

/// Where an expression is shown: as a graph (0) or a table (1).
fn link(expr: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", escape::url_query(expr))
}

/// Path and query of the page that shows an expression as a table, as in Prometheus.
#[must_use]
pub fn table_link(expr: &str) -> String {
    link(expr, 1)
}

/// Host and port, if there is a port; an address of IPv6 stands in brackets.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    if let Some(inside) = host.strip_prefix('[') {
        return inside.strip_suffix(']').map(|host| (host, port));
    }
    (!host.contains([':', '[', ']'])).then_some((host, port))
}

fn strip_port(text: &str) -> &str {
    split_port(text).map_or(text, |(host, _)| host)
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_port(text).unwrap_or((text, ""));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    if port.is_empty() {
        name.to_owned()
    } else {
        format!("{name}:{port}")
    }
}

/// The path of a URL, without a slash at its end.
fn path_of(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    behind
        .find('/')
        .and_then(|at| behind.get(at..))
        .unwrap_or_default()
        .trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_port_and_domain() {
        let ports = [
            ("a.b:80", "a.b"),
            ("a.b", "a.b"),
            ("[::1]:80", "::1"),
            ("::1", "::1"),
            ("[::1]", "[::1]"),
        ];
        for (text, host) in ports {
            assert_eq!(strip_port(text), host);
        }
        let domains = [
            ("a.b.c:80", "a:80"),
            ("a.b.c", "a"),
            ("1.2.3.4:80", "1.2.3.4:80"),
            ("1.2.3.4", "1.2.3.4"),
            ("[::1]:80", "[::1]:80"),
        ];
        for (text, host) in domains {
            assert_eq!(strip_domain(text), host);
        }
    }

    #[test]
    fn titles_raise_the_first_letter_of_each_word() {
        let cases = [
            (
                "foo.bar foo:bar foo-bar foo/bar foo_bar",
                "Foo.bar Foo:bar Foo-Bar Foo/Bar Foo_bar",
            ),
            (
                "1abc abc1def hELLO it's 'foo' a''b",
                "1Abc Abc1def HELLO It's 'Foo' A''B",
            ),
            ("élan ß a,b a;b 1,2a 1.a", "Élan Ss A,B A;B 1,2A 1.A"),
            (
                "a:9é a..b a.'b x²y e\u{301}a b中c a1,2b",
                "A:9é A..B A.'B X²Y E\u{301}a B中C A1,2B",
            ),
        ];
        for (text, titled) in cases {
            assert_eq!(title(text), titled);
        }
    }

    #[test]
    fn links_escape_the_expression() {
        assert_eq!(
            link("up{a=\"b c\"} > 1", 1),
            "/graph?g0.expr=up%7Ba%3D%22b+c%22%7D+%3E+1&g0.tab=1"
        );
    }

    #[test]
    fn the_path_of_an_address_is_its_prefix() {
        assert_eq!(path_of("http://a:9464/x/y/"), "/x/y");
        assert_eq!(path_of("http://a:9464"), "");
        assert_eq!(path_of(""), "");
    }
}

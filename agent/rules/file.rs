//! A rule file as it is written, key by key as Prometheus reads it; objectives in short form beside.

use std::fmt;
use std::time::Duration;

use model::text::duration;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use yaml::{Spanned, null_default};

use crate::group::OnMissing;
use crate::slo::Slo;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    #[serde(deserialize_with = "items")]
    pub(crate) groups: Vec<Spanned<Group>>,
    /// Objectives, which become groups of rules.
    #[serde(deserialize_with = "null_default")]
    pub(crate) slos: Vec<Spanned<Slo>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Group {
    /// Unique in the file.
    #[serde(deserialize_with = "null_default")]
    pub(crate) name: Option<Spanned<String>>,
    /// Time between evaluations.
    #[serde(deserialize_with = "null_default")]
    pub(crate) interval: Option<Spanned<Span>>,
    /// Data this much older is asked for, for sources that come late.
    #[serde(deserialize_with = "null_default")]
    pub(crate) query_offset: Option<Span>,
    /// Most alerts or series one rule may give; 0 is no limit.
    #[serde(deserialize_with = "whole")]
    pub(crate) limit: i64,
    /// For all rules that do not set the label themselves.
    #[serde(deserialize_with = "null_default")]
    pub(crate) labels: Pairs,
    /// Not in Prometheus: for all alerting rules that do not set it themselves.
    #[serde(deserialize_with = "null_default")]
    pub(crate) on_missing: Option<OnMissing>,
    #[serde(deserialize_with = "items")]
    pub(crate) rules: Vec<Spanned<Rule>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rule {
    #[serde(deserialize_with = "null_default")]
    pub(crate) record: Option<Spanned<String>>,
    #[serde(deserialize_with = "null_default")]
    pub(crate) alert: Option<Spanned<String>>,
    #[serde(deserialize_with = "null_default")]
    pub(crate) expr: Option<Spanned<String>>,
    #[serde(rename = "for", deserialize_with = "null_default")]
    pub(crate) hold: Option<Spanned<Span>>,
    #[serde(deserialize_with = "null_default")]
    pub(crate) keep_firing_for: Option<Spanned<Span>>,
    /// Not in Prometheus: M of N, instead of `for`.
    #[serde(deserialize_with = "null_default")]
    pub(crate) datapoints: Option<Spanned<Datapoints>>,
    /// Not in Prometheus.
    #[serde(deserialize_with = "null_default")]
    pub(crate) on_missing: Option<OnMissing>,
    #[serde(deserialize_with = "null_default")]
    pub(crate) labels: Pairs,
    #[serde(deserialize_with = "null_default")]
    pub(crate) annotations: Pairs,
}

/// Both are needed; a mistake in them is told with its place.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Datapoints {
    /// In at least so many it was true.
    pub(crate) m: u32,
    /// Of so many evaluations.
    pub(crate) n: u32,
}

/// A duration as Prometheus writes it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Span(#[serde(deserialize_with = "duration::deserialize")] pub(crate) Duration);

/// Names and values in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Pairs(pub(crate) Vec<(Spanned<String>, Spanned<String>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of names to values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) =
                    map.next_entry::<Spanned<String>, Option<Spanned<String>>>()?
                {
                    // Nothing after a name is no text.
                    let none = || Spanned::new(String::new(), name.referenced, name.defined);
                    let value = value.unwrap_or_else(none);
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Those of a list that are there: Prometheus passes over an empty one.
fn items<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let items: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(items.into_iter().flatten().flatten().collect())
}

/// A whole number, or what lies before the point of another one, as in Prometheus.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Number;
    impl Visitor<'_> for Number {
        type Value = i64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number")
        }
        fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
            Ok(number)
        }
        fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
            i64::try_from(number).map_err(|_| E::custom(format!("{number} is too large")))
        }
        fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
            if number.abs() < i64::MAX as f64 {
                Ok(number as i64)
            } else {
                Err(E::custom(format!("{number} is too large")))
            }
        }
        fn visit_unit<E: Error>(self) -> Result<i64, E> {
            Ok(0)
        }
    }
    deserializer.deserialize_any(Number)
}

/// Only the first document of a file is read, as in Prometheus. Returns it, and whether there was more.
pub(crate) fn first_document(text: &str) -> (&str, bool) {
    let mut begun = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let is_at = |marker: &str| {
            let rest = line.strip_prefix(marker);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        };
        let marker = is_at("---");
        if begun && (marker || is_at("...")) {
            let rest = text.get(at + line.len()..).unwrap_or_default();
            let first = text.get(..at).unwrap_or(text);
            return (first, marker || !is_blank(rest));
        }
        let trimmed = line.trim();
        let is_idle = trimmed.is_empty() || trimmed.starts_with(['#', '%']);
        begun |= marker || !is_idle;
        at += line.len();
    }
    (text, false)
}

fn is_blank(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    lines.all(|line| line.is_empty() || line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_document_is_read() {
        let cases = [
            ("a: 1\n", "a: 1\n", false),
            ("---\na: 1\n", "---\na: 1\n", false),
            ("# x\n---\na: 1\n--- \nb: 2\n", "# x\n---\na: 1\n", true),
            ("a: |\n  ---\n", "a: |\n  ---\n", false),
            ("%YAML 1.2\n---\na: 1\n", "%YAML 1.2\n---\na: 1\n", false),
            ("a: 1\n...\n# end\n", "a: 1\n", false),
            ("a: 1\n...\nb: [\n", "a: 1\n", true),
            ("a: 1\n---\tb\n", "a: 1\n", true),
        ];
        for (text, first, more) in cases {
            assert_eq!(first_document(text), (first, more), "{text:?}");
        }
    }
}

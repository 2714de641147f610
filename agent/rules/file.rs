//! A rule file as it is written, key by key as Prometheus reads it; objectives in short form beside.

use std::fmt;
use std::time::Duration;

use model::text::duration;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use yaml::{Spanned, null_default};

use crate::group::OnMissing;
use crate::slo::Slo;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    #[serde(deserialize_with = "null_default")]
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
    #[serde(deserialize_with = "null_default")]
    pub(crate) limit: i64,
    /// For all rules that do not set the label themselves.
    #[serde(deserialize_with = "null_default")]
    pub(crate) labels: Pairs,
    /// Not in Prometheus: for all alerting rules that do not set it themselves.
    #[serde(deserialize_with = "null_default")]
    pub(crate) on_missing: Option<OnMissing>,
    #[serde(deserialize_with = "null_default")]
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
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Only the first document of a file is read, as in Prometheus. Returns it, and whether there was more.
pub(crate) fn first_document(text: &str) -> (&str, bool) {
    let mut begun = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let marker = line.trim_end() == "---" || line.starts_with("--- ");
        if marker && begun {
            return (text.get(..at).unwrap_or(text), true);
        }
        let trimmed = line.trim();
        begun |= marker || !(trimmed.is_empty() || trimmed.starts_with('#'));
        at += line.len();
    }
    (text, false)
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
        ];
        for (text, first, more) in cases {
            assert_eq!(first_document(text), (first, more), "{text:?}");
        }
    }
}

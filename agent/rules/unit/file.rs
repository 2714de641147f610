//! A test file as it is written, key by key as promtool reads it.

use std::collections::BTreeMap;
use std::fmt;

use model::Timestamp;
use model::text::float;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use yaml::{Spanned, null_default};

use crate::file::Span;

/// Names and values; a value that is left out is the empty one.
pub(super) type Pairs = BTreeMap<String, Option<String>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    /// Patterns, from the folder of this file.
    #[serde(deserialize_with = "null_default")]
    pub(super) rule_files: Vec<Spanned<String>>,
    /// Time between evaluations, and the step of subqueries that name none; 1m.
    #[serde(deserialize_with = "null_default")]
    pub(super) evaluation_interval: Option<Span>,
    /// Groups in the order in which they are evaluated.
    #[serde(deserialize_with = "null_default")]
    pub(super) group_eval_order: Vec<Spanned<String>>,
    /// Whether a number next to the expected one counts as equal.
    #[serde(deserialize_with = "null_default")]
    pub(super) fuzzy_compare: bool,
    /// Not in promtool: whether groups run at their own `interval`.
    #[serde(deserialize_with = "null_default")]
    pub(super) use_group_interval: bool,
    /// Not in promtool: a routing file in Alertmanager's form, from the folder of this file, for `exp_receivers`.
    #[serde(deserialize_with = "null_default")]
    pub(super) routing_file: Option<Spanned<String>>,
    #[serde(deserialize_with = "null_default")]
    pub(super) tests: Vec<Spanned<Test>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Test {
    #[serde(deserialize_with = "null_default")]
    pub(super) name: String,
    /// Time between the values of `input_series`.
    #[serde(deserialize_with = "null_default")]
    pub(super) interval: Option<Span>,
    /// When the test begins; every `eval_time` counts from there.
    #[serde(deserialize_with = "null_default")]
    pub(super) start_timestamp: Option<Start>,
    #[serde(deserialize_with = "null_default")]
    pub(super) input_series: Vec<Spanned<Input>>,
    #[serde(deserialize_with = "null_default")]
    pub(super) external_labels: Pairs,
    #[serde(deserialize_with = "null_default")]
    pub(super) external_url: String,
    #[serde(deserialize_with = "null_default")]
    pub(super) alert_rule_test: Vec<Spanned<AlertTest>>,
    #[serde(deserialize_with = "null_default")]
    pub(super) promql_expr_test: Vec<Spanned<ExprTest>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Input {
    #[serde(deserialize_with = "null_default")]
    pub(super) series: Option<Spanned<String>>,
    #[serde(deserialize_with = "null_default")]
    pub(super) values: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AlertTest {
    #[serde(deserialize_with = "null_default")]
    pub(super) eval_time: Option<Span>,
    #[serde(deserialize_with = "null_default")]
    pub(super) alertname: String,
    /// All that fire; left out, none may.
    #[serde(deserialize_with = "null_default")]
    pub(super) exp_alerts: Vec<Spanned<Expected>>,
    /// Not in promtool: all that are pending; left out, they are not looked at.
    #[serde(deserialize_with = "null_default")]
    pub(super) exp_pending: Option<Vec<Spanned<Expected>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expected {
    #[serde(deserialize_with = "null_default")]
    pub(super) exp_labels: Pairs,
    #[serde(deserialize_with = "null_default")]
    pub(super) exp_annotations: Pairs,
    /// Not in promtool: whether the alert may have labels and annotations beside these.
    #[serde(deserialize_with = "null_default")]
    pub(super) partial: bool,
    /// Not in promtool: the receivers that are told of it, by `routing_file`.
    #[serde(deserialize_with = "null_default")]
    pub(super) exp_receivers: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExprTest {
    #[serde(deserialize_with = "null_default")]
    pub(super) expr: String,
    #[serde(deserialize_with = "null_default")]
    pub(super) eval_time: Option<Span>,
    #[serde(deserialize_with = "null_default")]
    pub(super) exp_samples: Vec<Spanned<Sample>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sample {
    #[serde(deserialize_with = "null_default")]
    pub(super) labels: String,
    #[serde(deserialize_with = "null_default")]
    pub(super) value: Number,
    #[serde(deserialize_with = "null_default")]
    pub(super) histogram: Option<Spanned<String>>,
}

/// A number as YAML 1.1 writes it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Number(pub(super) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, .inf or .nan")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                number(text).map(Number).ok_or_else(|| {
                    E::custom(format!(
                        "not a number: {text:?}; write for example 1.5, .inf or .nan"
                    ))
                })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

fn number(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    let digits = plain.trim_start_matches(['+', '-']);
    let sign = if plain.starts_with('-') { -1.0 } else { 1.0 };
    if plain.len() > digits.len() + 1 {
        return None;
    }
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let bases = [("0x", 16), ("0X", 16), ("0b", 2), ("0o", 8), ("0", 8)];
    let whole = bases.iter().find_map(|(prefix, base)| {
        let rest = digits.strip_prefix(prefix)?;
        u64::from_str_radix(rest, *base).ok()
    });
    if let Some(whole) = whole {
        return Some(sign * whole as f64);
    }
    // Rust reads words, too, which YAML does not.
    let is_number = digits.contains(|letter: char| letter.is_ascii_digit())
        && digits
            .chars()
            .all(|letter| letter.is_ascii_digit() || ".eE+-".contains(letter));
    is_number.then(|| plain.parse().ok()).flatten()
}

/// Seconds since 1970, or a time in RFC 3339.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start(pub(super) Timestamp);

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Time;
        impl Visitor<'_> for Time {
            type Value = Start;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970 or a time such as 2026-01-31T06:00:00Z")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Start, E> {
                start(text).ok_or_else(|| {
                    E::custom(format!(
                        "not a time: {text:?}; write seconds since 1970 or for example 2026-01-31T06:00:00Z"
                    ))
                })
            }
        }
        deserializer.deserialize_str(Time)
    }
}

fn start(text: &str) -> Option<Start> {
    if let Some(seconds) = float::parse(text) {
        // Beyond this a double no longer tells milliseconds apart.
        let is_time = (seconds * 1000.0).abs() < 2f64.powi(53);
        return is_time.then(|| Start(Timestamp::from_seconds(seconds)));
    }
    // jiff reads more than RFC 3339, and this is the letter that others leave out.
    let time = text.contains('T').then(|| text.parse::<jiff::Timestamp>().ok());
    Some(Start(Timestamp(time.flatten()?.as_millisecond())))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_yamls() {
        for (text, value) in [
            ("2", 2.0),
            ("-.5e1", -5.0),
            ("+1_000.", 1000.0),
            ("0x1F", 31.0),
            ("-0o17", -15.0),
            ("010", 8.0),
            ("09", 9.0),
            ("0", 0.0),
            ("1e-3", 0.001),
            ("-.inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["Inf", "nan", "", ".", "--1", "1x", "e5"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert!(number(".nan").is_some_and(f64::is_nan));
    }
}

//! Entries of `logs.metrics`: which lines are counted, under which name.

use std::collections::BTreeMap;

use model::Level;
use serde::Deserialize;

use super::label::Label;
use crate::plan::Match;

/// One entry of `logs.metrics`: a series on `/metrics` that lines make.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Of the metric, for example `shop_payments_failed_total`.
    pub name: String,
    /// What it says to people.
    #[serde(default)]
    pub help: String,
    /// `counter` counts lines, or adds up `value`; `histogram` sorts `value` into `buckets`.
    #[serde(default, rename = "type")]
    pub kind: Kind,
    /// The lines it is about; all, when it says nothing. As in `logs.filters`.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// Only lines of this level and graver ones.
    #[serde(default)]
    pub level: Option<Level>,
    /// Only lines that this regular expression finds something in; its named groups are fields.
    #[serde(default)]
    pub text: Option<String>,
    /// The field that is added up or sorted. A line in which it is no number is not counted.
    #[serde(default)]
    pub value: Option<String>,
    /// Upper bounds of a histogram's buckets, rising.
    #[serde(default = "buckets")]
    pub buckets: Vec<f64>,
    /// Labels and what they say: text in which `{namespace}`, `{pod}`, `{container}`, `{stream}`, `{level}`, `{file}` and
    /// `{fields.name}` stand for what the line has.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Series of it at most. One that has not been counted for 15 minutes makes room; else lines of new ones are not counted.
    #[serde(default = "series_max")]
    pub series_max: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Counter,
    Histogram,
}

fn series_max() -> usize {
    1_000
}

/// Prometheus' own, for seconds.
fn buckets() -> Vec<f64> {
    prometheus::DEFAULT_BUCKETS.to_vec()
}

impl Config {
    /// What is wrong with it, each a sentence that begins with the key.
    pub(crate) fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !is_name(&self.name, ":_") {
            wrong.push(format!(
                "name: {:?} is not the name of a metric: letters, digits and '_', no digit in front",
                self.name
            ));
        }
        if self.name.starts_with("skopos_") {
            wrong.push("name: skopos_ is in front of what the agent says of itself; take another".to_owned());
        }
        for (name, said) in &self.labels {
            if !is_name(name, "_") || name.starts_with("__") {
                wrong.push(format!(
                    "labels: {name:?} is not the name of a label: letters, digits and '_', no digit and not '__' in front"
                ));
            }
            if ["le", "job", "instance"].contains(&name.as_str()) {
                wrong.push(format!("labels: {name:?} is set by others; take another"));
            }
            wrong.extend(Label::new(said).err().map(|why| format!("labels.{name}: {why}")));
        }
        let built = self.text.as_deref().map(super::rule::regex);
        wrong.extend(built.and_then(Result::err).map(|why| format!("text: {why}")));
        if self.kind == Kind::Histogram && self.value.is_none() {
            wrong.push("value: missing; a histogram sorts the numbers of a field".to_owned());
        }
        let rises = self.buckets.is_sorted_by(|left, right| left < right);
        if self.buckets.is_empty() || !rises || self.buckets.iter().any(|bound| bound.is_nan()) {
            wrong.push("buckets: not a rising list of numbers".to_owned());
        }
        if !(1..=100_000).contains(&self.series_max) {
            wrong.push("series_max: not between 1 and 100000".to_owned());
        }
        wrong.extend(self.matches.check());
        wrong
    }
}

/// A name as Prometheus has it, with these signs besides letters and digits.
fn is_name(name: &str, signs: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || signs.contains(letter);
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        for (json, want) in [
            (r#"{"name": "a-b"}"#, "name: \"a-b\" is not"),
            (r#"{"name": "9a"}"#, "name: \"9a\" is not"),
            (r#"{"name": "skopos_x"}"#, "take another"),
            (r#"{"name": "a", "labels": {"le": "x"}}"#, "set by others"),
            (
                r#"{"name": "a", "labels": {"x-y": "x"}}"#,
                "not the name of a label",
            ),
            (
                r#"{"name": "a", "labels": {"x": "{pot}"}}"#,
                "labels.x: there is no {pot}",
            ),
            (
                r#"{"name": "a", "labels": {"x": "{pod"}}"#,
                "labels.x: a { is not closed",
            ),
            (r#"{"name": "a", "text": "("}"#, "text: unclosed group"),
            (r#"{"name": "a", "type": "histogram"}"#, "value: missing"),
            (r#"{"name": "a", "buckets": [1, 1]}"#, "buckets: not a rising"),
            (r#"{"name": "a", "series_max": 0}"#, "series_max"),
            (r#"{"name": "a", "match": {"path": "x"}}"#, "not an absolute path"),
        ] {
            let config: Config = serde_json::from_str(json).unwrap();
            let wrong = config.check();
            assert!(
                wrong.iter().any(|sentence| sentence.contains(want)),
                "{json}: {wrong:?}"
            );
        }
        let whole = r#"{"name": "a_total", "labels": {"ns": "{namespace}", "to": "x-{fields.to}"}}"#;
        assert!(serde_json::from_str::<Config>(whole).unwrap().check().is_empty());
    }
}

//! Entries of `logs.filters`: which lines they are about, and what is done with those.

use std::collections::BTreeMap;
use std::fmt;

use model::Pod;
use regex::bytes::RegexBuilder;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Rate, Way, Whose};
use crate::glob::{Glob, name_matches};
use crate::multiline::Mode;
use crate::parse::Parser;

/// Longest compiled pattern; what needs more would not be quick.
const PROGRAM_BYTES_MAX: usize = 1 << 20;

/// One entry of `logs.filters`. What it leaves out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// The lines it is about; all, when it says nothing.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Whether they are left out. They are counted as dropped, with the reason `excluded`.
    pub exclude: Option<bool>,
    /// How they are read: `auto`, `text`, `json`, `logfmt`, `klog`, `access` (also as `nginx` and `apache`), `alb`, or one of
    /// `logs.parsers`. By default `auto`.
    pub parser: Option<String>,
    /// `auto` joins stack traces to the line above them, `none` nothing. By default `auto`.
    pub multiline: Option<Joining>,
    /// A regular expression: a line that matches begins a record, and those up to the next such line belong to it.
    pub multiline_start: Option<String>,
    /// The share of lines below `warn` that are kept, 0 to 1. The rest is dropped, with the reason `sampled`.
    pub sample: Option<f64>,
    /// Lines a second that a source may have, by the times in its lines. The rest is dropped, with the reason `limited`.
    pub rate: Option<u32>,
    /// How many lines may come at once, where `rate` is set. By default what ten seconds may bring.
    pub burst: Option<u32>,
}

/// All that is said has to be so; of a list, one of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Names of containers' namespaces, with `*`, `?` and `[a-z]`; of Docker's containers it is Compose's project.
    pub namespace: Globs,
    pub pod: Globs,
    pub container: Globs,
    /// Absolute paths of log files; `**` stands for any depth of folders.
    pub path: Globs,
    /// Only lines that a container has written there.
    pub stream: Option<Stream>,
    /// Labels of the pod, where pods are known, or of Docker's container: all of these.
    pub labels: BTreeMap<String, Globs>,
    /// Likewise annotations of the pod.
    pub annotations: BTreeMap<String, Globs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Joining {
    Auto,
    None,
}

/// One glob, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs(Vec<String>);

impl<'de> Deserialize<'de> for Globs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Globs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a glob such as shop-*, or a list of globs")
            }
            fn visit_str<E>(self, text: &str) -> Result<Globs, E> {
                Ok(Globs(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Globs, A::Error> {
                let mut globs = Vec::new();
                while let Some(glob) = list.next_element()? {
                    globs.push(glob);
                }
                Ok(Globs(globs))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl Globs {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn matches(&self, name: &str) -> bool {
        let mut globs = self.0.iter();
        globs.any(|glob| name_matches(glob.as_bytes(), name.as_bytes()))
    }
}

impl Match {
    pub(crate) fn is_of<'a>(&self, whose: &Whose<'a>, pod: Option<&'a Pod>) -> bool {
        let names = [
            (&self.namespace, whose.namespace),
            (&self.pod, whose.pod),
            (&self.container, whose.container),
        ];
        let is_label = |(key, globs): (&String, &Globs)| {
            let value = whose.label(pod, key);
            value.is_some_and(|value| globs.matches(value))
        };
        let is_annotation = |(key, globs): (&String, &Globs)| {
            let value = pod.and_then(|pod| pod.annotations.get(key));
            value.is_some_and(|value| globs.matches(value))
        };
        names
            .iter()
            .all(|(globs, name)| globs.is_empty() || name.is_some_and(|name| globs.matches(name)))
            && (self.path.is_empty() || self.path.0.iter().any(|glob| Glob::new(glob).matches(whose.path)))
            && self.labels.iter().all(is_label)
            && self.annotations.iter().all(is_annotation)
    }

    /// What is wrong with it, each a sentence that begins with the key of what it is in.
    pub(crate) fn check(&self) -> Vec<String> {
        let wrong = self.path.0.iter().filter(|glob| !glob.starts_with('/'));
        wrong
            .map(|glob| format!("match.path: {glob:?} is not an absolute path"))
            .collect()
    }

    /// Streams are numbered as records number them.
    pub(crate) fn is_of_stream(&self, stream: usize) -> bool {
        match self.stream {
            None => true,
            Some(Stream::Stdout) => stream == 1,
            Some(Stream::Stderr) => stream == 2,
        }
    }
}

impl Filter {
    pub(super) fn apply(&self, way: &mut Way, parsers: &BTreeMap<String, Parser>) {
        if let Some(exclude) = self.exclude {
            way.is_excluded = exclude;
        }
        if let Some(parser) = self.parser.as_ref().and_then(|name| parser(name, parsers)) {
            way.parser = parser;
        }
        match self.multiline {
            Some(Joining::Auto) => way.mode = Mode::Auto,
            Some(Joining::None) => way.mode = Mode::None,
            None => {}
        }
        if let Some(Ok(start)) = self.multiline_start.as_deref().map(start) {
            way.mode = start;
        }
        if let Some(threshold) = self.sample.and_then(threshold) {
            way.sample = Some(threshold);
        }
        if let Some(lines) = self.rate {
            way.rate = Some(Rate::new(lines, self.burst));
        }
    }

    /// What is wrong with it, each a sentence that begins with the key. `names` are those of `logs.parsers`.
    pub(crate) fn check(&self, parsers: &BTreeMap<String, Parser>) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(name) = &self.parser
            && parser(name, parsers).is_none()
        {
            wrong.push(unknown_parser("parser", name, parsers));
        }
        if self.multiline.is_some() && self.multiline_start.is_some() {
            wrong.push("multiline_start: does not go with multiline; leave one of them out".to_owned());
        }
        if let Some(Err(why)) = self.multiline_start.as_deref().map(start) {
            wrong.push(format!("multiline_start: {why}"));
        }
        if self.sample.is_some_and(|share| threshold(share).is_none()) {
            wrong.push("sample: is not between 0 and 1".to_owned());
        }
        if self.rate == Some(0) {
            wrong.push("rate: is 0; to leave lines out, set exclude".to_owned());
        }
        if self.burst.is_some() && self.rate.is_none() {
            wrong.push("burst: without rate it does nothing".to_owned());
        }
        if self.burst == Some(0) {
            wrong.push("burst: is 0, and so no line would be kept".to_owned());
        }
        wrong.extend(self.matches.check());
        let does = self.exclude.is_some()
            || self.parser.is_some()
            || self.multiline.is_some()
            || self.multiline_start.is_some()
            || self.sample.is_some()
            || self.rate.is_some();
        if !does {
            wrong.push(
                "does nothing: give it exclude, parser, multiline, multiline_start, sample or rate"
                    .to_owned(),
            );
        }
        wrong
    }
}

/// One that comes along, or of the configuration.
pub(super) fn parser(name: &str, parsers: &BTreeMap<String, Parser>) -> Option<Parser> {
    parsers.get(name).cloned().or_else(|| Parser::named(name))
}

pub(super) fn unknown_parser(key: &str, name: &str, parsers: &BTreeMap<String, Parser>) -> String {
    let own: Vec<&str> = parsers.keys().map(String::as_str).collect();
    let own = match own.as_slice() {
        [] => "none is in logs.parsers".to_owned(),
        names => format!("in logs.parsers: {}", names.join(", ")),
    };
    format!(
        "{key}: there is no parser {name:?}; there are {}, and {own}",
        Parser::NAMES
    )
}

/// Of 2^32 so many.
pub(super) fn threshold(share: f64) -> Option<u32> {
    // The largest is all of them but one in four thousand million.
    let is_share = (0.0..=1.0).contains(&share);
    is_share.then_some((share * 4_294_967_296.0) as u32)
}

fn start(pattern: &str) -> Result<Mode, String> {
    let built = RegexBuilder::new(pattern).size_limit(PROGRAM_BYTES_MAX).build();
    built.map(Mode::Start).map_err(|error| crate::redact::why(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        for (json, want) in [
            (r#"{"parser": "jsn"}"#, "parser: there is no parser \"jsn\""),
            (r#"{"multiline_start": "("}"#, "multiline_start: unclosed group"),
            (
                r#"{"multiline": "none", "multiline_start": "x"}"#,
                "does not go with multiline",
            ),
            (r#"{"sample": 1.5}"#, "sample: is not between 0 and 1"),
            (r#"{"rate": 0}"#, "set exclude"),
            (r#"{"burst": 5, "exclude": false}"#, "burst: without rate"),
            (
                r#"{"match": {"path": "a.log"}, "exclude": true}"#,
                "not an absolute path",
            ),
            (r#"{"match": {"pod": "a"}}"#, "does nothing"),
        ] {
            let filter: Filter = serde_json::from_str(json).unwrap();
            let wrong = filter.check(&BTreeMap::new());
            assert!(
                wrong.iter().any(|sentence| sentence.contains(want)),
                "{json}: {wrong:?}"
            );
        }
        let filter: Filter =
            serde_json::from_str(r#"{"match": {"pod": ["a", "b*"]}, "sample": 0.1}"#).unwrap();
        assert!(filter.check(&BTreeMap::new()).is_empty());
        assert!(serde_json::from_str::<Filter>(r#"{"match": {"pod": 3}}"#).is_err());
        assert!(serde_json::from_str::<Filter>(r#"{"match": {"pods": "a"}}"#).is_err());
    }
}

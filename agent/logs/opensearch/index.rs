//! Names of indices: a front, a part of the pod's namespace where asked for, and the day of the line.
//!
//! The day is that of the line's own time, so that a line sent again goes to the index it is in already.

use std::fmt;

use model::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::days::day_of;
use crate::sink::civil::civil;

const NAMESPACE: &str = "{namespace}";
/// OpenSearch takes 255 bytes; the day and a namespace of 63 must fit in.
const FRONT_BYTES_MAX: usize = 128;

/// What stands before the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexName(String);

impl Default for IndexName {
    fn default() -> Self {
        Self("logs-skopos".to_owned())
    }
}

impl<'de> Deserialize<'de> for IndexName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(D::Error::custom)
    }
}

impl IndexName {
    /// # Errors
    /// A sentence that says what OpenSearch would not take.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let bare = text.replacen(NAMESPACE, "", 1);
        let fit =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_.".contains(letter);
        if text.len() > FRONT_BYTES_MAX {
            return Err(format!(
                "index name {text:?} is longer than {FRONT_BYTES_MAX} bytes"
            ));
        }
        if bare.contains(['{', '}']) {
            return Err(format!(
                "index name {text:?}: {NAMESPACE}, once, is all that is filled in"
            ));
        }
        if text.starts_with(NAMESPACE)
            || !bare.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        {
            return Err(format!(
                "index name {text:?} does not begin with a small letter or a digit"
            ));
        }
        if !bare.chars().all(fit) {
            return Err(format!(
                "index name {text:?} is not of small letters, digits, '-', '_' and '.'"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whatever name comes out of it matches this.
    pub(crate) fn pattern(&self) -> String {
        let front = self
            .0
            .split_once(NAMESPACE)
            .map_or(self.0.as_str(), |(front, _)| front);
        format!("{front}{}*", if front.ends_with('-') { "" } else { "-" })
    }

    /// Of data streams, which have no day in their names.
    pub(crate) fn stream_patterns(&self) -> Vec<String> {
        match self.0.split_once(NAMESPACE) {
            Some((front, rest)) => vec![format!("{front}*{rest}")],
            None => vec![self.0.clone()],
        }
    }

    /// Fit for a name of the template and the policy.
    pub(crate) fn stem(&self) -> String {
        let front = self
            .0
            .split_once(NAMESPACE)
            .map_or(self.0.as_str(), |(front, _)| front);
        front.trim_end_matches(['-', '_', '.']).to_owned()
    }

    /// With the namespace filled in, and still without the day.
    pub(crate) fn of(&self, namespace: &str) -> String {
        let namespace = if namespace.is_empty() { "host" } else { namespace };
        self.0.replacen(NAMESPACE, namespace, 1)
    }
}

/// `-yyyy.MM.dd` in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Day(i64);

impl Day {
    /// For names without one.
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn of(time: Timestamp) -> Self {
        Self(day_of(time))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0);
        write!(f, "{year:04}.{month:02}.{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_opensearch_takes() {
        for good in ["logs", "logs-skopos", "logs-{namespace}", "a.b_c-{namespace}-x"] {
            assert!(IndexName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "_a",
            ".a",
            "Logs",
            "a b",
            "a{pod}",
            "{namespace}",
            "{namespace}-{namespace}",
            "a/b",
            "é",
        ] {
            assert!(IndexName::new(bad).is_err(), "{bad}");
        }
        assert!(IndexName::new(&"a".repeat(129)).is_err());
    }

    #[test]
    fn every_name_matches_its_pattern() {
        let name = IndexName::new("logs-{namespace}").unwrap();
        assert_eq!(
            (name.pattern().as_str(), name.stem().as_str()),
            ("logs-*", "logs")
        );
        assert_eq!(name.of("kube-system"), "logs-kube-system");
        assert_eq!(name.of(""), "logs-host");
        assert_eq!(IndexName::default().pattern(), "logs-skopos-*");
    }

    #[test]
    fn a_day_is_that_of_utc() {
        assert_eq!(Day::of(Timestamp(-1)).to_string(), "1969.12.31");
    }
}

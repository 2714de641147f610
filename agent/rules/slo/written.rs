//! Objectives as a person writes them, key by key.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use yaml::{Spanned, null_default};

use crate::file::{Pairs, Span};

/// How good something has to be, and how that is counted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Slo {
    /// Label `slo` of all that comes of it. Unique.
    #[serde(deserialize_with = "null_default")]
    pub(crate) name: Option<Spanned<String>>,
    /// How many of 100 events have to be good: 99.9.
    #[serde(deserialize_with = "null_default")]
    pub(crate) objective: Option<Spanned<Number>>,
    /// Over how long. The windows of the alerts are scaled with it.
    #[serde(deserialize_with = "null_default")]
    pub(crate) window: Option<Spanned<Span>>, // window: 30d
    /// All events: a counter, or an expression with `[$window]`.
    #[serde(deserialize_with = "null_default")]
    pub(crate) total: Option<Spanned<String>>,
    /// The good ones of them; or else
    #[serde(deserialize_with = "null_default")]
    pub(crate) good: Option<Spanned<String>>,
    /// the bad ones.
    #[serde(deserialize_with = "null_default")]
    pub(crate) errors: Option<Spanned<String>>,
    /// Counters are summed up by these labels; each of their values has a budget of its own.
    #[serde(deserialize_with = "null_default")]
    pub(crate) by: Vec<Spanned<String>>,
    /// No alert while its longer window has fewer events than this, or so few that one error alone would fire. 0: no
    /// such guard.
    #[serde(deserialize_with = "null_default")]
    pub(crate) min_traffic: Option<Spanned<Number>>,
    /// Of the alerts.
    #[serde(deserialize_with = "null_default")]
    pub(crate) labels: Pairs,
    /// Of the alerts; beside, or in the place of, a summary and a description.
    #[serde(deserialize_with = "null_default")]
    pub(crate) annotations: Pairs,
    #[serde(deserialize_with = "null_default")]
    pub(crate) severities: Severities,
}

/// Said as a person needs it where it is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(pub(crate) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer).map(Self);
        number.map_err(|_| D::Error::custom("a number is needed here, with nothing behind it: 99.9"))
    }
}

/// Label `severity` of the two alerts; an empty one leaves the alert out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Severities {
    /// The budget is gone within days.
    pub(crate) fast: String, // fast: critical
    /// It is gone before the window ends.
    pub(crate) slow: String, // slow: warning
}

impl Default for Severities {
    fn default() -> Self {
        Self {
            fast: "critical".to_owned(),
            slow: "warning".to_owned(),
        }
    }
}

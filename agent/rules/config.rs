//! How rules are evaluated, as far as a rule file does not say.

use std::time::Duration;

use model::Labels;
use model::text::duration;
use serde::Deserialize;

use crate::datasource;

/// Section `rules`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether the rules that come with Skopos are evaluated, beside those of `rule_files`.
    pub shipped: bool,
    /// How often a firing alert is said again to the notifier, and a resolved one for 15 minutes.
    #[serde(deserialize_with = "duration::deserialize")]
    pub resend_delay: Duration, // resend_delay: 1m
    /// A pending alert goes on with its `for` after a restart if it was seen this recently; after a longer
    /// outage it begins anew. A firing one is always taken up again.
    #[serde(deserialize_with = "duration::deserialize")]
    pub outage_tolerance: Duration, // outage_tolerance: 1h
    /// Longest one expression may take; its rule then fails and its alerts stay as they are.
    #[serde(deserialize_with = "duration::deserialize")]
    pub query_timeout: Duration, // query_timeout: 2m
    /// Where rules ask, in the place of the samples kept here.
    pub datasource: Option<datasource::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shipped: true,
            resend_delay: Duration::from_secs(60),
            outage_tolerance: Duration::from_secs(3600),
            query_timeout: Duration::from_secs(120),
            datasource: None,
        }
    }
}

/// What the whole agent says: section `global`, and the address of the page.
#[derive(Clone, Debug)]
pub struct Options {
    pub config: Config,
    /// For groups without an `interval`.
    pub evaluation_interval: Duration,
    /// For groups without a `query_offset`.
    pub query_offset: Duration,
    /// Added to what is sent, where the alert has no such label.
    pub external_labels: Labels,
    /// As the page is reached from outside, without a slash at the end.
    pub external_url: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Config::default(),
            evaluation_interval: Duration::from_secs(15),
            query_offset: Duration::ZERO,
            external_labels: Labels::empty(),
            external_url: String::new(),
        }
    }
}

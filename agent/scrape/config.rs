//! `scrape_configs`, in Prometheus' words, as far as this room follows them.

use std::collections::BTreeMap;
use std::time::Duration;

use model::discovery::ObjectTargets;
use model::text::duration;
use net::HttpConfig;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::text::Format;

/// What holds for every target unless its section says otherwise; the hall fills it from `global`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    pub scrape_interval: Duration,
    pub scrape_timeout: Duration,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(15),
            scrape_timeout: Duration::from_secs(10),
        }
    }
}

net::http_keys! {
    /// Targets that are read alike.
    pub struct ScrapeConfig {
        /// Label `job` of every series. No two sections have the same.
        pub job_name: String,
        #[serde(deserialize_with = "duration::deserialize_some")]
        pub scrape_interval: Option<Duration>,
        /// At most the interval.
        #[serde(deserialize_with = "duration::deserialize_some")]
        pub scrape_timeout: Option<Duration>,
        pub metrics_path: String,
        /// `http` or `https`.
        pub scheme: String,
        /// Appended to the URL.
        pub params: BTreeMap<String, Vec<String>>,
        /// Whether a label of the body stands where the target has one of that name, too; else it becomes
        /// `exported_…`.
        pub honor_labels: bool,
        /// Whether times in the body are kept.
        pub honor_timestamps: bool,
        pub static_configs: Vec<StaticConfig>,
        /// Targets that are found among the objects of the cluster.
        pub kubernetes_sd_configs: Vec<ObjectTargets>,
        /// Rules over the labels of targets, those that begin with `__` included, before they are scraped.
        pub relabel_configs: Vec<relabel::Config>,
        /// Rules over the labels of series, after those of their target have been added; limits count what is left.
        pub metric_relabel_configs: Vec<relabel::Config>,
        /// Targets that `relabel_configs` drop of which the labels are kept to be shown; 0 is all.
        pub keep_dropped_targets: Option<usize>,
        /// More samples than this fail the scrape; 0 is no limit.
        pub sample_limit: usize,
        /// A series with more labels fails the scrape; 0 is no limit, here and below.
        pub label_limit: usize,
        /// In bytes.
        pub label_name_length_limit: usize,
        /// In bytes.
        pub label_value_length_limit: usize,
        /// Longest body, unpacked; 0 is 64 MiB.
        #[serde(deserialize_with = "size")]
        pub body_size_limit: usize, // body_size_limit: 10MB
        /// How to read a body whose `Content-Type` does not say; without it the scrape fails.
        pub fallback_scrape_protocol: Option<Protocol>,
        /// What makes metrics text of a body that is none. No file names it: whoever finds such targets does.
        #[serde(skip)]
        pub translation: Option<Translation>,
    }
}

impl Default for ScrapeConfig {
    fn default() -> Self {
        Self {
            job_name: String::new(),
            scrape_interval: None,
            scrape_timeout: None,
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            params: BTreeMap::new(),
            honor_labels: false,
            honor_timestamps: true,
            static_configs: Vec::new(),
            kubernetes_sd_configs: Vec::new(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
            keep_dropped_targets: None,
            sample_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            body_size_limit: 0,
            fallback_scrape_protocol: None,
            translation: None,
            http: HttpConfig::default(),
        }
    }
}

/// Reads a body of another language; two of the same name are the same.
#[derive(Clone, Copy, Debug)]
pub struct Translation {
    pub name: &'static str,
    /// The body in Prometheus' text format, or a sentence that says why it cannot be read.
    pub read: fn(&[u8]) -> Result<Vec<u8>, String>,
}

impl PartialEq for Translation {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StaticConfig {
    /// `host:port` each.
    pub targets: Vec<String>,
    /// On every series of these targets.
    pub labels: BTreeMap<String, String>,
}

/// Formats by Prometheus' names. Its protobuf is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Protocol {
    #[serde(rename = "PrometheusText0.0.4")]
    Text004,
    #[serde(rename = "PrometheusText1.0.0")]
    Text100,
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetrics001,
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetrics100,
    #[serde(rename = "PrometheusProto")]
    Proto,
}

impl Protocol {
    pub(crate) fn format(self) -> Format {
        match self {
            Self::OpenMetrics001 | Self::OpenMetrics100 => Format::OpenMetrics,
            Self::Text004 | Self::Text100 | Self::Proto => Format::Text,
        }
    }
}

/// `10MB`, `512KiB` or a number of bytes; both spellings of a unit count in 1024s, as in Prometheus.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = usize;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a size such as 10MB or 512KiB")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
            parse_size(text).ok_or_else(|| E::custom(format!("not a size: {text:?}; write for example 10MB")))
        }
        fn visit_u64<E: Error>(self, bytes: u64) -> Result<usize, E> {
            usize::try_from(bytes).map_err(E::custom)
        }
        fn visit_i64<E: Error>(self, bytes: i64) -> Result<usize, E> {
            usize::try_from(bytes).map_err(|_| E::custom("a size is not negative"))
        }
    }
    deserializer.deserialize_any(Text)
}

fn parse_size(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let scale = match unit {
        "" | "B" => 0,
        "KB" | "KiB" => 10,
        "MB" | "MiB" => 20,
        "GB" | "GiB" => 30,
        "TB" | "TiB" => 40,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(1 << scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_count_in_1024s() {
        assert_eq!(parse_size("10MB"), Some(10 << 20));
        assert_eq!(parse_size("512KiB"), Some(512 << 10));
        assert_eq!(parse_size("7"), Some(7));
        for text in ["", "MB", "1.5MB", "-1", "10mb", "99999999999TB", "1 MB"] {
            assert_eq!(parse_size(text), None, "{text:?}");
        }
    }
}

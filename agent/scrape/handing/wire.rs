//! What an agent is told of a target, in the form of Prometheus' HTTP service discovery: a group with one target and its labels after
//! relabelling. What labels do not say stands in one label of ours, which whoever does not know it drops like all `__meta_…`.
//!
//! Nothing in it names a file or holds a secret, and whoever reads it takes nothing that could: what an agent shows of itself is not for
//! others to say.

use std::collections::BTreeMap;

use model::{Labels, LabelsBuilder};
use net::{HttpConfig, TlsConfig};
use serde::{Deserialize, Serialize};

use crate::config::{Protocol, ScrapeConfig};

const SETTINGS: &str = "__meta_skopos_settings";
/// Labels of a target that say how it is read.
const KEPT: [&str; 5] = [
    "__address__",
    "__scheme__",
    "__metrics_path__",
    "__scrape_interval__",
    "__scrape_timeout__",
];
const PARAM: &str = "__param_";
/// The pod that a target is of, by its UID: with it gone the target is, too.
pub(crate) const POD: &str = "__meta_skopos_pod";

/// A group of HTTP service discovery.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    targets: Vec<String>,
    labels: BTreeMap<String, String>,
}

/// How a target is read, as far as its labels do not say it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) job_name: String,
    /// The label `node` gives way to that of a series.
    pub(crate) is_node_added: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) params: BTreeMap<String, Vec<String>>,
    pub(crate) honor_labels: bool,
    pub(crate) honor_timestamps: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) metric_relabel_configs: Vec<relabel::Config>,
    pub(crate) sample_limit: usize,
    pub(crate) label_limit: usize,
    pub(crate) label_name_length_limit: usize,
    pub(crate) label_value_length_limit: usize,
    pub(crate) body_size_limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fallback_scrape_protocol: Option<Protocol>,
    pub(crate) follow_redirects: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    pub(crate) server_name: Option<String>,
    pub(crate) insecure_skip_verify: bool,
    pub(crate) min_version: Option<String>,
    pub(crate) max_version: Option<String>,
}

impl Settings {
    pub(crate) fn of(config: &ScrapeConfig, is_node_added: bool) -> Self {
        let tls = config.http.tls_config.as_ref().map(|tls| Tls {
            server_name: tls.server_name.clone(),
            insecure_skip_verify: tls.insecure_skip_verify,
            min_version: tls.min_version.clone(),
            max_version: tls.max_version.clone(),
        });
        Self {
            job_name: config.job_name.clone(),
            is_node_added,
            params: config.params.clone(),
            honor_labels: config.honor_labels,
            honor_timestamps: config.honor_timestamps,
            metric_relabel_configs: config.metric_relabel_configs.clone(),
            sample_limit: config.sample_limit,
            label_limit: config.label_limit,
            label_name_length_limit: config.label_name_length_limit,
            label_value_length_limit: config.label_value_length_limit,
            body_size_limit: config.body_size_limit,
            fallback_scrape_protocol: config.fallback_scrape_protocol,
            follow_redirects: config.http.follow_redirects,
            tls,
        }
    }

    /// The section that a target with these settings is of.
    pub(crate) fn section(&self) -> ScrapeConfig {
        let tls_config = self.tls.as_ref().map(|tls| TlsConfig {
            server_name: tls.server_name.clone(),
            insecure_skip_verify: tls.insecure_skip_verify,
            min_version: tls.min_version.clone(),
            max_version: tls.max_version.clone(),
            ..TlsConfig::default()
        });
        ScrapeConfig {
            job_name: self.job_name.clone(),
            params: self.params.clone(),
            honor_labels: self.honor_labels,
            honor_timestamps: self.honor_timestamps,
            metric_relabel_configs: self.metric_relabel_configs.clone(),
            sample_limit: self.sample_limit,
            label_limit: self.label_limit,
            label_name_length_limit: self.label_name_length_limit,
            label_value_length_limit: self.label_value_length_limit,
            body_size_limit: self.body_size_limit,
            fallback_scrape_protocol: self.fallback_scrape_protocol,
            http: HttpConfig {
                follow_redirects: self.follow_redirects,
                tls_config,
                ..HttpConfig::default()
            },
            ..ScrapeConfig::default()
        }
    }
}

/// A target of this pod, if it is of one, with these labels after relabelling, as an agent is told of it.
pub(crate) fn entry(labels: &Labels, pod: &str, settings: &Settings) -> String {
    let is_told = |name: &str| !name.starts_with("__") || KEPT.contains(&name) || name.starts_with(PARAM);
    let told = labels
        .iter()
        .filter(|(name, _)| is_told(name) && *name != "__address__");
    let mut all: BTreeMap<String, String> = told
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // Strings, numbers and lists of them: writing these cannot fail.
    let settings = serde_json::to_string(settings).unwrap_or_default();
    all.insert(SETTINGS.to_owned(), settings);
    if !pod.is_empty() {
        all.insert(POD.to_owned(), pod.to_owned());
    }
    let group = Group {
        targets: vec![labels.value("__address__").to_owned()],
        labels: all,
    };
    serde_json::to_string(&group).unwrap_or_default()
}

/// Labels and settings of a target, or why it cannot be read.
pub(crate) type Read = Result<(Labels, Settings), String>;

/// Labels and settings of each target of a list; of one that cannot be read, why.
///
/// # Errors
/// The whole is no list.
pub(crate) fn read(list: &[u8]) -> Result<Vec<Read>, String> {
    let groups: Vec<Group> = serde_json::from_slice(list).map_err(|error| error.to_string())?;
    Ok(groups.into_iter().map(target).collect())
}

fn target(mut group: Group) -> Read {
    let [address] = &group.targets[..] else {
        return Err("it is not one target".to_owned());
    };
    let settings = group.labels.remove(SETTINGS);
    let settings = settings.ok_or_else(|| format!("{address}: nothing is said of how it is read"))?;
    let settings = serde_json::from_str(&settings).map_err(|error| format!("{address}: {error}"))?;
    let mut labels = LabelsBuilder::default();
    for (name, value) in &group.labels {
        labels.set(name, value);
    }
    labels.set("__address__", address);
    Ok((labels.build(), settings))
}

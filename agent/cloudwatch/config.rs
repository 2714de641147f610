//! Section `cloudwatch`: what of AWS is watched, and for how much.

use std::collections::BTreeMap;
use std::time::Duration;

use model::signature::{Account, Keys, Role};
use net::{Secret, is_http, without_secrets};
use serde::Deserialize;

use crate::catalogue::{Entry, Metric};
use crate::inventory::Part;
use crate::inventory::operations::Service;
use crate::inventory::queue::Queue;
use crate::names;

/// Metrics of CloudWatch. Nothing is bought before `enabled` says so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether CloudWatch is asked at all. Who we are, and the region, are found in AWS' usual places (see `aws`).
    pub enabled: bool, // enabled: false
    /// What may be spent in a calendar month (UTC), in dollars. It is never passed: what only dashboards show is asked for
    /// less often first, what wakes people last. 0 is no limit.
    pub max_usd_per_month: f64,
    /// Regions; left out: the one that the environment names.
    pub regions: Vec<String>,
    /// Accounts; left out: the one that our credentials belong to.
    pub accounts: Vec<AccountConfig>,
    /// What is watched, of `rds`, `elasticache`, `kafka`, `elb`, `network`, `ebs`, `ec2`, `autoscaling`; left out: all of it.
    pub services: Vec<String>,
    /// Only what has these tags is watched: each a key and a regular expression for its whole value.
    pub only_tags: BTreeMap<String, String>,
    /// Tags that become labels (`tag_<key>`) of the info metrics.
    pub tags: Vec<String>,
    /// What is asked for besides what rules and dashboards use.
    pub metrics: Vec<Wanted>,
    /// Metrics that the catalogue does not know.
    pub namespaces: Vec<Namespace>,
    /// What only the owner knows of a resource, as series that rules compare with.
    pub capacities: Vec<Capacity>,
    /// URL of a queue of SQS in which EventBridge puts what EC2 announces of instances: spot interruptions, rebalance
    /// recommendations, scheduled changes, changes of state. It has to be ours alone: what is read is deleted.
    pub interruption_queue: String,
    /// How often what is there is described. It costs nothing.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub discover_interval: Duration, // discover_interval: 5m
    /// How often is looked for tags, and for topics, consumer groups and others that are found by their metrics.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub list_interval: Duration, // list_interval: 1h
    /// How often what only dashboards show is asked for; at once, too, when somebody looks.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub pages_interval: Duration, // pages_interval: 1h
    /// How old a minute is when CloudWatch no longer changes it. Until then it is asked for again, for nothing, and may change.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub settled_after: Duration, // settled_after: 15m
    /// How far back is asked at the start.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub back_fill: Duration, // back_fill: 3h
    /// Addresses in place of AWS' own (PrivateLink, a proxy), by service: `monitoring`, `rds`, `elasticache`, `kafka`,
    /// `elasticloadbalancing`, `tagging`, `ec2`, `autoscaling`, `sts`, `servicequotas`, `health`, `sqs`.
    pub endpoints: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            max_usd_per_month: 50.0,
            regions: Vec::new(),
            accounts: Vec::new(),
            services: Vec::new(),
            only_tags: BTreeMap::new(),
            tags: Vec::new(),
            metrics: Vec::new(),
            namespaces: Vec::new(),
            capacities: Vec::new(),
            interruption_queue: String::new(),
            discover_interval: Duration::from_secs(300),
            list_interval: Duration::from_secs(3_600),
            pages_interval: Duration::from_secs(3_600),
            settled_after: Duration::from_secs(900),
            back_fill: Duration::from_secs(3 * 3_600),
            endpoints: BTreeMap::new(),
        }
    }
}

/// An account that is watched as somebody of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountConfig {
    /// Keys that do not expire; both or none.
    pub access_key: String,
    pub secret_key: Secret,
    /// A profile of AWS' own files, in place of all usual places.
    pub profile: String,
    /// A role that is taken on, with those credentials or whatever AWS' usual places hold; left out: none.
    pub role_arn: String,
    /// What the owner of that role wants to hear.
    pub external_id: String,
    /// Regions, in place of `cloudwatch.regions`.
    pub regions: Vec<String>,
}

/// Series that are asked for though nobody is known to use them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// The name of the series, as YACE has it: `aws_rds_cpuutilization_average`.
    pub name: String,
    /// Only of these, by label: `dimension_DBInstanceIdentifier: orders`.
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub interval: Duration, // interval: 5m
}

/// Metrics of a namespace, under one set of dimensions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Namespace {
    pub namespace: String,
    /// Names of the dimensions that a series has, and no other.
    pub dimensions: Vec<String>,
    /// Names of metrics, and what is asked of each: `Average`, `Maximum`, `Minimum`, `Sum`, `SampleCount`, `p99`.
    pub metrics: BTreeMap<String, Vec<String>>,
    /// How often; left out: only as rules and dashboards want them.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub interval: Duration,
}

/// A number of the owner's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capacity {
    /// `aws_applicationelb_capacity_requests_per_second`, `aws_kafka_broker_capacity_bytes_per_second`, or any other that begins
    /// with `aws_`.
    pub name: String,
    /// Which resources: their labels, each a regular expression for the whole value.
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Config {
    /// What is wrong with it, each a sentence that begins with the key.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !(self.max_usd_per_month.is_finite() && self.max_usd_per_month >= 0.0) {
            wrong.push("max_usd_per_month: is no sum of money; 0 is no limit".to_owned());
        }
        let known: Vec<&str> = Part::ALL.iter().map(|part| part.service()).collect();
        for service in &self.services {
            if !known.contains(&service.as_str()) {
                let mut known = known.clone();
                known.dedup();
                wrong.push(format!("services: {service:?} is none of {}", known.join(", ")));
            }
        }
        for (service, url) in &self.endpoints {
            if !Service::ALL.iter().any(|known| known.word() == service) {
                let known: Vec<&str> = Service::ALL.iter().map(|known| known.word()).collect();
                wrong.push(format!("endpoints: {service:?} is none of {}", known.join(", ")));
            }
            if !is_http(url) {
                let shown = without_secrets(url);
                wrong.push(format!(
                    "endpoints.{service}: not an http:// or https:// URL: {shown:?}"
                ));
            }
        }
        if !self.interruption_queue.is_empty() && self.queue().is_none() {
            wrong.push(format!(
                "interruption_queue: {:?} is no URL of a queue (https://sqs.<region>.amazonaws.com/<account>/<name>)",
                without_secrets(&self.interruption_queue)
            ));
        }
        for (key, interval, least) in [
            ("discover_interval", self.discover_interval, 60),
            ("list_interval", self.list_interval, 300),
            ("pages_interval", self.pages_interval, 300),
            ("settled_after", self.settled_after, 180),
            ("back_fill", self.back_fill, 900),
        ] {
            if interval < Duration::from_secs(least) {
                wrong.push(format!("{key}: less than {least}s"));
            }
        }
        if self.settled_after > Duration::from_secs(3_600) {
            wrong.push("settled_after: more than 1h; so many changeable points are not kept".to_owned());
        }
        for (number, account) in self.accounts.iter().enumerate() {
            if account.access_key.is_empty() != account.secret_key.is_empty() {
                wrong.push(format!(
                    "accounts[{number}]: access_key and secret_key: both or none"
                ));
            }
            if !account.role_arn.is_empty() && !account.role_arn.starts_with("arn:") {
                wrong.push(format!(
                    "accounts[{number}].role_arn: {:?} is no ARN",
                    account.role_arn
                ));
            }
        }
        let patterns = self
            .only_tags
            .iter()
            .map(|(key, value)| (format!("only_tags.{key}"), value));
        let capacities = self.capacities.iter().enumerate().flat_map(|(number, capacity)| {
            let labels = capacity.labels.iter();
            labels.map(move |(label, value)| (format!("capacities[{number}].labels.{label}"), value))
        });
        for (key, pattern) in patterns.chain(capacities) {
            if let Err(error) = regex::Regex::new(&anchored(pattern)) {
                wrong.push(format!("{key}: {error}"));
            }
        }
        for (number, capacity) in self.capacities.iter().enumerate() {
            if !capacity.name.starts_with("aws_") {
                let name = &capacity.name;
                wrong.push(format!(
                    "capacities[{number}].name: {name:?} does not begin with aws_"
                ));
            }
        }
        let catalogue = crate::catalogue::Catalogue::with(&self.entries());
        for (number, wanted) in self.metrics.iter().enumerate() {
            if catalogue.find(&wanted.name).is_empty() {
                wrong.push(format!(
                    "metrics[{number}].name: {}",
                    self.unknown(&catalogue, &wanted.name)
                ));
            }
        }
        for (number, namespace) in self.namespaces.iter().enumerate() {
            if namespace.namespace.is_empty() || namespace.metrics.is_empty() {
                wrong.push(format!("namespaces[{number}]: needs namespace and metrics"));
            }
        }
        wrong
    }

    fn unknown(&self, catalogue: &crate::catalogue::Catalogue, name: &str) -> String {
        let names: Vec<String> = catalogue.names().collect();
        let near = model::complaint::nearest(name, names.iter().map(String::as_str));
        let hint = near
            .map(|near| format!("; did you mean {near}?"))
            .unwrap_or_default();
        format!("{name:?} is no metric of the catalogue or of cloudwatch.namespaces{hint}")
    }

    /// What it adds to the catalogue.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let entries = self.namespaces.iter().map(|added| Entry {
            resource: "listed".into(),
            namespace: added.namespace.as_str().into(),
            dimensions: added.dimensions.iter().map(|name| name.as_str().into()).collect(),
            lag: Duration::from_secs(120),
            metrics: added
                .metrics
                .iter()
                .map(|(name, statistics)| {
                    let metric = Metric {
                        statistics: statistics
                            .iter()
                            .map(|statistic| statistic.as_str().into())
                            .collect(),
                        unit: "none".into(),
                        ..Metric::default()
                    };
                    (name.as_str().into(), metric)
                })
                .collect(),
        });
        entries.collect()
    }

    /// Whether a part of what is there is described.
    #[must_use]
    pub fn watches(&self, part: Part) -> bool {
        self.services.is_empty() || self.services.iter().any(|service| service == part.service())
    }

    /// Each account with its regions; a region that is not named is the environment's.
    #[must_use]
    pub fn places(&self) -> Vec<(Account, Vec<String>)> {
        if self.accounts.is_empty() {
            return vec![(Account::default(), self.regions.clone())];
        }
        let accounts = self.accounts.iter().map(|account| {
            let role = (!account.role_arn.is_empty()).then(|| Role {
                arn: account.role_arn.clone(),
                external_id: (!account.external_id.is_empty()).then(|| account.external_id.clone()),
                by_fips: false,
            });
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let keys = text(&account.access_key).map(|access_key| Keys {
                access_key,
                secret_key: account.secret_key.expose().to_owned(),
            });
            let regions = if account.regions.is_empty() {
                &self.regions
            } else {
                &account.regions
            };
            let whose = Account {
                keys,
                profile: text(&account.profile),
                role,
            };
            (whose, regions.clone())
        });
        accounts.collect()
    }

    /// Where EventBridge puts what EC2 announces.
    #[must_use]
    pub fn queue(&self) -> Option<Queue> {
        Queue::at(&self.interruption_queue)
    }

    #[must_use]
    pub fn budget(&self) -> Option<f64> {
        (self.max_usd_per_month > 0.0).then_some(self.max_usd_per_month)
    }
}

pub(crate) fn anchored(pattern: &str) -> String {
    format!("^(?s:{pattern})$")
}

/// Names of what the list asks for, with their statistics.
pub(crate) fn listed(config: &Config) -> Vec<(String, Duration)> {
    let named = config.namespaces.iter().filter(|added| !added.interval.is_zero());
    named
        .flat_map(|added| {
            added.metrics.iter().flat_map(|(metric, statistics)| {
                let of = statistics
                    .iter()
                    .map(|statistic| names::metric(&added.namespace, metric, statistic));
                of.map(|name| (name, added.interval)).collect::<Vec<_>>()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_their_key_and_what_was_meant() {
        let text = "services: [rdss]\nendpoints: { rds: ftp://x }\nmetrics: [{ name: aws_rds_cpu_utilization_average }]\naccounts: [{ role_arn: me }]\nmax_usd_per_month: -1\ninterruption_queue: mine\n";
        let config: Config = yaml::read("x", text).unwrap();
        let wrong = config.check().join("\n");
        for part in [
            "services: \"rdss\" is none of rds",
            "endpoints.rds: not an http",
            "did you mean aws_rds_cpuutilization_average?",
            "accounts[0].role_arn",
            "max_usd_per_month",
            "interruption_queue: \"mine\" is no URL of a queue",
        ] {
            assert!(wrong.contains(part), "{part}: {wrong}");
        }
        assert_eq!(Config::default().check(), [""; 0]);
    }
}

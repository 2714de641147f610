//! What CloudWatch has, as data: for each kind of resource its metrics, with the dimensions they are published under.
//!
//! A metric is asked for under these sets of dimensions only. What AWS publishes beside them, per class, per engine, per zone, is
//! the same again, and paid again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::Deserialize;

use crate::inventory::Resource;
use crate::names;

/// How long CloudWatch takes until a minute is there, where the catalogue says nothing else.
const LAG: Duration = Duration::from_secs(120);
/// What may stand for a metric besides what the catalogue recommends.
const STATISTICS: [&str; 5] = ["Average", "Maximum", "Minimum", "Sum", "SampleCount"];

const SHIPPED: [(&str, &str); 6] = [
    ("rds.yaml", include_str!("rds.yaml")),
    ("elasticache.yaml", include_str!("elasticache.yaml")),
    ("kafka.yaml", include_str!("kafka.yaml")),
    ("elb.yaml", include_str!("elb.yaml")),
    ("network.yaml", include_str!("network.yaml")),
    ("listed.yaml", include_str!("listed.yaml")),
];

/// What the catalogue of this version says.
static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let read = SHIPPED.iter().map(|(file, text)| yaml::read(file, text));
    match read.collect::<Result<Vec<Vec<Entry>>, _>>() {
        Ok(entries) => entries.into_iter().flatten().collect(),
        Err(complaint) => {
            // Held by a test to be readable.
            tracing::error!(%complaint, "the catalogue of CloudWatch cannot be read");
            Vec::new()
        }
    }
});

/// The metrics of one kind of resource.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The kind of resource, as the inventory names it; `listed`: found by the metrics it has.
    #[serde(default = "listed")]
    pub resource: Arc<str>,
    pub namespace: Arc<str>,
    /// Names of the dimensions, all of which a series has, and no other.
    pub dimensions: Vec<Arc<str>>,
    /// How old a minute is when it is usually there.
    #[serde(default = "lag", deserialize_with = "model::text::duration::deserialize")]
    pub lag: Duration,
    pub metrics: BTreeMap<Arc<str>, Metric>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metric {
    /// What is worth asking for; anything else may be asked for, too.
    pub statistics: Vec<Arc<str>>,
    pub unit: Arc<str>,
    pub kind: Kind,
    pub tier: Tier,
    /// Traits that a resource must have, or with `!` must not have, for the metric to be there.
    pub applies_if: Vec<Arc<str>>,
    /// A minute without a value is 0: only for what counts, of a resource that is there.
    pub zero_when_silent: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    #[default]
    Gauge,
    /// Events in a minute.
    Count,
    /// Events a second, on the mean of the minute.
    Rate,
}

/// How much hangs on a metric being new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Somebody is woken by it.
    Fast,
    #[default]
    Slow,
    /// Better asked of the thing itself.
    Direct,
}

impl Metric {
    #[must_use]
    pub fn applies_to(&self, resource: &Resource) -> bool {
        self.applies_if
            .iter()
            .all(|wanted| match wanted.strip_prefix('!') {
                Some(unwanted) => !resource.is(unwanted),
                None => resource.is(wanted),
            })
    }
}

/// All that may be asked for by name.
#[derive(Clone, Debug)]
pub struct Catalogue {
    entries: Vec<Arc<Entry>>,
    /// By a name without its statistic: entries that have it, and the metric.
    by_name: HashMap<String, Vec<(usize, Arc<str>)>>,
}

/// A metric of an entry, and the statistic that a name asks for.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    pub entry: &'a Arc<Entry>,
    pub metric: &'a Arc<str>,
    pub about: &'a Metric,
    /// As AWS writes it.
    pub statistic: Arc<str>,
}

impl Catalogue {
    /// That of this version, and what a configuration adds.
    #[must_use]
    pub fn with(more: &[Entry]) -> Self {
        let entries: Vec<Arc<Entry>> = ENTRIES.iter().chain(more).cloned().map(Arc::new).collect();
        let mut by_name: HashMap<String, Vec<(usize, Arc<str>)>> = HashMap::new();
        for (place, entry) in entries.iter().enumerate() {
            for metric in entry.metrics.keys() {
                let name = names::metric(&entry.namespace, metric, "");
                let name = name.trim_end_matches('_').to_owned();
                by_name.entry(name).or_default().push((place, Arc::clone(metric)));
            }
        }
        Self { entries, by_name }
    }

    #[must_use]
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// What a name of a series asks for; nothing if the catalogue knows no such metric.
    pub fn find(&self, name: &str) -> Vec<Found<'_>> {
        let Some((stem, statistic)) = split(name) else {
            return Vec::new();
        };
        let places = self.by_name.get(stem).into_iter().flatten();
        let found = places.filter_map(|(place, metric)| {
            let entry = self.entries.get(*place)?;
            Some(Found {
                entry,
                metric,
                about: entry.metrics.get(metric)?,
                statistic: statistic.as_str().into(),
            })
        });
        found.collect()
    }

    /// Every name with a statistic that the catalogue recommends.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.entries.iter().flat_map(|entry| {
            entry.metrics.iter().flat_map(|(metric, about)| {
                let statistics = about.statistics.iter();
                statistics.map(|statistic| names::metric(&entry.namespace, metric, statistic))
            })
        })
    }
}

/// `aws_rds_read_latency_p99_9` is `aws_rds_read_latency` and `p99.9`.
fn split(name: &str) -> Option<(&str, String)> {
    for statistic in STATISTICS {
        if let Some(stem) = name.strip_suffix(&names::statistic(statistic))
            && let Some(stem) = stem.strip_suffix('_')
        {
            return Some((stem, statistic.to_owned()));
        }
    }
    let (stem, last) = name.rsplit_once('_')?;
    if is_percentile(last) {
        return Some((stem, last.to_owned()));
    }
    let (stem, before) = stem.rsplit_once('_')?;
    let is_part = is_percentile(before) && last.bytes().all(|byte| byte.is_ascii_digit());
    is_part.then(|| (stem, format!("{before}.{last}")))
}

fn is_percentile(word: &str) -> bool {
    let digits = word.strip_prefix('p').or_else(|| word.strip_prefix("tm"));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn listed() -> Arc<str> {
    "listed".into()
}

fn lag() -> Duration {
    LAG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_readable_and_every_name_leads_back_to_its_metric() {
        let catalogue = Catalogue::with(&[]);
        assert!(catalogue.entries().len() > 15);
        for entry in catalogue.entries() {
            for (metric, about) in &entry.metrics {
                assert!(
                    !about.statistics.is_empty() && !about.unit.is_empty(),
                    "{metric} of {}",
                    entry.resource
                );
                for statistic in &about.statistics {
                    let name = names::metric(&entry.namespace, metric, statistic);
                    let found = catalogue.find(&name);
                    let is_it = |found: &Found<'_>| {
                        found.metric == metric
                            && found.entry.resource == entry.resource
                            && found.statistic == *statistic
                    };
                    assert!(found.iter().any(is_it), "{name}");
                }
            }
        }
    }

    #[test]
    fn only_what_counts_is_zero_when_nothing_is_said() {
        for entry in Catalogue::with(&[]).entries() {
            for (metric, about) in &entry.metrics {
                assert!(!about.zero_when_silent || about.kind == Kind::Count, "{metric}");
            }
        }
    }

    #[test]
    fn names_say_their_statistic() {
        let said = |name| split(name).map(|(stem, statistic)| format!("{stem} {statistic}"));
        assert_eq!(said("aws_rds_x_average").unwrap(), "aws_rds_x Average");
        assert_eq!(said("aws_rds_x_sample_count").unwrap(), "aws_rds_x SampleCount");
        assert_eq!(said("aws_rds_x_p99").unwrap(), "aws_rds_x p99");
        assert_eq!(said("aws_rds_x_p99_9").unwrap(), "aws_rds_x p99.9");
        assert_eq!(said("aws_rds_vcpus"), None);
        assert_eq!(said("up"), None);
    }
}

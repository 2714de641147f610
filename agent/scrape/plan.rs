//! From sections of the configuration to targets, or to sentences that say what is wrong and where.

mod address;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::text::duration;
use model::{Labels, LabelsBuilder};
use net::Reach;

use crate::config::{Global, Protocol, ScrapeConfig, StaticConfig};
use crate::intake::Rules;
use crate::labels::Limits;
use crate::text::Format;

/// Longest body when nothing is said.
const BODY_BYTES_MAX: usize = 64 << 20;

/// One target, and how it is read. Two that are equal are the same work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Unique in the store, and the same as long as the labels are.
    pub(crate) name: Arc<str>,
    pub(crate) job: String,
    pub(crate) url: String,
    pub(crate) discovered: Labels,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// How it is reached, shared by its section; nothing where nothing is said, which is the usual way.
    pub(crate) reach: Option<Arc<Reach>>,
    pub(crate) body_bytes_max: usize,
    /// How a body is read that does not say what it is.
    pub(crate) fallback: Option<Format>,
    pub(crate) rules: Rules,
}

/// What is wrong with these sections, each a sentence with its place; for `skopos check`.
#[must_use]
pub fn check(configs: &[ScrapeConfig], global: &Global) -> Vec<String> {
    plans(configs, global).err().unwrap_or_default()
}

/// What is heeded and yet worth a word, each a sentence with its place.
#[must_use]
pub fn notes(configs: &[ScrapeConfig]) -> Vec<String> {
    let all = configs.iter().enumerate();
    all.flat_map(|(nth, config)| {
        let notes = config.http.notes().into_iter();
        notes.map(move |note| format!("scrape_configs[{nth}].{note}"))
    })
    .collect()
}

/// # Errors
/// Everything that is wrong, each a sentence with its place.
pub(crate) fn plans(configs: &[ScrapeConfig], global: &Global) -> Result<Vec<Plan>, Vec<String>> {
    let mut wrong = Vec::new();
    if global.scrape_timeout > global.scrape_interval {
        wrong.push(too_long("global", global.scrape_timeout, global.scrape_interval));
    }
    let (mut plans, mut jobs) = (Vec::new(), HashMap::new());
    for (nth, config) in configs.iter().enumerate() {
        let place = format!("scrape_configs[{nth}]");
        if config.job_name.is_empty() {
            wrong.push(format!("{place}.job_name: is empty"));
        } else if let Some(first) = jobs.insert(&config.job_name, nth) {
            let name = &config.job_name;
            wrong.push(format!(
                "{place}.job_name: {name:?} is that of scrape_configs[{first}], too"
            ));
        }
        let section = match Section::new(&place, config, global) {
            Ok(section) => section,
            Err(mistakes) => {
                wrong.extend(mistakes);
                continue;
            }
        };
        for (at, group) in config.static_configs.iter().enumerate() {
            let place = format!("{place}.static_configs[{at}]");
            plans.extend(section.targets(&place, group, &mut wrong));
        }
    }
    if wrong.is_empty() { Ok(plans) } else { Err(wrong) }
}

/// A target that is listed twice is read once, and no two have a name in common.
pub(crate) fn each_once(plans: impl IntoIterator<Item = Plan>) -> Vec<Plan> {
    let (mut seen, mut names) = (HashSet::new(), HashSet::new());
    let plans = plans.into_iter();
    let once =
        plans.filter(|plan| seen.insert((plan.job.clone(), plan.url.clone(), plan.rules.target.clone())));
    once.map(|plan| unique(plan, &mut names)).collect()
}

fn unique(mut plan: Plan, names: &mut HashSet<Arc<str>>) -> Plan {
    if !names.insert(Arc::clone(&plan.name)) {
        plan.name = format!("{}#{:016x}", plan.name, plan.rules.target.fingerprint()).into();
        names.insert(Arc::clone(&plan.name));
    }
    plan
}

/// What the targets of one section have in common.
struct Section<'a> {
    config: &'a ScrapeConfig,
    interval: Duration,
    timeout: Duration,
    reach: Option<Arc<Reach>>,
}

impl<'a> Section<'a> {
    fn new(place: &str, config: &'a ScrapeConfig, global: &Global) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let interval = config.scrape_interval.unwrap_or(global.scrape_interval);
        if interval.is_zero() {
            wrong.push(format!("{place}.scrape_interval: is zero"));
        }
        // The global timeout gives way to a shorter interval; one that was written here is a mistake.
        let timeout = config
            .scrape_timeout
            .unwrap_or_else(|| global.scrape_timeout.min(interval));
        if timeout > interval {
            wrong.push(too_long(place, timeout, interval));
        } else if timeout.is_zero() && !interval.is_zero() {
            wrong.push(format!("{place}.scrape_timeout: is zero"));
        }
        if !matches!(config.scheme.as_str(), "http" | "https") {
            wrong.push(format!(
                "{place}.scheme: {:?} is neither http nor https",
                config.scheme
            ));
        }
        if config.metrics_path.contains(['?', '#']) {
            wrong.push(format!(
                "{place}.metrics_path: what follows the \"?\" belongs into params"
            ));
        }
        if config.fallback_scrape_protocol == Some(Protocol::Proto) {
            wrong.push(format!(
                "{place}.fallback_scrape_protocol: protobuf is not read; PrometheusText0.0.4 or OpenMetricsText1.0.0 is"
            ));
        }
        // Paths are meant from where we run: the hall has made them so.
        let reach = config.http.read(Path::new("")).unwrap_or_else(|mistake| {
            wrong.push(format!("{place}.{mistake}"));
            Reach::default()
        });
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            config,
            interval,
            timeout,
            reach: (reach != Reach::default()).then(|| Arc::new(reach)),
        })
    }

    fn targets(&self, place: &str, group: &StaticConfig, wrong: &mut Vec<String>) -> Vec<Plan> {
        if group.labels.keys().any(String::is_empty) {
            wrong.push(format!("{place}.labels: a name is empty"));
        }
        let mut plans = Vec::new();
        for (nth, target) in group.targets.iter().enumerate() {
            match address::mistake(target) {
                Some(mistake) => wrong.push(format!("{place}.targets[{nth}]: {target:?} {mistake}")),
                None => plans.push(self.plan(target, &group.labels)),
            }
        }
        plans
    }

    fn plan(&self, target: &str, labels: &BTreeMap<String, String>) -> Plan {
        let config = self.config;
        let discovered = self.discovered(target, labels);
        let mut final_labels = discovered.retain(|name| !name.starts_with("__")).to_builder();
        if final_labels.get("instance").is_none() {
            final_labels.set("instance", target);
        }
        let target_labels = final_labels.build();
        let url = url(&discovered, &config.params);
        let job = target_labels.value("job").to_owned();
        Plan {
            name: name(&config.job_name, &url, target, &target_labels),
            job,
            url,
            interval: self.interval,
            timeout: self.timeout,
            reach: self.reach.clone(),
            body_bytes_max: if config.body_size_limit == 0 {
                BODY_BYTES_MAX
            } else {
                config.body_size_limit
            },
            fallback: config.fallback_scrape_protocol.map(Protocol::format),
            rules: Rules {
                target: target_labels,
                honor_labels: config.honor_labels,
                honor_timestamps: config.honor_timestamps,
                sample_limit: config.sample_limit,
                limits: Limits {
                    labels: config.label_limit,
                    name_length: config.label_name_length_limit,
                    value_length: config.label_value_length_limit,
                },
            },
            discovered,
        }
    }

    /// As Prometheus shows it: what the target says of itself stands before what the section says.
    fn discovered(&self, target: &str, labels: &BTreeMap<String, String>) -> Labels {
        let mut all = LabelsBuilder::default();
        for (name, value) in labels {
            all.set(name, value);
        }
        all.set("__address__", target);
        let config = self.config;
        let (interval, timeout) = (duration::short(self.interval), duration::short(self.timeout));
        let defaults = [
            ("job", config.job_name.as_str()),
            ("__scheme__", &config.scheme),
            ("__metrics_path__", &config.metrics_path),
            ("__scrape_interval__", &interval),
            ("__scrape_timeout__", &timeout),
        ];
        for (name, value) in defaults {
            if all.get(name).is_none() {
                all.set(name, value);
            }
        }
        for (name, values) in &config.params {
            let name = format!("__param_{name}");
            if let (None, Some(first)) = (all.get(&name), values.first()) {
                all.set(&name, first);
            }
        }
        all.build()
    }
}

/// With the labels' fingerprint when they are not told by job and address.
fn name(job_name: &str, url: &str, target: &str, labels: &Labels) -> Arc<str> {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    let plain = labels.len() == 2 && labels.value("job") == job_name && labels.value("instance") == target;
    if plain {
        return format!("scrape/{job_name}/{place}").into();
    }
    format!("scrape/{job_name}/{place}#{:016x}", labels.fingerprint()).into()
}

fn url(discovered: &Labels, params: &BTreeMap<String, Vec<String>>) -> String {
    let mut params = params.clone();
    for (name, value) in discovered.iter() {
        if let Some(param) = name.strip_prefix("__param_") {
            let values = params.entry(param.to_owned()).or_default();
            match values.first_mut() {
                Some(first) => value.clone_into(first),
                None => values.push(value.to_owned()),
            }
        }
    }
    let path = discovered.value("__metrics_path__");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut url = format!(
        "{}://{}{slash}{path}",
        discovered.value("__scheme__"),
        discovered.value("__address__")
    );
    let mut divider = '?';
    for (name, values) in &params {
        for value in values {
            url.push(divider);
            address::escape(&mut url, name);
            url.push('=');
            address::escape(&mut url, value);
            divider = '&';
        }
    }
    url
}

fn too_long(place: &str, timeout: Duration, interval: Duration) -> String {
    let (timeout, interval) = (duration::short(timeout), duration::short(interval));
    format!("{place}.scrape_timeout: {timeout} is longer than the interval of {interval}")
}

#[cfg(test)]
mod tests;

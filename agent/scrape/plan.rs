//! From sections of the configuration to targets, or to sentences that say what is wrong and where.

mod address;
mod section;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use model::Labels;
use model::text::duration;
use model::view::{Dropped, ScrapePool};
use net::Reach;
pub(crate) use section::{Found, Section};

use crate::config::{Global, ScrapeConfig, Translation};
use crate::intake::Rules;
use crate::text::Format;

/// One target, and how it is read. Two that are equal are the same work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Unique in the store, and the same as long as the labels are.
    pub(crate) name: Arc<str>,
    /// Of its section; the label `job` may be another.
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
    /// What makes text of a body that is none, whatever it says it is.
    pub(crate) translation: Option<Translation>,
    pub(crate) rules: Rules,
}

/// What becomes of all that a section is given to scrape.
#[derive(Debug, Default)]
pub(crate) struct Sifted {
    pub(crate) plans: Vec<Plan>,
    /// What its rules drop, so many at most, and how many they are.
    pub(crate) dropped: Vec<Dropped>,
    pub(crate) dropped_count: usize,
    /// What its rules make something of that cannot be scraped, each a sentence with its place.
    pub(crate) failed: Vec<String>,
}

/// Targets that cannot be scraped of which more is said than how many there are.
const FAILED_MAX: usize = 100;

impl Sifted {
    fn add(&mut self, other: &Self, dropped_kept: usize) {
        self.plans.extend_from_slice(&other.plans);
        let room = dropped_kept.saturating_sub(self.dropped.len());
        self.dropped.extend(other.dropped.iter().take(room).cloned());
        self.dropped_count += other.dropped_count;
        let room = FAILED_MAX.saturating_sub(self.failed.len());
        self.failed.extend(other.failed.iter().take(room).cloned());
    }

    pub(crate) fn shown(&self, job: &str) -> ScrapePool {
        ScrapePool {
            job: job.to_owned(),
            dropped: self.dropped.clone(),
            dropped_count: self.dropped_count,
            failed: self.failed.clone(),
        }
    }
}

/// What is wrong with these sections, each a sentence with its place; for `skopos check`.
#[must_use]
pub fn check(configs: &[ScrapeConfig], global: &Global) -> Vec<String> {
    sections(configs, global).err().unwrap_or_default()
}

/// What is heeded and yet worth a word, each a sentence with its place.
#[must_use]
pub fn notes(configs: &[ScrapeConfig], global: &Global) -> Vec<String> {
    let all = configs.iter().enumerate();
    let of_reach = all.flat_map(|(nth, config)| {
        let notes = config.http.notes().into_iter();
        notes.map(move |note| format!("scrape_configs[{nth}].{note}"))
    });
    let sections = sections(configs, global).unwrap_or_default();
    let left_out = sections.iter().flat_map(|section| section.sift_named().failed);
    of_reach.chain(left_out).collect()
}

/// # Errors
/// Everything that is wrong, each a sentence with its place.
pub(crate) fn sections(configs: &[ScrapeConfig], global: &Global) -> Result<Vec<Section>, Vec<String>> {
    let mut wrong = Vec::new();
    if global.scrape_timeout > global.scrape_interval {
        wrong.push(too_long("global", global.scrape_timeout, global.scrape_interval));
    }
    let (mut sections, mut jobs) = (Vec::with_capacity(configs.len()), HashMap::new());
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
        match Section::new(place, config, global) {
            Ok(section) => sections.push(section),
            Err(mistakes) => wrong.extend(mistakes),
        }
    }
    if wrong.is_empty() {
        Ok(sections)
    } else {
        Err(wrong)
    }
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

fn too_long(place: &str, timeout: Duration, interval: Duration) -> String {
    let (timeout, interval) = (duration::short(timeout), duration::short(interval));
    format!("{place}.scrape_timeout: {timeout} is longer than the interval of {interval}")
}

#[cfg(test)]
mod tests;

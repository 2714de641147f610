//! What fired in the last days, by the series `ALERTS` that the rules keep.
//!
//! Read a day at a time, the newest first, and no more samples than are read in a moment: how far back it reaches is said.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use model::{AlertState, Labels, Matcher, TimeRange, Timestamp, labels};

use super::band;
use super::visit::Visit;

/// Days that are looked back.
pub(super) const DAYS: u32 = 7;
const DAY: Duration = Duration::from_hours(24);
/// Samples read in all; about two weeks of one alert that always fires.
const SAMPLES_MAX: usize = 400_000;
/// Without a sample for so long an alert has ended, also when nobody said so.
const SILENCE: Duration = Duration::from_mins(5);

/// One time in which an alert fired.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fired {
    pub(super) labels: Labels,
    pub(super) from: Timestamp,
    /// None: it fires still.
    pub(super) to: Option<Timestamp>,
}

pub(super) struct Past {
    /// The newest first.
    pub(super) fired: Vec<Fired>,
    /// Looked back to here.
    pub(super) since: Timestamp,
}

impl Past {
    pub(super) fn look(visit: &Visit) -> Self {
        let matchers = [
            Matcher::equal(labels::METRIC_NAME, "ALERTS"),
            Matcher::equal(band::STATE, "firing"),
        ];
        let wanted = visit.now - DAY * DAYS;
        let oldest = (visit.rooms.kept)().oldest.unwrap_or(visit.now);
        let begin = wanted.max(oldest.min(visit.now));
        let mut samples: BTreeMap<Labels, Vec<(Timestamp, f64)>> = BTreeMap::new();
        let (mut since, mut left) = (visit.now, SAMPLES_MAX);
        while since > begin {
            let range = TimeRange {
                after: (since - DAY).max(begin),
                until: since,
            };
            let Ok(found) = visit.rooms.select.select(&matchers, range, left) else {
                break;
            };
            for one in found {
                left = left.saturating_sub(one.values.len());
                let set = one
                    .labels
                    .retain(|label| label != band::STATE && label != labels::METRIC_NAME);
                let pairs = one.times.iter().copied().zip(one.values.iter().copied());
                samples.entry(set).or_default().extend(pairs);
            }
            since = range.after;
        }
        let firing = visit.standing(AlertState::Firing);
        let firing: HashSet<&Labels> = firing.iter().map(|standing| &standing.alert.labels).collect();
        let mut fired: Vec<Fired> = samples
            .into_iter()
            .flat_map(|(labels, samples)| of_one(visit, &labels, samples, firing.contains(&labels)))
            .collect();
        fired.sort_by(|one, other| {
            other
                .from
                .cmp(&one.from)
                .then_with(|| one.labels.cmp(&other.labels))
        });
        Self { fired, since }
    }

    /// `in 7 days`, `in the 2 h that are kept`.
    pub(super) fn spoken(&self, now: Timestamp) -> String {
        let looked = now.since(self.since);
        if looked >= DAY * DAYS {
            format!("in {DAYS} days")
        } else {
            format!(
                "in the {} that can be looked back",
                model::text::duration::spoken(looked)
            )
        }
    }
}

fn of_one(visit: &Visit, labels: &Labels, mut samples: Vec<(Timestamp, f64)>, fires: bool) -> Vec<Fired> {
    samples.sort_by_key(|(time, _)| *time);
    let name = labels.value(labels::ALERT_NAME);
    let interval = visit
        .alert_rules()
        .find(|(_, rule)| rule.name == name)
        .map_or(SILENCE, |(group, _)| group.interval);
    let longest = (interval * 5 / 2).max(SILENCE);
    let stretches = band::stretches(AlertState::Firing, samples.into_iter(), longest);
    let last = stretches.len();
    let fired = stretches.into_iter().enumerate().map(|(nth, stretch)| Fired {
        labels: labels.clone(),
        from: stretch.from,
        to: (!fires || nth + 1 < last).then_some(stretch.to),
    });
    fired.collect()
}

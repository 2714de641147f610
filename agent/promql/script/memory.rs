//! Samples in memory, for tests of expressions and rules.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::select::Last;
use model::{Labels, Matcher, Metadata, Sample, Select, SelectError, Series, TimeRange, Timestamp};
use parking_lot::{Mutex, RwLock};

use super::series::Item;
use crate::filter::Filter;

/// A [`Select`] that is filled by hand.
#[derive(Default)]
pub struct Memory {
    series: RwLock<Vec<Held>>,
    /// Of all matchers that were asked for: a test asks the same at each step, and compiling takes longer than selecting.
    filters: Mutex<HashMap<Matcher, Arc<Filter>>>,
    /// A series that was asked for and should have native histograms.
    histogram_met: Mutex<Option<Labels>>,
}

struct Held {
    labels: Labels,
    samples: Vec<Sample>,
    staleness: Option<Duration>,
    histograms: bool,
}

impl Memory {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn clear(&self) {
        self.series.write().clear();
    }

    /// Lets go of samples that are older, and of series that have no others.
    pub fn forget(&self, before: Timestamp) {
        self.series.write().retain_mut(|held| {
            let old = held.samples.partition_point(|sample| sample.time < before);
            held.samples.drain(..old);
            !held.samples.is_empty()
        });
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.series.read().iter().map(|held| held.samples.len()).sum()
    }

    /// Adds samples to a series, later ones replacing those of the same time.
    pub fn add(&self, labels: &Labels, samples: impl IntoIterator<Item = Sample>) {
        self.change(labels, |held| {
            held.samples.extend(samples);
            // The last of equal times stands.
            held.samples.reverse();
            held.samples.sort_by_key(|sample| sample.time);
            held.samples.dedup_by_key(|sample| sample.time);
        });
    }

    /// Adds a sample behind all others of its series.
    ///
    /// # Errors
    /// The last one, which is as new or newer; nothing is added.
    pub fn append(&self, labels: &Labels, sample: Sample) -> Result<(), Sample> {
        let mut kept = Ok(());
        self.change(labels, |held| match held.samples.last() {
            Some(last) if last.time >= sample.time => kept = Err(*last),
            _ => held.samples.push(sample),
        });
        kept
    }

    /// Adds a sequence whose first item is at `start`.
    pub fn add_items(&self, labels: &Labels, items: &[Item], start: Timestamp, step: Duration) {
        let times = (0u32..).map(|nth| start + step.saturating_mul(nth));
        let samples = items.iter().zip(times).filter_map(|(item, time)| match item {
            Item::Value(value) => Some(Sample { time, value: *value }),
            Item::Missing | Item::Histogram => None,
        });
        self.add(labels, samples.collect::<Vec<_>>());
        if items.contains(&Item::Histogram) {
            self.mark_histogram(labels);
        }
    }

    /// How long the series answers after its last sample.
    pub fn set_staleness(&self, labels: &Labels, staleness: Duration) {
        self.change(labels, |held| held.staleness = Some(staleness));
    }

    /// Remembers that a series should have native histograms, which cannot be kept here.
    pub(super) fn mark_histogram(&self, labels: &Labels) {
        self.change(labels, |held| held.histograms = true);
    }

    /// The first series selected since the last call that should have had native histograms.
    pub(super) fn take_histogram_met(&self) -> Option<Labels> {
        self.histogram_met.lock().take()
    }

    fn filter(&self, matcher: &Matcher) -> Result<Arc<Filter>, SelectError> {
        let mut known = self.filters.lock();
        if let Some(filter) = known.get(matcher) {
            return Ok(Arc::clone(filter));
        }
        let filter = Filter::new(matcher).map_err(|why| SelectError::BadRegex {
            pattern: matcher.value.to_string(),
            why,
        })?;
        let filter = Arc::new(filter);
        known.insert(matcher.clone(), Arc::clone(&filter));
        Ok(filter)
    }

    /// All label sets.
    pub(super) fn all(&self) -> Vec<Labels> {
        self.series
            .read()
            .iter()
            .map(|held| held.labels.clone())
            .collect()
    }

    fn change(&self, labels: &Labels, change: impl FnOnce(&mut Held)) {
        let mut series = self.series.write();
        let nth = match series.binary_search_by(|held| held.labels.cmp(labels)) {
            Ok(nth) => nth,
            Err(nth) => {
                series.insert(
                    nth,
                    Held {
                        labels: labels.clone(),
                        samples: Vec::new(),
                        staleness: None,
                        histograms: false,
                    },
                );
                nth
            }
        };
        if let Some(held) = series.get_mut(nth) {
            change(held);
        }
    }
}

impl Held {
    /// A series with a staleness of its own also brings what may still answer at the start of the range.
    fn samples(&self, range: TimeRange) -> &[Sample] {
        let after = range.after - self.staleness.unwrap_or_default();
        let from = self.samples.partition_point(|sample| sample.time <= after);
        let to = self.samples.partition_point(|sample| sample.time <= range.until);
        self.samples.get(from..to).unwrap_or_default()
    }
}

impl Select for Memory {
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Series>, SelectError> {
        let filters = matchers.iter().map(|matcher| self.filter(matcher));
        let filters: Vec<_> = filters.collect::<Result<_, _>>()?;
        let mut left = samples_max;
        let mut found = Vec::new();
        for held in self.series.read().iter() {
            if !filters.iter().all(|filter| filter.accepts(&held.labels)) {
                continue;
            }
            if held.histograms {
                self.histogram_met
                    .lock()
                    .get_or_insert_with(|| held.labels.clone());
            }
            let samples = held.samples(range);
            left = left
                .checked_sub(samples.len())
                .ok_or(SelectError::TooMany { limit: samples_max })?;
            if !samples.is_empty() {
                found.push(Series {
                    labels: held.labels.clone(),
                    times: samples.iter().map(|sample| sample.time).collect(),
                    values: samples.iter().map(|sample| sample.value).collect(),
                    staleness: held.staleness,
                });
            }
        }
        Ok(found)
    }

    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError> {
        let all = self.select(matchers, range, usize::MAX)?;
        Ok(all.into_iter().map(|series| series.labels).collect())
    }

    fn metadata(&self) -> Vec<Metadata> {
        Vec::new()
    }

    fn last(&self, _page: Option<&str>) -> Vec<Last> {
        Vec::new()
    }
}

/// So that an engine and a test can share one.
impl Memory {
    #[must_use]
    pub fn shared() -> Arc<Self> {
        Arc::new(Self::new())
    }
}

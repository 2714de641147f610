//! How every reader asks for samples: matchers and a time range in, series with samples out.
//!
//! The evaluator, the API and the pages see nothing else, so one engine runs over the head, over blocks
//! and over test scripts.

use std::sync::Arc;
use std::time::Duration;

use crate::selection::Scan;
use crate::{Kind, Labels, Matcher, Selection, Timestamp, Value, is_stale};

/// Samples with `after < time <= until`: left-open, as PromQL has been since Prometheus 3.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    pub after: Timestamp,
    pub until: Timestamp,
}

impl TimeRange {
    pub const ALL: Self = Self {
        after: Timestamp::MIN,
        until: Timestamp::MAX,
    };

    #[must_use]
    pub fn contains(&self, time: Timestamp) -> bool {
        self.after < time && time <= self.until
    }
}

/// One series' samples, oldest first, stale markers among them. Times are often one column shared by all
/// series of a target.
#[derive(Clone, Debug)]
pub struct Series {
    pub labels: Labels,
    pub times: Arc<[Timestamp]>,
    pub values: Arc<[f64]>,
    /// How long after a sample this series still answers, when its source says so.
    pub staleness: Option<Duration>,
}

/// One series in which there are native histograms, with all of its samples, oldest first. Its end is a float, the
/// stale marker.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    pub labels: Labels,
    pub samples: Vec<(Timestamp, Value)>,
    /// As [`Series::staleness`].
    pub staleness: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub family: Arc<str>,
    pub kind: Kind,
    pub help: Arc<str>,
    pub unit: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectError {
    /// A regular expression does not compile.
    BadRegex { pattern: String, why: String },
    /// More would be read than the caller may hold.
    TooMany { limit: usize },
    /// The data is there and cannot be read.
    Unreadable(String),
}

impl std::fmt::Display for SelectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadRegex { pattern, why } => write!(f, "regular expression {pattern:?}: {why}"),
            Self::TooMany { limit } => write!(f, "the query would read more than {limit} samples"),
            Self::Unreadable(why) => write!(f, "reading samples: {why}"),
        }
    }
}

impl std::error::Error for SelectError {}

/// Reads what was kept. Results are sorted by labels.
pub trait Select: Send + Sync {
    /// Series that match and have at least one sample in `range`; other samples are left out, and native histograms,
    /// which only [`Select::mixed`] gives: a series that goes over to them ends there.
    /// For a series with a staleness of its own the range begins that much earlier, so that what still
    /// answers at its start is there.
    /// `samples_max` bounds what is read in all.
    ///
    /// # Errors
    /// See [`SelectError`].
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Vec<Series>, SelectError>;

    /// The same for those who read many series at a time, and the same again and again.
    ///
    /// # Errors
    /// See [`SelectError`].
    fn selection(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Selection, SelectError> {
        self.select(matchers, range, samples_max).map(Selection::from)
    }

    /// The same for those who need each series only once, and no sample again.
    ///
    /// # Errors
    /// See [`SelectError`].
    fn scan(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        samples_max: usize,
    ) -> Result<Box<dyn Scan + '_>, SelectError> {
        Ok(Box::new(self.selection(matchers, range, samples_max)?))
    }

    /// Series that match and have at least one native histogram in `range`, with all that they have there. Of
    /// histograms each bucket counts as a sample.
    ///
    /// # Errors
    /// See [`SelectError`].
    fn mixed(
        &self,
        _matchers: &[Matcher],
        _range: TimeRange,
        _samples_max: usize,
    ) -> Result<Vec<Mixed>, SelectError> {
        Ok(Vec::new())
    }

    /// Whether [`Select::mixed`] would give any. Mostly there is no native histogram at all, and this costs nothing.
    ///
    /// # Errors
    /// See [`SelectError`].
    fn has_histograms(&self, _matchers: &[Matcher], _range: TimeRange) -> Result<bool, SelectError> {
        Ok(false)
    }

    /// Label sets only. No matchers is everything.
    ///
    /// # Errors
    /// See [`SelectError`].
    fn labels(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Labels>, SelectError>;

    /// What is known of each metric family, sorted by family. A series `x_bucket` is found under `x`.
    fn metadata(&self) -> Vec<Metadata>;

    /// The latest values of each target, for the pages `/metrics/<page>`; no page is all targets.
    fn last(&self, page: Option<&str>) -> Vec<Last>;

    /// The same, for those who show more than they want to hold at a time.
    fn latest(&self, page: Option<&str>) -> Box<dyn Latest> {
        Box::new(self.last(page))
    }
}

/// The latest values of some targets as they were at one moment, to be read metric by metric. Who holds this holds
/// no lock, and of what a store has, little more than the values.
pub trait Latest: Send {
    /// The page of each target.
    fn pages(&self) -> Vec<Option<&'static str>>;

    /// What there is, in the order in which targets first said it.
    fn metrics(&self) -> Vec<Metric>;

    /// The series of a metric by its place among them, by target and then in the order of the round. Those that have
    /// ended, or that a store has forgotten meanwhile, are left out.
    fn series(&self, metric: usize) -> Vec<(Labels, f64)>;
}

/// Series of one name of which the same is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: Arc<str>,
    pub metadata: Metadata,
}

impl Latest for Vec<Last> {
    fn pages(&self) -> Vec<Option<&'static str>> {
        self.iter().map(|last| last.page).collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics: Vec<Metric> = Vec::new();
        for (labels, metadata, _) in self.iter().flat_map(|last| &last.series) {
            let known = |metric: &Metric| *metric.name == *labels.name() && metric.metadata == *metadata;
            if !metrics.iter().any(known) {
                metrics.push(Metric {
                    name: labels.name().into(),
                    metadata: metadata.clone(),
                });
            }
        }
        metrics
    }

    fn series(&self, metric: usize) -> Vec<(Labels, f64)> {
        let Some(Metric { name, metadata }) = self.metrics().into_iter().nth(metric) else {
            return Vec::new();
        };
        let all = self.iter().flat_map(|last| &last.series);
        let wanted =
            all.filter(|(labels, of, value)| !is_stale(*value) && *labels.name() == *name && *of == metadata);
        wanted
            .map(|(labels, _, value)| (labels.clone(), *value))
            .collect()
    }
}

/// The newest whole round of one target.
#[derive(Clone, Debug)]
pub struct Last {
    pub target: Arc<str>,
    pub page: Option<&'static str>,
    pub time: Timestamp,
    /// Label set, family metadata, value; in the order the source committed them.
    pub series: Vec<(Labels, Metadata, f64)>,
}

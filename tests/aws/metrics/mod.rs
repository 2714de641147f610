//! CloudWatch: metrics that a test makes up, asked for by Smithy RPC v2 CBOR or by awsJson 1.0, within quotas and for money.
//!
//! A metric is a function of the minute; what is seen of it lags, is revised and has gaps, as told. What it enforces: exact
//! dimension sets, pages that may split one metric, 500 queries and 100,800 points a call, quotas of calls and points, the
//! resolution that is kept of old data, two weeks of listing. What it does not: expressions, units as a filter, alarms, the
//! order in which AWS would cut pages, and percentiles between samples (it takes the sample itself).

pub mod bill;
mod data;
mod list;
pub mod quota;
mod series;
mod statistic;
mod statistics;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Timestamp;

use crate::Estate;
use crate::asked::{Answer, Asked, Refusal};
use crate::protocol::tree::Tree;
use crate::protocol::{Protocol, Spoken};
use crate::services::Call;
use crate::signature::Signer;
use series::write_key;
pub use series::{Samples, Series, Values, mix, seed};
pub use statistic::Statistic;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Why a metric of a call has not all of its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Half of its points, and no page has the rest.
    PartialData,
    /// No points.
    InternalError,
    /// No points, and none will ever come.
    Forbidden,
}

/// All metrics of an account in a region.
#[derive(Default)]
pub struct Metrics {
    series: BTreeMap<String, Series>,
    troubles: Vec<(String, String, Trouble, usize)>,
}

impl Metrics {
    /// Takes the place of one with the same name and dimensions.
    pub fn add(&mut self, series: Series) {
        self.series.insert(series.key(), series);
    }

    /// From a time on it has other values. Returns whether there is such a metric.
    pub fn set(
        &mut self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        from: Timestamp,
        values: impl Fn(i64, &mut Samples) + Send + Sync + 'static,
    ) -> bool {
        let values: Values = Arc::new(values);
        let found = self.series.get_mut(&key(namespace, metric, dimensions));
        found.map(|series| series.change(from, Some(values))).is_some()
    }

    /// From a time on it has no values; what it had stays. Returns whether there is such a metric.
    pub fn remove(
        &mut self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        from: Timestamp,
    ) -> bool {
        let found = self.series.get_mut(&key(namespace, metric, dimensions));
        found.map(|series| series.change(from, None)).is_some()
    }

    /// Ends all that have a dimension with this value, as when a resource is gone or stopped.
    pub fn remove_all(&mut self, dimension: &str, value: &str, from: Timestamp) {
        for series in self.series.values_mut() {
            let mut dimensions = series.dimensions.iter();
            if dimensions.any(|(name, own)| name == dimension && own == value) {
                series.change(from, None);
            }
        }
    }

    /// All there are, in the order in which they are listed.
    pub fn all(&self) -> impl Iterator<Item = &Series> {
        self.series.values()
    }

    /// To all of them, for lags and the like.
    pub fn each(&mut self, mut change: impl FnMut(&mut Series)) {
        self.series.values_mut().for_each(&mut change);
    }

    /// What is asked for next of a metric in a namespace comes with trouble, so many times.
    pub fn troubles(&mut self, namespace: &str, metric: &str, trouble: Trouble, times: usize) {
        self.troubles
            .push((namespace.to_owned(), metric.to_owned(), trouble, times));
    }

    /// What will be known in the end, minute by minute, from `from` and before `to`.
    #[must_use]
    pub fn truth(
        &self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        statistic: Statistic,
        (from, to): (Timestamp, Timestamp),
    ) -> Vec<(Timestamp, f64)> {
        let Some(series) = self.series.get(&key(namespace, metric, dimensions)) else {
            return Vec::new();
        };
        let ceil = |time: Timestamp| -(-time.millis()).div_euclid(MINUTE);
        let mut samples = Samples::default();
        let minutes = ceil(from)..ceil(to);
        let points = minutes.filter_map(|minute| {
            samples.0.clear();
            series.truth(minute, &mut samples);
            Some((Timestamp(minute * MINUTE), statistic.of(&mut samples)?))
        });
        points.collect()
    }

    fn trouble(&mut self, namespace: &str, metric: &str) -> Option<Trouble> {
        if self.troubles.is_empty() {
            return None;
        }
        self.troubles.retain(|(_, _, _, left)| *left > 0);
        let found = self
            .troubles
            .iter_mut()
            .find(|(of, named, _, _)| of == namespace && named == metric);
        found.map(|(_, _, trouble, left)| {
            *left -= 1;
            *trouble
        })
    }
}

fn key(namespace: &str, metric: &str, dimensions: &[(&str, &str)]) -> String {
    let mut dimensions = dimensions.to_vec();
    dimensions.sort_unstable();
    let mut key = String::new();
    write_key(&mut key, namespace, metric, dimensions.into_iter());
    key
}

/// The values of one statistic, a period each.
struct Span {
    /// Whole periods begin here.
    start: i64,
    /// And before this.
    end: i64,
    /// In milliseconds.
    period: i64,
    now: Timestamp,
}

impl Span {
    /// The beginning is rounded down to what is kept of its time; periods begin there.
    fn new(start: Timestamp, end: Timestamp, period_seconds: i64, now: Timestamp) -> Self {
        let age = now.millis() - start.millis();
        let step = match age {
            age if age > 63 * DAY => HOUR,
            age if age > 15 * DAY => 5 * MINUTE,
            _ if period_seconds < 60 => period_seconds * 1000,
            _ => MINUTE,
        };
        Self {
            start: start.millis().div_euclid(step) * step,
            end: end.millis(),
            period: period_seconds * 1000,
            now,
        }
    }

    fn length(&self) -> i64 {
        (self.end - self.start + self.period - 1)
            .div_euclid(self.period)
            .max(0)
    }

    fn begin(&self, nth: i64) -> i64 {
        self.start + nth * self.period
    }

    /// All samples of the period that begins then, of what is still kept at this resolution.
    fn fill(&self, series: &Series, begin: i64, samples: &mut Samples) {
        samples.0.clear();
        let age = self.now.millis() - begin;
        let kept = match age {
            age if age > 455 * DAY => return,
            age if age > 63 * DAY => HOUR,
            age if age > 15 * DAY => 5 * MINUTE,
            age if age > 3 * HOUR => MINUTE,
            _ => 1,
        };
        if self.period % kept != 0 {
            return;
        }
        let ceil = |time: i64| -(-time).div_euclid(MINUTE);
        let end = (begin + self.period).min(self.end);
        for minute in ceil(begin)..ceil(end) {
            series.seen(minute, self.now, samples);
        }
    }
}

fn is_period(seconds: i64) -> bool {
    matches!(seconds, 1 | 5 | 10 | 20 | 30) || (seconds > 0 && seconds % 60 == 0)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationError", message)
}

pub(crate) const OPERATIONS: [&str; 3] = ["GetMetricData", "ListMetrics", "GetMetricStatistics"];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "GetMetricData" => data::by_json(call),
        "ListMetrics" => list::list(call),
        "GetMetricStatistics" => statistics::get(call),
        _ => Err(call.spoken.no_operation()),
    }
}

/// `GetMetricData` is read and written without detours where it comes by the thousand.
pub(crate) fn quick(
    estate: &Estate,
    spoken: &Spoken,
    signer: &Signer,
    asked: &Asked,
) -> Option<Result<Answer, Refusal>> {
    let is_quick = spoken.service.iam == "cloudwatch"
        && spoken.operation == "GetMetricData"
        && spoken.protocol == Protocol::Cbor;
    is_quick.then(|| {
        let of = (signer.key.account(), signer.region.as_str());
        data::by_cbor(estate, of, &asked.body)
    })
}

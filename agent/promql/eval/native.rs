//! Native histograms: an expression that is a selector and nothing more gives them as they are; where anything is made
//! of a selector, they are passed over, and that is said.

use std::sync::Arc;

use model::{Histogram, Matcher, Mixed, TimeRange, Timestamp, Value};

use super::Eval;
use super::select::Cursor;
use crate::ast::{Edges, Expr, Kind, Selector};
use crate::error::QueryError;
use crate::value::HistogramSeries;

/// Whether the histograms of what is selected are the answer themselves.
pub(crate) fn gives_histograms(expr: &Expr) -> bool {
    match &expr.bare().kind {
        Kind::Selector(selector) | Kind::Range { selector, .. } => selector.edges == Edges::Plain,
        _ => false,
    }
}

impl Eval<'_> {
    /// Those of a selector that is the whole expression.
    pub(crate) fn native_histograms(self, expr: &Expr) -> Result<Vec<HistogramSeries>, QueryError> {
        match &expr.bare().kind {
            Kind::Selector(selector) if selector.edges == Edges::Plain => self.newest_histograms(selector),
            Kind::Range { selector, range } if selector.edges == Edges::Plain => {
                let before = model::time::millis(*range);
                let all = self.mixed(selector, before)?;
                let window = self.seen_around(selector.when, before, 0);
                Ok(given(all, |series| {
                    let inside = series.samples.iter().filter(|(time, _)| window.contains(*time));
                    inside
                        .filter_map(|(time, value)| Some((*time, histogram(value)?)))
                        .collect()
                }))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn newest_histograms(self, selector: &Selector) -> Result<Vec<HistogramSeries>, QueryError> {
        let lookback = model::time::millis(self.query.options.lookback);
        let all = self.mixed(selector, lookback)?;
        let looks = self.steps.looks(selector.when, self.query);
        Ok(given(all, |series| {
            let own = series.staleness.map_or(0, model::time::millis);
            let times: Vec<Timestamp> = series.samples.iter().map(|(time, _)| *time).collect();
            let mut cursor = Cursor::default();
            let newest = |(step, look): (i64, i64)| {
                let nth = cursor.newest(&times, look)?;
                let (time, value) = series.samples.get(nth)?;
                let is_fresh = time.0 > look.saturating_sub(lookback.max(own));
                Some((Timestamp(step), histogram(value).filter(|_| is_fresh)?))
            };
            self.steps.times().zip(looks.times()).filter_map(newest).collect()
        }))
    }

    fn mixed(self, selector: &Selector, before: i64) -> Result<Vec<Mixed>, QueryError> {
        let range = self.seen_around(selector.when, before, 0);
        self.query.mixed(&selector.all_matchers(), range)
    }

    /// Says so where a selector has histograms that nothing is made of.
    pub(super) fn passes_over(
        self,
        selector: &Selector,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<(), QueryError> {
        let query = self.query;
        if !query.gives_histograms && query.has_histograms(matchers, range)? {
            let mut shown = String::new();
            // Writing to a text does not fail.
            _ = selector.bare(&mut shown);
            query.pass_over(&shown);
        }
        Ok(())
    }
}

fn histogram(value: &Value) -> Option<Arc<Histogram>> {
    match value {
        Value::Histogram(histogram) => Some(histogram.clone()),
        Value::Float(_) => None,
    }
}

fn given(
    all: Vec<Mixed>,
    mut points: impl FnMut(&Mixed) -> Vec<(Timestamp, Arc<Histogram>)>,
) -> Vec<HistogramSeries> {
    let all = all.into_iter().map(|series| HistogramSeries {
        points: points(&series),
        labels: series.labels,
    });
    all.filter(|series| !series.points.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::select::Last;
    use model::{Labels, Metadata, STALE, Select, SelectError, Series};

    use super::*;
    use crate::{Engine, Options, Outcome};

    /// One series, a histogram a minute from 0 to 4, which ends at 5; at 3 there was a float, which ends as a float with
    /// the histogram after it. Beside it `f`, a float.
    struct Minutes;

    fn minute(count: i64) -> Timestamp {
        Timestamp(count * 60_000)
    }

    fn named(name: &str) -> Labels {
        Labels::from_pairs([("__name__", name)])
    }

    impl Select for Minutes {
        fn select(
            &self,
            matchers: &[Matcher],
            range: TimeRange,
            _: usize,
        ) -> Result<Vec<Series>, SelectError> {
            let all = [
                ("f", vec![(0, 1.0)]),
                ("h", vec![(3, 9.0), (4, STALE), (5, STALE)]),
            ];
            let wanted = |name: &str| matchers.iter().any(|matcher| *matcher.value == *name);
            let series = all.into_iter().filter(|(name, _)| wanted(name));
            let series = series.map(|(name, samples)| {
                let inside: Vec<(Timestamp, f64)> = samples
                    .into_iter()
                    .map(|(at, value)| (minute(at), value))
                    .filter(|(time, _)| range.contains(*time))
                    .collect();
                Series {
                    labels: named(name),
                    times: inside.iter().map(|(time, _)| *time).collect(),
                    values: inside.iter().map(|(_, value)| *value).collect(),
                    staleness: None,
                }
            });
            Ok(series.filter(|series| !series.times.is_empty()).collect())
        }

        fn mixed(
            &self,
            matchers: &[Matcher],
            range: TimeRange,
            samples_max: usize,
        ) -> Result<Vec<Mixed>, SelectError> {
            if !matchers.iter().any(|matcher| &*matcher.value == "h") {
                return Ok(Vec::new());
            }
            if samples_max < 6 {
                return Err(SelectError::TooMany { limit: samples_max });
            }
            let value = |at: i64| match at {
                3 => Value::Float(9.0),
                5 => Value::Float(STALE),
                _ => Value::Histogram(Arc::new(Histogram {
                    count: at as f64,
                    ..Histogram::default()
                })),
            };
            let samples = (0..6).map(|at| (minute(at), value(at)));
            Ok(vec![Mixed {
                labels: named("h"),
                samples: samples.filter(|(time, _)| range.contains(*time)).collect(),
                staleness: None,
            }])
        }

        fn has_histograms(&self, matchers: &[Matcher], range: TimeRange) -> Result<bool, SelectError> {
            self.mixed(matchers, range, usize::MAX).map(|all| !all.is_empty())
        }

        fn labels(&self, _: &[Matcher], _: TimeRange) -> Result<Vec<Labels>, SelectError> {
            Ok(vec![named("f"), named("h")])
        }

        fn metadata(&self) -> Vec<Metadata> {
            Vec::new()
        }

        fn last(&self, _: Option<&str>) -> Vec<Last> {
            Vec::new()
        }
    }

    fn at(expr: &str, time: i64) -> Outcome {
        let engine = Engine::new(Arc::new(Minutes), Options::default());
        engine.instant(expr, minute(time)).unwrap()
    }

    /// Minute and count of each.
    fn counts(outcome: &Outcome) -> Vec<(i64, f64)> {
        let points = outcome.histograms.iter().flat_map(|series| &series.points);
        points.map(|(time, one)| (time.0 / 60_000, one.count)).collect()
    }

    fn floats(outcome: &Outcome) -> usize {
        match &outcome.value {
            crate::Value::Vector(points) => points.len(),
            crate::Value::Matrix(series) => series.iter().map(|series| series.points.len()).sum(),
            _ => panic!("a vector or a matrix"),
        }
    }

    #[test]
    fn a_selector_alone_gives_the_newest_of_each_series() {
        assert_eq!(counts(&at("h", 2)), [(2, 2.0)]);
        assert_eq!(counts(&at("(h offset 1m)", 3)), [(3, 2.0)]);
        assert_eq!(counts(&at("h", 3)), [], "a float is the newest");
        assert_eq!(floats(&at("h", 3)), 1);
        assert_eq!(counts(&at("h", 5)), [], "it has ended");
        assert_eq!(counts(&at("h @ 0", 9)), [(9, 0.0)]);
        assert_eq!(counts(&at("f", 1)), []);
        assert_eq!((counts(&at("h", 2)).len(), at("h", 2).infos.len()), (1, 0));
    }

    #[test]
    fn a_range_of_it_gives_all_of_them() {
        let outcome = at("h[3m]", 4);
        assert_eq!(counts(&outcome), [(2, 2.0), (4, 4.0)]);
        assert_eq!((floats(&outcome), outcome.infos.len()), (1, 0));
    }

    #[test]
    fn each_step_of_a_range_query_has_its_own() {
        let engine = Engine::new(Arc::new(Minutes), Options::default());
        let step = Duration::from_secs(60);
        let outcome = engine.range("h", minute(0), minute(6), step).unwrap();
        assert_eq!(counts(&outcome), [(0, 0.0), (1, 1.0), (2, 2.0), (4, 4.0)]);
        assert_eq!(floats(&outcome), 1);
        assert_eq!(outcome.infos, [""; 0]);
    }

    #[test]
    fn what_is_made_of_it_says_that_they_are_passed_over() {
        let note = "PromQL info: native histograms of h are passed over; only a selector alone gives them";
        for expr in [
            "rate(h[5m])",
            "h + h",
            "count(h)",
            "-h",
            "max_over_time(h[2m:1m])",
        ] {
            let outcome = at(expr, 2);
            assert_eq!(
                (outcome.infos.clone(), counts(&outcome)),
                (vec![note.to_owned()], vec![]),
                "{expr}"
            );
        }
        assert_eq!(at("count(f)", 2).infos, [""; 0]);
    }

    #[test]
    fn histograms_count_towards_what_a_query_may_hold() {
        let options = Options {
            samples_max: 5,
            ..Options::default()
        };
        let engine = Engine::new(Arc::new(Minutes), options);
        let error = engine.instant("h[9m]", minute(5)).unwrap_err();
        assert_eq!(error, crate::QueryError::TooManySamples);
    }
}

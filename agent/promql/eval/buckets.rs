//! Quantiles and fractions of classic histograms: series with a label `le`.

use model::labels::{BUCKET, METRIC_NAME};

use super::Eval;
use super::grid::{Grid, HOLE, Head, is_hole};
use super::key::{Interner, Key};
use super::notes;
use crate::ast::Expr;
use crate::error::QueryError;

/// Differences of counts this small, relatively, come from rounding.
const ROUNDING: f64 = 1e-12;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    /// Upper bound, included.
    bound: f64,
    /// Observations up to it.
    count: f64,
}

/// The series of one histogram: bound and row of each.
struct Histogram<'g> {
    head: &'g Head,
    series: Vec<(f64, usize)>,
}

impl Eval<'_> {
    pub(super) fn histogram_quantile(
        self,
        (q_span, quantiles): (&Expr, &[f64]),
        (arg, grid): (&Expr, &Grid),
    ) -> Result<Grid, QueryError> {
        for q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            self.query.warn(q_span.span, notes::bad_quantile(*q));
        }
        self.histograms(arg, grid, |step, head, buckets| {
            let q = quantiles.get(step).copied().unwrap_or(f64::NAN);
            let (value, forced) = quantile(q, buckets);
            if forced {
                let name = self.query.names().value(head, METRIC_NAME);
                self.query.inform(arg.span, notes::forced_monotonicity(name));
            }
            value
        })
    }

    pub(super) fn histogram_fraction(
        self,
        (lower, upper): (&[f64], &[f64]),
        (arg, grid): (&Expr, &Grid),
    ) -> Result<Grid, QueryError> {
        let at = |bounds: &[f64], step: usize| bounds.get(step).copied().unwrap_or(f64::NAN);
        self.histograms(arg, grid, |step, _, buckets| {
            fraction(at(lower, step), at(upper, step), buckets)
        })
    }

    fn histograms(
        self,
        arg: &Expr,
        grid: &Grid,
        value: impl Fn(usize, &Head, &mut Vec<Bucket>) -> f64,
    ) -> Result<Grid, QueryError> {
        let key = Key::except(BUCKET);
        let names = self.query.names();
        let mut interner = Interner::new(&key, names);
        let mut found: Vec<Histogram<'_>> = Vec::new();
        for (row, head) in grid.heads().iter().enumerate() {
            let le = head.labels.value(BUCKET);
            let Some(bound) = model::text::float::parse(le) else {
                let name = names.value(head, METRIC_NAME);
                self.query.warn(arg.span, notes::bad_bucket(name, le));
                continue;
            };
            let number = interner.number(head);
            if number == found.len() {
                let series = Vec::new();
                found.push(Histogram { head, series });
            }
            if let Some(histogram) = found.get_mut(number) {
                histogram.series.push((bound, row));
            }
        }
        let mut result = Grid::with_capacity(self.steps.count, found.len());
        result.one_name = grid.one_name;
        let mut buckets = Vec::new();
        for histogram in found {
            self.query
                .worked(histogram.series.len().saturating_mul(self.steps.count))?;
            let cells: Vec<f64> = (0..self.steps.count)
                .map(|step| {
                    buckets.clear();
                    buckets.extend(histogram.series.iter().filter_map(|(bound, row)| {
                        let count = grid.row(*row).get(step).copied().filter(|cell| !is_hole(*cell))?;
                        Some(Bucket { bound: *bound, count })
                    }));
                    match buckets.is_empty() {
                        true => HOLE,
                        false => value(step, histogram.head, &mut buckets),
                    }
                })
                .collect();
            let head = Head {
                labels: key.labels(names, histogram.head),
                nameless: histogram.head.nameless,
            };
            result.push(head, cells);
        }
        self.unnamed(result)
    }
}

/// Sorts, and makes buckets of equal bounds one. False when the last bound is not `+Inf`.
fn complete(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|one, two| one.bound.total_cmp(&two.bound));
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

/// Counts never fall from bucket to bucket. True when one did by more than rounding explains.
fn force_monotonic(buckets: &mut [Bucket]) -> bool {
    let mut forced = false;
    let mut before = buckets.first().map_or(0.0, |first| first.count);
    for bucket in buckets.iter_mut().skip(1) {
        if bucket.count == before {
            continue;
        }
        let rounding = alike(before, bucket.count);
        if rounding || bucket.count < before {
            forced |= !rounding;
            bucket.count = before;
        } else {
            before = bucket.count;
        }
    }
    forced
}

fn alike(one: f64, two: f64) -> bool {
    let difference = (one - two).abs();
    let sum = one.abs() + two.abs();
    if one == 0.0 || two == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < ROUNDING * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < ROUNDING
}

/// By linear interpolation within a bucket; and whether counts had to be corrected.
fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    if !complete(buckets) {
        return (f64::NAN, false);
    }
    let forced = force_monotonic(buckets);
    let (Some(all), [.., highest_finite, _]) = (buckets.last().map(|last| last.count), buckets.as_slice())
    else {
        return (f64::NAN, false);
    };
    if all == 0.0 {
        return (f64::NAN, false);
    }
    let rank = q * all;
    let finite = buckets.get(..buckets.len() - 1).unwrap_or_default();
    let nth = finite
        .iter()
        .position(|bucket| bucket.count >= rank)
        .unwrap_or(finite.len());
    let Some(bucket) = finite.get(nth) else {
        return (highest_finite.bound, forced);
    };
    let below = nth.checked_sub(1).and_then(|below| finite.get(below));
    let value = match below {
        // Nobody knows how far below zero the lowest bucket reaches.
        None if bucket.bound <= 0.0 => bucket.bound,
        None => bucket.bound * (rank / bucket.count),
        Some(below) => {
            let share = (rank - below.count) / (bucket.count - below.count);
            below.bound + (bucket.bound - below.bound) * share
        }
    };
    (value, forced)
}

/// The share of observations between two bounds.
fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !complete(buckets) {
        return f64::NAN;
    }
    let all = buckets.last().map_or(0.0, |last| last.count);
    if all == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank(upper, buckets, all) - rank(lower, buckets, all)) / all
}

/// How many observations are not above `value`.
fn rank(value: f64, buckets: &[Bucket], all: f64) -> f64 {
    // Nobody knows how far below zero the lowest bucket reaches.
    let positive = buckets.first().is_some_and(|first| first.bound > 0.0);
    let mut start = if positive { 0.0 } else { f64::NEG_INFINITY };
    let mut below = 0.0;
    for bucket in buckets {
        if start >= value {
            return f64::min(below, all);
        }
        if bucket.bound > value {
            let share = match start.is_finite() {
                true => (value - start) / (bucket.bound - start),
                false => 1.0,
            };
            return f64::min(below + (bucket.count - below) * share, all);
        }
        (start, below) = (bucket.bound, bucket.count);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs
            .iter()
            .map(|(bound, count)| Bucket {
                bound: *bound,
                count: *count,
            })
            .collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_interpolate_within_a_bucket() {
        let all = [(INF, 10.0), (1.0, 2.0), (2.0, 6.0)];
        assert_eq!(quantile(0.4, &mut buckets(&all)), (1.5, false));
        assert_eq!(quantile(0.1, &mut buckets(&all)), (0.5, false));
        assert_eq!(
            quantile(0.9, &mut buckets(&all)),
            (2.0, false),
            "above every finite bound"
        );
        assert!(quantile(0.5, &mut buckets(&all[1..])).0.is_nan(), "no +Inf");
    }

    #[test]
    fn falling_counts_are_mended_and_told() {
        let all = [(1.0, 4.0), (2.0, 3.0), (4.0, 8.0), (INF, 8.0)];
        assert_eq!(quantile(0.75, &mut buckets(&all)), (3.0, true));
    }

    #[test]
    fn fractions_interpolate_too() {
        let all = [(1.0, 2.0), (2.0, 6.0), (INF, 8.0)];
        assert_eq!(fraction(1.0, 1.5, &mut buckets(&all)), 0.25);
        assert_eq!(fraction(f64::NEG_INFINITY, INF, &mut buckets(&all)), 1.0);
        assert_eq!(fraction(2.0, 1.0, &mut buckets(&all)), 0.0);
        assert_eq!(fraction(0.5, 2.0, &mut buckets(&all)), 0.625);
        let negative = [(-3.0, 10.0), (-2.0, 12.0), (INF, 100.0)];
        assert_eq!(
            fraction(-4.0, -2.0, &mut buckets(&negative)),
            0.02,
            "the lowest bucket has no lower bound"
        );
    }
}

//! Functions of one window of one series. No window is empty.

use model::Timestamp;

use crate::stats::{self, Mean, Sum, Variance};

/// A series' samples with `from < time <= until`, without stale markers.
pub(crate) struct Window<'s> {
    pub(crate) times: &'s [Timestamp],
    pub(crate) values: &'s [f64],
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// The time of the step, which `@` and `offset` do not move.
    pub(crate) now: i64,
}

impl Window<'_> {
    pub(super) fn seconds(&self) -> f64 {
        (self.until - self.from) as f64 / 1000.0
    }

    fn points(&self) -> impl Iterator<Item = (i64, f64)> {
        self.times
            .iter()
            .map(|time| time.0)
            .zip(self.values.iter().copied())
    }

    fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        self.values
            .iter()
            .copied()
            .zip(self.values.iter().copied().skip(1))
    }

    /// The point that `better` prefers over all others; anything is better than NaN.
    fn best(&self, better: impl Fn(f64, f64) -> bool) -> Option<(i64, f64)> {
        self.points().reduce(|best, next| {
            if better(next.1, best.1) || best.1.is_nan() {
                next
            } else {
                best
            }
        })
    }
}

pub(super) fn avg(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    let mut mean = Mean::default();
    window.values.iter().for_each(|value| mean.add(*value));
    Some(mean.value())
}

pub(super) fn sum(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    let mut sum = Sum::default();
    window.values.iter().for_each(|value| sum.add(*value));
    Some(sum.value())
}

pub(super) fn count(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    Some(window.values.len() as f64)
}

pub(super) fn present(_: &Window<'_>, _: &[f64]) -> Option<f64> {
    Some(1.0)
}

pub(super) fn first(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.values.first().copied()
}

pub(super) fn last(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.values.last().copied()
}

pub(super) fn max(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.best(|next, best| next > best).map(|(_, value)| value)
}

pub(super) fn min(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.best(|next, best| next < best).map(|(_, value)| value)
}

pub(super) fn time_of_first(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.times.first().map(|time| time.seconds())
}

pub(super) fn time_of_last(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    window.times.last().map(|time| time.seconds())
}

/// Of equal values the newest.
pub(super) fn time_of_max(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    let (time, _) = window.best(|next, best| next >= best)?;
    Some(time as f64 / 1000.0)
}

pub(super) fn time_of_min(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    let (time, _) = window.best(|next, best| next <= best)?;
    Some(time as f64 / 1000.0)
}

pub(super) fn stdvar(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    let mut variance = Variance::default();
    window.values.iter().for_each(|value| variance.add(*value));
    Some(variance.value())
}

pub(super) fn stddev(window: &Window<'_>, args: &[f64]) -> Option<f64> {
    stdvar(window, args).map(f64::sqrt)
}

pub(super) fn quantile(window: &Window<'_>, args: &[f64]) -> Option<f64> {
    let mut values = window.values.to_vec();
    Some(stats::quantile(args.first().copied()?, &mut values))
}

/// Median distance from the median; NaN if any value is.
pub(super) fn mad(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    if window.values.iter().any(|value| value.is_nan()) {
        return Some(f64::NAN);
    }
    let mut values = window.values.to_vec();
    let median = stats::quantile(0.5, &mut values);
    values
        .iter_mut()
        .for_each(|value| *value = (*value - median).abs());
    Some(stats::quantile(0.5, &mut values))
}

pub(super) fn changes(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    let changed = |(before, after): &(f64, f64)| before != after && !(before.is_nan() && after.is_nan());
    Some(window.pairs().filter(changed).count() as f64)
}

pub(super) fn resets(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    Some(window.pairs().filter(|(before, after)| after < before).count() as f64)
}

/// Slope per second of the line through the samples.
pub(super) fn deriv(window: &Window<'_>, _: &[f64]) -> Option<f64> {
    // An origin near the samples keeps the sums small.
    let origin = window.times.first()?.0;
    (window.values.len() > 1).then(|| stats::line(window.points(), origin).0)
}

/// Where that line is so many seconds from now.
pub(super) fn predict(window: &Window<'_>, args: &[f64]) -> Option<f64> {
    if window.values.len() < 2 {
        return None;
    }
    let (slope, intercept) = stats::line(window.points(), window.now);
    Some(slope * args.first().copied()? + intercept)
}

/// Holt's double exponential smoothing with a smoothing and a trend factor.
pub(super) fn smoothed(window: &Window<'_>, args: &[f64]) -> Option<f64> {
    let (&[smoothing, trending], [first, second, ..]) = (args, window.values) else {
        return None;
    };
    let (mut level, mut trend) = (*first, second - first);
    for value in window.values.iter().skip(1) {
        let next = smoothing * value + (1.0 - smoothing) * (level + trend);
        trend = trending * (next - level) + (1.0 - trending) * trend;
        level = next;
    }
    Some(level)
}

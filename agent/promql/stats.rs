//! Sums, means and quantiles with the care that Prometheus takes of rounding.

/// A sum with Neumaier's compensation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, value: f64) {
        let total = self.total + value;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.total.abs() >= value.abs() {
            self.lost += (self.total - total) + value;
        } else {
            self.lost += (value - total) + self.total;
        }
        self.total = total;
    }

    pub(crate) fn value(self) -> f64 {
        if self.total.is_infinite() {
            return self.total;
        }
        self.total + self.lost
    }
}

/// An average: the sum by the count while the sum fits, then a running mean.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    sum: Sum,
    count: f64,
    running: bool,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.running {
            let mut next = self.sum;
            next.add(value);
            // The first value is taken as it is, an infinite one too.
            if !next.total.is_infinite() || self.count == 1.0 {
                self.sum = next;
                return;
            }
            self.running = true;
            self.sum.total /= self.count - 1.0;
            self.sum.lost /= self.count - 1.0;
        }
        let weight = (self.count - 1.0) / self.count;
        self.sum.total *= weight;
        self.sum.lost *= weight;
        self.sum.add(value / self.count);
    }

    pub(crate) fn value(self) -> f64 {
        if self.running {
            return self.sum.total + self.sum.lost;
        }
        self.sum.total / self.count + self.sum.lost / self.count
    }
}

/// Welford's variance with compensated sums.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variance {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Variance {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - (self.mean.total + self.mean.lost);
        self.mean.add(delta / self.count);
        self.squares
            .add(delta * (value - (self.mean.total + self.mean.lost)));
    }

    /// Of all values, not of a sample.
    pub(crate) fn value(self) -> f64 {
        (self.squares.total + self.squares.lost) / self.count
    }
}

/// The φ-quantile by linear interpolation; sorts `values`, NaN lowest.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|one, two| nan_first(*one, *two));
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor() as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    let at = |nth: usize| values.get(nth).copied().unwrap_or(f64::NAN);
    at(lower) * (1.0 - weight) + at(upper) * weight
}

/// Ascending, NaN before everything.
pub(crate) fn nan_first(one: f64, two: f64) -> std::cmp::Ordering {
    one.partial_cmp(&two)
        .unwrap_or_else(|| two.is_nan().cmp(&one.is_nan()))
}

/// Slope per second and value at `origin`, by least squares over `(milliseconds, value)`.
pub(crate) fn line(points: impl Iterator<Item = (i64, f64)>, origin: i64) -> (f64, f64) {
    let (mut count, mut first, mut flat) = (0.0, f64::NAN, true);
    let [mut x_sum, mut y_sum, mut xy_sum, mut xx_sum] = [Sum::default(); 4];
    for (time, y) in points {
        if count == 0.0 {
            first = y;
        }
        flat &= y == first || count == 0.0;
        count += 1.0;
        let x = (time - origin) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    if flat {
        return match first.is_infinite() {
            true => (f64::NAN, f64::NAN),
            false => (0.0, first),
        };
    }
    let whole = |sum: Sum| sum.total + sum.lost;
    let [x, y, xy, xx] = [whole(x_sum), whole(y_sum), whole(xy_sum), whole(xx_sum)];
    let slope = (xy - x * y / count) / (xx - x * x / count);
    (slope, y / count - slope * x / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_survive_between_large_ones() {
        let mut sum = Sum::default();
        [1e100, 1.0, -1e100, 1.0]
            .into_iter()
            .for_each(|value| sum.add(value));
        assert_eq!(sum.value(), 2.0);
    }

    #[test]
    fn a_mean_does_not_overflow() {
        let mut mean = Mean::default();
        [1.7e308, 1.7e308, 1.7e308]
            .into_iter()
            .for_each(|value| mean.add(value));
        assert!((mean.value() / 1.7e308 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(0.5, &mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(quantile(1.0, &mut [1.0, f64::NAN]), 1.0);
        assert_eq!(quantile(1.5, &mut [1.0]), f64::INFINITY);
    }

    #[test]
    fn a_line_is_found() {
        let (slope, intercept) = line([(0, 1.0), (1000, 3.0), (2000, 5.0)].into_iter(), 2000);
        assert_eq!((slope, intercept), (2.0, 5.0));
    }
}

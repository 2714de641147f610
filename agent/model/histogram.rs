//! A native histogram: one sample that holds a whole distribution, in buckets whose bounds follow from a number.
//!
//! As Prometheus has them: <https://prometheus.io/docs/specs/native_histograms/>. Counts are floats here whatever they
//! were when they came; `integers` says that they were whole, so that they are written down as they came.

use std::fmt;

/// Buckets whose bounds are given and do not follow from the schema: those of a classic histogram.
pub const CUSTOM: i32 = -53;
/// Of schemas with bounds that follow: each is 2^(2^-schema) times the one before.
pub const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;
/// More buckets than anybody has, on one side.
pub const BUCKETS_MAX: usize = 100_000;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    pub count: f64,
    /// Of all that was observed.
    pub sum: f64,
    pub schema: i32,
    /// How wide the bucket around zero is, on each side.
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub positive: Buckets,
    pub negative: Buckets,
    /// Upper bounds, where the schema is [`CUSTOM`].
    pub bounds: Vec<f64>,
    pub reset: Reset,
    /// Whether its counts came as whole numbers.
    pub integers: bool,
}

/// The buckets of one side, those without anything left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    pub spans: Vec<Span>,
    /// One for each bucket of the spans.
    pub counts: Vec<f64>,
}

/// Buckets that follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From the end of the span before; of the first, the index of its first bucket.
    pub offset: i32,
    pub length: u32,
}

/// What its source knows of the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    #[default]
    Unknown,
    /// Its counts began anew.
    Yes,
    No,
    /// It does not count up.
    Gauge,
}

/// One bucket, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    pub lower: f64,
    pub upper: f64,
    pub lower_inclusive: bool,
    pub upper_inclusive: bool,
    pub count: f64,
}

/// Why a histogram cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHistogram {
    Schema(i32),
    /// Spans and counts say different numbers of buckets.
    BucketsDiffer {
        spans: u64,
        counts: usize,
    },
    /// A span begins before the one before it has ended.
    SpansOverlap,
    TooManyBuckets,
    /// A count is below zero.
    Negative,
    /// The buckets hold more than the whole.
    CountTooSmall,
    /// Bounds do not rise, or are infinite or no number, or there are too few.
    Bounds,
    /// What only the other kind of schema may have.
    Mixed,
    /// The zero bucket is below zero wide, or no number.
    ZeroThreshold,
}

impl fmt::Display for BadHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(schema) => write!(f, "schema {schema} is none of -4 to 8 and -53"),
            Self::BucketsDiffer { spans, counts } => {
                write!(f, "its spans are of {spans} buckets, and it has {counts}")
            }
            Self::SpansOverlap => f.write_str("its spans overlap"),
            Self::TooManyBuckets => write!(f, "it has more than {BUCKETS_MAX} buckets"),
            Self::Negative => f.write_str("a count is below zero"),
            Self::CountTooSmall => f.write_str("its buckets hold more than its count"),
            Self::Bounds => f.write_str("its bounds do not rise, or are too few"),
            Self::Mixed => f.write_str("custom bounds go with schema -53 and with positive buckets only"),
            Self::ZeroThreshold => f.write_str("its zero threshold is no width"),
        }
    }
}

impl std::error::Error for BadHistogram {}

impl Histogram {
    /// # Errors
    /// See [`BadHistogram`].
    pub fn check(&self) -> Result<(), BadHistogram> {
        if self.schema == CUSTOM {
            self.check_custom()?;
        } else if !SCHEMAS.contains(&self.schema) {
            return Err(BadHistogram::Schema(self.schema));
        } else if !self.bounds.is_empty() {
            return Err(BadHistogram::Mixed);
        }
        if self.zero_threshold.is_nan() || self.zero_threshold < 0.0 {
            return Err(BadHistogram::ZeroThreshold);
        }
        self.positive.check()?;
        self.negative.check()?;
        if self.zero_count < 0.0 || self.count < 0.0 {
            return Err(BadHistogram::Negative);
        }
        let all = self.positive.counts.iter().chain(&self.negative.counts);
        let inside = self.zero_count + all.sum::<f64>();
        // What is no number is counted without a bucket; then the sum is no number either. Floats are not added exactly.
        let slack = if self.integers { 0.0 } else { 1e-9 * inside.abs() };
        if inside > self.count + slack {
            return Err(BadHistogram::CountTooSmall);
        }
        Ok(())
    }

    fn check_custom(&self) -> Result<(), BadHistogram> {
        let empty = |buckets: &Buckets| buckets.spans.is_empty() && buckets.counts.is_empty();
        if !empty(&self.negative) || self.zero_count != 0.0 || self.zero_threshold != 0.0 {
            return Err(BadHistogram::Mixed);
        }
        let rise = self.bounds.is_sorted_by(|a, b| a < b);
        if !rise || !self.bounds.iter().all(|bound| bound.is_finite()) {
            return Err(BadHistogram::Bounds);
        }
        // One more than there are bounds: the last bucket has none above.
        let last = self.positive.indexed().last().map_or(-1, |(index, _)| index);
        let first = self.positive.spans.first().map_or(0, |span| span.offset);
        if first < 0 || last > i64::try_from(self.bounds.len()).unwrap_or(i64::MAX) {
            return Err(BadHistogram::Bounds);
        }
        Ok(())
    }

    /// What it takes in memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let side = |buckets: &Buckets| buckets.spans.len() * size_of::<Span>() + buckets.counts.len() * 8;
        size_of::<Self>() + side(&self.positive) + side(&self.negative) + self.bounds.len() * 8
    }

    /// How much reading it costs: a sample for each of its buckets.
    #[must_use]
    pub fn samples(&self) -> usize {
        (self.positive.counts.len() + self.negative.counts.len()).max(1)
    }

    /// All that hold anything, from the lowest up: negative ones, the one around zero, positive ones.
    #[must_use]
    pub fn buckets(&self) -> Vec<Bucket> {
        let negative = self.negative.indexed().map(|(index, count)| Bucket {
            lower: -self.bound(index),
            upper: -self.bound(index - 1),
            lower_inclusive: true,
            upper_inclusive: false,
            count,
        });
        let mut all: Vec<Bucket> = negative.collect();
        all.reverse();
        let is_custom = self.schema == CUSTOM;
        if !is_custom {
            all.push(Bucket {
                lower: -self.zero_threshold,
                upper: self.zero_threshold,
                lower_inclusive: true,
                upper_inclusive: true,
                count: self.zero_count,
            });
        }
        all.extend(self.positive.indexed().map(|(index, count)| Bucket {
            lower: self.bound(index - 1),
            upper: self.bound(index),
            // What is below every bound is in the first of the given ones.
            lower_inclusive: is_custom && index == 0,
            upper_inclusive: true,
            count,
        }));
        all.retain(|bucket| bucket.count != 0.0);
        all
    }

    /// The upper bound of a positive bucket.
    fn bound(&self, index: i64) -> f64 {
        if self.schema == CUSTOM {
            let Ok(index) = usize::try_from(index) else {
                return f64::NEG_INFINITY;
            };
            return self.bounds.get(index).copied().unwrap_or(f64::INFINITY);
        }
        let whole = |power: i64| (power as f64).exp2();
        if self.schema <= 0 {
            let power = index.saturating_mul(1 << -self.schema);
            // The last bucket ends with the greatest number there is, and only infinity is in the one behind it.
            return if power == 1024 { f64::MAX } else { whole(power) };
        }
        let steps = 1_i64 << self.schema;
        let (power, part) = (index.div_euclid(steps), index.rem_euclid(steps));
        if part == 0 && power == 1024 {
            return f64::MAX;
        }
        // In two, for those that are too small to be written at once.
        let part = (part as f64 / steps as f64).exp2();
        let half = power / 2;
        part * whole(half) * whole(power - half)
    }
}

impl Buckets {
    /// Each bucket's index and count.
    pub fn indexed(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        let mut next = 0_i64;
        let indexes = self.spans.iter().flat_map(move |span| {
            let first = next + i64::from(span.offset);
            next = first + i64::from(span.length);
            first..next
        });
        indexes.zip(self.counts.iter().copied())
    }

    fn check(&self) -> Result<(), BadHistogram> {
        let spans: u64 = self.spans.iter().map(|span| u64::from(span.length)).sum();
        if spans != self.counts.len() as u64 {
            return Err(BadHistogram::BucketsDiffer {
                spans,
                counts: self.counts.len(),
            });
        }
        if self.counts.len().max(self.spans.len()) > BUCKETS_MAX {
            return Err(BadHistogram::TooManyBuckets);
        }
        if self.spans.iter().skip(1).any(|span| span.offset < 0) {
            return Err(BadHistogram::SpansOverlap);
        }
        if self.counts.iter().any(|count| *count < 0.0) {
            return Err(BadHistogram::Negative);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram() -> Histogram {
        Histogram {
            count: 12.0,
            sum: 20.5,
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 2.0,
            positive: Buckets {
                spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
                counts: vec![3.0, 0.0, 4.0],
            },
            negative: Buckets {
                spans: vec![Span {
                    offset: -1,
                    length: 1,
                }],
                counts: vec![3.0],
            },
            integers: true,
            ..Histogram::default()
        }
    }

    #[test]
    fn buckets_lie_between_powers_and_empty_ones_are_left_out() {
        let all = histogram().buckets();
        let bounds: Vec<(f64, f64, f64)> = all.iter().map(|one| (one.lower, one.upper, one.count)).collect();
        let wanted = [
            (-0.5, -0.25, 3.0),
            (-0.001, 0.001, 2.0),
            (0.5, 1.0, 3.0),
            (4.0, 8.0, 4.0),
        ];
        assert_eq!(bounds, wanted);
        assert!(all[0].lower_inclusive && !all[0].upper_inclusive);
        assert!(!all[2].lower_inclusive && all[2].upper_inclusive);
    }

    #[test]
    fn bounds_reach_from_the_smallest_number_to_the_greatest() {
        let of = |schema, index| {
            Histogram {
                schema,
                ..Histogram::default()
            }
            .bound(index)
        };
        assert_eq!(of(-4, 0), 1.0);
        assert_eq!(of(-4, 1), 65_536.0);
        assert_eq!(of(0, 1024), f64::MAX);
        assert_eq!(of(0, 1025), f64::INFINITY);
        assert_eq!(of(0, -1074), f64::from_bits(1));
        assert_eq!(of(1, 1), std::f64::consts::SQRT_2);
        assert_eq!(of(8, -256), 0.5);
        assert_eq!(of(8, 256 * 1024), f64::MAX);
        assert_eq!(of(3, -8 * 1074), f64::from_bits(1));
    }

    #[test]
    fn given_bounds_are_those_of_a_classic_histogram() {
        let custom = Histogram {
            count: 6.0,
            schema: CUSTOM,
            bounds: vec![0.1, 1.0],
            positive: Buckets {
                spans: vec![Span { offset: 0, length: 3 }],
                counts: vec![1.0, 2.0, 3.0],
            },
            ..Histogram::default()
        };
        assert_eq!(custom.check(), Ok(()));
        let bounds: Vec<(f64, f64)> = custom
            .buckets()
            .iter()
            .map(|one| (one.lower, one.upper))
            .collect();
        assert_eq!(
            bounds,
            [(f64::NEG_INFINITY, 0.1), (0.1, 1.0), (1.0, f64::INFINITY)]
        );
        let longer = Histogram {
            bounds: vec![0.1],
            ..custom.clone()
        };
        assert_eq!(longer.check(), Err(BadHistogram::Bounds));
        let falling = Histogram {
            bounds: vec![1.0, 0.1],
            ..custom.clone()
        };
        assert_eq!(falling.check(), Err(BadHistogram::Bounds));
        let both = Histogram {
            zero_count: 1.0,
            ..custom
        };
        assert_eq!(both.check(), Err(BadHistogram::Mixed));
    }

    #[test]
    fn what_contradicts_itself_is_said() {
        let good = histogram();
        assert_eq!(good.check(), Ok(()));
        let wrong = |change: &dyn Fn(&mut Histogram)| {
            let mut wrong = good.clone();
            change(&mut wrong);
            wrong.check().expect_err("it is wrong")
        };
        assert_eq!(wrong(&|one| one.schema = 9), BadHistogram::Schema(9));
        assert_eq!(wrong(&|one| one.count = 11.0), BadHistogram::CountTooSmall);
        assert_eq!(
            wrong(&|one| one.positive.counts[0] = -1.0),
            BadHistogram::Negative
        );
        assert_eq!(
            wrong(&|one| one.positive.spans[1].offset = -1),
            BadHistogram::SpansOverlap
        );
        assert_eq!(
            wrong(&|one| one.zero_threshold = f64::NAN),
            BadHistogram::ZeroThreshold
        );
        assert_eq!(wrong(&|one| one.bounds.push(1.0)), BadHistogram::Mixed);
        let fewer = BadHistogram::BucketsDiffer { spans: 3, counts: 2 };
        assert_eq!(wrong(&|one| _ = one.positive.counts.pop()), fewer);
    }
}

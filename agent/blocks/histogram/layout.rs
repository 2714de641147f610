//! What all histograms of a chunk have in common, as it stands in front of them.

use model::histogram::{BadHistogram, Buckets, CUSTOM, Histogram, Span};

use crate::bits::{BitReader, BitWriter};
use crate::varbit::{self, WIDTHS};

/// More than anybody has, as in the model: buckets and spans on one side, and bounds.
const BUCKETS_MAX: u64 = 100_000;

/// Powers of two that a zero threshold of one byte may be, the first of them as 1.
const POWERS: std::ops::RangeInclusive<i32> = -243..=10;
const ZERO: u64 = 0;
const WHOLE: u64 = 255;

/// Bounds below this many thousandths stand as such.
const THOUSANDTHS_MAX: f64 = 33_554_430.0;

/// Whether a chunk can have the layout of a histogram.
pub(crate) fn check(histogram: &Histogram) -> Result<(), BadHistogram> {
    if histogram.bounds.len() as u64 > BUCKETS_MAX {
        return Err(BadHistogram::TooManyBuckets);
    }
    // Its counts are no matter here: gauges have been seen that are below zero.
    let empty = |buckets: &Buckets| Buckets {
        spans: buckets.spans.clone(),
        counts: vec![0.0; buckets.counts.len()],
    };
    let layout = Histogram {
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        positive: empty(&histogram.positive),
        negative: empty(&histogram.negative),
        bounds: histogram.bounds.clone(),
        ..Histogram::default()
    };
    layout.check()
}

pub(super) fn put(bits: &mut BitWriter, histogram: &Histogram) {
    put_threshold(bits, histogram.zero_threshold);
    varbit::put(bits, &WIDTHS, i64::from(histogram.schema));
    for side in [&histogram.positive, &histogram.negative] {
        varbit::put_unsigned(bits, &WIDTHS, side.spans.len() as u64);
        for span in &side.spans {
            varbit::put_unsigned(bits, &WIDTHS, u64::from(span.length));
            varbit::put(bits, &WIDTHS, i64::from(span.offset));
        }
    }
    if histogram.schema == CUSTOM {
        varbit::put_unsigned(bits, &WIDTHS, histogram.bounds.len() as u64);
        histogram.bounds.iter().for_each(|bound| put_bound(bits, *bound));
    }
}

/// A histogram with the layout and no counts in its buckets. None is one that cannot be.
pub(super) fn take(bits: &mut BitReader<'_>) -> Option<Histogram> {
    let zero_threshold = take_threshold(bits)?;
    let schema = i32::try_from(varbit::take(bits, &WIDTHS)?).ok()?;
    let positive = take_buckets(bits)?;
    let negative = take_buckets(bits)?;
    let mut layout = Histogram {
        schema,
        zero_threshold,
        positive,
        negative,
        ..Histogram::default()
    };
    if schema == CUSTOM {
        let bounds = varbit::take_unsigned(bits, &WIDTHS)?;
        if bounds > BUCKETS_MAX {
            return None;
        }
        for _ in 0..bounds {
            layout.bounds.push(take_bound(bits)?);
        }
    }
    layout.check().is_ok().then_some(layout)
}

fn take_buckets(bits: &mut BitReader<'_>) -> Option<Buckets> {
    let (mut spans, mut count) = (Vec::new(), 0_u64);
    let length = varbit::take_unsigned(bits, &WIDTHS)?;
    if length > BUCKETS_MAX {
        return None;
    }
    for _ in 0..length {
        let span = Span {
            length: u32::try_from(varbit::take_unsigned(bits, &WIDTHS)?).ok()?,
            offset: i32::try_from(varbit::take(bits, &WIDTHS)?).ok()?,
        };
        count += u64::from(span.length);
        spans.push(span);
    }
    let counts = vec![0.0; (count <= BUCKETS_MAX).then_some(count as usize)?];
    Some(Buckets { spans, counts })
}

fn put_threshold(bits: &mut BitWriter, threshold: f64) {
    let power = (threshold.to_bits() >> 52) as i32 - 1023;
    if threshold == 0.0 {
        bits.put(ZERO, 8);
    } else if POWERS.contains(&power) && threshold == power_of_two(power) {
        bits.put(u64::from((power - POWERS.start() + 1).unsigned_abs()), 8);
    } else {
        bits.put(WHOLE, 8);
        bits.put(threshold.to_bits(), 64);
    }
}

fn take_threshold(bits: &mut BitReader<'_>) -> Option<f64> {
    match bits.take(8)? {
        ZERO => Some(0.0),
        WHOLE => bits.take(64).map(f64::from_bits),
        nth => Some(power_of_two(nth as i32 + POWERS.start() - 1)),
    }
}

fn power_of_two(power: i32) -> f64 {
    f64::from(power).exp2()
}

/// Thousandths, one more than they are; or 0 and the number itself.
fn put_bound(bits: &mut BitWriter, bound: f64) {
    let thousandths = bound * 1000.0;
    let whole = thousandths.round();
    let small = (0.0..=THOUSANDTHS_MAX).contains(&thousandths);
    if small && whole / 1000.0 == bound {
        varbit::put_unsigned(bits, &WIDTHS, whole as u64 + 1);
    } else {
        bits.put(0, 1);
        bits.put(bound.to_bits(), 64);
    }
}

fn take_bound(bits: &mut BitReader<'_>) -> Option<f64> {
    match varbit::take_unsigned(bits, &WIDTHS)? {
        0 => bits.take(64).map(f64::from_bits),
        more => Some((more - 1) as f64 / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(histogram: &Histogram) -> (usize, Histogram) {
        let mut bits = BitWriter::default();
        put(&mut bits, histogram);
        let bytes = bits.finish();
        (
            bytes.len(),
            take(&mut BitReader::new(&bytes)).expect("a good layout"),
        )
    }

    #[test]
    fn thresholds_come_back_and_powers_of_two_take_a_byte() {
        for (threshold, bytes) in [
            (0.0, 1),
            (2f64.powi(-128), 1),
            (2f64.powi(-243), 1),
            (1024.0, 1),
            (2f64.powi(-244), 9),
            (2048.0, 9),
            (0.1, 9),
            (5e-324, 9),
            (f64::INFINITY, 9),
        ] {
            let (length, layout) = back(&Histogram {
                zero_threshold: threshold,
                ..Histogram::default()
            });
            // A schema and two counts of spans, each zero, are three bits.
            assert_eq!((layout.zero_threshold, length), (threshold, bytes + 1));
        }
        let mut bits = BitWriter::default();
        put_threshold(&mut bits, 2f64.powi(-128));
        assert_eq!(bits.finish(), [116], "as Prometheus says of its own");
    }

    #[test]
    fn bounds_come_back() {
        let bounds = vec![-1.5, 0.0, 0.001, 0.25, 0.1 + 0.2, 33_554.43, 33_554.431, 1e300];
        let custom = Histogram {
            schema: CUSTOM,
            bounds: bounds.clone(),
            ..Histogram::default()
        };
        assert_eq!(back(&custom).1.bounds, bounds);
    }

    #[test]
    fn layouts_that_cannot_be_are_none() {
        let side = |spans: &[(i32, u32)]| Buckets {
            spans: spans
                .iter()
                .map(|(offset, length)| Span {
                    offset: *offset,
                    length: *length,
                })
                .collect(),
            counts: Vec::new(),
        };
        let layout = |schema, spans: &[(i32, u32)], bounds: &[f64]| {
            let mut bits = BitWriter::default();
            let positive = side(spans);
            put(
                &mut bits,
                &Histogram {
                    schema,
                    positive,
                    bounds: bounds.to_vec(),
                    ..Histogram::default()
                },
            );
            take(&mut BitReader::new(&bits.finish()))
        };
        assert!(layout(3, &[(-7, 2), (1, 5)], &[]).is_some());
        assert!(layout(9, &[], &[]).is_none(), "no such schema");
        assert!(layout(3, &[(0, 2), (-1, 5)], &[]).is_none(), "spans overlap");
        assert!(layout(3, &[(0, 100_001)], &[]).is_none(), "too many");
        assert!(layout(3, &[(0, u32::MAX), (0, 1)], &[]).is_none(), "far too many");
        assert!(layout(CUSTOM, &[(0, 3)], &[1.0, 2.0]).is_some());
        assert!(layout(CUSTOM, &[(0, 4)], &[1.0, 2.0]).is_none(), "too few bounds");
        assert!(layout(CUSTOM, &[(0, 1)], &[2.0, 1.0]).is_none(), "bounds fall");
    }
}

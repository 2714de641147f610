//! A series' values in a sealed block, in as few bytes as still allow reading any one of them at once.
//!
//! Most series of a machine are constant for half an hour, whole numbers, or decimals with few digits. Those
//! are kept as small distances from their least value, and only when every value comes back bit for bit;
//! everything else stays as it was. A denser code (Gorilla) would be one more variant.

use std::ops::Range;

/// Decimal shares that counters of kernels and clients come in: jiffies, milli-, micro- and nanoseconds.
const SCALES: [f64; 5] = [1.0, 100.0, 1e3, 1e6, 1e9];
/// Every whole number up to here is an `f64`.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

#[derive(Debug)]
pub(crate) enum Packed {
    Same(f64),
    Bytes { base: Base, steps: Box<[u8]> },
    Shorts { base: Base, steps: Box<[u16]> },
    Words { base: Base, steps: Box<[u32]> },
    Raw(Box<[f64]>),
}

/// Value = (least + step) / scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base {
    least: i64,
    scale: f64,
}

impl Base {
    fn value(self, step: u32) -> f64 {
        (self.least + i64::from(step)) as f64 / self.scale
    }
}

impl Packed {
    pub(crate) fn pack(values: &[f64]) -> Self {
        let Some(&value) = values.first() else {
            return Self::Same(0.0);
        };
        if values.iter().all(|other| other.to_bits() == value.to_bits()) {
            return Self::Same(value);
        }
        SCALES
            .into_iter()
            .find_map(|scale| Self::steps(values, scale))
            .unwrap_or_else(|| Self::Raw(values.into()))
    }

    fn steps(values: &[f64], scale: f64) -> Option<Self> {
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for value in values {
            let whole = whole(*value, scale)?;
            (least, most) = (least.min(whole), most.max(whole));
        }
        let span = u32::try_from(most - least).ok()?;
        let base = Base { least, scale };
        let steps = values
            .iter()
            .map(|value| u32::try_from(whole(*value, scale).unwrap_or(least) - least).unwrap_or(0));
        Some(if u8::try_from(span).is_ok() {
            let steps = steps.map(|step| step as u8).collect();
            Self::Bytes { base, steps }
        } else if u16::try_from(span).is_ok() {
            let steps = steps.map(|step| step as u16).collect();
            Self::Shorts { base, steps }
        } else {
            let steps = steps.collect();
            Self::Words { base, steps }
        })
    }

    /// Adds the values of `range` to `out`; what lies outside is left out.
    pub(crate) fn read(&self, range: Range<usize>, out: &mut Vec<f64>) {
        match self {
            Self::Same(value) => out.extend(range.map(|_| *value)),
            Self::Bytes { base, steps } => {
                out.extend(part(steps, range).iter().map(|step| base.value(u32::from(*step))));
            }
            Self::Shorts { base, steps } => {
                out.extend(part(steps, range).iter().map(|step| base.value(u32::from(*step))));
            }
            Self::Words { base, steps } => {
                out.extend(part(steps, range).iter().map(|step| base.value(*step)));
            }
            Self::Raw(values) => out.extend_from_slice(part(values, range)),
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Same(_) => 0,
            Self::Bytes { steps, .. } => steps.len(),
            Self::Shorts { steps, .. } => steps.len() * 2,
            Self::Words { steps, .. } => steps.len() * 4,
            Self::Raw(values) => values.len() * 8,
        }
    }
}

fn part<T>(all: &[T], range: Range<usize>) -> &[T] {
    all.get(range).unwrap_or_default()
}

/// `value × scale` as a whole number, if dividing gives the very same bits again.
fn whole(value: f64, scale: f64) -> Option<i64> {
    let scaled = (value * scale).round();
    if !(-EXACT_MAX..=EXACT_MAX).contains(&scaled) {
        return None;
    }
    let whole = scaled as i64;
    (whole as f64 / scale)
        .to_bits()
        .eq(&value.to_bits())
        .then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::STALE;
    use proptest::prelude::*;

    fn round_trip(values: &[f64]) -> Packed {
        let packed = Packed::pack(values);
        let mut out = Vec::new();
        packed.read(0..values.len(), &mut out);
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&out), bits(values), "{packed:?}");
        packed
    }

    #[test]
    fn usual_series_take_few_bytes() {
        assert_eq!(round_trip(&[7.25; 120]).heap_bytes(), 0);
        let walk: Vec<f64> = (0..120).map(|nth| 40.0 + f64::from(nth % 7)).collect();
        assert_eq!(round_trip(&walk).heap_bytes(), 120);
        let jiffies: Vec<f64> = (0..120)
            .map(|nth| f64::from(812_345 + nth * 14) / 100.0)
            .collect();
        assert_eq!(round_trip(&jiffies).heap_bytes(), 240);
        let octets: Vec<f64> = (0..120).map(|nth| 9.1e12 + f64::from(nth * 1_000_003)).collect();
        assert_eq!(round_trip(&octets).heap_bytes(), 480);
    }

    #[test]
    fn odd_bits_survive() {
        round_trip(&[-0.0, 0.0, 1.0]);
        round_trip(&[
            STALE,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            f64::MAX,
        ]);
        round_trip(&[1.0, STALE]);
        round_trip(&[f64::from_bits(0xfff8_0000_dead_beef), 3.0]);
        round_trip(&[-9_007_199_254_740_992.0, 9_007_199_254_740_992.0]);
        round_trip(&[]);
    }

    proptest! {
        #[test]
        fn every_value_comes_back(values in proptest::collection::vec(any::<u64>().prop_map(f64::from_bits), 0..50)) {
            round_trip(&values);
        }

        #[test]
        fn every_decimal_comes_back(
            start in -1_000_000_i32..1_000_000,
            steps in proptest::collection::vec(0_i32..70_000, 1..130),
            scale in prop::sample::select(vec![1.0, 10.0, 100.0, 1e3, 1e6, 1e9]),
        ) {
            let mut at = f64::from(start);
            let values: Vec<f64> = steps.iter().map(|step| { at += f64::from(*step); at / scale }).collect();
            round_trip(&values);
        }
    }
}

//! A series' values in a sealed block, in as few bytes as still allow reading any one of them at once.
//!
//! Most series of a machine are constant for a quarter of an hour, whole numbers, or decimals with few digits.
//! Those are kept as small distances from their least value, and only when every value comes back bit for bit;
//! everything else stays as it was. A denser code (Gorilla) would be one more width.

use std::ops::Range;

/// Decimal shares that counters of kernels and clients come in: jiffies, milli-, micro- and nanoseconds.
const SCALES: [f64; 5] = [1.0, 100.0, 1e3, 1e6, 1e9];
/// Every whole number up to here is an `f64`, and so is every sum of two that stays within.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Where a series' values lie among the bytes of its block, and how to read them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    /// The least value times the scale; the value itself where all are the same.
    least: f64,
    start: usize,
    width: Width,
    scale: u8,
}

/// What stands for each value.
#[derive(Clone, Copy, Debug)]
enum Width {
    /// Nothing: all are the same.
    None,
    /// Distance from the least, in so many bits.
    Bits8,
    Bits16,
    Bits32,
    /// The value itself.
    Raw,
}

impl Packed {
    /// Adds the values' bytes to those of the block.
    pub(crate) fn pack(values: &[f64], bytes: &mut Vec<u8>, scratch: &mut Vec<f64>) -> Self {
        let least = values.first().copied().unwrap_or_default();
        let start = bytes.len();
        if values.iter().all(|other| other.to_bits() == least.to_bits()) {
            return Self {
                least,
                start,
                width: Width::None,
                scale: 0,
            };
        }
        let steps = (0..)
            .zip(SCALES)
            .find_map(|(scale, by)| Self::steps(values, scale, by, bytes, scratch));
        steps.unwrap_or_else(|| {
            put(bytes, values.iter().map(|value| value.to_bits().to_le_bytes()));
            Self {
                least,
                start,
                width: Width::Raw,
                scale: 0,
            }
        })
    }

    fn steps(values: &[f64], scale: u8, by: f64, bytes: &mut Vec<u8>, wholes: &mut Vec<f64>) -> Option<Self> {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        wholes.clear();
        for value in values {
            let whole = whole(*value, by)?;
            (least, most) = (least.min(whole), most.max(whole));
            wholes.push(whole);
        }
        let start = bytes.len();
        let steps = values
            .iter()
            .map(|value| whole(*value, by).unwrap_or(least) - least);
        let span = most - least;
        let width = if span <= f64::from(u8::MAX) {
            bytes.extend(steps.map(|step| step as u8));
            Width::Bits8
        } else if span <= f64::from(u16::MAX) {
            put(bytes, steps.map(|step| (step as u16).to_le_bytes()));
            Width::Bits16
        } else if span <= f64::from(u32::MAX) {
            put(bytes, steps.map(|step| (step as u32).to_le_bytes()));
            Width::Bits32
        } else {
            return None;
        };
        Some(Self {
            least,
            start,
            width,
            scale,
        })
    }

    /// Adds the values of `range` to `out`, from the bytes of the block.
    pub(crate) fn read(&self, bytes: &[u8], range: Range<usize>, out: &mut Vec<f64>) {
        let Self { least, .. } = *self;
        let by = SCALES.get(usize::from(self.scale)).copied().unwrap_or(1.0);
        let value = |step: f64| (least + step) / by;
        match self.width {
            Width::None => out.extend(range.map(|_| least)),
            Width::Bits8 => {
                let steps = self.part(bytes, range, 1);
                out.extend(steps.iter().map(|step| value(f64::from(*step))));
            }
            Width::Bits16 => {
                let steps = self.part(bytes, range, 2).as_chunks().0;
                out.extend(
                    steps
                        .iter()
                        .map(|step| value(f64::from(u16::from_le_bytes(*step)))),
                );
            }
            Width::Bits32 => {
                let steps = self.part(bytes, range, 4).as_chunks().0;
                out.extend(
                    steps
                        .iter()
                        .map(|step| value(f64::from(u32::from_le_bytes(*step)))),
                );
            }
            Width::Raw => {
                let values = self.part(bytes, range, 8).as_chunks().0;
                out.extend(
                    values
                        .iter()
                        .map(|value| f64::from_bits(u64::from_le_bytes(*value))),
                );
            }
        }
    }

    fn part<'a>(&self, bytes: &'a [u8], range: Range<usize>, width: usize) -> &'a [u8] {
        let at = |nth: usize| self.start + nth * width;
        bytes.get(at(range.start)..at(range.end)).unwrap_or_default()
    }
}

fn put<const N: usize>(bytes: &mut Vec<u8>, numbers: impl Iterator<Item = [u8; N]>) {
    bytes.reserve(numbers.size_hint().0 * N);
    numbers.for_each(|number| bytes.extend_from_slice(&number));
}

/// `value × scale` as a whole number, if dividing gives the very same bits again.
fn whole(value: f64, scale: f64) -> Option<f64> {
    // Through an integer, which has no negative zero. Rounding by half is cheap, and checked below.
    let scaled = value * scale;
    let whole = (scaled + 0.5_f64.copysign(scaled)) as i64 as f64;
    let exact = (-EXACT_MAX..=EXACT_MAX).contains(&whole);
    (exact && (whole / scale).to_bits() == value.to_bits()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::STALE;
    use proptest::prelude::*;

    /// The bytes it took.
    fn round_trip(values: &[f64]) -> usize {
        let (mut bytes, mut out) = (vec![7; 3], Vec::new());
        let packed = Packed::pack(values, &mut bytes, &mut Vec::new());
        packed.read(&bytes, 0..values.len(), &mut out);
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&out), bits(values), "{packed:?}");
        let middle = values.len() / 3..values.len() / 2;
        out.clear();
        packed.read(&bytes, middle.clone(), &mut out);
        assert_eq!(bits(&out), bits(&values[middle]));
        bytes.len() - 3
    }

    #[test]
    fn usual_series_take_few_bytes() {
        assert_eq!(round_trip(&[7.25; 120]), 0);
        let walk: Vec<f64> = (0..120).map(|nth| 40.0 + f64::from(nth % 7)).collect();
        assert_eq!(round_trip(&walk), 120);
        let jiffies: Vec<f64> = (0..120)
            .map(|nth| f64::from(812_345 + nth * 14) / 100.0)
            .collect();
        assert_eq!(round_trip(&jiffies), 240);
        let octets: Vec<f64> = (0..120).map(|nth| 9.1e12 + f64::from(nth * 1_000_003)).collect();
        assert_eq!(round_trip(&octets), 480);
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

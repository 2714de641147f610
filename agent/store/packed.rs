//! A series' values in a sealed block, each in as few bits as all of them need.
//!
//! Most series of a machine are constant for a quarter of an hour, whole numbers, or decimals with few digits. Those are
//! kept as distances from their least value or from each other, whichever is less, and only when every value comes back
//! bit for bit. Of all others, the bits that are the same in all of them are left out.

use std::ops::Range;

/// Decimal shares that counters of kernels and clients come in: jiffies, milli-, micro- and nanoseconds.
const SCALES: [f64; 5] = [1.0, 100.0, 1e3, 1e6, 1e9];
/// Every whole number up to here is an `f64`, and so is every sum of two that stays within.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// Wider codes are whole words: eight bytes from anywhere hold so many bits wherever they begin.
const WIDTH_MAX: u8 = 57;

/// Where a series' values lie among the bytes of its block, and how to read them: 16 bytes, since there is one for each
/// series of each block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    /// What the codes are put on: a value times the scale, or its bits.
    base: f64,
    start: u32,
    /// Bits of each code; with none, all values are the base.
    width: u8,
    form: Form,
    /// Of whole numbers which scale, of bits how many zeros follow.
    shift: u8,
}

/// What the codes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// How much each is above the base.
    Above,
    /// How much each is above the one before; the base is before the first.
    Rises,
    /// How far each is from the one before, either way.
    Moves,
    /// The bits by which each differs from the base.
    Bits,
}

impl Packed {
    /// Adds the values' bytes to those of the block.
    pub(crate) fn pack(values: &[f64], bytes: &mut Vec<u8>, scratch: &mut Vec<f64>) -> Self {
        let first = values.first().copied().unwrap_or_default();
        let this = Self {
            base: first,
            start: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            width: 0,
            form: Form::Bits,
            shift: 0,
        };
        let changed = values
            .iter()
            .fold(0, |all, value| all | (value.to_bits() ^ first.to_bits()));
        if changed == 0 {
            return this;
        }
        let shift = changed.trailing_zeros() as u8;
        let bits = Self {
            width: rounded(64 - changed.leading_zeros() as u8 - shift),
            shift,
            ..this
        };
        let bits = if bits.width > WIDTH_MAX {
            Self { shift: 0, ..bits }
        } else {
            bits
        };
        let whole = (0..)
            .zip(SCALES)
            .find_map(|(scale, by)| Self::whole(values, Self { shift: scale, ..this }, by, scratch));
        match whole.filter(|whole| whole.width < bits.width) {
            Some(whole) => whole.put(scratch, bytes),
            None => put(
                bytes,
                bits.width,
                values
                    .iter()
                    .map(|value| (value.to_bits() ^ first.to_bits()) >> bits.shift),
            ),
        }
        whole.filter(|whole| whole.width < bits.width).unwrap_or(bits)
    }

    /// How to keep them as whole numbers, if they are; those are left in `wholes`.
    fn whole(values: &[f64], this: Self, by: f64, wholes: &mut Vec<f64>) -> Option<Self> {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut fall, mut rise) = (0.0_f64, 0.0_f64);
        let mut before = None;
        wholes.clear();
        for value in values {
            let whole = whole(*value, by)?;
            (least, most) = (least.min(whole), most.max(whole));
            let step = whole - before.replace(whole).unwrap_or(whole);
            (fall, rise) = (fall.max(-step), rise.max(step));
            wholes.push(whole);
        }
        if most - least > EXACT_MAX {
            return None;
        }
        let first = wholes.first().copied()?;
        let above = Self {
            base: least,
            width: width(most - least),
            form: Form::Above,
            ..this
        };
        let steps = Self {
            base: first,
            width: width(if fall > 0.0 { 2.0 * rise.max(fall) } else { rise }),
            form: if fall > 0.0 { Form::Moves } else { Form::Rises },
            ..this
        };
        // Of two that take as much, the one that can be read from anywhere.
        let best = if steps.width < above.width { steps } else { above };
        (best.width <= WIDTH_MAX).then_some(best)
    }

    fn put(&self, wholes: &[f64], bytes: &mut Vec<u8>) {
        let mut before = self.base;
        let codes = wholes.iter().map(|whole| {
            let step = (*whole - before) as i64;
            match self.form {
                Form::Moves => {
                    before = *whole;
                    zigzag(step)
                }
                Form::Rises => {
                    before = *whole;
                    step.cast_unsigned()
                }
                Form::Above | Form::Bits => step.cast_unsigned(),
            }
        });
        put(bytes, self.width, codes);
    }

    /// Adds the values of `range` to `out`, from the bytes of the block.
    pub(crate) fn read(&self, bytes: &[u8], range: Range<usize>, out: &mut Vec<f64>) {
        let Self { base, .. } = *self;
        if self.width == 0 {
            out.extend(range.map(|_| base));
            return;
        }
        let bytes = bytes.get(self.start as usize..).unwrap_or_default();
        let codes = Codes::new(bytes, self.width);
        let by = SCALES.get(usize::from(self.shift)).copied().unwrap_or(1.0);
        match self.form {
            Form::Bits => {
                out.extend(range.map(|nth| f64::from_bits(base.to_bits() ^ (codes.at(nth) << self.shift))))
            }
            // Dividing by one is the same, and slow.
            Form::Above if self.shift == 0 => out.extend(range.map(|nth| base + codes.at(nth) as f64)),
            Form::Above => out.extend(range.map(|nth| (base + codes.at(nth) as f64) / by)),
            Form::Rises => sums(codes, range, base, by, |code| code as f64, out),
            Form::Moves => sums(codes, range, base, by, |code| unzigzag(code) as f64, out),
        }
    }
}

/// Values that are told as steps, from the first on.
fn sums(
    codes: Codes<'_>,
    range: Range<usize>,
    base: f64,
    by: f64,
    step: impl Fn(u64) -> f64,
    out: &mut Vec<f64>,
) {
    // Whole numbers that stay exact are the same whichever way they are summed up.
    let mut at = (0..range.start).fold(base, |at, nth| at + step(codes.at(nth)));
    out.extend(range.map(|nth| {
        at += step(codes.at(nth));
        if by == 1.0 { at } else { at / by }
    }));
}

/// Numbers of equally many bits, one right behind the other, lowest bit first.
#[derive(Clone, Copy)]
struct Codes<'a> {
    bytes: &'a [u8],
    width: usize,
    mask: u64,
}

impl<'a> Codes<'a> {
    fn new(bytes: &'a [u8], width: u8) -> Self {
        Self {
            bytes,
            width: usize::from(width),
            mask: u64::MAX >> (64 - width.clamp(1, 64)),
        }
    }

    #[inline]
    fn at(&self, nth: usize) -> u64 {
        let bit = nth * self.width;
        let rest = self.bytes.get(bit / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(eight) => u64::from_le_bytes(*eight),
            None => rest
                .iter()
                .rev()
                .fold(0, |word, byte| (word << 8) | u64::from(*byte)),
        };
        (word >> (bit % 8)) & self.mask
    }
}

fn put(bytes: &mut Vec<u8>, width: u8, codes: impl Iterator<Item = u64>) {
    let (mut pending, mut count) = (0_u128, 0_u32);
    for code in codes {
        pending |= u128::from(code) << count;
        count += u32::from(width);
        while count >= 8 {
            bytes.push(pending as u8);
            pending >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        bytes.push(pending as u8);
    }
}

/// Bits that a whole number takes.
fn width(most: f64) -> u8 {
    (64 - (most as u64).leading_zeros()) as u8
}

fn rounded(width: u8) -> u8 {
    if width > WIDTH_MAX { 64 } else { width }
}

fn zigzag(step: i64) -> u64 {
    ((step << 1) ^ (step >> 63)).cast_unsigned()
}

fn unzigzag(code: u64) -> i64 {
    (code >> 1).cast_signed() ^ -(code & 1).cast_signed()
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
        assert_eq!(round_trip(&walk), 45);
        let jiffies: Vec<f64> = (0..120)
            .map(|nth| f64::from(812_345 + nth * 14) / 100.0)
            .collect();
        assert_eq!(round_trip(&jiffies), 60);
        let octets: Vec<f64> = (0..120).map(|nth| 9.1e12 + f64::from(nth * 1_000_003)).collect();
        assert_eq!(round_trip(&octets), 300);
        let measured: Vec<f64> = (0..120).map(|nth| 1.5 + f64::from(nth).sin() / 2.1).collect();
        assert_eq!(round_trip(&measured), 780);
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
        round_trip(&[-9_007_199_254_740_991.0, 1.0, 9_007_199_254_740_992.0]);
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

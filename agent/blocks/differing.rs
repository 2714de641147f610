//! A float as the bits by which it differs from the one before it in its column.

use crate::bits::{BitReader, BitWriter};

/// Which bits of a difference are written: all but so many zeros at both ends.
#[derive(Clone, Copy, Default)]
struct Middle {
    leading: u32,
    trailing: u32,
}

impl Middle {
    fn width(self) -> u32 {
        64 - self.leading - self.trailing
    }
}

/// A column on its way into a chunk.
#[derive(Default)]
pub(crate) struct DifferingWriter {
    value: u64,
    middle: Option<Middle>,
}

impl DifferingWriter {
    /// The first, as it is.
    pub(crate) fn begin(&mut self, bits: &mut BitWriter, value: f64) {
        self.value = value.to_bits();
        bits.put(self.value, 64);
    }

    pub(crate) fn put(&mut self, bits: &mut BitWriter, value: f64) {
        let change = value.to_bits() ^ self.value;
        self.value = value.to_bits();
        if change == 0 {
            return bits.put(0, 1);
        }
        let new = Middle {
            // Five bits say it.
            leading: change.leading_zeros().min(31),
            trailing: change.trailing_zeros(),
        };
        let fits = |old: &Middle| new.leading >= old.leading && new.trailing >= old.trailing;
        if let Some(old) = self.middle.filter(fits) {
            bits.put(0b10, 2);
            return bits.put(change >> old.trailing, old.width());
        }
        bits.put(0b11, 2);
        bits.put(u64::from(new.leading), 5);
        // Of six bits; a width of 64 is written as 0, which is otherwise never needed.
        bits.put(u64::from(new.width()), 6);
        bits.put(change >> new.trailing, new.width());
        self.middle = Some(new);
    }
}

/// A column on its way out of a chunk. After a None nothing is known of the rest.
#[derive(Default)]
pub(crate) struct DifferingReader {
    value: u64,
    middle: Middle,
}

impl DifferingReader {
    pub(crate) fn begin(&mut self, bits: &mut BitReader<'_>) -> Option<f64> {
        self.value = bits.take(64)?;
        Some(f64::from_bits(self.value))
    }

    pub(crate) fn take(&mut self, bits: &mut BitReader<'_>) -> Option<f64> {
        let next = bits.peek();
        match next >> 62 {
            0b00 | 0b01 => return bits.skip(1).then_some(f64::from_bits(self.value)),
            0b10 => {
                bits.skip(2);
            }
            _ => {
                bits.skip(13);
                let (leading, width) = ((next >> 57) & 0x1f, (next >> 51) & 0x3f);
                let (leading, width) = (leading as u32, if width == 0 { 64 } else { width as u32 });
                let trailing = 64u32.checked_sub(leading + width)?;
                self.middle = Middle { leading, trailing };
            }
        }
        let change = bits.take(self.middle.width())?;
        self.value ^= change << self.middle.trailing;
        Some(f64::from_bits(self.value))
    }
}

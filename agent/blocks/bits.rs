//! Bits one after the other, highest first, as chunks hold them.

#[derive(Default)]
pub(crate) struct BitWriter {
    pub(crate) bytes: Vec<u8>,
    /// Bits that do not make a byte yet, at its low end.
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Adds the low `count` bits of a number.
    pub(crate) fn put(&mut self, number: u64, count: u32) {
        if count > 32 {
            self.put(number >> 32, count - 32);
            return self.put(number, 32);
        }
        self.pending = (self.pending << count) | (number & ((1 << count) - 1));
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.pending >> self.count) as u8);
        }
    }

    /// The bytes, the last filled up with zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
        self.bytes
    }
}

#[derive(Clone, Copy)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next 57 bits and perhaps more, at the high end; zeros where there are no more.
    pub(crate) fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(eight) => u64::from_be_bytes(*eight),
            None => (0..8).fold(0, |word, nth| {
                (word << 8) | u64::from(rest.get(nth).copied().unwrap_or_default())
            }),
        };
        word << (self.at % 8)
    }

    /// False when there are not so many bits.
    pub(crate) fn skip(&mut self, count: u32) -> bool {
        self.at += count as usize;
        self.at <= self.bytes.len() * 8
    }

    /// The next bits as a number; at most 64.
    pub(crate) fn take(&mut self, count: u32) -> Option<u64> {
        if count > 56 {
            let high = self.take(count - 32)?;
            return Some((high << 32) | self.take(32)?);
        }
        let number = if count == 0 {
            0
        } else {
            self.peek() >> (64 - count)
        };
        self.skip(count).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_come_back(all in proptest::collection::vec((any::<u64>(), 0u32..=64), 0..50)) {
            let low = |number: u64, count: u32| if count == 64 { number } else { number & ((1 << count) - 1) };
            let mut writer = BitWriter::default();
            for (number, count) in &all {
                writer.put(*number, *count);
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for (number, count) in &all {
                prop_assert_eq!(reader.take(*count), Some(low(*number, *count)));
            }
            prop_assert_eq!(reader.take(8), None);
        }
    }
}

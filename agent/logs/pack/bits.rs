//! Bits in the order of RFC 1951: the first one written is the lowest of its byte.

/// Bytes written at once; behind the last there is always room for so many.
const WORD_BYTES: usize = 8;

/// Writes bits to memory that is mostly there already: `reserve` makes room for much at once.
pub(crate) struct Bits {
    bytes: Vec<u8>,
    /// Whole bytes written.
    at: usize,
    /// Bits not yet written, the next one lowest.
    held: u64,
    count: u32,
}

impl Bits {
    /// What is in `memory` is written over.
    pub(crate) fn new(memory: Vec<u8>) -> Self {
        Self {
            bytes: memory,
            at: 0,
            held: 0,
            count: 0,
        }
    }

    /// Makes room for so many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        let need = self.at + bytes + 2 * WORD_BYTES;
        if self.bytes.len() < need {
            let len = need.max(2 * self.bytes.len());
            self.bytes.resize(len, 0);
        }
    }

    /// Not more than 56 bits between two flushes.
    pub(crate) fn put(&mut self, bits: u64, count: u32) {
        self.held |= bits << self.count;
        self.count += count;
    }

    pub(crate) fn flush(&mut self) {
        let end = self.at + WORD_BYTES;
        // What a record before has left to be written may need more than was reserved for this one.
        if self.bytes.len() < end {
            self.bytes.resize(2 * end, 0);
        }
        if let Some(place) = self.bytes.get_mut(self.at..end) {
            place.copy_from_slice(&self.held.to_le_bytes());
        }
        self.at += (self.count / 8) as usize;
        self.held >>= self.count & !7;
        self.count &= 7;
    }

    /// Fills the last byte with zeros, and appends whole ones.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.flush();
        self.at += usize::from(self.count > 0);
        (self.held, self.count) = (0, 0);
        if let Some(place) = self.bytes.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    /// The memory, and how much of it is written.
    pub(crate) fn finish(self) -> (Vec<u8>, usize) {
        (self.bytes, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_nobody_has_made_room_for_are_written_all_the_same() {
        let mut bits = Bits::new(Vec::new());
        for number in 0..1_000u64 {
            bits.put(number, 12);
            bits.flush();
        }
        let (memory, used) = bits.finish();
        let written = memory.get(..used).unwrap();
        assert_eq!(used, 1_500);
        for number in 0..1_000usize {
            let at = number * 12;
            let pair = u32::from(written[at / 8]) | u32::from(written[at / 8 + 1]) << 8;
            assert_eq!((pair >> (at % 8)) & 0xfff, number as u32);
        }
    }
}

//! Bits in the order of RFC 1951: the first one written is the lowest of its byte.

/// Bytes written at once; behind the last there is always room for so many.
const WORD_BYTES: usize = 8;

/// Writes bits to memory that is mostly there already: `reserve` makes room for much at once.
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// Whole bytes written.
    at: usize,
    /// Bits not yet written, the next one lowest.
    held: u64,
    count: u32,
}

/// How far bits are written.
pub(super) struct Place {
    left: usize,
    held: u64,
    count: u32,
}

impl Bits {
    /// What is in `memory` is written over.
    pub(super) fn new(memory: Vec<u8>) -> Self {
        Self {
            bytes: memory,
            at: 0,
            held: 0,
            count: 0,
        }
    }

    /// To write up to so many bytes with; where it is put down is where this goes on.
    pub(super) fn pen(&mut self, bytes: usize) -> Pen<'_> {
        self.reserve(bytes);
        Pen {
            rest: self.bytes.get_mut(self.at..).unwrap_or_default(),
            held: self.held,
            count: self.count,
        }
    }

    pub(super) fn go_on(&mut self, place: Place) {
        self.at = self.bytes.len() - place.left;
        (self.held, self.count) = (place.held, place.count);
    }

    /// Makes room for so many bytes.
    pub(super) fn reserve(&mut self, bytes: usize) {
        let need = self.at + bytes + 2 * WORD_BYTES;
        if self.bytes.len() < need {
            self.grow(need);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, need: usize) {
        let len = need.max(2 * self.bytes.len());
        self.bytes.resize(len, 0);
    }

    /// Not more than 56 bits between two flushes.
    #[inline]
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        self.held |= bits << self.count;
        self.count += count;
    }

    #[inline]
    pub(super) fn flush(&mut self) {
        // Whoever writes a few bits has not reserved room for them.
        if self.bytes.len() < self.at + WORD_BYTES {
            self.grow(self.at + WORD_BYTES);
        }
        if let Some(place) = self.bytes.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
            *place = self.held.to_le_bytes();
        }
        self.at += (self.count / 8) as usize;
        self.held >>= self.count & !7;
        self.count &= 7;
    }

    /// Fills the last byte with zeros, and appends whole ones.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
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
    pub(super) fn finish(self) -> (Vec<u8>, usize) {
        (self.bytes, self.at)
    }
}

/// Some bits together, not more than 56.
#[derive(Clone, Copy)]
pub(super) struct Word {
    pub(super) bits: u64,
    pub(super) count: u32,
}

impl Word {
    /// With `behind` behind it, if that is not too much.
    #[inline]
    pub(super) fn with(self, behind: Self) -> Option<Self> {
        let both = Self {
            bits: self.bits | behind.bits.wrapping_shl(self.count),
            count: self.count + behind.count,
        };
        (both.count <= 56).then_some(both)
    }
}

/// Writes to memory that is there, as quickly as can be.
pub(super) struct Pen<'a> {
    rest: &'a mut [u8],
    held: u64,
    count: u32,
}

impl Pen<'_> {
    #[inline]
    pub(super) fn write(&mut self, word: Word) {
        self.held |= word.bits << self.count;
        let count = self.count + word.count;
        if let Some(place) = self.rest.first_chunk_mut() {
            *place = self.held.to_le_bytes();
        }
        let whole = (count / 8) as usize;
        if let Some((_, rest)) = std::mem::take(&mut self.rest).split_at_mut_checked(whole) {
            self.rest = rest;
        }
        self.held >>= count & !7;
        self.count = count & 7;
    }

    /// Where it was put down.
    pub(super) fn down(self) -> Place {
        Place {
            left: self.rest.len(),
            held: self.held,
            count: self.count,
        }
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

//! Numbers as the block format writes them: variable-length as in Go's `encoding/binary`, fixed ones big-endian.

/// Adds a number in as few groups of seven bits as it takes, lowest first.
pub(crate) fn put_uvarint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The same for numbers below zero too: the sign goes to the lowest bit.
pub(crate) fn put_varint(out: &mut Vec<u8>, number: i64) {
    put_uvarint(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_uvarint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads from the front of some bytes. None is "there is no such thing here"; nothing is known of the rest then.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn uvarint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn varint(&mut self) -> Option<i64> {
        let number = self.uvarint()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(crate) fn be32(&mut self) -> Option<u32> {
        self.take(4).map(be32)
    }

    pub(crate) fn be64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?;
        bytes.try_into().ok().map(u64::from_be_bytes)
    }
}

/// Of four bytes; zero of any other number.
pub(crate) fn be32(bytes: &[u8]) -> u32 {
    bytes.try_into().map(u32::from_be_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(unsigned: u64, signed: i64, shift in 0u32..64) {
            let mut out = Vec::new();
            put_uvarint(&mut out, unsigned >> shift);
            put_varint(&mut out, signed >> shift);
            let mut cursor = Cursor(&out);
            prop_assert_eq!(cursor.uvarint(), Some(unsigned >> shift));
            prop_assert_eq!(cursor.varint(), Some(signed >> shift));
            prop_assert!(cursor.0.is_empty());
        }
    }

    #[test]
    fn a_number_that_does_not_end_is_none() {
        assert_eq!(Cursor(&[0x80, 0x80]).uvarint(), None);
        assert_eq!(Cursor(&[0xff; 11]).uvarint(), None);
    }

    #[test]
    fn numbers_are_those_of_go() {
        let mut out = Vec::new();
        put_uvarint(&mut out, 300);
        put_varint(&mut out, -2);
        put_varint(&mut out, 2);
        assert_eq!(out, [0xac, 0x02, 0x03, 0x04]);
    }
}

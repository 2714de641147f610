//! The fields of one protobuf message, one after the other.

use super::Malformed;

/// Not recursive: a message inside is bytes, walked by whoever knows what it is.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
}

#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// A string, a message or packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What has not been walked over yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// None at the end.
    ///
    /// # Errors
    /// The bytes are not protobuf. Groups, which its third version no longer has, are not either.
    #[inline]
    pub fn step(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed("a field number is too large"))?;
        if number == 0 {
            return Err(Malformed("a field has the number 0"));
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| Malformed("a length is too large"))?;
                let (bytes, rest) = self
                    .rest
                    .split_at_checked(length)
                    .ok_or(Malformed("a field is longer than its message"))?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.fixed()?)),
            _ => return Err(Malformed("a field has an unknown type")),
        };
        Ok(Some(Field { number, value }))
    }

    /// What is in the next field, if that is this length-delimited one and shorter than 128 bytes; otherwise nothing
    /// is walked over.
    #[inline]
    pub(super) fn short(&mut self, tag: u8) -> Option<&'a [u8]> {
        let [found, length, rest @ ..] = self.rest else {
            return None;
        };
        if *found != tag || *length >= 0x80 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(usize::from(*length))?;
        self.rest = rest;
        Some(bytes)
    }

    /// One number, as in a packed list.
    ///
    /// # Errors
    /// It does not end, or is longer than 64 bits.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has room for one bit only; as others do, more are let fall.
            number |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return Ok(number);
            }
        }
        Err(Malformed("a number does not end"))
    }

    #[inline]
    fn fixed<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Malformed> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Malformed("a number is cut off"))?;
        self.rest = rest;
        Ok(*bytes)
    }
}

//! The name of a block: the time it was made, then chance; sorted as text it is sorted by time.
//!
//! The text is the one of ulid/spec: 26 letters of Crockford's base 32, the first of them at most 7.

use std::fmt;
use std::str::FromStr;

use model::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 26;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(u128);

impl Ulid {
    /// Of 80 bits of chance, the rest is left out.
    #[must_use]
    pub fn new(made: Timestamp, chance: u128) -> Self {
        let time = u128::from(made.0.max(0).cast_unsigned()) & 0xffff_ffff_ffff;
        Self((time << 80) | (chance & ((1 << 80) - 1)))
    }

    #[must_use]
    pub fn made(self) -> Timestamp {
        Timestamp((self.0 >> 80) as i64)
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for nth in (0..LENGTH).rev() {
            let letter = (self.0 >> (5 * nth)) as usize % LETTERS.len();
            write!(
                f,
                "{}",
                char::from(LETTERS.get(letter).copied().unwrap_or_default())
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not a ULID")]
pub struct NotUlid;

impl FromStr for Ulid {
    type Err = NotUlid;

    fn from_str(text: &str) -> Result<Self, NotUlid> {
        if text.len() != LENGTH || text.as_bytes().first() > Some(&b'7') {
            return Err(NotUlid);
        }
        text.bytes()
            .try_fold(0, |number, letter| {
                let digit = LETTERS.iter().position(|known| *known == letter)?;
                Some((number << 5) | digit as u128)
            })
            .map(Self)
            .ok_or(NotUlid)
    }
}

impl Serialize for Ulid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ulid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_are_the_same() {
        let text = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let ulid: Ulid = text.parse().expect("the example of the specification");
        assert_eq!(ulid.to_string(), text);
        assert_eq!(ulid.made(), Timestamp(1_469_922_850_259));
        assert_eq!(Ulid::new(ulid.made(), ulid.0), ulid);
        for bad in [
            "",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01arz3ndektsv4rrffq69g5fav",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
        ] {
            assert!(bad.parse::<Ulid>().is_err(), "{bad}");
        }
    }
}

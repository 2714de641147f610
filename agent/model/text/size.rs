//! Sizes as Prometheus writes them: `512MB`, `1GiB`, or a number of bytes; all units are powers of 1024.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Visitor};

/// For `#[serde(deserialize_with)]`.
///
/// # Errors
/// A sentence naming what is wrong.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Size;
    impl Visitor<'_> for Size {
        type Value = u64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size such as 512MB or 1GiB")
        }
        fn visit_u64<E: Error>(self, bytes: u64) -> Result<u64, E> {
            Ok(bytes)
        }
        fn visit_i64<E: Error>(self, bytes: i64) -> Result<u64, E> {
            u64::try_from(bytes).map_err(|_| E::custom("a size is not negative"))
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            parse(text)
                .ok_or_else(|| E::custom(format!("not a size: {text:?}; write for example 512MB or 1GiB")))
        }
    }
    deserializer.deserialize_any(Size)
}

/// None when it is no size, or more than 64 bits hold.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    const UNITS: [(&str, u32); 9] = [
        ("", 0),
        ("B", 0),
        ("KB", 10),
        ("KiB", 10),
        ("MB", 20),
        ("MiB", 20),
        ("GB", 30),
        ("GiB", 30),
        ("TB", 40),
    ];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, power) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(1 << power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024_and_anything_else_is_refused() {
        for (text, bytes) in [
            ("0", 0),
            ("7B", 7),
            ("512MB", 512 << 20),
            ("2GiB", 2 << 30),
            ("1TB", 1 << 40),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1 GB", "1XB", "99999999999TB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

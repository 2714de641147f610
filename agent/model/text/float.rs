//! Floats in Go's two shapes: shortest `'g'` for exposition text, `'f'` for the query API.

use std::fmt::Write;

/// `#[serde(with = "model::text::float::json")]`: as text, because JSON has no infinities and no NaN.
pub mod json {
    use serde::{Deserialize, Deserializer, Serializer};

    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::go(*value))
    }

    /// # Errors
    /// The text is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse(&text).ok_or_else(|| serde::de::Error::custom("not a number"))
    }
}

/// As exposition text prints a value (`strconv.FormatFloat(v, 'g', -1, 64)`): `953880`, `1e+06`, `1.305e-06`.
#[must_use]
pub fn go(value: f64) -> String {
    let mut text = String::new();
    write_go(&mut text, value);
    text
}

/// Appends what [`go`] returns.
pub fn write_go(text: &mut String, value: f64) {
    write(text, value, |exponent| !(-4..6).contains(&exponent));
}

/// Never with an exponent (`strconv.FormatFloat(v, 'f', -1, 64)`).
#[must_use]
pub fn plain(value: f64) -> String {
    let mut text = String::new();
    write(&mut text, value, |_| false);
    text
}

/// As the HTTP API prints a value: no exponent from 1e-6 up to 1e21 (`util/jsonutil` in Prometheus).
#[must_use]
pub fn api(value: f64) -> String {
    let mut text = String::new();
    write(&mut text, value, |exponent| !(-6..21).contains(&exponent));
    text
}

fn write(text: &mut String, value: f64, scientific: impl Fn(i32) -> bool) {
    if value.is_nan() {
        text.push_str("NaN");
        return;
    }
    if value.is_infinite() {
        text.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        return;
    }
    if value.is_sign_negative() {
        text.push('-');
    }
    let magnitude = value.abs();
    if magnitude < 1e6 && magnitude.fract() == 0.0 {
        // Most values are small whole numbers; `write!` to a string cannot fail.
        _ = write!(text, "{}", magnitude as u64);
        return;
    }
    let (digits, exponent) = shortest(magnitude);
    let (first, rest) = digits.split_at(1);
    if scientific(exponent) {
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        _ = write!(text, "{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs());
        return;
    }
    let Ok(before) = usize::try_from(exponent + 1) else {
        _ = write!(
            text,
            "0.{:0<1$}{digits}",
            "",
            (-exponent - 1).unsigned_abs() as usize
        );
        return;
    };
    match digits.split_at_checked(before) {
        Some((whole, "")) => text.push_str(whole),
        Some(("", part)) => _ = write!(text, "0.{part}"),
        Some((whole, part)) => _ = write!(text, "{whole}.{part}"),
        None => _ = write!(text, "{digits:0<before$}"),
    }
}

/// The shortest digits that read back, and the power of ten of the first of them: 1234.5 is 12345 and 3.
///
/// Where two are as short and as near the even one is taken, as in Go; the standard library takes the higher.
fn shortest(magnitude: f64) -> (String, i32) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(magnitude);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = whole.to_owned();
    digits.push_str(part);
    digits.truncate(digits.trim_end_matches('0').len().max(1));
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    digits.drain(..zeros.min(digits.len() - 1));
    let exponent = exponent.parse().unwrap_or(0);
    let places = i32::try_from(whole.len()).unwrap_or(0) - 1 - i32::try_from(zeros).unwrap_or(0);
    (digits, exponent + places)
}

/// Reads what Go's `ParseFloat` reads in exposition text and PromQL: decimal, `Inf`, `NaN`, any case.
#[must_use]
pub fn parse(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let first = *unsigned.as_bytes().first()?;
    if first.is_ascii_digit() || first == b'.' {
        return text.parse().ok().filter(|value: &f64| value.is_finite());
    }
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => Some(sign * f64::INFINITY),
        "nan" if unsigned.len() == text.len() => Some(f64::NAN),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposition_values_are_written_as_go_does() {
        let cases = [
            (953_880.0, "953880"),
            (1e6, "1e+06"),
            (1_631_329.0, "1.631329e+06"),
            (513_708_655_616.0, "5.13708655616e+11"),
            (0.000_001_305, "1.305e-06"),
            (10_870.69, "10870.69"),
            (0.0001, "0.0001"),
            (-0.0, "-0"),
            (0.0, "0"),
            (-3.0, "-3"),
            (1e21, "1e+21"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(go(value), text);
        }
    }

    #[test]
    fn api_values_have_no_exponent_in_the_common_range() {
        for (value, text) in [
            (1e6, "1000000"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-07"),
            (1e21, "1e+21"),
            (1.5, "1.5"),
        ] {
            assert_eq!(api(value), text);
        }
    }

    #[test]
    fn of_two_as_near_the_even_one_is_written() {
        for (value, text) in [
            (1_000_000_000_000_104.0 + 0.25, "1000000000000104.2"),
            (0.000_123_456_789, "0.000123456789"),
            (0.75, "0.75"),
            (123_456_789.0, "123456789"),
            (1e22, "10000000000000000000000"),
            (f64::MAX, &format!("17976931348623157{}", "0".repeat(292))),
            (-5e-324, &format!("-0.{}5", "0".repeat(323))),
            (0.0, "0"),
        ] {
            assert_eq!(plain(value), text);
            assert_eq!(parse(text), Some(value));
        }
    }

    #[test]
    fn values_that_go_refuses_are_refused() {
        for text in [
            "", "0x1p-2", "1_000", "1e400", "+NaN", "infinit", "e5", "--1", "1e", " 1",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse("-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse(".5"), Some(0.5));
        assert_eq!(parse("5."), Some(5.0));
        assert!(parse("nan").is_some_and(f64::is_nan));
    }
}

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
    // `{:e}` gives the shortest digits that read back: `1.631329e6`.
    let shortest = format!("{magnitude:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if scientific(exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        _ = write!(text, "{digits}e{sign}{:02}", exponent.unsigned_abs());
    } else {
        _ = write!(text, "{magnitude}");
    }
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

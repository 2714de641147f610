//! Numbers for people, as Prometheus' template functions write them.

use model::Timestamp;
use model::text::float;

use crate::format::four_digits;
use crate::time;
use crate::value::Value;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// What all of them take: a number, or text that reads as one.
pub(crate) fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Duration(nanos) => Ok(*nanos as f64 / 1e9),
        Value::Text(text) => float::parse(text).ok_or_else(|| format!("{text:?} is not a number")),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

/// `1.235k`, `12.3m`
pub(crate) fn humanize(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return four_digits(number);
    }
    if number.abs() >= 1.0 {
        return large(number, 1000.0, &LARGE);
    }
    small(number, "")
}

/// `1.235Mi`
pub(crate) fn humanize_1024(number: f64) -> String {
    if number.abs() <= 1.0 || !number.is_finite() {
        return four_digits(number);
    }
    large(number, 1024.0, &LARGE_BINARY)
}

fn large(mut number: f64, base: f64, words: &[&'static str]) -> String {
    let mut word = "";
    for next in words {
        if number.abs() < base {
            break;
        }
        word = next;
        number /= base;
    }
    format!("{}{word}", four_digits(number))
}

fn small(mut number: f64, unit: &str) -> String {
    let mut word = "";
    for next in SMALL {
        if number.abs() >= 1.0 {
            break;
        }
        word = next;
        number *= 1000.0;
    }
    format!("{}{word}{unit}", four_digits(number))
}

/// `1d 2h 3m 4s`, `12.3ms`
pub(crate) fn humanize_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return four_digits(seconds);
    }
    if seconds == 0.0 {
        return format!("{}s", four_digits(seconds));
    }
    if seconds.abs() < 1.0 {
        return small(seconds, "s");
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs() as i64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", four_digits(seconds.abs())),
        (0, 0, _) => format!("{sign}{minutes}m {rest}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {rest}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {rest}s"),
    }
}

/// `12.34%`
pub(crate) fn humanize_percentage(share: f64) -> String {
    format!("{}%", four_digits(share * 100.0))
}

/// `2024-01-02 03:04:05 +0000 UTC`
pub(crate) fn humanize_timestamp(seconds: f64) -> Result<String, String> {
    if !seconds.is_finite() {
        return Ok(four_digits(seconds));
    }
    Ok(time::time_text(&timestamp(seconds)?.into()))
}

pub(crate) fn timestamp(seconds: f64) -> Result<Timestamp, String> {
    if !seconds.is_finite() || (seconds * 1e9).abs() >= i64::MAX as f64 {
        let shown = float::go(seconds);
        return Err(format!(
            "{shown} cannot be represented as a nanoseconds timestamp since it overflows int64"
        ));
    }
    // Milliseconds, cut as Prometheus cuts nanoseconds.
    Ok(Timestamp((seconds * 1e9) as i64 / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_four_digits_and_a_prefix() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (1_234_567.0, "1.235M"),
            (0.12, "120m"),
            (-0.001_234_56, "-1.235m"),
            (1e27, "1000Y"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ];
        for (number, text) in cases {
            assert_eq!(humanize(number), text);
        }
        assert_eq!(humanize_1024(1_048_576.0 * 1.5), "1.5Mi");
        assert_eq!(humanize_1024(0.5), "0.5");
        assert_eq!(humanize_percentage(0.123_456), "12.35%");
    }

    #[test]
    fn people_read_durations_down_to_the_second() {
        let cases = [
            (0.0, "0s"),
            (1.0, "1s"),
            (59.5, "59.5s"),
            (60.0, "1m 0s"),
            (3_600.0, "1h 0m 0s"),
            (86_400.0, "1d 0h 0m 0s"),
            (-86_400.0, "-1d 0h 0m 0s"),
            (0.1, "100ms"),
            (0.0001, "100us"),
            (f64::NAN, "NaN"),
        ];
        for (seconds, text) in cases {
            assert_eq!(humanize_duration(seconds), text);
        }
    }

    #[test]
    fn timestamps_are_in_utc_and_a_bad_one_is_refused() {
        assert_eq!(
            humanize_timestamp(1_704_164_645.123_9).as_deref(),
            Ok("2024-01-02 03:04:05.123 +0000 UTC")
        );
        assert_eq!(humanize_timestamp(f64::INFINITY).as_deref(), Ok("+Inf"));
        assert!(humanize_timestamp(1e10).is_err());
    }
}

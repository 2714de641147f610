//! Durations as Prometheus writes them: `1h30m`, `15s`, `250ms`, `0`.

use std::fmt::{self, Write};
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// # Errors
/// A sentence naming what is wrong.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err("a duration is empty; write for example 15s or 1h30m".to_owned());
    }
    let wrong = || format!("not a duration: {text:?}; write for example 15s, 5m or 1h30m");
    let mut rest = text;
    let mut total: u64 = 0;
    let mut largest_left = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        // Units come in falling order and each once, as in Prometheus.
        let at = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .filter(|at| *at >= largest_left)
            .ok_or_else(wrong)?;
        let scale = UNITS.get(at).map_or(0, |(_, scale)| *scale);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total = number
            .checked_mul(scale)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(wrong)?;
        largest_left = at + 1;
        rest = tail;
    }
    // As many nanoseconds as Prometheus counts to: 292 years.
    if total > i64::MAX.unsigned_abs() / 1_000_000 {
        return Err(format!("{text:?} is too long a duration; the longest is 292y"));
    }
    Ok(Duration::from_millis(total))
}

/// As Prometheus prints it: `1h30m`, `15s`; days and weeks only when nothing is left over.
#[must_use]
pub fn short(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, scale) in UNITS {
        let exact_only = matches!(name, "y" | "w" | "d");
        if left >= scale && (!exact_only || left.is_multiple_of(scale)) {
            // Writing to a string cannot fail.
            _ = write!(text, "{}{name}", left / scale);
            left %= scale;
        }
    }
    text
}

/// For people: the two largest units, `48 s`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) if minutes < 10 && !seconds.is_multiple_of(60) => {
            format!("{minutes} min {} s", seconds % 60)
        }
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

/// For `#[serde(deserialize_with = "model::text::duration::deserialize")]`.
///
/// # Errors
/// Not a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Duration;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as 15s or 1h30m")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).map_err(E::custom)
        }
        fn visit_u64<E: Error>(self, number: u64) -> Result<Duration, E> {
            self.visit_str(&number.to_string())
        }
        fn visit_i64<E: Error>(self, number: i64) -> Result<Duration, E> {
            self.visit_str(&number.to_string())
        }
    }
    deserializer.deserialize_any(Text)
}

/// For durations that may be left out.
///
/// # Errors
/// Not a duration.
pub fn deserialize_some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}

/// For durations that may be switched off by `null`.
///
/// # Errors
/// Neither a duration nor null.
pub fn deserialize_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Written(#[serde(deserialize_with = "deserialize")] Duration);
    let written: Option<Written> = serde::Deserialize::deserialize(deserializer)?;
    Ok(written.map(|Written(duration)| duration))
}

/// # Errors
/// The serializer's own.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&short(*duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_alike() {
        for text in ["15s", "1h30m", "250ms", "1d", "2w", "1m30s500ms", "0s"] {
            assert_eq!(parse(text).map(short), Ok(text.to_owned()));
        }
        assert_eq!(parse("90m").map(short), Ok("1h30m".to_owned()));
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        for text in [
            "",
            "5",
            "1s1m",
            "1m1m",
            "1.5h",
            "-5s",
            "5 m",
            "s",
            "99999999999999999y",
            "293y",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn people_read_two_units() {
        let spoken = |seconds| super::spoken(Duration::from_secs(seconds));
        assert_eq!(
            [spoken(48), spoken(158), spoken(7_500), spoken(187_200)],
            ["48 s", "2 min 38 s", "2 h 5 min", "2 d 4 h"]
        );
    }
}

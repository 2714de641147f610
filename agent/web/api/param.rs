//! Times, durations and limits in parameters, read and refused as Prometheus does.

use std::time::Duration;

use model::text::{duration, float, quote};
use model::{TimeRange, Timestamp};

use super::answer::{Failure, bad_parameter};
use crate::form::Form;

/// Seconds since 1970 with a fraction, or RFC 3339.
///
/// # Errors
/// A sentence.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let cannot = || format!("cannot parse {} to a valid timestamp", quote(text));
    if let Some(seconds) = float::parse(text) {
        let millis = (seconds * 1000.0).round();
        // Beyond this a double no longer tells milliseconds apart.
        return if millis.abs() < 2f64.powi(53) {
            Ok(Timestamp(millis as i64))
        } else {
            Err(cannot())
        };
    }
    // jiff reads more than RFC 3339, and this is the letter that others leave out.
    let time = text
        .contains('T')
        .then(|| text.parse::<jiff::Timestamp>().ok())
        .flatten()
        .ok_or_else(cannot)?;
    Ok(Timestamp(time.as_nanosecond().div_euclid(1_000_000) as i64))
}

/// Parameter `name`, or `otherwise` when it is not given.
///
/// # Errors
/// Not a time.
pub(super) fn time_or(form: &Form, name: &str, otherwise: Timestamp) -> Result<Timestamp, Failure> {
    let text = form.first(name);
    if text.is_empty() {
        return Ok(otherwise);
    }
    time(text).map_err(|why| bad_parameter(name, format!("invalid time value for '{name}': {why}")))
}

/// `start` and `end`, both included; everything when they are not given.
///
/// # Errors
/// Not a time.
pub(super) fn range(form: &Form) -> Result<TimeRange, Failure> {
    let start = time_or(form, "start", Timestamp::MIN)?;
    let until = time_or(form, "end", Timestamp::MAX)?;
    Ok(TimeRange {
        after: Timestamp(start.0.saturating_sub(1)),
        until,
    })
}

/// Milliseconds; seconds as a number, or as Prometheus writes a duration. May be negative.
///
/// # Errors
/// A sentence.
pub(super) fn millis(text: &str) -> Result<f64, String> {
    if let Some(seconds) = float::parse(text) {
        return if (seconds * 1e9).abs() < i64::MAX as f64 {
            Ok(seconds * 1e3)
        } else {
            Err(format!(
                "cannot parse {} to a valid duration. It overflows int64",
                quote(text)
            ))
        };
    }
    duration::parse(text)
        .map(|duration| duration.as_secs_f64() * 1e3)
        .map_err(|_| format!("cannot parse {} to a valid duration", quote(text)))
}

/// `timeout=`, at most `most`; a negative one is over before it began.
///
/// # Errors
/// Not a duration.
pub(super) fn timeout(form: &Form, most: Duration) -> Result<Duration, Failure> {
    let text = form.first("timeout");
    if text.is_empty() {
        return Ok(most);
    }
    let millis = millis(text).map_err(|why| bad_parameter("timeout", why))?;
    Ok(Duration::try_from_secs_f64(millis / 1e3)
        .unwrap_or(Duration::ZERO)
        .min(most))
}

/// `limit=`; 0 is no limit.
///
/// # Errors
/// Not a number, or a negative one.
pub(super) fn limit(form: &Form) -> Result<usize, Failure> {
    let text = form.first("limit");
    if text.is_empty() {
        return Ok(0);
    }
    let number: i64 = whole(text).map_err(|why| bad_parameter("limit", format!("strconv.Atoi: {why}")))?;
    usize::try_from(number).map_err(|_| bad_parameter("limit", "limit must be non-negative"))
}

/// A whole number, refused in Go's words.
///
/// # Errors
/// Not a number.
pub(super) fn whole(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let range = matches!(
            error.kind(),
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow
        );
        let why = if range {
            "value out of range"
        } else {
            "invalid syntax"
        };
        format!("parsing {}: {why}", quote(text))
    })
}

/// The words Go's `ParseBool` takes; not given is false.
///
/// # Errors
/// Another word.
pub(super) fn flag(form: &Form, name: &str) -> Result<bool, Failure> {
    match form.first(name) {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        other => Err(bad_parameter(
            name,
            format!(
                "error converting {name}: strconv.ParseBool: parsing {}: invalid syntax",
                quote(other)
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, millis) in [
            ("1435781430.781", 1_435_781_430_781),
            ("1435781430.7814", 1_435_781_430_781),
            ("-1.5", -1_500),
            ("1e9", 1_000_000_000_000),
            ("2015-07-01T20:10:51.781Z", 1_435_781_451_781),
            ("2015-07-01T22:10:51.7819+02:00", 1_435_781_451_781),
            ("1969-12-31T23:59:59.9999Z", -1),
        ] {
            assert_eq!(time(text), Ok(Timestamp(millis)), "{text}");
        }
        for text in [
            "",
            "foo",
            "NaN",
            "Inf",
            "1e300",
            "2015-07-01",
            "2015-07-01 20:10:51Z",
            "2015-13-01T00:00:00Z",
        ] {
            let why = format!("cannot parse {} to a valid timestamp", quote(text));
            assert_eq!(time(text), Err(why));
        }
    }

    #[test]
    fn durations_are_seconds_or_prometheus_words() {
        for (text, read) in [
            ("15", 15e3),
            ("0.5", 500.0),
            ("1m30s", 90e3),
            ("-1", -1e3),
            ("250ms", 250.0),
        ] {
            assert_eq!(millis(text), Ok(read), "{text}");
        }
        assert!(millis("5x").unwrap_err().starts_with("cannot parse \"5x\""));
        assert!(millis("1e300").unwrap_err().ends_with("It overflows int64"));
        let most = Duration::from_secs(120);
        let timeout = |text| timeout(&Form::parse(text).unwrap(), most);
        assert_eq!(timeout(""), Ok(most));
        assert_eq!(timeout("timeout=10"), Ok(Duration::from_secs(10)));
        assert_eq!(timeout("timeout=10m"), Ok(most));
        assert_eq!(timeout("timeout=-1"), Ok(Duration::ZERO));
    }
}

//! Times that stand inside of a line, under one of the names that loggers give them.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use model::Timestamp;

use super::below_millis;
use crate::time::Times;

/// How far a name is looked for.
const REACH: usize = 512;

static JSON_KEYS: LazyLock<[Finder<'static>; 4]> =
    LazyLock::new(|| ["\"time\"", "\"ts\"", "\"timestamp\"", "\"@timestamp\""].map(Finder::new));
const LOGFMT_KEYS: [&[u8]; 3] = [b"time=", b"ts=", b"timestamp="];

pub(super) fn of_json(text: &[u8], times: &mut Times, now: Timestamp) -> Option<(Timestamp, u32)> {
    let head = text.get(..REACH).unwrap_or(text);
    JSON_KEYS.iter().find_map(|key| {
        let rest = head.get(key.find(head)? + key.needle().len()..)?;
        let value = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        of_value(value.strip_prefix(b"\"").unwrap_or(value), times, now)
    })
}

/// Only at the front, where loggers write it.
pub(super) fn of_logfmt(text: &[u8], times: &mut Times, now: Timestamp) -> Option<(Timestamp, u32)> {
    let value = LOGFMT_KEYS.iter().find_map(|key| text.strip_prefix(*key))?;
    of_value(value.strip_prefix(b"\"").unwrap_or(value), times, now)
}

/// A time as it is usually written, or since 1970 in seconds or a thousandth, millionth or billionth of one. Behind it
/// may stand something else.
pub(super) fn of_value(text: &[u8], times: &mut Times, now: Timestamp) -> Option<(Timestamp, u32)> {
    if let Some((time, used)) = times.of_line(text, now) {
        return Some((time, below_millis(text.get(..used)?)));
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole: i64 = std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()?;
    let per_second: i64 = match digits {
        9..=10 => 1,
        12..=13 => 1_000,
        15..=16 => 1_000_000,
        18..=19 => 1_000_000_000,
        _ => return None,
    };
    let mut nanos = whole.checked_mul(1_000_000_000 / per_second)?;
    if per_second == 1
        && let Some([b'.', rest @ ..]) = text.get(digits..)
    {
        let mut worth = 100_000_000;
        for digit in rest.iter().take(9).take_while(|byte| byte.is_ascii_digit()) {
            nanos += i64::from(digit - b'0') * worth;
            worth /= 10;
        }
    }
    let time = Timestamp(nanos.div_euclid(1_000_000));
    let below = u32::try_from(nanos.rem_euclid(1_000_000)).ok()?;
    (time.0 <= now.0 + 86_400_000).then_some((time, below))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_780_800_000); // 2026-11-27T12:00:00Z

    #[test]
    fn times_are_found_under_the_names_that_loggers_give_them() {
        let mut times = Times::new(TimeZone::UTC);
        for (line, want) in [
            (
                r#"{"level":"info","ts":1795780799.25,"msg":"x"}"#,
                Some((-750, 0)),
            ),
            (r#"{"level":30,"time":1795780799001,"pid":1}"#, Some((-999, 0))),
            (
                r#"{"@timestamp" : "2026-11-27T11:59:59.000001Z"}"#,
                Some((-1_000, 1_000)),
            ),
            (r#"{"timestamp":"1795780799000000001"}"#, Some((-1_000, 1))),
            (r#"{"took":1795780799}"#, None),
            (r#"{"time":"soon"}"#, None),
            (r#"{"time":9795780799}"#, None),
        ] {
            let found = of_json(line.as_bytes(), &mut times, NOW);
            assert_eq!(found.map(|(time, nanos)| (time.0 - NOW.0, nanos)), want, "{line}");
        }
        let found = of_logfmt(b"time=\"2026-11-27 11:59:59\" level=info", &mut times, NOW);
        assert_eq!(found, Some((Timestamp(NOW.0 - 1_000), 0)));
        assert_eq!(of_logfmt(b"level=info time=1795780799", &mut times, NOW), None);
    }
}

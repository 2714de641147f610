//! Finds the time a line begins with: RFC 3339, an ISO date without a zone, or syslog's `Jan  2 03:04:05`.
//!
//! By hand, because it runs for every line; times without a zone are the machine's own.

use jiff::civil;
use jiff::tz::TimeZone;
use model::Timestamp;

use crate::days::DAY_MS;

/// A time at the front of a line, and how many bytes it took.
pub(crate) type Found = Option<(Timestamp, usize)>;

/// `2016-10-06T00:17:09.669794202Z`, also with an offset; nothing without a zone.
pub(crate) fn rfc3339(line: &[u8]) -> Found {
    let (civil, used) = date_time(line)?;
    let (offset_ms, zone) = zone(line.get(used..)?)?;
    Some((Timestamp(civil.utc_ms()? - offset_ms), used + zone))
}

/// `27/Nov/2026:12:00:00 +0000`, as access logs have it.
pub(crate) fn access(text: &[u8]) -> Option<Timestamp> {
    let head = text.get(..12)?;
    if *head.get(2)? != b'/' || *head.get(6)? != b'/' || *head.get(11)? != b':' {
        return None;
    }
    let (day_ms, used) = clock(text.get(12..)?)?;
    let civil = Civil {
        year: number(head.get(7..11)?)?,
        month: month(head.get(3..6)?)?,
        day: number(head.get(..2)?)?,
        day_ms,
    };
    let (offset_ms, _) = zone(text.get(12 + used..)?.strip_prefix(b" ")?)?;
    Some(Timestamp(civil.utc_ms()? - offset_ms))
}

/// What a written time says below its millisecond, in nanoseconds: digits 4 to 9 of the fraction.
pub(crate) fn below_millis(time: &[u8]) -> u32 {
    let fraction = time.get(19..).unwrap_or_default();
    let Some((b'.' | b',', digits)) = fraction.split_first() else {
        return 0;
    };
    let digits = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .skip(3)
        .take(6);
    let (mut nanos, mut count) = (0, 0);
    for digit in digits {
        nanos = nanos * 10 + u32::from(digit - b'0');
        count += 1;
    }
    nanos * 10u32.pow(6 - count)
}

/// Reads what container runtimes write, a time in UTC to the nanosecond: most are in the same second as the one before.
#[derive(Default)]
pub(crate) struct Recent {
    /// As it is written, and where it begins.
    second: Option<([u8; 19], i64)>,
}

impl Recent {
    /// As [`rfc3339`], and what stands below the millisecond.
    pub(crate) fn read(&mut self, line: &[u8]) -> Option<(Timestamp, u32, usize)> {
        const FRACTION: u32 = 1_000_000;
        let (second, rest) = line.split_first_chunk()?;
        if let Some((known, millis)) = &self.second
            && second == known
            && let Some([b'.', digits @ .., b'Z']) = rest.get(..11)
            && let Some(fraction) = number(digits).and_then(|number| u32::try_from(number).ok())
        {
            let time = Timestamp(millis + i64::from(fraction / FRACTION));
            return Some((time, fraction % FRACTION, 30));
        }
        let (time, used) = rfc3339(line)?;
        let written = line.get(..used)?;
        if written.last() == Some(&b'Z') {
            self.second = Some((*second, time.0.div_euclid(1_000) * 1_000));
        }
        Some((time, below_millis(written), used))
    }
}

/// Reads times that need to know where and when the reader is.
pub(crate) struct Times {
    zone: TimeZone,
    /// The last hour asked about, and the offset that the zone had in it: asking costs more than reading a line.
    hour: (i64, i64),
}

impl Times {
    pub(crate) fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            hour: (i64::MIN, 0),
        }
    }

    /// The time a plain line begins with. One more than a day ahead of `now` is no time but a number.
    pub(crate) fn of_line(&mut self, line: &[u8], now: Timestamp) -> Found {
        let first = *line.first()?;
        let found = if first.is_ascii_digit() {
            self.iso(line)
        } else if first.is_ascii_uppercase() {
            self.syslog(line, now)
        } else {
            None
        };
        found.filter(|(time, _)| time.0 <= now.0 + DAY_MS && time.0 > 0)
    }

    fn iso(&mut self, line: &[u8]) -> Found {
        let (civil, used) = date_time(line)?;
        match zone(line.get(used..)?) {
            Some((offset_ms, zone)) => Some((Timestamp(civil.utc_ms()? - offset_ms), used + zone)),
            None => Some((self.local(civil)?, used)),
        }
    }

    /// Syslog leaves the year out.
    fn syslog(&mut self, line: &[u8], now: Timestamp) -> Found {
        let month = month(line.get(..3)?)?;
        let day = match line.get(3..6)? {
            [b' ', b' ', day @ b'1'..=b'9'] => i64::from(day - b'0'),
            [b' ', rest @ ..] => number(rest)?,
            _ => return None,
        };
        if line.get(6) != Some(&b' ') {
            return None;
        }
        let (day_ms, used) = clock(line.get(7..)?)?;
        let time = self.without_year((month, day), day_ms, now)?;
        Some((time, 7 + used))
    }

    /// klog's, `E0102 15:04:05.000000`: like syslog's without the year.
    pub(crate) fn of_klog(&mut self, line: &[u8], now: Timestamp) -> Option<Timestamp> {
        let day = (number(line.get(1..3)?)?, number(line.get(3..5)?)?);
        if line.get(5) != Some(&b' ') {
            return None;
        }
        let (day_ms, _) = clock(line.get(6..)?)?;
        self.without_year(day, day_ms, now)
    }

    /// It is in the year in which it is not in the future.
    fn without_year(&mut self, (month, day): (i64, i64), day_ms: i64, now: Timestamp) -> Option<Timestamp> {
        let year = year_of(now.0);
        let at = |year| Civil {
            year,
            month,
            day,
            day_ms,
        };
        self.local(at(year + 1))
            .filter(|time| time.0 <= now.0 + DAY_MS)
            .or_else(|| self.local(at(year)).filter(|time| time.0 <= now.0 + DAY_MS))
            .or_else(|| self.local(at(year - 1)))
    }

    fn local(&mut self, civil: Civil) -> Option<Timestamp> {
        let as_utc = civil.utc_ms()?;
        let hour = as_utc.div_euclid(3_600_000);
        if self.hour.0 != hour {
            let day = civil::date(
                i16::try_from(civil.year).ok()?,
                i8::try_from(civil.month).ok()?,
                i8::try_from(civil.day).ok()?,
            );
            let time = day.at(i8::try_from(civil.day_ms / 3_600_000).ok()?, 0, 0, 0);
            let known = self.zone.to_ambiguous_timestamp(time).compatible().ok()?;
            self.hour = (hour, hour * 3_600_000 - known.as_millisecond());
        }
        Some(Timestamp(as_utc - self.hour.1))
    }
}

#[derive(Clone, Copy)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    /// Since midnight.
    day_ms: i64,
}

impl Civil {
    fn utc_ms(self) -> Option<i64> {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let length = match self.month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let real = (1..=length).contains(&self.day) && (1970..=2199).contains(&self.year);
        real.then(|| days(self.year, self.month, self.day) * DAY_MS + self.day_ms)
    }
}

/// Days since 1970 in the Gregorian calendar, counting years from March so that the leap day is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468
}

fn year_of(now_ms: i64) -> i64 {
    let days_now = now_ms.div_euclid(DAY_MS);
    let guess = 1970 + days_now * 400 / 146_097;
    if days(guess + 1, 1, 1) <= days_now {
        guess + 1
    } else if days(guess, 1, 1) > days_now {
        guess - 1
    } else {
        guess
    }
}

/// `2016-10-06T00:17:09.6697`, with `/` for `-`, a space for `T` and a comma for the point as loggers have it.
fn date_time(line: &[u8]) -> Option<(Civil, usize)> {
    let head = line.get(..11)?;
    let dash = *head.get(4)?;
    if !matches!(dash, b'-' | b'/') || *head.get(7)? != dash || !matches!(head.get(10)?, b'T' | b't' | b' ') {
        return None;
    }
    let (day_ms, used) = clock(line.get(11..)?)?;
    let civil = Civil {
        year: number(head.get(..4)?)?,
        month: number(head.get(5..7)?)?,
        day: number(head.get(8..10)?)?,
        day_ms,
    };
    Some((civil, 11 + used))
}

/// `00:17:09`, with a fraction of any length.
fn clock(text: &[u8]) -> Option<(i64, usize)> {
    let head = text.get(..8)?;
    if *head.get(2)? != b':' || *head.get(5)? != b':' {
        return None;
    }
    let hour = number(head.get(..2)?)?;
    let minute = number(head.get(3..5)?)?;
    let second = number(head.get(6..8)?)?;
    // A leap second is 60.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let whole = ((hour * 60 + minute) * 60 + second) * 1_000;
    if !matches!(text.get(8), Some(b'.' | b',')) {
        return Some((whole, 8));
    }
    let digits = text
        .iter()
        .skip(9)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 {
        return Some((whole, 8));
    }
    let millis = (9..12).fold(0, |sum, at| {
        let digit = text.get(at).filter(|_| at < 9 + digits);
        sum * 10 + digit.map_or(0, |digit| i64::from(digit - b'0'))
    });
    Some((whole + millis, 9 + digits))
}

/// `Z`, `+02:00`, `+0200` or `+02` directly behind the clock.
fn zone(text: &[u8]) -> Option<(i64, usize)> {
    let sign = match text.first()? {
        b'Z' | b'z' => return Some((0, 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = number(text.get(1..3)?)?;
    let (minutes, used) = match text.get(3) {
        Some(b':') => (number(text.get(4..6)?)?, 6),
        Some(digit) if digit.is_ascii_digit() => (number(text.get(3..5)?)?, 5),
        _ => (0, 3),
    };
    let real = hours <= 14 && minutes <= 59;
    real.then_some((sign * (hours * 60 + minutes) * 60_000, used))
}

fn month(name: &[u8]) -> Option<i64> {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
    ];
    let at = MONTHS.iter().position(|month| *month == name)?;
    i64::try_from(at + 1).ok()
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_768_478_400_000); // 2026-01-15T12:00:00Z

    fn check(line: &str, want: &str, rest: &str) {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let (time, used) = Times::new(zone).of_line(line.as_bytes(), NOW).expect(line);
        let want: jiff::Timestamp = want.parse().unwrap();
        assert_eq!(time.0, want.as_millisecond(), "{line}");
        assert_eq!(&line[used..], rest);
    }

    #[test]
    fn every_usual_shape_is_read() {
        check(
            "2026-01-15T10:17:09.669794202Z x",
            "2026-01-15T10:17:09.669Z",
            " x",
        );
        check("2026-01-15T10:17:09+01:00 x", "2026-01-15T09:17:09Z", " x");
        check("2026-01-15T10:17:09.5-0530 x", "2026-01-15T15:47:09.5Z", " x");
        check("2025-07-01 10:17:09,123 x", "2025-07-01T08:17:09.123Z", " x");
        check(
            "2025/12/01 10:17:09 [error] x",
            "2025-12-01T09:17:09Z",
            " [error] x",
        );
        check(
            "Jan 15 12:30:00 host sshd: x",
            "2026-01-15T11:30:00Z",
            " host sshd: x",
        );
        check("Jan  5 12:30:00 host x", "2026-01-05T11:30:00Z", " host x");
        check("Dec 31 23:59:59 host x", "2025-12-31T22:59:59Z", " host x");
    }

    #[test]
    fn what_is_no_time_is_left_alone() {
        let mut times = Times::new(TimeZone::UTC);
        for line in [
            "",
            "x",
            "2026-01-15",
            "2026-13-15T10:17:09Z x",
            "2026-02-30T10:17:09Z x",
            "2026-01-15T25:17:09Z x",
            "2036-01-15T10:17:09Z x",
            "Foo 15 12:30:00 host",
            "Jan 45 12:30:00 host",
            "1234567890",
        ] {
            assert_eq!(times.of_line(line.as_bytes(), NOW), None, "{line}");
        }
        assert_eq!(rfc3339(b"2026-01-15T10:17:09 x"), None);
    }

    #[test]
    fn a_time_is_known_to_the_nanosecond() {
        for (text, nanos) in [
            ("2016-10-06T00:17:09.669794202Z", 794_202),
            ("2016-10-06T00:17:09.6697Z", 700_000),
            ("2016-10-06T00:17:09.669Z", 0),
            ("2016-10-06T00:17:09Z", 0),
            ("2016-10-06T00:17:09.0000000019999+02:00", 1),
            ("2016-10-06 00:17:09,1234", 400_000),
            ("Jan  2 03:04:05", 0),
        ] {
            assert_eq!(below_millis(text.as_bytes()), nanos, "{text}");
        }
    }

    #[test]
    fn a_second_that_is_known_is_read_like_any_other() {
        let mut recent = Recent::default();
        // Where a file was truncated under its writer stand zeros.
        let hole = format!("{}.669794202Z stdout F x", "\0".repeat(19));
        for text in [
            hole.as_str(),
            "2016-10-06T00:17:09.669794202Z x",
            "2016-10-06T00:17:09.000000001Z",
            "2016-10-06T00:17:09.999999999Z",
            "2016-10-06T00:17:09.123456789+02:00",
            "2016-10-06T00:17:09.1234567890Z",
            "2016-10-06T00:17:09.12Z stdout",
            "2016-10-06T00:17:09Z stdout F x",
            "2016-10-06T00:17:09.12345678xZ",
            "2016-10-06T00:17:60.5Z",
            "2016-10-06T00:17:60.500000000Z",
            "2016-10-06T00:17:09",
        ] {
            let line = text.as_bytes();
            let apart = rfc3339(line).map(|(time, used)| (time, below_millis(&line[..used]), used));
            for _ in 0..2 {
                assert_eq!(recent.read(line), apart, "{text}");
            }
        }
    }

    #[test]
    fn the_calendar_agrees_with_jiff() {
        for day in (0..80_000).step_by(13) {
            let date = jiff::Timestamp::from_second(day * 86_400)
                .unwrap()
                .to_zoned(TimeZone::UTC)
                .date();
            let (year, month) = (i64::from(date.year()), i64::from(date.month()));
            assert_eq!(days(year, month, i64::from(date.day())), day);
            assert_eq!(year_of(day * DAY_MS + 5), year);
        }
    }

    #[test]
    fn the_new_year_is_not_a_year_away() {
        let new_year = Timestamp(1_767_225_630_000); // 2026-01-01T00:00:30Z
        let mut times = Times::new(TimeZone::UTC);
        let (time, _) = times.of_line(b"Dec 31 23:59:59 x", new_year).unwrap();
        assert_eq!(new_year.since(time).as_secs(), 31);
        let eve = Timestamp(new_year.0 - 60_000);
        let (time, _) = times.of_line(b"Jan  1 00:00:00 x", eve).unwrap();
        assert_eq!(time.0 - eve.0, 30_000);
    }
}

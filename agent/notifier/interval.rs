//! Named times: nights, weekends, the last days of a month, each in its own time zone, as Alertmanager has them.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Deserializer, de};

/// A time is in it if it is in one range of every kind that is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Interval {
    times: Option<Vec<Minutes>>,
    weekdays: Option<Vec<Weekdays>>,
    days_of_month: Option<Vec<Days>>,
    months: Option<Vec<Months>>,
    years: Option<Vec<Years>>,
    location: Option<Zone>,
}

/// Minutes of a day, the last one not among them.
#[derive(Clone, Debug)]
struct Minutes {
    start: i32,
    end: i32,
}

/// First and last, both among them.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: i32,
    last: i32,
}

/// Sunday is 0.
#[derive(Clone, Debug)]
struct Weekdays(Span);

/// Negative ones are counted from the end of the month.
#[derive(Clone, Debug)]
struct Days(Span);

#[derive(Clone, Debug)]
struct Months(Span);

#[derive(Clone, Debug)]
struct Years(Span);

#[derive(Clone, Debug)]
struct Zone(TimeZone);

impl Interval {
    pub(crate) fn contains(&self, time: model::Timestamp) -> bool {
        let zone = self
            .location
            .as_ref()
            .map_or(TimeZone::UTC, |zone| zone.0.clone());
        let time = Timestamp::from_millisecond(time.0).unwrap_or_default();
        let time = time.to_zoned(zone);
        let minute = i32::from(time.hour()) * 60 + i32::from(time.minute());
        is_in(&self.times, |span| (span.start..span.end).contains(&minute))
            && is_in(&self.days_of_month, |days| days.contain(&time))
            && is_in(&self.months, |Months(span)| {
                span.contains(i32::from(time.month()))
            })
            && is_in(&self.weekdays, |Weekdays(span)| {
                span.contains(i32::from(time.weekday().to_sunday_zero_offset()))
            })
            && is_in(&self.years, |Years(span)| span.contains(i32::from(time.year())))
    }
}

fn is_in<T>(ranges: &Option<Vec<T>>, contains: impl Fn(&T) -> bool) -> bool {
    ranges.as_ref().is_none_or(|ranges| ranges.iter().any(contains))
}

impl Span {
    fn contains(self, number: i32) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// `monday:friday`, `1:5`, `3`.
    fn read(text: &str, one: impl Fn(&str) -> Result<i32, String>) -> Result<Self, String> {
        let text = text.to_lowercase();
        let mut parts = text.split(':');
        let first = one(parts.next().unwrap_or_default())?;
        let last = parts.next().map_or(Ok(first), &one)?;
        match parts.next() {
            None => Ok(Self { first, last }),
            Some(_) => Err(format!("couldn't parse range {text}, invalid format")),
        }
    }
}

impl Days {
    fn contain(&self, time: &Zoned) -> bool {
        let length = i32::from(time.days_in_month());
        let day = |number: i32| if number < 0 { length + number + 1 } else { number };
        let (first, last) = (day(self.0.first), day(self.0.last));
        let span = Span {
            first: first.max(-length),
            last: last.clamp(-length, length),
        };
        first <= length && span.contains(i32::from(time.day()))
    }
}

fn number(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn place(names: &[&str], text: &str) -> Option<i32> {
    let place = names.iter().position(|name| *name == text)?;
    i32::try_from(place).ok()
}

fn weekdays(text: &str) -> Result<Weekdays, String> {
    const NAMES: [&str; 7] = [
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
    ];
    let day = |text: &str| place(&NAMES, text).ok_or_else(|| format!("{text} is not a valid weekday"));
    let span = Span::read(text, day)?;
    if span.first > span.last {
        return Err("start day cannot be before end day".to_owned());
    }
    Ok(Weekdays(span))
}

fn days(text: &str) -> Result<Days, String> {
    // The shortest month: what is wrong with it may be right in none.
    const SHORTEST: i32 = 28;
    let span = Span::read(text, number)?;
    for day in [span.first, span.last] {
        if day == 0 || !(-31..=31).contains(&day) {
            return Err(format!("{day} is not a valid day of the month: out of range"));
        }
    }
    if span.first < 0 && span.last > 0 {
        return Err("end day must be negative if start day is negative".to_owned());
    }
    let least = |day: i32| if day < 0 { SHORTEST + day } else { day };
    if least(span.first) > least(span.last) {
        let Span { first, last } = span;
        return Err(format!("end day {last} is always before start day {first}"));
    }
    Ok(Days(span))
}

fn months(text: &str) -> Result<Months, String> {
    const NAMES: [&str; 13] = [
        "",
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let month = |text: &str| {
        let named = place(&NAMES, text).filter(|month| *month > 0);
        let found = named.or_else(|| text.parse().ok());
        found.ok_or_else(|| format!("{text} is not a valid month"))
    };
    let span = Span::read(text, month)?;
    if span.first > span.last {
        return Err(format!("{text}: the end month is before the start month"));
    }
    Ok(Months(span))
}

fn years(text: &str) -> Result<Years, String> {
    let span = Span::read(text, number)?;
    if span.first > span.last {
        return Err(format!(
            "end year {} is before start year {}",
            span.last, span.first
        ));
    }
    Ok(Years(span))
}

/// `HH:MM`, up to `24:00`.
fn minute(text: &str) -> Result<i32, String> {
    let wrong = || format!("couldn't parse timestamp {text}, invalid format");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str| {
        let is_pair = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i32>().ok().filter(|_| is_pair).ok_or_else(wrong)
    };
    match (number(hours)?, number(minutes)?) {
        (hours @ 0..24, minutes @ 0..60) => Ok(hours * 60 + minutes),
        (24, 0) => Ok(24 * 60),
        _ => Err(wrong()),
    }
}

macro_rules! reads {
    ($($kind:ty: $read:path;)*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $read(&text).map_err(de::Error::custom)
            }
        }
    )*};
}

reads! {
    Weekdays: weekdays;
    Days: days;
    Months: months;
    Years: years;
    Zone: zone;
}

fn zone(name: &str) -> Result<Zone, String> {
    match name {
        // As Go names them.
        "" | "UTC" => Ok(Zone(TimeZone::UTC)),
        "Local" => Ok(Zone(TimeZone::system())),
        _ => TimeZone::get(name)
            .map(Zone)
            .map_err(|_| format!("unknown time zone {name}")),
    }
}

impl<'de> Deserialize<'de> for Minutes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Written {
            start_time: String,
            end_time: String,
        }
        let written = Written::deserialize(deserializer)?;
        if written.start_time.is_empty() || written.end_time.is_empty() {
            return Err(de::Error::custom("both start and end times must be provided"));
        }
        let start = minute(&written.start_time).map_err(de::Error::custom)?;
        let end = minute(&written.end_time).map_err(de::Error::custom)?;
        if start >= end {
            let why = "start time cannot be equal or greater than end time";
            return Err(de::Error::custom(why));
        }
        Ok(Self { start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(interval: &str, time: &str) -> bool {
        let interval: Interval = yaml::read("interval", interval).unwrap();
        let time: Timestamp = time.parse().unwrap();
        interval.contains(model::Timestamp(time.as_millisecond()))
    }

    #[test]
    fn every_kind_that_is_given_has_to_hold() {
        let office = "times: [{start_time: '09:00', end_time: '17:00'}]\nweekdays: ['monday:friday']\n";
        assert!(contains(office, "2026-11-26T09:00:00Z"));
        assert!(contains(office, "2026-11-26T16:59:59Z"));
        assert!(!contains(office, "2026-11-26T17:00:00Z"));
        assert!(!contains(office, "2026-11-28T12:00:00Z"), "a Saturday");
        let there = format!("{office}location: America/New_York\n");
        assert!(!contains(&there, "2026-11-26T13:59:00Z"));
        assert!(contains(&there, "2026-11-26T14:00:00Z"));
        assert!(contains("{}", "2026-11-26T14:00:00Z"));
        assert!(!contains("times: []", "2026-11-26T14:00:00Z"));
    }

    #[test]
    fn days_are_counted_from_either_end_and_stay_in_their_month() {
        assert!(contains("days_of_month: ['-3:-1']", "2026-02-26T00:00:00Z"));
        assert!(!contains("days_of_month: ['-3:-1']", "2026-02-25T00:00:00Z"));
        assert!(contains("days_of_month: ['25:31']", "2026-02-28T00:00:00Z"));
        assert!(!contains("days_of_month: ['29:31']", "2026-02-28T00:00:00Z"));
        assert!(contains("days_of_month: ['1:-2']", "2026-02-27T00:00:00Z"));
        assert!(contains("months: ['march:May', '12']", "2026-12-27T00:00:00Z"));
        assert!(!contains("years: ['2020:2025']", "2026-12-27T00:00:00Z"));
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for (text, why) in [
            (
                "weekdays: ['friday:monday']",
                "start day cannot be before end day",
            ),
            ("weekdays: [someday]", "someday is not a valid weekday"),
            (
                "days_of_month: ['0']",
                "0 is not a valid day of the month: out of range",
            ),
            (
                "days_of_month: ['-5:3']",
                "end day must be negative if start day is negative",
            ),
            (
                "days_of_month: ['20:-15']",
                "end day -15 is always before start day 20",
            ),
            ("months: ['may:april']", "the end month is before the start month"),
            ("years: ['2026:2025']", "end year 2025 is before start year 2026"),
            ("years: ['x']", "\"x\" is no number"),
            (
                "times: [{start_time: '25:00', end_time: '24:00'}]",
                "couldn't parse timestamp 25:00, invalid format",
            ),
            (
                "times: [{start_time: '10:00', end_time: '10:00'}]",
                "start time cannot be equal or greater than end time",
            ),
            ("location: Atlantis", "unknown time zone Atlantis"),
        ] {
            let error = yaml::read::<Interval>("interval", text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

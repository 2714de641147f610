//! Times and durations as Go's `time` prints them, and the methods templates call on them.

use jiff::Zoned;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use model::Timestamp;

use crate::error::Problem;
use crate::value::Value;

pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MILLI: i64 = 1_000_000;
/// Go's zero time, the first second of the year 1.
pub(crate) const ZERO: Timestamp = Timestamp(-62_135_596_800_000);

/// A time and the zone it is shown in. Two are equal if they are the same time.
#[derive(Clone, Debug)]
pub struct Moment {
    pub(crate) at: Timestamp,
    pub(crate) zone: TimeZone,
}

impl Moment {
    /// Go's zero time: what an alert ends at that has not ended.
    #[must_use]
    pub fn zero() -> Self {
        ZERO.into()
    }

    /// Out of a calendar's range, 1970.
    pub(crate) fn civil(&self) -> Zoned {
        let instant = jiff::Timestamp::from_millisecond(self.at.millis()).unwrap_or_default();
        instant.to_zoned(self.zone.clone())
    }
}

impl From<Timestamp> for Moment {
    /// In UTC.
    fn from(at: Timestamp) -> Self {
        Self {
            at,
            zone: TimeZone::UTC,
        }
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

/// Go's `time.Time.String`: `2024-01-02 03:04:05.123 +0000 UTC`.
pub(crate) fn time_text(at: &Moment) -> String {
    layout(at, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// Go's `time.Duration.String`: `1h2m3.5s`, `250ms`.
pub(crate) fn duration_text(nanos: i64) -> String {
    if nanos == 0 {
        return "0s".to_owned();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let (unit, scale) = match size {
        0..1_000 => return format!("{sign}{size}ns"),
        1_000..1_000_000 => ("µs", 1_000),
        1_000_000..1_000_000_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    let (whole, rest) = (size / scale, size % scale);
    let digits = scale.ilog10() as usize;
    let fraction = format!("{rest:0digits$}");
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (unit, hours, minutes) {
        ("s", 0, 0) => format!("{sign}{seconds}{point}{fraction}s"),
        ("s", 0, _) => format!("{sign}{minutes}m{seconds}{point}{fraction}s"),
        ("s", ..) => format!("{sign}{hours}h{minutes}m{seconds}{point}{fraction}s"),
        _ => format!("{sign}{whole}{point}{fraction}{unit}"),
    }
}

/// Go's layouts: the reference time written as the result should look. Longer names come first.
pub(crate) const PARTS: [&str; 29] = [
    "January", "Monday", "Z07:00", "-07:00", "Z0700", "-0700", "2006", "__2", "002", "Jan", "Mon", "MST",
    "-07", "01", "02", "03", "04", "05", "06", "15", "_2", "PM", "pm", "1", "2", "3", "4", "5", "Z07",
];

/// Go's `time.Time.Format`.
pub(crate) fn layout(at: &Moment, layout: &str) -> String {
    let time = &at.civil();
    let mut text = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some((fraction, length)) = fraction(rest, time.millisecond()) {
            text.push_str(&fraction);
            rest = rest.get(length..).unwrap_or_default();
        } else if let Some(found) = PARTS.into_iter().find(|known| begins(rest, known)) {
            text.push_str(&part(time, found));
            rest = rest.get(found.len()..).unwrap_or_default();
        } else {
            text.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    text
}

/// Whether a part of a layout stands here. `Mon` in `Month` is no weekday.
pub(crate) fn begins(rest: &str, part: &str) -> bool {
    let whole_word = matches!(part, "Jan" | "Mon");
    rest.strip_prefix(part)
        .is_some_and(|behind| !(whole_word && behind.starts_with(|next: char| next.is_ascii_lowercase())))
}

/// `.000` writes all digits, `.999` those that say something.
fn fraction(rest: &str, millisecond: i16) -> Option<(String, usize)> {
    let mut letters = rest.chars();
    let comma = letters.next().filter(|first| matches!(first, '.' | ','))?;
    let digit = letters.next().filter(|digit| matches!(digit, '0' | '9'))?;
    let count = rest.chars().skip(1).take_while(|next| *next == digit).count();
    if rest
        .chars()
        .nth(count + 1)
        .is_some_and(|next| next.is_ascii_digit())
    {
        return None;
    }
    let nanos = format!("{millisecond:03}000000");
    let mut digits: String = nanos.chars().chain(std::iter::repeat('0')).take(count).collect();
    if digit == '9' {
        digits.truncate(digits.trim_end_matches('0').len());
    }
    let text = if digits.is_empty() {
        String::new()
    } else {
        format!("{comma}{digits}")
    };
    Some((text, count + 1))
}

fn part(time: &Zoned, part: &str) -> String {
    let hour = time.hour();
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    match part {
        "January" => month(time).to_owned(),
        "Jan" => month(time).chars().take(3).collect(),
        "Monday" => weekday(time).to_owned(),
        "Mon" => weekday(time).chars().take(3).collect(),
        "2006" => format!("{:04}", time.year()),
        "06" => format!("{:02}", time.year().rem_euclid(100)),
        "01" => format!("{:02}", time.month()),
        "1" => time.month().to_string(),
        "02" => format!("{:02}", time.day()),
        "_2" => format!("{:2}", time.day()),
        "2" => time.day().to_string(),
        "002" => format!("{:03}", time.day_of_year()),
        "__2" => format!("{:3}", time.day_of_year()),
        "15" => format!("{hour:02}"),
        "03" => format!("{twelve:02}"),
        "3" => twelve.to_string(),
        "04" => format!("{:02}", time.minute()),
        "4" => time.minute().to_string(),
        "05" => format!("{:02}", time.second()),
        "5" => time.second().to_string(),
        "PM" => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        "pm" => if hour < 12 { "am" } else { "pm" }.to_owned(),
        "MST" => zone_name(time),
        offset => zone_offset(time, offset),
    }
}

/// `CET`, or where the zone has no name at that time `+03`.
fn zone_name(time: &Zoned) -> String {
    let info = time.time_zone().to_offset_info(time.timestamp());
    info.abbreviation().to_owned()
}

/// `-07:00` and its like; those with a `Z` write it for UTC.
fn zone_offset(time: &Zoned, wanted: &str) -> String {
    let seconds = time.offset().seconds();
    if wanted.starts_with('Z') && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    let (hours, minutes) = (minutes / 60, minutes % 60);
    match wanted.trim_start_matches(['Z', '-']) {
        "07:00" => format!("{sign}{hours:02}:{minutes:02}"),
        "07" => format!("{sign}{hours:02}"),
        _ => format!("{sign}{hours:02}{minutes:02}"),
    }
}

fn month(time: &Zoned) -> &'static str {
    let nth = usize::try_from(time.month() - 1).unwrap_or_default();
    MONTHS.get(nth).copied().unwrap_or_default()
}

fn weekday(time: &Zoned) -> &'static str {
    match time.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

/// A method of a time or duration; `None` when the value is neither or has none of that name.
pub(crate) fn method(value: &Value, name: &str, arguments: &[Value]) -> Option<Result<Value, Problem>> {
    match value {
        Value::Time(at) => time_method(at, name, arguments),
        Value::Duration(nanos) => duration_method(*nanos, name, arguments),
        _ => None,
    }
}

fn time_method(at: &Moment, name: &str, arguments: &[Value]) -> Option<Result<Value, Problem>> {
    let time = &at.civil();
    let millis = at.at.millis();
    let int = |number: i64| Value::Int(number);
    let value = match (name, arguments) {
        ("Format", [Value::Text(wanted)]) => layout(at, wanted).into(),
        ("String", []) => time_text(at).into(),
        ("UTC" | "Local", []) => at.at.into(),
        ("IsZero", []) => (at.at == ZERO).into(),
        ("Unix", []) => int(millis.div_euclid(1000)),
        ("UnixMilli", []) => int(millis),
        ("UnixNano", []) => int(millis.saturating_mul(MILLI)),
        ("Nanosecond", []) => int(millis.rem_euclid(1000) * MILLI),
        ("Year", []) => int(time.year().into()),
        ("Month", []) => month(time).into(),
        ("Day", []) => int(time.day().into()),
        ("Hour", []) => int(time.hour().into()),
        ("Minute", []) => int(time.minute().into()),
        ("Second", []) => int(time.second().into()),
        ("YearDay", []) => int(time.day_of_year().into()),
        ("Weekday", []) => weekday(time).into(),
        ("Before", [Value::Time(other)]) => (at.at < other.at).into(),
        ("After", [Value::Time(other)]) => (at.at > other.at).into(),
        ("Equal", [Value::Time(other)]) => (at == other).into(),
        ("Sub", [Value::Time(other)]) => {
            Value::Duration(millis.saturating_sub(other.at.millis()).saturating_mul(MILLI))
        }
        ("Add", [Value::Duration(nanos)]) => Value::Time(Moment {
            at: Timestamp(millis.saturating_add(nanos / MILLI)),
            zone: at.zone.clone(),
        }),
        ("Format" | "Before" | "After" | "Equal" | "Sub" | "Add", _) => {
            return Some(Err(
                format!("wrong arguments for method {name} of time.Time").into()
            ));
        }
        _ => return None,
    };
    Some(Ok(value))
}

fn duration_method(nanos: i64, name: &str, arguments: &[Value]) -> Option<Result<Value, Problem>> {
    let per = |scale: f64| Value::Float(nanos as f64 / scale);
    let value = match (name, arguments) {
        ("String", []) => duration_text(nanos).into(),
        ("Hours", []) => per(3.6e12),
        ("Minutes", []) => per(6e10),
        ("Seconds", []) => per(1e9),
        ("Milliseconds", []) => Value::Int(nanos / MILLI),
        ("Abs", []) => Value::Duration(nanos.saturating_abs()),
        ("Truncate", [Value::Duration(to)]) if *to > 0 => Value::Duration(nanos - nanos % to),
        ("Round", [Value::Duration(to)]) if *to > 0 => {
            let half = if nanos < 0 { -(to / 2) } else { to / 2 };
            let raised = nanos.saturating_add(half);
            Value::Duration(raised - raised % to)
        }
        ("Truncate" | "Round", [Value::Duration(_)]) => Value::Duration(nanos),
        ("Truncate" | "Round", _) => {
            return Some(Err(
                format!("wrong arguments for method {name} of time.Duration").into()
            ));
        }
        _ => return None,
    };
    Some(Ok(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_704_164_645_120);

    #[test]
    fn layouts_are_written_as_the_reference_time() {
        let cases = [
            ("2006-01-02T15:04:05Z07:00", "2024-01-02T03:04:05Z"),
            ("Mon, 02 Jan 2006 15:04:05 MST", "Tue, 02 Jan 2024 03:04:05 UTC"),
            ("Jan _2 3:04PM", "Jan  2 3:04AM"),
            ("15:04:05.000", "03:04:05.120"),
            ("15:04:05.999999", "03:04:05.12"),
            ("January 2, 06 -0700", "January 2, 24 +0000"),
            ("at 5 o'clock é", "at 5 o'clock é"),
        ];
        for (wanted, text) in cases {
            assert_eq!(layout(&AT.into(), wanted), text, "{wanted}");
        }
    }

    #[test]
    fn durations_print_as_in_go() {
        let cases = [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (3_723_000_000_000, "1h2m3s"),
            (-60_000_000_000, "-1m0s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration_text(nanos), text);
        }
    }
}

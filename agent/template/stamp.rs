//! Reads a time that is written as one of Go's layouts says, as `time.Parse` does.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use model::Timestamp;

use crate::time::{MONTHS, Moment, PARTS, begins};

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// What has been read so far.
struct Reading<'t> {
    rest: &'t str,
    year: i16,
    month: i8,
    day: i8,
    /// In place of month and day.
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    is_afternoon: Option<bool>,
    offset: Option<Offset>,
}

/// What `text` says; without a zone it is UTC, and what is not said is the zero time's.
///
/// # Errors
/// Where the text is not as the layout says.
pub(crate) fn parse(layout: &str, text: &str) -> Result<Moment, String> {
    let mut reading = Reading {
        rest: text,
        year: 0,
        month: 1,
        day: 1,
        day_of_year: None,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        is_afternoon: None,
        offset: None,
    };
    let moment = reading.all(layout).and_then(|()| reading.moment());
    moment.ok_or_else(|| {
        format!(
            "parsing time {text:?} as {layout:?}: cannot parse {:?}",
            reading.rest
        )
    })
}

impl<'t> Reading<'t> {
    fn all(&mut self, layout: &str) -> Option<()> {
        let mut wanted = layout;
        while let Some(first) = wanted.chars().next() {
            if let Some(digits) = fraction_of(wanted) {
                self.fraction();
                wanted = wanted.get(digits..)?;
            } else if let Some(part) = PARTS.into_iter().find(|part| begins(wanted, part)) {
                self.part(part)?;
                wanted = wanted.get(part.len()..)?;
            } else {
                self.rest = self.rest.strip_prefix(first)?;
                wanted = wanted.get(first.len_utf8()..)?;
            }
        }
        self.rest.is_empty().then_some(())
    }

    fn part(&mut self, part: &str) -> Option<()> {
        match part {
            "January" => self.month = self.one_of(&MONTHS, usize::MAX)?,
            "Jan" => self.month = self.one_of(&MONTHS, 3)?,
            "Monday" => _ = self.one_of(&WEEKDAYS, usize::MAX)?,
            "Mon" => _ = self.one_of(&WEEKDAYS, 3)?,
            "2006" => self.year = self.number(4, 4)?,
            "06" => {
                let year = self.number(2, 2)?;
                self.year = if year >= 69 { year + 1900 } else { year + 2000 };
            }
            "01" => self.month = self.small(2)?,
            "1" => self.month = self.small(1)?,
            "02" => self.day = self.small(2)?,
            "_2" | "2" => {
                self.rest = self
                    .rest
                    .strip_prefix(' ')
                    .filter(|_| part == "_2")
                    .unwrap_or(self.rest);
                self.day = self.small(1)?;
            }
            "002" => self.day_of_year = Some(self.number(3, 3)?),
            "__2" => {
                self.rest = self.rest.trim_start_matches(' ');
                self.day_of_year = Some(self.number(1, 3)?);
            }
            "15" | "03" => self.hour = self.small(2)?,
            "3" => self.hour = self.small(1)?,
            "04" => self.minute = self.small(2)?,
            "4" => self.minute = self.small(1)?,
            "05" | "5" => {
                self.second = self.small(if part == "05" { 2 } else { 1 })?;
                self.fraction();
            }
            "PM" => self.is_afternoon = Some(self.either("PM", "AM")?),
            "pm" => self.is_afternoon = Some(self.either("pm", "am")?),
            "MST" => self.abbreviation()?,
            zone => self.zone(zone)?,
        }
        Some(())
    }

    fn number(&mut self, least: usize, most: usize) -> Option<i16> {
        let digits = self
            .rest
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_digit)
            .count();
        if digits < least {
            return None;
        }
        let (number, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        number.parse().ok()
    }

    /// One or two digits.
    fn small(&mut self, least: usize) -> Option<i8> {
        i8::try_from(self.number(least, 2)?).ok()
    }

    /// Which of these names stands here, from 1, in whatever case.
    fn one_of(&mut self, names: &[&str], letters: usize) -> Option<i8> {
        for (nth, name) in names.iter().enumerate() {
            let name = name.get(..letters.min(name.len()))?;
            let head = self.rest.get(..name.len());
            if head.is_some_and(|head| head.eq_ignore_ascii_case(name)) {
                self.rest = self.rest.get(name.len()..)?;
                return i8::try_from(nth + 1).ok();
            }
        }
        None
    }

    fn either(&mut self, yes: &str, no: &str) -> Option<bool> {
        let is_yes = self.rest.starts_with(yes);
        self.rest = self.rest.strip_prefix(if is_yes { yes } else { no })?;
        Some(is_yes)
    }

    /// Digits behind the seconds are read whether the layout has them or not.
    fn fraction(&mut self) {
        let Some(behind) = self.rest.strip_prefix(['.', ',']) else {
            return;
        };
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return;
        }
        let (fraction, rest) = behind.split_at(digits);
        let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        self.nanos = nanos.parse().unwrap_or_default();
        self.rest = rest;
    }

    /// Go knows only UTC by its name; of others it takes the name and not the time.
    fn abbreviation(&mut self) -> Option<()> {
        let letters = self.rest.bytes().take_while(u8::is_ascii_uppercase).count();
        if !(3..=4).contains(&letters) {
            return None;
        }
        self.rest = self.rest.get(letters..)?;
        self.offset = self.offset.or(Some(Offset::UTC));
        Some(())
    }

    fn zone(&mut self, wanted: &str) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix('Z').filter(|_| wanted.starts_with('Z')) {
            self.rest = rest;
            self.offset = Some(Offset::UTC);
            return Some(());
        }
        let sign = if self.either("-", "+")? { -1 } else { 1 };
        let hours = i32::from(self.number(2, 2)?);
        if wanted.contains(':') {
            self.rest = self.rest.strip_prefix(':')?;
        }
        let minutes = if wanted.ends_with("07") {
            0
        } else {
            i32::from(self.number(2, 2)?)
        };
        self.offset = Some(Offset::from_seconds(sign * (hours * 60 + minutes) * 60).ok()?);
        Some(())
    }

    fn moment(&self) -> Option<Moment> {
        let hour = match self.is_afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = match self.day_of_year {
            Some(day) => Date::new(self.year, 1, 1)
                .ok()?
                .with()
                .day_of_year(day)
                .build()
                .ok()?,
            None => Date::new(self.year, self.month, self.day).ok()?,
        };
        let time = jiff::civil::Time::new(hour, self.minute, self.second, self.nanos).ok()?;
        let zone = self.offset.map_or(TimeZone::UTC, |offset| {
            if offset == Offset::UTC {
                TimeZone::UTC
            } else {
                TimeZone::fixed(offset)
            }
        });
        let zoned = DateTime::from_parts(date, time).to_zoned(zone).ok()?;
        Some(Moment {
            at: Timestamp(zoned.timestamp().as_millisecond()),
            zone: zoned.time_zone().clone(),
        })
    }
}

/// How much of a layout stands for digits behind the seconds: `.000`, `,999`.
fn fraction_of(layout: &str) -> Option<usize> {
    let behind = layout.strip_prefix(['.', ','])?;
    let digit = behind
        .bytes()
        .next()
        .filter(|digit| matches!(digit, b'0' | b'9'))?;
    let count = behind.bytes().take_while(|next| *next == digit).count();
    let is_last = !behind
        .as_bytes()
        .get(count)
        .is_some_and(|next| next.is_ascii_digit());
    is_last.then_some(count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::time_text;

    #[test]
    fn times_are_read_as_they_are_laid_out() {
        let cases = [
            ("2006-01-02", "2024-01-02", "2024-01-02 00:00:00 +0000 UTC"),
            (
                "2006-01-02T15:04:05Z07:00",
                "2024-01-02T03:04:05.12+01:00",
                "2024-01-02 03:04:05.12 +0100 +01",
            ),
            (
                "Jan _2, 06 3:04PM",
                "feb  3, 99 12:30AM",
                "1999-02-03 00:30:00 +0000 UTC",
            ),
            (
                "Monday 02 January 2006 MST",
                "Tuesday 02 January 2024 UTC",
                "2024-01-02 00:00:00 +0000 UTC",
            ),
            (
                "2006-002 15.04",
                "2024-060 01.02",
                "2024-02-29 01:02:00 +0000 UTC",
            ),
        ];
        for (layout, text, wanted) in cases {
            let read = parse(layout, text).unwrap();
            assert_eq!(time_text(&read), wanted, "{layout}");
        }
        for (layout, text) in [
            ("2006-01-02", "2024-02-30"),
            ("2006-01-02", "2024-1-02"),
            ("2006-01-02", "2024-01-02x"),
            ("15:04", "25:00"),
            ("Jan", "Foo"),
        ] {
            assert!(parse(layout, text).is_err(), "{text}");
        }
    }
}

//! Times in addresses and on the page: `now-1h`, `14:37`, RFC 3339 and Unix seconds in, the machine's own zone out.

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use model::{Timestamp, text};

/// Spans the picker offers: the window, its long name, its short one for a phone.
pub(super) const SPANS: [(Duration, &str, &str); 8] = [
    (Duration::from_secs(60), "Last minute", "1 min"),
    (Duration::from_secs(5 * 60), "Last 5 min", "5 min"),
    (Duration::from_secs(15 * 60), "Last 15 min", "15 min"),
    (Duration::from_secs(30 * 60), "Last 30 min", "30 min"),
    (Duration::from_secs(3600), "Last hour", "1 h"),
    (Duration::from_secs(6 * 3600), "Last 6 hours", "6 h"),
    (Duration::from_secs(24 * 3600), "Last 24 hours", "24 h"),
    (Duration::from_secs(7 * 86_400), "Last 7 days", "7 d"),
];

/// How far ahead a time of day is still today's and not yesterday's.
const AHEAD: Duration = Duration::from_secs(300);
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// The time a view shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Whether it ends now and moves on by itself.
    pub(super) live: bool,
    /// Whether the address named it.
    pub(super) asked: bool,
    /// What in the address was not understood.
    pub(super) complaint: Option<String>,
}

impl Range {
    /// The range that ends now.
    pub(super) fn last(window: Duration, now: Timestamp) -> Self {
        Self {
            from: now - window,
            to: now,
            live: true,
            asked: false,
            complaint: None,
        }
    }

    /// What `from` and `to` say; `default` is the window where they say nothing.
    pub(super) fn read(from: &str, to: &str, default: Duration, now: Timestamp, zone: &TimeZone) -> Self {
        let mut complaint = None;
        let mut part = |text: &str| {
            let read = moment(text, now, zone);
            if read.is_none() && !text.is_empty() {
                complaint = Some(format!(
                    "{text:?} is not a time; write for example now-1h, 14:37 or 2026-01-31T14:37"
                ));
            }
            read
        };
        let (start, end) = (part(from), part(to));
        let live = end.is_none() || to == "now";
        let end = end.unwrap_or(now);
        let start = start.unwrap_or_else(|| end - default);
        // A range the wrong way round, or too long to draw, is mended rather than refused.
        let (start, end) = if start <= end { (start, end) } else { (end, start) };
        let window = end.since(start).clamp(SHORTEST, LONGEST);
        Self {
            from: end - window,
            to: end,
            live,
            asked: complaint.is_none() && !(from.is_empty() && to.is_empty()),
            complaint,
        }
    }

    pub(super) fn window(&self) -> Duration {
        self.to.since(self.from)
    }

    /// Long and short name for the picker.
    pub(super) fn names(&self, wall: &Wall) -> (String, String) {
        if self.live {
            let window = self.window();
            for (span, long, short) in SPANS {
                if span == window {
                    return (long.to_owned(), short.to_owned());
                }
            }
            let spoken = text::duration::spoken(window);
            return (format!("Last {spoken}"), spoken);
        }
        let both = format!("{} – {}", wall.minute(self.from), wall.minute(self.to));
        (both.clone(), both)
    }

    /// As a part of a sentence: `in the last hour`, `from 13:37 to 14:37`.
    pub(super) fn spoken(&self, wall: &Wall) -> String {
        if self.live {
            format!("in the {}", self.names(wall).0.to_lowercase())
        } else {
            format!("from {} to {}", wall.minute(self.from), wall.minute(self.to))
        }
    }

    /// The same window, earlier (negative) or later, by half of itself; never past now.
    pub(super) fn moved(&self, forward: bool, now: Timestamp) -> (Timestamp, Timestamp) {
        let (window, step) = (self.window(), self.window() / 2);
        let to = if forward {
            (self.to + step).min(now)
        } else {
            self.to - step
        };
        (to - window, to)
    }

    /// Twice or half the window; around the middle, or ending now when live.
    pub(super) fn zoomed(&self, out: bool, now: Timestamp) -> (Timestamp, Timestamp) {
        let window = self.window();
        let wanted = if out { window * 2 } else { window / 2 }.clamp(SHORTEST, LONGEST);
        let to = if self.live {
            self.to
        } else if out {
            (self.to + window / 2).min(now)
        } else {
            self.to - window / 4
        };
        (to - wanted, to)
    }
}

/// A time to come: `18:00` is the next one, `3h` is from now on, all else as in addresses.
pub(super) fn coming(written: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let written = written.trim();
    if let Ok(length) = text::duration::parse(written) {
        return Some(now + length);
    }
    let at = moment(written, now, zone)?;
    let is_of_day = written.parse::<Time>().is_ok() && written.parse::<DateTime>().is_err();
    Some(if is_of_day && at <= now {
        at + Duration::from_hours(24)
    } else {
        at
    })
}

/// Reads one time; `None` when it is none.
fn moment(written: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let written = written.trim();
    if let Some(rest) = written.strip_prefix("now") {
        return match (rest.strip_prefix('-'), rest.strip_prefix('+')) {
            (Some(back), _) => text::duration::parse(back).ok().map(|back| now - back),
            (_, Some(ahead)) => text::duration::parse(ahead).ok().map(|ahead| now + ahead),
            _ => rest.is_empty().then_some(now),
        };
    }
    if written.len() >= 9 && written.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return written.parse().ok().map(Timestamp::from_seconds);
    }
    if let Ok(instant) = written.parse::<jiff::Timestamp>() {
        return Some(Timestamp(instant.as_millisecond()));
    }
    let local = |at: DateTime| {
        let zoned = at.to_zoned(zone.clone()).ok()?;
        Some(Timestamp(zoned.timestamp().as_millisecond()))
    };
    // A day with a time reads as a time, too, without its day.
    if let Ok(at) = written.parse::<DateTime>() {
        return local(at);
    }
    let time = written.parse::<Time>().ok()?;
    let today = jiff::Timestamp::from_millisecond(now.millis())
        .ok()?
        .to_zoned(zone.clone());
    let at = local(today.date().to_datetime(time))?;
    if at > now + AHEAD {
        local(today.date().yesterday().ok()?.to_datetime(time))
    } else {
        Some(at)
    }
}

/// Writes times as the wall clock of the machine shows them.
#[derive(Clone, Debug)]
pub(super) struct Wall {
    pub(super) now: Timestamp,
    pub(super) zone: TimeZone,
}

impl Wall {
    /// `10:41:07` today, `Fri 14, 10:41:07` on another day.
    pub(super) fn second(&self, time: Timestamp) -> String {
        self.written(time, "%H:%M:%S")
    }

    /// `14:29` today, `Fri 14, 14:29` on another day.
    pub(super) fn minute(&self, time: Timestamp) -> String {
        self.written(time, "%H:%M")
    }

    /// `10:41:12.004`, the day in front when it is another.
    pub(super) fn milli(&self, time: Timestamp) -> String {
        self.written(time, "%H:%M:%S%.3f")
    }

    /// For a mark on an axis that spans `window`.
    pub(super) fn mark(&self, time: Timestamp, window: Duration) -> String {
        let format = match window.as_secs() {
            0..=900 => "%H:%M:%S",
            901..=90_000 => "%H:%M",
            _ => "%a %d",
        };
        self.zoned(time)
            .map_or_else(String::new, |at| at.strftime(format).to_string())
    }

    /// `3 s ago`, `2 min ago`.
    pub(super) fn ago(&self, time: Timestamp) -> String {
        let age = self.now.since(time);
        if age < Duration::from_secs(1) {
            "now".to_owned()
        } else {
            // Past ten minutes seconds are noise, and past a day minutes are.
            format!("{} ago", text::duration::spoken(age))
        }
    }

    /// For an address: RFC 3339, UTC, whole seconds.
    pub(super) fn absolute(time: Timestamp) -> String {
        jiff::Timestamp::from_millisecond(time.millis()).map_or_else(
            |_| String::new(),
            |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        )
    }

    /// The same to the millisecond.
    pub(super) fn exact(time: Timestamp) -> String {
        jiff::Timestamp::from_millisecond(time.millis()).map_or_else(
            |_| String::new(),
            |at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        )
    }

    /// A sentence whose times are written for machines, as it is read here.
    pub(super) fn read_out(&self, sentence: &str) -> String {
        let word = |word: &str| {
            let bare = word.trim_end_matches([',', ';', ':', '.', ')']);
            let time = bare.parse::<jiff::Timestamp>().ok()?;
            let rest = word.get(bare.len()..).unwrap_or_default();
            Some(self.second(Timestamp(time.as_millisecond())) + rest)
        };
        let words = sentence
            .split(' ')
            .map(|text| word(text).unwrap_or_else(|| text.to_owned()));
        words.collect::<Vec<_>>().join(" ")
    }

    /// For a field to be typed over, in the wall's time: `2026-11-26T10:41`.
    pub(super) fn typed(&self, time: Timestamp) -> String {
        self.zoned(time)
            .map_or_else(String::new, |at| at.strftime("%Y-%m-%dT%H:%M").to_string())
    }

    /// IANA name of the zone, for the browser's own axis; none when the system has only an offset.
    pub(super) fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// Marks at round times inside a range, at most about `most`.
    pub(super) fn marks(&self, from: Timestamp, to: Timestamp, most: u64) -> Vec<Timestamp> {
        const STEPS: [u64; 15] = [
            1, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400,
        ];
        let window = to.since(from).as_secs().max(1);
        let wanted = window.div_ceil(most.max(1));
        let step = STEPS.into_iter().find(|step| *step >= wanted);
        let step = step.unwrap_or_else(|| wanted.div_ceil(86_400) * 86_400);
        let step = i64::try_from(step)
            .unwrap_or(i64::MAX / 2000)
            .saturating_mul(1000);
        // Round in the wall's time, not in UTC.
        let offset = self
            .zoned(from)
            .map_or(0, |at| i64::from(at.offset().seconds()) * 1000);
        let first = (from.millis() + offset).div_euclid(step) * step + step - offset;
        (0..)
            .map(|nth: i64| Timestamp(first + nth * step))
            .take_while(|at| *at < to)
            .take(64)
            .collect()
    }

    fn written(&self, time: Timestamp, format: &str) -> String {
        let (Some(at), Some(now)) = (self.zoned(time), self.zoned(self.now)) else {
            return "never".to_owned();
        };
        let day = if at.date() == now.date() {
            ""
        } else if at.year() == now.year() && now.duration_since(&at).as_hours().abs() < 24 * 300 {
            if at.month() == now.month() {
                "%a %-d, "
            } else {
                "%-d %b, "
            }
        } else {
            "%Y-%m-%d "
        };
        at.strftime(&format!("{day}{format}")).to_string()
    }

    fn zoned(&self, time: Timestamp) -> Option<jiff::Zoned> {
        let at = jiff::Timestamp::from_millisecond(time.millis()).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn berlin() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(1))
    }

    #[test]
    fn times_in_an_address_are_read_as_people_write_them() {
        let now = at("2026-11-26T09:41:55Z");
        for (text, expected) in [
            ("now", "2026-11-26T09:41:55Z"),
            ("now-1h", "2026-11-26T08:41:55Z"),
            ("10:41:00", "2026-11-26T09:41:00Z"),
            ("10:42:00", "2026-11-26T09:42:00Z"), // a moment ahead is still today
            ("14:37", "2026-11-25T13:37:00Z"),    // far ahead was yesterday
            ("2026-11-26T08:00:00Z", "2026-11-26T08:00:00Z"),
            ("2026-11-26T08:00", "2026-11-26T07:00:00Z"),
            ("2026-11-20T08:00", "2026-11-20T07:00:00Z"),
            ("1795687200", "2026-11-26T10:00:00Z"),
        ] {
            assert_eq!(moment(text, now, &berlin()), Some(at(expected)), "{text}");
        }
        for text in ["", "soon", "now-", "now-5", "25:61", "<script>"] {
            assert_eq!(moment(text, now, &berlin()), None, "{text}");
        }
    }

    #[test]
    fn a_time_to_come_is_the_next_one() {
        let now = at("2026-11-26T09:41:55Z");
        for (text, expected) in [
            ("10:00", "2026-11-27T09:00:00Z"), // it is 10:41 there
            ("18:00", "2026-11-26T17:00:00Z"),
            ("3h", "2026-11-26T12:41:55Z"),
            ("2026-11-30T08:00", "2026-11-30T07:00:00Z"),
        ] {
            assert_eq!(coming(text, now, &berlin()), Some(at(expected)), "{text}");
        }
        assert_eq!(coming("tomorrow", now, &berlin()), None);
    }

    #[test]
    fn a_range_is_never_inverted_endless_or_in_doubt() {
        let now = at("2026-11-26T09:41:55Z");
        let hour = Duration::from_secs(3600);
        let inverted = Range::read("now", "now-2h", hour, now, &berlin());
        assert_eq!((inverted.from, inverted.to), (now - 2 * hour, now));
        let nonsense = Range::read("yesterday-ish", "", hour, now, &berlin());
        assert_eq!(
            (nonsense.from, nonsense.to, nonsense.live),
            (now - hour, now, true)
        );
        assert!(
            nonsense
                .complaint
                .is_some_and(|why| why.contains("yesterday-ish"))
        );
        let endless = Range::read("1000000000", "now", hour, now, &berlin());
        assert_eq!(endless.window(), LONGEST);
    }

    #[test]
    fn the_wall_says_the_day_only_when_it_is_another() {
        let wall = Wall {
            now: at("2026-11-26T09:41:55Z"),
            zone: berlin(),
        };
        assert_eq!(wall.second(at("2026-11-26T09:41:07Z")), "10:41:07");
        assert_eq!(wall.minute(at("2026-11-20T11:00:00Z")), "Fri 20, 12:00");
        assert_eq!(wall.milli(at("2026-11-26T09:41:07.004Z")), "10:41:07.004");
        assert_eq!(wall.minute(at("2024-11-20T11:00:00Z")), "2024-11-20 12:00");
        assert_eq!(
            wall.read_out("fires since 2026-11-26T09:41:07.5Z; told (at 2026-11-26T09:00:00Z), up"),
            "fires since 10:41:07; told (at 10:00:00), up"
        );
    }
}

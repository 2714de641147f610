//! A form of one's own: a regular expression whose named groups are fields.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use model::{Level, Timestamp};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::{Fields, Parser, when};
use crate::level;
use crate::time::Times;

/// Longest compiled pattern; what needs more would not be quick.
const PROGRAM_BYTES_MAX: usize = 1 << 20;

/// One entry of `logs.parsers`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What filters and annotations call it.
    pub name: String,
    /// Its named groups become fields: `(?<user>\S+)`. A group `message` is the message (else the whole line is), `level`
    /// the level, and `time` the time of lines of plain files; lines of containers have the runtime's.
    pub regex: String,
    /// How the group `time` is written, as `strptime` has it: `%d/%b/%Y:%H:%M:%S %z`. Left out: RFC 3339, an ISO date, syslog's,
    /// or seconds, milli-, micro- or nanoseconds since 1970.
    #[serde(default)]
    pub time_format: String,
}

/// Ready to be used.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    /// Of each group, in order; none where it has none.
    names: Vec<Option<Box<str>>>,
    time_format: String,
}

impl Pattern {
    /// # Errors
    /// A sentence that begins with the key.
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        let fit = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if config.name.is_empty() || !config.name.chars().all(fit) {
            return Err(format!(
                "name: {:?} is not of letters, digits, '-', '_' and '.'",
                config.name
            ));
        }
        if Parser::named(&config.name).is_some() {
            return Err(format!(
                "name: {:?} is one that comes along ({}); take another",
                config.name,
                Parser::NAMES
            ));
        }
        let built = RegexBuilder::new(&config.regex)
            .size_limit(PROGRAM_BYTES_MAX)
            .build();
        let regex = built.map_err(|error| format!("regex: {}", crate::redact::why(&error)))?;
        let names: Vec<Option<Box<str>>> = regex.capture_names().map(|name| name.map(Into::into)).collect();
        if names.iter().all(Option::is_none) {
            return Err(
                "regex: has no named group, and so no field; write for example (?<user>\\S+)".to_owned(),
            );
        }
        let is_timed = names.iter().flatten().any(|name| &**name == "time");
        if !config.time_format.is_empty() && !is_timed {
            return Err("time_format: the regex has no group named time".to_owned());
        }
        Ok(Self {
            regex,
            names,
            time_format: config.time_format.clone(),
        })
    }

    pub(super) fn read<'t>(&self, text: &'t [u8]) -> Option<Fields<'t>> {
        let found = self.regex.captures(text)?;
        let mut fields = Fields::new(text);
        for (group, name) in found.iter().zip(&self.names) {
            let (Some(group), Some(name)) = (group, name) else {
                continue;
            };
            if &**name == "message" {
                fields.message = Cow::Borrowed(group.as_bytes());
            } else {
                fields.add(name.as_bytes().to_vec(), group.as_bytes());
            }
        }
        Some(fields)
    }

    pub(super) fn level(&self, text: &[u8]) -> Option<Level> {
        level::named(self.group(text, "level")?)
    }

    pub(super) fn time(&self, text: &[u8], times: &mut Times, now: Timestamp) -> Option<(Timestamp, u32)> {
        let written = self.group(text, "time")?;
        if self.time_format.is_empty() {
            return when::of_value(written, times, now);
        }
        let written = std::str::from_utf8(written).ok()?;
        let parts = jiff::fmt::strtime::parse(&self.time_format, written).ok()?;
        let exact = match parts.to_timestamp() {
            Ok(exact) => exact,
            // Without a zone it is the machine's own.
            Err(_) => parts
                .to_datetime()
                .ok()?
                .to_zoned(TimeZone::system())
                .ok()?
                .timestamp(),
        };
        let nanos = exact.as_nanosecond().rem_euclid(1_000_000);
        Some((Timestamp(exact.as_millisecond()), u32::try_from(nanos).ok()?))
    }

    fn group<'t>(&self, text: &'t [u8], name: &str) -> Option<&'t [u8]> {
        // Most have none, and matching is what costs.
        self.names.iter().flatten().find(|known| &***known == name)?;
        Some(self.regex.captures(text)?.name(name)?.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    fn pattern(regex: &str, time_format: &str) -> Result<Pattern, String> {
        Pattern::new(&Config {
            name: "mine".to_owned(),
            regex: regex.to_owned(),
            time_format: time_format.to_owned(),
        })
    }

    #[test]
    fn named_groups_are_fields_and_three_names_say_more() {
        let pattern = pattern(
            r"^(?<time>\S+ \S+) (?<level>\w+) \[(?<thread>[^]]*)\] (?<message>.*)$",
            "%d.%m.%Y %H:%M:%S%.f%z",
        )
        .unwrap();
        let line = b"27.11.2026 12:00:00.5000015+0000 SEVERE [main] it \"broke\"";
        assert_eq!(
            shown(pattern.read(line)).unwrap(),
            (
                "it \"broke\"".to_owned(),
                "time=27.11.2026 12:00:00.5000015+0000|level=SEVERE|thread=main".to_owned()
            )
        );
        assert_eq!(pattern.level(line), Some(Level::Error));
        let mut times = Times::new(TimeZone::UTC);
        let time = pattern.time(line, &mut times, Timestamp(0));
        assert_eq!(time, Some((Timestamp(1_795_780_800_500), 1_500)));
        assert_eq!(pattern.read(b"else"), None);
    }

    #[test]
    fn a_pattern_that_cannot_work_says_why() {
        for (regex, format, why) in [
            ("(", "", "regex: "),
            ("x", "", "no named group"),
            ("(?<a>x)", "%Y", "no group named time"),
        ] {
            assert!(pattern(regex, format).unwrap_err().contains(why), "{regex}");
        }
        let named = |name: &str| {
            Pattern::new(&Config {
                name: name.to_owned(),
                regex: "(?<a>x)".to_owned(),
                time_format: String::new(),
            })
        };
        assert!(named("json").unwrap_err().contains("comes along"));
        assert!(named("a b").is_err());
    }
}

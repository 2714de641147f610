//! What a line says: its message and its fields, and of some forms its level and its time.
//!
//! The line itself is kept as it is; what is read out of it goes beside it, to sinks that know fields. A line that is not of
//! its parser's form is text, and never lost.

mod access;
mod klog;
mod logfmt;
mod pattern;
mod when;

use std::borrow::Cow;
use std::sync::Arc;

use model::{Level, Timestamp};

use crate::sink::json::{self, Object};
use crate::time::{Times, below_millis};

pub use pattern::Config;
pub(crate) use pattern::Pattern;

/// How the lines of a source are read.
#[derive(Clone, Debug, Default)]
pub(crate) enum Parser {
    /// By their looks: JSON, klog, logfmt, access logs; everything else is text.
    #[default]
    Auto,
    Text,
    Json,
    Logfmt,
    Klog,
    /// The common and the combined log format, with what nginx and its ingress controller add to them.
    Access,
    /// The access log of an Application Load Balancer.
    Alb,
    Pattern(Arc<Pattern>),
}

/// What is read out of a line.
#[derive(Debug)]
pub(crate) enum Reading<'t> {
    /// As it stands there.
    Json(Object<'t>),
    Fields(Fields<'t>),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Fields<'t> {
    pub(crate) message: Cow<'t, [u8]>,
    /// No two of the same name.
    pub(crate) list: Vec<Field<'t>>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Field<'t> {
    pub(crate) name: Cow<'t, [u8]>,
    pub(crate) value: Cow<'t, [u8]>,
    /// Whether the value is a number as JSON has it.
    pub(crate) is_number: bool,
}

impl<'t> Fields<'t> {
    fn new(message: &'t [u8]) -> Self {
        Self {
            message: Cow::Borrowed(message),
            list: Vec::new(),
        }
    }

    /// The first of a name counts.
    fn add(&mut self, name: impl Into<Cow<'t, [u8]>>, value: impl Into<Cow<'t, [u8]>>) {
        let name = name.into();
        if self.list.iter().all(|known| known.name != name) {
            self.list.push(Field {
                name,
                value: value.into(),
                is_number: false,
            });
        }
    }

    fn add_number(&mut self, name: &'static [u8], value: &'t [u8]) {
        self.add(name, value);
        if let Some(field) = self.list.last_mut() {
            field.is_number = is_number(value);
        }
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let field = self.list.iter().find(|field| &*field.name == name)?;
        Some(&field.value)
    }
}

impl Parser {
    /// By the name that people give it, also those of Fluent Bit's own.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "text" | "none" => Some(Self::Text),
            "json" | "docker" | "docker-no-time" => Some(Self::Json),
            "logfmt" => Some(Self::Logfmt),
            "klog" => Some(Self::Klog),
            "nginx" | "apache" | "apache2" | "access" | "k8s-nginx-ingress" => Some(Self::Access),
            "alb" => Some(Self::Alb),
            _ => None,
        }
    }

    /// Names for a sentence about them.
    pub(crate) const NAMES: &'static str = "auto, text, json, logfmt, klog, access, nginx, apache, alb";

    pub(crate) fn read<'t>(&self, text: &'t [u8]) -> Option<Reading<'t>> {
        let fields = match self {
            Self::Text => None,
            Self::Auto => return by_looks(text),
            Self::Json => return json::object(text).map(Reading::Json),
            Self::Logfmt => logfmt::read(text, logfmt::Care::Lenient),
            Self::Klog => klog::read(text),
            Self::Access => access::read(text),
            Self::Alb => access::read_alb(text),
            Self::Pattern(pattern) => pattern.read(text),
        };
        fields.map(Reading::Fields)
    }

    /// The level, where the form says it and words would not.
    pub(crate) fn level(&self, text: &[u8]) -> Option<Level> {
        match self {
            Self::Access => access::level(text, b"code"),
            Self::Alb => access::level_of(&access::read_alb(text)?, b"elb_status_code"),
            // Of others nobody looks for a status in the middle of a line.
            Self::Auto if access::looks_like_it(text) => access::level(text, b"code"),
            Self::Pattern(pattern) => pattern.level(text),
            _ => None,
        }
    }

    /// The time of a line that has none at its front, and what it says below its millisecond.
    pub(crate) fn time(&self, text: &[u8], times: &mut Times, now: Timestamp) -> Option<(Timestamp, u32)> {
        match self {
            Self::Text => None,
            Self::Alb => {
                let fields = access::read_alb(text)?;
                when::of_value(fields.get(b"time")?, times, now)
            }
            Self::Pattern(pattern) => pattern.time(text, times, now),
            _ => match text.first()? {
                b'{' => when::of_json(text, times, now),
                b'A'..=b'Z' => times.of_klog(text, now).map(|time| (time, 0)),
                b'a'..=b'z' => when::of_logfmt(text, times, now),
                _ => access::time(text).map(|time| (time, 0)),
            },
        }
    }
}

fn by_looks(text: &[u8]) -> Option<Reading<'_>> {
    let fields = match text.first()? {
        b'{' | b' ' | b'\t' => return json::object(text).map(Reading::Json),
        b'I' | b'W' | b'E' | b'F' => klog::read(text),
        b'a'..=b'z' => logfmt::read(text, logfmt::Care::Strict),
        _ if access::looks_like_it(text) => access::read(text),
        _ => None,
    };
    fields.map(Reading::Fields)
}

/// Whether it is a number as JSON has it.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text.first() == Some(&b'0')) {
        return false;
    }
    match text.get(whole..) {
        Some([]) => true,
        Some([b'.', rest @ ..]) => !rest.is_empty() && digits(rest) == rest.len(),
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Message and fields as text, `number:` in front of numbers.
    pub(crate) fn shown(fields: Option<Fields<'_>>) -> Option<(String, String)> {
        let fields = fields?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let list = fields.list.iter().map(|field| {
            let mark = if field.is_number { "number:" } else { "" };
            format!("{}={mark}{}", text(&field.name), text(&field.value))
        });
        Some((text(&fields.message), list.collect::<Vec<_>>().join("|")))
    }

    fn kind(line: &str) -> &'static str {
        match Parser::Auto.read(line.as_bytes()) {
            Some(Reading::Json(_)) => "json",
            Some(Reading::Fields(_)) => "fields",
            None => "text",
        }
    }

    #[test]
    fn lines_are_known_by_their_looks_and_prose_is_text() {
        for (line, want) in [
            (r#"{"msg":"x"}"#, "json"),
            ("level=info msg=\"it works\" took=3ms", "fields"),
            ("E0102 15:04:05.000000 1 x.go:1] failed", "fields"),
            (
                r#"10.0.0.1 - - [27/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 5"#,
                "fields",
            ),
            ("2026-11-27 12:00:00 INFO started", "text"),
            ("user=anna tried to log in", "text"),
            ("Error: no route", "text"),
            ("see a=b", "text"),
            ("", "text"),
        ] {
            assert_eq!(kind(line), want, "{line}");
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        for (text, want) in [
            ("0", true),
            ("-1.50", true),
            ("200", true),
            ("", false),
            ("-", false),
            ("007", false),
            ("1.", false),
            ("1e3", false),
            ("1,5", false),
        ] {
            assert_eq!(is_number(text.as_bytes()), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_parser_minds_any_bytes(text in prop::collection::vec(any::<u8>(), 0..200), front in "[IWEFa-z0-9]{0,6}[ =\\[\"]{0,2}") {
            let line = [front.as_bytes(), &text].concat();
            let mut times = Times::new(jiff::tz::TimeZone::UTC);
            for name in ["auto", "text", "json", "logfmt", "klog", "access", "alb"] {
                let parser = Parser::named(name).unwrap();
                let _ = parser.read(&line);
                parser.level(&line);
                parser.time(&line, &mut times, Timestamp(1_795_780_800_000));
            }
        }
    }
}

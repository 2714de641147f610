//! What a field of each type takes.

use std::net::IpAddr;

use serde_json::Value;

use super::json::Json;
use super::problem::Problem;

/// Longest term that Lucene indexes, in bytes.
const TERM_BYTES_MAX: usize = 32_766;
/// Deepest nesting that the parser of a document reads.
const LEVELS_MAX: usize = 1_000;
/// Text that is mapped without being asked for has a keyword beside it, which leaves out what is longer.
const UNASKED_ABOVE: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Text,
    Keyword,
    Wildcard,
    Flat,
    Long,
    Float,
    Boolean,
    Date,
    /// `yyyy/MM/dd`, with or without a time: only ever found, never asked for.
    SlashDate,
    DateNanos,
    Ip,
}

/// A field that holds values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) kind: Kind,
    /// As it is called in reasons.
    pub(crate) name: String,
    ignore_above: usize,
    ignores_malformed: bool,
    is_indexed: bool,
    /// Itself and what `fields` adds.
    pub(crate) count: usize,
}

/// What each type may be told; whatever else is a mistake.
const EVERY: &[&str] = &[
    "type",
    "fields",
    "index",
    "doc_values",
    "store",
    "copy_to",
    "meta",
    "null_value",
    "boost",
    "similarity",
];
const MORE: &[&str] = &[
    "ignore_above",
    "ignore_malformed",
    "coerce",
    "format",
    "norms",
    "index_options",
    "eager_global_ordinals",
    "analyzer",
    "search_analyzer",
    "fielddata",
    "locale",
];

impl Leaf {
    /// As a mapping asks for it.
    pub(crate) fn asked(field: &str, definition: &Value) -> Result<Self, String> {
        let name = definition["type"].as_str().unwrap_or("object");
        let kind = match name {
            "text" | "match_only_text" => Kind::Text,
            "keyword" => Kind::Keyword,
            "wildcard" => Kind::Wildcard,
            "flat_object" => Kind::Flat,
            "long" | "integer" | "short" | "byte" => Kind::Long,
            "double" | "float" => Kind::Float,
            "boolean" => Kind::Boolean,
            "date" => Kind::Date,
            "date_nanos" => Kind::DateNanos,
            "ip" => Kind::Ip,
            other => {
                return Err(format!(
                    "No handler for type [{other}] declared on field [{field}]"
                ));
            }
        };
        let known = |key: &String| {
            EVERY.contains(&key.as_str()) || (kind != Kind::Flat && MORE.contains(&key.as_str()))
        };
        let unknown = definition
            .as_object()
            .and_then(|all| all.keys().find(|key| !known(key)));
        if let Some(key) = unknown {
            return Err(format!(
                "unknown parameter [{key}] on mapper [{field}] of type [{name}]"
            ));
        }
        let format = definition["format"]
            .as_str()
            .unwrap_or("strict_date_optional_time||epoch_millis");
        if !format.split("||").all(|one| {
            matches!(
                one,
                "strict_date_optional_time"
                    | "strict_date_optional_time_nanos"
                    | "date_optional_time"
                    | "epoch_millis"
            )
        }) {
            return Err(format!("this fake does not know the date format [{format}]"));
        }
        let more = definition["fields"].as_object().map_or(0, serde_json::Map::len);
        Ok(Self {
            kind,
            name: name.to_owned(),
            ignore_above: definition["ignore_above"]
                .as_u64()
                .map_or(usize::MAX, |above| usize::try_from(above).unwrap_or(usize::MAX)),
            ignores_malformed: definition["ignore_malformed"] == true,
            is_indexed: definition["index"] != false || definition["doc_values"] != false,
            count: 1 + more,
        })
    }

    /// For a value that no mapping speaks of. None for those that say nothing: null, and lists, whose elements do.
    pub(crate) fn found(value: &Json) -> Option<Self> {
        let (kind, name, count) = match value {
            Json::Text(text) if is_detected(text) => (Kind::Date, "date", 1),
            Json::Text(text) if is_slash_date(text) => (Kind::SlashDate, "date", 1),
            Json::Text(_) => (Kind::Text, "text", 2),
            Json::Number(text) if text.contains(['.', 'e', 'E']) => (Kind::Float, "float", 1),
            Json::Number(_) => (Kind::Long, "long", 1),
            Json::Bool(_) => (Kind::Boolean, "boolean", 1),
            Json::Null | Json::List(_) | Json::Object(_) => return None,
        };
        Some(Self {
            kind,
            name: name.to_owned(),
            ignore_above: UNASKED_ABOVE,
            ignores_malformed: false,
            is_indexed: true,
            count,
        })
    }

    /// Whether a document may have this value here.
    pub(crate) fn take(&self, field: &str, id: &str, value: &Json) -> Result<(), Problem> {
        match (self.kind, value) {
            (_, Json::Null) => Ok(()),
            (_, Json::List(list)) => list.iter().try_for_each(|value| self.take(field, id, value)),
            (Kind::Flat, _) => self.take_flat(field, id, value),
            _ => match self.complaint(value) {
                Some(_) if self.ignores_malformed && !matches!(self.kind, Kind::Text | Kind::Keyword) => {
                    Ok(())
                }
                Some((kind, reason)) => Err(self.malformed(field, id).because(kind, reason)),
                None => self.fits(field, value),
            },
        }
    }

    fn malformed(&self, field: &str, id: &str) -> Problem {
        Problem::mapping(format!(
            "failed to parse field [{field}] of type [{}] in document with id '{id}'",
            self.name
        ))
    }

    fn complaint(&self, value: &Json) -> Option<(&'static str, String)> {
        const ARGUMENT: &str = "illegal_argument_exception";
        if matches!(value, Json::Object(_)) {
            return Some((
                "illegal_state_exception",
                "Can't get text on a START_OBJECT".to_owned(),
            ));
        }
        let text = match value {
            Json::Text(text) | Json::Number(text) => text.as_str(),
            Json::Bool(true) => "true",
            _ => "false",
        };
        let is_text = matches!(value, Json::Text(_));
        let is_number = matches!(value, Json::Number(_));
        let is_good = match self.kind {
            Kind::Text | Kind::Keyword | Kind::Wildcard | Kind::Flat => true,
            Kind::Long => (is_text && text.is_empty()) || ((is_text || is_number) && is_long(text)),
            Kind::Float => {
                (is_text && text.is_empty())
                    || ((is_text || is_number) && text.parse().is_ok_and(f64::is_finite))
            }
            Kind::Boolean => !is_number && matches!(text, "true" | "false" | ""),
            Kind::Date => is_millis(text) || is_date(text),
            Kind::SlashDate => is_millis(text) || is_slash_date(text),
            Kind::DateNanos => {
                is_millis(text) || (is_date(text) && text.get(..4).is_some_and(|year| year >= "1970"))
            }
            Kind::Ip => text.parse::<IpAddr>().is_ok(),
        };
        (!is_good).then(|| (ARGUMENT, format!("failed to parse [{text}]")))
    }

    fn fits(&self, field: &str, value: &Json) -> Result<(), Problem> {
        let Json::Text(text) = value else {
            return Ok(());
        };
        let is_short = text.chars().count() <= self.ignore_above;
        let is_term = matches!(self.kind, Kind::Keyword | Kind::Wildcard);
        if is_term && self.is_indexed && is_short && text.len() > TERM_BYTES_MAX {
            return Err(immense(field, text.len()));
        }
        Ok(())
    }

    fn take_flat(&self, field: &str, id: &str, value: &Json) -> Result<(), Problem> {
        let Json::Object(entries) = value else {
            let reason = format!("[{field}] unexpected token in flat_object field value");
            return Err(self.malformed(field, id).because("parsing_exception", reason));
        };
        // Version 3.8 never answers a request with such a document in it.
        if 1 + levels(value) > LEVELS_MAX {
            return Err(Problem::silence());
        }
        entries
            .iter()
            .try_for_each(|(name, value)| flat(field, &format!("{field}.{name}"), value))
    }
}

/// Objects and lists within each other.
fn levels(value: &Json) -> usize {
    match value {
        Json::Object(entries) => 1 + entries.iter().map(|(_, value)| levels(value)).max().unwrap_or(0),
        Json::List(list) => 1 + list.iter().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

/// Each value is kept with its path in front, and that with the name of the field.
fn flat(field: &str, path: &str, value: &Json) -> Result<(), Problem> {
    match value {
        Json::Object(entries) => entries
            .iter()
            .try_for_each(|(name, value)| flat(field, &format!("{path}.{name}"), value)),
        Json::List(list) => list.iter().try_for_each(|value| flat(field, path, value)),
        Json::Text(text) => {
            let bytes = field.len() + 1 + path.len() + 1 + text.len();
            if bytes > TERM_BYTES_MAX {
                Err(immense(path, bytes))
            } else {
                Ok(())
            }
        }
        _ => Ok(()),
    }
}

fn immense(field: &str, bytes: usize) -> Problem {
    let reason = format!(
        "Document contains at least one immense term in field=\"{field}\" (whose UTF8 encoding is longer than the max length {TERM_BYTES_MAX})"
    );
    let cause = format!("bytes can be at most {TERM_BYTES_MAX} in length; got {bytes}");
    Problem::argument(reason).because("max_bytes_length_exceeded_exception", cause)
}

fn is_long(text: &str) -> bool {
    let whole = text.parse::<i64>().is_ok();
    let is_plain = !text.contains(['.', 'e', 'E']);
    // What has a fraction is cut.
    whole || (!is_plain && text.parse::<f64>().is_ok_and(|number| number.abs() < 9.2e18))
}

fn is_millis(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Found in text only where it could not be a mere number.
fn is_detected(text: &str) -> bool {
    text.contains(['-', ':']) && is_date(text)
}

fn is_slash_date(text: &str) -> bool {
    let (day, time) = text.split_once(' ').unwrap_or((text, "00:00:00"));
    day.contains('/') && is_date(&format!("{}T{time}", day.replace('/', "-")))
}

/// `strict_date_optional_time`.
fn is_date(text: &str) -> bool {
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let parts: Option<Vec<u32>> = day
        .split('-')
        .zip([4, 2, 2, 0])
        .map(|(part, width)| digits(part, width))
        .collect();
    let Some(parts) = parts else {
        return false;
    };
    let is_day = match *parts.as_slice() {
        [_] => true,
        [_, month] => (1..=12).contains(&month),
        [year, month, day] => (1..=12).contains(&month) && (1..=days(year, month)).contains(&day),
        _ => false,
    };
    is_day && time.is_none_or(|time| parts.len() == 3 && is_time(time))
}

fn is_time(text: &str) -> bool {
    let zone = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (time, zone) = text.split_at(zone);
    let (clock, fraction) = match time.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (time, None),
    };
    let zone = zone.replace(':', "");
    let is_zone = match zone.len() {
        0 => true,
        1 => zone == "Z",
        3 => digits(zone.get(1..).unwrap_or_default(), 2).is_some_and(|hours| hours <= 18),
        5 => digits(zone.get(1..).unwrap_or_default(), 4).is_some(),
        _ => false,
    };
    let parts: Vec<Option<u32>> = clock.split(':').map(|part| digits(part, 2)).collect();
    let is_clock = match *parts.as_slice() {
        [None] => clock.is_empty() && zone.is_empty(),
        [Some(hour)] => hour < 24,
        [Some(hour), Some(minute)] => hour < 24 && minute < 60,
        [Some(hour), Some(minute), Some(second)] => hour < 24 && minute < 60 && second < 60,
        _ => false,
    };
    let is_fraction = fraction.is_none_or(|fraction| {
        parts.len() == 3
            && (1..=9).contains(&fraction.len())
            && fraction.bytes().all(|byte| byte.is_ascii_digit())
    });
    is_zone && is_clock && is_fraction
}

fn digits(text: &str, width: usize) -> Option<u32> {
    let is_number = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

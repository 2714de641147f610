//! Events read back: one stream by its tokens, or a whole group by a filter.

use std::ops::Bound;

use model::Timestamp;
use serde_json::{Map, Value, json};

use super::{Event, Logs, group_name, invalid, limit, needed, text};
use crate::asked::Refusal;

const EVENTS_MAX: usize = 10_000;
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Tokens are good for so many milliseconds.
const TOKEN_LIFETIME: i64 = 24 * 3_600_000;

/// A place between events: after this one, or before it.
type Place = (i64, u64);

impl Logs {
    /// `GetLogEvents`.
    pub(super) fn get(&mut self, asked: &Map<String, Value>, now: Timestamp) -> Result<Value, Refusal> {
        let most = limit(asked, EVENTS_MAX, EVENTS_MAX)?;
        let bytes_max = self.page_bytes_max.unwrap_or(PAGE_BYTES_MAX);
        let (from, until) = times(asked);
        let stream = needed(asked, "logStreamName")?;
        let stream = self.group(group_name(asked)?)?.stream(stream)?;
        let seen: Vec<(&Place, &Event)> = stream
            .events
            .range((from, 0)..)
            .take_while(|((time, _), _)| *time < until)
            .filter(|(_, event)| event.seen_from <= now)
            .collect();
        let said = text(asked, "nextToken");
        let token = said.map(|said| token(said, now)).transpose()?;
        let (goes_on, place) = match token {
            Some((goes_on, place)) => (goes_on, Some(place)),
            None => (
                asked.get("startFromHead").and_then(Value::as_bool) == Some(true),
                None,
            ),
        };
        let page: Vec<&(&Place, &Event)> = if goes_on {
            let left = seen
                .iter()
                .filter(|(at, _)| place.is_none_or(|place| **at > place));
            within(left, most, bytes_max)
        } else {
            let left = seen.iter().rev();
            let left = left.filter(|(at, _)| place.is_none_or(|place| **at < place));
            let mut page = within(left, most, bytes_max);
            page.reverse();
            page
        };
        // At an end a token leads back to itself.
        let here = place.unwrap_or(if goes_on { (0, 0) } else { (i64::MAX, u64::MAX) });
        let first = page.first().map_or(here, |(at, _)| **at);
        let last = page.last().map_or(here, |(at, _)| **at);
        let events = page.iter().map(|(_, event)| {
            json!({
                "timestamp": event.timestamp.millis(),
                "message": event.message,
                "ingestionTime": event.ingestion.millis(),
            })
        });
        let leads = |way: &str, place: Place| match said {
            Some(said) if page.is_empty() && said.starts_with(way) => said.to_owned(),
            _ => format!("{way}/{}", write_place(place, now)),
        };
        Ok(json!({
            "events": events.collect::<Vec<_>>(),
            "nextForwardToken": leads("f", last),
            "nextBackwardToken": leads("b", first),
        }))
    }

    /// `FilterLogEvents`.
    pub(super) fn filter(&mut self, asked: &Map<String, Value>, now: Timestamp) -> Result<Value, Refusal> {
        let most = limit(asked, EVENTS_MAX, EVENTS_MAX)?;
        let bytes_max = self.page_bytes_max.unwrap_or(PAGE_BYTES_MAX);
        let empty_pages = self.empty_pages;
        let (from, until) = times(asked);
        let names: Option<Vec<&str>> = asked
            .get("logStreamNames")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect());
        let prefix = text(asked, "logStreamNamePrefix").unwrap_or_default();
        if names.is_some() && !prefix.is_empty() {
            return Err(invalid(
                "Both logStreamNames and logStreamNamePrefix cannot be specified",
            ));
        }
        let words = terms(text(asked, "filterPattern").unwrap_or_default())?;
        let (place, skipped) = match text(asked, "nextToken") {
            Some(text) => page_token(text, now)?,
            None => ((i64::MIN, 0), 0),
        };
        let group = self.group(group_name(asked)?)?;
        let streams = group.streams.iter().filter(|(name, _)| {
            name.starts_with(prefix) && names.as_ref().is_none_or(|names| names.contains(&name.as_str()))
        });
        let found = streams.flat_map(|(name, stream)| {
            let events = stream.events.range((Bound::Excluded(place), Bound::Unbounded));
            events.map(move |(at, event)| (at, event, name))
        });
        let mut found: Vec<(&Place, &Event, &String)> = found
            .filter(|((time, _), event, _)| (from..until).contains(time) && event.seen_from <= now)
            .filter(|(_, event, _)| words.iter().all(|word| event.message.contains(word.as_str())))
            .collect();
        found.sort_by_key(|(at, ..)| **at);
        if skipped < empty_pages && !found.is_empty() {
            let place = (place.0.max(0), place.1);
            let token = format!("p/{}/{}", write_place(place, now), skipped + 1);
            return Ok(json!({"events": [], "searchedLogStreams": [], "nextToken": token}));
        }
        let sizes = found.iter().scan(0, |bytes, (_, event, _)| {
            *bytes += event.message.len();
            Some(*bytes)
        });
        let fitting = sizes.take_while(|bytes| *bytes <= bytes_max).count().max(1);
        let page = found
            .get(..most.min(fitting).min(found.len()))
            .unwrap_or_default();
        let events = page.iter().map(|(_, event, stream)| {
            json!({
                "logStreamName": stream,
                "timestamp": event.timestamp.millis(),
                "message": event.message,
                "ingestionTime": event.ingestion.millis(),
                "eventId": event.id(),
            })
        });
        let mut answer = json!({"events": events.collect::<Vec<_>>(), "searchedLogStreams": []});
        if let (true, Some((last, ..)), Some(answer)) =
            (page.len() < found.len(), page.last(), answer.as_object_mut())
        {
            answer.insert(
                "nextToken".to_owned(),
                json!(format!("p/{}/0", write_place(**last, now))),
            );
        }
        Ok(answer)
    }
}

/// As many as fit, and at least one.
fn within<'a>(
    events: impl Iterator<Item = &'a (&'a Place, &'a Event)>,
    most: usize,
    bytes_max: usize,
) -> Vec<&'a (&'a Place, &'a Event)> {
    let mut bytes = 0;
    let events = events.take(most).enumerate();
    let fitting = events.take_while(|(nth, (_, event))| {
        bytes += event.message.len();
        *nth == 0 || bytes <= bytes_max
    });
    fitting.map(|(_, event)| event).collect()
}

/// From the first on, and before the second.
fn times(asked: &Map<String, Value>) -> (i64, i64) {
    let time = |key: &str| asked.get(key).and_then(Value::as_i64);
    (
        time("startTime").unwrap_or(0),
        time("endTime").unwrap_or(i64::MAX),
    )
}

/// Whether it goes on, and from where.
fn token(text: &str, now: Timestamp) -> Result<(bool, Place), Refusal> {
    let read = || {
        let (way, place) = text.split_once('/')?;
        Some((way, read_place(place, now)?))
    };
    match read() {
        Some(("f", place)) => Ok((true, place)),
        Some(("b", place)) => Ok((false, place)),
        _ => Err(no_token()),
    }
}

/// After what, and how many empty pages came since.
fn page_token(text: &str, now: Timestamp) -> Result<(Place, usize), Refusal> {
    let read = || {
        let (place, skipped) = text.strip_prefix("p/")?.split_once('/')?;
        Some((read_place(place, now)?, skipped.parse().ok()?))
    };
    read().ok_or_else(no_token)
}

fn no_token() -> Refusal {
    invalid("The specified nextToken is invalid.")
}

/// With when it was written.
fn write_place(place: Place, now: Timestamp) -> String {
    format!("{:020}{:020}{:020}", place.0, place.1, now.millis())
}

fn read_place(text: &str, now: Timestamp) -> Option<Place> {
    let (time, rest) = text.split_at_checked(20)?;
    let (nth, written) = rest.split_at_checked(20)?;
    let written: i64 = written.parse().ok()?;
    let is_good = now.millis() - written < TOKEN_LIFETIME;
    is_good.then_some((time.parse().ok()?, nth.parse().ok()?))
}

/// Words that must all be there; what else a pattern may be is not known here.
fn terms(pattern: &str) -> Result<Vec<String>, Refusal> {
    let pattern = pattern.trim();
    if pattern.starts_with(['{', '[', '%']) || pattern.contains(['?', '-']) {
        return Err(invalid(format!(
            "the fake knows words only as a filter pattern, not {pattern:?}"
        )));
    }
    let mut terms = Vec::new();
    for (nth, part) in pattern.split('"').enumerate() {
        if nth % 2 == 1 {
            terms.push(part.to_owned());
        } else {
            terms.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    Ok(terms)
}

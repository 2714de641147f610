//! `PutLogEvents`: the limits of a batch, and events that are refused one by one.

use std::time::Duration;

use model::Timestamp;
use serde_json::{Map, Value, json};

use super::{Event, Logs, invalid, needed};
use crate::asked::Refusal;

const BATCH_BYTES_MAX: usize = 1_048_576;
const EVENTS_MAX: usize = 10_000;
/// Counted for each event beside its message.
const EVENT_BYTES: usize = 26;
const SPAN_MAX: Duration = Duration::from_secs(24 * 3600);
const FUTURE_MAX: Duration = Duration::from_secs(2 * 3600);
const PAST_MAX: Duration = Duration::from_secs(14 * 24 * 3600);

impl Logs {
    pub(super) fn put(&mut self, asked: &Map<String, Value>, now: Timestamp) -> Result<Value, Refusal> {
        let (group, stream) = (needed(asked, "logGroupName")?, needed(asked, "logStreamName")?);
        let (late, mut nth) = (self.late, self.given);
        let poison = self.poison.clone();
        let group = self.group(group)?;
        let kept_days = group.retention_days;
        let stream = group.stream(stream)?;
        let events = batch(asked)?;
        if let Some(poison) = poison
            && events.iter().any(|(_, message)| message.contains(&poison))
        {
            return Err(invalid("Log event is not valid."));
        }
        let retention =
            kept_days.map(|days| Duration::from_secs(u64::try_from(days).unwrap_or(0) * 24 * 3600));
        // They are in the order of time: what is too old stands first, what is too new last.
        let index = |is_before: &dyn Fn(Timestamp) -> bool| {
            events.iter().take_while(|(time, _)| is_before(*time)).count()
        };
        let old = index(&|time| time < now - PAST_MAX);
        let expired = retention.map_or(0, |retention| index(&|time| time < now - retention));
        let new = index(&|time| time <= now + FUTURE_MAX);
        for (timestamp, message) in events.get(old.max(expired)..new).unwrap_or_default() {
            nth += 1;
            let event = Event {
                timestamp: *timestamp,
                ingestion: now,
                message: message.clone(),
                seen_from: now + late,
                nth,
            };
            stream.events.insert((timestamp.millis(), nth), event);
        }
        self.given = nth;
        let mut rejected = Map::new();
        let mut note = |key: &str, is_some: bool, index: usize| {
            if is_some {
                rejected.insert(key.to_owned(), json!(index));
            }
        };
        note("tooOldLogEventEndIndex", old > 0, old);
        note("expiredLogEventEndIndex", expired > old, expired);
        note("tooNewLogEventStartIndex", new < events.len(), new);
        let mut answer = json!({"nextSequenceToken": format!("{nth:056}")});
        if let (false, Some(answer)) = (rejected.is_empty(), answer.as_object_mut()) {
            answer.insert("rejectedLogEventsInfo".to_owned(), Value::Object(rejected));
        }
        Ok(answer)
    }
}

/// All events, if they may be put together.
fn batch(asked: &Map<String, Value>) -> Result<Vec<(Timestamp, String)>, Refusal> {
    let events = asked.get("logEvents").and_then(Value::as_array);
    let events = events.map(Vec::as_slice).unwrap_or_default();
    if events.is_empty() || events.len() > EVENTS_MAX {
        let bound = match events.len() {
            0 => "greater than or equal to 1".to_owned(),
            _ => format!("less than or equal to {EVENTS_MAX}"),
        };
        return Err(invalid(format!(
            "1 validation error detected: Value at 'logEvents' failed to satisfy constraint: Member must have length {bound}"
        )));
    }
    let mut read = Vec::new();
    let mut bytes = 0;
    for event in events {
        let time = event.get("timestamp").and_then(Value::as_i64);
        let message = event.get("message").and_then(Value::as_str);
        let (Some(time), Some(message)) = (
            time.filter(|time| *time >= 0),
            message.filter(|text| !text.is_empty()),
        ) else {
            return Err(invalid(
                "1 validation error detected: Value at 'logEvents' failed to satisfy constraint: each has a timestamp of 0 or more \
                 and a message of 1 byte or more",
            ));
        };
        bytes += message.len() + EVENT_BYTES;
        read.push((Timestamp(time), message.to_owned()));
    }
    if bytes > BATCH_BYTES_MAX {
        return Err(invalid(format!(
            "Upload too large: {bytes} bytes exceeds limit of {BATCH_BYTES_MAX}"
        )));
    }
    if !read.is_sorted_by_key(|(time, _)| *time) {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let ends = (read.first(), read.last());
    if let (Some((first, _)), Some((last, _))) = ends
        && last.since(*first) > SPAN_MAX
    {
        return Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok(read)
}

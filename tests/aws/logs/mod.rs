//! CloudWatch Logs (awsJson 1.1): groups, streams and events, within the limits of the real one.
//!
//! Pages may be empty and go on all the same, what is put may be seen later, and the last token of a stream stays the same.

mod describe;
mod limits;
mod put;
mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;
use serde_json::{Map, Value};

use crate::Estate;
use crate::asked::{Answer, Asked, Refusal};
use crate::keys::Key;
use limits::Limits;

const TARGET: &str = "Logs_20140328.";

/// All groups of the account.
#[derive(Default)]
pub struct Logs {
    groups: BTreeMap<String, Group>,
    limits: Limits,
    /// Events get numbers in the order in which they come.
    given: u64,
    /// What is put is seen so much later.
    pub late: Duration,
    /// `DescribeLogStreams` knows of events so much later.
    pub described_late: Duration,
    /// `FilterLogEvents` answers so many empty pages before each that has something.
    pub empty_pages: usize,
    /// Bytes of messages of a page.
    pub page_bytes_max: Option<usize>,
    /// A request with a message that has this in it is refused, as one that AWS minds.
    pub poison: Option<String>,
}

#[derive(Default)]
struct Group {
    created: Timestamp,
    retention_days: Option<i64>,
    streams: BTreeMap<String, Stream>,
}

#[derive(Default)]
struct Stream {
    created: Timestamp,
    /// By time, and then as they came.
    events: BTreeMap<(i64, u64), Event>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub timestamp: Timestamp,
    pub ingestion: Timestamp,
    pub message: String,
    seen_from: Timestamp,
    nth: u64,
}

impl Event {
    /// No two are the same, whatever stream they are in.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:038}{:018}", self.timestamp.millis(), self.nth)
    }
}

impl Logs {
    /// All events of a stream, also those that are not seen yet.
    #[must_use]
    pub fn events(&self, group: &str, stream: &str) -> Vec<Event> {
        let stream = self.groups.get(group).and_then(|group| group.streams.get(stream));
        stream.map_or_else(Vec::new, |stream| stream.events.values().cloned().collect())
    }

    #[must_use]
    pub fn streams(&self, group: &str) -> Vec<String> {
        let group = self.groups.get(group);
        group.map_or_else(Vec::new, |group| group.streams.keys().cloned().collect())
    }

    #[must_use]
    pub fn retention_days(&self, group: &str) -> Option<i64> {
        self.groups.get(group)?.retention_days
    }

    /// A stream, and its group, as by somebody else.
    pub fn make(&mut self, group: &str, stream: &str) {
        let group = self.groups.entry(group.to_owned()).or_default();
        group.streams.entry(stream.to_owned()).or_default();
    }

    /// An event, put by somebody else at `now`; returns its id.
    pub fn add(
        &mut self,
        (group, stream): (&str, &str),
        timestamp: Timestamp,
        message: &str,
        now: Timestamp,
    ) -> String {
        self.make(group, stream);
        self.given += 1;
        let event = Event {
            timestamp,
            ingestion: now,
            message: message.to_owned(),
            seen_from: now + self.late,
            nth: self.given,
        };
        let (id, place) = (event.id(), (timestamp.millis(), event.nth));
        if let Ok(stream) = self.group(group).and_then(|group| group.stream(stream)) {
            stream.events.insert(place, event);
        }
        id
    }

    /// As by somebody else, in between.
    pub fn remove_group(&mut self, group: &str) {
        self.groups.remove(group);
    }

    /// Requests of an operation a second; more are throttled.
    pub fn limit(&mut self, operation: &'static str, per_second: usize) {
        self.limits.set(operation, per_second);
    }

    fn group(&mut self, name: &str) -> Result<&mut Group, Refusal> {
        let missing = || {
            Refusal::new(
                "ResourceNotFoundException",
                "The specified log group does not exist.",
            )
        };
        self.groups.get_mut(name).ok_or_else(missing)
    }

    fn do_it(
        &mut self,
        operation: &str,
        asked: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        if !self.limits.take(operation, now) {
            return Err(Refusal::new("ThrottlingException", "Rate exceeded"));
        }
        match operation {
            "CreateLogGroup" => self.create_group(asked, now),
            "CreateLogStream" => self.create_stream(asked, now),
            "PutRetentionPolicy" => self.put_retention(asked),
            "DescribeLogGroups" => self.describe_groups(asked),
            "DescribeLogStreams" => self.describe_streams(asked, now),
            "PutLogEvents" => self.put(asked, now),
            "GetLogEvents" => self.get(asked, now),
            "FilterLogEvents" => self.filter(asked, now),
            other => Err(Refusal::new(
                "UnknownOperationException",
                format!("the fake does not know {other}"),
            )),
        }
    }
}

impl Group {
    fn stream(&mut self, name: &str) -> Result<&mut Stream, Refusal> {
        let missing = || {
            Refusal::new(
                "ResourceNotFoundException",
                "The specified log stream does not exist.",
            )
        };
        self.streams.get_mut(name).ok_or_else(missing)
    }
}

pub(crate) fn operation(asked: &Asked) -> Option<String> {
    let target = asked.header("x-amz-target")?;
    target.strip_prefix(TARGET).map(str::to_owned)
}

pub(crate) fn answer(estate: &Estate, operation: &str, asked: &Asked) -> (Option<Key>, Answer) {
    let signer = match estate.verify(asked, &["logs"]) {
        Ok(signer) => signer,
        Err(refusal) => return (None, refusal.json()),
    };
    let now = estate.clock.now();
    let outcome = match serde_json::from_slice(&asked.body) {
        Ok(Value::Object(body)) => estate.logs.lock().do_it(operation, &body, now),
        _ => Err(Refusal::new("SerializationException", "")),
    };
    let answer = match outcome {
        Ok(body) => Answer::aws_json(&body),
        Err(refusal) => refusal.json(),
    };
    (Some(signer), answer)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterException", message)
}

fn text<'a>(asked: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    asked.get(key).and_then(Value::as_str)
}

fn needed<'a>(asked: &'a Map<String, Value>, key: &str) -> Result<&'a str, Refusal> {
    text(asked, key).ok_or_else(|| {
        invalid(format!(
            "1 validation error detected: Value null at '{key}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

/// By its name, or by its ARN.
fn group_name(asked: &Map<String, Value>) -> Result<&str, Refusal> {
    let Some(identifier) = text(asked, "logGroupIdentifier") else {
        return needed(asked, "logGroupName");
    };
    if text(asked, "logGroupName").is_some() {
        return Err(invalid(
            "Only one of logGroupName and logGroupIdentifier can be specified.",
        ));
    }
    let name = identifier
        .split_once(":log-group:")
        .map_or(identifier, |(_, name)| name);
    Ok(name.trim_end_matches(":*"))
}

/// A number between 1 and `most`.
fn limit(asked: &Map<String, Value>, usual: usize, most: usize) -> Result<usize, Refusal> {
    let Some(limit) = asked.get("limit") else {
        return Ok(usual);
    };
    let limit = limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
    limit.filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
        invalid(format!(
            "1 validation error detected: Value at 'limit' failed to satisfy constraint: Member must have value less than or \
             equal to {most}"
        ))
    })
}

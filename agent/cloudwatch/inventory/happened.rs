//! What has happened, as services tell it: RDS and ElastiCache of what is theirs, AWS Health of AWS itself.

use model::{Level, Timestamp};
use serde_json::Value;

use super::ask::{Asker, Refused};
use super::operations::{HEALTH_EVENTS, Operation};
use super::xml::{Node, seconds};

/// Something that happened, in AWS' own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    /// `rds`, `elasticache`, `kafka` or `health`.
    pub(crate) family: &'static str,
    pub(crate) level: Level,
    /// What it happened to.
    pub(crate) source: String,
    pub(crate) message: String,
}

/// What has happened in the last `minutes`, oldest first.
///
/// # Errors
/// It cannot all be had.
pub(crate) async fn of_service(
    ask: &Asker,
    operation: &Operation,
    minutes: u64,
) -> Result<Vec<Event>, Refused> {
    let mut events = Vec::new();
    let read = |page: &Node<'_, '_>| {
        events.extend(page.members("Events").filter_map(|event| {
            let message = event.text("Message")?;
            Some(Event {
                at: Timestamp::from_seconds(seconds(event.text("Date")?)?),
                family: operation.service.word(),
                level: level(message),
                source: event.text("SourceIdentifier")?.to_owned(),
                message: message.to_owned(),
            })
        }));
    };
    let minutes = minutes.to_string();
    ask.pages(operation, &[("Duration", &minutes)], read).await?;
    events.sort_by_key(|event| event.at);
    Ok(events)
}

fn level(message: &str) -> Level {
    let message = message.to_ascii_lowercase();
    let mut bad = ["fail", "exhausted", "unavailable", "unable", "error"].iter();
    match bad.any(|word| message.contains(word)) {
        true => Level::Warn,
        false => Level::Info,
    }
}

/// What AWS Health has told of this region since then, oldest first: each time that something of an event is new.
///
/// # Errors
/// It cannot all be had; without a support plan of AWS' it is always refused.
pub(crate) async fn of_health(ask: &Asker, since: Timestamp) -> Result<Vec<Event>, Refused> {
    let mut events = Vec::new();
    let read = |page: &Value| {
        let list = page.get("events").and_then(Value::as_array);
        events.extend(list.into_iter().flatten().filter_map(told));
    };
    let since = since.seconds().to_string();
    ask.documents(&HEALTH_EVENTS, &since, read).await?;
    events.sort_by_key(|event| event.at);
    Ok(events)
}

fn told(event: &Value) -> Option<Event> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let (category, status) = (text("eventTypeCategory")?, text("statusCode")?);
    let at = ["lastUpdatedTime", "startTime"]
        .into_iter()
        .find_map(|name| event.get(name)?.as_f64())?;
    Some(Event {
        at: Timestamp::from_seconds(at),
        family: HEALTH_EVENTS.service.word(),
        level: match (category, status) {
            ("issue", "open") => Level::Warn,
            _ => Level::Info,
        },
        source: text("service")?.to_owned(),
        message: format!("{} ({category}, {status})", text("eventTypeCode")?),
    })
}

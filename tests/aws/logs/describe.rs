//! Groups and streams: made, and listed.

use model::Timestamp;
use serde_json::{Map, Value, json};

use super::{Event, Group, Logs, Stream, group_name, invalid, limit, needed, text};
use crate::asked::Refusal;
use crate::{ACCOUNT, REGION};

const LISTED_MAX: usize = 50;
const NAME_MAX: usize = 512;
const RETENTIONS: [i64; 23] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
    0,
];

impl Logs {
    pub(super) fn create_group(
        &mut self,
        asked: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let name = needed(asked, "logGroupName")?;
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/#".contains(&byte);
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_letter) {
            return Err(invalid(format!(
                "1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint: Member must satisfy \
                 regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
            )));
        }
        if self.groups.contains_key(name) {
            return Err(exists("log group"));
        }
        let group = Group {
            created: now,
            ..Group::default()
        };
        self.groups.insert(name.to_owned(), group);
        Ok(json!({}))
    }

    pub(super) fn create_stream(
        &mut self,
        asked: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let name = needed(asked, "logStreamName")?;
        let group = self.group(needed(asked, "logGroupName")?)?;
        if name.is_empty() || name.len() > NAME_MAX || name.contains([':', '*']) {
            return Err(invalid(format!(
                "1 validation error detected: Value '{name}' at 'logStreamName' failed to satisfy constraint: Member must satisfy \
                 regular expression pattern: [^:*]*"
            )));
        }
        if group.streams.contains_key(name) {
            return Err(exists("log stream"));
        }
        let stream = Stream {
            created: now,
            ..Stream::default()
        };
        group.streams.insert(name.to_owned(), stream);
        Ok(json!({}))
    }

    pub(super) fn put_retention(&mut self, asked: &Map<String, Value>) -> Result<Value, Refusal> {
        let group = self.group(needed(asked, "logGroupName")?)?;
        let days = asked.get("retentionInDays").and_then(Value::as_i64).unwrap_or(0);
        if days == 0 || !RETENTIONS.contains(&days) {
            return Err(invalid(format!(
                "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint"
            )));
        }
        group.retention_days = Some(days);
        Ok(json!({}))
    }

    pub(super) fn describe_groups(&self, asked: &Map<String, Value>) -> Result<Value, Refusal> {
        let prefix = text(asked, "logGroupNamePrefix").unwrap_or_default();
        let pattern = text(asked, "logGroupNamePattern").unwrap_or_default();
        let after = text(asked, "nextToken").unwrap_or_default();
        let most = limit(asked, LISTED_MAX, LISTED_MAX)?;
        let mut found = self
            .groups
            .iter()
            .filter(|(name, _)| name.starts_with(prefix) && name.contains(pattern) && name.as_str() > after);
        let listed: Vec<(&String, &Group)> = found.by_ref().take(most).collect();
        let more = found.next().and(listed.last()).map(|(name, _)| (*name).clone());
        let groups = listed.iter().map(|(name, group)| {
            let arn = format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}");
            let mut shown = json!({
                "logGroupName": name,
                "arn": format!("{arn}:*"),
                "logGroupArn": arn,
                "creationTime": group.created.millis(),
                "metricFilterCount": 0,
                "storedBytes": 0,
                "logGroupClass": "STANDARD",
            });
            if let (Some(days), Some(shown)) = (group.retention_days, shown.as_object_mut()) {
                shown.insert("retentionInDays".to_owned(), json!(days));
            }
            shown
        });
        Ok(paged("logGroups", groups.collect(), more))
    }

    pub(super) fn describe_streams(
        &mut self,
        asked: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let name = group_name(asked)?.to_owned();
        let known = now - self.described_late;
        let prefix = text(asked, "logStreamNamePrefix").unwrap_or_default();
        let by_time = text(asked, "orderBy") == Some("LastEventTime");
        if by_time && !prefix.is_empty() {
            return Err(invalid(
                "Cannot order by LastEventTime with a logStreamNamePrefix.",
            ));
        }
        let is_descending = asked.get("descending").and_then(Value::as_bool) == Some(true);
        let most = limit(asked, LISTED_MAX, LISTED_MAX)?;
        let group = self.group(&name)?;
        let mut found: Vec<(&String, &Stream)> = group
            .streams
            .iter()
            .filter(|(stream, _)| stream.starts_with(prefix))
            .collect();
        if by_time {
            found.sort_by_key(|(_, stream)| stream.known(known).next_back().map(|event| event.timestamp));
        }
        if is_descending {
            found.reverse();
        }
        let after = text(asked, "nextToken");
        let from = after.map_or(0, |after| {
            let at = found.iter().position(|(stream, _)| stream.as_str() == after);
            at.map_or(found.len(), |at| at + 1)
        });
        let listed: Vec<&(&String, &Stream)> = found.iter().skip(from).take(most).collect();
        let has_more = from + listed.len() < found.len();
        let more = listed
            .last()
            .filter(|_| has_more)
            .map(|(stream, _)| (*stream).clone());
        let streams = listed.iter().map(|(stream, kept)| {
            let mut shown = json!({
                "logStreamName": stream,
                "arn": format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}:log-stream:{stream}"),
                "creationTime": kept.created.millis(),
                "storedBytes": 0,
            });
            let ends = (kept.known(known).next(), kept.known(known).next_back());
            if let ((Some(first), Some(last)), Some(shown)) = (ends, shown.as_object_mut()) {
                shown.insert("firstEventTimestamp".to_owned(), json!(first.timestamp.millis()));
                shown.insert("lastEventTimestamp".to_owned(), json!(last.timestamp.millis()));
                shown.insert("lastIngestionTime".to_owned(), json!(last.ingestion.millis()));
            }
            shown
        });
        Ok(paged("logStreams", streams.collect(), more))
    }
}

impl Stream {
    /// What came until then.
    fn known(&self, until: Timestamp) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.values().filter(move |event| event.ingestion <= until)
    }
}

fn exists(what: &str) -> Refusal {
    Refusal::new(
        "ResourceAlreadyExistsException",
        format!("The specified {what} already exists"),
    )
}

fn paged(key: &str, list: Vec<Value>, more: Option<String>) -> Value {
    let mut body = Map::new();
    body.insert(key.to_owned(), Value::Array(list));
    body.extend(more.map(|token| ("nextToken".to_owned(), Value::String(token))));
    Value::Object(body)
}

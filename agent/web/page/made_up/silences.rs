//! Its silences: one for a planned move, one of a weekend to come, one that is over; kept as the notifier would.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, MatchOp, Matcher, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::House;
use crate::{SilenceError, Silences};

impl House {
    pub(super) fn silences(&self) -> Option<Silences> {
        if self.empty() {
            return None;
        }
        let all: BTreeMap<String, Value> = if self.firing() {
            three(self.now())
        } else {
            BTreeMap::new()
        };
        let all = Arc::new(Mutex::new(all));
        let (list, get, put, delete) = (Arc::clone(&all), Arc::clone(&all), Arc::clone(&all), all);
        Some(Silences {
            list: Arc::new(move |_| Ok(json!(list.lock().values().collect::<Vec<_>>()).to_string())),
            get: Arc::new(move |id| get.lock().get(id).map(ToString::to_string)),
            put: Arc::new(move |text| {
                let mut silence: Value = serde_json::from_str(&text).unwrap();
                let mut all = put.lock();
                let id = silence["id"]
                    .as_str()
                    .map_or_else(|| id(all.len() + 1), str::to_owned);
                silence["id"] = json!(id);
                silence["status"] = json!({ "state": "active" });
                all.insert(id.clone(), silence);
                Box::pin(std::future::ready(Ok(id)))
            }),
            delete: Arc::new(move |id| {
                let ended = match delete.lock().get_mut(&id) {
                    Some(silence) => {
                        silence["status"]["state"] = json!("expired");
                        Ok(())
                    }
                    None => Err(SilenceError::Unknown),
                };
                Box::pin(std::future::ready(ended))
            }),
            read: Arc::new(read),
            covering: Arc::new(|matchers| {
                if matchers.is_empty() {
                    return Err("these matchers would silence every alert".to_owned());
                }
                let matchers = matchers.to_vec();
                Ok(Arc::new(move |labels: &Labels| {
                    matchers
                        .iter()
                        .all(|matcher| super::series::matches(matcher, labels.value(&matcher.name)))
                }))
            }),
        })
    }
}

fn id(nth: usize) -> String {
    format!("00000000-0000-4000-8000-{nth:012}")
}

fn three(now: Timestamp) -> BTreeMap<String, Value> {
    let at = |time: Timestamp| crate::api::moment(Some(time));
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let silence =
        |nth, state: &str, (starts, ends): (Timestamp, Timestamp), comment: &str, matchers: Value| {
            let silence = json!({
                "id": id(nth), "status": { "state": state }, "comment": comment, "createdBy": "ann",
                "startsAt": at(starts), "endsAt": at(ends), "updatedAt": at(starts), "matchers": matchers,
            });
            (id(nth), silence)
        };
    let equal =
        |name: &str, value: &str| json!({ "name": name, "value": value, "isRegex": false, "isEqual": true });
    [
        silence(
            1,
            "active",
            (now - minutes(30), now + minutes(90)),
            "the mail archive moves, OPS-17",
            json!([
                equal("alertname", "FilesystemAlmostFull"),
                equal("mountpoint", "/var")
            ]),
        ),
        silence(
            2,
            "pending",
            (now + minutes(600), now + minutes(1200)),
            "power is off at the weekend",
            json!([{ "name": "instance", "value": "rack-[12]-.*", "isRegex": true, "isEqual": true }]),
        ),
        silence(
            3,
            "expired",
            (now - minutes(3000), now - minutes(2900)),
            "restore test",
            json!([equal("job", "shop")]),
        ),
    ]
    .into_iter()
    .collect()
}

/// `name="value"`, `name=~"…"`, with commas between; knows little of what is valid.
fn read(text: &str) -> Result<Vec<Matcher>, String> {
    let form = regex::Regex::new(r#"^\s*(\w+)\s*(=~|!~|!=|=)\s*"?([^"]*?)"?\s*$"#).unwrap();
    let inside = text.trim().trim_start_matches('{').trim_end_matches('}');
    let parts = inside.split(',').filter(|part| !part.trim().is_empty());
    let read = parts.map(|part| {
        let found = form
            .captures(part)
            .ok_or_else(|| format!("bad matcher format: {part}"))?;
        let op = match &found[2] {
            "=~" => MatchOp::Matches,
            "!~" => MatchOp::NotMatches,
            "!=" => MatchOp::NotEqual,
            _ => MatchOp::Equal,
        };
        Ok(Matcher::new(&found[1], op, &found[3]))
    });
    read.collect()
}

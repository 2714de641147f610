//! How often documents with given ids are in OpenSearch, in whichever index: for comparing, never on the way.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use model::outside::{Client, Method, Request, Response};
use net::Reach;
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::{Config, Naming};

const TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Hits of one answer that OpenSearch gives at most (`index.max_result_window`).
const HITS_MAX: usize = 10_000;
const WORDS_MAX: usize = 200;

/// One OpenSearch that is asked.
pub(crate) struct Counts<'a> {
    config: &'a Config,
    reach: &'a Reach,
    client: &'a dyn Client,
}

#[derive(Deserialize)]
struct Found {
    hits: Hits,
    #[serde(default)]
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
}

#[derive(Deserialize)]
struct Shards {
    #[serde(default)]
    failed: u64,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default, rename = "_source")]
    source: Value,
}

impl<'a> Counts<'a> {
    pub(crate) fn new(config: &'a Config, reach: &'a Reach, client: &'a dyn Client) -> Self {
        Self {
            config,
            reach,
            client,
        }
    }

    /// Lets what was stored a moment ago be found. Where nobody may ask for that, it is found within a second anyway.
    pub(crate) async fn refresh(&self) -> Result<(), String> {
        let answer = self.ask("_refresh", &Value::Null).await?;
        match answer.status {
            200..=299 | 400..=405 => Ok(()),
            _ => Err(told(&answer)),
        }
    }

    /// Ids that are there, with how often.
    pub(crate) async fn of(&self, ids: &[String]) -> Result<HashMap<String, u32>, String> {
        let mut counts = HashMap::new();
        if ids.is_empty() {
            return Ok(counts);
        }
        // Where an index takes no ids the document says its own.
        let either = json!([{"ids": {"values": ids}}, {"terms": {"event.id": ids}}]);
        let question = json!({
            "size": HITS_MAX,
            "_source": ["event.id"],
            "query": {"bool": {"should": either, "minimum_should_match": 1}},
        });
        let answer = self.ask("_search", &question).await?;
        if answer.status == 404 {
            return Ok(counts);
        }
        if answer.status != 200 {
            return Err(told(&answer));
        }
        let found: Found = serde_json::from_slice(&answer.body)
            .map_err(|_| "the answer is not that of OpenSearch".to_owned())?;
        if found.timed_out || found.shards.failed > 0 {
            return Err("OpenSearch could not look at all of its shards; try again".to_owned());
        }
        if found.hits.hits.len() >= HITS_MAX {
            return Err(format!(
                "more than {HITS_MAX} documents have the ids of {} records",
                ids.len()
            ));
        }
        let wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
        for hit in found.hits.hits {
            let said = hit.source.pointer("/event/id").and_then(Value::as_str);
            let id = match said {
                Some(said) if !wanted.contains(hit.id.as_str()) => said.to_owned(),
                _ => hit.id,
            };
            *counts.entry(id).or_insert(0) += 1;
        }
        Ok(counts)
    }

    /// Of all indices that lines go to.
    async fn ask(&self, what: &str, body: &Value) -> Result<Response, String> {
        let indices = match self.config.naming {
            Naming::Daily => self.config.index.pattern(),
            Naming::DataStream => self.config.index.stream_patterns().join(","),
        };
        let request = Request {
            method: Method::Post,
            url: format!("{}/{indices}/{what}", self.config.url.trim_end_matches('/')),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: match body {
                Value::Null => bytes::Bytes::new(),
                body => body.to_string().into(),
            },
            timeout: TIMEOUT,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let via = self.reach.open(self.client, &|| true).await?;
        let shown = net::without_secrets(&self.config.url);
        via.send(request)
            .await
            .map_err(|error| format!("asking {shown}: {error}"))
    }
}

fn told(answer: &Response) -> String {
    let said = String::from_utf8_lossy(&answer.body);
    let said: String = said.chars().take(WORDS_MAX).collect();
    format!("OpenSearch answers {}: {said}", answer.status)
}

//! Which OpenSearch lines go to, under which names, and how much may be on the way.

use std::path::Path;
use std::time::Duration;

use net::{HttpConfig, SigV4Config, is_http, without_secrets};
use serde::Deserialize;

use super::index::IndexName;
use crate::sink::{Json, name_mistakes};

net::http_keys! {
    /// One entry of `logs.opensearch`: a cluster all lines are sent to, each once.
    pub struct Config {
        /// Where it answers, for example `https://search.example:9200`; a path is kept.
        pub url: String,
        /// Name on the page and in metrics, and of the place reached in each file: who keeps the name goes on where it
        /// was. By default `opensearch`.
        pub name: String,
        /// Front of the index names; `-yyyy.MM.dd` of the line's own day (UTC) is added. `{namespace}` stands for the
        /// pod's namespace, `host` for lines of files.
        pub index: IndexName,
        /// `daily`: an index a day, in which no line is ever twice. `data_stream`: a data stream; a line that is sent
        /// again just after a rollover is in it twice.
        pub naming: Naming,
        /// Document ids from file and offset, so that nothing is stored twice. `auto`: except in indices that refuse ids,
        /// such as those of time series collections of OpenSearch Serverless; there `event.id` has it. `always`: lines
        /// for such an index wait. `never`: `event.id` has it everywhere.
        pub ids: Ids,
        /// Lines that are JSON objects with a `message`, `msg` or `log`: `fields` stores that as the message and the rest
        /// under `fields`, `text` the line as it is.
        pub json: Json,
        /// How bodies are packed: `gzip`; `zlib`, which is gzip as well, by a library that knows nothing of log lines
        /// and needs three times the CPU; or `none`.
        pub compression: Compression,
        /// Whether the index template is put in place, and renewed when a new version of it comes.
        pub template: bool,
        /// Replicas of each index, in the template. Left out: the cluster's own default.
        pub replicas: Option<u32>,
        /// After how long indices are deleted, by a policy of Index State Management. Left out: no policy, nothing is
        /// deleted.
        #[serde(deserialize_with = "model::text::duration::deserialize_some")]
        pub retention: Option<Duration>,
        /// Requests are signed for AWS: `service_name` is `es` for Amazon OpenSearch Service, `aoss` for Serverless.
        pub sigv4: Option<SigV4Config>,
        /// Longest wait for an answer.
        #[serde(deserialize_with = "model::text::duration::deserialize")]
        pub timeout: Duration, // timeout: 60s
        /// How long a line waits for others to go with it.
        #[serde(deserialize_with = "model::text::duration::deserialize")]
        pub wait: Duration, // wait: 1s
        /// Requests under way at the same time, at most. Fewer while the cluster pushes back.
        pub requests_max: usize,
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    #[default]
    Daily,
    DataStream,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ids {
    #[default]
    Auto,
    #[serde(alias = "position")]
    Always,
    #[serde(alias = "none")]
    Never,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    #[default]
    Gzip,
    Zlib,
    None,
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        let all = |config: &Self| {
            (
                (
                    config.url.clone(),
                    config.name.clone(),
                    config.index.clone(),
                    config.naming,
                    config.ids,
                ),
                (
                    config.json,
                    config.compression,
                    config.template,
                    config.replicas,
                    config.retention,
                ),
                (
                    config.timeout,
                    config.wait,
                    config.requests_max,
                    config.http.clone(),
                    config.sigv4.clone(),
                ),
            )
        };
        all(self) == all(other)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            name: "opensearch".to_owned(),
            index: IndexName::default(),
            naming: Naming::default(),
            ids: Ids::default(),
            json: Json::default(),
            compression: Compression::default(),
            template: true,
            replicas: None,
            retention: None,
            sigv4: None,
            timeout: Duration::from_secs(60),
            wait: Duration::from_secs(1),
            requests_max: 4,
            http: HttpConfig::default(),
        }
    }
}

impl Config {
    /// What is wrong with it, each a sentence that begins with the key.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.url.is_empty() {
            wrong.push("url: missing; write for example https://search.example:9200".to_owned());
        } else if !is_http(&self.url) {
            wrong.push(format!(
                "url: not an http:// or https:// URL: {:?}",
                without_secrets(&self.url)
            ));
        } else if self.url.contains(['?', '#']) {
            wrong.push("url: has a query or fragment; give host, port and path".to_owned());
        }
        wrong.extend(name_mistakes(&self.name));
        if self.timeout < Duration::from_secs(1) {
            wrong.push("timeout: less than 1s; every request would fail".to_owned());
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.wait) {
            wrong.push("wait: not between 10ms and 1m".to_owned());
        }
        if !(1..=64).contains(&self.requests_max) {
            wrong.push("requests_max: not between 1 and 64".to_owned());
        }
        if self
            .retention
            .is_some_and(|time| time < Duration::from_secs(86_400))
        {
            wrong.push("retention: less than 1d, and indices are of one day".to_owned());
        }
        match self.http.check() {
            mistakes if mistakes.is_empty() => wrong.extend(self.reach().err()),
            mistakes => wrong.extend(mistakes),
        }
        wrong
    }

    /// # Errors
    /// A sentence that begins with the key.
    pub(crate) fn reach(&self) -> Result<net::Reach, String> {
        let reach = self.http.read(Path::new(""))?;
        let Some(sigv4) = &self.sigv4 else {
            return Ok(reach);
        };
        // Of a domain and of a collection the host says which it is.
        let mut sigv4 = sigv4.clone();
        if sigv4.service_name.is_empty() {
            let is_serverless = self.url.contains(".aoss.");
            sigv4.service_name = if is_serverless { "aoss" } else { "es" }.to_owned();
        }
        sigv4.signs(reach)
    }
}

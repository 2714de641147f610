//! Where rules ask, if not the store beside them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use model::text::duration;
use net::{HttpConfig, Reach, Secret, SigV4Config};

net::http_keys! {
    /// Section `rules.datasource`: the HTTP API of a Prometheus, or of an engine that speaks as one.
    pub struct Config {
        /// What `/api/v1/query` is appended to, for example `http://mimir-query-frontend:8080/prometheus`.
        pub url: String,
        /// Longest wait for one answer. With its retries a question takes `rules.query_timeout` at most.
        #[serde(deserialize_with = "duration::deserialize")]
        pub timeout: Duration, // timeout: 30s
        /// How often a question is asked again when the engine cannot be reached, is too busy (429), or fails (5xx).
        pub retries: u32, // retries: 2
        /// Questions at a time; others wait for a place.
        pub concurrency: usize, // concurrency: 8
        /// An answer with a warning of the engine, as where one of its stores is away, is an answer. Otherwise it is none:
        /// what is missing in it would end alerts.
        pub partial_answers: bool, // partial_answers: false
        /// Sent with each question, as `dedup: "true"` for Thanos.
        pub query_params: BTreeMap<String, String>,
        /// Sent with each request, as `X-Scope-OrgID` for Mimir.
        pub headers: BTreeMap<String, Secret>,
        /// Signs each request for AWS, for example for Amazon Managed Prometheus.
        pub sigv4: Option<SigV4Config>,
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            timeout: Duration::from_secs(30),
            retries: 2,
            concurrency: 8,
            partial_answers: false,
            query_params: BTreeMap::new(),
            headers: BTreeMap::new(),
            sigv4: None,
            http: HttpConfig::default(),
        }
    }
}

/// Headers that a question is made of.
const RESERVED: [&str; 10] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

/// More than this many retries is not patience but a mistake.
const RETRIES_MAX: u32 = 10;
/// More questions than this at a time would be an attack.
const CONCURRENCY_MAX: usize = 256;

impl Config {
    /// What is wrong with it, each a sentence that begins with the key.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.url.is_empty() {
            wrong.push("url: missing; write for example http://host:9090".to_owned());
        } else if !net::is_http(&self.url) {
            wrong.push(format!("url: not an http:// or https:// URL: {:?}", self.shown()));
        } else if self.url.contains(['?', '#']) {
            wrong.push("url: has a query; write its parameters as query_params".to_owned());
        } else if self.url.trim_end_matches('/').ends_with("/api/v1") {
            wrong.push("url: /api/v1 is appended; leave it out".to_owned());
        }
        if self.timeout.is_zero() {
            wrong.push("timeout: zero; every question would fail".to_owned());
        }
        if self.retries > RETRIES_MAX {
            wrong.push(format!("retries: more than {RETRIES_MAX}"));
        }
        if self.concurrency == 0 || self.concurrency > CONCURRENCY_MAX {
            wrong.push(format!("concurrency: not between 1 and {CONCURRENCY_MAX}"));
        }
        for name in self.query_params.keys() {
            if ["query", "time", "timeout"].contains(&name.as_str()) {
                wrong.push(format!("query_params: {name} is set by each question"));
            }
        }
        wrong.extend(net::check_headers(&self.headers, &RESERVED));
        match self.http.check() {
            // The whole is wrong once, by whichever part comes first.
            none if none.is_empty() => wrong.extend(self.reach().err()),
            some => wrong.extend(some),
        }
        wrong
    }

    /// How it is reached, and as whom.
    ///
    /// # Errors
    /// The first mistake, which begins with its key.
    pub(crate) fn reach(&self) -> Result<Reach, String> {
        let reach = self.http.read(Path::new(""))?;
        match &self.sigv4 {
            Some(sigv4) => sigv4.signs(reach),
            None => Ok(reach),
        }
    }

    /// The URL without what may be secret.
    #[must_use]
    pub fn shown(&self) -> String {
        net::without_secrets(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named_with_its_key() {
        let wrong = [
            (r"{}", "url: missing"),
            (r#"{"url": "mimir:8080"}"#, "url: not an http"),
            (r#"{"url": "http://a/?dedup=true"}"#, "url: has a query"),
            (r#"{"url": "http://a/api/v1/"}"#, "url: /api/v1 is appended"),
            (r#"{"url": "http://a", "timeout": "0"}"#, "timeout: zero"),
            (r#"{"url": "http://a", "retries": 11}"#, "retries: more than 10"),
            (
                r#"{"url": "http://a", "concurrency": 0}"#,
                "concurrency: not between",
            ),
            (
                r#"{"url": "http://a", "query_params": {"time": "1"}}"#,
                "query_params: time",
            ),
            (
                r#"{"url": "http://a", "headers": {"Host": "b"}}"#,
                "headers: Host",
            ),
            (
                r#"{"url": "http://a", "authorization": {}}"#,
                "authorization: neither",
            ),
        ];
        for (json, expected) in wrong {
            let config: Config = serde_json::from_str(json).unwrap();
            let found = config.check();
            assert!(
                found.len() == 1 && found[0].starts_with(expected),
                "{json}: {found:?}"
            );
        }
        assert!(serde_json::from_str::<Config>(r#"{"urll": "http://a"}"#).is_err());
    }
}

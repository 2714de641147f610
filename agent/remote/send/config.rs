//! Whom to send samples to, in Prometheus' words, and how much may wait for them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use model::Labels;
use net::{HttpConfig, Reach, Secret, SigV4Config, is_http, without_secrets};
use serde::Deserialize;

net::http_keys! {
    /// One entry of `remote_write`: somebody all samples are sent to.
    pub struct Config {
        /// Where samples are posted to, for example `http://victoria-metrics:8428/api/v1/write`.
        pub url: String,
        /// Name on the page and in metrics, and of the place in the queue: who keeps the name keeps the place. By default
        /// the URL without user, password and query.
        pub name: String,
        /// Longest wait for an answer.
        #[serde(deserialize_with = "model::text::duration::deserialize")]
        pub remote_timeout: Duration, // remote_timeout: 30s
        /// Sent with each request; those that the protocol is made of cannot be set.
        pub headers: BTreeMap<String, Secret>,
        /// Signs each request for AWS, for example for Amazon Managed Prometheus.
        pub sigv4: Option<SigV4Config>,
        /// `io.prometheus.write.v2.Request` (2.0) or `prometheus.WriteRequest` (1.0). Left out: 2.0, and 1.0 where that is
        /// not understood.
        pub protobuf_message: Option<Message>,
        /// Rules over the labels of series before they are sent there, after `external_labels` have been added.
        pub write_relabel_configs: Vec<relabel::Config>,
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            name: String::new(),
            remote_timeout: Duration::from_secs(30),
            headers: BTreeMap::new(),
            sigv4: None,
            protobuf_message: None,
            write_relabel_configs: Vec::new(),
            http: HttpConfig::default(),
        }
    }
}

/// What a request is, by its full protobuf name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Message {
    #[serde(rename = "io.prometheus.write.v2.Request")]
    Two,
    #[serde(rename = "prometheus.WriteRequest")]
    One,
}

/// How much may wait to be sent, of all destinations together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// On disk; when it is full the oldest goes, and is counted.
    #[serde(deserialize_with = "model::text::size::deserialize")]
    pub bytes_max: u64, // bytes_max: 512MiB
    /// In memory, while the disk takes nothing.
    #[serde(deserialize_with = "model::text::size::deserialize")]
    pub memory_bytes_max: u64, // memory_bytes_max: 8MiB
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 512 << 20,
            memory_bytes_max: 8 << 20,
        }
    }
}

impl Limits {
    /// What is wrong, each a sentence that begins with the key.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.bytes_max < 1 << 20 {
            wrong.push(
                "bytes_max: less than 1MiB, which holds less than a round of a small machine".to_owned(),
            );
        }
        if self.memory_bytes_max < 64 << 10 {
            wrong.push("memory_bytes_max: less than 64KiB".to_owned());
        }
        wrong
    }
}

/// Somebody to send to: an entry of the configuration, or a replica of ours.
#[derive(Clone, Debug)]
pub struct Destination {
    pub config: Config,
    /// Given to each series that does not have them; empty for our own replicas.
    pub external_labels: Labels,
}

/// Headers that the protocol or the connection is made of.
const RESERVED: [&str; 12] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-prometheus-remote-write-version",
];

impl Config {
    /// What is wrong with it, each a sentence that begins with the key.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.url.is_empty() {
            wrong.push("url: missing; write for example http://host:8428/api/v1/write".to_owned());
        } else if !is_http(&self.url) {
            wrong.push(format!(
                "url: not an http:// or https:// URL: {:?}",
                without_secrets(&self.url)
            ));
        }
        if self.remote_timeout.is_zero() {
            wrong.push("remote_timeout: zero; every request would fail".to_owned());
        }
        wrong.extend(net::check_headers(&self.headers, &RESERVED));
        wrong.extend(self.rules().err().into_iter().flatten());
        match self.http.check() {
            // The whole is wrong once, by whichever part comes first.
            none if none.is_empty() => wrong.extend(self.reach().err()),
            some => wrong.extend(some),
        }
        wrong
    }

    /// # Errors
    /// All mistakes in them, each of which begins with its key.
    pub(crate) fn rules(&self) -> Result<relabel::Rules, Vec<String>> {
        relabel::Rules::new(&self.write_relabel_configs).map_err(|mistakes| {
            let named = mistakes.into_iter();
            named
                .map(|mistake| format!("write_relabel_configs{mistake}"))
                .collect()
        })
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

    /// As [`Self::check`] for a whole list: also whether two would share a place in the queue.
    #[must_use]
    pub fn check_all(list: &[Self]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (nth, config) in list.iter().enumerate() {
            let own = config.check().into_iter();
            wrong.extend(own.map(|sentence| format!("remote_write[{nth}].{sentence}")));
            let name = config.display_name();
            if let Some(first) = list
                .iter()
                .take(nth)
                .position(|other| other.display_name() == name)
            {
                wrong.push(format!(
                    "remote_write[{nth}].name: {name:?} is also the name of remote_write[{first}]; give each its own"
                ));
            }
        }
        wrong
    }

    /// The name, or the URL without what may be secret.
    #[must_use]
    pub fn display_name(&self) -> String {
        if self.name.is_empty() {
            without_secrets(&self.url)
        } else {
            self.name.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_cannot_be_are_named_with_their_place() {
        let config = read(
            r#"{"url": "http://a/", "write_relabel_configs": [{"target_label": "a"}, {"action": "hashmod", "target_label": "b"}]}"#,
        );
        let wrong = config.unwrap().check();
        assert_eq!(
            wrong,
            ["write_relabel_configs[1].modulus: is missing; hashmod needs a number above 0"]
        );
    }

    fn read(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_of_prometheus_reads_as_it_stands() {
        let config = read(
            r#"{"url": "https://user:pass@mimir/api/v1/push?x=1", "remote_timeout": "10s",
                "headers": {"X-Scope-OrgID": "a"}, "protobuf_message": "prometheus.WriteRequest",
                "authorization": {"credentials_file": "/run/token"}}"#,
        )
        .unwrap();
        assert_eq!(config.check(), Vec::<String>::new());
        assert_eq!(config.protobuf_message, Some(Message::One));
        assert_eq!(config.display_name(), "https://mimir/api/v1/push");
        assert!(
            read(r#"{"url": "http://a", "urll": 1}"#)
                .unwrap_err()
                .contains("urll")
        );
        assert!(read(r#"{"protobuf_message": "x"}"#).is_err());
    }

    #[test]
    fn what_cannot_work_is_named_with_its_key() {
        let wrong = [
            (r"{}", "url: missing"),
            (r#"{"url": "mimir/push"}"#, "url: not an http"),
            (r#"{"url": "http:///push"}"#, "url: not an http"),
            (
                r#"{"url": "http://a", "remote_timeout": "0"}"#,
                "remote_timeout: zero",
            ),
            (
                r#"{"url": "http://a", "headers": {"content-TYPE": "a"}}"#,
                "headers: content-TYPE",
            ),
            (
                r#"{"url": "http://a", "headers": {"a b": "a"}}"#,
                "headers: \"a b\"",
            ),
            (
                r#"{"url": "http://a", "authorization": {}}"#,
                "authorization: neither",
            ),
            (
                r#"{"url": "http://a", "bearer_token_file": "b", "authorization": {"credentials": "c"}}"#,
                "authorization: at most one of",
            ),
            (
                r#"{"url": "http://a", "basic_auth": {"password": "p"}}"#,
                "basic_auth.username: missing",
            ),
            (
                r#"{"url": "http://a", "basic_auth": {"username": "u:v", "password": "p"}}"#,
                "basic_auth.username: cannot",
            ),
            (
                r#"{"url": "http://a", "basic_auth": {"username": "u"}}"#,
                "basic_auth: neither",
            ),
            (
                r#"{"url": "http://a", "basic_auth": {"username": "u", "password": "p", "password_file": "f"}}"#,
                "basic_auth.password: at most one of",
            ),
            (
                r#"{"url": "http://a", "basic_auth": {"username": "u", "password": "p"}, "bearer_token_file": "b"}"#,
                "authorization: at most one of",
            ),
            (
                r#"{"url": "http://a", "tls_config": {"key_file": "k"}}"#,
                "tls_config.cert: exactly one of",
            ),
            (
                r#"{"url": "http://a", "proxy_url": "socks5://b"}"#,
                "proxy_url: socks5 is not supported",
            ),
        ];
        for (json, sentence) in wrong {
            let found = read(json).unwrap().check();
            assert!(
                found.len() == 1 && found[0].starts_with(sentence),
                "{json}: {found:?}"
            );
        }
    }

    #[test]
    fn two_entries_never_share_a_place_in_the_queue() {
        let list = [
            read(r#"{"url": "http://a/w"}"#).unwrap(),
            read(r#"{"url": "http://b/w", "name": "x"}"#).unwrap(),
            read(r#"{"url": "http://u:p@a/w"}"#).unwrap(),
        ];
        let wrong = Config::check_all(&list);
        assert_eq!(wrong.len(), 1);
        assert!(
            wrong[0].starts_with("remote_write[2].name: \"http://a/w\" is also the name of remote_write[0]")
        );
    }

    #[test]
    fn limits_work_when_left_empty() {
        let limits: Limits = serde_json::from_str("{}").unwrap();
        assert_eq!(limits, Limits::default());
        assert!(limits.check().is_empty());
        let small: Limits = serde_json::from_str(r#"{"bytes_max": "10KB"}"#).unwrap();
        assert_eq!(small.check().len(), 1);
    }
}

//! What a person may say about the server; an empty section is a good server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// How pages and APIs are served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address that pages and APIs are served on. Only on loopback may people write: reload, silence, send a test.
    pub listen: SocketAddr, // listen: 127.0.0.1:9464
    /// Whether on another address who comes over loopback counts as this machine. For pods, where that is who may forward a port
    /// or run a program there; not where a proxy beside the process brings others.
    pub trust_loopback: bool,
    /// Where people reach the page, for links in messages. Empty: the address it listens on.
    pub external_url: String,
    /// Connections served at one time; the next one is told so with 503 and closed.
    pub connections_max: usize,
    /// Time a client has to send the headers of a request, and again to send its body.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub request_timeout: Duration, // request_timeout: 10s
    /// How long a connection may wait for its next request.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer before it is let go.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub stall_timeout: Duration,
    /// Time that requests under way have to finish when the process stops.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub grace: Duration,
    /// Queries evaluated at one time; others wait for their turn within their timeout. Each may hold a large
    /// answer in memory, so that this bounds what queries take altogether.
    pub queries_max: usize,
    /// Longest time a query may wait and run; `timeout=` of a request can only shorten it.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub query_timeout: Duration,
    /// Who may send samples or is the other replica: a line `role name token` for each, with role `node`, `replica`
    /// or `writer` and a token of 16 characters or more (`skopos token` makes one). Read again when it changes.
    /// Without it only processes of this machine may, and only while the address is on loopback.
    pub tokens_file: Option<PathBuf>,
    /// Longest body that another process may send, compressed; four of them are held at one time.
    pub write_bytes_max: usize,
    /// Serves `https` instead of `http`.
    pub tls: Option<Tls>,
}

/// Certificate and key, in PEM; read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, then those between it and its authority.
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
            trust_loopback: false,
            external_url: String::new(),
            connections_max: 512,
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            stall_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            queries_max: 4,
            query_timeout: Duration::from_secs(120),
            tokens_file: None,
            write_bytes_max: 32 * 1024 * 1024,
            tls: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_needs_both_files_and_nothing_else() {
        let read =
            |tls: &str| serde_json::from_str::<Config>(&format!("{{\"tls\":{tls},\"tokens_file\":null}}"));
        assert_eq!(read("null").unwrap(), Config::default());
        let tls = read("{\"cert_file\":\"a\",\"key_file\":\"b\"}").unwrap().tls;
        assert_eq!(
            tls.map(|tls| (tls.cert_file, tls.key_file)),
            Some(("a".into(), "b".into()))
        );
        for wrong in [
            "{}",
            "{\"cert_file\":\"a\"}",
            "{\"cert_file\":\"a\",\"key_file\":\"b\",\"ca_file\":\"c\"}",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}

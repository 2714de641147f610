//! `http_config` in the words of Prometheus and Alertmanager: who we say we are, proxies, certificates, headers.
//!
//! Read by our own configuration, whose secrets may name the environment, and by Alertmanager's file, whose may not. What is
//! read is heeded; whatever is not is a mistake that names its key.

mod keys;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use crate::{Secret, without_password};

/// How servers are reached over HTTP. `S` is a secret as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    default,
    bound(
        deserialize = "S: Deserialize<'de> + Default",
        serialize = "S: AsRef<Secret> + Serialize"
    )
)]
pub struct HttpConfig<S = Secret> {
    /// Who we are, by name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<Basic<S>>,
    /// Who we are, by a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Token<S>>,
    /// Who we are, by tokens that another server gives us for our credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2<S>>,
    /// An older way to say `authorization.credentials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<S>,
    /// An older way to say `authorization.credentials_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<PathBuf>,
    /// Whose certificates are taken, and which one we show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig<S>>,
    /// A proxy, `http://` or `https://`, with user and password if it wants them.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "without_its_password"
    )]
    pub proxy_url: Option<S>,
    /// Hosts that are reached without it, with commas between them: names, addresses, networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` count; they do unless this is `false` or there is a `proxy_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_from_environment: Option<bool>,
    /// Headers for the proxy when it is asked for a tunnel.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_connect_header: BTreeMap<String, Vec<S>>,
    /// Headers of every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http_headers: BTreeMap<String, Header<S>>,
    /// Whether a message goes to where a 307 or 308 sends it, and a question (GET) to where any redirect does.
    pub follow_redirects: bool,
    /// HTTP/1.1 is spoken either way, which every server takes.
    pub enable_http2: bool,
}

impl<S> Default for HttpConfig<S> {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            bearer_token: None,
            bearer_token_file: None,
            tls_config: None,
            proxy_url: None,
            no_proxy: None,
            proxy_from_environment: None,
            proxy_connect_header: BTreeMap::new(),
            http_headers: BTreeMap::new(),
            follow_redirects: true,
            enable_http2: true,
        }
    }
}

/// A name and a password.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    default,
    bound(deserialize = "S: Deserialize<'de> + Default")
)]
pub struct Basic<S> {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<S>,
    /// Read before each request, as all files here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

/// A token and the word before it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    default,
    bound(deserialize = "S: Deserialize<'de> + Default")
)]
pub struct Token<S> {
    /// `Bearer` when nothing is said.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<S>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

/// OAuth 2.0 with client credentials.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    default,
    bound(
        deserialize = "S: Deserialize<'de> + Default",
        serialize = "S: AsRef<Secret> + Serialize"
    )
)]
pub struct OAuth2<S> {
    pub client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<S>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// Only `client_credentials`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub grant_type: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The server that gives tokens.
    pub token_url: String,
    /// Sent to it beside the rest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoint_params: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig<S>>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "without_its_password"
    )]
    pub proxy_url: Option<S>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_from_environment: Option<bool>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_connect_header: BTreeMap<String, Vec<S>>,
}

/// Certificates and keys, in PEM, here or in files.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    default,
    bound(deserialize = "S: Deserialize<'de> + Default")
)]
pub struct TlsConfig<S> {
    /// Authorities whose certificates are taken, in place of the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, for servers that want one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<S>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate has to hold, where it is not the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Takes any certificate: whoever is in between reads along.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure_skip_verify: bool,
    /// `TLS12` or `TLS13`; nothing older than TLS 1.2 is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<String>,
}

/// The values of one header.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    default,
    bound(deserialize = "S: Deserialize<'de> + Default")
)]
pub struct Header<S> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<S>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn without_its_password<S: AsRef<Secret>, W: Serializer>(
    url: &Option<S>,
    writer: W,
) -> Result<W::Ok, W::Error> {
    let url = url.as_ref().map(|url| url.as_ref().expose());
    writer.serialize_str(&without_password(url.unwrap_or_default()))
}

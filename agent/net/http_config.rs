//! `http_config` in the words of Prometheus and Alertmanager: who we say we are, proxies, certificates, headers.
//!
//! Read by our own configuration, whose secrets may name the environment, and by Alertmanager's file, whose may not. What is
//! read is heeded; whatever is not is a mistake that names its key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::way::TlsVersion;
use serde::{Deserialize, Serialize, Serializer};

use crate::oauth::{Asked, OAuth};
use crate::reach::{Credential, ProxyPlan, Reach, Trust};
use crate::{Place, Secret, is_http, without_password};

/// Headers that are the protocol's, or have keys of their own.
const RESERVED: [&str; 18] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "www-authenticate",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-prometheus-remote-write-version",
];

/// How servers are reached over HTTP. `S` is a secret as it is written.
#[derive(Clone, Debug, Deserialize, Serialize)]
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
    /// Whether a message goes to where a 307 or 308 sends it.
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
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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

/// A mistake, which begins with its key.
type Wrong = String;

impl<S: AsRef<Secret>> HttpConfig<S> {
    /// Every file that it names.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let basic = self.basic_auth.iter_mut();
        let basic = basic.flat_map(|basic| basic.username_file.iter_mut().chain(&mut basic.password_file));
        let token = self.authorization.iter_mut();
        let token = token.flat_map(|token| token.credentials_file.iter_mut());
        let oauth2 = self.oauth2.iter_mut();
        let oauth2 = oauth2.flat_map(|oauth2| {
            let tls = oauth2.tls_config.iter_mut().flat_map(TlsConfig::files_mut);
            oauth2.client_secret_file.iter_mut().chain(tls)
        });
        let headers = self
            .http_headers
            .values_mut()
            .flat_map(|header| &mut header.files);
        let own = self.tls_config.iter_mut().flat_map(TlsConfig::files_mut);
        basic
            .chain(token)
            .chain(oauth2)
            .chain(headers)
            .chain(own)
            .chain(&mut self.bearer_token_file)
    }

    /// What it comes to; paths are meant from `base`.
    ///
    /// # Errors
    /// The first mistake, which begins with its key.
    pub fn read(&self, base: &Path) -> Result<Reach, Wrong> {
        Ok(Reach {
            credential: self.credential(base)?,
            headers: self.headers(base)?,
            trust: trust(self.tls_config.as_ref(), base).map_err(|why| format!("tls_config.{why}"))?,
            proxy: ProxyWords {
                url: self.proxy_url.as_ref(),
                no_proxy: self.no_proxy.as_deref(),
                from_environment: self.proxy_from_environment,
                connect_header: &self.proxy_connect_header,
            }
            .read()?,
            follows_redirects: self.follow_redirects,
        })
    }

    /// What is heeded and yet worth a word.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let tls = [
            ("", self.tls_config.as_ref()),
            (
                "oauth2.",
                self.oauth2.as_ref().and_then(|oauth2| oauth2.tls_config.as_ref()),
            ),
        ];
        let tls = tls
            .into_iter()
            .filter(|(_, tls)| tls.is_some_and(|tls| tls.insecure_skip_verify));
        let notes = tls.map(|(place, _)| {
            format!(
                "{place}tls_config.insecure_skip_verify: any certificate is taken, so whoever is in between reads \
                 along; name the authority in ca_file"
            )
        });
        notes.collect()
    }

    fn credential(&self, base: &Path) -> Result<Credential, Wrong> {
        let bearer = place(
            ("bearer_token", self.bearer_token.as_ref()),
            ("bearer_token_file", self.bearer_token_file.as_ref()),
            base,
        )?;
        let ways = [
            self.basic_auth.is_some(),
            self.authorization.is_some(),
            self.oauth2.is_some(),
            bearer.is_some(),
        ];
        if ways.iter().filter(|way| **way).count() > 1 {
            return Err(
                "authorization: at most one of basic_auth, authorization, oauth2 & bearer_token must be configured"
                    .to_owned(),
            );
        }
        if let Some(basic) = &self.basic_auth {
            return basic.read(base).map_err(|why| format!("basic_auth.{why}"));
        }
        if let Some(token) = &self.authorization {
            return token.read(base).map_err(|why| format!("authorization.{why}"));
        }
        if let Some(oauth2) = &self.oauth2 {
            let oauth2 = oauth2.read(base).map_err(|why| format!("oauth2.{why}"))?;
            return Ok(Credential::OAuth(Arc::new(oauth2)));
        }
        Ok(bearer.map_or(Credential::None, Credential::bearer))
    }

    fn headers(&self, base: &Path) -> Result<Vec<(String, Place)>, Wrong> {
        let mut all = Vec::new();
        for (name, header) in &self.http_headers {
            check_header(name, &RESERVED).map_err(|why| format!("http_headers: {why}"))?;
            let values = header
                .values
                .iter()
                .map(|value| Place::Here(Secret::plain(value)));
            let secrets = header
                .secrets
                .iter()
                .map(|secret| Place::Here(secret.as_ref().clone()));
            let files = header.files.iter().map(|file| Place::File(base.join(file)));
            for value in values.chain(secrets).chain(files) {
                check_value(&value).map_err(|why| format!("http_headers.{name}: {why}"))?;
                all.push((name.clone(), value));
            }
        }
        Ok(all)
    }
}

impl<S: AsRef<Secret>> Basic<S> {
    fn read(&self, base: &Path) -> Result<Credential, Wrong> {
        if !self.username.is_empty() && is_there(self.username_file.as_ref()) {
            return Err("username: at most one of username & username_file must be configured".to_owned());
        }
        let username = match self
            .username_file
            .as_ref()
            .filter(|file| !file.as_os_str().is_empty())
        {
            Some(file) => Place::File(base.join(file)),
            None => Place::Here(Secret::plain(&self.username)),
        };
        let password = place(
            ("password", self.password.as_ref()),
            ("password_file", self.password_file.as_ref()),
            base,
        )?;
        Ok(Credential::Basic {
            username,
            password: password.unwrap_or_default(),
        })
    }
}

impl<S: AsRef<Secret>> Token<S> {
    fn read(&self, base: &Path) -> Result<Credential, Wrong> {
        let scheme = match self.kind.trim() {
            "" => "Bearer",
            scheme => scheme,
        };
        if scheme.eq_ignore_ascii_case("basic") {
            return Err("type: cannot be set to \"basic\", use \"basic_auth\" instead".to_owned());
        }
        if !scheme.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("type: {scheme:?} is not one word"));
        }
        let credentials = place(
            ("credentials", self.credentials.as_ref()),
            ("credentials_file", self.credentials_file.as_ref()),
            base,
        )?;
        Ok(Credential::Token {
            scheme: scheme.to_owned(),
            credentials: credentials.unwrap_or_default(),
        })
    }
}

impl<S: AsRef<Secret>> OAuth2<S> {
    fn read(&self, base: &Path) -> Result<OAuth, Wrong> {
        if !matches!(self.grant_type.as_str(), "" | "client_credentials") {
            return Err(format!(
                "grant_type: {:?} is not supported; only client_credentials is",
                self.grant_type
            ));
        }
        if self.client_id.is_empty() {
            return Err("client_id: must be configured".to_owned());
        }
        if self.token_url.is_empty() {
            return Err("token_url: must be configured".to_owned());
        }
        if !is_http(&self.token_url) {
            return Err("token_url: not an http:// or https:// URL".to_owned());
        }
        let secret = place(
            ("client_secret", self.client_secret.as_ref()),
            ("client_secret_file", self.client_secret_file.as_ref()),
            base,
        )?;
        Ok(OAuth::new(Asked {
            client_id: self.client_id.clone(),
            client_secret: secret.unwrap_or_default(),
            token_url: self.token_url.clone(),
            scopes: self.scopes.clone(),
            parameters: self.endpoint_params.clone(),
            trust: trust(self.tls_config.as_ref(), base).map_err(|why| format!("tls_config.{why}"))?,
            proxy: ProxyWords {
                url: self.proxy_url.as_ref(),
                no_proxy: self.no_proxy.as_deref(),
                from_environment: self.proxy_from_environment,
                connect_header: &self.proxy_connect_header,
            }
            .read()?,
        }))
    }
}

impl<S: AsRef<Secret>> TlsConfig<S> {
    fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let files = self.ca_file.iter_mut().chain(&mut self.cert_file);
        files.chain(&mut self.key_file)
    }
}

fn trust<S: AsRef<Secret>>(tls: Option<&TlsConfig<S>>, base: &Path) -> Result<Trust, Wrong> {
    let Some(tls) = tls else {
        return Ok(Trust::default());
    };
    let [ca, cert] = [&tls.ca, &tls.cert].map(|text| text.as_deref().map(Secret::plain));
    let authorities = place(("ca", ca.as_ref()), ("ca_file", tls.ca_file.as_ref()), base)?;
    let certificate = place(
        ("cert", cert.as_ref()),
        ("cert_file", tls.cert_file.as_ref()),
        base,
    )?;
    let key = place(
        ("key", tls.key.as_ref()),
        ("key_file", tls.key_file.as_ref()),
        base,
    )?;
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(
                "key: exactly one of key or key_file must be configured with a client certificate".to_owned(),
            );
        }
        (None, Some(_)) => {
            return Err(
                "cert: exactly one of cert or cert_file must be configured with a client key".to_owned(),
            );
        }
    };
    let oldest = match tls.min_version.as_deref() {
        None | Some("" | "TLS10" | "TLS11" | "TLS12") => None,
        Some("TLS13") => Some(TlsVersion::V13),
        Some(other) => return Err(format!("min_version: unknown TLS version: {other}")),
    };
    let newest = match tls.max_version.as_deref() {
        None | Some("" | "TLS13") => None,
        Some("TLS12") => Some(TlsVersion::V12),
        Some("TLS10" | "TLS11") => {
            return Err(
                "max_version: nothing older than TLS12 is spoken; raise it, or take it out".to_owned(),
            );
        }
        Some(other) => return Err(format!("max_version: unknown TLS version: {other}")),
    };
    if oldest > newest && newest.is_some() {
        return Err("max_version: is older than min_version".to_owned());
    }
    let trust = Trust {
        authorities,
        identity,
        server_name: tls.server_name.clone().filter(|name| !name.is_empty()),
        takes_any: tls.insecure_skip_verify,
        oldest,
        newest,
    };
    // What stands here can be looked at before it is needed; files may come later.
    trust.check()?;
    Ok(trust)
}

/// What is said of a proxy, in two places by the same keys.
struct ProxyWords<'a, S> {
    url: Option<&'a S>,
    no_proxy: Option<&'a str>,
    from_environment: Option<bool>,
    connect_header: &'a BTreeMap<String, Vec<S>>,
}

impl<S: AsRef<Secret>> ProxyWords<'_, S> {
    fn read(self) -> Result<ProxyPlan, Wrong> {
        let url = self.url.map(AsRef::as_ref).filter(|url| !url.is_empty());
        let no_proxy = self.no_proxy.unwrap_or_default();
        let reads_environment = self.from_environment == Some(true);
        if !self.connect_header.is_empty() && url.is_none() {
            return Err(
                "proxy_connect_header: is sent to the proxy of proxy_url, which must also be configured"
                    .to_owned(),
            );
        }
        if reads_environment && url.is_some() {
            return Err(
                "proxy_from_environment: if it is configured, proxy_url must not be configured".to_owned(),
            );
        }
        if url.is_none() && !no_proxy.is_empty() {
            return Err("no_proxy: if it is configured, proxy_url must also be configured".to_owned());
        }
        let Some(url) = url else {
            return Ok(match self.from_environment {
                Some(false) => ProxyPlan::None,
                _ => ProxyPlan::Environment,
            });
        };
        if !is_http(url.expose()) {
            let scheme = url.expose().split_once("://").map_or("", |(scheme, _)| scheme);
            return Err(match scheme {
                "socks5" | "socks5h" | "socks4" | "socks" => format!(
                    "proxy_url: {scheme} is not supported; name an http:// or https:// proxy, or reach this receiver \
                     without one"
                ),
                _ => "proxy_url: not an http:// or https:// URL".to_owned(),
            });
        }
        let mut connect_headers = Vec::new();
        for (name, values) in self.connect_header {
            check_header(name, &["host"]).map_err(|why| format!("proxy_connect_header: {why}"))?;
            for value in values {
                let value = value.as_ref().clone();
                check_value(&Place::Here(value.clone()))
                    .map_err(|why| format!("proxy_connect_header.{name}: {why}"))?;
                connect_headers.push((name.clone(), value));
            }
        }
        Ok(ProxyPlan::At {
            url: url.clone(),
            no_proxy: no_proxy.to_owned(),
            connect_headers,
        })
    }
}

fn is_there(file: Option<&PathBuf>) -> bool {
    file.is_some_and(|file| !file.as_os_str().is_empty())
}

/// Here, or in a file, or nowhere; not both.
fn place<S: AsRef<Secret>>(
    here: (&str, Option<&S>),
    file: (&str, Option<&PathBuf>),
    base: &Path,
) -> Result<Option<Place>, Wrong> {
    let secret = here.1.map(AsRef::as_ref).filter(|secret| !secret.is_empty());
    let path = file.1.filter(|_| is_there(file.1));
    match (secret, path) {
        (Some(_), Some(_)) => {
            let (here, file) = (here.0, file.0);
            Err(format!(
                "{here}: at most one of {here} & {file} must be configured"
            ))
        }
        (Some(secret), None) => Ok(Some(Place::Here(secret.clone()))),
        (None, Some(path)) => Ok(Some(Place::File(base.join(path)))),
        (None, None) => Ok(None),
    }
}

fn check_header(name: &str, reserved: &[&str]) -> Result<(), Wrong> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("{name:?} cannot be the name of a header"));
    }
    if reserved.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("setting header {name:?} is not allowed"));
    }
    Ok(())
}

fn check_value(value: &Place) -> Result<(), Wrong> {
    match value {
        Place::Here(value)
            if value
                .expose()
                .chars()
                .any(|letter| letter.is_control() && letter != '\t') =>
        {
            Err("a value has a line break or a control letter in it".to_owned())
        }
        _ => Ok(()),
    }
}

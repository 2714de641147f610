//! From what is written in `http_config` to what is used, and every mistake on the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::way::TlsVersion;

use super::{Basic, HttpConfig, OAuth2, TlsConfig, Token};
use crate::oauth::{Asked, OAuth};
use crate::reach::{Credential, ProxyPlan, Reach, Trust};
use crate::{Place, Secret, is_http};

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

    /// What is wrong with it, each a sentence that begins with its key: also what can be sent and says nothing to anybody. Paths
    /// are meant from where we run.
    #[must_use]
    pub fn check(&self) -> Vec<Wrong> {
        if let Err(why) = self.read(Path::new("")) {
            return vec![why];
        }
        let mut wrong = Vec::new();
        if let Some(basic) = &self.basic_auth {
            let name = basic.username.as_str();
            if name.is_empty() && !is_there(basic.username_file.as_ref()) {
                wrong.push("basic_auth.username: missing".to_owned());
            } else if name.contains(':') || name.chars().any(char::is_control) {
                wrong.push("basic_auth.username: cannot have a colon or a line break in it".to_owned());
            }
            if !is_said(basic.password.as_ref(), basic.password_file.as_ref()) {
                wrong.push("basic_auth: neither password nor password_file is set".to_owned());
            }
        }
        if let Some(token) = &self.authorization
            && !is_said(token.credentials.as_ref(), token.credentials_file.as_ref())
        {
            wrong.push("authorization: neither credentials nor credentials_file is set".to_owned());
        }
        wrong
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
                    "proxy_url: {scheme} is not supported; name an http:// or https:// proxy, or do without one"
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

fn is_said<S: AsRef<Secret>>(here: Option<&S>, file: Option<&PathBuf>) -> bool {
    here.is_some_and(|secret| !secret.as_ref().is_empty()) || is_there(file)
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

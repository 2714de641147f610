//! Before the first line: which OpenSearch it is, and the template and the policy in place.
//!
//! Without the right to write them lines are sent all the same, and what is missing is said.

use std::time::Duration;

use model::outside::{self, Client, Request};
use model::way::{Proxy, Way};
use net::{Backoff, Via};
use opensearch::auth::ClientCertificate;
use opensearch::cert::{Certificate, CertificateValidation};
use opensearch::http::headers::{HeaderMap, HeaderName, HeaderValue};
use opensearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use opensearch::http::{Method, Url};
use serde_json::Value;
use tracing::{info, warn};

use super::config::Config;
use super::flight::Destination;
use super::template::{self, MAKER, Version};

const TIMEOUT: Duration = Duration::from_secs(20);
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(60);
/// Longest answer read, where its length is said.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Returns when lines can be sent.
pub(crate) async fn prepare(destination: &Destination) {
    let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MOST);
    loop {
        match attempt(&destination.config, &destination.reach, &*destination.client).await {
            Ok(notes) => {
                for note in notes {
                    warn!(sink = destination.config.name, "{note}");
                }
                return;
            }
            Err(why) => destination.common.say_trouble("setup", why),
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Who answers there and takes our credentials; nothing is put in place and no line sent.
///
/// # Errors
/// A sentence without secrets.
pub async fn ask(config: &Config, client: &dyn Client) -> Result<String, String> {
    let reach = config.reach()?;
    let via = reach.open(client, &|| true).await?;
    let version = Server::new(config, &via)?.version().await?;
    Ok(match version {
        Some((major, minor)) => format!("OpenSearch {major}.{minor} answers"),
        None => "it answers, and does not say its version".to_owned(),
    })
}

/// Puts in place what is missing; what cannot be is a note.
async fn attempt(config: &Config, reach: &net::Reach, client: &dyn Client) -> Result<Vec<String>, String> {
    let via = reach.open(client, &|| true).await?;
    let server = Server::new(config, &via)?;
    let version = server.version().await?;
    match version {
        Some((major, minor)) => info!(sink = config.name, "OpenSearch {major}.{minor} answers"),
        None => info!(
            sink = config.name,
            "OpenSearch answers, and does not say its version"
        ),
    }
    let mut notes = Vec::new();
    if config.template {
        notes.extend(server.put_template(config, version).await?);
    }
    if let Some(retention) = config.retention {
        notes.extend(server.put_policy(config, retention).await?);
    }
    Ok(notes)
}

/// An OpenSearch that is asked for other things than to take lines.
struct Server<'a> {
    transport: Transport,
    base: String,
    via: &'a Via<'a>,
}

/// Status and body of an answer.
struct Answer {
    status: u16,
    body: Value,
}

impl<'a> Server<'a> {
    /// # Errors
    /// A way that its client cannot go.
    fn new(config: &Config, via: &'a Via<'a>) -> Result<Self, String> {
        let url = Url::parse(&config.url).map_err(|error| format!("url: {error}"))?;
        let is_open = url.scheme() == "http";
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url)).timeout(TIMEOUT);
        if is_open {
            // No certificate is asked for, and so the machine need not have any.
            builder = builder.cert_validation(CertificateValidation::None);
        }
        if let Some(way) = via.way() {
            builder = by(builder, way, is_open)?;
        }
        Ok(Self {
            transport: builder.build().map_err(|error| error.to_string())?,
            base: config.url.trim_end_matches('/').to_owned(),
            via,
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        let bytes = body.map(|body| body.to_string().into_bytes());
        let headers = self
            .headers(method, path, bytes.clone().unwrap_or_default())
            .await?;
        let answer = self
            .transport
            .send(method, path, headers, None::<&()>, bytes, None)
            .await
            .map_err(|error| with_cause(&error))?;
        let status = answer.status_code().as_u16();
        if answer
            .content_length()
            .is_some_and(|length| length > ANSWER_BYTES_MAX)
        {
            return Err(format!(
                "the answer to {path} is longer than {ANSWER_BYTES_MAX} bytes"
            ));
        }
        let bytes = answer.bytes().await.map_err(|error| with_cause(&error))?;
        Ok(Answer {
            status,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        })
    }

    /// What says who we are, for a request that OpenSearch's own client sends.
    async fn headers(&self, method: Method, path: &str, body: Vec<u8>) -> Result<HeaderMap, String> {
        let request = Request {
            method: match method {
                Method::Put => outside::Method::Put,
                _ => outside::Method::Get,
            },
            url: format!("{}{path}", self.base),
            headers: Vec::new(),
            body: body.into(),
            timeout: TIMEOUT,
            answer_bytes_max: 0,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in self
            .via
            .headers(&request)
            .await
            .map_err(|error| error.to_string())?
        {
            let key = HeaderName::try_from(&name).map_err(|error| format!("header {name}: {error}"))?;
            let value =
                HeaderValue::try_from(value).map_err(|_| format!("header {name}: not fit for a header"))?;
            headers.insert(key, value);
        }
        Ok(headers)
    }

    /// `None` where it is not told: OpenSearch Serverless has no such page, and not everybody may look at it.
    async fn version(&self) -> Result<Option<Version>, String> {
        let answer = self.ask(Method::Get, "/", None).await?;
        match answer.status {
            200 => {
                let number = answer.body.pointer("/version/number").and_then(Value::as_str);
                let mut parts = number
                    .unwrap_or_default()
                    .split('.')
                    .map_while(|part| part.parse().ok());
                Ok(parts.next().zip(parts.next()))
            }
            403 | 404 => Ok(None),
            _ => Err(answer.told()),
        }
    }

    async fn put_template(
        &self,
        config: &Config,
        version: Option<Version>,
    ) -> Result<Option<String>, String> {
        let name = template::name(config);
        let path = format!("/_index_template/{name}");
        let want = template::template(config, version);
        let known = self.ask(Method::Get, &path, None).await?;
        let meta = known.body.pointer("/index_templates/0/index_template/_meta");
        match known.status {
            200 if meta == want.get("_meta") => return Ok(None),
            200 if meta.and_then(|meta| meta.get("made_by")) != Some(&Value::from(MAKER)) => {
                return Ok(Some(format!(
                    "the index template {name} is somebody else's and stays as it is"
                )));
            }
            200 | 404 | 401 | 403 => {}
            _ => return Err(known.told()),
        }
        let put = self.ask(Method::Put, &path, Some(&want)).await?;
        match put.status {
            200 | 201 => {
                info!(sink = config.name, template = name, "index template put in place");
                Ok(None)
            }
            400..=499 if put.status != 429 => Ok(Some(format!(
                "the index template {name} is not in place, fields are mapped as they come: {}",
                put.told()
            ))),
            _ => Err(put.told()),
        }
    }

    async fn put_policy(&self, config: &Config, retention: Duration) -> Result<Option<String>, String> {
        let name = template::name(config);
        let path = format!("/_plugins/_ism/policies/{name}");
        let want = template::policy(config, retention);
        let known = self.ask(Method::Get, &path, None).await?;
        let description = known.body.pointer("/policy/description").and_then(Value::as_str);
        let mut target = path.clone();
        match known.status {
            200 if description == want.pointer("/policy/description").and_then(Value::as_str) => {
                return Ok(None);
            }
            200 if !description.is_some_and(|text| text.starts_with(MAKER)) => {
                return Ok(Some(format!(
                    "the policy {name} is somebody else's and stays as it is"
                )));
            }
            200 => {
                let number = |key: &str| known.body.get(key).and_then(Value::as_u64).unwrap_or(0);
                let (seq, term) = (number("_seq_no"), number("_primary_term"));
                target = format!("{path}?if_seq_no={seq}&if_primary_term={term}");
            }
            400..=499 if known.status != 429 => {}
            _ => return Err(known.told()),
        }
        let put = self.ask(Method::Put, &target, Some(&want)).await?;
        match put.status {
            200 | 201 => {
                info!(sink = config.name, policy = name, "policy put in place");
                Ok(None)
            }
            // Another agent was quicker.
            409 => Ok(None),
            400..=499 if put.status != 429 => Ok(Some(format!(
                "the policy {name} is not in place, no index is ever deleted by it: {}",
                put.told()
            ))),
            _ => Err(put.told()),
        }
    }
}

impl Answer {
    fn told(&self) -> String {
        let error = self.body.get("error");
        let reason = error.and_then(|error| error.get("reason").unwrap_or(error).as_str());
        match reason {
            Some(reason) => format!("{}: {reason}", self.status),
            None if self.status == 401 => "status 401: our credentials are not taken".to_owned(),
            None => format!("status {}", self.status),
        }
    }
}

/// Gives OpenSearch's own client the way that our other requests take.
fn by(builder: TransportBuilder, way: &Way, is_open: bool) -> Result<TransportBuilder, String> {
    let tls = &way.tls;
    let mut builder = match &way.proxy {
        Proxy::Environment => builder,
        Proxy::None => builder.disable_proxy(),
        Proxy::At(server) => {
            let url = Url::parse(&server.url).map_err(|_| "proxy_url: no URL".to_owned())?;
            let (user, password) = (url.username().to_owned(), url.password().map(str::to_owned));
            let user = (!user.is_empty()).then_some(user);
            builder.proxy(url, user.as_deref(), password.as_deref())
        }
    };
    if is_open {
        return Ok(builder);
    }
    if tls.takes_any {
        builder = builder.cert_validation(CertificateValidation::None);
    } else if let Some(authorities) = &tls.authorities {
        let chain = Certificate::from_pem(authorities.as_bytes()).map_err(|error| format!("ca: {error}"))?;
        builder = builder.cert_validation(CertificateValidation::Full(chain));
    }
    if let Some(identity) = &tls.identity {
        let pem = format!("{}\n{}", identity.certificate, identity.key);
        builder = builder.auth(ClientCertificate::Pem(pem.into_bytes()).into());
    }
    Ok(builder)
}

/// The error with what lies behind it, of which its own text says nothing.
fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

//! The one HTTP client. It follows no redirects and repeats nothing; a body is read up to a limit.
//!
//! Most of its requests are scrapes without TLS, which a smaller client inside it does: see `plain`. Proxies and certificates of
//! one's own are those of `way`.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use model::BoxFuture;
use model::outside::{Client, ClientError, Method, Request, Response};
use model::way::Way;
use reqwest::Certificate;

use crate::names::Names;
use crate::plain::Plain;
use crate::way::Ways;

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
pub(crate) const IDLE_PER_HOST: usize = 2;
pub(crate) const AGENT: &str = concat!("skopos/", env!("CARGO_PKG_VERSION"));

/// Keeps connections open between requests. Certificates are read when the first `https` URL is asked,
/// so that a machine without a CA bundle can still speak `http`.
pub struct HttpClient {
    plain: Plain,
    /// For `http` through a proxy, or with a password in the URL.
    open: reqwest::Client,
    tls: OnceLock<Result<reqwest::Client, String>>,
    ways: Ways,
}

impl HttpClient {
    /// # Errors
    /// The client cannot be built at all.
    pub fn new() -> Result<Arc<Self>, String> {
        // An empty set of roots is allowed; it is never used for `https`.
        let open = builder()
            .tls_certs_only([])
            .build()
            .map_err(|error| chain(&error))?;
        Ok(Arc::new(Self {
            plain: Plain::new(),
            open,
            tls: OnceLock::new(),
            ways: Ways::default(),
        }))
    }

    /// Trusts the certificates in this file, and for `https` nobody else: for peers with an authority of their own.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub fn with_ca(path: &Path) -> Result<Arc<Self>, String> {
        let failed = |why: String| {
            format!(
                "reading the authority's certificates from {}: {why}",
                path.display()
            )
        };
        let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let trusted = Certificate::from_pem_bundle(&text).map_err(|error| failed(chain(&error)))?;
        if trusted.is_empty() {
            return Err(failed("there is none in it".to_owned()));
        }
        let tls = builder().tls_certs_only(trusted).build();
        let client = Self::new()?;
        // Nobody has asked it for anything yet, so the cell is empty.
        _ = client.tls.set(Ok(tls.map_err(|error| failed(chain(&error)))?));
        Ok(client)
    }

    fn client(&self, url: &str) -> Result<&reqwest::Client, ClientError> {
        if !url.starts_with("https:") {
            return Ok(&self.open);
        }
        let tls = self
            .tls
            .get_or_init(|| builder().build().map_err(|error| chain(&error)));
        tls.as_ref()
            .map_err(|error| ClientError::Connect(format!("TLS cannot be used: {error}")))
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .dns_resolver(Names::ours())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(AGENT)
}

impl Client for HttpClient {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        Box::pin(async move {
            let limit = request.timeout;
            match tokio::time::timeout(limit, self.exchange(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(ClientError::Timeout(limit)),
            }
        })
    }

    fn send_by(&self, way: &Arc<Way>, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        let way = Arc::clone(way);
        Box::pin(async move {
            let limit = request.timeout;
            match tokio::time::timeout(limit, self.ways.exchange(&way, request)).await {
                Ok(answer) => answer,
                Err(_) => Err(ClientError::Timeout(limit)),
            }
        })
    }
}

impl HttpClient {
    async fn exchange(&self, request: Request) -> Result<Response, ClientError> {
        if let Some(uri) = self.plain.takes(&request.url) {
            return self.plain.exchange(uri, request).await;
        }
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let mut call = self
            .client(&request.url)?
            .request(method, &request.url)
            .body(request.body);
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        let answer = call.send().await.map_err(|error| explain(&error))?;
        let status = answer.status().as_u16();
        let headers = answer.headers().iter();
        let headers = headers.map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        });
        let headers = headers.collect();
        let mut body = Vec::new();
        let mut parts = answer.bytes_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| explain(&error))?;
            if body.len() + part.len() > request.answer_bytes_max {
                return Err(ClientError::TooLong {
                    limit_bytes: request.answer_bytes_max,
                });
            }
            body.extend_from_slice(&part);
        }
        Ok(Response {
            status,
            headers,
            body,
        })
    }
}

fn explain(error: &reqwest::Error) -> ClientError {
    let why = chain(error);
    if error.is_builder() {
        ClientError::BadUrl(why)
    } else if error.is_connect() {
        ClientError::Connect(why)
    } else {
        ClientError::Broken(why)
    }
}

/// The URL is left out, for it may hold a secret.
fn chain(error: &reqwest::Error) -> String {
    let text = innermost(error);
    match error.url() {
        Some(url) => text.replace(url.as_str(), "the URL"),
        None => text,
    }
}

/// The innermost cause says most.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with `answer`, then holds the connection open.
    async fn peer(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = [0; 1024];
            _ = stream.read(&mut seen).await;
            _ = stream.write_all(answer).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        });
        format!("http://{address}/secret-path")
    }

    async fn ask(url: &str, answer_bytes_max: usize) -> Result<Response, ClientError> {
        let timeout = Duration::from_millis(500);
        let request = Request {
            method: Method::Get,
            url: url.to_owned(),
            headers: vec![],
            body: vec![].into(),
            timeout,
            answer_bytes_max,
        };
        HttpClient::new().unwrap().send(request).await
    }

    #[tokio::test]
    async fn an_answer_comes_with_status_headers_and_body() {
        let url = peer(b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno").await;
        let answer = ask(&url, 100).await.unwrap();
        assert_eq!(
            (answer.status, answer.header("retry-after"), &*answer.body),
            (429, Some("7"), &b"no"[..])
        );
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_cut_by_length_or_time() {
        let url = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nlonger than the limit").await;
        assert_eq!(
            ask(&url, 10).await.unwrap_err(),
            ClientError::TooLong { limit_bytes: 10 }
        );
        let url = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nx").await;
        assert_eq!(
            ask(&url, 100).await.unwrap_err(),
            ClientError::Timeout(Duration::from_millis(500))
        );
    }

    #[tokio::test]
    async fn errors_say_why_and_never_show_the_url() {
        let error = ask("http://127.0.0.1:1/secret-path", 10).await.unwrap_err();
        assert_eq!(error.reason(), "connect");
        assert!(
            error.to_string().contains("refused") && !error.to_string().contains("secret-path"),
            "{error}"
        );
        assert_eq!(ask("nonsense", 10).await.unwrap_err().reason(), "bad_url");
    }
}

//! Requests by another way than the usual one: through a proxy, or with certificates of one's own.
//!
//! What is for an `https` address goes through a tunnel, so that a proxy sees only where it leads; what is for an `http` address
//! it is handed whole. HTTP/1.1 is spoken. Nothing here follows redirects or repeats anything.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue, PROXY_AUTHORIZATION};
use http::uri::{Authority, Scheme};
use http::{HeaderName, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::BoxFuture;
use model::outside::{ClientError, Request, Response};
use model::way::{Proxy, Way};
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::client::{AGENT, CONNECT_TIMEOUT, IDLE_PER_HOST, IDLE_TIMEOUT, innermost};
use crate::names::Names;
use crate::no_proxy::NoProxy;
use crate::plain::{BUFFER_BYTES, exchange};
use crate::{basic, tls};

/// Ways whose connections are kept; beyond, the one that was taken longest ago is closed.
const WAYS_MAX: usize = 32;
/// Longest head of a proxy's answer.
const HEAD_BYTES_MAX: usize = 16 << 10;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Those that were taken lately, the last one last.
#[derive(Default)]
pub(crate) struct Ways {
    open: Mutex<Vec<(Arc<Way>, Arc<Opened>)>>,
}

impl Ways {
    pub(crate) async fn exchange(&self, way: &Arc<Way>, request: Request) -> Result<Response, ClientError> {
        let opened = self.open(way)?;
        opened.exchange(request).await
    }

    fn open(&self, way: &Arc<Way>) -> Result<Arc<Opened>, ClientError> {
        let mut open = self.open.lock();
        let known = open.iter().position(|(known, _)| known == way);
        let taken = match known {
            Some(nth) => open.remove(nth),
            None => (Arc::clone(way), Arc::new(Opened::new(way)?)),
        };
        let opened = Arc::clone(&taken.1);
        open.push(taken);
        if open.len() > WAYS_MAX {
            open.remove(0);
        }
        Ok(opened)
    }
}

struct Opened {
    client: Client<Dial, Full<Bytes>>,
    proxies: Arc<Proxies>,
}

impl Opened {
    fn new(way: &Way) -> Result<Self, ClientError> {
        let failed = |why| ClientError::Connect(format!("TLS cannot be used: {why}"));
        let tls = tls::config(&way.tls).map_err(failed)?;
        let proxies = Arc::new(Proxies::new(&way.proxy)?);
        let mut tcp = HttpConnector::new_with_resolver(Names::ours());
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let dial = Dial {
            tcp,
            tls: Arc::new(tls),
            server_name: way.tls.server_name.clone(),
            proxies: Arc::clone(&proxies),
        };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http1_max_buf_size(BUFFER_BYTES)
            .build(dial);
        Ok(Self { client, proxies })
    }

    async fn exchange(&self, mut request: Request) -> Result<Response, ClientError> {
        let (uri, user) = address(&request.url)?;
        let has_header = request
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(AUTHORIZATION.as_str()));
        if let Some(user) = user.filter(|_| !has_header) {
            request.headers.push((AUTHORIZATION.to_string(), user));
        }
        // Through a tunnel the proxy was told who we are when it was asked for it.
        if uri.scheme() == Some(&Scheme::HTTP)
            && let Some(proxy) = self.proxies.of(&uri)?
            && let Some(user) = proxy.user
        {
            request.headers.push((PROXY_AUTHORIZATION.to_string(), user));
        }
        exchange(&self.client, uri, request).await
    }
}

/// Where a URL leads, and who it says that we are.
fn address(url: &str) -> Result<(Uri, Option<String>), ClientError> {
    let bad = |why: &str| ClientError::BadUrl(why.to_owned());
    let url = reqwest::Url::parse(url).map_err(|error| bad(&error.to_string()))?;
    let user = user(&url);
    let mut bare = url;
    bare.set_fragment(None);
    if bare.set_username("").is_err() || bare.set_password(None).is_err() || !bare.has_host() {
        return Err(bad("it names no host"));
    }
    let uri: Uri = bare.as_str().parse().map_err(|_| bad("it is none of HTTP"))?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok((uri, user)),
        _ => Err(bad("it is neither http nor https")),
    }
}

/// User and password of a URL, as a header has them.
fn user(url: &reqwest::Url) -> Option<String> {
    let (name, password) = (url.username(), url.password());
    (!name.is_empty() || password.is_some())
        .then(|| basic(&unescaped(name), &unescaped(password.unwrap_or_default())))
}

/// What stands for `%41`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let code = rest
            .strip_prefix('%')
            .and_then(|after| u8::from_str_radix(after.get(..2)?, 16).ok());
        if let Some(code) = code {
            bytes.push(code);
            rest = rest.get(3..).unwrap_or_default();
        } else {
            let length = letter.len_utf8();
            bytes.extend_from_slice(rest.get(..length).unwrap_or_default().as_bytes());
            rest = rest.get(length..).unwrap_or_default();
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Which proxy stands before which address.
enum Proxies {
    Environment(Matcher),
    None,
    One {
        hop: Hop,
        no_proxy: NoProxy,
        connect_headers: Vec<(HeaderName, HeaderValue)>,
    },
}

/// A proxy, and who we are to it.
#[derive(Clone)]
struct Hop {
    uri: Uri,
    user: Option<String>,
}

impl Proxies {
    fn new(proxy: &Proxy) -> Result<Self, ClientError> {
        let server = match proxy {
            Proxy::Environment => return Ok(Self::Environment(Matcher::from_env())),
            Proxy::None => return Ok(Self::None),
            Proxy::At(server) => server,
        };
        let (uri, user) = address(&server.url).map_err(|error| match error {
            ClientError::BadUrl(why) => ClientError::BadUrl(format!("that of the proxy: {why}")),
            other => other,
        })?;
        let headers = server.connect_headers.iter().map(|(name, value)| {
            let bad = || ClientError::BadUrl(format!("the proxy's header {name:?} cannot be sent"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            Ok((name, HeaderValue::from_str(value).map_err(|_| bad())?))
        });
        Ok(Self::One {
            hop: Hop { uri, user },
            no_proxy: NoProxy::new(&server.no_proxy),
            connect_headers: headers.collect::<Result<_, ClientError>>()?,
        })
    }

    fn of(&self, uri: &Uri) -> Result<Option<Hop>, ClientError> {
        match self {
            Self::None => Ok(None),
            Self::Environment(known) => {
                let Some(found) = known.intercept(uri) else {
                    return Ok(None);
                };
                if !matches!(found.uri().scheme_str(), Some("http" | "https")) {
                    return Err(ClientError::BadUrl(
                        "the environment's proxy is neither an http:// nor an https:// one".to_owned(),
                    ));
                }
                let user = found.basic_auth().and_then(|user| user.to_str().ok());
                Ok(Some(Hop {
                    uri: found.uri().clone(),
                    user: user.map(str::to_owned),
                }))
            }
            Self::One { hop, no_proxy, .. } => {
                let host = uri.host().unwrap_or_default();
                let is_direct = no_proxy.has(bare(host), port(uri));
                Ok((!is_direct).then(|| hop.clone()))
            }
        }
    }

    fn connect_headers(&self) -> &[(HeaderName, HeaderValue)] {
        match self {
            Self::One { connect_headers, .. } => connect_headers,
            _ => &[],
        }
    }
}

/// Without the brackets of IPv6.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

fn port(uri: &Uri) -> u16 {
    let usual = if is_tls(uri) { 443 } else { 80 };
    uri.port_u16().unwrap_or(usual)
}

fn is_tls(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTPS)
}

/// Makes connections.
#[derive(Clone)]
struct Dial {
    tcp: HttpConnector<Names>,
    tls: Arc<rustls::ClientConfig>,
    server_name: Option<String>,
    proxies: Arc<Proxies>,
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Line>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<TokioIo<Line>, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move { dial.connect(&uri).await.map(TokioIo::new) })
    }
}

impl Dial {
    async fn connect(self, uri: &Uri) -> Result<Line, Failure> {
        let Some(proxy) = self.proxies.of(uri)? else {
            let io = self.tcp(uri).await?;
            let io = if is_tls(uri) {
                self.hide(io, uri).await?
            } else {
                io
            };
            return Ok(Line {
                io,
                is_proxied: false,
            });
        };
        let reached = async {
            let io = self.tcp(&proxy.uri).await?;
            if is_tls(&proxy.uri) {
                return self.hide(io, &proxy.uri).await;
            }
            Ok(io)
        };
        let mut io = reached.await.map_err(|error| {
            let host = proxy.uri.host().unwrap_or_default();
            format!("the proxy {host}:{}: {}", port(&proxy.uri), innermost(&*error))
        })?;
        if !is_tls(uri) {
            return Ok(Line { io, is_proxied: true });
        }
        self.tunnel(&mut io, uri, proxy.user.as_deref()).await?;
        let io = self.hide(io, uri).await?;
        Ok(Line {
            io,
            is_proxied: false,
        })
    }

    async fn tcp(&self, uri: &Uri) -> Result<Box<dyn Duplex>, Failure> {
        let stream = self.tcp.clone().call(uri.clone()).await?;
        Ok(Box::new(stream.into_inner()))
    }

    async fn hide(&self, io: Box<dyn Duplex>, uri: &Uri) -> Result<Box<dyn Duplex>, Failure> {
        let host = bare(uri.host().unwrap_or_default());
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|_| "the server's name is none that TLS knows")?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, io)
            .await?;
        Ok(Box::new(stream))
    }

    /// Asks a proxy for a way through to an address.
    async fn tunnel(&self, io: &mut Box<dyn Duplex>, uri: &Uri, user: Option<&str>) -> Result<(), Failure> {
        let host = uri.host().unwrap_or_default();
        let target: Authority = format!("{host}:{}", port(uri)).parse()?;
        let mut asked =
            format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {AGENT}\r\n").into_bytes();
        if let Some(user) = user {
            asked.extend_from_slice(format!("Proxy-Authorization: {user}\r\n").as_bytes());
        }
        for (name, value) in self.proxies.connect_headers() {
            asked.extend_from_slice(name.as_str().as_bytes());
            asked.extend_from_slice(b": ");
            asked.extend_from_slice(value.as_bytes());
            asked.extend_from_slice(b"\r\n");
        }
        asked.extend_from_slice(b"\r\n");
        io.write_all(&asked).await?;
        let mut head = Vec::new();
        let mut buffer = [0; 1024];
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let length = io.read(&mut buffer).await?;
            if length == 0 || head.len() + length > HEAD_BYTES_MAX {
                return Err("the proxy answers with something else than HTTP".into());
            }
            head.extend_from_slice(buffer.get(..length).unwrap_or_default());
        }
        let line = String::from_utf8_lossy(&head);
        let line = line.lines().next().unwrap_or_default();
        let said = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split_once(' '));
        let (_, said) = said.ok_or("the proxy answers with something else than HTTP")?;
        if !said.starts_with('2') {
            let said: String = said
                .chars()
                .filter(|letter| !letter.is_control())
                .take(80)
                .collect();
            return Err(format!("the proxy lets nobody through to {target}: {said}").into());
        }
        // The other side of a tunnel says nothing before we do.
        if head.ends_with(b"\r\n\r\n") {
            Ok(())
        } else {
            Err("the proxy speaks within the tunnel".into())
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

struct Line {
    io: Box<dyn Duplex>,
    /// A proxy reads the requests, and wants the whole address in each.
    is_proxied: bool,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line")
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_proxied)
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

//! Requests without TLS, over connections that are kept open and hold next to nothing.
//!
//! A node keeps a connection to each of its many targets. The general client lets what reads from one grow with the
//! longest body that ever came over it, and keeps it so: with a hundred targets that was more than all their series.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, USER_AGENT};
use http::{HeaderName, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Body as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use model::outside::{ClientError, Method, Request, Response};

use crate::client::{AGENT, CONNECT_TIMEOUT, IDLE_PER_HOST, IDLE_TIMEOUT, innermost};
use crate::names::Names;

/// Room for reading from a connection, which is also the longest head of an answer.
pub(crate) const BUFFER_BYTES: usize = 16 << 10;
/// Room made for an answer at once because it says that it is so long.
const BELIEVED_BYTES: usize = 1 << 20;
/// Tells the kernel to look whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

pub(crate) struct Plain {
    client: Client<HttpConnector<Names>, Full<Bytes>>,
    proxies: Matcher,
}

impl Plain {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new_with_resolver(Names::ours());
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http1_max_buf_size(BUFFER_BYTES)
            .build(connector);
        Self {
            client,
            proxies: Matcher::from_env(),
        }
    }

    /// Where a request goes if it is one for this client: neither TLS nor a proxy nor a password in its URL.
    pub(crate) fn takes(&self, url: &str) -> Option<Uri> {
        let has_user = |uri: &Uri| {
            uri.authority()
                .is_some_and(|authority| authority.as_str().contains('@'))
        };
        let uri: Uri = url.parse().ok()?;
        let is_ours = uri.scheme_str() == Some("http") && !has_user(&uri);
        (is_ours && self.proxies.intercept(&uri).is_none()).then_some(uri)
    }

    pub(crate) async fn exchange(&self, uri: Uri, request: Request) -> Result<Response, ClientError> {
        exchange(&self.client, uri, request).await
    }
}

/// One request over whatever connections the client makes; the answer is read up to its limit and unpacked.
pub(crate) async fn exchange<C>(
    client: &Client<C, Full<Bytes>>,
    uri: Uri,
    request: Request,
) -> Result<Response, ClientError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let limit_bytes = request.answer_bytes_max;
    let answer = client.request(asked(uri, request)?);
    let answer = answer.await.map_err(|error| {
        let why = innermost(&error);
        if error.is_connect() {
            ClientError::Connect(why)
        } else {
            ClientError::Broken(why)
        }
    })?;
    let (head, mut parts) = answer.into_parts();
    let is_packed = head
        .headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    // An answer without a body may say all the same how one would be packed.
    let is_packed = is_packed && !parts.is_end_stream();
    let said = parts.size_hint().exact().unwrap_or(0);
    let said = usize::try_from(said).unwrap_or(usize::MAX);
    let mut body = Unpacked::new(is_packed, said, limit_bytes);
    while let Some(part) = parts.frame().await {
        let part = part.map_err(|error| ClientError::Broken(innermost(&error)))?;
        if let Some(part) = part.data_ref() {
            body.add(part)?;
        }
    }
    // What was unpacked is no longer what these say it is.
    let said = |name: &HeaderName| !(is_packed && (name == CONTENT_ENCODING || name == CONTENT_LENGTH));
    let headers = head.headers.iter().filter(|(name, _)| said(name));
    let headers = headers.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    Ok(Response {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: body.end()?,
    })
}

fn asked(uri: Uri, request: Request) -> Result<http::Request<Full<Bytes>>, ClientError> {
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
    };
    let mut asked = http::Request::builder().method(method).uri(uri);
    for (name, value) in &request.headers {
        asked = asked.header(name, value);
    }
    let body = Full::new(request.body);
    let asked = asked.body(body);
    let mut asked = asked.map_err(|error| ClientError::BadUrl(error.to_string()))?;
    for (name, value) in [(USER_AGENT, AGENT), (ACCEPT_ENCODING, "gzip")] {
        let headers = asked.headers_mut();
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok(asked)
}

/// What comes, unpacked as it comes; never longer than its limit.
enum Unpacked {
    Plain(Limited),
    Packed(Box<MultiGzDecoder<Limited>>),
}

struct Limited {
    bytes: Vec<u8>,
    limit_bytes: usize,
    is_over: bool,
}

impl Write for Limited {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + part.len() > self.limit_bytes {
            self.is_over = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Unpacked {
    /// `said` is how long it is said to be as it comes; 0 is nothing.
    fn new(is_packed: bool, said: usize, limit_bytes: usize) -> Self {
        let mut limited = Limited {
            bytes: Vec::new(),
            limit_bytes,
            is_over: false,
        };
        if is_packed {
            return Self::Packed(Box::new(MultiGzDecoder::new(limited)));
        }
        limited
            .bytes
            .reserve_exact(said.min(limit_bytes).min(BELIEVED_BYTES));
        Self::Plain(limited)
    }

    fn add(&mut self, part: &[u8]) -> Result<(), ClientError> {
        let (added, limited) = match self {
            Self::Plain(limited) => (limited.write_all(part), &*limited),
            Self::Packed(decoder) => (decoder.write_all(part), decoder.get_ref()),
        };
        added.map_err(|error| limited.failure(&error))
    }

    fn end(self) -> Result<Vec<u8>, ClientError> {
        match self {
            Self::Plain(limited) => Ok(limited.bytes),
            Self::Packed(mut decoder) => {
                let ended = decoder.try_finish();
                ended.map_err(|error| decoder.get_ref().failure(&error))?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
        }
    }
}

impl Limited {
    fn failure(&self, error: &std::io::Error) -> ClientError {
        if self.is_over {
            ClientError::TooLong {
                limit_bytes: self.limit_bytes,
            }
        } else {
            ClientError::Broken(format!("what came is no gzip: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(parts: &[&[u8]], limit_bytes: usize) -> Result<Vec<u8>, ClientError> {
        let mut body = Unpacked::new(true, 0, limit_bytes);
        for part in parts {
            body.add(part)?;
        }
        body.end()
    }

    #[test]
    fn a_packed_body_is_unpacked_up_to_the_limit() {
        let text = b"up 1\n".repeat(10_000);
        let whole = packed(&text);
        let (one, other) = whole.split_at(whole.len() / 2);
        assert_eq!(unpacked(&[one, other], text.len()), Ok(text.clone()));
        let twice = [text.as_slice(), &text].concat();
        assert_eq!(unpacked(&[&whole, &whole], twice.len()), Ok(twice));
        let limit_bytes = text.len() - 1;
        assert_eq!(
            unpacked(&[&whole], limit_bytes),
            Err(ClientError::TooLong { limit_bytes })
        );
    }

    #[test]
    fn what_is_cut_short_or_no_gzip_is_no_body() {
        let whole = packed(b"up 1\n");
        for parts in [&whole[..whole.len() - 9], &whole[..5], b"up 1\n"] {
            let answer = unpacked(&[parts], 1 << 20);
            assert!(matches!(answer, Err(ClientError::Broken(_))), "{answer:?}");
        }
    }

    #[test]
    fn only_plain_requests_are_taken() {
        let plain = Plain {
            proxies: Matcher::builder()
                .http("http://proxy:3128")
                .no("10.0.0.1")
                .build(),
            ..Plain::new()
        };
        assert!(plain.takes("http://10.0.0.1:8080/metrics?x=y#z").is_some());
        for url in [
            "http://elsewhere:8080/metrics",
            "https://10.0.0.1/metrics",
            "http://user:word@10.0.0.1/metrics",
            "10.0.0.1/metrics",
            "nonsense",
        ] {
            assert!(plain.takes(url).is_none(), "{url}");
        }
    }
}

//! Decides who is let in, and dresses every answer in security headers.
//!
//! A loopback listener is protected by its address alone, and a web page of anybody's can make a browser on
//! this machine call it. So the name it is called by must be this machine's (or a name server could point a
//! foreign name here), and a request that says where it comes from must come from our own page.
//!
//! Other processes that send samples or are our peer come with a credential instead, which [`crate::intake`] looks
//! at: they may come from anywhere, but never out of a browser.
//!
//! An agent on a node has the log lines of everything on it. Where it listens for others, these are shown probes and
//! metrics. Whoever comes over loopback to an open listener counts as this machine where the configuration says so: in a
//! pod that is who may forward a port to it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Uri};
use http::{Extensions, Method, StatusCode, Version};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;

use crate::measure::Measure;
use crate::refusal::Refusal;
use crate::{Config, intake};

/// Longest body of a request; a query is text that somebody wrote.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Questions that may come as a form, because they can be too long for a URL.
const READS_BY_POST: [&str; 7] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/query_exemplars",
    "/api/v1/series",
    "/api/v1/labels",
    "/api/v1/format_query",
    "/api/v1/parse_query",
];

const DRESS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

/// Where a connection came in; each request of it has this among its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// At an address that only this machine can call.
    pub(crate) loopback: bool,
}

impl Arrival {
    pub(crate) fn at(address: Option<SocketAddr>) -> Self {
        Self {
            loopback: address.is_some_and(|address| address.ip().to_canonical().is_loopback()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    loopback: bool,
    trust_loopback: bool,
    /// Callers from elsewhere are shown probes and metrics.
    reserved: bool,
    body_timeout: Duration,
}

impl Guard {
    pub(crate) fn new(config: &Config, address: SocketAddr, reserved: bool) -> Self {
        Self {
            loopback: Arrival::at(Some(address)).loopback,
            trust_loopback: config.trust_loopback,
            reserved,
            body_timeout: config.request_timeout,
        }
    }

    /// Whether this caller counts as being on this machine.
    pub(crate) fn is_local(self, extensions: &Extensions) -> bool {
        let arrival = extensions.get::<Arrival>();
        self.loopback || (self.trust_loopback && arrival.is_some_and(|arrival| arrival.loopback))
    }

    fn judge(self, request: &Request) -> Result<(), Refusal> {
        let local = self.is_local(request.extensions());
        let host = host(local, request)?;
        let path = request.uri().path();
        if intake::takes(path) {
            return no_browser(request.headers());
        }
        if self.reserved && !local && !is_open(path) {
            return Err(refused(
                "reserved",
                "an agent shows this on its own node only; forward a port to it (kubectl port-forward)",
            ));
        }
        if let Some(origin) = request.headers().get(header::ORIGIN) {
            check_origin(origin, host.as_ref())?;
        }
        if is_write(request.method(), path) {
            check_write(local, request.headers())?;
        }
        Ok(())
    }
}

fn host(local: bool, request: &Request) -> Result<Option<Authority>, Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() || (host.is_none() && request.version() >= Version::HTTP_11) {
        return Err(bad("a request needs one Host header"));
    }
    let host = match host {
        Some(text) => Some(authority(text).ok_or_else(|| bad("the Host header is no host name"))?),
        None => None,
    };
    let called = host.iter().chain(request.uri().authority());
    for name in called {
        if local && !is_this_machine(name) {
            return Err(refused(
                "host",
                format!(
                    "this address is only served as localhost, not as {name:?}; open http://localhost with its port"
                ),
            ));
        }
    }
    Ok(host)
}

fn check_write(local: bool, headers: &HeaderMap) -> Result<(), Refusal> {
    if !local {
        return Err(refused(
            "address",
            "changes are only taken on a loopback address; listen on 127.0.0.1, or in a pod forward a port to it and set web.trust_loopback",
        ));
    }
    // Sent by every browser of today, also where it leaves Origin out.
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(refused(
            "site",
            "changes are only taken from this server's own page",
        )),
    }
}

/// Refuses, or hands on the request with its whole body read; what [`intake`] takes it reads itself.
pub(crate) async fn check(
    State((guard, measure)): State<(Guard, Measure)>,
    request: Request,
    next: Next,
) -> Response {
    let judged = match guard.judge(&request) {
        Err(refusal) => {
            let (parts, body) = request.into_parts();
            intake::see_off(&parts.headers, body);
            Err(refusal)
        }
        Ok(()) if intake::takes(request.uri().path()) => Ok(request),
        Ok(()) => with_body(request, guard.body_timeout).await,
    };
    match judged {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.counted(&measure),
    }
}

/// Handlers see bodies that are complete, short and in memory; a slow or endless one ends here.
async fn with_body(request: Request, timeout: Duration) -> Result<Request, Refusal> {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok(Request::from_parts(parts, body));
    }
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Refusal::too_long(BODY_BYTES_MAX));
    }
    let whole = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(timeout, whole).await {
        Ok(Ok(whole)) => Ok(Request::from_parts(parts, Body::from(whole.to_bytes()))),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::too_long(BODY_BYTES_MAX)),
        Ok(Err(_)) => Err(Refusal::broken()),
        Err(_) => Err(Refusal::slow(timeout)),
    }
}

/// Adds the headers that a handler has not set itself.
pub(crate) async fn dress(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in DRESS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Shown to whoever asks, also by an agent: without lines, and without what is asked of the store.
fn is_open(path: &str) -> bool {
    path == "/metrics" || path.starts_with("/metrics/") || path == "/-/healthy" || path == "/-/ready"
}

fn is_write(method: &Method, path: &str) -> bool {
    let read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let asks = *method == Method::POST && READS_BY_POST.contains(&path);
    !read && !asks
}

/// A browser says so itself; a process that sends samples has no reason to look like one.
fn no_browser(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err(refused(
            "origin",
            "this is for other processes, not for web pages",
        ));
    }
    Ok(())
}

fn check_origin(origin: &HeaderValue, host: Option<&Authority>) -> Result<(), Refusal> {
    let origin: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
    let port = match origin.as_ref().and_then(Uri::scheme_str) {
        Some("https") => 443,
        _ => 80,
    };
    let place = |name: &Authority| (name.host().to_ascii_lowercase(), name.port_u16().unwrap_or(port));
    let from = origin
        .as_ref()
        .filter(|uri| uri.scheme().is_some())
        .and_then(Uri::authority)
        .map(place);
    if from.is_some() && from == host.map(place) {
        Ok(())
    } else {
        Err(refused("origin", "pages of other origins are not answered"))
    }
}

fn authority(text: &HeaderValue) -> Option<Authority> {
    let name: Authority = text.to_str().ok()?.parse().ok()?;
    // The parser takes `127.0.0.1:80.evil.example` for the host 127.0.0.1 with an odd port.
    let has_port = name.as_str().len() > name.host().len();
    (!name.as_str().contains('@') && (!has_port || name.port_u16().is_some())).then_some(name)
}

fn is_this_machine(name: &Authority) -> bool {
    let host = name.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

fn refused(reason: &'static str, why: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, reason, why)
}

fn bad(why: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "malformed", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:9464";
    const OPEN: &str = "0.0.0.0:9464";

    fn guard(listen: &str, trust_loopback: bool, reserved: bool) -> Guard {
        let config = Config {
            trust_loopback,
            ..Config::default()
        };
        Guard::new(&config, listen.parse().unwrap(), reserved)
    }

    fn judge(listen: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        judge_at(guard(listen, false, false), None, method, path, headers)
    }

    /// Of a connection that came in at this address.
    fn judge_at(
        guard: Guard,
        arrived: Option<&str>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(address) = arrived {
            request = request.extension(Arrival::at(Some(address.parse().unwrap())));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        guard
            .judge(&request)
            .map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_loopback_listener_answers_to_this_machines_names_only() {
        let asked = |host| judge(LOOPBACK, "GET", "/", &[("host", host)]);
        for host in [
            "localhost",
            "LocalHost:9464",
            "127.0.0.1:9464",
            "127.0.0.1",
            "[::1]:9464",
            "[::1]",
            "localhost:8080",
        ] {
            assert_eq!(asked(host), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:9464",
            "localhost.",
        ] {
            assert_eq!(asked(host), 403, "{host}");
        }
        for host in ["", "a b", "localhost@evil.example"] {
            assert_eq!(asked(host), 400, "{host}");
        }
        assert_eq!(judge(LOOPBACK, "GET", "/", &[]), 400);
        assert_eq!(
            judge(
                LOOPBACK,
                "GET",
                "/",
                &[("host", "localhost"), ("host", "evil.example")]
            ),
            400
        );
        assert_eq!(
            judge(LOOPBACK, "GET", "http://evil.example/", &[("host", "localhost")]),
            403
        );
        assert_eq!(
            judge("[::ffff:127.0.0.1]:9464", "GET", "/", &[("host", "evil.example")]),
            403
        );
        assert_eq!(judge(OPEN, "GET", "/", &[("host", "skopos.example:9464")]), 200);
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let asked = |host, origin| judge(LOOPBACK, "GET", "/", &[("host", host), ("origin", origin)]);
        assert_eq!(asked("localhost:9464", "http://localhost:9464"), 200);
        assert_eq!(asked("LOCALHOST", "http://localhost"), 200);
        assert_eq!(asked("localhost", "http://localhost:80"), 200);
        assert_eq!(asked("localhost", "https://localhost:443"), 200);
        for origin in [
            "http://evil.example",
            "http://localhost:3000",
            "http://127.0.0.1:9464",
            "null",
            "localhost:9464",
            "",
        ] {
            assert_eq!(asked("localhost:9464", origin), 403, "{origin}");
        }
        let open = [("host", "skopos.example:9464"), ("origin", "http://evil.example")];
        assert_eq!(judge(OPEN, "GET", "/", &open), 403);
    }

    #[test]
    fn changes_come_from_our_own_page_over_loopback() {
        let host = ("host", "localhost:9464");
        let write = |site| judge(LOOPBACK, "POST", "/-/reload", &[host, ("sec-fetch-site", site)]);
        assert_eq!((write("same-origin"), write("none")), (200, 200));
        assert_eq!((write("cross-site"), write("same-site")), (403, 403));
        assert_eq!(judge(LOOPBACK, "POST", "/-/reload", &[host]), 200);
        assert_eq!(judge(OPEN, "POST", "/-/reload", &[host]), 403);
        assert_eq!(judge(OPEN, "PUT", "/api/v1/query", &[host]), 403);
        assert_eq!(judge(OPEN, "POST", "/api/v1/query", &[host]), 200);
        let foreign = [host, ("sec-fetch-site", "cross-site")];
        assert_eq!(judge(LOOPBACK, "POST", "/api/v1/query_range", &foreign), 200);
    }

    #[test]
    fn other_processes_may_write_from_anywhere_but_not_out_of_a_browser() {
        for path in ["/api/v1/write", "/peer/v1/hello", "/api/v1/logs/tail"] {
            let asked = |listen, headers: &[(&str, &str)]| judge(listen, "POST", path, headers);
            assert_eq!(asked(OPEN, &[("host", "10.0.0.1:9464")]), 200);
            assert_eq!(asked(OPEN, &[("host", "skopos-0.skopos:9464")]), 200);
            assert_eq!(asked(LOOPBACK, &[("host", "127.0.0.1:9464")]), 200);
            assert_eq!(asked(LOOPBACK, &[("host", "evil.example")]), 403);
            let host = ("host", "localhost:9464");
            assert_eq!(asked(LOOPBACK, &[host, ("origin", "http://localhost:9464")]), 403);
            assert_eq!(asked(LOOPBACK, &[host, ("sec-fetch-site", "same-origin")]), 403);
            assert_eq!(asked(OPEN, &[host, ("origin", "null")]), 403);
        }
        // Only these; whatever looks like them is a change, and those are not taken here.
        for path in [
            "/api/v1/write/",
            "/api/v1//write",
            "/peer",
            "/peer/v2/hello",
            "/peer/v1/",
        ] {
            assert_eq!(judge(OPEN, "POST", path, &[("host", "a")]), 403, "{path}");
        }
    }

    #[test]
    fn an_agent_shows_others_probes_and_metrics_and_this_machine_the_rest() {
        let agent = guard(OPEN, true, true);
        let there = ("host", "10.0.3.7:9464");
        let asked = |arrived, method: &str, path: &str, host| judge_at(agent, arrived, method, path, &[host]);
        let open = [
            "/metrics",
            "/metrics/node",
            "/metrics/all",
            "/-/healthy",
            "/-/ready",
        ];
        for path in open {
            assert_eq!(asked(Some("10.0.3.7:9464"), "GET", path, there), 200, "{path}");
        }
        let shut = [
            "/",
            "/logs",
            "/logs?ns=shop&pod=cart-1",
            "/metricsx",
            "/api/v1/query?query=up",
            "/api/v1/doctor",
            "/api/v1/logs",
            "/federate",
            "/config",
            "/-/reload",
            "/-/healthy/",
        ];
        for path in shut {
            for method in ["GET", "POST"] {
                assert_eq!(asked(Some("10.0.3.7:9464"), method, path, there), 403, "{path}");
                // Whoever does not say how he came did not come over loopback.
                assert_eq!(asked(None, method, path, there), 403, "{path}");
            }
            let here = ("host", "localhost:9464");
            assert_eq!(asked(Some("127.0.0.1:9464"), "GET", path, here), 200, "{path}");
            // A name server may point a foreign name here.
            assert_eq!(asked(Some("127.0.0.1:9464"), "GET", path, there), 403, "{path}");
        }
        // With a token, which others look at.
        assert_eq!(
            asked(Some("10.0.3.7:9464"), "GET", "/api/v1/logs/tail", there),
            200
        );
        // Changes of this machine's people.
        let here = ("host", "[::1]:9464");
        assert_eq!(asked(Some("[::1]:9464"), "POST", "/-/reload", here), 200);
    }

    #[test]
    fn over_loopback_to_an_open_listener_people_may_write_where_it_is_trusted() {
        let here = ("host", "localhost:9464");
        let write = |trusts, arrived, header| {
            judge_at(
                guard(OPEN, trusts, false),
                Some(arrived),
                "POST",
                "/-/reload",
                &[header],
            )
        };
        assert_eq!(write(true, "127.0.0.1:9464", here), 200);
        assert_eq!(write(true, "[::ffff:127.0.0.1]:9464", here), 200);
        assert_eq!(write(true, "10.0.3.7:9464", here), 403);
        assert_eq!(write(false, "127.0.0.1:9464", here), 403);
        // As on a loopback listener: no other name, and no other page.
        assert_eq!(write(true, "127.0.0.1:9464", ("host", "evil.example")), 403);
        let foreign = [here, ("origin", "http://evil.example")];
        let trusting = guard(OPEN, true, false);
        assert_eq!(
            judge_at(trusting, Some("127.0.0.1:9464"), "GET", "/", &foreign),
            403
        );
        // What a proxy beside it brings is looked at as ever where that is not trusted.
        let public = [("host", "skopos.example")];
        assert_eq!(
            judge_at(
                guard(OPEN, false, false),
                Some("127.0.0.1:9464"),
                "GET",
                "/",
                &public
            ),
            200
        );
        assert_eq!(
            judge_at(
                guard(OPEN, false, true),
                Some("127.0.0.1:9464"),
                "GET",
                "/logs",
                &public
            ),
            403
        );
    }
}

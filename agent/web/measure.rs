//! Counts what is asked of the server, by the route that answers.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus::{Gauge, HistogramVec, IntCounterVec, Registry};
use telemetry::metrics;
use tokio::time::Instant;

/// Route patterns are a closed set; a path that no route knows is counted under this word.
const NO_ROUTE: &str = "other";

#[derive(Clone)]
pub(crate) struct Measure {
    requests: IntCounterVec,
    duration: HistogramVec,
    pub(crate) connections: Gauge,
    pub(crate) refused: IntCounterVec,
    pub(crate) requests_refused: IntCounterVec,
}

impl Measure {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            requests: metrics::counters(
                registry,
                "skopos_web_requests_total",
                "HTTP requests answered, by route and status code.",
                &["handler", "code"],
            ),
            duration: metrics::histograms(
                registry,
                "skopos_web_request_duration_seconds",
                "Time from a request's headers to its answer's headers, by route.",
                &["handler"],
            ),
            connections: metrics::gauge(
                registry,
                "skopos_web_connections",
                "HTTP connections that are open now.",
            ),
            refused: metrics::counters(
                registry,
                "skopos_web_connections_refused_total",
                "Connections that were closed without being served, by reason.",
                &["reason"],
            ),
            requests_refused: metrics::counters(
                registry,
                "skopos_web_refused_total",
                "Requests that were refused before anything was done for them, by reason.",
                &["reason"],
            ),
        }
    }
}

pub(crate) async fn request(State(measure): State<Measure>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let handler = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let began = Instant::now();
    let response = next.run(request).await;
    measure
        .duration
        .with_label_values(&[handler])
        .observe(began.elapsed().as_secs_f64());
    measure
        .requests
        .with_label_values(&[handler, response.status().as_str()])
        .inc();
    response
}

//! What every view must say, and must never let through.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::IntoResponse;
use axum::routing::get;
use http_body_util::BodyExt;
use model::{Clock, Timestamp};

use super::made_up::{self, Standing, Story};
use super::*;

/// A server for eyes: `SKOPOS_LOOK=1 cargo test -p web look -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "serves until it is stopped"]
async fn look() {
    let clock: Arc<dyn Clock> = telemetry::clock::RuntimeClock::system();
    let now = clock.now();
    for (story, port, age) in [(Story::Calm, 9481, 48), (Story::Firing, 9482, 4000), (Story::Empty, 9483, 3)] {
        let rooms = made_up::rooms(story, Arc::clone(&clock), now - Duration::from_secs(age));
        let router = routes()
            .route("/api/v1/query_range", get(query_range))
            .layer(axum::middleware::map_response(dressed))
            .with_state(rooms);
        tokio::spawn(serve(port, router));
    }
    std::future::pending::<()>().await;
}

async fn dressed(mut response: Response) -> Response {
    let policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'";
    response.headers_mut().insert("content-security-policy", http::HeaderValue::from_static(policy));
    response
}

async fn serve(port: u16, router: Router) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    println!("http://localhost:{port}/");
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let io = hyper_util::rt::TokioIo::new(stream);
            drop(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await);
        });
    }
}

/// As much of the API as the graphs ask for.
async fn query_range(State(rooms): State<Rooms>, Query(asked): Query<Vec<(String, String)>>) -> Response {
    let asked = |name: &str| asked.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value).to_owned();
    let at = |name: &str| Timestamp::from_seconds(asked(name).parse().unwrap_or_default());
    let step = Duration::from_secs_f64(asked("step").parse().unwrap_or(15.0));
    let outcome = rooms.engine.range(&asked("query"), at("start"), at("end"), step).unwrap();
    let promql::Value::Matrix(lines) = outcome.value else { return "".into_response() };
    let result: Vec<_> = lines
        .iter()
        .map(|(labels, samples)| {
            let values: Vec<_> = samples.iter().map(|one| serde_json::json!([one.time.seconds(), one.value.to_string()])).collect();
            serde_json::json!({ "metric": labels, "values": values })
        })
        .collect();
    axum::Json(serde_json::json!({ "status": "success", "data": { "resultType": "matrix", "result": result } })).into_response()
}

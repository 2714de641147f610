//! `/-/healthy`, `/-/ready`, `/-/reload`: for whoever starts, restarts and configures us.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use http::StatusCode;

use crate::Rooms;

pub(crate) fn routes() -> Router<Rooms> {
    Router::new()
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload).put(reload).fallback(only_post))
}

async fn healthy() -> &'static str {
    "Skopos is healthy.\n"
}

async fn ready(State(rooms): State<Rooms>) -> (StatusCode, String) {
    match (rooms.ready)() {
        Ok(()) => (StatusCode::OK, "Skopos is ready.\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

async fn reload(State(rooms): State<Rooms>) -> (StatusCode, String) {
    match (rooms.reload)().await {
        Ok(()) => (StatusCode::OK, "configuration reloaded\n".to_owned()),
        Err(why) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the configuration was not reloaded, the one before is in force:\n{why}\n"),
        ),
    }
}

async fn only_post() -> (StatusCode, [(http::HeaderName, &'static str); 1], &'static str) {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        [(http::header::ALLOW, "POST, PUT")],
        "only POST or PUT reload the configuration\n",
    )
}

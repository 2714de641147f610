//! `/metrics`: our own numbers; `/metrics/<page>`: the last values of what we read, as its own exporter
//! would show them; `/metrics/all`: everything, with `job` and `instance`.

mod family;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use model::select::Last;
use prometheus::TextEncoder;

use crate::Rooms;
use crate::desk::Desk;

/// Scrapes do not wait behind queries; they are short, and few at a time.
const RENDERS_MAX: usize = 4;
const RENDER_TIMEOUT: Duration = Duration::from_secs(10);
const ALL: &str = "all";
const TEXT_0_0_4: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn routes() -> Router<Rooms> {
    let desk = Arc::new(Desk::new(RENDERS_MAX, RENDER_TIMEOUT));
    let page = move |State(rooms): State<Rooms>, Path(name): Path<String>| page(rooms, desk, name);
    Router::new()
        .route("/metrics", get(own))
        .route("/metrics/{page}", get(page))
}

async fn own(State(rooms): State<Rooms>) -> Response {
    match TextEncoder::new().encode_to_string(&rooms.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_0_0_4)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "our own metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

async fn page(rooms: Rooms, desk: Arc<Desk>, name: String) -> Response {
    let rendered = desk.ask(RENDER_TIMEOUT, move || render(&rooms, &name)).await;
    match rendered {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, TEXT_0_0_4)], text).into_response(),
        Ok(Err(why)) => (StatusCode::NOT_FOUND, why).into_response(),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many pages are being written; try again\n",
        )
            .into_response(),
    }
}

/// # Errors
/// There is no such page; the sentence names those there are.
fn render(rooms: &Rooms, name: &str) -> Result<String, String> {
    if name == ALL {
        return Ok(family::write(&rooms.select.last(None), false));
    }
    let targets = rooms.select.last(Some(name));
    if targets.is_empty() {
        return Err(no_page(&rooms.select.last(None), name));
    }
    // One target needs no labels to be told from another: its page looks like its exporter's.
    Ok(family::write(&targets, targets.len() == 1))
}

fn no_page(all: &[Last], name: &str) -> String {
    let pages: BTreeSet<&str> = all.iter().filter_map(|target| target.page).chain([ALL]).collect();
    let pages: Vec<String> = pages.into_iter().map(|page| format!("/metrics/{page}")).collect();
    format!(
        "nothing is read for /metrics/{name} now; there are {}\n",
        pages.join(", ")
    )
}

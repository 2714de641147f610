//! `/metrics`: our own numbers; `/metrics/<page>`: the last values of what we read, as its own exporter
//! would show them; `/metrics/all`: everything, with `job` and `instance`.

mod family;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{Stream, StreamExt, stream};
use http::{StatusCode, header};
use prometheus::TextEncoder;

use crate::Rooms;
use crate::desk::Desk;
use family::Pages;
pub(crate) use family::federated;

/// Scrapes do not wait behind queries; they are short, and few at a time.
const RENDERS_MAX: usize = 4;
const RENDER_TIMEOUT: Duration = Duration::from_secs(10);
const ALL: &str = "all";
pub(crate) const TEXT_0_0_4: &str = "text/plain; version=0.0.4; charset=utf-8";

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

/// A long page goes out in pieces, each written when the reader has taken the one before: what is held at a time is
/// one piece, and the slowest reader keeps nobody from the desk.
async fn page(rooms: Rooms, desk: Arc<Desk>, name: String) -> Response {
    let first = desk.ask(RENDER_TIMEOUT, move || {
        open(&rooms, &name).map(|mut pages| (pages.next(), pages))
    });
    let content = [(header::CONTENT_TYPE, TEXT_0_0_4)];
    match first.await {
        Ok(Ok((text, pages))) if pages.is_done() => (content, text).into_response(),
        Ok(Ok((text, pages))) => {
            let first = stream::once(async { Ok(text) });
            (content, Body::from_stream(first.chain(rest(desk, pages)))).into_response()
        }
        Ok(Err(why)) => (StatusCode::NOT_FOUND, why).into_response(),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many pages are being written; try again\n",
        )
            .into_response(),
    }
}

/// What follows the first piece. When there is no turn for one the body breaks off, and the reader knows that it is not
/// whole.
fn rest(desk: Arc<Desk>, pages: Pages) -> impl Stream<Item = Result<String, std::io::Error>> {
    stream::try_unfold(pages, move |mut pages| {
        let desk = Arc::clone(&desk);
        async move {
            if pages.is_done() {
                return Ok(None);
            }
            let piece = desk.ask(RENDER_TIMEOUT, move || (pages.next(), pages)).await;
            piece
                .map(Some)
                .map_err(|why| std::io::Error::other(why.to_string()))
        }
    })
}

/// # Errors
/// There is no such page; the sentence names those there are.
fn open(rooms: &Rooms, name: &str) -> Result<Pages, String> {
    if name == ALL {
        return Ok(Pages::new(rooms.select.latest(None), false));
    }
    let latest = rooms.select.latest(Some(name));
    match latest.pages().len() {
        0 => Err(no_page(&rooms.select.latest(None).pages(), name)),
        // One target needs no labels to be told from another: its page looks like its exporter's.
        targets => Ok(Pages::new(latest, targets == 1)),
    }
}

fn no_page(all: &[Option<&'static str>], name: &str) -> String {
    let pages: BTreeSet<&str> = all.iter().copied().flatten().chain([ALL]).collect();
    let pages: Vec<String> = pages.into_iter().map(|page| format!("/metrics/{page}")).collect();
    format!(
        "nothing is read for /metrics/{name} now; there are {}\n",
        pages.join(", ")
    )
}

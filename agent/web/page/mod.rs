//! The pages: each view is drawn here, whole, from one look at the house; a browser needs nothing else.
//!
//! Scripts only add what moves: the graphs' lines, new values every few seconds, keys. Nothing is loaded from
//! elsewhere and nothing a line, a label or an address contains is taken for markup.

mod alert;
mod alerts;
mod asking;
mod assets;
mod aws;
mod backtest;
mod band;
mod bar;
mod budget;
mod changes;
mod checks;
mod cluster;
mod condition;
mod explained;
mod explore;
mod frame;
mod graph;
mod history;
mod house;
mod incident;
mod jump;
mod kept;
mod lines;
mod link;
mod logs;
mod machine;
mod markdown;
mod nodes;
mod objects;
mod overview;
mod own;
mod pair;
mod past;
mod pod;
mod reading;
mod routes;
mod rule;
mod rules;
mod shape;
mod silence;
mod sort;
mod status;
mod steps;
mod targets;
mod told;
mod unit;
mod visit;
mod watching;
mod when;
mod why;
mod words;
mod workload;
mod workloads;

#[cfg(test)]
mod aws_tests;
#[cfg(test)]
mod logs_tests;
#[cfg(test)]
mod made_up;
#[cfg(test)]
mod pair_tests;
#[cfg(test)]
mod silence_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{StatusCode, Uri};

use self::explained::Explained;
use self::frame::Sheet;
use self::visit::Visit;
use crate::Rooms;
use crate::checkup::looked;
use crate::desk::Desk;

/// A view with nothing in its path.
macro_rules! view {
    ($draw:path) => {
        get(|State(rooms): State<Rooms>, uri: Uri| draw(rooms, uri, $draw))
    };
}

pub(crate) fn routes() -> Router<Rooms> {
    Router::new()
        .route("/", view!(overview::view))
        .route("/alerts", view!(alerts::view))
        .route("/alerts/{name}", get(any_alert))
        .route("/alerts/{name}/{group}", get(one_alert))
        .route("/aws", view!(aws::view))
        .route("/aws/{family}/{name}", get(one_resource))
        .route("/changes", view!(changes::view))
        .route("/nodes", view!(nodes::view))
        .route("/nodes/{name}", get(one_node))
        .route("/pods/{namespace}/{pod}", get(one_pod))
        .route("/workloads", view!(workloads::view))
        .route("/workloads/{namespace}/{name}", get(one_workload))
        .merge(silence::routes())
        .route("/targets", view!(targets::view))
        .route("/logs", view!(logs::view))
        .route("/routes", view!(routes::view))
        .route("/rules", view!(rules::view))
        .route("/rules/{file}/{rule}", get(one_rule))
        .route("/explore", view!(explore::view))
        .route("/self", view!(own::view))
        .route("/checks", get(checks))
        .route("/self/test", post(send_test))
        .route("/jump", get(jump))
        .route("/graph", get(graph_or_prometheus))
        .route("/graph.json", get(graph_as_json))
        .route("/assets/{name}", get(assets::serve))
        .route("/favicon.ico", get(assets::favicon))
}

/// As runbook links in messages name it: whichever of its alerts stands, or the rule.
async fn any_alert(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    uri: Uri,
    Path(name): Path<String>,
) -> Response {
    let asked = alert::Asked {
        told: silence::Told::ask(&rooms).await,
        explained: Explained::ask(&rooms, &desk, explained::of_alert(&rooms, &name, None)).await,
    };
    draw(rooms, uri, move |visit| alert::by_name(visit, &asked, &name)).await
}

async fn one_alert(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    uri: Uri,
    Path((name, group)): Path<(String, String)>,
) -> Response {
    let wanted = match alert::fingerprint(&group) {
        Some(fingerprint) => explained::of_alert(&rooms, &name, Some(fingerprint)),
        None => Vec::new(),
    };
    let asked = alert::Asked {
        told: silence::Told::ask(&rooms).await,
        explained: Explained::ask(&rooms, &desk, wanted).await,
    };
    draw(rooms, uri, move |visit| alert::view(visit, &asked, &name, &group)).await
}

async fn one_rule(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    uri: Uri,
    Path((file, name)): Path<(String, String)>,
) -> Response {
    let explained = Explained::ask(&rooms, &desk, explained::of_rules(&rooms, &file, &name)).await;
    let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
    let pairs = query.map(|query| query.0).unwrap_or_default();
    let tried = backtest::ask(&rooms, &desk, &pairs).await;
    draw(rooms, uri, move |visit| {
        rule::view(visit, &explained, tried.as_ref(), &file, &name)
    })
    .await
}

async fn one_node(State(rooms): State<Rooms>, uri: Uri, Path(name): Path<String>) -> Response {
    draw(rooms, uri, move |visit| nodes::one(visit, &name)).await
}

async fn one_resource(
    State(rooms): State<Rooms>,
    uri: Uri,
    Path((family, name)): Path<(String, String)>,
) -> Response {
    draw(rooms, uri, move |visit| aws::one(visit, &family, &name)).await
}

async fn one_pod(
    State(rooms): State<Rooms>,
    uri: Uri,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    draw(rooms, uri, move |visit| pod::view(visit, &namespace, &name)).await
}

async fn one_workload(
    State(rooms): State<Rooms>,
    uri: Uri,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    draw(rooms, uri, move |visit| workload::view(visit, &namespace, &name)).await
}

/// The picture of the house; links in Prometheus' own form, such as the `generatorURL` of alerts, lead to a question.
async fn graph_or_prometheus(State(rooms): State<Rooms>, uri: Uri) -> Response {
    if !uri.query().unwrap_or_default().contains("g0.") {
        return draw(rooms, uri, house::view).await;
    }
    let visit = Visit::new(rooms, &uri);
    Redirect::to(&link::explore(visit.asked("g0.expr"))).into_response()
}

/// The same for `skopos graph`.
async fn graph_as_json(State(rooms): State<Rooms>) -> axum::Json<model::view::Graph> {
    axum::Json((rooms.graph)())
}

/// What every room needs, and whether it has it.
async fn checks(State(rooms): State<Rooms>, uri: Uri) -> Response {
    let looked = looked(&rooms, false).await;
    draw(rooms, uri, move |visit| checks::view(visit, &looked)).await
}

async fn jump(State(rooms): State<Rooms>, uri: Uri) -> Response {
    let visit = Visit::new(rooms, &uri);
    Redirect::to(&jump::destination(&visit, visit.asked("q"))).into_response()
}

async fn send_test(State(rooms): State<Rooms>, uri: Uri) -> Response {
    let outcome = (rooms.send_test)().await;
    draw(rooms, uri, move |_| own::tested(&outcome)).await
}

/// Views read segments and ask the engine, so none is drawn on a thread that serves others.
async fn draw(rooms: Rooms, uri: Uri, view: impl FnOnce(&Visit) -> Sheet + Send + 'static) -> Response {
    let drawn = tokio::task::spawn_blocking(move || {
        let visit = Visit::new(rooms, &uri);
        let sheet = view(&visit);
        frame::response(&visit, &sheet)
    });
    drawn.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a view could not be drawn");
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "this view could not be drawn; the log says why\n",
        )
            .into_response()
    })
}

//! Prometheus' HTTP API v1, answer for answer, so that Grafana, promtool and scripts cannot tell.
//!
//! Where it departs: nobody of another origin is answered (see `guard`), an escape in a URL that is none is
//! an error instead of a lost parameter, and errors may end in a suggestion.

mod answer;
mod doctor;
mod exemplars;
mod explain;
mod matching;
mod metadata;
mod param;
mod query;
mod rules;
mod series;
mod statistics;
mod status;
mod targets;
mod tree;
mod tsdb;

use axum::Router;
use axum::routing::{any, get};

pub(crate) use answer::{Failure, bad_data};
pub(crate) use explain::explanation;
pub(crate) use matching::selectors;
pub(crate) use rules::moment;
pub(crate) use rules::rule_id;
pub(crate) use series::unreadable;

use crate::Rooms;

pub(crate) fn routes() -> Router<Rooms> {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route(
            "/api/v1/query_exemplars",
            get(exemplars::exemplars).post(exemplars::exemplars),
        )
        .route("/api/v1/format_query", get(query::format).post(query::format))
        .route("/api/v1/parse_query", get(query::parse).post(query::parse))
        .route("/api/v1/series", get(series::series).post(series::series))
        .route("/api/v1/labels", get(series::labels).post(series::labels))
        .route("/api/v1/label/{name}/values", get(series::values))
        .route("/api/v1/metadata", get(metadata::metadata))
        .route("/api/v1/rules", get(rules::rules))
        .route("/api/v1/rules/{id}/explain", get(explain::explain))
        .route("/api/v1/doctor", get(doctor::look).post(doctor::ask))
        .route("/api/v1/alerts", get(rules::alerts))
        .route("/api/v1/targets", get(targets::targets))
        .route("/api/v1/scrape_pools", get(targets::pools))
        .route("/api/v1/alertmanagers", get(targets::alertmanagers))
        .route("/api/v1/status/buildinfo", get(status::build))
        .route("/api/v1/status/runtimeinfo", get(status::runtime))
        .route("/api/v1/status/config", get(status::config))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/tsdb", get(tsdb::tsdb))
        .route("/api/v1/status/walreplay", get(tsdb::replay))
        .route("/api/v1/{*rest}", any(answer::no_such_door))
}

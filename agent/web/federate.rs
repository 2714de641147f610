//! `/federate`: the newest sample of series that are asked for, with its time, for a Prometheus above this one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::header;
use model::{Labels, TimeRange, Timestamp, is_stale};

use crate::Rooms;
use crate::api::{Failure, selectors, unreadable};
use crate::desk::Desk;
use crate::exposition::{self, TEXT_0_0_4};
use crate::form::Form;

pub(crate) fn routes() -> Router<Rooms> {
    Router::new().route("/federate", get(federate))
}

async fn federate(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    form: Form,
) -> Result<Response, Failure> {
    let selectors = selectors(&form)?;
    let text = desk
        .ask(desk.patience(), move || {
            let (until, options) = (rooms.clock.now(), rooms.engine.options());
            let range = TimeRange {
                after: until - options.lookback,
                until,
            };
            let mut newest: Vec<(Labels, Timestamp, f64)> = Vec::new();
            for matchers in &selectors {
                let found = rooms
                    .select
                    .select(matchers, range, options.samples_max)
                    .map_err(unreadable)?;
                newest.extend(found.into_iter().filter_map(|series| {
                    let (time, value) = (*series.times.last()?, *series.values.last()?);
                    (!is_stale(value)).then_some((series.labels, time, value))
                }));
            }
            Ok::<_, Failure>(exposition::federated(newest))
        })
        .await??;
    Ok(([(header::CONTENT_TYPE, TEXT_0_0_4)], text).into_response())
}

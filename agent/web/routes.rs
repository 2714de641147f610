//! Puts the doors together: what is measured, what is let in, who answers.

use std::sync::Arc;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use http::{StatusCode, Uri};

use crate::desk::Desk;
use crate::guard::{self, Guard};
use crate::intake::{self, Intake};
use crate::measure::{self, Measure};
use crate::{Config, Rooms, api, exposition, federate, life, page, silences};

/// From the outside in: measured, dressed with security headers, let in or refused, answered.
pub(crate) fn router(rooms: Rooms, config: &Config, guard: Guard, measure: Measure) -> Router {
    let intake = Intake::new(config, guard, measure.clone());
    let desk = Arc::new(Desk::new(config.queries_max, config.query_timeout));
    Router::new()
        .merge(page::routes())
        .merge(api::routes())
        .merge(exposition::routes())
        .merge(federate::routes())
        .merge(life::routes())
        .merge(silences::routes())
        .merge(intake::routes(intake))
        .fallback(nowhere)
        .layer(Extension(desk))
        .layer(from_fn_with_state((guard, measure.clone()), guard::check))
        .layer(from_fn(guard::dress))
        .layer(from_fn_with_state(measure, measure::request))
        .with_state(rooms)
}

async fn nowhere(uri: Uri) -> (StatusCode, String) {
    (
        StatusCode::NOT_FOUND,
        format!("there is no {} here; the overview is at /\n", uri.path()),
    )
}

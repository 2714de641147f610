//! Silences on the page: those there are, and the form that makes one. It shows what would fall silent before it is done.
//!
//! Everything works as plain HTML: what is typed stands in the address, so that a link can open the form filled in, and
//! writing is a POST that goes the way of API v2. What is typed is never lost to a mistake.

mod form;
mod list;
mod now;
mod preview;
mod typed;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::{StatusCode, Uri};
use maud::Markup;

pub(super) use self::now::Told;
use self::typed::Typed;
use super::draw;
use super::visit::{Standing, Visit};
use crate::form::Form;
use crate::{Rooms, silences};

pub(super) fn routes() -> Router<Rooms> {
    Router::new()
        .route("/silences", get(show).post(make))
        .route("/silences/{id}/expire", post(expire))
}

async fn show(State(rooms): State<Rooms>, uri: Uri) -> Response {
    let told = Told::ask(&rooms).await;
    draw(rooms, uri, move |visit| {
        list::view(visit, &told, Typed::asked(visit), None)
    })
    .await
}

/// Makes or changes one, and leads to the list; what is wrong is said in the form, with all that was typed.
async fn make(State(rooms): State<Rooms>, uri: Uri, form: Form) -> Response {
    let pairs: Vec<(String, String)> = form.pairs().collect();
    let (asking, given) = (rooms.clone(), pairs.clone());
    let here = uri.clone();
    let judged = tokio::task::spawn_blocking(move || {
        let visit = Visit::new(asking, &here);
        Typed::read(&visit, &given).postable(&visit)
    });
    let kept = match judged.await {
        Ok(Ok(postable)) => silences::keep(&rooms, postable).await,
        Ok(Err(why)) => Err((StatusCode::BAD_REQUEST, why)),
        Err(_) => Err((
            StatusCode::INTERNAL_SERVER_ERROR,
            "the form could not be read; the log says why".to_owned(),
        )),
    };
    match kept {
        Ok(id) => Redirect::to(&super::link::to("/silences", &[("made", &id)])).into_response(),
        Err((status, why)) => {
            let told = Told::ask(&rooms).await;
            draw(rooms, uri, move |visit| {
                let typed = Typed::read(visit, &pairs);
                list::view(visit, &told, Some(typed), Some((status, why)))
            })
            .await
        }
    }
}

async fn expire(State(rooms): State<Rooms>, uri: Uri, Path(id): Path<String>) -> Response {
    match silences::expire(&rooms, &id).await {
        Ok(()) => Redirect::to(&super::link::to("/silences", &[("ended", &id)])).into_response(),
        Err(failed) => {
            let told = Told::ask(&rooms).await;
            draw(rooms, uri, move |visit| {
                list::view(visit, &told, None, Some(failed))
            })
            .await
        }
    }
}

/// The form on an alert's page, filled in with its labels.
pub(super) fn of_alert(visit: &Visit, told: &Told, standing: &Standing<'_>) -> Markup {
    if visit.rooms.silences.is_none() {
        return maud::html! {};
    }
    let labels = &standing.alert.labels;
    form::section_of(
        visit,
        told,
        &Typed::of_labels(labels),
        &list::covering(visit, labels),
    )
}

//! Alerts and silences as Alertmanager's API v2 has them, for `amtool`, Grafana and whoever posts alerts.
//!
//! Only what needs no knowledge of alerts is decided here; on a follower a change is passed to the holder.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::{HeaderMap, StatusCode, Uri, header};
use model::outside::Call;
use serde_json::{Value, json};

use crate::api::moment;
use crate::form::Form;
use crate::guard::BODY_BYTES_MAX;
use crate::intake::{call, said};
use crate::{Alerting, Rooms, SilenceError, Silences};

const JSON: &str = "application/json";
/// The release whose API this is: `amtool` warns of any other than its own. Our own version stands beside it.
const API_VERSION: &str = "0.33.1";
/// Longest body of alerts: some thousand of them.
const ALERTS_BYTES_MAX: usize = 4 << 20;
/// In the order in which Alertmanager misses them.
const REQUIRED: [&str; 5] = ["comment", "createdBy", "endsAt", "matchers", "startsAt"];
/// go-openapi's own numbers, beside the status.
const MISSING: u16 = 602;
const TOO_FEW: u16 = 612;

pub(crate) fn routes() -> Router<Rooms> {
    Router::new()
        .route("/api/v2/status", get(status))
        .route("/api/v2/silences", get(list).post(put))
        .route("/api/v2/silence/{id}", get(one).delete(end))
        .route("/api/v2/alerts", get(alerts).post(post))
        .route("/api/v2/alerts/groups", get(groups))
        .route("/api/v2/receivers", get(receivers))
        .route("/api/v2/{*rest}", any(no_such_door))
}

/// What `amtool` asks before anything else, and `amtool config` in all. There is no cluster of Alertmanager's kind.
async fn status(State(rooms): State<Rooms>) -> Response {
    let own = (rooms.own)();
    let original = rooms.alerting.as_ref().map(|alerting| (alerting.original)());
    answer(
        StatusCode::OK,
        &json!({
            "cluster": { "peers": [], "status": "disabled" },
            "config": { "original": original.unwrap_or_default() },
            "uptime": moment(Some(own.started)),
            "versionInfo": {
                "branch": "skopos",
                "buildDate": "",
                "buildUser": "",
                "goVersion": "",
                "revision": own.revision,
                "version": API_VERSION,
                "skopos": own.version,
            },
        }),
    )
}

/// What is wrong, and how it is said: in words, as an object with a number, or not at all.
struct Wrong(StatusCode, Value);

impl Wrong {
    fn words(status: StatusCode, words: impl Into<String>) -> Self {
        Self(status, Value::String(words.into()))
    }

    fn bad(why: String) -> Self {
        Self::words(StatusCode::BAD_REQUEST, why)
    }

    fn numbered(status: StatusCode, code: u16, message: &str) -> Self {
        Self(status, json!({ "code": code, "message": message }))
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        match self.1 {
            Value::Null => self.0.into_response(),
            body => answer(self.0, &body),
        }
    }
}

async fn list(State(rooms): State<Rooms>, uri: Uri) -> Result<Response, Wrong> {
    let silences = kept(&rooms)?;
    let form = Form::parse(uri.query().unwrap_or_default()).map_err(Wrong::bad)?;
    let filters: Vec<String> = form.all("filter").map(str::to_owned).collect();
    (silences.list)(&filters).map(written).map_err(Wrong::bad)
}

async fn one(State(rooms): State<Rooms>, Path(id): Path<String>) -> Result<Response, Wrong> {
    let found = (kept(&rooms)?.get)(&id);
    found
        .map(written)
        .ok_or(Wrong(StatusCode::NOT_FOUND, Value::Null))
}

async fn put(State(rooms): State<Rooms>, request: Request) -> Result<Response, Wrong> {
    let silences = kept(&rooms)?;
    let (asked, text) = taken(request).await?;
    if let Some(elsewhere) = (rooms.forward)(asked).await {
        return Ok(said(elsewhere));
    }
    let id = (silences.put)(text).await.map_err(|error| match error {
        SilenceError::Bad(why) => Wrong::bad(why),
        SilenceError::Unknown => Wrong::words(StatusCode::NOT_FOUND, "silence not found"),
        SilenceError::Failed(why) => Wrong::words(StatusCode::INTERNAL_SERVER_ERROR, why),
    })?;
    Ok(answer(StatusCode::OK, &json!({ "silenceID": id })))
}

async fn end(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Wrong> {
    let silences = kept(&rooms)?;
    if let Some(elsewhere) = (rooms.forward)(call(&request.into_parts().0)).await {
        return Ok(said(elsewhere));
    }
    (silences.delete)(id).await.map_err(|error| match error {
        SilenceError::Bad(why) => Wrong::bad(why),
        SilenceError::Unknown => Wrong(StatusCode::NOT_FOUND, Value::Null),
        SilenceError::Failed(why) => Wrong::words(StatusCode::INTERNAL_SERVER_ERROR, why),
    })?;
    Ok(StatusCode::OK.into_response())
}

/// What a page writes goes the same way: to the holder where the other replica holds the lease. The id of the silence,
/// or a status and a sentence.
pub(crate) async fn keep(rooms: &Rooms, postable: String) -> Result<String, (StatusCode, String)> {
    let silences = rooms.silences.as_ref().ok_or_else(|| nowhere(rooms))?;
    let call = Call {
        method: "POST".to_owned(),
        path: "/api/v2/silences".to_owned(),
        headers: vec![(header::CONTENT_TYPE.to_string(), JSON.to_owned())],
        body: postable.clone().into_bytes(),
        ..Call::default()
    };
    if let Some(elsewhere) = (rooms.forward)(call).await {
        let said: Value = heard(&elsewhere)?;
        let id = said.get("silenceID").and_then(Value::as_str);
        return Ok(id.unwrap_or_default().to_owned());
    }
    (silences.put)(postable).await.map_err(in_words)
}

/// The same for an end.
pub(crate) async fn expire(rooms: &Rooms, id: &str) -> Result<(), (StatusCode, String)> {
    let silences = rooms.silences.as_ref().ok_or_else(|| nowhere(rooms))?;
    // An id that is none would be another path.
    if (silences.get)(id).is_none() {
        return Err(in_words(SilenceError::Unknown));
    }
    let call = Call {
        method: "DELETE".to_owned(),
        path: format!("/api/v2/silence/{id}"),
        ..Call::default()
    };
    if let Some(elsewhere) = (rooms.forward)(call).await {
        return heard(&elsewhere).map(|_| ());
    }
    (silences.delete)(id.to_owned()).await.map_err(in_words)
}

/// What the holder answered.
fn heard(answer: &model::outside::Response) -> Result<Value, (StatusCode, String)> {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == 200 {
        return Ok(said);
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let sentence = said.as_str().or_else(|| said.get("message")?.as_str());
    let sentence = sentence.map_or_else(
        || String::from_utf8_lossy(&answer.body).trim().to_owned(),
        str::to_owned,
    );
    Err((status, sentence))
}

fn in_words(error: SilenceError) -> (StatusCode, String) {
    match error {
        SilenceError::Bad(why) => (StatusCode::BAD_REQUEST, why),
        SilenceError::Unknown => (
            StatusCode::NOT_FOUND,
            "there is no such silence any more: it may have expired long ago".to_owned(),
        ),
        SilenceError::Failed(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}

fn nowhere(rooms: &Rooms) -> (StatusCode, String) {
    let why = format!("no silences are kept here: role {}", (rooms.own)().role);
    (StatusCode::NOT_FOUND, why)
}

async fn alerts(rooms: State<Rooms>, uri: Uri) -> Result<Response, Wrong> {
    listed(rooms, "alerts", &uri).await
}

async fn groups(rooms: State<Rooms>, uri: Uri) -> Result<Response, Wrong> {
    listed(rooms, "alerts/groups", &uri).await
}

async fn receivers(rooms: State<Rooms>, uri: Uri) -> Result<Response, Wrong> {
    listed(rooms, "receivers", &uri).await
}

async fn listed(State(rooms): State<Rooms>, list: &str, uri: &Uri) -> Result<Response, Wrong> {
    let alerting = told(&rooms)?;
    let form = Form::parse(uri.query().unwrap_or_default()).map_err(Wrong::bad)?;
    let parameters: Vec<(String, String)> = form.pairs().collect();
    (alerting.list)(list, &parameters)
        .await
        .map(written)
        .map_err(refused)
}

/// Alerts from a Prometheus or from `amtool`.
async fn post(State(rooms): State<Rooms>, request: Request) -> Result<Response, Wrong> {
    let alerting = told(&rooms)?;
    let (parts, body) = request.into_parts();
    is_json(&parts.headers)?;
    let body = to_bytes(body, ALERTS_BYTES_MAX).await;
    let body = body
        .map_err(|error| Wrong::words(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?
        .to_vec();
    let asked = Call {
        body: body.clone(),
        ..call(&parts)
    };
    if let Some(elsewhere) = (rooms.forward)(asked).await {
        return Ok(said(elsewhere));
    }
    (alerting.post)(body).await.map_err(refused)?;
    Ok(StatusCode::OK.into_response())
}

fn refused((status, why): (u16, String)) -> Wrong {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Wrong::words(status, why)
}

fn told(rooms: &Rooms) -> Result<&Alerting, Wrong> {
    rooms.alerting.as_ref().ok_or_else(|| {
        let text = format!("nobody is told here: role {}", (rooms.own)().role);
        Wrong::numbered(StatusCode::NOT_FOUND, 404, &text)
    })
}

/// The silence somebody posted, as a call to pass on and as text; well-formed and whole, but not known to be valid.
async fn taken(request: Request) -> Result<(Call, String), Wrong> {
    let (parts, body) = request.into_parts();
    is_json(&parts.headers)?;
    let failed = |why: String| {
        let text = format!("parsing silence body from \"\" failed, because {why}");
        Wrong::numbered(StatusCode::BAD_REQUEST, 400, &text)
    };
    let body = to_bytes(body, BODY_BYTES_MAX).await;
    let body = body.map_err(|error| failed(error.to_string()))?.to_vec();
    let text = String::from_utf8(body).map_err(|error| failed(error.to_string()))?;
    let silence: Value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let lacks = |name: &&str| silence.get(name).is_none_or(Value::is_null);
    if let Some(missing) = REQUIRED.into_iter().find(lacks) {
        let text = format!("{missing} in body is required");
        return Err(Wrong::numbered(StatusCode::UNPROCESSABLE_ENTITY, MISSING, &text));
    }
    let matchers = silence.get("matchers").and_then(Value::as_array);
    if matchers.is_some_and(Vec::is_empty) {
        let text = "matchers in body should have at least 1 items";
        return Err(Wrong::numbered(StatusCode::UNPROCESSABLE_ENTITY, TOO_FEW, text));
    }
    let asked = Call {
        body: text.clone().into_bytes(),
        ..call(&parts)
    };
    Ok((asked, text))
}

/// Other kinds a web page could send from anywhere without asking first.
fn is_json(headers: &HeaderMap) -> Result<(), Wrong> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default();
    let plain = kind.split(';').next().unwrap_or_default().trim();
    if plain.eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    let text = format!("unsupported media type {kind:?}, only [{JSON}] are allowed");
    Err(Wrong::numbered(StatusCode::UNSUPPORTED_MEDIA_TYPE, 415, &text))
}

fn kept(rooms: &Rooms) -> Result<&Silences, Wrong> {
    rooms.silences.as_ref().ok_or_else(|| {
        let text = format!("no silences are kept here: role {}", (rooms.own)().role);
        Wrong::numbered(StatusCode::NOT_FOUND, 404, &text)
    })
}

async fn no_such_door(uri: Uri) -> Wrong {
    let text = format!("path {} was not found", uri.path());
    Wrong::numbered(StatusCode::NOT_FOUND, 404, &text)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = written(body.to_string());
    *response.status_mut() = status;
    response
}

fn written(json: String) -> Response {
    ([(header::CONTENT_TYPE, JSON)], json).into_response()
}

//! What other processes send: samples at `/api/v1/write`, the other replica's calls under `/peer/v1/`; and what they may read
//! that is not for everybody: the last log lines of a pod, at `/api/v1/logs/tail`, and an agent's targets, at `/api/v1/handed`.
//!
//! Who calls is found out before anything of a body is read. Each body is bounded, and so is what is held of all
//! bodies at one time: a caller that comes too much is asked to come again.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use model::outside::{self, Call, Identity, Role, Serve};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::guard::Guard;
use crate::measure::Measure;
use crate::refusal::Refusal;
use crate::{Config, Rooms};

const WRITE: &str = "/api/v1/write";
const TAIL: &str = "/api/v1/logs/tail";
const HANDED: &str = "/api/v1/handed";
const PEER: &str = "/peer/v1/";
/// Longest bodies that fit in at one time.
const BODIES: usize = 4;
/// Room is counted in these, for a semaphore counts to 32 bits.
const UNIT_BYTES: usize = 1024;
/// What is still taken, and thrown away, of a body that is not wanted.
const FAREWELL_BYTES: usize = 1024 * 1024;
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether this path is for other processes.
pub(crate) fn takes(path: &str) -> bool {
    [WRITE, TAIL, HANDED].contains(&path) || path.strip_prefix(PEER).is_some_and(|rest| !rest.is_empty())
}

#[derive(Clone)]
pub(crate) struct Intake {
    guard: Guard,
    body_bytes_max: usize,
    patience: Duration,
    room: Arc<Semaphore>,
    measure: Measure,
}

pub(crate) fn routes(intake: Intake) -> Router<Rooms> {
    Router::new()
        .route(WRITE, post(write))
        .route(TAIL, get(tail))
        .route(HANDED, get(handed))
        .route("/peer/v1/{*rest}", get(peer).post(peer))
        .layer(Extension(intake))
}

async fn write(
    State(rooms): State<Rooms>,
    Extension(intake): Extension<Intake>,
    request: Request,
) -> Response {
    let roles = [Role::Node, Role::Writer, Role::Replica];
    intake
        .answer(&rooms, rooms.write.clone(), "samples", &roles, request)
        .await
}

async fn tail(
    State(rooms): State<Rooms>,
    Extension(intake): Extension<Intake>,
    request: Request,
) -> Response {
    intake
        .answer(
            &rooms,
            rooms.tail.clone(),
            "questions for log lines",
            &[Role::Reader, Role::Replica],
            request,
        )
        .await
}

async fn handed(
    State(rooms): State<Rooms>,
    Extension(intake): Extension<Intake>,
    request: Request,
) -> Response {
    let (serve, what) = (rooms.handed.clone(), "questions of agents for their targets");
    intake.answer(&rooms, serve, what, &[Role::Node], request).await
}

async fn peer(
    State(rooms): State<Rooms>,
    Extension(intake): Extension<Intake>,
    request: Request,
) -> Response {
    intake
        .answer(
            &rooms,
            rooms.peer.clone(),
            "calls of a replica",
            &[Role::Replica],
            request,
        )
        .await
}

impl Intake {
    pub(crate) fn new(config: &Config, guard: Guard, measure: Measure) -> Self {
        let units = config.write_bytes_max.saturating_mul(BODIES).div_ceil(UNIT_BYTES);
        Self {
            guard,
            body_bytes_max: config.write_bytes_max,
            patience: config.request_timeout,
            room: Arc::new(Semaphore::new(units.clamp(1, Semaphore::MAX_PERMITS))),
            measure,
        }
    }

    async fn answer(
        &self,
        rooms: &Rooms,
        serve: Option<Arc<dyn Serve>>,
        what: &str,
        roles: &[Role],
        request: Request,
    ) -> Response {
        let (parts, mut body) = request.into_parts();
        let mut call = self.call(&parts);
        let taken = match serve {
            Some(serve) => self
                .take(rooms, &mut call, roles, &mut body)
                .await
                .map(|held| (serve, held)),
            None => {
                let text = format!("{what} are not taken here: role {}", (rooms.own)().role);
                Err(Refusal::new(StatusCode::NOT_FOUND, "absent", text))
            }
        };
        match taken {
            // The room a body takes is given back when it has been answered, for that long it is in memory.
            Ok((serve, _held)) => said(serve.serve(call).await),
            Err(refusal) => {
                see_off(&parts.headers, body);
                refusal.counted(&self.measure)
            }
        }
    }

    async fn take(
        &self,
        rooms: &Rooms,
        call: &mut Call,
        roles: &[Role],
        body: &mut Body,
    ) -> Result<Held, Refusal> {
        call.from = Some(self.identify(rooms, call, roles).await?);
        let read = timeout(self.patience, self.read(body)).await;
        let (bytes, held) = read.unwrap_or_else(|_| Err(Refusal::slow(self.patience)))?;
        call.body = bytes;
        Ok(held)
    }

    fn call(&self, parts: &Parts) -> Call {
        Call {
            local: self.guard.is_local(&parts.extensions),
            ..call(parts)
        }
    }

    async fn identify(&self, rooms: &Rooms, call: &Call, roles: &[Role]) -> Result<Identity, Refusal> {
        let identity = timeout(self.patience, rooms.identify.identify(call))
            .await
            .map_err(|_| {
                let text = "who calls cannot be found out now; try again";
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unidentified", text)
            })?;
        let identity = identity.map_err(|why| Refusal::new(StatusCode::UNAUTHORIZED, "token", why))?;
        if roles.contains(&identity.role) {
            return Ok(identity);
        }
        let text = format!(
            "{} {} may not call {}",
            identity.role.word(),
            identity.name,
            call.path
        );
        Err(Refusal::new(StatusCode::FORBIDDEN, "role", text))
    }

    async fn read(&self, body: &mut Body) -> Result<(Vec<u8>, Held), Refusal> {
        let declared = body.size_hint().lower();
        let declared = usize::try_from(declared)
            .ok()
            .filter(|declared| *declared <= self.body_bytes_max)
            .ok_or_else(|| Refusal::too_long(self.body_bytes_max))?;
        let mut held = Held {
            permits: None,
            units: 0,
        };
        held.grow(&self.room, declared)?;
        let mut bytes = Vec::with_capacity(declared);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::broken())?;
            let Some(part) = frame.data_ref() else { continue };
            let length = bytes.len() + part.len();
            if length > self.body_bytes_max {
                return Err(Refusal::too_long(self.body_bytes_max));
            }
            if length > bytes.capacity() {
                // Twice as much, as a vector grows by itself, but never beyond what may come.
                let capacity = length.max((2 * bytes.capacity()).min(self.body_bytes_max));
                held.grow(&self.room, capacity)?;
                bytes.reserve_exact(capacity - bytes.len());
            }
            bytes.extend_from_slice(part);
        }
        Ok((bytes, held))
    }
}

/// The room that one body takes.
struct Held {
    permits: Option<OwnedSemaphorePermit>,
    units: usize,
}

impl Held {
    fn grow(&mut self, room: &Arc<Semaphore>, bytes: usize) -> Result<(), Refusal> {
        let units = bytes.div_ceil(UNIT_BYTES);
        let more = u32::try_from(units.saturating_sub(self.units)).unwrap_or(u32::MAX);
        let permits = Arc::clone(room).try_acquire_many_owned(more).map_err(|_| {
            let text = "too much is being received at this moment; try again";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
        })?;
        self.units = units.max(self.units);
        match &mut self.permits {
            Some(held) => held.merge(permits),
            None => self.permits = Some(permits),
        }
        Ok(())
    }
}

/// Takes a little of a body nobody wants, while the answer is on its way: a connection closed over unread bytes is
/// reset, and the reset may overtake the answer. A client that waits for a word before it sends is given none.
pub(crate) fn see_off(headers: &HeaderMap, mut body: Body) {
    if body.is_end_stream() || headers.contains_key(header::EXPECT) {
        return;
    }
    let farewell = async move {
        let mut taken = 0;
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, |part| part.len());
            if taken > FAREWELL_BYTES {
                return;
            }
        }
    };
    // One at most for each connection, which counts on.
    tokio::spawn(timeout(FAREWELL, farewell));
}

/// A request as rooms see it, without its body.
pub(crate) fn call(parts: &Parts) -> Call {
    let headers = parts.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Call {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        ..Call::default()
    }
}

/// A room's answer as a browser or process sees it.
pub(crate) fn said(answer: outside::Response) -> Response {
    let Ok(status) = StatusCode::from_u16(answer.status) else {
        tracing::error!(
            status = answer.status,
            "a room answered with a status that is none"
        );
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut headers = HeaderMap::new();
    for (name, value) in answer.headers {
        match (HeaderName::try_from(&name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => _ = headers.append(name, value),
            _ => tracing::error!(name, "a room answered with a header that is none"),
        }
    }
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

//! `/api/v1/doctor`: what every room needs, and whether it has it.
//!
//! With POST the receivers are asked, too, whether they are there; that acts, so it is taken on loopback only.

use axum::extract::State;
use axum::response::Response;
use model::view::{Checkup, Verdict};
use serde::Serialize;

use super::answer::{Failure, Wrong, success};
use crate::Rooms;
use crate::checkup::looked;

pub(super) async fn look(State(rooms): State<Rooms>) -> Result<Response, Failure> {
    told(&rooms, false).await
}

pub(super) async fn ask(State(rooms): State<Rooms>) -> Result<Response, Failure> {
    told(&rooms, true).await
}

#[derive(Serialize)]
struct Told {
    counts: Counts,
    checks: Vec<Checkup>,
}

#[derive(Serialize)]
struct Counts {
    fail: usize,
    warn: usize,
    ok: usize,
    off: usize,
}

async fn told(rooms: &Rooms, live: bool) -> Result<Response, Failure> {
    let checks = looked(rooms, live).await.map_err(|text| Failure {
        wrong: Wrong::Internal,
        text,
    })?;
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let counts = Counts {
        fail: count(Verdict::Fail),
        warn: count(Verdict::Warn),
        ok: count(Verdict::Ok),
        off: count(Verdict::Off),
    };
    Ok(success(&Told { counts, checks }))
}

//! `/api/v1/status/tsdb` and `/status/walreplay`: how many series there are, and whose.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use model::view::{Cardinality, Counted};
use serde::Serialize;

use super::answer::{Failure, bad_parameter, success};
use super::param;
use crate::Rooms;
use crate::desk::Desk;
use crate::form::Form;

/// Of each list, when nothing else is asked for.
const LIMIT: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    head_stats: Head,
    series_count_by_metric_name: Vec<Counted>,
    label_value_count_by_label_name: Vec<Counted>,
    memory_in_bytes_by_label_name: Vec<Counted>,
    series_count_by_label_value_pair: Vec<Counted>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    num_series: u64,
    num_label_pairs: u64,
    chunk_count: u64,
    min_time: i64,
    max_time: i64,
}

pub(super) async fn tsdb(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    form: Form,
) -> Result<Response, Failure> {
    let limit = limit(&form)?;
    // It looks at every label there is.
    let counted = desk
        .ask(desk.patience(), move || (rooms.cardinality)(limit))
        .await?;
    let Cardinality {
        series,
        pairs,
        chunks,
        oldest,
        newest,
        by_metric,
        values_by_label,
        bytes_by_label,
        by_pair,
    } = counted;
    // An empty head has its bounds the wrong way round, as in Prometheus.
    let head = Head {
        num_series: series,
        num_label_pairs: pairs,
        chunk_count: chunks,
        min_time: oldest.map_or(i64::MAX, |time| time.0),
        max_time: newest.map_or(i64::MIN, |time| time.0),
    };
    Ok(success(&Answer {
        head_stats: head,
        series_count_by_metric_name: by_metric,
        label_value_count_by_label_name: values_by_label,
        memory_in_bytes_by_label_name: bytes_by_label,
        series_count_by_label_value_pair: by_pair,
    }))
}

fn limit(form: &Form) -> Result<usize, Failure> {
    let text = form.first("limit");
    if text.is_empty() {
        return Ok(LIMIT);
    }
    let wrong = || bad_parameter("limit", "limit must be a positive number");
    let number = param::whole(text).map_err(|_| wrong())?;
    usize::try_from(number)
        .ok()
        .filter(|limit| *limit > 0)
        .ok_or_else(wrong)
}

/// The log is read before this server listens, so whoever can ask finds it done.
pub(super) async fn replay() -> Response {
    #[derive(Serialize)]
    struct Replay {
        min: u64,
        max: u64,
        current: u64,
    }
    success(&Replay {
        min: 0,
        max: 0,
        current: 0,
    })
}

//! `/api/v1/metadata`: type, unit and help of metric families.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use model::Kind;
use serde::Serialize;

use super::answer::{Failure, bad_data, success};
use super::param;
use crate::Rooms;
use crate::form::Form;

#[derive(Serialize)]
struct Entry {
    r#type: &'static str,
    unit: Arc<str>,
    help: Arc<str>,
}

pub(super) async fn metadata(State(rooms): State<Rooms>, form: Form) -> Result<Response, Failure> {
    let limit = bound(&form, "limit")?;
    let per_metric = bound(&form, "limit_per_metric")?.filter(|most| *most > 0);
    let wanted = form.first("metric");
    let mut families: BTreeMap<Arc<str>, Vec<Entry>> = BTreeMap::new();
    for known in rooms.select.metadata() {
        if !wanted.is_empty() && *known.family != *wanted {
            continue;
        }
        let full = limit.is_some_and(|most| families.len() >= most);
        if full && !families.contains_key(&known.family) {
            continue;
        }
        let entries = families.entry(known.family).or_default();
        if per_metric.is_none_or(|most| entries.len() < most) {
            entries.push(Entry {
                r#type: word(known.kind),
                unit: known.unit,
                help: known.help,
            });
        }
    }
    Ok(success(&families))
}

/// A number, where a negative one is none; 0 families are none, as in Prometheus.
fn bound(form: &Form, name: &str) -> Result<Option<usize>, Failure> {
    let text = form.first(name);
    if text.is_empty() {
        return Ok(None);
    }
    let number = param::whole(text).map_err(|_| bad_data(format!("{name} must be a number")))?;
    Ok(usize::try_from(number).ok())
}

/// The API's word, which is not text format 0.0.4's for what is not known.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Unknown => "unknown",
        known => known.text(),
    }
}

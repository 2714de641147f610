//! `/api/v1/query_exemplars`: the events behind the series that an expression reads.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use model::{Exemplar, Labels, Timestamp};

use super::answer::{Failure, bad_data, success_list};
use super::param;
use crate::desk::Desk;
use crate::form::Form;
use crate::{Rooms, json};

pub(super) async fn exemplars(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    form: Form,
) -> Result<Response, Failure> {
    let start = param::time_or(&form, "start", Timestamp::MIN)?;
    let end = param::time_or(&form, "end", Timestamp::MAX)?;
    if end < start {
        return Err(bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = promql::parse(form.first("query")).map_err(|error| bad_data(error.to_string()))?;
    let selectors: Vec<_> = promql::selectors(&expr)
        .into_iter()
        .map(|(matchers, _)| matchers)
        .collect();
    let found = desk
        .ask(desk.patience(), move || {
            rooms.exemplars.exemplars(&selectors, start, end)
        })
        .await?
        .map_err(|error| bad_data(error.to_string()))?;
    Ok(success_list(found, 0, series))
}

fn series(text: &mut String, (labels, exemplars): &(Labels, Vec<Exemplar>)) {
    text.push_str("{\"seriesLabels\":");
    json::labels(text, labels);
    text.push_str(",\"exemplars\":[");
    for (nth, exemplar) in exemplars.iter().enumerate() {
        text.push_str(if nth > 0 { ",{\"labels\":" } else { "{\"labels\":" });
        json::labels(text, &exemplar.labels);
        text.push_str(",\"value\":");
        json::string(text, &model::text::float::api(exemplar.value));
        text.push_str(",\"timestamp\":");
        json::time(text, exemplar.time);
        text.push('}');
    }
    text.push_str("]}");
}

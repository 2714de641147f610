//! Questions of the pages to the engine; the one place that knows it.

use model::{Labels, Timestamp};
use promql::{HistogramSeries, MatrixSeries, QueryError, Value, VectorPoint};

use super::visit::Visit;

/// An answer as the pages draw it.
pub(super) enum Answer {
    Scalar(f64),
    Text(String),
    Points(Vec<VectorPoint>),
    Lines(Vec<MatrixSeries>),
}

pub(super) struct Asked {
    pub(super) answer: Answer,
    /// Native histograms beside it.
    pub(super) histograms: Vec<HistogramSeries>,
    /// What the engine wants to have said.
    pub(super) remarks: Vec<String>,
}

/// Why there is no answer, with the place in the expression when that is the reason.
pub(super) struct Wrong {
    pub(super) message: String,
    /// Line and column, from 1.
    pub(super) place: Option<(usize, usize)>,
}

pub(super) fn instant(visit: &Visit, expr: &str, at: Timestamp) -> Result<Asked, Wrong> {
    let outcome = visit.rooms.engine.instant(expr, at).map_err(wrong)?;
    let answer = match outcome.value {
        Value::Scalar { value, .. } => Answer::Scalar(value),
        Value::String { text, .. } => Answer::Text(text),
        Value::Vector(points) => Answer::Points(points),
        Value::Matrix(lines) => Answer::Lines(lines),
    };
    Ok(Asked {
        answer,
        histograms: outcome.histograms,
        remarks: outcome.warnings.into_iter().chain(outcome.infos).collect(),
    })
}

/// One number, or nothing. Of several series the first that agrees with `chosen`.
pub(super) fn number(visit: &Visit, expr: &str, at: Timestamp, chosen: Option<&Labels>) -> Option<f64> {
    let value = match instant(visit, expr, at).ok()?.answer {
        Answer::Scalar(value) => value,
        Answer::Points(points) => {
            let fits = |point: &&VectorPoint| chosen.is_none_or(|chosen| agrees(&point.labels, chosen));
            points.iter().find(fits)?.value
        }
        Answer::Text(_) | Answer::Lines(_) => return None,
    };
    value.is_finite().then_some(value)
}

/// Whether an alert may have come from this series: where both have a label, they say the same.
fn agrees(series: &Labels, chosen: &Labels) -> bool {
    let mut own = series
        .iter()
        .filter(|(name, _)| *name != model::labels::METRIC_NAME);
    own.all(|(name, value)| chosen.get(name).is_none_or(|said| said == value))
}

fn wrong(error: QueryError) -> Wrong {
    match error {
        QueryError::Parse(error) => Wrong {
            message: match error.suggestion {
                Some(suggestion) => format!("{}; {suggestion}", error.message),
                None => error.message,
            },
            place: Some((error.line, error.column)),
        },
        other => Wrong {
            message: other.to_string(),
            place: None,
        },
    }
}

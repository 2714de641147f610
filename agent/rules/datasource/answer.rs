//! Reads an instant answer of Prometheus' API.

use std::collections::BTreeMap;

use model::text::float;
use model::{Answer, Labels, Point, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What stands before Prometheus' remarks about an expression itself.
const REMARKS: [&str; 2] = ["PromQL warning:", "PromQL info:"];

pub(super) struct Read {
    pub(super) answer: Answer,
    /// A warning that is not about the expression: part of the data may be missing.
    pub(super) partial: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The API says so.
    Refused { kind: String, error: String },
    /// The question is not one for a rule.
    Question(String),
    /// It is no answer of the API.
    NoAnswer(String),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    status: String,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(rename = "errorType", default)]
    kind: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "resultType")]
    kind: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// None: a native histogram.
    value: Option<(f64, String)>,
}

pub(super) fn read(body: &[u8]) -> Result<Read, Wrong> {
    let no_answer = |_| Wrong::NoAnswer("no JSON of Prometheus' API".to_owned());
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(no_answer)?;
    let data = match (envelope.status.as_str(), envelope.data) {
        ("success", Some(data)) => data,
        ("error", _) => {
            return Err(Wrong::Refused {
                kind: envelope.kind,
                error: envelope.error,
            });
        }
        _ => return Err(Wrong::NoAnswer("neither data nor an error".to_owned())),
    };
    let (result, mut warnings) = (data.result.get(), Vec::new());
    let points = match data.kind.as_str() {
        "vector" => {
            let rows: Vec<Row> = serde_json::from_str(result).map_err(no_answer)?;
            let all = rows.len();
            let points = rows
                .into_iter()
                .filter_map(point)
                .collect::<Result<Vec<_>, _>>()?;
            if points.len() < all {
                warnings.push("native histograms were left out".to_owned());
            }
            points
        }
        "scalar" => {
            let value = serde_json::from_str(result).map_err(no_answer)?;
            let row = Row {
                metric: BTreeMap::new(),
                value: Some(value),
            };
            point(row).into_iter().collect::<Result<_, _>>()?
        }
        other => {
            return Err(Wrong::Question(format!(
                "its answer is a {other}, and a rule needs a vector or a scalar"
            )));
        }
    };
    let is_remark = |warning: &String| REMARKS.iter().any(|remark| warning.starts_with(remark));
    let partial = envelope
        .warnings
        .iter()
        .find(|warning| !is_remark(warning))
        .cloned();
    warnings.extend(envelope.warnings);
    Ok(Read {
        answer: Answer { points, warnings },
        partial,
    })
}

fn point(row: Row) -> Option<Result<Point, Wrong>> {
    let (_, value) = row.value?;
    let read = float::parse(&value).map(|value| Point {
        labels: Labels::from_pairs(row.metric),
        value,
    });
    Some(read.ok_or_else(|| Wrong::NoAnswer(format!("a value that is no number: {value:?}"))))
}

/// With all of its milliseconds.
pub(super) fn seconds(time: Timestamp) -> String {
    let millis = time.millis();
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

//! `/api/v1/query`, `/query_range`, `/format_query`, `/parse_query`: questions in PromQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use model::text::histogram::Written;
use model::{Histogram, Labels, Sample, Timestamp};
use promql::{
    Count, Engine, HistogramSeries, MatrixSeries, Options, Outcome, QueryError, Stop, Type, Value,
    VectorPoint,
};

use super::answer::{Failure, Remarks, Wrong, bad_data, bad_parameter, json, success, truncate};
use super::param;
use super::statistics;
use super::tree::tree;
use crate::Rooms;
use crate::desk::Desk;
use crate::form::Form;
use crate::json::{labels, list, point, seconds, string};

/// Native histograms of one series.
type HistogramPoints = Vec<(Timestamp, Arc<Histogram>)>;

/// More steps than a screen has pixels help nobody.
const STEPS_MAX: f64 = 11_000.0;

pub(super) async fn instant(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    form: Form,
) -> Result<Response, Failure> {
    let limit = param::limit(&form)?;
    let time = param::time_or(&form, "time", rooms.clock.now())?;
    let (options, _leash) = options(&form, &rooms.engine, &desk)?;
    let query = form.first("query").to_owned();
    let asked = Instant::now();
    let (waited, outcome) = desk
        .ask(options.timeout, move || {
            let waited = asked.elapsed();
            (waited, rooms.engine.instant_with(&query, time, &options))
        })
        .await?;
    Ok(written(outcome?, waited, limit))
}

pub(super) async fn range(
    State(rooms): State<Rooms>,
    Extension(desk): Extension<Arc<Desk>>,
    form: Form,
) -> Result<Response, Failure> {
    let limit = param::limit(&form)?;
    let given = |name| param::time(form.first(name)).map_err(|why| bad_parameter(name, why));
    let (start, end) = (given("start")?, given("end")?);
    if end < start {
        return Err(bad_parameter(
            "end",
            "end timestamp must not be before start time",
        ));
    }
    let step = step(&form)?;
    if ((end.0 - start.0) as f64 / step).floor() > STEPS_MAX {
        return Err(bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution \
             (?step=XX)",
        ));
    }
    let (options, _leash) = options(&form, &rooms.engine, &desk)?;
    let query = form.first("query").to_owned();
    let gives = promql::parse(&query).map_err(QueryError::Parse)?.returns();
    if !matches!(gives, Type::Scalar | Type::Vector) {
        let why = format!(
            "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
            gives.words()
        );
        return Err(bad_parameter("query", why));
    }
    // Samples are a millisecond apart at least, and so are steps.
    let step = Duration::from_millis(step.max(1.0) as u64);
    let asked = Instant::now();
    let (waited, outcome) = desk
        .ask(options.timeout, move || {
            let waited = asked.elapsed();
            (
                waited,
                rooms.engine.range_with(&query, (start, end), step, &options),
            )
        })
        .await?;
    Ok(written(outcome?, waited, limit))
}

pub(super) async fn format(form: Form) -> Result<Response, Failure> {
    let expr = promql::parse(form.first("query")).map_err(QueryError::Parse)?;
    Ok(success(&expr.to_string()))
}

pub(super) async fn parse(form: Form) -> Result<Response, Failure> {
    let expr = promql::parse(form.first("query")).map_err(QueryError::Parse)?;
    Ok(success(&tree(&expr)))
}

/// Milliseconds.
fn step(form: &Form) -> Result<f64, Failure> {
    let step = param::millis(form.first("step")).map_err(|why| bad_parameter("step", why))?;
    if step <= 0.0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(bad_parameter("step", why));
    }
    Ok(step)
}

/// Stops the query when whoever asked is gone, or has given up.
pub(super) struct Leash(Stop);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// The engine's options, with what the request says of them.
pub(super) fn options(form: &Form, engine: &Engine, desk: &Desk) -> Result<(Options, Leash), Failure> {
    let mut options = engine.options().clone();
    options.timeout = param::timeout(form, options.timeout.min(desk.patience()))?;
    let lookback = form.first("lookback_delta");
    if !lookback.is_empty() {
        let millis = param::millis(lookback)
            .map_err(|why| bad_data(format!("error parsing lookback delta duration: {why}")))?;
        // 0 is the server's own, as in Prometheus.
        if millis > 0.0 {
            options.lookback = Duration::from_millis(millis as u64);
        }
    }
    options.count = match form.first("stats") {
        "" => Count::Nothing,
        "all" => Count::Steps,
        _ => Count::Whole,
    };
    let stop = Stop::default();
    options.stop = Some(stop.clone());
    Ok((options, Leash(stop)))
}

/// `waited` for its turn.
fn written(outcome: Outcome, waited: Duration, limit: usize) -> Response {
    let Outcome {
        value,
        histograms,
        warnings,
        infos,
        statistics,
    } = outcome;
    let stats = statistics.map_or_else(String::new, |took| statistics::member(&took, waited));
    let mut remarks = Remarks { warnings, infos };
    let body = match value {
        Value::Scalar { time, value } => {
            let mut text = head("scalar");
            seconds(&mut text, time);
            text.push(',');
            string(&mut text, &model::text::float::api(value));
            text.push_str(&tail(&stats, &remarks));
            text.into()
        }
        Value::String { time, text: value } => {
            let mut text = head("string");
            seconds(&mut text, time);
            text.push(',');
            string(&mut text, &value);
            text.push_str(&tail(&stats, &remarks));
            text.into()
        }
        Value::Vector(points) => {
            let floats = points.into_iter().map(Element::Float);
            let mut all: Vec<Element> = floats
                .chain(histograms.into_iter().map(Element::Histogram))
                .collect();
            truncate(&mut all, limit, &mut remarks);
            list(head("vector"), all, vector_element, tail(&stats, &remarks))
        }
        Value::Matrix(series) => {
            let mut all = together(series, histograms);
            truncate(&mut all, limit, &mut remarks);
            list(head("matrix"), all, matrix_series, tail(&stats, &remarks))
        }
    };
    json(body)
}

fn head(kind: &str) -> String {
    format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"{kind}\",\"result\":[")
}

fn tail(stats: &str, remarks: &Remarks) -> String {
    format!("]{stats}}}{}", remarks.tail())
}

/// One series of an instant vector.
enum Element {
    Float(VectorPoint),
    Histogram(HistogramSeries),
}

fn vector_element(text: &mut String, element: &Element) {
    text.push_str("{\"metric\":");
    match element {
        Element::Float(found) => {
            labels(text, &found.labels);
            text.push_str(",\"value\":");
            point(text, found.time, found.value);
        }
        Element::Histogram(found) => {
            labels(text, &found.labels);
            text.push_str(",\"histogram\":");
            match found.points.first() {
                Some((time, one)) => histogram(text, *time, one),
                None => text.push_str("null"),
            }
        }
    }
    text.push('}');
}

/// Floats and native histograms of each series; both are sorted by labels.
fn together(
    floats: Vec<MatrixSeries>,
    histograms: Vec<HistogramSeries>,
) -> Vec<(MatrixSeries, HistogramPoints)> {
    if histograms.is_empty() {
        return floats.into_iter().map(|series| (series, Vec::new())).collect();
    }
    let mut all: BTreeMap<Labels, (Vec<Sample>, HistogramPoints)> = BTreeMap::new();
    for series in floats {
        all.entry(series.labels).or_default().0 = series.points;
    }
    for series in histograms {
        all.entry(series.labels).or_default().1 = series.points;
    }
    let series = |(labels, (points, histograms))| (MatrixSeries { labels, points }, histograms);
    all.into_iter().map(series).collect()
}

fn matrix_series(text: &mut String, (series, histograms): &(MatrixSeries, HistogramPoints)) {
    text.push_str("{\"metric\":");
    labels(text, &series.labels);
    if !series.points.is_empty() || histograms.is_empty() {
        text.push_str(",\"values\":[");
        for (nth, sample) in series.points.iter().enumerate() {
            if nth > 0 {
                text.push(',');
            }
            point(text, sample.time, sample.value);
        }
        text.push(']');
    }
    if !histograms.is_empty() {
        text.push_str(",\"histograms\":[");
        for (nth, (time, one)) in histograms.iter().enumerate() {
            if nth > 0 {
                text.push(',');
            }
            histogram(text, *time, one);
        }
        text.push(']');
    }
    text.push('}');
}

fn histogram(text: &mut String, at: Timestamp, histogram: &Histogram) {
    text.push('[');
    seconds(text, at);
    text.push(',');
    // Numbers as texts and nothing else: it can be written.
    text.push_str(&serde_json::to_string(&Written::from(histogram)).unwrap_or_default());
    text.push(']');
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let wrong = match &error {
            QueryError::Parse(error) => return bad_parameter("query", error),
            QueryError::Execution(_) | QueryError::TooManySamples => Wrong::Execution,
            QueryError::Timeout => Wrong::Timeout,
            QueryError::Cancelled => Wrong::Canceled,
        };
        Self {
            wrong,
            text: error.to_string(),
        }
    }
}

//! A Prometheus of a few lines: the doors of the API that a back-test asks, answered by our own engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, ClientError, Request, Response};
use model::text::float;
use model::{BoxFuture, Select, Timestamp};
use parking_lot::Mutex;
use promql::script::Memory;
use promql::{Engine, MatrixSeries, Options, Value};
use serde_json::{Value as Json, json};

/// As of a Prometheus.
const POINTS_MAX: f64 = 11_000.0;

pub(super) struct Fake {
    engine: Engine,
    /// Answers that are given first, in place of one's own.
    pub(super) first: Mutex<Vec<Result<Response, ClientError>>>,
    /// What it warns of when it answers.
    pub(super) warnings: Mutex<Vec<String>>,
    /// Expressions that were asked.
    pub(super) asked: Mutex<Vec<String>>,
}

impl Fake {
    pub(super) fn new(memory: &Arc<Memory>) -> Arc<Self> {
        let samples = Arc::clone(memory) as Arc<dyn Select>;
        Arc::new(Self {
            engine: Engine::new(samples, Options::default()),
            first: Mutex::default(),
            warnings: Mutex::default(),
            asked: Mutex::default(),
        })
    }

    fn answer(&self, request: &Request) -> Response {
        let form: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        let time = |name: &str| Timestamp::from_seconds(form[name].parse().unwrap());
        if let Some(expr) = form.get("query") {
            self.asked.lock().push(expr.clone());
        }
        let outcome = match request.url.as_str() {
            "http://fake/api/v1/query_range" => {
                let step: f64 = form["step"].parse().unwrap();
                let (start, end) = (time("start"), time("end"));
                if end.since(start).as_secs_f64() / step > POINTS_MAX {
                    let why = "exceeded maximum resolution of 11,000 points per timeseries";
                    return json_response(
                        400,
                        &json!({"status": "error", "errorType": "bad_data", "error": why}),
                    );
                }
                self.engine
                    .range(&form["query"], start, end, Duration::from_secs_f64(step))
            }
            "http://fake/api/v1/query" => self.engine.instant(&form["query"], time("time")),
            "http://fake/api/v1/series" => {
                assert_eq!(form["match[]"], "up");
                return json_response(200, &json!({"status": "success", "data": [{"__name__": "up"}]}));
            }
            other => panic!("nobody opens {other}"),
        };
        match outcome.map(|outcome| outcome.value) {
            Ok(Value::Matrix(all)) => {
                let data = json!({"resultType": "matrix", "result": rows(all)});
                let warnings = self.warnings.lock().clone();
                json_response(
                    200,
                    &json!({"status": "success", "data": data, "warnings": warnings}),
                )
            }
            Ok(other) => panic!("{other:?} was not asked for"),
            Err(error) => json_response(
                422,
                &json!({"status": "error", "errorType": "execution", "error": error.to_string()}),
            ),
        }
    }
}

/// As Prometheus writes it: no stale markers in a range of samples.
fn rows(all: Vec<MatrixSeries>) -> Vec<Json> {
    let row = |series: MatrixSeries| {
        let metric: BTreeMap<&str, &str> = series.labels.iter().collect();
        let values = series.points.iter();
        let values = values.map(|point| json!([point.time.seconds(), float::api(point.value)]));
        json!({"metric": metric, "values": values.collect::<Vec<_>>()})
    };
    all.into_iter().map(row).collect()
}

pub(super) fn json_response(status: u16, body: &Json) -> Response {
    Response {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}

impl Client for Fake {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, ClientError>> {
        let first = self.first.lock().pop();
        let answer = first.unwrap_or_else(|| Ok(self.answer(&request)));
        Box::pin(std::future::ready(answer))
    }
}

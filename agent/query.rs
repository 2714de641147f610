//! `skopos query`: a question in PromQL on a terminal, answered by a running Skopos or any Prometheus.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use model::outside::{Client, Method, Request};
use model::text::duration;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::{QueryArgs, Shape};
use crate::plot::{Line, Plot};

/// Longer answers are for programs, not for eyes.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Steps of a range for which none is named.
const STEPS: u32 = 250;
const STEP_MIN: Duration = Duration::from_secs(1);

/// Ends with 1 when there is no answer, or when it is an error.
#[must_use]
pub fn run(arguments: &QueryArgs) -> ExitCode {
    match ask(arguments).and_then(|answer| show(arguments, &answer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "skopos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Box<RawValue>>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Scalar(Point),
    String(Point),
    Vector(Vec<Sample>),
    Matrix(Vec<Series>),
}

/// Seconds since 1970, and the value as text.
#[derive(Clone, Deserialize)]
struct Point(f64, String);

type Metric = serde_json::Map<String, serde_json::Value>;

#[derive(Deserialize)]
struct Sample {
    metric: Metric,
    value: Point,
}

#[derive(Deserialize)]
struct Series {
    metric: Metric,
    values: Vec<Point>,
}

fn ask(arguments: &QueryArgs) -> anyhow::Result<Answer> {
    let base = arguments.url.trim_end_matches('/');
    let (path, parameters) = question(arguments)?;
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    let request = Request {
        method: Method::Post,
        url: format!("{base}{path}"),
        headers: vec![(
            "content-type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        )],
        body: form.into_bytes(),
        timeout: arguments.timeout,
        answer_bytes_max: ANSWER_BYTES_MAX,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = net::HttpClient::new().map_err(|error| anyhow::anyhow!("{error}"))?;
    let response = runtime
        .block_on(client.send(request))
        .with_context(|| format!("asking {base}; name a running Skopos or a Prometheus with --url"))?;
    let answer: Answer = serde_json::from_slice(&response.body).with_context(|| {
        format!(
            "{base}{path} answers {} and no JSON of Prometheus' API",
            response.status
        )
    })?;
    match &answer.error {
        Some(error) => bail!("{error}"),
        None => Ok(answer),
    }
}

/// The door, and what is asked there.
fn question(arguments: &QueryArgs) -> anyhow::Result<(&'static str, Vec<(&'static str, String)>)> {
    let mut parameters = vec![
        ("query", arguments.expr.clone()),
        ("timeout", duration::short(arguments.timeout)),
    ];
    let is_range = arguments.since.is_some() || arguments.start.is_some();
    if !is_range {
        let time = arguments.time.iter().map(|time| ("time", time.clone()));
        parameters.extend(time);
        return Ok(("/api/v1/query", parameters));
    }
    let now = jiff::Timestamp::now();
    let end = match &arguments.end {
        Some(end) => moment(end)?,
        None => now.as_millisecond() as f64 / 1000.0,
    };
    let start = match (&arguments.start, arguments.since) {
        (Some(start), _) => moment(start)?,
        (None, since) => end - since.unwrap_or_default().as_secs_f64(),
    };
    let length = Duration::try_from_secs_f64(end - start).context("the range ends before it starts")?;
    let step = arguments
        .step
        .unwrap_or_else(|| whole_seconds(length / STEPS).max(STEP_MIN));
    parameters.extend([
        ("start", start.to_string()),
        ("end", end.to_string()),
        ("step", step.as_secs_f64().to_string()),
    ]);
    Ok(("/api/v1/query_range", parameters))
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

/// Seconds since 1970, from such a number or from RFC 3339.
fn moment(text: &str) -> anyhow::Result<f64> {
    if let Some(seconds) = model::text::float::parse(text) {
        return Ok(seconds);
    }
    let time: jiff::Timestamp = text.parse().with_context(|| {
        format!("{text:?} is no time; write seconds since 1970, or for example 2026-05-01T03:00:00Z")
    })?;
    Ok(time.as_millisecond() as f64 / 1000.0)
}

fn show(arguments: &QueryArgs, answer: &Answer) -> anyhow::Result<()> {
    let mut remarks = io::stderr().lock();
    for (kind, texts) in [("warning", &answer.warnings), ("info", &answer.infos)] {
        for text in texts {
            _ = writeln!(remarks, "{kind}: {text}");
        }
    }
    let data = answer.data.as_deref().context("the answer has no data")?.get();
    let text = if arguments.output == Some(Shape::Json) {
        format!("{data}\n")
    } else {
        let data: Data = serde_json::from_str(data).context("the answer is none of Prometheus' API")?;
        written(&data, arguments.output)
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // The reader of our output has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

fn written(data: &Data, shape: Option<Shape>) -> String {
    match data {
        Data::Scalar(Point(_, value)) | Data::String(Point(_, value)) => format!("{value}\n"),
        Data::Vector(samples) => vector(samples),
        Data::Matrix(all) if all.is_empty() => "no series\n".to_owned(),
        Data::Matrix(all) if shape == Some(Shape::Table) => matrix(all),
        Data::Matrix(all) => plotted(all),
    }
}

/// Values stand right, under each other, before the series: names differ in length more than numbers.
fn vector(samples: &[Sample]) -> String {
    if samples.is_empty() {
        return "no series\n".to_owned();
    }
    let wide = samples
        .iter()
        .map(|sample| sample.value.1.len())
        .max()
        .unwrap_or(0);
    samples.iter().fold(String::new(), |mut text, sample| {
        _ = writeln!(text, "{:>wide$}  {}", sample.value.1, name(&sample.metric));
        text
    })
}

fn matrix(all: &[Series]) -> String {
    let mut text = String::new();
    for series in all {
        _ = writeln!(text, "{}", name(&series.metric));
        for Point(time, value) in &series.values {
            _ = writeln!(text, "  {}  {value}", clock(*time));
        }
    }
    text
}

fn plotted(all: &[Series]) -> String {
    let lines = all.iter().map(|series| Line {
        name: name(&series.metric),
        points: series
            .values
            .iter()
            .map(|Point(time, value)| (*time, model::text::float::parse(value).unwrap_or(f64::NAN)))
            .collect(),
    });
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let in_colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Plot::new(lines.collect(), columns.unwrap_or(80), in_colour).draw(clock)
}

/// As PromQL writes a series.
fn name(metric: &Metric) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let labels: Vec<String> = metric
        .iter()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={}", model::text::quote(&text(value))))
        .collect();
    let name = metric.get("__name__").map(text).unwrap_or_default();
    match (name.is_empty(), labels.is_empty()) {
        (false, true) => name,
        _ => format!("{name}{{{}}}", labels.join(",")),
    }
}

/// UTC, to the second.
fn clock(seconds: f64) -> String {
    jiff::Timestamp::from_millisecond((seconds * 1000.0) as i64).map_or_else(
        |_| seconds.to_string(),
        |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str, shape: Option<Shape>) -> String {
        written(&serde_json::from_str(json).unwrap(), shape)
    }

    #[test]
    fn a_vector_is_a_table_of_values_and_series() {
        let json = r#"{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"a\"b"},"value":[1,"1"]},{"metric":{"x":"y"},"value":[1,"12.5"]}]}"#;
        assert_eq!(shown(json, None), "   1  up{job=\"a\\\"b\"}\n12.5  {x=\"y\"}\n");
        assert_eq!(
            shown(r#"{"resultType":"vector","result":[]}"#, None),
            "no series\n"
        );
        assert_eq!(shown(r#"{"resultType":"scalar","result":[1,"3"]}"#, None), "3\n");
    }

    #[test]
    fn a_range_is_a_plot_or_a_table() {
        let json = r#"{"resultType":"matrix","result":[{"metric":{"__name__":"up"},"values":[[0,"1"],[60,"NaN"]]}]}"#;
        assert_eq!(
            shown(json, Some(Shape::Table)),
            "up\n  1970-01-01T00:00:00Z  1\n  1970-01-01T00:01:00Z  NaN\n"
        );
        let plot = shown(json, None);
        assert!(
            plot.contains("up") && plot.contains("1970-01-01T00:01:00Z"),
            "{plot}"
        );
    }

    #[test]
    fn times_are_numbers_or_rfc_3339() {
        assert_eq!(moment("1.5").unwrap(), 1.5);
        assert_eq!(moment("1970-01-01T00:01:00Z").unwrap(), 60.0);
        assert!(
            moment("yesterday")
                .unwrap_err()
                .to_string()
                .contains("is no time")
        );
    }
}

//! What was answered, and how it looks on a terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use model::text::histogram::Written;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::cli::Shape;
use crate::plot::{Line, Plot};

#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) data: Option<Box<RawValue>>,
    pub(crate) error: Option<String>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    #[serde(default)]
    pub(crate) infos: Vec<String>,
    /// About where it comes from.
    #[serde(skip)]
    pub(crate) notes: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(crate) enum Data {
    Scalar(Point),
    String(Point),
    Vector(Vec<Sample>),
    Matrix(Vec<Series>),
}

/// Seconds since 1970, and the value as text.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Point(
    #[serde(serialize_with = "seconds")] pub(crate) f64,
    pub(crate) String,
);

pub(crate) type Metric = serde_json::Map<String, serde_json::Value>;

#[derive(Deserialize, Serialize)]
pub(crate) struct Sample {
    pub(crate) metric: Metric,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Point>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) histogram: Option<Distribution>,
}

/// A native histogram and its time.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Distribution(
    #[serde(serialize_with = "seconds")] pub(crate) f64,
    pub(crate) Written,
);

#[derive(Deserialize, Serialize)]
pub(crate) struct Series {
    pub(crate) metric: Metric,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<Point>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) histograms: Vec<Distribution>,
}

impl Sample {
    fn text(&self) -> String {
        let histogram = || {
            self.histogram
                .as_ref()
                .map(|Distribution(_, one)| one.to_string())
        };
        let value = self.value.as_ref().map(|Point(_, value)| value.clone());
        value.or_else(histogram).unwrap_or_default()
    }
}

/// Whole seconds without a point, others with three digits behind it, as Prometheus writes them.
fn seconds<S: Serializer>(seconds: &f64, to: S) -> Result<S::Ok, S::Error> {
    let text = if seconds.fract() == 0.0 {
        format!("{seconds:.0}")
    } else {
        format!("{seconds:.3}")
    };
    RawValue::from_string(text)
        .map_err(serde::ser::Error::custom)?
        .serialize(to)
}

pub(crate) fn show(answer: &Answer, shape: Option<Shape>) -> anyhow::Result<()> {
    let mut remarks = io::stderr().lock();
    let kinds = [
        ("note", &answer.notes),
        ("warning", &answer.warnings),
        ("info", &answer.infos),
    ];
    for (kind, texts) in kinds {
        for text in texts {
            _ = writeln!(remarks, "{kind}: {text}");
        }
    }
    let data = answer.data.as_deref().context("the answer has no data")?.get();
    let text = if shape == Some(Shape::Json) {
        format!("{data}\n")
    } else {
        let data: Data = serde_json::from_str(data).context("the answer is none of Prometheus' API")?;
        written(&data, shape)
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
        // There is no line through histograms.
        Data::Matrix(all) if all.iter().any(|series| !series.histograms.is_empty()) => matrix(all),
        Data::Matrix(all) => plotted(all),
    }
}

/// Values stand right, under each other, before the series: names differ in length more than numbers.
fn vector(samples: &[Sample]) -> String {
    if samples.is_empty() {
        return "no series\n".to_owned();
    }
    let texts: Vec<String> = samples.iter().map(Sample::text).collect();
    let wide = texts.iter().map(String::len).max().unwrap_or(0);
    samples
        .iter()
        .zip(&texts)
        .fold(String::new(), |mut text, (sample, value)| {
            _ = writeln!(text, "{value:>wide$}  {}", name(&sample.metric));
            text
        })
}

fn matrix(all: &[Series]) -> String {
    let mut text = String::new();
    for series in all {
        _ = writeln!(text, "{}", name(&series.metric));
        let floats = series
            .values
            .iter()
            .map(|Point(time, value)| (*time, value.clone()));
        let histograms = series
            .histograms
            .iter()
            .map(|Distribution(time, one)| (*time, one.to_string()));
        let mut all: Vec<(f64, String)> = floats.chain(histograms).collect();
        all.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        for (time, value) in all {
            _ = writeln!(text, "  {}  {value}", clock(time));
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
pub(crate) fn clock(seconds: f64) -> String {
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
    fn native_histograms_are_said_by_their_buckets() {
        let json = r#"{"resultType":"vector","result":[
            {"metric":{"__name__":"h"},"histogram":[1,{"count":"3","sum":"2.5","buckets":[[0,"0.5","1","3"]]}]}]}"#;
        assert_eq!(shown(json, None), "{count:3, sum:2.5, (0.5,1]:3}  h\n");
        let json = r#"{"resultType":"matrix","result":[{"metric":{"__name__":"h"},"values":[[60,"1"]],
            "histograms":[[0,{"count":"0","sum":"0"}]]}]}"#;
        assert_eq!(
            shown(json, None),
            "h\n  1970-01-01T00:00:00Z  {count:0, sum:0}\n  1970-01-01T00:01:00Z  1\n"
        );
    }

    #[test]
    fn an_answer_reads_back_as_it_was_written() {
        let json = r#"{"resultType":"vector","result":[{"metric":{"__name__":"up"},"value":[1435781430.780,"1"]},{"metric":{},"value":[5,"NaN"]}]}"#;
        let data: Data = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&data).unwrap(), json);
    }
}

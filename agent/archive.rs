//! A question to a data directory, read only: in use by a running Skopos or not, or with the blocks of a Prometheus.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use model::text::float;
use model::text::histogram::Written;
use model::{Clock, Histogram, Labels, Sample as Stored, Timestamp};
use promql::{Engine, HistogramSeries, Options, Outcome, Value};
use serde_json::value::to_raw_value;
use store::{Look, Store};
use telemetry::clock::RuntimeClock;

use crate::answer::{Answer, Data, Distribution, Metric, Point, Sample, Series, clock};
use crate::cli::QueryArgs;
use crate::query::When;

/// The samples of a data directory, and the folder where they are.
///
/// # Errors
/// A sentence: there are none, or they cannot be read.
pub(crate) fn open(data_dir: &Path, time: Arc<dyn Clock>) -> anyhow::Result<(PathBuf, Look)> {
    let folder = samples_in(data_dir)?;
    let look = Store::look(&folder, time).with_context(|| format!("reading {}", folder.display()))?;
    Ok((folder, look))
}

/// What there is and is not in the samples.
pub(crate) fn unseen(look: &Look) -> Vec<String> {
    look.unseen
        .iter()
        .map(|what| format!("not seen: {what}"))
        .collect()
}

pub(crate) fn ask(data_dir: &Path, arguments: &QueryArgs, when: &When) -> anyhow::Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _time = runtime.enter();
    let time: Arc<dyn Clock> = RuntimeClock::system();
    let now = time.now();
    let (folder, look) = open(data_dir, time)?;
    let options = Options {
        timeout: arguments.timeout,
        ..Options::default()
    };
    let engine = Engine::new(look.samples.clone(), options);
    let (first, last) = match when {
        When::Now => (now, now),
        When::At(time) => (moment(*time), moment(*time)),
        When::Range { start, end, .. } => (moment(*start), moment(*end)),
    };
    let outcome = match when {
        When::Range { step, .. } => engine.range(&arguments.expr, first, last, *step),
        When::Now | When::At(_) => engine.instant(&arguments.expr, last),
    };
    let Outcome {
        value,
        histograms,
        warnings,
        infos,
        statistics: _,
    } = outcome.map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut notes = unseen(&look);
    if histograms.is_empty() {
        notes.extend(elsewhere(&look, &folder, &value, (first, last)));
    }
    Ok(Answer {
        data: Some(to_raw_value(&data(value, histograms))?),
        error: None,
        warnings,
        infos,
        notes,
    })
}

/// The folder with the samples: of a Skopos, or the very folder named.
pub(crate) fn samples_in(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let shown = data_dir.display();
    if !data_dir.is_dir() {
        bail!(
            "there is no data directory {shown}; name one with --data-dir, or a running process with --url"
        );
    }
    let own = data_dir.join("metrics");
    if let Some(folder) = [own.as_path(), data_dir]
        .into_iter()
        .find(|folder| has_samples(folder))
    {
        return Ok(folder.to_owned());
    }
    if own.is_dir() {
        bail!("no samples are kept in {shown} (`history: none`, or not yet); ask the process with --url");
    }
    if data_dir.join("wal").is_dir() {
        bail!(
            "{shown} has no blocks: what a Prometheus has in its own log only it can be asked for, with --url"
        );
    }
    bail!(
        "{shown} is no data directory: it has neither the metrics of a Skopos nor the blocks of a Prometheus"
    );
}

/// A block, or a log of ours.
fn has_samples(folder: &Path) -> bool {
    let any = |folder: &Path, holds: fn(&Path) -> bool| {
        std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| holds(&entry.path())))
    };
    let is_segment = |path: &Path| path.extension().is_some_and(|ending| ending == "wal");
    any(folder, |path| path.join("meta.json").is_file())
        || ["log", "wal"]
            .iter()
            .any(|log| any(&folder.join(log), is_segment))
}

/// Why nothing was found, when that was asked for a time of which nothing is kept.
fn elsewhere(look: &Look, folder: &Path, value: &Value, asked: (Timestamp, Timestamp)) -> Option<String> {
    let is_empty = match value {
        Value::Vector(points) => points.is_empty(),
        Value::Matrix(series) => series.is_empty(),
        Value::Scalar { .. } | Value::String { .. } => false,
    };
    if !is_empty {
        return None;
    }
    let shown = folder.display();
    let Some((oldest, newest)) = look.span else {
        return Some(format!("there are no samples in {shown}"));
    };
    let misses = asked.1 < oldest || newest < asked.0;
    let [oldest, newest] = [oldest, newest].map(|time| clock(time.seconds()));
    misses.then(|| {
        format!(
            "samples in {shown} are from {oldest} to {newest}; ask for then with --time, or --start and --end"
        )
    })
}

pub(crate) fn moment(seconds: f64) -> Timestamp {
    Timestamp((seconds * 1000.0).round() as i64)
}

fn data(value: Value, histograms: Vec<HistogramSeries>) -> Data {
    match value {
        Value::Scalar { time, value } => Data::Scalar(point(time, value)),
        Value::String { time, text } => Data::String(Point(time.seconds(), text)),
        Value::Vector(points) => {
            let sample = |one: &promql::VectorPoint| Sample {
                metric: metric(&one.labels),
                value: Some(point(one.time, one.value)),
                histogram: None,
            };
            let histogram = |one: &HistogramSeries| Sample {
                metric: metric(&one.labels),
                value: None,
                histogram: one.points.first().map(distribution),
            };
            let floats = points.iter().map(sample);
            Data::Vector(floats.chain(histograms.iter().map(histogram)).collect())
        }
        Value::Matrix(all) => {
            let series = |one: &promql::MatrixSeries| Series {
                metric: metric(&one.labels),
                values: one
                    .points
                    .iter()
                    .map(|Stored { time, value }| point(*time, *value))
                    .collect(),
                histograms: Vec::new(),
            };
            let mut all: Vec<Series> = all.iter().map(series).collect();
            for one in &histograms {
                let (metric, histograms) =
                    (metric(&one.labels), one.points.iter().map(distribution).collect());
                match all.iter_mut().find(|series| series.metric == metric) {
                    Some(series) => series.histograms = histograms,
                    None => all.push(Series {
                        metric,
                        values: Vec::new(),
                        histograms,
                    }),
                }
            }
            Data::Matrix(all)
        }
    }
}

fn distribution((time, histogram): &(Timestamp, Arc<Histogram>)) -> Distribution {
    Distribution(time.seconds(), Written::from(&**histogram))
}

fn point(time: Timestamp, value: f64) -> Point {
    Point(time.seconds(), float::api(value))
}

fn metric(labels: &Labels) -> Metric {
    labels
        .iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

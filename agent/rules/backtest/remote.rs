//! The past behind the HTTP API of a Prometheus, or of anything that speaks as one.
//!
//! Expressions are evaluated there, many steps in one request. Samples are fetched only for expressions that read what the
//! rules record, too. A range of samples does not say when a series has ended, so where an instant selector looks, the
//! API is asked which series it sees there, and those it does not see have ended.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use model::outside::{Client, ClientError, Method, Request, Response};
use model::text::float;
use model::{BoxFuture, Labels, Matcher, STALE, Sample, Select, TimeRange, Timestamp};
use parking_lot::Mutex;
use promql::MatrixSeries;
use promql::script::Memory;
use serde::Deserialize;

use super::past::{Past, PastError};
use super::reads::Read;
use super::steps::Steps;
use crate::heard::LOOKBACK;

/// Longest answer that is read; what is longer is asked for in parts.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Tries of a request, and the pause before the second; it doubles.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// Failures of single steps of an expression in a row, after which it is not asked for any more.
const FAILURES_MAX: u32 = 1_000;
/// Expressions of which failures are counted: those of templates have no end.
const FAILING_MAX: usize = 1_000;
/// Warnings in answers that are told.
const WARNINGS_MAX: usize = 10;

pub struct Remote {
    client: Arc<dyn Client>,
    /// Without a slash at its end.
    base: String,
    timeout: Duration,
    samples_max: usize,
    /// How often in a row single steps of an expression have failed, and with what.
    failures: Mutex<BTreeMap<String, (u32, String)>>,
    /// What answers warned of, as who asks several stores does when one is away.
    warnings: Mutex<BTreeSet<String>>,
    /// Whether there is any `up`.
    has_up: Mutex<Option<bool>>,
}

#[derive(Deserialize)]
struct Answer<D> {
    data: Option<D>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    result: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Remote {
    /// Of each request `timeout`; of each question at most so many samples.
    #[must_use]
    pub fn new(client: Arc<dyn Client>, url: &str, timeout: Duration, samples_max: usize) -> Self {
        Self {
            client,
            base: url.trim_end_matches('/').to_owned(),
            timeout,
            samples_max,
            failures: Mutex::default(),
            warnings: Mutex::default(),
            has_up: Mutex::default(),
        }
    }

    async fn range(&self, expr: &str, steps: Steps) -> Result<Vec<MatrixSeries>, PastError> {
        if let Some((times, why)) = self.failures.lock().get(expr)
            && *times >= FAILURES_MAX
        {
            return Err(PastError::Unanswered(why.clone()));
        }
        let parameters = [
            ("query", expr.to_owned()),
            ("start", seconds(steps.first)),
            ("end", seconds(steps.last())),
            ("step", float::plain(steps.step.as_secs_f64())),
        ];
        let found = self.ask::<Data>("query_range", &parameters).await;
        match found {
            Ok(data) => {
                self.failures.lock().remove(expr);
                data.series()
            }
            Err(PastError::Unanswered(why)) if steps.count == 1 => {
                let mut failures = self.failures.lock();
                if failures.len() < FAILING_MAX || failures.contains_key(expr) {
                    let known = failures.entry(expr.to_owned()).or_default();
                    *known = (known.0 + 1, why.clone());
                }
                Err(PastError::Unanswered(why))
            }
            Err(other) => Err(other),
        }
    }

    /// All samples in a range.
    async fn raw(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<MatrixSeries>, PastError> {
        let length = range.until.since(range.after).as_millis();
        let parameters = [
            ("query", format!("{}[{length}ms]", selector(matchers))),
            ("time", seconds(range.until)),
        ];
        self.ask::<Data>("query", &parameters).await?.series()
    }

    async fn fetch(&self, reads: &[Read]) -> Result<Arc<dyn Select>, PastError> {
        let memory = Memory::shared();
        let mut left = self.samples_max;
        for read in reads {
            let all = self.raw(&read.matchers, read.range).await?;
            let held: usize = all.iter().map(|series| series.points.len()).sum();
            left = left.checked_sub(held).ok_or_else(|| {
                PastError::Unanswered(format!("it would read more than {} samples", self.samples_max))
            })?;
            let seen = match read.looks {
                Some(steps) => Some((steps, self.range(&selector(&read.matchers), steps).await?)),
                None => None,
            };
            if let Some((steps, seen)) = seen {
                let seen: HashMap<Labels, HashSet<Timestamp>> = seen
                    .into_iter()
                    .map(|series| {
                        (
                            series.labels,
                            series.points.iter().map(|point| point.time).collect(),
                        )
                    })
                    .collect();
                for series in &all {
                    memory.add(&series.labels, ends(series, steps, seen.get(&series.labels)));
                }
            }
            for series in all {
                memory.add(&series.labels, series.points);
            }
        }
        Ok(memory)
    }

    async fn is_there_any_up(&self) -> Result<bool, PastError> {
        if let Some(known) = *self.has_up.lock() {
            return Ok(known);
        }
        let parameters = [("match[]", "up".to_owned()), ("limit", "1".to_owned())];
        let found = self
            .ask::<Vec<serde::de::IgnoredAny>>("series", &parameters)
            .await?;
        *self.has_up.lock() = Some(!found.is_empty());
        Ok(!found.is_empty())
    }

    async fn ask<D: for<'de> Deserialize<'de>>(
        &self,
        door: &str,
        parameters: &[(&str, String)],
    ) -> Result<D, PastError> {
        let url = format!("{}/api/v1/{door}", self.base);
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let mut pause = PAUSE;
        let mut tries = 1;
        let response = loop {
            let request = Request {
                method: Method::Post,
                url: url.clone(),
                headers: vec![(
                    "content-type".to_owned(),
                    "application/x-www-form-urlencoded".to_owned(),
                )],
                body: form.clone().into(),
                timeout: self.timeout,
                answer_bytes_max: ANSWER_BYTES_MAX,
            };
            match self.client.send(request).await {
                Err(error @ (ClientError::TooLong { .. } | ClientError::Timeout(_))) => {
                    return Err(PastError::Unanswered(error.to_string()));
                }
                Err(error @ ClientError::BadUrl(_)) => return Err(self.away(&error.to_string())),
                Ok(response) if !is_passing(&response) => break response,
                failed if tries == TRIES => {
                    let why = failed.map_or_else(
                        |error| error.to_string(),
                        |response| format!("it answers {}", response.status),
                    );
                    return Err(self.away(&why));
                }
                _ => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            tries += 1;
        };
        let answer: Answer<D> = serde_json::from_slice(&response.body).map_err(|_| {
            let status = response.status;
            self.away(&format!("{url} answers {status} and no JSON of Prometheus' API"))
        })?;
        for warning in answer.warnings.into_iter().flatten() {
            let mut warnings = self.warnings.lock();
            if warnings.len() < WARNINGS_MAX {
                warnings.insert(warning);
            }
        }
        match (answer.data, answer.error) {
            (Some(data), None) => Ok(data),
            (_, Some(error)) => Err(PastError::Unanswered(error)),
            (None, None) => Err(self.away(&format!("{url} answers {} and no data", response.status))),
        }
    }

    fn away(&self, why: &str) -> PastError {
        PastError::Away(format!("asking {}: {why}", self.base))
    }
}

/// Something in between, or the other end for the moment: worth another try.
fn is_passing(response: &Response) -> bool {
    let is_json = response
        .header("content-type")
        .is_some_and(|kind| kind.contains("json"));
    response.status == 429 || (response.status >= 500 && !is_json)
}

impl Data {
    fn series(self) -> Result<Vec<MatrixSeries>, PastError> {
        let rows = self.result.into_iter();
        rows.map(|row| {
            let points = row.values.iter().map(|(time, value)| {
                float::parse(value).map(|value| Sample {
                    time: Timestamp::from_seconds(*time),
                    value,
                })
            });
            let points: Option<Vec<_>> = points.collect();
            Ok(MatrixSeries {
                labels: Labels::from_pairs(row.metric),
                points: points.ok_or_else(|| PastError::Away("a value that is no number came".to_owned()))?,
            })
        })
        .collect()
    }
}

/// Where a series is no longer seen, although it has a sample that is new enough.
fn ends(series: &MatrixSeries, steps: Steps, seen: Option<&HashSet<Timestamp>>) -> Vec<Sample> {
    let is_seen = |time: &Timestamp| seen.is_some_and(|seen| seen.contains(time));
    let has_sample = |time: Timestamp| {
        let before = series.points.partition_point(|point| point.time <= time);
        let last = before.checked_sub(1).and_then(|nth| series.points.get(nth));
        last.is_some_and(|last| last.time > time - LOOKBACK && last.time < time)
    };
    let ended = steps.times().filter(|time| !is_seen(time) && has_sample(*time));
    ended.map(|time| Sample { time, value: STALE }).collect()
}

fn selector(matchers: &[Matcher]) -> String {
    let mut text = "{".to_owned();
    for matcher in matchers {
        // Writing to a string cannot fail.
        _ = write!(text, "{matcher},");
    }
    text.push('}');
    text
}

/// With all of its milliseconds.
fn seconds(time: Timestamp) -> String {
    let millis = time.millis();
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

impl Past for Remote {
    fn answers<'a>(
        &'a self,
        expr: &'a str,
        steps: Steps,
    ) -> BoxFuture<'a, Result<Vec<MatrixSeries>, PastError>> {
        Box::pin(self.range(expr, steps))
    }

    fn samples<'a>(&'a self, reads: &'a [Read]) -> BoxFuture<'a, Result<Arc<dyn Select>, PastError>> {
        Box::pin(self.fetch(reads))
    }

    fn notes(&self) -> Vec<String> {
        let failures = self.failures.lock();
        let given_up = failures.iter().filter(|(_, (times, _))| *times >= FAILURES_MAX);
        let say = |(expr, (times, _)): (&String, &(u32, String))| {
            format!("{expr:?} failed {times} times in a row, and was not asked for any more")
        };
        let warnings = self.warnings.lock();
        let warned = warnings
            .iter()
            .map(|warning| format!("{} warned: {warning}", self.base));
        given_up.map(say).chain(warned).collect()
    }

    /// Whatever a Prometheus keeps, it has an `up` beside it.
    fn is_blank(&self, _: TimeRange) -> BoxFuture<'_, Result<bool, PastError>> {
        Box::pin(self.is_there_any_up())
    }
}

//! Asks questions of the kept samples.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::{Answer, Ask, AskError, BoxFuture, Labels, Point, Sample, Select, Timestamp};

use crate::ast::{Expr, Type};
use crate::bounds::Bounds;
use crate::cache::Cache;
use crate::error::{ParseError, QueryError};
use crate::eval::{self, Eval, Grid, Query, Steps, is_hole};
use crate::statistics::{Count, Statistics};
use crate::value::{MatrixSeries, Outcome, Value, VectorPoint};

/// How questions are answered.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long after a sample an instant selector still sees it; a series may ask for longer.
    pub lookback: Duration,
    /// How long one query may run.
    pub timeout: Duration,
    /// Samples and results that one query may hold at a time.
    pub samples_max: usize,
    /// Step of subqueries that name none.
    pub step_default: Duration,
    /// Whether metric names go at the very end instead of at the function that changes the metric:
    /// Prometheus' feature `promql-delayed-name-removal`, off as there.
    pub delayed_name_removal: bool,
    /// Whether to say what a query took.
    pub count: Count,
    /// Set by somebody else to end the query.
    pub stop: Option<Stop>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            timeout: Duration::from_secs(120),
            samples_max: 50_000_000,
            step_default: Duration::from_secs(60),
            delayed_name_removal: false,
            count: Count::Nothing,
            stop: None,
        }
    }
}

/// Ends a running query from another thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Answers expressions over a [`Select`]. It computes on the caller's thread; how many queries run at a
/// time is the caller's to bound.
pub struct Engine {
    select: Arc<dyn Select>,
    options: Options,
    cache: Cache,
    seen: eval::Found,
}

impl Engine {
    #[must_use]
    pub fn new(select: Arc<dyn Select>, options: Options) -> Self {
        Self {
            select,
            options,
            cache: Cache::default(),
            seen: eval::Found::default(),
        }
    }

    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The answer at one time.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn instant(&self, expr: &str, time: Timestamp) -> Result<Outcome, QueryError> {
        self.instant_with(expr, time, &self.options)
    }

    /// The answer at one time, by other options.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn instant_with(
        &self,
        expr: &str,
        time: Timestamp,
        options: &Options,
    ) -> Result<Outcome, QueryError> {
        let began = now(options);
        let bounds = Bounds::at(time);
        let parsed = self.parsed(expr, bounds)?;
        let steps = Steps::once(time);
        self.outcome((expr, &parsed, options, bounds), (began, steps), |query| {
            let eval = Eval::new(query, steps);
            if parsed.returns() == Type::Matrix {
                return matrix_at(eval, &parsed);
            }
            Ok(match eval.finished(&parsed)? {
                eval::Value::Scalar(numbers) => Value::Scalar {
                    time,
                    value: numbers.first().copied().unwrap_or(f64::NAN),
                },
                eval::Value::Text(text) => Value::String { time, text },
                eval::Value::Vector(grid) => Value::Vector(points(&grid, time)),
            })
        })
    }

    /// The answers at `start`, `start + step`, … up to `end`.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn range(
        &self,
        expr: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<Outcome, QueryError> {
        self.range_with(expr, (start, end), step, &self.options)
    }

    /// The answers from the first time to the second, by other options.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn range_with(
        &self,
        expr: &str,
        (start, end): (Timestamp, Timestamp),
        step: Duration,
        options: &Options,
    ) -> Result<Outcome, QueryError> {
        let began = now(options);
        let bounds = Bounds { start, end, step };
        let parsed = self.parsed(expr, bounds)?;
        if !matches!(parsed.returns(), Type::Scalar | Type::Vector) {
            let found = parsed.returns().words();
            return Err(QueryError::Execution(format!(
                "invalid expression type {found:?} for range query, must be Scalar or instant Vector"
            )));
        }
        if step.as_millis() == 0 {
            return Err(QueryError::Execution("step must be at least 1 ms".to_owned()));
        }
        let steps = Steps::between(start.0, end.0, model::time::millis(step));
        self.outcome((expr, &parsed, options, bounds), (began, steps), |query| {
            if steps.count == 0 {
                return Ok(Value::Matrix(Vec::new()));
            }
            query.hold(steps.count)?;
            let grid = Eval::new(query, steps).finished(&parsed)?.into_grid();
            Ok(Value::Matrix(series(&grid, steps)))
        })
    }

    /// The expression, with its durations as they are in this query.
    pub(crate) fn parsed(&self, text: &str, bounds: Bounds) -> Result<Arc<Expr>, QueryError> {
        let mut parsed = self.cache.parse(text)?;
        if parsed.has_durations_of_query() {
            Arc::make_mut(&mut parsed)
                .work_out_durations(bounds)
                .map_err(|(span, what)| ParseError::at(text, span, what))?;
        }
        Ok(parsed)
    }

    pub(crate) fn samples(&self) -> &dyn Select {
        &*self.select
    }

    pub(crate) fn query<'q>(&'q self, expr: &'q str, options: &'q Options, bounds: Bounds) -> Query<'q> {
        Query::new(expr, (&*self.select, &self.seen), options, bounds)
    }

    fn outcome(
        &self,
        (expr, parsed, options, bounds): (&str, &Expr, &Options, Bounds),
        (began, steps): (Option<Instant>, Steps),
        run: impl FnOnce(&Query<'_>) -> Result<Value, QueryError>,
    ) -> Result<Outcome, QueryError> {
        let prepared = now(options);
        let mut query = self.query(expr, options, bounds);
        query.gives_histograms = eval::gives_histograms(parsed);
        let mut value = run(&query)?;
        let histograms = if query.gives_histograms {
            Eval::new(&query, steps).native_histograms(parsed)?
        } else {
            Vec::new()
        };
        let evaluated = now(options);
        if let Value::Matrix(all) = &mut value {
            all.sort_by(|one, two| one.labels.cmp(&two.labels));
        }
        let (notes, seen, peak) = query.ended();
        let times = began.zip(prepared).zip(evaluated);
        let statistics = times.map(|((began, prepared), evaluated)| Statistics {
            preparing: prepared - began,
            evaluating: evaluated - prepared,
            sorting: evaluated.elapsed(),
            samples: seen.iter().sum(),
            by_step: match options.count {
                Count::Steps => {
                    let seen = seen.into_iter().chain(std::iter::repeat(0));
                    steps.times().map(Timestamp).zip(seen).collect()
                }
                Count::Nothing | Count::Whole => Vec::new(),
            },
            peak,
        });
        let (warnings, infos) = notes.into_sentences();
        Ok(Outcome {
            value,
            histograms,
            warnings,
            infos,
            statistics,
        })
    }
}

/// None where nobody wants to know: rules ask so often that looking at a clock tells.
fn now(options: &Options) -> Option<Instant> {
    (options.count != Count::Nothing).then(Instant::now)
}

fn points(grid: &Grid, time: Timestamp) -> Vec<VectorPoint> {
    grid.rows()
        .filter_map(|(head, cells)| {
            Some(VectorPoint {
                labels: head.labels.clone(),
                time,
                value: *cells.first()?,
            })
        })
        .collect()
}

fn series(grid: &Grid, steps: Steps) -> Vec<MatrixSeries> {
    grid.rows()
        .map(|(head, cells)| MatrixSeries {
            labels: head.labels.clone(),
            points: steps
                .times()
                .zip(cells)
                .filter(|(_, cell)| !is_hole(**cell))
                .map(|(time, cell)| Sample {
                    time: Timestamp(time),
                    value: *cell,
                })
                .collect(),
        })
        .collect()
}

/// A range vector asked for as such: the samples themselves.
fn matrix_at(eval: Eval<'_>, expr: &Expr) -> Result<Value, QueryError> {
    let rows = eval.samples(expr)?;
    let all = rows
        .into_iter()
        .map(|(labels, times, values)| MatrixSeries {
            labels,
            points: times
                .into_iter()
                .zip(values)
                .map(|(time, value)| Sample { time, value })
                .collect(),
        })
        .collect();
    Ok(Value::Matrix(all))
}

impl Ask for Engine {
    /// Computes at once, on the thread that asks.
    fn ask<'a>(&'a self, expr: &'a str, time: Timestamp) -> BoxFuture<'a, Result<Answer, AskError>> {
        let answer = self.answer(expr, time);
        Box::pin(std::future::ready(answer))
    }
}

impl Engine {
    fn answer(&self, expr: &str, time: Timestamp) -> Result<Answer, AskError> {
        let outcome = self.instant(expr, time).map_err(|error| match error {
            QueryError::Parse(wrong) => AskError::BadQuestion(wrong.to_string()),
            other => AskError::NoAnswer(other.to_string()),
        })?;
        let points = match outcome.value {
            Value::Vector(points) => points
                .into_iter()
                .map(|point| Point {
                    labels: point.labels,
                    value: point.value,
                })
                .collect(),
            Value::Scalar { value, .. } => vec![Point {
                labels: Labels::empty(),
                value,
            }],
            Value::String { .. } | Value::Matrix(_) => {
                let message = "rule result is not a vector or scalar";
                return Err(AskError::BadQuestion(message.to_owned()));
            }
        };
        Ok(Answer {
            points,
            warnings: outcome.warnings,
        })
    }
}

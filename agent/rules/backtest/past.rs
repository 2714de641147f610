//! Where the past is: kept in files, or behind the API of a Prometheus.

use std::sync::Arc;

use model::{BoxFuture, Select, TimeRange};
use promql::{Engine, MatrixSeries, Options, QueryError, Value};

use super::reads::Read;
use super::steps::Steps;

/// Answers about the past.
pub trait Past: Send + Sync {
    /// What an expression would have been answered at each step. It reads nothing that lies after a step.
    fn answers<'a>(
        &'a self,
        expr: &'a str,
        steps: Steps,
    ) -> BoxFuture<'a, Result<Vec<MatrixSeries>, PastError>>;

    /// Samples that are to be put together with what rules give: these, or more.
    fn samples<'a>(&'a self, reads: &'a [Read]) -> BoxFuture<'a, Result<Arc<dyn Select>, PastError>>;

    /// Whether nothing at all was kept then. Asked where there is no `up`.
    fn is_blank(&self, range: TimeRange) -> BoxFuture<'_, Result<bool, PastError>>;

    /// What is worth knowing once all is asked.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PastError {
    /// This question has no answer: a mistake that the data bring out, or too much at a time. With fewer steps it may
    /// have one.
    Unanswered(String),
    /// Nothing can be asked.
    Away(String),
}

/// Samples at hand: blocks and log of a data directory, or a memory.
pub struct Kept {
    samples: Arc<dyn Select>,
    engine: Engine,
}

impl Kept {
    #[must_use]
    pub fn new(samples: Arc<dyn Select>, options: Options) -> Self {
        Self {
            engine: Engine::new(Arc::clone(&samples), options),
            samples,
        }
    }
}

impl Past for Kept {
    fn answers<'a>(
        &'a self,
        expr: &'a str,
        steps: Steps,
    ) -> BoxFuture<'a, Result<Vec<MatrixSeries>, PastError>> {
        Box::pin(async move { answers(&self.engine, expr, steps).map_err(PastError::Unanswered) })
    }

    fn samples<'a>(&'a self, _: &'a [Read]) -> BoxFuture<'a, Result<Arc<dyn Select>, PastError>> {
        Box::pin(async { Ok(Arc::clone(&self.samples)) })
    }

    fn is_blank(&self, range: TimeRange) -> BoxFuture<'_, Result<bool, PastError>> {
        let found = self.samples.labels(&[], range);
        let blank = found.map_or_else(
            |error| Err(PastError::Away(error.to_string())),
            |found| Ok(found.is_empty()),
        );
        Box::pin(async { blank })
    }
}

/// All steps at once.
///
/// # Errors
/// A sentence. It may be about one step only.
pub(super) fn answers(engine: &Engine, expr: &str, steps: Steps) -> Result<Vec<MatrixSeries>, String> {
    let outcome = engine.range(expr, steps.first, steps.last(), steps.step);
    let outcome = outcome.map_err(|error| match error {
        // As a rule says it that fails for good.
        QueryError::Parse(mistake) => format!("bad expression: {mistake}"),
        other => other.to_string(),
    })?;
    Ok(match outcome.value {
        Value::Matrix(all) => all,
        Value::Scalar { .. } | Value::String { .. } | Value::Vector(_) => Vec::new(),
    })
}

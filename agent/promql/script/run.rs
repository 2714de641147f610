//! Runs a script.

use std::sync::Arc;
use std::time::Duration;

use model::labels::BUCKET;
use model::{LabelsBuilder, Timestamp};

use super::ScriptError;
use super::compare;
use super::memory::Memory;
use super::pin::pinned;
use super::read::{self, Check, Command, Load};
use super::series::Item;
use crate::engine::{Engine, Options};
use crate::error::QueryError;
use crate::value::{MatrixSeries, Outcome, Value, VectorPoint};

/// How a script is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Prometheus' own scripts expect names to go at the end of an evaluation.
    pub delayed_name_removal: bool,
    /// Whether every instant evaluation is repeated with `@` at other times and as a range, which must
    /// give the same.
    pub repeat: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            delayed_name_removal: false,
            repeat: true,
        }
    }
}

/// What came of the evaluations of a script, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub checks: Vec<Checked>,
}

impl Report {
    #[must_use]
    pub fn passed(&self) -> usize {
        self.count(|verdict| *verdict == Verdict::Passed)
    }

    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Failed(_)))
    }

    #[must_use]
    pub fn skipped(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Skipped(_)))
    }

    fn count(&self, is_it: impl Fn(&Verdict) -> bool) -> usize {
        self.checks.iter().filter(|check| is_it(&check.verdict)).count()
    }
}

/// One `eval`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// From 1.
    pub line: usize,
    pub expr: String,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// How the answer differs.
    Failed(String),
    /// What of it is a native histogram, which is not evaluated here.
    Skipped(String),
}

/// Runs all of `script` over an empty memory.
///
/// # Errors
/// The script cannot be read; nothing was run.
pub fn run(script: &str, options: &RunOptions) -> Result<Report, ScriptError> {
    let commands = read::commands(script)?;
    let memory = Memory::shared();
    let engine = Engine::new(
        Arc::clone(&memory) as Arc<dyn model::Select>,
        Options {
            delayed_name_removal: options.delayed_name_removal,
            ..Options::default()
        },
    );
    let runner = Runner {
        memory: &memory,
        engine: &engine,
        options,
    };
    let mut report = Report::default();
    for command in &commands {
        match command {
            Command::Clear => memory.clear(),
            Command::Load(load) => runner.load(load),
            Command::Eval(check) => runner.check(check, &mut report),
        }
    }
    Ok(report)
}

struct Runner<'r> {
    memory: &'r Memory,
    engine: &'r Engine,
    options: &'r RunOptions,
}

impl Runner<'_> {
    fn load(&self, load: &Load) {
        for (labels, items) in &load.series {
            self.memory.add_items(labels, items, Timestamp(0), load.step);
        }
        if !load.with_native {
            return;
        }
        for labels in self.memory.all() {
            let name = labels.name();
            let base = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            if let Some(base) = base {
                let mut native: LabelsBuilder = labels.to_builder();
                native.set(model::labels::METRIC_NAME, base).remove(BUCKET);
                self.memory.mark_histogram(&native.build());
            }
        }
    }

    fn check(&self, check: &Check, report: &mut Report) {
        self.memory.take_histogram_met();
        let result = self.evaluated(check);
        let met = self.memory.take_histogram_met();
        let expected = check
            .series
            .iter()
            .find(|(_, items)| items.contains(&Item::Histogram));
        let verdict = match (met, expected, result) {
            (Some(labels), ..) => Verdict::Skipped(format!("{labels} holds native histograms")),
            (None, Some((labels, _)), _) => {
                Verdict::Skipped(format!("a native histogram is expected of {labels}"))
            }
            (None, None, Ok(())) => Verdict::Passed,
            (None, None, Err(why)) => Verdict::Failed(why),
        };
        report.checks.push(Checked {
            line: check.line,
            expr: check.expr.clone(),
            verdict,
        });
    }

    fn evaluated(&self, check: &Check) -> Result<(), String> {
        let (start, end) = (check.span.start, check.span.end);
        let outcome = match check.span.step {
            Some(step) => self.engine.range(&check.expr, start, end, step),
            None => self.engine.instant(&check.expr, start),
        };
        let Some(outcome) = expected(check, outcome)? else {
            return Ok(());
        };
        compare::annotations(check, &outcome)?;
        compare::answer(check, &outcome.value)?;
        if check.span.step.is_none() && self.options.repeat {
            self.repeated(check)?;
        }
        Ok(())
    }

    /// The same answer must come at any time when all selectors are pinned, and as a step of a range.
    fn repeated(&self, check: &Check) -> Result<(), String> {
        let time = check.span.start;
        let expr = crate::parse(&check.expr).map_err(|error| error.to_string())?;
        self.as_range(check, &check.expr, time)?;
        let Some(pinned) = pinned(&expr, time) else {
            return Ok(());
        };
        let text = pinned.to_string();
        for other in [-10 * time.0, 0, time.0 / 5, time.0, 10 * time.0] {
            let outcome = self
                .engine
                .instant(&text, Timestamp(other))
                .map_err(|error| format!("pinned as {text}: {error}"))?;
            compare::answer(check, &outcome.value)
                .map_err(|why| format!("pinned as {text}, at {other} ms: {why}"))?;
            self.as_range(check, &text, Timestamp(other))?;
        }
        Ok(())
    }

    fn as_range(&self, check: &Check, expr: &str, time: Timestamp) -> Result<(), String> {
        let by_query = ["start()", "end()", "range()", "step()"]
            .iter()
            .any(|call| expr.contains(call));
        if check.ordered || check.string.is_some() || check.range_vector.is_some() || by_query {
            return Ok(());
        }
        let minute = Duration::from_secs(60);
        let outcome = self
            .engine
            .range(expr, time - minute, time + minute, minute)
            .map_err(|error| format!("as a range of {expr}: {error}"))?;
        let Value::Matrix(series) = outcome.value else {
            return Err("a range query gives a matrix".to_owned());
        };
        compare::answer(check, &middle(check, &series, time))
            .map_err(|why| format!("as a range of {expr}: {why}"))
    }
}

/// The step at `time` as an instant answer.
fn middle(check: &Check, series: &[MatrixSeries], time: Timestamp) -> Value {
    let points: Vec<VectorPoint> = series
        .iter()
        .filter_map(|series| {
            let point = series.points.iter().find(|point| point.time == time)?;
            Some(VectorPoint {
                labels: series.labels.clone(),
                time,
                value: point.value,
            })
        })
        .collect();
    match points.as_slice() {
        [only] if check.scalar.is_some() => Value::Scalar {
            time,
            value: only.value,
        },
        _ => Value::Vector(points),
    }
}

/// The outcome to compare, or none when the failure was wanted.
fn expected(check: &Check, outcome: Result<Outcome, QueryError>) -> Result<Option<Outcome>, String> {
    match (outcome, &check.fail) {
        (Ok(outcome), None) => Ok(Some(outcome)),
        (Ok(_), Some(wanted)) => Err(format!("expected a failure ({wanted}), got an answer")),
        (Err(error), None) => Err(error.to_string()),
        (Err(error), Some(wanted)) => {
            let bare = match &error {
                QueryError::Parse(wrong) => wrong.message.clone(),
                other => other.to_string(),
            };
            match wanted.accepts(&bare) || wanted.accepts(&error.to_string()) {
                true => Ok(None),
                false => Err(format!("expected a failure ({wanted}), got {error}")),
            }
        }
    }
}

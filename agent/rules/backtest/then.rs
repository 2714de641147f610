//! Answers the room's questions as they would have been answered then: what was asked for many slots at once first, all
//! else from what is kept and what the rules have given so far.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::{Answer, Ask, AskError, BoxFuture, Labels, Point, Sample, Timestamp};
use parking_lot::Mutex;
use promql::{Engine, MatrixSeries, Options};

use super::outputs::Outputs;
use super::over::Over;
use super::past::{Past, PastError, answers};
use super::plan::Place;
use super::reads::reads;
use super::steps::Steps;

/// Expressions of templates and such of which it is known where their answer comes from.
const READINGS_MAX: usize = 1024;

pub(super) struct Then {
    past: Arc<dyn Past>,
    over: Arc<Over>,
    engine: Engine,
    outputs: Arc<Outputs>,
    ready: Mutex<HashMap<Place, Ready>>,
    /// Whose turn it is.
    rule: Mutex<Option<Place>>,
    /// Whether an expression has to be asked over what rules give, or with an eye on the time.
    readings: Mutex<HashMap<Box<str>, bool>>,
    /// Why nothing could be asked any more.
    away: Mutex<Option<String>>,
}

/// Answers to an expression at steps that are to be asked for one after the other.
pub(super) struct Ready {
    expr: Arc<str>,
    parts: VecDeque<Part>,
}

struct Part {
    steps: Steps,
    series: Result<Vec<Cursor>, String>,
}

struct Cursor {
    labels: Labels,
    points: std::vec::IntoIter<Sample>,
}

impl Then {
    pub(super) fn new(past: Arc<dyn Past>, over: Arc<Over>, outputs: Arc<Outputs>, options: Options) -> Self {
        Self {
            past,
            engine: Engine::new(Arc::clone(&over) as Arc<dyn model::Select>, options),
            over,
            outputs,
            ready: Mutex::default(),
            rule: Mutex::default(),
            readings: Mutex::default(),
            away: Mutex::default(),
        }
    }

    /// All steps at once.
    ///
    /// # Errors
    /// See [`PastError`].
    pub(super) async fn fetch(&self, expr: &str, steps: Steps) -> Result<Vec<MatrixSeries>, PastError> {
        if !self.needs_over(expr) {
            return self.past.answers(expr, steps).await;
        }
        self.read([(expr, steps, Duration::ZERO)]).await?;
        self.over.set_now(Timestamp::MAX);
        answers(&self.engine, expr, steps).map_err(PastError::Unanswered)
    }

    /// What is kept and read by expressions at these steps, so much before their slots, is there from now on, and what
    /// others read may go.
    ///
    /// # Errors
    /// See [`PastError`].
    pub(super) async fn read<'e>(
        &self,
        questions: impl IntoIterator<Item = (&'e str, Steps, Duration)>,
    ) -> Result<(), PastError> {
        let mut all = Vec::new();
        for (expr, steps, ahead) in questions {
            // One that cannot be parsed fails when it is asked.
            if let Ok(parsed) = promql::parse(expr) {
                all.extend(reads(&parsed, steps, ahead));
            }
        }
        all.retain(|read| !self.over.is_own(&read.matchers));
        self.over.set_history(self.past.samples(&all).await?);
        Ok(())
    }

    /// Whether an expression reads what rules give, or looks ahead, so that it has to be asked here.
    pub(super) fn needs_over(&self, expr: &str) -> bool {
        if let Some(known) = self.readings.lock().get(expr) {
            return *known;
        }
        let needs = promql::parse(expr).map_or(true, |parsed| {
            let reading = self.outputs.reading(&parsed);
            reading.looks_ahead || !reading.reads.is_empty()
        });
        let mut readings = self.readings.lock();
        if readings.len() >= READINGS_MAX {
            readings.clear();
        }
        readings.insert(expr.into(), needs);
        needs
    }

    /// These answers are given to a rule when it is time for them.
    pub(super) fn put(&self, rule: Place, ready: Ready) {
        self.ready.lock().insert(rule, ready);
    }

    pub(super) fn forget(&self) {
        self.ready.lock().clear();
    }

    /// When there is something to be answered to a rule next; [`Timestamp::MAX`] if there is not.
    pub(super) fn next(&self, rule: Place) -> Timestamp {
        self.ready.lock().get(&rule).map_or(Timestamp::MIN, Ready::next)
    }

    /// It is the turn of this rule, at this slot.
    pub(super) fn turn(&self, rule: Place, slot: Timestamp) {
        *self.rule.lock() = Some(rule);
        self.over.set_now(slot);
    }

    pub(super) fn away(&self) -> Option<String> {
        self.away.lock().clone()
    }

    async fn once(&self, expr: &str, time: Timestamp) -> Result<Answer, AskError> {
        let ready = self.rule.lock().and_then(|rule| {
            let mut all = self.ready.lock();
            all.get_mut(&rule)?.take(expr, time)
        });
        if let Some(answer) = ready {
            return answer.map_err(AskError::NoAnswer);
        }
        if self.needs_over(expr) {
            return self.engine.ask(expr, time).await;
        }
        let steps = Steps {
            first: time,
            step: Duration::from_secs(1),
            count: 1,
        };
        match self.past.answers(expr, steps).await {
            Ok(series) => Ok(points(
                series
                    .into_iter()
                    .map(|one| (one.labels, one.points.first().copied())),
            )),
            Err(PastError::Unanswered(why)) => Err(AskError::NoAnswer(why)),
            Err(PastError::Away(why)) => {
                *self.away.lock() = Some(why.clone());
                Err(AskError::NoAnswer(why))
            }
        }
    }
}

impl Ask for Then {
    fn ask<'a>(&'a self, expr: &'a str, time: Timestamp) -> BoxFuture<'a, Result<Answer, AskError>> {
        Box::pin(self.once(expr, time))
    }
}

impl Ready {
    pub(super) fn new(expr: &Arc<str>) -> Self {
        Self {
            expr: Arc::clone(expr),
            parts: VecDeque::new(),
        }
    }

    /// Behind all others.
    pub(super) fn push(&mut self, steps: Steps, answers: Result<Vec<MatrixSeries>, String>) {
        let cursors = |all: Vec<MatrixSeries>| {
            let cursors = all.into_iter().map(|one| Cursor {
                labels: one.labels,
                points: one.points.into_iter(),
            });
            cursors.collect()
        };
        self.parts.push_back(Part {
            steps,
            series: answers.map(cursors),
        });
    }

    /// What is no longer needed is let go.
    fn take(&mut self, expr: &str, time: Timestamp) -> Option<Result<Answer, String>> {
        if *self.expr != *expr {
            return None;
        }
        while self.parts.front().is_some_and(|part| part.steps.last() < time) {
            self.parts.pop_front();
        }
        let part = self.parts.front_mut()?;
        if !part.steps.contain(time) {
            return None;
        }
        Some(match &mut part.series {
            Ok(series) => Ok(points(series.iter_mut().map(|cursor| cursor.at(time)))),
            Err(why) => Err(why.clone()),
        })
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        let series = self.parts.iter().filter_map(|part| part.series.as_ref().ok());
        series.flatten().map(|cursor| cursor.points.len()).sum()
    }

    fn next(&self) -> Timestamp {
        let nexts = self.parts.iter().map(|part| match &part.series {
            Ok(series) => {
                let firsts = series
                    .iter()
                    .filter_map(|cursor| cursor.points.as_slice().first());
                firsts.map(|sample| sample.time).min().unwrap_or(Timestamp::MAX)
            }
            Err(_) => part.steps.first,
        });
        nexts.min().unwrap_or(Timestamp::MAX)
    }
}

impl Cursor {
    fn at(&mut self, time: Timestamp) -> (Labels, Option<Sample>) {
        while self.first().is_some_and(|sample| sample.time < time) {
            self.points.next();
        }
        let found = self.first().filter(|sample| sample.time == time);
        (self.labels.clone(), found)
    }

    fn first(&self) -> Option<Sample> {
        self.points.as_slice().first().copied()
    }
}

fn points(all: impl Iterator<Item = (Labels, Option<Sample>)>) -> Answer {
    let points = all.filter_map(|(labels, sample)| {
        sample.map(|sample| Point {
            labels,
            value: sample.value,
        })
    });
    Answer {
        points: points.collect(),
        warnings: Vec::new(),
    }
}

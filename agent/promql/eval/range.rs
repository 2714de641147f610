//! Functions of range vectors: a window of each series at each step, from samples or from a subquery.

use std::rc::Rc;

use model::{Labels, Series, Timestamp, is_stale};

use super::grid::{Grid, HOLE, Head, is_hole, unnamed};
use super::merge::{Meeting, merged};
use super::notes;
use super::select::Cursor;
use super::{Eval, Steps};
use crate::ast::{Edges, Expr, Kind as ExprKind, Subquery};
use crate::error::QueryError;
use crate::functions::{Function, Kind, OverTime, Window, allowed, edged, extended};
use crate::span::Span;

/// A series' labels, times and values.
pub(crate) type Samples = (Labels, Vec<Timestamp>, Vec<f64>);

/// A range vector: samples, and where the windows over them lie.
pub(super) struct Ranged {
    source: Source,
    /// The windows' ends.
    looks: Steps,
    /// Their length in milliseconds.
    range: i64,
    edges: Edges,
    /// How far beyond them samples are seen: before the start, and behind the end.
    beyond: (i64, i64),
    one_name: bool,
    /// Samples that the answers of a subquery were made of.
    made_of: usize,
}

enum Source {
    Read(Rc<Vec<Series>>),
    /// The rows of a subquery, and the times of its steps.
    Answers(Grid, Vec<Timestamp>),
}

impl Ranged {
    /// Calls `visit` with each series' labels, times and values; stale markers are left out.
    fn each_series(
        &self,
        mut visit: impl FnMut(Head, &[Timestamp], &[f64]) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        match &self.source {
            Source::Read(all) => all.iter().try_for_each(|series| {
                let head = Head::new(series.labels.clone());
                if !series.values.iter().any(|value| is_stale(*value)) {
                    return visit(head, &series.times, &series.values);
                }
                let samples = series.times.iter().zip(series.values.iter());
                let (times, values): (Vec<_>, Vec<_>) =
                    samples.filter(|(_, value)| !is_stale(**value)).unzip();
                visit(head, &times, &values)
            }),
            Source::Answers(grid, steps) => {
                let (mut times, mut values) = (Vec::new(), Vec::new());
                grid.rows().try_for_each(|(head, cells)| {
                    times.clear();
                    values.clear();
                    for (time, cell) in steps.iter().zip(cells).filter(|(_, cell)| !is_hole(**cell)) {
                        times.push(*time);
                        values.push(*cell);
                    }
                    visit(head.clone(), &times, &values)
                })
            }
        }
    }

    /// The samples of a window that ends at `until`, with those made up at its edges.
    fn at_edges(
        &self,
        times: &[Timestamp],
        values: &[f64],
        until: i64,
    ) -> Option<(Vec<Timestamp>, Vec<f64>)> {
        if self.edges == Edges::Plain {
            return Some((times.to_vec(), values.to_vec()));
        }
        let window = Window {
            times,
            values,
            from: until.saturating_sub(self.range),
            until,
            now: until,
        };
        extended(&window, self.edges)
    }

    /// What computes `function` over these windows, which is `run` where nothing is at their edges.
    pub(super) fn runs(&self, function: &Function, run: OverTime) -> Result<OverTime, QueryError> {
        if self.edges == Edges::Plain {
            return Ok(run);
        }
        edged(function.name, self.edges).ok_or_else(|| {
            let (word, known) = (self.edges.text(), allowed(self.edges).join(", "));
            QueryError::Execution(format!(
                "{word} modifier can only be used with: {known} - not with {}",
                function.name
            ))
        })
    }

    /// The samples `from..to` of each step's window.
    fn windows(&self, times: &[Timestamp], mut visit: impl FnMut(i64, std::ops::Range<usize>)) {
        let (mut first, mut last) = (Cursor::default(), Cursor::default());
        for look in self.looks.times() {
            let (before, behind) = self.beyond;
            let from = look.saturating_sub(self.range).saturating_sub(before);
            let from = first.passed(times, from);
            let to = last.passed(times, look.saturating_add(behind));
            visit(look, from..to.max(from));
        }
    }
}

impl Eval<'_> {
    pub(super) fn ranged(self, expr: &Expr) -> Result<Ranged, QueryError> {
        let mut made_of = 0;
        let (source, when, range, edges, one_name) = match &expr.kind {
            ExprKind::Range { selector, range } => {
                let (before, behind) = self.beyond(selector.edges);
                let before = model::time::millis(*range).saturating_add(before);
                let all = self.read_around(selector, before, behind)?;
                let one_name = self.has_one_name(selector, &all);
                (Source::Read(all), selector.when, *range, selector.edges, one_name)
            }
            ExprKind::Subquery(subquery) => {
                let (source, samples) = self.query.tally.aside(|| self.answers(subquery));
                let source = source?;
                made_of = samples;
                (source, subquery.when, subquery.range, Edges::Plain, false)
            }
            _ => return Err(QueryError::Execution("range vector expected".to_owned())),
        };
        Ok(Ranged {
            source,
            looks: self.steps.looks(when, self.query),
            range: model::time::millis(range),
            edges,
            beyond: self.beyond(edges),
            one_name,
            made_of,
        })
    }

    fn beyond(self, edges: Edges) -> (i64, i64) {
        let lookback = model::time::millis(self.query.options.lookback);
        match edges {
            Edges::Plain => (0, 0),
            Edges::Anchored => (lookback, 0),
            Edges::Smoothed => (lookback, lookback),
        }
    }

    fn answers(self, subquery: &Subquery) -> Result<Source, QueryError> {
        let steps = self.inner_steps(subquery);
        if steps.count == 0 {
            return Ok(Source::Answers(Grid::new(0), Vec::new()));
        }
        // The clock alone is a column of so many cells.
        self.query.hold(steps.count)?;
        let inner = Self { steps, ..self };
        let grid = inner.vector(&subquery.expr)?;
        Ok(Source::Answers(grid, steps.times().map(Timestamp).collect()))
    }

    /// Aligned to the epoch, so that the same steps are asked for whenever the query runs.
    fn inner_steps(self, subquery: &Subquery) -> Steps {
        let looks = self.steps.looks(subquery.when, self.query);
        let default = self.query.options.step_default;
        let interval = model::time::millis(subquery.step.unwrap_or(default)).max(1);
        let after = looks.start.saturating_sub(model::time::millis(subquery.range));
        let first = after
            .div_euclid(interval)
            .saturating_add(1)
            .saturating_mul(interval);
        Steps::between(first, looks.last(), interval)
    }

    pub(super) fn over_time(
        self,
        (run, kind): (OverTime, Kind),
        ranged: &Ranged,
        scalars: Vec<Vec<f64>>,
        span: Span,
    ) -> Result<Grid, QueryError> {
        let scalars = Scalars::new(&scalars, self.steps.count);
        let mut grid = Grid::new(self.steps.count);
        grid.one_name = ranged.one_name;
        let mut counters = Counters::default();
        let counts = self.query.tally.is_wanted();
        let mut cells = Vec::with_capacity(self.steps.count);
        ranged.each_series(|head, times, values| {
            self.query.hold(self.steps.count)?;
            self.query.worked(values.len() + self.steps.count)?;
            cells.clear();
            let mut any = false;
            ranged.windows(times, |until, samples| {
                let step = cells.len();
                let window = Window {
                    times: times.get(samples.clone()).unwrap_or_default(),
                    values: values.get(samples).unwrap_or_default(),
                    from: until.saturating_sub(ranged.range),
                    until,
                    now: self.steps.time(step),
                };
                let there = !window.values.is_empty();
                any |= there;
                if counts {
                    self.query.tally.add(step, window.values.len());
                }
                let value = there.then(|| run(&window, scalars.at(step))).flatten();
                cells.push(value.unwrap_or(HOLE));
            });
            if any {
                self.check_arguments(kind, &scalars, span)?;
            }
            let rows = grid.len();
            let named = !self.query.names().hides(&head);
            let nameless = head.nameless || kind != Kind::KeepsName;
            grid.push(Head { nameless, ..head }, cells.iter().copied());
            // Of one metric, one series says it.
            let is_told = ranged.one_name && counters.last.is_some();
            if kind == Kind::Counter && named && grid.len() > rows && !is_told {
                counters.check(self, grid.heads().last(), span);
            }
            Ok(())
        })?;
        if self.query.names().delayed || (grid.one_name && kind != Kind::KeepsName) {
            return Ok(grid);
        }
        merged(grid, self.query.names(), Meeting::Forbidden)
    }

    fn check_arguments(self, kind: Kind, scalars: &Scalars, span: Span) -> Result<(), QueryError> {
        let each = || (0..self.steps.count).flat_map(|step| scalars.at(step));
        match kind {
            Kind::Quantile => {
                for q in each().filter(|q| !(0.0..=1.0).contains(*q)) {
                    self.query.warn(span, notes::bad_quantile(*q));
                }
            }
            Kind::Factors => {
                if let Some(factor) = each().find(|factor| !(**factor > 0.0 && **factor < 1.0)) {
                    return Err(QueryError::Execution(format!(
                        "invalid smoothing or trend factor. Expected: 0 < factor < 1, got: {factor}"
                    )));
                }
            }
            Kind::Plain | Kind::KeepsName | Kind::Counter => {}
        }
        Ok(())
    }

    /// For each step, whether any series has a sample in its window.
    pub(super) fn present_over_time(self, ranged: &Ranged) -> Result<Vec<bool>, QueryError> {
        let mut present = vec![false; self.steps.count];
        ranged.each_series(|_, times, _| {
            self.query.worked(times.len())?;
            let mut slots = present.iter_mut().enumerate();
            ranged.windows(times, |_, samples| {
                if let Some((step, slot)) = slots.next() {
                    self.query.tally.add(step, samples.len());
                    *slot |= !samples.is_empty();
                }
            });
            Ok(())
        })?;
        Ok(present)
    }

    /// The samples of a range vector at the only step.
    pub(crate) fn samples(self, expr: &Expr) -> Result<Vec<Samples>, QueryError> {
        let ranged = self.ranged(expr.bare())?;
        let mut rows = Vec::new();
        let is_read = matches!(ranged.source, Source::Read(_));
        self.query.tally.add(0, ranged.made_of);
        ranged.each_series(|head, times, values| {
            ranged.windows(times, |until, samples| {
                if is_read {
                    self.query.tally.add(0, samples.len());
                }
                let (times, values) = (times.get(samples.clone()), values.get(samples));
                let (Some(times @ [_, ..]), Some(values)) = (times, values) else {
                    return;
                };
                let found = ranged.at_edges(times, values, until);
                if let Some((times, values)) = found.filter(|(times, _)| !times.is_empty()) {
                    let labels = match head.nameless {
                        true => unnamed(&head.labels),
                        false => head.labels.clone(),
                    };
                    rows.push((labels, times, values));
                }
            });
            Ok(())
        })?;
        Ok(rows)
    }
}

/// Scalar arguments, gathered for each step.
pub(super) struct Scalars {
    width: usize,
    by_step: Vec<f64>,
}

impl Scalars {
    pub(super) fn new(columns: &[Vec<f64>], steps: usize) -> Self {
        let at = |column: &Vec<f64>, step: usize| column.get(step).copied().unwrap_or(f64::NAN);
        Self {
            width: columns.len(),
            by_step: (0..steps)
                .flat_map(|step| columns.iter().map(move |column| at(column, step)))
                .collect(),
        }
    }

    pub(super) fn at(&self, step: usize) -> &[f64] {
        let start = step * self.width;
        self.by_step.get(start..start + self.width).unwrap_or_default()
    }
}

/// Tells about names that do not look like counters', each once.
#[derive(Default)]
struct Counters {
    last: Option<Labels>,
}

impl Counters {
    fn check(&mut self, eval: Eval<'_>, head: Option<&Head>, span: Span) {
        let Some(labels) = head.map(|head| &head.labels) else {
            return;
        };
        if self
            .last
            .as_ref()
            .is_some_and(|last| last.name() == labels.name())
        {
            return;
        }
        if let Some(note) = notes::not_a_counter(labels.name()) {
            eval.query.inform(span, note);
        }
        self.last = Some(labels.clone());
    }
}

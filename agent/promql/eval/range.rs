//! Functions of range vectors: a window of each series at each step, from samples or from a subquery.

use model::{Labels, Timestamp, is_stale};

use super::grid::{Grid, HOLE, Head, is_hole, unnamed};
use super::merge::{Meeting, merged};
use super::notes;
use super::select::{Cursor, Found, Visit};
use super::{Eval, Steps};
use crate::ast::{Edges, Expr, Kind as ExprKind, Subquery};
use crate::error::QueryError;
use crate::functions::{Function, Kind, OverTime, Window, allowed, edged, extended};
use crate::span::Span;

/// A series' labels, times and values.
pub(crate) type Samples = (Labels, Vec<Timestamp>, Vec<f64>);

/// A range vector: samples, and where the windows over them lie.
pub(super) struct Ranged<'q> {
    source: Source<'q>,
    /// The windows' ends.
    looks: Steps,
    /// Their length in milliseconds.
    range: i64,
    edges: Edges,
    /// How far beyond them samples are seen: before the start, and behind the end.
    beyond: (i64, i64),
    pub(super) one_name: bool,
    /// Samples that the answers of a subquery were made of.
    made_of: usize,
}

/// A series of a range vector.
#[derive(Clone, Copy)]
struct Sampled<'s> {
    /// Its place among the candidates, or the rows of a subquery.
    candidate: usize,
    labels: &'s Labels,
    nameless: bool,
    /// Two series with the same column have the same times.
    column: Option<usize>,
    times: &'s [Timestamp],
    values: &'s [f64],
}

/// A function of a range vector with all it needs besides.
pub(super) struct Over {
    pub(super) run: OverTime,
    pub(super) kind: Kind,
    pub(super) scalars: Scalars,
    /// Of its first argument.
    pub(super) span: Span,
}

enum Source<'q> {
    Read(Found<'q>),
    /// The rows of a subquery, and the times of its steps.
    Answers(Grid, Vec<Timestamp>),
}

impl<'q> Ranged<'q> {
    /// Calls `visit` with each series, in any order; stale markers are left out.
    fn each_series(
        &self,
        mut visit: impl FnMut(Sampled<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        match &self.source {
            Source::Read(all) => all.each(|one| {
                let mut sampled = Sampled {
                    candidate: one.candidate,
                    labels: one.labels,
                    nameless: false,
                    column: Some(one.column),
                    times: one.times,
                    values: one.values,
                };
                if one.values.iter().any(|value| is_stale(*value)) {
                    times.clear();
                    values.clear();
                    for (time, value) in one.times.iter().zip(one.values) {
                        if !is_stale(*value) {
                            times.push(*time);
                            values.push(*value);
                        }
                    }
                    (sampled.column, sampled.times, sampled.values) = (None, &times, &values);
                }
                visit(sampled)
            }),
            Source::Answers(grid, steps) => {
                grid.rows()
                    .enumerate()
                    .try_for_each(|(candidate, (head, cells))| {
                        times.clear();
                        values.clear();
                        for (time, cell) in steps.iter().zip(cells).filter(|(_, cell)| !is_hole(**cell)) {
                            times.push(*time);
                            values.push(*cell);
                        }
                        visit(Sampled {
                            candidate,
                            labels: &head.labels,
                            nameless: head.nameless,
                            column: None,
                            times: &times,
                            values: &values,
                        })
                    })
            }
        }
    }

    /// What a row of it is called.
    fn head(&self, row: usize) -> Option<Head> {
        match &self.source {
            Source::Read(all) => all.candidates().get(row).cloned().map(Head::new),
            Source::Answers(grid, _) => grid.heads().get(row).cloned(),
        }
    }

    /// Its series, where they are read as they are.
    pub(super) fn found(&self) -> Option<&Found<'q>> {
        match &self.source {
            Source::Read(all) => Some(all),
            Source::Answers(..) => None,
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

impl<'q> Eval<'q> {
    pub(super) fn ranged(self, expr: &Expr) -> Result<Ranged<'q>, QueryError> {
        let mut made_of = 0;
        let (source, when, range, edges, one_name) = match &expr.kind {
            ExprKind::Range { selector, range } => {
                let (before, behind) = self.beyond(selector.edges);
                let before = model::time::millis(*range).saturating_add(before);
                let all = self.find(selector, before, behind)?;
                let one_name = self.has_one_name(selector, all.candidates());
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

    fn answers(self, subquery: &Subquery) -> Result<Source<'q>, QueryError> {
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

    pub(super) fn over_time(self, over: &Over, ranged: &Ranged<'_>) -> Result<Grid, QueryError> {
        let mut grid = Grid::new(self.steps.count);
        grid.one_name = ranged.one_name;
        let nameless = over.kind != Kind::KeepsName;
        self.each_over_time(over, ranged, |row, cells| {
            self.query.hold(self.steps.count)?;
            if let Some(mut head) = ranged.head(row) {
                head.nameless |= nameless;
                grid.push(head, cells.iter().copied());
            }
            Ok(())
        })?;
        if self.query.names().delayed || (grid.one_name && nameless) {
            return Ok(grid);
        }
        merged(grid, self.query.names(), Meeting::Forbidden)
    }

    /// Calls `visit` with the place of each series that has any value, and its values at each step.
    pub(super) fn each_over_time(
        self,
        over: &Over,
        ranged: &Ranged<'_>,
        mut visit: impl FnMut(usize, &[f64]) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        match ranged.found() {
            Some(found) => self.in_order(found, visit, |visit| self.each_window(over, ranged, visit)),
            None => self.each_window(over, ranged, &mut visit),
        }
    }

    fn each_window(self, over: &Over, ranged: &Ranged<'_>, visit: &mut Visit<'_>) -> Result<(), QueryError> {
        let mut counters = Counters::default();
        let mut checked = false;
        let counts = self.query.tally.is_wanted();
        let mut cells: Vec<f64> = Vec::with_capacity(self.steps.count);
        // The windows of the series before, which are those of the next where its times are the same.
        let (mut windows, mut column) = (Vec::with_capacity(self.steps.count), None);
        ranged.each_series(|sampled| {
            self.query.worked(sampled.values.len() + self.steps.count)?;
            if column != sampled.column || column.is_none() {
                windows.clear();
                ranged.windows(sampled.times, |until, samples| windows.push((until, samples)));
                column = sampled.column;
            }
            cells.clear();
            let (mut any, mut told) = (false, false);
            for (step, (until, samples)) in windows.iter().enumerate() {
                let window = Window {
                    times: sampled.times.get(samples.clone()).unwrap_or_default(),
                    values: sampled.values.get(samples.clone()).unwrap_or_default(),
                    from: until.saturating_sub(ranged.range),
                    until: *until,
                    now: self.steps.time(step),
                };
                let there = !window.values.is_empty();
                any |= there;
                if counts {
                    self.query.tally.add(step, window.values.len());
                }
                let value = there
                    .then(|| (over.run)(&window, over.scalars.at(step)))
                    .flatten();
                told |= value.is_some();
                cells.push(value.unwrap_or(HOLE));
            }
            if any && !checked {
                checked = true;
                self.check_arguments(over.kind, &over.scalars, over.span)?;
            }
            if !told {
                return Ok(());
            }
            visit(sampled.candidate, &cells)?;
            // Of one metric, one series says it.
            let is_told = ranged.one_name && counters.last.is_some();
            let named = !sampled.nameless || self.query.names().delayed;
            if over.kind == Kind::Counter && named && !is_told {
                counters.check(self, sampled.labels, over.span);
            }
            Ok(())
        })
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
    pub(super) fn present_over_time(self, ranged: &Ranged<'_>) -> Result<Vec<bool>, QueryError> {
        let mut present = vec![false; self.steps.count];
        ranged.each_series(|sampled| {
            self.query.worked(sampled.times.len())?;
            let mut slots = present.iter_mut().enumerate();
            ranged.windows(sampled.times, |_, samples| {
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
        ranged.each_series(|sampled| {
            self.query.hold(sampled.values.len())?;
            ranged.windows(sampled.times, |until, samples| {
                if is_read {
                    self.query.tally.add(0, samples.len());
                }
                let times = sampled.times.get(samples.clone());
                let values = sampled.values.get(samples);
                let (Some(times @ [_, ..]), Some(values)) = (times, values) else {
                    return;
                };
                let found = ranged.at_edges(times, values, until);
                if let Some((times, values)) = found.filter(|(times, _)| !times.is_empty()) {
                    let labels = match sampled.nameless {
                        true => unnamed(sampled.labels),
                        false => sampled.labels.clone(),
                    };
                    rows.push((sampled.candidate, (labels, times, values)));
                }
            });
            Ok(())
        })?;
        rows.sort_by_key(|(row, _)| *row);
        Ok(rows.into_iter().map(|(_, samples)| samples).collect())
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
    fn check(&mut self, eval: Eval<'_>, labels: &Labels, span: Span) {
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

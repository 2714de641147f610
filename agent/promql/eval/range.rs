//! Functions of range vectors: a window of each series at each step, from samples or from a subquery.

use model::{Labels, Timestamp, is_stale};

use super::grid::{Grid, HOLE, Head, is_hole};
use super::merge::{Meeting, merged};
use super::notes;
use super::select::{Cursor, has_one_name};
use super::{Eval, Steps};
use crate::ast::{Expr, Kind as ExprKind, Subquery};
use crate::error::QueryError;
use crate::functions::{Function, Kind, Window};
use crate::span::Span;

/// Series whose windows are asked for, one after the other.
type Visit<'v> = dyn FnMut(&Head, &[Timestamp], &[f64]) -> Result<(), QueryError> + 'v;

/// Where the windows of a range vector lie.
#[derive(Clone, Copy)]
struct Windows {
    /// Their ends.
    looks: Steps,
    /// Their length in milliseconds.
    range: i64,
    one_name: bool,
}

impl Windows {
    /// The samples `from..to` of each step's window.
    fn each(self, times: &[Timestamp], mut visit: impl FnMut(i64, std::ops::Range<usize>)) {
        let (mut first, mut last) = (Cursor::default(), Cursor::default());
        for look in self.looks.times() {
            let from = first.passed(times, look.saturating_sub(self.range));
            let to = last.passed(times, look);
            visit(look, from..to.max(from));
        }
    }
}

impl Eval<'_> {
    pub(super) fn over_time(
        self,
        function: &Function,
        run: (fn(&Window<'_>, &[f64]) -> Option<f64>, Kind),
        args: &[Expr],
    ) -> Result<Grid, QueryError> {
        let (run, kind) = run;
        let (mut scalars, mut ranged) = (Vec::new(), None);
        for arg in args {
            match arg.bare() {
                bare if matches!(bare.kind, ExprKind::Range { .. } | ExprKind::Subquery(_)) => {
                    ranged = Some(bare);
                }
                bare => scalars.push(self.scalar(bare)?),
            }
        }
        let (Some(ranged), Some(first)) = (ranged, args.first()) else {
            return Err(QueryError::Execution(format!(
                "{} needs a range vector",
                function.name
            )));
        };
        let scalars = Scalars::new(scalars, self.steps.count);
        let windows = self.windows(ranged);
        let mut grid = Grid::new(self.steps.count);
        grid.one_name = windows.one_name;
        let mut counters = Counters::default();
        self.each_series(ranged, &mut |head, times, values| {
            self.query.hold(self.steps.count)?;
            let mut cells = Vec::with_capacity(self.steps.count);
            let mut any = false;
            windows.each(times, |until, samples| {
                let step = cells.len();
                let window = Window {
                    times: times.get(samples.clone()).unwrap_or_default(),
                    values: values.get(samples).unwrap_or_default(),
                    from: until.saturating_sub(windows.range),
                    until,
                    now: self.steps.time(step),
                };
                let value = match window.values {
                    [] => None,
                    _ => {
                        any = true;
                        run(&window, scalars.at(step))
                    }
                };
                cells.push(value.unwrap_or(HOLE));
            });
            if any {
                self.check_arguments(kind, &scalars, first.span)?;
            }
            let rows = grid.len();
            let head = match kind {
                Kind::KeepsName => head.clone(),
                _ => head.without_name(),
            };
            grid.push(head, cells);
            if kind == Kind::Counter && grid.len() > rows {
                counters.check(self, grid.heads().last(), first.span);
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
                    let message =
                        format!("invalid smoothing or trend factor. Expected: 0 < factor < 1, got: {factor}");
                    return Err(QueryError::Execution(message));
                }
            }
            Kind::Plain | Kind::KeepsName | Kind::Counter => {}
        }
        Ok(())
    }

    /// For each step, whether any series has a sample in its window.
    pub(super) fn present_over_time(self, ranged: &Expr) -> Result<Vec<bool>, QueryError> {
        let mut present = vec![false; self.steps.count];
        let windows = self.windows(ranged);
        self.each_series(ranged, &mut |_, times, _| {
            let mut slots = present.iter_mut();
            windows.each(times, |_, samples| {
                if let Some(slot) = slots.next() {
                    *slot |= !samples.is_empty();
                }
            });
            Ok(())
        })?;
        Ok(present)
    }

    /// The samples of a range vector at the only step.
    pub(crate) fn samples(
        self,
        ranged: &Expr,
    ) -> Result<Vec<(Labels, Vec<Timestamp>, Vec<f64>)>, QueryError> {
        let ranged = ranged.bare();
        let windows = self.windows(ranged);
        let mut rows = Vec::new();
        self.each_series(ranged, &mut |head, times, values| {
            windows.each(times, |_, samples| {
                let (times, values) = (times.get(samples.clone()), values.get(samples));
                if let (Some(times @ [_, ..]), Some(values)) = (times, values) {
                    let labels = match head.nameless {
                        true => head.labels.without_name(),
                        false => head.labels.clone(),
                    };
                    rows.push((labels, times.to_vec(), values.to_vec()));
                }
            });
            Ok(())
        })?;
        Ok(rows)
    }

    fn windows(self, ranged: &Expr) -> Windows {
        let (when, range, one_name) = match &ranged.kind {
            ExprKind::Range { selector, range } => (selector.when, *range, has_one_name(selector)),
            ExprKind::Subquery(subquery) => (subquery.when, subquery.range, false),
            _ => Default::default(),
        };
        Windows {
            looks: self.steps.looks(when, self.query),
            range: model::time::millis(range),
            one_name,
        }
    }

    fn each_series(self, ranged: &Expr, visit: &mut Visit<'_>) -> Result<(), QueryError> {
        match &ranged.kind {
            ExprKind::Range { selector, range } => {
                let all = self.read(selector, model::time::millis(*range))?;
                for series in all.iter() {
                    self.query.worked(series.values.len())?;
                    let head = Head::new(series.labels.clone());
                    if series.values.iter().any(|value| is_stale(*value)) {
                        let living = series.times.iter().zip(series.values.iter());
                        let (times, values): (Vec<_>, Vec<_>) =
                            living.filter(|(_, value)| !is_stale(**value)).unzip();
                        visit(&head, &times, &values)?;
                    } else {
                        visit(&head, &series.times, &series.values)?;
                    }
                }
                Ok(())
            }
            ExprKind::Subquery(subquery) => self.each_answer(subquery, visit),
            _ => Ok(()),
        }
    }

    /// The rows of a subquery as series.
    fn each_answer(self, subquery: &Subquery, visit: &mut Visit<'_>) -> Result<(), QueryError> {
        let looks = self.steps.looks(subquery.when, self.query);
        let default = self.query.options.step_default;
        let interval = model::time::millis(subquery.step.unwrap_or(default)).max(1);
        let after = looks.start.saturating_sub(model::time::millis(subquery.range));
        // Aligned to the epoch, so that the same steps are asked for whenever the query runs.
        let first = after
            .div_euclid(interval)
            .saturating_add(1)
            .saturating_mul(interval);
        let steps = Steps::between(first, looks.last(), interval);
        if steps.count == 0 {
            return Ok(());
        }
        // The clock alone is a column of so many cells.
        self.query.hold(steps.count)?;
        let inner = Self { steps, ..self };
        let grid = inner.vector(&subquery.expr)?;
        let times: Vec<Timestamp> = steps.times().map(Timestamp).collect();
        let (mut row_times, mut row_values) = (Vec::new(), Vec::new());
        for (head, cells) in grid.rows() {
            self.query.worked(cells.len())?;
            row_times.clear();
            row_values.clear();
            for (time, cell) in times.iter().zip(cells).filter(|(_, cell)| !is_hole(**cell)) {
                row_times.push(*time);
                row_values.push(*cell);
            }
            visit(head, &row_times, &row_values)?;
        }
        Ok(())
    }
}

/// Scalar arguments, gathered for each step.
struct Scalars {
    width: usize,
    by_step: Vec<f64>,
}

impl Scalars {
    fn new(columns: Vec<Vec<f64>>, steps: usize) -> Self {
        let by_step = (0..steps)
            .flat_map(|step| {
                columns
                    .iter()
                    .map(move |column| column.get(step).copied().unwrap_or(f64::NAN))
            })
            .collect();
        Self {
            width: columns.len(),
            by_step,
        }
    }

    fn at(&self, step: usize) -> &[f64] {
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

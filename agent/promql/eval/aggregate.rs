//! Aggregations that make one series of each group.

use std::sync::Arc;

use hashbrown::HashMap;
use model::labels::METRIC_NAME;
use model::{Labels, LabelsBuilder};

use super::grid::{Grid, HOLE, Head, Names, is_hole, names_metric};
use super::key::{Interner, Key};
use super::merge::{Meeting, merged};
use super::rows::Rows;
use super::{Eval, Query, notes};
use crate::ast::{Aggregate, Aggregation, Grouping, Kind};
use crate::error::QueryError;
use crate::stats::{self, Mean, Sum};

/// The groups of a grid's rows: resolved once for all steps, and for as long as the rows are of the same series.
pub(crate) struct Groups {
    asked: Asked,
    /// Group of each row.
    pub(super) of_row: Vec<usize>,
    /// What each group is called.
    pub(super) heads: Vec<Head>,
}

/// What decides about groups besides the labels.
#[derive(PartialEq)]
struct Asked {
    grouping: Grouping,
    names: Names,
    /// Whether all rows are without their name; None where some are.
    nameless: Option<bool>,
}

impl Groups {
    /// The groups of a grid as the query's engine has seen them before, or anew.
    pub(super) fn seen(grid: &Grid, grouping: &Grouping, query: &Query<'_>) -> Arc<Self> {
        let (names, nameless) = (query.names(), one_of(grid.heads()));
        let find = || Self::of(grid, grouping, names);
        if nameless.is_none() {
            return Arc::new(find());
        }
        let purpose = (&grouping.labels, grouping.without, names.delayed, nameless);
        let labels = grid.heads().iter().map(|head| &head.labels);
        let fits = |known: &Self| {
            let Asked {
                grouping: of,
                names: with,
                nameless: all,
            } = &known.asked;
            (of, *with, *all) == (grouping, names, nameless)
        };
        query.seen.groups.find(purpose, labels, fits, find)
    }

    /// The same of a list of series that come one by one.
    pub(super) fn of_list(
        labels: &Arc<[Labels]>,
        nameless: bool,
        grouping: &Grouping,
        query: &Query<'_>,
    ) -> Arc<Self> {
        let names = query.names();
        let asked = Asked {
            grouping: grouping.clone(),
            names,
            nameless: Some(nameless),
        };
        let purpose = (&grouping.labels, grouping.without, names.delayed, nameless);
        let find = || {
            let heads: Vec<Head> = labels
                .iter()
                .map(|labels| Head {
                    labels: labels.clone(),
                    nameless,
                })
                .collect();
            Self::of_heads(&heads, grouping, names)
        };
        let fits = |known: &Self| known.asked == asked;
        query.seen.groups.find_list(purpose, labels, fits, find)
    }

    fn of(grid: &Grid, grouping: &Grouping, names: Names) -> Self {
        Self::of_heads(grid.heads(), grouping, names)
    }

    fn of_heads(all: &[Head], grouping: &Grouping, names: Names) -> Self {
        let key = match grouping.without {
            true => Key::without(&grouping.labels),
            false => Key::only(&grouping.labels),
        };
        let mut interner = Interner::new(&key, names);
        let of_row: Vec<usize> = all.iter().map(|head| interner.number(head)).collect();
        let first = interner.first().iter();
        let mut heads: Vec<Head> = first.map(|first| Head::new(key.labels(names, first))).collect();
        // A group loses its name when any of its rows does.
        for (head, group) in all.iter().zip(&of_row) {
            if let Some(result) = heads.get_mut(*group) {
                result.nameless |= head.nameless && key.sees_name();
            }
        }
        let asked = Asked {
            grouping: grouping.clone(),
            names,
            nameless: one_of(all),
        };
        Self { asked, of_row, heads }
    }

    fn are_nameless(&self) -> bool {
        let named = |head: &Head| head.labels.iter().any(|(label, _)| names_metric(label));
        !self.heads.iter().any(named)
    }

    /// The rows of each group.
    pub(super) fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.heads.len()];
        for (row, group) in self.of_row.iter().enumerate() {
            if let Some(rows) = members.get_mut(*group) {
                rows.push(row);
            }
        }
        members
    }
}

/// Whether they are all nameless, or none of them.
fn one_of(heads: &[Head]) -> Option<bool> {
    let first = heads.first()?.nameless;
    heads.iter().all(|head| head.nameless == first).then_some(first)
}

impl Eval<'_> {
    pub(super) fn aggregate(self, aggregate: &Aggregate) -> Result<Grid, QueryError> {
        let numbers = match &aggregate.param {
            Some(param) if aggregate.op != Aggregation::CountValues => self.scalar(param)?,
            _ => Vec::new(),
        };
        match aggregate.op {
            Aggregation::Topk
            | Aggregation::Bottomk
            | Aggregation::Limitk
            | Aggregation::LimitRatio
            | Aggregation::CountValues
            | Aggregation::Quantile => {
                let grid = self.vector(&aggregate.expr)?;
                self.aggregated(aggregate, grid, &numbers)
            }
            op => {
                let rows = self.rows(&aggregate.expr)?;
                self.folded(op, &rows, &aggregate.grouping)
            }
        }
    }

    fn aggregated(self, aggregate: &Aggregate, grid: Grid, numbers: &[f64]) -> Result<Grid, QueryError> {
        match aggregate.op {
            Aggregation::LimitRatio => {
                let param = aggregate.param.as_ref().unwrap_or(&aggregate.expr);
                self.share(&grid, numbers, param.span)
            }
            Aggregation::CountValues => self.counted_values(aggregate, &grid),
            Aggregation::Quantile => self.quantiles(aggregate, &grid, numbers),
            _ => self.ranked(aggregate, grid, numbers),
        }
    }

    fn folded(self, op: Aggregation, rows: &Rows<'_>, grouping: &Grouping) -> Result<Grid, QueryError> {
        match op {
            Aggregation::Sum => self.fold(rows, grouping, Sum::add, Sum::value),
            Aggregation::Avg => self.fold(rows, grouping, Mean::add, Mean::value),
            Aggregation::Count => {
                self.fold(rows, grouping, |count: &mut f64, _| *count += 1.0, |count| count)
            }
            Aggregation::Min => self.fold(
                rows,
                grouping,
                |best: &mut Best, value| best.keep(value, value < best.0),
                Best::value,
            ),
            Aggregation::Max => self.fold(
                rows,
                grouping,
                |best: &mut Best, value| best.keep(value, value > best.0),
                Best::value,
            ),
            Aggregation::Stdvar => self.fold(rows, grouping, Spread::add, Spread::variance),
            Aggregation::Stddev => self.fold(rows, grouping, Spread::add, |spread| spread.variance().sqrt()),
            _ => self.fold(rows, grouping, |_: &mut (), _| (), |()| 1.0),
        }
    }

    /// Feeds each group's values, step by step, to a state of its own.
    fn fold<S: Default + Clone>(
        self,
        rows: &Rows<'_>,
        grouping: &Grouping,
        add: impl Fn(&mut S, f64),
        value: impl Fn(S) -> f64,
    ) -> Result<Grid, QueryError> {
        let steps = self.steps.count;
        let groups = self.groups(rows, grouping);
        self.query.hold(groups.heads.len().saturating_mul(steps))?;
        let mut states: Vec<Option<S>> = vec![None; groups.heads.len() * steps];
        self.each_row(rows, |row, cells| {
            let start = groups.of_row.get(row).map_or(usize::MAX, |group| group * steps);
            let slots = states
                .get_mut(start..start.saturating_add(steps))
                .unwrap_or_default();
            for (slot, cell) in slots.iter_mut().zip(cells).filter(|(_, cell)| !is_hole(**cell)) {
                add(slot.get_or_insert_default(), *cell);
            }
        })?;
        let mut result = Grid::with_capacity(steps, groups.heads.len());
        result.one_name = rows.one_name() || groups.are_nameless();
        let mut states = states.into_iter();
        for head in groups.heads.iter().cloned() {
            let cells = states.by_ref().take(steps);
            result.push(head, cells.map(|state| state.map_or(HOLE, &value)));
        }
        Ok(result)
    }

    fn quantiles(self, aggregate: &Aggregate, grid: &Grid, numbers: &[f64]) -> Result<Grid, QueryError> {
        let span = aggregate
            .param
            .as_ref()
            .map_or(aggregate.expr.span, |param| param.span);
        for q in out_of_bounds(numbers) {
            self.query.warn(span, notes::bad_quantile(q));
        }
        let groups = Groups::seen(grid, &aggregate.grouping, self.query);
        let mut result = Grid::with_capacity(self.steps.count, groups.heads.len());
        result.one_name = grid.one_name || groups.are_nameless();
        let members = groups.members();
        let mut values = Vec::new();
        for (head, rows) in groups.heads.iter().cloned().zip(members) {
            self.query.worked(rows.len().saturating_mul(self.steps.count))?;
            let cells: Vec<f64> = (0..self.steps.count)
                .map(|step| {
                    values.clear();
                    let cells = rows.iter().filter_map(|row| grid.row(*row).get(step).copied());
                    values.extend(cells.filter(|cell| !is_hole(*cell)));
                    match values.is_empty() {
                        true => HOLE,
                        false => stats::quantile(numbers.get(step).copied().unwrap_or(f64::NAN), &mut values),
                    }
                })
                .collect();
            result.push(head, cells);
        }
        Ok(result)
    }

    fn counted_values(self, aggregate: &Aggregate, grid: &Grid) -> Result<Grid, QueryError> {
        let label = match aggregate.param.as_ref().map(|param| &param.bare().kind) {
            Some(Kind::Text(label)) if !label.is_empty() => label,
            _ => return Err(QueryError::Execution("invalid label name \"\"".to_owned())),
        };
        let (steps, names) = (self.steps.count, self.query.names());
        // The value takes the place of a label of that name before series are grouped.
        let mut grouping = aggregate.grouping.clone();
        let hidden = grouping.without && (grouping.labels.contains(label) || label == METRIC_NAME);
        grouping.labels.retain(|grouped| grouped != label);
        if grouping.without {
            grouping.labels.push(label.clone());
        }
        let groups = Groups::of(grid, &grouping, names);
        let mut rows: Vec<(Head, Vec<f64>)> = Vec::new();
        let mut by_value: HashMap<(usize, u64), usize> = HashMap::new();
        for ((_, cells), group) in grid.rows().zip(&groups.of_row) {
            self.query.worked(steps)?;
            for (step, cell) in cells.iter().enumerate().filter(|(_, cell)| !is_hole(**cell)) {
                // All NaNs are written alike.
                let bits = if hidden {
                    // `without (value)` takes away what tells values apart.
                    0
                } else if cell.is_nan() {
                    f64::NAN.to_bits()
                } else {
                    cell.to_bits()
                };
                let nth = *by_value.entry((*group, bits)).or_insert(rows.len());
                if nth == rows.len() {
                    self.query.hold(steps)?;
                    let mut labels = groups
                        .heads
                        .get(*group)
                        .map(|head| head.labels.to_builder())
                        .unwrap_or_default();
                    if !hidden {
                        set_value(&mut labels, label, *cell);
                    }
                    rows.push((Head::new(labels.build()), vec![HOLE; steps]));
                }
                if let Some(count) = rows.get_mut(nth).and_then(|(_, cells)| cells.get_mut(step)) {
                    *count = if is_hole(*count) { 1.0 } else { *count + 1.0 };
                }
            }
        }
        let mut result = Grid::with_capacity(steps, rows.len());
        for (head, cells) in rows {
            result.push(head, cells);
        }
        merged(result, names, Meeting::Allowed)
    }
}

/// A number as the value of a label: `1`, `0.5`, `+Inf`.
fn set_value(labels: &mut LabelsBuilder, label: &str, value: f64) {
    labels.set(label, &model::text::float::plain(value));
}

/// Of a quantile's parameters at all steps those that are worth a note: NaN, or the highest and the lowest.
fn out_of_bounds(numbers: &[f64]) -> Vec<f64> {
    if numbers.iter().any(|q| q.is_nan()) {
        return vec![f64::NAN];
    }
    let most = numbers.iter().copied().fold(f64::MIN, f64::max);
    let least = numbers.iter().copied().fold(f64::MAX, f64::min);
    let told = [(most, most > 1.0), (least, least < 0.0)];
    told.into_iter().filter_map(|(q, out)| out.then_some(q)).collect()
}

/// The best value so far; anything is better than NaN.
#[derive(Clone, Copy)]
struct Best(f64);

impl Default for Best {
    fn default() -> Self {
        Self(f64::NAN)
    }
}

impl Best {
    fn keep(&mut self, value: f64, better: bool) {
        if better || self.0.is_nan() {
            self.0 = value;
        }
    }

    fn value(self) -> f64 {
        self.0
    }
}

/// Welford's running variance.
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            // A lone infinity has no variance.
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn variance(self) -> f64 {
        self.squares / self.count
    }
}

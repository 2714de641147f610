//! Calls: which function works how.

use model::labels::METRIC_NAME;
use model::{Labels, LabelsBuilder, MatchOp, Matcher};

use super::grid::{Grid, HOLE, Head, is_hole};
use super::merge::Meeting;
use super::{Eval, Value};
use crate::ast::{Expr, Kind};
use crate::error::QueryError;
use crate::functions::{Date, Function, Run};

impl Eval<'_> {
    pub(super) fn call(self, function: &Function, args: &[Expr]) -> Result<Value, QueryError> {
        let arg = |nth: usize| {
            args.get(nth)
                .ok_or_else(|| QueryError::Execution(format!("{} lacks an argument", function.name)))
        };
        let vector = |nth| arg(nth).and_then(|expr| self.vector(expr));
        let scalar = |nth| arg(nth).and_then(|expr| self.scalar(expr));
        let grid = match function.run {
            Run::OverTime(run, kind) => self.over_time(function, (run, kind), args),
            Run::Each(run) => {
                let mut grid = vector(0)?;
                grid.map(|_, value| Some(run(value)));
                self.unnamed(grid, Meeting::Allowed)
            }
            Run::EachWith(run) => self.each_with(run, vector(0)?, args),
            Run::Date(run) => match args {
                [] => {
                    let now = self
                        .steps
                        .times()
                        .map(|time| run(Date::from_seconds((time / 1000) as f64)));
                    Ok(Grid::of(Head::new(Labels::empty()), now.collect()))
                }
                _ => {
                    let mut grid = vector(0)?;
                    grid.map(|_, value| Some(run(Date::from_seconds(value))));
                    self.unnamed(grid, Meeting::Allowed)
                }
            },
            Run::Absent => {
                let grid = vector(0)?;
                let mut present = vec![false; self.steps.count];
                for (_, cells) in grid.rows() {
                    present
                        .iter_mut()
                        .zip(cells)
                        .for_each(|(there, cell)| *there |= !is_hole(*cell));
                }
                Ok(absent(arg(0)?, &present))
            }
            Run::AbsentOverTime => {
                let ranged = arg(0)?.bare();
                let present = self.present_over_time(ranged)?;
                Ok(absent(ranged, &present))
            }
            Run::HistogramFraction => {
                let (lower, upper) = (scalar(0)?, scalar(1)?);
                self.histogram_fraction((&lower, &upper), (arg(2)?, &vector(2)?))
            }
            Run::HistogramQuantile => {
                let quantiles = scalar(0)?;
                self.histogram_quantile((arg(0)?, &quantiles), (arg(1)?, &vector(1)?))
            }
            Run::LabelJoin => self.label_join(vector(0)?, &texts(args)),
            Run::LabelReplace => self.label_replace(vector(0)?, &texts(args)),
            Run::NativeHistogram => vector(0).map(|grid| Grid::new(grid.steps())),
            Run::Pi => return Ok(Value::Scalar(vec![std::f64::consts::PI; self.steps.count])),
            Run::Scalar => return Ok(Value::Scalar(only_values(&vector(0)?, self.steps.count))),
            Run::Sort { descending } => Ok(self.sorted(vector(0)?, descending)),
            Run::SortByLabel { descending } => Ok(self.sorted_by_label(vector(0)?, &texts(args), descending)),
            Run::Time => {
                let seconds = self.steps.times().map(|time| time as f64 / 1000.0);
                return Ok(Value::Scalar(seconds.collect()));
            }
            Run::Timestamp => self.timestamps(arg(0)?),
            Run::Vector => scalar(0).map(|numbers| Grid::of(Head::new(Labels::empty()), numbers)),
        };
        grid.map(Value::Vector)
    }

    fn each_with(
        self,
        run: fn(f64, &[f64]) -> Option<f64>,
        mut grid: Grid,
        args: &[Expr],
    ) -> Result<Grid, QueryError> {
        let mut columns = Vec::new();
        for expr in args.iter().skip(1) {
            columns.push(self.scalar(expr)?);
        }
        let mut scalars = Vec::with_capacity(columns.len());
        let scalars = std::cell::RefCell::new(&mut scalars);
        grid.map(|step, value| {
            let mut scalars = scalars.borrow_mut();
            scalars.clear();
            scalars.extend(
                columns
                    .iter()
                    .map(|column| column.get(step).copied().unwrap_or(f64::NAN)),
            );
            run(value, &scalars)
        });
        self.unnamed(grid, Meeting::Allowed)
    }

    /// A selector's samples have times of their own; everything else is as old as the step.
    fn timestamps(self, expr: &Expr) -> Result<Grid, QueryError> {
        let grid = match &expr.bare().kind {
            Kind::Selector(selector) => self.stamped(selector)?,
            _ => {
                let mut grid = self.vector(expr)?;
                grid.map(|step, _| Some(self.steps.time(step) as f64 / 1000.0));
                grid
            }
        };
        self.unnamed(grid, Meeting::Allowed)
    }
}

/// The strings among the arguments, in order.
fn texts(args: &[Expr]) -> Vec<&str> {
    args.iter()
        .filter_map(|arg| match &arg.bare().kind {
            Kind::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// At each step the value of the only series; NaN when there is none or more than one.
fn only_values(grid: &Grid, steps: usize) -> Vec<f64> {
    let mut numbers = vec![(0usize, f64::NAN); steps];
    for (_, cells) in grid.rows() {
        for ((count, number), cell) in numbers.iter_mut().zip(cells).filter(|(_, cell)| !is_hole(**cell)) {
            *count += 1;
            *number = *cell;
        }
    }
    numbers
        .into_iter()
        .map(|(count, number)| if count == 1 { number } else { f64::NAN })
        .collect()
}

/// One where nothing is present, with the labels that the selector demands.
fn absent(expr: &Expr, present: &[bool]) -> Grid {
    let matchers = match &expr.bare().kind {
        Kind::Selector(selector) | Kind::Range { selector, .. } => selector.matchers.as_slice(),
        _ => &[],
    };
    let cells = present
        .iter()
        .map(|there| if *there { HOLE } else { 1.0 })
        .collect();
    Grid::of(Head::new(demanded(matchers)), cells)
}

/// Labels that an `=` matcher sets and no later one takes back.
fn demanded(matchers: &[Matcher]) -> Labels {
    let mut labels = LabelsBuilder::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| &*matcher.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !seen.contains(&&*matcher.name) {
            labels.set(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            labels.remove(&matcher.name);
        }
    }
    labels.build()
}

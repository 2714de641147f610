//! Calls: which function works how.

use model::labels::METRIC_NAME;
use model::{Labels, LabelsBuilder, MatchOp, Matcher};

use super::grid::{Grid, HOLE, Head, is_hole};
use super::range::{Over, Ranged, Scalars};
use super::{Eval, Value};
use crate::ast::{Expr, Kind, Type};
use crate::error::QueryError;
use crate::filter::accepts_nothing;
use crate::functions::{Date, Function, Run};

/// An argument's value.
enum Arg<'q> {
    Scalar(Vec<f64>),
    Vector(Grid),
    Ranged(Ranged<'q>),
    /// Taken from the expression itself.
    Text,
}

impl<'q> Eval<'q> {
    // What calls itself again holds little, so that deep expressions need little stack.

    pub(super) fn call(self, function: &Function, args: &[Expr]) -> Result<Value, QueryError> {
        let mut values = Vec::with_capacity(args.len());
        for (nth, arg) in args.iter().enumerate() {
            values.push(match function.run {
                // Never evaluated: it says which labels are wanted.
                Run::Info if nth > 0 => Arg::Text,
                _ => self.argument(function, arg.bare())?,
            });
        }
        self.run(function, args, values)
    }

    fn argument(self, function: &Function, arg: &Expr) -> Result<Arg<'q>, QueryError> {
        match (arg.returns(), &arg.kind) {
            (Type::Matrix, _) => self.ranged(arg).map(Arg::Ranged),
            (Type::Text, _) => Ok(Arg::Text),
            (Type::Scalar, _) => self.scalar(arg).map(Arg::Scalar),
            // A selector's samples have times of their own; everything else is as old as the step.
            (Type::Vector, Kind::Selector(selector)) if matches!(function.run, Run::Timestamp) => {
                self.stamped(selector).map(Arg::Vector)
            }
            (Type::Vector, _) => self.vector(arg).map(Arg::Vector),
        }
    }

    fn run(self, function: &Function, args: &[Expr], values: Vec<Arg<'q>>) -> Result<Value, QueryError> {
        let (mut scalars, mut grids, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
        for value in values {
            match value {
                Arg::Scalar(numbers) => scalars.push(numbers),
                Arg::Vector(grid) => grids.push(grid),
                Arg::Ranged(ranged) => ranges.push(ranged),
                Arg::Text => {}
            }
        }
        let no_args = QueryError::Execution(format!("{} lacks an argument", function.name));
        let result = match (function.run, grids.pop(), ranges.pop(), args) {
            (Run::Time, ..) => {
                let seconds = self.steps.times().map(|time| time as f64 / 1000.0);
                return Ok(Value::Scalar(seconds.collect()));
            }
            (Run::OfQuery(run), ..) => {
                let number = run(self.query.bounds);
                return Ok(Value::Scalar(vec![number; self.steps.count]));
            }
            (Run::OfTwo(run), ..) => return Ok(Value::Scalar(of_two(run, &scalars))),
            (Run::Pi, ..) => return Ok(Value::Scalar(vec![std::f64::consts::PI; self.steps.count])),
            (Run::Scalar, Some(grid), ..) => {
                return Ok(Value::Scalar(only_values(&grid, self.steps.count)));
            }
            (Run::Vector, ..) => Ok(Grid::of(nobody(), scalars.pop().unwrap_or_default())),
            (Run::Date(run), None, ..) => {
                let now = self
                    .steps
                    .times()
                    .map(|time| run(Date::from_seconds((time / 1000) as f64)));
                Ok(Grid::of(nobody(), now.collect()))
            }
            (Run::OverTime(run, kind), _, Some(ranged), [first, ..]) => {
                let over = Over {
                    run: ranged.runs(function, run)?,
                    kind,
                    scalars: Scalars::new(&scalars, self.steps.count),
                    span: first.span,
                };
                self.over_time(&over, &ranged)
            }
            (Run::AbsentOverTime, _, Some(ranged), [arg]) => {
                ranged.runs(function, |_, _| None)?;
                Ok(absent(arg, &self.present_over_time(&ranged)?))
            }
            (_, Some(grid), _, [arg, ..]) => return self.of_vector(function, (arg, args), grid, &scalars),
            _ => Err(no_args),
        };
        result.map(Value::Vector)
    }

    /// Functions of an instant vector.
    fn of_vector(
        self,
        function: &Function,
        (arg, args): (&Expr, &[Expr]),
        mut grid: Grid,
        scalars: &[Vec<f64>],
    ) -> Result<Value, QueryError> {
        let last = args.last().unwrap_or(arg);
        let column = |nth: usize| scalars.get(nth).map(Vec::as_slice).unwrap_or_default();
        let result = match function.run {
            Run::Each(run) => {
                grid.map(|_, value| Some(run(value)));
                self.unnamed(grid)
            }
            Run::EachWith(run) => self.each_with(run, grid, scalars),
            Run::Date(run) => {
                grid.map(|_, value| Some(run(Date::from_seconds(value))));
                self.unnamed(grid)
            }
            Run::Timestamp => {
                if !matches!(arg.bare().kind, Kind::Selector(_)) {
                    grid.map(|step, _| Some(self.steps.time(step) as f64 / 1000.0));
                }
                self.unnamed(grid)
            }
            Run::Absent => Ok(absent(arg, &grid.busy())),
            Run::HistogramFraction => self.histogram_fraction((column(0), column(1)), (last, &grid)),
            Run::HistogramQuantiles => self.histogram_quantiles((args, scalars), (arg, &grid)),
            Run::Info => self.informed(&grid, args),
            Run::HistogramQuantile => self.histogram_quantile((arg, column(0)), (last, &grid)),
            Run::LabelJoin => self.label_join(grid, &texts(args)),
            Run::LabelReplace => self.label_replace(grid, &texts(args)),
            Run::Nothing => Ok(Grid::new(self.steps.count)),
            Run::Sort { descending } => Ok(self.sorted(grid, descending)),
            Run::SortByLabel { descending } => Ok(self.sorted_by_label(grid, &texts(args), descending)),
            _ => Err(QueryError::Execution(format!(
                "{} takes no instant vector",
                function.name
            ))),
        };
        result.map(Value::Vector)
    }

    fn each_with(
        self,
        run: fn(f64, &[f64]) -> Option<f64>,
        mut grid: Grid,
        scalars: &[Vec<f64>],
    ) -> Result<Grid, QueryError> {
        let scalars = Scalars::new(scalars, self.steps.count);
        grid.map(|step, value| run(value, scalars.at(step)));
        self.unnamed(grid)
    }
}

/// A series without labels.
fn nobody() -> Head {
    Head::new(Labels::empty())
}

fn of_two(run: fn(f64, f64) -> f64, scalars: &[Vec<f64>]) -> Vec<f64> {
    let [one, two] = scalars else {
        return Vec::new();
    };
    one.iter().zip(two).map(|(one, two)| run(*one, *two)).collect()
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
///
/// Later as Prometheus has them by then: its store puts those last that only take away (`PostingsForMatchers`).
fn demanded(matchers: &[Matcher]) -> Labels {
    let mut labels = LabelsBuilder::default();
    let mut seen: Vec<&str> = Vec::new();
    let of_labels = || matchers.iter().filter(|matcher| &*matcher.name != METRIC_NAME);
    let mut ordered: Vec<&Matcher> = of_labels().collect();
    let alone = |matcher: &Matcher| of_labels().filter(|other| other.name == matcher.name).count() == 1;
    if !of_labels().all(alone) {
        let optional = |name: &str| {
            let mut same = of_labels().filter(|matcher| *matcher.name == *name);
            same.all(accepts_nothing)
        };
        ordered.sort_by_cached_key(|matcher| {
            let refuses = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotMatches);
            (refuses && accepts_nothing(matcher)) || optional(&matcher.name)
        });
    }
    for matcher in ordered {
        if matcher.op == MatchOp::Equal && !seen.contains(&&*matcher.name) {
            labels.set(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            labels.remove(&matcher.name);
        }
    }
    labels.build()
}

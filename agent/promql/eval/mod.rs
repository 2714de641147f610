//! The evaluator: each operator works on all steps of a query at once.
//!
//! Labels are looked at once for a set of series, never once for a step. An instant query is one step.

mod aggregate;
mod binary;
mod buckets;
mod call;
mod grid;
mod info;
mod key;
mod matching;
mod merge;
mod native;
mod notes;
mod pinned;
mod quantiles;
mod query;
mod range;
mod rank;
mod ratio;
mod relabel;
mod rows;
mod select;
mod sets;
mod sort;
mod steps;

use model::Labels;

pub(crate) use binary::{compares, computed};
pub(crate) use grid::{Grid, Head, is_hole};
pub(crate) use info::wanted as info_matchers;
pub(crate) use native::gives_histograms;
pub(crate) use query::{Found, Query};
pub(crate) use steps::Steps;

use crate::ast::{Binary, Expr, Kind};
use crate::error::QueryError;
use merge::{Meeting, merged};

/// What an expression gives, for all steps.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A number for each step.
    Scalar(Vec<f64>),
    Vector(Grid),
    Text(String),
}

impl Value {
    fn cells(&self) -> usize {
        match self {
            Self::Scalar(numbers) => numbers.len(),
            Self::Vector(grid) => grid.cells(),
            Self::Text(_) => 0,
        }
    }

    pub(crate) fn into_grid(self) -> Grid {
        match self {
            Self::Vector(grid) => grid,
            Self::Scalar(numbers) => Grid::of(Head::new(Labels::empty()), numbers),
            Self::Text(_) => Grid::new(1),
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Eval<'q> {
    query: &'q Query<'q>,
    steps: Steps,
}

impl<'q> Eval<'q> {
    pub(crate) fn new(query: &'q Query<'q>, steps: Steps) -> Self {
        Self { query, steps }
    }

    /// The value of a whole expression: names that were to go are gone.
    pub(crate) fn finished(self, expr: &Expr) -> Result<Value, QueryError> {
        let value = self.value(expr)?;
        let Value::Vector(mut grid) = value else {
            return Ok(value);
        };
        let mut dropped = false;
        for head in grid.heads_mut().iter_mut().filter(|head| head.nameless) {
            head.labels = grid::unnamed(&head.labels);
            head.nameless = false;
            dropped = true;
        }
        if dropped && self.query.names().delayed {
            grid = merged(grid, self.query.names(), Meeting::Allowed)?;
        }
        Ok(Value::Vector(grid))
    }

    pub(crate) fn value(self, expr: &Expr) -> Result<Value, QueryError> {
        self.query.look()?;
        // A chain of operators leans to the left and may be long: it is walked, not recursed into.
        let mut chain: Vec<&Binary> = Vec::new();
        let mut expr = expr;
        while let Kind::Binary(binary) = &expr.kind {
            if self.once_is_enough(expr) {
                break;
            }
            chain.push(binary);
            expr = &binary.left;
        }
        let before = self.query.held();
        let mut left = self.operand(expr)?;
        self.query.settle(before, left.cells())?;
        for binary in chain.into_iter().rev() {
            let right = self.value(&binary.right)?;
            left = self.binary(binary, left, right)?;
            self.query.settle(before, left.cells())?;
        }
        Ok(left)
    }

    fn operand(self, expr: &Expr) -> Result<Value, QueryError> {
        if self.once_is_enough(expr) {
            let once = Self {
                steps: self.steps.first(),
                ..self
            };
            let (value, samples) = self.query.tally.aside(|| once.value(expr));
            if self.query.tally.is_wanted() {
                (0..self.steps.count).for_each(|step| self.query.tally.add(step, samples));
            }
            return self.spread(value?);
        }
        match &expr.kind {
            Kind::Number(number) => Ok(Value::Scalar(vec![*number; self.steps.count])),
            Kind::Text(text) => Ok(Value::Text(text.clone())),
            Kind::Selector(selector) => self.selected(selector).map(Value::Vector),
            Kind::Paren(inner) => self.value(inner),
            Kind::Unary { negative, expr } => self.signed(*negative, expr),
            Kind::Aggregate(aggregate) => self.aggregate(aggregate).map(Value::Vector),
            Kind::Call { function, args } => {
                self.check_sort(function, expr.span);
                self.call(function, args)
            }
            Kind::Binary(_) => self.value(expr),
            // The type check lets these stand only as arguments of functions that read them themselves.
            Kind::Range { .. } | Kind::Subquery(_) => Err(QueryError::Execution(
                "range vector where an instant vector is needed".to_owned(),
            )),
        }
    }

    fn vector(self, expr: &Expr) -> Result<Grid, QueryError> {
        self.value(expr).map(Value::into_grid)
    }

    /// A number for each step.
    fn scalar(self, expr: &Expr) -> Result<Vec<f64>, QueryError> {
        match self.value(expr)? {
            Value::Scalar(numbers) => Ok(numbers),
            _ => Err(QueryError::Execution("scalar expected".to_owned())),
        }
    }

    fn signed(self, negative: bool, expr: &Expr) -> Result<Value, QueryError> {
        match self.value(expr)? {
            value if !negative => Ok(value),
            Value::Scalar(numbers) => Ok(Value::Scalar(numbers.into_iter().map(|number| -number).collect())),
            Value::Vector(mut grid) => {
                grid.map(|_, value| Some(-value));
                self.unnamed(grid).map(Value::Vector)
            }
            text @ Value::Text(_) => Ok(text),
        }
    }

    /// Drops the names of all rows; those that become alike become one.
    fn unnamed(self, grid: Grid) -> Result<Grid, QueryError> {
        let grid = grid.nameless();
        if grid.one_name || self.query.names().delayed {
            return Ok(grid);
        }
        merged(grid, self.query.names(), Meeting::Allowed)
    }
}

//! Operators between numbers, and between a vector and a number.

use super::grid::{Grid, Names, is_hole};
use super::{Eval, Value, notes};
use crate::ast::{Binary, Op};
use crate::error::QueryError;

/// Whether a comparison holds.
pub(crate) fn compares(op: Op, left: f64, right: f64) -> bool {
    match op {
        Op::Eq => left == right,
        Op::Ne => left != right,
        Op::Lt => left < right,
        Op::Le => left <= right,
        Op::Gt => left > right,
        Op::Ge => left >= right,
        _ => false,
    }
}

/// What an operator makes of two numbers; a comparison gives 1 or 0.
pub(crate) fn computed(op: Op, left: f64, right: f64) -> f64 {
    match op {
        Op::Add => left + right,
        Op::Sub => left - right,
        Op::Mul => left * right,
        Op::Div => left / right,
        Op::Mod => left % right,
        Op::Pow => left.powf(right),
        Op::Atan2 => left.atan2(right),
        Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => f64::from(u8::from(compares(op, left, right))),
        Op::TrimUpper | Op::TrimLower | Op::And | Op::Or | Op::Unless => f64::NAN,
    }
}

/// The same between elements of vectors: a comparison without `bool` keeps the left value or nothing.
pub(super) fn kept(binary: &Binary, left: f64, right: f64) -> Option<f64> {
    if binary.op.is_trim() {
        return None;
    }
    if !binary.op.is_comparison() || binary.as_bool {
        return Some(computed(binary.op, left, right));
    }
    compares(binary.op, left, right).then_some(left)
}

/// Whether the result is still the metric that went in.
pub(super) fn keeps_name(binary: &Binary) -> bool {
    binary.op.is_set() || (binary.op.is_comparison() && !binary.as_bool)
}

impl Eval<'_> {
    pub(super) fn binary(self, binary: &Binary, left: Value, right: Value) -> Result<Value, QueryError> {
        if binary.op.is_trim() && left.cells() > 0 && right.cells() > 0 {
            let span = binary.left.span.to(binary.right.span);
            self.query.inform(span, notes::nothing_to_trim(binary.op));
        }
        match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                let pairs = left.into_iter().zip(right);
                let numbers = pairs.map(|(left, right)| computed(binary.op, left, right));
                Ok(Value::Scalar(numbers.collect()))
            }
            (Value::Vector(grid), Value::Scalar(numbers)) => self.with_scalar(binary, grid, |step, value| {
                kept(binary, value, at(&numbers, step))
            }),
            (Value::Scalar(numbers), Value::Vector(grid)) => self.with_scalar(binary, grid, |step, value| {
                let kept = kept(binary, at(&numbers, step), value)?;
                // The value that goes on is the vector's, on whichever side it stands.
                Some(if keeps_name(binary) { value } else { kept })
            }),
            (Value::Vector(left), Value::Vector(right)) => {
                let grid = if binary.op.is_set() {
                    self.set(binary, left, right)
                } else {
                    self.matched(binary, left, right)
                };
                grid.map(Value::Vector)
            }
            (Value::Text(_), _) | (_, Value::Text(_)) => {
                Err(QueryError::Execution("a string has no operators".to_owned()))
            }
        }
    }

    fn with_scalar(
        self,
        binary: &Binary,
        mut grid: Grid,
        change: impl Fn(usize, f64) -> Option<f64>,
    ) -> Result<Value, QueryError> {
        grid.map(change);
        if keeps_name(binary) {
            return Ok(Value::Vector(grid));
        }
        self.unnamed(grid).map(Value::Vector)
    }
}

fn at(numbers: &[f64], step: usize) -> f64 {
    numbers.get(step).copied().unwrap_or(f64::NAN)
}

/// Whether a row has a value at a step.
pub(super) fn present(row: &[f64], step: usize) -> bool {
    row.get(step).is_some_and(|cell| !is_hole(*cell))
}

/// How a row is named in an error.
pub(super) fn shown(grid: &Grid, nth: usize, names: Names) -> String {
    grid.heads()
        .get(nth)
        .map(|head| braced(&names.labels(head)))
        .unwrap_or_default()
}

/// A label set as Prometheus prints it in errors: everything in braces, the name among the labels.
pub(super) fn braced(labels: &model::Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={}", model::text::quote(value)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`: only what is of one kind is compared, as in Go, where
//! `gt $value 1` fails because a float is no integer.

use std::cmp::Ordering;

use crate::error::Problem;
use crate::value::Value;

/// Whether the first equals any of the others.
pub(crate) fn equal_any(values: &[Value]) -> Result<bool, Problem> {
    let (first, rest) = values.split_first().ok_or("missing argument for comparison")?;
    if rest.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in rest {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(left: &Value, right: &Value) -> Result<bool, Problem> {
    match (left, right) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Text(left), Value::Text(right)) => Ok(left == right),
        (Value::Float(left), Value::Float(right)) => Ok(left == right),
        (Value::Time(left), Value::Time(right)) => Ok(left == right),
        _ => match (integer(left), integer(right)) {
            (Some(left), Some(right)) => Ok(left == right),
            _ => Err(unlike(left, right)),
        },
    }
}

pub(crate) fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, Problem> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Ok(Some(left.cmp(right))),
        (Value::Float(left), Value::Float(right)) => Ok(left.partial_cmp(right)),
        _ => match (integer(left), integer(right)) {
            (Some(left), Some(right)) => Ok(Some(left.cmp(&right))),
            _ => Err(unlike(left, right)),
        },
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) | Value::Duration(number) => Some(*number),
        _ => None,
    }
}

fn unlike(left: &Value, right: &Value) -> Problem {
    let (left, right) = (left.type_name(), right.type_name());
    if left == right {
        return Problem::Wrong(format!("invalid type for comparison: {left}"));
    }
    Problem::Wrong(format!("incompatible types for comparison: {left} and {right}"))
}

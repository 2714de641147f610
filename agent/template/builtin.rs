//! The functions of Go's `text/template`; `and` and `or` are the evaluator's own.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::compare;
use crate::error::Problem;
use crate::escape;
use crate::format;
use crate::language::Entry;
use crate::render::Context;
use crate::value::{List, Value};

pub(crate) const TABLE: &[Entry] = &[
    ("not", 1, Some(1), |_, values| {
        Ok((!first(values).is_true()).into())
    }),
    ("eq", 1, None, |_, values| {
        compare::equal_any(values).map(Value::Bool)
    }),
    ("ne", 2, Some(2), |_, values| {
        compare::equal_any(values).map(|equal| Value::Bool(!equal))
    }),
    ("lt", 2, Some(2), |_, values| ordered(values, Ordering::is_lt)),
    ("le", 2, Some(2), |_, values| ordered(values, Ordering::is_le)),
    ("gt", 2, Some(2), |_, values| ordered(values, Ordering::is_gt)),
    ("ge", 2, Some(2), |_, values| ordered(values, Ordering::is_ge)),
    ("len", 1, Some(1), len),
    ("index", 1, None, index),
    ("slice", 1, Some(4), slice),
    ("print", 0, None, |context, values| {
        Ok(format::print(values, context.limits.bytes).into())
    }),
    ("println", 0, None, |context, values| {
        Ok(format::println(values, context.limits.bytes).into())
    }),
    ("printf", 1, None, printf),
    ("html", 0, None, |context, values| {
        Ok(escape::html(&joined(context, values)).into())
    }),
    ("js", 0, None, |context, values| {
        Ok(escape::js(&joined(context, values)).into())
    }),
    ("urlquery", 0, None, |context, values| {
        Ok(escape::url_query(&joined(context, values)).into())
    }),
    ("call", 1, None, |_, values| {
        Err(format!("can't call a value of type {}", first(values).type_name()).into())
    }),
];

/// The first argument; the table has seen to it that there is one.
pub(crate) fn first(values: &[Value]) -> &Value {
    values.first().unwrap_or(&Value::Nil)
}

/// What the escaping functions escape: one string, or all values as `print` prints them.
fn joined(context: &Context<'_>, values: &[Value]) -> String {
    match values {
        [one] => format::printed(one, context.limits.bytes),
        all => format::print(all, context.limits.bytes),
    }
}

fn ordered(values: &[Value], wanted: fn(Ordering) -> bool) -> Result<Value, Problem> {
    let [left, right] = values else {
        return Err("two values are compared".into());
    };
    Ok(compare::order(left, right)?.is_some_and(wanted).into())
}

fn printf(context: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    match values.split_first() {
        Some((Value::Text(format), rest)) => Ok(format::printf(format, rest, context.limits.bytes).into()),
        _ => Err(format!(
            "wrong type for value; expected string; got {}",
            first(values).type_name()
        )
        .into()),
    }
}

fn len(_: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let length = match first(values) {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        other => return Err(format!("len of type {}", other.type_name()).into()),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(_: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let (container, keys) = values.split_first().ok_or("index of nothing")?;
    let mut found = container.clone();
    for key in keys {
        found = match (&found, key) {
            (Value::Map(map), Value::Text(key)) => map.entries.get(key).unwrap_or(&map.zero).clone(),
            (Value::List(list), Value::Int(at)) => {
                let item = position(*at, list.items.len()).and_then(|at| list.items.get(at));
                item.ok_or_else(|| format!("index out of range: {at}"))?.clone()
            }
            (Value::Text(text), Value::Int(at)) => {
                let byte = position(*at, text.len()).and_then(|at| text.as_bytes().get(at));
                Value::Int(i64::from(
                    *byte.ok_or_else(|| format!("index out of range: {at}"))?,
                ))
            }
            (Value::Map(_), key) => {
                return Err(format!("value has type {}; should be string", key.type_name()).into());
            }
            (Value::List(_) | Value::Text(_), key) => {
                return Err(format!("cannot index slice/array with type {}", key.type_name()).into());
            }
            (Value::Nil, _) => return Err("index of untyped nil".into()),
            (other, _) => return Err(format!("can't index item of type {}", other.type_name()).into()),
        };
    }
    Ok(found)
}

fn position(at: i64, length: usize) -> Option<usize> {
    usize::try_from(at).ok().filter(|at| *at < length)
}

fn slice(_: &Context<'_>, values: &[Value]) -> Result<Value, Problem> {
    let (container, bounds) = values.split_first().ok_or("slice of nothing")?;
    let length = match container {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name()).into()),
    };
    let bound = |nth: usize, absent: usize| match bounds.get(nth) {
        None => Ok(absent),
        Some(Value::Int(at)) => usize::try_from(*at)
            .ok()
            .filter(|at| *at <= length)
            .ok_or_else(|| Problem::Wrong(format!("index out of range: {at}"))),
        Some(other) => Err(Problem::Wrong(format!(
            "cannot index slice/array with type {}",
            other.type_name()
        ))),
    };
    let (from, to) = (bound(0, 0)?, bound(1, length)?);
    if from > to || bounds.len() > 2 {
        return Err(format!("invalid slice index: {from} > {to}").into());
    }
    match container {
        // A cut through a character leaves what can be read of it, as Go's string would print.
        Value::Text(text) => {
            let bytes = text.as_bytes().get(from..to).unwrap_or_default();
            Ok(String::from_utf8_lossy(bytes).into_owned().into())
        }
        Value::List(list) => Ok(Value::List(Arc::new(List {
            items: list.items.get(from..to).unwrap_or_default().to_vec(),
            ..List::clone(list)
        }))),
        _ => Ok(Value::Nil),
    }
}

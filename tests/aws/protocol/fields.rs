//! What is asked for, whatever protocol it came in: forms, JSON and CBOR are read into the same shape.

use jiff::Timestamp as Written;
use minicbor::Decoder;
use minicbor::data::Type;
use model::Timestamp;
use serde_json::{Map, Value};

use crate::asked::Refusal;

/// What stands in a request, or in a part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a Value);

impl<'a> Fields<'a> {
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    /// A structure in it.
    pub(crate) fn part(self, name: &str) -> Option<Fields<'a>> {
        self.0.get(name).filter(|part| part.is_object()).map(Fields)
    }

    pub(crate) fn needed(self, name: &str) -> Result<&'a str, Refusal> {
        self.text(name).ok_or_else(|| {
            Refusal::new(
                "ValidationError",
                format!(
                    "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
                ),
            )
        })
    }

    /// A form has numbers as text.
    pub(crate) fn whole(self, name: &str) -> Option<i64> {
        match self.0.get(name)? {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        }
    }

    pub(crate) fn flag(self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Value::String(text) => text.parse().ok(),
            other => other.as_bool(),
        }
    }

    pub(crate) fn time(self, name: &str) -> Option<Timestamp> {
        match self.0.get(name)? {
            Value::String(text) => Some(Timestamp(text.parse::<Written>().ok()?.as_millisecond())),
            other => other.as_f64().map(Timestamp::from_seconds),
        }
    }

    /// Members, also as forms write them (`Filters.Filter.1`, `Dimensions.member.1`, `InstanceId.1`).
    pub(crate) fn list(self, name: &str) -> Vec<Fields<'a>> {
        self.0
            .get(name)
            .map_or_else(Vec::new, |value| members(value).into_iter().map(Fields).collect())
    }

    pub(crate) fn texts(self, name: &str) -> Vec<&'a str> {
        let members = self.list(name).into_iter();
        members.filter_map(|member| member.0.as_str()).collect()
    }

    /// Filters by their names, each with the values of which one must be there. EC2 says `Filter`, others `Filters`, and in JSON
    /// the names begin with a small letter.
    pub(crate) fn filters(self, name: &str) -> Vec<(&'a str, Vec<&'a str>)> {
        let filters = self.list(name).into_iter();
        filters
            .filter_map(|filter| {
                let values = match filter.0.get("Value") {
                    Some(_) => filter.texts("Value"),
                    None => filter.texts("Values"),
                };
                Some((filter.text("Name")?, values))
            })
            .collect()
    }
}

fn members(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(parts) => {
            let numbered = parts
                .iter()
                .map(|(name, part)| Some((name.parse::<usize>().ok()?, part)));
            match numbered.collect::<Option<Vec<_>>>() {
                Some(mut numbered) => {
                    numbered.sort_by_key(|(nth, _)| *nth);
                    numbered.into_iter().map(|(_, part)| part).collect()
                }
                None if parts.len() == 1 => parts.values().flat_map(members).collect(),
                None => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// A form, with its dots read as depth.
pub(crate) fn form(body: &[u8]) -> Value {
    let mut root = Value::Object(Map::new());
    for (name, value) in form_urlencoded::parse(body) {
        let mut at = &mut root;
        for part in name.split('.') {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            let Value::Object(parts) = at else { break };
            at = parts.entry(part.to_owned()).or_insert(Value::Null);
        }
        *at = Value::String(value.into_owned());
    }
    root
}

/// A CBOR item; times become seconds.
pub(crate) fn cbor(body: &[u8]) -> Result<Value, Refusal> {
    read(&mut Decoder::new(body), 0).map_err(unreadable)
}

pub(crate) fn unreadable(error: minicbor::decode::Error) -> Refusal {
    Refusal::new("SerializationException", error.to_string())
}

const DEPTH_MAX: usize = 16;

fn read(from: &mut Decoder<'_>, depth: usize) -> Result<Value, minicbor::decode::Error> {
    if depth > DEPTH_MAX {
        return Err(minicbor::decode::Error::message("too deep"));
    }
    Ok(match from.datatype()? {
        Type::Null | Type::Undefined => {
            from.skip()?;
            Value::Null
        }
        Type::Bool => Value::Bool(from.bool()?),
        Type::F16 | Type::F32 | Type::F64 => Value::from(real(from)?),
        Type::String => Value::String(from.str()?.to_owned()),
        Type::StringIndef => {
            let parts = from.str_iter()?.collect::<Result<Vec<_>, _>>()?;
            Value::String(parts.concat())
        }
        Type::Tag => {
            from.tag()?;
            read(from, depth + 1)?
        }
        Type::Array | Type::ArrayIndef => {
            let length = from.array()?;
            let mut items = Vec::new();
            while more(from, length, items.len())? {
                items.push(read(from, depth + 1)?);
            }
            Value::Array(items)
        }
        Type::Map | Type::MapIndef => {
            let length = from.map()?;
            let mut parts = Map::new();
            let mut count = 0;
            while more(from, length, count)? {
                let name = from.str()?.to_owned();
                parts.insert(name, read(from, depth + 1)?);
                count += 1;
            }
            Value::Object(parts)
        }
        _ => Value::from(from.i64()?),
    })
}

/// Whether an array or a map goes on; one without a length ends with a break.
pub(crate) fn more(
    from: &mut Decoder<'_>,
    length: Option<u64>,
    read: usize,
) -> Result<bool, minicbor::decode::Error> {
    match length {
        Some(length) => Ok((read as u64) < length),
        None if from.datatype()? == Type::Break => {
            from.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

/// Any number.
pub(crate) fn real(from: &mut Decoder<'_>) -> Result<f64, minicbor::decode::Error> {
    Ok(match from.datatype()? {
        Type::Tag => {
            from.tag()?;
            real(from)?
        }
        Type::F16 | Type::F32 => f64::from(from.f32()?),
        Type::F64 => from.f64()?,
        _ => from.i64()? as f64,
    })
}

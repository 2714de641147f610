//! What a template computes with: Go's values as far as templates can see them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use model::{Labels, Timestamp};

use crate::error::Problem;
use crate::time::Moment;

/// Cheap to clone. Nothing that is asked of a value panics.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Go's nil; printed `<no value>`.
    #[default]
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    Time(Moment),
    /// Nanoseconds.
    Duration(i64),
    List(Arc<List>),
    Map(Arc<Map>),
    Record(Arc<Record>),
}

/// Methods that a caller gives to its lists, maps and records: `None` when there is none of that name.
pub type Methods = fn(receiver: &Value, name: &str, arguments: &[Value]) -> Option<Result<Value, Problem>>;

fn no_methods(_: &Value, _: &str, _: &[Value]) -> Option<Result<Value, Problem>> {
    None
}

#[derive(Clone)]
pub struct List {
    pub items: Vec<Value>,
    /// How many lists and maps made by functions lie within each other here; bounded, so that none is too deep to drop.
    pub depth: u8,
    /// Go's name of the type, for messages.
    pub type_name: &'static str,
    pub methods: Methods,
}

#[derive(Clone)]
pub struct Map {
    pub entries: BTreeMap<Arc<str>, Value>,
    /// What a missing key gives: the zero value of Go's element type.
    pub zero: Value,
    /// As a list's.
    pub depth: u8,
    pub type_name: &'static str,
    pub methods: Methods,
}

/// A struct: another field than these is an error, as in Go.
#[derive(Clone)]
pub struct Record {
    pub fields: Vec<(&'static str, Value)>,
    pub type_name: &'static str,
    pub methods: Methods,
}

impl Default for List {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            depth: 0,
            type_name: "[]interface {}",
            methods: no_methods,
        }
    }
}

impl Default for Map {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            zero: Value::Nil,
            depth: 0,
            type_name: "map[string]interface {}",
            methods: no_methods,
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            type_name: "struct",
            methods: no_methods,
        }
    }
}

impl Record {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

impl Value {
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Arc::new(List {
            items,
            ..List::default()
        }))
    }

    /// A `map[string]string`: a label that is not there is the empty string.
    #[must_use]
    pub fn labels(labels: &Labels) -> Self {
        let entries = labels
            .iter()
            .map(|(name, value)| (name.into(), Self::text(value)));
        Self::Map(Arc::new(Map {
            entries: entries.collect(),
            zero: Self::text(""),
            depth: 0,
            type_name: "map[string]string",
            methods: no_methods,
        }))
    }

    #[must_use]
    pub fn record(type_name: &'static str, fields: Vec<(&'static str, Self)>) -> Self {
        Self::Record(Arc::new(Record {
            fields,
            type_name,
            methods: no_methods,
        }))
    }

    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::List(list) => list.type_name,
            Self::Map(map) => map.type_name,
            Self::Record(record) => record.type_name,
        }
    }

    /// Whether `if` takes it: not nil, zero or empty.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) | Self::Duration(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Time(_) | Self::Record(_) => true,
        }
    }

    /// See [`List::depth`].
    pub(crate) fn depth(&self) -> u8 {
        match self {
            Self::List(list) => list.depth,
            Self::Map(map) => map.depth,
            _ => 0,
        }
    }

    pub(crate) fn methods(&self) -> Methods {
        match self {
            Self::List(list) => list.methods,
            Self::Map(map) => map.methods,
            Self::Record(record) => record.methods,
            _ => no_methods,
        }
    }
}

impl From<Timestamp> for Value {
    /// In UTC.
    fn from(at: Timestamp) -> Self {
        Self::Time(at.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.items).finish()
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.entries).finish()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields.iter().map(|(name, value)| (name, value));
        write!(f, "{} ", self.type_name)?;
        f.debug_map().entries(fields).finish()
    }
}

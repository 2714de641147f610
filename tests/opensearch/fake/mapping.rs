//! The fields of an index: those that its template asks for, and those that its documents have brought.
//!
//! A document that is refused leaves nothing behind.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::filter::matches;
use super::json::Json;
use super::leaf::{Kind, Leaf};
use super::problem::Problem;

/// Objects, or lists, within each other.
const DEPTH_MAX: usize = 20;
const FIELDS_MAX: usize = 1_000;
const METADATA: &[&str] = &[
    "_id",
    "_index",
    "_source",
    "_routing",
    "_field_names",
    "_ignored",
    "_seq_no",
    "_version",
    "_nested_path",
    "_data_stream_timestamp",
    "_doc_count",
];

/// What happens to fields that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dynamic {
    Added,
    Left,
    Refused,
}

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Leaf(Leaf),
    Object { dynamic: Dynamic, is_enabled: bool },
}

/// Which field a template's `dynamic_templates` makes of what nobody asked for.
#[derive(Clone, Debug)]
struct Found {
    value: Option<String>,
    name: Option<String>,
    path: Option<String>,
    definition: Value,
}

#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    dynamic: Dynamic,
    detects_dates: bool,
    found: Vec<Found>,
    fields: BTreeMap<String, Field>,
    count: usize,
    fields_max: usize,
    /// The field that each document must have, once.
    timestamp: Option<String>,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            dynamic: Dynamic::Added,
            detects_dates: true,
            found: Vec::new(),
            fields: BTreeMap::new(),
            count: 0,
            fields_max: FIELDS_MAX,
            timestamp: None,
        }
    }
}

fn dynamic(value: &Value, otherwise: Dynamic) -> Result<Dynamic, String> {
    match value {
        Value::Null => Ok(otherwise),
        Value::Bool(true) => Ok(Dynamic::Added),
        Value::Bool(false) => Ok(Dynamic::Left),
        Value::String(word) => match word.as_str() {
            "true" => Ok(Dynamic::Added),
            "false" => Ok(Dynamic::Left),
            "strict" => Ok(Dynamic::Refused),
            other => Err(format!("this fake does not know dynamic [{other}]")),
        },
        other => Err(format!("dynamic [{other}]")),
    }
}

impl Mapping {
    /// As a template's `mappings` ask for it.
    pub(crate) fn asked(
        mappings: &Value,
        fields_max: Option<usize>,
        timestamp: Option<&str>,
    ) -> Result<Self, String> {
        let mut this = Self {
            fields_max: fields_max.unwrap_or(FIELDS_MAX),
            timestamp: timestamp.map(str::to_owned),
            ..Self::default()
        };
        let empty = Map::new();
        for (key, value) in mappings.as_object().unwrap_or(&empty) {
            match key.as_str() {
                "dynamic" => this.dynamic = dynamic(value, Dynamic::Added)?,
                "date_detection" => this.detects_dates = value != false,
                "dynamic_templates" => {
                    this.found = value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(found)
                        .collect::<Result<_, _>>()?
                }
                "properties" => {}
                "numeric_detection" if value == false => {}
                "_source" | "_meta" | "_routing" | "_field_names" | "_data_stream_timestamp" => {}
                other => {
                    return Err(format!(
                        "Root mapping definition has unsupported parameters:  [{other} : {value}]"
                    ));
                }
            }
        }
        let above = this.dynamic;
        this.properties("", &mappings["properties"], above)?;
        if this.timestamp.as_deref() == Some("@timestamp") && !this.fields.contains_key("@timestamp") {
            let leaf = Leaf::asked("@timestamp", &serde_json::json!({ "type": "date" }))?;
            this.add("@timestamp".to_owned(), Field::Leaf(leaf));
        }
        if this.count > this.fields_max {
            return Err(format!(
                "Limit of total fields [{}] has been exceeded",
                this.fields_max
            ));
        }
        Ok(this)
    }

    fn properties(&mut self, above: &str, properties: &Value, inherited: Dynamic) -> Result<(), String> {
        let empty = Map::new();
        for (name, definition) in properties.as_object().unwrap_or(&empty) {
            let path = joined(above, name);
            let is_object = definition["type"].as_str().is_none_or(|kind| kind == "object");
            if !is_object {
                let leaf = Leaf::asked(&path, definition)?;
                self.add(path, Field::Leaf(leaf));
                continue;
            }
            let known = |key: &&String| ["type", "properties", "dynamic", "enabled"].contains(&key.as_str());
            if let Some(key) = definition
                .as_object()
                .and_then(|all| all.keys().find(|key| !known(key)))
            {
                return Err(format!(
                    "unknown parameter [{key}] on mapper [{path}] of type [object]"
                ));
            }
            let dynamic = dynamic(&definition["dynamic"], inherited)?;
            let is_enabled = definition["enabled"] != false;
            self.add(path.clone(), Field::Object { dynamic, is_enabled });
            self.properties(&path, &definition["properties"], dynamic)?;
        }
        Ok(())
    }

    fn add(&mut self, path: String, field: Field) {
        self.count += match &field {
            Field::Leaf(leaf) => leaf.count,
            Field::Object { .. } => 1,
        };
        self.fields.insert(path, field);
    }

    /// Whether a document may come in; what it brings is known from then on.
    pub(crate) fn take(&mut self, id: &str, document: &[(String, Json)]) -> Result<(), Problem> {
        let mut reading = Reading {
            mapping: self,
            id,
            new: BTreeMap::new(),
        };
        reading.object("", document, self.dynamic, 0)?;
        let new = reading.new;
        if let Some(field) = &self.timestamp {
            let values = document
                .iter()
                .filter(|(name, value)| name == field && *value != Json::Null);
            let count: usize = values
                .map(|(_, value)| {
                    if let Json::List(list) = value {
                        list.len()
                    } else {
                        1
                    }
                })
                .sum();
            if count != 1 {
                let word = if count == 0 {
                    "is missing"
                } else {
                    "encountered multiple values"
                };
                return Err(Problem::mapping("failed to parse").because(
                    "illegal_argument_exception",
                    format!("data stream timestamp field [{field}] {word}"),
                ));
            }
        }
        let more: usize = new
            .values()
            .map(|field| {
                if let Field::Leaf(leaf) = field {
                    leaf.count
                } else {
                    1
                }
            })
            .sum();
        if more > 0 && self.count + more > self.fields_max {
            return Err(Problem::argument(format!(
                "Limit of total fields [{}] has been exceeded",
                self.fields_max
            )));
        }
        for (path, field) in new {
            self.add(path, field);
        }
        Ok(())
    }
}

fn found(entry: &Value) -> Result<Found, String> {
    let rule = entry
        .as_object()
        .and_then(|entry| entry.values().next())
        .cloned()
        .unwrap_or_default();
    let known =
        |key: &&String| ["match_mapping_type", "match", "path_match", "mapping"].contains(&key.as_str());
    if let Some(key) = rule
        .as_object()
        .and_then(|all| all.keys().find(|key| !known(key)))
    {
        return Err(format!("this fake does not know [{key}] of dynamic templates"));
    }
    let text = |key: &str| rule[key].as_str().map(str::to_owned);
    Leaf::asked("of a dynamic template", &rule["mapping"])?;
    Ok(Found {
        value: text("match_mapping_type").filter(|kind| kind != "*"),
        name: text("match"),
        path: text("path_match"),
        definition: rule["mapping"].clone(),
    })
}

fn joined(above: &str, name: &str) -> String {
    if above.is_empty() {
        name.to_owned()
    } else {
        format!("{above}.{name}")
    }
}

/// One document on its way in.
struct Reading<'a> {
    mapping: &'a Mapping,
    id: &'a str,
    new: BTreeMap<String, Field>,
}

impl Reading<'_> {
    fn object(
        &mut self,
        above: &str,
        entries: &[(String, Json)],
        dynamic: Dynamic,
        depth: usize,
    ) -> Result<(), Problem> {
        let failed = || Problem::mapping("failed to parse");
        if depth >= DEPTH_MAX {
            let reason = format!("The depth of the field has exceeded the allowed limit of [{DEPTH_MAX}]");
            return Err(failed().because("parse_exception", reason));
        }
        for (name, value) in entries {
            if name.is_empty() {
                return Err(failed().because(
                    "illegal_argument_exception",
                    "field name cannot be an empty string",
                ));
            }
            if above.is_empty() && METADATA.contains(&name.as_str()) {
                return Err(Problem::mapping(format!(
                    "Field [{name}] is a metadata field and cannot be added inside a document"
                )));
            }
            let name = name
                .strip_suffix('.')
                .filter(|name| !name.is_empty())
                .unwrap_or(name);
            if name.split('.').any(str::is_empty) {
                let reason = format!(
                    "object field starting or ending with a [.] makes object resolution ambiguous: [{name}]"
                );
                return Err(failed().because("illegal_argument_exception", reason));
            }
            let (mut dynamic, mut path) = (dynamic, above.to_owned());
            let mut parts = name.split('.').peekable();
            let mut is_left = false;
            while let Some(part) = parts.next() {
                path = joined(&path, part);
                if parts.peek().is_none() {
                    break;
                }
                match self.known(&path) {
                    Some(Field::Leaf(leaf)) => {
                        let reason = format!(
                            "Could not dynamically add mapping for field [{name}]. Existing mapping for [{path}] must be of type object but found [{}].",
                            leaf.name
                        );
                        return Err(Problem::mapping(reason));
                    }
                    Some(Field::Object {
                        is_enabled: false, ..
                    }) => is_left = true,
                    Some(Field::Object { dynamic: own, .. }) => dynamic = *own,
                    None => is_left |= !self.is_added(&path, dynamic)?,
                }
                if is_left {
                    break;
                }
                if self.known(&path).is_none() {
                    self.new.insert(
                        path.clone(),
                        Field::Object {
                            dynamic,
                            is_enabled: true,
                        },
                    );
                }
            }
            if !is_left {
                self.value(&path, value, dynamic, depth)?;
            }
        }
        Ok(())
    }

    fn known(&self, path: &str) -> Option<&Field> {
        self.mapping.fields.get(path).or_else(|| self.new.get(path))
    }

    fn is_added(&self, path: &str, dynamic: Dynamic) -> Result<bool, Problem> {
        let name = path.rsplit('.').next().unwrap_or(path);
        match dynamic {
            Dynamic::Added => Ok(true),
            Dynamic::Left => Ok(false),
            Dynamic::Refused => {
                let reason = format!(
                    "mapping set to strict, dynamic introduction of [{name}] within [_doc] is not allowed"
                );
                Err(Problem::new(400, "strict_dynamic_mapping_exception", reason))
            }
        }
    }

    fn value(&mut self, path: &str, value: &Json, dynamic: Dynamic, depth: usize) -> Result<(), Problem> {
        let is_flat = matches!(self.known(path), Some(Field::Leaf(leaf)) if leaf.kind == Kind::Flat);
        if !is_flat && nesting(value) > DEPTH_MAX {
            let reason = format!(
                "The depth of the nested array field has exceeded the allowed limit of [{DEPTH_MAX}]"
            );
            return Err(Problem::mapping("failed to parse").because("parse_exception", reason));
        }
        match self.mapping.fields.get(path) {
            Some(Field::Leaf(leaf)) => leaf.take(path, self.id, value),
            Some(Field::Object {
                is_enabled: false, ..
            }) => Ok(()),
            Some(Field::Object { dynamic, .. }) => self.below(path, value, *dynamic, depth),
            None => self.unasked(path, value, dynamic, depth),
        }
    }

    /// Within an object that is known.
    fn below(&mut self, path: &str, value: &Json, dynamic: Dynamic, depth: usize) -> Result<(), Problem> {
        match value {
            Json::Null => Ok(()),
            Json::Object(entries) => self.object(path, entries, dynamic, depth + 1),
            Json::List(list) => list
                .iter()
                .try_for_each(|value| self.below(path, value, dynamic, depth)),
            _ => Err(Problem::mapping(format!(
                "object mapping for [{path}] tried to parse field [{path}] as object, but found a concrete value"
            ))),
        }
    }

    /// A field that was not known when the document came; this document may already have brought it.
    fn unasked(&mut self, path: &str, value: &Json, dynamic: Dynamic, depth: usize) -> Result<(), Problem> {
        if let Json::List(list) = value {
            return list
                .iter()
                .try_for_each(|value| self.unasked(path, value, dynamic, depth));
        }
        if dynamic == Dynamic::Refused {
            self.is_added(path, dynamic)?;
        }
        if dynamic == Dynamic::Left || *value == Json::Null {
            return Ok(());
        }
        let before = self.new.get(path).cloned();
        if let Json::Object(entries) = value {
            if matches!(before, Some(Field::Leaf(_))) {
                return Err(Problem::argument(format!(
                    "can't merge a non object mapping [{path}] with an object mapping"
                )));
            }
            self.new.insert(
                path.to_owned(),
                Field::Object {
                    dynamic,
                    is_enabled: true,
                },
            );
            return self.object(path, entries, dynamic, depth + 1);
        }
        let Some(leaf) = self.made(path, value) else {
            return Ok(());
        };
        leaf.take(path, self.id, value)?;
        match before {
            Some(Field::Object { .. }) => Err(Problem::argument(format!(
                "can't merge a non object mapping [{path}] with an object mapping"
            ))),
            Some(Field::Leaf(before)) if before.kind != leaf.kind => {
                let (from, to) = (before.name, leaf.name);
                Err(Problem::argument(format!(
                    "mapper [{path}] cannot be changed from type [{from}] to [{to}]"
                )))
            }
            _ => {
                self.new.insert(path.to_owned(), Field::Leaf(leaf));
                Ok(())
            }
        }
    }

    fn made(&self, path: &str, value: &Json) -> Option<Leaf> {
        let mut leaf = Leaf::found(value)?;
        if !self.mapping.detects_dates && matches!(leaf.kind, Kind::Date | Kind::SlashDate) {
            leaf = Leaf::found(&Json::Text("x".to_owned()))?;
        }
        let kind = match leaf.kind {
            Kind::Text => "string",
            Kind::Long => "long",
            Kind::Float => "double",
            Kind::Boolean => "boolean",
            _ => "date",
        };
        let name = path.rsplit('.').next().unwrap_or(path);
        let is_meant = |found: &&Found| {
            found.value.as_deref().is_none_or(|value| value == kind)
                && found.name.as_deref().is_none_or(|pattern| matches(pattern, name))
                && found.path.as_deref().is_none_or(|pattern| matches(pattern, path))
        };
        let found = self.mapping.found.iter().find(is_meant);
        Some(
            found
                .and_then(|found| Leaf::asked(path, &found.definition).ok())
                .unwrap_or(leaf),
        )
    }
}

/// Lists within lists.
fn nesting(value: &Json) -> usize {
    match value {
        Json::List(list) => 1 + list.iter().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}

//! What the fake holds: indices, data streams and their documents.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::filter::matches;
use super::json::{self, Json};
use super::mapping::Mapping;
use super::policies::Policies;
use super::problem::Problem;
use super::templates::Templates;

/// One document as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) source: Box<[u8]>,
    pub(crate) version: u64,
    pub(crate) seq_no: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    mapping: Mapping,
    pub(crate) documents: HashMap<String, Document>,
    writes: u64,
    /// Whether it takes ids of others only with `create`.
    is_append_only: bool,
    /// Every item is answered with this.
    pub(crate) blocked: Option<Problem>,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) indices: BTreeMap<String, Index>,
    /// Each with the numbers of its backing indices.
    streams: BTreeMap<String, Vec<String>>,
    pub(crate) templates: Templates,
    pub(crate) policies: Policies,
    /// Indices are not made by what is written to them.
    pub(crate) refuses_new: bool,
    ids: u64,
}

/// What is to happen to one document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) action: Action,
    pub(crate) index: String,
    pub(crate) id: Option<String>,
    pub(crate) source: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Index,
    Delete,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Index => "index",
            Self::Delete => "delete",
        }
    }
}

fn named(name: &str) -> Result<(), Problem> {
    let wrong = |why: &str| {
        Err(Problem::new(
            400,
            "invalid_index_name_exception",
            format!("Invalid index name [{name}], {why}"),
        ))
    };
    if name.is_empty() {
        return wrong("must not be empty");
    }
    if name.contains([' ', '"', '*', '\\', '<', '|', ',', '>', '/', '?']) {
        return wrong("must not contain the following characters [ , \", *, \\, <, |, ,, >, /, ?]");
    }
    if name.contains('#') {
        return wrong("must not contain '#'");
    }
    if name.contains(':') {
        return wrong("must not contain ':'");
    }
    if name.starts_with(['_', '-', '+']) {
        return wrong("must not start with '_', '-', or '+'");
    }
    if name.len() > 255 {
        return wrong("index name is too long");
    }
    if name == "." || name == ".." {
        return wrong("must not be '.' or '..'");
    }
    if name.to_lowercase() != name {
        return wrong("must be lowercase");
    }
    Ok(())
}

impl Store {
    /// Applies one item; what it answers stands under the action's name.
    pub(crate) fn apply(&mut self, item: &Item) -> Result<Value, Problem> {
        if item.id.as_deref() == Some("") {
            return Err(Problem::argument("if _id is specified it must not be empty"));
        }
        let name = self.target(item)?;
        let id = item.id.clone().unwrap_or_else(|| {
            self.ids += 1;
            format!("made-{:014}", self.ids)
        });
        let index = self.indices.entry(name.clone()).or_default();
        if let Some(problem) = &index.blocked {
            return Err(problem.clone());
        }
        if index.is_append_only && item.action == Action::Index && item.id.is_some() {
            let reason = format!(
                "Validation Failed: 1: Operation [INDEX] is not allowed with a custom document id {id} as setting `index.append_only.enabled` is enabled for this index: {name};"
            );
            return Err(Problem::new(400, "validation_exception", reason));
        }
        let (result, status, version) = if item.action == Action::Delete {
            match index.documents.remove(&id) {
                Some(document) => ("deleted", 200, document.version + 1),
                None => ("not_found", 404, 1),
            }
        } else {
            index.write(item, &id)?
        };
        let seq_no = index.writes;
        index.writes += 1;
        Ok(json!({
            "_index": name, "_id": id, "_version": version, "result": result, "_seq_no": seq_no, "_primary_term": 1, "status": status,
            "_shards": { "total": 1, "successful": 1, "failed": 0 },
        }))
    }

    /// The index that an item goes to, made if need be.
    fn target(&mut self, item: &Item) -> Result<String, Problem> {
        let name = &item.index;
        let is_stream = self.streams.contains_key(name)
            || (!self.indices.contains_key(name)
                && self.templates.of(name).is_some_and(|template| template.is_stream));
        if is_stream && item.action != Action::Create {
            return Err(Problem::argument(
                "only write ops with an op_type of create are allowed in data streams",
            ));
        }
        if let Some(backing) = self.streams.get(name).and_then(|all| all.last()) {
            return Ok(backing.clone());
        }
        if self.indices.contains_key(name) {
            return Ok(name.clone());
        }
        named(name)?;
        if self.refuses_new {
            return Err(Problem::new(
                404,
                "index_not_found_exception",
                format!("no such index [{name}]"),
            ));
        }
        if is_stream {
            return Ok(self.roll(name));
        }
        self.make(name, name);
        Ok(name.clone())
    }

    fn make(&mut self, name: &str, of: &str) {
        let mapping = self.templates.of(of).map(|template| template.mapping.clone());
        let index = Index {
            mapping: mapping.unwrap_or_default(),
            is_append_only: self
                .templates
                .of(of)
                .is_some_and(|template| template.is_append_only),
            ..Index::default()
        };
        self.indices.insert(name.to_owned(), index);
    }

    /// A new backing index for a data stream; the stream too, if it is new.
    pub(crate) fn roll(&mut self, stream: &str) -> String {
        let backing = self.streams.entry(stream.to_owned()).or_default();
        let name = format!(".ds-{stream}-{:06}", backing.len() + 1);
        backing.push(name.clone());
        self.make(&name, stream);
        name
    }

    pub(crate) fn is_stream(&self, name: &str) -> bool {
        self.streams.contains_key(name)
    }

    /// By hand, as an operator does.
    pub(crate) fn create(&mut self, name: &str) -> Result<(), Problem> {
        named(name)?;
        if self.indices.contains_key(name) {
            return Err(Problem::new(
                400,
                "resource_already_exists_exception",
                format!("index [{name}] already exists"),
            ));
        }
        self.make(name, name);
        Ok(())
    }

    /// Those that a name, a pattern or a list of them stands for, data streams by their backing indices.
    pub(crate) fn meant(&self, list: &str) -> Vec<&String> {
        let is_meant = |name: &str| {
            list.split(',')
                .any(|pattern| pattern == "_all" || pattern.is_empty() || matches(pattern, name))
        };
        let streams = self
            .streams
            .iter()
            .filter(|(stream, _)| is_meant(stream))
            .flat_map(|(_, backing)| backing);
        let backing: Vec<&String> = streams.collect();
        self.indices
            .keys()
            .filter(|name| is_meant(name) || backing.contains(name))
            .collect()
    }
}

impl Index {
    fn write(&mut self, item: &Item, id: &str) -> Result<(&'static str, u16, u64), Problem> {
        let failed =
            |kind: &'static str, reason: String| Problem::mapping("failed to parse").because(kind, reason);
        if item.source.trim_ascii_start().first() != Some(&b'{') {
            return Err(failed(
                "not_x_content_exception",
                "Compressor detection can only be called on some xcontent bytes".to_owned(),
            ));
        }
        let read = json::parse(&item.source).map_err(|bad| {
            failed(
                "json_parse_exception",
                format!("{}; byte offset: #{}", bad.what, bad.offset),
            )
        })?;
        if let Json::Object(entries) = &read {
            self.mapping.take(id, entries)?;
        }
        let version = match self.documents.get(id) {
            Some(known) if item.action == Action::Create => {
                let reason = format!(
                    "[{id}]: version conflict, document already exists (current version [{}])",
                    known.version
                );
                return Err(Problem::new(409, "version_conflict_engine_exception", reason));
            }
            Some(known) => known.version + 1,
            None => 1,
        };
        let document = Document {
            source: item.source.clone().into_boxed_slice(),
            version,
            seq_no: self.writes,
        };
        self.documents.insert(id.to_owned(), document);
        Ok(if version == 1 {
            ("created", 201, 1)
        } else {
            ("updated", 200, version)
        })
    }
}

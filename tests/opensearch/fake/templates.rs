//! Index templates: which one an index gets its mapping from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::filter::matches;
use super::mapping::Mapping;
use super::problem::Problem;

/// What a template may set; anything under `plugins.` as well.
const SETTINGS: &[&str] = &[
    "number_of_shards",
    "number_of_replicas",
    "auto_expand_replicas",
    "refresh_interval",
    "codec",
    "codec.compression_level",
    "hidden",
    "mapping.total_fields.limit",
    "query.default_field",
    "translog.durability",
    "translog.sync_interval",
    "translog.flush_threshold_size",
    "sort.field",
    "sort.order",
    "max_result_window",
    "routing_partition_size",
    "default_pipeline",
    "final_pipeline",
    "unassigned.node_left.delayed_timeout",
    "merge.policy",
    "routing.allocation.total_shards_per_node",
    "append_only.enabled",
    "opendistro.index_state_management.rollover_alias",
];
const KEYS: &[&str] = &[
    "index_patterns",
    "template",
    "priority",
    "version",
    "_meta",
    "composed_of",
    "data_stream",
];

#[derive(Clone, Debug)]
pub(crate) struct Template {
    patterns: Vec<String>,
    priority: u64,
    /// As it was put.
    pub(crate) body: Value,
    /// What an index of it begins with.
    pub(crate) mapping: Mapping,
    pub(crate) is_stream: bool,
    /// Whether its indices only grow.
    pub(crate) is_append_only: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Templates(BTreeMap<String, Template>);

/// `{"a": {"b": 1}}` and `{"a.b": 1}` are the same setting.
fn flattened(above: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let path = if above.is_empty() {
                    name.clone()
                } else {
                    format!("{above}.{name}")
                };
                flattened(&path, value, found);
            }
        }
        Value::Null => {}
        value => {
            found.insert(
                above.strip_prefix("index.").unwrap_or(above).to_owned(),
                value.clone(),
            );
        }
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

impl Templates {
    /// The one for an index of this name.
    pub(crate) fn of(&self, index: &str) -> Option<&Template> {
        let fitting = self
            .0
            .values()
            .filter(|template| template.patterns.iter().any(|pattern| matches(pattern, index)));
        fitting.max_by_key(|template| template.priority)
    }

    pub(crate) fn put(&mut self, name: &str, body: &[u8], creates: bool) -> Result<(), Problem> {
        if body.is_empty() {
            return Err(Problem::new(400, "parse_exception", "request body is required"));
        }
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Problem::new(400, "json_parse_exception", error.to_string()))?;
        let unknown = body
            .as_object()
            .and_then(|all| all.keys().find(|key| !KEYS.contains(&key.as_str())));
        if let Some(key) = unknown {
            return Err(Problem::new(
                400,
                "x_content_parse_exception",
                format!("[1:1] [index_template] unknown field [{key}]"),
            ));
        }
        let patterns =
            texts(&body["index_patterns"]).ok_or_else(|| Problem::argument("Required [index_patterns]"))?;
        let invalid = |cause: &str| {
            Problem::new(
                400,
                "invalid_index_template_exception",
                format!("index_template [{name}] invalid, cause [{cause}]"),
            )
        };
        if name.chars().any(char::is_uppercase) {
            return Err(invalid("Validation Failed: 1: name must be lower cased;"));
        }
        if let Some(missing) = body["composed_of"].as_array().filter(|list| !list.is_empty()) {
            return Err(invalid(&format!(
                "index template [{name}] specifies component templates {missing:?} that do not exist"
            )));
        }
        if creates && self.0.contains_key(name) {
            return Err(Problem::argument(format!(
                "index template [{name}] already exists"
            )));
        }
        let priority = body["priority"].as_u64().unwrap_or(0);
        let is_same = |(other, template): &(&String, &Template)| {
            let meet = |one: &String| template.patterns.iter().any(|other| overlap(one, other));
            *other != name && template.priority == priority && patterns.iter().any(meet)
        };
        if let Some((other, _)) = self.0.iter().find(is_same) {
            return Err(Problem::argument(format!(
                "index template [{name}] has index patterns {patterns:?} matching patterns from existing templates [{other}] that have the same priority [{priority}]"
            )));
        }
        let mut settings = BTreeMap::new();
        flattened("", &body["template"]["settings"], &mut settings);
        let is_known = |key: &&String| {
            SETTINGS.contains(&key.as_str())
                || key.starts_with("plugins.")
                || key.starts_with("search.slowlog.")
        };
        if let Some(key) = settings.keys().find(|key| !is_known(key)) {
            return Err(Problem::new(
                400,
                "settings_exception",
                format!("unknown setting [index.{key}]"),
            ));
        }
        let is_stream = body["data_stream"].is_object();
        let timestamp = is_stream.then(|| {
            body["data_stream"]["timestamp_field"]["name"]
                .as_str()
                .unwrap_or("@timestamp")
        });
        let append_only = settings.get("append_only.enabled");
        let is_append_only = append_only.is_some_and(|is| is == true || is == "true");
        let limit = &settings
            .get("mapping.total_fields.limit")
            .cloned()
            .unwrap_or_default();
        let limit = limit
            .as_u64()
            .or_else(|| limit.as_str()?.parse().ok())
            .and_then(|limit| usize::try_from(limit).ok());
        let mapping = Mapping::asked(&body["template"]["mappings"], limit, timestamp).map_err(|reason| {
            let outer = format!("composable template [{name}] template after composition is invalid");
            Problem::argument(outer).because("mapper_parsing_exception", reason)
        })?;
        let template = Template {
            patterns,
            priority,
            body,
            mapping,
            is_stream,
            is_append_only,
        };
        self.0.insert(name.to_owned(), template);
        Ok(())
    }

    /// Those of a name or a pattern.
    pub(crate) fn get(&self, pattern: &str) -> Result<(u16, Value), Problem> {
        let found = self
            .0
            .iter()
            .filter(|(name, _)| pattern.is_empty() || matches(pattern, name));
        let found: Vec<Value> = found
            .map(|(name, template)| json!({ "name": name, "index_template": template.body }))
            .collect();
        if found.is_empty() && !pattern.contains('*') && !pattern.is_empty() {
            return Err(Problem::new(
                404,
                "resource_not_found_exception",
                format!("index template matching [{pattern}] not found"),
            ));
        }
        let status = if found.is_empty() && !pattern.is_empty() {
            404
        } else {
            200
        };
        Ok((status, json!({ "index_templates": found })))
    }

    pub(crate) fn delete(&mut self, name: &str) -> Result<(), Problem> {
        let missing = || {
            Problem::new(
                404,
                "index_template_missing_exception",
                format!("index_template [{name}] missing"),
            )
        };
        self.0.remove(name).map(|_| ()).ok_or_else(missing)
    }
}

/// Whether some name fits both; patterns whose star stands elsewhere than at the end are held to be apart unless one takes the other.
fn overlap(one: &str, other: &str) -> bool {
    let (head, tail) = (
        one.split('*').next().unwrap_or(one),
        other.split('*').next().unwrap_or(other),
    );
    let both_open = one.ends_with('*') && other.ends_with('*');
    matches(one, other)
        || matches(other, one)
        || (both_open && (head.starts_with(tail) || tail.starts_with(head)))
}

//! How OpenSearch is to store lines: the index template, and the policy that deletes old indices.

use std::time::Duration;

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::config::{Config, Naming};

/// Whose a template or a policy is: what others have made under the same name is left alone.
pub(crate) const MAKER: &str = "skopos";
/// Above the templates that OpenSearch brings along, below what people usually write for themselves.
const PRIORITY: u32 = 110;
/// `flat_object` came with 2.7.
const FLAT_OBJECT: (u32, u32) = (2, 7);

/// Major and minor version of an OpenSearch.
pub(crate) type Version = (u32, u32);

/// What is the template's name and the policy's.
pub(crate) fn name(config: &Config) -> String {
    match config.naming {
        Naming::Daily => config.index.stem(),
        Naming::DataStream => format!("{}-stream", config.index.stem()),
    }
}

fn patterns(config: &Config) -> Vec<String> {
    match config.naming {
        Naming::Daily => vec![config.index.pattern()],
        Naming::DataStream => config.index.stream_patterns(),
    }
}

/// The body of `PUT _index_template/<name>`. Where the version is not known, the newest is meant.
pub(crate) fn template(config: &Config, version: Option<Version>) -> Value {
    let labels = match version {
        Some(version) if version < FLAT_OBJECT => json!({"type": "object", "enabled": false}),
        _ => json!({"type": "flat_object"}),
    };
    let word = json!({"type": "keyword", "ignore_above": 1024});
    let mut settings = json!({
        "index.number_of_shards": "1",
        "index.refresh_interval": "5s",
        "index.codec": "best_compression",
    });
    if let (Some(replicas), Some(settings)) = (config.replicas, settings.as_object_mut()) {
        settings.insert("index.number_of_replicas".to_owned(), json!(replicas.to_string()));
    }
    let mut body = json!({
        "index_patterns": patterns(config),
        "priority": PRIORITY,
        "template": {
            "settings": settings,
            "mappings": {
                "dynamic_templates": [
                    {"words": {"match_mapping_type": "string", "mapping": word}},
                ],
                "properties": {
                    "@timestamp": {"type": "date"},
                    "message": {"type": "text"},
                    "level": word,
                    "stream": word,
                    "log": {"properties": {
                        "offset": {"type": "long"},
                        "lines": {"type": "integer"},
                        "file": {"properties": {"path": word}},
                    }},
                    "fields": labels,
                    "event": {"properties": {"id": word}},
                    "host": {"properties": {"name": word}},
                    "container": {"properties": {
                        "id": word,
                        "name": word,
                        "image": word,
                        "project": word,
                        "service": word,
                        "labels": labels,
                    }},
                    "kubernetes": {"properties": {
                        "namespace": word,
                        "pod": word,
                        "pod_uid": word,
                        "container": word,
                        "restart": {"type": "integer"},
                        "labels": labels,
                        "node": word,
                        "owner": {"properties": {"kind": word, "name": word}},
                    }},
                    "cloud": {"properties": {"availability_zone": word}},
                },
            },
        },
    });
    if let Some(fields) = body.as_object_mut() {
        if config.naming == Naming::DataStream {
            fields.insert("data_stream".to_owned(), json!({}));
        }
        let print = print(&Value::Object(fields.clone()));
        fields.insert("_meta".to_owned(), json!({"made_by": MAKER, "print": print}));
    }
    body
}

/// The body of `PUT _plugins/_ism/policies/<name>`.
pub(crate) fn policy(config: &Config, retention: Duration) -> Value {
    let age = format!("{}h", retention.as_secs().div_ceil(3_600));
    // An index of one day is as old as the day when it is made, and its last lines come a day later.
    let age = match config.naming {
        Naming::Daily => format!("{}h", retention.as_secs().div_ceil(3_600) + 24),
        Naming::DataStream => age,
    };
    let delete = json!({"state_name": "delete", "conditions": {"min_index_age": age}});
    let actions = match config.naming {
        Naming::Daily => json!([]),
        Naming::DataStream => {
            json!([{"rollover": {"min_index_age": "1d", "min_primary_shard_size": "30gb"}}])
        }
    };
    let mut policy = json!({
        "description": "",
        "default_state": "keep",
        "states": [
            {"name": "keep", "actions": actions, "transitions": [delete]},
            {"name": "delete", "actions": [{"delete": {}}], "transitions": []},
        ],
        "ism_template": [{"index_patterns": patterns(config), "priority": PRIORITY}],
    });
    let print = print(&policy);
    if let Some(description) = policy.get_mut("description") {
        *description = json!(format!("{MAKER} {print}: log indices are deleted after {age}"));
    }
    json!({"policy": policy})
}

/// Of a body, to know it again: what OpenSearch answers has other orders and defaults.
fn print(body: &Value) -> String {
    format!("{:016x}", xxh3_64(body.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_says_whose_it_is_and_changes_its_print_with_its_content() {
        let config = Config::default();
        let body = template(&config, Some((3, 8)));
        assert_eq!(body["index_patterns"], json!(["logs-skopos-*"]));
        assert_eq!(body["_meta"]["made_by"], MAKER);
        assert_eq!(body, template(&config, None));
        let old = template(&config, Some((1, 3)));
        assert_eq!(
            old["template"]["mappings"]["properties"]["kubernetes"]["properties"]["labels"]["type"],
            "object"
        );
        assert_ne!(old["_meta"]["print"], body["_meta"]["print"]);
    }

    #[test]
    fn a_policy_deletes_an_index_when_its_last_line_is_old_enough() {
        let policy = policy(&Config::default(), Duration::from_secs(7 * 86_400));
        let states = &policy["policy"]["states"];
        assert_eq!(states[0]["transitions"][0]["conditions"]["min_index_age"], "192h");
    }
}

//! Just enough of a search to look at what was written: whole values, ranges and existence, sorted and cut.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::problem::Problem;
use super::store::Store;

const SIZE: u64 = 10;

pub(crate) fn search(store: &Store, list: &str, body: &[u8]) -> Result<Value, Problem> {
    let question: Value = if body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(body)
            .map_err(|error| Problem::new(400, "json_parse_exception", error.to_string()))?
    };
    let known = ["query", "size", "from", "sort", "track_total_hits", "_source"];
    let unknown = question
        .as_object()
        .and_then(|all| all.keys().find(|key| !known.contains(&key.as_str())));
    if let Some(key) = unknown {
        return Err(Problem::new(
            400,
            "parsing_exception",
            format!("Unknown key in [{key}]."),
        ));
    }
    let names = store.meant(list);
    if names.is_empty() && !list.contains('*') {
        return Err(Problem::new(
            404,
            "index_not_found_exception",
            format!("no such index [{list}]"),
        ));
    }
    let query = question
        .get("query")
        .cloned()
        .unwrap_or_else(|| json!({ "match_all": {} }));
    let mut hits = Vec::new();
    for name in &names {
        let Some(index) = store.indices.get(*name) else {
            continue;
        };
        let mut documents: Vec<_> = index.documents.iter().collect();
        documents.sort_by_key(|(_, document)| document.seq_no);
        for (id, document) in documents {
            let source: Value = serde_json::from_slice(&document.source).unwrap_or_default();
            if fits(&query, id, &source)? {
                hits.push(json!({ "_index": name, "_id": id, "_score": 1.0, "_source": source }));
            }
        }
    }
    let total = hits.len();
    for key in sorts(&question["sort"]).iter().rev() {
        hits.sort_by(|one, other| {
            let order = compare(field(one, &key.0), field(other, &key.0));
            if key.1 { order.reverse() } else { order }
        });
    }
    let number = |key: &str, otherwise: u64| {
        usize::try_from(question[key].as_u64().unwrap_or(otherwise)).unwrap_or(usize::MAX)
    };
    let hits: Vec<Value> = hits
        .into_iter()
        .skip(number("from", 0))
        .take(number("size", SIZE))
        .collect();
    let shards = names.len();
    Ok(json!({
        "took": 1, "timed_out": false,
        "_shards": { "total": shards, "successful": shards, "skipped": 0, "failed": 0 },
        "hits": { "total": { "value": total, "relation": "eq" }, "max_score": 1.0, "hits": hits },
    }))
}

/// Fields, and whether each is descending.
fn sorts(sort: &Value) -> Vec<(String, bool)> {
    let list = match sort {
        Value::Array(list) => list.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    let key = |entry: &Value| match entry {
        Value::String(name) => Some((name.clone(), false)),
        Value::Object(map) => {
            let (name, order) = map.iter().next()?;
            Some((name.clone(), order == "desc" || order["order"] == "desc"))
        }
        _ => None,
    };
    list.iter().filter_map(key).collect()
}

fn field<'a>(hit: &'a Value, name: &str) -> &'a Value {
    if name == "_id" {
        &hit["_id"]
    } else {
        value(&hit["_source"], name)
    }
}

/// By its whole name, or as a path.
fn value<'a>(source: &'a Value, path: &str) -> &'a Value {
    if let Some(found) = source.get(path) {
        return found;
    }
    match path.split_once('.') {
        Some(("", _)) | None => &Value::Null,
        Some((head, "keyword")) => value(source, head),
        Some((head, rest)) => value(&source[head], rest),
    }
}

fn compare(one: &Value, other: &Value) -> Ordering {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => one
            .as_str()
            .unwrap_or_default()
            .cmp(other.as_str().unwrap_or_default()),
    }
}

fn any(found: &Value, is: impl Fn(&Value) -> bool) -> bool {
    match found {
        Value::Array(list) => list.iter().any(is),
        Value::Null => false,
        one => is(one),
    }
}

fn fits(query: &Value, id: &str, source: &Value) -> Result<bool, Problem> {
    let unknown = || Problem::new(400, "parsing_exception", format!("unknown query {query}"));
    let (kind, body) = query
        .as_object()
        .and_then(|query| query.iter().next())
        .ok_or_else(unknown)?;
    let named = || {
        body.as_object()
            .and_then(|body| body.iter().next())
            .ok_or_else(unknown)
    };
    match kind.as_str() {
        "match_all" => Ok(true),
        "exists" => Ok(!value(source, body["field"].as_str().unwrap_or_default()).is_null()),
        "ids" => Ok(any(&body["values"], |value| value == id)),
        "term" | "terms" | "match" | "match_phrase" => {
            let (name, wanted) = named()?;
            let wanted = wanted
                .get("value")
                .or_else(|| wanted.get("query"))
                .unwrap_or(wanted);
            let words = kind.starts_with("match");
            let is = |found: &Value| {
                any(wanted, |wanted| {
                    found == wanted || (words && has_words(found, wanted))
                })
            };
            Ok(if name == "_id" {
                any(wanted, |wanted| wanted == id)
            } else {
                any(value(source, name), is)
            })
        }
        "range" => {
            let (name, limits) = named()?;
            let within = |found: &Value| {
                let holds = |key: &str, wanted: fn(Ordering) -> bool| {
                    limits.get(key).is_none_or(|limit| wanted(compare(found, limit)))
                };
                holds("gte", Ordering::is_ge)
                    && holds("gt", Ordering::is_gt)
                    && holds("lte", Ordering::is_le)
                    && holds("lt", Ordering::is_lt)
            };
            Ok(any(value(source, name), within))
        }
        "bool" => {
            let part = |key: &str| -> Result<Vec<bool>, Problem> {
                let list = match &body[key] {
                    Value::Array(list) => list.clone(),
                    Value::Null => Vec::new(),
                    one => vec![one.clone()],
                };
                list.iter().map(|query| fits(query, id, source)).collect()
            };
            let should = part("should")?;
            let needed = [part("must")?, part("filter")?].concat();
            let one = should.is_empty() || should.contains(&true) || !needed.is_empty();
            Ok(needed.iter().all(|is| *is) && !part("must_not")?.contains(&true) && one)
        }
        _ => Err(unknown()),
    }
}

/// All words of a question stand in a text, whatever their case.
fn has_words(found: &Value, wanted: &Value) -> bool {
    let words = |value: &Value| -> Vec<String> {
        let text = value.as_str().unwrap_or_default().to_lowercase();
        let parts = text.split(|letter: char| !letter.is_alphanumeric());
        parts.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let (found, wanted) = (words(found), words(wanted));
    !wanted.is_empty() && wanted.iter().all(|word| found.contains(word))
}

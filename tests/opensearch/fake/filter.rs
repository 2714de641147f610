//! `filter_path`: which parts of an answer are sent.
//!
//! As the real one does, objects that are left empty go, also from lists: what is asked for decides whether items keep their
//! positions.

use serde_json::{Map, Value};

/// Of an answer what the list names; names with a minus in front are left out.
pub(crate) fn filtered(answer: Value, list: &str) -> Value {
    let patterns = || list.split(',').filter(|pattern| !pattern.is_empty());
    let wanted: Vec<Vec<&str>> = patterns()
        .filter(|pattern| !pattern.starts_with('-'))
        .map(|pattern| pattern.split('.').collect())
        .collect();
    let unwanted: Vec<Vec<&str>> = patterns()
        .filter_map(|pattern| Some(pattern.strip_prefix('-')?.split('.').collect()))
        .collect();
    let mut answer = answer;
    if !wanted.is_empty() {
        let wanted: Vec<&[&str]> = wanted.iter().map(Vec::as_slice).collect();
        answer = kept(answer, &wanted).unwrap_or_else(|| Value::Object(Map::new()));
    }
    let unwanted: Vec<&[&str]> = unwanted.iter().map(Vec::as_slice).collect();
    without(&mut answer, &unwanted);
    answer
}

/// What is left of the patterns one name further down; none if one of them ends there.
fn further<'a>(patterns: &[&'a [&'a str]], name: &str) -> Option<Vec<&'a [&'a str]>> {
    let mut rest = Vec::new();
    for pattern in patterns {
        let Some((first, tail)) = pattern.split_first() else {
            continue;
        };
        if *first == "**" {
            rest.push(*pattern);
            if let Some((second, tail)) = tail.split_first()
                && matches(second, name)
            {
                rest.push(tail);
            }
        } else if matches(first, name) {
            rest.push(tail);
        }
        if rest.last().is_some_and(|tail| tail.is_empty()) {
            return None;
        }
    }
    Some(rest)
}

fn kept(value: Value, wanted: &[&[&str]]) -> Option<Value> {
    if wanted.is_empty() {
        return None;
    }
    match value {
        Value::Object(map) => {
            let entries = map
                .into_iter()
                .filter_map(|(name, value)| match further(wanted, &name) {
                    None => Some((name, value)),
                    Some(rest) => kept(value, &rest).map(|value| (name, value)),
                });
            let map: Map<String, Value> = entries.collect();
            (!map.is_empty()).then_some(Value::Object(map))
        }
        Value::Array(list) => {
            let list: Vec<Value> = list.into_iter().filter_map(|value| kept(value, wanted)).collect();
            (!list.is_empty()).then_some(Value::Array(list))
        }
        _ => None,
    }
}

fn without(value: &mut Value, unwanted: &[&[&str]]) {
    match value {
        Value::Object(map) => {
            map.retain(|name, value| match further(unwanted, name) {
                None => false,
                Some(rest) => {
                    without(value, &rest);
                    true
                }
            });
        }
        Value::Array(list) => list.iter_mut().for_each(|value| without(value, unwanted)),
        _ => {}
    }
}

/// A name, or a pattern with stars.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => {
            let Some(rest) = name.strip_prefix(head) else {
                return false;
            };
            let mut ends = rest.char_indices().map(|(place, _)| place).chain([rest.len()]);
            ends.any(|place| matches(tail, rest.get(place..).unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_keep_their_positions_only_if_each_keeps_something() {
        let answer = json!({ "took": 1, "errors": true, "items": [
            { "create": { "_id": "a", "status": 201 } },
            { "create": { "_id": "b", "status": 400, "error": { "type": "t", "reason": "r" } } },
        ] });
        for (list, wanted) in [
            (
                "errors,items.*.status",
                json!({ "errors": true, "items": [{ "create": { "status": 201 } }, { "create": { "status": 400 } }] }),
            ),
            (
                "items.*.error.type",
                json!({ "items": [{ "create": { "error": { "type": "t" } } }] }),
            ),
            (
                "**.type",
                json!({ "items": [{ "create": { "error": { "type": "t" } } }] }),
            ),
            ("nope", json!({})),
            ("-items,-took", json!({ "errors": true })),
            (
                "items.cr*te.*d",
                json!({ "items": [{ "create": { "_id": "a" } }, { "create": { "_id": "b" } }] }),
            ),
        ] {
            assert_eq!(filtered(answer.clone(), list), wanted, "{list}");
        }
        assert_eq!(filtered(answer.clone(), ""), answer);
    }

    #[test]
    fn stars_stand_for_any_letters() {
        for (pattern, name, is) in [
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c*", "abcd", true),
            ("a*d", "abc", false),
            ("*", "", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }
}

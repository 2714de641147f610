//! Index State Management: policies, held to their documented form field by field.
//!
//! The real plugin cannot be had for tests. Its documentation and its parsers say what is taken here: an unknown field is
//! refused, a policy that is there is only changed by whoever says which version of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::problem::Problem;

#[derive(Debug)]
struct Policy {
    body: Value,
    version: u64,
    seq_no: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Policies {
    policies: BTreeMap<String, Policy>,
    writes: u64,
}

const TERM: u64 = 1;

impl Policies {
    /// Answered with 201 when it is new, 200 when it was there; `expected` are `if_seq_no` and `if_primary_term`.
    pub(crate) fn put(
        &mut self,
        id: &str,
        body: &[u8],
        expected: Option<(u64, u64)>,
    ) -> Result<(u16, Value), Problem> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Problem::new(400, "json_parse_exception", error.to_string()))?;
        let policy = object(&body, "Policy", &["policy"])?
            .get("policy")
            .cloned()
            .unwrap_or_default();
        check(&policy)?;
        self.unique(id, &policy)?;
        let conflict = |reason: String| {
            Problem::new(
                409,
                "version_conflict_engine_exception",
                format!("[{id}]: version conflict, {reason}"),
            )
        };
        let version = match (self.policies.get(id), expected) {
            (None, None) => 1,
            (None, Some(_)) => return Err(conflict("required seqNo, but no document was found".to_owned())),
            (Some(known), None) => {
                return Err(conflict(format!(
                    "document already exists (current version [{}])",
                    known.version
                )));
            }
            (Some(known), Some(expected)) if expected == (known.seq_no, TERM) => known.version + 1,
            (Some(known), Some((seq_no, term))) => {
                let reason = format!(
                    "required seqNo [{seq_no}], primary term [{term}]. current document has seqNo [{}] and primary term [{TERM}]",
                    known.seq_no
                );
                return Err(conflict(reason));
            }
        };
        let seq_no = self.writes;
        self.writes += 1;
        let whole = complete(id, policy);
        let answer = json!({ "_id": id, "_version": version, "_primary_term": TERM, "_seq_no": seq_no, "policy": { "policy": whole } });
        let status = if version == 1 { 201 } else { 200 };
        self.policies.insert(
            id.to_owned(),
            Policy {
                body: whole,
                version,
                seq_no,
            },
        );
        Ok((status, answer))
    }

    pub(crate) fn get(&self, id: &str) -> Result<Value, Problem> {
        let missing = || Problem::new(404, "status_exception", "Policy not found");
        let policy = self.policies.get(id).ok_or_else(missing)?;
        Ok(
            json!({ "_id": id, "_version": policy.version, "_seq_no": policy.seq_no, "_primary_term": TERM, "policy": policy.body }),
        )
    }

    pub(crate) fn all(&self) -> Value {
        let policies: Vec<Value> = self.policies.keys().filter_map(|id| self.get(id).ok()).collect();
        json!({ "total_policies": policies.len(), "policies": policies })
    }

    pub(crate) fn delete(&mut self, id: &str) -> Result<(), Problem> {
        let missing = || Problem::new(404, "status_exception", "Policy not found");
        self.policies.remove(id).map(|_| ()).ok_or_else(missing)
    }

    /// Two policies may not claim the same indices with the same priority.
    fn unique(&self, id: &str, policy: &Value) -> Result<(), Problem> {
        let claims = |policy: &Value| -> Vec<(String, u64)> {
            let templates = match &policy["ism_template"] {
                Value::Array(list) => list.clone(),
                one => vec![one.clone()],
            };
            let of = |template: &Value| {
                let priority = template["priority"].as_u64().unwrap_or(0);
                let patterns = template["index_patterns"].as_array().cloned().unwrap_or_default();
                patterns
                    .into_iter()
                    .filter_map(move |pattern| Some((pattern.as_str()?.to_owned(), priority)))
            };
            templates.iter().flat_map(of).collect::<Vec<_>>()
        };
        let own = claims(policy);
        for (other, known) in self.policies.iter().filter(|(other, _)| *other != id) {
            if let Some((pattern, priority)) = claims(&known.body).iter().find(|claim| own.contains(claim)) {
                let reason = format!(
                    "New policy {id} has an ISM template with index pattern [{pattern}] matching existing policy templates {other}, please use a different priority than {priority}"
                );
                return Err(Problem::argument(reason));
            }
        }
        Ok(())
    }
}

/// As it is given back: with the fields that the plugin adds.
fn complete(id: &str, policy: Value) -> Value {
    let mut policy = policy;
    policy["policy_id"] = json!(id);
    policy["last_updated_time"] = json!(1_700_000_000_000_u64);
    for (field, value) in [("schema_version", json!(1)), ("error_notification", Value::Null)] {
        if policy[field].is_null() {
            policy[field] = value;
        }
    }
    if policy["ism_template"].is_object() {
        policy["ism_template"] = json!([policy["ism_template"].take()]);
    }
    policy
}

fn object<'a>(value: &'a Value, what: &str, fields: &[&str]) -> Result<&'a Map<String, Value>, Problem> {
    let wrong = || {
        Problem::new(
            400,
            "parsing_exception",
            format!("{what}: expected an object but found [{value}]"),
        )
    };
    let object = value.as_object().ok_or_else(wrong)?;
    match object.keys().find(|key| !fields.contains(&key.as_str())) {
        Some(key) => Err(Problem::argument(format!(
            "Invalid field: [{key}] found in {what}."
        ))),
        None => Ok(object),
    }
}

fn list<'a>(value: &'a Value, what: &str) -> Result<&'a [Value], Problem> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(list) => Ok(list),
        other => Err(Problem::new(
            400,
            "parsing_exception",
            format!("{what}: expected a list but found [{other}]"),
        )),
    }
}

fn text<'a>(value: &'a Value, what: &str) -> Result<&'a str, Problem> {
    value
        .as_str()
        .ok_or_else(|| Problem::argument(format!("{what} is null")))
}

fn check(policy: &Value) -> Result<(), Problem> {
    let fields = [
        "policy_id",
        "description",
        "last_updated_time",
        "schema_version",
        "error_notification",
        "default_state",
        "states",
        "ism_template",
        "user",
    ];
    object(policy, "Policy", &fields)?;
    text(&policy["description"], "description")?;
    let first = text(&policy["default_state"], "default_state")?;
    let states = list(&policy["states"], "states")?;
    let mut names = Vec::new();
    for state in states {
        let name = check_state(state)?;
        if names.contains(&name) {
            return Err(Problem::argument("Policy cannot have duplicate state names"));
        }
        names.push(name);
    }
    for state in states {
        for transition in list(&state["transitions"], "transitions")? {
            let next = text(&transition["state_name"], "Transition state name")?;
            if !names.contains(&next) {
                return Err(Problem::argument(format!(
                    "Policy contains a transition in state={} pointing to a nonexistent state={next}",
                    state["name"]
                )));
            }
        }
    }
    if names.is_empty() {
        return Err(Problem::argument("Policy must contain at least one State"));
    }
    if !names.contains(&first) {
        return Err(Problem::argument("Policy must have a valid default state"));
    }
    let templates = match &policy["ism_template"] {
        one @ Value::Object(_) => std::slice::from_ref(one),
        other => list(other, "ism_template")?,
    };
    for template in templates {
        object(
            template,
            "ISMTemplate",
            &["index_patterns", "priority", "last_updated_time"],
        )?;
        let patterns = list(&template["index_patterns"], "index_patterns")?;
        if patterns.is_empty()
            || patterns.iter().any(|pattern| {
                pattern.as_str().is_none_or(|pattern| {
                    pattern.is_empty() || pattern.starts_with('_') || pattern.contains(['#', ':', ' ', ','])
                })
            })
        {
            return Err(Problem::new(
                400,
                "validation_exception",
                format!("Validation Failed: index_patterns {patterns:?}"),
            ));
        }
    }
    if !policy["error_notification"].is_null() {
        let notification = &policy["error_notification"];
        object(
            notification,
            "ErrorNotification",
            &["destination", "channel", "message_template"],
        )?;
        if notification["message_template"].is_null() {
            return Err(Problem::argument("ErrorNotification message template is null"));
        }
    }
    Ok(())
}

fn check_state(state: &Value) -> Result<&str, Problem> {
    object(state, "State", &["name", "actions", "transitions"])?;
    let name = text(&state["name"], "State name")?;
    let mut has_delete = false;
    for action in list(&state["actions"], "actions")? {
        if has_delete {
            return Err(Problem::argument(format!(
                "State={name} must not contain an action after a delete action"
            )));
        }
        has_delete = check_action(action)? == "delete";
    }
    let transitions = list(&state["transitions"], "transitions")?;
    if has_delete && !transitions.is_empty() {
        return Err(Problem::argument(format!(
            "State={name} cannot contain transitions if using delete action"
        )));
    }
    for transition in transitions {
        object(transition, "Transition", &["state_name", "conditions"])?;
        if transition["conditions"].is_null() {
            continue;
        }
        let fields = [
            "min_index_age",
            "min_doc_count",
            "min_size",
            "cron",
            "min_rollover_age",
            "no_alias",
            "min_state_age",
        ];
        let conditions = object(&transition["conditions"], "Conditions", &fields)?;
        if conditions.len() > 1 {
            return Err(Problem::argument(
                "Cannot provide more than one Transition condition",
            ));
        }
        conditions
            .iter()
            .try_for_each(|(name, value)| check_amount(name, value))?;
    }
    Ok(name)
}

/// Its type.
fn check_action(action: &Value) -> Result<&str, Problem> {
    let known: &[(&str, &[&str], &[&str])] = &[
        ("delete", &[], &[]),
        ("read_only", &[], &[]),
        ("read_write", &[], &[]),
        ("open", &[], &[]),
        ("close", &[], &[]),
        ("replica_count", &["number_of_replicas"], &["number_of_replicas"]),
        ("index_priority", &["priority"], &["priority"]),
        ("force_merge", &["max_num_segments"], &["max_num_segments"]),
        (
            "rollover",
            &[
                "min_size",
                "min_doc_count",
                "min_index_age",
                "min_primary_shard_size",
                "copy_alias",
                "prevent_empty_rollover",
            ],
            &[],
        ),
        (
            "snapshot",
            &["repository", "snapshot"],
            &["repository", "snapshot"],
        ),
    ];
    let empty = Map::new();
    let all = action.as_object().unwrap_or(&empty);
    let mut kind = None;
    for (name, body) in all {
        match name.as_str() {
            "timeout" => check_amount("min_index_age", body)?,
            "retry" => {
                let retry = object(body, "ActionRetry", &["count", "backoff", "delay"])?;
                if !retry.get("count").is_some_and(Value::is_u64) {
                    return Err(Problem::argument("ActionRetry count is null"));
                }
            }
            name => {
                let unknown = || Problem::argument(format!("Invalid field: [{name}] found in Actions."));
                let (known, fields, needed) = known
                    .iter()
                    .find(|(known, ..)| *known == name)
                    .ok_or_else(unknown)?;
                let body = object(body, &format!("{known} action"), fields)?;
                if let Some(missing) = needed.iter().find(|field| !body.contains_key(**field)) {
                    return Err(Problem::argument(format!("{known} action: {missing} is null")));
                }
                body.iter()
                    .try_for_each(|(name, value)| check_amount(name, value))?;
                kind = Some(*known);
            }
        }
    }
    kind.ok_or_else(|| Problem::argument("Action inside state is null"))
}

fn check_amount(name: &str, value: &Value) -> Result<(), Problem> {
    let unit = |units: &[&str]| {
        let text = value.as_str().unwrap_or_default();
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let amount = digits.parse::<f64>().is_ok_and(|amount| amount >= 0.0);
        amount
            && units.contains(
                &text
                    .get(digits.len()..)
                    .unwrap_or_default()
                    .to_ascii_lowercase()
                    .as_str(),
            )
    };
    let is_good = match name {
        "min_index_age" | "min_rollover_age" | "min_state_age" => {
            unit(&["d", "h", "m", "s", "ms", "micros", "nanos"])
        }
        "min_size" | "min_primary_shard_size" => unit(&["b", "kb", "mb", "gb", "tb", "pb", "k", "m", "g"]),
        "min_doc_count" | "number_of_replicas" | "priority" | "max_num_segments" => value.is_u64(),
        "copy_alias" | "prevent_empty_rollover" | "no_alias" => value.is_boolean(),
        "cron" => value.is_object(),
        _ => value.is_string(),
    };
    if is_good {
        return Ok(());
    }
    Err(Problem::argument(format!(
        "failed to parse setting [{name}] with value [{value}]"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Value {
        json!({ "policy": {
            "description": "keeps lines for a week",
            "default_state": "kept",
            "states": [
                { "name": "kept", "actions": [{ "retry": { "count": 3, "backoff": "exponential", "delay": "1m" }, "rollover": { "min_size": "30gb" } }],
                  "transitions": [{ "state_name": "gone", "conditions": { "min_index_age": "7d" } }] },
                { "name": "gone", "actions": [{ "delete": {} }], "transitions": [] },
            ],
            "ism_template": [{ "index_patterns": ["logs-*"], "priority": 100 }],
        } })
    }

    fn put(
        policies: &mut Policies,
        id: &str,
        policy: &Value,
        expected: Option<(u64, u64)>,
    ) -> Result<(u16, Value), Problem> {
        policies.put(id, policy.to_string().as_bytes(), expected)
    }

    #[test]
    fn a_policy_is_changed_only_by_who_names_its_version() {
        let mut policies = Policies::default();
        let (status, first) = put(&mut policies, "a", &policy(), None).unwrap();
        assert_eq!(
            (status, &first["_version"], &first["_seq_no"]),
            (201, &json!(1), &json!(0))
        );
        assert_eq!(put(&mut policies, "a", &policy(), None).unwrap_err().status, 409);
        assert_eq!(
            put(&mut policies, "a", &policy(), Some((7, 1)))
                .unwrap_err()
                .status,
            409
        );
        let mut other = policy();
        other["policy"]["ism_template"] = Value::Null;
        assert_eq!(
            put(&mut policies, "b", &other, Some((0, 1))).unwrap_err().status,
            409
        );
        let (status, second) = put(&mut policies, "a", &policy(), Some((0, 1))).unwrap();
        assert_eq!(
            (status, &second["_version"], &second["_seq_no"]),
            (200, &json!(2), &json!(1))
        );
        let got = policies.get("a").unwrap();
        assert_eq!(
            (&got["_seq_no"], &got["policy"]["default_state"]),
            (&json!(1), &json!("kept"))
        );
        assert_eq!(policies.get("b").unwrap_err().status, 404);
        let same = put(&mut policies, "b", &policy(), None).unwrap_err();
        assert!(
            same.status == 400 && same.reason.contains("different priority"),
            "{same:?}"
        );
    }

    /// What is put in place of something else, at a pointer.
    #[test]
    fn a_field_that_is_not_documented_is_refused() {
        for (place, value, word) in [
            ("/policy/retention", json!("7d"), "retention"),
            ("/policy/description", Value::Null, "description"),
            ("/policy/default_state", json!("nope"), "default state"),
            ("/policy/states", json!([]), "at least one"),
            ("/policy/states/0/name", json!("gone"), "duplicate"),
            ("/policy/states/0/when", json!(1), "when"),
            (
                "/policy/states/0/actions/0/rollover/max_age",
                json!("1d"),
                "max_age",
            ),
            (
                "/policy/states/0/actions/0/rollover/min_size",
                json!("30 apples"),
                "min_size",
            ),
            ("/policy/states/0/actions/0/retry/count", Value::Null, "count"),
            ("/policy/states/0/actions/0/shrug", json!({}), "shrug"),
            (
                "/policy/states/0/transitions/0/state_name",
                json!("nope"),
                "nonexistent",
            ),
            (
                "/policy/states/0/transitions/0/conditions/min_index_age",
                json!("7 days"),
                "min_index_age",
            ),
            (
                "/policy/states/0/transitions/0/conditions/min_size",
                json!("1gb"),
                "more than one",
            ),
            (
                "/policy/states/1/transitions",
                json!([{ "state_name": "kept" }]),
                "delete action",
            ),
            (
                "/policy/states/1/actions",
                json!([{ "delete": {} }, { "read_only": {} }]),
                "after a delete",
            ),
            ("/policy/ism_template/0/pattern", json!("x"), "pattern"),
            (
                "/policy/ism_template/0/index_patterns",
                json!(["_x"]),
                "index_patterns",
            ),
            ("/more", json!(1), "more"),
        ] {
            let mut changed = policy();
            let (above, name) = place.rsplit_once('/').unwrap();
            changed.pointer_mut(above).unwrap()[name] = value;
            let problem = put(&mut Policies::default(), "a", &changed, None).unwrap_err();
            assert!(
                problem.status == 400 && problem.reason.contains(word),
                "{place}: {problem:?}"
            );
        }
    }
}

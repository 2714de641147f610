//! What every object has: names, times, owners, labels and annotations.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Deserializer};

use crate::draft::Draft;

/// An object of which `spec` and `status` are read as far as somebody needs them.
#[derive(Deserialize)]
pub(crate) struct Whole<A, B> {
    pub(crate) metadata: Meta,
    #[serde(default = "Default::default", bound = "A: Default + Deserialize<'de>")]
    pub(crate) spec: A,
    #[serde(default = "Default::default", bound = "B: Default + Deserialize<'de>")]
    pub(crate) status: B,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) generation: f64,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) owner_references: Vec<Owner>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Owner {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) controller: bool,
}

impl Meta {
    pub(crate) fn created(&self) -> Option<f64> {
        seconds(self.creation_timestamp.as_deref())
    }

    pub(crate) fn deleted(&self) -> Option<f64> {
        seconds(self.deletion_timestamp.as_deref())
    }

    /// Namespace and name, as labels of series.
    pub(crate) fn within(&self, label: &'static str) -> Vec<(&'static str, String)> {
        vec![("namespace", self.namespace.clone()), (label, self.name.clone())]
    }

    /// … of an object that lies in no namespace.
    pub(crate) fn alone(&self, label: &'static str) -> Vec<(&'static str, String)> {
        vec![(label, self.name.clone())]
    }

    /// Its own words as labels of one series, as far as they are allowed.
    pub(crate) fn words(&self, draft: &mut Draft<'_>, labels: &str, annotations: &str) {
        let allowed = draft.allowed();
        if !allowed.labels.is_empty() {
            let pairs = named("label", &chosen(&self.labels, allowed.labels));
            put_pairs(draft, labels, "Labels of the object.", &pairs);
        }
        if !allowed.annotations.is_empty() {
            let pairs = named("annotation", &chosen(&self.annotations, allowed.annotations));
            put_pairs(draft, annotations, "Annotations of the object.", &pairs);
        }
    }

    pub(crate) fn owners(&self, draft: &mut Draft<'_>, name: &str) {
        const HELP: &str = "What made the object.";
        if self.owner_references.is_empty() {
            let nobody = [
                ("owner_kind", ""),
                ("owner_name", ""),
                ("owner_is_controller", ""),
            ];
            draft.gauge(name, HELP, &nobody, 1.0);
        }
        for owner in &self.owner_references {
            let labels = [
                ("owner_kind", owner.kind.as_str()),
                ("owner_name", &owner.name),
                ("owner_is_controller", boolean(owner.controller)),
            ];
            draft.gauge(name, HELP, &labels, 1.0);
        }
    }
}

pub(crate) fn put_pairs(draft: &mut Draft<'_>, name: &str, help: &str, pairs: &[(String, String)]) {
    let labels: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(label, value)| (label.as_str(), value.as_str()))
        .collect();
    draft.gauge(name, help, &labels, 1.0);
}

/// Of an object's labels those that are allowed: by name, by a pattern with `*`, or all.
fn chosen<'a>(all: &'a BTreeMap<String, String>, allowed: &[String]) -> BTreeMap<&'a str, &'a str> {
    let is_chosen = |key: &str| allowed.iter().any(|pattern| matches(pattern, key));
    all.iter()
        .filter(|(key, _)| is_chosen(key))
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

/// `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            match rest.find(middle) {
                Some(at) => rest = rest.get(at + middle.len()..).unwrap_or_default(),
                None => return false,
            }
        }
    }
    match last {
        None => rest.is_empty(),
        Some(end) => rest.ends_with(end),
    }
}

/// Keys as label names, `app.kubernetes.io/name` as `label_app_kubernetes_io_name`. Keys that come to the same name are told apart
/// by numbers, in the order of the keys.
pub(crate) fn named(prefix: &str, all: &BTreeMap<&str, &str>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::with_capacity(all.len());
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let next = |base: &str, number: &mut u32, places: &HashMap<String, usize>| loop {
        *number += 1;
        let name = format!("{base}_conflict{number}");
        if !places.contains_key(&name) {
            return name;
        }
    };
    for (key, value) in all {
        let base = format!("{prefix}_{}", snake(key));
        let name = match (numbers.get(&base).copied(), places.get(&base).copied()) {
            (Some(mut number), _) => {
                let name = next(&base, &mut number, &places);
                numbers.insert(base, number);
                name
            }
            (None, Some(first)) => {
                let mut number = 0;
                let renamed = next(&base, &mut number, &places);
                places.remove(&base);
                if let Some(pair) = pairs.get_mut(first) {
                    pair.0.clone_from(&renamed);
                }
                places.insert(renamed, first);
                let name = next(&base, &mut number, &places);
                numbers.insert(base, number);
                name
            }
            (None, None) => base,
        };
        places.insert(name.clone(), pairs.len());
        pairs.push((name, (*value).to_owned()));
    }
    pairs
}

/// `fooBar.baz` as `foo_bar_baz`.
fn snake(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 4);
    let mut before = ' ';
    for letter in key.chars() {
        let letter = if letter.is_ascii_alphanumeric() || letter == '_' {
            letter
        } else {
            '_'
        };
        if letter.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
        before = letter;
    }
    name
}

/// What a name of a resource is as the value of a label.
pub(crate) fn sanitized(name: &str) -> String {
    name.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || letter == '_' {
                letter
            } else {
                '_'
            }
        })
        .collect()
}

pub(crate) fn boolean(value: bool) -> &'static str {
    match value {
        true => "true",
        false => "false",
    }
}

/// Whole seconds since 1970 of a time as the API writes it.
pub(crate) fn seconds(text: Option<&str>) -> Option<f64> {
    let time: jiff::Timestamp = text?.parse().ok()?;
    Some(time.as_millisecond().div_euclid(1_000) as f64)
}

/// Null for nothing, as Go writes empty lists.
pub(crate) fn nothing<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) last_transition_time: Option<String>,
}

/// A series for each state that a condition may be in, one of which is 1.
pub(crate) fn states(
    draft: &mut Draft<'_>,
    name: &str,
    help: &str,
    labels: &[(&str, &str)],
    key: &str,
    status: &str,
) {
    for (state, text) in [("True", "true"), ("False", "false"), ("Unknown", "unknown")] {
        let labels: Vec<(&str, &str)> = labels.iter().copied().chain([(key, text)]).collect();
        draft.gauge(name, help, &labels, f64::from(status == state));
    }
}

pub(crate) fn conditions(draft: &mut Draft<'_>, name: &str, conditions: &[Condition]) {
    for condition in conditions {
        let labels = [("condition", condition.kind.as_str())];
        states(
            draft,
            name,
            "Which of its conditions hold.",
            &labels,
            "status",
            &condition.status,
        );
    }
}

/// One series for each that it may be, one of which is 1; none while it is not said.
pub(crate) fn phases(draft: &mut Draft<'_>, name: &str, help: &str, label: &str, all: &[&str], phase: &str) {
    if phase.is_empty() {
        return;
    }
    for known in all {
        draft.gauge(name, help, &[(label, *known)], f64::from(*known == phase));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(keys: &[&str]) -> Vec<String> {
        let all = keys.iter().map(|key| (*key, "")).collect();
        named("label", &all).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn keys_become_names_and_those_that_come_to_the_same_are_numbered() {
        assert_eq!(
            names(&["app.kubernetes.io/name", "fooBar", "k8sApp"]),
            ["label_app_kubernetes_io_name", "label_foo_bar", "label_k8s_app"]
        );
        assert_eq!(
            names(&["a-b", "a.b", "a_b"]),
            [
                "label_a_b_conflict1",
                "label_a_b_conflict2",
                "label_a_b_conflict3"
            ]
        );
    }

    #[test]
    fn what_is_allowed_is_named_or_matched() {
        let all: BTreeMap<String, String> = ["app", "app.kubernetes.io/name", "team"]
            .map(|key| (key.to_owned(), String::new()))
            .into();
        let keys = |allowed: &[&str]| {
            let allowed: Vec<String> = allowed.iter().map(|text| (*text).to_owned()).collect();
            chosen(&all, &allowed)
                .keys()
                .map(|key| (*key).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&["team"]), ["team"]);
        assert_eq!(keys(&["app*"]), ["app", "app.kubernetes.io/name"]);
        assert_eq!(keys(&["*/name"]), ["app.kubernetes.io/name"]);
        assert_eq!(keys(&["*"]).len(), 3);
        assert_eq!(keys(&["ap", "eam", "a*z"]), [""; 0]);
    }

    #[test]
    fn times_are_whole_seconds() {
        assert_eq!(seconds(Some("2026-11-28T02:01:22Z")), Some(1_795_831_282.0));
        assert_eq!(
            seconds(Some("2026-11-28T02:01:22.999999Z")),
            Some(1_795_831_282.0)
        );
        assert_eq!(seconds(Some("now")), None);
        assert_eq!(seconds(None), None);
    }
}

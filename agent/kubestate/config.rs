//! The section `kube_state` of the configuration file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::custom::{self, Document};
use crate::kinds::KINDS;

/// Which objects become series, under the names and labels of kube-state-metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Left out: wherever the roles `cluster` and `all` have a cluster to ask.
    pub enabled: Option<bool>,
    /// Time between two rounds, at least 1s. Objects are watched; a round only writes down what is known.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub interval: Duration, // interval: 30s
    /// Label `job` of every series; `kube-state-metrics` is what the Kubernetes mixin expects.
    pub job: String,
    /// Label `instance`, the same of both replicas.
    pub instance: String,
    /// Kinds by the names of their lists, for example `pods`; empty: the usual ones.
    pub resources: Vec<String>,
    /// Kinds beside the usual ones.
    pub more_resources: Vec<String>,
    /// Labels of objects that become labels of `kube_…_labels`, by the kind's list or `*`; `*` in a name stands for any text.
    pub labels: BTreeMap<String, Vec<String>>, // labels: {pods: [app, team]}
    /// Annotations, likewise.
    pub annotations: BTreeMap<String, Vec<String>>,
    /// Which fields of objects of other kinds become series: a document as kube-state-metrics takes it in
    /// `--custom-resource-state-config`.
    pub custom_resource_state: Document, // custom_resource_state: {spec: {resources: []}}
}

/// Of nodes what tells where they come from, and of claims what kubernetes-mixin's rules look at.
fn usual_labels() -> BTreeMap<String, Vec<String>> {
    const NODE: [&str; 7] = [
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "node.kubernetes.io/instance-type",
        "eks.amazonaws.com/nodegroup",
        "eks.amazonaws.com/capacityType",
        "karpenter.sh/nodepool",
        "karpenter.sh/capacity-type",
    ];
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
    [
        ("nodes".to_owned(), words(&NODE)),
        (
            "persistentvolumeclaims".to_owned(),
            words(&["excluded_from_alerts"]),
        ),
    ]
    .into()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: None,
            interval: Duration::from_secs(30),
            job: "kube-state-metrics".to_owned(),
            instance: "kube-state-metrics".to_owned(),
            resources: Vec::new(),
            more_resources: Vec::new(),
            labels: usual_labels(),
            annotations: BTreeMap::new(),
            custom_resource_state: Document::default(),
        }
    }
}

/// Stands for every kind.
const ALL: &str = "*";

impl Config {
    /// What is wrong with it, each a sentence that begins with the path in the file.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.plural).collect();
        let ready = custom::ready().plurals();
        let chosen: Vec<&str> = known
            .iter()
            .copied()
            .chain(ready.iter().map(String::as_str))
            .collect();
        let of_document = self.custom_resource_state.complaints();
        let mut wrong: Vec<String> = of_document
            .iter()
            .map(|why| format!("kube_state.custom_resource_state.{why}"))
            .collect();
        for (key, names) in [
            ("resources", &self.resources),
            ("more_resources", &self.more_resources),
        ] {
            for name in names.iter().filter(|name| !chosen.contains(&name.as_str())) {
                let why = match name.as_str() {
                    "secrets" => "Secrets are not read, not even their names".to_owned(),
                    _ => format!("no kind that is read; there are {}", chosen.join(", ")),
                };
                wrong.push(format!("kube_state.{key}: {name:?}: {why}"));
            }
        }
        for (key, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            for name in map
                .keys()
                .filter(|name| *name != ALL && !known.contains(&name.as_str()))
            {
                wrong.push(format!(
                    "kube_state.{key}: {name:?}: no kind that is read; there are {ALL}, {}",
                    known.join(", ")
                ));
            }
        }
        wrong
    }

    pub(crate) fn wants(&self, plural: &str, is_usual: bool) -> bool {
        let is_in = |names: &[String]| names.iter().any(|name| name == plural);
        let is_chosen = match self.resources.is_empty() {
            true => is_usual,
            false => is_in(&self.resources),
        };
        is_chosen || is_in(&self.more_resources)
    }

    /// What is allowed of a kind, with what is allowed of all.
    pub(crate) fn allowed(map: &BTreeMap<String, Vec<String>>, plural: &str) -> Vec<String> {
        let of = |key: &str| map.get(key).into_iter().flatten().cloned();
        of(plural).chain(of(ALL)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn kinds_that_are_not_read_are_named() {
        let wrong = config(r#"{"resources": ["pods", "secrets"], "labels": {"pod": ["a"], "*": ["b"]}}"#)
            .complaints();
        assert_eq!(wrong.len(), 2);
        assert!(wrong[0].starts_with(r#"kube_state.resources: "secrets": Secrets are not read"#));
        assert!(
            wrong[1]
                .starts_with(r#"kube_state.labels: "pod": no kind that is read; there are *, namespaces"#)
        );
        assert!(Config::default().complaints().is_empty());
    }

    #[test]
    fn the_usual_kinds_are_read_unless_others_are_named() {
        let usual = Config::default();
        assert!(usual.wants("pods", true) && !usual.wants("leases", false));
        let more = config(r#"{"more_resources": ["leases"]}"#);
        assert!(more.wants("pods", true) && more.wants("leases", false));
        let few = config(r#"{"resources": ["pods"]}"#);
        assert!(few.wants("pods", true) && !few.wants("nodes", true));
        let labels = config(r#"{"labels": {"pods": ["a"], "*": ["b"]}}"#).labels;
        assert_eq!(Config::allowed(&labels, "pods"), ["a", "b"]);
        assert_eq!(Config::allowed(&labels, "nodes"), ["b"]);
    }
}

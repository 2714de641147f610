//! Objects of kinds that we do not know ourselves: which of their fields become series is said by a document, in the form of
//! kube-state-metrics' `--custom-resource-state-config`.
//!
//! The same document gives the same series here and there. What has no counterpart is refused by name: `*` for versions and kinds.

mod family;
mod path;
mod value;

use std::collections::BTreeMap;

use model::{Resource, Wanted};
use serde::Deserialize;

pub(crate) use family::Family;
use family::{Each, Sources};
use path::Path;

/// What is read without being asked for, where a cluster has it: Karpenter, VerticalPodAutoscalers, cert-manager.
const READY: &str = include_str!("ready.yaml");

/// A document of kube-state-metrics.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Document {
    /// `CustomResourceStateMetrics`
    kind: Option<String>,
    api_version: Option<String>,
    spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Spec {
    resources: Vec<Custom>,
}

/// A kind, and what is read of its objects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Custom {
    group_version_kind: GroupVersionKind,
    /// Left out: the kind in small letters, and more than one of it.
    resource_plural: String,
    /// Stands before the name of each series; left out: `kube_customresource`.
    metric_name_prefix: Option<String>,
    common_labels: BTreeMap<String, String>,
    labels_from_path: BTreeMap<String, Vec<String>>,
    metrics: Vec<Metric>,
    /// How loud kube-state-metrics is about what it does not find; here nothing follows from it.
    #[serde(rename = "errorLogV")]
    _error_log_v: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GroupVersionKind {
    group: String,
    version: String,
    kind: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Metric {
    name: String,
    help: String,
    each: Form,
    common_labels: BTreeMap<String, String>,
    labels_from_path: BTreeMap<String, Vec<String>>,
    #[serde(rename = "errorLogV")]
    _error_log_v: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Form {
    #[serde(rename = "type")]
    kind: String,
    gauge: Option<Gauge>,
    info: Option<Info>,
    state_set: Option<StateSet>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Gauge {
    path: Vec<String>,
    label_from_key: String,
    labels_from_path: BTreeMap<String, Vec<String>>,
    value_from: Vec<String>,
    nil_is_zero: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Info {
    path: Vec<String>,
    label_from_key: String,
    labels_from_path: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct StateSet {
    path: Vec<String>,
    labels_from_path: BTreeMap<String, Vec<String>>,
    label_name: String,
    list: Vec<String>,
    value_from: Vec<String>,
}

/// A kind as it is asked for, and its series.
pub(crate) struct Reading {
    pub(crate) wanted: Wanted,
    pub(crate) families: Vec<Family>,
}

/// What is read without being asked for.
pub(crate) fn ready() -> Document {
    yaml::read("ready.yaml", READY).unwrap_or_default()
}

impl Document {
    /// What is wrong with it; each begins with its place in the document.
    pub(crate) fn complaints(&self) -> Vec<String> {
        const KIND: &str = "CustomResourceStateMetrics";
        let mut wrong = Vec::new();
        if let Some(kind) = self.kind.as_deref().filter(|kind| *kind != KIND) {
            wrong.push(format!("kind: {kind:?}: it is {KIND}"));
        }
        for (nth, custom) in self.spec.resources.iter().enumerate() {
            let place = format!("spec.resources[{nth}]");
            if let Err(why) = custom.check() {
                wrong.push(format!("{place}.{why}"));
            }
            for (nth, metric) in custom.metrics.iter().enumerate() {
                if let Err(why) = custom.family(metric) {
                    wrong.push(format!("{place}.metrics[{nth}].{why}"));
                }
            }
        }
        wrong
    }

    /// All kinds; of a document with mistakes those that have none.
    pub(crate) fn readings(&self, is_optional: bool) -> Vec<Reading> {
        let reading = |custom: &Custom| {
            custom.check().ok()?;
            let families: Result<Vec<Family>, String> = custom
                .metrics
                .iter()
                .map(|metric| custom.family(metric))
                .collect();
            let named = &custom.group_version_kind;
            let resource = Resource::new(&named.group, &named.version, &named.kind, &custom.plural());
            Some(Reading {
                wanted: Wanted {
                    is_optional,
                    ..Wanted::all(resource)
                },
                families: families.ok()?,
            })
        };
        self.spec.resources.iter().filter_map(reading).collect()
    }

    /// The lists that are asked for.
    pub(crate) fn plurals(&self) -> Vec<String> {
        self.spec.resources.iter().map(Custom::plural).collect()
    }
}

impl Custom {
    fn check(&self) -> Result<(), String> {
        let named = &self.group_version_kind;
        for (key, value) in [
            ("group", &named.group),
            ("version", &named.version),
            ("kind", &named.kind),
        ] {
            match value.as_str() {
                "" => return Err(format!("groupVersionKind.{key}: is missing")),
                "*" => {
                    return Err(format!(
                        "groupVersionKind.{key}: \"*\" is not known here; write a section for each"
                    ));
                }
                _ => {}
            }
        }
        let plural = self.plural();
        if plural == "secrets" {
            return Err("groupVersionKind.kind: Secrets are not read, not even their names".to_owned());
        }
        if !plural
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            return Err(format!(
                "resourcePlural: {plural:?} is no name of a list of the API"
            ));
        }
        match self.metrics.is_empty() {
            true => Err("metrics: are missing".to_owned()),
            false => Ok(()),
        }
    }

    fn plural(&self) -> String {
        match self.resource_plural.as_str() {
            "" => plural(&self.group_version_kind.kind.to_lowercase()),
            given => given.to_owned(),
        }
    }

    /// What is said for all series, and over it what is said for one.
    fn family(&self, metric: &Metric) -> Result<Family, String> {
        let prefix = self
            .metric_name_prefix
            .as_deref()
            .unwrap_or("kube_customresource");
        let name = match prefix {
            "" => metric.name.clone(),
            prefix => format!("{prefix}_{}", metric.name),
        };
        if metric.name.is_empty() || !is_name(&name) {
            return Err(format!("name: {name:?} is no name of a series"));
        }
        let named = &self.group_version_kind;
        let mut labels = self.common_labels.clone();
        for (label, value) in [
            ("customresource_group", &named.group),
            ("customresource_version", &named.version),
            ("customresource_kind", &named.kind),
        ] {
            labels.insert(label.to_owned(), value.clone());
        }
        labels.extend(metric.common_labels.clone());
        if let Some(label) = labels.keys().find(|label| !is_name(label)) {
            return Err(format!("commonLabels: {label:?} is no name of a label"));
        }
        let mut paths = self.labels_from_path.clone();
        paths.extend(metric.labels_from_path.clone());
        let from = sources(&paths).map_err(|why| format!("labelsFromPath.{why}"))?;
        let (path, each) = metric.each.compile().map_err(|why| format!("each.{why}"))?;
        Ok(Family {
            name,
            help: metric.help.clone(),
            labels,
            from,
            path,
            each,
        })
    }
}

impl Form {
    fn compile(&self) -> Result<(Path, Each), String> {
        let key = |text: &str| match text.is_empty() || is_name(text) {
            true => Ok(text.to_owned()),
            false => Err(format!("labelFromKey: {text:?} is no name of a label")),
        };
        match self.kind.to_lowercase().as_str() {
            "gauge" => {
                let gauge = self.gauge.as_ref().ok_or("gauge: is missing")?;
                let place = |why| format!("gauge.{why}");
                let each = Each::Gauge {
                    key: key(&gauge.label_from_key).map_err(place)?,
                    value: part("valueFrom", &gauge.value_from).map_err(place)?,
                    is_nil_zero: gauge.nil_is_zero,
                    from: labels(&gauge.labels_from_path).map_err(place)?,
                };
                Ok((part("path", &gauge.path).map_err(place)?, each))
            }
            "info" => {
                let info = self.info.as_ref().ok_or("info: is missing")?;
                let place = |why| format!("info.{why}");
                let each = Each::Info {
                    key: key(&info.label_from_key).map_err(place)?,
                    from: labels(&info.labels_from_path).map_err(place)?,
                };
                Ok((part("path", &info.path).map_err(place)?, each))
            }
            "stateset" => {
                let set = self.state_set.as_ref().ok_or("stateSet: is missing")?;
                let place = |why| format!("stateSet.{why}");
                if !is_name(&set.label_name) {
                    let why = format!("labelName: {:?} is no name of a label", set.label_name);
                    return Err(place(why));
                }
                let each = Each::StateSet {
                    label: set.label_name.clone(),
                    list: set.list.clone(),
                    value: part("valueFrom", &set.value_from).map_err(place)?,
                    from: labels(&set.labels_from_path).map_err(place)?,
                };
                Ok((part("path", &set.path).map_err(place)?, each))
            }
            other => Err(format!("type: {other:?} is none of Gauge, Info and StateSet")),
        }
    }
}

fn part(key: &str, steps: &[String]) -> Result<Path, String> {
    Path::new(steps).map_err(|why| format!("{key}{why}"))
}

fn labels(paths: &BTreeMap<String, Vec<String>>) -> Result<Sources, String> {
    sources(paths).map_err(|why| format!("labelsFromPath.{why}"))
}

fn sources(paths: &BTreeMap<String, Vec<String>>) -> Result<Sources, String> {
    let mut sources = Sources::default();
    for (label, steps) in paths {
        let path = Path::new(steps).map_err(|why| format!("{label}{why}"))?;
        sources.add(label, path);
    }
    Ok(sources)
}

/// Of a series or a label.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// As the generators of such kinds make it.
fn plural(word: &str) -> String {
    let before = word.strip_suffix('y').and_then(|stem| stem.bytes().last());
    if before.is_some_and(|byte| !b"aeiou".contains(&byte)) {
        return format!("{}ies", word.strip_suffix('y').unwrap_or(word));
    }
    match ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end)) {
        true => format!("{word}es"),
        false => format!("{word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        yaml::read::<Document>("custom.yaml", text).unwrap().complaints()
    }

    #[test]
    fn what_is_read_without_being_asked_for_is_right() {
        let ready: Document = yaml::read("ready.yaml", READY).unwrap();
        assert_eq!(ready.complaints(), [""; 0]);
        let plurals = [
            "nodepools",
            "nodeclaims",
            "verticalpodautoscalers",
            "certificates",
        ];
        assert_eq!(ready.plurals(), plurals);
        assert_eq!(ready.readings(true).len(), plurals.len());
    }

    #[test]
    fn lists_are_named_as_generators_name_them() {
        for (kind, want) in [
            ("NodePool", "nodepools"),
            ("Policy", "policies"),
            ("Gateway", "gateways"),
            ("Ingress", "ingresses"),
            ("Mailbox", "mailboxes"),
            ("Batch", "batches"),
        ] {
            assert_eq!(plural(&kind.to_lowercase()), want);
        }
    }

    #[test]
    fn every_mistake_is_placed() {
        let wrong = complaints(
            r#"
kind: CustomResources
spec:
  resources:
  - groupVersionKind: {group: shop.io, version: "*", kind: Foo}
    metrics:
    - {name: a-b, each: {type: Gauge, gauge: {path: [status]}}}
    - {name: a, each: {type: Counter}}
    - {name: a, each: {type: Gauge}}
    - {name: a, each: {type: Gauge, gauge: {path: [status, "[x]"]}}}
    - {name: a, each: {type: stateset, stateSet: {path: [status], list: [A]}}}
    - {name: a, labelsFromPath: {b: ["[x]"]}, each: {type: info, info: {path: [status]}}}
    - {name: a, commonLabels: {a-b: c}, each: {type: info, info: {path: [status]}}}
  - groupVersionKind: {group: shop.io, version: v1}
  - groupVersionKind: {group: x.io, version: v1, kind: Secret}
  - groupVersionKind: {group: x.io, version: v1, kind: Foo}
    resourcePlural: foos/status
  - groupVersionKind: {group: x.io, version: v1, kind: Foo}
"#,
        );
        let want = [
            "kind: \"CustomResources\": it is",
            "spec.resources[0].groupVersionKind.version: \"*\"",
            "spec.resources[0].metrics[0].name: \"kube_customresource_a-b\"",
            "spec.resources[0].metrics[1].each.type: \"counter\"",
            "spec.resources[0].metrics[2].each.gauge: is missing",
            "spec.resources[0].metrics[3].each.gauge.path[1]: \"[x]\"",
            "spec.resources[0].metrics[4].each.stateSet.labelName: \"\"",
            "spec.resources[0].metrics[5].labelsFromPath.b[0]: \"[x]\"",
            "spec.resources[0].metrics[6].commonLabels: \"a-b\"",
            "spec.resources[1].groupVersionKind.kind: is missing",
            "spec.resources[2].groupVersionKind.kind: Secrets are not read",
            "spec.resources[3].resourcePlural: \"foos/status\"",
            "spec.resources[4].metrics: are missing",
        ];
        assert_eq!(wrong.len(), want.len(), "{wrong:#?}");
        for (wrong, want) in wrong.iter().zip(want) {
            assert!(wrong.starts_with(want), "{wrong}");
        }
    }
}

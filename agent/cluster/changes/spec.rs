//! What of an object is compared, and a difference in words.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use model::ChangeKind;
use serde::Deserialize;
use serde_json::Value;

/// Changes of one object that are told one by one; of more there is only the number.
const WORDS_MAX: usize = 6;
/// What `kubectl rollout restart` writes.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
/// Of ConfigMaps in which old controllers keep who leads: written every two seconds.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// What is remembered of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spec {
    Workload(Workload),
    Scaler { target: String, desired: Option<i64> },
    Node { is_cordoned: bool },
    Config { version: String },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Workload {
    /// None of a DaemonSet.
    replicas: Option<i64>,
    restarted: String,
    /// By name; those that run before the others are among them.
    containers: BTreeMap<String, Container>,
    /// Of the rest of the template.
    rest: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Container {
    image: String,
    /// `limits.memory`
    resources: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct WorkloadText {
    spec: WorkloadSpec,
}

#[derive(Deserialize)]
struct WorkloadSpec {
    #[serde(default)]
    replicas: Option<i64>,
    template: Value,
}

/// A Deployment, StatefulSet or DaemonSet.
pub(super) fn workload(text: &str) -> Option<Spec> {
    let WorkloadText { spec } = serde_json::from_str(text).ok()?;
    let mut template = spec.template;
    let mut workload = Workload {
        replicas: spec.replicas,
        ..Workload::default()
    };
    if let Some(Value::Object(annotations)) = template.pointer_mut("/metadata/annotations") {
        let restarted = annotations.remove(RESTARTED);
        workload.restarted = restarted.as_ref().map(words).unwrap_or_default();
        if annotations.is_empty()
            && let Some(Value::Object(metadata)) = template.get_mut("metadata")
        {
            metadata.remove("annotations");
        }
    }
    for list in ["/spec/containers", "/spec/initContainers"] {
        let Some(Value::Array(containers)) = template.pointer_mut(list) else {
            continue;
        };
        for container in containers {
            let Value::Object(fields) = container else {
                continue;
            };
            let name = fields.get("name").map(words).unwrap_or_default();
            let image = fields.remove("image").as_ref().map(words).unwrap_or_default();
            let mut resources = BTreeMap::new();
            if let Some(Value::Object(kinds)) = fields.remove("resources") {
                for (kind, amounts) in &kinds {
                    let Value::Object(amounts) = amounts else { continue };
                    for (what, amount) in amounts {
                        resources.insert(format!("{kind}.{what}"), words(amount));
                    }
                }
            }
            workload.containers.insert(name, Container { image, resources });
        }
    }
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    workload.rest = hasher.finish();
    Some(Spec::Workload(workload))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScalerText {
    spec: ScalerSpec,
    #[serde(default)]
    status: ScalerStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScalerSpec {
    scale_target_ref: Target,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScalerStatus {
    desired_replicas: Option<i64>,
}

pub(super) fn scaler(text: &str) -> Option<Spec> {
    let scaler: ScalerText = serde_json::from_str(text).ok()?;
    Some(Spec::Scaler {
        target: scaler.spec.scale_target_ref.name,
        // Before its first look it wants nothing.
        desired: scaler.status.desired_replicas.filter(|desired| *desired > 0),
    })
}

#[derive(Deserialize)]
struct NodeText {
    #[serde(default)]
    spec: NodeSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    unschedulable: bool,
}

pub(super) fn node(text: &str) -> Option<Spec> {
    let node: NodeText = serde_json::from_str(text).ok()?;
    Some(Spec::Node {
        is_cordoned: node.spec.unschedulable,
    })
}

#[derive(Deserialize)]
struct ConfigText {
    metadata: ConfigMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigMeta {
    resource_version: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// By its metadata; none of what changes by itself.
pub(super) fn config(text: &str) -> Option<Spec> {
    let ConfigText { metadata } = serde_json::from_str(text).ok()?;
    let is_lease = metadata
        .annotations
        .is_some_and(|annotations| annotations.contains_key(LEADER));
    (!is_lease).then_some(Spec::Config {
        version: metadata.resource_version,
    })
}

impl Spec {
    /// The name under which its changes are told, where it is not its own.
    pub(super) fn target(&self) -> Option<&str> {
        match self {
            Self::Scaler { target, .. } => Some(target),
            _ => None,
        }
    }

    pub(super) fn came(&self) -> Option<(ChangeKind, String)> {
        match self {
            Self::Workload(workload) => {
                let images = workload.containers.values().map(|one| one.image.as_str());
                let images = images.collect::<Vec<_>>().join(", ");
                Some((ChangeKind::Deploy, format!("created, image {images}")))
            }
            Self::Node { .. } => Some((ChangeKind::Node, "joined".to_owned())),
            Self::Config { .. } => Some((ChangeKind::Config, "ConfigMap created".to_owned())),
            Self::Scaler { .. } => None,
        }
    }

    pub(super) fn went(&self) -> Option<(ChangeKind, String)> {
        match self {
            Self::Workload(_) => Some((ChangeKind::Deploy, "deleted".to_owned())),
            Self::Node { .. } => Some((ChangeKind::Node, "gone".to_owned())),
            Self::Config { .. } => Some((ChangeKind::Config, "ConfigMap deleted".to_owned())),
            Self::Scaler { .. } => None,
        }
    }

    /// Its difference to what it was before.
    pub(super) fn since(&self, before: &Self) -> Vec<(ChangeKind, String)> {
        match (before, self) {
            (Self::Workload(before), Self::Workload(after)) => workloads(before, after),
            (
                Self::Scaler {
                    desired: Some(before),
                    ..
                },
                Self::Scaler {
                    desired: Some(after), ..
                },
            ) if before != after => {
                vec![(
                    ChangeKind::Autoscale,
                    format!("autoscaler wants {before} → {after}"),
                )]
            }
            (Self::Node { is_cordoned: before }, Self::Node { is_cordoned: after }) if before != after => {
                let text = if *after { "cordoned" } else { "uncordoned" };
                vec![(ChangeKind::Node, text.to_owned())]
            }
            (Self::Config { version: before }, Self::Config { version: after }) if before != after => {
                vec![(ChangeKind::Config, "ConfigMap edited".to_owned())]
            }
            _ => Vec::new(),
        }
    }
}

fn workloads(before: &Workload, after: &Workload) -> Vec<(ChangeKind, String)> {
    let mut words = Vec::new();
    let is_one = after.containers.len() == 1;
    for (name, now) in &after.containers {
        let named = |text: String| match is_one {
            true => text,
            false => format!("{name} {text}"),
        };
        let Some(was) = before.containers.get(name) else {
            words.push(format!("container {name} added, image {}", now.image));
            continue;
        };
        if was.image != now.image {
            words.push(named(format!("image {}", images(&was.image, &now.image))));
        }
        let mut amounts: Vec<&String> = was.resources.keys().chain(now.resources.keys()).collect();
        amounts.sort_unstable();
        amounts.dedup();
        for what in amounts {
            let [was, now] = [was, now].map(|one| one.resources.get(what).map_or("none", String::as_str));
            if was != now {
                words.push(named(format!("{what} {was} → {now}")));
            }
        }
    }
    let gone = before
        .containers
        .keys()
        .filter(|name| !after.containers.contains_key(*name));
    words.extend(gone.map(|name| format!("container {name} removed")));
    if before.restarted != after.restarted && !after.restarted.is_empty() {
        words.push("restarted by hand".to_owned());
    }
    if words.is_empty() && before.rest != after.rest {
        words.push("pod template changed".to_owned());
    }
    if let Some(more) = words.len().checked_sub(WORDS_MAX + 1) {
        words.truncate(WORDS_MAX);
        words.push(format!("and {} more", more + 1));
    }
    let mut changes = Vec::new();
    if !words.is_empty() {
        changes.push((ChangeKind::Deploy, words.join(", ")));
    }
    if let (Some(was), Some(now)) = (before.replicas, after.replicas)
        && was != now
    {
        changes.push((ChangeKind::Scale, format!("replicas {was} → {now}")));
    }
    changes
}

/// `shop/web:1.2 → 1.3`; of the second one only what is not the same.
fn images(before: &str, after: &str) -> String {
    // A colon may also stand before a port.
    let split = |image: &'_ str| {
        let at = image
            .rfind(['@', ':'])
            .filter(|at| !image.get(*at..).is_some_and(|rest| rest.contains('/')));
        at.map(|at| {
            (
                image.get(..at).unwrap_or_default().to_owned(),
                image.get(at + 1..).unwrap_or_default().to_owned(),
            )
        })
    };
    match (split(before), split(after)) {
        (Some((was, _)), Some((now, tag))) if was == now => format!("{before} → {tag}"),
        _ => format!("{before} → {after}"),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn web() -> Value {
        json!({
            "metadata": {"name": "web", "generation": 1},
            "spec": {"replicas": 2, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "app", "image": "registry:5000/shop/web:1.2", "env": [{"name": "A", "value": "1"}],
                    "resources": {"limits": {"memory": "512Mi", "cpu": 1}, "requests": {"memory": "256Mi"}}}]}
            }},
            "status": {"readyReplicas": 1}
        })
    }

    fn told(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut after = web();
        change(&mut after);
        let [before, after] = [web(), after].map(|value| workload(&value.to_string()).unwrap());
        after
            .since(&before)
            .into_iter()
            .map(|(kind, text)| format!("{}: {text}", kind.word()))
            .collect()
    }

    const APP: &str = "/spec/template/spec/containers/0";

    #[test]
    fn a_changed_template_is_told_in_words() {
        let image = told(|web| web.pointer_mut(APP).unwrap()["image"] = "registry:5000/shop/web:1.3".into());
        assert_eq!(image, ["deploy: image registry:5000/shop/web:1.2 → 1.3"]);
        let other = told(|web| web.pointer_mut(APP).unwrap()["image"] = "registry:5000/web".into());
        assert_eq!(
            other,
            ["deploy: image registry:5000/shop/web:1.2 → registry:5000/web"]
        );
        let limits = told(|web| {
            let resources = &mut web.pointer_mut(APP).unwrap()["resources"];
            resources["limits"] = json!({"memory": "1Gi", "cpu": 1});
            resources["requests"] = json!({});
        });
        assert_eq!(
            limits,
            ["deploy: limits.memory 512Mi → 1Gi, requests.memory 256Mi → none"]
        );
        let environment = told(|web| web.pointer_mut(APP).unwrap()["env"] = json!([]));
        assert_eq!(environment, ["deploy: pod template changed"]);
        let restarted = told(|web| {
            web["spec"]["template"]["metadata"]["annotations"] = json!({RESTARTED: "2026-11-27T10:00:00Z"});
        });
        assert_eq!(restarted, ["deploy: restarted by hand"]);
        let beside = told(|web| {
            let containers = web.pointer_mut("/spec/template/spec/containers").unwrap();
            containers[0]["image"] = "registry:5000/shop/web:2".into();
            containers
                .as_array_mut()
                .unwrap()
                .push(json!({"name": "proxy", "image": "envoy:1"}));
        });
        assert_eq!(
            beside,
            ["deploy: app image registry:5000/shop/web:1.2 → 2, container proxy added, image envoy:1"]
        );
    }

    #[test]
    fn replicas_are_told_and_status_is_not() {
        assert_eq!(
            told(|web| web["spec"]["replicas"] = 5.into()),
            ["scale: replicas 2 → 5"]
        );
        let quiet = told(|web| {
            web["status"] = json!({"readyReplicas": 2});
            web["metadata"]["generation"] = 9.into();
        });
        assert_eq!(quiet, [""; 0]);
    }

    #[test]
    fn an_autoscaler_a_node_and_a_config_map_say_what_became_of_them() {
        let scaler_of = |desired: i64| {
            let text =
                json!({"spec": {"scaleTargetRef": {"name": "web"}}, "status": {"desiredReplicas": desired}});
            scaler(&text.to_string()).unwrap()
        };
        assert_eq!(
            scaler_of(5).since(&scaler_of(2)),
            [(ChangeKind::Autoscale, "autoscaler wants 2 → 5".to_owned())]
        );
        assert_eq!(scaler_of(2).since(&scaler_of(0)), [], "its first look");
        assert_eq!(scaler_of(2).target(), Some("web"));
        let [open, closed] = ["{}", r#"{"spec":{"unschedulable":true}}"#].map(|text| node(text).unwrap());
        assert_eq!(closed.since(&open), [(ChangeKind::Node, "cordoned".to_owned())]);
        assert_eq!(open.since(&closed), [(ChangeKind::Node, "uncordoned".to_owned())]);
        let map = |version: &str, annotations: &Value| {
            config(&json!({"metadata": {"resourceVersion": version, "annotations": annotations}}).to_string())
        };
        let edited = map("2", &Value::Null)
            .unwrap()
            .since(&map("1", &Value::Null).unwrap());
        assert_eq!(edited, [(ChangeKind::Config, "ConfigMap edited".to_owned())]);
        assert_eq!(map("1", &json!({LEADER: "{}"})), None);
    }
}

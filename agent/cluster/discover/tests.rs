//! Objects as the API has them, and the labels that they come to. `tests/discovery.rs` holds all of them to Prometheus.

use std::collections::HashMap;
use std::sync::Arc;

use model::discovery::{AttachMetadata, TargetGroup};

use super::ingress::covers;
use super::labels::legal;
use super::stock::{Objects, Thing};
use super::world::World;

const ALL: AttachMetadata = AttachMetadata {
    node: true,
    namespace: true,
    deployment: true,
    job: true,
    cronjob: true,
};

/// What the last of these objects comes to.
fn group(objects: &[(&'static str, &str)], attach: AttachMetadata) -> Option<TargetGroup> {
    let mut kinds: HashMap<&'static str, Objects> = HashMap::new();
    for (kind, text) in objects {
        let thing = Arc::new(Thing::read(kind, text).unwrap());
        let meta = thing.meta();
        let key = (meta.namespace.clone(), meta.name.clone());
        kinds.entry(kind).or_default().insert(key, thing);
    }
    let kinds = kinds.into_iter().map(|(kind, objects)| (kind, Arc::new(objects)));
    let world = World::of(kinds.collect(), attach, Vec::new());
    let (kind, text) = objects.last().unwrap();
    world.group(&Thing::read(kind, text).unwrap())
}

const POD: &str = r#"{"metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "labels": {"app.kubernetes.io/name": "web"},
  "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": ""},
  "ownerReferences": [{"kind": "Other", "name": "x"}, {"kind": "ReplicaSet", "name": "web-7d9f", "controller": true}]},
 "spec": {"nodeName": "n1", "containers": [
    {"name": "app", "image": "app:1", "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "TCP"}]},
    {"name": "side", "image": "side:1"}], "initContainers": [{"name": "init", "image": "init:1", "ports": null}]},
 "status": {"phase": "Running", "podIP": "fd00::9", "hostIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}],
  "containerStatuses": [{"name": "app", "containerID": "containerd://1"}]}}"#;
const SET: &str = r#"{"metadata": {"name": "web-7d9f", "namespace": "shop", "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": true}]}}"#;
const NODE: &str = r#"{"metadata": {"name": "n1", "labels": {"zone": "a"}}}"#;
const NAMESPACE: &str = r#"{"metadata": {"name": "shop", "annotations": {"team": "tea"}}}"#;

#[test]
fn a_pod_has_a_target_for_each_port_and_one_for_each_container_without() {
    let group = group(&[("Pod", POD)], AttachMetadata::default()).unwrap();
    assert_eq!(group.source, "pod/shop/web-1");
    let addresses: Vec<&str> = group
        .targets
        .iter()
        .map(|target| target.value("__address__"))
        .collect();
    assert_eq!(addresses, ["[fd00::9]:80", "[fd00::9]:81", "fd00::9", "fd00::9"]);
    let value = |name: &str| {
        group
            .labels
            .value(&format!("__meta_kubernetes_{name}"))
            .to_owned()
    };
    assert_eq!(value("pod_label_app_kubernetes_io_name"), "web");
    assert_eq!(value("pod_labelpresent_app_kubernetes_io_name"), "true");
    assert_eq!(
        (value("pod_annotation_note"), value("pod_annotationpresent_note")),
        (String::new(), "true".to_owned())
    );
    assert_eq!(
        (value("pod_controller_kind"), value("pod_ready")),
        ("ReplicaSet".to_owned(), "true".to_owned())
    );
    assert!(
        !group
            .labels
            .iter()
            .any(|(name, _)| name.contains("last_applied") || name.contains("deployment"))
    );
    let first = group.targets[0].value("__meta_kubernetes_pod_container_id");
    assert_eq!(first, "containerd://1");
    assert_eq!(
        group.targets[3].value("__meta_kubernetes_pod_container_init"),
        "true"
    );
    let starting = POD.replace("fd00::9", "");
    assert!(super::tests::group(&[("Pod", &starting)], AttachMetadata::default()).is_none());
}

#[test]
fn what_is_to_be_attached_comes_from_other_objects() {
    let all = [
        ("ReplicaSet", SET),
        ("Node", NODE),
        ("Namespace", NAMESPACE),
        ("Pod", POD),
    ];
    let labels = group(&all, ALL).unwrap().labels;
    for (name, wanted) in [
        ("pod_deployment_name", "web"),
        ("node_name", "n1"),
        ("node_label_zone", "a"),
        ("namespace_annotation_team", "tea"),
    ] {
        assert_eq!(
            labels.value(&format!("__meta_kubernetes_{name}")),
            wanted,
            "{name}"
        );
    }
    let none = group(&all, AttachMetadata::default()).unwrap().labels;
    assert_eq!(none.value("__meta_kubernetes_node_name"), "");
}

#[test]
fn ports_of_a_pod_that_no_slice_names_are_targets_too() {
    const SLICE: &str = r#"{"metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
      "addressType": "IPv4", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
      "endpoints": [{"addresses": ["10.1.0.9"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-1"}},
        {"addresses": ["10.1.0.10"], "conditions": {}, "nodeName": "n1"}]}"#;
    const SERVICE: &str = r#"{"metadata": {"name": "web", "namespace": "shop", "labels": {"tier": "front"}}, "spec": {"type": "ClusterIP"}}"#;
    let group = group(
        &[("Pod", POD), ("Service", SERVICE), ("EndpointSlice", SLICE)],
        AttachMetadata::default(),
    )
    .unwrap();
    assert_eq!(
        group.labels.value("__meta_kubernetes_service_label_tier"),
        "front"
    );
    let named = group.targets.iter().map(|target| {
        let value = |name: &str| target.value(&format!("__meta_kubernetes_{name}")).to_owned();
        (
            target.value("__address__").to_owned(),
            value("pod_container_port_name"),
            value("endpointslice_port"),
        )
    });
    let named: Vec<(String, String, String)> = named.collect();
    let row = |one: &str, two: &str, three: &str| (one.to_owned(), two.to_owned(), three.to_owned());
    assert_eq!(
        named,
        [
            row("10.1.0.9:80", "http", "80"),
            row("10.1.0.10:80", "", "80"),
            row("[fd00::9]:81", "", "")
        ]
    );
}

#[test]
fn certificates_cover_hosts_and_names_become_legal() {
    assert!(covers("a.example", "a.example") && covers("*.example", "a.example"));
    assert!(!covers("*.example", "b.a.example") && !covers("*.example", "example") && !covers("a.*", "a.b"));
    assert_eq!(legal("app.kubernetes.io/größe-1"), "app_kubernetes_io_gr__e_1");
}

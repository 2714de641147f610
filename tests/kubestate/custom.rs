//! Custom resources as series: what we read without being asked, and what a document tells of, beside a real kube-state-metrics
//! that is given the same documents.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;
use kubernetes_tests::{ControlPlane, KubeState};
use serde_json::{Value, json};

use super::{Families, differences, families};
use crate::harness::{Skopos, long_run, root};

/// Every form of a series, over objects of which any field may be anything.
const FOOS: &str = r#"
    - groupVersionKind: {group: myteam.io, version: v1, kind: Foo}
      commonLabels: {crd_type: foo}
      labelsFromPath: {name: [metadata, name]}
      metrics:
        - {name: uptime, help: Foo uptime, each: {type: Gauge, gauge: {path: [status, uptime]}}}
        - {name: uptime_from, each: {type: gauge, gauge: {path: [status], valueFrom: [uptime]}}}
        - {name: uptime_or_zero, each: {type: Gauge, gauge: {path: [status, uptime], nilIsZero: true}}}
        - {name: second, each: {type: Gauge, gauge: {path: [spec, order, "1", value]}}}
        - {name: last_id, each: {type: Gauge, gauge: {path: [spec, order, "-1", id]}}}
        - {name: found, each: {type: Gauge, gauge: {path: [status, conditions, "[name=b]", value]}}}
        - {name: found_by_number, each: {type: Info, info: {path: [status, conditions, "[value=66]"], labelsFromPath: {which: [name]}}}}
        - {name: found_by_flag, each: {type: Info, info: {path: [spec, order, "[value=true]"], labelsFromPath: {id: [id]}}}}
        - {name: conditions, each: {type: Gauge, gauge: {path: [status, conditions], valueFrom: [value], labelsFromPath: {which: [name]}}}}
        - {name: active, each: {type: Gauge, gauge: {path: [status, active], labelFromKey: type}}}
        - name: ready_count
          help: Number Foo Bars ready
          commonLabels: {custom_metric: "yes"}
          labelsFromPath:
            "*": [metadata, labels]
            "lorem_*": [metadata, annotations]
            "**": [metadata, annotations]
            foo: [metadata, labels, foo]
          each:
            type: Gauge
            gauge: {path: [status, sub], labelFromKey: type, labelsFromPath: {active: [active]}, valueFrom: [ready]}
        - {name: refs_info, each: {type: Info, info: {path: [spec, refs], labelsFromPath: {ref: []}}}}
        - {name: order_info, each: {type: Info, info: {path: [spec, order], labelsFromPath: {all: [], id: [id]}}}}
        - {name: sub_info, each: {type: Info, info: {path: [status, sub], labelFromKey: type, labelsFromPath: {ready: [ready]}}}}
        - {name: version_info, each: {type: Info, info: {labelsFromPath: {version: [spec, version], odd: [spec, odd]}}}}
        - {name: fast_info, each: {type: Info, info: {path: [spec], labelsFromPath: {fast: ["version=v1.2.3"]}}}}
        - {name: phase, each: {type: StateSet, stateSet: {path: [status, phase], labelName: phase, list: [Pending, Running, Gone]}}}
        - {name: kinds, each: {type: StateSet, stateSet: {path: [status, conditions], valueFrom: [name], labelName: kind, labelsFromPath: {value: [value]}, list: [a, b]}}}
    - groupVersionKind: {group: myteam.io, version: v1, kind: Policy}
      metricNamePrefix: kube_myteam
      errorLogV: 10
      labelsFromPath: {foo: [metadata, name], target: [spec, version]}
      metrics:
        - {name: created, each: {type: Gauge, gauge: {path: [metadata, creationTimestamp]}}}
    - groupVersionKind: {group: myteam.io, version: v1, kind: Box}
      metricNamePrefix: ""
      labelsFromPath: {foo: [metadata, name]}
      metrics:
        - {name: kube_plain_refs, each: {type: Gauge, gauge: {path: [spec, replicas]}}}
"#;

fn kind_of(group: &str, version: &str, kind: &str, plural: &str, scope: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"), "annotations": {"api-approved.kubernetes.io": "unapproved"}},
        "spec": {
            "group": group, "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    })
}

/// Anything that a field may hold.
fn anything(rng: &mut Rng) -> Value {
    let texts = [
        "250m",
        "100u",
        "200u",
        "1234m",
        "0.1",
        "1.5Gi",
        "5Gi",
        "262144k",
        "28%",
        "12e6",
        "7m",
        "3n",
        "True",
        "Unknown",
        "no",
        "soon",
        "2022-06-28T00:00:00Z",
        "2022-06-28T10:00:00.75+02:00",
        "2022-06-28",
        "+Inf",
        "1e-3",
        "",
        "0x10",
        "1Ei",
        "-100m",
    ];
    match rng.u8(0..10) {
        0 => json!(rng.bool()),
        1 => json!(rng.i64(-5..1_000_000_000_000)),
        // Of so many digits that every reader comes to the same float.
        2 => json!(
            format!("{}e{}", rng.i64(-100..1_000_000_000), rng.i32(-12..12))
                .parse::<f64>()
                .unwrap()
        ),
        3 => json!({"a": rng.u8(..), "b": {"c": "d", "e": [1, "x"]}}),
        4 => json!([1.5, "two", null]),
        _ => json!(texts[rng.usize(..texts.len())]),
    }
}

fn foo(rng: &mut Rng, nth: usize) -> Value {
    let some = |rng: &mut Rng| match rng.u8(0..4) {
        0 => Value::Null,
        _ => anything(rng),
    };
    let mut status = json!({
        "uptime": some(rng),
        "phase": (["Pending", "Running", "Gone", "Other"][rng.usize(..4)]),
        "active": {"type-a": some(rng), "type-b": some(rng)},
        "sub": {"type-a": {"active": some(rng), "ready": some(rng)}, "type-b": {"active": 3, "ready": rng.u8(..)}},
        "conditions": [{"name": "a", "value": some(rng)}, {"name": "b", "value": 66}, {"name": some(rng), "value": some(rng)}],
    });
    if rng.u8(0..5) == 0 {
        status = json!({});
    }
    json!({
        "apiVersion": "myteam.io/v1", "kind": "Foo",
        "metadata": {
            "name": format!("foo-{nth}"), "namespace": "shop",
            "labels": {"foo": format!("bar-{nth}"), "a.b/c-d": "x"},
            "annotations": {"bar": "baz", "quxQuux": "quxx \"quoted\""},
        },
        "spec": {
            "version": (["v1.2.3", "v2"][rng.usize(..2)]),
            "odd": some(rng),
            "order": [{"id": 1, "value": rng.bool()}, {"id": 3, "value": some(rng)}],
            "replicas": rng.u8(..),
            "refs": ["my_other_foo", some(rng), "foo_with_extensions"],
        },
        "status": status,
    })
}

/// What Karpenter, VPA and cert-manager write.
fn known() -> Vec<Value> {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": kind, "lastTransitionTime": "2026-11-28T05:00:00Z"});
    vec![
        json!({"apiVersion": "myteam.io/v1", "kind": "Policy", "metadata": {"name": "first", "namespace": "shop"}, "spec": {"version": "v1"}}),
        json!({"apiVersion": "myteam.io/v1", "kind": "Box", "metadata": {"name": "wide"}, "spec": {"replicas": 3}}),
        json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "general"},
            "spec": {"weight": 10, "limits": {"cpu": "100", "memory": "400Gi"}, "template": {"spec": {"nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}}}},
            "status": {"resources": {"cpu": "96", "memory": "390000Mi", "pods": "1160", "ephemeral-storage": "1200Gi"}, "conditions": [condition("Ready", "True"), condition("NodeClassReady", "Unknown")]}}),
        json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "bare"}, "spec": {"template": {}}}),
        json!({"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": {"name": "general-abcde", "labels": {"karpenter.sh/nodepool": "general", "karpenter.sh/capacity-type": "spot", "node.kubernetes.io/instance-type": "m7g.large", "topology.kubernetes.io/zone": "eu-central-1a"}},
            "spec": {}, "status": {"nodeName": "ip-10-0-1-2", "providerID": "aws:///eu-central-1a/i-0abc", "conditions": [condition("Launched", "True"), condition("Registered", "False")]}}),
        json!({"apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "updatePolicy": {"updateMode": "Off"}},
            "status": {"recommendation": {"containerRecommendations": [
                {"containerName": "app", "target": {"cpu": "25m", "memory": "262144k"}, "lowerBound": {"cpu": "10m", "memory": "131072k"}, "upperBound": {"cpu": "1", "memory": "1Gi"}},
                {"containerName": "side", "target": {"cpu": "11m"}}]}}}),
        json!({"apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler", "metadata": {"name": "new", "namespace": "shop"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}}}),
        json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "shop-tls", "namespace": "shop"},
            "spec": {"secretName": "shop-tls", "issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"}, "dnsNames": ["shop.example"]},
            "status": {"notAfter": "2027-02-01T00:00:00Z", "renewalTime": "2027-01-02T00:00:00Z", "conditions": [condition("Ready", "True")]}}),
        json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "late", "namespace": "shop"},
            "spec": {"secretName": "late"}, "status": {"conditions": [condition("Ready", "False"), condition("Issuing", "True")]}}),
    ]
}

/// Without what they say twice with different values: no Prometheus takes that, and we keep the first.
fn once(ours: &mut Families, theirs: &mut Families) {
    for (name, samples) in theirs {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let series = |sample: &String| sample.rsplit_once(' ').unwrap().0.to_owned();
        for sample in samples.iter() {
            *counts.entry(series(sample)).or_default() += 1;
        }
        let is_once = |sample: &String| counts.get(&series(sample)).is_none_or(|count| *count == 1);
        samples.retain(is_once);
        if let Some(samples) = ours.get_mut(name) {
            samples.retain(is_once);
        }
    }
}

fn create(plane: &ControlPlane, objects: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    plane.kubectl_reading(&["create", "--validate=false", "-o", "name", "-f", "-"], &list);
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_are_told_of_as_kube_state_metrics_does_by_the_same_document() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    plane.namespace("shop");
    create(
        &plane,
        &[
            kind_of("myteam.io", "v1", "Foo", "foos", "Namespaced"),
            kind_of("myteam.io", "v1", "Policy", "policies", "Namespaced"),
            kind_of("myteam.io", "v1", "Box", "boxes", "Cluster"),
            kind_of("karpenter.sh", "v1", "NodePool", "nodepools", "Cluster"),
            kind_of("karpenter.sh", "v1", "NodeClaim", "nodeclaims", "Cluster"),
            kind_of(
                "autoscaling.k8s.io",
                "v1",
                "VerticalPodAutoscaler",
                "verticalpodautoscalers",
                "Namespaced",
            ),
            kind_of(
                "cert-manager.io",
                "v1",
                "Certificate",
                "certificates",
                "Namespaced",
            ),
        ],
    );
    plane.kubectl(&[
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "crd",
        "--all",
    ]);
    let given = std::env::var("SKOPOS_TEST_SEED");
    let seed = match given.ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed,
        None if long_run() => fastrand::u64(2..1_000_000),
        None => 1,
    };
    let mut rng = Rng::with_seed(seed);
    let count = if long_run() { 400 } else { 60 };
    let foos: Vec<Value> = (0..count).map(|nth| foo(&mut rng, nth)).collect();
    foos.chunks(60).for_each(|chunk| create(&plane, chunk));
    create(&plane, &known());

    let folder = tempfile::tempdir().unwrap();
    let ready = std::fs::read_to_string(root().join("agent/kubestate/custom/ready.yaml")).unwrap();
    let theirs_file = folder.path().join("custom.yaml");
    std::fs::write(&theirs_file, format!("{ready}{FOOS}")).unwrap();
    let option = format!("--custom-resource-state-config-file={}", theirs_file.display());
    let Some(theirs) = KubeState::start(&plane, &[&option, "--custom-resource-state-only=true"]) else {
        return;
    };
    let mut told = String::new();
    for line in FOOS.lines() {
        writeln!(told, "  {line}").unwrap();
    }
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\nkubernetes: {{ kubeconfig: '{}' }}\nkube_state:\n  interval: 1s\n  \
         resources: [nodepools, nodeclaims, verticalpodautoscalers, certificates]\n  custom_resource_state:\n    \
         kind: CustomResourceStateMetrics\n    spec:\n      resources:\n{told}",
        plane.kubeconfig().display(),
    );
    let skopos = Skopos::start(folder.path(), &config);
    let (mut lines, mut series) = (Vec::new(), 0);
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let ours = reqwest::get(skopos.url("/metrics/kube-state")).await.unwrap();
        let (mut ours, mut theirs) = (families(&ours.text().await.unwrap()), families(&theirs.metrics()));
        once(&mut ours, &mut theirs);
        series = ours.values().map(BTreeSet::len).sum::<usize>();
        lines = differences(&ours, &theirs);
        if lines.is_empty() && ours.len() >= 32 {
            println!(
                "seed {seed}: {count} objects, {} families and {series} series alike",
                ours.len()
            );
            break;
        }
    }
    let shown = lines.iter().take(60).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        lines.is_empty(),
        "seed {seed}: {} samples of {series} differ\n{shown}",
        lines.len()
    );
    // What is no number is said, and one that goes has no series.
    skopos
        .wait_for(
            "what is no number is counted",
            Duration::from_secs(60),
            async |skopos| {
                let unread = "sum(skopos_kubestate_values_unread_total{resource='foos'}) > 0";
                skopos.value(unread).await.is_some()
            },
        )
        .await;
    plane.kubectl(&["delete", "nodeclaim", "general-abcde"]);
    skopos
        .wait_for("the claim is gone", Duration::from_secs(30), async |skopos| {
            skopos
                .value("kube_customresource_karpenter_nodeclaim_info")
                .await
                .is_none()
        })
        .await;
    skopos.assert_accounts().await;
    assert_eq!(skopos.stop().await, 0);
}

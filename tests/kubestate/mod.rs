//! The state of objects as series, beside a real kube-state-metrics over the same API server.

mod custom;
mod figures;
mod zoo;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kubernetes_tests::{ControlPlane, KubeState};
use serde_json::{Value, json};

use crate::harness::{Skopos, long_run, root};
use zoo::Zoo;

const RESOURCES: &str = "configmaps,cronjobs,daemonsets,deployments,endpoints,endpointslices,horizontalpodautoscalers,ingresses,jobs,leases,\
                         limitranges,namespaces,networkpolicies,nodes,persistentvolumeclaims,persistentvolumes,poddisruptionbudgets,pods,\
                         replicasets,replicationcontrollers,resourcequotas,serviceaccounts,services,statefulsets,storageclasses,volumeattachments";

/// Creates all of them, and then gives them their status.
fn populate(plane: &ControlPlane, objects: &[Value]) {
    // Namespaces come first in it.
    for chunk in objects.chunks(60) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": chunk}).to_string();
        plane.kubectl_reading(&["create", "--validate=false", "-o", "name", "-f", "-"], &list);
    }
    let with_status: Vec<&Value> = objects
        .iter()
        .filter(|object| {
            object["status"]
                .as_object()
                .is_some_and(|status| !status.is_empty())
        })
        .collect();
    for chunk in with_status.chunks(60) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": chunk}).to_string();
        let words = [
            "replace",
            "--subresource=status",
            "--validate=false",
            "-o",
            "name",
            "-f",
            "-",
        ];
        plane.kubectl_reading(&words, &list);
    }
}

type Families = BTreeMap<String, BTreeSet<String>>;

/// Every sample as text with its labels in order and without those that are empty or say who was asked.
fn families(text: &str) -> Families {
    let mut families = Families::new();
    for line in text.lines().filter(|line| line.starts_with("kube_")) {
        let (series, value) = match line.rfind('}') {
            Some(end) => line.split_at(end + 1),
            None => line.split_at(line.find(' ').unwrap()),
        };
        let value: f64 = value.split_whitespace().next().unwrap().parse().unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut rest = labels.strip_suffix('}').unwrap();
        while !rest.is_empty() {
            let (key, after) = rest.split_once("=\"").unwrap();
            let mut end = 0;
            let bytes = after.as_bytes();
            while bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            pairs.push((key.to_owned(), after[..end].to_owned()));
            rest = after[end + 1..].trim_start_matches(',');
        }
        pairs.retain(|(key, value)| !value.is_empty() && key != "job" && key != "instance");
        pairs.sort();
        let labels: Vec<String> = pairs
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        let sample = format!("{name}{{{}}} {value}", labels.join(","));
        families.entry(name.to_owned()).or_default().insert(sample);
    }
    families
}

/// Families that are meant to differ, with the reason.
fn intended() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("tests/kubestate/differences.txt")).unwrap();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (family, why) = line.split_once(": ").unwrap();
            (family.to_owned(), why.to_owned())
        })
        .collect()
}

/// What differs, a line each.
fn differences(ours: &Families, theirs: &Families) -> Vec<String> {
    let intended = intended();
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let none = BTreeSet::new();
    let mut lines = Vec::new();
    for name in names.into_iter().filter(|name| !intended.contains_key(*name)) {
        let (ours, theirs) = (ours.get(name).unwrap_or(&none), theirs.get(name).unwrap_or(&none));
        lines.extend(ours.difference(theirs).map(|line| format!("only ours:   {line}")));
        lines.extend(theirs.difference(ours).map(|line| format!("only theirs: {line}")));
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn every_family_of_a_zoo_of_objects_is_what_kube_state_metrics_says() {
    let seeds: u64 = if long_run() { 5 } else { 1 };
    for seed in 0..seeds {
        let seed = match seed {
            0 => 1,
            _ => fastrand::u64(2..1_000_000),
        };
        let Some(plane) = ControlPlane::start() else {
            return;
        };
        let zoo = Zoo::new(seed);
        assert!(zoo.objects.len() >= 300, "{}", zoo.objects.len());
        populate(&plane, &zoo.objects);
        let resources = format!("--resources={RESOURCES}");
        let options = [
            resources.as_str(),
            "--metric-labels-allowlist=pods=[*],nodes=[*],deployments=[app,team*],persistentvolumeclaims=[*],services=[app*]",
            "--metric-annotations-allowlist=namespaces=[*],pods=[note]",
        ];
        let Some(theirs) = KubeState::start(&plane, &options) else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\nkubernetes: {{ kubeconfig: '{}' }}\nkube_state:\n  interval: 1s\n  resources: [{RESOURCES}]\n  \
             labels: {{ pods: ['*'], nodes: ['*'], deployments: [app, 'team*'], persistentvolumeclaims: ['*'], services: ['app*'] }}\n  \
             annotations: {{ namespaces: ['*'], pods: [note] }}\n",
            plane.kubeconfig().display(),
        );
        let skopos = Skopos::start(folder.path(), &config);
        let compare = async || {
            let ours = reqwest::get(skopos.url("/metrics/kube-state"))
                .await
                .unwrap()
                .text()
                .await
                .unwrap();
            let (ours, theirs) = (families(&ours), families(&theirs.metrics()));
            let count = |families: &Families| families.values().map(BTreeSet::len).sum::<usize>();
            (differences(&ours, &theirs), ours.len(), count(&ours))
        };
        let (mut lines, mut counts) = (Vec::new(), (0, 0));
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let (now, families, series) = compare().await;
            (lines, counts) = (now, (families, series));
            if lines.is_empty() && families > 100 {
                break;
            }
        }
        let shown = lines.iter().take(60).cloned().collect::<Vec<_>>().join("\n");
        assert!(
            lines.is_empty(),
            "seed {seed}: {} samples differ\n{shown}",
            lines.len()
        );
        println!(
            "seed {seed}: {} objects, {} families and {} series alike",
            zoo.objects.len(),
            counts.0,
            counts.1
        );
        // What is changed and deleted is told alike, too.
        plane.kubectl(&["scale", "deployment", "deployment-1", "-n", "pay", "--replicas=7"]);
        plane.kubectl(&[
            "delete",
            "pod",
            "pod-0",
            "-n",
            "shop",
            "--force",
            "--grace-period=0",
        ]);
        plane.kubectl(&["label", "node", "node-3", "fresh=yes"]);
        for attempt in 0.. {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let (lines, ..) = compare().await;
            if lines.is_empty() {
                break;
            }
            assert!(attempt < 40, "{lines:?}");
        }
        let pod = skopos
            .value("count(kube_pod_info{pod='pod-0', namespace='shop'})")
            .await;
        assert_eq!(pod, None, "a pod that is gone has no series");
        skopos.assert_accounts().await;
        assert_eq!(skopos.stop().await, 0);
    }
}

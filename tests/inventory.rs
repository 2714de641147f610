//! The views of a cluster, over objects of a real API server: every column holds what the objects and their samples say, and people
//! who open them on a desk or a phone see all of it.

use std::time::Duration;

use kubernetes_tests::ControlPlane;
use serde_json::{Value, json};

use crate::fakes::peer::{Answer, Peer};
use crate::harness::Skopos;
use crate::harness::browser::Browser;

const OBJECTS: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/zone: eu-central-1a, node.kubernetes.io/instance-type: m7g.large}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: 'lab.local/web:1'}]}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-7d9f, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}]}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: 'lab.local/web:1'}]}}
";

fn pod(name: &str, container: Value, ready: &str) -> (Value, Value) {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d9f", "uid": "r", "controller": true});
    let resources = json!({"requests": {"cpu": "500m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}, "ownerReferences": [owner]},
        "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "lab.local/web:1", "resources": resources}]},
    });
    let status = json!({"status": {
        "phase": "Running", "podIP": "10.0.0.7",
        "conditions": [{"type": "Ready", "status": ready}],
        "containerStatuses": [container],
    }});
    (pod, status)
}

/// What a node's agent and its kubelet would say; counters that stand still.
fn samples() -> String {
    let mut text = String::new();
    for (pod, mib) in [("web-7d9f-a", 48), ("web-7d9f-b", 120)] {
        let bytes = mib * 1024 * 1024;
        let of = format!("namespace=\"shop\",pod=\"{pod}\",container=\"app\"");
        text += &format!(
            "container_memory_working_set_bytes{{{of}}} {bytes}\ncontainer_cpu_usage_seconds_total{{{of}}} 7\n"
        );
    }
    // A kill, as an agent tells of it.
    let killed = "namespace=\"shop\",pod=\"web-7d9f-b\",container=\"app\",process=\"java\",node=\"n1\"";
    let at = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    for (name, value) in [
        ("timestamp_seconds", at),
        ("usage_bytes", 134_217_728.0),
        ("limit_bytes", 134_217_728.0),
        ("pid", 412.0),
    ] {
        text += &format!("skopos_oom_last_kill_{name}{{{killed}}} {value}\n");
    }
    text += "kube_summary_pod_ephemeral_storage_used_bytes{namespace=\"shop\",pod=\"web-7d9f-b\"} 7340032\n\
             node_nf_conntrack_entries{node=\"n1\"} 52428\nnode_nf_conntrack_entries_limit{node=\"n1\"} 131072\n";
    text + "node_memory_MemTotal_bytes{node=\"n1\"} 8589934592\nnode_memory_MemAvailable_bytes{node=\"n1\"} 6442450944\n\
            node_cpu_seconds_total{node=\"n1\",cpu=\"0\",mode=\"user\"} 5\n\
            node_filesystem_size_bytes{node=\"n1\",mountpoint=\"/\",device=\"/dev/a\",fstype=\"xfs\"} 1000\n\
            node_filesystem_avail_bytes{node=\"n1\",mountpoint=\"/\",device=\"/dev/a\",fstype=\"xfs\"} 130\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_of_a_cluster_say_what_its_objects_and_samples_say() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    plane.apply(OBJECTS);
    let node = json!({"status": {
        "allocatable": {"cpu": "2", "memory": "7Gi", "pods": "29"}, "capacity": {"cpu": "2", "memory": "8Gi", "pods": "29"},
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}],
        "nodeInfo": {"kubeletVersion": "v1.33.5-eks-1", "architecture": "arm64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
            "kubeProxyVersion": "", "machineID": "", "operatingSystem": "linux", "osImage": "", "systemUUID": ""},
    }});
    let patch = |kind: &str, name: &str, namespace: &[&str], status: &Value| {
        let words = [
            "patch",
            kind,
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status.to_string(),
        ];
        plane.kubectl(&[&words[..], namespace].concat());
    };
    patch("node", "n1", &[], &node);
    patch(
        "deployment",
        "web",
        &["-n", "shop"],
        &json!({"status": {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 2}}),
    );
    let running = json!({"name": "app", "ready": true, "restartCount": 0, "image": "lab.local/web:1", "imageID": "i", "containerID": "c://1",
        "state": {"running": {"startedAt": "2026-11-28T05:00:00Z"}}});
    let looping = json!({"name": "app", "ready": false, "restartCount": 7, "image": "lab.local/web:1", "imageID": "i", "containerID": "c://2",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": "2026-11-28T05:00:00Z", "finishedAt": "2026-11-28T05:01:00Z"}}});
    for (name, container, ready) in [("web-7d9f-a", running, "True"), ("web-7d9f-b", looping, "False")] {
        let (object, status) = pod(name, container, ready);
        plane.apply(&object.to_string());
        patch("pod", name, &["-n", "shop"], &status);
    }
    let exporter = Peer::start(Answer::Body(samples())).await;
    let folder = tempfile::tempdir().unwrap();
    let uid = plane.kubectl(&[
        "get",
        "pod",
        "web-7d9f-b",
        "-n",
        "shop",
        "-o",
        "jsonpath={.metadata.uid}",
    ]);
    let lines = folder.path().join(format!("pods/shop_web-7d9f-b_{uid}/app"));
    std::fs::create_dir_all(&lines).unwrap();
    let now = jiff::Timestamp::now();
    let line = |nth: i64| {
        let at = now - jiff::SignedDuration::from_secs(600 - 10 * nth);
        let words = ["INFO order taken", "WARN slow answer", "ERROR no heap left"];
        format!("{at} stdout F {} {nth}\n", words[nth as usize % 7 % 3])
    };
    std::fs::write(lines.join("0.log"), (0..55).map(line).collect::<String>()).unwrap();
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ files: [], containers: '{}', read_from: beginning }}\nkubernetes: {{ kubeconfig: '{}', node_name: n1 }}\nkube_state: {{ interval: 1s }}\n\
         scrape_configs: [{{ job_name: node, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{{ targets: ['{}'] }}] }}]\n",
        folder.path().join("pods").display(),
        plane.kubeconfig().display(),
        exporter.address,
    );
    let skopos = Skopos::start_in(folder.path(), &config, &[("SKOPOS_LOG", "debug")]);
    skopos
        .wait_for(
            "objects and samples are known",
            Duration::from_secs(60),
            async |skopos| {
                let pods = skopos
                    .value("count(kube_pod_container_status_waiting_reason)")
                    .await;
                let rates = skopos
                    .value("count(rate(container_cpu_usage_seconds_total[5m]))")
                    .await;
                pods.is_some() && rates == Some(2.0)
            },
        )
        .await;
    // What the kernel ended becomes a record and a change.
    skopos
        .wait_for("the kill is told", Duration::from_secs(60), async |skopos| {
            let page = skopos.page("/pods/shop/web-7d9f-b").await;
            page.contains("for want of memory") && page.contains("no heap left")
        })
        .await;
    for (view, wanted) in VIEWS {
        let page = skopos.page(view).await;
        println!("{view}: {page}\n");
        for words in *wanted {
            assert!(page.contains(words), "{view} does not say {words:?}:\n{page}");
        }
    }
    let log = skopos.log();
    assert!(!log.contains("a column of the page's tables is empty"), "{log}");
    look(&skopos).await;
    assert_eq!(skopos.stop().await, 0);
}

/// Each view, and what has to stand on it.
const VIEWS: &[(&str, &[&str])] = &[
    ("/workloads", &["web", "Deployment", "shop", "1/2"]),
    ("/workloads?ns=shop&sort=-memory", &["web"]),
    ("/workloads/shop/web", &["web-7d9f-a", "web-7d9f-b"]),
    (
        "/pods/shop/web-7d9f-b",
        &[
            "CrashLoopBackOff",
            "OOMKilled",
            "137",
            "n1",
            "lab.local/web:1",
            "Files on its node",
            "Log lines",
            "the kernel ended java (process 412) of container app for want of memory: 128 MiB of 128 MiB were in use",
        ],
    ),
    ("/pods/shop/web-7d9f-a", &["web-7d9f-a"]),
    ("/nodes", &["n1", "eu-central-1a", "m7g.large", "87"]),
    (
        "/nodes/n1",
        &[
            "web-7d9f-a",
            "web-7d9f-b",
            "connections followed by the kernel",
            "52,428",
            "131,072",
            "40",
        ],
    ),
    ("/changes", &["web-7d9f-b", "ran out of memory"]),
    (
        "/",
        &[
            "1 of 1 ready",
            "a disk of n1 at 87",
            "0 of 1 have their pods",
            "1 of 2 pods ready",
            "Top talkers",
            "168",
        ],
    ),
];

/// The pointer over the lane of states: what there is then is said beside the lane of lines.
const CURSOR: &str = "
    const drawn = document.querySelector('.lanes .drawn'), lines = document.querySelector('[data-at-cursor]');
    const box = drawn.getBoundingClientRect();
    drawn.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: box.right - 1, clientY: box.top + 1 }));
    return !!document.querySelector('.lanes').dataset.at && lines.textContent.includes(' in ');
";

async fn look(skopos: &Skopos) {
    let Some(browser) = Browser::start("light").await else {
        return;
    };
    let views: Vec<&str> = VIEWS.iter().map(|(view, _)| *view).collect();
    let cursor = async |view: &str| {
        if view.ends_with("web-7d9f-b") {
            browser
                .wait_for("the cursor goes through lanes that have no graph", CURSOR)
                .await;
        }
    };
    browser.survey(skopos, "cluster", &views, cursor).await;
}

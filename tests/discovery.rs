//! Targets among the objects of a real API server: the same as a real Prometheus finds, label by label.

use std::collections::BTreeSet;
use std::time::Duration;

use kubernetes_tests::ControlPlane;
use serde_json::{Map, Value};

use crate::harness::Skopos;
use crate::harness::components::{Prometheus, find_kept};

/// Two nodes, a namespace, pods of all sorts, what stands before them.
const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: tea}, annotations: {note: 'of the shop'}}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/zone: eu-west-1a, empty: ''}, annotations: {odd/key.x: 'größe'}}
spec: {providerID: 'aws:///eu-west-1a/i-1'}
---
apiVersion: v1
kind: Node
metadata: {name: n2, labels: {topology.kubernetes.io/zone: eu-west-1b}}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  namespace: shop
  labels: {app.kubernetes.io/name: web, tier: front}
  annotations: {prometheus.io/port: '8080', empty: ''}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-7d9f, uid: r, controller: true}]
spec:
  nodeName: n1
  initContainers:
  - {name: before, image: 'lab.local/before:1'}
  - {name: beside, image: 'lab.local/beside:1', restartPolicy: Always, ports: [{containerPort: 9102, name: side}]}
  containers:
  - {name: app, image: 'lab.local/app:1', ports: [{containerPort: 8080, name: http}, {containerPort: 53, protocol: UDP}, {containerPort: 9090}]}
  - {name: quiet, image: 'lab.local/quiet:1'}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, namespace: shop, labels: {app.kubernetes.io/name: web, tier: front}}
spec:
  nodeName: n2
  hostNetwork: true
  containers: [{name: app, image: 'lab.local/app:2', ports: [{containerPort: 8080, name: http}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: waiting, namespace: shop}
spec: {containers: [{name: app, image: 'lab.local/app:1', ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: default, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: nightly-1, uid: j, controller: true}]}
spec: {nodeName: n2, containers: [{name: work, image: 'lab.local/work:1'}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {tier: front}, annotations: {owner: 'tea & co'}}
spec: {selector: {app.kubernetes.io/name: web}, ports: [{name: http, port: 80, targetPort: http}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: shop}
spec: {type: ExternalName, externalName: db.example, ports: [{port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: default}
spec: {type: LoadBalancer, loadBalancerIP: 192.0.2.7, ports: [{name: https, port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: default}
spec: {clusterIP: None}
---
apiVersion: v1
kind: Endpoints
metadata: {name: web, namespace: shop, labels: {tier: front}, annotations: {by: hand}}
subsets:
- addresses:
  - {ip: 10.1.0.9, nodeName: n1, hostname: web-1, targetRef: {kind: Pod, namespace: shop, name: web-1}}
  - {ip: 10.1.0.77, targetRef: {kind: Node, name: n2}}
  notReadyAddresses:
  - {ip: 10.0.0.2, nodeName: n2, targetRef: {kind: Pod, namespace: shop, name: web-2}}
  - {ip: 10.1.0.78, targetRef: {kind: Pod, namespace: shop, name: never-there}}
  ports: [{name: http, port: 8080}, {name: other, port: 9999, protocol: UDP}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: alone, namespace: default}
subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{port: 443}]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-abc, namespace: shop, labels: {kubernetes.io/service-name: web}, annotations: {by: hand}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.9], conditions: {ready: true, serving: true, terminating: false}, hostname: web-1, nodeName: n1, zone: eu-west-1a,
   targetRef: {kind: Pod, namespace: shop, name: web-1}}
- {addresses: [10.0.0.2], conditions: {ready: false}, nodeName: n2, targetRef: {kind: Pod, namespace: shop, name: web-2},
   deprecatedTopology: {rack/no: '7'}}
- {addresses: [10.1.0.77], conditions: {}, targetRef: {kind: Node, name: n2}}
ports: [{name: http, port: 8080, appProtocol: 'kubernetes.io/h2c'}, {name: '', port: 9090, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: six, namespace: default, labels: {kubernetes.io/service-name: not-there}}
addressType: IPv6
endpoints: [{addresses: ['fd00::9']}]
ports: [{port: 443}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front, namespace: shop, labels: {tier: front}}
spec:
  ingressClassName: alb
  tls: [{hosts: ['*.shop.example', plain.example]}]
  rules:
  - {host: www.shop.example, http: {paths: [{path: /a, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}},
     {pathType: ImplementationSpecific, backend: {service: {name: web, port: {number: 80}}}}]}}
  - {host: a.b.shop.example}
  - {host: plain.example, http: {paths: [{path: /, pathType: Exact, backend: {service: {name: web, port: {number: 80}}}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: bare, namespace: default}
spec: {rules: [{host: bare.example}]}
"#;

/// A section each; all of their targets are dropped, as Prometheus shows those one by one.
const SECTIONS: [(&str, &str); 15] = [
    ("pods", "role: pod"),
    (
        "pods-of-shop",
        "role: pod, namespaces: {names: [shop]}, attach_metadata: {node: true}",
    ),
    ("pods-of-two", "role: pod, namespaces: {names: [shop, default]}"),
    (
        "pods-chosen",
        "role: pod, selectors: [{role: pod, label: 'tier in (front)', field: spec.nodeName=n1}]",
    ),
    ("nodes", "role: node"),
    (
        "nodes-chosen",
        "role: node, selectors: [{role: node, label: topology.kubernetes.io/zone=eu-west-1b}]",
    ),
    ("services", "role: service"),
    (
        "services-of-default",
        "role: service, namespaces: {names: [default]}",
    ),
    ("endpoints", "role: endpoints"),
    (
        "endpoints-attached",
        "role: endpoints, attach_metadata: {node: true}",
    ),
    (
        "endpoints-chosen",
        "role: endpoints, selectors: [{role: pod, label: tier=none}, {role: endpoints, label: tier=front}]",
    ),
    ("slices", "role: endpointslice"),
    (
        "slices-attached",
        "role: endpointslice, attach_metadata: {node: true}, namespaces: {names: [shop]}",
    ),
    ("ingresses", "role: ingress"),
    (
        "ingresses-chosen",
        "role: ingress, selectors: [{role: ingress, field: metadata.name=front}]",
    ),
];

fn sections(more: &str) -> String {
    let section = |(job, keys): &(&str, &str)| {
        format!(
            "- job_name: {job}\n  kubernetes_sd_configs: [{{{keys}{more}}}]\n  relabel_configs: [{{action: drop}}]\n"
        )
    };
    // One that is scraped, so that rules meet what was found.
    let scraped = format!(
        "- job_name: scraped\n  kubernetes_sd_configs: [{{role: service{more}}}]\n  relabel_configs:\n  \
         - {{regex: '__meta_kubernetes_service_label_(.+)', action: labelmap}}\n  \
         - {{source_labels: [__meta_kubernetes_namespace], target_label: namespace}}\n  \
         - {{source_labels: [__meta_kubernetes_service_name], regex: front, action: drop}}\n"
    );
    format!(
        "scrape_configs:\n{}{scraped}",
        SECTIONS.iter().map(section).collect::<String>()
    )
}

/// What the two do not both say: a label that the newer has, and the one that is left out on purpose.
fn is_compared(name: &str) -> bool {
    !name.starts_with("__meta_kubernetes_node_condition_") && !name.contains("last_applied_configuration")
}

fn labels(of: &Value) -> String {
    let all = of.as_object().cloned().unwrap_or_default();
    let compared: Map<String, Value> = all.into_iter().filter(|(name, _)| is_compared(name)).collect();
    Value::Object(compared).to_string()
}

fn targets(data: &Value) -> BTreeSet<String> {
    let list = |key: &str| data[key].as_array().cloned().unwrap_or_default();
    let is_ours = |target: &Value| target["scrapePool"] != "skopos";
    let active = list("activeTargets").into_iter().filter(is_ours);
    let active = active.map(|target| {
        let found = labels(&target["discoveredLabels"]);
        format!("{} {} {found}", target["scrapePool"], labels(&target["labels"]))
    });
    let dropped = list("droppedTargets").into_iter().filter(is_ours);
    let dropped =
        dropped.map(|target| format!("{} {}", target["scrapePool"], labels(&target["discoveredLabels"])));
    active.chain(dropped).collect()
}

/// As its kubelet would say.
fn runs(plane: &ControlPlane, namespace: &str, pod: &str, status: &str) {
    let patch = format!("{{\"status\":{status}}}");
    plane.kubectl(&[
        "-n",
        namespace,
        "patch",
        "pod",
        pod,
        "--subresource=status",
        "-p",
        &patch,
    ]);
}

async fn agree(
    what: &str,
    prometheus: &Prometheus,
    skopos: &Skopos,
    holds: impl Fn(&BTreeSet<String>) -> bool,
) {
    let mut both = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..80 {
        let theirs: Value = serde_json::from_str(&prometheus.get("/api/v1/targets")).unwrap();
        both = (
            targets(&theirs["data"]),
            targets(&skopos.api("/api/v1/targets").await),
        );
        if both.0 == both.1 && holds(&both.0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (theirs, ours) = both;
    let only =
        |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    panic!(
        "{what}: {} of theirs\nonly theirs: {:#?}\nonly ours: {:#?}\n{}",
        theirs.len(),
        only(&theirs, &ours),
        only(&ours, &theirs),
        skopos.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_targets_are_found_among_objects_as_a_prometheus_finds() {
    let (Some(program), Some(plane)) = (find_kept("prometheus"), ControlPlane::start()) else {
        return;
    };
    let whole = |text: &str| plane.apply(text);
    // A namespace has to be there before what lies in it.
    let (first, rest) = OBJECTS.split_once("---\n").unwrap();
    whole(first);
    whole(rest);
    for (node, status) in [
        (
            "n1",
            r#"{"addresses":[{"type":"Hostname","address":"n1.example"},{"type":"InternalIP","address":"10.0.0.1"},{"type":"InternalIP","address":"fd00::1"},{"type":"ExternalDNS","address":"n1.out.example"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"conditions":[{"type":"Ready","status":"True"}]}"#,
        ),
        (
            "n2",
            r#"{"addresses":[{"type":"Hostname","address":"n2.example"}]}"#,
        ),
    ] {
        let patch = format!("{{\"status\":{status}}}");
        plane.kubectl(&["patch", "node", node, "--subresource=status", "-p", &patch]);
    }
    runs(
        &plane,
        "shop",
        "web-1",
        r#"{"phase":"Running","hostIP":"10.0.0.1","podIP":"10.1.0.9","podIPs":[{"ip":"10.1.0.9"}],"conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"app","containerID":"containerd://a1","image":"a","imageID":"","ready":true,"restartCount":0}],"initContainerStatuses":[{"name":"beside","containerID":"containerd://b1","image":"b","imageID":"","ready":true,"restartCount":0}]}"#,
    );
    runs(
        &plane,
        "shop",
        "web-2",
        r#"{"phase":"Running","hostIP":"10.0.0.2","podIP":"10.0.0.2","podIPs":[{"ip":"10.0.0.2"}],"conditions":[{"type":"Ready","status":"False"}]}"#,
    );
    runs(
        &plane,
        "default",
        "done",
        r#"{"phase":"Succeeded","podIP":"10.1.0.11","podIPs":[{"ip":"10.1.0.11"}]}"#,
    );
    // Some that come and go by themselves.
    if plane.fake_nodes(2).is_some() {
        plane.fake_pods(12);
    }

    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kubeconfig = plane.kubeconfig().display().to_string();
    let theirs = sections(&format!(", kubeconfig_file: '{kubeconfig}'"));
    let prometheus = Prometheus::start(
        &program,
        data.path(),
        &format!("global: {{scrape_interval: 15s}}\n{theirs}"),
        &[],
    );
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ enabled: false }}\nkubernetes: {{ kubeconfig: '{kubeconfig}', node_name: n1 }}\n{}",
        sections("")
    );
    let skopos = Skopos::start(folder.path(), &config);
    agree("at first", &prometheus, &skopos, |all| {
        SECTIONS
            .iter()
            .all(|(job, _)| all.iter().any(|line| line.starts_with(&format!("\"{job}\" "))))
            && all
                .iter()
                .any(|line| line.starts_with("\"scraped\" ") && line.contains("\"tier\":\"front\""))
    })
    .await;

    // Whatever an object is told by, its targets follow.
    plane.kubectl(&[
        "-n",
        "shop",
        "label",
        "service",
        "web",
        "tier=back",
        "--overwrite",
    ]);
    plane.kubectl(&[
        "-n",
        "shop",
        "delete",
        "pod",
        "web-2",
        "--force",
        "--grace-period=0",
    ]);
    plane.kubectl(&["label", "node", "n1", "spot=true"]);
    // Prometheus does not look at endpoints again when a pod behind them goes; their controllers change them then.
    for endpoints in ["endpoints/web", "endpointslice/web-abc"] {
        plane.kubectl(&["-n", "shop", "annotate", endpoints, "changed=yes"]);
    }
    runs(
        &plane,
        "shop",
        "waiting",
        r#"{"phase":"Running","podIP":"10.1.0.12","podIPs":[{"ip":"10.1.0.12"}]}"#,
    );
    plane.kubectl(&["-n", "default", "delete", "ingress", "bare"]);
    agree("after changes", &prometheus, &skopos, |all| {
        let has = |word: &str| all.iter().any(|line| line.contains(word));
        has("\"tier\":\"back\"") && has("10.1.0.12:80") && !has("bare.example") && has("node_label_spot")
    })
    .await;

    // What was known stands while the API server is away, and goes on from there.
    plane.stop_api();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let known = targets(&skopos.api("/api/v1/targets").await).len();
    assert!(known > 50, "{known}");
    plane.start_api();
    plane.kubectl(&["-n", "shop", "delete", "service", "outside"]);
    agree("after an outage", &prometheus, &skopos, |all| {
        !all.iter().any(|line| line.contains("db.example"))
    })
    .await;
    assert_eq!(skopos.stop().await, 0);
}

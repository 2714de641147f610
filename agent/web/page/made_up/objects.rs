//! A made-up cluster: a shop with a program that is killed at its limit again and again.

use std::sync::Arc;
use std::time::Duration;

use model::view::{NodeLimit, NodeState, PodState, PodsOf, Usage, Workload};
use model::{Change, ChangeKind, Timestamp};

use super::House;
use crate::Objects;

const MEBIBYTE: f64 = 1_048_576.0;

impl House {
    /// Only the story of the pair has a cluster.
    pub(super) fn objects(&self) -> Option<Objects> {
        let now = self.now();
        self.paired().then(|| Objects {
            changes: Some(Arc::new(move |since| changes(now, since))),
            workloads: Arc::new(workloads),
            pods: Arc::new(move |of| {
                let mut pods = pods(now);
                pods.retain(|pod| match of {
                    PodsOf::Namespace(namespace) => pod.namespace == *namespace,
                    PodsOf::Node(node) => pod.node == *node,
                    PodsOf::One { namespace, name } => pod.namespace == *namespace && pod.name == *name,
                });
                pods
            }),
            nodes: Arc::new(move || nodes(now)),
        })
    }
}

fn usage(cpu: f64, cpu_request: f64, memory: f64, memory_request: f64, memory_limit: Option<f64>) -> Usage {
    Usage {
        cpu_cores: Some(cpu),
        cpu_request_cores: Some(cpu_request),
        cpu_limit_cores: None,
        memory_bytes: Some(memory * MEBIBYTE),
        memory_request_bytes: Some(memory_request * MEBIBYTE),
        memory_limit_bytes: memory_limit.map(|limit| limit * MEBIBYTE),
    }
}

fn workloads() -> Vec<Workload> {
    let one = |kind: &str, namespace: &str, name: &str, (ready, wanted), usage, restarts| Workload {
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        pods_ready: ready,
        pods_wanted: wanted,
        usage,
        restarts_lately: restarts,
    };
    let small = usage(0.41, 1.0, 614.0, 1024.0, Some(1059.0));
    vec![
        one(
            "Deployment",
            "shop",
            "checkout",
            (10, 10),
            usage(4.31, 5.25, 6349.0, 8192.0, Some(10_408.0)),
            0,
        ),
        one(
            "Deployment",
            "shop",
            "catalog",
            (12, 12),
            usage(3.94, 6.0, 10_035.0, 12_288.0, Some(13_560.0)),
            0,
        ),
        one(
            "StatefulSet",
            "shop",
            "search",
            (6, 6),
            usage(2.7, 4.0, 14_438.0, 16_384.0, None),
            0,
        ),
        one(
            "Deployment",
            "payments",
            "payments-api",
            (2, 6),
            usage(1.46, 3.0, 1638.0, 2304.0, Some(3072.0)),
            26,
        ),
        one("DaemonSet", "platform", "fluent-gateway", (2, 2), small, 0),
        one(
            "CronJob",
            "payments",
            "settle-with-a-name-that-does-not-end-soon",
            (1, 1),
            Usage::default(),
            0,
        ),
    ]
}

fn pods(now: Timestamp) -> Vec<PodState> {
    (0..6_u64)
        .map(|nth| {
            let is_killed = nth < 4;
            let containers = |reason: &str| vec![("app".to_owned(), reason.to_owned())];
            PodState {
                namespace: "payments".to_owned(),
                name: format!("payments-api-7c9d8f6b54-x2k4{nth}"),
                owner: Some(("Deployment".to_owned(), "payments-api".to_owned())),
                node: format!("ip-10-0-22-14{}", nth % 3),
                phase: "Running".to_owned(),
                is_ready: !is_killed,
                waiting: if is_killed {
                    containers("CrashLoopBackOff")
                } else {
                    Vec::new()
                },
                ended: match is_killed {
                    true => vec![("app".to_owned(), "OOMKilled".to_owned(), Some(137))],
                    false => Vec::new(),
                },
                restarts: if is_killed { 7 } else { 0 },
                restarts_lately: if is_killed { 7 } else { 0 },
                created: Some(now - Duration::from_secs(820)),
                images: vec!["registry.example/shop/payments-api:2.15.0".to_owned()],
                usage: usage(0.24, 0.5, 512.0 - 40.0 * nth as f64, 384.0, Some(512.0)),
            }
        })
        .collect()
}

fn nodes(now: Timestamp) -> Vec<NodeState> {
    (0..4_u32)
        .map(|nth| NodeState {
            name: format!("ip-10-0-22-14{nth}"),
            is_ready: nth != 2,
            is_cordoned: nth == 3,
            conditions: if nth == 1 {
                vec!["DiskPressure".to_owned()]
            } else {
                Vec::new()
            },
            pods: 31,
            pods_allocatable: Some(58),
            cpu_cores: Some(1.2 + f64::from(nth) / 3.0),
            cpu_allocatable_cores: Some(3.92),
            memory_bytes: Some((9.1 + f64::from(nth)) * 1024.0 * MEBIBYTE),
            memory_allocatable_bytes: Some(14.8 * 1024.0 * MEBIBYTE),
            disk: Some((0.4 + 0.15 * f64::from(nth), "/var/lib/containerd".to_owned())),
            zone: "eu-central-1b".to_owned(),
            instance_type: "m7i.xlarge".to_owned(),
            kubelet: "v1.33.1".to_owned(),
            created: Some(now - Duration::from_hours(50)),
            limits: vec![NodeLimit {
                what: "pods",
                used: 31.0,
                most: 58.0,
            }],
            exceeded: Vec::new(),
        })
        .collect()
}

fn changes(now: Timestamp, since: Timestamp) -> Vec<Change> {
    let change = |ago: u64, kind, object, namespace: &str, name: &str, text: &str| Change {
        time: now - Duration::from_secs(60 * ago),
        kind,
        object,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let (deploy, scaler) = ("Deployment", "HorizontalPodAutoscaler");
    let limits = "image shop/payments-api:2.14.0 → 2.15.0, memory limit 768Mi → 512Mi";
    let mut all = vec![
        change(
            612,
            ChangeKind::Config,
            "ConfigMap",
            "search",
            "synonyms",
            "content changed",
        ),
        change(
            39,
            ChangeKind::Deploy,
            deploy,
            "shop",
            "catalog",
            "image shop/catalog:5.3.1 → 5.3.2",
        ),
        change(27, ChangeKind::Node, "Node", "", "ip-10-0-44-19", "removed"),
        change(14, ChangeKind::Deploy, deploy, "payments", "payments-api", limits),
        change(
            3,
            ChangeKind::Autoscale,
            scaler,
            "shop",
            "checkout",
            "wants 8 → 10 pods",
        ),
    ];
    all.retain(|change| change.time >= since);
    all
}

/// A cluster in which everything is called so.
pub(crate) fn evil(word: &'static str, now: Timestamp) -> Objects {
    let change = Change {
        time: now,
        kind: ChangeKind::Deploy,
        object: "Deployment",
        namespace: word.to_owned(),
        name: word.to_owned(),
        text: word.to_owned(),
    };
    let workload = Workload {
        kind: word.to_owned(),
        namespace: word.to_owned(),
        name: word.to_owned(),
        ..Workload::default()
    };
    let pod = PodState {
        namespace: word.to_owned(),
        name: word.to_owned(),
        owner: Some((word.to_owned(), word.to_owned())),
        node: word.to_owned(),
        phase: "Running".to_owned(),
        waiting: vec![(word.to_owned(), word.to_owned())],
        ended: vec![(word.to_owned(), word.to_owned(), Some(1))],
        images: vec![word.to_owned()],
        ..PodState::default()
    };
    let node = NodeState {
        name: word.to_owned(),
        conditions: vec![word.to_owned()],
        disk: Some((0.5, word.to_owned())),
        zone: word.to_owned(),
        instance_type: word.to_owned(),
        kubelet: word.to_owned(),
        ..NodeState::default()
    };
    Objects {
        changes: Some(Arc::new(move |_| vec![change.clone()])),
        workloads: Arc::new(move || vec![workload.clone()]),
        pods: Arc::new(move |_| vec![pod.clone()]),
        nodes: Arc::new(move || vec![node.clone()]),
    }
}

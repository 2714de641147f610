//! What the pages show of a cluster's objects: what the watches have seen change, and what the samples say.
//!
//! Each column of a table is one question for all of its rows, bounded by the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cluster::ChangesHandle;
use model::view::{NodeState, PodState, PodsOf, Usage, Workload};
use model::{Clock, Labels, Matcher, Timestamp};
use parking_lot::Mutex;
use promql::{Engine, Value};

use crate::limits;

/// Filesystems that are no disks.
const NO_DISKS: &str = r#"fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|nsfs|fuse.*|""#;
/// Containers with names; sums of pods have none.
const CONTAINERS: &str = r#"container!="", container!="POD""#;

/// None where no cluster is asked.
pub(crate) fn objects(
    has_cluster: bool,
    changes: Option<&ChangesHandle>,
    engine: &Arc<Engine>,
    clock: Arc<dyn Clock>,
) -> Option<web::Objects> {
    let inventory = Arc::new(Inventory {
        engine: Arc::clone(engine),
        clock,
        workloads: Lately::new(),
        nodes: Lately::new(),
    });
    let (workloads, pods, nodes) = (inventory.clone(), inventory.clone(), inventory);
    has_cluster.then(|| web::Objects {
        changes: changes.cloned().map(|changes| {
            let since = move |time| changes.since(time);
            Arc::new(since) as _
        }),
        workloads: Arc::new(move || {
            let now = workloads.clock.now();
            workloads.workloads.get(now, || workloads.workloads())
        }),
        pods: Arc::new(move |of| pods.pods(Some(of))),
        nodes: Arc::new(move || {
            let now = nodes.clock.now();
            nodes.nodes.get(now, || nodes.nodes())
        }),
    })
}

/// What the samples say of objects now.
struct Inventory {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    workloads: Lately<Workload>,
    nodes: Lately<NodeState>,
}

/// An open page asks every few seconds, and there may be many: for so long the last answer is good enough.
const LATELY: Duration = Duration::from_secs(10);

/// What was found last.
pub(crate) struct Lately<T>(Mutex<Option<(Timestamp, Vec<T>)>>);

impl<T: Clone> Lately<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whoever asks while somebody else does waits for that answer.
    pub(crate) fn get(&self, now: Timestamp, find: impl FnOnce() -> Vec<T>) -> Vec<T> {
        let mut last = self.0.lock();
        if let Some((at, found)) = &*last
            && now >= *at
            && now.since(*at) < LATELY
        {
            return found.clone();
        }
        let found = find();
        *last = Some((now, found.clone()));
        found
    }
}

/// Nothing where the question cannot be answered: the page says what is missing.
pub(crate) fn ask(engine: &Engine, clock: &dyn Clock, expr: &str) -> Vec<(Labels, f64)> {
    let outcome = match engine.instant(expr, clock.now()) {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::debug!(%error, expr, "a column of the page's tables is empty");
            return Vec::new();
        }
    };
    match outcome.value {
        Value::Vector(points) => points
            .into_iter()
            .map(|point| (point.labels, point.value))
            .filter(|(_, value)| value.is_finite())
            .collect(),
        _ => Vec::new(),
    }
}

/// Namespace and name.
type Key = (String, String);

impl Inventory {
    fn ask(&self, expr: &str) -> Vec<(Labels, f64)> {
        ask(&self.engine, &*self.clock, expr)
    }

    /// By namespace and pod; of all pods without `of`.
    fn pods(&self, of: Option<&PodsOf>) -> Vec<PodState> {
        let only = only(of);
        let among = |more: &str| match (only.as_str(), more) {
            ("", more) => more.to_owned(),
            (only, "") => only.to_owned(),
            (only, more) => format!("{only}, {more}"),
        };
        let info = match of {
            Some(PodsOf::Node(node)) => Matcher::equal("node", node).to_string(),
            _ => only.clone(),
        };
        let mut pods: BTreeMap<Key, PodState> = BTreeMap::new();
        for (labels, _) in self.ask(&format!("kube_pod_info{{{info}}}")) {
            let (namespace, name) = key(&labels, "pod");
            let pod = PodState {
                namespace: namespace.clone(),
                name: name.clone(),
                node: labels.value("node").to_owned(),
                ..PodState::default()
            };
            pods.insert((namespace, name), pod);
        }
        let mut fill = |expr: String, put: &dyn Fn(&mut PodState, &Labels, f64)| {
            for (labels, value) in self.ask(&expr) {
                if let Some(pod) = pods.get_mut(&key(&labels, "pod")) {
                    put(pod, &labels, value);
                }
            }
        };
        let owners = self.owners(of);
        fill(format!("kube_pod_owner{{{}}}", among("")), &|pod, labels, _| {
            let owner = (
                labels.value("owner_kind").to_owned(),
                labels.value("owner_name").to_owned(),
            );
            pod.owner = match owner.0.as_str() {
                "" | "<none>" | "Node" => None,
                _ => {
                    let above = owners.get(&(owner.0.clone(), pod.namespace.clone(), owner.1.clone()));
                    Some(above.cloned().unwrap_or(owner))
                }
            };
        });
        fill(
            format!("kube_pod_status_phase{{{}}} == 1", among("")),
            &|pod, labels, _| {
                labels.value("phase").clone_into(&mut pod.phase);
            },
        );
        let ready = among(r#"condition="true""#);
        fill(format!("kube_pod_status_ready{{{ready}}} == 1"), &|pod, _, _| {
            pod.is_ready = true
        });
        let of_container = |labels: &Labels| {
            (
                labels.value("container").to_owned(),
                labels.value("reason").to_owned(),
            )
        };
        let waiting = format!("kube_pod_container_status_waiting_reason{{{}}} == 1", among(""));
        fill(waiting, &|pod, labels, _| pod.waiting.push(of_container(labels)));
        let ended = format!(
            "kube_pod_container_status_last_terminated_reason{{{}}} == 1",
            among("")
        );
        fill(ended, &|pod, labels, _| {
            let (container, reason) = of_container(labels);
            pod.ended.push((container, reason, None));
        });
        let codes = format!(
            "kube_pod_container_status_last_terminated_exitcode{{{}}}",
            among("")
        );
        fill(codes, &|pod, labels, value| {
            for (container, _, code) in &mut pod.ended {
                if container == labels.value("container") {
                    *code = Some(value as i64);
                }
            }
        });
        fill(format!("kube_pod_created{{{}}}", among("")), &|pod, _, value| {
            pod.created = Some(Timestamp((value * 1000.0) as i64));
        });
        fill(
            format!("kube_pod_container_info{{{}}}", among("")),
            &|pod, labels, _| {
                pod.images.push(labels.value("image").to_owned());
            },
        );
        let restarts = format!("kube_pod_container_status_restarts_total{{{}}}", among(""));
        fill(each_pod(&restarts), &|pod, _, value| pod.restarts = value as u64);
        let lately = format!("increase({restarts}[1h])");
        fill(each_pod(&lately), &|pod, _, value| {
            pod.restarts_lately = value.round() as u64
        });
        let used = among(CONTAINERS);
        let cpu = format!("rate(container_cpu_usage_seconds_total{{{used}}}[5m])");
        fill(each_pod(&cpu), &|pod, _, value| pod.usage.cpu_cores = Some(value));
        let memory = format!("container_memory_working_set_bytes{{{used}}}");
        fill(each_pod(&memory), &|pod, _, value| {
            pod.usage.memory_bytes = Some(value)
        });
        for resource in ["cpu", "memory"] {
            let of_it = among(&Matcher::equal("resource", resource).to_string());
            let request = each_pod(&format!("kube_pod_container_resource_requests{{{of_it}}}"));
            fill(request, &|pod, _, value| match resource {
                "cpu" => pod.usage.cpu_request_cores = Some(value),
                _ => pod.usage.memory_request_bytes = Some(value),
            });
            let limits = format!("kube_pod_container_resource_limits{{{of_it}}}");
            let all = format!("kube_pod_container_info{{{}}}", among(""));
            let every = format!(
                "{} and count by (namespace, pod) ({limits}) == count by (namespace, pod) ({all})",
                each_pod(&limits)
            );
            fill(every, &|pod, _, value| match resource {
                "cpu" => pod.usage.cpu_limit_cores = Some(value),
                _ => pod.usage.memory_limit_bytes = Some(value),
            });
        }
        let mut pods: Vec<PodState> = pods.into_values().collect();
        for pod in &mut pods {
            pod.images.sort();
            pod.images.dedup();
            pod.waiting.sort();
            pod.ended.sort();
        }
        pods
    }

    /// What owns what owns pods: kind, namespace and name to kind and name.
    fn owners(&self, of: Option<&PodsOf>) -> HashMap<(String, String, String), (String, String)> {
        let namespace = match of {
            Some(PodsOf::Namespace(namespace) | PodsOf::One { namespace, .. }) => {
                Matcher::equal("namespace", namespace).to_string()
            }
            _ => String::new(),
        };
        let mut owners = HashMap::new();
        for (kind, family, name) in [
            ("ReplicaSet", "kube_replicaset_owner", "replicaset"),
            ("Job", "kube_job_owner", "job_name"),
        ] {
            for (labels, _) in self.ask(&format!("{family}{{{namespace}}}")) {
                let above = (
                    labels.value("owner_kind").to_owned(),
                    labels.value("owner_name").to_owned(),
                );
                if !matches!(above.0.as_str(), "" | "<none>") {
                    let (namespace, own) = key(&labels, name);
                    owners.insert((kind.to_owned(), namespace, own), above);
                }
            }
        }
        owners
    }

    fn workloads(&self) -> Vec<Workload> {
        let mut workloads: BTreeMap<(String, String, String), Workload> = BTreeMap::new();
        for (kind, label, wanted, ready) in [
            (
                "Deployment",
                "deployment",
                "kube_deployment_spec_replicas",
                "kube_deployment_status_replicas_ready",
            ),
            (
                "StatefulSet",
                "statefulset",
                "kube_statefulset_replicas",
                "kube_statefulset_status_replicas_ready",
            ),
            (
                "DaemonSet",
                "daemonset",
                "kube_daemonset_status_desired_number_scheduled",
                "kube_daemonset_status_number_ready",
            ),
        ] {
            for (labels, value) in self.ask(wanted) {
                let (namespace, name) = key(&labels, label);
                let workload = Workload {
                    kind: kind.to_owned(),
                    namespace: namespace.clone(),
                    name: name.clone(),
                    pods_wanted: value as u64,
                    ..Workload::default()
                };
                workloads.insert((namespace, name, kind.to_owned()), workload);
            }
            for (labels, value) in self.ask(ready) {
                let (namespace, name) = key(&labels, label);
                if let Some(workload) = workloads.get_mut(&(namespace, name, kind.to_owned())) {
                    workload.pods_ready = value as u64;
                }
            }
        }
        for pod in self.pods(None).into_iter().filter(PodState::is_active) {
            let (kind, name) = pod.owner.unwrap_or_else(|| ("Pod".to_owned(), pod.name.clone()));
            let says_itself = matches!(kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet");
            let place = (pod.namespace.clone(), name.clone(), kind.clone());
            match workloads.get_mut(&place) {
                Some(workload) => {
                    let is_first = workload.usage == Usage::default();
                    workload.usage = if is_first {
                        pod.usage
                    } else {
                        workload.usage.and(pod.usage)
                    };
                    workload.restarts_lately += pod.restarts_lately;
                    if !says_itself {
                        workload.pods_wanted += 1;
                        workload.pods_ready += u64::from(pod.is_ready);
                    }
                }
                None => {
                    let workload = Workload {
                        kind,
                        namespace: pod.namespace,
                        name,
                        pods_ready: u64::from(pod.is_ready),
                        pods_wanted: 1,
                        usage: pod.usage,
                        restarts_lately: pod.restarts_lately,
                    };
                    workloads.insert(place, workload);
                }
            }
        }
        workloads.into_values().collect()
    }

    fn nodes(&self) -> Vec<NodeState> {
        let mut nodes: BTreeMap<String, NodeState> = BTreeMap::new();
        for (labels, _) in self.ask("kube_node_info") {
            let name = labels.value("node").to_owned();
            let node = NodeState {
                name: name.clone(),
                kubelet: labels.value("kubelet_version").to_owned(),
                ..NodeState::default()
            };
            nodes.insert(name, node);
        }
        let mut fill = |expr: &str, put: &dyn Fn(&mut NodeState, &Labels, f64)| {
            for (labels, value) in self.ask(expr) {
                if let Some(node) = nodes.get_mut(labels.value("node")) {
                    put(node, &labels, value);
                }
            }
        };
        fill(
            r#"kube_node_status_condition{status="true"} == 1"#,
            &|node, labels, _| match labels.value("condition") {
                "Ready" => node.is_ready = true,
                other => node.conditions.push(other.to_owned()),
            },
        );
        fill("kube_node_spec_unschedulable == 1", &|node, _, _| {
            node.is_cordoned = true
        });
        fill(
            "kube_node_status_allocatable",
            &|node, labels, value| match labels.value("resource") {
                "pods" => node.pods_allocatable = Some(value as u64),
                "cpu" => node.cpu_allocatable_cores = Some(value),
                "memory" => node.memory_allocatable_bytes = Some(value),
                _ => {}
            },
        );
        fill("kube_node_created", &|node, _, value| {
            node.created = Some(Timestamp((value * 1000.0) as i64));
        });
        fill("kube_node_labels", &|node, labels, _| {
            labels
                .value("label_topology_kubernetes_io_zone")
                .clone_into(&mut node.zone);
            labels
                .value("label_node_kubernetes_io_instance_type")
                .clone_into(&mut node.instance_type);
        });
        let active = "count by (node) (kube_pod_info{node!=\"\"} and on (namespace, pod) kube_pod_status_phase{phase=~\"Pending|Running\"} == 1)";
        fill(active, &|node, _, value| node.pods = value as u64);
        let cpu = "sum by (node) (rate(node_cpu_seconds_total{mode!~\"idle|iowait\"}[5m]))";
        fill(cpu, &|node, _, value| node.cpu_cores = Some(value));
        let memory = "max by (node) (node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes)";
        fill(memory, &|node, _, value| node.memory_bytes = Some(value));
        let disk = format!(
            "max by (node, mountpoint) (1 - node_filesystem_avail_bytes{{{NO_DISKS}}} / (node_filesystem_size_bytes{{{NO_DISKS}}} > 0))"
        );
        fill(&disk, &|node, labels, value| {
            if node.disk.as_ref().is_none_or(|(fullest, _)| value > *fullest) {
                node.disk = Some((value, labels.value("mountpoint").to_owned()));
            }
        });
        for (node, limits, exceeded) in limits::of_nodes(&nodes, |expr| self.ask(expr)) {
            if let Some(node) = nodes.get_mut(&node) {
                (node.limits, node.exceeded) = (limits, exceeded);
            }
        }
        nodes.into_values().collect()
    }
}

fn key(labels: &Labels, name: &str) -> Key {
    (
        labels.value("namespace").to_owned(),
        labels.value(name).to_owned(),
    )
}

/// Matchers of the pods that are meant; those of a node are known by their names only.
fn only(of: Option<&PodsOf>) -> String {
    match of {
        None | Some(PodsOf::Node(_)) => String::new(),
        Some(PodsOf::Namespace(namespace)) => Matcher::equal("namespace", namespace).to_string(),
        Some(PodsOf::One { namespace, name }) => format!(
            "{}, {}",
            Matcher::equal("namespace", namespace),
            Matcher::equal("pod", name)
        ),
    }
}

/// The sum over the containers of each pod; of what two sources say of one container, one counts.
fn each_pod(expr: &str) -> String {
    format!("sum by (namespace, pod) (max by (namespace, pod, container) ({expr}))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_moments_the_last_answer_is_good_enough_and_a_clock_set_back_holds_nothing_up() {
        let lately = Lately::new();
        let seconds = |seconds: i64| Timestamp(seconds * 1_000);
        let mut asked = 0;
        for (at, want) in [(100, 1), (105, 1), (109, 1), (110, 2), (50, 3), (55, 3)] {
            let found = lately.get(seconds(at), || {
                asked += 1;
                vec![asked]
            });
            assert_eq!(found, [want], "at {at} s");
        }
    }
}

//! What the dashboards of Kubernetes show: a cluster, a workload in it, a pod of that.
//!
//! They ask by `cluster`, `namespace`, `workload` and `pod`; where series have no label `cluster` all of them are of one.
//! What a pod asks for and uses is read from what `rules/kubernetes-recorded.yaml` records.

use serde_json::{Value, json};

use super::alerts::{bind, bind_below, threshold};
use super::build::{Panel, dashboard, tables};
use super::logs;

/// Panels that turn from fine to wrong where an alert's expression does.
const BOUND: &[(&str, &str)] = &[
    ("Requested of the emptiest node", "KubeNodesNearlyFull"),
    ("Pods of the fullest node", "KubeletTooManyPods"),
    ("Pods of each node", "KubeletTooManyPods"),
    ("Throttled", "CPUThrottlingHigh"),
    ("Throttled over time", "CPUThrottlingHigh"),
    ("Restarts of the last hour", "KubeContainerRestartsOften"),
];

/// The same, where little is wrong.
const BOUND_BELOW: &[(&str, &str)] = &[
    ("Available", "KubeDeploymentUnavailable"),
    ("CPU left without the largest node", "KubeCPUOvercommit"),
    ("Memory left without the largest node", "KubeMemoryOvercommit"),
];

/// Is anything wrong with this cluster, and is there room?
#[expect(
    clippy::too_many_lines,
    reason = "a list of panels, in the order in which they are seen"
)]
pub(super) fn cluster() -> Value {
    let stats = [
        Panel {
            title: "Firing",
            about: "Alerts that fire now, by severity; silenced ones are among them.",
            unit: "short",
            targets: &[(
                "count by (severity) (ALERTS{alertstate=\"firing\",cluster=~\"$cluster\"}) or on () vector(0)",
                "{{severity}}",
            )],
        },
        Panel {
            title: "Nodes",
            about: "Nodes that are listed, and those of them that are not ready. Alerts: KubeNodeNotReady, KubeManyNodesNotReady.",
            unit: "short",
            targets: &[
                (
                    "count(count by (cluster, node) (kube_node_info{cluster=~\"$cluster\"}))",
                    "nodes",
                ),
                (
                    "count(max by (cluster, node) (kube_node_status_condition{condition=\"Ready\",status=\"true\",cluster=~\"$cluster\"}) == 0) or vector(0)",
                    "not ready",
                ),
            ],
        },
        Panel {
            title: "Pods without a node",
            about: "Pods that the scheduler finds no place for. Alert: KubePodUnschedulable.",
            unit: "short",
            targets: &[(
                "count(max by (cluster, namespace, pod) (kube_pod_status_unschedulable{cluster=~\"$cluster\"}) == 1) or vector(0)",
                "pods",
            )],
        },
        Panel {
            title: "Pods not ready",
            about: "Pods that run and get no requests. Alert: KubePodNotReady.",
            unit: "short",
            targets: &[(
                "count(max by (cluster, namespace, pod) (kube_pod_status_ready{condition=\"true\",cluster=~\"$cluster\"}) == 0 and on (cluster, namespace, pod) kube_pod_status_phase{phase=\"Running\"} == 1) or vector(0)",
                "pods",
            )],
        },
        Panel {
            title: "Requested of the emptiest node",
            about: "Share of it that pods have asked for: where it is near 1 no node has room. Alert: KubeNodesNearlyFull.",
            unit: "percentunit",
            targets: &[(
                "min by (resource) (node_resource:kube_pod_container_resource_requests:sum{cluster=~\"$cluster\"} / on (cluster, node, resource) max by (cluster, node, resource) (kube_node_status_allocatable{resource=~\"cpu|memory\",cluster=~\"$cluster\"}))",
                "{{resource}}",
            )],
        },
        Panel {
            title: "Pods of the fullest node",
            about: "Share of the pods that a node may run; with the VPC CNI that is the number of its addresses. Alert: KubeletTooManyPods.",
            unit: "percentunit",
            targets: &[(
                "max(count by (cluster, node) (node_namespace_pod:kube_pod_info:{cluster=~\"$cluster\"}) / on (cluster, node) max by (cluster, node) (kube_node_status_allocatable{resource=\"pods\",cluster=~\"$cluster\"}))",
                "pods",
            )],
        },
        Panel {
            title: "CPU left without the largest node",
            about: "CPUs nobody would have asked for if it was lost; below 0 its pods find no place. Alert: KubeCPUOvercommit.",
            unit: "short",
            targets: &[(
                "sum(max by (cluster, node) (kube_node_status_allocatable{resource=\"cpu\",cluster=~\"$cluster\"})) - max(kube_node_status_allocatable{resource=\"cpu\",cluster=~\"$cluster\"}) - sum(node_resource:kube_pod_container_resource_requests:sum{resource=\"cpu\",cluster=~\"$cluster\"})",
                "CPUs",
            )],
        },
        Panel {
            title: "Memory left without the largest node",
            about: "Bytes nobody would have asked for if it was lost; below 0 its pods find no place. Alert: KubeMemoryOvercommit.",
            unit: "bytes",
            targets: &[(
                "sum(max by (cluster, node) (kube_node_status_allocatable{resource=\"memory\",cluster=~\"$cluster\"})) - max(kube_node_status_allocatable{resource=\"memory\",cluster=~\"$cluster\"}) - sum(node_resource:kube_pod_container_resource_requests:sum{resource=\"memory\",cluster=~\"$cluster\"})",
                "bytes",
            )],
        },
        Panel {
            title: "Autoscalers at their maximum",
            about: "Those that run as many replicas as they may. Alert: KubeHpaMaxedOut.",
            unit: "short",
            targets: &[(
                "count(max by (cluster, namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_status_current_replicas{cluster=~\"$cluster\"}) >= max by (cluster, namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_spec_max_replicas{cluster=~\"$cluster\"})) or vector(0)",
                "autoscalers",
            )],
        },
        Panel {
            title: "Containers in a crash loop",
            about: "Containers that wait to be started once more. Alert: KubePodCrashLooping.",
            unit: "short",
            targets: &[(
                "count(max by (cluster, namespace, pod, container) (max_over_time(kube_pod_container_status_waiting_reason{reason=\"CrashLoopBackOff\",cluster=~\"$cluster\"}[5m])) == 1 or max by (cluster, namespace, pod, container) (max_over_time(kube_pod_container_status_terminated{cluster=~\"$cluster\"}[5m])) == 1 and on (cluster, namespace, pod, container) max by (cluster, namespace, pod, container) (increase(kube_pod_container_status_restarts_total{cluster=~\"$cluster\"}[10m])) > 0) or vector(0)",
                "containers",
            )],
        },
        Panel {
            title: "Deployments with too few pods",
            about: "Deployments of which fewer pods are available than should be. Alert: KubeDeploymentReplicasMismatch.",
            unit: "short",
            targets: &[(
                "count(max by (cluster, namespace, deployment) (kube_deployment_spec_replicas{cluster=~\"$cluster\"}) > max by (cluster, namespace, deployment) (kube_deployment_status_replicas_available{cluster=~\"$cluster\"})) or vector(0)",
                "deployments",
            )],
        },
        Panel {
            title: "Nodes that are read",
            about: "Share of the nodes whose kubelet answers us. Of the others nothing is known of their containers. Alert: KubeletDown.",
            unit: "percentunit",
            targets: &[(
                "count(count by (cluster, node) (up{job=\"kubelet\",cluster=~\"$cluster\"} == 1)) / count(count by (cluster, node) (kube_node_info{cluster=~\"$cluster\"}))",
                "read",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "CPU",
            about: "CPUs that containers use, ask for and may use at most, and what nodes have to give.",
            unit: "short",
            targets: &[
                (
                    "sum(node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m{cluster=~\"$cluster\"})",
                    "used",
                ),
                (
                    "sum(namespace_cpu:kube_pod_container_resource_requests:sum{cluster=~\"$cluster\"})",
                    "requested",
                ),
                (
                    "sum(namespace_cpu:kube_pod_container_resource_limits:sum{cluster=~\"$cluster\"})",
                    "limits",
                ),
                (
                    "sum(max by (cluster, node) (kube_node_status_allocatable{resource=\"cpu\",cluster=~\"$cluster\"}))",
                    "allocatable",
                ),
            ],
        },
        Panel {
            title: "Memory",
            about: "Memory that containers use, ask for and may use at most, and what nodes have to give.",
            unit: "bytes",
            targets: &[
                (
                    "sum(node_namespace_pod_container:container_memory_working_set_bytes{cluster=~\"$cluster\"})",
                    "used",
                ),
                (
                    "sum(namespace_memory:kube_pod_container_resource_requests:sum{cluster=~\"$cluster\"})",
                    "requested",
                ),
                (
                    "sum(namespace_memory:kube_pod_container_resource_limits:sum{cluster=~\"$cluster\"})",
                    "limits",
                ),
                (
                    "sum(max by (cluster, node) (kube_node_status_allocatable{resource=\"memory\",cluster=~\"$cluster\"}))",
                    "allocatable",
                ),
            ],
        },
        Panel {
            title: "CPU requested of each node",
            about: "Share of a node's CPU that its pods have asked for. Even full ones are fine while one has room. Alert: KubeNodesNearlyFull.",
            unit: "percentunit",
            targets: &[(
                "node_resource:kube_pod_container_resource_requests:sum{resource=\"cpu\",cluster=~\"$cluster\"} / on (cluster, node) max by (cluster, node) (kube_node_status_allocatable{resource=\"cpu\",cluster=~\"$cluster\"})",
                "{{node}}",
            )],
        },
        Panel {
            title: "Memory requested of each node",
            about: "Share of a node's memory that its pods have asked for. Alert: KubeNodesNearlyFull.",
            unit: "percentunit",
            targets: &[(
                "node_resource:kube_pod_container_resource_requests:sum{resource=\"memory\",cluster=~\"$cluster\"} / on (cluster, node) max by (cluster, node) (kube_node_status_allocatable{resource=\"memory\",cluster=~\"$cluster\"})",
                "{{node}}",
            )],
        },
        Panel {
            title: "CPU used of each node",
            about: "Share of a node's CPUs that does anything, whoever does it. Alerts: CpuBusy, CpuPressure.",
            unit: "percentunit",
            targets: &[(
                "node:node_cpu_utilization:ratio_rate5m{cluster=~\"$cluster\"}",
                "{{node}}",
            )],
        },
        Panel {
            title: "Memory used of each node",
            about: "Share of a node's memory that could not be given to a program at once. Alerts: MemoryLow, KubeNodePressure.",
            unit: "percentunit",
            targets: &[(
                "1 - max by (cluster, node) (node_memory_MemAvailable_bytes{node!=\"\",cluster=~\"$cluster\"}) / max by (cluster, node) (node_memory_MemTotal_bytes{node!=\"\",cluster=~\"$cluster\"})",
                "{{node}}",
            )],
        },
        Panel {
            title: "Pods of each node",
            about: "Share of the pods that a node may run. Alert: KubeletTooManyPods.",
            unit: "percentunit",
            targets: &[(
                "count by (cluster, node) (node_namespace_pod:kube_pod_info:{cluster=~\"$cluster\"}) / on (cluster, node) max by (cluster, node) (kube_node_status_allocatable{resource=\"pods\",cluster=~\"$cluster\"})",
                "{{node}}",
            )],
        },
        Panel {
            title: "Autoscalers",
            about: "Replicas of each as a share of its maximum: at 1 more load makes each pod slower. Alerts: KubeHpaMaxedOut, KubeHpaCannotScale.",
            unit: "percentunit",
            targets: &[(
                "max by (cluster, namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_status_current_replicas{cluster=~\"$cluster\"}) / max by (cluster, namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_spec_max_replicas{cluster=~\"$cluster\"})",
                "{{namespace}}/{{horizontalpodautoscaler}}",
            )],
        },
        Panel {
            title: "Pods by phase",
            about: "Pods that wait, have failed, or of which nothing is heard; those that run and have ended are left out. Alerts: KubePodNotReady, KubePodUnschedulable.",
            unit: "short",
            targets: &[(
                "sum by (phase) (max by (cluster, namespace, pod, phase) (kube_pod_status_phase{phase=~\"Pending|Failed|Unknown\",cluster=~\"$cluster\"}))",
                "{{phase}}",
            )],
        },
        Panel {
            title: "Containers that wait",
            about: "Why containers are not running. Alerts: KubePodCrashLooping, KubeImagePullFailing, KubeContainerConfigError, KubeContainerWaiting.",
            unit: "short",
            targets: &[(
                "count by (reason) (max by (cluster, namespace, pod, container, reason) (kube_pod_container_status_waiting_reason{cluster=~\"$cluster\"}) == 1) or on () vector(0)",
                "{{reason}}",
            )],
        },
        Panel {
            title: "Restarts",
            about: "Restarts of containers within 10 minutes, by namespace. Alerts: KubeContainerRestartsOften, KubePodCrashLooping.",
            unit: "short",
            targets: &[(
                "sum by (namespace) (max by (cluster, namespace, pod, container) (increase(kube_pod_container_status_restarts_total{cluster=~\"$cluster\"}[10m])))",
                "{{namespace}}",
            )],
        },
        Panel {
            title: "Killed for memory",
            about: "Times within 10 minutes that the kernel ended a process in a container at its limit. Alerts: KubeContainerOomKilled, KubeContainerProcessOomKilled.",
            unit: "short",
            targets: &[(
                "sum by (namespace) (increase(container_oom_events_total{container!=\"\",cluster=~\"$cluster\"}[10m]))",
                "{{namespace}}",
            )],
        },
        Panel {
            title: "CPU by namespace",
            about: "CPUs that the containers of each namespace use.",
            unit: "short",
            targets: &[(
                "sum by (namespace) (node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m{cluster=~\"$cluster\"})",
                "{{namespace}}",
            )],
        },
        Panel {
            title: "Memory by namespace",
            about: "Memory that the containers of each namespace use.",
            unit: "bytes",
            targets: &[(
                "sum by (namespace) (node_namespace_pod_container:container_memory_working_set_bytes{cluster=~\"$cluster\"})",
                "{{namespace}}",
            )],
        },
        Panel {
            title: "Network by namespace",
            about: "Bytes a second that pods of each namespace receive and send; pods in the network of their node are not counted.",
            unit: "binBps",
            targets: &[
                (
                    "sum by (namespace) (rate(container_network_receive_bytes_total{namespace!=\"\",cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{namespace}} in",
                ),
                (
                    "sum by (namespace) (rate(container_network_transmit_bytes_total{namespace!=\"\",cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{namespace}} out",
                ),
            ],
        },
        Panel {
            title: "Fullest volumes",
            about: "Used share of the ten volumes with the least left. Alert: KubePersistentVolumeFillingUp.",
            unit: "percentunit",
            targets: &[(
                "topk(10, 1 - max by (cluster, namespace, persistentvolumeclaim) (kubelet_volume_stats_available_bytes{cluster=~\"$cluster\"} / kubelet_volume_stats_capacity_bytes))",
                "{{namespace}}/{{persistentvolumeclaim}}",
            )],
        },
    ];
    let below = [
        Panel {
            title: "Firing now",
            about: "What fires, and for how long its condition has held. The page has why, and what to do.",
            unit: "s",
            targets: &[(
                "sort_desc(time() - (ALERTS_FOR_STATE{cluster=~\"$cluster\"} and ignoring (alertstate) ALERTS{alertstate=\"firing\"}))",
                "for",
            )],
        },
        Panel {
            title: "Namespaces",
            about: "CPUs and bytes that each namespace uses and has asked for. A name leads to its workloads.",
            unit: "short",
            targets: &[
                (
                    "sum by (namespace) (node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m{cluster=~\"$cluster\"})",
                    "CPU used",
                ),
                (
                    "sum by (namespace) (namespace_cpu:kube_pod_container_resource_requests:sum{cluster=~\"$cluster\"})",
                    "CPU requested",
                ),
                (
                    "sum by (namespace) (node_namespace_pod_container:container_memory_working_set_bytes{cluster=~\"$cluster\"})",
                    "memory used",
                ),
                (
                    "sum by (namespace) (namespace_memory:kube_pod_container_resource_requests:sum{cluster=~\"$cluster\"})",
                    "memory requested",
                ),
            ],
        },
    ];
    let mut all = dashboard("skopos-cluster", "Skopos / Cluster", &stats, &graphs);
    tables(&mut all, &below);
    finish(&mut all, &[]);
    link(&mut all, "Namespaces", "namespace", "skopos-workload");
    all
}

/// What of it is of the pods of the chosen workload, and what is said before and behind.
macro_rules! of_workload {
    ($before:literal, $what:literal, $after:literal) => {
        concat!(
            $before,
            "(",
            $what,
            ") and on (cluster, namespace, pod) namespace_workload_pod:kube_pod_owner:relabel{cluster=~\"$cluster\",namespace=\"$namespace\",workload=\"$workload\"}",
            $after
        )
    };
}

/// The autoscaler of the chosen workload: by what it scales where that is told, or of the same name.
macro_rules! of_autoscaler {
    ($family:literal) => {
        concat!(
            "max by (horizontalpodautoscaler) (kube_horizontalpodautoscaler_",
            $family,
            "{cluster=~\"$cluster\",namespace=\"$namespace\"} and on (cluster, namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_info{cluster=~\"$cluster\",namespace=\"$namespace\",scaletargetref_name=\"$workload\"} or kube_horizontalpodautoscaler_spec_max_replicas{cluster=~\"$cluster\",namespace=\"$namespace\",horizontalpodautoscaler=\"$workload\"}))"
        )
    };
}

/// Replicas of the chosen workload, whatever kind it is.
macro_rules! replicas {
    ($deployment:literal, $statefulset:literal, $daemonset:literal) => {
        concat!(
            "max(kube_deployment_",
            $deployment,
            "{cluster=~\"$cluster\",namespace=\"$namespace\",deployment=\"$workload\"} or kube_statefulset_",
            $statefulset,
            "{cluster=~\"$cluster\",namespace=\"$namespace\",statefulset=\"$workload\"} or kube_daemonset_status_",
            $daemonset,
            "{cluster=~\"$cluster\",namespace=\"$namespace\",daemonset=\"$workload\"})"
        )
    };
}

const DESIRED: &str = replicas!("spec_replicas", "replicas", "desired_number_scheduled");
const AVAILABLE: &str = replicas!(
    "status_replicas_available",
    "status_replicas_ready",
    "number_available"
);

/// Does this workload have what it needs?
#[expect(
    clippy::too_many_lines,
    reason = "a list of panels, in the order in which they are seen"
)]
pub(super) fn workload() -> Value {
    let stats = [
        Panel {
            title: "Replicas",
            about: "Pods that there should be, and those that are available. Alerts: KubeDeploymentReplicasMismatch, KubeStatefulSetReplicasMismatch, KubeDaemonSetRolloutStuck.",
            unit: "short",
            targets: &[(DESIRED, "desired"), (AVAILABLE, "available")],
        },
        Panel {
            title: "Available",
            about: "Share of the pods that there should be. Alert: KubeDeploymentUnavailable.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    replicas!(
                        "status_replicas_available",
                        "status_replicas_ready",
                        "number_available"
                    ),
                    " / (",
                    replicas!("spec_replicas", "replicas", "desired_number_scheduled"),
                    " > 0)"
                ),
                "available",
            )],
        },
        Panel {
            title: "Autoscaler",
            about: "Replicas as a share of what the autoscaler may add up to; empty without one. Alert: KubeHpaMaxedOut.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    of_autoscaler!("status_current_replicas"),
                    " / ",
                    of_autoscaler!("spec_max_replicas")
                ),
                "{{horizontalpodautoscaler}}",
            )],
        },
        Panel {
            title: "Throttled",
            about: "Share of all periods in which a container was stopped at its CPU limit; of the pod that has most. Alert: CPUThrottlingHigh.",
            unit: "percentunit",
            targets: &[(
                of_workload!(
                    "max(",
                    "sum by (cluster, namespace, pod) (rate(container_cpu_cfs_throttled_periods_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\"}[$__rate_interval])) / sum by (cluster, namespace, pod) (rate(container_cpu_cfs_periods_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\"}[$__rate_interval]))",
                    ")"
                ),
                "throttled",
            )],
        },
        Panel {
            title: "CPU used of requested",
            about: "Of all its pods. The autoscaler's target is a share of this; far below it is CPU that others could have.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    of_workload!(
                        "sum(",
                        "node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m{cluster=~\"$cluster\",namespace=\"$namespace\"}",
                        ")"
                    ),
                    " / ",
                    of_workload!(
                        "sum(",
                        "cluster:namespace:pod_cpu:active:kube_pod_container_resource_requests{cluster=~\"$cluster\",namespace=\"$namespace\"}",
                        ")"
                    )
                ),
                "used",
            )],
        },
        Panel {
            title: "Memory used of its limit",
            about: "Of the container that is nearest to its limit; at 1 it is killed. Alert: KubeContainerOomKilled.",
            unit: "percentunit",
            targets: &[(
                of_workload!(
                    "max(",
                    "max by (cluster, namespace, pod, container) (node_namespace_pod_container:container_memory_working_set_bytes{cluster=~\"$cluster\",namespace=\"$namespace\"}) / max by (cluster, namespace, pod, container) (cluster:namespace:pod_memory:active:kube_pod_container_resource_limits{cluster=~\"$cluster\",namespace=\"$namespace\"})",
                    ")"
                ),
                "used",
            )],
        },
        Panel {
            title: "Restarts of the last hour",
            about: "Of the container that was restarted most. Alert: KubeContainerRestartsOften.",
            unit: "short",
            targets: &[(
                of_workload!(
                    "max(",
                    "increase(kube_pod_container_status_restarts_total{cluster=~\"$cluster\",namespace=\"$namespace\"}[1h])",
                    ")"
                ),
                "restarts",
            )],
        },
        Panel {
            title: "Killed for memory in the last day",
            about: "Times that the kernel ended a process of it at a memory limit. Alerts: KubeContainerOomKilled, KubeContainerProcessOomKilled.",
            unit: "short",
            targets: &[(
                of_workload!(
                    "sum(",
                    "increase(container_oom_events_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\"}[1d])",
                    ")"
                ),
                "killed",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "Replicas over time",
            about: "Pods that there should be, that are available, and that are of the newest version. Alerts: KubeDeploymentReplicasMismatch, KubeDeploymentRolloutStuck, KubeStatefulSetUpdateNotRolledOut.",
            unit: "short",
            targets: &[
                (DESIRED, "desired"),
                (AVAILABLE, "available"),
                (
                    replicas!(
                        "status_replicas_updated",
                        "status_replicas_updated",
                        "updated_number_scheduled"
                    ),
                    "updated",
                ),
            ],
        },
        Panel {
            title: "Autoscaler over time",
            about: "Replicas that the autoscaler finds, wants, and may have. Alerts: KubeHpaMaxedOut, KubeHpaReplicasMismatch, KubeHpaCannotScale.",
            unit: "short",
            targets: &[
                (of_autoscaler!("status_current_replicas"), "current"),
                (of_autoscaler!("status_desired_replicas"), "wanted"),
                (of_autoscaler!("spec_min_replicas"), "minimum"),
                (of_autoscaler!("spec_max_replicas"), "maximum"),
            ],
        },
        Panel {
            title: "CPU by pod",
            about: "CPUs that each pod uses, and what one pod asks for and may use at most. Alert: CPUThrottlingHigh.",
            unit: "short",
            targets: &[
                (
                    of_workload!(
                        "sum by (pod) (",
                        "node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m{cluster=~\"$cluster\",namespace=\"$namespace\"}",
                        ")"
                    ),
                    "{{pod}}",
                ),
                (
                    of_workload!(
                        "max(",
                        "sum by (cluster, namespace, pod) (cluster:namespace:pod_cpu:active:kube_pod_container_resource_requests{cluster=~\"$cluster\",namespace=\"$namespace\"})",
                        ")"
                    ),
                    "request of a pod",
                ),
                (
                    of_workload!(
                        "max(",
                        "sum by (cluster, namespace, pod) (cluster:namespace:pod_cpu:active:kube_pod_container_resource_limits{cluster=~\"$cluster\",namespace=\"$namespace\"})",
                        ")"
                    ),
                    "limit of a pod",
                ),
            ],
        },
        Panel {
            title: "Memory by pod",
            about: "Memory that each pod uses and cannot give back, and what one pod asks for and may use at most. Alert: KubeContainerOomKilled.",
            unit: "bytes",
            targets: &[
                (
                    of_workload!(
                        "sum by (pod) (",
                        "node_namespace_pod_container:container_memory_working_set_bytes{cluster=~\"$cluster\",namespace=\"$namespace\"}",
                        ")"
                    ),
                    "{{pod}}",
                ),
                (
                    of_workload!(
                        "max(",
                        "sum by (cluster, namespace, pod) (cluster:namespace:pod_memory:active:kube_pod_container_resource_requests{cluster=~\"$cluster\",namespace=\"$namespace\"})",
                        ")"
                    ),
                    "request of a pod",
                ),
                (
                    of_workload!(
                        "max(",
                        "sum by (cluster, namespace, pod) (cluster:namespace:pod_memory:active:kube_pod_container_resource_limits{cluster=~\"$cluster\",namespace=\"$namespace\"})",
                        ")"
                    ),
                    "limit of a pod",
                ),
            ],
        },
        Panel {
            title: "Throttled over time",
            about: "Share of all periods in which a pod's containers were stopped at their CPU limit. Alert: CPUThrottlingHigh.",
            unit: "percentunit",
            targets: &[(
                of_workload!(
                    "",
                    "sum by (cluster, namespace, pod) (rate(container_cpu_cfs_throttled_periods_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\"}[$__rate_interval])) / sum by (cluster, namespace, pod) (rate(container_cpu_cfs_periods_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\"}[$__rate_interval]))",
                    ""
                ),
                "{{pod}}",
            )],
        },
        Panel {
            title: "Restarts and kills",
            about: "Restarts of each pod's containers within 10 minutes, and kills at a memory limit. Alerts: KubeContainerRestartsOften, KubeContainerOomKilled.",
            unit: "short",
            targets: &[
                (
                    of_workload!(
                        "sum by (pod) (",
                        "increase(kube_pod_container_status_restarts_total{cluster=~\"$cluster\",namespace=\"$namespace\"}[10m])",
                        ")"
                    ),
                    "{{pod}}: restarts",
                ),
                (
                    of_workload!(
                        "sum by (pod) (",
                        "increase(container_oom_events_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\"}[10m])",
                        ")"
                    ),
                    "{{pod}}: killed",
                ),
            ],
        },
        Panel {
            title: "Network",
            about: "Bytes a second that its pods receive and send, all of them together.",
            unit: "binBps",
            targets: &[
                (
                    of_workload!(
                        "sum(",
                        "rate(container_network_receive_bytes_total{cluster=~\"$cluster\",namespace=\"$namespace\"}[$__rate_interval])",
                        ")"
                    ),
                    "in",
                ),
                (
                    of_workload!(
                        "sum(",
                        "rate(container_network_transmit_bytes_total{cluster=~\"$cluster\",namespace=\"$namespace\"}[$__rate_interval])",
                        ")"
                    ),
                    "out",
                ),
            ],
        },
        Panel {
            title: "Containers that wait",
            about: "Why containers of it are not running. Alerts: KubePodCrashLooping, KubeImagePullFailing, KubeContainerConfigError.",
            unit: "short",
            targets: &[(
                of_workload!(
                    "count by (reason) (",
                    "kube_pod_container_status_waiting_reason{cluster=~\"$cluster\",namespace=\"$namespace\"} == 1",
                    ") or on () vector(0)"
                ),
                "{{reason}}",
            )],
        },
    ];
    let below = [Panel {
        title: "Pods",
        about: "CPUs and bytes that each pod uses, its restarts, and its node. A name leads to the pod.",
        unit: "short",
        targets: &[
            (
                of_workload!(
                    "sum by (node, pod) (",
                    "node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m{cluster=~\"$cluster\",namespace=\"$namespace\"}",
                    ")"
                ),
                "CPU used",
            ),
            (
                of_workload!(
                    "sum by (node, pod) (",
                    "node_namespace_pod_container:container_memory_working_set_bytes{cluster=~\"$cluster\",namespace=\"$namespace\"}",
                    ")"
                ),
                "memory used",
            ),
            (
                of_workload!(
                    "sum by (pod) (",
                    "kube_pod_container_status_restarts_total{cluster=~\"$cluster\",namespace=\"$namespace\"}",
                    ")"
                ),
                "restarts",
            ),
        ],
    }];
    let mut all = dashboard("skopos-workload", "Skopos / Workload", &stats, &graphs);
    tables(&mut all, &below);
    let namespace = variable("namespace", "Namespace", "kube_pod_info{cluster=~\"$cluster\"}");
    let of = "namespace_workload_pod:kube_pod_owner:relabel{cluster=~\"$cluster\",namespace=\"$namespace\"}";
    finish(&mut all, &[namespace, variable("workload", "Workload", of)]);
    link(&mut all, "Pods", "pod", "skopos-pod");
    all
}

/// What does this pod do, and what does it say?
#[expect(
    clippy::too_many_lines,
    reason = "a list of panels, in the order in which they are seen"
)]
pub(super) fn pod() -> Value {
    let stats = [
        Panel {
            title: "Ready",
            about: "Whether it gets requests: 1. Alert: KubePodNotReady.",
            unit: "short",
            targets: &[(
                "max(kube_pod_status_ready{condition=\"true\",cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                "ready",
            )],
        },
        Panel {
            title: "Running for",
            about: "Time since the kubelet took it up; a short time says that it is new.",
            unit: "s",
            targets: &[(
                "time() - max(kube_pod_start_time{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                "age",
            )],
        },
        Panel {
            title: "Throttled",
            about: "Share of all periods in which a container was stopped at its CPU limit. Alert: CPUThrottlingHigh.",
            unit: "percentunit",
            targets: &[(
                "sum by (container) (rate(container_cpu_cfs_throttled_periods_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[$__rate_interval])) / sum by (container) (rate(container_cpu_cfs_periods_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[$__rate_interval]))",
                "{{container}}",
            )],
        },
        Panel {
            title: "Restarts of the last hour",
            about: "Of each container. Alert: KubeContainerRestartsOften.",
            unit: "short",
            targets: &[(
                "max by (container) (increase(kube_pod_container_status_restarts_total{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[1h]))",
                "{{container}}",
            )],
        },
        Panel {
            title: "CPU used of its limit",
            about: "Share of its limit that each container uses on average. Alert: CPUThrottlingHigh.",
            unit: "percentunit",
            targets: &[(
                "max by (container) (node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}) / max by (container) (cluster:namespace:pod_cpu:active:kube_pod_container_resource_limits{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                "{{container}}",
            )],
        },
        Panel {
            title: "Memory used of its limit",
            about: "Share of its limit that each container uses and cannot give back; at 1 it is killed. Alert: KubeContainerOomKilled.",
            unit: "percentunit",
            targets: &[(
                "max by (container) (node_namespace_pod_container:container_memory_working_set_bytes{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}) / max by (container) (cluster:namespace:pod_memory:active:kube_pod_container_resource_limits{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                "{{container}}",
            )],
        },
        Panel {
            title: "Killed for memory in the last day",
            about: "Times that the kernel ended a process of it at its memory limit. Alerts: KubeContainerOomKilled, KubeContainerProcessOomKilled.",
            unit: "short",
            targets: &[(
                "sum(increase(container_oom_events_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[1d]))",
                "killed",
            )],
        },
        Panel {
            title: "Last end",
            about: "Why containers of it ended the last time; empty where none has. Alert: KubeContainerOomKilled.",
            unit: "short",
            targets: &[(
                "max by (container, reason) (kube_pod_container_status_last_terminated_reason{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"} == 1)",
                "{{container}}: {{reason}}",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "CPU",
            about: "CPUs that each container uses, asks for, and may use at most. Alert: CPUThrottlingHigh.",
            unit: "short",
            targets: &[
                (
                    "sum by (container) (node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "{{container}}",
                ),
                (
                    "max by (container) (cluster:namespace:pod_cpu:active:kube_pod_container_resource_requests{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "{{container}}: request",
                ),
                (
                    "max by (container) (cluster:namespace:pod_cpu:active:kube_pod_container_resource_limits{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "{{container}}: limit",
                ),
            ],
        },
        Panel {
            title: "Memory",
            about: "Memory that each container uses and cannot give back, asks for, and may use at most. Alert: KubeContainerOomKilled.",
            unit: "bytes",
            targets: &[
                (
                    "sum by (container) (node_namespace_pod_container:container_memory_working_set_bytes{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "{{container}}",
                ),
                (
                    "max by (container) (cluster:namespace:pod_memory:active:kube_pod_container_resource_requests{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "{{container}}: request",
                ),
                (
                    "max by (container) (cluster:namespace:pod_memory:active:kube_pod_container_resource_limits{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "{{container}}: limit",
                ),
            ],
        },
        Panel {
            title: "Throttled over time",
            about: "Share of all periods in which a container was stopped at its CPU limit. Alert: CPUThrottlingHigh.",
            unit: "percentunit",
            targets: &[(
                "sum by (container) (rate(container_cpu_cfs_throttled_periods_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[$__rate_interval])) / sum by (container) (rate(container_cpu_cfs_periods_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[$__rate_interval]))",
                "{{container}}",
            )],
        },
        Panel {
            title: "What the memory is",
            about: "Memory of programs, and of the page cache of files that they read and write; the latter can be given back.",
            unit: "bytes",
            targets: &[
                (
                    "sum by (container) (node_namespace_pod_container:container_memory_rss{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "{{container}}: programs",
                ),
                (
                    "sum by (container) (node_namespace_pod_container:container_memory_cache{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "{{container}}: page cache",
                ),
            ],
        },
        Panel {
            title: "Network",
            about: "Bytes a second that it receives and sends; of a pod in the network of its node nothing is known.",
            unit: "binBps",
            targets: &[
                (
                    "sum(rate(container_network_receive_bytes_total{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[$__rate_interval]))",
                    "in",
                ),
                (
                    "sum(rate(container_network_transmit_bytes_total{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[$__rate_interval]))",
                    "out",
                ),
            ],
        },
        Panel {
            title: "Packets dropped",
            about: "Packets a second that were dropped on their way in and out of it; anything above 0 for long is wrong.",
            unit: "pps",
            targets: &[
                (
                    "sum(rate(container_network_receive_packets_dropped_total{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[$__rate_interval]))",
                    "in",
                ),
                (
                    "sum(rate(container_network_transmit_packets_dropped_total{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[$__rate_interval]))",
                    "out",
                ),
            ],
        },
        Panel {
            title: "Disk",
            about: "Bytes a second that its containers read from and write to disks.",
            unit: "binBps",
            targets: &[
                (
                    "sum(rate(container_fs_reads_bytes_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[$__rate_interval]))",
                    "read",
                ),
                (
                    "sum(rate(container_fs_writes_bytes_total{container!=\"\",cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}[$__rate_interval]))",
                    "written",
                ),
            ],
        },
        Panel {
            title: "Files on the node's disk",
            about: "What it has written beside its claims: the layer of each container, log files, and volumes that live as long as it does. Past the limit it is evicted. Alert: KubePodEphemeralStorageNearLimit.",
            unit: "bytes",
            targets: &[
                (
                    "max(kube_summary_pod_ephemeral_storage_used_bytes{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "all",
                ),
                (
                    "max by (container) (kube_summary_container_rootfs_used_bytes{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "{{container}}: layer",
                ),
                (
                    "max by (container) (kube_summary_container_logs_used_bytes{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "{{container}}: logs",
                ),
                (
                    "max by (volume) (kube_summary_pod_volume_storage_used_bytes{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                    "volume {{volume}}",
                ),
                (
                    "sum(max by (container) (kube_pod_container_resource_limits{resource=\"ephemeral_storage\",cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"}))",
                    "limit",
                ),
            ],
        },
        Panel {
            title: "Restarts",
            about: "Restarts of each container since the pod was made. Alerts: KubePodCrashLooping, KubeContainerRestartsOften.",
            unit: "short",
            targets: &[(
                "max by (container) (kube_pod_container_status_restarts_total{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
                "{{container}}",
            )],
        },
    ];
    let below = [Panel {
        title: "What it is",
        about: "Its node, address and owner, and how important it is.",
        unit: "short",
        targets: &[(
            "max by (node, pod_ip, host_ip, created_by_kind, created_by_name, priority_class, host_network) (kube_pod_info{cluster=~\"$cluster\",namespace=\"$namespace\",pod=\"$pod\"})",
            "there",
        )],
    }];
    let mut all = dashboard("skopos-pod", "Skopos / Pod", &stats, &graphs);
    tables(&mut all, &below);
    let namespace = variable("namespace", "Namespace", "kube_pod_info{cluster=~\"$cluster\"}");
    let of = "kube_pod_info{cluster=~\"$cluster\",namespace=\"$namespace\"}";
    finish(&mut all, &[namespace, variable("pod", "Pod", of)]);
    logs::add_lines_of_pod(&mut all);
    // The reason is in the name; the value is 1.
    let panels = all["panels"].as_array_mut().into_iter().flatten();
    for panel in panels.filter(|panel| panel["title"] == "Last end") {
        panel["options"] = json!({"textMode": "name"});
    }
    all
}

/// Thresholds, variables, and the alerts of what is looked at.
pub(super) fn finish(dashboard: &mut Value, narrower: &[Value]) {
    let panels = dashboard["panels"].as_array_mut().expect("a list of panels");
    for panel in panels {
        let title = panel["title"].clone();
        let of = |bound: &[(&str, &str)]| {
            let found = bound.iter().find(|(bound, _)| title == *bound);
            found.map(|(_, alert)| threshold(alert))
        };
        if let Some(number) = of(BOUND) {
            bind(panel, number);
        }
        if let Some(number) = of(BOUND_BELOW) {
            bind_below(panel, number);
        }
    }
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let mut variables = vec![
        json!({"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}),
        json!({
            "name": "cluster", "label": "Cluster", "type": "query", "datasource": source, "refresh": 2, "sort": 1,
            "definition": "label_values(kube_node_info, cluster)",
            "query": {"query": "label_values(kube_node_info, cluster)", "refId": "A"},
            "includeAll": true, "multi": false, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
        }),
    ];
    let mut selector = "alertstate=\"firing\",cluster=~\"$cluster\"".to_owned();
    if !narrower.is_empty() {
        selector += ",namespace=\"$namespace\"";
    }
    variables.extend_from_slice(narrower);
    dashboard["templating"]["list"] = json!(variables);
    dashboard["annotations"]["list"][0]["expr"] = json!(format!("ALERTS{{{selector}}}"));
}

/// One value at a time, of those that series have.
fn variable(name: &str, label: &str, series: &str) -> Value {
    let query = format!("label_values({series}, {name})");
    json!({
        "name": name, "label": label, "type": "query", "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "refresh": 2, "sort": 1, "definition": query, "query": {"query": query, "refId": "A"},
        "includeAll": false, "multi": false,
    })
}

/// The cells of a column lead to the dashboard of what they name.
fn link(dashboard: &mut Value, table: &str, column: &str, to: &str) {
    let panels = dashboard["panels"].as_array_mut().expect("a list of panels");
    let panel = panels.iter_mut().find(|panel| panel["title"] == table);
    let kept = if column == "pod" {
        "&var-namespace=$namespace"
    } else {
        ""
    };
    let url = format!(
        "/d/{to}?${{datasource:queryparam}}&${{cluster:queryparam}}{kept}&var-{column}=${{__value.raw}}&${{__url_time_range}}"
    );
    let overrides = panel.and_then(|panel| panel["fieldConfig"]["overrides"].as_array_mut());
    overrides.expect("a table of this title").push(json!({
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": "links", "value": [{"title": "Open", "url": url}]}],
    }));
}

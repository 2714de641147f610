//! Pods and their containers.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::draft::Draft;
use crate::meta::{Condition, Meta, Whole, boolean, phases, sanitized, seconds, states};
use crate::quantity;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    priority_class_name: String,
    host_network: bool,
    restart_policy: String,
    runtime_class_name: Option<String>,
    service_account_name: String,
    scheduler_name: String,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    overhead: BTreeMap<String, String>,
    volumes: Vec<Volume>,
    tolerations: Vec<Toleration>,
    resource_claims: Vec<ResourceClaim>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    image: String,
    restart_policy: String,
    resources: Resources,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    limits: BTreeMap<String, String>,
    requests: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Volume {
    name: String,
    persistent_volume_claim: Option<Claim>,
    ephemeral: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Claim {
    claim_name: String,
    read_only: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Toleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
    toleration_seconds: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceClaim {
    name: String,
    resource_claim_name: Option<String>,
    resource_claim_template_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    reason: String,
    #[serde(rename = "hostIP")]
    host_ip: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<Address>,
    qos_class: String,
    start_time: Option<String>,
    conditions: Vec<Condition>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
    resource_claim_statuses: Vec<ResourceClaim>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Address {
    ip: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    name: String,
    image: String,
    #[serde(rename = "imageID")]
    image_id: String,
    #[serde(rename = "containerID")]
    container_id: String,
    ready: bool,
    restart_count: f64,
    state: State,
    last_state: State,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    running: Option<Running>,
    waiting: Option<Waiting>,
    terminated: Option<Terminated>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Running {
    started_at: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    reason: String,
    exit_code: f64,
    started_at: Option<String>,
    finished_at: Option<String>,
}

/// What a pod or a container of it may say as the reason of its state.
const REASONS: [&str; 8] = [
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "PreemptionByScheduler",
    "SchedulingGated",
    "Shutdown",
    "TerminationByKubelet",
    "UnexpectedAdmissionError",
];
/// Why a pod is going to be ended.
const DISRUPTIONS: [&str; 5] = [
    "PreemptionByScheduler",
    "DeletionByTaintManager",
    "EvictionByEvictionAPI",
    "DeletionByPodGC",
    "TerminationByKubelet",
];

pub(super) fn read(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let pod: Whole<Spec, Status> = serde_json::from_str(text)?;
    let Whole {
        metadata,
        spec,
        status,
    } = &pod;
    let mut own = metadata.within("pod");
    own.push(("uid", metadata.uid.clone()));
    draft.of(own);
    about(draft, metadata, spec, status);
    state(draft, spec, status);
    for container in &spec.containers {
        resources(draft, &CONTAINER, container, spec);
    }
    for container in &spec.init_containers {
        resources(draft, &INIT, container, spec);
    }
    images(draft, &CONTAINER, &spec.containers, &status.container_statuses);
    images(
        draft,
        &INIT,
        &spec.init_containers,
        &status.init_container_statuses,
    );
    for container in &status.container_statuses {
        container_state(draft, &CONTAINER, container);
    }
    for container in &status.init_container_statuses {
        container_state(draft, &INIT, container);
    }
    placing(draft, metadata, spec);
    Ok(())
}

fn about(draft: &mut Draft<'_>, meta: &Meta, spec: &Spec, status: &Status) {
    let maker = meta.owner_references.iter().find(|owner| owner.controller);
    let labels = [
        ("host_ip", status.host_ip.as_str()),
        ("pod_ip", &status.pod_ip),
        ("node", &spec.node_name),
        ("created_by_kind", maker.map_or("", |maker| &maker.kind)),
        ("created_by_name", maker.map_or("", |maker| &maker.name)),
        ("priority_class", &spec.priority_class_name),
        ("host_network", boolean(spec.host_network)),
    ];
    draft.gauge("kube_pod_info", "Where a pod is and what made it.", &labels, 1.0);
    for address in &status.pod_ips {
        let family = match address.ip.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(_)) => "4",
            Ok(std::net::IpAddr::V6(_)) => "6",
            Err(_) => continue,
        };
        let labels = [("ip", address.ip.as_str()), ("ip_family", family)];
        draft.gauge("kube_pod_ips", "Addresses of a pod.", &labels, 1.0);
    }
    meta.owners(draft, "kube_pod_owner");
    meta.words(draft, "kube_pod_labels", "kube_pod_annotations");
    draft.some("kube_pod_created", "When it was made.", meta.created());
    draft.some(
        "kube_pod_deletion_timestamp",
        "When it is to be gone.",
        meta.deleted(),
    );
    draft.some(
        "kube_pod_start_time",
        "When the kubelet took it up.",
        seconds(status.start_time.as_deref()),
    );
    let ended = status.container_statuses.iter().filter_map(|container| {
        let terminated = container.state.terminated.as_ref()?;
        seconds(terminated.finished_at.as_deref())
    });
    let ended = ended.fold(0.0, f64::max);
    draft.some(
        "kube_pod_completion_time",
        "When its last container ended.",
        (ended > 0.0).then_some(ended),
    );
    draft.gauge(
        "kube_pod_restart_policy",
        "When its containers are started again.",
        &[("type", spec.restart_policy.as_str())],
        1.0,
    );
    if let Some(name) = &spec.runtime_class_name {
        let labels = [("runtimeclass_name", name.as_str())];
        draft.gauge("kube_pod_runtimeclass_name_info", "What runs it.", &labels, 1.0);
    }
    draft.gauge(
        "kube_pod_service_account",
        "Whose rights it has.",
        &[("service_account", spec.service_account_name.as_str())],
        1.0,
    );
    draft.gauge(
        "kube_pod_scheduler",
        "Who finds a node for it.",
        &[("name", spec.scheduler_name.as_str())],
        1.0,
    );
    let overhead = |name: &str| spec.overhead.get(name);
    draft.some(
        "kube_pod_overhead_cpu_cores",
        "CPU that running it takes beside its containers.",
        overhead("cpu").and_then(|text| quantity::value(text)),
    );
    draft.some(
        "kube_pod_overhead_memory_bytes",
        "Memory that running it takes beside its containers.",
        overhead("memory").and_then(|text| quantity::whole(text)),
    );
}

fn state(draft: &mut Draft<'_>, spec: &Spec, status: &Status) {
    phases(
        draft,
        "kube_pod_status_phase",
        "How far a pod is.",
        "phase",
        &["Pending", "Succeeded", "Failed", "Unknown", "Running"],
        &status.phase,
    );
    phases(
        draft,
        "kube_pod_status_qos_class",
        "How early it is ended when a node runs short.",
        "qos_class",
        &["BestEffort", "Burstable", "Guaranteed"],
        &status.qos_class,
    );
    for condition in &status.conditions {
        let time = seconds(condition.last_transition_time.as_deref());
        let (is_true, is_false) = (condition.status == "True", condition.status == "False");
        match condition.kind.as_str() {
            "Ready" => {
                let help = "Whether a pod takes requests.";
                states(
                    draft,
                    "kube_pod_status_ready",
                    help,
                    &[],
                    "condition",
                    &condition.status,
                );
                let time = time.filter(|_| is_true);
                draft.some("kube_pod_status_ready_time", "Since when it does.", time);
            }
            "Initialized" => draft.some(
                "kube_pod_status_initialized_time",
                "When its init containers were done.",
                time.filter(|_| is_true),
            ),
            "ContainersReady" => draft.some(
                "kube_pod_status_container_ready_time",
                "Since when all of its containers are ready.",
                time.filter(|_| is_true),
            ),
            "PodScheduled" => {
                let help = "Whether there is a node for it.";
                states(
                    draft,
                    "kube_pod_status_scheduled",
                    help,
                    &[],
                    "condition",
                    &condition.status,
                );
                draft.some(
                    "kube_pod_status_scheduled_time",
                    "When one was found.",
                    time.filter(|_| is_true),
                );
                draft.some(
                    "kube_pod_status_unscheduled_time",
                    "Since when none is found.",
                    time.filter(|_| is_false),
                );
                draft.some(
                    "kube_pod_status_unschedulable",
                    "No node is found for it.",
                    is_false.then_some(1.0),
                );
            }
            "DisruptionTarget" => {
                let known = DISRUPTIONS.into_iter().find(|known| *known == condition.reason);
                let labels = [("reason", known.unwrap_or("Other"))];
                let help = "Why it is about to be ended.";
                draft.gauge("kube_pod_status_disruption_reason", help, &labels, 1.0);
            }
            _ => {}
        }
    }
    let says = |reason: &str| {
        status.reason == reason
            || status
                .conditions
                .iter()
                .any(|condition| condition.reason == reason)
            || status.container_statuses.iter().any(|container| {
                let terminated = container.state.terminated.as_ref();
                terminated.is_some_and(|terminated| terminated.reason == reason)
            })
    };
    let other = !status.reason.is_empty() && !REASONS.contains(&status.reason.as_str());
    let reasons = REASONS.into_iter().filter(|reason| says(reason));
    for reason in reasons.chain(other.then_some("Other")) {
        let help = "Why it is in its state.";
        draft.gauge("kube_pod_status_reason", help, &[("reason", reason)], 1.0);
    }
    for claim in &spec.resource_claims {
        let status = status
            .resource_claim_statuses
            .iter()
            .find(|status| status.name == claim.name);
        let made = status.and_then(|status| status.resource_claim_name.clone());
        if claim.resource_claim_name.is_none() && claim.resource_claim_template_name.is_none() {
            continue;
        }
        let labels = [
            ("claim_name", claim.name.as_str()),
            (
                "resourceclaim_name",
                claim
                    .resource_claim_name
                    .as_deref()
                    .or(made.as_deref())
                    .unwrap_or_default(),
            ),
            (
                "resourceclaim_template_name",
                claim.resource_claim_template_name.as_deref().unwrap_or_default(),
            ),
        ];
        draft.gauge(
            "kube_pod_resourceclaim_info",
            "Devices that it claims.",
            &labels,
            1.0,
        );
    }
}

/// Names of families that containers and init containers have alike.
struct Names {
    info: &'static str,
    is_init: bool,
    limits: &'static str,
    requests: &'static str,
    started: &'static str,
    last_reason: &'static str,
    last_exit_code: &'static str,
    last_time: &'static str,
    ready: &'static str,
    restarts: &'static str,
    running: &'static str,
    terminated: &'static str,
    terminated_reason: &'static str,
    waiting: &'static str,
    waiting_reason: &'static str,
}

macro_rules! names {
    ($prefix:literal, $is_init:literal) => {
        Names {
            info: concat!($prefix, "_info"),
            is_init: $is_init,
            limits: concat!($prefix, "_resource_limits"),
            requests: concat!($prefix, "_resource_requests"),
            started: concat!($prefix, "_state_started"),
            last_reason: concat!($prefix, "_status_last_terminated_reason"),
            last_exit_code: concat!($prefix, "_status_last_terminated_exitcode"),
            last_time: concat!($prefix, "_status_last_terminated_timestamp"),
            ready: concat!($prefix, "_status_ready"),
            restarts: concat!($prefix, "_status_restarts_total"),
            running: concat!($prefix, "_status_running"),
            terminated: concat!($prefix, "_status_terminated"),
            terminated_reason: concat!($prefix, "_status_terminated_reason"),
            waiting: concat!($prefix, "_status_waiting"),
            waiting_reason: concat!($prefix, "_status_waiting_reason"),
        }
    };
}

static CONTAINER: Names = names!("kube_pod_container", false);
static INIT: Names = names!("kube_pod_init_container", true);

fn resources(draft: &mut Draft<'_>, names: &Names, container: &Container, spec: &Spec) {
    let all = [
        (
            names.limits,
            "At most so much of a resource.",
            &container.resources.limits,
        ),
        (
            names.requests,
            "So much of a resource is kept for it.",
            &container.resources.requests,
        ),
    ];
    for (name, help, amounts) in all {
        for (resource, amount) in amounts {
            let Some((unit, value)) = amount_of(resource, amount) else {
                continue;
            };
            let resource = sanitized(resource);
            let labels = [
                ("container", container.name.as_str()),
                ("node", &spec.node_name),
                ("resource", &resource),
                ("unit", unit),
            ];
            draft.gauge(name, help, &labels, value);
        }
    }
}

/// Unit and value; nothing of resources that are nobody's.
fn amount_of(resource: &str, amount: &str) -> Option<(&'static str, f64)> {
    match resource {
        "cpu" => Some(("core", quantity::value(amount)?)),
        _ => Some((unit_of(resource)?, quantity::whole(amount)?)),
    }
}

/// Of everything but CPU.
pub(super) fn unit_of(resource: &str) -> Option<&'static str> {
    let is_bytes = matches!(resource, "storage" | "ephemeral-storage" | "memory")
        || resource.starts_with("hugepages-")
        || resource.starts_with("attachable-volumes-");
    let is_native = !resource.contains('/') || resource.contains("kubernetes.io/");
    match (is_bytes, is_native || resource.starts_with("requests.")) {
        (true, _) => Some("byte"),
        (false, true) => None,
        (false, false) => Some("integer"),
    }
}

fn images(draft: &mut Draft<'_>, names: &Names, containers: &[Container], statuses: &[ContainerStatus]) {
    for container in containers {
        for status in statuses.iter().filter(|status| status.name == container.name) {
            let mut labels = vec![
                ("container", status.name.as_str()),
                ("image_spec", &container.image),
                ("image", &status.image),
                ("image_id", &status.image_id),
                ("container_id", &status.container_id),
            ];
            if names.is_init {
                labels.push(("restart_policy", &container.restart_policy));
            }
            draft.gauge(names.info, "What a container runs.", &labels, 1.0);
        }
    }
}

fn container_state(draft: &mut Draft<'_>, names: &Names, container: &ContainerStatus) {
    let label = [("container", container.name.as_str())];
    let with = |reason: &'_ str| {
        [
            ("container", container.name.clone()),
            ("reason", reason.to_owned()),
        ]
    };
    let State {
        running,
        waiting,
        terminated,
    } = &container.state;
    let started = match (running, terminated) {
        (Some(running), _) => running.started_at.as_deref(),
        (None, Some(terminated)) => terminated.started_at.as_deref(),
        (None, None) => None,
    };
    if let Some(started) = seconds(started) {
        draft.gauge(names.started, "When a container was started.", &label, started);
    }
    let is = |is: bool| f64::from(is);
    draft.gauge(
        names.ready,
        "Whether a container takes requests.",
        &label,
        is(container.ready),
    );
    draft.counter(
        names.restarts,
        "How often a container was started again.",
        &label,
        container.restart_count,
    );
    draft.gauge(
        names.running,
        "Whether a container runs.",
        &label,
        is(running.is_some()),
    );
    draft.gauge(
        names.waiting,
        "Whether a container waits.",
        &label,
        is(waiting.is_some()),
    );
    draft.gauge(
        names.terminated,
        "Whether a container has ended.",
        &label,
        is(terminated.is_some()),
    );
    let mut reason = |name: &str, help: &str, reason: &str| {
        let labels = with(reason);
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
        draft.gauge(name, help, &labels, 1.0);
    };
    if let Some(waiting) = waiting {
        reason(names.waiting_reason, "Why a container waits.", &waiting.reason);
    }
    if let Some(terminated) = terminated {
        reason(
            names.terminated_reason,
            "Why a container has ended.",
            &terminated.reason,
        );
    }
    if let Some(last) = &container.last_state.terminated {
        reason(
            names.last_reason,
            "Why a container ended the last time.",
            &last.reason,
        );
        draft.gauge(
            names.last_exit_code,
            "With what a container ended the last time.",
            &label,
            last.exit_code,
        );
        if let Some(time) = seconds(last.finished_at.as_deref()) {
            draft.gauge(
                names.last_time,
                "When a container ended the last time.",
                &label,
                time,
            );
        }
    }
}

fn placing(draft: &mut Draft<'_>, meta: &Meta, spec: &Spec) {
    for volume in &spec.volumes {
        let (claim, is_ephemeral, is_read_only) = match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => (claim.claim_name.clone(), "false", claim.read_only),
            (None, Some(_)) => (format!("{}-{}", meta.name, volume.name), "true", false),
            (None, None) => continue,
        };
        let labels = [
            ("volume", volume.name.as_str()),
            ("persistentvolumeclaim", &claim),
            ("ephemeral", is_ephemeral),
        ];
        draft.gauge(
            "kube_pod_spec_volumes_persistentvolumeclaims_info",
            "Claims that a pod has as volumes.",
            &labels,
            1.0,
        );
        draft.gauge(
            "kube_pod_spec_volumes_persistentvolumeclaims_readonly",
            "Whether a claim is mounted to be read only.",
            &labels,
            f64::from(is_read_only),
        );
    }
    for toleration in &spec.tolerations {
        let time = toleration
            .toleration_seconds
            .map(|time| time.to_string())
            .unwrap_or_default();
        let labels = [
            ("key", toleration.key.as_str()),
            ("operator", &toleration.operator),
            ("value", &toleration.value),
            ("effect", &toleration.effect),
            ("toleration_seconds", &time),
        ];
        draft.gauge("kube_pod_tolerations", "Taints that a pod stands.", &labels, 1.0);
    }
}

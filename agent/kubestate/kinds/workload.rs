//! What keeps pods running: Deployments, ReplicaSets, StatefulSets, DaemonSets and ReplicationControllers.

use serde::Deserialize;
use serde_json::Value;

use crate::draft::Draft;
use crate::meta::{Condition, Whole, states};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<f64>,
    paused: bool,
    strategy: Strategy,
    ordinals: Option<Ordinals>,
    persistent_volume_claim_retention_policy: Option<Retention>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Strategy {
    rolling_update: Option<RollingUpdate>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingUpdate {
    max_unavailable: Option<Value>,
    max_surge: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ordinals {
    start: f64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Retention {
    when_deleted: String,
    when_scaled: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    replicas: f64,
    ready_replicas: f64,
    available_replicas: f64,
    unavailable_replicas: f64,
    updated_replicas: f64,
    current_replicas: f64,
    fully_labeled_replicas: f64,
    terminating_replicas: Option<f64>,
    observed_generation: f64,
    current_revision: String,
    update_revision: String,
    conditions: Vec<Condition>,
    current_number_scheduled: f64,
    desired_number_scheduled: f64,
    number_available: f64,
    number_misscheduled: f64,
    number_ready: f64,
    number_unavailable: f64,
    updated_number_scheduled: f64,
}

type Workload = Whole<Spec, Status>;

const CREATED: &str = "When it was made.";
const DELETED: &str = "When it is to be gone.";
const GENERATION: &str = "How often what is wanted has changed.";
const OBSERVED: &str = "Up to which change its controller has seen it.";
const WANTED: &str = "Pods that are wanted.";

/// What a Deployment gives as the reason of a condition; of others none is told, so that the label's values have an end.
const REASONS: [&str; 11] = [
    "",
    "ReplicaSetUpdated",
    "ReplicaSetCreateError",
    "NewReplicaSetCreated",
    "FoundNewReplicaSet",
    "NewReplicaSetAvailable",
    "ProgressDeadlineExceeded",
    "DeploymentPaused",
    "DeploymentResumed",
    "MinimumReplicasAvailable",
    "MinimumReplicasUnavailable",
];

pub(super) fn deployment(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Workload {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.within("deployment"));
    draft.some("kube_deployment_created", CREATED, metadata.created());
    draft.some("kube_deployment_deletion_timestamp", DELETED, metadata.deleted());
    metadata.words(draft, "kube_deployment_labels", "kube_deployment_annotations");
    const OWNER: &str = "What made it.";
    if metadata.owner_references.is_empty() {
        draft.gauge(
            "kube_deployment_owner",
            OWNER,
            &[("owner_kind", ""), ("owner_name", "")],
            1.0,
        );
    }
    for owner in &metadata.owner_references {
        let labels = [("owner_kind", owner.kind.as_str()), ("owner_name", &owner.name)];
        draft.gauge("kube_deployment_owner", OWNER, &labels, 1.0);
    }
    let counts = [
        (
            "kube_deployment_metadata_generation",
            GENERATION,
            metadata.generation,
        ),
        (
            "kube_deployment_status_observed_generation",
            OBSERVED,
            status.observed_generation,
        ),
        (
            "kube_deployment_status_replicas",
            "Pods that there are.",
            status.replicas,
        ),
        (
            "kube_deployment_status_replicas_ready",
            "Pods that are ready.",
            status.ready_replicas,
        ),
        (
            "kube_deployment_status_replicas_available",
            "Pods that have been ready for long enough.",
            status.available_replicas,
        ),
        (
            "kube_deployment_status_replicas_unavailable",
            "Pods that are missing.",
            status.unavailable_replicas,
        ),
        (
            "kube_deployment_status_replicas_updated",
            "Pods of the newest template.",
            status.updated_replicas,
        ),
        (
            "kube_deployment_spec_paused",
            "Whether nothing is done about it.",
            f64::from(spec.paused),
        ),
    ];
    for (name, help, value) in counts {
        draft.gauge(name, help, &[], value);
    }
    draft.some(
        "kube_deployment_status_terminating_replicas",
        "Pods that are about to end.",
        status.terminating_replicas,
    );
    draft.some("kube_deployment_spec_replicas", WANTED, spec.replicas);
    if let (Some(rolling), Some(replicas)) = (&spec.strategy.rolling_update, spec.replicas) {
        draft.some(
            "kube_deployment_spec_strategy_rollingupdate_max_unavailable",
            "Pods that may be missing while it is rolled out.",
            share(rolling.max_unavailable.as_ref(), replicas, f64::floor),
        );
        draft.some(
            "kube_deployment_spec_strategy_rollingupdate_max_surge",
            "Pods that there may be more while it is rolled out.",
            share(rolling.max_surge.as_ref(), replicas, f64::ceil),
        );
    }
    for condition in &status.conditions {
        let known = REASONS.contains(&condition.reason.as_str());
        let reason = if known {
            condition.reason.as_str()
        } else {
            "unknown"
        };
        let labels = [("reason", reason), ("condition", condition.kind.as_str())];
        let help = "Which of its conditions hold.";
        states(
            draft,
            "kube_deployment_status_condition",
            help,
            &labels,
            "status",
            &condition.status,
        );
    }
    Ok(())
}

/// A number, or so many percent.
fn share(of: Option<&Value>, replicas: f64, round: fn(f64) -> f64) -> Option<f64> {
    match of? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let percent: f64 = text.strip_suffix('%')?.parse().ok()?;
            Some(round(percent * replicas / 100.0))
        }
        _ => None,
    }
}

pub(super) fn replica_set(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Workload {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.within("replicaset"));
    draft.some("kube_replicaset_created", CREATED, metadata.created());
    metadata.words(draft, "kube_replicaset_labels", "kube_replicaset_annotations");
    metadata.owners(draft, "kube_replicaset_owner");
    let counts = [
        (
            "kube_replicaset_status_replicas",
            "Pods that there are.",
            status.replicas,
        ),
        (
            "kube_replicaset_status_fully_labeled_replicas",
            "Pods that have all labels of the template.",
            status.fully_labeled_replicas,
        ),
        (
            "kube_replicaset_status_ready_replicas",
            "Pods that are ready.",
            status.ready_replicas,
        ),
        (
            "kube_replicaset_status_observed_generation",
            OBSERVED,
            status.observed_generation,
        ),
        (
            "kube_replicaset_metadata_generation",
            GENERATION,
            metadata.generation,
        ),
    ];
    for (name, help, value) in counts {
        draft.gauge(name, help, &[], value);
    }
    draft.some(
        "kube_replicaset_status_terminating_replicas",
        "Pods that are about to end.",
        status.terminating_replicas,
    );
    draft.some("kube_replicaset_spec_replicas", WANTED, spec.replicas);
    Ok(())
}

pub(super) fn replication_controller(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Workload {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.within("replicationcontroller"));
    draft.some("kube_replicationcontroller_created", CREATED, metadata.created());
    metadata.owners(draft, "kube_replicationcontroller_owner");
    let counts = [
        (
            "kube_replicationcontroller_status_replicas",
            "Pods that there are.",
            status.replicas,
        ),
        (
            "kube_replicationcontroller_status_fully_labeled_replicas",
            "Pods that have all labels of the template.",
            status.fully_labeled_replicas,
        ),
        (
            "kube_replicationcontroller_status_ready_replicas",
            "Pods that are ready.",
            status.ready_replicas,
        ),
        (
            "kube_replicationcontroller_status_available_replicas",
            "Pods that have been ready for long enough.",
            status.available_replicas,
        ),
        (
            "kube_replicationcontroller_status_observed_generation",
            OBSERVED,
            status.observed_generation,
        ),
        (
            "kube_replicationcontroller_metadata_generation",
            GENERATION,
            metadata.generation,
        ),
    ];
    for (name, help, value) in counts {
        draft.gauge(name, help, &[], value);
    }
    draft.some("kube_replicationcontroller_spec_replicas", WANTED, spec.replicas);
    Ok(())
}

pub(super) fn stateful_set(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Workload {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.within("statefulset"));
    draft.some("kube_statefulset_created", CREATED, metadata.created());
    draft.some("kube_statefulset_deletion_timestamp", DELETED, metadata.deleted());
    metadata.words(draft, "kube_statefulset_labels", "kube_statefulset_annotations");
    let counts = [
        (
            "kube_statefulset_status_replicas",
            "Pods that there are.",
            status.replicas,
        ),
        (
            "kube_statefulset_status_replicas_available",
            "Pods that have been ready for long enough.",
            status.available_replicas,
        ),
        (
            "kube_statefulset_status_replicas_current",
            "Pods of the current revision.",
            status.current_replicas,
        ),
        (
            "kube_statefulset_status_replicas_ready",
            "Pods that are ready.",
            status.ready_replicas,
        ),
        (
            "kube_statefulset_status_replicas_updated",
            "Pods of the newest revision.",
            status.updated_replicas,
        ),
        (
            "kube_statefulset_status_observed_generation",
            OBSERVED,
            status.observed_generation,
        ),
        (
            "kube_statefulset_metadata_generation",
            GENERATION,
            metadata.generation,
        ),
    ];
    for (name, help, value) in counts {
        draft.gauge(name, help, &[], value);
    }
    draft.some("kube_statefulset_replicas", WANTED, spec.replicas);
    draft.some(
        "kube_statefulset_ordinals_start",
        "The number of its first pod.",
        spec.ordinals.map(|ordinals| ordinals.start),
    );
    if let Some(policy) = spec
        .persistent_volume_claim_retention_policy
        .filter(|policy| !policy.when_deleted.is_empty() || !policy.when_scaled.is_empty())
    {
        let labels = [
            ("when_deleted", policy.when_deleted.as_str()),
            ("when_scaled", &policy.when_scaled),
        ];
        draft.gauge(
            "kube_statefulset_persistentvolumeclaim_retention_policy",
            "What becomes of its claims.",
            &labels,
            1.0,
        );
    }
    for (name, help, revision) in [
        (
            "kube_statefulset_status_current_revision",
            "The revision that its pods have had.",
            &status.current_revision,
        ),
        (
            "kube_statefulset_status_update_revision",
            "The revision that its pods are to have.",
            &status.update_revision,
        ),
    ] {
        draft.gauge(name, help, &[("revision", revision)], 1.0);
    }
    Ok(())
}

pub(super) fn daemon_set(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Workload { metadata, status, .. } = serde_json::from_str(text)?;
    draft.of(metadata.within("daemonset"));
    draft.some("kube_daemonset_created", CREATED, metadata.created());
    draft.some("kube_daemonset_deletion_timestamp", DELETED, metadata.deleted());
    metadata.words(draft, "kube_daemonset_labels", "kube_daemonset_annotations");
    let counts = [
        (
            "kube_daemonset_status_current_number_scheduled",
            "Nodes that have its pod and should.",
            status.current_number_scheduled,
        ),
        (
            "kube_daemonset_status_desired_number_scheduled",
            "Nodes that should have its pod.",
            status.desired_number_scheduled,
        ),
        (
            "kube_daemonset_status_number_available",
            "Nodes where it has been ready for long enough.",
            status.number_available,
        ),
        (
            "kube_daemonset_status_number_misscheduled",
            "Nodes that have its pod and should not.",
            status.number_misscheduled,
        ),
        (
            "kube_daemonset_status_number_ready",
            "Nodes where it is ready.",
            status.number_ready,
        ),
        (
            "kube_daemonset_status_number_unavailable",
            "Nodes where it is missing.",
            status.number_unavailable,
        ),
        (
            "kube_daemonset_status_observed_generation",
            OBSERVED,
            status.observed_generation,
        ),
        (
            "kube_daemonset_status_updated_number_scheduled",
            "Nodes that have its newest pod.",
            status.updated_number_scheduled,
        ),
        (
            "kube_daemonset_metadata_generation",
            GENERATION,
            metadata.generation,
        ),
    ];
    for (name, help, value) in counts {
        draft.gauge(name, help, &[], value);
    }
    Ok(())
}

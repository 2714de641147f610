//! Nodes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::pod::unit_of;
use crate::draft::Draft;
use crate::meta::{Condition, Whole, conditions, sanitized};
use crate::quantity;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "providerID")]
    provider_id: String,
    #[serde(rename = "podCIDR")]
    pod_cidr: String,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Vec<String>,
    unschedulable: bool,
    taints: Vec<Taint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Taint {
    key: String,
    value: String,
    effect: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    addresses: Vec<Address>,
    allocatable: BTreeMap<String, String>,
    capacity: BTreeMap<String, String>,
    conditions: Vec<Condition>,
    node_info: Info,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Info {
    kernel_version: String,
    os_image: String,
    container_runtime_version: String,
    kubelet_version: String,
    #[serde(rename = "systemUUID")]
    system_uuid: String,
}

const ROLE: &str = "node-role.kubernetes.io/";

pub(super) fn read(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<Spec, Status> {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    draft.of(metadata.alone("node"));
    let address = status
        .addresses
        .iter()
        .rfind(|address| address.kind == "InternalIP");
    let labels = [
        ("kernel_version", status.node_info.kernel_version.as_str()),
        ("os_image", &status.node_info.os_image),
        (
            "container_runtime_version",
            &status.node_info.container_runtime_version,
        ),
        ("kubelet_version", &status.node_info.kubelet_version),
        // What kube-state-metrics says since nodes no longer tell it.
        ("kubeproxy_version", "deprecated"),
        ("provider_id", &spec.provider_id),
        ("pod_cidr", &spec.pod_cidr),
        ("system_uuid", &status.node_info.system_uuid),
        ("internal_ip", address.map_or("", |address| &address.address)),
    ];
    draft.gauge("kube_node_info", "What a node is.", &labels, 1.0);
    for address in &status.addresses {
        let labels = [("type", address.kind.as_str()), ("address", &address.address)];
        draft.gauge(
            "kube_node_status_addresses",
            "Where a node is reached.",
            &labels,
            1.0,
        );
    }
    draft.some("kube_node_created", "When it came.", metadata.created());
    draft.some(
        "kube_node_deletion_timestamp",
        "When it is to be gone.",
        metadata.deleted(),
    );
    metadata.words(draft, "kube_node_labels", "kube_node_annotations");
    for role in metadata
        .labels
        .keys()
        .filter_map(|label| label.strip_prefix(ROLE))
    {
        draft.gauge("kube_node_role", "What a node is for.", &[("role", role)], 1.0);
    }
    for range in &spec.pod_cidrs {
        let labels = [("pod_cidr", range.as_str())];
        draft.gauge("kube_node_spec_pod_cidrs", "Addresses of its pods.", &labels, 1.0);
    }
    for taint in &spec.taints {
        let labels = [
            ("key", taint.key.as_str()),
            ("value", &taint.value),
            ("effect", &taint.effect),
        ];
        draft.gauge(
            "kube_node_spec_taint",
            "What keeps pods away from a node.",
            &labels,
            1.0,
        );
    }
    draft.gauge(
        "kube_node_spec_unschedulable",
        "Whether a node takes no new pods.",
        &[],
        f64::from(spec.unschedulable),
    );
    conditions(draft, "kube_node_status_condition", &status.conditions);
    let amounts = [
        (
            "kube_node_status_allocatable",
            "What pods may have of it.",
            &status.allocatable,
        ),
        ("kube_node_status_capacity", "What a node has.", &status.capacity),
    ];
    for (name, help, amounts) in amounts {
        for (resource, amount) in amounts {
            let unit = match resource.as_str() {
                "cpu" => Some("core"),
                "pods" => Some("integer"),
                other => unit_of(other),
            };
            let (Some(unit), Some(value)) = (unit, quantity::value(amount)) else {
                continue;
            };
            let resource = sanitized(resource);
            draft.gauge(name, help, &[("resource", &resource), ("unit", unit)], value);
        }
    }
    Ok(())
}

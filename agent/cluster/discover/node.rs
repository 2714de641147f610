//! A target for each node: its kubelet.

use model::discovery::TargetGroup;

use super::labels::{Meant, legal};
use super::lean::Node;

/// Which address of a node is taken, the best first.
const ADDRESSES: [&str; 6] = [
    "InternalIP",
    "InternalDNS",
    "ExternalIP",
    "ExternalDNS",
    "LegacyHostIP",
    "Hostname",
];

/// None for a node that nobody has given an address yet.
pub(super) fn group(node: &Node) -> Option<TargetGroup> {
    let (meta, status) = (&node.metadata, &node.status);
    let first = |kind: &str| status.addresses.iter().find(|address| address.kind == kind);
    let best = ADDRESSES.iter().find_map(|kind| first(kind))?;
    let mut labels = Meant::default();
    labels.set("node_provider_id", &node.spec.provider_id);
    for condition in &status.conditions {
        let name = legal(&condition.kind.to_lowercase());
        labels.set(
            &format!("node_condition_{name}"),
            &condition.status.to_lowercase(),
        );
    }
    labels.object("node", meta);
    let mut target = Meant::default();
    target.address(&best.address, Some(status.daemon_endpoints.kubelet_endpoint.port));
    target.plain("instance", &meta.name);
    // Of several of a kind the first counts.
    for address in status.addresses.iter().rev() {
        target.set(
            &format!("node_address_{}", legal(&address.kind)),
            &address.address,
        );
    }
    Some(TargetGroup {
        source: format!("node/{}", meta.name),
        labels: labels.done(),
        targets: vec![target.done()],
    })
}

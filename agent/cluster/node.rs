//! The node that this process is on, from its object: nothing is asked of the cloud, which often does not answer pods.

use model::pods::Node;

use crate::lean;

pub(crate) fn node_of(node: lean::Node) -> Node {
    let labels = node.metadata.labels.unwrap_or_default();
    let first = |keys: &[&str]| -> String {
        let found = keys.iter().find_map(|key| labels.get(*key));
        found.cloned().unwrap_or_default()
    };
    let address = node
        .status
        .addresses
        .into_iter()
        .find(|address| address.kind == "InternalIP")
        .map(|address| address.address);
    Node {
        name: node.metadata.name.unwrap_or_default(),
        address: address.unwrap_or_default(),
        region: first(&["topology.kubernetes.io/region"]),
        zone: first(&["topology.kubernetes.io/zone"]),
        instance_type: first(&["node.kubernetes.io/instance-type"]),
        // `aws:///eu-west-1a/i-0123456789abcdef0`
        instance_id: node
            .spec
            .provider_id
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
        group: first(&["eks.amazonaws.com/nodegroup", "karpenter.sh/nodepool"]),
        capacity: first(&["karpenter.sh/capacity-type", "eks.amazonaws.com/capacityType"])
            .to_ascii_lowercase()
            .replace('_', "-"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, labels: &serde_json::Value, provider: &str) -> Node {
        let node = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"providerID": provider, "podCIDR": "10.0.0.0/24"},
            "status": {"addresses": [{"type": "Hostname", "address": "x"}, {"type": "InternalIP", "address": "10.0.0.4"}]}
        });
        node_of(serde_json::from_value(node).unwrap())
    }

    #[test]
    fn a_node_of_a_group_says_where_and_what_it_is() {
        let labels = json!({
            "topology.kubernetes.io/region": "eu-west-1", "topology.kubernetes.io/zone": "eu-west-1a",
            "node.kubernetes.io/instance-type": "m7i.large", "eks.amazonaws.com/nodegroup": "ng1",
            "eks.amazonaws.com/capacityType": "ON_DEMAND"
        });
        let seen = node("ip-10-0-0-4", &labels, "aws:///eu-west-1a/i-0123456789abcdef0");
        let want = Node {
            name: "ip-10-0-0-4".to_owned(),
            address: "10.0.0.4".to_owned(),
            region: "eu-west-1".to_owned(),
            zone: "eu-west-1a".to_owned(),
            instance_type: "m7i.large".to_owned(),
            instance_id: "i-0123456789abcdef0".to_owned(),
            group: "ng1".to_owned(),
            capacity: "on-demand".to_owned(),
        };
        assert_eq!(seen, want);
    }

    #[test]
    fn a_node_of_karpenter_has_its_pool_and_a_bare_one_has_nothing() {
        let labels = json!({"karpenter.sh/nodepool": "default", "karpenter.sh/capacity-type": "spot"});
        let seen = node("a", &labels, "");
        assert_eq!((seen.group.as_str(), seen.capacity.as_str()), ("default", "spot"));
        assert_eq!((seen.instance_id.as_str(), seen.zone.as_str()), ("", ""));
    }
}

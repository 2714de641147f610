//! What a node may have at most, of what no page of Kubernetes shows: addresses, connections, files, and what EC2 held back.
//!
//! The same series that `rules/kubernetes-limits.yaml` and its neighbours judge; each limit is there only where both its figures are.

use std::collections::BTreeMap;

use model::Labels;
use model::view::{NodeExcess, NodeLimit, NodeState};

/// What is used, and of how much.
const LIMITS: [(&str, &str, &str); 5] = [
    (
        "connections followed by the kernel",
        "max by (node) (node_nf_conntrack_entries)",
        "max by (node) (node_nf_conntrack_entries_limit)",
    ),
    (
        "open files",
        "max by (node) (node_filefd_allocated)",
        "max by (node) (node_filefd_maximum)",
    ),
    (
        "addresses of pods",
        "max by (node) (awscni_assigned_ip_addresses)",
        "max by (node) (awscni_ip_max)",
    ),
    (
        "network interfaces",
        "max by (node) (awscni_eni_allocated)",
        "max by (node) (awscni_eni_max)",
    ),
    (
        "space for images and containers",
        "max by (node) (kube_summary_node_runtime_imagefs_capacity_bytes) - max by (node) (kube_summary_node_runtime_imagefs_available_bytes)",
        "max by (node) (kube_summary_node_runtime_imagefs_capacity_bytes)",
    ),
];

/// Counters of what was too much, and what they count.
const EXCEEDED: [(&str, &str, &str); 9] = [
    (
        "bandwidth of the instance, in",
        "packets",
        "node_ethtool_bw_in_allowance_exceeded",
    ),
    (
        "bandwidth of the instance, out",
        "packets",
        "node_ethtool_bw_out_allowance_exceeded",
    ),
    (
        "packets a second of the instance",
        "packets",
        "node_ethtool_pps_allowance_exceeded",
    ),
    (
        "connections of the instance",
        "packets",
        "node_ethtool_conntrack_allowance_exceeded",
    ),
    (
        "questions to the VPC's name server",
        "packets",
        "node_ethtool_linklocal_allowance_exceeded",
    ),
    ("IOPS of a volume", "s", "aws_ebs_csi_exceeded_iops_seconds_total"),
    (
        "throughput of a volume",
        "s",
        "aws_ebs_csi_exceeded_tp_seconds_total",
    ),
    (
        "IOPS of the instance's volumes",
        "s",
        "aws_ebs_csi_ec2_exceeded_iops_seconds_total",
    ),
    (
        "throughput of the instance's volumes",
        "s",
        "aws_ebs_csi_ec2_exceeded_tp_seconds_total",
    ),
];

/// Of each node that has any: its limits, the fullest first, and what was too much.
pub(crate) fn of_nodes(
    nodes: &BTreeMap<String, NodeState>,
    ask: impl Fn(&str) -> Vec<(Labels, f64)>,
) -> Vec<(String, Vec<NodeLimit>, Vec<NodeExcess>)> {
    let by_node = |expr: &str| -> BTreeMap<String, f64> {
        let answers = ask(expr).into_iter();
        answers
            .map(|(labels, value)| (labels.value("node").to_owned(), value))
            .collect()
    };
    let limits: Vec<_> = LIMITS
        .iter()
        .map(|(what, used, most)| (*what, by_node(used), by_node(most)))
        .collect();
    let exceeded: Vec<_> = EXCEEDED
        .iter()
        .map(|(what, unit, family)| {
            let expr = format!("max by (node) (sum by (node, instance) (increase({family}[1h]))) > 0");
            (*what, *unit, by_node(&expr))
        })
        .collect();
    let of = |node: &NodeState| {
        let pods = node
            .pods_allocatable
            .map(|most| ("pods", node.pods as f64, most as f64));
        let others = limits
            .iter()
            .filter_map(|(what, used, most)| Some((*what, *used.get(&node.name)?, *most.get(&node.name)?)));
        let all = pods.into_iter().chain(others).filter(|(.., most)| *most > 0.0);
        let mut all: Vec<NodeLimit> = all
            .map(|(what, used, most)| NodeLimit { what, used, most })
            .collect();
        all.sort_by(|a, b| b.share().total_cmp(&a.share()));
        let too_much = exceeded.iter().filter_map(|(what, unit, by_node)| {
            let amount = *by_node.get(&node.name)?;
            Some(NodeExcess { what, amount, unit })
        });
        (node.name.clone(), all, too_much.collect())
    };
    nodes.values().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_needs_both_its_figures_and_the_fullest_comes_first() {
        let node = |name: &str, pods, most| NodeState {
            name: name.to_owned(),
            pods,
            pods_allocatable: most,
            ..NodeState::default()
        };
        let nodes = [node("a", 20, Some(29)), node("b", 4, None)];
        let nodes = nodes.map(|node| (node.name.clone(), node)).into();
        let answers = [
            ("max by (node) (node_nf_conntrack_entries)", "a", 95.0),
            ("max by (node) (node_nf_conntrack_entries_limit)", "a", 100.0),
            ("max by (node) (awscni_assigned_ip_addresses)", "a", 9.0),
            ("max by (node) (node_filefd_allocated)", "b", 9.0),
            ("max by (node) (node_filefd_maximum)", "b", 0.0),
            (
                "max by (node) (sum by (node, instance) (increase(node_ethtool_pps_allowance_exceeded[1h]))) > 0",
                "b",
                12.0,
            ),
        ];
        let found = of_nodes(&nodes, |expr| {
            let to_it = answers.iter().filter(|(asked, ..)| *asked == expr);
            to_it
                .map(|(_, node, value)| (Labels::from_pairs([("node", *node)]), *value))
                .collect()
        });
        let [(a, limits, none), (b, no_limits, exceeded)] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((a.as_str(), b.as_str()), ("a", "b"));
        let words: Vec<&str> = limits.iter().map(|limit| limit.what).collect();
        assert_eq!(words, ["connections followed by the kernel", "pods"]);
        assert!(none.is_empty() && no_limits.is_empty(), "{found:?}");
        assert_eq!(
            exceeded,
            &[NodeExcess {
                what: "packets a second of the instance",
                amount: 12.0,
                unit: "packets"
            }]
        );
    }
}

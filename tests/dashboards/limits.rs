//! What nobody sees until it is used up: allowances of EC2, volumes, addresses, names.

use serde_json::Value;

use super::build::{Panel, dashboard};
use super::kubernetes;

#[expect(
    clippy::too_many_lines,
    reason = "a list of panels, in the order in which they are seen"
)]
pub(super) fn limits() -> Value {
    let stats = [
        Panel {
            title: "Pods of the fullest node",
            about: "Share of the pods that a node may have, whatever CPU and memory is left. Alert: KubeletTooManyPods.",
            unit: "percentunit",
            targets: &[(
                "max(count by (cluster, node) (max by (cluster, node, namespace, pod) (kube_pod_info{node!~\"fargate-.*|\",cluster=~\"$cluster\"}) and on (cluster, namespace, pod) kube_pod_status_phase{phase=~\"Pending|Running\",cluster=~\"$cluster\"} == 1) / on (cluster, node) max by (cluster, node) (kube_node_status_allocatable{resource=\"pods\",cluster=~\"$cluster\"}))",
                "fullest",
            )],
        },
        Panel {
            title: "Addresses left on nodes",
            about: "Addresses that nodes hold for pods to come. At nought the next pod waits until EC2 gives more. Alerts: VpcCniNoAddress, VpcCniNodeFull.",
            unit: "short",
            targets: &[(
                "sum(max by (cluster, node) (awscni_total_ip_addresses{cluster=~\"$cluster\"}) - max by (cluster, node) (awscni_assigned_ip_addresses{cluster=~\"$cluster\"}))",
                "left",
            )],
        },
        Panel {
            title: "Connections of the fullest node",
            about: "Share of the connections that a node's kernel can follow. Alert: ConntrackAlmostFull.",
            unit: "percentunit",
            targets: &[(
                "max(node_nf_conntrack_entries / (node_nf_conntrack_entries_limit > 0))",
                "fullest",
            )],
        },
        Panel {
            title: "Held back by EC2 in the last hour",
            about: "Packets that were queued or dropped because of an allowance of an instance; anything above nought costs time. Alerts: Ec2BandwidthExceeded, Ec2PacketsExceeded, Ec2ConnectionsExceeded, Ec2LinkLocalExceeded.",
            unit: "short",
            targets: &[(
                "sum(increase(node_ethtool_bw_in_allowance_exceeded{cluster=~\"$cluster\"}[1h])) + sum(increase(node_ethtool_bw_out_allowance_exceeded{cluster=~\"$cluster\"}[1h])) + sum(increase(node_ethtool_pps_allowance_exceeded{cluster=~\"$cluster\"}[1h])) + sum(increase(node_ethtool_conntrack_allowance_exceeded{cluster=~\"$cluster\"}[1h])) + sum(increase(node_ethtool_linklocal_allowance_exceeded{cluster=~\"$cluster\"}[1h]))",
                "packets",
            )],
        },
        Panel {
            title: "Pods without an address in the last hour",
            about: "Pods that could not be started because there was no address for them. Alert: VpcCniNoAddress.",
            unit: "short",
            targets: &[(
                "sum(increase(awscni_no_available_ip_addresses{cluster=~\"$cluster\"}[1h]))",
                "pods",
            )],
        },
        Panel {
            title: "Addresses refused by EC2 in the last hour",
            about: "Requests for addresses that failed, by whatever reason; a full subnet is among them. Alert: VpcCniSubnetFull.",
            unit: "short",
            targets: &[(
                "sum(increase(awscni_aws_api_error_count{cluster=~\"$cluster\"}[1h])) or vector(0)",
                "refused",
            )],
        },
        Panel {
            title: "Names not found out",
            about: "Share of all questions to CoreDNS that it answered with SERVFAIL. Alert: CoreDNSErrorsHigh.",
            unit: "percentunit",
            targets: &[(
                "(sum(rate(coredns_dns_responses_total{rcode=\"SERVFAIL\",cluster=~\"$cluster\"}[$__rate_interval])) or vector(0)) / sum(rate(coredns_dns_responses_total{cluster=~\"$cluster\"}[$__rate_interval]))",
                "SERVFAIL",
            )],
        },
        Panel {
            title: "Slowest names",
            about: "How long one in a hundred questions takes CoreDNS at least. Alert: CoreDNSLatencyHigh.",
            unit: "s",
            targets: &[(
                "histogram_quantile(0.99, sum by (le) (rate(coredns_dns_request_duration_seconds_bucket{cluster=~\"$cluster\"}[$__rate_interval])))",
                "99 %",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "Bandwidth held back",
            about: "Packets a second that EC2 held back because the bandwidth of an instance was used up. Alert: Ec2BandwidthExceeded.",
            unit: "pps",
            targets: &[
                (
                    "sum by (instance) (rate(node_ethtool_bw_in_allowance_exceeded{cluster=~\"$cluster\"}[$__rate_interval])) > 0 or sum(rate(node_ethtool_bw_in_allowance_exceeded{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{instance}} in",
                ),
                (
                    "sum by (instance) (rate(node_ethtool_bw_out_allowance_exceeded{cluster=~\"$cluster\"}[$__rate_interval])) > 0 or sum(rate(node_ethtool_bw_out_allowance_exceeded{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{instance}} out",
                ),
            ],
        },
        Panel {
            title: "Packets and connections held back",
            about: "Packets a second that EC2 held back because of their number, or dropped because an instance had all the connections that it may have. Alerts: Ec2PacketsExceeded, Ec2ConnectionsExceeded.",
            unit: "pps",
            targets: &[
                (
                    "sum by (instance) (rate(node_ethtool_pps_allowance_exceeded{cluster=~\"$cluster\"}[$__rate_interval])) > 0 or sum(rate(node_ethtool_pps_allowance_exceeded{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{instance}} packets",
                ),
                (
                    "sum by (instance) (rate(node_ethtool_conntrack_allowance_exceeded{cluster=~\"$cluster\"}[$__rate_interval])) > 0 or sum(rate(node_ethtool_conntrack_allowance_exceeded{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{instance}} connections",
                ),
            ],
        },
        Panel {
            title: "Questions to the VPC held back",
            about: "Packets a second to the resolver, the metadata service and the clock of the VPC that EC2 dropped. Alert: Ec2LinkLocalExceeded.",
            unit: "pps",
            targets: &[(
                "sum by (instance) (rate(node_ethtool_linklocal_allowance_exceeded{cluster=~\"$cluster\"}[$__rate_interval])) > 0 or sum(rate(node_ethtool_linklocal_allowance_exceeded{cluster=~\"$cluster\"}[$__rate_interval]))",
                "{{instance}}",
            )],
        },
        Panel {
            title: "Connections left to an instance",
            about: "Connections that EC2 still lets an instance have, by its newer network drivers. Alert: Ec2ConnectionsExceeded.",
            unit: "short",
            targets: &[(
                "min by (instance) (node_ethtool_conntrack_allowance_available{cluster=~\"$cluster\"})",
                "{{instance}}",
            )],
        },
        Panel {
            title: "Volumes asked for too much",
            about: "Share of the time in which more was asked of a volume than it is provisioned with. Alert: EbsVolumeExceeded.",
            unit: "percentunit",
            targets: &[
                (
                    "max by (volume_id) (rate(aws_ebs_csi_exceeded_iops_seconds_total{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{volume_id}} IOPS",
                ),
                (
                    "max by (volume_id) (rate(aws_ebs_csi_exceeded_tp_seconds_total{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{volume_id}} throughput",
                ),
            ],
        },
        Panel {
            title: "Instances asked for too much",
            about: "Share of the time in which all volumes of an instance were asked for more than its type allows. Alert: EbsInstanceExceeded.",
            unit: "percentunit",
            targets: &[
                (
                    "max by (instance_id) (rate(aws_ebs_csi_ec2_exceeded_iops_seconds_total{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{instance_id}} IOPS",
                ),
                (
                    "max by (instance_id) (rate(aws_ebs_csi_ec2_exceeded_tp_seconds_total{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{instance_id}} throughput",
                ),
            ],
        },
        Panel {
            title: "Addresses of each node",
            about: "Addresses that pods have, that the node holds, and that its network interfaces could hold. Alert: VpcCniNodeFull.",
            unit: "short",
            targets: &[
                (
                    "max by (node) (awscni_assigned_ip_addresses{cluster=~\"$cluster\"})",
                    "{{node}} of pods",
                ),
                (
                    "max by (node) (awscni_total_ip_addresses{cluster=~\"$cluster\"})",
                    "{{node}} held",
                ),
                (
                    "max by (node) (awscni_ip_max{cluster=~\"$cluster\"})",
                    "{{node}} at most",
                ),
            ],
        },
        Panel {
            title: "Questions to CoreDNS",
            about: "Questions a second by their answers, and those that were refused because too many were under way. Alerts: CoreDNSErrorsHigh, CoreDNSForwardsRefused, CoreDNSForwardHealthcheckBrokenCount.",
            unit: "reqps",
            targets: &[
                (
                    "sum by (rcode) (rate(coredns_dns_responses_total{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "{{rcode}}",
                ),
                (
                    "sum(rate(coredns_forward_max_concurrent_rejects_total{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "refused",
                ),
                (
                    "sum(rate(coredns_forward_healthcheck_broken_total{cluster=~\"$cluster\"}[$__rate_interval]))",
                    "no name server",
                ),
            ],
        },
    ];
    let mut all = dashboard("skopos-limits", "Skopos / Limits", &stats, &graphs);
    kubernetes::finish(&mut all, &[]);
    all
}

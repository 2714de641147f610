//! A small cluster as its sources tell of it: one node, one deployment with one pod, its autoscaler and volume; and
//! what CloudWatch says of a database, a cache, a broker and a load balancer.
//!
//! Each page is one source's. Names and labels are those of kube-state-metrics, cAdvisor, the kubelet, YACE and
//! node_exporter.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// The address of a server of these pages, until the process ends.
pub(super) fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => bytes.extend(&buffer[..count]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let body = match head.split(' ').nth(1) {
        Some("/kube-state") => KUBE_STATE,
        Some("/cadvisor") => CADVISOR,
        Some("/kubelet") => KUBELET,
        Some("/summary") => SUMMARY,
        Some("/limits") => LIMITS,
        Some("/cloudwatch") => include_str!("cloudwatch.prom"),
        _ => NODE,
    };
    let length = body.len();
    _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
}

const KUBE_STATE: &str = r#"
kube_node_info{node="n1"} 1
kube_node_status_condition{node="n1",condition="Ready",status="true"} 1
kube_node_status_allocatable{node="n1",resource="cpu",unit="core"} 1.93
kube_node_status_allocatable{node="n1",resource="memory",unit="byte"} 7.5e+09
kube_node_status_allocatable{node="n1",resource="pods",unit="integer"} 29
kube_pod_info{namespace="shop",pod="api-7d9f-0",node="n1",pod_ip="10.0.0.9",host_ip="10.0.0.1",created_by_kind="ReplicaSet",created_by_name="api-7d9f",priority_class="",host_network="false"} 1
kube_pod_start_time{namespace="shop",pod="api-7d9f-0"} 1.7e+09
kube_pod_owner{namespace="shop",pod="api-7d9f-0",owner_kind="ReplicaSet",owner_name="api-7d9f"} 1
kube_replicaset_owner{namespace="shop",replicaset="api-7d9f",owner_kind="Deployment",owner_name="api"} 1
kube_pod_status_phase{namespace="shop",pod="api-7d9f-0",phase="Running"} 1
kube_pod_status_phase{namespace="shop",pod="api-7d9f-0",phase="Pending"} 0
kube_pod_status_ready{namespace="shop",pod="api-7d9f-0",condition="true"} 1
kube_pod_container_status_restarts_total{namespace="shop",pod="api-7d9f-0",container="app"} 1
kube_pod_container_status_last_terminated_reason{namespace="shop",pod="api-7d9f-0",container="app",reason="OOMKilled"} 1
kube_pod_container_resource_requests{namespace="shop",pod="api-7d9f-0",container="app",node="n1",resource="cpu",unit="core"} 0.5
kube_pod_container_resource_requests{namespace="shop",pod="api-7d9f-0",container="app",node="n1",resource="memory",unit="byte"} 1.073741824e+09
kube_pod_container_resource_limits{namespace="shop",pod="api-7d9f-0",container="app",node="n1",resource="cpu",unit="core"} 0.5
kube_pod_container_resource_limits{namespace="shop",pod="api-7d9f-0",container="app",node="n1",resource="memory",unit="byte"} 1.073741824e+09
kube_pod_container_resource_limits{namespace="shop",pod="api-7d9f-0",container="app",node="n1",resource="ephemeral_storage",unit="byte"} 1.073741824e+09
kube_deployment_spec_replicas{namespace="shop",deployment="api"} 1
kube_deployment_status_replicas_available{namespace="shop",deployment="api"} 1
kube_deployment_status_replicas_updated{namespace="shop",deployment="api"} 1
kube_horizontalpodautoscaler_info{namespace="shop",horizontalpodautoscaler="by-cpu",scaletargetref_kind="Deployment",scaletargetref_name="api"} 1
kube_horizontalpodautoscaler_spec_min_replicas{namespace="shop",horizontalpodautoscaler="by-cpu"} 1
kube_horizontalpodautoscaler_spec_max_replicas{namespace="shop",horizontalpodautoscaler="by-cpu"} 10
kube_horizontalpodautoscaler_status_current_replicas{namespace="shop",horizontalpodautoscaler="by-cpu"} 1
kube_horizontalpodautoscaler_status_desired_replicas{namespace="shop",horizontalpodautoscaler="by-cpu"} 1
"#;

const SUMMARY: &str = r#"
kube_summary_container_rootfs_used_bytes{namespace="shop",pod="api-7d9f-0",container="app",name="app"} 4e+06
kube_summary_container_logs_used_bytes{namespace="shop",pod="api-7d9f-0",container="app",name="app"} 1e+06
kube_summary_pod_volume_storage_used_bytes{namespace="shop",pod="api-7d9f-0",volume="cache"} 2e+06
kube_summary_pod_ephemeral_storage_used_bytes{namespace="shop",pod="api-7d9f-0"} 7e+06
"#;

const LIMITS: &str = r#"
node_ethtool_bw_in_allowance_exceeded{instance="n1",device="ens5"} 3
node_ethtool_bw_out_allowance_exceeded{instance="n1",device="ens5"} 0
node_ethtool_pps_allowance_exceeded{instance="n1",device="ens5"} 0
node_ethtool_conntrack_allowance_exceeded{instance="n1",device="ens5"} 0
node_ethtool_conntrack_allowance_available{instance="n1",device="ens5"} 130000
node_ethtool_linklocal_allowance_exceeded{instance="n1",device="ens5"} 7
node_nf_conntrack_entries{instance="n1"} 4000
node_nf_conntrack_entries_limit{instance="n1"} 131072
aws_ebs_csi_exceeded_iops_seconds_total{instance_id="i-1",volume_id="vol-1"} 2
aws_ebs_csi_exceeded_tp_seconds_total{instance_id="i-1",volume_id="vol-1"} 0
aws_ebs_csi_ec2_exceeded_iops_seconds_total{instance_id="i-1",volume_id="vol-1"} 0
aws_ebs_csi_ec2_exceeded_tp_seconds_total{instance_id="i-1",volume_id="vol-1"} 0
awscni_assigned_ip_addresses 20
awscni_total_ip_addresses 27
awscni_ip_max 27
awscni_no_available_ip_addresses 0
awscni_aws_api_error_count{api="AssignPrivateIpAddresses",error="x"} 1
coredns_dns_responses_total{server="dns://:53",zone=".",rcode="NOERROR"} 1000
coredns_dns_request_duration_seconds_bucket{server="dns://:53",le="0.008"} 900
coredns_dns_request_duration_seconds_bucket{server="dns://:53",le="+Inf"} 1000
coredns_dns_request_duration_seconds_count{server="dns://:53"} 1000
coredns_forward_max_concurrent_rejects_total 0
coredns_forward_healthcheck_broken_total 0
"#;

const CADVISOR: &str = r#"
container_cpu_usage_seconds_total{namespace="shop",pod="api-7d9f-0",container="app",image="api:1",cpu="total"} 100
container_cpu_cfs_periods_total{namespace="shop",pod="api-7d9f-0",container="app",image="api:1"} 1000
container_cpu_cfs_throttled_periods_total{namespace="shop",pod="api-7d9f-0",container="app",image="api:1"} 10
container_memory_working_set_bytes{namespace="shop",pod="api-7d9f-0",container="app",image="api:1"} 5e+08
container_memory_rss{namespace="shop",pod="api-7d9f-0",container="app",image="api:1"} 4e+08
container_memory_cache{namespace="shop",pod="api-7d9f-0",container="app",image="api:1"} 1e+08
container_oom_events_total{namespace="shop",pod="api-7d9f-0",container="app",image="api:1"} 0
container_fs_reads_bytes_total{namespace="shop",pod="api-7d9f-0",container="app",image="api:1",device="/dev/nvme0n1"} 1000
container_fs_writes_bytes_total{namespace="shop",pod="api-7d9f-0",container="app",image="api:1",device="/dev/nvme0n1"} 1000
container_network_receive_bytes_total{namespace="shop",pod="api-7d9f-0",container="",image="pause",interface="eth0"} 1000
container_network_transmit_bytes_total{namespace="shop",pod="api-7d9f-0",container="",image="pause",interface="eth0"} 1000
container_network_receive_packets_dropped_total{namespace="shop",pod="api-7d9f-0",container="",image="pause",interface="eth0"} 0
container_network_transmit_packets_dropped_total{namespace="shop",pod="api-7d9f-0",container="",image="pause",interface="eth0"} 0
"#;

const KUBELET: &str = r#"
kubelet_volume_stats_available_bytes{namespace="shop",persistentvolumeclaim="data"} 5e+10
kubelet_volume_stats_capacity_bytes{namespace="shop",persistentvolumeclaim="data"} 1e+11
"#;

const NODE: &str = r#"
node_cpu_seconds_total{cpu="0",mode="idle"} 1000
node_cpu_seconds_total{cpu="0",mode="user"} 100
node_memory_MemAvailable_bytes 4e+09
node_memory_MemTotal_bytes 8e+09
"#;

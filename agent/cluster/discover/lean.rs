//! Objects with what becomes a label, and no more.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// The largest annotation of all, and nobody's label.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Nothing in the place of a value is its default, as the API has it.
fn nothing<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let mut all: BTreeMap<String, String> = nothing(deserializer)?;
    all.remove(LAST_APPLIED);
    Ok(all)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    #[serde(deserialize_with = "nothing")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "annotations")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "nothing")]
    pub(super) owner_references: Vec<Owner>,
}

impl Meta {
    pub(super) fn controller(&self) -> Option<&Owner> {
        self.owner_references
            .iter()
            .find(|owner| owner.controller == Some(true))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) controller: Option<bool>,
}

/// An object of which nothing but its metadata counts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) metadata: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) metadata: Meta,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec {
    pub(super) node_name: String,
    #[serde(deserialize_with = "nothing")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "nothing")]
    pub(super) init_containers: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    #[serde(deserialize_with = "nothing")]
    pub(super) ports: Vec<ContainerPort>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerPort {
    pub(super) name: String,
    pub(super) container_port: u32,
    pub(super) protocol: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: String,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: String,
    #[serde(rename = "hostIP")]
    pub(super) host_ip: String,
    #[serde(deserialize_with = "nothing")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "nothing")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "nothing")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    #[serde(rename = "containerID")]
    pub(super) container_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    pub(super) metadata: Meta,
    pub(super) spec: NodeSpec,
    pub(super) status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    #[serde(rename = "providerID")]
    pub(super) provider_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeStatus {
    #[serde(deserialize_with = "nothing")]
    pub(super) addresses: Vec<NodeAddress>,
    #[serde(deserialize_with = "nothing")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "nothing")]
    pub(super) daemon_endpoints: DaemonEndpoints,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DaemonEndpoints {
    pub(super) kubelet_endpoint: DaemonEndpoint,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct DaemonEndpoint {
    #[serde(rename = "Port", default)]
    pub(super) port: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    pub(super) metadata: Meta,
    pub(super) spec: ServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: String,
    pub(super) external_name: String,
    #[serde(rename = "loadBalancerIP")]
    pub(super) load_balancer_ip: String,
    #[serde(deserialize_with = "nothing")]
    pub(super) ports: Vec<Port>,
}

/// Of a service, of endpoints or of a slice of them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Port {
    pub(super) name: Option<String>,
    pub(super) port: Option<u32>,
    pub(super) protocol: Option<String>,
    pub(super) app_protocol: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Endpoints {
    pub(super) metadata: Meta,
    #[serde(deserialize_with = "nothing")]
    pub(super) subsets: Vec<Subset>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Subset {
    #[serde(deserialize_with = "nothing")]
    pub(super) addresses: Vec<Address>,
    #[serde(deserialize_with = "nothing")]
    pub(super) not_ready_addresses: Vec<Address>,
    #[serde(deserialize_with = "nothing")]
    pub(super) ports: Vec<Port>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Address {
    pub(super) ip: String,
    pub(super) hostname: String,
    pub(super) node_name: Option<String>,
    pub(super) target_ref: Option<Reference>,
}

/// What stands behind an address.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Slice {
    pub(super) metadata: Meta,
    pub(super) address_type: String,
    #[serde(deserialize_with = "nothing")]
    pub(super) endpoints: Vec<Endpoint>,
    #[serde(deserialize_with = "nothing")]
    pub(super) ports: Vec<Port>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    #[serde(deserialize_with = "nothing")]
    pub(super) addresses: Vec<String>,
    #[serde(deserialize_with = "nothing")]
    pub(super) conditions: Conditions,
    pub(super) hostname: Option<String>,
    pub(super) node_name: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) target_ref: Option<Reference>,
    #[serde(deserialize_with = "nothing")]
    pub(super) deprecated_topology: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Conditions {
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ingress {
    pub(super) metadata: Meta,
    pub(super) spec: IngressSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct IngressSpec {
    pub(super) ingress_class_name: Option<String>,
    #[serde(deserialize_with = "nothing")]
    pub(super) rules: Vec<IngressRule>,
    #[serde(deserialize_with = "nothing")]
    pub(super) tls: Vec<IngressTls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IngressRule {
    pub(super) host: String,
    pub(super) http: Option<IngressHttp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IngressHttp {
    #[serde(deserialize_with = "nothing")]
    pub(super) paths: Vec<IngressPath>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IngressPath {
    pub(super) path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IngressTls {
    #[serde(deserialize_with = "nothing")]
    pub(super) hosts: Vec<String>,
}

//! Services, Ingresses, endpoints and NetworkPolicies.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::draft::Draft;
use crate::meta::{Meta, Whole, boolean, nothing};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    external_name: String,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: String,
    external_traffic_policy: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "externalIPs")]
    external_ips: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<Way>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Way {
    ip: String,
    hostname: String,
}

pub(super) fn service(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<ServiceSpec, ServiceStatus> {
        metadata,
        spec,
        status,
    } = serde_json::from_str(text)?;
    let mut own = metadata.within("service");
    own.push(("uid", metadata.uid.clone()));
    draft.of(own);
    let labels = [
        ("cluster_ip", spec.cluster_ip.as_str()),
        ("external_name", &spec.external_name),
        ("load_balancer_ip", &spec.load_balancer_ip),
        ("external_traffic_policy", &spec.external_traffic_policy),
    ];
    draft.gauge("kube_service_info", "Where a Service is reached.", &labels, 1.0);
    draft.some("kube_service_created", "When it was made.", metadata.created());
    draft.some(
        "kube_service_deletion_timestamp",
        "When it is to be gone.",
        metadata.deleted(),
    );
    draft.gauge(
        "kube_service_spec_type",
        "From where it is reached.",
        &[("type", spec.kind.as_str())],
        1.0,
    );
    metadata.words(draft, "kube_service_labels", "kube_service_annotations");
    for address in &spec.external_ips {
        let labels = [("external_ip", address.as_str())];
        draft.gauge(
            "kube_service_spec_external_ip",
            "Its addresses outside.",
            &labels,
            1.0,
        );
    }
    for way in &status.load_balancer.ingress {
        let labels = [("ip", way.ip.as_str()), ("hostname", &way.hostname)];
        draft.gauge(
            "kube_service_status_load_balancer_ingress",
            "Where its load balancer is.",
            &labels,
            1.0,
        );
    }
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IngressSpec {
    ingress_class_name: String,
    rules: Vec<Rule>,
    tls: Vec<Tls>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rule {
    host: String,
    http: Http,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Http {
    #[serde(deserialize_with = "nothing")]
    paths: Vec<Path>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Path {
    path: String,
    path_type: String,
    backend: Backend,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Backend {
    service: Option<ServiceBackend>,
    resource: Option<ResourceBackend>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceBackend {
    name: String,
    port: BackendPort,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BackendPort {
    number: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceBackend {
    api_group: String,
    kind: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tls {
    hosts: Vec<String>,
    secret_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nothing {}

/// Where classes were told once.
const CLASS: &str = "kubernetes.io/ingress.class";
/// Of an Ingress that names none.
const DEFAULT_CLASS: &str = "_default";

pub(super) fn ingress(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<IngressSpec, Nothing> { metadata, spec, .. } = serde_json::from_str(text)?;
    draft.of(metadata.within("ingress"));
    let named = metadata.annotations.get(CLASS).map(String::as_str);
    let class = named.unwrap_or(match spec.ingress_class_name.as_str() {
        "" => DEFAULT_CLASS,
        class => class,
    });
    draft.gauge(
        "kube_ingress_info",
        "Who serves it.",
        &[("ingressclass", class)],
        1.0,
    );
    metadata.words(draft, "kube_ingress_labels", "kube_ingress_annotations");
    draft.some("kube_ingress_created", "When it was made.", metadata.created());
    draft.some(
        "kube_ingress_metadata_resource_version",
        "The version of the object.",
        metadata.resource_version.parse().ok(),
    );
    for rule in &spec.rules {
        for path in &rule.http.paths {
            let mut labels = vec![
                ("host", rule.host.as_str()),
                ("path", &path.path),
                ("path_type", &path.path_type),
            ];
            let port;
            match (&path.backend.service, &path.backend.resource) {
                (Some(service), _) => {
                    port = service.port.number.to_string();
                    labels.extend([("service_name", service.name.as_str()), ("service_port", &port)]);
                }
                (None, Some(resource)) => labels.extend([
                    ("resource_api_group", resource.api_group.as_str()),
                    ("resource_kind", &resource.kind),
                    ("resource_name", &resource.name),
                ]),
                (None, None) => continue,
            }
            draft.gauge("kube_ingress_path", "Where a path leads.", &labels, 1.0);
        }
    }
    for tls in &spec.tls {
        for host in &tls.hosts {
            let labels = [("tls_host", host.as_str()), ("secret", &tls.secret_name)];
            draft.gauge("kube_ingress_tls", "Hosts that have a certificate.", &labels, 1.0);
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Endpoints {
    metadata: Meta,
    #[serde(default, deserialize_with = "nothing")]
    subsets: Vec<Subset>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subset {
    addresses: Vec<Way>,
    not_ready_addresses: Vec<Way>,
    ports: Vec<Port>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Port {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u32>,
}

impl Port {
    /// Name, protocol and number as text.
    fn texts(&self) -> [String; 3] {
        [
            self.name.clone().unwrap_or_default(),
            self.protocol.clone().unwrap_or_default(),
            self.port.map(|port| port.to_string()).unwrap_or_default(),
        ]
    }
}

pub(super) fn endpoints(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Endpoints { metadata, subsets } = serde_json::from_str(text)?;
    draft.of(metadata.within("endpoint"));
    draft.gauge("kube_endpoint_info", "Endpoints.", &[], 1.0);
    draft.some(
        "kube_endpoint_created",
        "When they were made.",
        metadata.created(),
    );
    metadata.words(draft, "kube_endpoint_labels", "kube_endpoint_annotations");
    for subset in &subsets {
        for port in &subset.ports {
            let [name, protocol, number] = port.texts();
            let labels = [
                ("port_name", name.as_str()),
                ("port_protocol", &protocol),
                ("port_number", &number),
            ];
            draft.gauge("kube_endpoint_ports", "Ports of endpoints.", &labels, 1.0);
            let ready = subset.addresses.iter().map(|address| (address, true));
            let others = subset.not_ready_addresses.iter().map(|address| (address, false));
            for (address, is_ready) in ready.chain(others) {
                let labels = [
                    ("port_protocol", protocol.as_str()),
                    ("port_number", &number),
                    ("port_name", &name),
                    ("ip", &address.ip),
                    ("ready", boolean(is_ready)),
                ];
                draft.gauge("kube_endpoint_address", "Addresses of endpoints.", &labels, 1.0);
            }
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slice {
    metadata: Meta,
    #[serde(default)]
    address_type: String,
    #[serde(default, deserialize_with = "nothing")]
    endpoints: Vec<Endpoint>,
    #[serde(default, deserialize_with = "nothing")]
    ports: Vec<Port>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Endpoint {
    #[serde(deserialize_with = "nothing")]
    addresses: Vec<String>,
    conditions: EndpointConditions,
    hostname: String,
    node_name: String,
    zone: String,
    target_ref: Target,
    hints: Hints,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EndpointConditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    kind: String,
    name: String,
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Hints {
    for_zones: Vec<Zone>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Zone {
    name: String,
}

pub(super) fn endpoint_slice(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let slice: Slice = serde_json::from_str(text)?;
    draft.of(slice.metadata.within("endpointslice"));
    let labels = [("addresstype", slice.address_type.as_str())];
    draft.gauge(
        "kube_endpointslice_info",
        "A part of a Service's endpoints.",
        &labels,
        1.0,
    );
    draft.some(
        "kube_endpointslice_created",
        "When it was made.",
        slice.metadata.created(),
    );
    slice.metadata.words(
        draft,
        "kube_endpointslice_labels",
        "kube_endpointslice_annotations",
    );
    for port in &slice.ports {
        let [name, protocol, number] = port.texts();
        let labels = [
            ("port_name", name.as_str()),
            ("port_protocol", &protocol),
            ("port_number", &number),
        ];
        draft.gauge("kube_endpointslice_ports", "Ports of endpoints.", &labels, 1.0);
    }
    let said = |condition: Option<bool>| condition.map_or("", boolean);
    for endpoint in &slice.endpoints {
        for address in &endpoint.addresses {
            let labels = [
                ("ready", said(endpoint.conditions.ready)),
                ("serving", said(endpoint.conditions.serving)),
                ("hostname", &endpoint.hostname),
                ("terminating", said(endpoint.conditions.terminating)),
                ("targetref_kind", &endpoint.target_ref.kind),
                ("targetref_name", &endpoint.target_ref.name),
                ("targetref_namespace", &endpoint.target_ref.namespace),
                ("endpoint_nodename", &endpoint.node_name),
                ("endpoint_zone", &endpoint.zone),
                ("address", address),
            ];
            draft.gauge(
                "kube_endpointslice_endpoints",
                "Endpoints of a slice.",
                &labels,
                1.0,
            );
        }
        let Some(address) = endpoint.addresses.first() else {
            continue;
        };
        for zone in &endpoint.hints.for_zones {
            let labels = [("address", address.as_str()), ("for_zone", &zone.name)];
            draft.gauge(
                "kube_endpointslice_endpoints_hints",
                "Zones that an endpoint is meant for.",
                &labels,
                1.0,
            );
        }
    }
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PolicySpec {
    ingress: Vec<IgnoredAny>,
    egress: Vec<IgnoredAny>,
}

pub(super) fn policy(text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
    let Whole::<PolicySpec, Nothing> { metadata, spec, .. } = serde_json::from_str(text)?;
    draft.of(metadata.within("networkpolicy"));
    draft.some(
        "kube_networkpolicy_created",
        "When it was made.",
        metadata.created(),
    );
    metadata.words(
        draft,
        "kube_networkpolicy_labels",
        "kube_networkpolicy_annotations",
    );
    let counts = [
        (
            "kube_networkpolicy_spec_ingress_rules",
            "Rules for what comes in.",
            spec.ingress.len(),
        ),
        (
            "kube_networkpolicy_spec_egress_rules",
            "Rules for what goes out.",
            spec.egress.len(),
        ),
    ];
    for (name, help, count) in counts {
        draft.gauge(name, help, &[], count as f64);
    }
    Ok(())
}

//! The same as for endpoints, from the slices that they come in today.

use model::Labels;
use model::discovery::TargetGroup;

use super::endpoints::{Behind, say_port};
use super::labels::{Meant, legal};
use super::lean::{Endpoint, Port, Slice};
use super::pod;
use super::service;
use super::world::World;

/// Names the service that a slice belongs to.
const SERVICE: &str = "kubernetes.io/service-name";

pub(super) fn group(slice: &Slice, world: &World) -> TargetGroup {
    let meta = &slice.metadata;
    let mut labels = Meant::default();
    labels
        .set("namespace", &meta.namespace)
        .set("endpointslice_address_type", &slice.address_type)
        .object("endpointslice", meta);
    let service = meta.labels.get(SERVICE);
    if let Some(service) = service.and_then(|name| world.service(&meta.namespace, name)) {
        service::say(&mut labels, service);
    }
    world.add_namespace(&mut labels, &meta.namespace);
    let mut behind = Behind::default();
    let mut targets = Vec::new();
    for endpoint in &slice.endpoints {
        for port in &slice.ports {
            for address in &endpoint.addresses {
                targets.push(target(address, endpoint, port, world, &mut behind));
            }
        }
    }
    targets.extend(behind.unnamed(world));
    TargetGroup {
        source: format!("endpointslice/{}/{}", meta.namespace, meta.name),
        labels: labels.done(),
        targets,
    }
}

fn target<'a>(
    address: &str,
    endpoint: &Endpoint,
    port: &Port,
    world: &'a World,
    behind: &mut Behind<'a>,
) -> Labels {
    let word = |said: Option<bool>| said.map(|said| if said { "true" } else { "false" });
    let conditions = &endpoint.conditions;
    let number = port.port.map(|port| port.to_string());
    let mut target = Meant::default();
    target
        .address(address, port.port)
        .set_some("endpointslice_port_name", port.name.as_deref())
        .set_some("endpointslice_port_protocol", port.protocol.as_deref())
        .set_some("endpointslice_port", number.as_deref())
        .set_some("endpointslice_port_app_protocol", port.app_protocol.as_deref())
        .set_some("endpointslice_endpoint_conditions_ready", word(conditions.ready))
        .set_some(
            "endpointslice_endpoint_conditions_serving",
            word(conditions.serving),
        )
        .set_some(
            "endpointslice_endpoint_conditions_terminating",
            word(conditions.terminating),
        )
        .set_some("endpointslice_endpoint_hostname", endpoint.hostname.as_deref())
        .set_some("endpointslice_endpoint_node_name", endpoint.node_name.as_deref())
        .set_some("endpointslice_endpoint_zone", endpoint.zone.as_deref());
    let reference = endpoint.target_ref.as_ref();
    if let Some(reference) = reference {
        target.set("endpointslice_address_target_kind", &reference.kind);
        target.set("endpointslice_address_target_name", &reference.name);
    }
    for (name, value) in &endpoint.deprecated_topology {
        let name = legal(name);
        target.set(&format!("endpointslice_endpoint_topology_{name}"), value);
        target.set(&format!("endpointslice_endpoint_topology_present_{name}"), "true");
    }
    let node = reference
        .filter(|reference| reference.kind == "Node")
        .map(|node| &node.name);
    if let Some(node) = node.or(endpoint.node_name.as_ref()) {
        world.add_node(&mut target, node);
    }
    if let Some(pod) = world.pod(reference) {
        pod::say(&mut target, pod, world);
        say_port(&mut target, pod, port, None);
        behind.note(pod, port.port);
    }
    target.done()
}

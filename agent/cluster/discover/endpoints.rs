//! A target for each address and port behind a service, and for the ports of those pods that the service does not name.

use model::Labels;
use model::discovery::TargetGroup;

use super::labels::Meant;
use super::lean::{Address, Endpoints, Pod, Port};
use super::pod;
use super::service;
use super::world::World;

pub(super) fn group(endpoints: &Endpoints, world: &World) -> TargetGroup {
    let meta = &endpoints.metadata;
    let mut labels = Meant::default();
    labels.set("namespace", &meta.namespace);
    if let Some(service) = world.service(&meta.namespace, &meta.name) {
        service::say(&mut labels, service);
    }
    world.add_namespace(&mut labels, &meta.namespace);
    labels.object("endpoints", meta);
    let mut behind = Behind::default();
    let mut targets = Vec::new();
    for subset in &endpoints.subsets {
        for port in &subset.ports {
            let ready = subset.addresses.iter().map(|address| (address, true));
            let all = ready.chain(subset.not_ready_addresses.iter().map(|address| (address, false)));
            targets
                .extend(all.map(|(address, is_ready)| target(address, port, is_ready, world, &mut behind)));
        }
    }
    targets.extend(behind.unnamed(world));
    TargetGroup {
        source: format!("endpoints/{}/{}", meta.namespace, meta.name),
        labels: labels.done(),
        targets,
    }
}

fn target<'a>(
    address: &Address,
    port: &Port,
    is_ready: bool,
    world: &'a World,
    behind: &mut Behind<'a>,
) -> Labels {
    let mut target = Meant::default();
    target
        .address(&address.ip, Some(port.port.unwrap_or_default()))
        .set_some("endpoint_port_name", port.name.as_deref())
        .set_some("endpoint_port_protocol", port.protocol.as_deref())
        .set("endpoint_ready", if is_ready { "true" } else { "false" })
        .set_some("endpoint_node_name", address.node_name.as_deref())
        .set("endpoint_hostname", &address.hostname);
    let reference = address.target_ref.as_ref();
    if let Some(reference) = reference {
        target.set("endpoint_address_target_kind", &reference.kind);
        target.set("endpoint_address_target_name", &reference.name);
    }
    let node = reference
        .filter(|reference| reference.kind == "Node")
        .map(|node| &node.name);
    if let Some(node) = address.node_name.as_ref().or(node) {
        world.add_node(&mut target, node);
    }
    if let Some(pod) = world.pod(reference) {
        pod::say(&mut target, pod, world);
        say_port(&mut target, pod, port, port.protocol.as_deref());
        behind.note(pod, port.port);
    }
    target.done()
}

/// The container that has this port; of several the last.
pub(super) fn say_port(target: &mut Meant, pod: &Pod, port: &Port, protocol: Option<&str>) {
    for (container, is_init) in pod::containers(pod) {
        let mut ports = container.ports.iter();
        if let Some(known) = ports.find(|known| port.port == Some(known.container_port)) {
            pod::say_container(target, container, is_init);
            pod::say_port(target, known);
            target.set_some("pod_container_port_protocol", protocol);
        }
    }
}

/// Pods that stand behind addresses, and the ports that were named.
#[derive(Default)]
pub(super) struct Behind<'a>(Vec<(&'a Pod, Vec<u32>)>);

impl<'a> Behind<'a> {
    pub(super) fn note(&mut self, pod: &'a Pod, port: Option<u32>) {
        let known = self.0.iter_mut().find(|(known, _)| std::ptr::eq(*known, pod));
        match known {
            Some((_, ports)) => ports.extend(port),
            None => self.0.push((pod, port.into_iter().collect())),
        }
    }

    /// A target for each port that nobody named.
    pub(super) fn unnamed(&self, world: &World) -> Vec<Labels> {
        let mut targets = Vec::new();
        for (pod, named) in self.0.iter().filter(|(pod, _)| !pod.status.pod_ip.is_empty()) {
            for (container, is_init) in pod::containers(pod) {
                for port in container
                    .ports
                    .iter()
                    .filter(|port| !named.contains(&port.container_port))
                {
                    let mut target = Meant::default();
                    target.address(&pod.status.pod_ip, Some(port.container_port));
                    pod::say_container(&mut target, container, is_init);
                    pod::say_port(&mut target, port);
                    pod::say(&mut target, pod, world);
                    targets.push(target.done());
                }
            }
        }
        targets
    }
}

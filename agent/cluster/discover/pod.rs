//! A target for each port of each container, and one for a container that names none.

use model::discovery::TargetGroup;

use super::labels::Meant;
use super::lean::{Container, ContainerPort, Pod};
use super::world::World;

pub(super) fn group(pod: &Pod, world: &World) -> Option<TargetGroup> {
    let ip = &pod.status.pod_ip;
    // Not started yet, or evicted.
    if ip.is_empty() {
        return None;
    }
    let mut labels = Meant::default();
    say(&mut labels, pod, world);
    labels.set("namespace", &pod.metadata.namespace);
    world.add_node(&mut labels, &pod.spec.node_name);
    world.add_namespace(&mut labels, &pod.metadata.namespace);
    let mut targets = Vec::new();
    for (container, is_init) in containers(pod) {
        let id = container_id(pod, container, is_init);
        let target = |port: Option<&ContainerPort>| {
            let mut target = Meant::default();
            target.address(ip, port.map(|port| port.container_port));
            target.set("pod_container_id", id);
            say_container(&mut target, container, is_init);
            if let Some(port) = port {
                say_port(&mut target, port);
            }
            target.done()
        };
        match container.ports.as_slice() {
            // Whoever wants it scraped adds a port.
            [] => targets.push(target(None)),
            ports => targets.extend(ports.iter().map(|port| target(Some(port)))),
        }
    }
    Some(TargetGroup {
        source: format!("pod/{}/{}", pod.metadata.namespace, pod.metadata.name),
        labels: labels.done(),
        targets,
    })
}

/// All of them, and whether each is there for the start alone.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, bool)> {
    let usual = pod.spec.containers.iter().map(|container| (container, false));
    usual.chain(pod.spec.init_containers.iter().map(|container| (container, true)))
}

fn container_id<'a>(pod: &'a Pod, container: &Container, is_init: bool) -> &'a str {
    let statuses = match is_init {
        true => &pod.status.init_container_statuses,
        false => &pod.status.container_statuses,
    };
    let status = statuses.iter().find(|status| status.name == container.name);
    status.map_or("", |status| &status.container_id)
}

/// What is said of a pod wherever it stands behind a target.
pub(super) fn say(labels: &mut Meant, pod: &Pod, world: &World) {
    let (meta, status) = (&pod.metadata, &pod.status);
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.kind == "Ready");
    let ready = ready.map_or("unknown".to_owned(), |ready| ready.status.to_lowercase());
    labels
        .set("pod_ip", &status.pod_ip)
        .set("pod_ready", &ready)
        .set("pod_phase", &status.phase)
        .set("pod_node_name", &pod.spec.node_name)
        .set("pod_host_ip", &status.host_ip)
        .set("pod_uid", &meta.uid)
        .object("pod", meta);
    if let Some(controller) = meta.controller() {
        labels.set("pod_controller_kind", &controller.kind);
        labels.set("pod_controller_name", &controller.name);
    }
    world.add_owner(labels, meta);
}

pub(super) fn say_container(labels: &mut Meant, container: &Container, is_init: bool) {
    labels
        .set("pod_container_name", &container.name)
        .set("pod_container_image", &container.image)
        .set("pod_container_init", if is_init { "true" } else { "false" });
}

pub(super) fn say_port(labels: &mut Meant, port: &ContainerPort) {
    labels
        .set("pod_container_port_number", &port.container_port.to_string())
        .set("pod_container_port_name", &port.name)
        .set("pod_container_port_protocol", &port.protocol);
}

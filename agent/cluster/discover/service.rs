//! A target for each port of a service, at its name.

use model::discovery::TargetGroup;

use super::labels::Meant;
use super::lean::Service;
use super::world::World;

pub(super) fn group(service: &Service, world: &World) -> TargetGroup {
    let (meta, spec) = (&service.metadata, &service.spec);
    let mut labels = Meant::default();
    say(&mut labels, service);
    world.add_namespace(&mut labels, &meta.namespace);
    let targets = spec.ports.iter().map(|port| {
        let number = port.port.unwrap_or_default();
        let mut target = Meant::default();
        target
            .address(&format!("{}.{}.svc", meta.name, meta.namespace), Some(number))
            .set_some("service_port_name", port.name.as_deref())
            .set("service_port_number", &number.to_string())
            .set_some("service_port_protocol", port.protocol.as_deref())
            .set("service_type", &spec.kind);
        match spec.kind.as_str() {
            "ExternalName" => target.set("service_external_name", &spec.external_name),
            _ => target.set("service_cluster_ip", &spec.cluster_ip),
        };
        if spec.kind == "LoadBalancer" {
            target.set("service_loadbalancer_ip", &spec.load_balancer_ip);
        }
        target.done()
    });
    TargetGroup {
        source: format!("svc/{}/{}", meta.namespace, meta.name),
        targets: targets.collect(),
        labels: labels.done(),
    }
}

/// What is said of a service wherever it stands before a target.
pub(super) fn say(labels: &mut Meant, service: &Service) {
    labels
        .set("namespace", &service.metadata.namespace)
        .object("service", &service.metadata);
}

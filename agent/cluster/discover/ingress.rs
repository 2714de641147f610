//! A target for each path of each rule.

use model::discovery::TargetGroup;

use super::labels::Meant;
use super::lean::{Ingress, IngressRule};
use super::world::World;

pub(super) fn group(ingress: &Ingress, world: &World) -> TargetGroup {
    let (meta, spec) = (&ingress.metadata, &ingress.spec);
    let mut labels = Meant::default();
    labels
        .set("namespace", &meta.namespace)
        .set_some("ingress_class_name", spec.ingress_class_name.as_deref())
        .object("ingress", meta);
    world.add_namespace(&mut labels, &meta.namespace);
    let mut targets = Vec::new();
    for rule in &spec.rules {
        let mut hosts = spec.tls.iter().flat_map(|tls| &tls.hosts);
        let scheme = match hosts.any(|pattern| covers(pattern, &rule.host)) {
            true => "https",
            false => "http",
        };
        for path in paths(rule) {
            let mut target = Meant::default();
            target
                .plain("__address__", &rule.host)
                .set("ingress_scheme", scheme)
                .set("ingress_host", &rule.host)
                .set("ingress_path", path);
            targets.push(target.done());
        }
    }
    TargetGroup {
        source: format!("ingress/{}/{}", meta.namespace, meta.name),
        labels: labels.done(),
        targets,
    }
}

fn paths(rule: &IngressRule) -> Vec<&str> {
    let Some(http) = &rule.http else {
        return vec!["/"];
    };
    let named = http.paths.iter().map(|of| of.path.as_str());
    named
        .map(|path| if path.is_empty() { "/" } else { path })
        .collect()
}

/// Whether a certificate for this name, which may begin with `*.`, is one for the host.
pub(super) fn covers(pattern: &str, host: &str) -> bool {
    if pattern == host {
        return true;
    }
    let rest = pattern.strip_prefix("*.");
    rest.is_some_and(|rest| host.split_once('.').is_some_and(|(_, of_host)| of_host == rest))
}

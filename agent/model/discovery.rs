//! Targets that are found among the objects of a cluster: what is to be looked for, in Prometheus' words, and what is found.

use serde::Deserialize;

use crate::Labels;

/// One entry of `kubernetes_sd_configs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectTargets {
    /// Objects of which kind are targets.
    pub role: Option<ObjectRole>,
    pub namespaces: Namespaces,
    /// Which objects of each kind are asked for at all.
    pub selectors: Vec<Selector>,
    pub attach_metadata: AttachMetadata,
    /// Not ours to choose; known so that it can be said where it is.
    pub api_server: Option<String>,
    pub kubeconfig_file: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectRole {
    Pod,
    Node,
    Service,
    Endpoints,
    EndpointSlice,
    Ingress,
}

impl ObjectRole {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Node => "node",
            Self::Service => "service",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslice",
            Self::Ingress => "ingress",
        }
    }

    /// The kinds that are asked for, and so may be chosen among.
    fn selectable(self) -> &'static [Self] {
        match self {
            Self::Pod => &[Self::Pod],
            Self::Node => &[Self::Node],
            Self::Service => &[Self::Service],
            Self::Endpoints => &[Self::Pod, Self::Service, Self::Endpoints],
            Self::EndpointSlice => &[Self::Pod, Self::Service, Self::EndpointSlice],
            Self::Ingress => &[Self::Ingress],
        }
    }
}

/// Where objects may lie; left empty: anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Namespaces {
    /// That of the pod that this runs in.
    pub own_namespace: bool,
    pub names: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    pub role: Option<ObjectRole>,
    /// As the API has it: `app=shop,tier in (web)`.
    pub label: String,
    /// As the API has it: `spec.nodeName=worker-1`.
    pub field: String,
}

/// What is said of a target beside its own object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttachMetadata {
    /// Labels and annotations of the node that it is on.
    pub node: bool,
    /// Those of its namespace.
    pub namespace: bool,
    /// The Deployment behind the ReplicaSet of its pod.
    pub deployment: bool,
    /// The Job of its pod.
    pub job: bool,
    /// The CronJob behind that Job.
    pub cronjob: bool,
}

impl ObjectTargets {
    /// The first thing that cannot be, beginning with its key.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        const ROLES: &str = "pod, node, service, endpoints, endpointslice or ingress";
        for (key, value) in [
            ("api_server", &self.api_server),
            ("kubeconfig_file", &self.kubeconfig_file),
        ] {
            if value.is_some() {
                return Some(format!(
                    "{key}: is not said here; the cluster is that of the section kubernetes, which has kubeconfig and context"
                ));
            }
        }
        let Some(role) = self.role else {
            return Some(format!("role: is missing; write {ROLES}"));
        };
        for (nth, selector) in self.selectors.iter().enumerate() {
            let Some(of) = selector.role else {
                return Some(format!("selectors[{nth}].role: is missing; write {ROLES}"));
            };
            if !role.selectable().contains(&of) {
                let names: Vec<&str> = role.selectable().iter().map(|role| role.name()).collect();
                return Some(format!(
                    "selectors[{nth}].role: of {} nobody is asked for the role {}; it may be {}",
                    of.name(),
                    role.name(),
                    names.join(", ")
                ));
            }
            if self
                .selectors
                .iter()
                .take(nth)
                .any(|before| before.role == Some(of))
            {
                return Some(format!("selectors[{nth}].role: {} is there already", of.name()));
            }
        }
        let names = &self.namespaces.names;
        let empty = names.iter().position(String::is_empty);
        empty.map(|nth| format!("namespaces.names[{nth}]: is empty; leave names out for all namespaces"))
    }
}

/// What one object comes to: targets, and what all of them have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// Which object it is: `pod/shop/web-1`.
    pub source: String,
    pub labels: Labels,
    /// The labels of each, `__address__` among them.
    pub targets: Vec<Labels>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(role: ObjectRole, of: &[ObjectRole]) -> ObjectTargets {
        let selector = |role: &ObjectRole| Selector {
            role: Some(*role),
            ..Selector::default()
        };
        ObjectTargets {
            role: Some(role),
            selectors: of.iter().map(selector).collect(),
            ..ObjectTargets::default()
        }
    }

    #[test]
    fn what_cannot_be_is_said_with_its_key() {
        use ObjectRole::{EndpointSlice, Endpoints, Node, Pod, Service};
        let starts = |targets: &ObjectTargets, key: &str| {
            let mistake = targets.mistake().unwrap();
            assert!(mistake.starts_with(key), "{mistake}");
        };
        assert_eq!(
            targets(EndpointSlice, &[Pod, Service, EndpointSlice]).mistake(),
            None
        );
        starts(&ObjectTargets::default(), "role: is missing");
        starts(
            &targets(Pod, &[Node]),
            "selectors[0].role: of node nobody is asked",
        );
        starts(
            &targets(Endpoints, &[Pod, Pod]),
            "selectors[1].role: pod is there already",
        );
        let elsewhere = ObjectTargets {
            kubeconfig_file: Some("x".to_owned()),
            ..targets(Pod, &[])
        };
        starts(&elsewhere, "kubeconfig_file: is not said here");
        let unnamed = ObjectTargets {
            namespaces: Namespaces {
                names: vec!["a".to_owned(), String::new()],
                ..Namespaces::default()
            },
            ..targets(Node, &[])
        };
        starts(&unnamed, "namespaces.names[1]");
    }
}

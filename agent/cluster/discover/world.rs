//! What objects say of each other: whose node, whose service, which pod behind an address.

use std::collections::HashMap;
use std::sync::Arc;

use model::discovery::{AttachMetadata, TargetGroup};

use super::labels::Meant;
use super::lean::{Meta, Named, Pod, Reference, Service};
use super::stock::{Objects, Stock, Thing};
use super::{endpoints, ingress, node, pod, service, slices};

/// All that is known, at one moment.
pub(super) struct World {
    kinds: HashMap<&'static str, Arc<Objects>>,
    attach: AttachMetadata,
    /// Namespaces that count; all when there are none.
    near: Vec<String>,
}

impl World {
    pub(super) fn new(
        stocks: &HashMap<&'static str, Arc<Stock>>,
        attach: AttachMetadata,
        near: Vec<String>,
    ) -> Self {
        let kinds = stocks.iter().map(|(kind, stock)| (*kind, stock.objects()));
        Self::of(kinds.collect(), attach, near)
    }

    pub(super) fn of(
        kinds: HashMap<&'static str, Arc<Objects>>,
        attach: AttachMetadata,
        near: Vec<String>,
    ) -> Self {
        Self { kinds, attach, near }
    }

    pub(super) fn is_near(&self, meta: &Meta) -> bool {
        self.near.is_empty() || self.near.contains(&meta.namespace)
    }

    /// What an object comes to; none where it has no place to be scraped at.
    pub(super) fn group(&self, thing: &Thing) -> Option<TargetGroup> {
        match thing {
            Thing::Pod(of) => pod::group(of, self),
            Thing::Node(of) => node::group(of),
            Thing::Service(of) => Some(service::group(of, self)),
            Thing::Endpoints(of) => Some(endpoints::group(of, self)),
            Thing::Slice(of) => Some(slices::group(of, self)),
            Thing::Ingress(of) => Some(ingress::group(of, self)),
            Thing::Named(_) => None,
        }
    }

    fn thing(&self, kind: &str, namespace: &str, name: &str) -> Option<&Thing> {
        let objects = self.kinds.get(kind)?;
        let key = (namespace.to_owned(), name.to_owned());
        objects.get(&key).map(|thing| &**thing)
    }

    fn named(&self, kind: &str, namespace: &str, name: &str) -> Option<&Named> {
        match self.thing(kind, namespace, name)? {
            Thing::Named(named) => Some(named),
            _ => None,
        }
    }

    /// The pod that stands behind an address, if it is one that counts.
    pub(super) fn pod(&self, reference: Option<&Reference>) -> Option<&Pod> {
        let reference = reference.filter(|reference| reference.kind == "Pod")?;
        match self.thing("Pod", &reference.namespace, &reference.name)? {
            Thing::Pod(pod) if self.is_near(&pod.metadata) => Some(pod),
            _ => None,
        }
    }

    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        match self.thing("Service", namespace, name)? {
            Thing::Service(service) => Some(service),
            _ => None,
        }
    }

    /// What is known of a node, where that is wanted.
    pub(super) fn add_node(&self, labels: &mut Meant, name: &str) {
        if let Some(Thing::Node(node)) = self.thing("Node", "", name).filter(|_| self.attach.node) {
            labels.object("node", &node.metadata);
        }
    }

    /// What is known of a namespace beside its name, where that is wanted.
    pub(super) fn add_namespace(&self, labels: &mut Meant, name: &str) {
        if let Some(namespace) = self
            .named("Namespace", "", name)
            .filter(|_| self.attach.namespace)
        {
            labels.described("namespace", &namespace.metadata);
        }
    }

    /// Who stands behind the controller of a pod, where that is wanted.
    pub(super) fn add_owner(&self, labels: &mut Meant, pod: &Meta) {
        let Some(controller) = pod.controller() else {
            return;
        };
        let owner = |kind: &str, of: &str| {
            let named = self.named(kind, &pod.namespace, &controller.name)?;
            let owner = named.metadata.controller()?;
            (owner.kind == of).then_some(owner.name.as_str())
        };
        match controller.kind.as_str() {
            "ReplicaSet" if self.attach.deployment => {
                labels.set_some("pod_deployment_name", owner("ReplicaSet", "Deployment"));
            }
            "Job" => {
                if self.attach.job {
                    labels.set("pod_job_name", &controller.name);
                }
                if self.attach.cronjob {
                    labels.set_some("pod_cronjob_name", owner("Job", "CronJob"));
                }
            }
            _ => {}
        }
    }
}

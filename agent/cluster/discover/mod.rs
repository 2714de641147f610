//! Targets among the objects of the cluster: all labels `__meta_kubernetes_…` that Prometheus gives them.
//!
//! What is watched is shared by all who look for the same objects, and ends when nobody does. From objects to targets the way is
//! pure: what an object comes to depends on the objects alone.

mod endpoints;
mod ingress;
mod labels;
mod lean;
mod node;
mod pod;
mod service;
mod slices;
mod stock;
#[cfg(test)]
mod tests;
mod world;

use std::collections::HashMap;
use std::sync::Arc;

use model::discovery::{ObjectRole, ObjectTargets, TargetGroup};
use model::{Resource, Wanted};
use stock::Stock;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use world::World;

use crate::Cluster;

/// Looks for targets of changing kinds.
pub struct Finder {
    cluster: Cluster,
    /// Only pods of this node are asked for.
    node: Option<String>,
    changed: Arc<Notify>,
    watches: HashMap<Wanted, Watch>,
    /// What was found last, so that what stays the same is the same.
    found: HashMap<ObjectTargets, HashMap<String, Arc<TargetGroup>>>,
}

struct Watch {
    stock: Arc<Stock>,
    _task: AbortOnDropHandle<()>,
}

impl Finder {
    /// With a node only pods are found, and only those on it.
    #[must_use]
    pub fn new(cluster: &Cluster, node: Option<String>) -> Self {
        Self {
            cluster: cluster.clone(),
            node,
            changed: Arc::default(),
            watches: HashMap::new(),
            found: HashMap::new(),
        }
    }

    /// Watches what these need, and nothing else any more.
    pub fn look_for(&mut self, all: &[ObjectTargets]) {
        let needed: Vec<Wanted> = all
            .iter()
            .flat_map(|targets| self.kinds(targets).into_values())
            .collect();
        self.watches.retain(|wanted, _| needed.contains(wanted));
        self.found.retain(|targets, _| all.contains(targets));
        for wanted in needed {
            if self.watches.contains_key(&wanted) {
                continue;
            }
            let stock = Arc::new(Stock::new(&wanted.resource.kind, Arc::clone(&self.changed)));
            let (cluster, observer) = (self.cluster.clone(), Arc::clone(&stock).observer());
            let watching = wanted.clone();
            let task = tokio::spawn(async move { cluster.follow(watching, observer).await });
            let task = AbortOnDropHandle::new(task);
            self.watches.insert(wanted, Watch { stock, _task: task });
        }
    }

    /// Returns when something may have changed since the last time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is there now; none while it is not known.
    pub fn find(&mut self, targets: &ObjectTargets) -> Option<Vec<Arc<TargetGroup>>> {
        let kinds = self.kinds(targets);
        let stocks: Option<HashMap<&'static str, Arc<Stock>>> = kinds
            .into_iter()
            .map(|(kind, wanted)| {
                let stock = &self.watches.get(&wanted)?.stock;
                stock.is_whole().then(|| (kind, Arc::clone(stock)))
            })
            .collect();
        let stocks = stocks?;
        let before = self.found.remove(targets).unwrap_or_default();
        let mut now = HashMap::with_capacity(before.len());
        for group in self.groups(targets, &stocks) {
            let same = before.get(&group.source).filter(|known| ***known == group);
            let group = same.map_or_else(|| Arc::new(group), Arc::clone);
            now.insert(group.source.clone(), group);
        }
        let mut groups: Vec<Arc<TargetGroup>> = now.values().cloned().collect();
        groups.sort_unstable_by(|one, other| one.source.cmp(&other.source));
        self.found.insert(targets.clone(), now);
        Some(groups)
    }

    fn groups(
        &self,
        targets: &ObjectTargets,
        stocks: &HashMap<&'static str, Arc<Stock>>,
    ) -> Vec<TargetGroup> {
        let Some(role) = targets.role else {
            return Vec::new();
        };
        let Some(main) = stocks.get(kind_of(role)) else {
            return Vec::new();
        };
        let mut names = targets.namespaces.names.clone();
        if targets.namespaces.own_namespace {
            names.push(self.cluster.own_namespace().to_owned());
        }
        let world = World::new(stocks, targets.attach_metadata, names);
        let objects = main.objects();
        let there = objects
            .iter()
            .filter(|(_, thing)| role == ObjectRole::Node || world.is_near(thing.meta()));
        there.filter_map(|(_, thing)| world.group(thing)).collect()
    }

    /// What has to be watched, by kind.
    fn kinds(&self, targets: &ObjectTargets) -> HashMap<&'static str, Wanted> {
        let mut kinds = HashMap::new();
        let Some(role) = targets
            .role
            .filter(|role| self.node.is_none() || *role == ObjectRole::Pod)
        else {
            return kinds;
        };
        let mut add = |kind: &'static str| kinds.insert(kind, self.wanted(kind, targets));
        add(kind_of(role));
        let is_of_pods = matches!(
            role,
            ObjectRole::Pod | ObjectRole::Endpoints | ObjectRole::EndpointSlice
        );
        if matches!(role, ObjectRole::Endpoints | ObjectRole::EndpointSlice) {
            add("Pod");
            add("Service");
        }
        let attach = targets.attach_metadata;
        for (kind, is_added) in [
            ("Node", attach.node && is_of_pods),
            ("ReplicaSet", attach.deployment && is_of_pods),
            ("Job", attach.cronjob && is_of_pods),
            ("Namespace", attach.namespace && role != ObjectRole::Node),
        ] {
            if is_added {
                add(kind);
            }
        }
        kinds
    }

    fn wanted(&self, kind: &'static str, targets: &ObjectTargets) -> Wanted {
        let (group, version, plural) = match kind {
            "Pod" => ("", "v1", "pods"),
            "Node" => ("", "v1", "nodes"),
            "Service" => ("", "v1", "services"),
            "Endpoints" => ("", "v1", "endpoints"),
            "Namespace" => ("", "v1", "namespaces"),
            "EndpointSlice" => ("discovery.k8s.io", "v1", "endpointslices"),
            "Ingress" => ("networking.k8s.io", "v1", "ingresses"),
            "ReplicaSet" => ("apps", "v1", "replicasets"),
            _ => ("batch", "v1", "jobs"),
        };
        let selector = targets
            .selectors
            .iter()
            .find(|selector| selector.role.map(kind_of) == Some(kind));
        let mut fields: Vec<String> = selector
            .map(|selector| selector.field.clone())
            .into_iter()
            .collect();
        fields.retain(|field| !field.is_empty());
        if let Some(node) = self.node.as_ref().filter(|_| kind == "Pod") {
            fields.push(format!("spec.nodeName={node}"));
        }
        let lies_in_one = !matches!(kind, "Node" | "Namespace");
        let places = &targets.namespaces;
        let only = match (places.names.as_slice(), places.own_namespace) {
            ([only], false) => Some(only.as_str()),
            ([], true) => Some(self.cluster.own_namespace()),
            _ => None,
        };
        if let Some(only) = only.filter(|_| lies_in_one) {
            fields.push(format!("metadata.namespace={only}"));
        }
        Wanted {
            // Of these nothing but names and owners is of interest.
            is_metadata: matches!(kind, "ReplicaSet" | "Job" | "Namespace"),
            field_selector: fields.join(","),
            label_selector: selector
                .map(|selector| selector.label.clone())
                .unwrap_or_default(),
            ..Wanted::all(Resource::new(group, version, kind, plural))
        }
    }
}

fn kind_of(role: ObjectRole) -> &'static str {
    match role {
        ObjectRole::Pod => "Pod",
        ObjectRole::Node => "Node",
        ObjectRole::Service => "Service",
        ObjectRole::Endpoints => "Endpoints",
        ObjectRole::EndpointSlice => "EndpointSlice",
        ObjectRole::Ingress => "Ingress",
    }
}

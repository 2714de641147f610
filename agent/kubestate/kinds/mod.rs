//! The kinds there are, and what is read of each.

mod job;
mod network;
mod node;
mod pod;
mod scaling;
mod small;
mod storage;
mod workload;

use model::{Resource, Wanted};
use serde_json::Value;

use crate::custom::Family;
use crate::draft::Draft;

/// Writes down the series of one object.
pub(crate) type Read = fn(&str, &mut Draft<'_>) -> serde_json::Result<()>;

/// How objects of a kind are read.
pub(crate) enum Reader {
    /// A kind that we know.
    Own(Read),
    /// One that a document tells of.
    Told(Vec<Family>),
}

impl Reader {
    pub(crate) fn read(&self, text: &str, draft: &mut Draft<'_>) -> serde_json::Result<()> {
        match self {
            Self::Own(read) => read(text, draft),
            Self::Told(families) => {
                let object: Value = serde_json::from_str(text)?;
                families.iter().for_each(|family| family.write(&object, draft));
                Ok(())
            }
        }
    }
}

pub(crate) struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    pub(crate) plural: &'static str,
    /// Read unless the configuration says which are.
    pub(crate) is_usual: bool,
    is_metadata: bool,
    pub(crate) read: Read,
}

const fn kind(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    read: Read,
) -> Kind {
    Kind {
        group,
        version,
        kind,
        plural,
        is_usual: true,
        is_metadata: false,
        read,
    }
}

/// Read only where somebody asks for it.
const fn rare(
    group: &'static str,
    version: &'static str,
    name: &'static str,
    plural: &'static str,
    read: Read,
) -> Kind {
    Kind {
        is_usual: false,
        ..kind(group, version, name, plural, read)
    }
}

pub(crate) static KINDS: [Kind; 26] = [
    kind("", "v1", "Namespace", "namespaces", small::namespace),
    kind("", "v1", "Node", "nodes", node::read),
    kind("", "v1", "Pod", "pods", pod::read),
    kind("", "v1", "PersistentVolume", "persistentvolumes", storage::volume),
    kind(
        "",
        "v1",
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        storage::claim,
    ),
    kind("", "v1", "ResourceQuota", "resourcequotas", small::quota),
    kind("", "v1", "LimitRange", "limitranges", small::limit_range),
    kind("", "v1", "Service", "services", network::service),
    kind("apps", "v1", "Deployment", "deployments", workload::deployment),
    kind("apps", "v1", "ReplicaSet", "replicasets", workload::replica_set),
    kind(
        "apps",
        "v1",
        "StatefulSet",
        "statefulsets",
        workload::stateful_set,
    ),
    kind("apps", "v1", "DaemonSet", "daemonsets", workload::daemon_set),
    kind("batch", "v1", "Job", "jobs", job::job),
    kind("batch", "v1", "CronJob", "cronjobs", job::cron_job),
    kind(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        scaling::autoscaler,
    ),
    kind(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        scaling::disruption_budget,
    ),
    kind(
        "networking.k8s.io",
        "v1",
        "Ingress",
        "ingresses",
        network::ingress,
    ),
    kind(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        network::policy,
    ),
    kind(
        "storage.k8s.io",
        "v1",
        "StorageClass",
        "storageclasses",
        storage::class,
    ),
    rare(
        "storage.k8s.io",
        "v1",
        "VolumeAttachment",
        "volumeattachments",
        storage::attachment,
    ),
    rare("", "v1", "Endpoints", "endpoints", network::endpoints),
    rare(
        "discovery.k8s.io",
        "v1",
        "EndpointSlice",
        "endpointslices",
        network::endpoint_slice,
    ),
    rare("", "v1", "ServiceAccount", "serviceaccounts", small::account),
    rare(
        "",
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        workload::replication_controller,
    ),
    rare("coordination.k8s.io", "v1", "Lease", "leases", small::lease),
    Kind {
        is_metadata: true,
        ..rare("", "v1", "ConfigMap", "configmaps", small::config_map)
    },
];

impl Kind {
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            is_metadata: self.is_metadata,
            ..Wanted::all(Resource::new(self.group, self.version, self.kind, self.plural))
        }
    }
}

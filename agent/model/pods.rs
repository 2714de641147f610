//! Facts of pods, as whoever watches them says: for rooms that meet a pod by its UID and want to say more about it.
//!
//! They travel in a `watch` channel, the newest map in place of the one before. Nobody waits for them for long.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::Timestamp;

/// All pods that are known now. Those that have ended stay in it for as long as their last lines may come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    pub by_uid: HashMap<String, Arc<Pod>>,
}

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// What made it, past the ReplicaSet: `Deployment`, `StatefulSet`, `Job` …
    pub owner: Option<Owner>,
    pub node: String,
    /// The node's availability zone; empty when it is not known.
    pub zone: String,
    /// Empty before it has one.
    pub ip: String,
    /// It has the node's address, and so has every pod like it.
    pub host_network: bool,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    pub is_ready: bool,
    /// It is no more; only its last lines may still come.
    pub is_gone: bool,
    /// Without those that only run at the beginning.
    pub containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    pub ports: Vec<Port>,
    /// Of the one that runs, without the front that names the runtime; empty before it does.
    pub id: String,
    pub memory_limit_bytes: Option<u64>,
    /// How it ended the last time.
    pub ended: Option<Ended>,
}

/// The end of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub container_id: String,
    /// `OOMKilled`, `Error`, `Completed` …
    pub reason: String,
    pub exit_code: i32,
    pub at: Timestamp,
}

impl Container {
    /// Whether that is the id of the one that runs, or of the one before it.
    #[must_use]
    pub fn is(&self, id: &str) -> bool {
        self.id == id || self.ended.as_ref().is_some_and(|ended| ended.container_id == id)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

/// The node that a process is on, without asking the cloud: its labels and its provider's id say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// Where its kubelet is reached.
    pub address: String,
    pub region: String,
    pub zone: String,
    pub instance_type: String,
    /// `i-…`; of a Fargate node or a hybrid one, what its provider calls it.
    pub instance_id: String,
    /// The managed node group, or Karpenter's pool.
    pub group: String,
    /// `spot`, `on-demand` or what else its provider calls it.
    pub capacity: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    pub kind: String,
    pub name: String,
}

impl Pod {
    /// An annotation of the pod, or the one of the same key that names the container: `key-container`.
    #[must_use]
    pub fn annotation(&self, key: &str, container: &str) -> Option<&str> {
        let own = self.annotations.get(&format!("{key}-{container}"));
        own.or_else(|| self.annotations.get(key)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_container_comes_before_what_is_said_of_its_pod() {
        let annotations = [("a/x", "pod"), ("a/x-web", "web")];
        let pod = Pod {
            annotations: annotations
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..Pod::default()
        };
        assert_eq!(pod.annotation("a/x", "web"), Some("web"));
        assert_eq!(pod.annotation("a/x", "app"), Some("pod"));
        assert_eq!(pod.annotation("a/y", "app"), None);
    }
}

//! Workloads, pods and nodes of a cluster, as the pages show them.
//!
//! What nobody has measured or set is `None`, never zero.

use crate::Timestamp;

/// What containers use, and what they asked for and may have. A limit is only said where each of them has one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    pub cpu_cores: Option<f64>,
    pub cpu_request_cores: Option<f64>,
    pub cpu_limit_cores: Option<f64>,
    pub memory_bytes: Option<f64>,
    pub memory_request_bytes: Option<f64>,
    pub memory_limit_bytes: Option<f64>,
}

impl Usage {
    /// What both use. A limit of one alone limits nothing.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)),
        };
        let both = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b);
        Self {
            cpu_cores: sum(self.cpu_cores, other.cpu_cores),
            cpu_request_cores: sum(self.cpu_request_cores, other.cpu_request_cores),
            cpu_limit_cores: both(self.cpu_limit_cores, other.cpu_limit_cores),
            memory_bytes: sum(self.memory_bytes, other.memory_bytes),
            memory_request_bytes: sum(self.memory_request_bytes, other.memory_request_bytes),
            memory_limit_bytes: both(self.memory_limit_bytes, other.memory_limit_bytes),
        }
    }
}

/// A Deployment, StatefulSet or DaemonSet, or whatever else owns pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// `Deployment`
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub pods_ready: u64,
    pub pods_wanted: u64,
    pub usage: Usage,
    /// Of its containers in the last hour.
    pub restarts_lately: u64,
}

/// Which pods are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodsOf {
    Namespace(String),
    Node(String),
    One { namespace: String, name: String },
}

/// One pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodState {
    pub namespace: String,
    pub name: String,
    /// Kind and name of what it belongs to: the Deployment and not its ReplicaSet.
    pub owner: Option<(String, String)>,
    /// Empty while it has none.
    pub node: String,
    /// `Running`
    pub phase: String,
    pub is_ready: bool,
    /// Container and reason of each that waits: `CrashLoopBackOff`.
    pub waiting: Vec<(String, String)>,
    /// Container, reason and exit code of each whose run before this one has ended.
    pub ended: Vec<(String, String, Option<i64>)>,
    pub restarts: u64,
    /// In the last hour.
    pub restarts_lately: u64,
    pub created: Option<Timestamp>,
    pub images: Vec<String>,
    pub usage: Usage,
}

impl PodState {
    /// It has work to do: it waits to begin, or runs.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.phase.as_str(), "Pending" | "Running")
    }
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeState {
    pub name: String,
    pub is_ready: bool,
    /// No new pods are put on it.
    pub is_cordoned: bool,
    /// Conditions besides `Ready` that are true: `DiskPressure`.
    pub conditions: Vec<String>,
    pub pods: u64,
    pub pods_allocatable: Option<u64>,
    pub cpu_cores: Option<f64>,
    pub cpu_allocatable_cores: Option<f64>,
    pub memory_bytes: Option<f64>,
    pub memory_allocatable_bytes: Option<f64>,
    /// Of the fullest of its filesystems, 0 to 1, and where that is mounted.
    pub disk: Option<(f64, String)>,
    pub zone: String,
    pub instance_type: String,
    pub kubelet: String,
    pub created: Option<Timestamp>,
    /// What it may have at most, and how much of that is used, the fullest first.
    pub limits: Vec<NodeLimit>,
    /// What was asked of it beyond what EC2 allows, within the last hour.
    pub exceeded: Vec<NodeExcess>,
}

/// Something that a node may have only so much of.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeLimit {
    pub what: &'static str,
    pub used: f64,
    pub most: f64,
}

impl NodeLimit {
    /// 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.used / self.most
    }
}

/// Something that EC2 held back.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeExcess {
    pub what: &'static str,
    /// Packets, or seconds.
    pub amount: f64,
    pub unit: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_one_alone_is_no_limit_of_both() {
        let one = Usage {
            memory_bytes: Some(3.0),
            memory_limit_bytes: Some(8.0),
            ..Usage::default()
        };
        let other = Usage {
            memory_bytes: Some(2.0),
            ..Usage::default()
        };
        let both = one.and(other);
        assert_eq!((both.memory_bytes, both.memory_limit_bytes), (Some(5.0), None));
        assert_eq!(one.and(one).memory_limit_bytes, Some(16.0));
        assert_eq!(both.cpu_cores, None);
    }
}

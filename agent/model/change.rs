//! What has changed in a cluster, in words.

use std::fmt;

use crate::Timestamp;

/// What kind of change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// What a workload runs.
    Deploy,
    /// How many pods a workload is to have.
    Scale,
    /// How many an autoscaler wants.
    Autoscale,
    Node,
    /// A ConfigMap; never its content.
    Config,
    /// The kernel ended a process of a pod for want of memory.
    OomKill,
}

impl ChangeKind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Scale => "scale",
            Self::Autoscale => "autoscale",
            Self::Node => "node",
            Self::Config => "config",
            Self::OomKill => "oom_kill",
        }
    }
}

/// One change. Shown as `web: image shop/web:1.2 → 1.3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it was seen.
    pub time: Timestamp,
    pub kind: ChangeKind,
    /// `Deployment`
    pub object: &'static str,
    /// Empty of nodes.
    pub namespace: String,
    /// Of an autoscaler it is what it scales.
    pub name: String,
    /// `image shop/web:1.2 → 1.3`
    pub text: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.text)
    }
}

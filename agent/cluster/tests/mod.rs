//! Against a real API server: what is watched, what is refused, who may write the Lease.

mod discover;
mod lease;
mod observe;
mod review;
mod watch;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kubernetes_tests::Cluster as Plane;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;

use crate::{Cluster, Config, Scope};

/// What the chart gives to the node role.
pub(super) const NODE_RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: skopos-node}
rules:
- {apiGroups: [""], resources: [pods], verbs: [list, watch]}
- {apiGroups: [""], resources: [nodes], verbs: [get]}
"#;

pub(super) fn account(plane: &Plane, name: &str) -> PathBuf {
    plane.apply(&format!(
        "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: default}}}}"
    ));
    plane.kubeconfig_for("default", name)
}

pub(super) fn bind(plane: &Plane, account: &str, role: &str) {
    plane.apply(&format!(
        r"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {role}-{account}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}
subjects: [{{kind: ServiceAccount, name: {account}, namespace: default}}]
"
    ));
}

pub(super) async fn cluster(kubeconfig: PathBuf, scope: Scope, node: &str, registry: &Registry) -> Cluster {
    let config = Config {
        kubeconfig: Some(kubeconfig),
        node_name: node.to_owned(),
        ..Config::default()
    };
    Cluster::new(config, scope, "host", RuntimeClock::system(), registry)
        .await
        .unwrap()
}

/// Waits until it holds, half a minute at most.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 30 s: {what}");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_says_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    fs::write(&broken, "clusters: 7").unwrap();
    for (path, want) in [(folder.path().join("none"), "none: "), (broken, "broken: ")] {
        let config = Config {
            kubeconfig: Some(path),
            ..Config::default()
        };
        let made = Cluster::new(
            config,
            Scope::Node,
            "host",
            RuntimeClock::system(),
            &Registry::new(),
        )
        .await;
        let said = made.err().unwrap().to_string();
        assert!(
            said.starts_with("kubernetes.kubeconfig: ") && said.contains(want),
            "{said}"
        );
    }
    let outside = Config {
        enabled: Some(true),
        ..Config::default()
    };
    if !crate::is_in_pod() {
        let clock: Arc<RuntimeClock> = RuntimeClock::system();
        let made = Cluster::new(outside, Scope::Node, "host", clock, &Registry::new()).await;
        let said = made.err().unwrap().to_string();
        assert!(said.contains("ServiceAccount"), "{said}");
    }
}

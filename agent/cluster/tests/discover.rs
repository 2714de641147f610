//! Targets among objects: of one node where only that counts, and nothing is watched for nobody.

use kubernetes_tests::ControlPlane;
use model::Clock;
use model::discovery::{ObjectRole, ObjectTargets};
use prometheus::Registry;

use super::{account, bind, cluster, until};
use crate::{Finder, Scope};

const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: finder}
rules:
- {apiGroups: [""], resources: [pods], verbs: [list, watch]}
"#;

fn pod(plane: &ControlPlane, name: &str, node: &str, ip: &str) {
    plane.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{nodeName: {node}, containers: [{{name: app, image: 'lab.local/app:1'}}]}}}}"
    ));
    let status = format!(r#"{{"status":{{"phase":"Running","podIP":"{ip}","podIPs":[{{"ip":"{ip}"}}]}}}}"#);
    plane.kubectl(&["patch", "pod", name, "--subresource=status", "-p", &status]);
}

fn all(role: ObjectRole) -> ObjectTargets {
    ObjectTargets {
        role: Some(role),
        ..ObjectTargets::default()
    }
}

fn resources(registry: &Registry, name: &str) -> Vec<String> {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
    let labels = metrics.iter().flat_map(|metric| metric.get_label());
    labels
        .filter(|label| label.name() == "resource")
        .map(|label| label.value().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_finds_the_pods_of_its_node_and_watches_for_as_long_as_somebody_looks() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    plane.apply(RIGHTS);
    let kubeconfig = account(&plane, "finder");
    bind(&plane, "finder", "finder");
    pod(&plane, "here", "n1", "10.1.0.1");
    pod(&plane, "there", "n2", "10.1.0.2");
    let registry = Registry::new();
    let cluster = cluster(kubeconfig, Scope::Cluster, "n1", &registry).await;
    let (pods, nodes) = (all(ObjectRole::Pod), all(ObjectRole::Node));

    let mut of_node = Finder::new(&cluster, Some("n1".to_owned()));
    of_node.look_for(&[pods.clone(), nodes.clone()]);
    until("the pod is found", || {
        let found = of_node.find(&pods).unwrap_or_default();
        found
            .iter()
            .map(|group| group.source.as_str())
            .eq(["pod/default/here"])
    })
    .await;
    assert_eq!(
        of_node.find(&nodes),
        Some(Vec::new()),
        "there is one node, and it is not asked for"
    );
    let before = of_node.find(&pods).unwrap();
    assert!(
        std::sync::Arc::ptr_eq(&before[0], &of_node.find(&pods).unwrap()[0]),
        "what stays is the same"
    );

    let mut of_all = Finder::new(&cluster, None);
    of_all.look_for(std::slice::from_ref(&pods));
    until("both are found", || {
        of_all.find(&pods).is_some_and(|found| found.len() == 2)
    })
    .await;
    plane.kubectl(&["delete", "pod", "there", "--force", "--grace-period=0"]);
    until("one is gone", || {
        of_all.find(&pods).is_some_and(|found| found.len() == 1)
    })
    .await;

    // Nodes may not be listed, and that is said while somebody looks for them.
    let says = |word: &str| {
        let checkups = cluster.checkups(telemetry::clock::RuntimeClock::system().now());
        let mut lines = checkups.iter().flat_map(|checkup| &checkup.findings);
        lines.any(|line| line.contains(word))
    };
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(cluster.clone().run(stop.clone()));
    of_all.look_for(&[pods.clone(), nodes.clone()]);
    until("the right that is missing is named", || {
        says("list nodes: kubernetes_sd_configs")
    })
    .await;
    assert_eq!(of_all.find(&nodes), None);
    of_all.look_for(std::slice::from_ref(&pods));
    until("it is not missed any more", || !says("list nodes")).await;
    stop.cancel();
    running.await.unwrap();

    assert_eq!(
        resources(&registry, "skopos_kubernetes_objects"),
        ["discovery/pods", "pods"]
    );
    assert!(
        resources(&registry, "skopos_kubernetes_answered_timestamp_seconds").contains(&"pods".to_owned())
    );
    of_node.look_for(&[]);
    of_all.look_for(&[]);
    assert_eq!(of_all.find(&pods), None, "nobody watches");
    until("nothing is said of what nobody watches", || {
        resources(&registry, "skopos_kubernetes_objects") == ["pods"]
            && !resources(&registry, "skopos_kubernetes_answered_timestamp_seconds")
                .contains(&"pods".to_owned())
    })
    .await;
}

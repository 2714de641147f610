//! Pods and the node, through changes, refusals and an API server that goes away.

use std::sync::Arc;
use std::time::Duration;

use kubernetes_tests::ControlPlane;
use model::pods::Pods;
use model::view::Verdict;
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{NODE_RIGHTS, account, bind, cluster, until};
use crate::Scope;

fn node(name: &str) -> String {
    format!(
        r"
apiVersion: v1
kind: Node
metadata:
  name: {name}
  labels: {{topology.kubernetes.io/zone: eu-west-1b, node.kubernetes.io/instance-type: m7i.large}}
spec: {{providerID: 'aws:///eu-west-1b/i-0aa'}}
---
"
    )
}

fn pod(name: &str, node: &str, label: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: "{label}"}}, annotations: {{"skopos.io/log-rate": "5"}}}}
spec:
  nodeName: {node}
  containers: [{{name: app, image: "lab.local/app:1", ports: [{{name: http, containerPort: 8080}}]}}]
---
"#
    )
}

fn names(pods: &watch::Receiver<Arc<Pods>>) -> Vec<String> {
    let mut names: Vec<String> = pods
        .borrow()
        .by_uid
        .values()
        .map(|pod| pod.name.clone())
        .collect();
    names.sort_unstable();
    names
}

fn is_labelled(pods: &watch::Receiver<Arc<Pods>>, name: &str, label: &str) -> bool {
    let pods = pods.borrow();
    let pod = pods.by_uid.values().find(|pod| pod.name == name);
    pod.is_some_and(|pod| pod.labels.get("app").is_some_and(|app| app == label))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pods_of_one_node_are_known_as_they_change_and_through_an_outage() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    plane.apply(NODE_RIGHTS);
    let kubeconfig = account(&plane, "agent");
    bind(&plane, "agent", "skopos-node");
    plane.apply(
        &[
            node("n1"),
            node("n2"),
            pod("a", "n1", "one"),
            pod("b", "n1", "one"),
            pod("c", "n2", "one"),
        ]
        .concat(),
    );
    let registry = Registry::new();
    let cluster = cluster(kubeconfig, Scope::Node, "n1", &registry).await;
    let (pods, stop) = (cluster.pods(), CancellationToken::new());
    let running = tokio::spawn(cluster.clone().run(stop.clone()));

    until("two pods are known", || names(&pods) == ["a", "b"]).await;
    let seen = pods
        .borrow()
        .by_uid
        .values()
        .find(|pod| pod.name == "a")
        .cloned()
        .unwrap();
    assert_eq!((seen.node.as_str(), seen.zone.as_str()), ("n1", "eu-west-1b"));
    assert_eq!(seen.annotation("skopos.io/log-rate", "app"), Some("5"));
    assert_eq!(seen.containers[0].ports[0].number, 8080);
    let facts = cluster.node().borrow().clone();
    assert_eq!(
        (facts.instance_id.as_str(), facts.instance_type.as_str()),
        ("i-0aa", "m7i.large")
    );
    let verdicts = |cluster: &crate::Cluster| -> Vec<Verdict> {
        let now = cluster.0.clock.now();
        cluster
            .checkups(now)
            .into_iter()
            .filter(|checkup| checkup.name != "rights")
            .map(|checkup| checkup.verdict)
            .collect()
    };
    assert_eq!(verdicts(&cluster), [Verdict::Ok, Verdict::Ok]);

    plane.kubectl(&["label", "pod", "a", "app=two", "--overwrite"]);
    until("the label has changed", || is_labelled(&pods, "a", "two")).await;
    plane.kubectl(&["delete", "pod", "b", "--force", "--grace-period=0"]);
    plane.apply(&pod("d", "n1", "one"));
    until("one came", || names(&pods) == ["a", "b", "d"]).await;

    plane.stop_api();
    until("it is said that nobody answers", || {
        verdicts(&cluster)[0] == Verdict::Fail
    })
    .await;
    assert_eq!(names(&pods), ["a", "b", "d"], "what was known stands");
    plane.start_api();
    plane.apply(&pod("e", "n1", "one"));
    until("one came after the outage", || {
        names(&pods) == ["a", "b", "d", "e"]
    })
    .await;
    assert_eq!(verdicts(&cluster), [Verdict::Ok, Verdict::Ok]);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_account_may_not_do_is_said_and_works_once_it_may() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.apply(NODE_RIGHTS);
    plane.apply(&[node("m1"), pod("m", "m1", "one")].concat());
    let kubeconfig = account(plane, "poor");
    let cluster = cluster(kubeconfig, Scope::Node, "m1", &Registry::new()).await;
    let (pods, stop) = (cluster.pods(), CancellationToken::new());
    let running = tokio::spawn(cluster.clone().run(stop.clone()));
    let said = |cluster: &crate::Cluster| -> Vec<String> {
        let now = cluster.0.clock.now();
        cluster
            .checkups(now)
            .into_iter()
            .map(|checkup| checkup.seen)
            .collect()
    };
    until("both refusals are said", || {
        let said = said(&cluster);
        said[0].contains("cannot list resource \"pods\"") && said[1].contains("cannot get resource \"nodes\"")
    })
    .await;
    assert_eq!(names(&pods), [""; 0]);
    bind(plane, "poor", "skopos-node");
    until("the pod is known", || names(&pods) == ["m"]).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_stands_still_holds_up_nobody_and_is_heard_again() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    plane.apply(&[node("n1"), pod("a", "n1", "one")].concat());
    let cluster = cluster(plane.kubeconfig(), Scope::Node, "n1", &Registry::new()).await;
    let (pods, stop) = (cluster.pods(), CancellationToken::new());
    let running = tokio::spawn(cluster.clone().run(stop.clone()));
    until("a pod is known", || names(&pods) == ["a"]).await;
    plane.pause_api();
    tokio::time::sleep(Duration::from_secs(3)).await;
    plane.resume_api();
    plane.apply(&pod("b", "n1", "one"));
    until("the next one is known", || names(&pods) == ["a", "b"]).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), running)
        .await
        .unwrap()
        .unwrap();
}

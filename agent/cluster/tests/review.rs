//! Whose a token is.

use std::path::PathBuf;

use kubernetes_tests::ControlPlane;
use model::outside::{Call, Role};
use prometheus::Registry;

use super::{account, bind, cluster};
use crate::Scope;

const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: skopos-review}
rules:
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
";

fn reviewer(plane: &ControlPlane) -> PathBuf {
    plane.apply(RIGHTS);
    let kubeconfig = account(plane, "reviewer");
    bind(plane, "reviewer", "skopos-review");
    kubeconfig
}

/// A token as the kubelet gives it to a pod of the account.
fn of_pod(plane: &ControlPlane, account: &str, pod: &str, audience: &str) -> String {
    super::account(plane, account);
    plane.apply("{apiVersion: v1, kind: Node, metadata: {name: n7}}");
    plane.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {pod}}}, spec: {{nodeName: n7, serviceAccountName: {account}, \
         containers: [{{name: app, image: 'lab.local/app:1'}}]}}}}"
    ));
    let said = plane.kubectl(&[
        "create",
        "token",
        account,
        "--audience",
        audience,
        "--bound-object-kind=Pod",
        "--bound-object-name",
        pod,
    ]);
    said.trim().to_owned()
}

fn call(token: &str) -> Call {
    Call {
        headers: vec![("authorization".to_owned(), format!("Bearer {token}"))],
        ..Call::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_whom_the_token_of_its_pod_names_also_while_the_api_server_is_away() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let registry = Registry::new();
    let cluster = cluster(reviewer(&plane), Scope::Cluster, "n", &registry).await;
    let reviews = cluster.reviews(&registry);
    let node = call(&of_pod(&plane, "skopos-node", "agent-x", crate::AUDIENCE));
    let who = reviews.identify(&node).await.unwrap();
    assert_eq!((who.role, &*who.name), (Role::Node, "n7"));
    let replica = call(&of_pod(
        &plane,
        "skopos-cluster",
        "skopos-cluster-0",
        crate::AUDIENCE,
    ));
    let who = reviews.identify(&replica).await.unwrap();
    assert_eq!((who.role, &*who.name), (Role::Replica, "skopos-cluster-0"));

    // What a replica shows an agent is for agents alone, and what it shows its peer is not.
    let asking = call(&of_pod(
        &plane,
        "skopos-cluster",
        "skopos-cluster-0",
        crate::AGENT_AUDIENCE,
    ));
    let said = reviews.identify(&asking).await.unwrap_err();
    assert!(said.contains("does not take this token"), "{said}");
    let agent = super::cluster(reviewer(&plane), Scope::Node, "n7", &Registry::new()).await;
    let agent = agent.reviews(&Registry::new());
    let who = agent.identify(&asking).await.unwrap();
    assert_eq!((who.role, &*who.name), (Role::Replica, "skopos-cluster-0"));
    let said = agent.identify(&replica).await.unwrap_err();
    assert!(said.contains("does not take this token"), "{said}");

    let elsewhere = of_pod(&plane, "skopos-node", "agent-x", "sts.amazonaws.com");
    let stranger = of_pod(&plane, "shop", "shop-1", crate::AUDIENCE);
    let unbound = plane.token("default", "skopos-node", crate::AUDIENCE);
    for (token, want) in [
        (elsewhere.as_str(), "does not take this token"),
        (
            &stranger,
            "system:serviceaccount:default:shop is neither skopos-node nor skopos-cluster",
        ),
        (&unbound, "does not say authentication.kubernetes.io/node-name"),
        ("token-of-somebody-0123456789", "unknown token"),
    ] {
        let said = reviews.identify(&call(token)).await.unwrap_err();
        assert!(said.contains(want), "{said}");
    }
    let said = reviews.identify(&Call::default()).await.unwrap_err();
    assert!(said.contains("no token"), "{said}");

    let unheard = call(&of_pod(&plane, "skopos-node", "agent-y", crate::AUDIENCE));
    plane.stop_api();
    assert_eq!(&*reviews.identify(&node).await.unwrap().name, "n7");
    let said = reviews.identify(&unheard).await.unwrap_err();
    assert!(said.contains("the API server cannot say"), "{said}");
    plane.start_api();
    assert_eq!(&*reviews.identify(&unheard).await.unwrap().name, "n7");
    // Its pod is no more, and so is its token, once it is asked about again.
    plane.kubectl(&["delete", "pod", "agent-y", "--force", "--grace-period=0"]);
    assert!(
        reviews.identify(&unheard).await.is_ok(),
        "an answer is good for a minute"
    );
}

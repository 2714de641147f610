//! The rights that the chart gives, each taken away in turn: doctor names it, and the rest goes on.

use std::time::Duration;

use kubernetes_tests::{ControlPlane, program};
use serde_json::{Value, json};

use crate::chart::{objects, rendered};
use crate::harness::{Skopos, long_run};

const PATIENCE: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "monitoring";

/// A role without one of its resources: what was taken, and the role.
fn without(role: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (nth, rule) in role["rules"].as_array().unwrap().iter().enumerate() {
        let key = match rule["nonResourceURLs"].is_array() {
            true => "nonResourceURLs",
            false => "resources",
        };
        let resources = rule[key].as_array().unwrap();
        for resource in resources {
            let mut other = role.clone();
            let rest: Vec<&Value> = resources.iter().filter(|one| *one != resource).collect();
            match rest.is_empty() {
                true => drop(other["rules"].as_array_mut().unwrap().remove(nth)),
                false => other["rules"][nth][key] = json!(rest),
            }
            all.push((resource.as_str().unwrap().to_owned(), other));
        }
    }
    all
}

async fn check(skopos: &Skopos, name: &str) -> Value {
    let doctor: Value = skopos.api("/api/v1/doctor").await;
    let checks = doctor["checks"].as_array().unwrap();
    let found = checks
        .iter()
        .find(|check| check["room"] == "cluster" && check["name"] == name);
    found.cloned().unwrap_or_default()
}

/// Of a role of the chart: everything works, and without each of its rights that one is named.
async fn matrix(plane: &ControlPlane, role: &str, account: &str, config: &str, roles: &[&Value]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("token"),
        "token-of-replica-skopos-0-0123456789",
    )
    .unwrap();
    let config = format!(
        "logs: {{ enabled: false }}\nweb: {{ trust_loopback: true }}\nkubernetes: {{ kubeconfig: '{}', lease_namespace: {NAMESPACE}, node_name: n1{config}",
        plane.kubeconfig_for(NAMESPACE, account).display()
    );
    std::fs::write(folder.path().join("skopos.yaml"), config).unwrap();
    let skopos = Skopos::start_with(
        folder.path(),
        &[
            "--role",
            role,
            "--config",
            "skopos.yaml",
            "--listen",
            // Where others come, it has to be known who they are.
            "0.0.0.0:0",
        ],
    );
    skopos
        .wait_for("all rights are there", PATIENCE, async |skopos| {
            check(skopos, "rights").await["verdict"] == "ok"
        })
        .await;
    let mut cases: Vec<(String, &Value, Value)> = Vec::new();
    for whole in roles {
        cases.extend(
            without(whole)
                .into_iter()
                .map(|(taken, rest)| (taken, *whole, rest)),
        );
    }
    // What is only for those who ask for more kinds is missed by nobody.
    cases.retain(|(taken, ..)| {
        ![
            "endpoints",
            "replicationcontrollers",
            "volumeattachments",
            // Of EKS, and this is none.
            "ksh/metrics",
            "kcm/metrics",
        ]
        .contains(&taken.as_str())
    });
    if !long_run() {
        fastrand::shuffle(&mut cases);
        cases.truncate(3);
    }
    for (taken, whole, rest) in &cases {
        plane.apply(&rest.to_string());
        skopos
            .wait_for("what is missing is named", PATIENCE, async |skopos| {
                let rights = check(skopos, "rights").await;
                let findings = rights["findings"].as_array().cloned().unwrap_or_default();
                let names = |finding: &Value| {
                    finding
                        .as_str()
                        .unwrap()
                        .split(' ')
                        .nth(1)
                        .unwrap()
                        .starts_with(taken.as_str())
                };
                rights["verdict"] == "fail" && !findings.is_empty() && findings.iter().all(names)
            })
            .await;
        plane.apply(&whole.to_string());
        println!("{role} without {taken}: named");
    }
    skopos
        .wait_for("all rights are there again", PATIENCE, async |skopos| {
            check(skopos, "rights").await["verdict"] == "ok"
        })
        .await;
    skopos
        .wait_for("every kind is heard of", PATIENCE * 2, async |skopos| {
            let watches = check(skopos, "watches").await;
            watches.is_null() || watches["verdict"] == "ok"
        })
        .await;
    skopos.assert_accounts().await;
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_charts_rights_all_works_and_each_that_is_taken_away_is_named() {
    let (Some(plane), Some(_)) = (ControlPlane::start(), program("helm4")) else {
        return;
    };
    plane.namespace(NAMESPACE);
    plane.apply("{apiVersion: v1, kind: Node, metadata: {name: n1}}");
    let all = objects(&plane, &rendered(&plane, "helm4", &[]));
    let of = |kinds: &[&str], name: &str| -> Vec<&Value> {
        let is_it = |object: &&Value| {
            let named = object["metadata"]["name"].as_str().unwrap_or_default();
            kinds.contains(&object["kind"].as_str().unwrap_or_default()) && named.ends_with(name)
        };
        all.iter().filter(is_it).collect()
    };
    for object in of(
        &[
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "Role",
            "RoleBinding",
        ],
        "",
    ) {
        plane.apply(&object.to_string());
    }
    let pair = of(&["ClusterRole", "Role"], "skopos-cluster");
    let node = of(&["ClusterRole"], "skopos-node");
    assert_eq!((pair.len(), node.len()), (2, 1));
    let peer = ", control_plane: { enabled: true }, agents: { service: skopos-node } }\npair: { name: skopos-0, peer: 'http://127.0.0.1:9', token_file: token }\n";
    matrix(&plane, "cluster", "skopos-cluster", peer, &pair).await;
    let kubelet = ", kubelet: { enabled: true, address: '127.0.0.1:9' } }\n";
    matrix(&plane, "node", "skopos-node", kubelet, &node).await;
}

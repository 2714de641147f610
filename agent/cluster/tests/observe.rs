//! Kinds that others want: listed, changed, gone, and known anew after an outage.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubernetes_tests::ControlPlane;
use model::view::Verdict;
use model::{Clock, Object, Observe, Resource, Wanted};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use super::{account, bind, cluster, until};
use crate::Scope;

const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: watcher}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [list, watch]}
- {apiGroups: [apps], resources: [deployments], verbs: [list, watch]}
- {apiGroups: [karpenter.sh], resources: [nodepools], verbs: [list, watch]}
"#;

/// Name and text of what is there, and how often a list was whole.
#[derive(Default)]
struct Seen {
    here: BTreeMap<String, String>,
    listed: Option<BTreeMap<String, String>>,
    lists: usize,
}

struct Observer(Arc<Mutex<Seen>>);

impl Observe for Observer {
    fn begun(&mut self) {
        self.0.lock().listed = Some(BTreeMap::new());
    }

    fn here(&mut self, object: &Object<'_>) {
        let mut seen = self.0.lock();
        let seen = &mut *seen;
        let place = seen.listed.as_mut().unwrap_or(&mut seen.here);
        place.insert(
            format!("{}/{}", object.namespace, object.name),
            object.text.to_owned(),
        );
    }

    fn gone(&mut self, object: &Object<'_>) {
        self.0
            .lock()
            .here
            .remove(&format!("{}/{}", object.namespace, object.name));
    }

    fn whole(&mut self) {
        let mut seen = self.0.lock();
        seen.here = seen.listed.take().unwrap();
        seen.lists += 1;
    }
}

fn deployment(name: &str, replicas: u32) -> String {
    format!(
        r"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: a, image: 'lab.local/a:1'}}]}}}}
---
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_is_told_to_all_who_want_it_as_it_changes_and_through_an_outage() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    plane.apply(RIGHTS);
    let kubeconfig = account(&plane, "watcher");
    bind(&plane, "watcher", "watcher");
    plane.apply(&[deployment("a", 1), deployment("b", 1)].concat());
    plane.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: default}, data: {key: secret-value}}");
    let registry = Registry::new();
    let cluster = cluster(kubeconfig, Scope::Cluster, "n", &registry).await;
    let deployments = Wanted::all(Resource::new("apps", "v1", "Deployment", "deployments"));
    let maps = Wanted {
        is_metadata: true,
        ..Wanted::all(Resource::new("", "v1", "ConfigMap", "configmaps"))
    };
    let none = Wanted {
        is_optional: true,
        ..Wanted::all(Resource::new("karpenter.sh", "v1", "NodePool", "nodepools"))
    };
    let refused = Wanted::all(Resource::new("", "v1", "Service", "services"));
    let seen: [Arc<Mutex<Seen>>; 5] = std::array::from_fn(|_| Arc::default());
    let wanted = [deployments.clone(), deployments, maps, none, refused];
    for (wanted, seen) in wanted.into_iter().zip(&seen) {
        cluster.observe(wanted, Box::new(Observer(Arc::clone(seen))));
    }
    let stop = CancellationToken::new();
    let running = tokio::spawn(cluster.clone().run(stop.clone()));
    let names = |at: usize| seen[at].lock().here.keys().cloned().collect::<Vec<_>>();
    for at in [0, 1] {
        until("both are known", || names(at) == ["default/a", "default/b"]).await;
    }
    until("the map is known", || {
        names(2).contains(&"default/settings".to_owned())
    })
    .await;
    let map = seen[2].lock().here["default/settings"].clone();
    assert!(
        !map.contains("secret-value") && map.contains("\"settings\""),
        "{map}"
    );

    plane.apply(&[deployment("a", 3), deployment("c", 1)].concat());
    plane.kubectl(&["delete", "deployment", "b"]);
    for at in [0, 1] {
        until("it has changed", || names(at) == ["default/a", "default/c"]).await;
        let text = seen[at].lock().here["default/a"].clone();
        assert!(text.contains("\"replicas\":3"), "{text}");
    }

    // What is refused, and what there is not, is known of; the others go on.
    until("a refusal is said", || {
        let checkup = &cluster.checkups(telemetry::clock::RuntimeClock::system().now())[0];
        checkup.verdict == Verdict::Fail
            && checkup.findings.len() == 1
            && checkup.findings[0].contains("services is forbidden")
    })
    .await;

    plane.stop_api();
    plane.start_api();
    plane.apply(&deployment("d", 1));
    until("it is known again", || {
        names(0) == ["default/a", "default/c", "default/d"]
    })
    .await;
    let requests: u64 = registry
        .gather()
        .iter()
        .filter(|family| family.name() == "skopos_kubernetes_requests_total")
        .flat_map(|family| family.get_metric())
        .filter(|metric| {
            metric
                .get_label()
                .iter()
                .any(|label| label.value() == "deployments")
        })
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum();
    // One watch serves both.
    assert!((1..40).contains(&requests), "{requests}");
    stop.cancel();
    running.await.unwrap();
}

#[test]
fn that_a_kind_is_no_more_is_believed_once_when_it_was_said_ten_times_in_a_row() {
    let mut absence = crate::observe::Absence::default();
    let mut said = |codes: &[u16]| codes.iter().filter(|code| absence.is_believed(**code)).count();
    assert_eq!(said(&[404; 9]), 0);
    assert_eq!(said(&[403]), 0);
    assert_eq!(said(&[404; 9]), 0);
    assert_eq!(said(&[404]), 1);
    assert_eq!(said(&[404; 50]), 0);
}

//! The pods that are watched, as other rooms know them.
//!
//! They get the newest map at once after the first list, and at most four a second while pods change. A pod that has gone stays in
//! it for ten minutes, since its last lines may still come; of those at most a thousand.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::pods::{Container, Ended, Owner, Pod, Pods, Port};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::follow::{Change, Keep};
use crate::lean;

/// How long a pod that has gone is still told of.
const ENDED: Duration = Duration::from_secs(600);
const ENDED_MAX: usize = 1_000;
/// Between two maps.
const GATHER: Duration = Duration::from_millis(250);

pub(crate) struct Keeper {
    told: watch::Sender<Arc<Pods>>,
    /// Of the node that all these pods are on; empty while it is not known.
    zone: watch::Receiver<Arc<model::pods::Node>>,
    here: HashMap<String, Arc<Pod>>,
    /// What a list that is being read has so far.
    listed: Option<HashMap<String, Arc<Pod>>>,
    ended: VecDeque<(Instant, Arc<Pod>)>,
    told_at: Option<Instant>,
    is_changed: bool,
}

impl Keeper {
    pub(crate) fn new(told: watch::Sender<Arc<Pods>>, zone: watch::Receiver<Arc<model::pods::Node>>) -> Self {
        Self {
            told,
            zone,
            here: HashMap::new(),
            listed: None,
            ended: VecDeque::new(),
            told_at: None,
            is_changed: false,
        }
    }

    fn seen(&self, pod: lean::Pod) -> Arc<Pod> {
        let mut pod = pod_of(pod);
        let node = self.zone.borrow();
        if node.name == pod.node {
            pod.zone.clone_from(&node.zone);
        }
        Arc::new(pod)
    }

    /// The node may have been known only after its pods.
    fn place(&mut self) {
        let node = Arc::clone(&self.zone.borrow());
        for pod in self.here.values_mut() {
            if pod.node == node.name && pod.zone != node.zone {
                Arc::make_mut(pod).zone.clone_from(&node.zone);
            }
        }
    }

    fn end(&mut self, mut pod: Arc<Pod>, now: Instant) {
        Arc::make_mut(&mut pod).is_gone = true;
        if self.ended.len() == ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back((now, pod));
    }
}

impl Keep<lean::Pod> for Keeper {
    fn take(&mut self, change: Change<lean::Pod>, now: Instant) {
        match change {
            Change::Begun => self.listed = Some(HashMap::new()),
            Change::Listed(pod) => {
                let pod = self.seen(pod);
                if let Some(listed) = &mut self.listed {
                    listed.insert(pod.uid.clone(), pod);
                }
            }
            Change::Whole => {
                let listed = self.listed.take().unwrap_or_default();
                let before = std::mem::replace(&mut self.here, listed);
                for (uid, pod) in before {
                    if !self.here.contains_key(&uid) {
                        self.end(pod, now);
                    }
                }
                // Nobody waits for the first one.
                self.told_at = None;
                self.is_changed = true;
            }
            Change::Here(pod) => {
                let pod = self.seen(pod);
                if self.here.get(&pod.uid) != Some(&pod) {
                    self.here.insert(pod.uid.clone(), pod);
                    self.is_changed = true;
                }
            }
            Change::Gone(pod) => {
                let pod = self.seen(pod);
                self.here.remove(&pod.uid);
                self.end(pod, now);
                self.is_changed = true;
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        let next = self.ended.front().map(|(since, _)| *since + ENDED);
        match self.is_changed {
            true => Some(self.told_at.map_or_else(Instant::now, |told| told + GATHER)),
            false => next,
        }
    }

    fn tell(&mut self, now: Instant) {
        self.place();
        self.ended.retain(|(since, _)| now - *since < ENDED);
        let ended = self.ended.iter().map(|(_, pod)| pod);
        let by_uid = ended
            .chain(self.here.values())
            .map(|pod| (pod.uid.clone(), Arc::clone(pod)))
            .collect();
        self.told.send_replace(Arc::new(Pods { by_uid }));
        self.told_at = Some(now);
        self.is_changed = false;
    }

    fn count(&self) -> usize {
        self.here.len()
    }
}

fn pod_of(pod: lean::Pod) -> Pod {
    let lean::Pod {
        metadata,
        spec,
        status,
    } = pod;
    let labels = metadata.labels.unwrap_or_default();
    let owner = metadata
        .owner_references
        .unwrap_or_default()
        .into_iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner_of(owner.kind, owner.name, labels.get("pod-template-hash")));
    let statuses = &status.container_statuses;
    let containers = spec.containers.into_iter().map(|container| {
        let status = statuses.iter().find(|status| status.name == container.name);
        Container {
            ports: container.ports.into_iter().map(port_of).collect(),
            id: status
                .map(|status| bare(&status.container_id))
                .unwrap_or_default(),
            memory_limit_bytes: memory(&container.resources.limits.memory),
            ended: status.and_then(ended),
            name: container.name,
        }
    });
    Pod {
        uid: metadata.uid.unwrap_or_default(),
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        annotations: metadata.annotations.unwrap_or_default(),
        owner,
        node: spec.node_name,
        zone: String::new(),
        ip: status.pod_ip,
        host_network: spec.host_network,
        phase: status.phase,
        is_ready: status
            .conditions
            .iter()
            .any(|condition| condition.kind == "Ready" && condition.status == "True"),
        is_gone: false,
        containers: containers.collect(),
        labels,
    }
}

/// `containerd://0a1b…`
fn bare(id: &str) -> String {
    id.split_once("://").map_or(id, |(_, id)| id).to_owned()
}

/// The end of the one that ran last, or of the one before it.
fn ended(status: &lean::ContainerStatus) -> Option<Ended> {
    let ends = [&status.state, &status.last_state];
    let end = ends.into_iter().find_map(|state| state.terminated.as_ref())?;
    let at = end.finished_at.parse::<jiff::Timestamp>().ok()?;
    Some(Ended {
        container_id: bare(&end.container_id),
        reason: end.reason.clone(),
        exit_code: end.exit_code,
        at: Timestamp(at.as_millisecond()),
    })
}

/// A quantity of bytes as people write it: `512Mi`, `1G`, `1073741824`.
fn memory(quantity: &str) -> Option<u64> {
    let digits = quantity
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at_checked(digits)?;
    let unit: f64 = match unit {
        "" => 1.0,
        "Ki" => 1024.0,
        "Mi" => 1024.0_f64.powi(2),
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "m" => 1e-3,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * unit;
    Some(bytes as u64)
}

fn port_of(port: lean::Port) -> Port {
    Port {
        name: port.name,
        number: port.container_port,
        protocol: match port.protocol.as_str() {
            "" => "TCP".to_owned(),
            _ => port.protocol,
        },
    }
}

/// A ReplicaSet of a Deployment is named after it and the hash that its pods have as a label.
fn owner_of(kind: String, name: String, hash: Option<&String>) -> Owner {
    let deployment = hash
        .filter(|_| kind == "ReplicaSet")
        .and_then(|hash| name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    match deployment {
        Some(deployment) => Owner {
            kind: "Deployment".to_owned(),
            name: deployment.to_owned(),
        },
        None => Owner { kind, name },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, more: &Value) -> lean::Pod {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"app": "web", "pod-template-hash": "7d9f"},
                "annotations": {"prometheus.io/scrape": "true"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d9f", "uid": "r", "controller": true}],
                "managedFields": [{"manager": "x", "fieldsV1": {"f:spec": {}}}]
            },
            "spec": {"nodeName": "n1", "containers": [
                {"name": "app", "image": "a:1", "ports": [{"name": "metrics", "containerPort": 9102, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]},
                {"name": "proxy", "env": [{"name": "A", "value": "b"}]}
            ]},
            "status": {"phase": "Running", "podIP": "10.0.0.9", "conditions": [{"type": "Ready", "status": "True"}]}
        });
        for (place, value) in more.as_object().unwrap() {
            *pod.pointer_mut(place).unwrap() = value.clone();
        }
        serde_json::from_value(pod).unwrap()
    }

    fn keeper() -> (Keeper, watch::Receiver<Arc<Pods>>) {
        let (told, heard) = watch::channel(Arc::default());
        let node = model::pods::Node {
            name: "n1".to_owned(),
            zone: "eu-west-1a".to_owned(),
            ..model::pods::Node::default()
        };
        let (_, zone) = watch::channel(Arc::new(node));
        (Keeper::new(told, zone), heard)
    }

    #[test]
    fn a_pod_is_told_of_with_what_others_ask_of_it() {
        let (mut keeper, heard) = keeper();
        keeper.take(Change::Here(pod("web-7d9f-x", &json!({}))), Instant::now());
        keeper.tell(Instant::now());
        let pods = Arc::clone(&heard.borrow());
        let pod = &pods.by_uid["uid-web-7d9f-x"];
        assert_eq!(
            (
                pod.namespace.as_str(),
                pod.name.as_str(),
                pod.node.as_str(),
                pod.zone.as_str()
            ),
            ("shop", "web-7d9f-x", "n1", "eu-west-1a")
        );
        let owner = pod.owner.as_ref().unwrap();
        assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("Deployment", "web"));
        assert!(pod.is_ready && !pod.host_network);
        assert_eq!(pod.ip, "10.0.0.9");
        let ports: Vec<(&str, u16, &str)> = pod.containers[0]
            .ports
            .iter()
            .map(|port| (port.name.as_str(), port.number, port.protocol.as_str()))
            .collect();
        assert_eq!(ports, [("metrics", 9102, "TCP"), ("", 53, "UDP")]);
        assert_eq!(pod.containers[1].name, "proxy");
        assert_eq!(
            (pod.containers[0].memory_limit_bytes, &pod.containers[0].ended),
            (None, &None)
        );
    }

    #[test]
    fn of_a_container_its_id_its_limit_and_its_last_end_are_told() {
        let end = |id: &str, at: &str| json!({"terminated": {"containerID": format!("containerd://{id}"), "reason": "OOMKilled", "exitCode": 137, "finishedAt": at}});
        let more = json!({
            "/spec/containers/0": {"name": "app", "resources": {"limits": {"memory": "512Mi", "cpu": "1"}}},
            "/status": {"containerStatuses": [
                {"name": "app", "containerID": "containerd://bb", "state": {"running": {}}, "lastState": end("aa", "2026-11-22T16:18:39Z")},
                {"name": "proxy", "containerID": "containerd://cc", "state": end("cc", "2026-11-22T16:18:40Z"), "lastState": end("00", "2026-11-22T16:00:00Z")}
            ]}
        });
        let pod = pod_of(pod("a", &more));
        let [app, proxy] = pod.containers.as_slice() else {
            panic!("{pod:?}")
        };
        assert_eq!((app.id.as_str(), app.memory_limit_bytes), ("bb", Some(512 << 20)));
        let ended = app.ended.as_ref().unwrap();
        assert_eq!(
            (
                ended.container_id.as_str(),
                ended.reason.as_str(),
                ended.exit_code
            ),
            ("aa", "OOMKilled", 137)
        );
        assert_eq!(ended.at, Timestamp(1_795_364_319_000));
        assert!(app.is("aa") && app.is("bb") && !app.is("cc"));
        assert_eq!(proxy.ended.as_ref().unwrap().container_id, "cc");
        for (text, bytes) in [
            ("1Gi", Some(1 << 30)),
            ("1.5G", Some(1_500_000_000)),
            ("128974848", Some(128_974_848)),
            ("128974848000m", Some(128_974_848)),
            ("1e3", None),
            ("", None),
        ] {
            assert_eq!(memory(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_replica_set_without_a_deployment_owns_its_pods_itself() {
        for (kind, name, want) in [
            ("ReplicaSet", "other-1", ("ReplicaSet", "other-1")),
            ("StatefulSet", "web-7d9f", ("StatefulSet", "web-7d9f")),
            ("Job", "backup-29012345", ("Job", "backup-29012345")),
        ] {
            let more =
                json!({"/metadata/ownerReferences/0/kind": kind, "/metadata/ownerReferences/0/name": name});
            let owner = pod_of(pod("a", &more)).owner.unwrap();
            assert_eq!((owner.kind.as_str(), owner.name.as_str()), want);
        }
        let nobody = pod_of(pod(
            "a",
            &json!({"/metadata/ownerReferences/0/controller": false}),
        ));
        assert_eq!(nobody.owner, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_has_gone_is_told_of_for_ten_minutes() {
        let (mut keeper, heard) = keeper();
        let names = |heard: &watch::Receiver<Arc<Pods>>| {
            let mut names: Vec<String> = heard.borrow().by_uid.keys().cloned().collect();
            names.sort_unstable();
            names
        };
        let begun = Instant::now();
        keeper.take(Change::Begun, begun);
        for name in ["a", "b"] {
            keeper.take(Change::Listed(pod(name, &json!({}))), begun);
        }
        assert_eq!(names(&heard), [""; 0], "a list is not told of before it is whole");
        keeper.take(Change::Whole, begun);
        keeper.tell(begun);
        keeper.take(Change::Gone(pod("a", &json!({}))), begun);
        // While nobody watched, `b` went and `c` came.
        keeper.take(Change::Begun, begun);
        keeper.take(Change::Listed(pod("c", &json!({}))), begun);
        keeper.take(Change::Whole, begun);
        keeper.tell(begun);
        assert_eq!(names(&heard), ["uid-a", "uid-b", "uid-c"]);
        let pods = Arc::clone(&heard.borrow());
        let gone = ["a", "b", "c"].map(|name| pods.by_uid[&format!("uid-{name}")].is_gone);
        assert_eq!(gone, [true, true, false]);
        assert_eq!(keeper.count(), 1);
        let later = keeper.due().unwrap();
        assert_eq!(later - begun, ENDED);
        keeper.tell(later);
        assert_eq!(names(&heard), ["uid-c"]);
        assert_eq!(keeper.due(), None);
    }

    #[test]
    fn what_says_nothing_new_is_not_told() {
        let (mut keeper, _heard) = keeper();
        let now = Instant::now();
        keeper.take(Change::Here(pod("a", &json!({}))), now);
        assert!(keeper.due().is_some());
        keeper.tell(now);
        keeper.take(
            Change::Here(pod("a", &json!({"/metadata/resourceVersion": "8"}))),
            now,
        );
        assert_eq!(keeper.due(), None);
        for nth in 0..ENDED_MAX + 10 {
            keeper.take(Change::Gone(pod(&nth.to_string(), &json!({}))), now);
        }
        assert_eq!(keeper.ended.len(), ENDED_MAX);
    }
}

//! Nodes and pods that only pretend: kwok says of each what a kubelet would, and nothing runs.
//!
//! Nodes are called `fake-0`, `fake-1` and so on, and so are the pods of namespace `fakes`, which are spread over the nodes in
//! turn. One port serves the resource metrics of every node, at the path that its annotation names; what it says first, before
//! it has looked twice, is empty.

use std::ffi::OsString;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, free_port};
use crate::guard::Guarded;
use crate::until;

/// For ten thousand on two cores that others use as well.
const PATIENCE: Duration = Duration::from_secs(600);
/// A pause between two looks at many objects.
const LOOK: Duration = Duration::from_millis(300);
/// Objects of one kubectl, and how many of those run at the same time.
const OBJECTS: u32 = 250;
const HANDS: u32 = 4;
/// Pods of one fake ReplicaSet.
const REPLICAS: u32 = 10;

/// How many there are, and who speaks for them.
pub(crate) struct Fakes {
    kwok: Guarded,
    port: u16,
    nodes: u32,
    pods: u32,
}

impl ControlPlane {
    /// Until there are so many fake nodes, all of them Ready. None, loudly, if kwok is not here.
    ///
    /// # Panics
    /// It is here and they do not become ready.
    pub fn fake_nodes(&self, count: u32) -> Option<()> {
        let mut fakes = self.fakes();
        if fakes.is_none() {
            *fakes = Some(self.start_kwok()?);
        }
        let known = fakes.as_mut()?;
        self.create(known.nodes..count, node);
        known.nodes = known.nodes.max(count);
        let ready = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
        until("a fake node is not ready", PATIENCE, || {
            thread::park_timeout(LOOK);
            known.kwok.lives().unwrap_or_else(|said| panic!("{said}"));
            let said = self.try_kubectl(&["get", "nodes", "-l", "type=kwok", "-o", ready], "")?;
            let count = said.split_whitespace().filter(|status| *status == "True").count();
            enough(count, known.nodes)
        });
        Some(())
    }

    /// Until there are so many fake pods, all of them Running; there must be fake nodes. None, loudly, if kwok is not here.
    ///
    /// # Panics
    /// There is no fake node, or they do not come to run.
    pub fn fake_pods(&self, count: u32) -> Option<()> {
        crate::program("kwok")?;
        let mut fakes = self.fakes();
        let known = fakes.as_mut().expect("fake nodes for fake pods");
        if known.pods == 0 {
            self.namespace("fakes");
        }
        let nodes = known.nodes;
        self.create(known.pods..count, |number| pod(number, nodes));
        known.pods = known.pods.max(count);
        until("a fake pod does not run", PATIENCE, || {
            thread::park_timeout(LOOK);
            known.kwok.lives().unwrap_or_else(|said| panic!("{said}"));
            let others = "--field-selector=status.phase!=Running";
            let said = self.try_kubectl(&["get", "pods", "-n", "fakes", others, "-o", "name"], "")?;
            let waiting = u32::try_from(said.lines().count()).unwrap_or(u32::MAX);
            if waiting == 0 {
                Ok(())
            } else {
                Err(format!("{waiting} wait"))
            }
        });
        Some(())
    }

    /// Where the fake kubelets listen, if there are some.
    #[must_use]
    pub fn fake_kubelets(&self) -> Option<String> {
        let port = self.fakes().as_ref()?.port;
        Some(format!("https://127.0.0.1:{port}"))
    }

    fn start_kwok(&self) -> Option<Fakes> {
        let program = crate::program("kwok")?;
        let stages = programs::file("kubernetes/kwok-stages.yaml")?;
        let metrics = programs::file("kubernetes/kwok-metrics.yaml")?;
        let (port, keys) = (free_port(), self.keys());
        let words = [
            program.display().to_string(),
            format!("--kubeconfig={}", self.kubeconfig().display()),
            "--manage-all-nodes=false".to_owned(),
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".to_owned(),
            "--node-ip=127.0.0.1".to_owned(),
            format!("--node-port={port}"),
            format!("--server-address=127.0.0.1:{port}"),
            format!("--tls-cert-file={}", keys.join("apiserver.crt").display()),
            format!("--tls-private-key-file={}", keys.join("apiserver.key").display()),
            "--cidr=10.97.0.0/16".to_owned(),
            format!("--config={}", stages.display()),
            format!("--config={}", metrics.display()),
        ];
        Some(Fakes {
            kwok: Guarded::start(self.folder(), "kwok", &[], "", &words.map(OsString::from)),
            port,
            nodes: 0,
            pods: 0,
        })
    }

    /// Several kubectl at a time, as one waits for each answer.
    fn create(&self, numbers: Range<u32>, object: impl Fn(u32) -> Value + Sync) {
        let mut starts = numbers.clone().step_by(OBJECTS as usize).collect::<Vec<_>>();
        while !starts.is_empty() {
            let round = starts.split_off(starts.len().saturating_sub(HANDS as usize));
            thread::scope(|scope| {
                for start in round {
                    let items = start..numbers.end.min(start + OBJECTS);
                    let items: Vec<Value> = items.map(&object).collect();
                    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
                    scope.spawn(move || {
                        self.kubectl_reading(&["create", "--validate=false", "-o", "name", "-f", "-"], &list);
                    });
                }
            });
        }
    }
}

fn enough(count: usize, wanted: u32) -> Result<(), String> {
    if count >= wanted as usize {
        Ok(())
    } else {
        Err(format!("{count} of {wanted} are"))
    }
}

fn node(number: u32) -> Value {
    let name = format!("fake-{number}");
    let room = json!({ "cpu": "8", "memory": "32Gi", "pods": "110" });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {
                "kwok.x-k8s.io/node": "fake",
                "metrics.k8s.io/resource-metrics-path": format!("/metrics/nodes/{name}/metrics/resource"),
            },
            "labels": {
                "type": "kwok",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node.kubernetes.io/instance-type": "m7i.2xlarge",
                "topology.kubernetes.io/region": "eu-west-1",
                "topology.kubernetes.io/zone": (["eu-west-1a", "eu-west-1b", "eu-west-1c"][number as usize % 3]),
            },
        },
        "spec": { "taints": [{ "key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule" }] },
        "status": { "allocatable": room, "capacity": room },
    })
}

fn pod(number: u32, nodes: u32) -> Value {
    let set = number / REPLICAS;
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("fake-{set}"), "controller": true,
        "uid": format!("00000000-0000-4000-8000-{set:012}"),
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("fake-{number}"), "namespace": "fakes",
            "labels": { "app": format!("fake-{set}"), "pod-template-hash": "5d4f8c7b9" },
            "annotations": { "kwok.x-k8s.io/usage-cpu": "50m", "kwok.x-k8s.io/usage-memory": "48Mi" },
            "ownerReferences": [owner],
        },
        "spec": {
            "nodeName": format!("fake-{}", number % nodes),
            "containers": [{
                "name": "main", "image": "lab.local/fake:1",
                "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "memory": "128Mi" } },
            }],
        },
    })
}

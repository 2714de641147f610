//! Which nodes are there to stay: whoever leaves is not missed when its agent falls silent.
//!
//! A node leaves that is being deleted, that an autoscaler or a handler of interruptions has chosen, or that is cordoned: drained
//! nodes of a node group end so. While the API server is away the last answer stands.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::{Object, Observe, Resource, Wanted};
use serde::Deserialize;
use tokio::sync::watch;

use crate::Cluster;

/// Keys of taints of nodes that are about to go, and the beginning of those of AWS' node termination handler.
const LEAVING: [&str; 4] = [
    "ToBeDeletedByClusterAutoscaler",
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
    "node.cloudprovider.kubernetes.io/shutdown",
];
const LEAVING_PREFIX: &str = "aws-node-termination-handler/";

type Names = Arc<BTreeSet<Arc<str>>>;

impl Cluster {
    /// None until all nodes have been listed, and where there is none. To be said before this room runs.
    #[must_use]
    pub fn staying(&self) -> watch::Receiver<Option<Names>> {
        let (told, receiver) = watch::channel(None);
        let wanted = Wanted::all(Resource::new("", "v1", "Node", "nodes"));
        let observer = Staying {
            told,
            known: HashMap::new(),
            round: 0,
            is_whole: false,
        };
        self.observe(wanted, Box::new(observer));
        receiver
    }
}

struct Staying {
    told: watch::Sender<Option<Names>>,
    /// Whether it stays, and the list that it was last in.
    known: HashMap<Arc<str>, (bool, u64)>,
    round: u64,
    is_whole: bool,
}

impl Staying {
    fn tell(&self) {
        if !self.is_whole {
            return;
        }
        let staying = self.known.iter().filter(|(_, (stays, _))| *stays);
        let names: BTreeSet<Arc<str>> = staying.map(|(name, _)| Arc::clone(name)).collect();
        // A cluster without a single node is rather one that is not understood.
        let names = (!self.known.is_empty()).then(|| Arc::new(names));
        self.told.send_if_modified(|told| {
            let is_new = *told != names;
            *told = names;
            is_new
        });
    }
}

impl Observe for Staying {
    fn begun(&mut self) {
        self.round += 1;
    }

    fn here(&mut self, object: &Object<'_>) {
        let state = (stays(object.text), self.round);
        match self.known.get_mut(object.name) {
            Some(known) if known.0 == state.0 => known.1 = state.1,
            Some(known) => {
                *known = state;
                self.tell();
            }
            None => {
                self.known.insert(object.name.into(), state);
                self.tell();
            }
        }
    }

    fn gone(&mut self, object: &Object<'_>) {
        self.known.remove(object.name);
        self.tell();
    }

    fn whole(&mut self) {
        self.known.retain(|_, (_, round)| *round == self.round);
        self.is_whole = true;
        self.tell();
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    metadata: Meta,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    unschedulable: bool,
    taints: Vec<Taint>,
}

#[derive(Deserialize)]
struct Taint {
    key: String,
}

/// What cannot be read stays: a silence too many is told rather than one too few.
fn stays(text: &str) -> bool {
    let node: Node = serde_json::from_str(text).unwrap_or_default();
    let leaves = |taint: &Taint| LEAVING.contains(&&*taint.key) || taint.key.starts_with(LEAVING_PREFIX);
    node.metadata.deletion_timestamp.is_none()
        && !node.spec.unschedulable
        && !node.spec.taints.iter().any(leaves)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, more: &Value) -> String {
        let mut node = json!({ "metadata": { "name": name }, "spec": {} });
        for (key, value) in more.as_object().into_iter().flatten() {
            node[key] = value.clone();
        }
        node.to_string()
    }

    fn object<'a>(name: &'a str, text: &'a str) -> Object<'a> {
        Object {
            namespace: "",
            name,
            uid: "",
            text,
        }
    }

    #[test]
    fn nodes_that_are_taken_away_leave_before_they_are_gone() {
        assert!(stays(&node("a", &json!({}))));
        assert!(stays("{}") && stays("no JSON"));
        let taint = |key: &str| json!({ "spec": { "taints": [{ "key": key, "effect": "NoSchedule" }] } });
        // What the kubelet or Kubernetes says of a node that is ill is no leave-taking.
        for key in [
            "node.kubernetes.io/unreachable",
            "node.kubernetes.io/not-ready",
            "dedicated",
        ] {
            assert!(stays(&node("a", &taint(key))), "{key}");
        }
        for key in ["karpenter.sh/disrupted", "aws-node-termination-handler/spot-itn"] {
            assert!(!stays(&node("a", &taint(key))), "{key}");
        }
        assert!(!stays(&node("a", &json!({ "spec": { "unschedulable": true } }))));
        let deleted = json!({ "metadata": { "name": "a", "deletionTimestamp": "2026-11-29T09:00:00Z" } });
        assert!(!stays(&node("a", &deleted)));
    }

    #[test]
    fn the_list_is_told_when_it_is_whole_and_whenever_it_changes() {
        let (told, mut receiver) = watch::channel(None);
        let mut staying = Staying {
            told,
            known: HashMap::new(),
            round: 0,
            is_whole: false,
        };
        let names = |receiver: &mut watch::Receiver<Option<Names>>| {
            let told = receiver.borrow_and_update().clone();
            told.map(|names| {
                names
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        let (well, cordoned) = (
            node("x", &json!({})),
            node("x", &json!({ "spec": { "unschedulable": true } })),
        );
        staying.begun();
        staying.here(&object("a", &well));
        staying.here(&object("b", &well));
        assert!(!receiver.has_changed().unwrap(), "half a list is none");
        staying.whole();
        assert_eq!(names(&mut receiver).as_deref(), Some("a b"));
        staying.here(&object("b", &well));
        assert!(!receiver.has_changed().unwrap());
        staying.here(&object("b", &cordoned));
        assert_eq!(names(&mut receiver).as_deref(), Some("a"));
        staying.here(&object("b", &well));
        staying.here(&object("c", &well));
        assert_eq!(names(&mut receiver).as_deref(), Some("a b c"));
        staying.gone(&object("a", &well));
        assert_eq!(names(&mut receiver).as_deref(), Some("b c"));
        // Listed anew: what is not in it has gone meanwhile, and until then everything stands.
        staying.begun();
        staying.here(&object("b", &well));
        assert_eq!(names(&mut receiver).as_deref(), Some("b c"));
        staying.whole();
        assert_eq!(names(&mut receiver).as_deref(), Some("b"));
        // All on their way is a list; none at all is not.
        staying.here(&object("b", &cordoned));
        assert_eq!(names(&mut receiver).as_deref(), Some(""));
        staying.begun();
        staying.whole();
        assert_eq!(names(&mut receiver), None);
    }
}

//! Where the agents of nodes answer: the endpoints of their headless Service, by one watch of its slices.
//!
//! Only those in our own namespace. An agent that is not ready is told of, too: that it does not answer is worth knowing. While the
//! API server is away the last ones stand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use kube::Api;
use kube::runtime::watcher;
use model::NodeAddress;
use model::view::Checkup;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::follow::{Change, Ended, Keep, follow};
use crate::{Cluster, REFUSED_REST, Right};

/// Names the Service that a slice belongs to.
const SERVICE: &str = "kubernetes.io/service-name";
/// Between two lists, so that a rollout over many nodes is not told one by one.
const GATHER: Duration = Duration::from_millis(250);
/// What the watch is called among those of other rooms.
pub(crate) const WATCH: &str = "agents/endpointslices";
const ROOM: &str = "cluster";

impl Cluster {
    /// The agents that can be asked for the last lines of pods; none where `kubernetes.agents` names no Service.
    #[must_use]
    pub fn agents(&self) -> watch::Receiver<Vec<NodeAddress>> {
        self.0.agents.subscribe()
    }

    pub(crate) async fn follow_agents(&self) {
        let inner = &self.0;
        let service = &inner.config.agents.service;
        if service.is_empty() {
            return;
        }
        let purpose = "the last lines of pods are not asked of their nodes";
        for verb in ["list", "watch"] {
            self.want(Right {
                namespace: inner.namespace.clone(),
                ..Right::new(verb, "discovery.k8s.io", "endpointslices", purpose)
            });
        }
        let watched = inner.metrics.watched(WATCH, false);
        inner.kinds.lock().push(Arc::clone(&watched));
        let mut keeper = Keeper::new(inner.agents.clone());
        loop {
            let config = watcher::Config::default().labels(&format!("{SERVICE}={service}"));
            let api: Api<EndpointSlice> = Api::namespaced(inner.client(), &inner.namespace);
            match follow(api, config, &watched, &mut keeper).await {
                Ended::Failed => self.connect_anew().await,
                Ended::Refused(_) => tokio::time::sleep(REFUSED_REST).await,
                Ended::Asked => {}
            }
        }
    }

    /// None where nobody looks for agents.
    pub(crate) fn agents_checkup(&self) -> Option<Checkup> {
        const NAME: &str = "agents";
        let agents = &self.0.config.agents;
        if agents.service.is_empty() {
            return None;
        }
        let count = self.0.agents.borrow().len();
        Some(match count {
            0 => Checkup::warn(
                ROOM,
                NAME,
                format!(
                    "the Service {} in {} has no agent behind it: the last lines of pods cannot be asked for",
                    agents.service, self.0.namespace
                ),
            )
            .advise("see whether the Service is there and its selector fits the agents (kubernetes.agents.service)"),
            _ => Checkup::ok(ROOM, NAME, format!("{count} nodes have one that can be asked for the last lines of its pods")),
        })
    }
}

struct Keeper {
    told: watch::Sender<Vec<NodeAddress>>,
    /// By the name of the slice.
    here: HashMap<String, Vec<Found>>,
    /// What a list that is being read has so far.
    listed: Option<HashMap<String, Vec<Found>>>,
    told_at: Option<Instant>,
    is_changed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    node: String,
    url: String,
    /// On its way out, perhaps with another one in its place already.
    is_ending: bool,
}

impl Keeper {
    fn new(told: watch::Sender<Vec<NodeAddress>>) -> Self {
        Self {
            told,
            here: HashMap::new(),
            listed: None,
            told_at: None,
            is_changed: false,
        }
    }

    /// One for each node, by the node's name.
    fn agents(&self) -> Vec<NodeAddress> {
        let mut by_node: BTreeMap<&str, &Found> = BTreeMap::new();
        for found in self.here.values().flatten() {
            let known = by_node.entry(&found.node).or_insert(found);
            // The same one each time, whatever the order of the slices.
            if (found.is_ending, &found.url) < (known.is_ending, &known.url) {
                *known = found;
            }
        }
        let all = by_node.into_iter().map(|(node, found)| NodeAddress {
            node: node.into(),
            url: found.url.as_str().into(),
        });
        all.collect()
    }
}

impl Keep<EndpointSlice> for Keeper {
    fn take(&mut self, change: Change<EndpointSlice>, _: Instant) {
        match change {
            Change::Begun => self.listed = Some(HashMap::new()),
            Change::Listed(slice) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(name_of(&slice), found_in(&slice));
                }
            }
            Change::Whole => {
                self.here = self.listed.take().unwrap_or_default();
                // Nobody waits for the first one.
                self.told_at = None;
                self.is_changed = true;
            }
            Change::Here(slice) => {
                self.here.insert(name_of(&slice), found_in(&slice));
                self.is_changed = true;
            }
            Change::Gone(slice) => {
                self.here.remove(&name_of(&slice));
                self.is_changed = true;
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        self.is_changed
            .then(|| self.told_at.map_or_else(Instant::now, |told| told + GATHER))
    }

    fn tell(&mut self, now: Instant) {
        let agents = self.agents();
        self.told.send_if_modified(|told| {
            let is_new = *told != agents;
            *told = agents;
            is_new
        });
        self.told_at = Some(now);
        self.is_changed = false;
    }

    fn count(&self) -> usize {
        self.here.len()
    }
}

fn name_of(slice: &EndpointSlice) -> String {
    slice.metadata.name.clone().unwrap_or_default()
}

/// Endpoints that say on which node they are, at the slice's first port.
fn found_in(slice: &EndpointSlice) -> Vec<Found> {
    let port = slice.ports.iter().flatten().find_map(number);
    let found = slice.endpoints.iter().filter_map(|endpoint| {
        let (node, address) = (endpoint.node_name.clone()?, endpoint.addresses.first()?);
        let host = match address.contains(':') {
            true => format!("[{address}]"),
            false => address.clone(),
        };
        Some(Found {
            node,
            url: format!("http://{host}:{}", port?),
            is_ending: is_ending(endpoint),
        })
    });
    found.collect()
}

fn number(port: &EndpointPort) -> Option<i32> {
    port.port
}

fn is_ending(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.and_then(|conditions| conditions.terminating) == Some(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(name: &str, endpoints: &serde_json::Value) -> EndpointSlice {
        let slice = json!({
            "metadata": {"name": name}, "addressType": "IPv4", "ports": [{"name": "http", "port": 9464}], "endpoints": endpoints,
        });
        serde_json::from_value(slice).unwrap()
    }

    fn told(keeper: &mut Keeper) -> Vec<String> {
        let now = Instant::now();
        assert!(keeper.due().is_some());
        keeper.tell(now);
        assert_eq!(keeper.due(), None);
        let told = keeper.told.borrow();
        told.iter()
            .map(|one| format!("{} {}", one.node, one.url))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn of_each_node_the_agent_that_stays_is_told_of_and_none_without_a_node() {
        let (sender, _receiver) = watch::channel(Vec::new());
        let mut keeper = Keeper::new(sender);
        let now = Instant::now();
        keeper.take(Change::Begun, now);
        let both = json!([
            {"addresses": ["10.0.0.1"], "nodeName": "n2", "conditions": {"ready": true, "terminating": true}},
            {"addresses": ["10.0.0.2"], "nodeName": "n2", "conditions": {"ready": false}},
            {"addresses": ["10.0.0.9"]},
        ]);
        keeper.take(Change::Listed(slice("a", &both)), now);
        assert_eq!(keeper.due(), None, "half a list is none");
        keeper.take(
            Change::Listed(slice("b", &json!([{"addresses": ["fd00::1"], "nodeName": "n1"}]))),
            now,
        );
        keeper.take(Change::Whole, now);
        assert_eq!(
            told(&mut keeper),
            ["n1 http://[fd00::1]:9464", "n2 http://10.0.0.2:9464"]
        );
        // The one that comes takes its place among those of other slices.
        let other = json!([{"addresses": ["10.0.0.7"], "nodeName": "n3"}]);
        keeper.take(Change::Here(slice("b", &other)), now);
        assert_eq!(
            told(&mut keeper),
            ["n2 http://10.0.0.2:9464", "n3 http://10.0.0.7:9464"]
        );
        keeper.take(Change::Gone(slice("a", &json!([]))), now);
        assert_eq!(told(&mut keeper), ["n3 http://10.0.0.7:9464"]);
        // A list begun anew takes the place of all.
        keeper.take(Change::Begun, now);
        keeper.take(Change::Whole, now);
        assert_eq!(told(&mut keeper), [""; 0]);
    }

    #[test]
    fn a_slice_without_a_port_leads_nowhere() {
        let mut none = slice("a", &json!([{"addresses": ["10.0.0.1"], "nodeName": "n1"}]));
        none.ports = None;
        assert_eq!(found_in(&none), []);
    }
}

//! Where agents and replicas answer: the endpoints of their headless Services, by one watch each of their slices.
//!
//! Only those in our own namespace. Who is not ready is told of, too: that an agent does not answer is worth knowing, and replicas
//! need each other before they are. While the API server is away the last ones stand.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
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
/// What the watches are called among those of other rooms.
pub(crate) const WATCH: &str = "agents/endpointslices";
const REPLICAS_WATCH: &str = "replicas/endpointslices";
const ROOM: &str = "cluster";

impl Cluster {
    /// The agents that can be asked for the last lines of pods; none where `kubernetes.agents` names no Service.
    #[must_use]
    pub fn agents(&self) -> watch::Receiver<Vec<NodeAddress>> {
        self.0.agents.subscribe()
    }

    /// Names of replicas, as DNS would have them, and where each is: whoever knows this needs no server of names. None where
    /// `kubernetes.replicas` names no Service.
    #[must_use]
    pub fn replicas(&self) -> watch::Receiver<Vec<(String, IpAddr)>> {
        self.0.replicas.subscribe()
    }

    pub(crate) async fn follow_agents(&self) {
        let keeper = Keeper::new(self.0.agents.clone(), agents_in);
        let purpose = "the last lines of pods are not asked of their nodes";
        let service = &self.0.config.agents.service;
        self.follow_service(service, (WATCH, purpose), keeper).await;
    }

    pub(crate) async fn follow_replicas(&self) {
        let keeper = Keeper::new(self.0.replicas.clone(), replicas_in);
        let purpose = "replicas find each other by the server of names only";
        let service = &self.0.config.replicas.service;
        self.follow_service(service, (REPLICAS_WATCH, purpose), keeper)
            .await;
    }

    async fn follow_service<T: Ord + Clone + Send + Sync>(
        &self,
        service: &str,
        (watch, purpose): (&'static str, &'static str),
        mut keeper: Keeper<T>,
    ) {
        let inner = &self.0;
        if service.is_empty() {
            return;
        }
        for verb in ["list", "watch"] {
            self.want(Right {
                namespace: inner.namespace.clone(),
                ..Right::new(verb, "discovery.k8s.io", "endpointslices", purpose)
            });
        }
        let watched = inner.metrics.watched(watch, false);
        inner.kinds.lock().push(Arc::clone(&watched));
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

struct Keeper<T> {
    told: watch::Sender<Vec<T>>,
    read: fn(&EndpointSlice) -> Vec<Found<T>>,
    /// By the name of the slice.
    here: HashMap<String, Vec<Found<T>>>,
    /// What a list that is being read has so far.
    listed: Option<HashMap<String, Vec<Found<T>>>>,
    told_at: Option<Instant>,
    is_changed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Found<T> {
    /// Of the node, or of the replica.
    name: String,
    told: T,
    /// On its way out, perhaps with another one in its place already.
    is_ending: bool,
}

impl<T: Ord + Clone> Keeper<T> {
    fn new(told: watch::Sender<Vec<T>>, read: fn(&EndpointSlice) -> Vec<Found<T>>) -> Self {
        Self {
            told,
            read,
            here: HashMap::new(),
            listed: None,
            told_at: None,
            is_changed: false,
        }
    }

    /// One for each name, in the order of names.
    fn all(&self) -> Vec<T> {
        let mut by_name: BTreeMap<&str, &Found<T>> = BTreeMap::new();
        for found in self.here.values().flatten() {
            let known = by_name.entry(&found.name).or_insert(found);
            // The same one each time, whatever the order of the slices.
            if (found.is_ending, &found.told) < (known.is_ending, &known.told) {
                *known = found;
            }
        }
        by_name.into_values().map(|found| found.told.clone()).collect()
    }
}

impl<T: Ord + Clone + Send + Sync> Keep<EndpointSlice> for Keeper<T> {
    fn take(&mut self, change: Change<EndpointSlice>, _: Instant) {
        match change {
            Change::Begun => self.listed = Some(HashMap::new()),
            Change::Listed(slice) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(name_of(&slice), (self.read)(&slice));
                }
            }
            Change::Whole => {
                self.here = self.listed.take().unwrap_or_default();
                // Nobody waits for the first one.
                self.told_at = None;
                self.is_changed = true;
            }
            Change::Here(slice) => {
                self.here.insert(name_of(&slice), (self.read)(&slice));
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
        let all = self.all();
        self.told.send_if_modified(|told| {
            let is_new = *told != all;
            *told = all;
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
fn agents_in(slice: &EndpointSlice) -> Vec<Found<NodeAddress>> {
    let port = slice.ports.iter().flatten().find_map(number);
    let found = slice.endpoints.iter().filter_map(|endpoint| {
        let (node, address) = (endpoint.node_name.clone()?, endpoint.addresses.first()?);
        let host = match address.contains(':') {
            true => format!("[{address}]"),
            false => address.clone(),
        };
        let told = NodeAddress {
            node: node.as_str().into(),
            url: format!("http://{host}:{}", port?).into(),
        };
        Some(Found {
            name: node,
            told,
            is_ending: is_ending(endpoint),
        })
    });
    found.collect()
}

/// Endpoints that have a name of their own, as the pods of a StatefulSet do: `skopos-pair-0.skopos-pair.monitoring.svc`.
fn replicas_in(slice: &EndpointSlice) -> Vec<Found<(String, IpAddr)>> {
    let about = &slice.metadata;
    let service = about.labels.as_ref().and_then(|labels| labels.get(SERVICE));
    let domain = service.zip(about.namespace.as_ref());
    let found = slice.endpoints.iter().filter_map(|endpoint| {
        let (service, namespace) = domain?;
        let name = format!("{}.{service}.{namespace}.svc", endpoint.hostname.as_ref()?);
        let address = endpoint.addresses.first()?.parse().ok()?;
        Some(Found {
            told: (name.clone(), address),
            name,
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

    fn told(keeper: &mut Keeper<NodeAddress>) -> Vec<String> {
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
        let mut keeper = Keeper::new(sender, agents_in);
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
        assert_eq!(agents_in(&none), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_is_found_by_the_name_that_dns_would_have_ready_or_not() {
        let both = json!([
            {"addresses": ["10.0.0.1"], "hostname": "skopos-pair-0", "conditions": {"ready": false}},
            {"addresses": ["10.0.0.2"], "hostname": "skopos-pair-1", "conditions": {"ready": true, "terminating": true}},
            {"addresses": ["10.0.0.3"], "hostname": "skopos-pair-1"},
            {"addresses": ["10.0.0.9"]},
        ]);
        let mut slice = slice("a", &both);
        slice.metadata.namespace = Some("monitoring".to_owned());
        slice.metadata.labels = Some([(SERVICE.to_owned(), "skopos-pair".to_owned())].into());
        let (sender, receiver) = watch::channel(Vec::new());
        let mut keeper = Keeper::new(sender, replicas_in);
        keeper.take(Change::Here(slice), Instant::now());
        keeper.tell(Instant::now());
        let told = receiver.borrow();
        let told: Vec<String> = told.iter().map(|(name, at)| format!("{name} {at}")).collect();
        assert_eq!(
            told,
            [
                "skopos-pair-0.skopos-pair.monitoring.svc 10.0.0.1",
                "skopos-pair-1.skopos-pair.monitoring.svc 10.0.0.3"
            ]
        );
    }
}

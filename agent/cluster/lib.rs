//! The Kubernetes API: the pods of a node, the node itself, and the Lease by which two replicas find out who leads.
//!
//! The only room that knows kube. It asks for what somebody uses and for no more: a node role for the pods of its own node. Others
//! get small facts in `watch` channels, the newest in place of the one before; while the API server is away they keep the last
//! ones. Tokens are read anew from their file before they expire, and a connection that fails again and again is made anew from the
//! configuration, certificates included.

mod agents;
mod changes;
mod checkup;
mod config;
mod connect;
mod discover;
mod events;
mod follow;
mod heard;
mod lean;
mod lease;
mod memo;
pub mod monitors;
mod node;
mod nodes;
mod observe;
mod pods;
mod review;
mod rights;
pub mod summary;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::watcher;
use kube::{Api, Client};
use model::outside::Identify;
use model::pods::{Node, Pods};
use model::{Arbiter, Clock, Memo, NodeAddress};
use parking_lot::RwLock;
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use changes::{Changes, ChangesHandle};
pub use config::{Accounts, Agents, Config, ControlPlane, Kubelet, Profile, Replicas, is_in_pod};
pub use discover::Finder;
pub use events::note_id;
pub use events::{Events, EventsHandle, Once};
use follow::{Ended, Metrics, Watched, follow, plain};
use heard::Heard;
use lease::LeaseArbiter;
use review::Reviews;
pub use review::{AGENT_AUDIENCE, AUDIENCE};
pub use rights::Right;
use rights::Rights;

/// Starts of many agents at once are spread over so long.
const JITTER: Duration = Duration::from_secs(5);
/// How long the API server may take to say what it is.
const VERSION_PATIENCE: Duration = Duration::from_secs(10);
/// How often the node's own object is read.
const NODE_PERIOD: Duration = Duration::from_secs(300);
/// … while it could not be read.
const NODE_RETRY: Duration = Duration::from_secs(15);
/// Until pods that may not be watched are asked for again; rights are given while somebody waits.
const REFUSED_REST: Duration = Duration::from_secs(5);

/// Why the API server cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("kubernetes.kubeconfig: {path}: {why}")]
    Kubeconfig { path: String, why: String },
    #[error("kubernetes: the ServiceAccount of this pod cannot be used: {0}")]
    InCluster(String),
    #[error("kubernetes: starting the client: {0}")]
    Client(String),
}

/// What of the cluster is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The pods of one node, and that node.
    Node,
    /// Nothing of a node; who leads.
    Cluster,
}

/// The room; cheap to clone.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    config: Config,
    scope: Scope,
    node: String,
    namespace: String,
    /// Where this process runs, whatever it is told of the Lease.
    own_namespace: String,
    server: String,
    client: RwLock<Client>,
    clock: Arc<dyn Clock>,
    heard: Heard,
    pods: watch::Sender<Arc<Pods>>,
    facts: watch::Sender<Arc<Node>>,
    agents: watch::Sender<Vec<NodeAddress>>,
    replicas: watch::Sender<Vec<(String, IpAddr)>>,
    watched: Arc<Watched>,
    metrics: Metrics,
    parties: observe::Parties,
    rights: Rights,
    /// Of all kinds that somebody wants; for doctor.
    kinds: parking_lot::Mutex<Vec<Arc<Watched>>>,
    node_error: RwLock<String>,
}

impl Cluster {
    /// Connects to nobody yet. `host` is the node's name where nothing else says it.
    ///
    /// # Errors
    /// The configuration names a cluster in a way that cannot work.
    pub async fn new(
        config: Config,
        scope: Scope,
        host: &str,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let heard = Heard::new(Arc::clone(&clock), registry);
        let found = connect::find(&config).await?;
        let (server, namespace) = (found.cluster_url.to_string(), found.default_namespace.clone());
        let client = connect::client(found, &heard)?;
        let node = config.node_name(host);
        let metrics = Metrics::new(registry);
        info!(%server, node, "the Kubernetes API is asked");
        Ok(Self(Arc::new(Inner {
            namespace: match config.lease_namespace.as_str() {
                "" => namespace.clone(),
                told => told.to_owned(),
            },
            own_namespace: namespace,
            config,
            scope,
            node,
            server,
            client: RwLock::new(client),
            clock,
            heard,
            pods: watch::Sender::new(Arc::default()),
            facts: watch::Sender::new(Arc::default()),
            agents: watch::Sender::new(Vec::new()),
            replicas: watch::Sender::new(Vec::new()),
            watched: metrics.watched("pods", false),
            metrics,
            parties: observe::Parties::default(),
            rights: Rights::default(),
            kinds: parking_lot::Mutex::default(),
            node_error: RwLock::default(),
        })))
    }

    /// That of the pod that this process runs in, or of the context.
    #[must_use]
    pub fn own_namespace(&self) -> &str {
        &self.0.own_namespace
    }

    /// The pods of the node.
    #[must_use]
    pub fn pods(&self) -> watch::Receiver<Arc<Pods>> {
        self.0.pods.subscribe()
    }

    /// The node; without a name while it is not known.
    #[must_use]
    pub fn node(&self) -> watch::Receiver<Arc<Node>> {
        self.0.facts.subscribe()
    }

    /// What the API server says that it is, for example `v1.33.5-eks-3025e55`.
    ///
    /// # Errors
    /// It does not say.
    pub async fn version(&self) -> Result<String, String> {
        let asked = self.0.client();
        let told = tokio::time::timeout(VERSION_PATIENCE, asked.apiserver_version()).await;
        match told {
            Ok(Ok(info)) => Ok(info.git_version),
            Ok(Err(error)) => Err(follow::plain(&error)),
            Err(_) => Err("the API server does not answer".to_owned()),
        }
    }

    /// That the account has this right is looked at, for doctor.
    pub fn want(&self, right: Right) {
        self.0.rights.want(right);
    }

    /// Says who calls, by tokens of ServiceAccounts that are made for callers of this process.
    #[must_use]
    pub fn reviews(&self, registry: &Registry) -> Arc<dyn Identify> {
        let (audience, purpose) = match self.0.scope {
            Scope::Cluster => (
                AUDIENCE,
                "agents and the other replica are not known by their tokens",
            ),
            Scope::Node => (
                AGENT_AUDIENCE,
                "who asks for the last lines of a pod is not known by its token",
            ),
        };
        let group = "authentication.k8s.io";
        self.want(Right::new("create", group, "tokenreviews", purpose));
        Arc::new(Reviews::new(self.clone(), audience, registry))
    }

    /// How many objects are known, or why they are not.
    ///
    /// # Errors
    /// A kind cannot be watched, or has not been listed yet.
    pub fn watching(&self) -> Result<usize, String> {
        let inner = &self.0;
        let kinds = inner.kinds.lock().clone();
        let own = (inner.scope == Scope::Node).then(|| Arc::clone(&inner.watched));
        let mut count = 0;
        for kind in own.iter().chain(&kinds) {
            let state = kind.state();
            match (state.error.as_str(), state.is_whole) {
                (_, false) if kind.is_optional() && state.is_absent => {}
                ("", true) => count += state.count,
                ("", false) => return Err(format!("{} not listed yet", kind.resource())),
                (error, _) => return Err(error.to_owned()),
            }
        }
        Ok(count)
    }

    /// Where replicas ask who leads.
    #[must_use]
    pub fn arbiter(&self) -> Arc<dyn Arbiter> {
        for verb in ["create", "get", "update"] {
            let own = self.0.config.lease_name().to_owned();
            self.want(Right {
                namespace: self.0.namespace.clone(),
                // Whoever makes one cannot be told its name beforehand.
                name: if verb == "create" { String::new() } else { own },
                ..Right::new(
                    verb,
                    "coordination.k8s.io",
                    "leases",
                    "the two replicas cannot agree who leads",
                )
            });
        }
        Arc::new(LeaseArbiter::new(self.clone()))
    }

    /// Where what replicas have told outlives the disks of both.
    #[must_use]
    pub fn memo(&self) -> Arc<dyn Memo> {
        for verb in ["get", "update"] {
            let purpose = "alerts are told again when the disks of both replicas are lost at once";
            self.want(Right {
                namespace: self.0.namespace.clone(),
                name: self.0.config.memo_name(),
                ..Right::new(verb, "", "configmaps", purpose)
            });
        }
        Arc::new(memo::MapMemo::new(self.clone()))
    }

    /// Watches until it is asked to stop.
    pub async fn run(self, stop: CancellationToken) {
        let watching = async {
            if self.0.scope == Scope::Node {
                tokio::time::sleep(JITTER.mul_f64(fastrand::f64())).await;
                // Pods that are told of before their node have no zone.
                self.read_node().await;
                for (verb, resource) in [("list", "pods"), ("watch", "pods"), ("get", "nodes")] {
                    self.want(Right::new(
                        verb,
                        "",
                        resource,
                        "lines and series have no labels of pods and no zone",
                    ));
                }
                tokio::join!(
                    self.follow_node(),
                    self.follow_pods(),
                    self.follow_parties(),
                    self.keep_rights()
                );
            } else {
                tokio::join!(
                    self.follow_agents(),
                    self.follow_replicas(),
                    self.follow_parties(),
                    self.keep_rights()
                );
            }
            // Whoever wants nothing waits, too.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = watching => {}
        }
    }

    async fn follow_pods(&self) {
        let inner = &self.0;
        let mut keeper = pods::Keeper::new(inner.pods.clone(), inner.facts.subscribe());
        loop {
            // Of one node there are few: they come at once, and from the API server's memory.
            let config = watcher::Config::default()
                .fields(&format!("spec.nodeName={}", inner.node))
                .any_semantic();
            let api: Api<lean::Pod> = Api::all(inner.client());
            match follow(api, config, &inner.watched, &mut keeper).await {
                Ended::Failed => self.connect_anew().await,
                Ended::Refused(_) => tokio::time::sleep(REFUSED_REST).await,
                Ended::Asked => {}
            }
        }
    }

    async fn follow_node(&self) {
        loop {
            let rest = match self.0.facts.borrow().name.is_empty() {
                true => NODE_RETRY,
                false => NODE_PERIOD,
            };
            tokio::time::sleep(rest).await;
            self.read_node().await;
        }
    }

    async fn read_node(&self) {
        let inner = &self.0;
        let api: Api<lean::Node> = Api::all(inner.client());
        let read = tokio::time::timeout(NODE_RETRY, api.get(&inner.node)).await;
        let error = match read {
            Ok(Ok(node)) => {
                inner.facts.send_replace(Arc::new(node::node_of(node)));
                String::new()
            }
            Ok(Err(error)) => plain(&error),
            Err(_) => "the API server does not answer".to_owned(),
        };
        let before = std::mem::replace(&mut *inner.node_error.write(), error.clone());
        if !error.is_empty() && error != before {
            warn!(
                node = inner.node,
                error, "the node's own object cannot be read; its zone is not known"
            );
        }
    }

    async fn keep_rights(&self) {
        self.0.rights.keep(|| self.0.client()).await;
    }

    async fn connect_anew(&self) {
        let inner = &self.0;
        let made = match connect::find(&inner.config).await {
            Ok(found) => connect::client(found, &inner.heard),
            Err(error) => Err(error),
        };
        match made {
            Ok(client) => *inner.client.write() = client,
            Err(error) => warn!(%error, "the Kubernetes API cannot be connected to anew"),
        }
    }
}

impl Inner {
    fn client(&self) -> Client {
        self.client.read().clone()
    }
}

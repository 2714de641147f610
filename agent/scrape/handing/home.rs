//! Where a target is at home: the node that it is on, and whether an agent there could read it as it is read here.
//!
//! What an agent sends has its node's name in the label `node`, by its token and not by what it says. So a target may be handed on only
//! if all of its series have that label with that name when it is read here, too: then they are the same whoever reads it. That its
//! bodies have no such label of their own is known once one has been read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use model::Labels;
use model::presence::NODE;
use net::HttpConfig;
use xxhash_rust::xxh3::xxh3_64;

use crate::plan::Plan;

/// What discovery says of the node of a target; the first that is said.
const NODES: [&str; 4] = [
    "__meta_kubernetes_pod_node_name",
    "__meta_kubernetes_endpoint_node_name",
    "__meta_kubernetes_endpointslice_endpoint_node_name",
    "__meta_kubernetes_node_name",
];

/// Why a target is read here although there may be an agent on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is on no node, as far as anybody says.
    NoNode,
    /// There is no agent on its node that takes targets: it is none of ours, or it is silent.
    NoAgent,
    /// Rules have made another address of it than its own.
    Elsewhere,
    /// It takes a file of this process.
    File,
    /// It takes a credential of this process.
    Secret,
    /// It is reached by a proxy of this process.
    Proxy,
    /// Its labels, or those of its series, name another node or none.
    NodeLabel,
    /// It has not been read here yet, so that nobody knows.
    Unread,
    /// Its node has as many as an agent takes.
    Many,
    /// The agent has not taken it yet, or has given it back.
    NotTaken,
}

impl Reason {
    pub const ALL: [Self; 10] = [
        Self::NoNode,
        Self::NoAgent,
        Self::Elsewhere,
        Self::File,
        Self::Secret,
        Self::Proxy,
        Self::NodeLabel,
        Self::Unread,
        Self::Many,
        Self::NotTaken,
    ];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoNode => "no_node",
            Self::NoAgent => "no_agent",
            Self::Elsewhere => "elsewhere",
            Self::File => "file",
            Self::Secret => "secret",
            Self::Proxy => "proxy",
            Self::NodeLabel => "node_label",
            Self::Unread => "unread",
            Self::Many => "many",
            Self::NotTaken => "not_taken",
        }
    }

    /// For people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoNode => "on no node that anybody names",
            Self::NoAgent => "on nodes without an agent that asks",
            Self::Elsewhere => "read at another address than their own",
            Self::File => "read with a file of this process",
            Self::Secret => "read with a credential of this process",
            Self::Proxy => "read by a proxy of this process",
            Self::NodeLabel => "with series that name another node, or none",
            Self::Unread => "not read with success yet",
            Self::Many => "more than an agent takes",
            Self::NotTaken => "not taken by the agent yet",
        }
    }
}

/// Of a target that is on a node.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) node: Arc<str>,
    /// The label `node` was added to the target; a series that has one of its own keeps that.
    pub(crate) is_added: bool,
    /// Why it is not for others, if that is known before it is read.
    pub(crate) never: Option<Reason>,
    /// What an agent is told: empty where it is told nothing.
    pub(crate) entry: Arc<str>,
    seen: AtomicU8,
}

/// What the series of a target have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing yet.
    Unread,
    /// All of them are of its node.
    Own,
    /// One of them is of another node, or of none.
    Foreign,
}

impl PartialEq for Home {
    fn eq(&self, other: &Self) -> bool {
        (&self.node, self.is_added, self.never, &self.entry)
            == (&other.node, other.is_added, other.never, &other.entry)
    }
}

impl Home {
    pub(crate) fn new(node: &str, is_added: bool, never: Option<Reason>, entry: &str) -> Self {
        Self {
            node: node.into(),
            is_added,
            never,
            entry: entry.into(),
            seen: AtomicU8::new(0),
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        match self.seen.load(Ordering::Relaxed) {
            0 => Seen::Unread,
            1 => Seen::Own,
            _ => Seen::Foreign,
        }
    }

    /// A body has been read. What was foreign once may be so again at any time.
    pub(crate) fn see(&self, is_foreign: bool) {
        self.seen
            .fetch_max(if is_foreign { 2 } else { 1 }, Ordering::Relaxed);
    }

    /// Whether a series with these labels would be another one if an agent sent it.
    pub(crate) fn is_foreign(&self, labels: &Labels) -> bool {
        labels.value(NODE) != &*self.node
    }
}

/// What a target is called between those who hand it on and those who take it: by where it is read, and what its series are called.
pub(crate) fn id(plan: &Plan) -> u64 {
    let (job, url, labels) = (&plan.job, &plan.url, plan.rules.target.fingerprint());
    xxh3_64(format!("{job}\n{url}\n{labels:016x}").as_bytes())
}

/// The node that a target was found on.
pub(crate) fn node(discovered: &Labels) -> Option<&str> {
    NODES
        .iter()
        .map(|name| discovered.value(name))
        .find(|node| !node.is_empty())
}

/// Why a target of a section that is reached like this cannot be read by others.
pub(crate) fn kept_back(http: &HttpConfig) -> Option<Reason> {
    let mut named = http.clone();
    if named.files_mut().next().is_some() {
        return Some(Reason::File);
    }
    let tls = http.tls_config.as_ref();
    let has_secrets = http.basic_auth.is_some()
        || http.authorization.is_some()
        || http.oauth2.is_some()
        || http.bearer_token.is_some()
        || !http.proxy_connect_header.is_empty()
        || !http.http_headers.is_empty()
        || tls.is_some_and(|tls| tls.ca.is_some() || tls.cert.is_some() || tls.key.is_some());
    if has_secrets {
        return Some(Reason::Secret);
    }
    let has_proxy =
        http.proxy_url.is_some() || http.no_proxy.is_some() || http.proxy_from_environment.is_some();
    has_proxy.then_some(Reason::Proxy)
}

/// `10.0.0.9` of `10.0.0.9:80`.
pub(crate) fn host(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => address,
    }
}

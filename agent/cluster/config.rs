//! What is told about Kubernetes in the configuration file.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::monitors;

/// The section `kubernetes:`. Left empty, a process in a pod asks the API server that its ServiceAccount names, and any
/// other process asks none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether there is a cluster to ask. Left out: in a pod, or where `kubeconfig` is given.
    pub enabled: Option<bool>,
    /// How a process outside of the cluster finds it; programs that print credentials (`aws eks get-token`) are called.
    pub kubeconfig: Option<PathBuf>,
    /// Which of its contexts; left out, the current one.
    pub context: Option<String>,
    /// The node that this process reads. Left empty: what the variable `NODE_NAME` says, which the chart sets; then the
    /// host's name.
    pub node_name: String,
    /// Whether pods that ask for it by annotations (`prometheus.io/scrape`) are scraped. Left out: in a pod, from where
    /// pods can be reached.
    pub scrape_pods: Option<bool>,
    pub kubelet: Kubelet,
    pub control_plane: ControlPlane,
    /// Whether events become log records and a counter, once for the cluster. Left out: in the roles `cluster` and `all`.
    pub events: Option<bool>,
    pub changes: Changes,
    pub monitors: monitors::Config,
    /// Whether targets that are found on a node with an agent are read by that: in the role `cluster` they are handed out, and in the
    /// role `node` they are taken. Left out: they are.
    pub hand_out: Option<bool>,
    /// Whose tokens are taken from agents and the other replica.
    pub accounts: Accounts,
    /// Where the pair finds agents, to ask them for the last lines of a pod.
    pub agents: Agents,
    /// Where a replica finds the other one.
    pub replicas: Replicas,
    /// The Lease that two replicas share; empty: `skopos`. What they have told is kept in the ConfigMap of that name and `-told`.
    pub lease_name: String,
    /// Where the Lease lies; empty: the namespace of the pod, or of the context.
    pub lease_namespace: String,
}

/// What has changed in the cluster: log records, and lines on the cards of alerts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Changes {
    /// Left out: in the roles `cluster` and `all`.
    pub enabled: Option<bool>,
    /// Whether it is told that a ConfigMap was edited, by its name: metadata is all that is asked for.
    pub configmaps: bool,
}

/// The kubelet of the node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kubelet {
    /// Whether it is scraped. Left out: in a pod.
    pub enabled: Option<bool>,
    /// `host:port`; empty: the node's internal address and port 10250.
    pub address: String,
    /// What is read of it; of `/stats/summary` nothing where the profile is `minimal`.
    pub paths: Vec<String>,
    /// Whose certificate it has to show.
    pub ca_file: PathBuf,
    /// The name that the certificate has to hold, where it is not that of the address.
    pub server_name: String,
    pub insecure_skip_verify: bool,
    /// Read again before each scrape.
    pub token_file: PathBuf,
    /// How much of `/metrics/cadvisor` and `/stats/summary` is kept: `minimal`, `community` or `full`.
    pub profile: Profile,
}

impl Kubelet {
    /// The one page that is no metrics text.
    pub const SUMMARY: &str = "/stats/summary";

    /// Those that are read, as the profile wants it.
    pub fn pages(&self) -> impl Iterator<Item = &str> {
        let pages = self.paths.iter().map(String::as_str);
        pages.filter(|page| *page != Self::SUMMARY || self.profile != Profile::Minimal)
    }
}

impl Default for Kubelet {
    fn default() -> Self {
        let account = PathBuf::from(ACCOUNT);
        Self {
            enabled: None,
            address: String::new(),
            paths: [
                "/metrics",
                "/metrics/cadvisor",
                "/metrics/probes",
                "/metrics/resource",
                Self::SUMMARY,
            ]
            .map(str::to_owned)
            .to_vec(),
            ca_file: account.join("ca.crt"),
            server_name: String::new(),
            insecure_skip_verify: false,
            token_file: account.join("token"),
            profile: Profile::default(),
        }
    }
}

/// The API server, and on EKS the scheduler and the controller manager.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlPlane {
    /// Whether whoever leads scrapes them. Left out: in a pod.
    pub enabled: Option<bool>,
    /// Between two scrapes; a page of an API server is large.
    #[serde(deserialize_with = "model::text::duration::deserialize")]
    pub interval: Duration, // interval: 60s
    /// Whose certificate they have to show.
    pub ca_file: PathBuf,
    /// The name that the certificates have to hold.
    pub server_name: String,
    /// Read again before each scrape.
    pub token_file: PathBuf,
    /// `full`: all of their families; else those that rules and dashboards ask for.
    pub profile: Profile,
}

impl Default for ControlPlane {
    fn default() -> Self {
        let account = PathBuf::from(ACCOUNT);
        Self {
            enabled: None,
            interval: Duration::from_secs(60),
            ca_file: account.join("ca.crt"),
            server_name: "kubernetes.default.svc".to_owned(),
            token_file: account.join("token"),
            profile: Profile::default(),
        }
    }
}

impl ControlPlane {
    /// What is kept unless all is.
    pub const FAMILIES: [&str; 38] = [
        "aggregator_unavailable_apiservice",
        "aggregator_unavailable_apiservice_total",
        "apiserver_admission_webhook_rejection_count",
        "apiserver_client_certificate_expiration_seconds_bucket",
        "apiserver_client_certificate_expiration_seconds_count",
        "apiserver_client_certificate_expiration_seconds_sum",
        "apiserver_current_inflight_requests",
        "apiserver_flowcontrol_rejected_requests_total",
        "apiserver_request_sli_duration_seconds_bucket",
        "apiserver_request_sli_duration_seconds_count",
        "apiserver_request_sli_duration_seconds_sum",
        "apiserver_request_terminations_total",
        "apiserver_request_total",
        "apiserver_storage_objects",
        "apiserver_storage_size_bytes",
        "go_goroutines",
        "kubernetes_build_info",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "rest_client_request_duration_seconds_bucket",
        "rest_client_request_duration_seconds_count",
        "rest_client_request_duration_seconds_sum",
        "rest_client_requests_total",
        "scheduler_pending_pods",
        "scheduler_pod_scheduling_sli_duration_seconds_bucket",
        "scheduler_pod_scheduling_sli_duration_seconds_count",
        "scheduler_pod_scheduling_sli_duration_seconds_sum",
        "scheduler_schedule_attempts_total",
        "scheduler_scheduling_algorithm_duration_seconds_bucket",
        "scheduler_scheduling_algorithm_duration_seconds_count",
        "scheduler_scheduling_attempt_duration_seconds_bucket",
        "scheduler_scheduling_attempt_duration_seconds_count",
        "workqueue_adds_total",
        "workqueue_depth",
        "workqueue_queue_duration_seconds_bucket",
        "workqueue_queue_duration_seconds_count",
        "workqueue_queue_duration_seconds_sum",
    ];
}

/// How many of the families of `/metrics/cadvisor` are kept, and how much of `/stats/summary`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// What kubernetes-mixin's rules and dashboards ask for.
    Minimal,
    /// And what widely used rules and dashboards ask for beside them.
    #[default]
    Community,
    /// All of them.
    Full,
}

impl Profile {
    /// Names of the families that are kept; none where all are.
    #[must_use]
    pub fn families(self) -> Option<Vec<&'static str>> {
        const MINIMAL: [&str; 17] = [
            "container_cpu_usage_seconds_total",
            "container_cpu_cfs_periods_total",
            "container_cpu_cfs_throttled_periods_total",
            "container_memory_working_set_bytes",
            "container_memory_rss",
            "container_memory_cache",
            "container_memory_swap",
            "container_fs_reads_total",
            "container_fs_writes_total",
            "container_fs_reads_bytes_total",
            "container_fs_writes_bytes_total",
            "container_network_receive_bytes_total",
            "container_network_transmit_bytes_total",
            "container_network_receive_packets_total",
            "container_network_transmit_packets_total",
            "container_network_receive_packets_dropped_total",
            "container_network_transmit_packets_dropped_total",
        ];
        const COMMUNITY: [&str; 18] = [
            "container_cpu_cfs_throttled_seconds_total",
            "container_oom_events_total",
            "container_network_receive_errors_total",
            "container_network_transmit_errors_total",
            "machine_cpu_cores",
            "machine_memory_bytes",
            "container_last_seen",
            "container_start_time_seconds",
            "container_memory_usage_bytes",
            "container_spec_cpu_period",
            "container_spec_cpu_quota",
            "container_spec_memory_limit_bytes",
            "container_fs_usage_bytes",
            "container_fs_limit_bytes",
            "container_fs_inodes_free",
            "container_fs_inodes_total",
            "container_scrape_error",
            "cadvisor_version_info",
        ];
        match self {
            Self::Minimal => Some(MINIMAL.to_vec()),
            Self::Community => Some(MINIMAL.into_iter().chain(COMMUNITY).collect()),
            Self::Full => None,
        }
    }
}

/// ServiceAccounts of the replica's own namespace.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    /// Of agents on nodes; empty: `skopos-node`.
    pub node: String,
    /// Of replicas; empty: `skopos-cluster`.
    pub replica: String,
}

impl Accounts {
    pub(crate) fn node(&self) -> &str {
        match self.node.as_str() {
            "" => "skopos-node",
            name => name,
        }
    }

    pub(crate) fn replica(&self) -> &str {
        match self.replica.as_str() {
            "" => "skopos-cluster",
            name => name,
        }
    }
}

/// The agents on nodes, as a replica finds them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// Their headless Service, in the replica's own namespace; empty: none is looked for.
    pub service: String,
    /// A token for the audience `skopos-node`, which is shown to them; read again before each question.
    pub token_file: PathBuf,
}

/// The pair, as each of both finds the other.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Replicas {
    /// Their headless Service, in their own namespace: the names of its endpoints are known without a server of names. Empty: none
    /// is looked for.
    pub service: String,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            service: String::new(),
            token_file: PathBuf::from("/var/run/secrets/skopos/node-token"),
        }
    }
}

/// Where a pod finds its ServiceAccount.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The Lease's name where nothing else is said.
const LEASE: &str = "skopos";

impl Config {
    /// Whether there is a cluster to ask.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.enabled
            .unwrap_or_else(|| self.kubeconfig.is_some() || is_in_pod())
    }

    /// What is wrong with it, each a sentence that begins with the path in the file.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.context.is_some() && self.kubeconfig.is_none() {
            wrong.push(
                "kubernetes.context: names a context of a file; kubernetes.kubeconfig names none".to_owned(),
            );
        }
        for path in &self.kubelet.paths {
            if !path.starts_with("/metrics") && path != Kubelet::SUMMARY {
                wrong.push(format!(
                    "kubernetes.kubelet.paths: no page of metrics that a kubelet has: {path:?}; /metrics/cadvisor and /stats/summary are two"
                ));
            }
        }
        wrong.extend(self.monitors.complaints());
        for (key, name) in [
            ("node_name", &self.node_name),
            ("lease_name", &self.lease_name),
            ("accounts.node", &self.accounts.node),
            ("accounts.replica", &self.accounts.replica),
            ("agents.service", &self.agents.service),
            ("replicas.service", &self.replicas.service),
        ] {
            if !name.is_empty() && !is_name(name) {
                wrong.push(format!(
                    "kubernetes.{key}: no name that Kubernetes allows (lower-case letters, digits, '-' and '.'): {name:?}"
                ));
            }
        }
        wrong
    }

    /// Whether events are written by whoever thinks.
    #[must_use]
    pub fn wants_events(&self) -> bool {
        self.is_wanted() && self.events.unwrap_or(true)
    }

    /// Whether there are log records of these.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.wants_events() || self.wants_changes()
    }

    /// Whether whoever thinks tells what has changed.
    #[must_use]
    pub fn wants_changes(&self) -> bool {
        self.is_wanted() && self.changes.enabled.unwrap_or(true)
    }

    /// Whether whoever thinks follows objects of prometheus-operator.
    #[must_use]
    pub fn wants_monitors(&self) -> bool {
        self.is_wanted() && (self.monitors.is_wanted() || self.monitors.wants_rules())
    }

    /// Whether targets are handed to agents, or taken by one.
    #[must_use]
    pub fn hands_out(&self) -> bool {
        self.is_wanted() && self.hand_out.unwrap_or(true)
    }

    #[must_use]
    pub fn scrapes_pods(&self) -> bool {
        self.is_wanted() && self.scrape_pods.unwrap_or_else(is_in_pod)
    }

    #[must_use]
    pub fn scrapes_kubelet(&self) -> bool {
        self.is_wanted() && self.kubelet.enabled.unwrap_or_else(is_in_pod)
    }

    #[must_use]
    pub fn scrapes_control_plane(&self) -> bool {
        self.is_wanted() && self.control_plane.enabled.unwrap_or_else(is_in_pod)
    }

    /// Paths in a file are meant from where the file lies.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let (kubelet, control_plane) = (&mut self.kubelet, &mut self.control_plane);
        let files = [
            &mut kubelet.ca_file,
            &mut kubelet.token_file,
            &mut control_plane.ca_file,
            &mut control_plane.token_file,
            &mut self.agents.token_file,
        ];
        self.kubeconfig.iter_mut().chain(files)
    }

    pub(crate) fn lease_name(&self) -> &str {
        match self.lease_name.as_str() {
            "" => LEASE,
            name => name,
        }
    }

    /// The ConfigMap beside the Lease.
    pub(crate) fn memo_name(&self) -> String {
        format!("{}-told", self.lease_name())
    }

    /// The node that this process reads.
    #[must_use]
    pub fn node_name(&self, host: &str) -> String {
        if !self.node_name.is_empty() {
            return self.node_name.clone();
        }
        let told = std::env::var("NODE_NAME").ok().filter(|name| is_name(name));
        told.unwrap_or_else(|| host.to_ascii_lowercase())
    }
}

/// Whether a kubelet has started this process with a ServiceAccount.
#[must_use]
pub fn is_in_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() && PathBuf::from(ACCOUNT).join("token").exists()
}

/// A DNS subdomain, as names of objects are.
fn is_name(name: &str) -> bool {
    name.len() <= 253
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.')
        && name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .last()
            .is_some_and(|last| last.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_empty_a_process_outside_of_a_pod_asks_nobody() {
        let config = Config::default();
        assert!(!config.is_wanted());
        assert!(config.complaints().is_empty());
        let told = Config {
            kubeconfig: Some("/a".into()),
            ..Config::default()
        };
        assert!(told.is_wanted());
        let off = Config {
            enabled: Some(false),
            ..told
        };
        assert!(!off.is_wanted());
    }

    #[test]
    fn what_cannot_work_is_named_with_its_key() {
        let config = Config {
            context: Some("prod".to_owned()),
            node_name: "Node_1".to_owned(),
            lease_name: "-x".to_owned(),
            ..Config::default()
        };
        let wrong = config.complaints();
        let keys: Vec<&str> = wrong.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(
            keys,
            [
                "kubernetes.context",
                "kubernetes.node_name",
                "kubernetes.lease_name"
            ]
        );
    }

    #[test]
    fn a_node_is_named_by_the_file_before_the_host() {
        let config = Config {
            node_name: "ip-10-0-0-1.eu-west-1.compute.internal".to_owned(),
            ..Config::default()
        };
        assert_eq!(config.node_name("Host"), "ip-10-0-0-1.eu-west-1.compute.internal");
        if std::env::var_os("NODE_NAME").is_none() {
            assert_eq!(Config::default().node_name("Host"), "host");
        }
    }
}

//! RDS: instances, clusters, proxies, and what is said about them.
//!
//! Whatever a test inserts is described as AWS would; it may be changed or removed at any time. Nothing happens by itself: who
//! stops an instance also says so in its status.

mod describe;
mod events;
mod proxies;
mod shown;

use std::collections::BTreeMap;

use model::Timestamp;

use crate::asked::Refusal;
use crate::metrics::{mix, seed};
use crate::protocol::page::Pages;
use crate::protocol::tree::Tree;
use crate::services::Call;

/// Pairs of key and value.
pub type Tags = Vec<(String, String)>;

/// All of RDS of an account in a region; whatever has a name stands under it.
#[derive(Clone, Debug, Default)]
pub struct Rds {
    pub instances: BTreeMap<String, DbInstance>,
    pub clusters: BTreeMap<String, DbCluster>,
    pub proxies: BTreeMap<String, DbProxy>,
    pub events: Vec<Event>,
    /// By the ARN of what they are for.
    pub maintenance: BTreeMap<String, Vec<Maintenance>>,
    pub certificates: BTreeMap<String, Certificate>,
    pub lifecycles: Vec<Lifecycle>,
    /// By the name of their group: pairs of name and value.
    pub parameters: BTreeMap<String, Vec<(String, String)>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DbInstance {
    pub id: String,
    /// `db.t4g.large`.
    pub class: String,
    pub engine: String,
    pub engine_version: String,
    /// `available`, `stopped`, `storage-full`, `failed`, `rebooting`, …
    pub status: String,
    pub allocated_gib: i64,
    /// `gp3`, `gp2`, `io2`, `aurora`.
    pub storage_type: String,
    pub iops: Option<i64>,
    pub throughput_mib: Option<i64>,
    pub max_allocated_gib: Option<i64>,
    pub multi_az: bool,
    pub zone: String,
    pub secondary_zone: Option<String>,
    /// The instance that it copies.
    pub replica_of: Option<String>,
    pub cluster: Option<String>,
    /// `db-…`, which log streams and Performance Insights know it by.
    pub resource_id: String,
    pub parameter_group: String,
    pub certificate: String,
    pub certificate_valid_till: Option<Timestamp>,
    pub created: Timestamp,
    /// What will be changed in the next maintenance window.
    pub pending: Pending,
    pub monitoring_seconds: i64,
    pub performance_insights: bool,
    pub log_exports: Vec<String>,
    pub deletion_protection: bool,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    pub class: Option<String>,
    pub engine_version: Option<String>,
    pub allocated_gib: Option<i64>,
    pub iops: Option<i64>,
    pub storage_type: Option<String>,
    pub multi_az: Option<bool>,
    pub certificate: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DbCluster {
    pub id: String,
    pub engine: String,
    pub engine_version: String,
    pub status: String,
    pub multi_az: bool,
    pub zones: Vec<String>,
    /// Members, and whether each is the writer.
    pub members: Vec<(String, bool)>,
    pub resource_id: String,
    pub storage_type: String,
    /// Least and most capacity units of Serverless v2.
    pub serverless: Option<(f64, f64)>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DbProxy {
    pub name: String,
    /// `prx-…`, with which its ARN ends; metrics have the name.
    pub id: String,
    pub status: String,
    /// `POSTGRESQL`.
    pub engine_family: String,
    pub idle_timeout_seconds: i64,
    pub require_tls: bool,
    /// Of the connections that the database allows, in percent.
    pub max_connections_percent: i64,
    pub max_idle_connections_percent: i64,
    pub borrow_timeout_seconds: i64,
    pub targets: Vec<ProxyTarget>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyTarget {
    /// The instance, as [`Rds::instances`] has it.
    pub instance: String,
    /// `READ_WRITE`, `READ_ONLY`.
    pub role: String,
    /// `AVAILABLE`, `UNAVAILABLE`, `REGISTERING`.
    pub state: String,
    /// Why not, as `UNREACHABLE`.
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub at: Timestamp,
    /// The name of what it happened to.
    pub source: String,
    /// `db-instance`, `db-cluster`, `db-proxy`.
    pub source_type: String,
    /// `failover`, `availability`, `low storage`, `maintenance`, …
    pub categories: Vec<String>,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// `system-update`, `db-upgrade`, `ca-certificate-rotation`.
    pub action: String,
    pub description: String,
    pub auto_applied_after: Option<Timestamp>,
    pub forced_apply: Option<Timestamp>,
    pub current_apply: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    pub id: String,
    pub valid_from: Timestamp,
    pub valid_till: Timestamp,
}

/// Until when a major version is supported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    pub engine: String,
    pub major_version: String,
    pub standard: (Timestamp, Timestamp),
    pub extended: Option<(Timestamp, Timestamp)>,
}

impl DbInstance {
    /// A healthy one of PostgreSQL with 100 GiB of gp3.
    #[must_use]
    pub fn new(id: &str, class: &str) -> Self {
        Self {
            id: id.to_owned(),
            class: class.to_owned(),
            engine: "postgres".to_owned(),
            engine_version: "16.9".to_owned(),
            status: "available".to_owned(),
            allocated_gib: 100,
            storage_type: "gp3".to_owned(),
            iops: Some(3000),
            throughput_mib: Some(125),
            zone: format!("{}a", crate::REGION),
            resource_id: format!("db-{}", letters(id)),
            parameter_group: "default.postgres16".to_owned(),
            certificate: "rds-ca-rsa2048-g1".to_owned(),
            ..Self::default()
        }
    }
}

impl DbCluster {
    #[must_use]
    pub fn new(id: &str, engine: &str, engine_version: &str) -> Self {
        Self {
            id: id.to_owned(),
            engine: engine.to_owned(),
            engine_version: engine_version.to_owned(),
            status: "available".to_owned(),
            resource_id: format!("cluster-{}", letters(id)),
            storage_type: "aurora".to_owned(),
            ..Self::default()
        }
    }
}

impl DbProxy {
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: format!("prx-0{}", letters(name).to_ascii_lowercase()),
            status: "available".to_owned(),
            engine_family: "POSTGRESQL".to_owned(),
            idle_timeout_seconds: 1800,
            require_tls: true,
            max_connections_percent: 100,
            max_idle_connections_percent: 50,
            borrow_timeout_seconds: 120,
            ..Self::default()
        }
    }
}

impl ProxyTarget {
    #[must_use]
    pub fn new(instance: &str, role: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            role: role.to_owned(),
            state: "AVAILABLE".to_owned(),
            reason: None,
        }
    }
}

/// Letters and digits of an id that AWS would have given, always the same for a name.
#[must_use]
pub fn letters(name: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut number = seed(name);
    let letter = |_| {
        number = mix(number);
        let at = usize::try_from(number % 32).unwrap_or(0);
        char::from(ALPHABET.get(at).copied().unwrap_or(b'A'))
    };
    (0..26).map(letter).collect()
}

pub(crate) const OPERATIONS: [&str; 10] = [
    "DescribeDBParameters",
    "DescribeDBInstances",
    "DescribeDBClusters",
    "DescribeDBProxies",
    "DescribeDBProxyTargetGroups",
    "DescribeDBProxyTargets",
    "DescribePendingMaintenanceActions",
    "DescribeEvents",
    "DescribeCertificates",
    "DescribeDBMajorEngineVersions",
];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "DescribeDBInstances" => describe::instances(call),
        "DescribeDBClusters" => describe::clusters(call),
        "DescribeDBProxies" => proxies::proxies(call),
        "DescribeDBProxyTargetGroups" => proxies::groups(call),
        "DescribeDBProxyTargets" => proxies::targets(call),
        "DescribePendingMaintenanceActions" => describe::maintenance(call),
        "DescribeEvents" => events::events(call),
        "DescribeCertificates" => describe::certificates(call),
        "DescribeDBParameters" => describe::parameters(call),
        "DescribeDBMajorEngineVersions" => describe::lifecycles(call),
        _ => Err(call.spoken.no_operation()),
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterValue", message)
}

const PAGES: Pages = Pages {
    token: "Marker",
    next: "Marker",
    size: "MaxRecords",
    usual: 100,
    least: 20,
    most: 100,
    wrong_token: "InvalidParameterValue",
    wrong_size: "InvalidParameterValue",
};

fn paged(
    call: &Call<'_>,
    list: (&'static str, &'static str),
    items: Vec<(String, Tree)>,
) -> Result<Tree, Refusal> {
    call.paged(&PAGES, list, items)
}

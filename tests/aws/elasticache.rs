//! ElastiCache: clusters of one node, the replication groups that they are in, serverless caches, parameters and events.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;

use crate::asked::Refusal;
use crate::protocol::page::Pages;
use crate::protocol::tree::{Tree, tree};
use crate::rds::Tags;
use crate::services::Call;

/// All of ElastiCache of an account in a region; whatever has a name stands under it.
#[derive(Clone, Debug, Default)]
pub struct ElastiCache {
    pub clusters: BTreeMap<String, CacheCluster>,
    pub groups: BTreeMap<String, ReplicationGroup>,
    pub serverless: BTreeMap<String, ServerlessCache>,
    pub events: Vec<CacheEvent>,
    /// By the name of their group: pairs of name and value.
    pub parameters: BTreeMap<String, Vec<(String, String)>>,
}

/// A node, which is what a cluster is with Redis and Valkey.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheCluster {
    pub id: String,
    /// `cache.m6g.large`.
    pub node_type: String,
    pub engine: String,
    pub engine_version: String,
    /// `available`, `modifying`, `rebooting cluster nodes`, …
    pub status: String,
    pub nodes: i64,
    pub zone: String,
    /// The replication group that it is in.
    pub group: Option<String>,
    pub parameter_group: String,
    pub created: Timestamp,
    /// Of this node; those of a group are the group's.
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicationGroup {
    pub id: String,
    pub description: String,
    pub status: String,
    pub node_type: String,
    pub engine: String,
    /// Shards, each with its nodes, the primary first.
    pub shards: Vec<Vec<String>>,
    pub has_failover: bool,
    pub multi_az: bool,
    pub cluster_mode: bool,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerlessCache {
    pub name: String,
    pub engine: String,
    pub version: String,
    pub status: String,
    pub storage_gb_max: Option<i64>,
    pub units_a_second_max: Option<i64>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheEvent {
    pub at: Timestamp,
    pub source: String,
    /// `cache-cluster`, `replication-group`, `serverless-cache`.
    pub source_type: String,
    pub message: String,
}

impl CacheCluster {
    #[must_use]
    pub fn new(id: &str, node_type: &str) -> Self {
        Self {
            id: id.to_owned(),
            node_type: node_type.to_owned(),
            engine: "redis".to_owned(),
            engine_version: "7.1.0".to_owned(),
            status: "available".to_owned(),
            nodes: 1,
            zone: format!("{}a", crate::REGION),
            parameter_group: "default.redis7".to_owned(),
            ..Self::default()
        }
    }
}

impl ReplicationGroup {
    /// One shard, whose first node is the primary.
    #[must_use]
    pub fn new(id: &str, node_type: &str, nodes: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            description: id.to_owned(),
            status: "available".to_owned(),
            node_type: node_type.to_owned(),
            engine: "redis".to_owned(),
            shards: vec![nodes.iter().map(|node| (*node).to_owned()).collect()],
            has_failover: nodes.len() > 1,
            multi_az: nodes.len() > 1,
            ..Self::default()
        }
    }
}

impl ServerlessCache {
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            engine: "valkey".to_owned(),
            version: "8.0".to_owned(),
            status: "available".to_owned(),
            ..Self::default()
        }
    }
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
const SERVERLESS_PAGES: Pages = Pages {
    token: "NextToken",
    next: "NextToken",
    size: "MaxResults",
    usual: 50,
    least: 1,
    most: 50,
    ..PAGES
};
const PORT: i64 = 6379;
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

pub(crate) const OPERATIONS: [&str; 5] = [
    "DescribeCacheClusters",
    "DescribeReplicationGroups",
    "DescribeServerlessCaches",
    "DescribeEvents",
    "DescribeCacheParameters",
];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "DescribeCacheClusters" => clusters(call),
        "DescribeReplicationGroups" => groups(call),
        "DescribeServerlessCaches" => serverless(call),
        "DescribeEvents" => events(call),
        "DescribeCacheParameters" => parameters(call),
        _ => Err(call.spoken.no_operation()),
    }
}

/// All, or the one that is named, which must be there.
fn chosen<T>(
    all: &BTreeMap<String, T>,
    wanted: Option<&str>,
    show: impl Fn(&T) -> Tree,
    (code, what): (&'static str, &str),
) -> Result<Vec<(String, Tree)>, Refusal> {
    let found: Vec<(String, Tree)> = all
        .iter()
        .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name))
        .map(|(name, one)| (name.clone(), show(one)))
        .collect();
    match wanted {
        Some(wanted) if found.is_empty() => Err(Refusal::new(code, format!("{what} {wanted} not found."))),
        _ => Ok(found),
    }
}

fn endpoint(address: String) -> Tree {
    tree! {"Address": address, "Port": PORT}
}

fn clusters(call: &Call<'_>) -> Result<Tree, Refusal> {
    let fields = call.fields();
    let wanted = fields.text("CacheClusterId");
    let with_nodes = fields.flag("ShowCacheNodeInfo") == Some(true);
    let alone = fields.flag("ShowCacheClustersNotInReplicationGroups") == Some(true);
    let found = call.place(|place| {
        let shown = |cluster: &CacheCluster| cluster_shown(call, cluster, with_nodes);
        let mut all = place.elasticache.clusters.clone();
        all.retain(|_, cluster| !alone || cluster.group.is_none());
        chosen(&all, wanted, shown, ("CacheClusterNotFound", "CacheCluster"))
    })?;
    call.paged(&PAGES, ("CacheClusters", "CacheCluster"), found)
}

fn cluster_shown(call: &Call<'_>, cluster: &CacheCluster, with_nodes: bool) -> Tree {
    let id = &cluster.id;
    // Without being asked AWS does not say which nodes a cluster has.
    let nodes = with_nodes.then(|| {
        let nodes = (1..=cluster.nodes).map(|nth| {
            tree! {
                "CacheNodeId": format!("{nth:04}"),
                "CacheNodeStatus": &cluster.status,
                "CacheNodeCreateTime": cluster.created,
                "Endpoint": endpoint(format!("{id}.c0ffee.{nth:04}.euw1.cache.amazonaws.com")),
                "ParameterGroupStatus": "in-sync",
                "CustomerAvailabilityZone": &cluster.zone,
            }
        });
        Tree::list("CacheNode", nodes)
    });
    tree! {
        "CacheClusterId": id,
        "ClientDownloadLandingPage": "https://console.aws.amazon.com/elasticache/home#client-download:",
        "CacheNodeType": &cluster.node_type,
        "Engine": &cluster.engine,
        "EngineVersion": &cluster.engine_version,
        "CacheClusterStatus": &cluster.status,
        "NumCacheNodes": cluster.nodes,
        "PreferredAvailabilityZone": &cluster.zone,
        "CacheClusterCreateTime": cluster.created,
        "PreferredMaintenanceWindow": "sun:05:00-sun:06:00",
        "PendingModifiedValues": tree! {},
        "CacheParameterGroup": tree! {
            "CacheParameterGroupName": &cluster.parameter_group,
            "ParameterApplyStatus": "in-sync",
            "CacheNodeIdsToReboot": Tree::list::<&str>("CacheNodeId", []),
        },
        "CacheSubnetGroupName": "private",
        "CacheNodes": nodes,
        "AutoMinorVersionUpgrade": true,
        "ReplicationGroupId": cluster.group.as_ref(),
        "SnapshotRetentionLimit": 0_i64,
        "AuthTokenEnabled": false,
        "TransitEncryptionEnabled": true,
        "AtRestEncryptionEnabled": true,
        "ARN": call.arn("elasticache", &format!("cluster:{id}")),
        "NetworkType": "ipv4",
        "IpDiscovery": "ipv4",
        "TransitEncryptionMode": "required",
    }
}

fn groups(call: &Call<'_>) -> Result<Tree, Refusal> {
    let wanted = call.fields().text("ReplicationGroupId");
    let found = call.place(|place| {
        let cache = &place.elasticache;
        let shown = |group: &ReplicationGroup| group_shown(call, group, cache);
        let missing = ("ReplicationGroupNotFoundFault", "ReplicationGroup");
        chosen(&cache.groups, wanted, shown, missing)
    })?;
    call.paged(&PAGES, ("ReplicationGroups", "ReplicationGroup"), found)
}

fn group_shown(call: &Call<'_>, group: &ReplicationGroup, cache: &ElastiCache) -> Tree {
    let id = &group.id;
    let is_one = !group.cluster_mode;
    let shards = group.shards.iter().enumerate().map(|(nth, nodes)| {
        let members = nodes.iter().enumerate().map(|(place, node)| {
            let zone = cache.clusters.get(node).map(|cluster| cluster.zone.clone());
            let role = if place == 0 { "primary" } else { "replica" };
            tree! {
                "CacheClusterId": node,
                "CacheNodeId": "0001",
                "ReadEndpoint": is_one.then(|| endpoint(format!("{node}.c0ffee.0001.euw1.cache.amazonaws.com"))),
                "PreferredAvailabilityZone": zone,
                "CurrentRole": is_one.then_some(role),
            }
        });
        tree! {
            "NodeGroupId": format!("{:04}", nth + 1),
            "Status": &group.status,
            "PrimaryEndpoint": is_one.then(|| endpoint(format!("{id}.c0ffee.ng.0001.euw1.cache.amazonaws.com"))),
            "ReaderEndpoint": is_one.then(|| endpoint(format!("{id}-ro.c0ffee.ng.0001.euw1.cache.amazonaws.com"))),
            "NodeGroupMembers": Tree::list("NodeGroupMember", members),
        }
    });
    let members = group.shards.iter().flatten();
    let is = |flag: bool| if flag { "enabled" } else { "disabled" };
    tree! {
        "ReplicationGroupId": id,
        "Description": &group.description,
        "Status": &group.status,
        "PendingModifiedValues": tree! {},
        "MemberClusters": Tree::list("ClusterId", members),
        "NodeGroups": Tree::list("NodeGroup", shards),
        "AutomaticFailover": is(group.has_failover),
        "MultiAZ": is(group.multi_az),
        "ConfigurationEndpoint": group.cluster_mode.then(|| endpoint(format!("clustercfg.{id}.c0ffee.euw1.cache.amazonaws.com"))),
        "SnapshotRetentionLimit": 0_i64,
        "ClusterEnabled": group.cluster_mode,
        "CacheNodeType": &group.node_type,
        "AuthTokenEnabled": false,
        "TransitEncryptionEnabled": true,
        "AtRestEncryptionEnabled": true,
        "ARN": call.arn("elasticache", &format!("replicationgroup:{id}")),
        "ReplicationGroupCreateTime": group.created,
        "DataTiering": "disabled",
        "AutoMinorVersionUpgrade": true,
        "ClusterMode": is(group.cluster_mode),
        "Engine": &group.engine,
    }
}

fn serverless(call: &Call<'_>) -> Result<Tree, Refusal> {
    let wanted = call.fields().text("ServerlessCacheName");
    let found = call.place(|place| {
        let shown = |cache: &ServerlessCache| {
            let name = &cache.name;
            let storage = cache
                .storage_gb_max
                .map(|most| tree! {"Maximum": most, "Unit": "GB"});
            let units = cache.units_a_second_max.map(|most| tree! {"Maximum": most});
            tree! {
                "ServerlessCacheName": name,
                "CreateTime": cache.created,
                "Status": &cache.status,
                "Engine": &cache.engine,
                "MajorEngineVersion": cache.version.split('.').next().unwrap_or_default(),
                "FullEngineVersion": &cache.version,
                "CacheUsageLimits": tree! {"DataStorage": storage, "ECPUPerSecond": units},
                "Endpoint": endpoint(format!("{name}-c0ffee.serverless.euw1.cache.amazonaws.com")),
                "ARN": call.arn("elasticache", &format!("serverlesscache:{name}")),
                "SnapshotRetentionLimit": 0_i64,
            }
        };
        let missing = ("ServerlessCacheNotFoundFault", "ServerlessCache");
        chosen(&place.elasticache.serverless, wanted, shown, missing)
    })?;
    call.paged(&SERVERLESS_PAGES, ("ServerlessCaches", "member"), found)
}

/// Without times: the last hour, or the last `Duration` minutes.
fn events(call: &Call<'_>) -> Result<Tree, Refusal> {
    let (fields, now) = (call.fields(), call.now);
    let minutes = u64::try_from(fields.whole("Duration").unwrap_or(60)).unwrap_or(0);
    let end = fields.time("EndTime").unwrap_or(now);
    let usual = end - Duration::from_secs(minutes * 60);
    let start = fields.time("StartTime").unwrap_or(usual).max(now - KEPT);
    let (source, source_type) = (fields.text("SourceIdentifier"), fields.text("SourceType"));
    if source.is_some() && source_type.is_none() {
        return Err(Refusal::new(
            "InvalidParameterCombination",
            "SourceType must be specified if SourceIdentifier is specified.",
        ));
    }
    let found = call.place(|place| {
        let all = place.elasticache.events.iter().enumerate();
        let found = all.filter(|(_, event)| {
            event.at >= start
                && event.at <= end.min(now)
                && source.is_none_or(|source| source == event.source)
                && source_type.is_none_or(|wanted| wanted == event.source_type)
        });
        let said = found.map(|(nth, event)| {
            let said = tree! {
                "SourceIdentifier": &event.source,
                "SourceType": &event.source_type,
                "Message": &event.message,
                "Date": event.at,
            };
            (format!("{:020} {nth:08}", event.at.millis()), said)
        });
        said.collect()
    });
    call.paged(&PAGES, ("Events", "Event"), found)
}

fn parameters(call: &Call<'_>) -> Result<Tree, Refusal> {
    let group = call.fields().needed("CacheParameterGroupName")?;
    let found = call.place(|place| {
        let known = place.elasticache.parameters.get(group)?;
        let said = known.iter().map(|(name, value)| {
            let said = tree! {
                "ParameterName": name,
                "ParameterValue": value,
                "Source": "system",
                "DataType": "string",
                "IsModifiable": true,
                "MinimumEngineVersion": "7.0.0",
                "ChangeType": "immediate",
            };
            (name.clone(), said)
        });
        Some(said.collect::<Vec<_>>())
    });
    let missing = || {
        Refusal::new(
            "CacheParameterGroupNotFound",
            format!("CacheParameterGroup {group} not found."),
        )
    };
    call.paged(&PAGES, ("Parameters", "Parameter"), found.ok_or_else(missing)?)
}

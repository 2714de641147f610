//! Caches: nodes, the replication groups they form, and those without servers.

use std::collections::HashMap;

use super::ask::{Asker, Refused};
use super::classes::Class;
use super::operations as ask;
use super::resource::{Resource, State};
use super::xml::Node;

/// What Redis on ElastiCache takes at most; no parameter changes it.
const CLIENTS_MAX: f64 = 65_000.0;
/// The only node of a cluster of Redis.
const NODE: &str = "0001";

/// What a replication group says of one of its members.
struct Member {
    group: String,
    role: String,
    is_global: bool,
}

pub(super) async fn nodes(ask: &Asker) -> Result<Vec<Resource>, Refused> {
    let (mut members, mut found) = (HashMap::new(), Vec::new());
    let read = |page: &Node<'_, '_>| {
        for node in page.members("ReplicationGroups") {
            found.extend(group(&node, &mut members));
        }
    };
    ask.pages(&ask::CACHE_GROUPS, &[], read).await?;
    let mut clusters = Vec::new();
    let read = |page: &Node<'_, '_>| {
        for node in page.members("CacheClusters") {
            clusters.extend(cluster(&node, &members));
        }
    };
    ask.pages(&ask::CACHE_CLUSTERS, &[("ShowCacheNodeInfo", "true")], read)
        .await?;
    found.extend(clusters);
    Ok(found)
}

fn group(node: &Node<'_, '_>, members: &mut HashMap<String, Member>) -> Option<Resource> {
    let id = node.text("ReplicationGroupId")?;
    let status = node.text("Status").unwrap_or_default();
    let is_global = node
        .child("GlobalReplicationGroupInfo")
        .is_some_and(|info| info.text("GlobalReplicationGroupId").is_some());
    let mut resource = Resource {
        kind: "cache_group",
        family: "elasticache_group",
        arn: node.text("ARN").unwrap_or_default().into(),
        dimensions: vec![("ReplicationGroupId".into(), id.into())],
        info: vec![
            ("status", status.to_owned()),
            (
                "automatic_failover",
                node.text("AutomaticFailover").unwrap_or_default().to_owned(),
            ),
            ("multi_az", node.text("MultiAZ").unwrap_or_default().to_owned()),
        ],
        ..Resource::default()
    };
    let (mut shards, mut primaries) = (0.0, Vec::new());
    for shard in node.members("NodeGroups") {
        shards += 1.0;
        for member in shard.members("NodeGroupMembers") {
            let Some(cluster) = member.text("CacheClusterId") else {
                continue;
            };
            let role = member.text("CurrentRole").unwrap_or_default().to_owned();
            if role == "primary" {
                primaries.push(cluster.to_owned());
            }
            let member = Member {
                group: id.to_owned(),
                role,
                is_global,
            };
            members.insert(cluster.to_owned(), member);
        }
    }
    for member in node
        .members("MemberClusters")
        .filter_map(|member| member.own_text())
    {
        members.entry(member.to_owned()).or_insert_with(|| Member {
            group: id.to_owned(),
            role: String::new(),
            is_global,
        });
    }
    resource.fact("shards", shards);
    resource.flag(
        "available",
        matches!(status, "available" | "modifying" | "snapshotting"),
    );
    // Which of them leads is what changes when one fails over.
    resource.info.push(("primaries", primaries.join(",")));
    Some(resource)
}

/// The node twice: as its engine and as its host, which have metrics under different dimensions.
fn cluster(node: &Node<'_, '_>, members: &HashMap<String, Member>) -> Vec<Resource> {
    let Some(id) = node.text("CacheClusterId") else {
        return Vec::new();
    };
    let text = |name| node.text(name).unwrap_or_default().to_owned();
    let (status, class_name, engine) = (text("CacheClusterStatus"), text("CacheNodeType"), text("Engine"));
    let class = Class::read(&class_name);
    let is_live = matches!(
        status.as_str(),
        "available" | "modifying" | "snapshotting" | "rebooting cluster nodes"
    );
    let member = members.get(id);
    let role = member.map(|member| member.role.as_str()).unwrap_or_default();
    let mut engine_side = Resource {
        kind: "cache_node",
        family: "elasticache",
        arn: text("ARN").into(),
        dimensions: vec![("CacheClusterId".into(), id.into())],
        state: if is_live { State::Live } else { State::Idle },
        ..Resource::default()
    };
    // AWS does not say who leads where the group runs in cluster mode: then any of several may be a replica.
    let is_alone = member.is_none();
    for (name, has) in [
        ("replica", !is_alone && role != "primary"),
        ("burstable", class.is_some_and(|class| class.is_burstable())),
        (
            "data_tiering",
            class.is_some_and(|class| class.family().ends_with("gd")),
        ),
        ("global", member.is_some_and(|member| member.is_global)),
        ("memcached", engine == "memcached"),
    ] {
        engine_side.mark(name, has);
    }
    let nodes: Vec<&str> = node
        .members("CacheNodes")
        .filter_map(|node| node.text("CacheNodeId"))
        .collect();
    let hosts = if nodes.is_empty() { vec![NODE] } else { nodes };
    let hosts: Vec<Resource> = hosts
        .into_iter()
        .map(|host| Resource {
            kind: "cache_host",
            family: "elasticache_host",
            dimensions: vec![
                ("CacheClusterId".into(), id.into()),
                ("CacheNodeId".into(), host.into()),
            ],
            ..engine_side.clone()
        })
        .collect();
    engine_side.info = vec![
        ("class", class_name.clone()),
        ("engine", engine),
        ("engine_version", text("EngineVersion")),
        (
            "replication_group",
            member.map(|member| member.group.clone()).unwrap_or_default(),
        ),
        ("role", role.to_owned()),
        ("availability_zone", text("PreferredAvailabilityZone")),
        ("status", status.clone()),
    ];
    engine_side.known("vcpus", class.and_then(|class| class.vcpus()));
    engine_side.known("memory_bytes", class.and_then(|class| class.memory_bytes()));
    engine_side.fact("max_clients", CLIENTS_MAX);
    engine_side.flag("available", is_live);
    engine_side.flag("burstable", class.is_some_and(|class| class.is_burstable()));
    engine_side.told("status", &[("status", &status)], 1.0);
    let mut both = vec![engine_side];
    both.extend(hosts);
    both
}

pub(super) async fn serverless(ask: &Asker) -> Result<Vec<Resource>, Refused> {
    let mut found = Vec::new();
    let read = |page: &Node<'_, '_>| {
        found.extend(page.members("ServerlessCaches").filter_map(|node| {
            let name = node.text("ServerlessCacheName")?;
            let status = node.text("Status").unwrap_or_default();
            let mut resource = Resource {
                kind: "serverless_cache",
                family: "elasticache_serverless",
                arn: node.text("ARN").unwrap_or_default().into(),
                dimensions: vec![("clusterId".into(), name.into())],
                info: vec![("engine", node.text("Engine").unwrap_or_default().to_owned())],
                ..Resource::default()
            };
            let limit = node.at(&["CacheUsageLimits", "DataStorage"]);
            let gigabytes = limit.and_then(|limit| limit.number("Maximum"));
            resource.known("storage_max_bytes", gigabytes.map(|gigabytes| gigabytes * 1e9));
            resource.flag("available", matches!(status, "available" | "modifying"));
            Some(resource)
        }));
    };
    ask.pages(&ask::SERVERLESS_CACHES, &[], read).await?;
    Ok(found)
}

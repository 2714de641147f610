//! Databases, their clusters and their proxies.

use std::collections::HashMap;

use super::ask::{Asker, Refused};
use super::classes::Class;
use super::operations as ask;
use super::resource::{Resource, State};
use super::xml::Node;

const GIB: f64 = 1_073_741_824.0;
const MIB: f64 = 1_048_576.0;
/// What gp3 has without being asked for more, below 400 GiB.
const GP3_IOPS: f64 = 3_000.0;
const GP3_BYTES_PER_SECOND: f64 = 125.0 * MIB;
/// What PostgreSQL on RDS allows by default: memory by this, and no more than that.
const BYTES_A_CONNECTION: f64 = 9_531_392.0;
const CONNECTIONS_MAX: f64 = 5_000.0;

/// States in which a database answers, and so has metrics.
const LIVE: [&str; 14] = [
    "available",
    "backing-up",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "configuring-log-exports",
    "converting-to-vpc",
    "maintenance",
    "modifying",
    "moving-to-vpc",
    "rebooting",
    "renaming",
    "resetting-master-credentials",
    "storage-full",
    "storage-optimization",
];

/// What is known of all databases besides their description.
#[derive(Default)]
struct Beside {
    /// By ARN: what is to be done, and when it will be done at the latest.
    maintenance: HashMap<String, Vec<(String, Option<f64>)>>,
    /// By engine and major version, the end of standard support.
    supported_until: HashMap<(String, String), f64>,
    /// By parameter group, what it says of connections.
    connections: HashMap<String, String>,
}

/// Databases; what could not be asked of what lies beside them is told to `missed`, and left out.
pub(super) async fn instances(ask: &Asker, missed: &mut Vec<Refused>) -> Result<Vec<Resource>, Refused> {
    let mut found: Vec<(Resource, Facts)> = Vec::new();
    let read =
        |page: &Node<'_, '_>| found.extend(page.members("DBInstances").filter_map(|node| instance(&node)));
    ask.pages(&ask::DB_INSTANCES, &[], read).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let beside = beside(ask, &found, missed).await;
    Ok(found
        .into_iter()
        .map(|(resource, facts)| complete(resource, &facts, &beside))
        .collect())
}

/// What of a description is needed once more.
struct Facts {
    engine: String,
    version: String,
    parameters: Option<String>,
    memory_bytes: Option<f64>,
}

async fn beside(ask: &Asker, found: &[(Resource, Facts)], missed: &mut Vec<Refused>) -> Beside {
    let mut beside = Beside::default();
    let read = |page: &Node<'_, '_>| {
        for resource in page.members("PendingMaintenanceActions") {
            let Some(arn) = resource.text("ResourceIdentifier") else {
                continue;
            };
            let actions = resource
                .members("PendingMaintenanceActionDetails")
                .filter_map(|action| {
                    let by = ["ForcedApplyDate", "AutoAppliedAfterDate", "CurrentApplyDate"];
                    let by = by.iter().find_map(|name| action.seconds(name));
                    Some((action.text("Action")?.to_owned(), by))
                });
            beside.maintenance.insert(arn.to_owned(), actions.collect());
        }
    };
    missed.extend(ask.pages(&ask::DB_MAINTENANCE, &[], read).await.err());
    let read = |page: &Node<'_, '_>| {
        for version in page.members("DBMajorEngineVersions") {
            let (Some(engine), Some(major)) = (version.text("Engine"), version.text("MajorEngineVersion"))
            else {
                continue;
            };
            let until = version
                .members("SupportedEngineLifecycles")
                .filter(|cycle| {
                    cycle
                        .text("LifecycleSupportName")
                        .is_some_and(|name| name.contains("standard"))
                })
                .find_map(|cycle| cycle.seconds("LifecycleSupportEndDate"));
            let until = until.map(|until| ((engine.to_owned(), major.to_owned()), until));
            beside.supported_until.extend(until);
        }
    };
    missed.extend(ask.pages(&ask::DB_MAJOR_VERSIONS, &[], read).await.err());
    for group in found.iter().filter_map(|(_, facts)| facts.parameters.as_ref()) {
        if beside.connections.contains_key(group) {
            continue;
        }
        let mut said = String::new();
        let read = |page: &Node<'_, '_>| {
            let mut all = page.members("Parameters");
            let is_it = |node: &Node<'_, '_>| node.text("ParameterName") == Some("max_connections");
            if let Some(value) = all.find(is_it).and_then(|node| node.text("ParameterValue")) {
                value.clone_into(&mut said);
            }
        };
        if let Err(refused) = ask
            .pages(&ask::DB_PARAMETERS, &[("DBParameterGroupName", group)], read)
            .await
        {
            // One refusal says it for all of them.
            missed.push(refused);
            break;
        }
        beside.connections.insert(group.clone(), said);
    }
    beside
}

fn instance(node: &Node<'_, '_>) -> Option<(Resource, Facts)> {
    let id = node.text("DBInstanceIdentifier")?;
    let text = |name| node.text(name).unwrap_or_default().to_owned();
    let (class_name, engine, storage) = (text("DBInstanceClass"), text("Engine"), text("StorageType"));
    let (status, version) = (text("DBInstanceStatus"), text("EngineVersion"));
    let class = Class::read(&class_name);
    let source = text("ReadReplicaSourceDBInstanceIdentifier");
    let is_replica = !source.is_empty();
    let is_aurora = engine.starts_with("aurora");
    let is_burstable = class.is_some_and(|class| class.is_burstable());
    let mut resource = Resource {
        kind: "db_instance",
        family: "rds",
        arn: text("DBInstanceArn").into(),
        dimensions: vec![("DBInstanceIdentifier".into(), id.into())],
        state: if LIVE.contains(&status.as_str()) {
            State::Live
        } else {
            State::Idle
        },
        tags: tags(node, "TagList"),
        ..Resource::default()
    };
    for (name, has) in [
        ("aurora", is_aurora),
        ("postgres", engine.contains("postgres")),
        ("mysql", engine.contains("mysql") || engine.contains("mariadb")),
        ("replica", is_replica),
        ("burstable", is_burstable),
        (
            "burstable_ebs",
            !is_aurora && class.is_some_and(|class| class.has_disk_credits()),
        ),
        ("gp2", storage == "gp2"),
        (
            "local_storage",
            is_aurora || class_name.contains("gd.") || class_name.contains("dn."),
        ),
        ("insights", node.flag("PerformanceInsightsEnabled")),
        ("iam", node.flag("IAMDatabaseAuthenticationEnabled")),
        ("log_volume", node.flag("DedicatedLogVolume")),
        (
            "cluster_member",
            !is_aurora && node.text("DBClusterIdentifier").is_some(),
        ),
    ] {
        resource.mark(name, has);
    }
    let role = if is_replica { "replica" } else { "primary" };
    resource.info = vec![
        ("engine", engine.clone()),
        ("engine_version", version.clone()),
        ("class", class_name.clone()),
        ("storage_type", storage.clone()),
        ("role", role.to_owned()),
        ("replica_of", source),
        ("cluster", text("DBClusterIdentifier")),
        ("multi_az", text("MultiAZ")),
        ("availability_zone", text("AvailabilityZone")),
        ("status", status.clone()),
    ];
    let memory_bytes = class.and_then(|class| class.memory_bytes());
    resource.known("vcpus", class.and_then(|class| class.vcpus()));
    resource.known("memory_bytes", memory_bytes);
    let allocated = node.number("AllocatedStorage").filter(|_| !is_aurora);
    resource.known("allocated_storage_bytes", allocated.map(|gib| gib * GIB));
    resource.known(
        "storage_max_bytes",
        node.number("MaxAllocatedStorage").map(|gib| gib * GIB),
    );
    resource.known("provisioned_iops", iops(&storage, node.number("Iops"), allocated));
    let throughput = node.number("StorageThroughput").map(|mib| mib * MIB);
    let throughput = throughput.or((storage == "gp3").then_some(GP3_BYTES_PER_SECOND));
    resource.known("provisioned_throughput_bytes_per_second", throughput);
    resource.flag(
        "available",
        LIVE.contains(&status.as_str()) && status != "storage-full",
    );
    resource.told("status", &[("status", &status)], 1.0);
    resource.flag("storage_full", status == "storage-full");
    resource.flag("replica", is_replica);
    resource.flag("burstable", is_burstable);
    resource.flag("multi_az", node.flag("MultiAZ"));
    let certificate = node.child("CertificateDetails");
    let expiry = certificate.and_then(|details| details.seconds("ValidTill"));
    resource.known("ca_expiry_timestamp_seconds", expiry);
    let mut groups = node.members("DBParameterGroups");
    let parameters = groups.next().and_then(|group| group.text("DBParameterGroupName"));
    let facts = Facts {
        engine,
        version,
        parameters: parameters.map(str::to_owned),
        memory_bytes,
    };
    Some((resource, facts))
}

fn complete(mut resource: Resource, facts: &Facts, beside: &Beside) -> Resource {
    let said = facts
        .parameters
        .as_ref()
        .and_then(|group| beside.connections.get(group));
    let connections = connections(said.map(String::as_str), facts);
    resource.known("max_connections", connections);
    let major = beside.supported_until.iter().find(|((engine, major), _)| {
        let rest = facts.version.strip_prefix(major.as_str());
        *engine == facts.engine && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    resource.known(
        "standard_support_end_timestamp_seconds",
        major.map(|(_, until)| *until),
    );
    for (action, by) in beside.maintenance.get(&*resource.arn).into_iter().flatten() {
        resource.told("pending_maintenance", &[("action", action)], 1.0);
        if let Some(by) = by {
            resource.told(
                "pending_maintenance_timestamp_seconds",
                &[("action", action)],
                *by,
            );
        }
    }
    resource
}

/// A number, or AWS' formula over the memory of the class; where nothing is said, what PostgreSQL has by default.
fn connections(said: Option<&str>, facts: &Facts) -> Option<f64> {
    if let Some(number) = said.and_then(|said| said.parse().ok()) {
        return Some(number);
    }
    if !facts.engine.contains("postgres") {
        return None;
    }
    let divisor = said.and_then(|said| {
        let (_, after) = said.split_once("DBInstanceClassMemory/")?;
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    let bytes = facts.memory_bytes?;
    Some(
        (bytes / divisor.unwrap_or(BYTES_A_CONNECTION))
            .floor()
            .min(CONNECTIONS_MAX),
    )
}

fn iops(storage: &str, said: Option<f64>, allocated_gib: Option<f64>) -> Option<f64> {
    match storage {
        "gp3" => said.or(Some(GP3_IOPS)),
        "gp2" => allocated_gib.map(|gib| (gib * 3.0).clamp(100.0, 16_000.0)),
        _ => said,
    }
}

pub(super) async fn clusters(ask: &Asker) -> Result<Vec<Resource>, Refused> {
    let mut found = Vec::new();
    let read =
        |page: &Node<'_, '_>| found.extend(page.members("DBClusters").filter_map(|node| cluster(&node)));
    ask.pages(&ask::DB_CLUSTERS, &[], read).await?;
    Ok(found)
}

fn cluster(node: &Node<'_, '_>) -> Option<Resource> {
    let id = node.text("DBClusterIdentifier")?;
    let text = |name| node.text(name).unwrap_or_default().to_owned();
    let (engine, status) = (text("Engine"), text("Status"));
    let mut resource = Resource {
        kind: "db_cluster",
        family: "rds_cluster",
        arn: text("DBClusterArn").into(),
        dimensions: vec![("DBClusterIdentifier".into(), id.into())],
        state: if LIVE.contains(&status.as_str()) {
            State::Live
        } else {
            State::Idle
        },
        info: vec![
            ("engine", engine.clone()),
            ("engine_version", text("EngineVersion")),
            ("status", status.clone()),
        ],
        tags: tags(node, "TagList"),
        ..Resource::default()
    };
    resource.mark("aurora", engine.starts_with("aurora"));
    resource.mark(
        "serverless",
        node.child("ServerlessV2ScalingConfiguration").is_some(),
    );
    resource.flag("available", LIVE.contains(&status.as_str()));
    Some(resource)
}

pub(super) async fn proxies(ask: &Asker, missed: &mut Vec<Refused>) -> Result<Vec<Resource>, Refused> {
    let mut found = Vec::new();
    let read = |page: &Node<'_, '_>| found.extend(page.members("DBProxies").filter_map(|node| proxy(&node)));
    ask.pages(&ask::DB_PROXIES, &[], read).await?;
    let mut all = Vec::new();
    for (proxy, name) in found {
        let mut targets = Vec::new();
        let read = |page: &Node<'_, '_>| {
            let members = page.members("Targets");
            targets.extend(members.filter_map(|node| target(&node, &name, &proxy.arn)));
        };
        // The group of a proxy's targets is always called so.
        let asked = ask
            .pages(&ask::DB_PROXY_TARGETS, &[("DBProxyName", &name)], read)
            .await;
        missed.extend(asked.err());
        all.extend(roles(&proxy, &name, &targets));
        all.push(proxy);
        all.extend(targets);
    }
    Ok(all)
}

fn proxy(node: &Node<'_, '_>) -> Option<(Resource, String)> {
    let name = node.text("DBProxyName")?;
    let status = node.text("Status").unwrap_or_default();
    let mut resource = Resource {
        kind: "db_proxy",
        family: "rds_proxy",
        arn: node.text("DBProxyArn").unwrap_or_default().into(),
        // Its ARN ends in another id than its metrics have.
        dimensions: vec![("ProxyName".into(), name.into())],
        info: vec![
            (
                "engine_family",
                node.text("EngineFamily").unwrap_or_default().to_owned(),
            ),
            ("status", status.to_owned()),
        ],
        ..Resource::default()
    };
    resource.flag("available", status == "available" || status == "modifying");
    Some((resource, name.to_owned()))
}

fn target(node: &Node<'_, '_>, proxy: &str, arn: &str) -> Option<Resource> {
    let id = node.text("RdsResourceId")?;
    let role = node.text("Role").unwrap_or_default();
    let state = node.at(&["TargetHealth"]).and_then(|health| health.text("State"));
    let mut resource = Resource {
        kind: "db_proxy_target",
        family: "rds_proxy_target",
        arn: arn.into(),
        dimensions: vec![
            ("ProxyName".into(), proxy.into()),
            ("TargetGroup".into(), "default".into()),
            ("Target".into(), id.into()),
        ],
        info: vec![("role", role.to_owned())],
        ..Resource::default()
    };
    resource.flag("available", state == Some("AVAILABLE"));
    Some(resource)
}

/// One a role: that is how a proxy counts how many of its targets answer.
fn roles(proxy: &Resource, name: &str, targets: &[Resource]) -> Vec<Resource> {
    let has = |role: &str| {
        targets
            .iter()
            .any(|target| target.info.iter().any(|(_, said)| said == role))
    };
    let roles = ["READ_WRITE", "READ_ONLY"].into_iter().filter(|role| has(role));
    roles
        .map(|role| Resource {
            kind: "db_proxy_role",
            family: "rds_proxy_role",
            arn: proxy.arn.clone(),
            dimensions: vec![
                ("ProxyName".into(), name.into()),
                ("TargetGroup".into(), "default".into()),
                ("TargetRole".into(), role.into()),
            ],
            ..Resource::default()
        })
        .collect()
}

/// `<TagList><Tag><Key/><Value/></Tag></TagList>`, whatever its elements are called.
pub(super) fn tags(node: &Node<'_, '_>, list: &str) -> std::collections::BTreeMap<String, String> {
    let either = |tag: &Node<'_, '_>, one: &str, other: &str| {
        tag.text(one).or_else(|| tag.text(other)).map(str::to_owned)
    };
    let members = node.members(list);
    let pairs = members.filter_map(|tag| {
        let value = either(&tag, "Value", "value").unwrap_or_default();
        Some((either(&tag, "Key", "key")?, value))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_those_of_the_parameter_group() {
        let facts = Facts {
            engine: "postgres".to_owned(),
            version: "16.4".to_owned(),
            parameters: None,
            memory_bytes: Some(8.0 * GIB),
        };
        assert_eq!(connections(Some("200"), &facts), Some(200.0));
        assert_eq!(
            connections(Some("LEAST({DBInstanceClassMemory/9531392},5000)"), &facts),
            Some(901.0)
        );
        assert_eq!(connections(None, &facts), Some(901.0));
    }

    #[test]
    fn what_storage_can_do_follows_from_its_type() {
        assert_eq!(iops("gp3", None, Some(100.0)), Some(3_000.0));
        assert_eq!(iops("gp3", Some(12_000.0), Some(500.0)), Some(12_000.0));
        assert_eq!(iops("gp2", None, Some(20.0)), Some(100.0));
        assert_eq!(iops("gp2", None, Some(1_000.0)), Some(3_000.0));
        assert_eq!(iops("aurora", None, None), None);
    }
}

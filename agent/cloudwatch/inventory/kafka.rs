//! Clusters of MSK and their brokers.

use serde_json::Value;

use super::ask::{Asker, Refused};
use super::classes::Class;
use super::operations as ask;
use super::resource::{Resource, State};

const GIB: f64 = 1_073_741_824.0;
/// Connections with IAM that a broker takes, and how many of them a second.
const IAM_CONNECTIONS_MAX: f64 = 3_000.0;
const IAM_CONNECTIONS_PER_SECOND: f64 = 100.0;
const IAM_CONNECTIONS_PER_SECOND_T3: f64 = 4.0;

pub(super) async fn clusters(ask: &Asker, missed: &mut Vec<Refused>) -> Result<Vec<Resource>, Refused> {
    let mut found = Vec::new();
    let read = |page: &Value| {
        let list = page.get("clusterInfoList").and_then(Value::as_array);
        found.extend(list.into_iter().flatten().filter_map(cluster));
    };
    ask.documents(&ask::KAFKA_CLUSTERS, "", read).await?;
    let mut all = Vec::new();
    for (cluster, name, about) in found {
        let mut ids = Vec::new();
        if about.is_provisioned {
            let read = |page: &Value| {
                let nodes = page
                    .get("nodeInfoList")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                // Numbers with a point in them: 1.0 is broker 1.
                let ids_here = nodes.filter_map(|node| node.pointer("/brokerNodeInfo/brokerId")?.as_f64());
                ids.extend(ids_here);
            };
            missed.extend(ask.documents(&ask::KAFKA_NODES, &cluster.arn, read).await.err());
            if ids.is_empty() {
                // Their numbers are known without being asked for: they begin with 1.
                ids = (1..=about.brokers).map(f64::from).collect();
            }
        }
        all.extend(
            ids.iter()
                .map(|id| broker(&cluster, &name, &format!("{id}"), &about)),
        );
        all.push(cluster);
    }
    Ok(all)
}

struct About {
    is_provisioned: bool,
    brokers: u32,
    class: String,
    storage_bytes: Option<f64>,
    level: String,
}

fn cluster(info: &Value) -> Option<(Resource, String, About)> {
    let text = |pointer: &str| {
        info.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let number = |pointer: &str| info.pointer(pointer).and_then(Value::as_f64);
    let (name, state) = (text("/clusterName"), text("/state"));
    if name.is_empty() {
        return None;
    }
    let class = text("/provisioned/brokerNodeGroupInfo/instanceType");
    let is_express = class.starts_with("express.");
    let level = text("/provisioned/enhancedMonitoring");
    let brokers = number("/provisioned/numberOfBrokerNodes").unwrap_or_default();
    let kind = if is_express { "express" } else { "standard" };
    let is_live = matches!(
        state.as_str(),
        "ACTIVE" | "HEALING" | "MAINTENANCE" | "REBOOTING_BROKER" | "UPDATING"
    );
    let mut resource = Resource {
        kind: "kafka_cluster",
        family: "kafka",
        arn: text("/clusterArn").into(),
        dimensions: vec![("Cluster Name".into(), name.as_str().into())],
        state: if is_live { State::Live } else { State::Idle },
        info: vec![
            ("kind", kind.to_owned()),
            (
                "kafka_version",
                text("/provisioned/currentBrokerSoftwareInfo/kafkaVersion"),
            ),
            ("instance_type", class.clone()),
            ("monitoring", level.clone()),
            ("state", state.clone()),
        ],
        ..Resource::default()
    };
    let tags = info.get("tags").and_then(Value::as_object).into_iter().flatten();
    resource.tags = tags
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    resource.mark("standard", !is_express);
    resource.mark("express", is_express);
    resource.mark(
        "zookeeper",
        !text("/provisioned/zookeeperConnectString").is_empty(),
    );
    resource.flag("available", is_live);
    resource.told("state", &[("state", &state)], 1.0);
    resource.fact("brokers", brokers);
    let storage = number("/provisioned/brokerNodeGroupInfo/storageInfo/ebsStorageInfo/volumeSize");
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of brokers"
    )]
    let about = About {
        is_provisioned: info.get("provisioned").is_some(),
        brokers: brokers as u32,
        class,
        storage_bytes: storage.map(|gib| gib * GIB),
        level,
    };
    Some((resource, name, about))
}

fn broker(cluster: &Resource, name: &str, id: &str, about: &About) -> Resource {
    let class = Class::read(&about.class);
    let is_burstable = class.is_some_and(|class| class.is_burstable());
    let mut resource = Resource {
        kind: "kafka_broker",
        family: "kafka_broker",
        dimensions: vec![
            ("Cluster Name".into(), name.into()),
            ("Broker ID".into(), id.into()),
        ],
        info: vec![("instance_type", about.class.clone())],
        facts: Vec::new(),
        ..cluster.clone()
    };
    resource.mark("burstable", is_burstable);
    resource.mark("per_broker", about.level.starts_with("PER_"));
    resource.known("vcpus", class.and_then(|class| class.vcpus()));
    resource.known("memory_bytes", class.and_then(|class| class.memory_bytes()));
    resource.known("storage_bytes", about.storage_bytes);
    resource.known("partitions_max", class.map(|class| partitions_max(&class)));
    resource.fact("connections_max", IAM_CONNECTIONS_MAX);
    let rate = if is_burstable {
        IAM_CONNECTIONS_PER_SECOND_T3
    } else {
        IAM_CONNECTIONS_PER_SECOND
    };
    resource.fact("connection_rate_max", rate);
    resource.flag("burstable", is_burstable);
    resource
}

/// What AWS recommends, replicas included.
fn partitions_max(class: &Class<'_>) -> f64 {
    match (class.is_burstable(), class.size()) {
        (true, _) => 300.0,
        (_, "large" | "xlarge") => 1_000.0,
        (_, "2xlarge") => 2_000.0,
        _ => 4_000.0,
    }
}

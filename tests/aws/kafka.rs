//! Managed Streaming for Kafka (REST with JSON): clusters, their brokers, and where those are spoken to.

use std::collections::BTreeMap;

use model::Timestamp;

use crate::asked::{Asked, Refusal};
use crate::metrics::{mix, seed};
use crate::protocol::page::Pages;
use crate::protocol::tree::{Tree, tree};
use crate::rds::Tags;
use crate::services::Call;

/// All clusters of an account in a region, by their ARN, as two may have had one name.
#[derive(Clone, Debug, Default)]
pub struct Kafka {
    pub clusters: BTreeMap<String, KafkaCluster>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaCluster {
    pub name: String,
    /// Follows the name in the ARN.
    pub uuid: String,
    /// `ACTIVE`, `HEALING`, `MAINTENANCE`, `UPDATING`, `REBOOTING_BROKER`, …
    pub state: String,
    /// `kafka.t3.small`, `express.m7g.large`.
    pub instance_type: String,
    pub version: String,
    /// None with Express.
    pub volume_gib: Option<i64>,
    pub volume_throughput_mib: Option<i64>,
    pub brokers: Vec<Broker>,
    pub zookeepers: i64,
    /// `DEFAULT`, `PER_BROKER`, `PER_TOPIC_PER_BROKER`, `PER_TOPIC_PER_PARTITION`.
    pub monitoring: String,
    /// Open monitoring: port 11001, and port 11002.
    pub has_jmx_exporter: bool,
    pub has_node_exporter: bool,
    pub has_iam: bool,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Broker {
    pub id: i64,
    pub subnet: String,
    pub address: String,
}

impl KafkaCluster {
    /// With so many brokers, each in a subnet of its own.
    #[must_use]
    pub fn new(name: &str, instance_type: &str, brokers: i64) -> Self {
        let (one, other) = (mix(seed(name)), mix(mix(seed(name))));
        let uuid = format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}-2",
            one >> 32,
            one >> 16 & 0xffff,
            one & 0xfff,
            other >> 52,
            other & 0xffff_ffff_ffff
        );
        let broker = |id: i64| Broker {
            id,
            subnet: format!("subnet-{:017x}", mix(id as u64)),
            address: format!("10.0.{id}.{}", 10 + id),
        };
        Self {
            name: name.to_owned(),
            uuid,
            state: "ACTIVE".to_owned(),
            instance_type: instance_type.to_owned(),
            version: "3.8.x".to_owned(),
            volume_gib: (!instance_type.starts_with("express.")).then_some(100),
            brokers: (1..=brokers).map(broker).collect(),
            monitoring: "DEFAULT".to_owned(),
            has_iam: true,
            ..Self::default()
        }
    }

    /// After the account in its ARN.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("cluster/{}/{}", self.name, self.uuid)
    }

    fn address(&self, broker: i64, region: &str) -> String {
        format!(
            "b-{broker}.{}.{}.c2.kafka.{region}.amazonaws.com",
            self.name,
            self.uuid.get(..6).unwrap_or_default()
        )
    }
}

const PAGES: Pages = Pages {
    token: "nextToken",
    next: "nextToken",
    size: "maxResults",
    usual: 100,
    least: 1,
    most: 100,
    wrong_token: "BadRequestException",
    wrong_size: "BadRequestException",
};

pub(crate) fn route(asked: &Asked) -> Option<&'static str> {
    if asked.method != "GET" {
        return None;
    }
    let path = asked.path.trim_end_matches('/');
    Some(match (path, arn_of(path)) {
        ("/api/v2/clusters", _) => "ListClustersV2",
        (path, Some(_)) if path.starts_with("/api/v2/") => "DescribeClusterV2",
        (path, Some(_)) if path.ends_with("/nodes") => "ListNodes",
        (path, Some(_)) if path.ends_with("/bootstrap-brokers") => "GetBootstrapBrokers",
        _ => return None,
    })
}

/// The ARN in a path, which is one part of it with its slashes escaped.
fn arn_of(path: &str) -> Option<String> {
    let rest = path
        .strip_prefix("/api/v2/clusters/")
        .or_else(|| path.strip_prefix("/v1/clusters/"))?;
    let arn = rest.split('/').next()?;
    // A plus is a plus in a path.
    let arn = arn.replace('+', "%2B");
    let mut pairs = form_urlencoded::parse(arn.as_bytes());
    let arn = pairs.next()?.0.into_owned();
    arn.starts_with("arn:").then_some(arn)
}

pub(crate) const OPERATIONS: [&str; 4] = [
    "ListClustersV2",
    "DescribeClusterV2",
    "ListNodes",
    "GetBootstrapBrokers",
];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "ListClustersV2" => clusters(call),
        "DescribeClusterV2" => of(call, |cluster| Ok(tree! {"clusterInfo": shown(call, cluster)})),
        "ListNodes" => of(call, |cluster| nodes(call, cluster)),
        "GetBootstrapBrokers" => of(call, |cluster| {
            let brokers = |port: u32| {
                let brokers = cluster.brokers.iter();
                let brokers =
                    brokers.map(|broker| format!("{}:{port}", cluster.address(broker.id, call.region)));
                brokers.collect::<Vec<_>>().join(",")
            };
            Ok(tree! {
                "bootstrapBrokerStringTls": brokers(9094),
                "bootstrapBrokerStringSaslIam": cluster.has_iam.then(|| brokers(9098)),
            })
        }),
        _ => Err(call.spoken.no_operation()),
    }
}

fn of(call: &Call<'_>, say: impl FnOnce(&KafkaCluster) -> Result<Tree, Refusal>) -> Result<Tree, Refusal> {
    let arn = call.fields().text("path").and_then(arn_of).unwrap_or_default();
    let found = call.place(|place| place.kafka.clusters.get(&arn).cloned());
    let missing = || {
        Refusal::new(
            "NotFoundException",
            "The cluster doesn't exist in this account and region.",
        )
    };
    say(&found.ok_or_else(missing)?)
}

fn clusters(call: &Call<'_>) -> Result<Tree, Refusal> {
    let name = call.fields().text("clusterNameFilter");
    let found = call.place(|place| {
        let all = place.kafka.clusters.iter();
        let found = all.filter(|(_, cluster)| name.is_none_or(|name| cluster.name.starts_with(name)));
        found
            .map(|(arn, cluster)| (arn.clone(), shown(call, cluster)))
            .collect()
    });
    call.paged(&PAGES, ("clusterInfoList", ""), found)
}

fn shown(call: &Call<'_>, cluster: &KafkaCluster) -> Tree {
    let subnets = cluster.brokers.iter().map(|broker| &broker.subnet);
    let throughput = cluster
        .volume_throughput_mib
        .map(|mib| tree! {"enabled": true, "volumeThroughput": mib});
    let storage = cluster.volume_gib.map(|gib| {
        tree! {"ebsStorageInfo": tree! {"volumeSize": gib, "provisionedThroughput": throughput}}
    });
    let tags = cluster.tags.iter();
    let tags = tags.map(|(key, value)| (key.clone(), Tree::from(value)));
    tree! {
        "clusterType": "PROVISIONED",
        "clusterArn": call.arn("kafka", &cluster.resource()),
        "clusterName": &cluster.name,
        "creationTime": cluster.created,
        "currentVersion": "K3P5ROKL5A1OLE",
        "state": &cluster.state,
        "tags": Tree::Named(tags.collect()),
        "provisioned": tree! {
            "brokerNodeGroupInfo": tree! {
                "brokerAZDistribution": "DEFAULT",
                "clientSubnets": Tree::members(subnets),
                "instanceType": &cluster.instance_type,
                "securityGroups": Tree::members(["sg-0123456789abcdef0"]),
                "storageInfo": storage,
            },
            "currentBrokerSoftwareInfo": tree! {"kafkaVersion": &cluster.version},
            "clientAuthentication": tree! {
                "sasl": tree! {"iam": tree! {"enabled": cluster.has_iam}, "scram": tree! {"enabled": false}},
                "tls": tree! {"enabled": true, "certificateAuthorityArnList": Tree::members::<&str>([])},
                "unauthenticated": tree! {"enabled": false},
            },
            "encryptionInfo": tree! {
                "encryptionAtRest": tree! {"dataVolumeKMSKeyId": call.arn("kms", "key/00000000-0000-0000-0000-000000000000")},
                "encryptionInTransit": tree! {"clientBroker": "TLS", "inCluster": true},
            },
            "enhancedMonitoring": &cluster.monitoring,
            "openMonitoring": tree! {"prometheus": tree! {
                "jmxExporter": tree! {"enabledInBroker": cluster.has_jmx_exporter},
                "nodeExporter": tree! {"enabledInBroker": cluster.has_node_exporter},
            }},
            "numberOfBrokerNodes": cluster.brokers.len(),
            "storageMode": cluster.volume_gib.map(|_| "LOCAL"),
            "customerActionStatus": "NONE",
        },
    }
}

fn nodes(call: &Call<'_>, cluster: &KafkaCluster) -> Result<Tree, Refusal> {
    let arn = |kind: &str, nth: i64| {
        call.arn(
            "kafka",
            &format!("{kind}/{}/{}/{nth}", cluster.name, cluster.uuid),
        )
    };
    let brokers = cluster.brokers.iter().map(|broker| {
        let info = tree! {
            "attachedENIId": format!("eni-{:017x}", mix(seed(&broker.address))),
            "brokerId": broker.id as f64,
            "clientSubnet": &broker.subnet,
            "clientVpcIpAddress": &broker.address,
            "currentBrokerSoftwareInfo": tree! {"kafkaVersion": &cluster.version},
            "endpoints": Tree::members([cluster.address(broker.id, call.region)]),
        };
        let said = tree! {
            "addedToClusterTime": Tree::from(cluster.created),
            "brokerNodeInfo": info,
            "instanceType": &cluster.instance_type,
            "nodeARN": arn("broker", broker.id),
            "nodeType": "BROKER",
        };
        (format!("1 {:08}", broker.id), said)
    });
    let keepers = (1..=cluster.zookeepers).map(|nth| {
        let info = tree! {
            "clientVpcIpAddress": format!("10.0.9.{nth}"),
            "endpoints": Tree::members([format!("z-{nth}.{}.kafka.amazonaws.com", cluster.name)]),
            "zookeeperId": nth as f64,
            "zookeeperVersion": "3.5.8",
        };
        let said = tree! {
            "nodeARN": arn("zookeeper", nth),
            "nodeType": "ZOOKEEPER",
            "zookeeperNodeInfo": info,
        };
        (format!("2 {nth:08}"), said)
    });
    call.paged(&PAGES, ("nodeInfoList", ""), brokers.chain(keepers).collect())
}

//! EC2: NAT gateways, volumes, machines and subnets, as far as somebody watches them.

use std::collections::BTreeMap;

use model::Timestamp;

use crate::asked::Refusal;
use crate::metrics::{mix, seed};
use crate::protocol::page::Pages;
use crate::protocol::tree::{Tree, tree};
use crate::rds::Tags;
use crate::services::Call;

/// All of an account in a region, by their ids.
#[derive(Clone, Debug, Default)]
pub struct Ec2 {
    pub nat_gateways: BTreeMap<String, NatGateway>,
    pub volumes: BTreeMap<String, Volume>,
    pub instances: BTreeMap<String, Instance>,
    pub subnets: BTreeMap<String, Subnet>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatGateway {
    pub id: String,
    pub subnet: String,
    /// `available`, `failed`, `deleted`, …
    pub state: String,
    pub zone: String,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    pub id: String,
    pub size_gib: i64,
    /// `gp3`, `gp2`, `io2`.
    pub kind: String,
    pub iops: Option<i64>,
    pub throughput_mib: Option<i64>,
    /// `in-use`, `available`, `error`.
    pub state: String,
    pub zone: String,
    pub instance: Option<String>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    /// `m5.large`.
    pub kind: String,
    /// `running`, `stopped`, `terminated`, …
    pub state: String,
    pub zone: String,
    pub subnet: String,
    pub address: String,
    pub is_spot: bool,
    pub launched: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    pub zone: String,
    pub cidr: String,
    /// Addresses that nobody has.
    pub free_addresses: i64,
    pub tags: Tags,
}

/// As AWS gives ids.
#[must_use]
pub fn id(kind: &str, name: &str) -> String {
    format!("{kind}-0{:016x}", mix(seed(name)))
}

impl NatGateway {
    #[must_use]
    pub fn new(name: &str, subnet: &str, zone: &str) -> Self {
        Self {
            id: id("nat", name),
            subnet: subnet.to_owned(),
            state: "available".to_owned(),
            zone: zone.to_owned(),
            tags: named(name),
            ..Self::default()
        }
    }
}

impl Volume {
    /// Of gp3, in use by a machine.
    #[must_use]
    pub fn new(name: &str, size_gib: i64, instance: &Instance) -> Self {
        Self {
            id: id("vol", name),
            size_gib,
            kind: "gp3".to_owned(),
            iops: Some(3000),
            throughput_mib: Some(125),
            state: "in-use".to_owned(),
            zone: instance.zone.clone(),
            instance: Some(instance.id.clone()),
            tags: named(name),
            ..Self::default()
        }
    }
}

impl Instance {
    #[must_use]
    pub fn new(name: &str, kind: &str, subnet: &Subnet) -> Self {
        Self {
            id: id("i", name),
            kind: kind.to_owned(),
            state: "running".to_owned(),
            zone: subnet.zone.clone(),
            subnet: subnet.id.clone(),
            address: format!("10.0.1.{}", mix(seed(name)) % 250 + 4),
            tags: named(name),
            ..Self::default()
        }
    }
}

impl Subnet {
    #[must_use]
    pub fn new(name: &str, zone: &str, cidr: &str, free_addresses: i64) -> Self {
        Self {
            id: id("subnet", name),
            zone: zone.to_owned(),
            cidr: cidr.to_owned(),
            free_addresses,
            tags: named(name),
        }
    }
}

fn named(name: &str) -> Tags {
    vec![("Name".to_owned(), name.to_owned())]
}

const PAGES: Pages = Pages {
    token: "NextToken",
    next: "nextToken",
    size: "MaxResults",
    usual: 1000,
    least: 5,
    most: 1000,
    wrong_token: "InvalidParameterValue",
    wrong_size: "InvalidParameterValue",
};
const VPC: &str = "vpc-0123456789abcdef0";

pub(crate) const OPERATIONS: [&str; 4] = [
    "DescribeNatGateways",
    "DescribeVolumes",
    "DescribeInstances",
    "DescribeSubnets",
];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "DescribeNatGateways" => nat_gateways(call),
        "DescribeVolumes" => volumes(call),
        "DescribeInstances" => instances(call),
        "DescribeSubnets" => subnets(call),
        _ => Err(call.spoken.no_operation()),
    }
}

/// What can be asked for by its id and by its filters.
struct Item {
    id: String,
    /// By the name of a filter.
    values: Vec<(&'static str, String)>,
    tags: Tags,
    said: Tree,
}

/// One page of what is asked for; who names ids gets them all or nothing.
fn chosen(
    call: &Call<'_>,
    (ids, missing): (&str, &'static str),
    list: &'static str,
    items: Vec<Item>,
) -> Result<Tree, Refusal> {
    let fields = call.fields();
    let ids = fields.texts(ids);
    if let Some(unknown) = ids.iter().find(|id| !items.iter().any(|item| item.id == **id)) {
        return Err(Refusal::new(
            missing,
            format!("The ID '{unknown}' does not exist"),
        ));
    }
    if !ids.is_empty() && fields.whole(PAGES.size).is_some() {
        return Err(Refusal::new(
            "InvalidParameterCombination",
            "The parameter MaxResults cannot be used with ids",
        ));
    }
    let filters = fields.filters("Filter");
    let mut found = Vec::new();
    'items: for item in items {
        if !ids.is_empty() && !ids.contains(&item.id.as_str()) {
            continue;
        }
        for (name, values) in &filters {
            let own = match name.strip_prefix("tag:") {
                Some(key) => item
                    .tags
                    .iter()
                    .find(|(own, _)| own == key)
                    .map(|(_, value)| value),
                None => {
                    let own = item.values.iter().find(|(own, _)| own == name);
                    let unknown =
                        || Refusal::new("InvalidParameterValue", format!("The filter '{name}' is invalid"));
                    Some(&own.ok_or_else(unknown)?.1)
                }
            };
            if !own.is_some_and(|own| values.contains(&own.as_str())) {
                continue 'items;
            }
        }
        found.push((item.id, item.said));
    }
    call.paged(&PAGES, (list, "item"), found)
}

fn tag_set(tags: &Tags) -> Tree {
    let tags = tags.iter();
    Tree::list(
        "item",
        tags.map(|(key, value)| tree! {"key": key, "value": value}),
    )
}

fn nat_gateways(call: &Call<'_>) -> Result<Tree, Refusal> {
    let items = call.place(|place| {
        let all = place.ec2.nat_gateways.values();
        let items = all.map(|gateway| {
            let number = mix(seed(&gateway.id)) % 250 + 1;
            let address = tree! {
                "allocationId": id("eipalloc", &gateway.id),
                "networkInterfaceId": id("eni", &gateway.id),
                "privateIp": format!("10.0.0.{number}"),
                "publicIp": format!("198.51.100.{number}"),
                "isPrimary": true,
                "status": "succeeded",
            };
            Item {
                id: gateway.id.clone(),
                values: vec![
                    ("nat-gateway-id", gateway.id.clone()),
                    ("state", gateway.state.clone()),
                    ("subnet-id", gateway.subnet.clone()),
                    ("vpc-id", VPC.to_owned()),
                ],
                tags: gateway.tags.clone(),
                said: tree! {
                    "createTime": gateway.created,
                    "natGatewayAddressSet": Tree::list("item", [address]),
                    "natGatewayId": &gateway.id,
                    "state": &gateway.state,
                    "subnetId": &gateway.subnet,
                    "vpcId": VPC,
                    "tagSet": tag_set(&gateway.tags),
                    "connectivityType": "public",
                },
            }
        });
        items.collect()
    });
    chosen(
        call,
        ("NatGatewayId", "NatGatewayNotFound"),
        "natGatewaySet",
        items,
    )
}

fn volumes(call: &Call<'_>) -> Result<Tree, Refusal> {
    let items = call.place(|place| {
        let all = place.ec2.volumes.values();
        let items = all.map(|volume| {
            let attached = volume.instance.iter().map(|instance| {
                tree! {
                    "volumeId": &volume.id,
                    "instanceId": instance,
                    "device": "/dev/xvda",
                    "status": "attached",
                    "attachTime": volume.created,
                    "deleteOnTermination": true,
                }
            });
            Item {
                id: volume.id.clone(),
                values: vec![
                    ("volume-id", volume.id.clone()),
                    ("status", volume.state.clone()),
                    ("volume-type", volume.kind.clone()),
                    ("availability-zone", volume.zone.clone()),
                    (
                        "attachment.instance-id",
                        volume.instance.clone().unwrap_or_default(),
                    ),
                ],
                tags: volume.tags.clone(),
                said: tree! {
                    "volumeId": &volume.id,
                    "size": volume.size_gib,
                    "availabilityZone": &volume.zone,
                    "status": &volume.state,
                    "createTime": volume.created,
                    "attachmentSet": Tree::list("item", attached),
                    "iops": volume.iops,
                    "tagSet": tag_set(&volume.tags),
                    "volumeType": &volume.kind,
                    "multiAttachEnabled": false,
                    "throughput": volume.throughput_mib,
                    "encrypted": true,
                },
            }
        });
        items.collect()
    });
    chosen(call, ("VolumeId", "InvalidVolume.NotFound"), "volumeSet", items)
}

fn instances(call: &Call<'_>) -> Result<Tree, Refusal> {
    let account = call.account;
    let items = call.place(|place| {
        let all = place.ec2.instances.values();
        let items = all.map(|instance| {
            let code = match instance.state.as_str() {
                "pending" => 0_i64,
                "running" => 16,
                "shutting-down" => 32,
                "terminated" => 48,
                "stopping" => 64,
                _ => 80,
            };
            let shown = tree! {
                "instanceId": &instance.id,
                "instanceState": tree! {"code": code, "name": &instance.state},
                "privateDnsName": format!("ip-{}.{}.compute.internal", instance.address.replace('.', "-"), call.region),
                "instanceType": &instance.kind,
                "launchTime": instance.launched,
                "placement": tree! {"availabilityZone": &instance.zone, "tenancy": "default"},
                "subnetId": &instance.subnet,
                "vpcId": VPC,
                "privateIpAddress": &instance.address,
                "instanceLifecycle": instance.is_spot.then_some("spot"),
                "tagSet": tag_set(&instance.tags),
            };
            Item {
                id: instance.id.clone(),
                values: vec![
                    ("instance-id", instance.id.clone()),
                    ("instance-state-name", instance.state.clone()),
                    ("instance-type", instance.kind.clone()),
                    ("availability-zone", instance.zone.clone()),
                    ("subnet-id", instance.subnet.clone()),
                    ("vpc-id", VPC.to_owned()),
                ],
                tags: instance.tags.clone(),
                said: tree! {
                    "reservationId": id("r", &instance.id),
                    "ownerId": account,
                    "instancesSet": Tree::list("item", [shown]),
                },
            }
        });
        items.collect()
    });
    chosen(
        call,
        ("InstanceId", "InvalidInstanceID.NotFound"),
        "reservationSet",
        items,
    )
}

fn subnets(call: &Call<'_>) -> Result<Tree, Refusal> {
    let account = call.account;
    let items = call.place(|place| {
        let all = place.ec2.subnets.values();
        let items = all.map(|subnet| Item {
            id: subnet.id.clone(),
            values: vec![
                ("subnet-id", subnet.id.clone()),
                ("availability-zone", subnet.zone.clone()),
                ("vpc-id", VPC.to_owned()),
            ],
            tags: subnet.tags.clone(),
            said: tree! {
                "subnetId": &subnet.id,
                "subnetArn": call.arn("ec2", &format!("subnet/{}", subnet.id)),
                "state": "available",
                "ownerId": account,
                "vpcId": VPC,
                "cidrBlock": &subnet.cidr,
                "availableIpAddressCount": subnet.free_addresses,
                "availabilityZone": &subnet.zone,
                "defaultForAz": false,
                "mapPublicIpOnLaunch": false,
                "tagSet": tag_set(&subnet.tags),
            },
        });
        items.collect()
    });
    chosen(call, ("SubnetId", "InvalidSubnetID.NotFound"), "subnetSet", items)
}

//! NAT gateways, volumes, machines, the groups that make them, and the networks they have their addresses from.

use super::ask::{Asker, Refused};
use super::classes::Class;
use super::operations as ask;
use super::rds::tags;
use super::resource::{Resource, State};
use super::xml::Node;

const GIB: f64 = 1_073_741_824.0;
const MIB: f64 = 1_048_576.0;
/// AWS keeps five addresses of each network for itself.
const ADDRESSES_KEPT: f64 = 5.0;

/// EC2 gives no ARN; it follows from the id.
fn arn(ask: &Asker, account: &str, what: &str, id: &str) -> String {
    let partition = match &*ask.region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    format!("arn:{partition}:ec2:{}:{account}:{what}/{id}", ask.region)
}

pub(super) async fn gateways(ask: &Asker, account: &str) -> Result<Vec<Resource>, Refused> {
    let mut found = Vec::new();
    let read = |page: &Node<'_, '_>| {
        found.extend(page.members("natGatewaySet").filter_map(|node| {
            let id = node.text("natGatewayId")?;
            let state = node.text("state").unwrap_or_default();
            let mut resource = Resource {
                kind: "nat_gateway",
                family: "natgateway",
                arn: arn(ask, account, "natgateway", id).into(),
                dimensions: vec![("NatGatewayId".into(), id.into())],
                state: if state == "available" {
                    State::Live
                } else {
                    State::Idle
                },
                info: vec![
                    ("vpc_id", node.text("vpcId").unwrap_or_default().to_owned()),
                    ("subnet_id", node.text("subnetId").unwrap_or_default().to_owned()),
                    ("state", state.to_owned()),
                ],
                tags: tags(&node, "tagSet"),
                ..Resource::default()
            };
            resource.flag("available", state == "available");
            (state != "deleted").then_some(resource)
        }));
    };
    ask.pages(&ask::NAT_GATEWAYS, &[], read).await?;
    Ok(found)
}

pub(super) async fn volumes(ask: &Asker, account: &str) -> Result<Vec<Resource>, Refused> {
    let mut found = Vec::new();
    let read = |page: &Node<'_, '_>| {
        for node in page.members("volumeSet") {
            found.extend(volume(&node, |id| arn(ask, account, "volume", id)));
        }
    };
    ask.pages(&ask::VOLUMES, &[("MaxResults", "500")], read).await?;
    Ok(found)
}

fn volume(node: &Node<'_, '_>, arn: impl Fn(&str) -> String) -> Vec<Resource> {
    let Some(id) = node.text("volumeId") else {
        return Vec::new();
    };
    let kind = node.text("volumeType").unwrap_or_default();
    let state = node.text("status").unwrap_or_default();
    let mut attached = node
        .members("attachmentSet")
        .filter_map(|attachment| attachment.text("instanceId"));
    let machine = attached.next();
    let mut resource = Resource {
        kind: "volume",
        family: "ebs",
        arn: arn(id).into(),
        dimensions: vec![("VolumeId".into(), id.into())],
        // Of a volume that nobody uses nothing is published.
        state: if machine.is_some() {
            State::Live
        } else {
            State::Idle
        },
        tags: tags(node, "tagSet"),
        ..Resource::default()
    };
    resource.mark("gp2", kind == "gp2");
    let attachment = machine.map(|machine| Resource {
        kind: "volume_attachment",
        family: "ebs_attachment",
        dimensions: vec![
            ("VolumeId".into(), id.into()),
            ("InstanceId".into(), machine.into()),
        ],
        tags: std::collections::BTreeMap::new(),
        ..resource.clone()
    });
    resource.info = vec![
        ("instance_id", machine.unwrap_or_default().to_owned()),
        ("volume_type", kind.to_owned()),
        ("state", state.to_owned()),
        (
            "availability_zone",
            node.text("availabilityZone").unwrap_or_default().to_owned(),
        ),
    ];
    resource.known("size_bytes", node.number("size").map(|gib| gib * GIB));
    resource.known("provisioned_iops", node.number("iops"));
    let throughput = node.number("throughput").map(|mib| mib * MIB);
    resource.known("provisioned_throughput_bytes_per_second", throughput);
    let mut both = vec![resource];
    both.extend(attachment);
    both
}

pub(super) async fn machines(ask: &Asker, account: &str) -> Result<Vec<Resource>, Refused> {
    let mut found = Vec::new();
    let read = |page: &Node<'_, '_>| {
        for reservation in page.members("reservationSet") {
            found.extend(reservation.members("instancesSet").filter_map(|node| {
                let id = node.text("instanceId")?;
                let class_name = node.text("instanceType").unwrap_or_default();
                let class = Class::read(class_name);
                let state = node
                    .at(&["instanceState"])
                    .and_then(|state| state.text("name"))
                    .unwrap_or_default();
                let zone = node
                    .at(&["placement"])
                    .and_then(|placement| placement.text("availabilityZone"));
                let mut resource = Resource {
                    kind: "machine",
                    family: "ec2",
                    arn: arn(ask, account, "instance", id).into(),
                    dimensions: vec![("InstanceId".into(), id.into())],
                    state: if state == "running" {
                        State::Live
                    } else {
                        State::Idle
                    },
                    info: vec![
                        ("instance_type", class_name.to_owned()),
                        (
                            "lifecycle",
                            node.text("instanceLifecycle").unwrap_or("on-demand").to_owned(),
                        ),
                        ("availability_zone", zone.unwrap_or_default().to_owned()),
                        ("state", state.to_owned()),
                    ],
                    tags: tags(&node, "tagSet"),
                    ..Resource::default()
                };
                resource.mark("burstable", class.is_some_and(|class| class.is_burstable()));
                resource.flag("running", state == "running");
                (state != "terminated").then_some(resource)
            }));
        }
    };
    ask.pages(&ask::MACHINES, &[("MaxResults", "1000")], read).await?;
    Ok(found)
}

pub(super) async fn subnets(ask: &Asker, account: &str) -> Result<Vec<Resource>, Refused> {
    let mut found = Vec::new();
    let read = |page: &Node<'_, '_>| {
        found.extend(page.members("subnetSet").filter_map(|node| {
            let id = node.text("subnetId")?;
            let mut resource = Resource {
                kind: "subnet",
                family: "subnet",
                arn: arn(ask, account, "subnet", id).into(),
                info: vec![
                    ("subnet_id", id.to_owned()),
                    ("vpc_id", node.text("vpcId").unwrap_or_default().to_owned()),
                    (
                        "availability_zone",
                        node.text("availabilityZone").unwrap_or_default().to_owned(),
                    ),
                ],
                tags: tags(&node, "tagSet"),
                ..Resource::default()
            };
            let labels: Vec<(&'static str, String)> = resource.info.clone();
            let labels: Vec<(&'static str, &str)> = labels
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            if let Some(left) = node.number("availableIpAddressCount") {
                resource.told("available_ip_addresses", &labels, left);
            }
            if let Some(all) = node.text("cidrBlock").and_then(addresses) {
                resource.told("ip_addresses", &labels, all);
            }
            Some(resource)
        }));
    };
    ask.pages(&ask::SUBNETS, &[("MaxResults", "1000")], read).await?;
    Ok(found)
}

/// How many a network has for others than AWS.
fn addresses(block: &str) -> Option<f64> {
    let length: i32 = block.rsplit_once('/')?.1.parse().ok()?;
    (0..=32)
        .contains(&length)
        .then(|| (2f64.powi(32 - length) - ADDRESSES_KEPT).max(0.0))
}

pub(super) async fn groups(ask: &Asker) -> Result<Vec<Resource>, Refused> {
    let mut found = Vec::new();
    let read = |page: &Node<'_, '_>| {
        found.extend(page.members("AutoScalingGroups").filter_map(|node| {
            let name = node.text("AutoScalingGroupName")?;
            let mut resource = Resource {
                kind: "scaling_group",
                family: "autoscaling",
                arn: node.text("AutoScalingGroupARN").unwrap_or_default().into(),
                dimensions: vec![("AutoScalingGroupName".into(), name.into())],
                tags: tags(&node, "Tags"),
                ..Resource::default()
            };
            resource.mark("metrics", node.members("EnabledMetrics").next().is_some());
            resource.known("desired_capacity", node.number("DesiredCapacity"));
            resource.known("max_size", node.number("MaxSize"));
            resource.known("min_size", node.number("MinSize"));
            let in_service = node
                .members("Instances")
                .filter(|one| one.text("LifecycleState") == Some("InService"));
            #[expect(clippy::cast_precision_loss, reason = "a number of machines")]
            resource.fact("in_service_instances", in_service.count() as f64);
            Some(resource)
        }));
    };
    ask.pages(&ask::SCALING_GROUPS, &[], read).await?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_network_are_those_that_can_be_given_out() {
        assert_eq!(addresses("10.0.0.0/24"), Some(251.0));
        assert_eq!(addresses("10.0.0.0/16"), Some(65_531.0));
        assert_eq!(addresses("10.0.0.0"), None);
    }
}

//! Auto Scaling: groups with the machines that are in them.

use std::collections::BTreeMap;

use model::Timestamp;

use crate::asked::Refusal;
use crate::protocol::page::Pages;
use crate::protocol::tree::{Tree, tree};
use crate::rds::Tags;
use crate::services::Call;

/// All groups of an account in a region, by their names.
#[derive(Clone, Debug, Default)]
pub struct AutoScaling {
    pub groups: BTreeMap<String, Group>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub least: i64,
    pub most: i64,
    pub desired: i64,
    pub zones: Vec<String>,
    pub subnets: Vec<String>,
    pub instances: Vec<Member>,
    /// Metrics of groups cost nothing, but must be switched on.
    pub has_metrics: bool,
    /// Deleted when it is set.
    pub status: Option<String>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub kind: String,
    pub zone: String,
    /// `InService`, `Pending`, `Terminating`, …
    pub state: String,
    /// `Healthy`, `Unhealthy`.
    pub health: String,
}

const PAGES: Pages = Pages {
    token: "NextToken",
    next: "NextToken",
    size: "MaxRecords",
    usual: 50,
    least: 1,
    most: 100,
    wrong_token: "InvalidNextToken",
    wrong_size: "ValidationError",
};
const METRICS: [&str; 4] = [
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupInServiceCapacity",
    "GroupTotalInstances",
];

pub(crate) const OPERATIONS: [&str; 1] = ["DescribeAutoScalingGroups"];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "DescribeAutoScalingGroups" => groups(call),
        _ => Err(call.spoken.no_operation()),
    }
}

/// Names that are not known are no error here.
fn groups(call: &Call<'_>) -> Result<Tree, Refusal> {
    let wanted = call.fields().texts("AutoScalingGroupNames");
    let found = call.place(|place| {
        let all = place.autoscaling.groups.values();
        let found = all.filter(|group| wanted.is_empty() || wanted.contains(&group.name.as_str()));
        found
            .map(|group| (group.name.clone(), shown(call, group)))
            .collect()
    });
    call.paged(&PAGES, ("AutoScalingGroups", "member"), found)
}

fn shown(call: &Call<'_>, group: &Group) -> Tree {
    let name = &group.name;
    let members = group.instances.iter().map(|member| {
        tree! {
            "InstanceId": &member.id,
            "InstanceType": &member.kind,
            "AvailabilityZone": &member.zone,
            "LifecycleState": &member.state,
            "HealthStatus": &member.health,
            "ProtectedFromScaleIn": false,
        }
    });
    let metrics = METRICS.iter().filter(|_| group.has_metrics);
    let metrics = metrics.map(|metric| tree! {"Metric": *metric, "Granularity": "1Minute"});
    let tags = group.tags.iter().map(|(key, value)| {
        tree! {
            "ResourceId": name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": true,
        }
    });
    let arn = format!("autoScalingGroup:00000000-0000-4000-a000-000000000000:autoScalingGroupName/{name}");
    tree! {
        "AutoScalingGroupName": name,
        "AutoScalingGroupARN": call.arn("autoscaling", &arn),
        "MinSize": group.least,
        "MaxSize": group.most,
        "DesiredCapacity": group.desired,
        "DefaultCooldown": 300_i64,
        "AvailabilityZones": Tree::members(&group.zones),
        "LoadBalancerNames": Tree::members::<&str>([]),
        "TargetGroupARNs": Tree::members::<&str>([]),
        "HealthCheckType": "EC2",
        "HealthCheckGracePeriod": 15_i64,
        "Instances": Tree::members(members),
        "CreatedTime": group.created,
        "SuspendedProcesses": Tree::members::<&str>([]),
        "VPCZoneIdentifier": group.subnets.join(","),
        "EnabledMetrics": Tree::members(metrics),
        "Status": group.status.as_ref(),
        "Tags": Tree::members(tags),
        "TerminationPolicies": Tree::members(["Default"]),
        "NewInstancesProtectedFromScaleIn": false,
        "CapacityRebalance": true,
    }
}

//! Elastic Load Balancing v2: load balancers, target groups, how their targets are, and tags.

use std::collections::BTreeMap;

use model::Timestamp;

use crate::asked::Refusal;
use crate::metrics::{mix, seed};
use crate::protocol::page::Pages;
use crate::protocol::tree::{Tree, tree};
use crate::rds::Tags;
use crate::services::Call;

/// All load balancers and target groups of an account in a region, by their names.
#[derive(Clone, Debug, Default)]
pub struct Balancing {
    pub load_balancers: BTreeMap<String, LoadBalancer>,
    pub target_groups: BTreeMap<String, TargetGroup>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadBalancer {
    pub name: String,
    /// Sixteen digits at the end of its ARN.
    pub id: String,
    /// `application`, `network`, `gateway`.
    pub kind: String,
    /// `internet-facing`, `internal`.
    pub scheme: String,
    /// `active`, `active_impaired`, `provisioning`, `failed`.
    pub state: String,
    pub zones: Vec<String>,
    pub created: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    pub name: String,
    pub id: String,
    pub protocol: String,
    pub port: i64,
    /// `ip`, `instance`, `lambda`.
    pub target_type: String,
    /// Names of the load balancers that send to it.
    pub load_balancers: Vec<String>,
    pub health_path: Option<String>,
    pub targets: Vec<Target>,
    pub tags: Tags,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub id: String,
    pub port: i64,
    pub zone: String,
    /// `healthy`, `unhealthy`, `draining`, `initial`, `unused`.
    pub state: String,
    /// Why not, as `Target.FailedHealthChecks`.
    pub reason: Option<String>,
}

fn digits(name: &str) -> String {
    format!("{:016x}", mix(seed(name)))
}

impl LoadBalancer {
    /// One for HTTP, open to the world.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: digits(name),
            kind: "application".to_owned(),
            scheme: "internet-facing".to_owned(),
            state: "active".to_owned(),
            zones: ["a", "b", "c"]
                .map(|zone| format!("{}{zone}", crate::REGION))
                .to_vec(),
            ..Self::default()
        }
    }

    /// As metrics have it: `app/<name>/<id>`.
    #[must_use]
    pub fn dimension(&self) -> String {
        let kind = match self.kind.as_str() {
            "application" => "app",
            "network" => "net",
            _ => "gwy",
        };
        format!("{kind}/{}/{}", self.name, self.id)
    }

    /// After the account in its ARN.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("loadbalancer/{}", self.dimension())
    }
}

impl TargetGroup {
    /// One for HTTP on a port, whose targets are addresses.
    #[must_use]
    pub fn new(name: &str, load_balancer: &str, port: i64) -> Self {
        Self {
            name: name.to_owned(),
            id: digits(name),
            protocol: "HTTP".to_owned(),
            port,
            target_type: "ip".to_owned(),
            load_balancers: vec![load_balancer.to_owned()],
            health_path: Some("/healthz".to_owned()),
            ..Self::default()
        }
    }

    /// As metrics have it, and after the account in its ARN: `targetgroup/<name>/<id>`.
    #[must_use]
    pub fn dimension(&self) -> String {
        format!("targetgroup/{}/{}", self.name, self.id)
    }
}

impl Target {
    #[must_use]
    pub fn new(id: &str, port: i64, zone: &str) -> Self {
        Self {
            id: id.to_owned(),
            port,
            zone: zone.to_owned(),
            state: "healthy".to_owned(),
            reason: None,
        }
    }
}

const PAGES: Pages = Pages {
    token: "Marker",
    next: "NextMarker",
    size: "PageSize",
    usual: 400,
    least: 1,
    most: 400,
    wrong_token: "ValidationError",
    wrong_size: "ValidationError",
};
const SERVICE: &str = "elasticloadbalancing";

pub(crate) const OPERATIONS: [&str; 4] = [
    "DescribeLoadBalancers",
    "DescribeTargetGroups",
    "DescribeTargetHealth",
    "DescribeTags",
];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "DescribeLoadBalancers" => load_balancers(call),
        "DescribeTargetGroups" => target_groups(call),
        "DescribeTargetHealth" => health(call),
        "DescribeTags" => tags(call),
        _ => Err(call.spoken.no_operation()),
    }
}

fn load_balancers(call: &Call<'_>) -> Result<Tree, Refusal> {
    let (arns, names) = (
        call.fields().texts("LoadBalancerArns"),
        call.fields().texts("Names"),
    );
    let found: Vec<(String, Tree)> = call.place(|place| {
        let all = place.balancing.load_balancers.values();
        all.filter_map(|one| {
            let arn = call.arn(SERVICE, &one.resource());
            if !(arns.is_empty() || arns.contains(&arn.as_str()))
                || !(names.is_empty() || names.contains(&one.name.as_str()))
            {
                return None;
            }
            let zones = one.zones.iter().map(|zone| {
                tree! {
                    "ZoneName": zone,
                    "SubnetId": format!("subnet-{:017x}", mix(seed(zone))),
                    "LoadBalancerAddresses": Tree::members::<&str>([]),
                }
            });
            let said = tree! {
                "LoadBalancerArn": arn,
                "DNSName": format!("{}-{}.{}.elb.amazonaws.com", one.name, one.id, call.region),
                "CanonicalHostedZoneId": "Z32O12XQLNTSW2",
                "CreatedTime": one.created,
                "LoadBalancerName": &one.name,
                "Scheme": &one.scheme,
                "VpcId": "vpc-0123456789abcdef0",
                "State": tree! {"Code": &one.state},
                "Type": &one.kind,
                "AvailabilityZones": Tree::members(zones),
                "SecurityGroups": Tree::members(["sg-0123456789abcdef0"]),
                "IpAddressType": "ipv4",
            };
            Some((one.name.clone(), said))
        })
        .collect()
    });
    if found.len() < arns.len().max(names.len()) {
        return Err(Refusal::new(
            "LoadBalancerNotFound",
            "One or more load balancers not found",
        ));
    }
    call.paged(&PAGES, ("LoadBalancers", "member"), found)
}

fn target_groups(call: &Call<'_>) -> Result<Tree, Refusal> {
    let fields = call.fields();
    let of = fields.text("LoadBalancerArn");
    let (arns, names) = (fields.texts("TargetGroupArns"), fields.texts("Names"));
    let (found, is_known) = call.place(|place| {
        let balancing = &place.balancing;
        let arn_of = |name: &String| {
            let one = balancing.load_balancers.get(name)?;
            Some(call.arn(SERVICE, &one.resource()))
        };
        let is_known = of.is_none_or(|of| {
            let mut known = balancing.load_balancers.keys().filter_map(arn_of);
            known.any(|arn| arn == of)
        });
        let found = balancing.target_groups.values().filter_map(|group| {
            let arn = call.arn(SERVICE, &group.dimension());
            let senders: Vec<String> = group.load_balancers.iter().filter_map(arn_of).collect();
            let fits = of.is_none_or(|of| senders.iter().any(|arn| arn == of))
                && (arns.is_empty() || arns.contains(&arn.as_str()))
                && (names.is_empty() || names.contains(&group.name.as_str()));
            fits.then(|| (group.name.clone(), group_shown(group, arn, senders)))
        });
        (found.collect::<Vec<_>>(), is_known)
    });
    if !is_known {
        return Err(Refusal::new(
            "LoadBalancerNotFound",
            "One or more load balancers not found",
        ));
    }
    if found.len() < arns.len().max(names.len()) {
        return Err(no_group());
    }
    call.paged(&PAGES, ("TargetGroups", "member"), found)
}

fn no_group() -> Refusal {
    Refusal::new("TargetGroupNotFound", "One or more target groups not found")
}

fn group_shown(group: &TargetGroup, arn: String, senders: Vec<String>) -> Tree {
    tree! {
        "TargetGroupArn": arn,
        "TargetGroupName": &group.name,
        "Protocol": &group.protocol,
        "Port": group.port,
        "VpcId": "vpc-0123456789abcdef0",
        "HealthCheckProtocol": &group.protocol,
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": true,
        "HealthCheckIntervalSeconds": 15_i64,
        "HealthCheckTimeoutSeconds": 5_i64,
        "HealthyThresholdCount": 2_i64,
        "UnhealthyThresholdCount": 2_i64,
        "HealthCheckPath": group.health_path.as_ref(),
        "Matcher": group.health_path.as_ref().map(|_| tree! {"HttpCode": "200"}),
        "LoadBalancerArns": Tree::members(senders),
        "TargetType": &group.target_type,
        "ProtocolVersion": group.health_path.as_ref().map(|_| "HTTP1"),
        "IpAddressType": "ipv4",
    }
}

fn health(call: &Call<'_>) -> Result<Tree, Refusal> {
    let wanted = call.fields().needed("TargetGroupArn")?;
    let found = call.place(|place| {
        let mut all = place.balancing.target_groups.values();
        all.find(|group| call.arn(SERVICE, &group.dimension()) == wanted)
            .cloned()
    });
    let group = found.ok_or_else(no_group)?;
    let targets = group.targets.iter().map(|target| {
        tree! {
            "Target": tree! {"Id": &target.id, "Port": target.port, "AvailabilityZone": &target.zone},
            "HealthCheckPort": target.port.to_string(),
            "TargetHealth": tree! {"State": &target.state, "Reason": target.reason.as_ref()},
        }
    });
    Ok(tree! {"TargetHealthDescriptions": Tree::members(targets)})
}

/// Of up to 20 resources.
fn tags(call: &Call<'_>) -> Result<Tree, Refusal> {
    let arns = call.fields().texts("ResourceArns");
    if arns.is_empty() || arns.len() > 20 {
        return Err(Refusal::new(
            "ValidationError",
            "Up to 20 resources can be described at a time",
        ));
    }
    let described: Option<Vec<Tree>> = call.place(|place| {
        let balancers = place.balancing.load_balancers.values();
        let balancers = balancers.map(|one| (call.arn(SERVICE, &one.resource()), &one.tags));
        let groups = place.balancing.target_groups.values();
        let groups = groups.map(|group| (call.arn(SERVICE, &group.dimension()), &group.tags));
        let known: BTreeMap<String, &Tags> = balancers.chain(groups).collect();
        let said = arns.iter().map(|arn| {
            let tags = known.get(*arn)?.iter();
            let tags = tags.map(|(key, value)| tree! {"Key": key, "Value": value});
            Some(tree! {"ResourceArn": *arn, "Tags": Tree::members(tags)})
        });
        said.collect()
    });
    let missing = || Refusal::new("LoadBalancerNotFound", "One or more load balancers not found");
    Ok(tree! {"TagDescriptions": Tree::members(described.ok_or_else(missing)?)})
}

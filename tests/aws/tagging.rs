//! The tagging API: whatever has tags, of all services, by type and by tag.

use std::collections::BTreeMap;

use crate::asked::Refusal;
use crate::place::Place;
use crate::protocol::page::Pages;
use crate::protocol::tree::{Tree, tree};
use crate::rds::Tags;
use crate::services::Call;

const PAGES: Pages = Pages {
    token: "PaginationToken",
    next: "PaginationToken",
    size: "ResourcesPerPage",
    usual: 50,
    least: 1,
    most: 100,
    wrong_token: "PaginationTokenExpiredException",
    wrong_size: "InvalidParameterException",
};
const NO_MORE: &str = "";

pub(crate) const OPERATIONS: [&str; 1] = ["GetResources"];

pub(crate) fn answer(call: &Call<'_>) -> Result<Tree, Refusal> {
    match call.operation() {
        "GetResources" => resources(call),
        _ => Err(call.spoken.no_operation()),
    }
}

fn resources(call: &Call<'_>) -> Result<Tree, Refusal> {
    let fields = call.fields();
    let types = fields.texts("ResourceTypeFilters");
    let arns = fields.texts("ResourceARNList");
    if !arns.is_empty()
        && (!types.is_empty()
            || fields
                .text("PaginationToken")
                .is_some_and(|token| !token.is_empty()))
    {
        return Err(Refusal::new(
            "InvalidParameterException",
            "ResourceARNList cannot be used with other filters",
        ));
    }
    let filters: Vec<(&str, Vec<&str>)> = fields
        .list("TagFilters")
        .into_iter()
        .filter_map(|filter| Some((filter.text("Key")?, filter.texts("Values"))))
        .collect();
    let found: Vec<(String, Tree)> = call.place(|place| {
        let all = tagged(place).into_iter();
        all.filter(|(arn, tags)| {
            // What has no tags is not known here.
            !tags.is_empty()
                && (arns.is_empty() || arns.contains(&arn.as_str()))
                && (types.is_empty() || types.iter().any(|kind| is_of(arn, kind)))
                && filters.iter().all(|(key, values)| {
                    let mut tags = tags.iter();
                    tags.any(|(own, value)| {
                        own == key && (values.is_empty() || values.contains(&value.as_str()))
                    })
                })
        })
        .map(|(arn, tags)| {
            let tags = tags.iter();
            let tags = tags.map(|(key, value)| tree! {"Key": key, "Value": value});
            let said = tree! {"ResourceARN": &arn, "Tags": Tree::members(tags)};
            (arn, said)
        })
        .collect()
    });
    let mut said = call.paged(&PAGES, ("ResourceTagMappingList", "member"), found)?;
    if let Tree::Map(pairs) = &mut said {
        let token = pairs.iter_mut().find(|(name, _)| *name == PAGES.next);
        if let Some((_, token @ Tree::Nothing)) = token {
            *token = Tree::from(NO_MORE);
        }
    }
    Ok(said)
}

/// `rds`, `rds:db`, `elasticloadbalancing:loadbalancer/app`.
fn is_of(arn: &str, kind: &str) -> bool {
    let (service, resource) = kind.split_once(':').unwrap_or((kind, ""));
    let mut parts = arn.splitn(6, ':').skip(2);
    let is_service = parts.next() == Some(service);
    let own = parts.nth(2).unwrap_or_default();
    let rest = own.strip_prefix(resource);
    is_service && (resource.is_empty() || rest.is_some_and(|rest| rest.starts_with([':', '/'])))
}

/// Everything that can have tags, by its ARN.
fn tagged(place: &Place) -> BTreeMap<String, &Tags> {
    let mut all = BTreeMap::new();
    let mut add = |service: &str, resource: String, tags| {
        all.insert(place.arn(service, &resource), tags);
    };
    for instance in place.rds.instances.values() {
        add("rds", format!("db:{}", instance.id), &instance.tags);
    }
    for cluster in place.rds.clusters.values() {
        add("rds", format!("cluster:{}", cluster.id), &cluster.tags);
    }
    for proxy in place.rds.proxies.values() {
        add("rds", format!("db-proxy:{}", proxy.id), &proxy.tags);
    }
    for cluster in place.elasticache.clusters.values() {
        add("elasticache", format!("cluster:{}", cluster.id), &cluster.tags);
    }
    for group in place.elasticache.groups.values() {
        add(
            "elasticache",
            format!("replicationgroup:{}", group.id),
            &group.tags,
        );
    }
    for cache in place.elasticache.serverless.values() {
        add(
            "elasticache",
            format!("serverlesscache:{}", cache.name),
            &cache.tags,
        );
    }
    for cluster in place.kafka.clusters.values() {
        add("kafka", cluster.resource(), &cluster.tags);
    }
    for balancer in place.balancing.load_balancers.values() {
        add("elasticloadbalancing", balancer.resource(), &balancer.tags);
    }
    for group in place.balancing.target_groups.values() {
        add("elasticloadbalancing", group.dimension(), &group.tags);
    }
    for gateway in place.ec2.nat_gateways.values() {
        add("ec2", format!("natgateway/{}", gateway.id), &gateway.tags);
    }
    for volume in place.ec2.volumes.values() {
        add("ec2", format!("volume/{}", volume.id), &volume.tags);
    }
    for instance in place.ec2.instances.values() {
        add("ec2", format!("instance/{}", instance.id), &instance.tags);
    }
    for subnet in place.ec2.subnets.values() {
        add("ec2", format!("subnet/{}", subnet.id), &subnet.tags);
    }
    for (name, queue) in &place.sqs.queues {
        add("sqs", name.clone(), &queue.tags);
    }
    for (resource, tags) in &place.tagged {
        all.insert(resource.clone(), tags);
    }
    all
}

//! What AWS has in one place: described by each service itself, so that what nobody has tagged is there as well.
//!
//! A part that cannot be described stays as it was last seen, and says why. What has gone is gone with the next description.

pub mod ask;
mod classes;
mod elasticache;
mod elb;
pub(crate) mod happened;
mod kafka;
mod network;
pub mod operations;
pub mod queue;
pub mod quotas;
mod rds;
pub mod resource;
mod xml;

use std::collections::{BTreeMap, HashMap};

use model::Timestamp;
use serde_json::Value;

use ask::{Asker, Refused};
use operations::Operation;
use quotas::Quota;
pub use resource::{Fact, Place, Resource, State};
use xml::Node;

/// What is described on its own: what is missing of one says nothing of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Databases,
    DatabaseClusters,
    DatabaseProxies,
    Caches,
    ServerlessCaches,
    Kafka,
    Balancers,
    Gateways,
    Volumes,
    Machines,
    Subnets,
    ScalingGroups,
}

impl Part {
    pub const ALL: [Self; 12] = [
        Self::Databases,
        Self::DatabaseClusters,
        Self::DatabaseProxies,
        Self::Caches,
        Self::ServerlessCaches,
        Self::Kafka,
        Self::Balancers,
        Self::Gateways,
        Self::Volumes,
        Self::Machines,
        Self::Subnets,
        Self::ScalingGroups,
    ];

    /// The service that a configuration names it by.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::Databases | Self::DatabaseClusters | Self::DatabaseProxies => "rds",
            Self::Caches | Self::ServerlessCaches => "elasticache",
            Self::Kafka => "kafka",
            Self::Balancers => "elb",
            Self::Gateways | Self::Subnets => "network",
            Self::Volumes => "ebs",
            Self::Machines => "ec2",
            Self::ScalingGroups => "autoscaling",
        }
    }

    /// The question that it begins with, and stands for it in series.
    #[must_use]
    pub fn operation(self) -> &'static Operation {
        match self {
            Self::Databases => &operations::DB_INSTANCES,
            Self::DatabaseClusters => &operations::DB_CLUSTERS,
            Self::DatabaseProxies => &operations::DB_PROXIES,
            Self::Caches => &operations::CACHE_CLUSTERS,
            Self::ServerlessCaches => &operations::SERVERLESS_CACHES,
            Self::Kafka => &operations::KAFKA_CLUSTERS,
            Self::Balancers => &operations::LOAD_BALANCERS,
            Self::Gateways => &operations::NAT_GATEWAYS,
            Self::Volumes => &operations::VOLUMES,
            Self::Machines => &operations::MACHINES,
            Self::Subnets => &operations::SUBNETS,
            Self::ScalingGroups => &operations::SCALING_GROUPS,
        }
    }

    /// Describes it. Beside what is there stand questions about it that were refused.
    ///
    /// # Errors
    /// Nothing is known of what is there.
    pub async fn describe(
        self,
        ask: &Asker,
        account: &str,
    ) -> Result<(Vec<Resource>, Vec<Refused>), Refused> {
        let mut missed = Vec::new();
        let found = match self {
            Self::Databases => rds::instances(ask, &mut missed).await,
            Self::DatabaseClusters => rds::clusters(ask).await,
            Self::DatabaseProxies => rds::proxies(ask, &mut missed).await,
            Self::Caches => elasticache::nodes(ask).await,
            Self::ServerlessCaches => elasticache::serverless(ask).await,
            Self::Kafka => kafka::clusters(ask, &mut missed).await,
            Self::Balancers => elb::balancers(ask).await,
            Self::Gateways => network::gateways(ask, account).await,
            Self::Volumes => network::volumes(ask, account).await,
            Self::Machines => network::machines(ask, account).await,
            Self::Subnets => network::subnets(ask, account).await,
            Self::ScalingGroups => network::groups(ask).await,
        };
        found.map(|found| (found, missed))
    }
}

/// Who we are there.
///
/// # Errors
/// AWS does not say.
pub async fn account(ask: &Asker) -> Result<String, Refused> {
    let mut account = String::new();
    let read = |page: &Node<'_, '_>| page.text("Account").unwrap_or_default().clone_into(&mut account);
    ask.pages(&operations::CALLER_IDENTITY, &[], read).await?;
    Ok(account)
}

/// Tags by ARN.
pub type Tags = HashMap<String, BTreeMap<String, String>>;

/// All tags of everything that has some, in one row of questions.
///
/// # Errors
/// They cannot all be had.
pub async fn tags(ask: &Asker) -> Result<Tags, Refused> {
    let mut tags = Tags::new();
    let read = |page: &Value| {
        let list = page.get("ResourceTagMappingList").and_then(Value::as_array);
        for resource in list.into_iter().flatten() {
            let Some(arn) = resource.get("ResourceARN").and_then(Value::as_str) else {
                continue;
            };
            let list = resource
                .get("Tags")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let pairs = list.filter_map(|tag| {
                let text = |name| tag.get(name).and_then(Value::as_str).map(str::to_owned);
                Some((text("Key")?, text("Value").unwrap_or_default()))
            });
            tags.insert(arn.to_owned(), pairs.collect());
        }
    };
    ask.documents(&operations::TAGGED, "", read).await?;
    Ok(tags)
}

/// What is known of one part.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub resources: Vec<Resource>,
    /// When it was last described.
    pub at: Option<Timestamp>,
    /// Why not since.
    pub refused: Option<Refused>,
    /// Questions about it that were refused beside.
    pub missed: Vec<Refused>,
}

/// What is known of one place.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    parts: BTreeMap<Part, Known>,
    /// Found by their metrics.
    listed: Vec<Resource>,
    tags: Tags,
    quotas: Vec<Quota>,
    /// What changes when something fails over: what it was, and how often it changed.
    moves: HashMap<(&'static str, String), (String, u32)>,
    /// How often anything of it has become other.
    version: u64,
}

impl Inventory {
    /// Another one each time that a plan made of it might be another.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Takes what a part has said. Whether anything else is there now than before, or is in another state.
    pub fn take(
        &mut self,
        part: Part,
        said: Result<(Vec<Resource>, Vec<Refused>), Refused>,
        at: Timestamp,
    ) -> bool {
        let known = self.parts.entry(part).or_default();
        let (mut resources, missed) = match said {
            Ok(said) => said,
            Err(refused) => {
                known.refused = Some(refused);
                return false;
            }
        };
        for resource in &mut resources {
            follow(&mut self.moves, resource);
        }
        let is_same = known.resources.len() == resources.len()
            && known.resources.iter().zip(&resources).all(|(one, other)| {
                (&one.dimensions, one.state, &one.traits) == (&other.dimensions, other.state, &other.traits)
            });
        self.version += u64::from(known.resources != resources);
        *known = Known {
            resources,
            at: Some(at),
            refused: None,
            missed,
        };
        !is_same
    }

    pub fn take_tags(&mut self, tags: Tags) {
        self.version += u64::from(self.tags != tags);
        self.tags = tags;
    }

    pub fn take_quotas(&mut self, quotas: Vec<Quota>) {
        self.quotas = quotas;
    }

    #[must_use]
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    /// What was found by its metrics, all of it.
    pub fn take_listed(&mut self, listed: Vec<Resource>) -> bool {
        let is_same = self.listed == listed;
        self.listed = listed;
        self.version += u64::from(!is_same);
        !is_same
    }

    /// The same with some of it only.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Resource) -> bool) -> Self {
        let mut less = self.clone();
        less.parts
            .values_mut()
            .for_each(|known| known.resources.retain(&keep));
        less.listed.retain(&keep);
        less
    }

    #[must_use]
    pub fn parts(&self) -> &BTreeMap<Part, Known> {
        &self.parts
    }

    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.parts
            .values()
            .flat_map(|known| &known.resources)
            .chain(&self.listed)
    }

    /// A resource's own tags, or those that the tagging interface has for it.
    #[must_use]
    pub fn tags_of<'a>(&'a self, resource: &'a Resource) -> &'a BTreeMap<String, String> {
        if resource.tags.is_empty() {
            self.tags.get(&*resource.arn).unwrap_or(&resource.tags)
        } else {
            &resource.tags
        }
    }

    /// What is known of all of them, as series.
    #[must_use]
    pub fn series(&self, place: &Place, tags: &[String]) -> Vec<(model::Labels, f64)> {
        let all = self.resources().filter(|resource| !resource.info.is_empty());
        all.flat_map(|resource| {
            if resource.tags.is_empty() {
                let mut tagged = resource.clone();
                tagged.tags = self.tags_of(resource).clone();
                tagged.series(place, tags)
            } else {
                resource.series(place, tags)
            }
        })
        .collect()
    }
}

/// Counts how often a database has changed its zone, or a group of caches the nodes that lead.
fn follow(moves: &mut HashMap<(&'static str, String), (String, u32)>, resource: &mut Resource) {
    let (label, name) = match resource.kind {
        "db_instance" if !resource.is("aurora") => ("availability_zone", "az_changes_total"),
        "cache_group" => ("primaries", "primary_changes_total"),
        _ => return,
    };
    let now = resource.info.iter().find(|(known, _)| *known == label);
    let now = now.map(|(_, value)| value.clone()).unwrap_or_default();
    let key = (resource.kind, resource.arn.to_string());
    let (was, count) = moves.entry(key).or_insert_with(|| (now.clone(), 0));
    if !now.is_empty() && !was.is_empty() && *was != now {
        *count += 1;
    }
    if !now.is_empty() {
        *was = now;
    }
    let count = f64::from(*count);
    resource.fact(name, count);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(zone: &str) -> Resource {
        Resource {
            kind: "db_instance",
            family: "rds",
            arn: "arn:a".into(),
            dimensions: vec![("DBInstanceIdentifier".into(), "a".into())],
            info: vec![("availability_zone", zone.to_owned())],
            ..Resource::default()
        }
    }

    #[test]
    fn a_database_that_changes_its_zone_is_counted_and_a_refusal_forgets_nothing() {
        let mut inventory = Inventory::default();
        let take = |inventory: &mut Inventory, zone: &str| {
            inventory.take(
                Part::Databases,
                Ok((vec![database(zone)], Vec::new())),
                Timestamp(0),
            )
        };
        assert!(take(&mut inventory, "a"));
        assert!(!take(&mut inventory, "a"));
        let refused = Refused::Away {
            operation: "DescribeDBInstances",
            why: "no route".to_owned(),
        };
        assert!(!inventory.take(Part::Databases, Err(refused), Timestamp(1)));
        take(&mut inventory, "b");
        let changes: Vec<f64> = inventory
            .series(&Place::new("1", "r"), &[])
            .into_iter()
            .filter(|(labels, _)| labels.name() == "aws_rds_az_changes_total")
            .map(|(_, value)| value)
            .collect();
        assert_eq!(changes, [1.0]);
    }
}

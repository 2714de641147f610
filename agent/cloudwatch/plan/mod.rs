//! What is asked for, how often, for whom, and what it costs: from what is wanted and what is there, before anything is asked.
//!
//! A series is in the plan when a need wants it, its resource is there and can have it. It is asked for as often as the most
//! impatient of its needs says, and never twice.

pub mod need;
pub mod price;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use model::Labels;
use model::labels::METRIC_NAME;

use crate::catalogue::{Catalogue, Kind, Tier};
use crate::inventory::{Inventory, Place, Resource, State};
use need::{By, Need};

/// One series of CloudWatch: a metric of a resource, and a statistic of it. Its labels say which one it is.
#[derive(Clone, Debug)]
pub struct Series {
    /// Of its labels: there are thousands, and each is looked up several times a minute.
    fingerprint: u64,
    pub place: Place,
    pub namespace: Arc<str>,
    pub metric: Arc<str>,
    pub statistic: Arc<str>,
    pub dimensions: Vec<(Arc<str>, Arc<str>)>,
    /// As it is kept.
    pub labels: Labels,
    pub unit: Arc<str>,
    pub kind: Kind,
    pub lag: Duration,
    pub zero_when_silent: bool,
    /// Since when its resource has been there is not known; nothing is made up for the time before it was first seen.
    pub tier: Tier,
}

impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || (self.fingerprint == other.fingerprint && self.labels == other.labels)
    }
}

impl Eq for Series {}

impl Hash for Series {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint);
    }
}

/// What is known of each series, looked up by its fingerprint as it is.
pub type BySeries<T> = HashMap<Arc<Series>, T, BuildHasherDefault<AsItIs>>;

/// Of numbers that look like chance already.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Which degrade first when money runs short: the last of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Somebody is woken by it.
    Fast,
    /// A rule reads it.
    Slow,
    /// Only people who look at a dashboard read it.
    Pages,
}

impl Class {
    pub const ALL: [Self; 3] = [Self::Fast, Self::Slow, Self::Pages];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Slow => "slow",
            Self::Pages => "pages",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Planned {
    pub series: Arc<Series>,
    pub interval: Duration,
    pub class: Class,
    /// Places in the plan's needs.
    pub by: Vec<usize>,
    /// Of its name, among those of the plan.
    pub name: usize,
}

#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub needs: Arc<[Need]>,
    /// In the order in which they are asked for: of one place, of one namespace, statistics of a metric side by side.
    pub planned: Vec<Planned>,
    /// What its series are called; each name once.
    pub names: Vec<Arc<str>>,
    /// Needs that nothing answers: the catalogue has no such metric, or no resource has it.
    pub unmet: Vec<usize>,
}

impl Plan {
    /// All of it.
    #[must_use]
    pub fn make(
        catalogue: &Catalogue,
        inventories: &BTreeMap<Place, Inventory>,
        needs: &Arc<[Need]>,
        pages_interval: Duration,
    ) -> Self {
        let mut by_kind: HashMap<&str, Vec<(&Place, &Resource)>> = HashMap::new();
        for (place, inventory) in inventories {
            for resource in inventory
                .resources()
                .filter(|resource| resource.state == State::Live)
            {
                by_kind.entry(resource.kind).or_default().push((place, resource));
            }
        }
        let mut found: HashMap<Labels, Planned> = HashMap::new();
        let (mut unmet, mut names) = (Vec::new(), Vec::new());
        let mut known_names: HashMap<&str, usize> = HashMap::new();
        for (number, need) in needs.iter().enumerate() {
            let mut is_met = false;
            let name = *known_names.entry(&need.name).or_insert_with(|| {
                names.push(Arc::clone(&need.name));
                names.len() - 1
            });
            for named in catalogue.find(&need.name) {
                let resources = by_kind.get(&*named.entry.resource).into_iter().flatten();
                for (place, resource) in resources {
                    let names = resource.dimensions.iter().map(|(name, _)| name);
                    // Of those that are listed by their metrics all are of one kind.
                    if !names.eq(&named.entry.dimensions)
                        || !resource.is_in(&named.entry.namespace)
                        || !named.about.applies_to(resource)
                    {
                        continue;
                    }
                    let labels = labels(&need.name, place, resource);
                    if !need.wants(|label| labels.get(label)) {
                        continue;
                    }
                    is_met = true;
                    let is_page = need.by.is_dashboard();
                    let class = match named.about.tier {
                        _ if is_page => Class::Pages,
                        Tier::Fast => Class::Fast,
                        Tier::Slow | Tier::Direct => Class::Slow,
                    };
                    let interval = need.interval.unwrap_or(pages_interval);
                    let planned = found.entry(labels.clone()).or_insert_with(|| Planned {
                        series: Arc::new(Series {
                            fingerprint: labels.fingerprint(),
                            place: (*place).clone(),
                            namespace: Arc::clone(&named.entry.namespace),
                            metric: Arc::clone(named.metric),
                            statistic: Arc::clone(&named.statistic),
                            dimensions: resource.dimensions.clone(),
                            labels,
                            unit: Arc::clone(&named.about.unit),
                            kind: named.about.kind,
                            lag: named.entry.lag,
                            zero_when_silent: named.about.zero_when_silent && &*named.statistic == "Sum",
                            tier: named.about.tier,
                        }),
                        interval,
                        class,
                        by: Vec::new(),
                        name,
                    });
                    planned.interval = planned.interval.min(interval);
                    planned.class = planned.class.min(class);
                    if planned.by.last() != Some(&number) {
                        planned.by.push(number);
                    }
                }
            }
            if !is_met {
                unmet.push(number);
            }
        }
        let mut planned: Vec<Planned> = found.into_values().collect();
        planned.sort_by(|one, other| order(&one.series).cmp(&order(&other.series)));
        Self {
            needs: Arc::clone(needs),
            planned,
            names,
            unmet,
        }
    }

    /// Of 30 days, as it is planned.
    #[must_use]
    pub fn monthly(&self) -> f64 {
        self.planned
            .iter()
            .map(|planned| price::monthly(planned.interval))
            .sum()
    }

    /// What each need costs in a month. A series that several need is shared among them, the most impatient first: each pays
    /// its part of what would be saved without any of them.
    #[must_use]
    pub fn bill(&self) -> BTreeMap<By, Share> {
        let mut bill: BTreeMap<By, Share> = BTreeMap::new();
        for planned in &self.planned {
            let mut by: Vec<&By> = planned
                .by
                .iter()
                .filter_map(|need| Some(&self.needs.get(*need)?.by))
                .collect();
            // Whoever only looks on pays nothing while somebody else needs it more often.
            if planned.class != Class::Pages {
                by.retain(|by| !by.is_dashboard());
            }
            by.sort();
            by.dedup();
            #[expect(clippy::cast_precision_loss, reason = "a handful of needs")]
            let part = price::monthly(planned.interval) / by.len().max(1) as f64;
            for by in by {
                let share = bill.entry(by.clone()).or_insert_with(|| Share {
                    namespace: Arc::clone(&planned.series.namespace),
                    interval: planned.interval,
                    ..Share::default()
                });
                share.series += 1;
                share.dollars += part;
                share.interval = share.interval.min(planned.interval);
            }
        }
        bill
    }
}

/// What one need has of the plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// Of its first series; hardly anybody reads more than one.
    pub namespace: Arc<str>,
    pub series: usize,
    pub dollars: f64,
    /// Of its most frequent series.
    pub interval: Duration,
}

fn labels(name: &str, place: &Place, resource: &Resource) -> Labels {
    let labels = resource.labels(place);
    let labels = labels.iter().map(|(name, value)| (name.as_str(), &**value));
    Labels::from_pairs(labels.chain([(METRIC_NAME, name)]))
}

type Order<'a> = (&'a Place, &'a str, &'a [(Arc<str>, Arc<str>)], &'a str, &'a str);

fn order(series: &Series) -> Order<'_> {
    (
        &series.place,
        &series.namespace,
        &series.dimensions,
        &series.metric,
        &series.statistic,
    )
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use model::{MatchOp, Matcher};

    use super::*;
    use crate::inventory::Part;

    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::with(&[]));

    fn database(id: &str, traits: &[&'static str], state: State) -> Resource {
        Resource {
            kind: "db_instance",
            family: "rds",
            arn: format!("arn:aws:rds:r:1:db:{id}").into(),
            dimensions: vec![("DBInstanceIdentifier".into(), id.into())],
            traits: traits.iter().copied().collect(),
            state,
            ..Resource::default()
        }
    }

    fn estate() -> BTreeMap<Place, Inventory> {
        let mut inventory = Inventory::default();
        let all = vec![
            database("orders", &[], State::Live),
            database("orders-2", &["replica"], State::Live),
            database("old", &["replica"], State::Idle),
        ];
        inventory.take(Part::Databases, Ok((all, Vec::new())), model::Timestamp(0));
        BTreeMap::from([(Place::new("1", "r"), inventory)])
    }

    fn alert(name: &str, hold: u64, matchers: &[Matcher]) -> Need {
        let by = By::Alert {
            group: "g".into(),
            name: name.into(),
        };
        Need::new(
            name,
            matchers,
            Some(need::interval(Duration::from_secs(hold))),
            by,
        )
    }

    fn page(name: &str) -> Need {
        Need::new(name, &[], None, By::Dashboard { title: "RDS".into() })
    }

    fn plan(needs: Vec<Need>) -> Plan {
        Plan::make(&CATALOGUE, &estate(), &needs.into(), Duration::from_secs(3_600))
    }

    #[test]
    fn only_what_is_there_and_can_have_it_is_asked_for() {
        let plan = plan(vec![
            alert("aws_rds_replica_lag_maximum", 300, &[]),
            alert("aws_rds_burst_balance_average", 300, &[]),
            alert("aws_rds_no_such_metric_average", 300, &[]),
        ]);
        let asked: Vec<&str> = plan
            .planned
            .iter()
            .map(|planned| &*planned.series.dimensions[0].1)
            .collect();
        assert_eq!(asked, ["orders-2"]);
        assert_eq!(plan.unmet, [1, 2]);
    }

    #[test]
    fn the_most_impatient_need_sets_the_interval_and_pays() {
        let only = [Matcher::new(
            "dimension_DBInstanceIdentifier",
            MatchOp::Equal,
            "orders",
        )];
        let name = "aws_rds_cpuutilization_average";
        let plan = plan(vec![
            page(name),
            alert(name, 3_600, &only),
            alert(name, 300, &only),
        ]);
        let said: Vec<(&str, u64, Class)> = plan
            .planned
            .iter()
            .map(|planned| {
                (
                    &*planned.series.dimensions[0].1,
                    planned.interval.as_secs(),
                    planned.class,
                )
            })
            .collect();
        assert_eq!(
            said,
            [("orders", 300, Class::Fast), ("orders-2", 3_600, Class::Pages)]
        );
        let bill = plan.bill();
        let of = |by: &By| (bill[by].series, (bill[by].dollars * 1e4).round() / 1e2);
        assert_eq!(of(&By::Dashboard { title: "RDS".into() }), (1, 0.72));
        let all: f64 = bill.values().map(|share| share.dollars).sum();
        assert!((all - plan.monthly()).abs() < 1e-9, "{all} {}", plan.monthly());
    }
}

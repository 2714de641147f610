//! A larger estate, of 811 metrics that somebody may want, and 850 more that AWS publishes of the same things.

use std::time::Duration;

use super::catalogue;
use super::shape::{Incidents, add};
use super::users::{cache_series, roll_ups};
use crate::FakeAws;
use crate::Place;
use crate::balancing::{LoadBalancer, Target, TargetGroup};
use crate::elasticache::{CacheCluster, ReplicationGroup};
use crate::kafka::KafkaCluster;
use crate::rds::{DbInstance, Tags};

/// With exactly the dimensions that are needed, those of the stopped database among them.
pub const SAMPLE_SERIES: usize = 811;
/// With all dimensions.
pub const SAMPLE_KNOWN: usize = 1661;
/// It has been stopped for two days.
pub const STOPPED: &str = "orders-9";
const STOPPED_FOR: Duration = Duration::from_secs(2 * 24 * 3600);
const ZONES: [&str; 3] = super::users::ZONES;
const CLASSES: [&str; 2] = ["db.m6g.large", "db.t4g.medium"];
const KAFKA: &str = "clicks";

/// Fills the usual account and region. Every fifth thing has no tags.
pub fn sample(fake: &FakeAws) {
    sample_at(fake, crate::REGION);
}

/// The same in a region of the usual account.
pub fn sample_at(fake: &FakeAws, region: &str) {
    let now = fake.now();
    fake.opens(region);
    fake.at(crate::ACCOUNT, region, |place| {
        databases(place);
        caches(place);
        brokers(place);
        balancers(place);
        let metrics = &mut place.metrics;
        metrics.remove_all("DBInstanceIdentifier", STOPPED, now - STOPPED_FOR);
    });
}

fn tags(nth: usize, name: &str) -> Tags {
    if nth % 5 == 4 {
        return Tags::new();
    }
    vec![
        ("Name".to_owned(), name.to_owned()),
        ("team".to_owned(), format!("team-{}", nth % 3)),
    ]
}

/// Six, four copies of the first, and what AWS sums up of them.
fn databases(place: &mut Place) {
    let calm = Incidents::default();
    for nth in 0..10 {
        let id = format!("orders-{nth}");
        let is_copy = (1..5).contains(&nth);
        let instance = DbInstance {
            zone: ZONES.get(nth % 3).copied().unwrap_or_default().to_owned(),
            status: if id == STOPPED { "stopped" } else { "available" }.to_owned(),
            replica_of: is_copy.then(|| "orders-0".to_owned()),
            tags: tags(nth, &id),
            // All copies are of the first class.
            ..DbInstance::new(&id, if nth < 6 { CLASSES[0] } else { CLASSES[1] })
        };
        let shapes = catalogue::database().into_iter();
        let shapes = shapes.chain(is_copy.then(catalogue::replica_lag));
        let own = [("DBInstanceIdentifier", id.as_str())];
        add(&mut place.metrics, "AWS/RDS", &own, shapes, &calm);
        place.rds.instances.insert(id, instance);
    }
    roll_ups(&mut place.metrics, &CLASSES);
}

/// Five groups of two.
fn caches(place: &mut Place) {
    let calm = Incidents::default();
    for nth in 0..5 {
        let group = format!("sessions-{nth}");
        let nodes = [format!("{group}-001"), format!("{group}-002")];
        for (place_in, id) in nodes.iter().enumerate() {
            let cluster = CacheCluster {
                zone: ZONES.get(place_in).copied().unwrap_or_default().to_owned(),
                group: Some(group.clone()),
                ..CacheCluster::new(id, "cache.m6g.large")
            };
            place.elasticache.clusters.insert(id.clone(), cluster);
            let shapes = || catalogue::cache(place_in == 0).into_iter();
            cache_series(&mut place.metrics, id, shapes, &calm);
        }
        let shown = ReplicationGroup {
            tags: tags(nth, &group),
            ..ReplicationGroup::new(&group, "cache.m6g.large", &nodes.each_ref().map(String::as_str))
        };
        place.elasticache.groups.insert(group, shown);
    }
}

fn brokers(place: &mut Place) {
    let calm = Incidents::default();
    place.add_kafka(KafkaCluster {
        monitoring: "PER_TOPIC_PER_BROKER".to_owned(),
        tags: tags(0, KAFKA),
        ..KafkaCluster::new(KAFKA, "kafka.m5.large", 3)
    });
    let metrics = &mut place.metrics;
    let cluster = ("Cluster Name", KAFKA);
    let topics: Vec<String> = (0..20).map(|nth| format!("topic-{nth}")).collect();
    add(
        metrics,
        "AWS/Kafka",
        &[cluster],
        catalogue::kafka_cluster(3, 120.0, 20.0),
        &calm,
    );
    for broker in ["1", "2", "3"] {
        let broker = ("Broker ID", broker);
        add(
            metrics,
            "AWS/Kafka",
            &[cluster, broker],
            catalogue::broker(),
            &calm,
        );
        for topic in &topics {
            let own = [cluster, broker, ("Topic", topic.as_str())];
            add(metrics, "AWS/Kafka", &own, catalogue::topic(), &calm);
        }
    }
    for (nth, topic) in topics.iter().enumerate() {
        let group = format!("group-{}", nth % 7);
        let own = [
            cluster,
            ("Consumer Group", group.as_str()),
            ("Topic", topic.as_str()),
        ];
        add(metrics, "AWS/Kafka", &own, catalogue::lag(), &calm);
    }
}

/// Five with two target groups each, by zone as well.
fn balancers(place: &mut Place) {
    let calm = Incidents::default();
    let namespace = "AWS/ApplicationELB";
    for nth in 0..5 {
        let name = format!("web-{nth}");
        let balancer = LoadBalancer {
            tags: tags(nth, &name),
            ..LoadBalancer::new(&name)
        };
        let dimension = balancer.dimension();
        let lb = ("LoadBalancer", dimension.as_str());
        let requests = 6_000.0 + 2_000.0 * nth as f64;
        let metrics = &mut place.metrics;
        let shapes = || catalogue::balancer(requests).into_iter();
        let all = || shapes().chain(catalogue::target_group(requests, 6.0));
        add(metrics, namespace, &[lb], all(), &calm);
        for zone in ZONES {
            add(
                metrics,
                namespace,
                &[lb, ("AvailabilityZone", zone)],
                all(),
                &calm,
            );
        }
        for half in ["blue", "green"] {
            let name = format!("web-{nth}-{half}");
            let target = |at: usize| {
                let zone = ZONES.get(at % 3).copied().unwrap_or_default();
                Target::new(&format!("10.1.{nth}.{}", 10 + at), 8080, zone)
            };
            let group = TargetGroup {
                targets: (0..6).map(target).collect(),
                tags: tags(nth, &name),
                ..TargetGroup::new(&name, &balancer.name, 8080)
            };
            let dimension = group.dimension();
            let tg = ("TargetGroup", dimension.as_str());
            let shapes = || catalogue::target_group(requests / 2.0, 6.0);
            add(metrics, namespace, &[tg, lb], shapes(), &calm);
            for zone in ZONES {
                let own = [tg, lb, ("AvailabilityZone", zone)];
                add(metrics, namespace, &own, shapes(), &calm);
            }
            place.balancing.target_groups.insert(name, group);
        }
        place.balancing.load_balancers.insert(name, balancer);
    }
}

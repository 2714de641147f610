//! The two estates: how large they are, how calm a day is, and what an incident shows.

use std::collections::BTreeSet;
use std::time::Duration;

use super::metrics::{Caller, query};
use crate::estate::{Incident, SAMPLE_KNOWN, SAMPLE_SERIES, STOPPED, sample, users};
use crate::metrics::Statistic;
use crate::protocol::tree::{Tree, tree};
use crate::{FakeAws, REGION};
use model::{Clock, Timestamp};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// The sets of dimensions that anybody needs, by their names.
const NEEDED: [(&str, &[&str]); 8] = [
    ("AWS/RDS", &["DBInstanceIdentifier"]),
    ("AWS/ElastiCache", &["CacheClusterId", "CacheNodeId"]),
    ("AWS/Kafka", &["Cluster Name"]),
    ("AWS/Kafka", &["Broker ID", "Cluster Name"]),
    ("AWS/Kafka", &["Broker ID", "Cluster Name", "Topic"]),
    ("AWS/Kafka", &["Cluster Name", "Consumer Group", "Topic"]),
    ("AWS/ApplicationELB", &["LoadBalancer"]),
    ("AWS/ApplicationELB", &["LoadBalancer", "TargetGroup"]),
];

#[tokio::test(start_paused = true)]
async fn the_sample_is_as_large_as_its_price_was_calculated_for() {
    let caller = Caller::new();
    sample(&caller.fake);
    caller.fake.metrics(|metrics| {
        assert_eq!(metrics.all().count(), SAMPLE_KNOWN);
        let names: BTreeSet<(&str, &str)> = metrics
            .all()
            .map(|series| (series.namespace.as_str(), series.metric.as_str()))
            .collect();
        // Bytes in and out are metrics of brokers and of topics.
        assert_eq!(names.len(), 86);
        let of_group = |name: &str| {
            ["HTTPCode_Target", "Target", "Healthy", "UnHealthy", "Unhealthy"]
                .iter()
                .any(|start| name.starts_with(start))
        };
        let needed = metrics.all().filter(|series| {
            let own: Vec<&str> = series.dimensions.iter().map(|(name, _)| name.as_str()).collect();
            let is_needed = NEEDED
                .iter()
                .any(|(namespace, dimensions)| *namespace == series.namespace && *dimensions == own);
            // What a target group says is not asked for of its balancer as well.
            is_needed && !(own == ["LoadBalancer"] && of_group(&series.metric))
        });
        assert_eq!(needed.count(), SAMPLE_SERIES);
    });
    caller.fake.here(|place| {
        assert_eq!(place.rds.instances.len(), 10);
        assert_eq!(place.rds.instances[STOPPED].status, "stopped");
        assert!(
            place
                .rds
                .instances
                .values()
                .any(|instance| instance.tags.is_empty())
        );
    });
    let now = caller.clock.now();
    let silent = caller.fake.metrics(|metrics| {
        let own = [("DBInstanceIdentifier", STOPPED)];
        metrics.truth(
            "AWS/RDS",
            "CPUUtilization",
            &own,
            Statistic::Average,
            (now - DAY, now),
        )
    });
    assert_eq!(silent, [], "what is stopped says nothing, not 0");
}

/// The highest value of a day, or the lowest.
fn worst(
    fake: &FakeAws,
    namespace: &str,
    metric: &str,
    statistic: Statistic,
    now: Timestamp,
    lowest: bool,
) -> f64 {
    fake.metrics(|metrics| {
        let own = metrics
            .all()
            .filter(|series| series.namespace == namespace && series.metric == metric);
        let mut all: Vec<f64> = Vec::new();
        for series in own {
            let dimensions: Vec<(&str, &str)> = series
                .dimensions
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let day = metrics.truth(namespace, metric, &dimensions, statistic, (now - DAY, now));
            all.extend(day.into_iter().map(|(_, value)| value));
        }
        assert!(!all.is_empty(), "{namespace} {metric} says nothing all day");
        match lowest {
            true => all.into_iter().fold(f64::INFINITY, f64::min),
            false => all.into_iter().fold(f64::NEG_INFINITY, f64::max),
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_healthy_day_stays_below_every_threshold_that_is_recommended() {
    const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
    let caller = Caller::new();
    users(&caller.fake);
    let now = caller.clock.now();
    let most = |namespace: &str, metric: &str, limit: f64| {
        let found = worst(&caller.fake, namespace, metric, Statistic::Maximum, now, false);
        assert!(found < limit, "{namespace} {metric} reaches {found} of {limit}");
    };
    let least = |namespace: &str, metric: &str, limit: f64| {
        let found = worst(&caller.fake, namespace, metric, Statistic::Minimum, now, true);
        assert!(found > limit, "{namespace} {metric} falls to {found} of {limit}");
    };
    for (metric, limit) in [
        ("CPUUtilization", 80.0),
        ("DatabaseConnections", 180.0),
        ("ReadLatency", 0.02),
        ("WriteLatency", 0.02),
        ("DBLoad", 2.0),
        ("ReplicaLag", 60.0),
        ("DiskQueueDepth", 64.0),
        ("SwapUsage", 256.0 * 1024.0 * 1024.0),
        ("MaximumUsedTransactionIDs", 5e8),
        ("TransactionLogsDiskUsage", 10.0 * GIB),
        ("DatabaseConnectionsBorrowLatency", 50_000.0),
    ] {
        most("AWS/RDS", metric, limit);
    }
    for (metric, limit) in [
        ("FreeableMemory", 8.0 * GIB * 0.25),
        ("FreeStorageSpace", 100.0 * GIB * 0.2),
        ("EBSByteBalance%", 20.0),
        ("CPUCreditBalance", 100.0),
        ("AvailabilityPercentage", 99.0),
    ] {
        least("AWS/RDS", metric, limit);
    }
    for (metric, limit) in [
        ("EngineCPUUtilization", 80.0),
        ("CPUUtilization", 45.0),
        ("DatabaseMemoryUsagePercentage", 80.0),
        ("ReplicationLag", 1.0),
        ("NewConnections", 1_000.0),
        ("SuccessfulReadRequestLatency", 5_000.0),
    ] {
        most("AWS/ElastiCache", metric, limit);
    }
    least("AWS/ElastiCache", "CacheHitRate", 80.0);
    for (metric, limit) in [
        ("OfflinePartitionsCount", 0.5),
        ("UnderReplicatedPartitions", 0.5),
        ("CpuUser", 50.0),
        ("KafkaDataLogsDiskUsed", 85.0),
        ("HeapMemoryAfterGC", 60.0),
        ("BytesInPerSec", 1e6 * 0.8),
        ("EstimatedMaxTimeLag", 300.0),
        ("MaxOffsetLag", 10_000.0),
    ] {
        most("AWS/Kafka", metric, limit);
    }
    least("AWS/Kafka", "CPUCreditBalance", 100.0);
    let failures = worst(
        &caller.fake,
        "AWS/ApplicationELB",
        "HTTPCode_Target_5XX_Count",
        Statistic::Sum,
        now,
        false,
    );
    assert!(failures < 30_000.0 * 0.001, "{failures}");
    most("AWS/ApplicationELB", "TargetResponseTime", 1.0);
    most("AWS/NATGateway", "ErrorPortAllocation", 0.5);
    most("AWS/EC2", "StatusCheckFailed", 0.5);
}

/// What shows in which metric, and whether a value shows it.
type Shown<'a> = (
    Incident,
    &'a str,
    &'a str,
    &'a [(&'a str, &'a str)],
    fn(Option<f64>) -> bool,
);

#[tokio::test(start_paused = true)]
async fn each_incident_shows_while_it_lasts_and_no_longer() {
    let caller = Caller::new();
    let estate = users(&caller.fake);
    let db = [("DBInstanceIdentifier", "users-db")];
    let broker = |id| [("Cluster Name", "users-events"), ("Broker ID", id)];
    let cache = [("CacheClusterId", "users-cache-001"), ("CacheNodeId", "0001")];
    let balancer = caller
        .fake
        .here(|place| place.balancing.load_balancers["users-alb"].dimension());
    let group = caller
        .fake
        .here(|place| place.balancing.target_groups["users-pods"].dimension());
    let balanced = [
        ("LoadBalancer", balancer.as_str()),
        ("TargetGroup", group.as_str()),
    ];
    let (rds, kafka) = ("AWS/RDS", "AWS/Kafka");
    let shown: [Shown<'_>; 9] = [
        (Incident::PrimaryLost, rds, "CPUUtilization", &db, |value| {
            value.is_none()
        }),
        (
            Incident::ConnectionsExhausted,
            rds,
            "DatabaseConnections",
            &db,
            |value| value == Some(183.0),
        ),
        (
            Incident::DatabaseCreditsGone,
            rds,
            "CPUCreditBalance",
            &db,
            |value| value == Some(0.0),
        ),
        (Incident::StorageFull, rds, "FreeStorageSpace", &db, |value| {
            value.is_some_and(|value| value < 1e8)
        }),
        (
            Incident::BrokerLost,
            kafka,
            "UnderReplicatedPartitions",
            &broker("1"),
            |value| value == Some(12.0),
        ),
        (
            Incident::BrokerCreditsGone,
            kafka,
            "CPUCreditBalance",
            &broker("3"),
            |value| value.is_some_and(|value| value < 50.0),
        ),
        (
            Incident::CacheEvicting,
            "AWS/ElastiCache",
            "Evictions",
            &cache,
            |value| value.is_some_and(|value| value > 100.0),
        ),
        (
            Incident::BalancerErrors,
            "AWS/ApplicationELB",
            "HTTPCode_Target_5XX_Count",
            &balanced,
            |value| value.is_some_and(|value| value > 1_500.0),
        ),
        (
            Incident::ZoneLost,
            "AWS/ApplicationELB",
            "UnHealthyHostCount",
            &balanced,
            |value| value == Some(3.0),
        ),
    ];
    for (incident, namespace, metric, dimensions, is_shown) in shown {
        let before = caller.clock.now();
        estate.begins(&caller.fake, incident);
        tokio::time::sleep(MINUTE * 20).await;
        let during = caller.clock.now();
        estate.ends(&caller.fake, incident);
        tokio::time::sleep(MINUTE * 20).await;
        let last = |at: Timestamp| {
            let times = (at - MINUTE, at);
            let found = caller
                .fake
                .metrics(|metrics| metrics.truth(namespace, metric, dimensions, Statistic::Sum, times));
            found.first().map(|(_, value)| *value)
        };
        assert!(is_shown(last(during)), "{incident:?}: {:?}", last(during));
        for calm in [before, caller.clock.now()] {
            assert!(
                !is_shown(last(calm)),
                "{incident:?}: {:?} before and after",
                last(calm)
            );
        }
    }
    caller.fake.here(|place| {
        assert_eq!(
            place.rds.instances["users-db"].zone, "eu-west-1c",
            "the standby took over"
        );
        assert_eq!(place.rds.instances["users-db"].status, "available");
        assert_eq!(place.rds.instances["users-db"].allocated_gib, 200);
        let told: Vec<&str> = place
            .rds
            .events
            .iter()
            .map(|event| event.message.as_str())
            .collect();
        assert!(
            told.contains(&"Multi-AZ instance failover completed") && told.len() == 4,
            "{told:?}"
        );
        let targets = &place.balancing.target_groups["users-pods"].targets;
        assert!(targets.iter().all(|target| target.state == "healthy"));
    });
}

#[tokio::test(start_paused = true)]
async fn a_lost_zone_takes_with_it_what_is_in_it_and_nothing_else() {
    let caller = Caller::new();
    let estate = users(&caller.fake);
    estate.begins(&caller.fake, Incident::ZoneLost);
    tokio::time::sleep(MINUTE * 10).await;
    let now = caller.clock.now();
    let gone = |namespace: &str, metric: &str, own: &[(&str, &str)]| {
        let times = (now - MINUTE * 5, now);
        let found = caller
            .fake
            .metrics(|metrics| metrics.truth(namespace, metric, own, Statistic::Average, times));
        assert!(
            found.is_empty() || found.len() == 5,
            "{namespace} {metric} {own:?}: {found:?}"
        );
        found.is_empty()
    };
    for (id, is_gone) in [("1", false), ("2", true), ("3", false)] {
        let own = [("Cluster Name", "users-events"), ("Broker ID", id)];
        assert_eq!(gone("AWS/Kafka", "CpuUser", &own), is_gone, "broker {id}");
    }
    for (id, is_gone) in [
        ("users-db", false),
        ("users-db-replica-1", true),
        ("users-db-replica-2", false),
    ] {
        let own = [("DBInstanceIdentifier", id)];
        assert_eq!(gone("AWS/RDS", "CPUUtilization", &own), is_gone, "{id}");
    }
    for (id, is_gone) in [("users-cache-001", false), ("users-cache-002", true)] {
        let own = [("CacheClusterId", id), ("CacheNodeId", "0001")];
        assert_eq!(
            gone("AWS/ElastiCache", "EngineCPUUtilization", &own),
            is_gone,
            "{id}"
        );
    }
    let (gateways, machines) = caller.fake.here(|place| {
        let gateways = place.ec2.nat_gateways.values();
        let machines = place.ec2.instances.values();
        (
            gateways
                .map(|one| (one.id.clone(), one.zone.clone()))
                .collect::<Vec<_>>(),
            machines
                .map(|one| (one.id.clone(), one.zone.clone()))
                .collect::<Vec<_>>(),
        )
    });
    assert_eq!((gateways.len(), machines.len()), (3, 4));
    for (id, zone) in &gateways {
        let own = [("NatGatewayId", id.as_str())];
        assert_eq!(
            gone("AWS/NATGateway", "ActiveConnectionCount", &own),
            zone == "eu-west-1b"
        );
    }
    for (id, zone) in &machines {
        let own = [("InstanceId", id.as_str())];
        assert_eq!(gone("AWS/EC2", "CPUUtilization", &own), zone == "eu-west-1b");
        assert!(!gone("AWS/EC2", "StatusCheckFailed", &own), "the checks go on");
    }
}

/// A month of the sample asks 17,280 times for 811 metrics: an hour of it here, by which the rest can be told.
#[tokio::test(start_paused = true)]
async fn an_hour_of_the_sample_is_asked_for_in_no_time() {
    let caller = Caller::new();
    sample(&caller.fake);
    let wanted: Vec<(String, Vec<(String, String)>)> = caller.fake.metrics(|metrics| {
        let databases = metrics.all().filter(|series| series.namespace == "AWS/RDS");
        let all = databases.map(|series| (series.metric.clone(), series.dimensions.clone()));
        all.take(500).collect()
    });
    let queries: Vec<Tree> = wanted
        .iter()
        .enumerate()
        .map(|(nth, (metric, dimensions))| {
            let dimensions: Vec<(&str, &str)> = dimensions
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            query(&format!("q{nth}"), metric, "Average", &dimensions)
        })
        .collect();
    let (mut calls, mut points) = (0, 0);
    let begun = std::time::Instant::now();
    while calls < 24 {
        tokio::time::sleep(Duration::from_secs(300)).await;
        let now = caller.clock.now();
        let body = tree! {
            "MetricDataQueries": Tree::members(queries.clone()),
            "StartTime": now - MINUTE * 15,
            "EndTime": now,
        };
        for _ in 0..2 {
            let answer = caller.cbor("GetMetricData", &body).await.unwrap();
            assert_eq!(answer.status, 200);
            let read = crate::protocol::fields::cbor(&answer.body).unwrap();
            let results = read["MetricDataResults"].as_array().unwrap();
            points += results
                .iter()
                .map(|result| result["Values"].as_array().unwrap().len())
                .sum::<usize>();
            calls += 1;
        }
    }
    // What is said of it is for people: nothing is asserted about a machine's speed.
    println!(
        "{calls} calls of {} metrics, {points} points in {:?}",
        queries.len(),
        begun.elapsed()
    );
    assert!(points > calls * queries.len() * 12, "{points}");
    assert_eq!(
        caller.fake.bill().units("GetMetricData"),
        (calls * queries.len()) as u64
    );
    assert_eq!(caller.fake.count("cloudwatch:GetMetricData"), calls);
    assert!(caller.fake.seen().iter().all(|seen| seen.region == REGION));
}

//! The estate that Skopos was asked to watch: a load balancer before pods, PostgreSQL, Redis, Kafka, and the network between.

use crate::autoscaling::{Group, Member};
use crate::balancing::{LoadBalancer, Target, TargetGroup};
use crate::ec2::{Instance, NatGateway, Subnet, Volume};
use crate::elasticache::{CacheCluster, ReplicationGroup};
use crate::kafka::KafkaCluster;
use crate::metrics::Metrics;
use crate::rds::{Certificate, DbInstance, DbProxy, Lifecycle, ProxyTarget, Tags};
use crate::service_quotas::ServiceQuota;
use crate::{FakeAws, Place, REGION};

use super::catalogue;
use super::shape::{Incident, Incidents, Turn, add, count, gauge, spread, steady};
use model::Timestamp;

pub(super) const DATABASE: &str = "users-db";
pub(super) const REPLICAS: [&str; 2] = ["users-db-replica-1", "users-db-replica-2"];
pub(super) const PROXY: &str = "users-proxy";
pub(super) const CACHE: &str = "users-cache";
pub(super) const CACHES: [&str; 2] = ["users-cache-001", "users-cache-002"];
pub(super) const KAFKA: &str = "users-events";
const BROKERS: i64 = 3;
/// The second one is what an incident takes away.
pub(super) const ZONES: [&str; 3] = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];
/// At the busiest time of a day, with room below the 500 a second that its owner takes for its capacity.
const REQUESTS_A_MINUTE: f64 = 360.0 * 60.0;
const PODS: usize = 9;
const PARAMETERS: &str = "users-postgres16";
/// 2026-01-15T08:00:00Z.
const CREATED: Timestamp = Timestamp(1_768_464_000_000);
/// From January 2026 until then.
const YEARS: [Timestamp; 2] = [Timestamp(1_898_812_800_000), Timestamp(1_993_420_800_000)];

/// What a test holds of the users' estate: it lets things go wrong.
pub struct Users {
    pub(super) incidents: Incidents,
}

/// Fills the usual account and region.
pub fn users(fake: &FakeAws) -> Users {
    let incidents = Incidents::default();
    fake.here(|place| {
        databases(place, &incidents);
        caches(place, &incidents);
        brokers(place, &incidents);
        network(place, &incidents);
        web(place, &incidents);
        account(place);
    });
    Users { incidents }
}

fn tags(name: &str) -> Tags {
    [("Name", name), ("team", "users"), ("stage", "production")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec()
}

fn databases(place: &mut Place, incidents: &Incidents) {
    let database = |id: &str, zone: &str| DbInstance {
        zone: zone.to_owned(),
        parameter_group: PARAMETERS.to_owned(),
        certificate_valid_till: Some(YEARS[0]),
        created: CREATED,
        monitoring_seconds: 60,
        performance_insights: true,
        log_exports: vec!["postgresql".to_owned()],
        deletion_protection: true,
        tags: tags(id),
        ..DbInstance::new(id, "db.t4g.large")
    };
    let rds = &mut place.rds;
    let primary = DbInstance {
        multi_az: true,
        secondary_zone: Some(ZONES[2].to_owned()),
        max_allocated_gib: Some(500),
        ..database(DATABASE, ZONES[0])
    };
    rds.instances.insert(DATABASE.to_owned(), primary);
    for (id, zone) in REPLICAS.iter().zip([ZONES[1], ZONES[2]]) {
        let replica = DbInstance {
            replica_of: Some(DATABASE.to_owned()),
            ..database(id, zone)
        };
        rds.instances.insert((*id).to_owned(), replica);
    }
    let parameters = [
        ("max_connections", "200"),
        ("shared_buffers", "262144"),
        ("checkpoint_timeout", "300"),
    ];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    rds.parameters.insert(PARAMETERS.to_owned(), parameters.to_vec());
    let proxy = DbProxy {
        targets: vec![ProxyTarget::new(DATABASE, "READ_WRITE")],
        created: CREATED,
        tags: tags(PROXY),
        ..DbProxy::new(PROXY)
    };
    rds.proxies.insert(PROXY.to_owned(), proxy);
    let certificate = Certificate {
        id: "rds-ca-rsa2048-g1".to_owned(),
        valid_from: CREATED,
        valid_till: YEARS[1],
    };
    rds.certificates.insert(certificate.id.clone(), certificate);
    rds.lifecycles.push(Lifecycle {
        engine: "postgres".to_owned(),
        major_version: "16".to_owned(),
        standard: (CREATED, YEARS[0]),
        extended: Some((YEARS[0], YEARS[1])),
    });
    let metrics = &mut place.metrics;
    let primary = catalogue::database()
        .into_iter()
        .chain(more_of_database())
        .map(catalogue::primary);
    let own = [("DBInstanceIdentifier", DATABASE)];
    add(metrics, "AWS/RDS", &own, primary, incidents);
    for (nth, id) in REPLICAS.into_iter().enumerate() {
        let own = [("DBInstanceIdentifier", id)];
        let shapes = catalogue::database().into_iter().chain(more_of_database());
        let shapes = shapes.chain([catalogue::replica_lag()]);
        // The first one is in the second zone.
        let shapes = shapes.map(|shape| match nth {
            0 => shape.when(Incident::ZoneLost, Turn::Gone),
            _ => shape,
        });
        add(metrics, "AWS/RDS", &own, shapes, incidents);
    }
    roll_ups(metrics, &["db.t4g.large"]);
    add(
        metrics,
        "AWS/RDS",
        &[("ProxyName", PROXY)],
        catalogue::proxy(),
        incidents,
    );
    for more in [("TargetRole", "READ_WRITE"), ("Target", "db:users-db")] {
        let own = [("ProxyName", PROXY), ("TargetGroup", "default"), more];
        let shapes = catalogue::proxy_target();
        add(metrics, "AWS/RDS", &own, shapes, incidents);
    }
}

fn more_of_database() -> Vec<super::shape::Shape> {
    vec![
        steady("CheckpointLag", "Seconds", 42.0),
        steady("ReplicationSlotDiskUsage", "Bytes", 16_777_216.0),
        gauge("TransactionLogsGeneration", "Bytes/Second", 20_000.0, 900_000.0),
        gauge("DBLoadRelativeToNumVCPUs", "None", 0.1, 0.45),
    ]
}

/// What nobody should ask for: all metrics once more by class, by engine, and of all together.
pub(super) fn roll_ups(metrics: &mut Metrics, classes: &[&str]) {
    let calm = Incidents::default();
    let shapes = || catalogue::database().into_iter();
    let with_lag = || shapes().chain([catalogue::replica_lag()]);
    for (nth, class) in classes.iter().enumerate() {
        let own = [("DatabaseClass", *class)];
        match nth {
            0 => add(metrics, "AWS/RDS", &own, with_lag(), &calm),
            _ => add(metrics, "AWS/RDS", &own, shapes(), &calm),
        }
    }
    add(
        metrics,
        "AWS/RDS",
        &[("EngineName", "postgres")],
        with_lag(),
        &calm,
    );
    add(metrics, "AWS/RDS", &[], with_lag(), &calm);
}

fn caches(place: &mut Place, incidents: &Incidents) {
    let cache = &mut place.elasticache;
    for (id, zone) in CACHES.iter().zip(ZONES) {
        let cluster = CacheCluster {
            zone: zone.to_owned(),
            group: Some(CACHE.to_owned()),
            created: CREATED,
            tags: tags(CACHE),
            ..CacheCluster::new(id, "cache.m6g.large")
        };
        cache.clusters.insert((*id).to_owned(), cluster);
    }
    let group = ReplicationGroup {
        created: CREATED,
        tags: tags(CACHE),
        ..ReplicationGroup::new(CACHE, "cache.m6g.large", &CACHES)
    };
    cache.groups.insert(CACHE.to_owned(), group);
    let parameters = [("maxmemory-policy", "allkeys-lru"), ("maxclients", "65000")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    cache
        .parameters
        .insert("default.redis7".to_owned(), parameters.to_vec());
    for (nth, id) in CACHES.into_iter().enumerate() {
        let shapes = || {
            let all = catalogue::cache(nth == 0)
                .into_iter()
                .chain(catalogue::cache_more());
            all.map(move |shape| match nth {
                1 => shape.when(Incident::ZoneLost, Turn::Gone),
                _ => shape,
            })
        };
        cache_series(&mut place.metrics, id, shapes, incidents);
    }
}

/// Under both sets of dimensions, as AWS has them.
pub(super) fn cache_series<I: Iterator<Item = super::shape::Shape>>(
    metrics: &mut Metrics,
    id: &str,
    shapes: impl Fn() -> I,
    incidents: &Incidents,
) {
    let own = [("CacheClusterId", id)];
    add(metrics, "AWS/ElastiCache", &own, shapes(), incidents);
    let own = [("CacheClusterId", id), ("CacheNodeId", "0001")];
    add(metrics, "AWS/ElastiCache", &own, shapes(), incidents);
}

fn brokers(place: &mut Place, incidents: &Incidents) {
    let cluster = KafkaCluster {
        created: CREATED,
        monitoring: "PER_TOPIC_PER_BROKER".to_owned(),
        has_jmx_exporter: true,
        has_node_exporter: true,
        zookeepers: 3,
        tags: tags(KAFKA),
        ..KafkaCluster::new(KAFKA, "kafka.t3.small", BROKERS)
    };
    place.add_kafka(cluster);
    let metrics = &mut place.metrics;
    let own = [("Cluster Name", KAFKA)];
    add(
        metrics,
        "AWS/Kafka",
        &own,
        catalogue::kafka_cluster(3, 24.0, 2.0),
        incidents,
    );
    for broker in 1..=BROKERS {
        let id = broker.to_string();
        let is_lost = |shape: super::shape::Shape| match broker {
            2 => shape
                .without_turns()
                .when(Incident::BrokerLost, Turn::Gone)
                .when(Incident::ZoneLost, Turn::Gone),
            _ => shape,
        };
        let own = [("Cluster Name", KAFKA), ("Broker ID", id.as_str())];
        let shapes = catalogue::broker().into_iter().chain(more_of_broker());
        // Of the lost one only its credits matter before.
        let shapes = shapes.map(|shape| match (broker, shape.name()) {
            (2, "CPUCreditBalance") => {
                is_lost(shape).when(Incident::BrokerCreditsGone, Turn::Goes(20.0, 10.0))
            }
            _ => is_lost(shape),
        });
        add(metrics, "AWS/Kafka", &own, shapes, incidents);
        for topic in ["user-events", "logs"] {
            let own = [
                ("Cluster Name", KAFKA),
                ("Broker ID", id.as_str()),
                ("Topic", topic),
            ];
            let shapes = catalogue::topic().into_iter();
            let shapes = shapes.chain([gauge("MessagesInPerSec", "Count/Second", 20.0, 85.0)]);
            add(metrics, "AWS/Kafka", &own, shapes.map(is_lost), incidents);
        }
        let own = [
            ("Cluster Name", KAFKA),
            ("Broker ID", id.as_str()),
            ("Client Authentication", "IAM"),
        ];
        let shapes = [gauge("ClientConnectionCount", "Count", 30.0, 60.0)];
        add(metrics, "AWS/Kafka", &own, shapes.map(is_lost), incidents);
    }
    for (group, topic) in [
        ("user-service", "user-events"),
        ("mailer", "user-events"),
        ("indexer", "logs"),
    ] {
        let own = [
            ("Cluster Name", KAFKA),
            ("Consumer Group", group),
            ("Topic", topic),
        ];
        add(metrics, "AWS/Kafka", &own, catalogue::lag(), incidents);
    }
}

fn more_of_broker() -> Vec<super::shape::Shape> {
    vec![
        steady("ConnectionCreationRate", "Count/Second", 0.2),
        steady("IAMTooManyConnections", "Count", 0.0),
        steady("TrafficShaping", "Count", 0.0),
        gauge("RequestHandlerAvgIdlePercent", "Percent", 0.98, 0.83),
        gauge("NetworkProcessorAvgIdlePercent", "Percent", 0.98, 0.85),
        gauge("ProduceTotalTimeMsMean", "Milliseconds", 3.0, 9.0),
        steady("BwInAllowanceExceeded", "Count", 0.0),
        steady("BwOutAllowanceExceeded", "Count", 0.0),
    ]
}

fn network(place: &mut Place, incidents: &Incidents) {
    let ec2 = &mut place.ec2;
    let mut members = Vec::new();
    let mut subnets = Vec::new();
    for (nth, zone) in ZONES.into_iter().enumerate() {
        let letter = zone.trim_start_matches(REGION);
        let is_lost = |shape: super::shape::Shape| match nth {
            1 => shape.when(Incident::ZoneLost, Turn::Gone),
            _ => shape,
        };
        let subnet = Subnet {
            tags: tags(&format!("private-{letter}")),
            ..Subnet::new(
                &format!("private-{letter}"),
                zone,
                &format!("10.0.{}.0/24", nth + 1),
                180,
            )
        };
        let gateway = NatGateway {
            created: CREATED,
            tags: tags(&format!("nat-{letter}")),
            ..NatGateway::new(&format!("nat-{letter}"), &subnet.id, zone)
        };
        let own = [("NatGatewayId", gateway.id.as_str())];
        let shapes = catalogue::nat_gateway().into_iter().map(is_lost);
        add(&mut place.metrics, "AWS/NATGateway", &own, shapes, incidents);
        ec2.nat_gateways.insert(gateway.id.clone(), gateway);
        // Four machines in three zones.
        for name in [format!("node-{}", nth + 1), "node-4".to_owned()] {
            if name == "node-4" && nth != 0 {
                continue;
            }
            let machine = Instance {
                launched: CREATED,
                tags: tags(&name),
                ..Instance::new(&name, "m5.large", &subnet)
            };
            let volume = Volume {
                created: CREATED,
                tags: tags(&name),
                ..Volume::new(&name, 50, &machine)
            };
            let own = [("InstanceId", machine.id.as_str())];
            let shapes = catalogue::machine()
                .into_iter()
                .map(|shape| match (nth, shape.name()) {
                    // The checks go on without the machine.
                    (1, "StatusCheckFailed" | "StatusCheckFailed_System") => {
                        shape.when(Incident::ZoneLost, Turn::Is(1.0))
                    }
                    _ => is_lost(shape),
                });
            add(&mut place.metrics, "AWS/EC2", &own, shapes, incidents);
            let own = [("VolumeId", volume.id.as_str())];
            let shapes = catalogue::volume().into_iter().map(is_lost);
            add(&mut place.metrics, "AWS/EBS", &own, shapes, incidents);
            let own = [
                ("VolumeId", volume.id.as_str()),
                ("InstanceId", machine.id.as_str()),
            ];
            let shapes = catalogue::volume().into_iter().take(1).map(is_lost);
            add(&mut place.metrics, "AWS/EBS", &own, shapes, incidents);
            members.push(Member {
                id: machine.id.clone(),
                kind: machine.kind.clone(),
                zone: zone.to_owned(),
                state: "InService".to_owned(),
                health: "Healthy".to_owned(),
            });
            ec2.volumes.insert(volume.id.clone(), volume);
            ec2.instances.insert(machine.id.clone(), machine);
        }
        subnets.push(subnet.id.clone());
        ec2.subnets.insert(subnet.id.clone(), subnet);
    }
    let group = Group {
        name: "eks-users-nodes".to_owned(),
        least: 3,
        most: 5,
        desired: 4,
        zones: ZONES.map(str::to_owned).to_vec(),
        subnets,
        instances: members,
        has_metrics: true,
        created: CREATED,
        tags: tags("eks-users-nodes"),
        ..Group::default()
    };
    let own = [("AutoScalingGroupName", group.name.as_str())];
    add(
        &mut place.metrics,
        "AWS/AutoScaling",
        &own,
        catalogue::group(4.0),
        incidents,
    );
    place.autoscaling.groups.insert(group.name.clone(), group);
}

fn web(place: &mut Place, incidents: &Incidents) {
    let balancer = LoadBalancer {
        created: CREATED,
        tags: tags("users-alb"),
        ..LoadBalancer::new("users-alb")
    };
    let target = |nth: usize| {
        let zone = ZONES.get(nth % 3).copied().unwrap_or_default();
        Target::new(&format!("10.0.{}.{}", nth % 3 + 1, 40 + nth), 8080, zone)
    };
    let pods = TargetGroup {
        targets: (0..PODS).map(target).collect(),
        tags: tags("users-pods"),
        ..TargetGroup::new("users-pods", "users-alb", 8080)
    };
    let (load_balancer, target_group) = (balancer.dimension(), pods.dimension());
    let metrics = &mut place.metrics;
    let shapes = || catalogue::balancer(REQUESTS_A_MINUTE).into_iter();
    let group_shapes = || {
        let own = catalogue::target_group(REQUESTS_A_MINUTE, PODS as f64).into_iter();
        own.chain([count("RequestCount", REQUESTS_A_MINUTE * 0.15, REQUESTS_A_MINUTE)])
    };
    let namespace = "AWS/ApplicationELB";
    let lb = ("LoadBalancer", load_balancer.as_str());
    let tg = ("TargetGroup", target_group.as_str());
    let every = || shapes().chain(catalogue::target_group(REQUESTS_A_MINUTE, PODS as f64));
    add(metrics, namespace, &[lb], every(), incidents);
    add(metrics, namespace, &[tg, lb], group_shapes(), incidents);
    let per_target = spread("RequestCountPerTarget", "Count", 500.0, 3_300.0);
    add(metrics, namespace, &[tg], [per_target], incidents);
    for zone in ZONES {
        let zone = ("AvailabilityZone", zone);
        add(metrics, namespace, &[lb, zone], every(), incidents);
        add(metrics, namespace, &[tg, lb, zone], group_shapes(), incidents);
    }
    let balancing = &mut place.balancing;
    balancing.load_balancers.insert(balancer.name.clone(), balancer);
    balancing.target_groups.insert(pods.name.clone(), pods);
}

fn account(place: &mut Place) {
    let quota = |service: &str, code: &str, name: &str, value: f64| ServiceQuota {
        service: service.to_owned(),
        code: code.to_owned(),
        name: name.to_owned(),
        value,
        is_adjustable: true,
        usage: None,
    };
    place.quotas = vec![
        quota("rds", "L-7B6409FD", "DB instances", 40.0),
        quota(
            "rds",
            "L-7ADDB58A",
            "Total storage for all DB instances",
            100_000.0,
        ),
        quota("elasticache", "L-DFE45DF3", "Nodes per Region", 300.0),
        quota("kafka", "L-0F5FD6E8", "Number of brokers per account", 90.0),
        quota(
            "elasticloadbalancing",
            "L-53DA6B97",
            "Application Load Balancers per Region",
            50.0,
        ),
        quota("vpc", "L-FE5A380F", "NAT gateways per Availability Zone", 5.0),
    ];
    place.sqs.queues.entry("interruptions".to_owned()).or_default();
}

//! Every operation is asked for by AWS' own client in Python, which finds what was put there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use model::{Clock, Timestamp};
use telemetry::clock::RuntimeClock;

use crate::autoscaling::{Group, Member};
use crate::balancing::{LoadBalancer, Target, TargetGroup};
use crate::ec2::{Instance, NatGateway, Subnet, Volume};
use crate::elasticache::{CacheCluster, CacheEvent, ReplicationGroup, ServerlessCache};
use crate::health::HealthEvent;
use crate::kafka::KafkaCluster;
use crate::metrics::Series;
use crate::rds::{Certificate, DbCluster, DbInstance, DbProxy, Event, Lifecycle, Maintenance, ProxyTarget};
use crate::service_quotas::ServiceQuota;
use crate::{FakeAws, Fault, Place, REGION, operations};

/// 2026-03-01T12:00:00Z.
const CREATED: Timestamp = Timestamp(1_772_366_400_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
const OTHER: &str = "210987654321";

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// Runs parts of the script.
fn boto(fake: &FakeAws, parts: &[&str]) {
    let Some(packages) = programs::file("aws/boto3/__init__.py") else {
        return;
    };
    let packages = packages.parent().unwrap().parent().unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/boto.py");
    let user = fake.user();
    let (code, said) = programs::run(
        Command::new("python3")
            .arg(script)
            .args([&fake.url(), &user.access_key, &user.secret_key])
            .args(parts)
            .env("PYTHONPATH", packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true"),
    );
    assert_eq!(code, 0, "{said}");
    let held: Vec<String> = parts.iter().map(|part| format!("{part} held")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), held);
}

fn fill_metrics(place: &mut Place, now: Timestamp) {
    let metrics = &mut place.metrics;
    let db = [("DBInstanceIdentifier", "db-1")];
    let three = |minute: i64, samples: &mut crate::metrics::Samples| {
        let base = (minute % 10) as f64;
        (0..3).for_each(|more| samples.add(base + f64::from(more)));
    };
    metrics.add(Series::new("AWS/RDS", "CPUUtilization", &db, three).unit("Percent"));
    metrics.add(Series::new("AWS/RDS", "CPUUtilization", &[], |_, samples| {
        samples.add(99.0)
    }));
    let balancer = [("LoadBalancer", "app/a/1")];
    metrics.add(Series::new(
        "AWS/ApplicationELB",
        "RequestCount",
        &balancer,
        |minute, samples| {
            samples.add_times(1.0, (300 + minute % 60) as f64);
        },
    ));
    for nth in 0..1200 {
        let name = nth.to_string();
        metrics.add(Series::new("Many", "M", &[("Number", &name)], |_, samples| {
            samples.add(1.0)
        }));
    }
    metrics.add(Series::new("Ended", "M", &[], |_, samples| samples.add(1.0)));
    assert!(metrics.remove("Ended", "M", &[], now - Duration::from_secs(4 * 3600)));
}

fn fill_databases(place: &mut Place, now: Timestamp) {
    let arn = place.arn("rds", "db:db-1");
    let rds = &mut place.rds;
    let mut add = |instance: DbInstance| rds.instances.insert(instance.id.clone(), instance);
    let mut one = DbInstance {
        multi_az: true,
        secondary_zone: Some("eu-west-1b".to_owned()),
        created: CREATED,
        certificate_valid_till: Some(CREATED + DAY * 365),
        tags: vec![pair("team", "users & co"), pair("stage", "<prod>")],
        ..DbInstance::new("db-1", "db.t4g.large")
    };
    one.pending.class = Some("db.m6g.large".to_owned());
    add(one);
    add(DbInstance {
        replica_of: Some("db-1".to_owned()),
        ..DbInstance::new("db-2", "db.t4g.large")
    });
    add(DbInstance {
        status: "stopped".to_owned(),
        ..DbInstance::new("db-3", "db.t4g.large")
    });
    for nth in 0..20 {
        add(DbInstance::new(&format!("more-{nth}"), "db.t4g.micro"));
    }
    let cluster = DbCluster {
        members: vec![("db-1".to_owned(), true)],
        serverless: Some((0.5, 16.0)),
        ..DbCluster::new("aurora", "aurora-postgresql", "16.6")
    };
    rds.clusters.insert("aurora".to_owned(), cluster);
    let proxy = DbProxy {
        max_connections_percent: 90,
        targets: vec![ProxyTarget::new("db-1", "READ_WRITE")],
        ..DbProxy::new("pool")
    };
    rds.proxies.insert("pool".to_owned(), proxy);
    rds.maintenance.insert(
        arn,
        vec![Maintenance {
            action: "system-update".to_owned(),
            description: "New Operating System update is available".to_owned(),
            ..Maintenance::default()
        }],
    );
    let event = |ago: Duration| Event {
        at: now - ago,
        source: "db-1".to_owned(),
        source_type: "db-instance".to_owned(),
        categories: vec!["failover".to_owned()],
        message: "Multi-AZ instance failover started.".to_owned(),
    };
    rds.events = vec![event(Duration::from_secs(300)), event(DAY), event(DAY * 15)];
    let certificate = Certificate {
        id: "rds-ca-rsa2048-g1".to_owned(),
        valid_from: CREATED,
        valid_till: CREATED + DAY * 3650,
    };
    rds.certificates.insert(certificate.id.clone(), certificate);
    let parameters = vec![pair("max_connections", "200")];
    rds.parameters.insert("default.postgres16".to_owned(), parameters);
    rds.lifecycles.push(Lifecycle {
        engine: "postgres".to_owned(),
        major_version: "16".to_owned(),
        standard: (CREATED, CREATED + DAY * 3 * 365),
        extended: Some((CREATED + DAY * 3 * 365, CREATED + DAY * 6 * 365)),
    });
}

fn fill_caches(place: &mut Place, now: Timestamp) {
    let cache = &mut place.elasticache;
    for name in ["users-001", "users-002"] {
        let cluster = CacheCluster {
            group: Some("users".to_owned()),
            ..CacheCluster::new(name, "cache.m6g.large")
        };
        cache.clusters.insert(name.to_owned(), cluster);
    }
    for nth in 0..20 {
        let cluster = CacheCluster::new(&format!("more-{nth}"), "cache.t4g.micro");
        cache.clusters.insert(cluster.id.clone(), cluster);
    }
    let group = ReplicationGroup {
        tags: vec![pair("team", "users")],
        ..ReplicationGroup::new("users", "cache.m6g.large", &["users-001", "users-002"])
    };
    cache.groups.insert("users".to_owned(), group);
    let serverless = ServerlessCache {
        storage_gb_max: Some(10),
        ..ServerlessCache::new("sessions")
    };
    cache.serverless.insert("sessions".to_owned(), serverless);
    cache.events.push(CacheEvent {
        at: now - Duration::from_secs(300),
        source: "users".to_owned(),
        source_type: "replication-group".to_owned(),
        message: "Failover to replica node users-002 completed".to_owned(),
    });
    let parameters = vec![
        pair("maxmemory-policy", "volatile-lru"),
        pair("maxclients", "65000"),
    ];
    cache.parameters.insert("default.redis7".to_owned(), parameters);
}

fn fill_network(place: &mut Place) {
    place.add_kafka(KafkaCluster {
        created: CREATED,
        zookeepers: 3,
        has_jmx_exporter: true,
        tags: vec![pair("team", "events")],
        ..KafkaCluster::new("events", "kafka.t3.small", 3)
    });
    place.add_kafka(KafkaCluster::new("express", "express.m7g.large", 3));
    let balancing = &mut place.balancing;
    let web = LoadBalancer {
        tags: vec![pair("team", "web")],
        ..LoadBalancer::new("web")
    };
    let tcp = LoadBalancer {
        kind: "network".to_owned(),
        tags: vec![pair("team", "net")],
        ..LoadBalancer::new("tcp")
    };
    for one in [web, tcp] {
        balancing.load_balancers.insert(one.name.clone(), one);
    }
    let pods = TargetGroup {
        targets: vec![
            Target::new("10.0.1.5", 8080, "eu-west-1a"),
            Target {
                state: "unhealthy".to_owned(),
                reason: Some("Target.FailedHealthChecks".to_owned()),
                ..Target::new("10.0.2.5", 8080, "eu-west-1b")
            },
        ],
        ..TargetGroup::new("pods", "web", 8080)
    };
    let other = TargetGroup::new("other", "tcp", 9000);
    for one in [pods, other] {
        balancing.target_groups.insert(one.name.clone(), one);
    }
    let subnet = Subnet::new("private-a", "eu-west-1a", "10.0.1.0/24", 17);
    let machine = Instance {
        is_spot: true,
        ..Instance::new("node-1", "m5.large", &subnet)
    };
    let ec2 = &mut place.ec2;
    let gateway = NatGateway::new("nat-a", &subnet.id, "eu-west-1a");
    ec2.nat_gateways.insert(gateway.id.clone(), gateway);
    for nth in 0..7 {
        let volume = Volume::new(&format!("disk-{nth}"), 50, &machine);
        ec2.volumes.insert(volume.id.clone(), volume);
    }
    let member = Member {
        id: machine.id.clone(),
        kind: machine.kind.clone(),
        zone: machine.zone.clone(),
        state: "InService".to_owned(),
        health: "Healthy".to_owned(),
    };
    let group = Group {
        name: "nodes".to_owned(),
        least: 3,
        most: 5,
        desired: 4,
        instances: vec![member],
        has_metrics: true,
        ..Group::default()
    };
    place.autoscaling.groups.insert(group.name.clone(), group);
    ec2.instances.insert(machine.id.clone(), machine);
    ec2.subnets.insert(subnet.id.clone(), subnet);
}

fn fill_account(place: &mut Place, now: Timestamp) {
    let quota = |code: &str, value: f64| ServiceQuota {
        service: "rds".to_owned(),
        code: code.to_owned(),
        name: "DB instances".to_owned(),
        value,
        is_adjustable: true,
        usage: Some(vec![pair("Service", "RDS"), pair("Resource", "DBInstances")]),
    };
    place.quotas = vec![quota("L-2", 100_000.0), quota("L-1", 40.0)];
    let queue = place.sqs.queues.entry("interruptions".to_owned()).or_default();
    queue.send(
        "{\"detail-type\": \"EC2 Spot Instance Interruption Warning\"}",
        now,
    );
    place.health.is_subscribed = true;
    let event = |service: &str, status: &str| HealthEvent {
        service: service.to_owned(),
        code: format!("AWS_{service}_ISSUE"),
        category: "issue".to_owned(),
        region: REGION.to_owned(),
        start: CREATED,
        end: None,
        status: status.to_owned(),
    };
    place.health.events = vec![event("RDS", "open"), event("RDS", "closed"), event("EC2", "open")];
}

#[test]
fn every_operation_is_what_aws_own_client_expects() {
    if programs::file("aws/boto3/__init__.py").is_none() {
        return;
    }
    let clock = RuntimeClock::system();
    let (now, fake) = (clock.now(), FakeAws::start(clock));
    fake.opens("us-east-1");
    fake.here(|place| {
        fill_metrics(place, now);
        fill_databases(place, now);
        fill_caches(place, now);
        fill_network(place);
        fill_account(place, now);
    });
    fake.role(&format!("arn:aws:iam::{OTHER}:role/reader"), None);
    fake.at(OTHER, "us-east-1", |place| {
        let far = DbInstance::new("far", "db.t4g.micro");
        place.rds.instances.insert(far.id.clone(), far);
    });
    fake.at(OTHER, REGION, |place| {
        place
            .metrics
            .add(Series::new("Shared", "M", &[], |_, samples| samples.add(1.0)));
    });
    fake.links(crate::ACCOUNT, OTHER);
    let parts = "metrics rds elasticache kafka balancing tagging ec2 others health accounts by_cbor metrics tagging health";
    boto(&fake, &parts.split(' ').collect::<Vec<_>>());
    let answered: BTreeSet<String> = fake
        .seen()
        .into_iter()
        .filter(|seen| seen.status == 200)
        .map(|seen| seen.operation)
        .collect();
    let all: Vec<String> = operations();
    let missed: Vec<&String> = all.iter().filter(|name| !answered.contains(*name)).collect();
    assert!(
        missed.is_empty() && all.len() > 30,
        "nobody asked for {missed:?} of {}",
        all.len()
    );
    assert_eq!(fake.here(|place| place.sqs.queues["interruptions"].length()), 0);
}

#[test]
fn what_fails_fails_in_the_words_of_its_protocol() {
    if programs::file("aws/boto3/__init__.py").is_none() {
        return;
    }
    let fake = FakeAws::start(RuntimeClock::system());
    fake.fails("elasticloadbalancing:DescribeLoadBalancers", 1, Fault::Denied);
    fake.fails("elasticache:*", 1, Fault::Expired);
    fake.fails("DescribeVolumes", 1, Fault::Denied);
    fake.fails("kafka:*", 1, Fault::Denied);
    fake.fails("kafka:*", 1, Fault::Throttled);
    fake.fails("rds:*", 1, Fault::Throttled);
    fake.fails("cloudwatch:GetMetricStatistics", 2, Fault::Denied);
    boto(&fake, &["faults", "denied"]);
}

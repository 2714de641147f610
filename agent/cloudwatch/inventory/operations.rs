//! Every question that this room puts to AWS, with the permission that it needs.
//!
//! The least policy is made from this list, and nothing can be asked that is not in it.

use serde_json::{Value, json};

use super::queue::Queue;

/// How a service wants to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A form in, XML out, with the version of the interface.
    Query(&'static str),
    /// JSON in and out, with what stands before the operation in `x-amz-target`.
    Json(&'static str),
    /// A path that is got, JSON out.
    Rest(&'static str),
    /// By AWS' SDK.
    Sdk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    Rds,
    ElastiCache,
    Kafka,
    Elb,
    Tagging,
    Ec2,
    AutoScaling,
    Sts,
    Quotas,
    Health,
    Sqs,
    Monitoring,
}

impl Service {
    pub const ALL: [Self; 12] = [
        Self::Rds,
        Self::ElastiCache,
        Self::Kafka,
        Self::Elb,
        Self::Tagging,
        Self::Ec2,
        Self::AutoScaling,
        Self::Sts,
        Self::Quotas,
        Self::Health,
        Self::Sqs,
        Self::Monitoring,
    ];

    /// What its address begins with, what signatures name, and what a configuration calls it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rds => "rds",
            Self::ElastiCache => "elasticache",
            Self::Kafka => "kafka",
            Self::Elb => "elasticloadbalancing",
            Self::Tagging => "tagging",
            Self::Ec2 => "ec2",
            Self::AutoScaling => "autoscaling",
            Self::Sts => "sts",
            Self::Quotas => "servicequotas",
            Self::Health => "health",
            Self::Sqs => "sqs",
            Self::Monitoring => "monitoring",
        }
    }
}

/// A question, and what it takes to be allowed to put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub service: Service,
    pub name: &'static str,
    pub manner: Manner,
    /// None: everybody may.
    pub permission: Option<&'static str>,
}

macro_rules! operations {
    ($($constant:ident = $service:ident $name:literal $manner:expr, $permission:expr;)*) => {
        $(pub const $constant: Operation = Operation {
            service: Service::$service,
            name: $name,
            manner: $manner,
            permission: $permission,
        };)*
        /// All there are.
        pub const ALL: &[Operation] = &[$($constant),*];
    };
}

const RDS: Manner = Manner::Query("2014-10-31");
const ELASTICACHE: Manner = Manner::Query("2015-02-02");
const ELB: Manner = Manner::Query("2015-12-01");
const EC2: Manner = Manner::Query("2016-11-15");

operations! {
    CALLER_IDENTITY = Sts "GetCallerIdentity" Manner::Query("2011-06-15"), None;
    DB_INSTANCES = Rds "DescribeDBInstances" RDS, Some("rds:DescribeDBInstances");
    DB_CLUSTERS = Rds "DescribeDBClusters" RDS, Some("rds:DescribeDBClusters");
    DB_PROXIES = Rds "DescribeDBProxies" RDS, Some("rds:DescribeDBProxies");
    DB_PROXY_TARGETS = Rds "DescribeDBProxyTargets" RDS, Some("rds:DescribeDBProxyTargets");
    DB_MAINTENANCE = Rds "DescribePendingMaintenanceActions" RDS, Some("rds:DescribePendingMaintenanceActions");
    DB_MAJOR_VERSIONS = Rds "DescribeDBMajorEngineVersions" RDS, Some("rds:DescribeDBMajorEngineVersions");
    DB_PARAMETERS = Rds "DescribeDBParameters" RDS, Some("rds:DescribeDBParameters");
    DB_EVENTS = Rds "DescribeEvents" RDS, Some("rds:DescribeEvents");
    CACHE_CLUSTERS = ElastiCache "DescribeCacheClusters" ELASTICACHE, Some("elasticache:DescribeCacheClusters");
    CACHE_GROUPS = ElastiCache "DescribeReplicationGroups" ELASTICACHE, Some("elasticache:DescribeReplicationGroups");
    SERVERLESS_CACHES = ElastiCache "DescribeServerlessCaches" ELASTICACHE, Some("elasticache:DescribeServerlessCaches");
    CACHE_EVENTS = ElastiCache "DescribeEvents" ELASTICACHE, Some("elasticache:DescribeEvents");
    KAFKA_CLUSTERS = Kafka "ListClustersV2" Manner::Rest("/api/v2/clusters"), Some("kafka:ListClustersV2");
    KAFKA_NODES = Kafka "ListNodes" Manner::Rest("/v1/clusters/{arn}/nodes"), Some("kafka:ListNodes");
    LOAD_BALANCERS = Elb "DescribeLoadBalancers" ELB, Some("elasticloadbalancing:DescribeLoadBalancers");
    TARGET_GROUPS = Elb "DescribeTargetGroups" ELB, Some("elasticloadbalancing:DescribeTargetGroups");
    TAGGED = Tagging "GetResources" Manner::Json("ResourceGroupsTaggingAPI_20170126"), Some("tag:GetResources");
    SERVICE_QUOTAS = Quotas "ListServiceQuotas" Manner::Json("ServiceQuotasV20190624"), Some("servicequotas:ListServiceQuotas");
    NAT_GATEWAYS = Ec2 "DescribeNatGateways" EC2, Some("ec2:DescribeNatGateways");
    VOLUMES = Ec2 "DescribeVolumes" EC2, Some("ec2:DescribeVolumes");
    MACHINES = Ec2 "DescribeInstances" EC2, Some("ec2:DescribeInstances");
    SUBNETS = Ec2 "DescribeSubnets" EC2, Some("ec2:DescribeSubnets");
    SCALING_GROUPS = AutoScaling "DescribeAutoScalingGroups" Manner::Query("2011-01-01"), Some("autoscaling:DescribeAutoScalingGroups");
    HEALTH_EVENTS = Health "DescribeEvents" Manner::Json("AWSHealth_20160804"), Some("health:DescribeEvents");
    RECEIVE_MESSAGE = Sqs "ReceiveMessage" Manner::Json("AmazonSQS"), Some("sqs:ReceiveMessage");
    DELETE_MESSAGE = Sqs "DeleteMessage" Manner::Json("AmazonSQS"), Some("sqs:DeleteMessage");
    METRICS = Monitoring "ListMetrics" Manner::Sdk, Some("cloudwatch:ListMetrics");
    METRIC_DATA = Monitoring "GetMetricData" Manner::Sdk, Some("cloudwatch:GetMetricData");
}

/// The least policy that lets all of it be asked: read only, and nothing of what is kept in any of it. Messages are taken from
/// one queue, where there is one.
#[must_use]
pub fn policy(queue: Option<&Queue>) -> Value {
    let statement = |sid: &str, is_of: fn(&Operation) -> bool, resource: &str| {
        let of = ALL.iter().filter(|operation| is_of(operation));
        let mut actions: Vec<&str> = of.filter_map(|operation| operation.permission).collect();
        actions.sort_unstable();
        actions.dedup();
        json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource})
    };
    let mut statements = vec![statement(
        "SkoposReadsWhatIsThereAndItsMetrics",
        |operation| operation.service != Service::Sqs,
        "*",
    )];
    if let Some(queue) = queue {
        let is_of = |operation: &Operation| operation.service == Service::Sqs;
        statements.push(statement("SkoposTakesWhatIsInItsQueue", is_of, &queue.arn()));
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

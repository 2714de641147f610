//! What is in one region of one account.

use std::collections::BTreeMap;

use crate::autoscaling::AutoScaling;
use crate::balancing::Balancing;
use crate::ec2::Ec2;
use crate::elasticache::ElastiCache;
use crate::health::Health;
use crate::kafka::{Kafka, KafkaCluster};
use crate::metrics::Metrics;
use crate::rds::{Rds, Tags};
use crate::service_quotas::ServiceQuota;
use crate::sqs::Sqs;

/// Everything of one account in one region.
#[derive(Default)]
pub struct Place {
    pub account: String,
    pub region: String,
    pub metrics: Metrics,
    pub rds: Rds,
    pub elasticache: ElastiCache,
    pub kafka: Kafka,
    pub balancing: Balancing,
    pub ec2: Ec2,
    pub autoscaling: AutoScaling,
    pub quotas: Vec<ServiceQuota>,
    /// Of the account; the one that is asked is in [`crate::REGION`].
    pub health: Health,
    pub sqs: Sqs,
    /// Tags of anything else, by its ARN.
    pub tagged: BTreeMap<String, Tags>,
}

impl Place {
    pub(crate) fn new(account: &str, region: &str) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            ..Self::default()
        }
    }

    /// `arn:aws:<service>:<region>:<account>:<rest>`.
    #[must_use]
    pub fn arn(&self, service: &str, rest: &str) -> String {
        arn(service, &self.region, &self.account, rest)
    }

    /// Adds a cluster of Kafka under its ARN, and returns that.
    pub fn add_kafka(&mut self, cluster: KafkaCluster) -> String {
        let arn = self.arn("kafka", &cluster.resource());
        self.kafka.clusters.insert(arn.clone(), cluster);
        arn
    }
}

pub(crate) fn arn(service: &str, region: &str, account: &str, rest: &str) -> String {
    format!("arn:aws:{service}:{region}:{account}:{rest}")
}

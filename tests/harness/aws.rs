//! The program beside the fake of AWS.

use std::fmt::Write as _;

use fake_aws::{FakeAws, REGION};

const SERVICES: [&str; 11] = [
    "rds",
    "elasticache",
    "kafka",
    "elasticloadbalancing",
    "tagging",
    "ec2",
    "autoscaling",
    "sts",
    "servicequotas",
    "health",
    "monitoring",
];

/// The section; keys and addresses stand in it, since whoever is started again has nothing else.
pub fn section(fake: &FakeAws) -> String {
    let user = fake.user();
    let mut endpoints = String::new();
    for service in SERVICES {
        _ = write!(endpoints, "{service}: '{}', ", fake.url());
    }
    format!(
        "cloudwatch:\n  enabled: true\n  max_usd_per_month: 40\n  back_fill: 1h\n  \
         accounts: [{{ access_key: {}, secret_key: '{}', regions: [{REGION}] }}]\n  endpoints: {{ {endpoints} }}\n",
        user.access_key, user.secret_key
    )
}

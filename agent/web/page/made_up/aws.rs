//! A made-up account: a shop's databases, caches, brokers and load balancer, and what it costs to watch them.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::view::cloudwatch::{Asks, Aws, Column, Counts, Figure, Place, Row, Share, Table};

use super::House;
use crate::Estate;

impl House {
    /// The pair leaves it to the other replica; on the laptop whose disk fills a permission is missing and money is short.
    pub(super) fn aws(&self) -> Option<Estate> {
        let now = self.now();
        let watched = match (self.paired(), self.firing(), self.empty()) {
            (true, ..) => Aws {
                asks: Asks::Other,
                spent: 23.1,
                budget: Some(40.0),
                stretch: [1.0; 3],
                ..Aws::default()
            },
            (_, true, _) => short(now),
            (.., true) => Aws {
                asks: Asks::Here,
                stretch: [1.0; 3],
                ..Aws::default()
            },
            _ => return None,
        };
        let is_empty = self.empty();
        Some(Estate {
            watched: Arc::new(move || watched.clone()),
            tables: Arc::new(move || if is_empty { Vec::new() } else { tables() }),
        })
    }
}

/// Of which not all can be asked, and for which the money is short.
fn short(now: Timestamp) -> Aws {
    Aws {
        asks: Asks::Here,
        spent: 23.1,
        forecast: 39.2,
        budget: Some(40.0),
        stretch: [1.0, 1.5, 24.0],
        problems: Vec::new(),
        places: vec![place(now)],
    }
}

fn place(now: Timestamp) -> Place {
    let share = |by: &str, namespace: &str, is_alert, series, seconds, monthly| Share {
        by: by.to_owned(),
        namespace: namespace.to_owned(),
        is_alert,
        series,
        interval: Duration::from_secs(seconds),
        monthly,
    };
    let refused = "DescribeDBInstances is not allowed; grant rds:DescribeDBInstances: no policy allows it";
    Place {
        account: "123456789012".to_owned(),
        region: "eu-central-1".to_owned(),
        problems: vec![refused.to_owned()],
        described_at: Some(now - Duration::from_secs(240)),
        newest: Some(now - Duration::from_secs(130)),
        series: 407,
        monthly: 37.8,
        calls: 8_211,
        resources: Vec::new(),
        shares: vec![
            share("alert RdsStorageLow", "AWS/RDS", true, 7, 450, 0.42),
            share("alert MskBrokerCpuHigh", "AWS/Kafka", true, 149, 300, 13.31),
            share("dashboard Databases", "AWS/RDS", false, 112, 3_600, 0.83),
            share("cloudwatch.metrics", "AWS/SQS", false, 1, 300, 0.004),
        ],
    }
}

fn row(labels: &[(&'static str, &str)], about: &[&str], values: &[Option<f64>]) -> Row {
    let place = [("account_id", "123456789012"), ("region", "eu-central-1")];
    let labels: Vec<(&'static str, String)> = place
        .iter()
        .chain(labels)
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let mut row = Row {
        about: about.iter().map(|&word| word.to_owned()).collect(),
        figures: values
            .iter()
            .map(|value| Figure {
                value: *value,
                expr: "max by (region) (aws_rds_cpuutilization_average)".to_owned(),
            })
            .collect(),
        labels,
        ..Row::default()
    };
    row.name = row.id().replace('/', " ");
    row
}

fn table(
    family: &'static str,
    one: &'static str,
    columns: &[(&'static str, Counts)],
    rows: Vec<Row>,
) -> Table {
    let columns = columns.iter().map(|(word, counts)| Column {
        word,
        counts: *counts,
        alert: if *word == "CPU" { "HighCpu" } else { "" },
    });
    Table {
        family,
        one,
        columns: columns.collect(),
        rows,
    }
}

fn tables() -> Vec<Table> {
    let database = |name, role, cpu, left| {
        row(
            &[("dimension_DBInstanceIdentifier", name)],
            &["db.r6g.2xlarge", "postgres", role],
            &[Some(cpu), Some(0.62), Some(0.38), None, Some(left)],
        )
    };
    let fills = [
        ("CPU", Counts::Fill),
        ("Memory", Counts::Fill),
        ("Connections", Counts::Fill),
        ("Storage", Counts::Fill),
        ("Storage left", Counts::Bytes),
    ];
    vec![
        table(
            "rds",
            "database",
            &fills,
            vec![
                database("orders", "primary", 0.46, 3.1e10),
                database(
                    "orders-replica-with-a-name-that-does-not-end-soon",
                    "replica",
                    0.41,
                    3.1e10,
                ),
                row(
                    &[("dimension_DBInstanceIdentifier", "stopped")],
                    &["db.t4g.medium"],
                    &[None; 5],
                ),
            ],
        ),
        table(
            "kafka_broker",
            "broker",
            &[("CPU", Counts::Fill), ("Disk", Counts::Fill)],
            vec![row(
                &[("dimension_Cluster_Name", "events"), ("dimension_Broker_ID", "1")],
                &["kafka.m7g.large"],
                &[Some(0.34), Some(0.72)],
            )],
        ),
        table(
            "applicationelb",
            "load balancer",
            &[
                ("Requests/s", Counts::PerSecond),
                ("5xx, 5 min", Counts::Share),
                ("Slowest p95", Counts::Seconds),
                ("Unhealthy", Counts::Number),
            ],
            vec![row(
                &[("dimension_LoadBalancer", "app/shop/50dc6c495c0c9188")],
                &["internet-facing"],
                &[Some(1236.0), Some(0.061), Some(0.9), Some(4.0)],
            )],
        ),
    ]
}

/// An account in which everything is called so.
pub(crate) fn evil(word: &'static str, now: Timestamp) -> Estate {
    let mut aws = short(now);
    aws.problems = vec![word.to_owned()];
    for place in &mut aws.places {
        (place.account, place.region) = (word.to_owned(), word.to_owned());
        place.problems = vec![word.to_owned()];
        for share in &mut place.shares {
            share.by = format!("alert {word}");
            share.is_alert = true;
        }
    }
    let mut all = tables();
    for row in all.iter_mut().flat_map(|table| &mut table.rows) {
        row.name = word.to_owned();
        row.about = vec![word.to_owned()];
        for (_, value) in &mut row.labels {
            word.clone_into(value);
        }
        for figure in &mut row.figures {
            word.clone_into(&mut figure.expr);
        }
    }
    Estate {
        watched: Arc::new(move || aws.clone()),
        tables: Arc::new(move || all.clone()),
    }
}

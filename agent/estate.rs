//! What the page shows of AWS: resources by kind, each with the figures that say how it is.
//!
//! Only what the shipped rules read is asked for, so that nobody pays for a look. All of it comes from the samples, which both
//! replicas have; each column is one question for all rows of its table.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloudwatch::CloudWatch;
use model::view::cloudwatch::{Column, Counts, Figure, Row, Table};
use model::{Clock, Matcher};
use promql::Engine;

use crate::inventory::{Lately, ask};

/// None where nothing of AWS is asked.
pub(crate) fn of(
    room: Option<&CloudWatch>,
    engine: &Arc<Engine>,
    clock: Arc<dyn Clock>,
) -> Option<web::Estate> {
    let room = room?.clone();
    room.view()?;
    let (engine, lately) = (Arc::clone(engine), Lately::new());
    Some(web::Estate {
        watched: Arc::new(move || room.view().unwrap_or_default()),
        tables: Arc::new(move || {
            let now = clock.now();
            lately.get(now, || {
                let tables = KINDS.iter().map(|kind| kind.table(&engine, &*clock));
                tables.filter(|table| !table.rows.is_empty()).collect()
            })
        }),
    })
}

/// What all resources have; their dimensions come behind it.
const WHERE: [&str; 2] = ["account_id", "region"];

/// One table.
struct Kind {
    family: &'static str,
    one: &'static str,
    /// Labels of its dimensions.
    keys: &'static [&'static str],
    /// The label of its info that people know it by; its dimensions where there is none.
    name: Option<&'static str>,
    /// Labels of its info that say more of it.
    about: &'static [&'static str],
    columns: &'static [(&'static str, Counts, &'static str, &'static str)],
}

// A column: its word, what it counts, its question, and the alert that fires when it is full, or none.
// In the questions `BY` stands for the labels of a row, and `IT` for matchers of those that are meant.
const KINDS: &[Kind] = &[
    Kind {
        family: "rds",
        one: "database",
        keys: &["dimension_DBInstanceIdentifier"],
        name: None,
        about: &["class", "engine", "role"],
        columns: &[
            (
                "CPU",
                Counts::Fill,
                "max by (BY) (aws_rds_cpuutilization_average{IT}) / 100",
                "RdsCpuHigh",
            ),
            (
                "Memory",
                Counts::Fill,
                "1 - max by (BY) (aws_rds_freeable_memory_average{IT}) / max by (BY) (aws_rds_memory_bytes{IT})",
                "RdsMemoryLow",
            ),
            (
                "Connections",
                Counts::Fill,
                "max by (BY) (aws_rds_database_connections_average{IT}) / max by (BY) (aws_rds_max_connections{IT})",
                "RdsConnectionsHigh",
            ),
            (
                "Storage",
                Counts::Fill,
                "1 - max by (BY) (aws_rds_free_storage_space_minimum{IT}) / max by (BY) (aws_rds_allocated_storage_bytes{IT})",
                "RdsStorageLow",
            ),
            (
                "Storage left",
                Counts::Bytes,
                "max by (BY) (aws_rds_free_storage_space_minimum{IT})",
                "",
            ),
            (
                "Full in",
                Counts::Left,
                "max by (BY) (aws_rds_free_storage_space_minimum{IT}) / (-max by (BY) (deriv(aws_rds_free_storage_space_minimum{IT}[1d])) > 0)",
                "",
            ),
        ],
    },
    Kind {
        family: "elasticache",
        one: "cache",
        keys: &["dimension_CacheClusterId"],
        name: None,
        about: &["class", "engine", "role"],
        columns: &[
            (
                "Engine CPU",
                Counts::Fill,
                "max by (BY) (aws_elasticache_engine_cpuutilization_average{IT}) / 100",
                "ElastiCacheEngineCpuHigh",
            ),
            (
                "Memory",
                Counts::Fill,
                "max by (BY) (aws_elasticache_database_memory_usage_percentage_maximum{IT}) / 100",
                "ElastiCacheMemoryHigh",
            ),
            (
                "Connections",
                Counts::Fill,
                "max by (BY) (aws_elasticache_curr_connections_average{IT}) / max by (BY) (aws_elasticache_max_clients{IT})",
                "ElastiCacheConnectionsHigh",
            ),
            (
                "Hits, 30 min",
                Counts::Share,
                "max by (BY) (sum_over_time(aws_elasticache_cache_hits_sum{IT}[30m])) / (max by (BY) (sum_over_time(aws_elasticache_cache_hits_sum{IT}[30m])) + max by (BY) (sum_over_time(aws_elasticache_cache_misses_sum{IT}[30m])) > 0)",
                "",
            ),
            (
                "Evictions, 15 min",
                Counts::Number,
                "max by (BY) (sum_over_time(aws_elasticache_evictions_sum{IT}[15m]))",
                "",
            ),
        ],
    },
    Kind {
        family: "kafka_broker",
        one: "broker",
        keys: &["dimension_Cluster_Name", "dimension_Broker_ID"],
        name: None,
        about: &["instance_type"],
        columns: &[
            (
                "CPU",
                Counts::Fill,
                "(max by (BY) (aws_kafka_cpu_user_average{IT}) + max by (BY) (aws_kafka_cpu_system_average{IT})) / 100",
                "MskCpuHigh",
            ),
            (
                "Heap",
                Counts::Fill,
                "max by (BY) (aws_kafka_heap_memory_after_gc_average{IT}) / 100",
                "MskHeapHigh",
            ),
            (
                "Disk",
                Counts::Fill,
                "max by (BY) (aws_kafka_data_logs_disk_used_maximum{IT}) / 100",
                "MskDiskNearlyFull",
            ),
            (
                "Bytes in",
                Counts::Fill,
                "max by (BY) (aws_kafka_bytes_in_per_sec_average{dimension_Topic=\"\", IT}) / max by (BY) (aws_kafka_broker_capacity_bytes_per_second{IT})",
                "MskThroughputNearCapacity",
            ),
            (
                "Partitions",
                Counts::Fill,
                "max by (BY) (aws_kafka_partition_count_maximum{IT}) / max by (BY) (aws_kafka_broker_partitions_max{IT})",
                "MskPartitionsTooMany",
            ),
            (
                "Full in",
                Counts::Left,
                "(100 - max by (BY) (aws_kafka_data_logs_disk_used_maximum{IT})) / (max by (BY) (deriv(aws_kafka_data_logs_disk_used_maximum{IT}[6h])) > 0)",
                "",
            ),
        ],
    },
    Kind {
        family: "applicationelb",
        one: "load balancer",
        keys: &["dimension_LoadBalancer"],
        name: Some("load_balancer"),
        about: &["scheme"],
        columns: &[
            (
                "Requests/s",
                Counts::PerSecond,
                "max by (BY) (aws_applicationelb_request_count_sum{dimension_TargetGroup=\"\", dimension_AvailabilityZone=\"\", IT}) / 60",
                "",
            ),
            (
                "5xx, 5 min",
                Counts::Share,
                "(sum by (BY) (sum_over_time(aws_applicationelb_httpcode_target_5_xx_count_sum{dimension_TargetGroup!=\"\", dimension_AvailabilityZone=\"\", IT}[5m])) + max by (BY) (sum_over_time(aws_applicationelb_httpcode_elb_5_xx_count_sum{dimension_TargetGroup=\"\", dimension_AvailabilityZone=\"\", IT}[5m]))) / (max by (BY) (sum_over_time(aws_applicationelb_request_count_sum{dimension_TargetGroup=\"\", dimension_AvailabilityZone=\"\", IT}[5m])) > 0)",
                "",
            ),
            (
                "Slowest p95",
                Counts::Seconds,
                "max by (BY) (aws_applicationelb_target_response_time_p95{dimension_TargetGroup!=\"\", dimension_AvailabilityZone=\"\", IT})",
                "",
            ),
            (
                "Healthy hosts",
                Counts::Number,
                "sum by (BY) (aws_applicationelb_healthy_host_count_minimum{dimension_TargetGroup!=\"\", dimension_AvailabilityZone=\"\", IT})",
                "",
            ),
            (
                "Unhealthy",
                Counts::Number,
                "sum by (BY) (aws_applicationelb_un_healthy_host_count_maximum{dimension_TargetGroup!=\"\", dimension_AvailabilityZone=\"\", IT})",
                "",
            ),
        ],
    },
    Kind {
        family: "networkelb",
        one: "network load balancer",
        keys: &["dimension_LoadBalancer"],
        name: Some("load_balancer"),
        about: &["scheme"],
        columns: &[
            (
                "Healthy hosts",
                Counts::Number,
                "sum by (BY) (aws_networkelb_healthy_host_count_minimum{dimension_TargetGroup!=\"\", dimension_AvailabilityZone=\"\", IT})",
                "",
            ),
            (
                "Unhealthy",
                Counts::Number,
                "sum by (BY) (aws_networkelb_un_healthy_host_count_maximum{dimension_TargetGroup!=\"\", dimension_AvailabilityZone=\"\", IT})",
                "",
            ),
        ],
    },
    Kind {
        family: "natgateway",
        one: "NAT gateway",
        keys: &["dimension_NatGatewayId"],
        name: None,
        about: &["vpc_id"],
        columns: &[
            (
                "Packets out/s",
                Counts::PerSecond,
                "max by (BY) (aws_natgateway_packets_out_to_destination_sum{IT}) / 60",
                "",
            ),
            (
                "Dropped, 15 min",
                Counts::Number,
                "max by (BY) (sum_over_time(aws_natgateway_packets_drop_count_sum{IT}[15m]))",
                "",
            ),
            (
                "No port, 5 min",
                Counts::Number,
                "max by (BY) (sum_over_time(aws_natgateway_error_port_allocation_sum{IT}[5m]))",
                "",
            ),
        ],
    },
];

impl Kind {
    fn labels(&self) -> impl Iterator<Item = &'static str> {
        WHERE.into_iter().chain(self.keys.iter().copied())
    }

    /// A question of a column, of those that the matchers mean.
    fn question(&self, template: &str, matchers: &str) -> String {
        let by: Vec<&str> = self.labels().collect();
        let expr = template.replace("BY", &by.join(", "));
        // Without matchers no comma is left behind.
        match matchers {
            "" => expr.replace(", IT}", "}").replace("IT}", "}"),
            matchers => expr.replace("IT}", &format!("{matchers}}}")),
        }
    }

    fn table(&self, engine: &Engine, clock: &dyn Clock) -> Table {
        let of = |labels: &model::Labels| -> Vec<(&'static str, String)> {
            self.labels()
                .map(|name| (name, labels.value(name).to_owned()))
                .collect()
        };
        let mut rows: BTreeMap<Vec<(&'static str, String)>, Row> = BTreeMap::new();
        for (info, _) in ask(engine, clock, &format!("aws_{}_info", self.family)) {
            let row = self.row(of(&info), &info);
            rows.insert(row.labels.clone(), row);
        }
        for (nth, (_, _, template, _)) in self.columns.iter().enumerate() {
            if rows.is_empty() {
                break;
            }
            for (labels, value) in ask(engine, clock, &self.question(template, "")) {
                let figure = rows
                    .get_mut(&of(&labels))
                    .and_then(|row| row.figures.get_mut(nth));
                if let Some(figure) = figure {
                    figure.value = Some(value);
                }
            }
        }
        Table {
            family: self.family,
            one: self.one,
            columns: self
                .columns
                .iter()
                .map(|(word, counts, _, alert)| Column {
                    word,
                    counts: *counts,
                    alert,
                })
                .collect(),
            rows: rows.into_values().collect(),
        }
    }

    fn row(&self, labels: Vec<(&'static str, String)>, info: &model::Labels) -> Row {
        let matchers: Vec<String> = labels
            .iter()
            .map(|(name, value)| Matcher::equal(name, value).to_string())
            .collect();
        let matchers = matchers.join(", ");
        let figures = self.columns.iter().map(|(_, _, template, _)| Figure {
            value: None,
            expr: self.question(template, &matchers),
        });
        let mut row = Row {
            name: String::new(),
            about: self
                .about
                .iter()
                .map(|name| info.value(name).to_owned())
                .filter(|said| !said.is_empty())
                .collect(),
            figures: figures.collect(),
            labels,
        };
        row.name = match self.name.map(|name| info.value(name)) {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => row.id().replace('/', " "),
        };
        row
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use promql::parse;

    use super::*;

    #[test]
    fn every_question_is_one_for_all_rows_and_for_one() {
        let of_one = r#"account_id="1", region="r""#;
        for kind in KINDS {
            for (word, _, template, _) in kind.columns {
                for matchers in ["", of_one] {
                    let expr = kind.question(template, matchers);
                    parse(&expr).unwrap_or_else(|error| panic!("{word}: {expr}: {error}"));
                    assert!(!expr.contains("IT}") && !expr.contains("(BY)"), "{expr}");
                    assert_eq!(expr.contains(of_one), !matchers.is_empty(), "{expr}");
                }
            }
        }
    }

    #[test]
    fn every_column_that_fills_has_an_alert_that_ships() {
        let rules: String = crate::shipped::RULES.iter().map(|(_, text)| *text).collect();
        for kind in KINDS {
            for (word, counts, _, alert) in kind.columns {
                assert_eq!(
                    *counts == Counts::Fill,
                    !alert.is_empty(),
                    "{} {word}",
                    kind.family
                );
                let is_there = rules
                    .lines()
                    .any(|line| line.trim_start() == format!("- alert: {alert}"));
                assert!(alert.is_empty() || is_there, "{alert}");
            }
        }
    }

    /// A look must not be what something is bought for.
    #[test]
    fn nothing_is_shown_that_no_rule_reads() {
        let rules: String = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rules"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        let named: BTreeSet<&str> = rules
            .split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
            .collect();
        for kind in KINDS {
            for (word, _, template, _) in kind.columns {
                for name in template.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')) {
                    let is_series = name.starts_with("aws_");
                    assert!(
                        !is_series || named.contains(name),
                        "{} {word}: no rule reads {name}",
                        kind.family
                    );
                }
            }
        }
    }
}

//! What the dashboard of MSK shows.

use serde_json::Value;

use super::super::build::{Panel, dashboard, tables};
use super::{Bounds, Chosen, finish};

/// One number for each chosen cluster: of what each broker says, the largest.
macro_rules! of_cluster {
    ($metric:literal) => {
        concat!(
            "max by (account_id, region, dimension_Cluster_Name) (",
            $metric,
            "{account_id=~\"$account\",region=~\"$region\",dimension_Cluster_Name=~\"$mskcluster\"})"
        )
    };
}

/// One number for each broker of the chosen clusters, of all topics together.
macro_rules! of {
    ($metric:literal) => {
        concat!(
            "max by (account_id, region, dimension_Cluster_Name, dimension_Broker_ID) (",
            $metric,
            "{account_id=~\"$account\",region=~\"$region\",dimension_Cluster_Name=~\"$mskcluster\",dimension_Topic=\"\"})"
        )
    };
}

/// One number for each topic, of all brokers together.
macro_rules! of_topic {
    ($metric:literal) => {
        concat!(
            "sum by (account_id, region, dimension_Topic) (",
            $metric,
            "{account_id=~\"$account\",region=~\"$region\",dimension_Cluster_Name=~\"$mskcluster\",dimension_Topic!=\"\"})"
        )
    };
}

/// One number for each group and topic.
macro_rules! of_group {
    ($metric:literal) => {
        concat!(
            "max by (account_id, region, dimension_Consumer_Group, dimension_Topic) (",
            $metric,
            "{account_id=~\"$account\",region=~\"$region\",dimension_Cluster_Name=~\"$mskcluster\"})"
        )
    };
}

const BOUNDS: Bounds = Bounds {
    above: &[
        ("Partitions without a leader", "MskOfflinePartitions"),
        ("Partitions that lack a replica", "MskUnderReplicated"),
        ("Brokers that are silent", "MskBrokerSilent"),
        ("Slowest group", "MskConsumerLag"),
        ("Lag in time", "MskConsumerLag"),
        ("Lag in messages", "MskConsumerLagGrows"),
        ("Busiest broker", "MskCpuHigh"),
        ("CPU", "MskCpuHigh"),
        ("Fullest disk", "MskDiskNearlyFull"),
        ("Disk", "MskDiskNearlyFull"),
        ("Connections taken", "MskConnectionsHigh"),
        ("Heap after collections", "MskHeapHigh"),
        ("Beyond the class", "MskTrafficShaped"),
    ],
    below: &[
        ("CPU credits", "MskCpuCreditsLow"),
        ("Idle threads", "MskThreadsBusy"),
    ],
};

const CHOSEN: Chosen = Chosen {
    variable: "mskcluster",
    called: "Cluster",
    label: "dimension_Cluster_Name",
    series: "aws_kafka_info",
};

/// Are the brokers well, and do the consumers keep up?
#[expect(clippy::too_many_lines, reason = "a list of panels, one after the other")]
pub(in crate::dashboards) fn msk() -> Value {
    let stats = [
        Panel {
            title: "Partitions without a leader",
            about: "Partitions that nobody can write to or read from. Alert: MskOfflinePartitions.",
            unit: "short",
            targets: &[(
                concat!(
                    "sum(",
                    of_cluster!("aws_kafka_offline_partitions_count_maximum"),
                    ")"
                ),
                "partitions",
            )],
        },
        Panel {
            title: "Partitions that lack a replica",
            about: "Partitions whose replicas are not in sync, and those that take no writes for it. Alerts: MskUnderReplicated, MskUnderMinIsr.",
            unit: "short",
            targets: &[
                (
                    concat!("sum(", of!("aws_kafka_under_replicated_partitions_maximum"), ")"),
                    "lack one",
                ),
                (
                    concat!(
                        "sum(",
                        of!("aws_kafka_under_min_isr_partition_count_maximum"),
                        ")"
                    ),
                    "take no writes",
                ),
            ],
        },
        Panel {
            title: "Brokers that are silent",
            about: "Brokers that there should be, without those that have said anything within 10 minutes. Alert: MskBrokerSilent.",
            unit: "short",
            targets: &[(
                concat!(
                    "sum(",
                    of_cluster!("aws_kafka_brokers"),
                    ") - count(count by (account_id, region, dimension_Cluster_Name, dimension_Broker_ID) (count_over_time(aws_kafka_cpu_user_average{account_id=~\"$account\",region=~\"$region\",dimension_Cluster_Name=~\"$mskcluster\"}[10m])))"
                ),
                "brokers",
            )],
        },
        Panel {
            title: "Slowest group",
            about: "How old the oldest message is that a group has not read yet. Alerts: MskConsumerLag, MskConsumerLagGrows.",
            unit: "s",
            targets: &[(
                concat!(
                    "max(",
                    of_group!("aws_kafka_estimated_max_time_lag_maximum"),
                    ") or on () vector(0)"
                ),
                "behind",
            )],
        },
        Panel {
            title: "Busiest broker",
            about: "Percent of its CPUs. Alert: MskCpuHigh.",
            unit: "percent",
            targets: &[(
                concat!(
                    "max(",
                    of!("aws_kafka_cpu_user_average"),
                    " + ",
                    of!("aws_kafka_cpu_system_average"),
                    ")"
                ),
                "CPU",
            )],
        },
        Panel {
            title: "Fullest disk",
            about: "Percent of the disk that data take, of the fullest broker. Alerts: MskDiskNearlyFull, MskDiskFillsSoon.",
            unit: "percent",
            targets: &[(
                concat!("max(", of!("aws_kafka_data_logs_disk_used_maximum"), ")"),
                "full",
            )],
        },
        Panel {
            title: "Connections taken",
            about: "Share of the connections that a broker takes, where it is largest. Alerts: MskConnectionsHigh, MskConnectionRateHigh.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "max(",
                    of!("aws_kafka_connection_count_maximum"),
                    " / ",
                    of!("aws_kafka_broker_connections_max"),
                    ")"
                ),
                "taken",
            )],
        },
        Panel {
            title: "Partitions of what is recommended",
            about: "Share of the partitions that are recommended for the class of a broker, where it is largest. Alert: MskPartitionsTooMany.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "max(",
                    of!("aws_kafka_partition_count_maximum"),
                    " / ",
                    of!("aws_kafka_broker_partitions_max"),
                    ")"
                ),
                "partitions",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "Bytes in",
            about: "Bytes a second that producers send to each broker. Alert: MskThroughputNearCapacity.",
            unit: "binBps",
            targets: &[(
                of!("aws_kafka_bytes_in_per_sec_average"),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
        Panel {
            title: "Bytes out",
            about: "Bytes a second that consumers get of each broker.",
            unit: "binBps",
            targets: &[(
                of!("aws_kafka_bytes_out_per_sec_average"),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
        Panel {
            title: "Bytes in by topic",
            about: "Bytes a second that producers send.",
            unit: "binBps",
            targets: &[(
                of_topic!("aws_kafka_bytes_in_per_sec_average"),
                "{{dimension_Topic}}",
            )],
        },
        Panel {
            title: "Messages in by topic",
            about: "Messages a second that producers send. Alert: MskNoMessages.",
            unit: "short",
            targets: &[(
                of_topic!("aws_kafka_messages_in_per_sec_average"),
                "{{dimension_Topic}}",
            )],
        },
        Panel {
            title: "Lag in time",
            about: "How old the oldest message is that a group has not read yet; nothing while the group rebalances. Alert: MskConsumerLag.",
            unit: "s",
            targets: &[(
                of_group!("aws_kafka_estimated_max_time_lag_maximum"),
                "{{dimension_Consumer_Group}} {{dimension_Topic}}",
            )],
        },
        Panel {
            title: "Lag in messages",
            about: "Messages that a group has not read yet: in the slowest partition. Alert: MskConsumerLagGrows.",
            unit: "short",
            targets: &[(
                of_group!("aws_kafka_max_offset_lag_maximum"),
                "{{dimension_Consumer_Group}} {{dimension_Topic}}",
            )],
        },
        Panel {
            title: "CPU",
            about: "Percent of the CPUs of each broker. Alert: MskCpuHigh.",
            unit: "percent",
            targets: &[(
                concat!(
                    of!("aws_kafka_cpu_user_average"),
                    " + ",
                    of!("aws_kafka_cpu_system_average")
                ),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
        Panel {
            title: "CPU credits",
            about: "Of t classes: at 0 they are slowed to their baseline. Alert: MskCpuCreditsLow.",
            unit: "short",
            targets: &[(
                of!("aws_kafka_cpucredit_balance_average"),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
        Panel {
            title: "Heap after collections",
            about: "Percent of the heap that is still in use. Alert: MskHeapHigh.",
            unit: "percent",
            targets: &[(
                of!("aws_kafka_heap_memory_after_gc_average"),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
        Panel {
            title: "Disk",
            about: "Percent of the disk that data take. Alerts: MskDiskNearlyFull, MskDiskFillsSoon.",
            unit: "percent",
            targets: &[(
                of!("aws_kafka_data_logs_disk_used_maximum"),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
        Panel {
            title: "Idle threads",
            about: "Share of the time that threads for requests and for the network have nothing to do. Only with monitoring by broker. Alert: MskThreadsBusy.",
            unit: "percentunit",
            targets: &[
                (
                    of!("aws_kafka_request_handler_avg_idle_percent_average"),
                    "{{dimension_Cluster_Name}} {{dimension_Broker_ID}} requests",
                ),
                (
                    of!("aws_kafka_network_processor_avg_idle_percent_average"),
                    "{{dimension_Cluster_Name}} {{dimension_Broker_ID}} network",
                ),
            ],
        },
        Panel {
            title: "Time to produce",
            about: "Milliseconds that each broker takes for a write, all replicas that are waited for among them.",
            unit: "ms",
            targets: &[(
                of!("aws_kafka_produce_total_time_ms_mean_maximum"),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
        Panel {
            title: "Connections",
            about: "Connections of clients and brokers. Alert: MskConnectionsHigh.",
            unit: "short",
            targets: &[(
                of!("aws_kafka_connection_count_maximum"),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
        Panel {
            title: "New connections",
            about: "Connections a second that clients make. Only with monitoring by broker. Alerts: MskConnectionRateHigh, MskIamConnectionsRefused.",
            unit: "short",
            targets: &[(
                of!("aws_kafka_connection_creation_rate_maximum"),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
        Panel {
            title: "Beyond the class",
            about: "Packets a minute that were queued or dropped because the class of the broker allows no more. Alert: MskTrafficShaped.",
            unit: "short",
            targets: &[(
                of!("aws_kafka_traffic_shaping_sum"),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
        Panel {
            title: "Leaders",
            about: "Partitions that each broker leads; who leads more does more. Alert: MskLeadersUneven.",
            unit: "short",
            targets: &[(
                of!("aws_kafka_leader_count_maximum"),
                "{{dimension_Cluster_Name}} {{dimension_Broker_ID}}",
            )],
        },
    ];
    let below = [
        Panel {
            title: "Clusters",
            about: "What each of them is, and how many brokers it should have.",
            unit: "short",
            targets: &[
                (
                    "max by (account_id, region, dimension_Cluster_Name, kind, kafka_version, instance_type) (aws_kafka_info{account_id=~\"$account\",region=~\"$region\",dimension_Cluster_Name=~\"$mskcluster\"})",
                    "there",
                ),
                (of_cluster!("aws_kafka_brokers"), "brokers"),
            ],
        },
        Panel {
            title: "State",
            about: "The state in which MSK says that each cluster is. Alerts: MskHealing, MskFailed.",
            unit: "short",
            targets: &[(
                "max by (account_id, region, dimension_Cluster_Name, state) (aws_kafka_state{account_id=~\"$account\",region=~\"$region\",dimension_Cluster_Name=~\"$mskcluster\"} == 1)",
                "state",
            )],
        },
    ];
    let mut all = dashboard("skopos-msk", "Skopos / MSK", &stats, &graphs);
    tables(&mut all, &below);
    finish(&mut all, &CHOSEN, &BOUNDS);
    all
}

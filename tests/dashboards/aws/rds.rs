//! What the dashboard of RDS shows.

use serde_json::Value;

use super::super::build::{Panel, dashboard, tables};
use super::{Bounds, Chosen, finish};

/// One number for each chosen instance.
macro_rules! of {
    ($metric:literal) => {
        concat!(
            "max by (account_id, region, dimension_DBInstanceIdentifier) (",
            $metric,
            "{account_id=~\"$account\",region=~\"$region\",dimension_DBInstanceIdentifier!=\"\",dimension_DBInstanceIdentifier=~\"$dbinstance\"})"
        )
    };
}

/// One number for each proxy of the chosen account and region.
macro_rules! of_proxy {
    ($metric:literal) => {
        concat!(
            "max by (account_id, region, dimension_ProxyName) (",
            $metric,
            "{account_id=~\"$account\",region=~\"$region\",dimension_ProxyName!=\"\",dimension_EndpointName=\"\",dimension_TargetGroup=\"\"})"
        )
    };
}

const BOUNDS: Bounds = Bounds {
    above: &[
        ("Busiest", "RdsCpuHigh"),
        ("CPU", "RdsCpuHigh"),
        ("Connections taken", "RdsConnectionsHigh"),
        ("Share of connections", "RdsConnectionsHigh"),
        ("IOPS used", "RdsIopsNearLimit"),
        ("Share of IOPS", "RdsIopsNearLimit"),
        ("Share of throughput", "RdsThroughputNearLimit"),
        ("Replicas behind", "RdsReplicaLag"),
        ("Replica lag", "RdsReplicaLag"),
        ("Waiting for the disk", "RdsDiskQueueLong"),
        ("Latency of reads and writes", "RdsReadsSlow"),
        ("Transaction ids used", "RdsTransactionIdsUsedUp"),
        ("Share of a proxy's connections", "RdsProxyConnectionsHigh"),
        ("Longest wait for a connection", "RdsProxyBorrowSlow"),
    ],
    below: &[
        ("Memory left", "RdsMemoryLow"),
        ("Share of memory left", "RdsMemoryLow"),
        ("Storage left", "RdsStorageLow"),
        ("Share of storage left", "RdsStorageLow"),
        ("Storage lasts", "RdsStorageFillsSoon"),
        ("CPU credits", "RdsCpuCreditsLow"),
        ("Credits of the disk", "RdsEbsBalanceLow"),
    ],
};

const CHOSEN: Chosen = Chosen {
    variable: "dbinstance",
    called: "Instance",
    label: "dimension_DBInstanceIdentifier",
    series: "aws_rds_info",
};

/// Do the databases have what they need, and for how long?
#[expect(clippy::too_many_lines, reason = "a list of panels, one after the other")]
pub(in crate::dashboards) fn rds() -> Value {
    let stats = [
        Panel {
            title: "Busiest",
            about: "CPU of the busiest instance, in percent. Alert: RdsCpuHigh.",
            unit: "percent",
            targets: &[(concat!("max(", of!("aws_rds_cpuutilization_average"), ")"), "CPU")],
        },
        Panel {
            title: "Connections taken",
            about: "Share of max_connections, where it is largest. Alerts: RdsConnectionsHigh, RdsConnectionPoolUsedUp.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "max(",
                    of!("aws_rds_database_connections_average"),
                    " / ",
                    of!("aws_rds_max_connections"),
                    ")"
                ),
                "taken",
            )],
        },
        Panel {
            title: "Memory left",
            about: "Share of the memory that is free or could be freed, where it is least. Alert: RdsMemoryLow.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "min(",
                    of!("aws_rds_freeable_memory_average"),
                    " / ",
                    of!("aws_rds_memory_bytes"),
                    ")"
                ),
                "left",
            )],
        },
        Panel {
            title: "Storage left",
            about: "Share of the storage that is free, where it is least. Alerts: RdsStorageLow, RdsStorageFull.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "min(",
                    of!("aws_rds_free_storage_space_minimum"),
                    " / ",
                    of!("aws_rds_allocated_storage_bytes"),
                    ")"
                ),
                "left",
            )],
        },
        Panel {
            title: "Storage lasts",
            about: "Days until a disk is full at the pace of the last day, where that is soonest; a year where none fills. Alert: RdsStorageFillsSoon.",
            unit: "d",
            targets: &[(
                concat!(
                    "min(",
                    of!("aws_rds_free_storage_space_minimum"),
                    " / (-max by (account_id, region, dimension_DBInstanceIdentifier) (deriv(aws_rds_free_storage_space_minimum{account_id=~\"$account\",region=~\"$region\",dimension_DBInstanceIdentifier=~\"$dbinstance\"}[1d])) > 0) / 86400 < 365) or on () vector(365)"
                ),
                "days",
            )],
        },
        Panel {
            title: "IOPS used",
            about: "Share of the provisioned IOPS, where it is largest. Alert: RdsIopsNearLimit.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "max((",
                    of!("aws_rds_read_iops_average"),
                    " + ",
                    of!("aws_rds_write_iops_average"),
                    ") / ",
                    of!("aws_rds_provisioned_iops"),
                    ")"
                ),
                "used",
            )],
        },
        Panel {
            title: "Replicas behind",
            about: "Seconds that the slowest replica is behind. Alerts: RdsReplicaLag, RdsReplicationStopped.",
            unit: "s",
            targets: &[(
                concat!("max(", of!("aws_rds_replica_lag_maximum"), ") or on () vector(0)"),
                "behind",
            )],
        },
        Panel {
            title: "Not available",
            about: "Instances in another state than available; those that somebody has stopped are among them. Alerts: RdsInstanceFailed, RdsInstanceStuck.",
            unit: "short",
            targets: &[(
                concat!("count(", of!("aws_rds_available"), " == 0) or on () vector(0)"),
                "instances",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "CPU",
            about: "Percent of all CPUs of each instance. Alert: RdsCpuHigh.",
            unit: "percent",
            targets: &[(
                of!("aws_rds_cpuutilization_average"),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "Sessions at work for each CPU",
            about: "Sessions that work or wait, by the number of CPUs: above 1 they wait. Only with Performance or Database Insights. Alerts: RdsLoadHigh, RdsSessionsWait.",
            unit: "short",
            targets: &[
                (
                    concat!(of!("aws_rds_dbload_average"), " / ", of!("aws_rds_vcpus")),
                    "{{dimension_DBInstanceIdentifier}}",
                ),
                (
                    concat!(of!("aws_rds_dbload_non_cpu_average"), " / ", of!("aws_rds_vcpus")),
                    "{{dimension_DBInstanceIdentifier}} not for a CPU",
                ),
            ],
        },
        Panel {
            title: "Connections",
            about: "Connections of clients, proxies among them. Alert: RdsConnectionsHigh.",
            unit: "short",
            targets: &[(
                of!("aws_rds_database_connections_average"),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "Share of connections",
            about: "Connections by max_connections. Alert: RdsConnectionsHigh.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    of!("aws_rds_database_connections_average"),
                    " / ",
                    of!("aws_rds_max_connections")
                ),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "Share of memory left",
            about: "Memory that is free or could be freed. Alert: RdsMemoryLow.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    of!("aws_rds_freeable_memory_average"),
                    " / ",
                    of!("aws_rds_memory_bytes")
                ),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "Swap",
            about: "Memory that is on the disk. Alert: RdsSwapping.",
            unit: "bytes",
            targets: &[(
                of!("aws_rds_swap_usage_average"),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "Share of storage left",
            about: "The least of each minute. Alerts: RdsStorageLow, RdsStorageFillsSoon.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    of!("aws_rds_free_storage_space_minimum"),
                    " / ",
                    of!("aws_rds_allocated_storage_bytes")
                ),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "Logs kept",
            about: "Transaction logs, and how far the slowest replication slot is behind. Alerts: RdsTransactionLogsLarge, RdsReplicationSlotBehind.",
            unit: "bytes",
            targets: &[
                (
                    of!("aws_rds_transaction_logs_disk_usage_maximum"),
                    "{{dimension_DBInstanceIdentifier}} logs",
                ),
                (
                    of!("aws_rds_oldest_replication_slot_lag_maximum"),
                    "{{dimension_DBInstanceIdentifier}} slot",
                ),
            ],
        },
        Panel {
            title: "Latency of reads and writes",
            about: "Nine of ten are faster. Alerts: RdsReadsSlow, RdsWritesSlow.",
            unit: "s",
            targets: &[
                (
                    of!("aws_rds_read_latency_p90"),
                    "{{dimension_DBInstanceIdentifier}} reads",
                ),
                (
                    of!("aws_rds_write_latency_p90"),
                    "{{dimension_DBInstanceIdentifier}} writes",
                ),
            ],
        },
        Panel {
            title: "Share of IOPS",
            about: "Reads and writes by what is provisioned. Alert: RdsIopsNearLimit.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "(",
                    of!("aws_rds_read_iops_average"),
                    " + ",
                    of!("aws_rds_write_iops_average"),
                    ") / ",
                    of!("aws_rds_provisioned_iops")
                ),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "IOPS",
            about: "Reads and writes a second.",
            unit: "iops",
            targets: &[
                (
                    of!("aws_rds_read_iops_average"),
                    "{{dimension_DBInstanceIdentifier}} reads",
                ),
                (
                    of!("aws_rds_write_iops_average"),
                    "{{dimension_DBInstanceIdentifier}} writes",
                ),
            ],
        },
        Panel {
            title: "Share of throughput",
            about: "Bytes read and written by what is provisioned. Alert: RdsThroughputNearLimit.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "(",
                    of!("aws_rds_read_throughput_average"),
                    " + ",
                    of!("aws_rds_write_throughput_average"),
                    ") / ",
                    of!("aws_rds_provisioned_throughput_bytes_per_second")
                ),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "Waiting for the disk",
            about: "Reads and writes that wait. Alert: RdsDiskQueueLong.",
            unit: "short",
            targets: &[(
                of!("aws_rds_disk_queue_depth_average"),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "CPU credits",
            about: "Of t classes: at 0 they are slowed, or cost more. Alert: RdsCpuCreditsLow.",
            unit: "short",
            targets: &[(
                of!("aws_rds_cpucredit_balance_average"),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "Credits of the disk",
            about: "Percent left of what may be done beyond the baseline: of smaller classes for IOPS and bytes, of gp2 disks. Alerts: RdsEbsBalanceLow, RdsBurstBalanceLow.",
            unit: "percent",
            targets: &[
                (
                    of!("aws_rds_ebsiobalance_percent_average"),
                    "{{dimension_DBInstanceIdentifier}} IOPS",
                ),
                (
                    of!("aws_rds_ebsbyte_balance_percent_average"),
                    "{{dimension_DBInstanceIdentifier}} bytes",
                ),
                (
                    of!("aws_rds_burst_balance_average"),
                    "{{dimension_DBInstanceIdentifier}} gp2",
                ),
            ],
        },
        Panel {
            title: "Replica lag",
            about: "Seconds that each replica is behind; -1 says that it does not replicate. Alerts: RdsReplicaLag, RdsReplicationStopped.",
            unit: "s",
            targets: &[(
                of!("aws_rds_replica_lag_maximum"),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "Transaction ids used",
            about: "How far the oldest row version that is not frozen is back; at 2.1 billion nobody can write. Alert: RdsTransactionIdsUsedUp.",
            unit: "short",
            targets: &[(
                of!("aws_rds_maximum_used_transaction_ids_maximum"),
                "{{dimension_DBInstanceIdentifier}}",
            )],
        },
        Panel {
            title: "Network",
            about: "Bytes a second that clients and replicas send and get.",
            unit: "binBps",
            targets: &[
                (
                    of!("aws_rds_network_receive_throughput_average"),
                    "{{dimension_DBInstanceIdentifier}} in",
                ),
                (
                    of!("aws_rds_network_transmit_throughput_average"),
                    "{{dimension_DBInstanceIdentifier}} out",
                ),
            ],
        },
        Panel {
            title: "Share of a proxy's connections",
            about: "Open to the database, and held by clients, by what the proxy may have. Alerts: RdsProxyConnectionsHigh, RdsProxyConnectionsUsedUp.",
            unit: "percentunit",
            targets: &[
                (
                    concat!(
                        of_proxy!("aws_rds_database_connections_sum"),
                        " / ",
                        of_proxy!("aws_rds_max_database_connections_allowed_sum")
                    ),
                    "{{dimension_ProxyName}} open",
                ),
                (
                    concat!(
                        of_proxy!("aws_rds_database_connections_currently_borrowed_sum"),
                        " / ",
                        of_proxy!("aws_rds_max_database_connections_allowed_sum")
                    ),
                    "{{dimension_ProxyName}} held",
                ),
            ],
        },
        Panel {
            title: "Longest wait for a connection",
            about: "Microseconds that a client of a proxy has waited for one, the longest of each minute. Alert: RdsProxyBorrowSlow.",
            unit: "µs",
            targets: &[(
                of_proxy!("aws_rds_database_connections_borrow_latency_maximum"),
                "{{dimension_ProxyName}}",
            )],
        },
        Panel {
            title: "Pinned connections",
            about: "Connections of a proxy that are bound to one client each. Alert: RdsProxyPinning.",
            unit: "short",
            targets: &[(
                of_proxy!("aws_rds_database_connections_currently_session_pinned_sum"),
                "{{dimension_ProxyName}}",
            )],
        },
    ];
    let below = [Panel {
        title: "Instances",
        about: "What each of them is, with its CPUs, memory and the most connections that it takes.",
        unit: "short",
        targets: &[
            (
                "max by (account_id, region, dimension_DBInstanceIdentifier, engine, engine_version, class, role, availability_zone, status) (aws_rds_info{account_id=~\"$account\",region=~\"$region\",dimension_DBInstanceIdentifier=~\"$dbinstance\"})",
                "there",
            ),
            (of!("aws_rds_vcpus"), "CPUs"),
            (of!("aws_rds_memory_bytes"), "memory"),
            (of!("aws_rds_max_connections"), "connections at most"),
        ],
    }];
    let mut all = dashboard("skopos-rds", "Skopos / RDS", &stats, &graphs);
    tables(&mut all, &below);
    finish(&mut all, &CHOSEN, &BOUNDS);
    all
}

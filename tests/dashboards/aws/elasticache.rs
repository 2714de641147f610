//! What the dashboard of ElastiCache shows.

use serde_json::Value;

use super::super::build::{Panel, dashboard, tables};
use super::{Bounds, Chosen, finish};

/// One number for each chosen node.
macro_rules! of {
    ($metric:literal) => {
        concat!(
            "max by (account_id, region, dimension_CacheClusterId) (",
            $metric,
            "{account_id=~\"$account\",region=~\"$region\",dimension_CacheClusterId=~\"$cachecluster\"})"
        )
    };
}

const BOUNDS: Bounds = Bounds {
    above: &[
        ("Busiest engine", "ElastiCacheEngineCpuHigh"),
        ("CPU of the engine", "ElastiCacheEngineCpuHigh"),
        ("Fullest", "ElastiCacheMemoryHigh"),
        ("Memory", "ElastiCacheMemoryHigh"),
        ("Connections taken", "ElastiCacheConnectionsHigh"),
        ("Replicas behind", "ElastiCacheReplicationLag"),
        ("Replication lag", "ElastiCacheReplicationLag"),
        ("Latency in the engine", "ElastiCacheSlow"),
        ("New connections", "ElastiCacheConnectionsChurn"),
        ("Beyond the class", "ElastiCacheNetworkLimit"),
        ("Failovers in a day", "ElastiCacheFailover"),
    ],
    below: &[],
};

const CHOSEN: Chosen = Chosen {
    variable: "cachecluster",
    called: "Node",
    label: "dimension_CacheClusterId",
    series: "aws_elasticache_info",
};

/// Are the caches fast, full, and of use?
#[expect(clippy::too_many_lines, reason = "a list of panels, one after the other")]
pub(in crate::dashboards) fn elasticache() -> Value {
    let stats = [
        Panel {
            title: "Busiest engine",
            about: "Percent of its one CPU that the engine of the busiest node uses. Alert: ElastiCacheEngineCpuHigh.",
            unit: "percent",
            targets: &[(
                concat!("max(", of!("aws_elasticache_engine_cpuutilization_average"), ")"),
                "engine",
            )],
        },
        Panel {
            title: "Fullest",
            about: "Percent of the memory for data, of the fullest node. Alert: ElastiCacheMemoryHigh.",
            unit: "percent",
            targets: &[(
                concat!(
                    "max(",
                    of!("aws_elasticache_database_memory_usage_percentage_maximum"),
                    ")"
                ),
                "full",
            )],
        },
        Panel {
            title: "Found",
            about: "Share of all reads that find what they look for. Alert: ElastiCacheHitRateLow.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "sum(",
                    of!("aws_elasticache_cache_hits_sum"),
                    ") / (sum(",
                    of!("aws_elasticache_cache_hits_sum"),
                    ") + sum(",
                    of!("aws_elasticache_cache_misses_sum"),
                    ") > 0) or on () vector(1)"
                ),
                "found",
            )],
        },
        Panel {
            title: "Thrown away",
            about: "Keys a minute that go before their time, for want of memory. Alert: ElastiCacheEvictions.",
            unit: "short",
            targets: &[(concat!("sum(", of!("aws_elasticache_evictions_sum"), ")"), "keys")],
        },
        Panel {
            title: "Connections taken",
            about: "Share of the connections that a node takes, where it is largest. Alert: ElastiCacheConnectionsHigh.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    "max(",
                    of!("aws_elasticache_curr_connections_average"),
                    " / ",
                    of!("aws_elasticache_max_clients"),
                    ")"
                ),
                "taken",
            )],
        },
        Panel {
            title: "Replicas behind",
            about: "Seconds that the slowest replica is behind. Alerts: ElastiCacheReplicationLag, ElastiCacheReplicaDisconnected.",
            unit: "s",
            targets: &[(
                concat!(
                    "max(",
                    of!("aws_elasticache_replication_lag_maximum"),
                    ") or on () vector(0)"
                ),
                "behind",
            )],
        },
        Panel {
            title: "Failovers in a day",
            about: "Times that another node has become primary. Alert: ElastiCacheFailover.",
            unit: "short",
            targets: &[(
                "sum(increase(aws_elasticache_group_primary_changes_total{account_id=~\"$account\",region=~\"$region\"}[1d])) or on () vector(0)",
                "failovers",
            )],
        },
        Panel {
            title: "Not available",
            about: "Nodes in another state than available. Alert: ElastiCacheNotAvailable.",
            unit: "short",
            targets: &[(
                concat!(
                    "count(",
                    of!("aws_elasticache_available"),
                    " == 0) or on () vector(0)"
                ),
                "nodes",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "CPU of the engine",
            about: "Percent of the one CPU that runs commands. Alert: ElastiCacheEngineCpuHigh.",
            unit: "percent",
            targets: &[(
                of!("aws_elasticache_engine_cpuutilization_average"),
                "{{dimension_CacheClusterId}}",
            )],
        },
        Panel {
            title: "CPU of the host",
            about: "Percent of all CPUs; on two of them 45 is one that is full. Alert: ElastiCacheHostCpuHigh.",
            unit: "percent",
            targets: &[(
                of!("aws_elasticache_cpuutilization_average"),
                "{{dimension_CacheClusterId}}",
            )],
        },
        Panel {
            title: "Memory",
            about: "Percent of the memory for data. Alert: ElastiCacheMemoryHigh.",
            unit: "percent",
            targets: &[(
                of!("aws_elasticache_database_memory_usage_percentage_maximum"),
                "{{dimension_CacheClusterId}}",
            )],
        },
        Panel {
            title: "Keys",
            about: "Keys that each node holds.",
            unit: "short",
            targets: &[(
                of!("aws_elasticache_curr_items_average"),
                "{{dimension_CacheClusterId}}",
            )],
        },
        Panel {
            title: "Reads that find their key",
            about: "Share of the reads of each node. Alert: ElastiCacheHitRateLow.",
            unit: "percentunit",
            targets: &[(
                concat!(
                    of!("aws_elasticache_cache_hits_sum"),
                    " / (",
                    of!("aws_elasticache_cache_hits_sum"),
                    " + ",
                    of!("aws_elasticache_cache_misses_sum"),
                    " > 0)"
                ),
                "{{dimension_CacheClusterId}}",
            )],
        },
        Panel {
            title: "Keys thrown away",
            about: "A minute, for want of memory; and those whose time was over. Alert: ElastiCacheEvictions.",
            unit: "short",
            targets: &[
                (
                    of!("aws_elasticache_evictions_sum"),
                    "{{dimension_CacheClusterId}} before their time",
                ),
                (
                    of!("aws_elasticache_reclaimed_sum"),
                    "{{dimension_CacheClusterId}} in time",
                ),
            ],
        },
        Panel {
            title: "Reads and writes",
            about: "Commands that each node gets a second.",
            unit: "short",
            targets: &[
                (
                    concat!(of!("aws_elasticache_get_type_cmds_sum"), " / 60"),
                    "{{dimension_CacheClusterId}} reads",
                ),
                (
                    concat!(of!("aws_elasticache_set_type_cmds_sum"), " / 60"),
                    "{{dimension_CacheClusterId}} writes",
                ),
            ],
        },
        Panel {
            title: "Latency in the engine",
            about: "Microseconds; 99 of a hundred are faster. Alert: ElastiCacheSlow.",
            unit: "µs",
            targets: &[
                (
                    of!("aws_elasticache_successful_read_request_latency_p99"),
                    "{{dimension_CacheClusterId}} reads",
                ),
                (
                    of!("aws_elasticache_successful_write_request_latency_p99"),
                    "{{dimension_CacheClusterId}} writes",
                ),
            ],
        },
        Panel {
            title: "Connections",
            about: "Connections that are open. Alert: ElastiCacheConnectionsHigh.",
            unit: "short",
            targets: &[(
                of!("aws_elasticache_curr_connections_average"),
                "{{dimension_CacheClusterId}}",
            )],
        },
        Panel {
            title: "New connections",
            about: "A minute; each costs more than most commands. Alert: ElastiCacheConnectionsChurn.",
            unit: "short",
            targets: &[(
                of!("aws_elasticache_new_connections_sum"),
                "{{dimension_CacheClusterId}}",
            )],
        },
        Panel {
            title: "Network",
            about: "Bytes that each node gets and sends a second.",
            unit: "binBps",
            targets: &[
                (
                    concat!(of!("aws_elasticache_network_bytes_in_sum"), " / 60"),
                    "{{dimension_CacheClusterId}} in",
                ),
                (
                    concat!(of!("aws_elasticache_network_bytes_out_sum"), " / 60"),
                    "{{dimension_CacheClusterId}} out",
                ),
            ],
        },
        Panel {
            title: "Beyond the class",
            about: "Packets a minute that were queued or dropped because the class of the node allows no more. Alert: ElastiCacheNetworkLimit.",
            unit: "short",
            targets: &[
                (
                    of!("aws_elasticache_network_bandwidth_in_allowance_exceeded_sum"),
                    "{{dimension_CacheClusterId}} bandwidth in",
                ),
                (
                    of!("aws_elasticache_network_bandwidth_out_allowance_exceeded_sum"),
                    "{{dimension_CacheClusterId}} bandwidth out",
                ),
                (
                    of!("aws_elasticache_network_conntrack_allowance_exceeded_sum"),
                    "{{dimension_CacheClusterId}} connections",
                ),
                (
                    of!("aws_elasticache_network_packets_per_second_allowance_exceeded_sum"),
                    "{{dimension_CacheClusterId}} packets",
                ),
            ],
        },
        Panel {
            title: "Replication lag",
            about: "Seconds that each replica is behind. Alert: ElastiCacheReplicationLag.",
            unit: "s",
            targets: &[(
                of!("aws_elasticache_replication_lag_maximum"),
                "{{dimension_CacheClusterId}}",
            )],
        },
        Panel {
            title: "Swap",
            about: "Memory that is on the disk. Alert: ElastiCacheSwapping.",
            unit: "bytes",
            targets: &[(
                of!("aws_elasticache_swap_usage_average"),
                "{{dimension_CacheClusterId}}",
            )],
        },
    ];
    let below = [Panel {
        title: "Nodes",
        about: "What each of them is, with its CPUs, memory and the most connections that it takes.",
        unit: "short",
        targets: &[
            (
                "max by (account_id, region, dimension_CacheClusterId, replication_group, role, engine, engine_version, class) (aws_elasticache_info{account_id=~\"$account\",region=~\"$region\",dimension_CacheClusterId=~\"$cachecluster\"})",
                "there",
            ),
            (of!("aws_elasticache_vcpus"), "CPUs"),
            (of!("aws_elasticache_memory_bytes"), "memory"),
            (of!("aws_elasticache_max_clients"), "connections at most"),
        ],
    }];
    let mut all = dashboard("skopos-elasticache", "Skopos / ElastiCache", &stats, &graphs);
    tables(&mut all, &below);
    finish(&mut all, &CHOSEN, &BOUNDS);
    all
}

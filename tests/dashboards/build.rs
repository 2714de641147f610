//! What the dashboards show: one file per question.

use serde_json::{Value, json};

/// File name and dashboard.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("cluster.json", super::kubernetes::cluster()),
        ("workload.json", super::kubernetes::workload()),
        ("pod.json", super::kubernetes::pod()),
        ("limits.json", super::limits::limits()),
        ("node.json", node()),
        ("skopos.json", skopos()),
        ("store.json", store()),
        ("pair.json", pair()),
        ("alerts.json", super::alerts::alerts()),
        ("logs.json", super::logs::logs()),
        ("rds.json", super::aws::rds()),
        ("elasticache.json", super::aws::elasticache()),
        ("msk.json", super::aws::msk()),
        ("alb.json", super::aws::alb()),
    ]
}

pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) unit: &'static str,
    /// Expressions, each with its legend.
    pub(super) targets: &'static [(&'static str, &'static str)],
}

/// How is this machine?
fn node() -> Value {
    let stats = [
        Panel {
            title: "CPU busy",
            about: "Share of all cores that does anything. Alert: CpuBusy.",
            unit: "percentunit",
            targets: &[(
                "1 - avg(rate(node_cpu_seconds_total{mode=\"idle\",instance=~\"$instance\"}[$__rate_interval]))",
                "busy",
            )],
        },
        Panel {
            title: "Memory used",
            about: "Share of memory that could not be given to a program at once.",
            unit: "percentunit",
            targets: &[(
                "1 - sum(node_memory_MemAvailable_bytes{instance=~\"$instance\"}) / sum(node_memory_MemTotal_bytes{instance=~\"$instance\"})",
                "used",
            )],
        },
        Panel {
            title: "Fullest file system",
            about: "The file system with the least space left. Alerts: FilesystemAlmostFull, FilesystemFillsIn24h.",
            unit: "percentunit",
            targets: &[(
                "max(1 - node_filesystem_avail_bytes{instance=~\"$instance\",fstype!~\"tmpfs|squashfs|overlay\"} / node_filesystem_size_bytes)",
                "full",
            )],
        },
        Panel {
            title: "Running for",
            about: "Time since the machine was started; a short time says that it was restarted.",
            unit: "s",
            targets: &[(
                "min(time() - node_boot_time_seconds{instance=~\"$instance\"})",
                "uptime",
            )],
        },
    ];
    let graphs = [
        Panel {
            title: "CPU by mode",
            about: "Cores in use by mode; much iowait says that a disk is the limit, steal that the host is.",
            unit: "short",
            targets: &[(
                "sum by (mode) (rate(node_cpu_seconds_total{mode!=\"idle\",instance=~\"$instance\"}[$__rate_interval]))",
                "{{mode}}",
            )],
        },
        Panel {
            title: "Load",
            about: "Tasks that run or wait, over 1, 5 and 15 minutes; compare with the number of cores.",
            unit: "short",
            targets: &[
                ("node_load1{instance=~\"$instance\"}", "1 min"),
                ("node_load5{instance=~\"$instance\"}", "5 min"),
                ("node_load15{instance=~\"$instance\"}", "15 min"),
            ],
        },
        Panel {
            title: "Pressure",
            about: "Share of time in which some task waited for CPU, memory or disks. Alerts: MemoryPressure, IoPressure.",
            unit: "percentunit",
            targets: &[
                (
                    "rate(node_pressure_cpu_waiting_seconds_total{instance=~\"$instance\"}[$__rate_interval])",
                    "CPU",
                ),
                (
                    "rate(node_pressure_memory_waiting_seconds_total{instance=~\"$instance\"}[$__rate_interval])",
                    "memory",
                ),
                (
                    "rate(node_pressure_io_waiting_seconds_total{instance=~\"$instance\"}[$__rate_interval])",
                    "disks",
                ),
            ],
        },
        Panel {
            title: "Memory",
            about: "What memory is used for; cache is given back when programs need it.",
            unit: "bytes",
            targets: &[
                (
                    "node_memory_MemTotal_bytes{instance=~\"$instance\"} - node_memory_MemAvailable_bytes",
                    "used",
                ),
                ("node_memory_Cached_bytes{instance=~\"$instance\"}", "cache"),
                (
                    "node_memory_MemAvailable_bytes{instance=~\"$instance\"}",
                    "available",
                ),
            ],
        },
        Panel {
            title: "Disk throughput",
            about: "Bytes read and written a second, by device.",
            unit: "binBps",
            targets: &[
                (
                    "rate(node_disk_read_bytes_total{instance=~\"$instance\"}[$__rate_interval])",
                    "{{device}} read",
                ),
                (
                    "rate(node_disk_written_bytes_total{instance=~\"$instance\"}[$__rate_interval])",
                    "{{device}} written",
                ),
            ],
        },
        Panel {
            title: "Disk busy",
            about: "Share of time in which a device had work; near 100 % means a queue on disks that do one thing at a time.",
            unit: "percentunit",
            targets: &[(
                "rate(node_disk_io_time_seconds_total{instance=~\"$instance\"}[$__rate_interval])",
                "{{device}}",
            )],
        },
        Panel {
            title: "Space left",
            about: "Bytes that programs may still write, by file system. Alert: FilesystemAlmostFull.",
            unit: "bytes",
            targets: &[(
                "node_filesystem_avail_bytes{instance=~\"$instance\",fstype!~\"tmpfs|squashfs|overlay\"}",
                "{{mountpoint}}",
            )],
        },
        Panel {
            title: "Network",
            about: "Bytes received and sent a second, by device.",
            unit: "binBps",
            targets: &[
                (
                    "rate(node_network_receive_bytes_total{instance=~\"$instance\",device!=\"lo\"}[$__rate_interval]) or rate(node_network_receive_bytes_total{instance=~\"$instance\"}[$__rate_interval])",
                    "{{device}} in",
                ),
                (
                    "rate(node_network_transmit_bytes_total{instance=~\"$instance\"}[$__rate_interval])",
                    "{{device}} out",
                ),
            ],
        },
        Panel {
            title: "Clock offset",
            about: "Difference to the reference clock; meaningless while nothing synchronises. Alert: ClockSkew.",
            unit: "s",
            targets: &[("node_timex_offset_seconds{instance=~\"$instance\"}", "offset")],
        },
    ];
    dashboard("skopos-node", "Skopos / Machine", &stats, &graphs)
}

/// Is Skopos itself well?
fn skopos() -> Value {
    let stats = [
        Panel {
            title: "Targets down",
            about: "Targets whose last reading failed. Alert: TargetDown.",
            unit: "short",
            targets: &[("count(up == 0) or vector(0)", "down")],
        },
        Panel {
            title: "Firing alerts",
            about: "Alerts that fire now, silenced ones too.",
            unit: "short",
            targets: &[("count(ALERTS{alertstate=\"firing\"}) or vector(0)", "firing")],
        },
        Panel {
            title: "Series",
            about: "Series held by the store.",
            unit: "short",
            targets: &[("skopos_store_series", "series")],
        },
        Panel {
            title: "Memory",
            about: "Resident memory of the process. Alert: SkoposMemoryHigh.",
            unit: "bytes",
            targets: &[("process_resident_memory_bytes{job=\"skopos\"}", "resident")],
        },
    ];
    let graphs = [
        Panel {
            title: "Cores used",
            about: "CPU time of the process a second; one is a whole core.",
            unit: "short",
            targets: &[(
                "rate(process_cpu_seconds_total{job=\"skopos\"}[$__rate_interval])",
                "cores",
            )],
        },
        Panel {
            title: "Samples",
            about: "Samples taken by the store a second.",
            unit: "short",
            targets: &[(
                "rate(skopos_ledger_taken_total{room=\"store\"}[$__rate_interval])",
                "samples",
            )],
        },
        Panel {
            title: "Log records",
            about: "Log records read a second.",
            unit: "short",
            targets: &[(
                "rate(skopos_ledger_taken_total{room=\"logs\"}[$__rate_interval])",
                "records",
            )],
        },
        Panel {
            title: "Dropped",
            about: "Things let go, by reason; anything but zero wants a look.",
            unit: "short",
            targets: &[(
                "rate(skopos_ledger_dropped_total[$__rate_interval])",
                "{{room}}: {{reason}}",
            )],
        },
        Panel {
            title: "Rule evaluation",
            about: "Seconds that the last evaluation of each group took; it should stay far below the interval.",
            unit: "s",
            targets: &[("prometheus_rule_group_last_duration_seconds", "{{rule_group}}")],
        },
        Panel {
            title: "Scrape duration",
            about: "Seconds that the last reading of each target took.",
            unit: "s",
            targets: &[("scrape_duration_seconds", "{{job}} {{instance}}")],
        },
    ];
    dashboard("skopos-self", "Skopos / Skopos itself", &stats, &graphs)
}

/// What is kept of the samples, for how long, and what is refused?
fn store() -> Value {
    let stats = [
        Panel {
            title: "Series in memory",
            about: "Series that have had a sample lately.",
            unit: "short",
            targets: &[("sum(skopos_store_series)", "series")],
        },
        Panel {
            title: "Blocks on disk",
            about: "Size of all blocks together; beyond store.retention.size the oldest go. Alert: SkoposRetentionCut.",
            unit: "bytes",
            targets: &[("sum(skopos_store_blocks_bytes)", "blocks")],
        },
        Panel {
            title: "Goes back",
            about: "Age of the oldest sample, in memory or in a block.",
            unit: "s",
            targets: &[("max(time() - prometheus_tsdb_lowest_timestamp_seconds)", "age")],
        },
        Panel {
            title: "Memory guard",
            about: "Whose new series are refused for want of memory: 0 nobody's, 3 everybody's. Alert: SkoposMemoryGuard.",
            unit: "short",
            targets: &[("max(skopos_store_guard_level)", "level")],
        },
    ];
    let graphs = [
        Panel {
            title: "Memory",
            about: "What the process takes, what samples take of it, and beyond which new series are refused.",
            unit: "bytes",
            targets: &[
                (
                    "process_resident_anonymous_memory_bytes{job=\"skopos\"}",
                    "{{instance}} process",
                ),
                ("skopos_store_samples_bytes", "{{instance}} samples"),
                (
                    "skopos_store_budget_bytes > 0 or vector(0)",
                    "{{instance}} budget",
                ),
            ],
        },
        Panel {
            title: "On disk",
            about: "Blocks, and the write-ahead log of what is in memory.",
            unit: "bytes",
            targets: &[
                ("skopos_store_blocks_bytes", "{{instance}} blocks"),
                ("skopos_store_wal_bytes", "{{instance}} log"),
            ],
        },
        Panel {
            title: "Bytes a sample in blocks",
            about: "Size of the blocks by their samples; values that move freely take more.",
            unit: "bytes",
            targets: &[(
                "skopos_store_blocks_bytes / (skopos_store_blocks_samples > 0) or vector(0)",
                "{{instance}}",
            )],
        },
        Panel {
            title: "Blocks written, made one and let go",
            about: "Windows of two hours that went to disk, compactions, and blocks that went for age or size, an hour.",
            unit: "short",
            targets: &[
                (
                    "increase(skopos_store_sealed_windows_total[1h])",
                    "{{instance}} written",
                ),
                (
                    "increase(skopos_store_compactions_total[1h])",
                    "{{instance}} made one",
                ),
                (
                    "increase(skopos_store_expired_blocks_total[1h])",
                    "{{instance}} let go: {{reason}}",
                ),
            ],
        },
        Panel {
            title: "Failures",
            about: "What could not be written, made one or read. Alerts: SkoposSealFailing, SkoposCompactionFailing, SkoposBlockBroken.",
            unit: "short",
            targets: &[
                (
                    "increase(skopos_store_seal_failures_total[1h])",
                    "{{instance}} blocks not written",
                ),
                (
                    "increase(skopos_store_compaction_failures_total[1h])",
                    "{{instance}} not made one",
                ),
                ("skopos_store_broken_blocks", "{{instance}} broken"),
                (
                    "increase(skopos_store_wal_failures_total[1h])",
                    "{{instance}} log not written",
                ),
            ],
        },
        Panel {
            title: "Refused",
            about: "New series, samples and exemplars refused a second, by reason. Alerts: SkoposSeriesRefused, SkoposSamplesDropped.",
            unit: "short",
            targets: &[
                (
                    "rate(skopos_store_refused_series_total[$__rate_interval])",
                    "{{instance}} series: {{reason}}",
                ),
                (
                    "rate(skopos_store_dropped_total[$__rate_interval])",
                    "{{instance}} samples: {{reason}}",
                ),
                (
                    "rate(skopos_store_exemplars_refused_total{reason!=\"duplicate\"}[$__rate_interval])",
                    "{{instance}} exemplars: {{reason}}",
                ),
            ],
        },
    ];
    dashboard("skopos-store", "Skopos / What is kept", &stats, &graphs)
}

/// Who leads, is anybody silent, is anything behind?
fn pair() -> Value {
    let stats = [
        Panel {
            title: "Leads",
            about: "Replica that holds the lease: 1. Alert: PairWithoutLeader.",
            unit: "short",
            targets: &[("skopos_pair_leader or vector(1)", "{{instance}}")],
        },
        Panel {
            title: "Out of step",
            about: "Replicas that do not hear each other. Alert: PairOutOfStep.",
            unit: "short",
            targets: &[("count(skopos_pair_in_step == 0) or vector(0)", "replicas")],
        },
        Panel {
            title: "Silent agents",
            about: "Nodes of which nothing is heard. Alert: AgentSilent.",
            unit: "short",
            targets: &[("count(skopos_sender_up == 0) or vector(0)", "nodes")],
        },
        Panel {
            title: "Oldest unsent sample",
            about: "Age of the oldest sample that waits for a destination. Alert: RemoteWriteBehind.",
            unit: "s",
            targets: &[("max(skopos_remote_oldest_sample_age_seconds) or vector(0)", "age")],
        },
    ];
    let graphs = [
        Panel {
            title: "Samples received",
            about: "Samples taken in by remote write a second.",
            unit: "short",
            targets: &[(
                "sum by (instance) (rate(skopos_remote_received_samples_total[$__rate_interval])) or vector(0)",
                "{{instance}}",
            )],
        },
        Panel {
            title: "Samples sent",
            about: "Samples that destinations took a second.",
            unit: "short",
            targets: &[(
                "sum by (instance, destination) (rate(skopos_remote_sent_samples_total[$__rate_interval])) or vector(0)",
                "{{instance}} {{destination}}",
            )],
        },
        Panel {
            title: "Queue on disk",
            about: "Bytes that wait to be sent.",
            unit: "bytes",
            targets: &[("skopos_remote_queue_bytes or vector(0)", "{{instance}}")],
        },
        Panel {
            title: "Dropped",
            about: "Samples let go on their way, by reason. Alert: RemoteWriteDropping.",
            unit: "short",
            targets: &[(
                "sum by (instance, reason) (rate(skopos_remote_dropped_samples_total[$__rate_interval])) or vector(0)",
                "{{instance}}: {{reason}}",
            )],
        },
        Panel {
            title: "Unshared changes",
            about: "Changes of alerts, messages and silences that the other replica does not have yet.",
            unit: "short",
            targets: &[("skopos_pair_map_unshared or vector(0)", "{{instance}}")],
        },
        Panel {
            title: "Last heard",
            about: "Seconds since each node was last heard.",
            unit: "s",
            targets: &[(
                "time() - max by (node) (skopos_sender_last_heard_timestamp_seconds) or vector(0)",
                "{{node}}",
            )],
        },
    ];
    dashboard(
        "skopos-pair",
        "Skopos / The pair and its senders",
        &stats,
        &graphs,
    )
}

/// Numbers on top, four in a row, and graphs below them, two in a row.
pub(super) fn dashboard(uid: &str, title: &str, stats: &[Panel], graphs: &[Panel]) -> Value {
    let mut panels = Vec::new();
    for (nth, panel) in stats.iter().enumerate() {
        panels.push(panel.json(
            "stat",
            panels.len(),
            json!({"x": 6 * (nth % 4), "y": 4 * (nth / 4), "w": 6, "h": 4}),
        ));
    }
    let y = 4 * stats.len().div_ceil(4);
    for (nth, panel) in graphs.iter().enumerate() {
        panels.push(panel.json(
            "timeseries",
            panels.len(),
            json!({"x": 12 * (nth % 2), "y": y + 8 * (nth / 2), "w": 12, "h": 8}),
        ));
    }
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    json!({
        "uid": uid, "title": title, "tags": ["skopos"], "schemaVersion": 39, "editable": false, "graphTooltip": 1,
        "refresh": "30s", "timezone": "", "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["skopos"], "asDropdown": true, "includeVars": true, "keepTime": true, "title": "Skopos", "icon": "external link"}],
        "annotations": {"list": [{
            "name": "Firing alerts", "enable": true, "iconColor": "#d55e00", "datasource": source,
            "expr": "ALERTS{alertstate=\"firing\"}", "step": "60s", "titleFormat": "{{alertname}}",
        }]},
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
            {"name": "instance", "label": "Instance", "type": "query", "datasource": source, "refresh": 2, "sort": 1,
             "definition": "label_values(up, instance)", "query": {"query": "label_values(up, instance)", "refId": "A"},
             "includeAll": true, "multi": true, "allValue": ".*"},
        ]},
        "panels": panels,
    })
}

/// Below everything else, beside each other. Several targets are columns of one table, named by their legends.
pub(super) fn tables(dashboard: &mut Value, tables: &[Panel]) {
    let panels = dashboard["panels"].as_array_mut().expect("a list of panels");
    let ends = panels.iter().map(|panel| {
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap_or_default();
        place("y") + place("h")
    });
    let y = ends.max().unwrap_or_default();
    let width = 24 / tables.len();
    for (nth, table) in tables.iter().enumerate() {
        let place = json!({"x": width * nth, "y": y, "w": width, "h": 8});
        let mut panel = table.json("table", panels.len(), place);
        for target in panel["targets"].as_array_mut().into_iter().flatten() {
            target["format"] = json!("table");
            target["instant"] = json!(true);
        }
        let (mut names, mut units) = (serde_json::Map::new(), Vec::new());
        for ((_, legend), letter) in table.targets.iter().zip('A'..) {
            let name = if legend.is_empty() { "for" } else { legend };
            let value = match table.targets.len() {
                1 => "Value".to_owned(),
                _ => format!("Value #{letter}"),
            };
            names.insert(value, json!(name));
            if name.contains("memory") {
                units.push(json!({
                    "matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": "bytes"}],
                }));
            }
        }
        let named = json!({
            "id": "organize",
            "options": {"excludeByName": {"Time": true, "__name__": true}, "renameByName": names},
        });
        panel["transformations"] = match table.targets.len() {
            1 => json!([named]),
            _ => json!([{"id": "merge", "options": {}}, named]),
        };
        panel["fieldConfig"]["overrides"] = json!(units);
        panels.push(panel);
    }
}

impl Panel {
    pub(super) fn json(&self, kind: &str, id: usize, place: Value) -> Value {
        let source = json!({"type": "prometheus", "uid": "${datasource}"});
        let targets = self.targets.iter().zip('A'..).map(|((expr, legend), letter)| {
            json!({"expr": expr, "legendFormat": legend, "refId": letter.to_string(), "datasource": source})
        });
        json!({
            "id": id + 1, "type": kind, "title": self.title, "description": self.about, "datasource": source,
            "gridPos": place, "targets": targets.collect::<Vec<_>>(),
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
        })
    }
}

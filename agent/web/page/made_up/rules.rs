//! Its rules and alerts.

use std::time::Duration;

use model::view::{Alert, Episode, Fires, Headroom, Rule, RuleGroup, Trial, Tried, Why};
use model::{AlertState, Labels};

use super::House;

impl House {
    pub(super) fn rules(&self) -> Vec<RuleGroup> {
        if self.empty() {
            return Vec::new();
        }
        let last = self.last_reading();
        let group = |name: &str, file: &str, rules| RuleGroup {
            name: name.to_owned(),
            file: file.to_owned(),
            interval: Duration::from_secs(15),
            query_offset: Duration::ZERO,
            limit: 0,
            rules,
            last_evaluation: Some(last),
            last_duration: Duration::from_millis(3),
        };
        let at = |place: &str| Labels::from_pairs([("mountpoint", place), ("device", "/dev/nvme0n1p2")]);
        let none = Labels::empty;
        let fullness =
            "1 - node_filesystem_avail_bytes{fstype!~\"tmpfs|ramfs\"} / node_filesystem_size_bytes > 0.9";
        let mut full = self.rule(
            "FilesystemAlmostFull",
            fullness,
            10,
            at("/home"),
            (0.81, ">", 0.9, 0.9),
        );
        let mut down = self.rule("TargetDown", "up == 0", 3, none(), (1.0, "==", 0.0, 0.0));
        let mut busy = self.rule(
            "CpuBusy",
            "1 - avg(rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) > 0.9",
            15,
            none(),
            (0.11, ">", 0.9, 0.122),
        );
        if self.firing() {
            full.alerts = vec![
                self.alert(
                    "FilesystemAlmostFull",
                    &[
                        ("mountpoint", "/home"),
                        ("device", "/dev/nvme0n1p2"),
                        ("severity", "warning"),
                    ],
                    AlertState::Firing,
                    1090,
                    0.942,
                    "/home is 94 % full and 6.1 GiB are left",
                ),
                self.alert(
                    "FilesystemAlmostFull",
                    &[
                        ("mountpoint", "/var"),
                        ("device", "/dev/nvme0n1p3"),
                        ("severity", "warning"),
                    ],
                    AlertState::Firing,
                    700,
                    0.913,
                    "/var is 91 % full and 2.2 GiB are left",
                ),
            ];
            full.headroom = Some(headroom(at("/home"), (0.942, ">", 0.9, 1.047)));
            down.alerts = vec![self.alert(
                "TargetDown",
                &[
                    ("job", "shop"),
                    ("instance", "localhost:8080"),
                    ("severity", "critical"),
                ],
                AlertState::Pending,
                70,
                0.0,
                "shop at localhost:8080 does not answer",
            )];
            busy.alerts = vec![self.alert(
                "CpuBusy",
                &[("severity", "info")],
                AlertState::Resolved,
                4000,
                0.4,
                "8 cores were 97 % busy",
            )];
        }
        let mut broken = self.rule(
            "DiskSlow",
            "rate(node_disk_io_time_seconds_total[5m]) > on (device) limit",
            5,
            none(),
            (0.0, ">", 1.0, 0.0),
        );
        broken.health = "err";
        broken.headroom = None;
        broken.last_error = "found duplicate series for the match group {device=\"sda\"} on the right hand-side of the operation".to_owned();
        let mut machine = vec![
            full,
            self.rule(
                "InodesRunOut",
                "1 - node_filesystem_files_free / node_filesystem_files > 0.9",
                10,
                at("/"),
                (0.34, ">", 0.9, 0.38),
            ),
            busy,
            self.rule(
                "IoPressure",
                "rate(node_pressure_io_waiting_seconds_total[5m]) > 0.2",
                10,
                none(),
                (0.012, ">", 0.2, 0.06),
            ),
            self.rule(
                "MemoryPressure",
                "rate(node_pressure_memory_waiting_seconds_total[5m]) > 0.1",
                5,
                none(),
                (0.004, ">", 0.1, 0.04),
            ),
            self.rule(
                "ClockSkew",
                "abs(node_timex_offset_seconds) > 0.05",
                5,
                none(),
                (0.0003, ">", 0.05, 0.006),
            ),
            Rule {
                headroom: None,
                ..self.rule(
                    "FilesystemFillsIn24h",
                    "predict_linear(node_filesystem_avail_bytes[1h], 86400) < 0",
                    30,
                    at("/home"),
                    (0.0, "<", 0.0, 0.0),
                )
            },
        ];
        if self.firing() {
            machine.push(broken);
        }
        machine.push(Rule {
            alerting: false,
            ..self.rule(
                "instance:node_cpu:busy",
                "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m]))",
                0,
                none(),
                (0.0, ">", 0.0, 0.0),
            )
        });
        let own = vec![
            self.rule(
                "SkoposMemoryHigh",
                "process_resident_memory_bytes{job=\"skopos\"} > 60817408",
                5,
                none(),
                (28_311_552.0, ">", 60_817_408.0, 0.466),
            ),
            down,
            self.rule(
                "SkoposDrops",
                "increase(skopos_store_dropped_total[5m]) > 0",
                0,
                none(),
                (0.0, ">", 0.0, 0.0),
            ),
        ];
        vec![
            group("machine", "rules/machine.yaml", machine),
            group("skopos", "rules/skopos.yaml", own),
        ]
    }

    fn rule(
        &self,
        name: &str,
        expr: &str,
        minutes: u64,
        labels: Labels,
        now: (f64, &'static str, f64, f64),
    ) -> Rule {
        Rule {
            name: name.to_owned(),
            alerting: true,
            expr: expr.to_owned(),
            hold: Duration::from_secs(minutes * 60),
            keep_firing: Duration::ZERO,
            datapoints: None,
            on_missing: None,
            labels: Labels::from_pairs([("severity", "warning")]),
            annotations: Labels::from_pairs([("summary", "{{ $labels.mountpoint }} is almost full")]),
            health: "ok",
            last_error: String::new(),
            last_evaluation: Some(self.last_reading()),
            last_duration: Duration::from_micros(400),
            alerts: Vec::new(),
            headroom: Some(headroom(labels, now)),
        }
    }

    fn alert(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        state: AlertState,
        ago: u64,
        value: f64,
        summary: &str,
    ) -> Alert {
        let labels = Labels::from_pairs(labels.iter().copied().chain([("alertname", name)]));
        let active_at = self.now() - Duration::from_secs(ago);
        let fired_at = (state != AlertState::Pending).then(|| active_at + Duration::from_secs(600));
        Alert {
            fingerprint: labels.fingerprint(),
            labels,
            annotations: Labels::from_pairs([
                ("summary", summary),
                (
                    "runbook_url",
                    "https://skopos.example/runbooks#filesystemalmostfull",
                ),
            ]),
            state,
            active_at,
            fired_at,
            resolved_at: (state == AlertState::Resolved).then(|| active_at + Duration::from_secs(3600)),
            keep_firing_since: None,
            value,
            restored: false,
            unknown: false,
        }
    }

    pub(super) fn why(&self, rule: &str, _: Option<u64>) -> Vec<Why> {
        if rule != "FilesystemAlmostFull" {
            return Vec::new();
        }
        let row = |depth, text: &str, series, of, value, reading: &str, holds| Why {
            depth,
            text: text.to_owned(),
            series,
            of,
            value: Some(value),
            reading: reading.to_owned(),
            holds,
            ..Why::default()
        };
        vec![
            row(0, "> 0.9", 2, Some(3), 0.942, "0.942 > 0.9 holds", true),
            row(1, "-", 3, None, 0.942, "1 − 0.058", false),
            row(2, "1", 1, None, 1.0, "a number", false),
            row(2, "/", 3, None, 0.058, "", false),
            row(
                3,
                "node_filesystem_avail_bytes{fstype!~\"tmpfs|ramfs\"}",
                3,
                None,
                6.5e9,
                "2 s old",
                false,
            ),
            row(
                3,
                "node_filesystem_size_bytes",
                3,
                None,
                1.12e11,
                "2 s old",
                false,
            ),
        ]
    }
}

/// Two times with half an hour between; an expression with `error` in it is a mistake.
pub(super) fn tried(trial: &Trial, _: &promql::Stop) -> Result<Tried, String> {
    if trial.tried_expr.contains("error") {
        return Err("line 1, column 7: there is an error".to_owned());
    }
    let episode = |ago: u64, minutes: u64| {
        let active_at = trial.until - Duration::from_mins(ago);
        Episode {
            labels: Labels::from_pairs([("alertname", trial.name.as_str()), ("mountpoint", "/home")]),
            active_at,
            fired_at: Some(active_at + Duration::from_mins(2)),
            ended_at: Some(active_at + Duration::from_mins(minutes)),
        }
    };
    let fires = |fired| Fires {
        fired,
        firing: Duration::from_mins(9),
        longest: Duration::from_mins(6),
        episodes: vec![episode(400, 50), episode(90, 80)],
        ..Fires::default()
    };
    Ok(Tried {
        tried: fires(2),
        today: fires(5),
        others: vec![
            (Duration::from_mins(1), fires(2)),
            (Duration::from_hours(1), fires(0)),
        ],
        took: Duration::from_millis(412),
        ..Tried::default()
    })
}

fn headroom(labels: Labels, (value, op, threshold, share): (f64, &'static str, f64, f64)) -> Headroom {
    Headroom {
        labels,
        value,
        op,
        threshold,
        share: Some(share),
    }
}

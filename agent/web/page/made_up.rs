//! A made-up house for tests and for looking at: a laptop that is well, one whose disk fills, one that knows nothing.

mod series;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::view::{
    Alert, ConfigState, Headroom, Health, LogBucket, LogFile, LogPage, LogQuery, LogState, Own, Rule,
    RuleGroup, Source, Target, Telling, Told, Why,
};
use model::{AlertState, BoxFuture, Clock, Labels, Ledger, Level, LogRecord, Select, Timestamp};

use crate::Rooms;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    /// 48 seconds after the first start.
    Calm,
    /// A disk fills, a program of ours is away, a newer configuration was refused.
    Firing,
    /// Nothing is known at all.
    Empty,
}

/// A wall clock that stands, or the one it is given.
pub(crate) struct Standing(pub(crate) Timestamp);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time.since(self.0)))
    }
}

pub(crate) fn rooms(story: Story, clock: Arc<dyn Clock>, started: Timestamp) -> Rooms {
    let house = Arc::new(House {
        story,
        clock: Arc::clone(&clock),
        started,
    });
    let select: Arc<dyn Select> = Arc::clone(&house) as _;
    macro_rules! view {
        ($method:ident) => {{
            let house = Arc::clone(&house);
            Arc::new(move || house.$method())
        }};
    }
    let (lines, why) = (Arc::clone(&house), Arc::clone(&house));
    Rooms {
        clock,
        engine: Arc::new(engine(Arc::clone(&select))),
        select,
        registry: prometheus::Registry::new(),
        targets: view!(targets),
        sources: view!(sources),
        rules: view!(rules),
        why: Arc::new(move |_, _, rule, fingerprint| why.why(rule, fingerprint)),
        telling: view!(telling),
        logs: Arc::new(move |query| lines.lines(query)),
        log_state: view!(log_state),
        config: view!(config),
        own: view!(own),
        ready: Arc::new(|| Ok(())),
        reload: Arc::new(|| Box::pin(async { Ok(()) })),
        send_test: Arc::new(|| {
            Box::pin(async { Err("nobody to tell: the configuration names no receiver".to_owned()) })
        }),
        runbook: Arc::new(|anchor| (anchor == "filesystemalmostfull").then(|| RUNBOOK.to_owned())),
    }
}

fn engine(select: Arc<dyn Select>) -> promql::Engine {
    promql::Engine::new(select, promql::Options::default())
}

pub(super) struct House {
    story: Story,
    clock: Arc<dyn Clock>,
    started: Timestamp,
}

const RUNBOOK: &str = "\
**It means** a filesystem is so full that programs will soon fail to write.

**Users feel** errors from anything that saves.

## First three commands

```sh
df -h
```

```sh
du -xh --max-depth=2 /home | sort -h | tail
```

```sh
skopos logs --since 20m 'no space left'
```

**Likely, in order**

1. a log or a core dump that grows
2. container images nobody removed, see `docker system df`
3. a backup that stayed
";

impl House {
    fn empty(&self) -> bool {
        self.story == Story::Empty
    }

    fn firing(&self) -> bool {
        self.story == Story::Firing
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The newest reading: the first rounds at 0, 1, 2 and 5 s, then every 15 s.
    fn last_reading(&self) -> Timestamp {
        self.readings(self.now()).last().copied().unwrap_or(self.started)
    }

    pub(super) fn readings(&self, until: Timestamp) -> Vec<Timestamp> {
        let every = |nth: u64| self.started + Duration::from_secs(5 + 15 * nth);
        let first = [0, 1, 2].map(|second| self.started + Duration::from_secs(second));
        first
            .into_iter()
            .chain((0..).map(every))
            .take_while(|at| *at <= until)
            .take(20_000)
            .collect()
    }

    fn targets(&self) -> Vec<Target> {
        if self.empty() {
            return Vec::new();
        }
        let last = self.last_reading();
        let target = |job: &str, url: &str, samples, milliseconds, http| Target {
            job: job.to_owned(),
            url: url.to_owned(),
            discovered: Labels::empty(),
            labels: Labels::from_pairs([("job", job), ("instance", "laptop")]),
            health: Health::Good,
            last_error: String::new(),
            last_scrape: Some(last),
            last_duration: Duration::from_millis(milliseconds),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            samples,
            http,
        };
        let mut targets = vec![
            target("node", "/proc and /sys", 1146, 4, false),
            target("skopos", "http://localhost:9464/metrics", 212, 2, true),
        ];
        if self.firing() {
            targets.push(Target {
                health: Health::Bad,
                last_error: "cannot connect: tcp connect error: Connection refused (os error 111)".to_owned(),
                samples: 0,
                ..target("shop", "http://localhost:8080/metrics", 0, 1, true)
            });
        }
        targets
    }

    fn sources(&self) -> Vec<Source> {
        if self.empty() {
            return Vec::new();
        }
        let last = Some(self.last_reading());
        let source = |name: &str, detail: &str, health, last, word: Option<&str>| Source {
            name: name.to_owned(),
            detail: detail.to_owned(),
            health,
            last,
            word: word.map(str::to_owned),
        };
        vec![
            source(
                "node, 1,146 series",
                "/proc and /sys, 4 ms a reading",
                Health::Good,
                last,
                None,
            ),
            source("skopos, 212 series", "its own metrics", Health::Good, last, None),
            source(
                "4 files in /var/log",
                "syslog, kern.log, auth.log, dpkg.log",
                Health::Good,
                last,
                None,
            ),
            source(
                "/var/log/boot.log",
                "permission denied: readable by group adm",
                Health::Unknown,
                None,
                Some("skipped"),
            ),
            source(
                "Kubernetes",
                "no kubeconfig and not in a pod: nothing to watch",
                Health::Unknown,
                None,
                Some("off"),
            ),
            source(
                "AWS",
                "no credentials: no calls, $0.00",
                Health::Unknown,
                None,
                Some("off"),
            ),
        ]
    }

    fn rules(&self) -> Vec<RuleGroup> {
        if self.empty() {
            return Vec::new();
        }
        let last = self.last_reading();
        let group = |name: &str, file: &str, rules| RuleGroup {
            name: name.to_owned(),
            file: file.to_owned(),
            interval: Duration::from_secs(15),
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
            "1 - avg(rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) / 1 > 0.9",
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
        }
    }

    fn why(&self, rule: &str, _: Option<u64>) -> Vec<Why> {
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

    fn telling(&self) -> Telling {
        if !self.firing() {
            return Telling::default();
        }
        let full: Vec<u64> = self
            .rules()
            .first()
            .and_then(|group| group.rules.first().cloned())
            .map(|rule| rule.alerts.iter().map(|alert| alert.fingerprint).collect())
            .unwrap_or_default();
        let told = |ago, receiver: &str, message: &str, answer: &str, health, took| Told {
            time: self.now() - Duration::from_secs(ago),
            receiver: receiver.to_owned(),
            group: Labels::from_pairs([("alertname", "FilesystemAlmostFull")]),
            message: message.to_owned(),
            answer: answer.to_owned(),
            health,
            took: Duration::from_millis(took),
            alerts: full.clone(),
        };
        Telling {
            receivers: vec!["slack".to_owned(), "webhook".to_owned()],
            told: vec![
                told(
                    70,
                    "slack",
                    "1 new alert, 2 in all",
                    "200 in 230 ms",
                    Health::Good,
                    230,
                ),
                told(
                    480,
                    "webhook",
                    "new message, 1 alert",
                    "503, tried again after 1 s, then 200",
                    Health::Good,
                    1300,
                ),
                told(
                    481,
                    "slack",
                    "new message, 1 alert",
                    "200 in 212 ms",
                    Health::Good,
                    212,
                ),
            ],
            waiting: 1,
            failing: vec![(
                "webhook".to_owned(),
                "cannot connect: connection refused".to_owned(),
            )],
        }
    }

    fn lines(&self, query: &LogQuery) -> LogPage {
        if self.empty() {
            return LogPage::default();
        }
        let evil = "request from <b onmouseover=alert(1)>x</b> & \u{1b}[31mred\u{1b}[0m </script>";
        let said = [
            (
                5,
                Level::Info,
                "syslog",
                "systemd[1]: Starting apt-daily.service, Daily apt download activities",
            ),
            (
                12,
                Level::Info,
                "syslog",
                "NetworkManager[812]: dhcp4 (wlp0s20f3): state changed new lease, address=192.168.1.23",
            ),
            (
                13,
                Level::Warn,
                "kern.log",
                "iwlwifi 0000:00:14.3: missed beacons exceeds threshold, but receiving data",
            ),
            (
                20,
                Level::Info,
                "auth.log",
                "sudo: dev : TTY=pts/2 ; PWD=/home/dev/shop ; COMMAND=/usr/bin/docker compose up -d",
            ),
            (
                24,
                Level::Warn,
                "syslog",
                "systemd-resolved[655]: Using degraded feature set UDP instead of UDP+EDNS0 for DNS server 192.168.1.1",
            ),
            (
                31,
                Level::Info,
                "syslog",
                "dockerd[1204]: container shop-db-1 started, image postgres:16.4",
            ),
            (
                36,
                Level::Info,
                "dpkg.log",
                "status installed libssl3t64:amd64 3.5.1-1",
            ),
            (
                38,
                Level::Info,
                "syslog",
                "systemd[1]: apt-daily.service: Deactivated successfully",
            ),
            (39, Level::Error, "syslog", evil),
        ];
        let words: Vec<String> = query.text.split_whitespace().map(str::to_lowercase).collect();
        let mut lines = Vec::new();
        let mut nth = 0_u64;
        let mut minute = self.started;
        while minute < self.now() {
            for (second, level, source, text) in &said {
                let time = minute + Duration::from_millis(second * 1000 + (second * 137) % 997);
                nth += 1;
                let hit = time > query.from && time <= query.to && time <= self.now()
                    && query.level.is_none_or(|least| *level >= least)
                    && source.contains(query.source.as_str())
                    && words.iter().all(|word| text.to_lowercase().contains(word))
                    // What is drawn for people to look at need not frighten them.
                    && (self.firing() || *level < Level::Error);
                if hit {
                    lines.push(LogRecord {
                        time,
                        level: *level,
                        source: Arc::from(*source),
                        stream: Arc::from(""),
                        text: (*text).to_owned(),
                        file: Arc::from(format!("/var/log/{source}")),
                        offset_bytes: nth * 100,
                    });
                }
            }
            minute = minute + Duration::from_secs(60);
        }
        let matched = lines.len() as u64;
        let buckets = 60;
        let width = query.to.since(query.from) / buckets;
        let histogram = (0..buckets)
            .map(|bucket| {
                let start = query.from + width * bucket;
                let inside = |line: &&LogRecord| line.time >= start && line.time < start + width;
                let grave = |line: &&LogRecord| line.level >= Level::Warn;
                LogBucket {
                    start,
                    lines: lines.iter().filter(inside).count() as u64,
                    grave: lines.iter().filter(inside).filter(grave).count() as u64,
                }
            })
            .collect();
        let lines = lines.split_off(lines.len().saturating_sub(query.lines_max));
        LogPage {
            lines,
            matched,
            cut: false,
            histogram,
        }
    }

    fn log_state(&self) -> LogState {
        if self.empty() {
            return LogState::default();
        }
        let file = |path: &str, size_bytes| LogFile {
            path: path.to_owned(),
            health: Health::Good,
            error: String::new(),
            size_bytes,
            offset_bytes: size_bytes,
            last: Some(self.now() - Duration::from_secs(1)),
        };
        let mut files = vec![
            file("/var/log/syslog", 1_203_442),
            file("/var/log/kern.log", 88_120),
            file("/var/log/auth.log", 40_210),
            file("/var/log/dpkg.log", 500_410),
        ];
        files.push(LogFile {
            health: Health::Unknown,
            error: "permission denied: readable by group adm".to_owned(),
            last: None,
            offset_bytes: 0,
            ..file("/var/log/boot.log", 12_000)
        });
        LogState {
            files,
            lines: 83,
            bytes_on_disk: 9_000,
        }
    }

    fn config(&self) -> ConfigState {
        let refused = "skopos.yaml:3:1: unknown key \"scrape_intervall\"\n  3 | scrape_intervall: 15s\n    | ^\n  did you mean \"scrape_interval\"?";
        ConfigState {
            file: if self.firing() {
                "skopos.yaml"
            } else {
                "built-in defaults"
            }
            .to_owned(),
            loaded_at: self.started,
            refused: if self.firing() {
                vec![refused.to_owned()]
            } else {
                Vec::new()
            },
        }
    }

    fn own(&self) -> Own {
        if self.empty() {
            return Own {
                started: self.started,
                ..Own::default()
            };
        }
        let ledger = |things, taken, dropped: &[(&'static str, u64)]| Ledger {
            things,
            taken,
            given: taken - dropped.iter().map(|(_, count)| count).sum::<u64>(),
            dropped: dropped.iter().copied().collect::<BTreeMap<_, _>>(),
            in_flight: 0,
        };
        Own {
            version: "0.1.0",
            revision: "1d4b392",
            role: "all",
            name: "laptop".to_owned(),
            machine: "Debian 13, Linux 6.12, 8 cores, 31 GiB".to_owned(),
            started: self.started,
            data_dir: "./data".to_owned(),
            data_bytes: 3_250_585,
            memory_bytes: 28_311_552,
            memory_limit_bytes: if self.firing() { 67_108_864 } else { 0 },
            series: 1358,
            accounts: vec![
                ("store", ledger("samples", 9506, &[])),
                (
                    "logs",
                    ledger(
                        "records",
                        83,
                        if self.firing() { &[("too long", 2)] } else { &[] },
                    ),
                ),
                ("notifier", ledger("notifications", 4, &[])),
            ],
        }
    }
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

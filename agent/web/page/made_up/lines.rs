//! What its logs say, one odd line among them.

use std::sync::Arc;
use std::time::Duration;

use model::view::{
    Health, LogBucket, LogContext, LogFile, LogInput, LogJournal, LogPage, LogQuery, LogService, LogSink,
    LogState,
};
use model::{Level, LogRecord, Timestamp};

use super::House;

impl House {
    pub(super) fn lines(&self, query: &LogQuery) -> LogPage {
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
            (
                41,
                Level::Warn,
                "shop/checkout-7d9f8c6b5-x2x9k/api",
                r#"{"level":"warn","msg":"payment took 2314 ms","order":"A-1042"}"#,
            ),
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
                    && query.pods.has(source)
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
                let at_least = |least| move |line: &&LogRecord| line.level >= least;
                LogBucket {
                    start,
                    lines: lines.iter().filter(inside).count() as u64,
                    grave: lines.iter().filter(inside).filter(at_least(Level::Warn)).count() as u64,
                    errors: lines.iter().filter(inside).filter(at_least(Level::Error)).count() as u64,
                }
            })
            .collect();
        let lines = lines.split_off(lines.len().saturating_sub(query.lines_max));
        LogPage {
            lines,
            matched,
            histogram,
            ..LogPage::default()
        }
    }

    pub(super) fn around(&self, time: Timestamp, identity: u64, most: usize) -> Option<LogContext> {
        let query = LogQuery {
            from: time - Duration::from_secs(600),
            to: time + Duration::from_secs(600),
            ..LogQuery::default()
        };
        let mut before = self.lines(&query).lines;
        let at = before.iter().position(|line| line.identity() == identity)?;
        let mut after = before.split_off(at + 1);
        after.truncate(most);
        let line = before.pop()?;
        before.drain(..before.len().saturating_sub(most));
        Some(LogContext { before, line, after })
    }

    pub(super) fn log_state(&self) -> LogState {
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
            nodes: 0,
            files,
            lines: 83,
            bytes_on_disk: 9_000,
            sinks: vec![
                LogSink {
                    name: "segments".to_owned(),
                    kind: "segments",
                    lines: 83,
                    ..LogSink::default()
                },
                LogSink {
                    name: "opensearch".to_owned(),
                    kind: "opensearch",
                    target: Some("https://search.example:9200".to_owned()),
                    lines: 71,
                    in_flight: 2,
                    unread_bytes: 3_000.0,
                    dropped: vec![("dead_letter".to_owned(), 1)],
                    trouble: Some("cannot connect: connection refused".to_owned()),
                },
            ],
            journal: Some(LogJournal {
                from: "journalctl".to_owned(),
                entries: 2_310,
                skipped: vec![("filtered".to_owned(), 12)],
                missing: 3,
                ..LogJournal::default()
            }),
            services: vec![LogService {
                name: "cloudwatch".to_owned(),
                region: "eu-west-1".to_owned(),
                reads: true,
                groups: 4,
                events: 120,
                troubles: vec![(
                    "/aws/rds/instance/shop/upgrade".to_owned(),
                    "the specified log group does not exist".to_owned(),
                )],
            }],
            inputs: vec![LogInput {
                name: "forward".to_owned(),
                address: "0.0.0.0:24224".to_owned(),
                connections: 3,
                records: 1_204,
                in_flight: 40,
                refused: vec![("unknown".to_owned(), 2)],
                trouble: Some("the spool is full".to_owned()),
            }],
            spool_bytes: 1 << 30,
            spool_bytes_max: 1 << 30,
        }
    }
}

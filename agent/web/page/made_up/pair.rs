//! The made-up cluster: two replicas, their nodes, and the house as it runs; the laptop's house is a smaller one.

use std::time::Duration;

use model::view::{Destination, Graph, Health, Joint, Pair, Place, Sender};

use super::House;

/// From, to, carries, when full, size, fill, now, health.
type Line = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<f64>,
    &'static str,
    Health,
);

impl House {
    pub(super) fn pair(&self) -> Option<Pair> {
        self.paired().then(|| Pair {
            name: "skopos-1".to_owned(),
            peer: "skopos-0".to_owned(),
            holder: Some("skopos-0".to_owned()),
            here: false,
            speaks: false,
            epoch: 7,
            in_step: false,
            peer_heard: Some(self.now() - Duration::from_secs(9)),
            peer_speaks: true,
            arbiter_error: String::new(),
            unshared: 3,
            state: "ready".to_owned(),
        })
    }

    pub(super) fn senders(&self) -> Vec<Sender> {
        if !self.paired() {
            return Vec::new();
        }
        let ago = |seconds| Some(self.now() - Duration::from_secs(seconds));
        let sender = |name: &str, role: &str, heard, heard_elsewhere, series, samples| Sender {
            name: name.to_owned(),
            role: role.to_owned(),
            heard,
            heard_elsewhere,
            silent: false,
            series,
            samples,
        };
        let mut senders: Vec<Sender> = (1..=5)
            .map(|nth| {
                let (heard, series) = (4 + nth, 1380 + 37 * usize::from(nth == 2));
                let name = format!("ip-10-0-12-{}.eu-central-1.compute.internal", 30 + nth);
                sender(&name, "node", ago(heard), ago(heard + 1), series, 9_400_120 + nth)
            })
            .collect();
        if let Some(third) = senders.get_mut(2) {
            (third.heard, third.heard_elsewhere, third.silent) = (ago(252), ago(251), true);
        }
        senders.push(sender("skopos-0", "replica", ago(9), None, 211, 1_204_551));
        senders.push(sender(
            "prometheus-legacy",
            "writer",
            ago(31),
            ago(12),
            80_412,
            211_903_442,
        ));
        senders
    }

    pub(super) fn destinations(&self) -> Vec<Destination> {
        if !self.paired() {
            return Vec::new();
        }
        vec![
            Destination {
                name: "skopos-0".to_owned(),
                url: "https://skopos-0.skopos:9464/api/v1/write".to_owned(),
                protocol: "2.0".to_owned(),
                waiting_bytes: 412_318,
                waiting_samples: 21_904,
                oldest: Some(self.now() - Duration::from_secs(14)),
                last_success: Some(self.now() - Duration::from_secs(14)),
                last_error: "no answer within 5s".to_owned(),
                health: Health::Bad,
            },
            Destination {
                name: "amp".to_owned(),
                url: "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"
                    .to_owned(),
                protocol: "1.0".to_owned(),
                waiting_bytes: 0,
                waiting_samples: 0,
                oldest: None,
                last_success: Some(self.now() - Duration::from_secs(2)),
                last_error: String::new(),
                health: Health::Good,
            },
        ]
    }

    pub(super) fn graph(&self) -> Graph {
        if self.empty() {
            return Graph::default();
        }
        let place = |name: &&str, row, outside| Place {
            name: (*name).to_owned(),
            row,
            outside,
        };
        let rows = |rows: &[(usize, bool, &[&str])]| {
            let places = rows
                .iter()
                .flat_map(|(row, outside, names)| names.iter().map(move |name| place(name, *row, *outside)));
            places.collect()
        };
        let joints = |lines: &[Line]| lines.iter().map(joint).collect();
        if self.paired() {
            return Graph {
                role: "cluster".to_owned(),
                places: rows(&[
                    (0, true, &["nodes", "prometheus-legacy"]),
                    (0, false, &["scrape"]),
                    (1, false, &["receiver", "store"]),
                    (2, false, &["promql", "rules", "pair", "remote"]),
                    (3, false, &["notifier", "web"]),
                    (3, true, &["amp"]),
                    (4, true, &["slack", "pagerduty", "skopos-0", "lease", "people"]),
                ]),
                joints: joints(&CLUSTER),
            };
        }
        Graph {
            role: "all".to_owned(),
            places: rows(&[
                (0, false, &["node", "scrape", "logs"]),
                (1, false, &["store", "segments", "promql"]),
                (2, false, &["rules", "notifier", "web"]),
                (3, true, &["slack", "people"]),
            ]),
            joints: joints(&ALL),
        }
    }
}

fn joint((from, to, carries, when_full, size, fill, now, health): &Line) -> Joint {
    Joint {
        from: (*from).to_owned(),
        to: (*to).to_owned(),
        carries: (*carries).to_owned(),
        when_full: (*when_full).to_owned(),
        size: (*size).to_owned(),
        fill: *fill,
        now: (*now).to_owned(),
        health: *health,
    }
}

const KEPT: &str = "kept in memory, missing after a restart, counted";
const SKIPPED: &str = "skipped: sent again within a minute";
const NEWEST: &str = "the newest state replaces the older";

#[rustfmt::skip]
const CLUSTER: [Line; 18] = [
    ("nodes", "receiver", "remote write 2.0", "503, they keep it", "128 MiB", Some(0.02), "5 senders, 1 silent", Health::Pending),
    ("prometheus-legacy", "receiver", "remote write 1.0", "503, it keeps it", "128 MiB", Some(0.11), "last 31 s ago", Health::Good),
    ("scrape", "store", "columns", KEPT, "64 MiB of log", Some(0.01), "212 samples a round", Health::Good),
    ("receiver", "store", "columns", KEPT, "64 MiB of log", Some(0.06), "18,400 samples/s", Health::Good),
    ("store", "promql", "series", "", "", None, "12 questions/s", Health::Good),
    ("store", "remote", "blocks", "the oldest is dropped, counted", "1 GiB on disk", Some(0.42), "1 destination waits", Health::Pending),
    ("promql", "rules", "vectors", "", "", None, "214 rules every 15 s", Health::Good),
    ("rules", "store", "recorded series", KEPT, "64 MiB of log", Some(0.0), "31 series", Health::Good),
    ("rules", "notifier", "alert events", SKIPPED, "1,024 events", Some(0.0), "0 waiting", Health::Good),
    ("rules", "pair", "alert states", NEWEST, "4,096 keys", Some(0.88), "3 not shared yet", Health::Pending),
    ("pair", "skopos-0", "shared map", NEWEST, "4,096 keys", Some(1.0), "not heard for 9 s", Health::Bad),
    ("pair", "lease", "renewals", "", "", None, "read 1 s ago", Health::Good),
    ("remote", "skopos-0", "remote write 2.0", "the oldest is dropped, counted", "1 GiB on disk", Some(0.42), "no answer within 5 s", Health::Bad),
    ("remote", "amp", "remote write 1.0", "the oldest is dropped, counted", "1 GiB on disk", Some(0.0), "last answer 200", Health::Good),
    ("notifier", "slack", "messages", NEWEST, "1 in flight", None, "this replica follows", Health::Unknown),
    ("notifier", "pagerduty", "events", NEWEST, "1 in flight", None, "this replica follows", Health::Unknown),
    ("store", "web", "answers", "503, try again", "4 questions", Some(0.25), "1 running", Health::Good),
    ("web", "people", "pages", "503, try again", "512 connections", Some(0.004), "2 open", Health::Good),
];

#[rustfmt::skip]
const ALL: [Line; 9] = [
    ("node", "store", "columns", KEPT, "64 MiB of log", Some(0.01), "1,146 samples a round", Health::Good),
    ("scrape", "store", "columns", KEPT, "64 MiB of log", Some(0.0), "212 samples a round", Health::Good),
    ("logs", "segments", "batches", "reading waits; the file is the buffer", "64 batches", Some(0.0), "4 files", Health::Good),
    ("store", "promql", "series", "", "", None, "2 questions/s", Health::Good),
    ("promql", "rules", "vectors", "", "", None, "10 rules every 15 s", Health::Good),
    ("rules", "store", "recorded series", KEPT, "64 MiB of log", Some(0.0), "2 series", Health::Good),
    ("rules", "notifier", "alert events", SKIPPED, "1,024 events", Some(0.0), "0 waiting", Health::Good),
    ("notifier", "slack", "messages", NEWEST, "1 in flight", None, "last answer 200", Health::Good),
    ("web", "people", "pages", "503, try again", "512 connections", Some(0.01), "3 open", Health::Good),
];

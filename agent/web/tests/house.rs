//! A house without rooms: fixed views, a still clock, and a client that speaks HTTP by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::view::{
    Alert, Cardinality, Checkup, ConfigState, Counted, Dropped, Graph, Health, LogPage, LogState, Own,
    Routing, Rule, RuleGroup, ScrapePool, Target, Telling,
};
use model::{AlertState, BoxFuture, Clock, Labels, Select, Timestamp};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::memory;
use crate::{Config, Rooms, Server};

/// 2015-07-01T20:10:30.781Z.
pub(super) const NOW: Timestamp = Timestamp(1_435_781_430_781);

pub(super) const LOOPBACK: &str = "127.0.0.1:0";
pub(super) const OPEN: &str = "0.0.0.0:0";

pub(super) struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn running(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn cardinality(most: usize) -> Cardinality {
    let list = |pairs: &[(&str, u64)]| {
        let counted = |(name, value): &(&str, u64)| Counted {
            name: (*name).to_owned(),
            value: *value,
        };
        pairs.iter().take(most).map(counted).collect()
    };
    Cardinality {
        series: 5,
        pairs: 9,
        chunks: 7,
        oldest: Some(NOW - Duration::from_secs(2)),
        newest: Some(NOW),
        by_metric: list(&[("node_cpu_seconds_total", 2), ("up", 2)]),
        values_by_label: list(&[("__name__", 3), ("mode", 2)]),
        bytes_by_label: list(&[("__name__", 60), ("mode", 8)]),
        by_pair: list(&[("job=node", 3), ("mode=idle", 1)]),
    }
}

/// What a test changes while the server runs.
#[derive(Clone)]
pub(super) struct Knobs {
    pub(super) ready: Arc<Mutex<Result<(), String>>>,
    pub(super) reload: Arc<Mutex<Result<(), String>>>,
    pub(super) reloads: Arc<AtomicUsize>,
    pub(super) registry: Registry,
}

pub(super) struct House {
    pub(super) address: SocketAddr,
    pub(super) knobs: Knobs,
    pub(super) stop: CancellationToken,
    pub(super) running: JoinHandle<std::io::Result<()>>,
}

impl House {
    pub(super) fn open() -> Self {
        Self::with(&Config::default())
    }

    pub(super) fn with(config: &Config) -> Self {
        Self::over(config, Arc::new(memory::estate(NOW)))
    }

    pub(super) fn over(config: &Config, select: Arc<dyn Select>) -> Self {
        Self::furnished(config, LOOPBACK, select, |_| {})
    }

    /// With other rooms, and on an address that strangers may reach.
    pub(super) fn furnished(
        config: &Config,
        listen: &str,
        select: Arc<dyn Select>,
        furnish: impl FnOnce(&mut Rooms),
    ) -> Self {
        let server = Server::bind(config, listen.parse().unwrap()).unwrap();
        let address = server.local_addr();
        let (mut rooms, knobs) = rooms(select);
        furnish(&mut rooms);
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(rooms, stop.clone()));
        Self {
            address,
            knobs,
            stop,
            running,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(super) async fn post(&self, path: &str, form: &str) -> Answer {
        let kind = "content-type: application/x-www-form-urlencoded";
        self.send("POST", path, &[kind], form).await
    }

    pub(super) async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|header| header.starts_with("host:")) {
            request.push_str(&format!("host: {}\r\n", self.address));
        }
        if !body.is_empty() {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for header in headers {
            request.push_str(&format!("{header}\r\n"));
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream
            .write_all(format!("{request}\r\n{body}").as_bytes())
            .await
            .unwrap();
        Answer::read(&mut stream).await
    }

    pub(super) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.knobs.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        let wanted = |metric: &&prometheus::proto::Metric| {
            labels.iter().all(|(name, value)| {
                let mut pairs = metric.get_label().iter();
                pairs.any(|pair| pair.name() == *name && pair.value() == *value)
            })
        };
        metrics
            .iter()
            .filter(wanted)
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    /// Reads to the end of the connection.
    pub(super) async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .unwrap_or("0");
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let chunked = headers
            .iter()
            .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        Self {
            status: status.parse().unwrap(),
            headers,
            body: if chunked { unchunked(body) } else { body.to_owned() },
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&tail[..size]);
        rest = &tail[size + 2..];
    }
    body
}

fn rooms(select: Arc<dyn Select>) -> (Rooms, Knobs) {
    let knobs = Knobs {
        ready: Arc::new(Mutex::new(Ok(()))),
        reload: Arc::new(Mutex::new(Ok(()))),
        reloads: Arc::default(),
        registry: Registry::new(),
    };
    let (ready, reload, reloads) = (knobs.ready.clone(), knobs.reload.clone(), knobs.reloads.clone());
    let rooms = Rooms {
        clock: Arc::new(StillClock),
        engine: super::api::engine(select.clone()),
        select,
        exemplars: Arc::new(memory::Requests),
        registry: knobs.registry.clone(),
        targets: Arc::new(targets),
        pools: Arc::new(pools),
        sources: Arc::new(Vec::new),
        rules: Arc::new(groups),
        datasource: None,
        why: Arc::new(|_, _, _, _| Vec::new()),
        try_rule: None,
        telling: Arc::new(Telling::default),
        routing: Arc::new(|_, _| Routing::default()),
        logs: Arc::new(|_| LogPage::default()),
        around: Arc::new(|_, _, _| None),
        handed: None,
        tail: None,
        own_lines: Arc::new(|_, _, _| None),
        log_state: Arc::new(LogState::default),
        config: Arc::new(|| ConfigState {
            file: "skopos.yaml".to_owned(),
            loaded_at: NOW,
            refused: Vec::new(),
        }),
        own: Arc::new(|| Own {
            version: "0.1.0",
            revision: "abc",
            role: "all",
            name: "vm".to_owned(),
            started: NOW,
            data_dir: "data".to_owned(),
            memory_limit_bytes: 1 << 30,
            ..Own::default()
        }),
        ready: Arc::new(move || ready.lock().clone()),
        reload: Arc::new(move || {
            reloads.fetch_add(1, Ordering::Relaxed);
            let answer = reload.lock().clone();
            Box::pin(std::future::ready(answer))
        }),
        doctor: Arc::new(|live| Box::pin(std::future::ready(Ok(checkups(live))))),
        send_test: Arc::new(|| Box::pin(std::future::ready(Ok("sent".to_owned())))),
        runbook: Arc::new(|_| None),
        write: None,
        peer: None,
        kept: Arc::new(model::view::Kept::default),
        cardinality: Arc::new(cardinality),
        reserved: false,
        identify: net::Tokens::none(),
        silences: None,
        alerting: None,
        forward: Arc::new(|_| Box::pin(std::future::ready(None))),
        graph: Arc::new(Graph::default),
        pair: Arc::new(|| None),
        senders: Arc::new(Vec::new),
        destinations: Arc::new(Vec::new),
        objects: None,
    };
    (rooms, knobs)
}

fn checkups(live: bool) -> Vec<Checkup> {
    let mut all = vec![Checkup::fail("scrape", "targets", "1 of 2 targets is down").advise("look there")];
    if live {
        all.push(Checkup::ok(
            "notifier",
            "receivers, asked now",
            "1 receiver answers",
        ));
    }
    all
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

fn pools() -> Vec<ScrapePool> {
    let discovered = Labels::from_pairs([("__address__", "b:80"), ("job", "shop")]);
    vec![ScrapePool {
        job: "shop".to_owned(),
        dropped: vec![Dropped {
            discovered,
            rule: "relabel_configs[1]".to_owned(),
        }],
        dropped_count: 2,
        failed: Vec::new(),
    }]
}

fn targets() -> Vec<Target> {
    let shop = Target {
        job: "shop".to_owned(),
        url: "http://localhost:8080/metrics".to_owned(),
        discovered: labels(&[("__address__", "localhost:8080"), ("job", "shop")]),
        labels: labels(&[("instance", "localhost:8080"), ("job", "shop")]),
        health: Health::Bad,
        last_error: "cannot connect: connection refused".to_owned(),
        last_scrape: Some(NOW),
        last_duration: Duration::from_micros(1_500),
        interval: Duration::from_secs(15),
        timeout: Duration::from_secs(10),
        samples: 0,
        http: true,
        read_by: None,
    };
    let api = Target {
        job: "api".to_owned(),
        url: "http://api:80/metrics".to_owned(),
        health: Health::Unknown,
        last_error: String::new(),
        last_scrape: None,
        last_duration: Duration::ZERO,
        ..shop.clone()
    };
    let node = Target {
        job: "node".to_owned(),
        http: false,
        read_by: None,
        ..shop.clone()
    };
    vec![shop, api, node]
}

pub(super) fn groups() -> Vec<RuleGroup> {
    let recording = Rule {
        name: "job:up:sum".to_owned(),
        alerting: false,
        expr: "sum by (job) (up)".to_owned(),
        hold: Duration::ZERO,
        keep_firing: Duration::ZERO,
        datapoints: None,
        on_missing: None,
        labels: labels(&[("team", "db")]),
        annotations: Labels::empty(),
        health: "ok",
        last_error: String::new(),
        last_evaluation: Some(NOW),
        last_duration: Duration::from_micros(250),
        alerts: Vec::new(),
        headroom: None,
    };
    let alert = |instance, state, value| Alert {
        fingerprint: 1,
        labels: labels(&[("alertname", "TargetDown"), ("instance", instance)]),
        annotations: labels(&[("summary", "down <&>")]),
        state,
        active_at: NOW,
        fired_at: None,
        resolved_at: None,
        keep_firing_since: (state == AlertState::Firing).then_some(NOW),
        value,
        restored: false,
        unknown: false,
    };
    let alerting = Rule {
        name: "TargetDown".to_owned(),
        alerting: true,
        expr: "up == 0".to_owned(),
        hold: Duration::from_secs(300),
        keep_firing: Duration::from_secs(60),
        datapoints: None,
        on_missing: None,
        labels: labels(&[("severity", "page")]),
        annotations: labels(&[("summary", "{{ $labels.instance }} is down")]),
        alerts: vec![
            alert("a", AlertState::Pending, 0.0),
            alert("b", AlertState::Firing, 150.0),
            alert("c", AlertState::Resolved, 0.0),
        ],
        ..recording.clone()
    };
    let broken = Rule {
        name: "Broken".to_owned(),
        hold: Duration::ZERO,
        datapoints: Some((3, 5)),
        on_missing: Some("keep"),
        labels: Labels::empty(),
        annotations: Labels::empty(),
        health: "err",
        last_error: "many-to-many".to_owned(),
        last_evaluation: None,
        alerts: Vec::new(),
        ..alerting.clone()
    };
    let group = |name: &str, file: &str, rules| RuleGroup {
        name: name.to_owned(),
        file: file.to_owned(),
        interval: Duration::from_secs(15),
        query_offset: Duration::ZERO,
        limit: 0,
        rules,
        last_evaluation: Some(NOW),
        last_duration: Duration::from_millis(1),
    };
    vec![
        group("targets", "rules/agent.yaml", vec![recording, alerting]),
        group("broken", "rules/other.yaml", vec![broken]),
    ]
}

//! A made-up house for tests and for looking at: a laptop that is well, one whose disk fills, one of two replicas,
//! one that knows nothing.

mod checks;
mod lines;
mod objects;
mod pair;
mod rules;
mod series;
mod silences;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::view::{
    Block, ConfigState, Health, Kept, Own, RouteLine, Routing, Source, Storm, Target, Telling, Told, Way,
};
use model::{BoxFuture, Clock, Labels, Ledger, Select, Timestamp};

use crate::Rooms;

pub(super) use self::objects::evil;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    /// 48 seconds after the first start.
    Calm,
    /// A disk fills, a program of ours is away, a newer configuration was refused.
    Firing,
    /// One of two replicas on a cluster: it follows, the other has not been heard for a while, a node is silent.
    Pair,
    /// Nothing is known at all.
    Empty,
}

/// A wall clock that stands, or the one it is given.
pub(crate) struct Standing(pub(crate) Timestamp);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn running(&self) -> Duration {
        Duration::ZERO
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
    let (checked, around) = (Arc::clone(&house), Arc::clone(&house));
    Rooms {
        clock,
        engine: Arc::new(engine(Arc::clone(&select))),
        select,
        exemplars: Arc::new(NoExemplars),
        registry: prometheus::Registry::new(),
        targets: view!(targets),
        pools: Arc::new(Vec::new),
        sources: view!(sources),
        rules: view!(rules),
        datasource: None,
        why: Arc::new(move |_, _, rule, fingerprint| why.why(rule, fingerprint)),
        try_rule: Some(Arc::new(rules::tried)),
        telling: view!(telling),
        routing: Arc::new(routing),
        logs: Arc::new(move |query| lines.lines(query)),
        around: Arc::new(move |time, identity, most| around.around(time, identity, most)),
        own_lines: Arc::new(|_, _, _| None),
        log_state: view!(log_state),
        config: view!(config),
        own: view!(own),
        ready: Arc::new(|| Ok(())),
        reload: Arc::new(|| Box::pin(async { Ok(()) })),
        doctor: Arc::new(move |_| Box::pin(std::future::ready(Ok(checked.checks())))),
        send_test: Arc::new(|| {
            Box::pin(async { Err("nobody to tell: the configuration names no receiver".to_owned()) })
        }),
        runbook: Arc::new(|anchor| (anchor == "filesystemalmostfull").then(|| RUNBOOK.to_owned())),
        write: None,
        peer: None,
        tail: None,
        handed: None,
        kept: view!(kept),
        cardinality: Arc::new(|_| model::view::Cardinality::default()),
        reserved: false,
        identify: net::Tokens::none(),
        silences: house.silences(),
        alerting: None,
        forward: Arc::new(|_| Box::pin(async { None })),
        graph: view!(graph),
        pair: view!(pair),
        senders: view!(senders),
        destinations: view!(destinations),
        objects: house.objects(),
    }
}

struct NoExemplars;

impl model::Exemplars for NoExemplars {
    fn exemplars(
        &self,
        _: &[Vec<model::Matcher>],
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<(Labels, Vec<model::Exemplar>)>, model::SelectError> {
        Ok(Vec::new())
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
    pub(super) fn empty(&self) -> bool {
        self.story == Story::Empty
    }

    pub(super) fn paired(&self) -> bool {
        self.story == Story::Pair
    }

    pub(super) fn firing(&self) -> bool {
        self.story == Story::Firing
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The newest reading: the first rounds at 0, 1, 2 and 5 s, then every 15 s.
    pub(super) fn last_reading(&self) -> Timestamp {
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
            read_by: None,
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

    fn kept(&self) -> Kept {
        if self.empty() {
            return Kept::default();
        }
        let hour = Duration::from_hours(1);
        let block = |name: &str, back: u32, hours: u32, bytes: u64| Block {
            name: name.to_owned(),
            start: self.now() - hour * back,
            end: self.now() - hour * (back - hours),
            bytes,
            series: 1358,
            samples: u64::from(hours) * 325_920,
            level: if hours > 2 { 2 } else { 1 },
        };
        Kept {
            series: 1358,
            samples_bytes: 5_872_025,
            oldest: Some(self.now() - hour * 12),
            log_bytes: 9_437_184,
            exemplars: 214,
            has_blocks: true,
            blocks: vec![
                block("01KB0WSE7R3J2F8Y6T5M4N9QAC", 12, 6, 2_411_724),
                block("01KB17RPFR8D1C2V7X0H6B3KEZ", 6, 2, 814_220),
                block("01KB1EMDQQ5T9W4G2S8R7P1NYM", 4, 2, 809_113),
            ],
            retention: hour * 24 * 15,
            retention_bytes: 10 << 30,
            ..Kept::default()
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
            role: if self.paired() { "cluster" } else { "all" },
            name: if self.paired() { "skopos-1" } else { "laptop" }.to_owned(),
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

/// Three routes; what is of the team `db` goes to its pager and on to the channel of all.
fn routing(labels: Option<&Labels>, now: Timestamp) -> Routing {
    let line = |depth: usize, matchers: &str, receiver: &str, told: &[&str]| RouteLine {
        depth,
        matchers: matchers.to_owned(),
        receiver: receiver.to_owned(),
        told: told.iter().map(|&title| title.to_owned()).collect(),
        group_by: Some(vec!["alertname".to_owned()]),
        group_wait: Duration::from_secs(30),
        group_interval: Duration::from_secs(300),
        repeat_interval: Duration::from_secs(4 * 3600),
        resolve_wait: Some(Duration::from_secs(15)),
        goes_on: depth == 1 && receiver == "db",
        hours: Vec::new(),
        muted_by: Vec::new(),
    };
    let is_of_db = labels.is_some_and(|labels| labels.value("team") == "db");
    let group = labels.map(|labels| labels.retain(|name| name == "alertname"));
    let way = |route| Way {
        route,
        group: group.clone().unwrap_or_else(Labels::empty),
        storms: if route == 0 {
            vec!["slack #ops".to_owned()]
        } else {
            Vec::new()
        },
    };
    let ways = match (labels, is_of_db) {
        (None, _) => Vec::new(),
        (Some(_), true) => vec![way(1), way(2)],
        (Some(_), false) => vec![way(0)],
    };
    Routing {
        routes: vec![
            line(0, "{}", "everybody", &["slack #ops"]),
            line(1, "{team=\"db\"}", "db", &["pagerduty"]),
            line(
                1,
                "{severity=~\"page|critical\"}",
                "loud",
                &["slack #loud", "webhook bell"],
            ),
        ],
        ways,
        fallback: Some("spare".to_owned()),
        storms: vec![Storm {
            receiver: "slack #ops".to_owned(),
            began: now - Duration::from_secs(14 * 60),
            is_open: true,
            groups: 42,
        }],
    }
}

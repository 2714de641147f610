//! Two cluster replicas and five nodes as real processes: killed and stopped at random, nothing lost, nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fakes::pagerduty::{PagerDuty, ROUTING_KEY};
use crate::fakes::peer::{Answer, Peer};
use crate::fakes::slack::Slack;
use crate::harness::components::free_port;
use crate::harness::{Skopos, long_run, root};

const NODES: usize = 5;
const RULES: &str = "groups:
  - name: shop
    interval: 2s
    rules:
      - alert: QueueLong
        expr: shop_queue_depth > 100
        for: 4s
        labels: { severity: critical }
        annotations: { summary: 'the queue of {{ $labels.node }} has {{ $value }} orders' }
      - alert: AgentSilent
        expr: skopos_sender_up == 0
        labels: { severity: warning }
        annotations: { summary: 'nothing is heard of {{ $labels.node }}' }
      - record: shop:queue_depth:sum
        expr: sum(shop_queue_depth)
";

/// The whole estate, on one machine.
struct Estate {
    folder: tempfile::TempDir,
    replicas: Vec<Skopos>,
    nodes: Vec<Skopos>,
    exporters: Vec<Peer>,
    slack: Slack,
    pagerduty: PagerDuty,
}

fn token(role: &str, name: &str) -> String {
    format!("{role} {name} token-of-{role}-{name}-0123456789")
}

fn start(folder: &Path, role: &str, port: u16) -> Skopos {
    Skopos::start_with(
        folder,
        &[
            "--role",
            role,
            "--config",
            "skopos.yaml",
            "--listen",
            &format!("127.0.0.1:{port}"),
        ],
    )
}

impl Estate {
    async fn build() -> Self {
        let slack = Slack::start().await.unwrap();
        let pagerduty = PagerDuty::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let ports = [free_port(), free_port()];
        let mut tokens: Vec<String> = (0..NODES)
            .map(|nth| token("node", &format!("web-{nth}")))
            .collect();
        tokens.extend((0..2).map(|nth| token("replica", &format!("skopos-{nth}"))));
        std::fs::write(root.join("tokens"), tokens.join("\n")).unwrap();
        std::fs::write(root.join("rules.yaml"), RULES).unwrap();
        let pace = "global: { scrape_interval: 2s, scrape_timeout: 1s, evaluation_interval: 2s }\nlogs: { enabled: false }\n";
        let mut replicas = Vec::new();
        for nth in 0..2 {
            let own = root.join(format!("replica-{nth}"));
            std::fs::create_dir(&own).unwrap();
            std::fs::write(
                own.join("token"),
                format!("token-of-replica-skopos-{nth}-0123456789"),
            )
            .unwrap();
            let config = format!(
                "{pace}rules: {{ shipped: false }}
rule_files: ['../rules.yaml']
web: {{ tokens_file: ../tokens }}
remote: {{ receive: {{ silence_after: 6s }} }}
pair: {{ name: skopos-{nth}, peer: 'http://127.0.0.1:{}', token_file: token, lease_file: ../lease }}
notifier:
  group_by: [alertname, node]
  group_wait: 0s
  group_interval: 2s
  resolve_wait: 0s
  slack: {{ webhook_url: '{}', timeout: 2s }}
  pagerduty: {{ routing_key: '{}', url: '{}', timeout: 2s }}
",
                ports[1 - nth],
                slack.url(),
                ROUTING_KEY,
                pagerduty.url(),
            );
            std::fs::write(own.join("skopos.yaml"), config).unwrap();
            replicas.push(start(&own, "cluster", ports[nth]));
        }
        let mut nodes = Vec::new();
        let mut exporters = Vec::new();
        for nth in 0..NODES {
            let exporter = Peer::start(Answer::Body("shop_queue_depth 1\n".to_owned())).await;
            let own = root.join(format!("node-{nth}"));
            std::fs::create_dir(&own).unwrap();
            std::fs::write(own.join("token"), format!("token-of-node-web-{nth}-0123456789")).unwrap();
            let replica = |port: u16| {
                format!(
                    "  - {{ url: 'http://127.0.0.1:{port}/api/v1/write', authorization: {{ credentials_file: token }} }}\n"
                )
            };
            let config = format!(
                "{pace}node: {{ interval: 2s }}
scrape_configs: [{{ job_name: shop, static_configs: [{{ targets: ['{}'] }}] }}]
remote_write:
{}{}",
                exporter.address,
                replica(ports[0]),
                replica(ports[1]),
            );
            std::fs::write(own.join("skopos.yaml"), config).unwrap();
            nodes.push(start(&own, "node", free_port()));
            exporters.push(exporter);
        }
        Self {
            folder,
            replicas,
            nodes,
            exporters,
            slack,
            pagerduty,
        }
    }

    fn breach(&self, node: usize, yes: bool) {
        let depth = if yes { 500 } else { 1 };
        self.exporters[node].set(Answer::Body(format!("shop_queue_depth {depth}\n")));
    }

    /// Which replica says that it leads.
    async fn leader(&self) -> Option<usize> {
        for (nth, replica) in self.replicas.iter().enumerate() {
            let url = replica.url("/metrics");
            let Ok(answer) = quick().get(url).send().await else {
                continue;
            };
            let text = answer.text().await.unwrap_or_default();
            if text.lines().any(|line| line == "skopos_pair_leader 1") {
                return Some(nth);
            }
        }
        None
    }

    async fn wait_for_leader(&self, but: Option<usize>) -> (usize, Duration) {
        let begun = Instant::now();
        loop {
            match self.leader().await {
                Some(leader) if Some(leader) != but => return (leader, begun.elapsed()),
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "nobody leads\n{}",
                self.logs()
            );
        }
    }

    fn logs(&self) -> String {
        let tail = |log: String| {
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(60)..].join("\n")
        };
        self.replicas
            .iter()
            .enumerate()
            .map(|(nth, replica)| format!("--- replica {nth}\n{}\n", tail(replica.log())))
            .collect()
    }

    async fn stop(self) {
        for process in self.nodes.into_iter().chain(self.replicas) {
            assert_eq!(process.stop().await, 0);
        }
        drop(self.folder);
    }
}

fn quick() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_millis(800))
        .no_proxy()
        .build()
        .unwrap()
}

/// A time in which a node's queue is too long.
#[derive(Clone, Copy, Debug)]
struct Episode {
    node: usize,
}

/// Values by series and time, of one expression over the last minutes.
async fn range(replica: &Skopos, expr: &str, from: f64, to: f64) -> BTreeMap<(String, i64), String> {
    let url = reqwest::Url::parse_with_params(
        &replica.url("/api/v1/query_range"),
        [
            ("query", expr.to_owned()),
            ("start", from.to_string()),
            ("end", to.to_string()),
            ("step", "2".to_owned()),
        ],
    )
    .unwrap();
    let data = replica
        .api(&format!("{}?{}", url.path(), url.query().unwrap()))
        .await;
    let mut all = BTreeMap::new();
    for series in data["result"].as_array().unwrap() {
        let name = series["metric"].to_string();
        for value in series["values"].as_array().unwrap() {
            all.insert(
                (name.clone(), value[0].as_f64().unwrap() as i64),
                value[1].as_str().unwrap().to_owned(),
            );
        }
    }
    all
}

fn seconds() -> f64 {
    jiff::Timestamp::now().as_millisecond() as f64 / 1000.0
}

/// What of an incident each receiver was told.
fn group_of(payload: &Value) -> String {
    let text = payload.to_string();
    (0..NODES)
        .map(|nth| format!("web-{nth}"))
        .find(|name| text.contains(&**name))
        .unwrap_or_default()
}

#[tokio::test]
async fn killed_and_stopped_at_random_nothing_is_lost_and_nothing_told_twice() {
    let (kills, stops, length) = if long_run() {
        (100, 20, Duration::from_secs(21 * 60))
    } else {
        (6, 2, Duration::from_secs(100))
    };
    fastrand::seed(4);
    let mut estate = Estate::build().await;
    let (_, first) = estate.wait_for_leader(None).await;
    estate.replicas[0]
        .wait_for("all nodes are heard", Duration::from_secs(30), async |replica| {
            replica.value("count(shop_queue_depth)").await == Some(NODES as f64)
        })
        .await;
    let began = seconds();
    let begun = Instant::now();
    let mut episodes: Vec<Episode> = Vec::new();
    let mut open: BTreeMap<usize, Instant> = BTreeMap::new();
    let mut rests: BTreeMap<usize, Instant> = (0..NODES).map(|node| (node, Instant::now())).collect();
    let mut takeovers: Vec<Duration> = Vec::new();
    let pause = length / (kills + stops);
    let mut left: Vec<bool> = std::iter::repeat_n(true, kills as usize)
        .chain(std::iter::repeat_n(false, stops as usize))
        .collect();
    fastrand::shuffle(&mut left);
    let mut next = Instant::now() + pause;
    let mut silent_told = 0;
    while begun.elapsed() < length || !left.is_empty() || !open.is_empty() {
        // Truth changes: long enough to have to be told, whatever is killed meanwhile.
        for node in 0..NODES {
            let closing = left.is_empty() && begun.elapsed() >= length;
            if let Some(since) = open.get(&node) {
                if since.elapsed() > Duration::from_secs(45) {
                    estate.breach(node, false);
                    open.remove(&node);
                    rests.insert(node, Instant::now());
                }
            } else if !closing
                && rests[&node].elapsed() > Duration::from_secs(60)
                && fastrand::u32(0..20) == 0
            {
                estate.breach(node, true);
                episodes.push(Episode { node });
                open.insert(node, Instant::now());
            }
        }
        if next <= Instant::now()
            && let Some(kill) = left.pop()
        {
            next += pause;
            let leader = estate.leader().await;
            // Mostly the replicas; sometimes a node.
            let victim = fastrand::usize(0..4);
            match (kill, victim) {
                (true, 0..=2) => {
                    let nth = leader.filter(|_| victim > 0).unwrap_or(victim % 2);
                    estate.replicas[nth].kill();
                    if leader == Some(nth) {
                        takeovers.push(estate.wait_for_leader(Some(nth)).await.1);
                    }
                    estate.replicas[nth].kill_and_restart();
                }
                (true, _) => {
                    let nth = fastrand::usize(0..NODES);
                    estate.nodes[nth].kill_and_restart();
                }
                (false, _) => {
                    let nth = leader.unwrap_or(0);
                    estate.replicas[nth].signal("-STOP");
                    takeovers.push(estate.wait_for_leader(Some(nth)).await.1);
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    estate.replicas[nth].signal("-CONT");
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // Everything heals, everything is told.
    estate.replicas[0]
        .wait_for(
            "nothing fires any more",
            Duration::from_secs(90),
            async |replica| {
                replica
                    .query("ALERTS{alertstate=\"firing\",alertname=\"QueueLong\"}")
                    .await
                    .is_empty()
            },
        )
        .await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let ended = seconds();

    let faults = (kills + stops) as usize;
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for episode in &episodes {
        *wanted.entry(format!("web-{}", episode.node)).or_default() += 1;
    }
    // PagerDuty: an incident for each episode, no more, and all of them closed.
    let incidents: Vec<_> = estate
        .pagerduty
        .incidents()
        .into_iter()
        .filter(|incident| incident.triggers[0].to_string().contains("QueueLong"))
        .collect();
    let mut opened: BTreeMap<String, usize> = BTreeMap::new();
    for incident in &incidents {
        *opened.entry(group_of(&incident.triggers[0])).or_default() += 1;
        assert!(
            incident.resolved.is_some(),
            "never resolved: {:?}",
            incident.triggers[0]
        );
    }
    assert_eq!(opened, wanted, "incidents opened, by node\n{}", estate.logs());
    // Slack: each episode's beginning and end at least once; what is said again says so.
    let mut firsts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut repeats, mut ends) = (0, 0);
    let mut seen = BTreeSet::new();
    for posted in estate.slack.posted() {
        let text = posted.lines().join("\n");
        if text.contains("AgentSilent") {
            silent_told += 1;
            continue;
        }
        let group = group_of(&posted.payload);
        if posted.payload.to_string().contains("possibly a repeat") {
            repeats += 1;
        } else if text.contains("Firing") {
            *firsts.entry(group.clone()).or_default() += 1;
        } else {
            ends += 1;
        }
        seen.insert(group);
    }
    assert!(repeats <= faults, "{repeats} repeats for {faults} faults");
    for (group, count) in &wanted {
        let told = firsts.get(group).copied().unwrap_or(0);
        assert!(
            told <= *count,
            "{group}: {told} unmarked firing messages for {count} episodes\n{}",
            estate.logs()
        );
        assert!(
            told + repeats >= *count,
            "{group}: {told} firing messages and {repeats} repeats for {count} episodes"
        );
    }
    // Both replicas answer the same for every minute.
    for replica in &estate.replicas {
        replica
            .wait_for("queues have drained", Duration::from_secs(60), async |replica| {
                replica.value("count(shop_queue_depth)").await == Some(NODES as f64)
            })
            .await;
    }
    let one = range(&estate.replicas[0], "shop_queue_depth", began, ended - 20.0).await;
    let other = range(&estate.replicas[1], "shop_queue_depth", began, ended - 20.0).await;
    let differing: Vec<_> = one
        .iter()
        .filter(|(at, value)| other.get(at) != Some(value))
        .map(|(at, value)| (at, value, other.get(at)))
        .chain(
            other
                .iter()
                .filter(|(at, _)| !one.contains_key(at))
                .map(|(at, value)| (at, value, None)),
        )
        .collect();
    println!(
        "first leader after {first:?}; {} episodes, {} incidents, {ends} ends, {repeats} marked repeats, \
         {silent_told} messages about silent agents, {} take-overs",
        episodes.len(),
        incidents.len(),
        takeovers.len()
    );
    takeovers.sort_unstable();
    if let Some(worst) = takeovers.last() {
        let at = |share: f64| takeovers[((takeovers.len() - 1) as f64 * share) as usize];
        println!(
            "take-over: half within {:?}, nine of ten within {:?}, worst {worst:?}",
            at(0.5),
            at(0.9)
        );
        assert!(*worst <= Duration::from_secs(15), "take-over took {worst:?}");
    }
    println!("{} values compared, {} differ", one.len(), differing.len());
    assert!(
        differing.is_empty(),
        "the replicas differ: {:?}",
        &differing[..differing.len().min(10)]
    );
    estate.stop().await;
}

#[tokio::test]
async fn a_rolling_restart_leaves_no_gap_and_tells_nobody() {
    let mut estate = Estate::build().await;
    estate.wait_for_leader(None).await;
    estate.breach(0, true);
    estate.replicas[0]
        .wait_for("it fires and is told", Duration::from_secs(60), async |_| {
            estate.slack.posted().len() == 1 && estate.pagerduty.incidents().len() == 1
        })
        .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let began = seconds();
    for nth in 0..2 {
        restart(&mut estate.replicas[nth]).await;
        // As a StatefulSet does: the next one goes once this one is ready.
        estate.replicas[nth]
            .wait_for("ready", Duration::from_secs(60), async |replica| {
                replica.get("/-/ready").await.0 == 200
            })
            .await;
    }
    for nth in 0..NODES {
        restart(&mut estate.nodes[nth]).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    let ended = seconds() - 5.0;
    // The pair answers: what one of them has counts.
    for node in 1..NODES {
        let expr = format!("shop_queue_depth{{node=\"web-{node}\"}}");
        let mut times = BTreeSet::new();
        for replica in &estate.replicas {
            let url = reqwest::Url::parse_with_params(
                &replica.url("/api/v1/query"),
                [
                    ("query", format!("{expr}[{}s]", (ended - began) as i64)),
                    ("time", ended.to_string()),
                ],
            )
            .unwrap();
            let data = replica
                .api(&format!("{}?{}", url.path(), url.query().unwrap()))
                .await;
            for value in data["result"][0]["values"].as_array().unwrap() {
                times.insert((value[0].as_f64().unwrap() * 1000.0) as i64);
            }
        }
        let times: Vec<i64> = times.into_iter().collect();
        let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        println!("web-{node}: {} samples, longest step {gap} ms", times.len());
        // A step of two intervals is one missing sample; a machine that is busy with other tests adds its own.
        let most = if long_run() { 4_500 } else { 15_000 };
        assert!(gap <= most, "a gap of {gap} ms in {expr}");
    }
    let said: Vec<String> = estate
        .slack
        .posted()
        .iter()
        .map(|posted| posted.lines().join(" "))
        .collect();
    assert_eq!(
        said.len(),
        1,
        "somebody was told of a restart: {said:#?}\n{}",
        estate.logs()
    );
    let incidents = estate.pagerduty.incidents();
    assert!(
        incidents.len() == 1 && incidents[0].resolved.is_none(),
        "{incidents:?}"
    );
    estate.stop().await;
}

/// SIGTERM, the end, the same command again.
async fn restart(process: &mut Skopos) {
    process.signal("-TERM");
    process.wait_for_end().await;
    process.kill_and_restart();
}

/// The blocks of a manual, by language.
fn blocks(manual: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    manual
        .split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split("```").next().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn the_manual_does_what_it_says() {
    let manual = std::fs::read_to_string(root().join("agent/pair.md")).unwrap();
    let ports: Vec<String> = (0..3).map(|_| free_port().to_string()).collect();
    let here = |text: &str| {
        ["9470", "9471", "9472"]
            .iter()
            .zip(&ports)
            .fold(text.to_owned(), |text, (written, port)| {
                text.replace(written, port)
            })
    };
    let folder = tempfile::tempdir().unwrap();
    for file in blocks(&manual, "yaml") {
        let name = file.lines().next().unwrap().trim_start_matches("# ").to_owned();
        std::fs::write(folder.path().join(name), here(&file)).unwrap();
    }
    let scripts = blocks(&manual, "sh");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_skopos"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let shell = |script: &str| {
        let mut command = std::process::Command::new("sh");
        command
            .args(["-ec", script])
            .env("PATH", &path)
            .current_dir(folder.path());
        command
    };
    let made = shell(&scripts[0]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    // A group of their own, so that what the shell started ends with it, however this test ends.
    let started = shell(&(here(&scripts[1]) + "\nwait"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .process_group(0)
        .spawn();
    let running = Family(started.unwrap());
    let ask = async |port: &str, query: &str| -> usize {
        let url = reqwest::Url::parse_with_params(
            &format!("http://127.0.0.1:{port}/api/v1/query"),
            [("query", query)],
        );
        let Ok(answer) = quick().get(url.unwrap()).send().await else {
            return 0;
        };
        let answer: Value = answer.json().await.unwrap_or_default();
        answer["data"]["result"].as_array().map_or(0, Vec::len)
    };
    let until = Instant::now() + Duration::from_secs(60);
    for port in &ports[..2] {
        for query in [
            "node_load1{node=\"web-1\"}",
            "skopos_sender_up{node=\"web-1\"} == 1",
            "skopos_pair_in_step == 1",
        ] {
            while ask(port, query).await == 0 {
                assert!(Instant::now() < until, "{query} is not answered on {port}");
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }
    drop(running);
}

/// A process and all that it started.
struct Family(std::process::Child);

impl Drop for Family {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        _ = std::process::Command::new("kill")
            .args(["-KILL", "--", &group])
            .status();
        _ = self.0.wait();
    }
}

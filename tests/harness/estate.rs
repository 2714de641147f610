//! Two cluster replicas and their nodes as real processes on one machine, with fakes of whom they tell.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use programs::clock::Clock;

use crate::fakes::pagerduty::{PagerDuty, ROUTING_KEY};
use crate::fakes::peer::{Answer, Peer};
use crate::fakes::slack::Slack;

use super::Skopos;
use super::components::free_port;

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

/// What an estate is to be.
#[derive(Default)]
pub struct Wish<'a> {
    /// `web-0` and on, each with an exporter whose queue is short.
    pub nodes: usize,
    /// How the replicas find out who leads: some lines of configuration that end within `pair: {`.
    pub arbiter: &'a str,
    /// More configuration of each replica.
    pub more: [&'a str; 2],
    /// More groups of rules.
    pub rules: &'a str,
    /// What each replica believes to be the time; the true one where none is given.
    pub clocks: [Option<&'a Clock>; 2],
    /// Where the replicas listen, and by what names they ask for each other; on loopback, by its address, where none is given.
    pub place: Option<(IpAddr, [&'a str; 2])>,
}

/// The whole estate, on one machine.
pub struct Estate {
    folder: tempfile::TempDir,
    pub replicas: Vec<Skopos>,
    pub nodes: Vec<Skopos>,
    pub exporters: Vec<Peer>,
    pub slack: Slack,
    pub pagerduty: PagerDuty,
}

fn token(role: &str, name: &str) -> String {
    format!("{role} {name} token-of-{role}-{name}-0123456789")
}

fn start(folder: &Path, role: &str, at: SocketAddr, clock: Option<&Clock>) -> Skopos {
    let variables = clock.map(Clock::variables);
    let variables = variables.iter().flatten();
    let variables: Vec<(&str, &str)> = variables.map(|(name, value)| (*name, value.as_str())).collect();
    let listen = at.to_string();
    let words = ["--role", role, "--config", "skopos.yaml", "--listen", &listen];
    Skopos::start_by(folder, &words, &variables)
}

impl Estate {
    /// Both replicas and this many nodes, `web-0` and on, each with an exporter whose queue is short.
    pub async fn build(nodes: usize) -> Self {
        Self::build_with(nodes, "pair: { lease_file: ../lease").await
    }

    /// Likewise, where the replicas find out who leads as this says ([`Wish::arbiter`]).
    pub async fn build_with(nodes: usize, arbiter: &str) -> Self {
        Self::build_as(&Wish {
            nodes,
            arbiter,
            ..Wish::default()
        })
        .await
    }

    pub async fn build_as(wish: &Wish<'_>) -> Self {
        let Wish { nodes, arbiter, .. } = *wish;
        let slack = Slack::start().await.unwrap();
        let pagerduty = PagerDuty::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let ports = [free_port(), free_port()];
        let here = IpAddr::from(Ipv4Addr::LOCALHOST);
        let shown = here.to_string();
        let (at, names) = wish.place.unwrap_or((here, [&shown, &shown]));
        let mut tokens: Vec<String> = (0..nodes)
            .map(|nth| token("node", &format!("web-{nth}")))
            .collect();
        tokens.extend((0..2).map(|nth| token("replica", &format!("skopos-{nth}"))));
        std::fs::write(root.join("tokens"), tokens.join("\n")).unwrap();
        std::fs::write(root.join("rules.yaml"), format!("{RULES}{}", wish.rules)).unwrap();
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
{arbiter}, name: skopos-{nth}, peer: 'http://{}:{}', token_file: token }}
notifier:
  group_by: [alertname, node]
  group_wait: 0s
  group_interval: 2s
  resolve_wait: 0s
  slack: {{ webhook_url: '{}', timeout: 2s }}
  pagerduty: {{ routing_key: '{}', url: '{}', timeout: 2s }}
{}",
                names[1 - nth],
                ports[1 - nth],
                slack.url(),
                ROUTING_KEY,
                pagerduty.url(),
                wish.more[nth],
            );
            std::fs::write(own.join("skopos.yaml"), config).unwrap();
            replicas.push(start(&own, "cluster", (at, ports[nth]).into(), wish.clocks[nth]));
        }
        let mut running = Vec::new();
        let mut exporters = Vec::new();
        for nth in 0..nodes {
            let exporter = Peer::start(Answer::Body("shop_queue_depth 1\n".to_owned())).await;
            let own = root.join(format!("node-{nth}"));
            std::fs::create_dir(&own).unwrap();
            std::fs::write(own.join("token"), format!("token-of-node-web-{nth}-0123456789")).unwrap();
            let replica = |port: u16| {
                format!(
                    "  - {{ url: 'http://{at}:{port}/api/v1/write', authorization: {{ credentials_file: token }} }}\n"
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
            running.push(start(&own, "node", (here, free_port()).into(), None));
            exporters.push(exporter);
        }
        Self {
            folder,
            replicas,
            nodes: running,
            exporters,
            slack,
            pagerduty,
        }
    }

    /// A node's queue grows too long, or is short again.
    pub fn breach(&self, node: usize, yes: bool) {
        let depth = if yes { 500 } else { 1 };
        self.exporters[node].set(Answer::Body(format!("shop_queue_depth {depth}\n")));
    }

    /// Whether PagerDuty has an open incident that names this.
    pub fn tells_of(&self, name: &str) -> bool {
        self.pagerduty.has_open(&["QueueLong", name])
    }

    /// Which replica says that it leads.
    pub async fn leader(&self) -> Option<usize> {
        for (nth, replica) in self.replicas.iter().enumerate() {
            if replica.own("skopos_pair_leader").await == Some(1.0) {
                return Some(nth);
            }
        }
        None
    }

    /// Waits until one leads that is not `but`.
    pub async fn wait_for_leader(&self, but: Option<usize>) -> (usize, Duration) {
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

    /// The last lines of both replicas.
    pub fn logs(&self) -> String {
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

    pub async fn stop(self) {
        for process in self.nodes.into_iter().chain(self.replicas) {
            assert_eq!(process.stop().await, 0);
        }
        drop(self.folder);
    }
}

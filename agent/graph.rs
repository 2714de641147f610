//! The house as a picture: which rooms there are in a role, and what lies between them.
//!
//! [`JOINTS`] is the one list of queues and calls; `ARCHITECTURE.md` has it as a table (a test compares), `skopos
//! graph` and the page show it with what is in each queue right now.

use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use model::view::{Graph, Health, Joint, Place};

use anyhow::Context;
use model::outside::{Client, Method, Request};

use crate::cli::{GraphArgs, Role};

/// Where a place stands in the drawing, and in which roles it is there.
struct Spot {
    name: &'static str,
    row: usize,
    outside: bool,
    roles: &'static [Role],
}

/// What lies between two places.
pub struct Line {
    pub from: &'static str,
    pub to: &'static str,
    pub carries: &'static str,
    /// Most it holds; empty for a call that returns at once.
    pub size: &'static str,
    pub when_full: &'static str,
}

const EVERY: &[Role] = &[Role::All, Role::Node, Role::Cluster];
const READS: &[Role] = &[Role::All, Role::Node];
const THINKS: &[Role] = &[Role::All, Role::Cluster];
const CLUSTER: &[Role] = &[Role::Cluster];
const NODE: &[Role] = &[Role::Node];

const fn spot(name: &'static str, row: usize, outside: bool, roles: &'static [Role]) -> Spot {
    Spot {
        name,
        row,
        outside,
        roles,
    }
}

const SPOTS: &[Spot] = &[
    spot("kernel", 0, true, READS),
    spot("targets", 0, true, EVERY),
    spot("log files", 0, true, READS),
    spot("kubernetes", 0, true, EVERY),
    spot("forwarders", 0, true, READS),
    spot("systemd journal", 0, true, READS),
    spot("log groups", 0, true, THINKS),
    spot("senders", 0, true, THINKS),
    spot("aws metrics", 0, true, THINKS),
    spot("replicas", 0, true, NODE),
    spot("cluster", 1, false, EVERY),
    spot("node", 1, false, READS),
    spot("kubestate", 1, false, THINKS),
    spot("cloudwatch", 1, false, THINKS),
    spot("scrape", 1, false, EVERY),
    spot("logs", 1, false, EVERY),
    spot("receiver", 1, false, THINKS),
    spot("store", 2, false, EVERY),
    spot("promql", 2, false, EVERY),
    spot("rules", 3, false, THINKS),
    spot("pair", 3, false, CLUSTER),
    spot("notifier", 3, false, THINKS),
    spot("sender", 3, false, EVERY),
    spot("web", 3, false, EVERY),
    spot("disk", 4, true, EVERY),
    spot("opensearch", 4, true, EVERY),
    spot("aws logs", 4, true, EVERY),
    spot("output", 4, true, EVERY),
    spot("destinations", 4, true, EVERY),
    spot("peer", 4, true, CLUSTER),
    spot("agents", 4, true, CLUSTER),
    spot("lease", 4, true, CLUSTER),
    spot("people", 4, true, EVERY),
];

const fn line(
    from: &'static str,
    to: &'static str,
    carries: &'static str,
    size: &'static str,
    when_full: &'static str,
) -> Line {
    Line {
        from,
        to,
        carries,
        size,
        when_full,
    }
}

/// Every queue of the house, and the calls between rooms. A joint is there in a role if both of its ends are.
pub const JOINTS: &[Line] = &[
    line("kernel", "node", "readings of /proc and /sys", "", ""),
    line(
        "targets",
        "scrape",
        "metrics pages",
        "64 MiB a page",
        "the target is down, with that reason",
    ),
    line(
        "log files",
        "logs",
        "lines",
        "bounded batches",
        "reading waits; the file is the buffer",
    ),
    line(
        "kubernetes",
        "cluster",
        "objects",
        "one watch a kind",
        "the newest state of each stands",
    ),
    line(
        "cluster",
        "kubestate",
        "objects",
        "one watch a kind",
        "the watch waits; the API server keeps what changes",
    ),
    line("kubestate", "store", "columns", "", ""),
    line(
        "aws metrics",
        "cloudwatch",
        "points of metrics",
        "4 calls of 500 series a place",
        "the next round waits; AWS keeps what is asked for later",
    ),
    line("cloudwatch", "store", "columns", "", ""),
    line(
        "rules",
        "cloudwatch",
        "which series are read, and which alerts are close",
        "one list",
        "the newest in place of the one before",
    ),
    line(
        "cloudwatch",
        "rules",
        "until when series are complete",
        "one map",
        "the newest in place of the one before",
    ),
    line(
        "cluster",
        "logs",
        "facts of pods",
        "one map",
        "the newest in place of the one before",
    ),
    line(
        "cluster",
        "scrape",
        "targets",
        "one list",
        "the newest in place of the one before",
    ),
    line(
        "scrape",
        "agents",
        "targets of a node",
        "2,000 targets",
        "the rest are read by who leads, and counted",
    ),
    line(
        "replicas",
        "scrape",
        "targets of this node",
        "one list",
        "the newest in place of the one before",
    ),
    line(
        "cluster",
        "receiver",
        "nodes that are there to stay",
        "one list",
        "the newest in place of the one before",
    ),
    line(
        "cluster",
        "rules",
        "groups of rule objects",
        "one list",
        "the newest in place of the one before",
    ),
    line(
        "cluster",
        "logs",
        "events, changes",
        "10,000 events",
        "let go of, and all are asked for again when there is room",
    ),
    line(
        "forwarders",
        "logs",
        "records by Forward",
        "logs.spool_bytes_max, 1 GiB",
        "not acknowledged; the sender keeps them",
    ),
    line(
        "systemd journal",
        "logs",
        "entries",
        "2,000 entries",
        "reading waits; the journal keeps them",
    ),
    line(
        "log groups",
        "logs",
        "events",
        "a page of 1 MiB",
        "asking waits; AWS keeps them",
    ),
    line(
        "senders",
        "receiver",
        "remote write",
        "32 MiB a request",
        "503 with Retry-After; the sender keeps it",
    ),
    line("node", "store", "columns", "", ""),
    line("scrape", "store", "columns", "", ""),
    line("receiver", "store", "columns", "", ""),
    line(
        "store",
        "disk",
        "write-ahead log",
        "1 Mi samples",
        "kept in memory, missing after a restart, counted",
    ),
    line(
        "logs",
        "disk",
        "segments of lines",
        "one batch",
        "reading waits; the file is the buffer",
    ),
    line(
        "logs",
        "opensearch",
        "lines",
        "requests_max and two batches of 1 MiB",
        "reading waits; the file is the buffer",
    ),
    line(
        "logs",
        "aws logs",
        "lines",
        "requests_max of 1 MiB, as many and two batches of 1 MiB",
        "reading waits; the file is the buffer",
    ),
    line(
        "logs",
        "output",
        "lines",
        "two batches of 1 MiB",
        "reading waits; the file is the buffer",
    ),
    line("store", "promql", "series", "", ""),
    line("promql", "rules", "answers", "", ""),
    line("rules", "store", "recorded series, ALERTS", "", ""),
    line(
        "rules",
        "notifier",
        "alert events",
        "1,024 events",
        "skipped: state is said again each minute, and for 15 minutes after resolving",
    ),
    line(
        "rules",
        "pair",
        "alert events",
        "1,024 events",
        "skipped: state is said again each minute, and for 15 minutes after resolving",
    ),
    line(
        "pair",
        "notifier",
        "what either replica says",
        "1,024 events",
        "skipped: said again each minute",
    ),
    line(
        "pair",
        "peer",
        "heartbeat, map, alert words",
        "1 MiB a beat",
        "the rest goes with the next beat, sent at once",
    ),
    line("pair", "lease", "renewals", "", ""),
    line(
        "notifier",
        "people",
        "messages",
        "one in flight to each receiver",
        "the newest state of each group waits, in place of the older one",
    ),
    line(
        "store",
        "sender",
        "rows",
        "4,096 rows",
        "left out and counted: the sender is behind",
    ),
    line(
        "sender",
        "destinations",
        "blocks on disk",
        "remote.queue_bytes_max, 512 MiB",
        "the oldest segment goes, counted for each destination",
    ),
    line(
        "promql",
        "web",
        "answers",
        "4 queries at a time",
        "later ones wait, then 503",
    ),
    line(
        "web",
        "people",
        "pages, APIs",
        "web.connections_max",
        "503 with Retry-After",
    ),
];

/// What there is to say of a joint now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    pub(crate) fill: Option<f64>,
    pub(crate) words: String,
    pub(crate) health: Health,
}

impl Now {
    /// So many of so many.
    pub(crate) fn of(held: u64, most: u64, things: &str) -> Self {
        let share = held as f64 / (most.max(1)) as f64;
        Self {
            fill: Some(share),
            words: format!("{} {things}", model::text::count(held)),
            health: match share {
                share if share >= 0.9 => Health::Bad,
                share if share >= 0.5 => Health::Pending,
                _ => Health::Good,
            },
        }
    }

    pub(crate) fn said(health: Health, words: impl Into<String>) -> Self {
        Self {
            fill: None,
            words: words.into(),
            health,
        }
    }
}

type Look = Arc<dyn Fn() -> Now + Send + Sync>;

/// The picture of one running process.
pub(crate) struct House {
    role: Role,
    looks: HashMap<(&'static str, &'static str), Look>,
    /// Rooms that the configuration leaves out.
    absent: Vec<&'static str>,
}

impl House {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            looks: HashMap::new(),
            absent: Vec::new(),
        }
    }

    pub(crate) fn without(&mut self, name: &'static str) {
        self.absent.push(name);
    }

    pub(crate) fn look(
        &mut self,
        from: &'static str,
        to: &'static str,
        look: impl Fn() -> Now + Send + Sync + 'static,
    ) {
        debug_assert!(
            JOINTS.iter().any(|line| line.from == from && line.to == to),
            "{from} → {to} is not in the list"
        );
        self.looks.insert((from, to), Arc::new(look));
    }

    /// How full a channel is. It is not kept open by being looked at.
    pub(crate) fn channel<T: Send + 'static>(
        &mut self,
        from: &'static str,
        to: &'static str,
        sender: &tokio::sync::mpsc::Sender<T>,
        things: &'static str,
    ) {
        let sender = sender.downgrade();
        self.look(from, to, move || match sender.upgrade() {
            Some(sender) => {
                let most = sender.max_capacity();
                Now::of((most - sender.capacity()) as u64, most as u64, things)
            }
            None => Now::said(Health::Unknown, "closed"),
        });
    }

    pub(crate) fn graph(&self) -> Graph {
        let mut graph = plan(self.role);
        let absent = |name: &str| self.absent.contains(&name);
        graph.places.retain(|place| !absent(&place.name));
        graph
            .joints
            .retain(|joint| !absent(&joint.from) && !absent(&joint.to));
        for joint in &mut graph.joints {
            let look = self
                .looks
                .iter()
                .find(|((from, to), _)| *from == joint.from && *to == joint.to);
            if let Some((_, look)) = look {
                let now = look();
                (joint.fill, joint.now, joint.health) = (now.fill, now.words, now.health);
            }
        }
        // What no arrow touches would only raise questions.
        let touched = |name: &str| {
            graph
                .joints
                .iter()
                .any(|joint| joint.from == name || joint.to == name)
        };
        graph.places.retain(|place| touched(&place.name));
        graph
    }
}

/// The house of a role as it is built, with nothing in its queues.
#[must_use]
pub fn plan(role: Role) -> Graph {
    let here = |name: &str| {
        SPOTS
            .iter()
            .any(|spot| spot.name == name && spot.roles.contains(&role))
    };
    // The pair stands between rules and notifier where there is one.
    let bypassed = |line: &Line| line.from == "rules" && line.to == "notifier" && here("pair");
    Graph {
        role: role.word().to_owned(),
        places: SPOTS
            .iter()
            .filter(|spot| spot.roles.contains(&role))
            .map(|spot| Place {
                name: spot.name.to_owned(),
                row: spot.row,
                outside: spot.outside,
            })
            .collect(),
        joints: JOINTS
            .iter()
            .filter(|line| here(line.from) && here(line.to) && !bypassed(line))
            .map(|line| Joint {
                from: line.from.to_owned(),
                to: line.to.to_owned(),
                carries: line.carries.to_owned(),
                when_full: line.when_full.to_owned(),
                size: line.size.to_owned(),
                fill: None,
                now: String::new(),
                health: Health::Unknown,
            })
            .collect(),
    }
}

/// The table of all roles, as `ARCHITECTURE.md` has it.
#[must_use]
pub fn markdown() -> String {
    let mut text =
        String::from("| from → to | roles | carries | holds | when full |\n|---|---|---|---|---|\n");
    for line in JOINTS {
        let roles: Vec<&str> = EVERY
            .iter()
            .filter(|role| {
                let plan = plan(**role);
                plan.joints
                    .iter()
                    .any(|joint| joint.from == line.from && joint.to == line.to)
            })
            .map(|role| role.word())
            .collect();
        let or = |text: &str, else_: &str| {
            if text.is_empty() {
                else_.to_owned()
            } else {
                text.to_owned()
            }
        };
        text.push_str(&format!(
            "| {} → {} | {} | {} | {} | {} |\n",
            line.from,
            line.to,
            roles.join(", "),
            line.carries,
            or(line.size, "a call"),
            or(line.when_full, "returns at once"),
        ));
    }
    text
}

/// `skopos graph`: of a running process, or of a role as it is built.
#[must_use]
pub fn run(arguments: &GraphArgs) -> ExitCode {
    let graph = match arguments.plan {
        Some(role) => Ok(plan(role)),
        None => ask(&arguments.url),
    };
    let shown = graph.and_then(|graph| {
        let text = if arguments.json {
            serde_json::to_string_pretty(&graph)? + "\n"
        } else {
            text(&graph)
        };
        Ok(std::io::stdout().write_all(text.as_bytes())?)
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "skopos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ask(url: &str) -> anyhow::Result<Graph> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let request = Request {
        method: Method::Get,
        url: format!("{}/graph.json", url.trim_end_matches('/')),
        headers: Vec::new(),
        body: Vec::new().into(),
        timeout: Duration::from_secs(10),
        answer_bytes_max: 4 << 20,
    };
    let client = net::HttpClient::new().map_err(|error| anyhow::anyhow!("{error}"))?;
    let answer = runtime
        .block_on(client.send(request))
        .with_context(|| format!("asking {url}; name a running Skopos with --url, or a role with --plan"))?;
    anyhow::ensure!(answer.status == 200, "{url} answers {}", answer.status);
    serde_json::from_slice(&answer.body).with_context(|| format!("{url} is no Skopos"))
}

/// For a terminal: each place with what leaves it.
#[must_use]
pub fn text(graph: &Graph) -> String {
    let mut text = format!("role {}\n", graph.role);
    let wide = |field: fn(&Joint) -> usize| graph.joints.iter().map(field).max().unwrap_or(0);
    let names = wide(|joint| joint.from.chars().count() + joint.to.chars().count() + 3);
    let carries = wide(|joint| joint.carries.chars().count());
    let sizes = wide(|joint| joint.size.chars().count());
    for joint in &graph.joints {
        let mark = match joint.health {
            Health::Good => "●",
            Health::Unknown => "·",
            Health::Pending => "◆",
            Health::Bad => "▲",
        };
        let fill = joint.fill.map_or("    ".to_owned(), |fill| {
            format!("{:>3} %", (fill * 100.0).round())
        });
        let line = format!(
            "{mark} {:<names$}  {:<carries$}  {:<sizes$}  {fill:>5}  {}",
            format!("{} → {}", joint.from, joint.to),
            joint.carries,
            joint.size,
            joint.now,
        );
        text.push_str(line.trim_end());
        text.push('\n');
        if joint.fill.is_some_and(|fill| fill >= 0.5) {
            text.push_str(&format!("    when full: {}\n", joint.when_full));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_joint_ends_at_places_of_the_drawing() {
        for line in JOINTS {
            for end in [line.from, line.to] {
                assert!(SPOTS.iter().any(|spot| spot.name == end), "{end}");
            }
            assert_eq!(
                line.size.is_empty(),
                line.when_full.is_empty(),
                "{} → {} says one and not the other",
                line.from,
                line.to
            );
        }
    }

    #[test]
    fn rules_speak_to_the_notifier_directly_where_there_is_no_pair() {
        let direct = |role| {
            plan(role)
                .joints
                .iter()
                .any(|joint| joint.from == "rules" && joint.to == "notifier")
        };
        assert_eq!(
            (direct(Role::All), direct(Role::Cluster), direct(Role::Node)),
            (true, false, false)
        );
    }

    #[test]
    fn what_fills_is_shown_and_named() {
        let mut house = House::new(Role::All);
        house.look("store", "disk", || Now::of(950, 1000, "samples"));
        house.without("logs");
        let graph = house.graph();
        assert!(graph.places.iter().all(|place| place.name != "log files"));
        let text = text(&graph);
        let line = text.lines().find(|line| line.contains("store → disk")).unwrap();
        assert!(
            line.starts_with('▲') && line.contains("95 %") && line.ends_with("950 samples"),
            "{text}"
        );
        assert!(text.contains("when full: kept in memory"), "{text}");
    }
}

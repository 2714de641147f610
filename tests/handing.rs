//! Targets on nodes are read by the agents there: two replicas and two agents against a real API server, and what the targets saw.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use kubernetes_tests::ControlPlane;
use serde_json::{Value, json};

use crate::fakes::peer::{Answer, Peer};
use crate::harness::components::free_port;
use crate::harness::{Skopos, long_run};
use crate::remote::cpu_seconds;

const PATIENCE: Duration = Duration::from_secs(90);

/// A pod with its node, and what it says.
struct Pod {
    name: &'static str,
    node: &'static str,
    peer: Peer,
}

/// Replicas `skopos-0` and `skopos-1`, agents of the nodes `n1` and `n2`; `n3` has none.
struct Estate {
    folder: tempfile::TempDir,
    replicas: Vec<Skopos>,
    agents: Vec<Skopos>,
    pods: Vec<Pod>,
}

fn start(folder: &Path, role: &str, config: &str, port: u16) -> Skopos {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("skopos.yaml"), config).unwrap();
    let listen = format!("127.0.0.1:{port}");
    Skopos::start_with(
        folder,
        &["--role", role, "--config", "skopos.yaml", "--listen", &listen],
    )
}

fn token(role: &str, name: &str) -> String {
    format!("token-of-{role}-{name}-0123456789")
}

impl Estate {
    async fn build(plane: &ControlPlane) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let who = [
            ("node", "n1"),
            ("node", "n2"),
            ("replica", "skopos-0"),
            ("replica", "skopos-1"),
        ];
        let tokens: Vec<String> = who
            .iter()
            .map(|(role, name)| format!("{role} {name} {}", token(role, name)))
            .collect();
        std::fs::write(root.join("tokens"), tokens.join("\n")).unwrap();
        for (role, name) in who {
            let own = root.join(name);
            std::fs::create_dir(&own).unwrap();
            std::fs::write(own.join("token"), token(role, name)).unwrap();
        }
        let kubeconfig = plane.kubeconfig().display().to_string();
        let pace = "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\nrules: { shipped: false }\n\
                    logs: { enabled: false }\nkube_state: { enabled: false }\nnode: { enabled: false }\n";
        let asked = "events: false, changes: { enabled: false }";
        let ports = [free_port(), free_port()];
        let replicas = (0..2).map(|nth: usize| {
            let config = format!(
                "{pace}kubernetes: {{ kubeconfig: '{kubeconfig}', {asked} }}\nweb: {{ tokens_file: ../tokens }}\n\
                 pair: {{ retry: 2s, name: skopos-{nth}, peer: 'http://127.0.0.1:{}', token_file: token }}\n",
                ports[1 - nth]
            );
            start(&root.join(format!("skopos-{nth}")), "cluster", &config, ports[nth])
        });
        let replicas = replicas.collect();
        let write = ports.map(|port| {
            format!(
                "  - {{ url: 'http://127.0.0.1:{port}/api/v1/write', authorization: {{ credentials_file: token }} }}\n"
            )
        });
        let agents = ["n1", "n2"].map(|node| {
            let config = format!(
                "{pace}kubernetes: {{ kubeconfig: '{kubeconfig}', node_name: {node} }}\nremote_write:\n{}",
                write.concat()
            );
            start(&root.join(node), "node", &config, free_port())
        });
        let mut pods = Vec::new();
        for (name, node) in [
            ("web-0", "n1"),
            ("web-1", "n1"),
            ("api-0", "n2"),
            ("api-1", "n2"),
            ("far-0", "n3"),
            // It says which nodes there are, and so cannot be read by an agent.
            ("state-0", "n1"),
        ] {
            let more = if name == "state-0" {
                "shop_nodes{node=\"n7\"} 1\n"
            } else {
                ""
            };
            let peer = Peer::start(Answer::Body(format!("shop_orders 7\n{more}"))).await;
            pods.push(Pod { name, node, peer });
        }
        let this = Self {
            folder,
            replicas,
            agents: agents.into(),
            pods,
        };
        this.make_objects(plane);
        this
    }

    fn make_objects(&self, plane: &ControlPlane) {
        plane.namespace("shop");
        for Pod { name, node, peer } in &self.pods {
            let (host, port) = peer.address.rsplit_once(':').unwrap();
            let port: u16 = port.parse().unwrap();
            let pod = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "shop", "labels": {"app": "shop"}},
                "spec": {"nodeName": node, "containers": [{"name": "app", "image": "lab.local/app:1",
                    "ports": [{"name": "http", "containerPort": port}]}]}});
            plane.apply(&pod.to_string());
            let status = json!({"status": {"phase": "Running", "podIP": host, "podIPs": [{"ip": host}],
                "conditions": [{"type": "Ready", "status": "True"}]}});
            let status = status.to_string();
            plane.kubectl(&[
                "-n",
                "shop",
                "patch",
                "pod",
                name,
                "--subresource=status",
                "-p",
                &status,
            ]);
        }
        let monitor = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor",
            "metadata": {"name": "shop", "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "shop"}}, "podMetricsEndpoints": [{"port": "http"}]}});
        plane.apply(&monitor.to_string());
    }

    /// Which process reads each pod now, by what all of them that answer say; a replica is called by its number.
    async fn readers(&self) -> BTreeMap<String, Vec<String>> {
        let mut readers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let replicas = self.replicas.iter().enumerate();
        let all = replicas.map(|(nth, process)| (format!("skopos-{nth}"), process));
        let agents = ["n1", "n2"].into_iter().zip(&self.agents);
        for (name, process) in all.chain(agents.map(|(name, process)| (name.to_owned(), process))) {
            let Some(targets) = targets(process).await else {
                continue;
            };
            for target in targets {
                let pod = target["labels"]["pod"].as_str().unwrap_or_default().to_owned();
                if target["scrapePool"].as_str().unwrap().starts_with("podMonitor/")
                    && target["readBy"].is_null()
                {
                    readers.entry(pod).or_default().push(name.clone());
                }
            }
        }
        readers
    }

    /// Waits until each pod is read by exactly who is wanted, in two looks one after the other.
    async fn settle(&self, what: &str, wanted: &[(&str, &str)]) {
        let wanted: BTreeMap<String, Vec<String>> = wanted
            .iter()
            .map(|(pod, reader)| ((*pod).to_owned(), vec![(*reader).to_owned()]))
            .collect();
        let begun = std::time::Instant::now();
        let mut agreed = 0;
        loop {
            let now = self.readers().await;
            agreed = if now == wanted { agreed + 1 } else { 0 };
            if agreed == 2 {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}: {now:#?} and not {wanted:#?}\n{}",
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn logs(&self) -> String {
        let all = self.replicas.iter().chain(&self.agents);
        let tail = |process: &Skopos| {
            let log = process.log();
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(30)..].join("\n")
        };
        all.map(tail).collect::<Vec<_>>().join("\n---\n")
    }

    async fn leader(&self) -> usize {
        let begun = std::time::Instant::now();
        loop {
            for (nth, replica) in self.replicas.iter().enumerate() {
                let answer = client().get(replica.url("/metrics")).send().await;
                let Ok(answer) = answer else { continue };
                let text = answer.text().await.unwrap_or_default();
                if text.lines().any(|line| line == "skopos_pair_leader 1") {
                    return nth;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "nobody leads\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How often each pod was asked so far.
    fn asked(&self) -> BTreeMap<&'static str, usize> {
        let of = |pod: &Pod| (pod.name, pod.peer.asked().len());
        self.pods.iter().map(of).collect()
    }

    /// Waits until each of these pods has been asked so often since.
    async fn goes_on(&self, what: &str, since: &BTreeMap<&'static str, usize>, names: &[&str], times: usize) {
        let begun = std::time::Instant::now();
        loop {
            let now = self.asked();
            if names.iter().all(|name| now[name] >= since[name] + times) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}: {since:?} and now {now:?}\n{}",
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Nobody is asked by two: over many rounds each is asked about as often as each other. Who is slow asks nobody more often.
    async fn each_is_read_by_one(&self, what: &str) {
        const ROUNDS: usize = 12;
        let (before, begun) = (self.asked(), std::time::Instant::now());
        tokio::time::sleep(Duration::from_secs(ROUNDS as u64)).await;
        let most = begun.elapsed().as_secs() as usize + 2;
        for (name, now) in self.asked() {
            let times = now - before[name];
            println!("{what}: {name} was asked {times} times in {:?}", begun.elapsed());
            assert!(
                (1..=most).contains(&times),
                "{what}: {name} was asked {times} times\n{}",
                self.logs()
            );
        }
    }

    async fn stop(self) {
        for process in self.agents.into_iter().chain(self.replicas) {
            assert_eq!(process.stop().await, 0);
        }
        drop(self.folder);
    }
}

fn client() -> reqwest::Client {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .no_proxy();
    client.build().unwrap()
}

/// None of one that does not answer.
async fn targets(process: &Skopos) -> Option<Vec<Value>> {
    let asked = client()
        .get(process.url("/api/v1/targets?state=active"))
        .send()
        .await;
    let text = asked.ok()?.text().await.ok()?;
    let answer: Value = serde_json::from_str(&text).ok()?;
    answer["data"]["activeTargets"].as_array().cloned()
}

/// Labels of all series of this name that have a value now.
async fn series(process: &Skopos, name: &str) -> BTreeSet<String> {
    let found = process.query(name).await;
    found
        .into_iter()
        .map(|(labels, _)| format!("{labels:?}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_target_is_read_by_one_whoever_dies_and_its_series_stay_the_same() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    if plane.monitoring_kinds().is_none() {
        return;
    }
    let mut estate = Estate::build(&plane).await;
    let leader = estate.leader().await;
    let of = |leader: usize| ["skopos-0", "skopos-1"][leader];
    let handed = [("web-0", "n1"), ("web-1", "n1"), ("api-0", "n2"), ("api-1", "n2")];
    let led = |leader: usize| [("far-0", of(leader)), ("state-0", of(leader))];
    let all = |leader: usize| [&handed[..], &led(leader)[..]].concat();
    estate.settle("agents take what is theirs", &all(leader)).await;
    estate.each_is_read_by_one("at rest").await;

    // Both replicas have the same series of all, each once.
    let names: Vec<&str> = estate.pods.iter().map(|pod| pod.name).collect();
    let whole = async |process: &Skopos| {
        let found = series(process, "shop_orders").await;
        found.len() == names.len() && found == series(process, "shop_orders{job='shop/shop'}").await
    };
    for replica in &estate.replicas {
        replica.wait_for("all series, each once", PATIENCE, whole).await;
    }
    let orders = series(&estate.replicas[leader], "shop_orders").await;
    assert_eq!(orders, series(&estate.replicas[1 - leader], "shop_orders").await);
    let named = estate.replicas[leader].query("shop_nodes").await;
    assert_eq!(
        named[0].0.get("node").map(String::as_str),
        Some("n7"),
        "{named:?}"
    );
    // Who reads what is shown by whoever leads.
    let shown = targets(&estate.replicas[leader]).await.unwrap();
    let read_by = |pod: &str| {
        let target = shown
            .iter()
            .find(|target| target["labels"]["pod"] == pod)
            .unwrap();
        (target["readBy"].clone(), target["health"].clone())
    };
    assert_eq!(read_by("web-0"), (json!("n1"), json!("up")));
    assert_eq!(read_by("far-0"), (Value::Null, json!("up")));

    // An agent may be told its own list, and nobody else's word counts.
    let url = estate.replicas[leader].url("/api/v1/handed");
    let told = async |token: &str| {
        client()
            .get(&url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(told("nobody-0123456789abcdef").await, 401);
    assert_eq!(told(&token("replica", "skopos-0")).await, 403);
    let follower = estate.replicas[1 - leader].url("/api/v1/handed");
    let answer = client()
        .get(follower)
        .bearer_auth(token("node", "n2"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.text().await.unwrap().contains(of(leader)));

    // The leader dies: what agents have they go on reading, and the other replica reads the rest, and nobody reads twice.
    let before = estate.asked();
    estate.replicas[leader].kill();
    estate
        .goes_on(
            "agents read on",
            &before,
            &["web-0", "web-1", "api-0", "api-1"],
            3,
        )
        .await;
    let second = 1 - leader;
    estate.settle("the other replica leads", &all(second)).await;
    let before = estate.asked();
    estate.goes_on("all are read", &before, &names, 3).await;
    estate.each_is_read_by_one("with another leader").await;
    let after = series(&estate.replicas[second], "shop_orders").await;
    assert_eq!(after, orders, "whoever reads, the series are the same");
    estate.replicas[leader].start_again();

    // An agent dies: who leads reads in its place, under the same names.
    estate.agents[0].kill();
    let mut without = all(second);
    for (pod, reader) in &mut without {
        if *reader == "n1" && *pod != "state-0" {
            *reader = of(second);
        }
    }
    estate.settle("who leads reads what is left", &without).await;
    let before = estate.asked();
    estate.goes_on("all are read", &before, &names, 3).await;
    assert_eq!(series(&estate.replicas[second], "shop_orders").await, orders);
    estate.agents[0].start_again();
    estate.settle("it takes them again", &all(second)).await;
    estate.each_is_read_by_one("with the agent back").await;

    // A pod that goes is read by nobody, and its series end.
    plane.kubectl(&[
        "-n",
        "shop",
        "delete",
        "pod",
        "web-1",
        "--force",
        "--grace-period=0",
    ]);
    let rest: Vec<(&str, &str)> = all(second)
        .into_iter()
        .filter(|(pod, _)| *pod != "web-1")
        .collect();
    estate.settle("one is gone", &rest).await;
    let ended = async |process: &Skopos| series(process, "shop_orders").await.len() == names.len() - 1;
    estate.replicas[second]
        .wait_for("its series to end", PATIENCE, ended)
        .await;
    let doctor = estate.replicas[second].api("/api/v1/doctor").await;
    let checks = doctor["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "handing").unwrap();
    assert_eq!(check["verdict"], "ok", "{check}");
    for process in estate.replicas.iter().chain(&estate.agents) {
        process.assert_accounts().await;
    }
    estate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_whose_pod_goes_while_nobody_leads_is_read_no_more_and_the_others_are() {
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    if plane.monitoring_kinds().is_none() {
        return;
    }
    let mut estate = Estate::build(&plane).await;
    let leader = ["skopos-0", "skopos-1"][estate.leader().await];
    let handed = [("web-0", "n1"), ("web-1", "n1"), ("api-0", "n2"), ("api-1", "n2")];
    let led = [("far-0", leader), ("state-0", leader)];
    let all = [&handed[..], &led[..]].concat();
    estate.settle("agents take what is theirs", &all).await;
    for replica in &mut estate.replicas {
        replica.kill();
    }
    plane.kubectl(&[
        "-n",
        "shop",
        "delete",
        "pod",
        "web-1",
        "--force",
        "--grace-period=0",
    ]);
    let rest: Vec<(&str, &str)> = handed.into_iter().filter(|(pod, _)| *pod != "web-1").collect();
    estate.settle("one is left and the others are read", &rest).await;
    let ups = estate.agents[0].query("up{job='shop/shop'}").await;
    let pods: Vec<&str> = ups.iter().map(|(labels, _)| labels["pod"].as_str()).collect();
    assert_eq!(pods, ["web-0"], "nothing says that it is down");
    let before = estate.asked();
    estate
        .goes_on("the others", &before, &["web-0", "api-0", "api-1"], 3)
        .await;
    for replica in &mut estate.replicas {
        replica.start_again();
    }
    let second = ["skopos-0", "skopos-1"][estate.leader().await];
    let led = [("far-0", second), ("state-0", second)];
    let all = [&rest[..], &led[..]].concat();
    estate.settle("all but the one that is gone", &all).await;
    estate.stop().await;
}

/// What 500 agents ask of one process, each every five seconds; fewer in the short run.
const MANY: usize = 500;
const FEW: usize = 50;

/// The agent of a node, as far as it asks: what it was told, and says that it has.
struct Asking {
    node: String,
    tag: Option<String>,
    given: scrape::Given,
}

/// Answers by their status, and their bytes, heads included.
#[derive(Default)]
struct Answers {
    by_status: BTreeMap<u16, usize>,
    bytes: usize,
}

impl Asking {
    async fn ask(&mut self, client: &reqwest::Client, url: &str, answers: &std::sync::Mutex<Answers>) {
        let held: Vec<String> = self.given.held().iter().map(|id| format!("{id:x}")).collect();
        let mut request = client
            .get(url)
            .bearer_auth(token("node", &self.node))
            .header("x-skopos-held", held.join(","));
        if let Some(tag) = &self.tag {
            request = request.header("if-none-match", tag);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let head: usize = answer
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        let tag = answer
            .headers()
            .get("etag")
            .map(|tag| tag.to_str().unwrap().to_owned());
        let body = answer.bytes().await.unwrap();
        if status == 200 {
            self.given = scrape::Given::read(&body, &self.node, &self.given).unwrap();
            self.tag = tag;
        }
        let mut answers = answers.lock().unwrap();
        *answers.by_status.entry(status).or_default() += 1;
        answers.bytes += head + body.len();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_agents_ask_whoever_leads_and_are_told_that_nothing_has_changed() {
    const ROUNDS: u32 = 6;
    const PERIOD: Duration = Duration::from_secs(5);
    let Some(plane) = ControlPlane::start() else {
        return;
    };
    let count = if long_run() { MANY } else { FEW };
    let exporter = Peer::start(Answer::Body("shop_orders 7\n".to_owned())).await;
    let (host, port) = exporter.address.rsplit_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    let nodes: Vec<Value> = (0..count)
        .map(|nth| {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{nth}")},
                "status": {"addresses": [{"type": "InternalIP", "address": host}],
                    "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}})
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": nodes}).to_string();
    plane.kubectl_reading(&["create", "-o", "name", "-f", "-"], &list);

    let folder = tempfile::tempdir().unwrap();
    let tokens: Vec<String> = (0..count)
        .map(|nth| format!("node n{nth} {}", token("node", &format!("n{nth}"))))
        .collect();
    std::fs::write(folder.path().join("tokens"), tokens.join("\n")).unwrap();
    let config = format!(
        "global: {{ scrape_interval: 10s, scrape_timeout: 5s }}\nrules: {{ shipped: false }}\nlogs: {{ enabled: false }}\n\
         kube_state: {{ enabled: false }}\nweb: {{ tokens_file: tokens }}\n\
         kubernetes: {{ kubeconfig: '{}', events: false, changes: {{ enabled: false }}, monitors: {{ enabled: false }} }}\n\
         scrape_configs: [{{ job_name: nodes, kubernetes_sd_configs: [{{ role: node }}] }}]\n",
        plane.kubeconfig().display()
    );
    let leader = start(folder.path(), "cluster", &config, free_port());
    let is_read = format!("count(shop_orders) == {count}");
    leader
        .wait_for("all are read once", PATIENCE, async |leader| {
            leader.value(&is_read).await.is_some()
        })
        .await;
    let idle = cpu_seconds(leader.pid());
    tokio::time::sleep(PERIOD * ROUNDS).await;
    let idle = cpu_seconds(leader.pid()) - idle;

    let (client, url) = (client(), leader.url("/api/v1/handed"));
    let mut agents: Vec<Asking> = (0..count)
        .map(|nth| Asking {
            node: format!("n{nth}"),
            tag: None,
            given: scrape::Given::default(),
        })
        .collect();
    // Each is told its list, and says with its next question that it has it.
    let answers = std::sync::Mutex::default();
    let round = async |agents: &mut Vec<Asking>, answers: &std::sync::Mutex<Answers>| {
        let begun = std::time::Instant::now();
        let pause = PERIOD / u32::try_from(agents.len()).unwrap();
        // As in life they ask one after the other.
        let asked = agents.iter_mut().enumerate().map(|(nth, agent)| {
            let (client, url) = (&client, &url);
            async move {
                tokio::time::sleep(pause * u32::try_from(nth).unwrap()).await;
                agent.ask(client, url, answers).await;
            }
        });
        futures_util::future::join_all(asked).await;
        tokio::time::sleep(PERIOD.saturating_sub(begun.elapsed())).await;
    };
    for _ in 0..3 {
        round(&mut agents, &answers).await;
    }
    let first = answers.into_inner().unwrap();
    println!(
        "{count} agents, three rounds at first: {:?}, {} bytes",
        first.by_status, first.bytes
    );
    let handed = format!("skopos_scrape_handed_targets {count}");
    leader
        .wait_for("agents have all", PATIENCE, async |leader| {
            leader.page("/metrics").await.lines().any(|line| line == handed)
        })
        .await;

    let answers = std::sync::Mutex::default();
    let (before, begun) = (cpu_seconds(leader.pid()), std::time::Instant::now());
    for _ in 0..ROUNDS {
        round(&mut agents, &answers).await;
    }
    let (took, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds(leader.pid()) - before);
    let rest = answers.into_inner().unwrap();
    let asked: usize = rest.by_status.values().sum();
    println!(
        "{count} agents, {ROUNDS} rounds in {took:.1} s: {:?}, {} bytes in all, {} each; the leader took {cpu:.2} CPU seconds, \
         {:.2} ms a question; while it read all {count} itself and nobody asked, {idle:.2} in {} s",
        rest.by_status,
        rest.bytes,
        rest.bytes / asked,
        cpu * 1e3 / asked as f64,
        (PERIOD * ROUNDS).as_secs(),
    );
    assert_eq!(
        rest.by_status.keys().collect::<Vec<_>>(),
        [&304],
        "nothing has changed"
    );
    assert_eq!(asked, count * ROUNDS as usize);
    leader.assert_accounts().await;
    assert_eq!(leader.stop().await, 0);
}

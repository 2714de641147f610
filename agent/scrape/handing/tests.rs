//! A pool that hands out and one that takes, side by side: made-up targets, virtual time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use model::Labels;
use model::Timestamp;
use model::discovery::TargetGroup;
use model::view;
use telemetry::clock::RuntimeClock;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{AWAITED, Given, Reason, SILENT};
use crate::fakes::{Peer, Recorder, Reply};
use crate::{Global, Pool, ScrapeConfig};

const START: Timestamp = Timestamp(1_795_661_484_250);
const CONFIG: &str = "- job_name: shop\n  kubernetes_sd_configs: [{role: pod}]\n";

struct House {
    peer: Arc<Peer>,
    keep: Arc<Recorder>,
    pool: Arc<Pool>,
    _stop: tokio_util::sync::DropGuard,
}

impl House {
    fn new(replies: &[Reply]) -> Self {
        let (peer, keep) = (Peer::new(replies), Arc::new(Recorder::default()));
        let clock = RuntimeClock::starting_at(START);
        let pool = Pool::new(peer.clone(), keep.clone(), clock, &prometheus::Registry::new());
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&pool).run(stop.clone()));
        Self {
            peer,
            keep,
            pool,
            _stop: stop.drop_guard(),
        }
    }

    /// One that leads, with pods on nodes: name and node of each.
    fn leading(config: &str, replies: &[Reply], pods: &[(&str, &str)]) -> Self {
        let house = Self::new(replies);
        house.pool.hand_out();
        house.pool.lead([]);
        house.aim(config, pods);
        house
    }

    fn aim(&self, config: &str, pods: &[(&str, &str)]) {
        let configs: Vec<ScrapeConfig> = yaml::read("test.yaml", config).unwrap();
        self.pool.apply(&configs, &Global::default()).unwrap();
        let looked_for = self.pool.looked_for().borrow().clone();
        let groups = pods.iter().map(|(pod, node)| {
            let labels = Labels::from_pairs([
                ("__meta_kubernetes_pod_name", *pod),
                ("__meta_kubernetes_pod_node_name", *node),
            ]);
            Arc::new(TargetGroup {
                source: format!("pod/shop/{pod}"),
                labels,
                targets: vec![Labels::from_pairs([("__address__", format!("{pod}:80"))])],
            })
        });
        self.pool.found(vec![(looked_for[0].clone(), groups.collect())]);
    }

    /// As the agent of a node does: what it is told, once it has said what it has.
    fn ask(&self, node: &str, held: HashSet<u64>) -> String {
        self.pool.heard(&node.into(), held);
        self.pool.look_again();
        self.pool.list(node, None).body.unwrap()
    }

    fn kept(&self, reason: Reason) -> usize {
        self.pool.handed().kept.get(&reason).copied().unwrap_or_default()
    }

    /// Addresses that are asked in a span.
    async fn asked_within(&self, span: Duration) -> usize {
        let before = self.peer.requests().len();
        sleep(span).await;
        self.peer.requests().len() - before
    }
}

const MINUTE: Duration = Duration::from_secs(60);

fn here(house: &House) -> Vec<view::Target> {
    let all = house.pool.view().into_iter();
    all.filter(|target| target.read_by.is_none()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_target_is_read_here_until_its_agent_has_it_and_again_when_that_is_silent() {
    let leader = House::leading(CONFIG, &[Reply::text("a 1\n")], &[("web", "n1")]);
    let none = || leader.ask("n1", HashSet::new());
    assert_eq!(none(), "[]", "it has not been read yet");
    assert_eq!(leader.kept(Reason::Unread), 1);
    assert!(leader.asked_within(MINUTE).await >= 4);
    let list = none();
    let given = Given::read(list.as_bytes(), "n1", &Given::default()).unwrap();
    assert_eq!((given.len(), given.left_out.as_slice()), (1, &[][..]));
    // Told of, and not taken yet: somebody has to read it.
    assert_eq!(leader.kept(Reason::NotTaken), 1);
    let agent = House::new(&[Reply::text("a 1\n")]);
    let tag = leader.pool.list("n1", None).tag;
    leader.ask("n1", given.held());
    agent.pool.take(&given);
    assert_eq!(leader.pool.handed().targets, 1);
    assert_eq!(here(&leader).len(), 0);
    let read_by = leader.pool.view()[0].read_by.clone();
    assert_eq!(read_by.as_deref(), Some("n1"));
    assert_eq!(leader.keep.retired(), [""; 0], "its series go on");
    assert_eq!(leader.pool.list("n1", Some(&tag)).body, None, "it has that list");
    for _ in 0..12 {
        assert_eq!(leader.asked_within(Duration::from_secs(5)).await, 0);
        leader.ask("n1", given.held());
    }
    assert!(agent.peer.requests().len() >= 4);
    // The same series, whoever reads it.
    let series = |house: &House| {
        let told = house.keep.told().into_iter();
        told.map(|desc| desc.labels.to_string()).collect::<HashSet<_>>()
    };
    assert_eq!(series(&agent), series(&leader));
    assert!(series(&agent).contains(r#"a{instance="web:80", job="shop", node="n1"}"#));
    // It falls silent.
    sleep(SILENT + Duration::from_secs(1)).await;
    assert!(leader.pool.look_again());
    assert_eq!(leader.kept(Reason::NoAgent), 1);
    assert!(leader.asked_within(MINUTE).await >= 4);
    // It comes back with nothing, and then with what it is given again.
    leader.ask("n1", HashSet::new());
    assert_eq!(here(&leader).len(), 1);
    leader.ask("n1", given.held());
    assert_eq!(here(&leader).len(), 0);
    // The object goes: nobody reads it.
    leader.aim(CONFIG, &[]);
    let list = leader.ask("n1", given.held());
    let now = Given::read(list.as_bytes(), "n1", &given).unwrap();
    agent.pool.keep_only(&now);
    assert_eq!((here(&agent).len(), now.len()), (0, 0));
    assert_eq!(agent.keep.retired().len(), 1, "its series end");
}

#[tokio::test(start_paused = true)]
async fn an_agent_reads_as_whoever_gave_it_would() {
    let config = "
- job_name: shop
  scrape_interval: 20s
  scrape_timeout: 7s
  metrics_path: /m
  scheme: https
  params: {module: [a, b]}
  honor_labels: true
  honor_timestamps: false
  sample_limit: 50
  label_limit: 20
  label_name_length_limit: 30
  label_value_length_limit: 40
  body_size_limit: 1MB
  fallback_scrape_protocol: OpenMetricsText1.0.0
  follow_redirects: false
  tls_config: {server_name: shop.example, insecure_skip_verify: true, min_version: TLS12}
  kubernetes_sd_configs: [{role: pod}]
  relabel_configs:
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
  - {source_labels: [__address__], regex: '(.*):80', replacement: '$1:81', target_label: __address__}
  metric_relabel_configs:
  - {source_labels: [__name__], regex: 'secret_.*', action: drop}
";
    let leader = House::leading(config, &[Reply::text("a 1\n")], &[("web", "n1")]);
    // The made-up peer cannot be reached by that way: an agent has it already.
    let held = super::pool::ids(&leader.pool.wanted.lock().sum().plans);
    let list = leader.ask("n1", held);
    let agent = House::new(&[Reply::text("a 1\n")]);
    let given = Given::read(list.as_bytes(), "n1", &Given::default()).unwrap();
    assert_eq!(given.left_out, [""; 0]);
    assert_eq!(given.len(), 1, "{list} {:?}", leader.pool.view());
    agent.pool.take(&given);
    let (ours, theirs) = (
        leader.pool.wanted.lock().sum().plans,
        agent.pool.wanted.lock().sum().plans,
    );
    let [mut one, mut other] = [ours[0].clone(), theirs[0].clone()];
    assert_eq!(one.url, "https://web:81/m?module=a&module=b");
    for plan in [&mut one, &mut other] {
        plan.discovered = Labels::empty();
        let home = plan.rules.home.take().unwrap();
        assert_eq!((&*home.node, home.is_added), ("n1", true));
    }
    assert_eq!(one, other);
    // It is plain HTTP service discovery: with what others know they read the same.
    let groups: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(groups[0]["targets"], serde_json::json!(["web:81"]));
    let labels = &groups[0]["labels"];
    for (name, value) in [
        ("job", "shop"),
        ("node", "n1"),
        ("pod", "web"),
        ("__scheme__", "https"),
        ("__metrics_path__", "/m"),
        ("__param_module", "a"),
        ("__scrape_interval__", "20s"),
        ("__scrape_timeout__", "7s"),
    ] {
        assert_eq!(labels[name], value, "{name}");
    }
    assert!(!list.contains("__meta_kubernetes"), "{list}");
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_could_not_read_alike_stays_here_by_its_reason() {
    let with = |keys: &str| format!("{CONFIG}{keys}");
    for (keys, reason) in [
        ("  bearer_token_file: token\n", Reason::File),
        ("  tls_config: {ca_file: ca.pem}\n", Reason::File),
        ("  basic_auth: {username: a, password: b}\n", Reason::Secret),
        ("  authorization: {credentials: a}\n", Reason::Secret),
        ("  http_headers: {X-A: {values: [b]}}\n", Reason::Secret),
        ("  proxy_url: http://a:1\n", Reason::Proxy),
        (
            "  relabel_configs: [{target_label: __address__, replacement: 'prober:9115'}]\n",
            Reason::Elsewhere,
        ),
        (
            "  relabel_configs: [{target_label: node, replacement: other}]\n",
            Reason::NodeLabel,
        ),
        (
            "  metric_relabel_configs: [{regex: node, action: labeldrop}]\n",
            Reason::NodeLabel,
        ),
    ] {
        let leader = House::leading(&with(keys), &[Reply::text("a 1\n")], &[("web", "n1")]);
        sleep(MINUTE).await;
        assert_eq!(leader.ask("n1", HashSet::new()), "[]", "{keys}");
        assert_eq!(leader.kept(reason), 1, "{keys}: {:?}", leader.pool.handed());
    }
    // What has no node at all, and one with no agent.
    let leader = House::leading(
        CONFIG,
        &[Reply::text("a 1\n")],
        &[("web", ""), ("api", "fargate")],
    );
    sleep(MINUTE).await;
    leader.ask("n1", HashSet::new());
    assert_eq!(
        (leader.kept(Reason::NoNode), leader.kept(Reason::NoAgent)),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_names_nodes_stays_here_and_keeps_its_labels() {
    let body = "kube_pod_info{node=\"n7\"} 1\nplain 1\n";
    let leader = House::leading(CONFIG, &[Reply::text(body)], &[("state", "n1")]);
    sleep(MINUTE).await;
    assert_eq!(leader.ask("n1", HashSet::new()), "[]");
    assert_eq!(leader.kept(Reason::NodeLabel), 1);
    let told: Vec<String> = leader
        .keep
        .told()
        .iter()
        .map(|desc| desc.labels.to_string())
        .collect();
    assert!(
        told.contains(&r#"kube_pod_info{instance="state:80", job="shop", node="n7"}"#.to_owned()),
        "{told:?}"
    );
    assert!(told.contains(&r#"plain{instance="state:80", job="shop", node="n1"}"#.to_owned()));
    // One that begins to do so later is given back by its agent.
    let replies = [Reply::text("plain 1\n"), Reply::text(body)];
    let leader = House::leading(CONFIG, &[Reply::text("plain 1\n")], &[("state", "n1")]);
    sleep(MINUTE).await;
    let list = leader.ask("n1", HashSet::new());
    let given = Given::read(list.as_bytes(), "n1", &Given::default()).unwrap();
    let agent = House::new(&replies);
    agent.pool.take(&given);
    assert_eq!(given.held().len(), 1);
    sleep(MINUTE).await;
    assert_eq!((given.held().len(), given.foreign()), (0, 1));
    agent.pool.take(&given);
    assert_eq!(here(&agent).len(), 0);
    // A newer list that has it still does not bring it back.
    let again = Given::read(list.as_bytes(), "n1", &given).unwrap();
    assert_eq!(again.held().len(), 0);
    leader.ask("n1", given.held());
    assert_eq!(here(&leader).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_begins_to_lead_waits_for_agents_that_have_targets_already() {
    let leader = House::new(&[Reply::text("a 1\n")]);
    leader.pool.hand_out();
    leader.pool.lead(["n1".into(), "n2".into()]);
    leader.aim(CONFIG, &[("web", "n1"), ("api", "n2"), ("db", "n3")]);
    assert_eq!(here(&leader).len(), 1, "only what has no agent");
    let other = House::leading(CONFIG, &[Reply::text("a 1\n")], &[("web", "n1")]);
    sleep(Duration::from_secs(3)).await;
    let list = other.ask("n1", HashSet::new());
    let given = Given::read(list.as_bytes(), "n1", &Given::default()).unwrap();
    let list = leader.ask("n1", given.held());
    assert_eq!(given.len(), 1);
    let same = Given::read(list.as_bytes(), "n1", &given).unwrap();
    assert_eq!(
        same.held(),
        given.held(),
        "what an agent has it may keep, read here or not"
    );
    assert_eq!(here(&leader).len(), 1);
    sleep(AWAITED).await;
    leader.ask("n1", given.held());
    let names: Vec<String> = here(&leader).into_iter().map(|target| target.url).collect();
    assert_eq!(names, ["http://api:80/metrics", "http://db:80/metrics"]);
}

#[test]
fn nothing_that_is_given_makes_an_agent_show_itself_or_its_files() {
    let settings = |more: &str| {
        let text = format!("{{\"job_name\":\"a\"{more}}}");
        serde_json::json!([{"targets": ["a:80"], "labels": {"job": "a", "__scheme__": "http", "__metrics_path__": "/",
            "__scrape_interval__": "15s", "__scrape_timeout__": "10s", "__meta_skopos_settings": text}}])
        .to_string()
    };
    let read = |more: &str| Given::read(settings(more).as_bytes(), "n1", &Given::default()).unwrap();
    assert_eq!((read("").len(), read("").left_out.len()), (1, 0));
    for more in [
        ",\"authorization\":{\"credentials_file\":\"/var/run/secrets/token\"}",
        ",\"bearer_token_file\":\"a\"",
        ",\"tls\":{\"ca_file\":\"a\"}",
        ",\"proxy_url\":\"http://a\"",
        ",\"later\":1",
    ] {
        let given = read(more);
        assert_eq!((given.len(), given.left_out.len()), (0, 1), "{more}");
    }
    assert!(Given::read(b"{}", "n1", &Given::default()).is_err());
    let unsaid = br#"[{"targets": ["a:80"], "labels": {}}, {"targets": [], "labels": {}}]"#;
    assert_eq!(
        Given::read(unsaid, "n1", &Given::default())
            .unwrap()
            .left_out
            .len(),
        2
    );
}

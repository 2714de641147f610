//! The dashboards are written by this generator and kept in `dashboards/`; a drift fails, `UPDATE_GOLDEN=1`
//! writes them anew. Every target of every panel is asked of a running Skopos and must answer.

mod alerts;
mod aws;
mod build;
mod cost;
mod estate;
mod kubernetes;
mod limits;
mod logs;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

use model::Clock;
use opensearch_tests::Node;
use serde_json::Value;

use crate::harness::{Skopos, root};

#[test]
fn the_kept_files_are_what_the_generator_writes() {
    for (name, dashboard) in build::all() {
        let path = root().join("dashboards").join(name);
        let text = serde_json::to_string_pretty(&dashboard).unwrap() + "\n";
        if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap_or_default(),
            text,
            "{name} drifted (UPDATE_GOLDEN=1 rewrites it)"
        );
    }
}

#[test]
fn every_panel_has_title_description_unit_and_data_source() {
    for (name, dashboard) in build::all() {
        assert!(dashboard["uid"].as_str().is_some_and(|uid| uid.len() <= 40));
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            assert!(!title.is_empty());
            assert!(
                panel["description"].as_str().is_some_and(|text| text.len() > 20),
                "{name}: {title}: description"
            );
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{name}: {title}: unit"
            );
            let source = panel["datasource"]["uid"].as_str().unwrap();
            assert!(
                ["${datasource}", "${logs_ds}"].contains(&source),
                "{name}: {title}"
            );
        }
    }
}

#[test]
fn panels_and_dashboards_can_be_told_apart_and_do_not_overlap() {
    let (mut uids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for (name, dashboard) in build::all() {
        assert!(uids.insert(dashboard["uid"].to_string()), "{name}: uid");
        assert!(titles.insert(dashboard["title"].to_string()), "{name}: title");
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in panels(&dashboard) {
            let title = &panel["title"];
            assert!(ids.insert(panel["id"].to_string()), "{name}: {title}: id");
            let side = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            assert!(side("x") + side("w") <= 24, "{name}: {title}: width");
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "{name}: {title}: overlaps");
                }
            }
        }
    }
}

#[test]
fn every_alert_that_a_panel_names_is_shipped() {
    let shipped: BTreeSet<&str> = alerts::shipped().iter().map(|(name, _)| name.as_str()).collect();
    let named = regex::Regex::new(r"Alerts?: ([\w, ]+)\.").unwrap();
    let mut names = 0;
    for (file, dashboard) in build::all() {
        for panel in panels(&dashboard) {
            for found in named.captures_iter(panel["description"].as_str().unwrap()) {
                for name in found[1].split(", ") {
                    names += 1;
                    assert!(shipped.contains(name), "{file}: {}: {name}", panel["title"]);
                }
            }
        }
    }
    assert!(names > 10, "{names} names");
}

/// A server that takes whatever comes: where messages and pings go.
fn takes_all() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || take(stream));
        }
    });
    url
}

fn take(mut stream: std::net::TcpStream) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let length = regex::Regex::new(r"(?i)content-length: (\d+)").unwrap();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let wanted = length.captures(head).map_or(0, |found| found[1].parse().unwrap());
            if body.len() >= wanted {
                break;
            }
        }
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => bytes.extend(&buffer[..count]),
            _ => return,
        }
    }
    _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
}

/// What a person has chosen of the estate.
const CHOSEN: [(&str, &str); 12] = [
    ("$account", ".*"),
    ("$region", ".*"),
    ("$dbinstance", ".*"),
    ("$cachecluster", ".*"),
    ("$mskcluster", ".*"),
    ("$loadbalancer", ".*"),
    ("$__rate_interval", "1m"),
    ("$instance", ".*"),
    ("$cluster", ".*"),
    ("$namespace", "shop"),
    ("$workload", "api"),
    ("$pod", "api-7d9f-0"),
];

/// Counts what panels of Kubernetes read, once it is recorded.
const RECORDED: &str = "
    count(namespace_workload_pod:kube_pod_owner:relabel)
    + count(node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m)
    + count(node:node_cpu_utilization:ratio_rate5m)
    + count(node_resource:kube_pod_container_resource_requests:sum{resource='cpu'})
";

const RULES: &str = "
groups:
  - name: shown
    interval: 1s
    rules:
      - { alert: Fires, expr: vector(1) > 0, labels: { severity: info } }
      - { alert: Waits, expr: vector(1) > 0, for: 1h }
";

/// Panels that measure something, without rows.
fn panels(dashboard: &Value) -> Vec<Value> {
    let panels = dashboard["panels"].as_array().unwrap();
    panels
        .iter()
        .filter(|panel| panel["type"] != "row")
        .cloned()
        .collect()
}

#[tokio::test]
async fn every_target_of_every_panel_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.log");
    fs::write(&file, "one line\n").unwrap();
    fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    let there = takes_all();
    let estate = estate::serve();
    let config = format!(
        "node: {{ interval: 1s }}
global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
scrape_configs:
  - {{ job_name: kube-state-metrics, metrics_path: /kube-state, static_configs: [{{ targets: ['{estate}'] }}] }}
  - {{ job_name: limits, metrics_path: /limits, static_configs: [{{ targets: ['{estate}'], labels: {{ node: n1 }} }}] }}
  - {{ job_name: kubelet-summary, metrics_path: /summary, static_configs: [{{ targets: ['{estate}'], labels: {{ node: n1 }} }}] }}
  - {{ job_name: cadvisor, metrics_path: /cadvisor, static_configs: [{{ targets: ['{estate}'], labels: {{ node: n1 }} }}] }}
  - {{ job_name: kubelet, metrics_path: /kubelet, static_configs: [{{ targets: ['{estate}'], labels: {{ node: n1 }} }}] }}
  - {{ job_name: cloudwatch, metrics_path: /cloudwatch, static_configs: [{{ targets: ['{estate}'] }}] }}
  - {{ job_name: machine, metrics_path: /node, static_configs: [{{ targets: ['{estate}'], labels: {{ node: n1 }} }}] }}
logs: {{ files: ['{}'] }}
rule_files: [rules.yaml]
notifier:
  group_wait: 0s
  webhook: [{{ name: all, url: '{there}' }}]
  heartbeat: {{ url: '{there}', interval: 1s }}
",
        file.display()
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for("some rounds", Duration::from_secs(20), async |skopos| {
            skopos
                .value("count_over_time(up{job=\"skopos\"}[1m])")
                .await
                .is_some_and(|rounds| rounds >= 5.0)
                && skopos
                    .value("skopos_heartbeat_last_success_timestamp_seconds > 0")
                    .await
                    .is_some()
                && skopos
                    .value("rate(skopos_notifier_latency_seconds_count[1m])")
                    .await
                    .is_some()
                && skopos
                    .value(RECORDED)
                    .await
                    .is_some_and(|recorded| recorded >= 4.0)
        })
        .await;
    // Not every machine has these; an empty answer is right there, an error is not.
    let optional = [
        "node_pressure",
        "node_timex",
        "node_disk",
        "node_hwmon",
        "dropped",
        "failures",
        "node_filesystem",
    ];
    for (name, dashboard) in build::all() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().unwrap() {
                // Others are asked of OpenSearch, below.
                let Some(expr) = target["expr"].as_str() else {
                    continue;
                };
                let expr = CHOSEN
                    .iter()
                    .fold(expr.to_owned(), |expr, (name, value)| expr.replace(name, value));
                let answer = skopos.query(&expr).await;
                let may_be_empty = optional.iter().any(|word| expr.contains(word));
                assert!(
                    may_be_empty || !answer.is_empty(),
                    "{name}: {}: no data for {expr}",
                    panel["title"]
                );
            }
        }
    }
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn every_target_that_opensearch_is_asked_is_answered() {
    let Some(node) = Node::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let pod = folder.path().join("pods/shop_api-0_uid/web");
    fs::create_dir_all(&pod).unwrap();
    let now = telemetry::clock::RuntimeClock::system().now();
    let now = jiff::Timestamp::from_millisecond(now.0).unwrap();
    fs::write(
        pod.join("0.log"),
        format!("{now} stdout F ERROR no route\n{now} stderr F all is well\n"),
    )
    .unwrap();
    fs::write(folder.path().join("app.log"), "one line of a file\n").unwrap();
    let config = format!(
        "node: {{ enabled: false }}
logs: {{ files: ['{0}/app.log'], containers: '{0}/pods', read_from: beginning, opensearch: [{{ url: '{1}', replicas: 0 }}] }}
",
        folder.path().display(),
        node.url()
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for("three lines", Duration::from_secs(30), async |_| {
            node.count("logs-skopos-*") == 3
        })
        .await;
    let mut asked = 0;
    for (name, dashboard) in build::all() {
        let variables = &dashboard["templating"]["list"];
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().unwrap() {
                if target["query"].is_null() {
                    continue;
                }
                let answer = node.search("logs-*", &logs::search_of(target, variables));
                let what = format!("{name}: {}: {answer}", panel["title"]);
                let aggregation = answer["aggregations"]
                    .as_object()
                    .and_then(|all| all.values().next());
                let buckets = aggregation
                    .and_then(|found| found["buckets"].as_array())
                    .map_or(0, Vec::len);
                assert!(buckets > 0, "{what}");
                if panel["type"] == "logs" {
                    // Of a file there is no pod.
                    let lines = if name == "pod.json" { 2 } else { 3 };
                    assert_eq!(
                        answer["hits"]["hits"].as_array().map_or(0, Vec::len),
                        lines,
                        "{what}"
                    );
                }
                asked += 1;
            }
        }
    }
    assert_eq!(asked, 4);
    assert_eq!(skopos.stop().await, 0);
}

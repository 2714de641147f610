//! The last lines of a pod, from its node to the page of the cluster role: with a token, without, and from a node that hangs.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::Skopos;
use crate::harness::skopos::command;

const READER: &str = "token-of-reader-0123456789";

/// A node role with the files of two pods, which keeps no lines itself and redacts tokens.
fn node(folder: &Path) -> Skopos {
    let pods = folder.join("pods");
    let now = jiff::Timestamp::now();
    let line = |age: u64, stream: &str, text: &str| {
        let time = now - Duration::from_secs(age);
        format!("{time:.3} {stream} F {text}\n")
    };
    let cart = pods.join("shop_cart-1_0f1e/app");
    fs::create_dir_all(&cart).unwrap();
    let said = [
        line(60, "stdout", r#"{"level":"info","msg":"order 41 accepted"}"#),
        line(50, "stdout", "login password=hunter22hunter22 ok"),
        line(
            40,
            "stderr",
            r#"{"level":"error","msg":"order 42 refused <by> ledger"}"#,
        ),
    ];
    fs::write(cart.join("0.log"), said.concat()).unwrap();
    let other = pods.join("shop_other-1_0f1e/app");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("0.log"), line(30, "stdout", "order 99 of another pod")).unwrap();
    fs::write(
        folder.join("tokens"),
        format!("reader skopos-0 {READER}\nwriter prom token-of-writer-0123456789\n"),
    )
    .unwrap();
    let config = format!(
        "node: {{ enabled: false }}
web: {{ tokens_file: tokens }}
logs: {{ files: [], containers: '{}', redact: [tokens], local: false, opensearch: [{{ url: 'http://127.0.0.1:1' }}] }}
",
        pods.display()
    );
    fs::write(folder.join("skopos.yaml"), config).unwrap();
    let arguments = [
        "--config",
        "skopos.yaml",
        "--role",
        "node",
        "--listen",
        "127.0.0.1:0",
    ];
    Skopos::start_with(folder, &arguments)
}

/// A cluster role that knows these nodes, with an alert about the pod.
fn cluster(folder: &Path, nodes: &[(&str, &str, &str)]) -> Skopos {
    let rules = "groups:
- name: tail
  interval: 1s
  rules:
  - {alert: CartFails, expr: vector(1), labels: {namespace: shop, pod: cart-1, severity: page}}
";
    fs::write(folder.join("rules.yaml"), rules).unwrap();
    fs::write(folder.join("skopos.yaml"), configuration(nodes)).unwrap();
    let arguments = [
        "--config",
        "skopos.yaml",
        "--role",
        "cluster",
        "--listen",
        "127.0.0.1:0",
    ];
    Skopos::start_with(folder, &arguments)
}

fn configuration(nodes: &[(&str, &str, &str)]) -> String {
    let nodes: Vec<String> = nodes
        .iter()
        .map(|(node, url, token)| {
            format!("{{ node: {node}, url: '{url}', authorization: {{ credentials: {token} }} }}")
        })
        .collect();
    format!(
        "rule_files: [rules.yaml]\nrules: {{ shipped: false }}\nlogs: {{ nodes: [{}] }}\n",
        nodes.join(", ")
    )
}

async fn fires(skopos: &Skopos) {
    skopos
        .wait_for("the alert", Duration::from_secs(20), async |skopos| {
            skopos.page("/").await.contains("CartFails is firing")
        })
        .await;
}

#[tokio::test]
async fn the_page_and_the_card_show_what_the_pod_said_last() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = node(here.path());
    let cluster = cluster(there.path(), &[("n1", &node.url(""), READER)]);
    fires(&cluster).await;
    let told = "order 42 refused <by> ledger";
    for path in ["/", "/logs?ns=shop&pod=cart-1", "/logs?ns=shop&pod=cart"] {
        let page = cluster.page(path).await;
        assert!(
            page.contains(told) && page.contains("order 41 accepted"),
            "{path}: {page}"
        );
        assert!(
            page.contains("password=[redacted:token] ok") && !page.contains("hunter"),
            "{path}: {page}"
        );
        assert!(
            !page.contains("another pod") && !page.contains("did not"),
            "{path}: {page}"
        );
    }
    let errors = cluster.page("/logs?ns=shop&pod=cart-1&level=error").await;
    assert!(
        errors.contains("1 line matches in the last hour") && !errors.contains("order 41"),
        "{errors}"
    );
    let gone = cluster.page("/logs?ns=shop&pod=gone-1").await;
    assert!(
        gone.contains("1 node answered and none has a pod of this name"),
        "{gone}"
    );
    let all = cluster.page("/logs").await;
    assert!(
        all.contains("Name a namespace and a pod: its node is asked"),
        "{all}"
    );
    assert_eq!(cluster.stop().await, 0);
    assert_eq!(node.stop().await, 0);
}

#[tokio::test]
async fn without_the_right_token_nothing_is_shown_and_the_page_says_why() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = node(here.path());
    let (status, body) = node.get("/api/v1/logs/tail?namespace=shop&pod=cart-1").await;
    assert_eq!(status, 401);
    assert!(body.contains("no token") && !body.contains("order"), "{body}");
    let nodes = [
        ("n1", node.url(""), "token-of-nobody-0123456789"),
        ("n2", node.url(""), "token-of-writer-0123456789"),
    ];
    let nodes: Vec<(&str, &str, &str)> = nodes
        .iter()
        .map(|(node, url, token)| (*node, url.as_str(), *token))
        .collect();
    let cluster = cluster(there.path(), &nodes);
    fires(&cluster).await;
    for path in ["/", "/logs?ns=shop&pod=cart-1"] {
        let page = cluster.page(path).await;
        assert!(!page.contains("order"), "{path}: {page}");
        assert!(
            page.contains("n1 did not tell: it does not let us (401): unknown token"),
            "{path}: {page}"
        );
        assert!(
            page.contains("n2 did not tell: it does not let us (403): writer prom may not"),
            "{path}: {page}"
        );
    }
    let said = check(there.path());
    assert!(said.contains("logs.nodes n1: it does not let us (401)"), "{said}");
    fs::write(
        there.path().join("skopos.yaml"),
        configuration(&[("n1", &node.url(""), READER)]),
    )
    .unwrap();
    let said = check(there.path());
    assert!(
        said.contains("logs.nodes n1: it answers, and shows us the last lines of its pods"),
        "{said}"
    );
    // And a running process takes the list up.
    cluster
        .wait_for("the lines", Duration::from_secs(20), async |cluster| {
            cluster
                .page("/logs?ns=shop&pod=cart-1")
                .await
                .contains("order 42")
        })
        .await;
    assert_eq!(cluster.stop().await, 0);
    assert_eq!(node.stop().await, 0);
}

/// What `skopos check --live` says.
fn check(folder: &Path) -> String {
    let output = command(folder)
        .args(["check", "--live", "skopos.yaml"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn a_node_that_hangs_holds_nobody_up() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = node(here.path());
    // It takes connections and says nothing.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("http://{}", deaf.local_addr().unwrap());
    let cluster = cluster(
        there.path(),
        &[("n1", &node.url(""), READER), ("n2", &hangs, READER)],
    );
    fires(&cluster).await;
    for path in ["/", "/logs?ns=shop&pod=cart-1"] {
        let begun = Instant::now();
        let page = cluster.page(path).await;
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{path}: {:?}",
            begun.elapsed()
        );
        assert!(page.contains("order 42 refused"), "{path}: {page}");
        assert!(
            page.contains("n2 did not tell: no answer within 2s"),
            "{path}: {page}"
        );
    }
    assert_eq!(cluster.stop().await, 0);
    assert_eq!(node.stop().await, 0);
}

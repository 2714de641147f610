//! Exemplars come by scrapes and by a real Prometheus' remote write, and are answered as it answers them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::Skopos;
use crate::harness::components::{find, free_port, start};

/// A shop that tells of one more request at each scrape. Returns its address.
fn shop() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (nth, stream) in listener.incoming().flatten().enumerate() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let asked: Vec<String> = lines
                .by_ref()
                .take_while(|line| !line.is_empty())
                .map(|line| line.to_lowercase())
                .collect();
            let is_open = |line: &String| line.starts_with("accept: application/openmetrics-text");
            assert!(asked.iter().any(is_open), "OpenMetrics is not asked for first");
            let count = nth + 1;
            let body = format!(
                "# TYPE shop_requests counter\nshop_requests_total {count} # {{trace_id=\"t{count}\"}} 1\n\
                 # TYPE shop_seconds histogram\nshop_seconds_bucket{{le=\"1.0\"}} {count} # {{trace_id=\"t{count}\"}} 0.5\n\
                 shop_seconds_bucket{{le=\"+Inf\"}} {count}\nshop_seconds_count {count}\nshop_seconds_sum 1\n# EOF\n"
            );
            _ = write!(
                &stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

/// Series and trace → value and time.
type Found = BTreeMap<(String, String), (String, f64)>;

async fn exemplars(url: &str, query: &str) -> Found {
    let url = reqwest::Url::parse_with_params(&format!("{url}/api/v1/query_exemplars"), [("query", query)]);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let Ok(answer) = client.get(url.unwrap()).send().await else {
        return Found::new();
    };
    // Not ready yet.
    let Ok(answer) = answer.json::<Value>().await else {
        return Found::new();
    };
    let mut found = Found::new();
    for one in answer["data"].as_array().cloned().unwrap_or_default() {
        for exemplar in one["exemplars"].as_array().unwrap() {
            let trace = exemplar["labels"]["trace_id"].as_str().unwrap().to_owned();
            let value = exemplar["value"].as_str().unwrap().to_owned();
            let time = exemplar["timestamp"].as_f64().unwrap();
            found.insert((one["seriesLabels"].to_string(), trace), (value, time));
        }
    }
    found
}

#[tokio::test]
async fn scrapes_and_a_real_prometheus_bring_exemplars_and_both_answer_alike() {
    let folder = tempfile::tempdir().unwrap();
    let own = shop();
    let config = format!(
        "node: {{ enabled: false }}\nlogs: {{ files: [] }}\nrules: {{ shipped: false }}\n\
         scrape_configs: [{{ job_name: own, scrape_interval: 1s, scrape_timeout: 1s, \
         static_configs: [{{ targets: ['{own}'] }}] }}]\n"
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for("exemplars of scrapes", Duration::from_secs(20), async |skopos| {
            let found = exemplars(&skopos.url(""), "sum(rate(shop_requests_total{job=\"own\"}[5m]))").await;
            found.len() >= 3 && found.values().all(|(value, _)| value == "1")
        })
        .await;
    let buckets = exemplars(&skopos.url(""), "shop_seconds_bucket{le=\"1.0\"}").await;
    assert!(!buckets.is_empty() && buckets.values().all(|(value, _)| value == "0.5"));

    let Some(program) = find("prometheus") else { return };
    for (job, message) in [
        ("one", "prometheus.WriteRequest"),
        ("two", "io.prometheus.write.v2.Request"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let target = shop();
        let config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs: [{{ job_name: '{job}', static_configs: [{{ targets: ['{target}'] }}] }}]
remote_write: [{{ url: '{}', protobuf_message: '{message}', send_exemplars: true }}]
",
            skopos.url("/api/v1/write")
        );
        std::fs::write(data.path().join("prometheus.yml"), config).unwrap();
        let port = free_port();
        let _peer = start(
            Command::new(&program)
                .arg(format!(
                    "--config.file={}",
                    data.path().join("prometheus.yml").display()
                ))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    data.path().join("tsdb").display()
                ))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--enable-feature=exemplar-storage"),
        );
        let theirs_at = format!("http://127.0.0.1:{port}");
        let query = format!("{{__name__=~\"shop_.*\",job=\"{job}\"}}");
        skopos
            .wait_for("what Prometheus has", Duration::from_secs(40), async |skopos| {
                let theirs = exemplars(&theirs_at, &query).await;
                let ours = exemplars(&skopos.url(""), &query).await;
                // The newest may be on their way, the oldest may have come before their series.
                let same = theirs.iter().filter(|(key, value)| ours.get(*key) == Some(value));
                theirs.len() >= 10 && same.count() + 4 >= theirs.len()
            })
            .await;
    }
    assert_eq!(skopos.stop().await, 0);
}

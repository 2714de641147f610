//! Native histograms come by a real Prometheus' remote write, are answered as it answers them, and survive `kill -9`.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::Skopos;
use crate::harness::components::{find, free_port, start};

/// It has one for each of its handlers, and every question to it counts there.
const METRIC: &str = "prometheus_http_request_duration_seconds";

/// Series and time → histogram, as the API writes it.
type Found = BTreeMap<(String, String), Value>;

async fn ask(url: &str, query: &str) -> Option<Value> {
    let url = reqwest::Url::parse_with_params(&format!("{url}/api/v1/query"), [("query", query)]);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url.unwrap()).send().await.ok()?.json().await.ok()
}

async fn histograms(url: &str, query: &str) -> Found {
    let mut found = Found::new();
    let Some(answer) = ask(url, query).await else {
        return found;
    };
    for series in answer["data"]["result"].as_array().into_iter().flatten() {
        for point in series["histograms"].as_array().into_iter().flatten() {
            found.insert(
                (series["metric"].to_string(), point[0].to_string()),
                point[1].clone(),
            );
        }
    }
    found
}

/// How many of theirs we have as they have them.
async fn same(skopos: &Skopos, theirs_at: &str, query: &str) -> (usize, usize) {
    let theirs = histograms(theirs_at, query).await;
    let ours = histograms(&skopos.url(""), query).await;
    let same = theirs.iter().filter(|(key, one)| ours.get(*key) == Some(one));
    (same.count(), theirs.len())
}

#[tokio::test]
async fn a_real_prometheus_sends_them_and_both_answer_alike() {
    let Some(program) = find("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = "node: { enabled: false }\nlogs: { files: [] }\nrules: { shipped: false }\n";
    let mut skopos = Skopos::start(folder.path(), config);
    for (job, message) in [
        ("one", "prometheus.WriteRequest"),
        ("two", "io.prometheus.write.v2.Request"),
    ] {
        let (data, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs: [{{ job_name: '{job}', static_configs: [{{ targets: ['127.0.0.1:{port}'] }}] }}]
remote_write: [{{ url: '{}', protobuf_message: '{message}', send_native_histograms: true }}]
",
            skopos.url("/api/v1/write")
        );
        std::fs::write(data.path().join("prometheus.yml"), config).unwrap();
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
                .arg("--enable-feature=native-histograms"),
        );
        let theirs_at = format!("http://127.0.0.1:{port}");
        let query = format!("{METRIC}{{job=\"{job}\"}}[10m]");
        skopos
            .wait_for("what Prometheus has", Duration::from_secs(60), async |skopos| {
                let (same, theirs) = same(skopos, &theirs_at, &query).await;
                // The newest are on their way.
                theirs >= 30 && same + 10 >= theirs
            })
            .await;
        let newest = ask(&skopos.url(""), &format!("{METRIC}{{job=\"{job}\"}}"))
            .await
            .unwrap();
        let first = &newest["data"]["result"][0]["histogram"];
        assert!(first[1]["count"].is_string(), "{newest}");
        let made = format!("rate({METRIC}{{job=\"{job}\"}}[1m])");
        let made = ask(&skopos.url(""), &made).await.unwrap();
        assert!(
            made["infos"].to_string().contains("are passed over"),
            "what is not evaluated is said: {made}"
        );

        let (kept_before, _) = same(&skopos, &theirs_at, &query).await;
        skopos.kill_and_restart();
        let (kept, _) = same(&skopos, &theirs_at, &query).await;
        assert!(kept >= kept_before, "{kept} of {kept_before} survive");
    }
    assert_eq!(skopos.stop().await, 0);
}

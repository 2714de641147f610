//! Remote write: real receivers take what we send, we take what real senders send, and nobody writes for another.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::Skopos;
use crate::harness::components::{Running, find, free_port, start};
use crate::harness::write::{self, Version, post, series, snappy};

const SENDS: &str = "node: { interval: 1s }\nlogs: { enabled: false }\nglobal: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n";

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .no_proxy()
        .build()
        .unwrap()
}

async fn answers(url: &str) {
    for _ in 0..200 {
        if client()
            .get(url)
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{url} does not answer");
}

async fn prometheus(folder: &Path, config: &str, more: &[&str]) -> Option<(Running, String)> {
    let program = find("prometheus")?;
    let port = free_port();
    std::fs::write(folder.join("prometheus.yml"), config).unwrap();
    let running = start(
        Command::new(program)
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(more),
    );
    let url = format!("http://127.0.0.1:{port}");
    answers(&format!("{url}/-/ready")).await;
    Some((running, url))
}

/// Raw samples of one series by time in milliseconds, as a Prometheus API gives them.
async fn samples(url: &str, selector: &str) -> BTreeMap<i64, String> {
    let url = reqwest::Url::parse_with_params(
        &format!("{url}/api/v1/query"),
        [("query", format!("{selector}[10m]"))],
    );
    let answer: Value = client()
        .get(url.unwrap())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let values = answer["data"]["result"][0]["values"].as_array().cloned();
    let pair = |pair: &Value| {
        let seconds = pair[0].as_f64().unwrap();
        (
            (seconds * 1000.0).round() as i64,
            pair[1].as_str().unwrap().to_owned(),
        )
    };
    values.unwrap_or_default().iter().map(pair).collect()
}

/// Whether `copy` has every sample of `original` but the newest, with the same values.
fn holds(original: &BTreeMap<i64, String>, copy: &BTreeMap<i64, String>) -> bool {
    let settled = original.iter().rev().skip(1);
    original.len() > 4
        && settled
            .into_iter()
            .all(|(time, value)| copy.get(time) == Some(value))
}

#[tokio::test]
async fn a_real_prometheus_takes_what_we_send() {
    for (flags, protocol) in [
        (vec!["--web.enable-remote-write-receiver"], "2.0"),
        (
            vec![
                "--web.enable-remote-write-receiver",
                "--web.remote-write-receiver.accepted-protobuf-messages=prometheus.WriteRequest",
            ],
            "1.0",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let Some((peer, url)) = prometheus(folder.path(), "", &flags).await else {
            return;
        };
        let config = format!("{SENDS}remote_write: [{{ url: '{url}/api/v1/write' }}]\n");
        let skopos = Skopos::start(folder.path(), &config);
        skopos
            .wait_for(
                "Prometheus has what we have",
                Duration::from_secs(40),
                async |skopos| {
                    let ours = samples(&skopos.url(""), "node_load1").await;
                    holds(&ours, &samples(&url, "node_load1").await)
                },
            )
            .await;
        let page = skopos.page("/self").await;
        assert!(page.contains(protocol), "not spoken to in {protocol}:\n{page}");
        // What a target no longer has ends there too, and metadata arrives.
        let metadata: Value = client()
            .get(format!("{url}/api/v1/query?query=count(node_load1)"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(metadata["data"]["result"][0]["value"][1], "1");
        // It dies and comes back: nothing is missing.
        drop(peer);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let port = url.rsplit(':').next().unwrap().to_owned();
        let program = find("prometheus").unwrap();
        let _peer = start(
            Command::new(program)
                .arg(format!(
                    "--config.file={}",
                    folder.path().join("prometheus.yml").display()
                ))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    folder.path().join("tsdb").display()
                ))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .args(&flags),
        );
        answers(&format!("{url}/-/ready")).await;
        skopos
            .wait_for("it has caught up", Duration::from_secs(60), async |skopos| {
                let ours = samples(&skopos.url(""), "node_load1").await;
                holds(&ours, &samples(&url, "node_load1").await)
            })
            .await;
        assert_eq!(skopos.stop().await, 0);
    }
}

#[tokio::test]
async fn a_real_victoria_metrics_takes_what_we_send() {
    let Some(program) = find("victoria-metrics") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _peer = start(
        Command::new(program)
            .arg(format!("-storageDataPath={}", folder.path().join("vm").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .args(["-httpAuth.username=skopos", "-httpAuth.password=open sesame"])
            .arg("-search.latencyOffset=0s"),
    );
    let url = format!("http://skopos:open%20sesame@127.0.0.1:{port}");
    answers(&format!("{url}/health")).await;
    std::fs::write(folder.path().join("password"), "open sesame\n").unwrap();
    let config = format!(
        "{SENDS}remote_write:
  - url: 'http://127.0.0.1:{port}/api/v1/write'
    basic_auth: {{ username: skopos, password_file: password }}
"
    );
    let skopos = Skopos::start(folder.path(), &config);
    skopos
        .wait_for(
            "VictoriaMetrics has what we have",
            Duration::from_secs(40),
            async |skopos| {
                let ours = samples(&skopos.url(""), "node_load1").await;
                holds(&ours, &samples(&url, "node_load1").await)
            },
        )
        .await;
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn we_take_what_a_real_prometheus_and_a_real_vmagent_send() {
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), SENDS);
    let target = &skopos.address;
    for (job, message) in [
        ("one", "prometheus.WriteRequest"),
        ("two", "io.prometheus.write.v2.Request"),
    ] {
        let own = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs: [{{ job_name: '{job}', static_configs: [{{ targets: ['{target}'] }}] }}]
remote_write: [{{ url: 'http://{target}/api/v1/write', protobuf_message: '{message}' }}]
"
        );
        let Some((_peer, url)) = prometheus(own.path(), &config, &[]).await else {
            return;
        };
        let selector = format!("skopos_build_info{{job=\"{job}\"}}");
        skopos
            .wait_for(
                "we have what Prometheus has",
                Duration::from_secs(40),
                async |skopos| {
                    let theirs = samples(&url, &selector).await;
                    holds(&theirs, &samples(&skopos.url(""), &selector).await)
                },
            )
            .await;
    }
    if let Some(program) = find("vmagent") {
        let config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs: [{{ job_name: 'three', static_configs: [{{ targets: ['{target}'] }}] }}]
"
        );
        std::fs::write(folder.path().join("vmagent.yml"), config).unwrap();
        let _agent = start(
            Command::new(program)
                .arg(format!(
                    "-promscrape.config={}",
                    folder.path().join("vmagent.yml").display()
                ))
                .arg(format!("-remoteWrite.url=http://{target}/api/v1/write"))
                .arg(format!(
                    "-remoteWrite.tmpDataPath={}",
                    folder.path().join("vmagent").display()
                ))
                .arg(format!("-httpListenAddr=127.0.0.1:{}", free_port())),
        );
        skopos
            .wait_for(
                "we have what vmagent sends",
                Duration::from_secs(40),
                async |skopos| samples(&skopos.url(""), "up{job=\"three\"}").await.len() > 5,
            )
            .await;
    }
    assert_eq!(skopos.stop().await, 0);
}

/// A cluster replica alone, with a tokens file.
fn guarded(folder: &Path) -> Skopos {
    std::fs::write(
        folder.join("tokens"),
        "node a token-of-node-a-0123456789\nnode b token-of-node-b-0123456789\n\
         replica other token-of-replica-0123456789\nwriter prom token-of-writer-0123456789\n",
    )
    .unwrap();
    std::fs::write(
        folder.join("skopos.yaml"),
        "web: { tokens_file: tokens }
rules: { shipped: false }
pair: { name: this, peer: 'http://127.0.0.1:1', lease_file: lease, lead_patience: 0s }
",
    )
    .unwrap();
    Skopos::start_with(
        folder,
        &[
            "--role",
            "cluster",
            "--config",
            "skopos.yaml",
            "--listen",
            "127.0.0.1:0",
        ],
    )
}

fn now() -> i64 {
    let since = jiff::Timestamp::now();
    since.as_millisecond()
}

#[tokio::test]
async fn nobody_writes_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let skopos = guarded(folder.path());
    let url = skopos.url("/api/v1/write");
    let time = now();
    let body = |node: &str, value: f64| {
        let labels = [
            ("__name__", "load"),
            ("instance", "x"),
            ("job", "node"),
            ("node", node),
        ];
        snappy(&write::request_2(&[series(&labels, &[(value, time)])]))
    };
    for (token, status) in [
        (None, 401),
        (Some("token-of-nobody-0123456789"), 401),
        (Some(""), 401),
    ] {
        assert_eq!(
            post(&client(), &url, token, Version::Two, body("a", 1.0)).await.0,
            status,
            "{token:?}"
        );
    }
    // Node b says that it is a: what it says is kept, as b's.
    let (status, _, text) = post(
        &client(),
        &url,
        Some("token-of-node-b-0123456789"),
        Version::Two,
        body("a", 666.0),
    )
    .await;
    assert_eq!(status / 100, 2, "{text}");
    let (status, headers, text) = post(
        &client(),
        &url,
        Some("token-of-node-a-0123456789"),
        Version::Two,
        body("a", 1.0),
    )
    .await;
    assert_eq!(status / 100, 2, "{text}");
    assert_eq!(headers["x-prometheus-remote-write-samples-written"], "1");
    assert_eq!(skopos.value("load{node=\"a\"}").await, Some(1.0));
    assert_eq!(
        skopos.value("load{node=\"b\",exported_node=\"a\"}").await,
        Some(666.0)
    );
    // Only a replica may speak as one.
    for (token, status) in [
        ("token-of-node-a-0123456789", 403),
        ("token-of-writer-0123456789", 403),
        ("token-of-nobody-0123456789", 401),
    ] {
        let answer = client()
            .post(skopos.url("/peer/v1/beat"))
            .bearer_auth(token)
            .body("{}")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{token}");
    }
    let metrics = skopos.get("/metrics").await.1;
    let refused = metrics
        .lines()
        .filter(|line| line.contains("_refused_total{") && !line.ends_with(" 0"));
    assert!(refused.count() > 0, "no refusal is counted:\n{metrics}");
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn bombs_are_refused_and_memory_stays_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let skopos = guarded(folder.path());
    let url = skopos.url("/api/v1/write");
    let token = Some("token-of-writer-0123456789");
    // A body that says it is 4 GiB long once unpacked.
    let mut bomb = Vec::new();
    bomb.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
    bomb.extend([0u8; 64]);
    let (status, _, text) = post(&client(), &url, token, Version::Two, bomb).await;
    assert!((400..500).contains(&status), "{status} {text}");
    // 30 MiB of the same byte is a few hundred kB in snappy.
    let dense = snappy(&vec![0x22; 60 << 20]);
    let (status, _, text) = post(&client(), &url, token, Version::Two, dense).await;
    assert!((400..500).contains(&status), "{status} {text}");
    // Millions of series that have nothing in them: nothing is kept, whatever is answered.
    let empty = snappy(&[0x2a, 0x00].repeat(8 << 20));
    let (status, headers, text) = post(&client(), &url, token, Version::Two, empty).await;
    assert!((200..500).contains(&status), "{status} {text}");
    assert_eq!(headers["x-prometheus-remote-write-samples-written"], "0");
    // A gigabyte, said and not sent, and without being said.
    let mut stream = std::net::TcpStream::connect(&skopos.address).unwrap();
    use std::io::{Read, Write};
    write!(
        stream,
        "POST /api/v1/write HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer token-of-writer-0123456789\r\n\
         content-encoding: snappy\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1073741824\r\n\r\n",
        skopos.address
    )
    .unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).unwrap();
    let line = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(line.starts_with("HTTP/1.1 413"), "{line}");
    let pieces = futures(1 << 30);
    let sent = client()
        .post(&url)
        .bearer_auth("token-of-writer-0123456789")
        .header("content-encoding", "snappy")
        .header("content-type", "application/x-protobuf")
        .body(pieces)
        .send()
        .await;
    // Either the answer, or the connection closed while it was still sending.
    assert!(
        sent.as_ref()
            .map_or(true, |answer| answer.status().as_u16() == 413),
        "{sent:?}"
    );
    let peak = std::fs::read_to_string(format!("/proc/{}/status", skopos.pid())).unwrap();
    let peak: u64 = peak
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap();
    println!("peak after all bombs: {} MiB", peak / 1024);
    assert!(peak < 300 * 1024, "peak {peak} kB");
    // And it still takes what is right.
    let labels = [("__name__", "fine"), ("job", "x")];
    let fine = snappy(&write::request_1(&[series(&labels, &[(1.0, now())])]));
    assert_eq!(post(&client(), &url, token, Version::One, fine).await.0 / 100, 2);
    assert_eq!(skopos.value("fine").await, Some(1.0));
    assert_eq!(skopos.stop().await, 0);
}

/// An endless-looking body, as it is made.
fn futures(bytes: usize) -> reqwest::Body {
    const PIECE: usize = 64 * 1024;
    let pieces = (0..bytes / PIECE).map(|_| Ok::<_, std::io::Error>(vec![0u8; PIECE]));
    reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
}

/// Seconds of CPU time that a process has used.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

fn memory_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap()
}

/// One round of a fleet: `targets` targets of 500 series, at one time, as requests of 2,000 samples (1.0) or one of
/// each target (2.0).
fn round(version: Version, targets: usize, time: i64, nth: usize) -> Vec<Vec<u8>> {
    let all: Vec<Vec<write::Series>> = (0..targets)
        .map(|target| {
            let instance = format!("10.0.{}.{}:8080", target / 250, target % 250);
            (0..500)
                .map(|metric| {
                    let name = format!("http_server_requests_seconds_count_{}", metric % 50);
                    let path = format!("/api/v1/orders/{}", metric / 50);
                    series(
                        &[
                            ("__name__", &name),
                            ("instance", &instance),
                            ("job", "shop"),
                            ("namespace", "production"),
                            ("path", &path),
                            ("pod", &format!("shop-7d9f8b6c5-{target:05}")),
                            ("status", "200"),
                        ],
                        &[((nth * 7 + metric) as f64, time)],
                    )
                })
                .collect()
        })
        .collect();
    match version {
        Version::One => {
            let flat: Vec<write::Series> = all.into_iter().flatten().collect();
            flat.chunks(2_000)
                .map(|part| snappy(&write::request_1(part)))
                .collect()
        }
        Version::Two => all.iter().map(|part| snappy(&write::request_2(part))).collect(),
    }
}

/// CPU time a sample of a receiver, after a round that makes it know all series.
async fn cost(url: &str, pid: u32, version: Version, rounds: usize, targets: usize) -> f64 {
    let client = client();
    let begun = now() - 15_000 * rounds as i64;
    let mut before = 0.0;
    for nth in 0..=rounds {
        if nth == 1 {
            // What the first round set off has to settle.
            tokio::time::sleep(Duration::from_secs(2)).await;
            before = cpu_seconds(pid);
        }
        for body in round(version, targets, begun + 15_000 * nth as i64, nth) {
            let (status, _, text) = post(&client, url, None, version, body).await;
            assert_eq!(status / 100, 2, "{text}");
        }
    }
    (cpu_seconds(pid) - before) * 1e9 / (rounds * targets * 500) as f64
}

/// Prints what receiving costs beside a real Prometheus; `SKOPOS_TEST_LONG=1` and a release build
/// (`SKOPOS_TEST_PROGRAM`) give figures worth comparing.
#[tokio::test]
async fn receiving_the_same_stream_is_measured_beside_a_real_prometheus() {
    let (rounds, targets) = if crate::harness::long_run() {
        (40, 100)
    } else {
        (3, 10)
    };
    let mut costs = BTreeMap::new();
    for version in [Version::One, Version::Two] {
        let folder = tempfile::tempdir().unwrap();
        let Some((peer, url)) = prometheus(folder.path(), "", &["--web.enable-remote-write-receiver"]).await
        else {
            return;
        };
        let theirs = cost(
            &format!("{url}/api/v1/write"),
            peer.0.id(),
            version,
            rounds,
            targets,
        )
        .await;
        let skopos = Skopos::start(
            folder.path(),
            "node: { enabled: false }\nlogs: { enabled: false }\nrules: { shipped: false }\n",
        );
        let ours = cost(
            &skopos.url("/api/v1/write"),
            skopos.pid(),
            version,
            rounds,
            targets,
        )
        .await;
        println!(
            "{version:?}: {ours:.0} ns of CPU a sample, Prometheus {theirs:.0}: {:.2} of it; memory {} MiB beside {} MiB",
            ours / theirs,
            memory_kib(skopos.pid(), "VmRSS:") / 1024,
            memory_kib(peer.0.id(), "VmRSS:") / 1024
        );
        let kept = skopos.value("count(last_over_time({job=\"shop\"}[1h]))").await;
        assert_eq!(kept, Some((targets * 500) as f64));
        costs.insert(format!("{version:?}"), (ours, theirs));
        assert_eq!(skopos.stop().await, 0);
    }
    if let (Some((own, _)), Some((_, theirs))) = (costs.get("Two"), costs.get("One")) {
        println!(
            "own senders (2.0) beside Prometheus receiving 1.0: {:.2}",
            own / theirs
        );
    }
}

/// What a node role may take with 80,000 series and its queue, in kB (of 1,000 bytes).
const NODE_MEMORY_MAX: u64 = 45_000;

/// A node role that scrapes 80,000 series over connections that stay open, and sends them to two replicas of which one
/// is away. With `SKOPOS_TEST_LONG=1` and a release build (`SKOPOS_TEST_PROGRAM`) it is held to its memory.
#[tokio::test]
async fn a_node_with_many_series_stays_small() {
    let (targets, series_each) = if crate::harness::long_run() {
        (110, 727)
    } else {
        (11, 727)
    };
    let folder = tempfile::tempdir().unwrap();
    let mut exporters = Vec::new();
    for target in 0..targets {
        let lines: String = (0..series_each)
            .map(|nth| {
                format!(
                    "http_server_requests_seconds_count_{}{{container=\"shop\",method=\"GET\",namespace=\"production\",path=\"/api/v1/orders/{}\",pod=\"shop-7d9f8b6c5-{target:05}\",status=\"200\",uri=\"/orders/{{id}}\"}} {}\n",
                    nth % 50,
                    nth / 50,
                    nth * 3
                )
            })
            .collect();
        exporters.push(crate::fakes::peer::Peer::start(crate::fakes::peer::Answer::Kept(lines)).await);
    }
    let addresses: Vec<String> = exporters
        .iter()
        .map(|exporter| format!("'{}'", exporter.address))
        .collect();
    let replica = tempfile::tempdir().unwrap();
    let receiver = guarded(replica.path());
    std::fs::write(folder.path().join("token"), "token-of-node-a-0123456789").unwrap();
    let config = format!(
        "global: {{ scrape_interval: 5s, scrape_timeout: 4s }}
logs: {{ enabled: false }}
scrape_configs: [{{ job_name: shop, static_configs: [{{ targets: [{}] }}] }}]
remote_write:
  - {{ url: '{}', authorization: {{ credentials_file: token }} }}
  - {{ url: 'http://127.0.0.1:1/api/v1/write', authorization: {{ credentials_file: token }} }}
",
        addresses.join(", "),
        receiver.url("/api/v1/write"),
    );
    std::fs::write(folder.path().join("skopos.yaml"), config).unwrap();
    let node = Skopos::start_with(
        folder.path(),
        &[
            "--role",
            "node",
            "--config",
            "skopos.yaml",
            "--listen",
            "127.0.0.1:0",
        ],
    );
    let wanted = (targets * series_each) as f64;
    receiver
        .wait_for("everything arrives", Duration::from_secs(60), async |receiver| {
            receiver
                .value("count({job=\"shop\",namespace=\"production\"})")
                .await
                == Some(wanted)
        })
        .await;
    let before = cpu_seconds(node.pid());
    tokio::time::sleep(Duration::from_secs(if targets > 50 { 60 } else { 6 })).await;
    let rss = |when: &str| {
        let [rss, peak, anonymous] =
            ["VmRSS:", "VmHWM:", "RssAnon:"].map(|field| memory_kib(node.pid(), field) * 1024 / 1000);
        println!("node role, {when}: {rss} kB RSS, {anonymous} kB of it anonymous, peak {peak} kB");
        rss
    };
    println!(
        "node role, {wanted} series each 5 s to two destinations, one of them away: {:.2} s of CPU in 60 s; cluster role \
         {} MiB",
        cpu_seconds(node.pid()) - before,
        memory_kib(receiver.pid(), "VmRSS:") / 1024,
    );
    let settled = rss("settled");
    let (status, page) = node.get("/metrics/all").await;
    assert_eq!(status, 200);
    let shown = page
        .lines()
        .filter(|line| line.starts_with("http_server_requests_seconds_count_"));
    assert_eq!(shown.count(), targets * series_each);
    let asked = rss("after /metrics/all");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let end = rss("at the end");
    if targets > 50 && crate::harness::skopos::is_release() {
        for rss in [settled, asked, end] {
            assert!(rss <= NODE_MEMORY_MAX, "{rss} kB");
        }
    }
    assert_eq!(node.stop().await, 0);
    assert_eq!(receiver.stop().await, 0);
}

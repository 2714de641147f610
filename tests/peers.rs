//! Real Prometheus, promtool and node_exporter agree with us.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::components::{find, free_port, run, start};
use crate::harness::{Skopos, root};

const QUIET: &str = "node: { interval: 1s }\nlogs: { files: [] }\n";

/// Where the kernel may have fields that this node_exporter does not know.
const FIELDS: [&str; 2] = ["node_memory_", "node_netstat_"];

/// What `promtool check metrics` says about a page.
fn complaints(promtool: &Path, page: &str) -> BTreeSet<String> {
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect()
}

async fn text_of(url: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..100 {
        if let Ok(answer) = client.get(url).send().await {
            return answer.text().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{url} does not answer");
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_our_pages() {
    let (Some(promtool), Some(exporter)) = (find("promtool"), find("prometheus-node-exporter")) else {
        return;
    };
    let port = free_port();
    let _exporter = start(Command::new(exporter).arg(format!("--web.listen-address=127.0.0.1:{port}")));
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), QUIET);
    skopos
        .wait_for("two rounds", Duration::from_secs(60), async |skopos| {
            skopos
                .value("count_over_time(up{job=\"skopos\"}[1m])")
                .await
                .is_some_and(|rounds| rounds >= 2.0)
        })
        .await;
    // These two names are those of later versions of Prometheus.
    let is_later = |line: &&String| line.contains("_duration_histogram_seconds");
    let mut own = complaints(&promtool, &skopos.get("/metrics").await.1);
    own.retain(|line| !is_later(&line));
    assert!(own.is_empty(), "/metrics: {own:?}");
    // node_exporter's names are what they are; whatever promtool says of its page it may say of ours.
    let theirs = complaints(
        &promtool,
        &text_of(&format!("http://127.0.0.1:{port}/metrics")).await,
    );
    for page in ["/metrics/node", "/metrics/all"] {
        let ours = complaints(&promtool, &skopos.get(page).await.1);
        // Debian's node_exporter lacks a few fields of newer kernels, whose names are mangled by its own rule.
        let mangled = |line: &&String| {
            FIELDS.iter().any(|field| line.starts_with(field)) && line.contains("snake_case")
        };
        let more = ours.difference(&theirs);
        let more: Vec<_> = more.filter(|line| !mangled(line) && !is_later(line)).collect();
        assert!(more.is_empty(), "{page}: {more:?}");
    }
    assert_eq!(skopos.stop().await, 0);
}

#[test]
fn promtool_accepts_and_tests_the_shipped_rules() {
    let Some(promtool) = find("promtool") else { return };
    let files = |folder: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(root().join(folder))
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        entries
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .collect()
    };
    let (code, text) = run(Command::new(&promtool)
        .args(["check", "rules", "--lint-fatal"])
        .args(files("rules")));
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(Command::new(&promtool)
        .args(["test", "rules"])
        .args(files("rules/tests")));
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn promtool_queries_us_as_it_queries_prometheus() {
    let Some(promtool) = find("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), QUIET);
    skopos
        .wait_for("both targets", Duration::from_secs(15), async |skopos| {
            skopos.query("up").await.len() == 2
        })
        .await;
    let url = skopos.url("");
    let ask = |arguments: &[&str]| run(Command::new(&promtool).arg("query").args(arguments));
    let (code, text) = ask(&["instant", &url, "up == 1"]);
    assert_eq!((code, text.lines().count()), (0, 2), "{text}");
    let (code, text) = ask(&["range", "--step=1s", &url, "node_load1"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("node_load1{"), "{text}");
    let (code, text) = ask(&["labels", &url, "job"]);
    assert_eq!((code, text.as_str()), (0, "node\nskopos\n"));
    let (code, text) = ask(&["series", "--match=up", &url]);
    assert_eq!((code, text.lines().count()), (0, 2), "{text}");
    let (code, text) = ask(&["instant", &url, "sum(rtae(up[5m]))"]);
    assert_ne!(code, 0);
    assert!(text.contains("1:5") && text.contains("rate"), "{text}");
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn prometheus_scrapes_us_and_answers_the_same() {
    let Some(prometheus) = find("prometheus") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), QUIET);
    let config = folder.path().join("prometheus.yml");
    let jobs: String = ["metrics", "metrics/node", "metrics/all"]
        .iter()
        .map(|page| format!("- {{ job_name: '{page}', honor_labels: true, scrape_interval: 1s, scrape_timeout: 1s, metrics_path: /{page}, static_configs: [{{ targets: ['{}'] }}] }}\n", skopos.address))
        .collect();
    std::fs::write(&config, format!("scrape_configs:\n{jobs}")).unwrap();
    let port = free_port();
    let _prometheus = start(
        Command::new(prometheus)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("tsdb").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let ask = async |expr: &str| -> Vec<(BTreeMap<String, String>, f64)> {
        let url = reqwest::Url::parse_with_params(
            &format!("http://127.0.0.1:{port}/api/v1/query"),
            [("query", expr)],
        )
        .unwrap();
        let answer: serde_json::Value =
            serde_json::from_str(&text_of(url.as_str()).await).unwrap_or_default();
        let points = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let point = |point: &serde_json::Value| {
            let value = point["value"][1].as_str().unwrap().parse().unwrap();
            (serde_json::from_value(point["metric"].clone()).unwrap(), value)
        };
        points.iter().map(point).collect()
    };
    let mut up = Vec::new();
    for _ in 0..200 {
        up = ask("up == 1").await;
        if up.len() >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        up.len() >= 3,
        "Prometheus cannot scrape a page: {:?}",
        ask("up").await
    );
    // What does not move must come through unchanged.
    for expr in [
        "node_memory_MemTotal_bytes{job=\"node\"}",
        "node_boot_time_seconds{job=\"node\"}",
        "count(node_cpu_seconds_total{job=\"node\"})",
        "count by (__name__) ({__name__=~\"node_network_.*\",job=\"node\"})",
    ] {
        let (ours, theirs) = (skopos.query(expr).await, ask(expr).await);
        assert!(
            !ours.is_empty() && ours == theirs,
            "{expr}: {ours:?} here, {theirs:?} there"
        );
    }
    assert_eq!(skopos.stop().await, 0);
}

/// `family → (type, label sets → value)` of an exposition page.
type Page = BTreeMap<String, (String, BTreeMap<String, f64>)>;

fn page(text: &str) -> Page {
    let empty = regex::Regex::new(r#"\b\w+="",?"#).unwrap();
    let mut page = Page::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            page.entry(name.to_owned()).or_default().0 = kind.to_owned();
        } else if !line.starts_with('#')
            && let Some((series, value)) = line.rsplit_once(' ')
        {
            let name = series.split('{').next().unwrap().to_owned();
            // An empty label is no label, and Prometheus keeps none; node_exporter writes `device_error=""`.
            let series = &empty.replace_all(series, "").replace(",}", "}");
            page.entry(name)
                .or_default()
                .1
                .insert(series.to_owned(), value.parse().unwrap_or(f64::NAN));
        }
    }
    page
}

/// Whether a family's values stand still: they must be equal. All others must lie where time explains them.
fn stands_still(name: &str) -> bool {
    let still = [
        "_info",
        "_size_bytes",
        "MemTotal_bytes",
        "_maximum",
        "_limit",
        "_boot_time_seconds",
    ];
    still.iter().any(|word| name.ends_with(word))
        || name.starts_with("node_network_") && !name.ends_with("_total")
}

/// How far beside the peer's readings, taken before and after ours, a moving value may lie.
fn slack(name: &str, low: f64, high: f64) -> f64 {
    // What is on its way to the disk comes and goes within milliseconds.
    if name == "node_memory_Writeback_bytes" {
        return f64::from(32 << 20);
    }
    let jitter = match name {
        _ if name.ends_with("_bytes") || name.ends_with("_bytes_total") => f64::from(32 << 20),
        _ if name.contains("_seconds") => 5.0,
        _ => 50.0,
    };
    // The two programs read, are read and open files at different moments of the same second.
    jitter.min(low.abs().max(high.abs())).max(2.0) + 0.02 * low.abs().max(high.abs())
}

/// One look of each at the machine, theirs before and after ours.
struct Round {
    families: usize,
    compared: usize,
    /// Names, or series, with what is wrong with them.
    wrong: BTreeMap<String, String>,
}

async fn round(url: &str, skopos: &Skopos) -> Round {
    let before = page(&text_of(url).await);
    let ours = page(&skopos.get("/metrics/node").await.1);
    let theirs = page(&text_of(url).await);
    let (mut families, mut compared) = (0, 0);
    let mut wrong = BTreeMap::new();
    let mut differ = |what: &str, how: String| drop(wrong.insert(what.to_owned(), how));
    for (name, (kind, series)) in &ours {
        let Some((their_kind, their_series)) = theirs.get(name) else {
            if name.starts_with("node_") && !FIELDS.iter().any(|field| name.starts_with(field)) {
                differ(name, format!("{name} is unknown to node_exporter"));
            }
            continue;
        };
        families += 1;
        if kind != their_kind {
            differ(name, format!("{name} is a {kind} here and a {their_kind} there"));
        }
        // The collectors are our own, and so are their names.
        if name.starts_with("node_scrape_collector") {
            continue;
        }
        let (mine, others): (BTreeSet<_>, BTreeSet<_>) =
            (series.keys().collect(), their_series.keys().collect());
        if mine != others {
            let (here, there): (Vec<_>, Vec<_>) = (
                mine.difference(&others).collect(),
                others.difference(&mine).collect(),
            );
            differ(name, format!("{name}: only here {here:?}, only there {there:?}"));
        }
        for (key, value) in series {
            let Some(their_value) = their_series.get(key) else {
                continue;
            };
            let earlier = before
                .get(name)
                .and_then(|(_, series)| series.get(key))
                .unwrap_or(their_value);
            // node_exporter 1.11 says 0 of a mount that the kernel's own table calls read-only.
            if name == "node_filesystem_readonly" && *value == 1.0 {
                let point = key
                    .split("mountpoint=\"")
                    .nth(1)
                    .and_then(|rest| rest.split('"').next())
                    .unwrap();
                let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
                assert!(
                    table.lines().any(|line| line.contains(&format!(" {point} ro"))),
                    "{key} is writable"
                );
                continue;
            }
            compared += 1;
            let (low, high) = (earlier.min(*their_value), earlier.max(*their_value));
            let room = if stands_still(name) {
                0.0
            } else {
                slack(name, low, high)
            };
            if *value < low - room || *value > high + room || value.is_nan() != their_value.is_nan() {
                differ(key, format!("{key}: {value} here, {low} to {high} there"));
            }
        }
    }
    let by_drivers = |page: &BTreeMap<String, _>| -> BTreeSet<String> {
        let all = page.keys().filter(|name| name.starts_with("node_ethtool_"));
        all.filter(|name| *name != "node_ethtool_info").cloned().collect()
    };
    assert_eq!(by_drivers(&ours), by_drivers(&theirs));
    println!("{} families by drivers", by_drivers(&ours).len());
    Round {
        families,
        compared,
        wrong,
    }
}

/// A value may jump between two looks where others work beside; what is wrong is wrong each time.
const ROUNDS: usize = 4;

#[tokio::test]
async fn node_exporter_on_the_same_machine_says_the_same() {
    let Some(exporter) = find("prometheus-node-exporter") else {
        return;
    };
    let port = free_port();
    let _exporter = start(
        Command::new(exporter)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            // Debian's package leaves out loopback and some mounts; upstream does not.
            .arg("--collector.netdev.device-exclude=^$")
            .arg("--collector.ethtool")
            .arg("--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"),
    );
    let url = format!("http://127.0.0.1:{port}/metrics");
    text_of(&url).await;
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(
        folder.path(),
        "node: { interval: 1s, ethtool: { metrics_include: . } }\nlogs: { files: [] }\n",
    );
    skopos
        .wait_for("a round", Duration::from_secs(15), async |skopos| {
            skopos.value("node_load1").await.is_some()
        })
        .await;
    let mut wrong: Option<BTreeMap<String, String>> = None;
    for _ in 0..ROUNDS {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let Round {
            families,
            compared,
            wrong: found,
        } = round(&url, &skopos).await;
        println!(
            "{families} families, {compared} values compared with node_exporter, {} differences",
            found.len()
        );
        assert!(
            families > 150 && compared > 300,
            "only {families} families, {compared} values"
        );
        let still = wrong.take().unwrap_or_else(|| found.clone()).into_iter();
        let still: BTreeMap<String, String> = still.filter(|(what, _)| found.contains_key(what)).collect();
        let is_alike = still.is_empty();
        wrong = Some(still);
        if is_alike {
            break;
        }
    }
    let wrong: Vec<String> = wrong.unwrap_or_default().into_values().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(skopos.stop().await, 0);
}

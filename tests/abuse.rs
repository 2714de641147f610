//! What strangers, broken peers and full disks can do: a clear error, bounded memory, everything else goes on.

use std::process::Command;
use std::time::Duration;

use programs::usage::memory_mib;

use crate::fakes::peer::{Answer, Peer};
use crate::harness::{Skopos, write};

#[tokio::test]
async fn targets_that_lie_are_down_with_a_reason_and_the_others_stay_up() {
    let good = Peer::start(Answer::Body(
        "# TYPE jobs gauge\njobs{queue=\"a\"} 7\n".to_owned(),
    ))
    .await;
    let garbage = Peer::start(Answer::Body("jobs 1\njobs{queue=\"a} 1\n".to_owned())).await;
    let endless = Peer::start(Answer::Endless).await;
    let silent = Peer::start(Answer::Silent).await;
    let broken = Peer::start(Answer::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec())).await;
    let folder = tempfile::tempdir().unwrap();
    let job = |name: &str, peer: &Peer| {
        format!(
            "  - {{ job_name: {name}, scrape_interval: 1s, scrape_timeout: 1s, body_size_limit: 1MB, static_configs: [{{ targets: ['{}'] }}] }}\n",
            peer.address
        )
    };
    let jobs = [
        ("good", &good),
        ("garbage", &garbage),
        ("endless", &endless),
        ("silent", &silent),
        ("broken", &broken),
    ];
    let jobs: String = jobs.iter().map(|(name, peer)| job(name, peer)).collect();
    let skopos = Skopos::start(
        folder.path(),
        &format!("scrape_configs:\n{jobs}logs: {{ files: [] }}\n"),
    );
    for (name, up) in [
        ("good", 1.0),
        ("garbage", 0.0),
        ("endless", 0.0),
        ("silent", 0.0),
        ("broken", 0.0),
    ] {
        skopos
            .wait_for(name, Duration::from_secs(15), async |skopos| {
                skopos.value(&format!("up{{job=\"{name}\"}}")).await == Some(up)
            })
            .await;
    }
    let targets = skopos.api("/api/v1/targets").await.to_string();
    let page = skopos.page("/targets").await;
    for word in ["line 2, column 12", "longer than 1048576 bytes", "within 1s"] {
        assert!(
            targets.contains(word),
            "{word} is not among the errors: {targets}"
        );
    }
    assert!(
        page.contains("garbage") && page.contains("line 2, column 12"),
        "the page does not say what is wrong"
    );

    // What a target sent before it broke has ended, and comes back with it.
    assert_eq!(skopos.value("jobs").await, Some(7.0));
    good.set(Answer::Body("jobs{queue=\"a\"} x\n".to_owned()));
    skopos
        .wait_for("the stale marker", Duration::from_secs(10), async |skopos| {
            skopos.value("jobs").await.is_none()
        })
        .await;
    good.set(Answer::Body("jobs{queue=\"a\"} 8\n".to_owned()));
    skopos
        .wait_for("the recovery", Duration::from_secs(10), async |skopos| {
            skopos.value("jobs").await == Some(8.0)
        })
        .await;
    let peak = memory_mib(skopos.pid(), "VmHWM");
    assert!(peak < 150.0, "{peak} MiB");
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn a_line_of_ten_megabytes_is_cut_and_the_next_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.log");
    std::fs::write(&file, "").unwrap();
    let skopos = Skopos::start(
        folder.path(),
        &format!(
            "logs: {{ files: ['{}'], line_bytes_max: 4096 }}\n",
            file.display()
        ),
    );
    std::fs::write(&file, format!("{}\nthe next one\n", "a".repeat(10 << 20))).unwrap();
    skopos
        .wait_for("the line after", Duration::from_secs(15), async |skopos| {
            skopos.page("/logs?q=next").await.contains("the next one")
        })
        .await;
    let metrics = skopos.get("/metrics").await.1;
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("skopos_logs_cut") && !line.ends_with(" 0")),
        "not counted"
    );
    let peak = memory_mib(skopos.pid(), "VmHWM");
    assert!(peak < 100.0, "{peak} MiB");
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn deep_and_long_expressions_get_an_error_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), "logs: { files: [] }\n");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for expr in [
        "(".repeat(10_000),
        "abs(".repeat(10_000),
        "-".repeat(10_000),
        "1+".repeat(50_000),
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        "{".repeat(9000),
        "\u{0}".to_owned(),
    ] {
        let body = format!("query={}", url_encode(&expr));
        let answer = client
            .post(skopos.url("/api/v1/query"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert!(status == 400 || status == 413, "{status}: {text}");
        assert!(
            text.contains("\"errorType\":\"bad_data\"") && text.len() < 4096,
            "{text}"
        );
    }
    assert_eq!(skopos.get("/-/healthy").await.0, 200);
    assert_eq!(skopos.stop().await, 0);
}

fn url_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// A small file system of memory, gone with the test. `None`, loudly, where this user may not mount one.
pub struct Tmpfs(pub tempfile::TempDir);

impl Tmpfs {
    pub fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "skopos-test"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            Some(Self(folder))
        } else {
            crate::harness::components::skipped("mounting a tmpfs (needs root)");
            None
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[tokio::test]
async fn a_full_disk_costs_history_but_neither_answers_nor_lines() {
    let Some(disk) = Tmpfs::mount("4m") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.log");
    std::fs::write(&file, "").unwrap();
    let config = format!(
        "node: {{ interval: 1s }}\nlogs: {{ files: ['{}'] }}\n",
        file.display()
    );
    std::fs::write(folder.path().join("skopos.yaml"), config).unwrap();
    let data = disk.0.path().join("data");
    let skopos = Skopos::start_with(
        folder.path(),
        &[
            "--config",
            "skopos.yaml",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            data.to_str().unwrap(),
        ],
    );
    skopos
        .wait_for("a first round", Duration::from_secs(10), async |skopos| {
            skopos.value("node_load1").await.is_some()
        })
        .await;
    let filler = disk.0.path().join("filler");
    _ = std::fs::write(&filler, vec![0u8; 8 << 20]);
    let lines: String = (0..2000)
        .map(|number| format!("while full line={number} {}\n", "y".repeat(200)))
        .collect();
    std::fs::write(&file, &lines).unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let rounds = skopos.value("count_over_time(node_load1[1m])").await.unwrap();
    assert!(
        rounds >= 3.0,
        "only {rounds} rounds: reading stopped with the disk"
    );
    assert_eq!(skopos.get("/").await.0, 200);
    assert!(
        skopos.log().contains("disk") || skopos.log().contains("space"),
        "nothing in the log:\n{}",
        skopos.log()
    );
    std::fs::remove_file(&filler).unwrap();
    skopos
        .wait_for(
            "the lines, once there is space again",
            Duration::from_secs(30),
            async |skopos| skopos.page("/logs?q=line%3D1999").await.contains("line=1999 yyy"),
        )
        .await;
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn when_memory_runs_short_new_series_are_refused_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    // The process takes more than that from the start.
    let config = "node: { interval: 1s }\nglobal: { scrape_interval: 1s, scrape_timeout: 1s }\n\
                  logs: { files: [] }\nstore: { budget_bytes: 1048576 }\n";
    let skopos = Skopos::start(folder.path(), config);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = skopos.url("/api/v1/write");
    let send = async |name: &str, value: f64| {
        let time = jiff::Timestamp::now().as_millisecond();
        let series = write::series(&[("__name__", name), ("job", "shop")], &[(value, time)]);
        let body = write::snappy(&write::request_2(&[series]));
        write::post(&client, &url, None, write::Version::Two, body).await
    };
    assert_eq!(send("shop_early", 1.0).await.0, 204);
    skopos
        .wait_for("the guard", Duration::from_secs(30), async |skopos| {
            skopos.value("skopos_store_guard_level").await == Some(3.0)
        })
        .await;
    let (status, _, said) = send("shop_late", 1.0).await;
    assert_eq!(status, 400, "{said}");
    assert!(
        said.contains("memory 1") && said.contains("memory runs short"),
        "{said}"
    );
    assert_eq!(send("shop_early", 2.0).await.0, 204);
    assert_eq!(skopos.value("shop_early").await, Some(2.0));
    assert_eq!(skopos.value("shop_late").await, None);
    skopos
        .wait_for("the refusal, counted", Duration::from_secs(10), async |skopos| {
            let refused = "skopos_store_refused_series_total{reason=\"memory\"}";
            skopos.value(refused).await.is_some_and(|count| count >= 1.0)
                && skopos
                    .value("changes(node_time_seconds[3s])")
                    .await
                    .is_some_and(|rounds| rounds > 0.0)
        })
        .await;
    let log = skopos.log();
    // Rules whose turn comes meanwhile say it of their own series, too.
    assert_eq!(log.matches("store::guard: memory runs short").count(), 1, "{log}");
    assert_eq!(skopos.stop().await, 0);
}

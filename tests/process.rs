//! Starting, stopping, restarting, and what is said when that cannot be.

use std::time::Duration;

use crate::harness::components::run;
use crate::harness::{Skopos, skopos::command};

const QUIET: &str = "logs: { files: [] }\n";

#[tokio::test]
async fn it_starts_on_defaults_shows_the_machine_at_once_and_stops_with_zero() {
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), QUIET);
    assert_eq!(skopos.get("/").await.0, 200);
    skopos
        .wait_for(
            "rounds at 0, 1, 2 and 5 s",
            Duration::from_secs(14),
            async |skopos| {
                skopos
                    .value("count_over_time(node_time_seconds[1m])")
                    .await
                    .is_some_and(|rounds| rounds >= 4.0)
            },
        )
        .await;
    let up = skopos.query("up").await;
    let mut jobs: Vec<&str> = up.iter().map(|(labels, _)| labels["job"].as_str()).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, ["node", "skopos"]);
    assert!(up.iter().all(|(_, value)| *value == 1.0), "{up:?}");
    for (path, status) in [
        ("/-/healthy", 200),
        ("/-/ready", 200),
        ("/metrics", 200),
        ("/metrics/node", 200),
        ("/metrics/all", 200),
        ("/nowhere", 404),
    ] {
        assert_eq!(skopos.get(path).await.0, status, "{path}");
    }
    for folder in ["metrics", "alerts", "logs"] {
        assert!(skopos.folder.join("data").join(folder).is_dir(), "data/{folder}");
    }
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn what_it_keeps_is_for_its_own_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.log");
    std::fs::write(&file, "a secret\n").unwrap();
    let skopos = Skopos::start(
        folder.path(),
        &format!("logs: {{ files: ['{}'] }}\n", file.display()),
    );
    skopos
        .wait_for("the line", Duration::from_secs(10), async |skopos| {
            skopos.page("/logs?q=secret").await.contains("a secret")
        })
        .await;
    let mut left = vec![folder.path().join("data")];
    let mut seen = 0;
    while let Some(path) = left.pop() {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is open to others: {mode:o}", path.display());
        seen += 1;
        if path.is_dir() {
            left.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .flatten()
                    .map(|entry| entry.path()),
            );
        }
    }
    assert!(seen > 6, "only {seen} files and folders");
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn ctrl_c_stops_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), QUIET);
    skopos.signal("-INT");
    assert_eq!(skopos.stop_status().await, 0);
}

#[tokio::test]
async fn a_second_process_is_refused_the_data_and_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), QUIET);
    let (code, text) = run(command(folder.path()).args(["--listen", "127.0.0.1:0"]));
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("data directory data is in use by another skopos")
            && text.contains(&skopos.pid().to_string()),
        "{text}"
    );
    let (code, text) = run(command(folder.path()).args(["--data-dir", "other", "--listen", &skopos.address]));
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("already in use") && text.contains("--listen"),
        "{text}"
    );
    assert_eq!(skopos.stop().await, 0);
}

#[test]
fn a_folder_that_cannot_be_written_is_a_failed_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let (code, text) =
        run(command(folder.path()).args(["--listen", "127.0.0.1:0", "--data-dir", "file/data"]));
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("file/data") && text.contains("--data-dir"),
        "{text}"
    );
}

#[test]
fn wrong_words_on_the_command_line_are_64_and_help_is_0() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected, word) in [
        (&["--help"][..], 0, "--data-dir"),
        (&["--version"], 0, "skopos 0"),
        (&["--rolle", "all"], 64, "--role"),
        (&["--role", "clutter"], 64, "all"),
        (&["--log-format", "xml"], 64, "text or json"),
        (&["--config", "none.yaml"], 64, "none.yaml"),
        (&["completions", "bash"], 0, "_skopos"),
        (&["logs"], 1, "--data-dir"),
    ] {
        let (code, text) = run(command(folder.path()).args(arguments));
        assert_eq!(code, expected, "{arguments:?}: {text}");
        assert!(text.contains(word), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn samples_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut skopos = Skopos::start(folder.path(), "node: { interval: 1s }\nlogs: { files: [] }\n");
    let rounds = "count_over_time(node_time_seconds[5m])";
    skopos
        .wait_for("ten rounds", Duration::from_secs(30), async |skopos| {
            skopos.value(rounds).await.is_some_and(|count| count >= 10.0)
        })
        .await;
    for _ in 0..3 {
        let before = skopos.value(rounds).await.unwrap();
        skopos.kill_and_restart();
        let after = skopos.value(rounds).await.unwrap();
        // The log is synced each second and the interval is a second: at most two rounds were not yet safe.
        assert!(
            after >= before - 2.0,
            "{before} rounds before the kill, {after} after"
        );
    }
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn a_full_disk_is_no_reason_not_to_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut skopos = Skopos::start(folder.path(), "node: { interval: 1s }\nlogs: { files: [] }\n");
    let rounds = "count_over_time(node_time_seconds[5m])";
    let patience = Duration::from_secs(30);
    skopos
        .wait_for("three rounds", patience, async |skopos| {
            skopos.value(rounds).await.is_some_and(|count| count >= 3.0)
        })
        .await;
    // It stays the one that tells people that the disk is full.
    skopos.kill_and_restart_on_a_full_disk();
    let before = skopos.value(rounds).await.unwrap_or_default();
    skopos
        .wait_for("more of them, in memory", patience, async |skopos| {
            skopos
                .value(rounds)
                .await
                .is_some_and(|count| count >= before + 3.0)
        })
        .await;
    assert!(skopos.log().contains("free some space"), "{}", skopos.log());
    let failures = skopos.get("/metrics").await.1;
    let failures = failures
        .lines()
        .find(|line| line.starts_with("skopos_store_wal_failures_total"));
    assert!(failures.is_some_and(|line| !line.ends_with(" 0")), "{failures:?}");
    // There is room again.
    skopos.kill_and_restart();
    assert!(skopos.value(rounds).await.is_some());
    assert_eq!(skopos.stop().await, 0);
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_turned_away_from_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let skopos = Skopos::start(folder.path(), QUIET);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let status = async |header: &str, value: &str| {
        client
            .get(skopos.url("/api/v1/alerts"))
            .header(header, value)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status("Host", "evil.example").await, 403);
    assert_eq!(status("Host", "localhost").await, 200);
    assert_eq!(status("Origin", "http://evil.example").await, 403);
    assert_eq!(status("Origin", &skopos.url("")).await, 200);
    assert_eq!(skopos.get("/-/reload").await.0, 405);
    assert_eq!(skopos.stop().await, 0);
}

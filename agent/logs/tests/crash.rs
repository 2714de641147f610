//! A process that tails rotating files is killed again and again: every line must be in the segments once.
//!
//! `SKOPOS_TEST_LONG=1` kills ten times as often and writes ten times as much.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where it stands, and says what it counted"
)]

mod generator;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use generator::{Seen, Writer, finish, judge, wait, write_a_round};
use logs::{Config, Follower, Logs, Outside};
use model::Timestamp;
use model::view::LogQuery;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

const CHILD: &str = "SKOPOS_LOGS_CRASH_CHILD";
const PLAIN: usize = 10;
const CONTAINERS: usize = 10;

fn config(folder: &Path) -> Config {
    Config {
        files: vec![format!("{}/plain/*.log", folder.display())],
        containers: folder.join("pods"),
        docker: folder.join("docker"),
        segment_bytes: 1 << 20,
        ..Config::default()
    }
}

fn outside() -> Outside {
    let (clock, client) = (RuntimeClock::system(), net::HttpClient::new().unwrap());
    let aws = aws::Aws::new(
        aws::Config::default(),
        client.clone(),
        clock.clone(),
        &Registry::new(),
    );
    Outside {
        pods: None,
        clock,
        client,
        aws: aws.unwrap(),
        host: "here".to_owned(),
        once: None,
    }
}

/// What the killed process runs; as a test of its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let data = folder.join("data");
    let logs = Logs::new(
        &config(&folder),
        data.join("logs"),
        &data,
        outside(),
        &Registry::new(),
    )
    .unwrap();
    logs.run(CancellationToken::new()).await;
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn everything() -> LogQuery {
    LogQuery {
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        lines_max: usize::MAX,
        ..LogQuery::default()
    }
}

#[test]
fn no_line_is_lost_or_doubled_by_kill_minus_nine() {
    let long = std::env::var_os("SKOPOS_TEST_LONG").is_some();
    let kills = if long { 50 } else { 5 };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("plain")).unwrap();
    let mut child = start(folder.path());
    wait_for_start(folder.path());

    let (plain, pods) = (folder.path().join("plain"), folder.path().join("pods"));
    let mut writers: Vec<Writer> = (0..PLAIN)
        .map(|number| Writer::plain(&plain, number).unwrap())
        .chain((PLAIN..PLAIN + CONTAINERS).map(|number| Writer::container(&pods, number).unwrap()))
        .collect();
    let mut chance = Writer::plain(&folder.path().join("chance"), 99).unwrap();
    for life in 0..=kills {
        for _ in 0..5 {
            write_a_round(&mut writers, &mut chance).unwrap();
            wait(Duration::from_millis(chance.below(120)));
        }
        if life < kills {
            child.kill().unwrap();
            child.wait().unwrap();
            if chance.below(2) == 0 {
                write_a_round(&mut writers, &mut chance).unwrap();
            }
            child = start(folder.path());
        }
    }
    let written = finish(&mut writers).unwrap();
    let seen = read_back(folder.path(), written.iter().sum());
    child.kill().unwrap();
    child.wait().unwrap();
    judge(&seen, &written, &format!("killed {kills} times"));
}

/// The first start must be older than the files, else they are read from where `read_from` says.
fn wait_for_start(folder: &Path) {
    let started = Instant::now();
    while !folder.join("data/logs/0000000001.segment").exists() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "the child does not start"
        );
        wait(Duration::from_millis(10));
    }
    wait(Duration::from_millis(100));
}

/// Follows the segments from outside until all lines have come, and a while longer.
fn read_back(folder: &Path, lines: usize) -> Seen {
    let segments = folder.join("data/logs");
    let query = LogQuery {
        text: "writer=".to_owned(),
        ..everything()
    };
    let mut follower = Follower::open(&segments, query.clone()).unwrap();
    let (mut seen, mut count) = (Seen::default(), 0);
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(if count < lines { 20 } else { 3 }) {
        let records = follower.poll().unwrap();
        if records.is_empty() {
            wait(Duration::from_millis(50));
        } else {
            quiet = Instant::now();
        }
        count += records.len();
        for record in records {
            seen.add(&record.text);
        }
    }
    let page = logs::search(&segments, &query).unwrap();
    assert_eq!(page.matched, count as u64, "search and follow agree");
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_room_runs_is_asked_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(folder.path().join("plain")).unwrap();
    let registry = Registry::new();
    let config = config(folder.path());
    let logs = Logs::new(&config, data.join("logs"), &data, outside(), &registry).unwrap();
    let handle = logs.handle();
    let stop = CancellationToken::new();
    let running = tokio::spawn(logs.run(stop.clone()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut latencies = Vec::new();
    for number in 0..10 {
        let started = Instant::now();
        let path = folder.path().join(format!("plain/{number}.log"));
        std::fs::write(&path, "hello\n").unwrap();
        let path = path.to_string_lossy();
        let read = || {
            let files = handle.state().files;
            files
                .iter()
                .any(|file| file.path == path && file.offset_bytes == 6)
        };
        while !read() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(started.elapsed() < Duration::from_secs(10));
        }
        latencies.push(started.elapsed());
    }
    latencies.sort_unstable();
    println!(
        "new file to first byte: median {:?}, worst {:?}",
        latencies[5], latencies[9]
    );
    assert!(latencies[5] < Duration::from_millis(250), "{latencies:?}");
    stop.cancel();
    running.await.unwrap();
    assert_eq!(handle.search(&everything()).unwrap().matched, 10);
    let ledger = handle.ledger();
    assert_eq!((ledger.taken, ledger.given, ledger.in_flight), (10, 10, 0));
    assert!(
        registry
            .gather()
            .iter()
            .any(|family| family.name() == "skopos_logs_lines_total")
    );
}

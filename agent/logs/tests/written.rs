//! A process that writes lines to a file and to its standard output is killed again and again: each line must be in the file
//! once, and in the output at least once.
//!
//! `SKOPOS_TEST_LONG=1` kills ten times as often.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where it stands, and says what it counted"
)]

mod generator;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use generator::{Seen, Writer, judge, wait, write_a_round};
use logs::{Config, Logs, Outside};
use prometheus::Registry;
use serde_json::{Value, json};
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

const CHILD: &str = "SKOPOS_LOGS_WRITTEN_CHILD";
const CONTAINERS: usize = 8;

fn config(folder: &Path) -> Config {
    serde_json::from_value(json!({
        // The sinks' own files match as well, and must not be read.
        "files": [format!("{}/*.log", folder.display())],
        "containers": folder.join("pods"),
        "local": false,
        "file": {"path": folder.join("lines.log"), "bytes_max": "1MiB", "files": 100},
        "stdout": {},
    }))
    .unwrap()
}

/// What the killed process runs; as a test of its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let data = folder.join("data");
    let (clock, client) = (RuntimeClock::system(), net::HttpClient::new().unwrap());
    let aws = aws::Aws::new(
        aws::Config::default(),
        client.clone(),
        clock.clone(),
        &Registry::new(),
    );
    let outside = Outside {
        pods: None,
        clock,
        client,
        aws: aws.unwrap(),
        host: "here".to_owned(),
        once: None,
    };
    let logs = Logs::new(
        &config(&folder),
        data.join("logs"),
        &data,
        outside,
        &Registry::new(),
    )
    .unwrap();
    logs.run(CancellationToken::new()).await;
}

fn start(folder: &Path) -> Child {
    let out = File::options()
        .create(true)
        .append(true)
        .open(folder.join("stdout.log"))
        .unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, folder)
        .stdout(out)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Messages of all documents in a file, and how many lines are none.
fn messages(path: &Path) -> (Vec<String>, usize) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (mut messages, mut strange) = (Vec::new(), 0);
    for line in text.lines() {
        // In the output the test runner's own words may stand in front of the first.
        let line = line.strip_prefix("test child ... ").unwrap_or(line);
        match serde_json::from_str::<Value>(line) {
            Ok(document) => messages.push(document["message"].as_str().unwrap().to_owned()),
            Err(_) => strange += 1,
        }
    }
    (messages, strange)
}

/// Every line of all files, how many there are, and which file has some that are no documents.
fn written(folder: &Path) -> (Seen, usize, Vec<String>) {
    let (mut seen, mut count, mut broken) = (Seen::default(), 0, Vec::new());
    // The oldest first.
    let names = (1..=100).rev().map(|nth| format!("lines.log.{nth}"));
    for name in names.chain(["lines.log".to_owned()]) {
        let (messages, strange) = messages(&folder.join(&name));
        count += messages.len();
        if strange > 0 {
            broken.push(format!("{name}: {strange} lines are no documents"));
        }
        for text in messages.iter().filter(|text| *text != "between") {
            seen.add(text);
        }
    }
    (seen, count, broken)
}

/// How many lines of all writers are not in the output, and how many are there more than once.
fn printed(folder: &Path, lines: &[usize]) -> (usize, usize) {
    // Torn where it was killed, and whole again behind that; what the test runner says is no document.
    let mut seen = Seen::default();
    for text in messages(&folder.join("stdout.log")).0 {
        seen.add(&text);
    }
    let (mut lost, mut doubled) = (0, 0);
    for (writer, written) in lines.iter().enumerate() {
        let (more_lost, more_doubled) = seen.lost_and_doubled(writer, *written);
        lost += more_lost;
        doubled += more_doubled;
    }
    (lost, doubled)
}

#[test]
fn each_line_is_in_the_file_once_and_in_the_output_at_least_once() {
    let kills = if std::env::var_os("SKOPOS_TEST_LONG").is_some() {
        60
    } else {
        6
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pods = folder.join("pods");
    let mut child = start(folder);
    // What was rotated away before the first start is nobody's.
    for name in ["file", "stdout"] {
        let segments = folder.join("data/logs").join(name);
        while !std::fs::read_dir(&segments).is_ok_and(|mut all| all.next().is_some()) {
            wait(Duration::from_millis(10));
        }
    }
    let mut writers: Vec<Writer> = (0..CONTAINERS)
        .map(|number| Writer::container(&pods, number).unwrap())
        .collect();
    let mut chance = Writer::plain(&folder.join("chance"), 99).unwrap();
    for life in 0..=kills {
        for _ in 0..6 {
            write_a_round(&mut writers, &mut chance).unwrap();
            wait(Duration::from_millis(chance.below(120)));
        }
        if life < kills {
            child.kill().unwrap();
            child.wait().unwrap();
            child = start(folder);
        }
    }
    let total: usize = writers.iter().map(|writer| writer.next).sum();
    let between: usize = writers.iter().map(|writer| writer.next.div_ceil(7)).sum();
    let lines: Vec<usize> = writers.iter().map(|writer| writer.next).collect();
    // Each has a reader of its own, and none waits for the other. A line may be half written while it is looked at here.
    let begun = Instant::now();
    let is_whole = || written(folder).1 >= total + between && printed(folder, &lines).0 == 0;
    while !is_whole() && begun.elapsed() < Duration::from_secs(180) {
        wait(Duration::from_millis(200));
    }
    wait(Duration::from_secs(1));
    child.kill().unwrap();
    child.wait().unwrap();
    let (seen, _, broken) = written(folder);
    assert!(broken.is_empty(), "{broken:?}");
    judge(&seen, &lines, &format!("the file, killed {kills} times"));
    assert!(folder.join("lines.log.1").exists(), "it was rotated");

    let (lost, doubled) = printed(folder, &lines);
    println!("standard output, killed {kills} times: lost {lost}, doubled {doubled} of {total}");
    assert_eq!(lost, 0);
}

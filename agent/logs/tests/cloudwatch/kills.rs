//! A process that sends rotating files to CloudWatch Logs is killed again and again.
//!
//! `SKOPOS_TEST_LONG=1` kills 200 times.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fake_aws::FakeAws;
use logs::Logs;
use model::{Clock, Timestamp};
use prometheus::Registry;
use serde_json::json;
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

use super::generator::{Writer, finish, judge, wait, write_a_round};
use super::room::{config, outside_at};
use super::{NOW, Sorted, entry, is_long};

const CHILD: &str = "SKOPOS_LOGS_CLOUDWATCH_CHILD";
const PLAIN: usize = 5;
const CONTAINERS: usize = 10;

fn system_millis() -> i64 {
    RuntimeClock::system().now().0
}

/// What the killed process runs; as a test of its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    let Some(words) = std::env::var(CHILD).ok() else {
        return;
    };
    let words: Vec<&str> = words.split(' ').collect();
    let [folder, ahead_millis, url, access_key, secret_key] = words.as_slice() else {
        panic!("{words:?}")
    };
    // The same time in all lives.
    let clock = RuntimeClock::starting_at(Timestamp(system_millis() + ahead_millis.parse::<i64>().unwrap()));
    let folder = PathBuf::from(folder);
    let data = folder.join("data");
    let entry = entry(url, (access_key, secret_key), &json!({}));
    let config = config(&folder, "cloudwatch", &entry);
    let outside = outside_at(clock);
    let logs = Logs::new(&config, data.join("logs"), &data, outside, &Registry::new()).unwrap();
    logs.run(CancellationToken::new()).await;
}

struct Process {
    child: Child,
    words: String,
}

impl Process {
    fn start(words: String) -> Self {
        Self {
            child: spawn(&words),
            words,
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = spawn(&self.words);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop((self.child.kill(), self.child.wait()));
    }
}

fn spawn(words: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::child", "--nocapture", "--test-threads=1"])
        .env(CHILD, words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The first start must be older than the files, else they are read from where `read_from` says.
fn wait_for_start(folder: &Path) {
    let started = Instant::now();
    while !folder.join("data/logs/cloudwatch/0000000001.segment").exists() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "the child does not start"
        );
        wait(Duration::from_millis(10));
    }
    wait(Duration::from_millis(100));
}

#[test]
fn no_line_is_lost_whatever_is_killed_and_what_is_there_twice_has_one_id() {
    let kills = if is_long() { 200 } else { 8 };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("plain")).unwrap();
    let ahead_millis = NOW.0 - system_millis();
    let fake = FakeAws::start(RuntimeClock::starting_at(NOW));
    let user = fake.user();
    let mut process = Process::start(format!(
        "{} {ahead_millis} {} {} {}",
        folder.path().display(),
        fake.url(),
        user.access_key,
        user.secret_key
    ));
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
            wait(Duration::from_millis(chance.below(400)));
        }
        if life < kills {
            process.kill();
            if chance.below(2) == 0 {
                write_a_round(&mut writers, &mut chance).unwrap();
            }
            process.start_again();
        }
    }
    let written = finish(&mut writers).unwrap();
    let sorted = read_back(&fake, written.iter().sum::<usize>() + between(&written));
    let again = sorted.again;
    judge(
        &sorted.seen,
        &written,
        &format!("killed {kills} times; {again} of them again, with the same id"),
    );
    assert_eq!(sorted.between, between(&written), "lines between pieces");
}

/// Lines of the other stream that stand between the pieces of every seventh line of a container.
fn between(written: &[usize]) -> usize {
    written.iter().skip(PLAIN).map(|lines| lines.div_ceil(7)).sum()
}

/// All events, when there are as many different ones as lines, or no more come.
fn read_back(fake: &FakeAws, want: usize) -> Sorted {
    let groups = ["/skopos/shop", "/skopos/host"];
    let (mut count, mut quiet) = (0, Instant::now());
    while quiet.elapsed() < Duration::from_secs(if count < want { 40 } else { 3 }) {
        let now = fake.logs(|logs| {
            let streams = groups
                .iter()
                .flat_map(|group| logs.streams(group).into_iter().map(move |stream| (group, stream)));
            streams
                .map(|(group, stream)| logs.events(group, &stream).len())
                .sum()
        });
        if now != count {
            (count, quiet) = (now, Instant::now());
        }
        wait(Duration::from_millis(300));
    }
    println!("{count} events of {want} lines");
    fake.logs(|logs| {
        let mut sorted = Sorted::default();
        for group in groups {
            for stream in logs.streams(group) {
                // One at a time: all of them are gigabytes.
                for event in logs.events(group, &stream) {
                    sorted.add(&serde_json::from_str(&event.message).unwrap());
                }
            }
        }
        sorted
    })
}

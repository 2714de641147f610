//! A process that sends rotating files to a real OpenSearch is killed again and again.
//!
//! `SKOPOS_TEST_LONG=1` kills 200 times.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use logs::Logs;
use opensearch_tests::Node;
use prometheus::Registry;
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

use super::entry;
use super::generator::{Seen, Writer, finish, judge, wait, write_a_round};
use super::room::{config, outside_at};

const CHILD: &str = "SKOPOS_LOGS_OPENSEARCH_CHILD";
const PLAIN: usize = 5;
const CONTAINERS: usize = 10;

/// What the killed process runs; as a test of its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    let Some(words) = std::env::var(CHILD).ok() else {
        return;
    };
    let words: Vec<&str> = words.split(' ').collect();
    let [folder, url, index] = words.as_slice() else {
        panic!("{words:?}")
    };
    let folder = PathBuf::from(folder);
    let data = folder.join("data");
    let entry = entry(url, &serde_json::json!({ "index": index }));
    let config = config(&folder, "opensearch", &entry);
    let clock = RuntimeClock::system();
    let outside = outside_at(clock.clone());
    let logs = Logs::new(&config, data.join("logs"), &data, outside, &Registry::new()).unwrap();
    let following = async {
        loop {
            // As the hall does every second.
            tokio::time::sleep(Duration::from_millis(100)).await;
            _ = clock.follow_system();
        }
    };
    tokio::join!(logs.run(CancellationToken::new()), following);
}

pub(crate) struct Process {
    child: Child,
    words: String,
    variables: Vec<(String, String)>,
}

impl Process {
    fn start(folder: &Path, url: &str, index: &str) -> Self {
        Self::start_with(folder, url, index, &[])
    }

    /// With variables of its environment.
    pub(crate) fn start_with(folder: &Path, url: &str, index: &str, variables: &[(&str, String)]) -> Self {
        let words = format!("{} {url} {index}", folder.display());
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let variables: Vec<(String, String)> = variables.collect();
        Self {
            child: spawn(&words, &variables),
            words,
            variables,
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.words, &self.variables);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop((self.child.kill(), self.child.wait()));
    }
}

fn spawn(words: &str, variables: &[(String, String)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::child", "--nocapture", "--test-threads=1"])
        .env(CHILD, words)
        .envs(variables.iter().cloned())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn writers(folder: &Path) -> Vec<Writer> {
    let (plain, pods) = (folder.join("plain"), folder.join("pods"));
    (0..PLAIN)
        .map(|number| Writer::plain(&plain, number).unwrap())
        .chain((PLAIN..PLAIN + CONTAINERS).map(|number| Writer::container(&pods, number).unwrap()))
        .collect()
}

/// The first start must be older than the files, else they are read from where `read_from` says.
pub(crate) fn wait_for_start(folder: &Path) {
    let started = Instant::now();
    while !folder.join("data/logs/opensearch/0000000001.segment").exists() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "the child does not start"
        );
        wait(Duration::from_millis(10));
    }
    wait(Duration::from_millis(100));
}

#[test]
fn every_line_is_in_opensearch_once_whatever_is_killed() {
    let Some(node) = Node::shared() else { return };
    let long = std::env::var_os("SKOPOS_TEST_LONG").is_some();
    let kills = if long { 200 } else { 8 };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("plain")).unwrap();
    let mut process = Process::start(folder.path(), &node.url(), "killed");
    wait_for_start(folder.path());
    let mut writers = writers(folder.path());
    let mut chance = Writer::plain(&folder.path().join("chance"), 99).unwrap();
    for life in 0..=kills {
        for _ in 0..5 {
            write_a_round(&mut writers, &mut chance).unwrap();
            wait(Duration::from_millis(chance.below(if long { 600 } else { 400 })));
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
    let seen = read_back(node, "killed", &written);
    judge(&seen, &written, &format!("killed {kills} times"));
}

/// Lines of the other stream that stand between the pieces of every seventh line of a container.
fn between(written: &[usize]) -> usize {
    written.iter().skip(PLAIN).map(|lines| lines.div_ceil(7)).sum()
}

/// Reads all documents when there are as many as lines, or no more come.
fn read_back(node: &Node, index: &str, written: &[usize]) -> Seen {
    let pattern = format!("{index}-*");
    let want = written.iter().sum::<usize>() + between(written);
    let (mut count, mut quiet) = (0, Instant::now());
    while quiet.elapsed() < Duration::from_secs(if count < want { 40 } else { 3 }) {
        node.refresh(&pattern);
        let now = usize::try_from(node.count(&pattern)).unwrap();
        if now != count {
            (count, quiet) = (now, Instant::now());
        }
        wait(Duration::from_millis(200));
    }
    let (mut seen, mut gaps) = (Seen::default(), 0);
    for (_, document) in node.documents(&pattern) {
        match document.get("message").and_then(serde_json::Value::as_str) {
            Some("between") => gaps += 1,
            text => seen.add(text.unwrap_or_default()),
        }
    }
    println!("{count} documents of {want} lines");
    assert_eq!(gaps, between(written), "lines between pieces");
    seen
}

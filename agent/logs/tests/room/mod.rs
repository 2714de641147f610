//! The room in this process, with containers that write into a folder of its own.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test that includes this uses a part of it"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws::Aws;
use logs::{Config, Handle, Logs, Outside};
use prometheus::Registry;
use serde_json::{Value, json};
use telemetry::clock::RuntimeClock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::generator::{Seen, Writer, wait};

const CONTAINERS: usize = 6;

/// Lines of `folder` to one sink and nowhere else: an entry of the section of its kind.
pub fn config(folder: &Path, kind: &str, entry: &Value) -> Config {
    serde_json::from_value(json!({
        "files": [format!("{}/plain/*.log", folder.display())],
        "containers": folder.join("pods"),
        "docker": folder.join("docker"),
        "local": false,
        kind: [entry],
    }))
    .unwrap()
}

pub fn outside() -> Outside {
    outside_at(RuntimeClock::system())
}

/// At another time than the system's.
pub fn outside_at(clock: Arc<RuntimeClock>) -> Outside {
    let client = net::HttpClient::new().unwrap();
    let aws = Aws::new(
        aws::Config::default(),
        client.clone(),
        clock.clone(),
        &Registry::new(),
    );
    Outside {
        clock,
        client,
        aws: aws.unwrap(),
        host: "here".to_owned(),
        pods: None,
        once: None,
    }
}

pub struct Room {
    folder: tempfile::TempDir,
    /// The sink's name.
    sink: String,
    pub registry: Registry,
    pub handle: Handle,
    stop: CancellationToken,
    running: JoinHandle<()>,
    pub writers: Vec<Writer>,
}

impl Room {
    /// With this entry of a section as its only sink.
    pub fn start(kind: &str, entry: &Value, outside: Outside) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), kind, entry, outside, |_| {})
    }

    /// In a folder that there is, with another configuration.
    pub fn start_in(
        folder: tempfile::TempDir,
        kind: &str,
        entry: &Value,
        outside: Outside,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let registry = Registry::new();
        let data = folder.path().join("data");
        // Where there is no such folder yet it is looked for every five seconds.
        std::fs::create_dir_all(folder.path().join("pods")).unwrap();
        let mut config = config(folder.path(), kind, entry);
        change(&mut config);
        let logs = Logs::new(&config, data.join("logs"), &data, outside, &registry).unwrap();
        let (handle, stop) = (logs.handle(), CancellationToken::new());
        let running = tokio::spawn(logs.run(stop.clone()));
        let pods = folder.path().join("pods");
        let writers = (0..CONTAINERS).map(|number| Writer::container(&pods, number).unwrap());
        Self {
            writers: writers.collect(),
            running,
            sink: kind.to_owned(),
            folder,
            registry,
            handle,
            stop,
        }
    }

    /// Each container writes so many lines.
    pub fn write(&mut self, lines: usize) {
        for writer in &mut self.writers {
            writer.write(lines).unwrap();
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Appends to a file that only this test knows.
    pub fn write_plain(&self, text: &str) {
        use std::io::Write;
        let folder = self.folder.path().join("plain");
        std::fs::create_dir_all(&folder).unwrap();
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("extra.log"));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub fn written(&self) -> Vec<usize> {
        self.writers.iter().map(|writer| writer.next).collect()
    }

    /// Lines of all containers with those that stand between their pieces.
    pub fn lines(&self) -> usize {
        self.written().iter().map(|lines| lines + lines.div_ceil(7)).sum()
    }

    pub fn dead_letters(&self) -> Vec<Value> {
        let path = self
            .folder
            .path()
            .join(format!("data/logs/{}/dead-letters.ndjson", self.sink));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// All values of a counter together.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.registry.gather();
        let metrics = families
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(|family| family.get_metric());
        let fits = metrics.filter(|metric| {
            labels.iter().all(|(name, value)| {
                metric
                    .get_label()
                    .iter()
                    .any(|label| label.name() == *name && label.value() == *value)
            })
        });
        fits.map(|metric| metric.get_counter().get_value()).sum()
    }

    /// Waits until so many records are settled. The ledger must balance all the time.
    pub async fn settled(&self, records: usize) {
        let begun = Instant::now();
        loop {
            let ledger = self.handle.ledger();
            assert!(ledger.balances(), "{ledger:?}");
            let dropped: u64 = ledger.dropped.values().sum();
            let now = usize::try_from(ledger.given + dropped).unwrap();
            assert!(now <= records, "{now} of {records}: {ledger:?}");
            if now == records {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "{now} of {records} settled: {:?}",
                self.handle.state().sinks
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns its folder.
    pub async fn stop(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.running.await.unwrap();
        self.folder
    }

    /// Until all of so many records are settled, or nothing happens any more; returns how many are.
    pub async fn still(&self, records: usize, patience: Duration) -> usize {
        let (mut last, mut since) = (0, Instant::now());
        while last < records && since.elapsed() < patience {
            let ledger = self.handle.ledger();
            assert!(ledger.balances(), "{ledger:?}");
            let now = usize::try_from(ledger.given + ledger.dropped.values().sum::<u64>()).unwrap();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        last
    }
}

/// Sorts messages into numbered lines, those between pieces, and others.
pub fn sort(messages: impl Iterator<Item = String>) -> (Seen, usize, Vec<String>) {
    let (mut seen, mut between, mut others) = (Seen::default(), 0, Vec::new());
    for text in messages {
        if text == "between" {
            between += 1;
        } else if text.starts_with("extra") {
            others.push(text);
        } else {
            seen.add(&text);
        }
    }
    (seen, between, others)
}

/// Real time, for what happens outside of this process.
pub fn pause(time: Duration) {
    wait(time);
}

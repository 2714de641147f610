//! Events of log groups, read from an AWS with empty pages, late events and few requests a second, into an OpenSearch that
//! knows them by their ids.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_aws::{FakeAws, Fault, REGION};
use journal::{Disk, Journal};
use logs::{Config, Handle, Logs, Once};
use model::{Clock, Leadership};
use opensearch_tests::Fake;
use prometheus::Registry;
use serde_json::json;
use telemetry::clock::RuntimeClock;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::is_long;
use super::room::outside_at;

const CHILD: &str = "SKOPOS_LOGS_READING_CHILD";
const PATIENCE: Duration = Duration::from_secs(60);

/// Log groups of this AWS to this OpenSearch, and nothing else.
fn config(aws: &str, (access_key, secret_key): (&str, &str), search: &str) -> Config {
    let config = serde_json::from_value(json!({
        "files": [],
        "containers": "",
        "docker": "",
        "local": false,
        "opensearch": [{"url": search, "index": "logs", "replicas": 0, "wait": "50ms"}],
        "cloudwatch_sources": [{
            "region": REGION,
            "endpoint": aws,
            "sigv4": {"access_key": access_key, "secret_key": secret_key},
            "groups": ["/aws/rds/*/postgresql", "plain"],
            "poll": "1s",
            "lateness": "1m",
            "timeout": "2s",
            "requests_per_second": 5,
        }],
    }));
    config.unwrap()
}

/// What the killed process runs; as a test of its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    let Some(words) = std::env::var(CHILD).ok() else {
        return;
    };
    let words: Vec<&str> = words.split(' ').collect();
    let [folder, aws, access_key, secret_key, search] = words.as_slice() else {
        panic!("{words:?}")
    };
    let data = Path::new(folder).join("data");
    let mut outside = outside_at(RuntimeClock::system());
    let (_lead, leadership) = watch::channel(Leadership::standalone());
    outside.once = Some(Once {
        journal: Journal::open(Disk::new(Path::new(folder)), Path::new("kept")).unwrap(),
        leadership,
    });
    let config = config(aws, (access_key, secret_key), search);
    let logs = Logs::new(&config, data.join("logs"), &data, outside, &Registry::new()).unwrap();
    logs.run(CancellationToken::new()).await;
}

/// Killed when it is dropped.
struct Process(std::process::Child);

impl Process {
    fn start(stage: &Stage) -> Self {
        let words = format!(
            "{} {} {} {} {}",
            stage.folder.path().display(),
            stage.aws.url(),
            stage.key.0,
            stage.key.1,
            stage.search.url()
        );
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "reading::child", "--nocapture", "--test-threads=1"])
            .env(CHILD, words)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop((self.0.kill(), self.0.wait()));
    }
}

/// A room that reads log groups, and nothing else.
struct Reader {
    handle: Handle,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

struct Stage {
    clock: Arc<RuntimeClock>,
    aws: FakeAws,
    key: (String, String),
    search: Fake,
    folder: tempfile::TempDir,
    journal: Journal,
    lead: watch::Sender<Leadership>,
    /// Messages of all events that were put, by id.
    put: BTreeMap<String, String>,
}

impl Stage {
    fn new() -> Self {
        let (clock, folder) = (RuntimeClock::system(), tempfile::tempdir().unwrap());
        let aws = FakeAws::start(clock.clone());
        let user = aws.user();
        let journal = Journal::open(Disk::new(folder.path()), Path::new("kept")).unwrap();
        Self {
            clock,
            aws,
            key: (user.access_key, user.secret_key),
            search: Fake::start(),
            folder,
            journal,
            lead: watch::Sender::new(Leadership::standalone()),
            put: BTreeMap::new(),
        }
    }

    /// With a data folder of this name.
    fn start(&self, data: &str) -> Reader {
        self.start_as(data, &self.lead)
    }

    fn start_as(&self, data: &str, lead: &watch::Sender<Leadership>) -> Reader {
        let data = self.folder.path().join(data);
        let mut outside = outside_at(self.clock.clone());
        outside.once = Some(Once {
            journal: self.journal.clone(),
            leadership: lead.subscribe(),
        });
        let config = config(&self.aws.url(), (&self.key.0, &self.key.1), &self.search.url());
        let room = Logs::new(&config, data.join("logs"), &data, outside, &Registry::new()).unwrap();
        let (handle, stop) = (room.handle(), CancellationToken::new());
        Reader {
            handle,
            running: tokio::spawn(room.run(stop.clone())),
            stop,
        }
    }

    /// Events of now, over three groups, one of which nobody asks for.
    fn put(&mut self, count: usize) {
        let now = self.clock.now();
        for _ in 0..count {
            let number = self.put.len();
            let place = match number % 3 {
                0 => ("/aws/rds/shop/postgresql", "shop.0"),
                1 => ("/aws/rds/cart/postgresql", "cart.0"),
                _ => ("plain", "a stream"),
            };
            let message = format!("2026-01-01 ERROR: event {number}");
            let id = self.aws.logs(|logs| logs.add(place, now, &message, now));
            self.put.insert(id, message);
            self.aws
                .logs(|logs| logs.add(("/aws/rds/shop/upgrade", "x"), now, "not asked for", now));
        }
    }

    /// Waits until all that was put is there, under its id and once, and nothing else.
    async fn settled(&self, what: &str) {
        let begun = Instant::now();
        loop {
            let documents = self.search.documents("logs-*");
            if documents.len() >= self.put.len() {
                let found = documents.into_iter();
                let found =
                    found.map(|(id, document)| (id, document["message"].as_str().unwrap().to_owned()));
                assert_eq!(found.collect::<BTreeMap<_, _>>(), self.put, "{what}");
                let known = self.search.counters().items_by_status.get(&409).copied();
                println!(
                    "{} events, {what}: 0 lost, {} sent again and known",
                    self.put.len(),
                    known.unwrap_or(0)
                );
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}: {} of {}; {:?}",
                documents.len(),
                self.put.len(),
                self.aws.seen().iter().rev().take(5).collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Reader {
    async fn stop(self) {
        let ledger = self.handle.groups().unwrap().ledger();
        assert!(ledger.balances(), "{ledger:?}");
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_read_once_by_their_ids_through_empty_pages_faults_and_few_requests() {
    let mut stage = Stage::new();
    stage.aws.logs(|logs| {
        logs.empty_pages = 2;
        logs.page_bytes_max = Some(2_000);
    });
    stage.put(100);
    let reader = stage.start("data");
    stage.settled("before the start, within an hour").await;
    for fault in [Fault::Broken, Fault::Throttled, Fault::LosesAnswer, Fault::Hangs] {
        stage.aws.fails("FilterLogEvents", 2, fault);
        stage.put(50);
        stage.settled(&format!("{fault:?}")).await;
    }
    let documents = stage.search.documents("logs-*");
    let (_, document) = documents
        .iter()
        .find(|(_, document)| document["origin"]["log_group"] == "plain")
        .unwrap();
    let origin = json!({"log_group": "plain", "log_stream": "a stream", "region": REGION});
    assert_eq!(
        (&document["origin"], &document["level"]),
        (&origin, &"error".into())
    );
    let service = &reader.handle.state().services[0];
    assert_eq!(
        (service.groups, service.reads, service.region.as_str()),
        (3, true, REGION)
    );
    assert_eq!(service.events, stage.put.len() as u64);
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_events_are_read_when_aws_shows_them() {
    let mut stage = Stage::new();
    let reader = stage.start("data");
    stage.put(10);
    stage.settled("in time").await;
    // Later than a look goes back, and within the lateness.
    stage.aws.logs(|logs| logs.late = Duration::from_secs(45));
    stage.put(10);
    let late = std::mem::take(&mut stage.put);
    stage.aws.logs(|logs| logs.late = Duration::ZERO);
    let (shown, hidden): (BTreeMap<_, _>, BTreeMap<_, _>) = late
        .into_iter()
        .partition(|(_, message)| message.rsplit(' ').next().unwrap().parse::<usize>().unwrap() < 10);
    stage.put = shown;
    let looks = |stage: &Stage| stage.aws.count("FilterLogEvents");
    for _ in 0..3 {
        stage.clock.skew(12_000);
        let before = looks(&stage);
        let begun = Instant::now();
        while looks(&stage) < before + 6 {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    stage.settled("late ones are not shown yet").await;
    stage.clock.skew(12_000);
    stage.put.extend(hidden);
    stage.settled("late ones").await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_gets_the_lease_goes_on_where_the_other_was() {
    let mut stage = Stage::new();
    let other = watch::Sender::new(Leadership::unknown());
    let (one, two) = (stage.start("one"), stage.start_as("two", &other));
    for turn in 0..4 {
        stage.put(30);
        tokio::time::sleep(Duration::from_millis(700)).await;
        let (mut here, mut there) = (Leadership::standalone(), Leadership::unknown());
        if turn % 2 == 0 {
            std::mem::swap(&mut here, &mut there);
        }
        stage.lead.send_replace(here);
        other.send_replace(there);
        stage.put(10);
        tokio::time::sleep(Duration::from_millis(1_800)).await;
    }
    stage.settled("with the lease going to and fro").await;
    for reader in [one, two] {
        assert!(reader.handle.state().services[0].events > 0);
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_lost_by_kill_minus_nine() {
    let mut stage = Stage::new();
    let kills = if is_long() { 100 } else { 5 };
    for kill in 0..kills {
        let process = Process::start(&stage);
        stage.put(30);
        tokio::time::sleep(Duration::from_millis(300 + 731 * kill % 1_900)).await;
        stage.put(10);
        drop(process);
    }
    let process = Process::start(&stage);
    stage.settled(&format!("killed {kills} times")).await;
    drop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_hold_the_lease_reads_nothing() {
    let mut stage = Stage::new();
    stage.lead.send_replace(Leadership::unknown());
    let reader = stage.start("data");
    stage.put(10);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        stage.aws.count("FilterLogEvents") + stage.aws.count("DescribeLogGroups"),
        0
    );
    assert!(!reader.handle.state().services[0].reads);
    stage.lead.send_replace(Leadership::standalone());
    stage.settled("with the lease").await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_not_there_is_named_and_holds_up_no_other() {
    let mut stage = Stage::new();
    stage.put(2);
    let reader = stage.start("data");
    let begun = Instant::now();
    loop {
        let troubles = reader.handle.state().services[0].troubles.clone();
        if troubles
            .first()
            .is_some_and(|(group, why)| group == "plain" && why.contains("does not exist"))
        {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{troubles:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.settled("beside one that is not there").await;
    reader.stop().await;
}

//! Senders of the Forward protocol against a process that is killed again and again: acknowledged is kept.
//!
//! Each record has its sender and its number, so that lost and doubled ones are counted apart: the first must be none,
//! the second is what the protocol allows. Senders are one of our own, the project's clients for Node and Python, and a
//! Fluentd where there is one. `SKOPOS_TEST_LONG=1` kills ten times as often.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where it stands, and says what it counted"
)]

mod judge;
mod sender;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use logs::{Config, Logs, Outside};
use opensearch_tests::Fake;
use programs::Running;
use prometheus::Registry;
use serde_json::json;
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

use judge::Seen;
use sender::Sender;

const CHILD: &str = "SKOPOS_FORWARD_CHILD";
const PORT: &str = "SKOPOS_FORWARD_PORT";
const KEY: &str = "a key that both know";

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
    let (Some(folder), Ok(port)) = (std::env::var_os(CHILD).map(PathBuf::from), std::env::var(PORT)) else {
        return;
    };
    let config: Config = serde_json::from_value(json!({
        "files": [],
        "containers": "", "docker": "",
        "retention": {"size": "4GiB"},
        "spool_bytes_max": "64MiB",
        "forward": {"listen": format!("127.0.0.1:{port}"), "shared_key": KEY},
    }))
    .unwrap();
    let outside = outside();
    let data = folder.join("data");
    let logs = Logs::new(&config, data.join("logs"), &data, outside, &Registry::new()).unwrap();
    logs.run(CancellationToken::new()).await;
}

/// Skopos' log room in a process of its own, which can be killed.
struct House {
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl House {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .unwrap()
            .port();
        let child = Self::run(folder.path(), port);
        Self { folder, port, child }
    }

    fn run(folder: &Path, port: u16) -> Child {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, folder)
            .env(PORT, port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "the child does not listen"
            );
            pause(Duration::from_millis(10));
        }
        child
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `kill -9`, again and again, while others send.
    fn kill_often(&mut self, kills: u64) {
        for nth in 0..kills {
            pause(Duration::from_millis(150 + nth * 37 % 400));
            self.kill();
            pause(Duration::from_millis(nth * 53 % 150));
            self.child = Self::run(self.folder.path(), self.port);
        }
    }

    /// Waits until the spool is empty but for the file being written, and so all is in the segments; then kills.
    fn read_back(mut self, wanted: &[(usize, usize)]) -> Seen {
        let folder = self.folder.path().join("data/logs");
        let begun = Instant::now();
        loop {
            let seen = judge::read(&folder);
            let missing: usize = wanted
                .iter()
                .map(|(sender, numbers)| seen.missing(*sender, *numbers))
                .sum();
            if missing == 0 || begun.elapsed() > Duration::from_secs(60) {
                // What comes twice may come a little later.
                pause(Duration::from_secs(1));
                self.kill();
                return judge::read(&folder);
            }
            pause(Duration::from_millis(100));
        }
    }
}

fn pause(time: Duration) {
    let (_keep, never) = std::sync::mpsc::sync_channel::<()>(0);
    _ = never.recv_timeout(time);
}

fn kills() -> u64 {
    if std::env::var_os("SKOPOS_TEST_LONG").is_some() {
        100
    } else {
        10
    }
}

#[test]
fn acknowledged_is_kept_through_kill_minus_nine() {
    let mut house = House::start();
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4)
        .map(|number| {
            let (stop, mut sender) = (Arc::clone(&stop), Sender::new(house.port, KEY, number));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    sender.send(25);
                }
                sender
            })
        })
        .collect();
    house.kill_often(kills());
    stop.store(true, Ordering::Relaxed);
    let senders: Vec<Sender> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    let wanted: Vec<(usize, usize)> = senders
        .iter()
        .map(|sender| (sender.number, sender.acknowledged))
        .collect();
    let (records, again): (usize, usize) = (
        senders.iter().map(|sender| sender.acknowledged).sum(),
        senders.iter().map(|sender| sender.again).sum(),
    );
    let seen = house.read_back(&wanted);
    let lost: usize = wanted
        .iter()
        .map(|(sender, numbers)| seen.missing(*sender, *numbers))
        .sum();
    println!(
        "killed {} times: {records} records acknowledged, lost {lost}, twice {} ({again} sent again), strange {}",
        kills(),
        seen.doubled(),
        seen.strange
    );
    assert!(records > 1_000, "{records}");
    assert_eq!((lost, seen.strange), (0, 0));
    assert!(seen.doubled() <= again, "twice only what was sent again");
}

#[test]
fn senders_that_bring_too_much_wait_until_the_sink_is_back_and_lose_nothing() {
    let fake = Fake::start();
    fake.close();
    let folder = tempfile::tempdir().unwrap();
    let config: Config = serde_json::from_value(json!({
        "files": [], "containers": "", "docker": "", "local": false, "spool_bytes_max": "64MiB",
        "opensearch": [{"url": fake.url(), "replicas": 0}],
        "forward": {"listen": "127.0.0.1:0", "shared_key": KEY},
    }))
    .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outside = outside();
    let data = folder.path().join("data");
    let logs = Logs::new(&config, data.join("logs"), &data, outside, &Registry::new()).unwrap();
    let (handle, ending) = (logs.handle(), CancellationToken::new());
    let running = runtime.spawn(logs.run(ending.clone()));
    let port = handle.input().unwrap().address().port();
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4)
        .map(|number| {
            let (stop, mut sender) = (Arc::clone(&stop), Sender::new(port, KEY, number));
            sender.padding = "x".repeat(5_000);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    sender.send(200);
                }
                sender
            })
        })
        .collect();
    let begun = Instant::now();
    while handle.state().inputs.iter().all(|input| input.trouble.is_none()) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the spool is never full"
        );
        pause(Duration::from_millis(10));
    }
    pause(Duration::from_secs(2));
    let state = handle.state();
    let waiting = handle.input().unwrap().ledger();
    assert!(state.spool_bytes <= state.spool_bytes_max && waiting.balances());
    let taken = waiting.given;
    pause(Duration::from_secs(1));
    assert_eq!(
        handle.input().unwrap().ledger().given,
        taken,
        "nothing is taken while it is full"
    );
    fake.open();
    let begun = Instant::now();
    while handle.input().unwrap().ledger().given < 2 * taken {
        assert!(begun.elapsed() < Duration::from_secs(90), "senders do not go on");
        pause(Duration::from_millis(50));
    }
    stop.store(true, Ordering::Relaxed);
    let senders: Vec<Sender> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    let acknowledged: usize = senders.iter().map(|sender| sender.acknowledged).sum();
    let again: usize = senders.iter().map(|sender| sender.again).sum();
    let begun = Instant::now();
    while fake.count("logs-*") < acknowledged && begun.elapsed() < Duration::from_secs(90) {
        pause(Duration::from_millis(100));
    }
    ending.cancel();
    runtime.block_on(running).unwrap();
    let mut seen = Seen::default();
    fake.each("logs-*", |_, document| {
        seen.add(&String::from_utf8_lossy(document))
    });
    let lost: usize = senders
        .iter()
        .map(|sender| seen.missing(sender.number, sender.acknowledged))
        .sum();
    println!(
        "full at {taken} records of 5 kB: {acknowledged} acknowledged, lost {lost}, twice {} ({again} sent again)",
        seen.doubled()
    );
    assert_eq!((lost, seen.strange), (0, 0));
    assert!(seen.doubled() <= again);
    let ledger = handle.input().unwrap().ledger();
    assert!(ledger.balances() && ledger.in_flight == 0, "{ledger:?}");
}

/// A file of numbered lines that a Fluentd reads, or none when it is not here.
fn fluentd(folder: &Path, port: u16, number: usize) -> Option<Running> {
    let program = programs::find("fluentd")?;
    let folder = folder.display();
    let config = format!(
        r#"
<source>
  @type tail
  path {folder}/in.log
  pos_file {folder}/in.pos
  tag app.fluentd
  read_from_head true
  refresh_interval 1s
  <parse>
    @type none
  </parse>
</source>
<match app.**>
  @type forward
  require_ack_response true
  ack_response_timeout 3s
  compress gzip
  heartbeat_type udp
  heartbeat_interval 1s
  recover_wait 1s
  <security>
    self_hostname sender-{number}
    shared_key {KEY}
  </security>
  <server>
    host 127.0.0.1
    port {port}
  </server>
  <buffer>
    @type file
    path {folder}/buffer
    flush_interval 0.1
    flush_at_shutdown true
    retry_type periodic
    retry_wait 0.3
    retry_forever true
    chunk_limit_size 256k
  </buffer>
</match>
"#
    );
    let path = format!("{folder}/fluent.conf");
    std::fs::write(&path, config).unwrap();
    let log = std::fs::File::create(format!("{folder}/fluentd.log")).unwrap();
    let mut command = Command::new(program);
    // Supervisor and worker in one, so that no process outlives the test.
    command
        .args(["-c", &path, "--no-supervisor"])
        .stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    Some(Running(command.spawn().unwrap()))
}

#[test]
fn a_real_fluentd_loses_nothing_while_we_are_killed() {
    use std::io::Write;
    let mut house = House::start();
    let sending = tempfile::tempdir().unwrap();
    let Some(fluentd) = fluentd(sending.path(), house.port, 7) else {
        house.kill();
        return;
    };
    let stop = Arc::new(AtomicBool::new(false));
    let mut file = std::fs::File::create(sending.path().join("in.log")).unwrap();
    let writing = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            let mut next = 0;
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..50 {
                    writeln!(file, "{}", judge::line(7, next)).unwrap();
                    next += 1;
                }
                pause(Duration::from_millis(20));
            }
            next
        })
    };
    // It takes a while to start.
    pause(Duration::from_secs(4));
    house.kill_often(kills());
    stop.store(true, Ordering::Relaxed);
    let written = writing.join().unwrap();
    let seen = house.read_back(&[(7, written)]);
    drop(fluentd);
    let lost = seen.missing(7, written);
    println!(
        "fluentd, killed {} times: {written} lines, lost {lost}, twice {}, strange {}",
        kills(),
        seen.doubled(),
        seen.strange
    );
    let log = std::fs::read_to_string(sending.path().join("fluentd.log")).unwrap();
    assert_eq!((lost, seen.strange), (0, 0), "{log}");
}

/// Runs a client's script against a house that is killed meanwhile; what it prints is how many it was told are kept.
fn client(mut command: Command, mut house: House, kills: u64) -> (Vec<usize>, House) {
    let mut running = command.stdout(Stdio::piped()).spawn().unwrap();
    if kills > 0 {
        pause(Duration::from_millis(300));
        house.kill_often(kills);
    }
    let begun = Instant::now();
    while running.try_wait().unwrap().is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "the client does not end"
        );
        pause(Duration::from_millis(50));
    }
    let output = running.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let counts = text.split_whitespace().map(|count| count.parse().unwrap());
    (counts.collect(), house)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/forward")
        .join(name)
}

#[test]
fn the_client_for_node_is_let_in_in_every_mode_and_loses_nothing() {
    let Some(logger) = programs::file("npm/node_modules/@fluent-org/logger/package.json") else {
        return;
    };
    let Some(node) = programs::find("node") else {
        return;
    };
    let house = House::start();
    let mut command = Command::new(node);
    command.arg(script("client.js")).arg(logger.parent().unwrap());
    command.args([house.port.to_string(), KEY.to_owned()]);
    let (counts, house) = client(command, house, 4);
    // One sender for each mode.
    let wanted: Vec<(usize, usize)> = counts
        .iter()
        .enumerate()
        .map(|(nth, count)| (20 + nth, *count))
        .collect();
    let seen = house.read_back(&wanted);
    let lost: usize = wanted
        .iter()
        .map(|(sender, numbers)| seen.missing(*sender, *numbers))
        .sum();
    println!(
        "the client for Node: {counts:?} acknowledged, lost {lost}, twice {}",
        seen.doubled()
    );
    assert!(
        counts.len() == 4 && counts.iter().all(|count| *count > 0),
        "{counts:?}"
    );
    assert_eq!((lost, seen.strange), (0, 0));
}

#[test]
fn the_client_for_python_is_understood() {
    let Some(logger) = programs::file("python/fluent/sender.py") else {
        return;
    };
    let Some(python) = programs::find("python3") else {
        return;
    };
    // It knows no shared key and asks for no acknowledgement: through a door that asks for none.
    let folder = tempfile::tempdir().unwrap();
    let config: Config = serde_json::from_value(json!({
        "files": [], "containers": "", "docker": "", "forward": {"listen": "127.0.0.1:0"},
    }))
    .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outside = outside();
    let data = folder.path().join("data");
    let logs = Logs::new(&config, data.join("logs"), &data, outside, &Registry::new()).unwrap();
    let (handle, stop) = (logs.handle(), CancellationToken::new());
    let running = runtime.spawn(logs.run(stop.clone()));
    let done = Command::new(python)
        .arg(script("client.py"))
        .arg(handle.input().unwrap().address().port().to_string())
        .env("PYTHONPATH", logger.parent().unwrap().parent().unwrap())
        .status()
        .unwrap();
    assert!(done.success());
    let begun = Instant::now();
    while judge::read(&data.join("logs")).missing(30, 100) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        pause(Duration::from_millis(50));
    }
    stop.cancel();
    runtime.block_on(running).unwrap();
    let ledger = handle.input().unwrap().ledger();
    assert_eq!((ledger.given, ledger.in_flight), (100, 0));
}

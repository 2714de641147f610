//! systemd's own journal, read by its own journalctl and from its own gateway, while we are killed again and again.
//!
//! systemd-journal-remote writes the journal. `SKOPOS_TEST_LONG=1` kills a hundred times.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where it stands, and says what it counted"
)]

mod generator;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use generator::{Seen, judge, line, wait};
use logs::{Config, Follower, Logs, Outside};
use model::view::LogQuery;
use model::{LogRecord, Timestamp};
use programs::Running;
use prometheus::Registry;
use serde_json::json;
use telemetry::clock::RuntimeClock;
use tokio_util::sync::CancellationToken;

const CHILD: &str = "SKOPOS_LOGS_JOURNAL_CHILD";
/// Of systemd-journal-remote, where `tests/setup` has put it.
const REMOTE: &str = "journal/lib/systemd/systemd-journal-remote";
const GATEWAY: &str = "journal/lib/systemd/systemd-journal-gatewayd";
const LIBRARIES: &str = "journal/usr/lib/x86_64-linux-gnu";

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
    let config: Config = serde_json::from_slice(&std::fs::read(folder.join("config")).unwrap()).unwrap();
    let logs = Logs::new(&config, data.join("logs"), &data, outside, &Registry::new()).unwrap();
    let (handle, stop) = (logs.handle(), CancellationToken::new());
    let running = tokio::spawn(logs.run(stop));
    while !running.is_finished() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let state = serde_json::to_vec(&handle.state().journal).unwrap();
        // Whoever reads it may come at any time.
        std::fs::write(folder.join("state.new"), state).unwrap();
        std::fs::rename(folder.join("state.new"), folder.join("state")).unwrap();
        assert!(handle.journal().unwrap().ledger().balances());
    }
}

/// What the two programs need beside the machine's own.
fn libraries(program: &Path) -> PathBuf {
    program.ancestors().nth(4).unwrap().join(LIBRARIES)
}

/// A journal that a test appends to.
struct Journal {
    folder: PathBuf,
    input: ChildStdin,
    _remote: Running,
    next: u64,
}

impl Journal {
    /// None, loudly, where there is no systemd.
    fn begin(folder: &Path, name: &str) -> Option<Self> {
        programs::find("journalctl")?;
        let remote = programs::file(REMOTE)?;
        let folder = folder.join("journal");
        std::fs::create_dir_all(&folder).unwrap();
        let mut child = Command::new(&remote)
            .env("LD_LIBRARY_PATH", libraries(&remote))
            .args(["-o", folder.join(name).to_str()?, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        Some(Self {
            folder,
            input,
            _remote: Running(child),
            next: 0,
        })
    }

    fn write(&mut self, message: &[u8], more: &str) {
        self.next += 1;
        let time = 1_700_000_000_000_000 + 1_000 * self.next;
        let mut entry = format!(
            "__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={}\n{more}MESSAGE\n",
            1_000 * self.next,
            "ab".repeat(16)
        )
        .into_bytes();
        entry.extend_from_slice(&(message.len() as u64).to_le_bytes());
        entry.extend_from_slice(message);
        entry.extend_from_slice(b"\n\n");
        self.input.write_all(&entry).unwrap();
    }

    /// Numbered lines of five units.
    fn write_round(&mut self, written: &mut [usize]) {
        for _ in 0..20 {
            for (unit, next) in written.iter_mut().enumerate() {
                self.write(
                    line(unit, *next).as_bytes(),
                    &format!("_SYSTEMD_UNIT=unit-{unit}.service\nPRIORITY=6\n"),
                );
                *next += 1;
            }
        }
    }
}

struct House {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl House {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            child: None,
        }
    }

    /// With this section `journal`.
    fn configure(&self, journal: &serde_json::Value) {
        let config = json!({
            "files": [], "containers": "", "read_from": "beginning", "segment_bytes": "1MiB", "journal": journal,
        });
        std::fs::write(self.path().join("config"), config.to_string()).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&mut self) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, self.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn state(&self) -> serde_json::Value {
        let text = std::fs::read(self.path().join("state")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Everything in the segments, once so many records are there, and a while later.
    fn read_back(&self, count: usize) -> Vec<LogRecord> {
        let query = LogQuery {
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            lines_max: usize::MAX,
            ..LogQuery::default()
        };
        let mut follower = Follower::open(&self.path().join("data/logs"), query).unwrap();
        let (mut records, mut quiet) = (Vec::new(), Instant::now());
        while quiet.elapsed() < Duration::from_secs(if records.len() < count { 20 } else { 2 }) {
            let more = follower.poll().unwrap();
            if more.is_empty() {
                wait(Duration::from_millis(50));
            } else {
                quiet = Instant::now();
            }
            records.extend(more);
        }
        records
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}

fn kills() -> usize {
    if std::env::var_os("SKOPOS_TEST_LONG").is_some() {
        100
    } else {
        5
    }
}

fn kill_often(house: &mut House, journal: &mut Journal, what: &str) {
    let mut written = vec![0; 5];
    house.start();
    for life in 0..=kills() {
        for nth in 0..4 {
            journal.write_round(&mut written);
            wait(Duration::from_millis(30 * (life as u64 % 4) + 17 * nth));
        }
        if life < kills() {
            house.kill();
            if life % 2 == 0 {
                journal.write_round(&mut written);
            }
            house.start();
        }
    }
    let total: usize = written.iter().sum();
    let records = house.read_back(total);
    let mut seen = Seen::default();
    for record in &records {
        seen.add(&record.text);
    }
    judge(&seen, &written, &format!("{what}, killed {} times", kills()));
    assert_eq!(house.state()["missing"], 0);
    assert_eq!(
        house.state()["trouble"],
        serde_json::Value::Null,
        "{}",
        house.state()
    );
}

#[test]
fn a_real_journalctl_brings_each_entry_once_while_we_are_killed() {
    let mut house = House::new();
    let Some(mut journal) = Journal::begin(house.path(), "one.journal") else {
        return;
    };
    let directory = format!("--directory={}", journal.folder.display());
    house.configure(&json!({ "command": ["journalctl", directory] }));
    kill_often(&mut house, &mut journal, "journalctl");
}

#[test]
fn a_real_gateway_brings_each_entry_once_while_we_are_killed() {
    let mut house = House::new();
    let Some(mut journal) = Journal::begin(house.path(), "one.journal") else {
        return;
    };
    let (Some(gateway), Some(activate)) =
        (programs::file(GATEWAY), programs::find("systemd-socket-activate"))
    else {
        return;
    };
    // Without systemd as the first process, whoever passes the socket on must be named.
    let port = programs::free_port();
    let libraries = libraries(&gateway);
    let _gateway = programs::start(
        Command::new(activate)
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg(format!("--setenv=LD_LIBRARY_PATH={}", libraries.display()))
            .arg(gateway)
            .arg(format!("--directory={}", journal.folder.display())),
    );
    house.configure(&json!({ "url": format!("http://127.0.0.1:{port}"), "poll": "100ms" }));
    kill_often(&mut house, &mut journal, "gatewayd");
}

#[test]
fn what_the_journal_deleted_before_it_was_read_is_counted_and_reading_goes_on() {
    let mut house = House::new();
    let Some(mut journal) = Journal::begin(house.path(), "one.journal") else {
        return;
    };
    let directory = format!("--directory={}", journal.folder.display());
    house.configure(&json!({ "command": ["journalctl", directory] }));
    house.start();
    journal.write(
        b"first",
        "SYSLOG_IDENTIFIER=kernel\nPRIORITY=3\n_HOSTNAME=node-1\n",
    );
    journal.write(
        b"bad \xff byte",
        "_SYSTEMD_UNIT=a.service\n_TRANSPORT=stdout\nPRIORITY=6\n",
    );
    let records = house.read_back(2);
    let seen: Vec<_> = records
        .iter()
        .map(|record| (&*record.source, record.text.as_str(), record.level))
        .collect();
    assert_eq!(
        seen,
        [
            ("kernel", "first", model::Level::Error),
            ("a.service", "bad \u{fffd} byte", model::Level::Info)
        ]
    );
    house.kill();
    // Vacuumed, and begun anew.
    for entry in std::fs::read_dir(&journal.folder).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let mut journal = Journal::begin(house.path(), "two.journal").unwrap();
    journal.next = 100;
    house.start();
    for number in 0..10 {
        journal.write(format!("after {number}").as_bytes(), "");
    }
    let records = house.read_back(12);
    assert_eq!(records.len(), 12);
    assert_eq!(house.state()["trouble"], serde_json::Value::Null);
}

//! Prometheus and promtool, from the cache that `tests/setup` fills.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program, or a loud word that the test is skipped.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = || from("HOME").unwrap_or_default().join(".cache");
    let cache = from("SKOPOS_TEST_CACHE")
        .unwrap_or_else(|| from("XDG_CACHE_HOME").unwrap_or_else(home).join("skopos-tests"));
    let kept = cache.join("debian/usr/bin").join(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(kept)
        .chain(std::env::split_paths(&path).map(|folder| folder.join(program)))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        skipped(&format!("blocks: {program} (run tests/setup)"));
    }
    found
}

/// Says what is skipped past the test runner's capture, and notes it for the closing line.
fn skipped(what: &str) {
    _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
    if let Some(list) = std::env::var_os("SKOPOS_TEST_SKIPPED") {
        let list = OpenOptions::new().append(true).create(true).open(list);
        _ = list.and_then(|mut list| writeln!(list, "{what}"));
    }
}

/// Runs it to its end and gives what it printed, which must be no complaint.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// A Prometheus that is stopped when the test ends, however it ends.
pub(crate) struct Running {
    child: Child,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Running {
    /// Over the data of a folder.
    pub(crate) fn start(data: &std::path::Path) -> Option<Self> {
        let program = find("prometheus")?;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        drop(listener);
        let config = data.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").expect("written");
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--web.enable-admin-api", "--storage.tsdb.retention.time=100y"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let running = Self { child, address };
        let begun = Instant::now();
        while running.ask("GET", "/-/ready").is_none_or(|(code, _)| code != 200) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "Prometheus is not ready"
            );
            std::thread::park_timeout(Duration::from_millis(100));
        }
        Some(running)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn query(&self, query: &str) -> Value {
        let (code, body) = self
            .ask("GET", &format!("/api/v1/query?{query}"))
            .expect("an answer");
        assert_eq!(code, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["data"]["result"].clone()
    }

    /// Status and body, or none while nobody listens.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}

//! Prometheus and promtool, from the cache that `tests/setup` fills.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program, or a loud word that the test is skipped.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = || from("HOME").unwrap_or_default().join(".cache");
    let cache = from("SKOPOS_TEST_CACHE")
        .unwrap_or_else(|| from("XDG_CACHE_HOME").unwrap_or_else(home).join("skopos-tests"));
    // Only this one: another version has other answers.
    let kept = cache.join("debian/usr/bin").join(program);
    let found = kept.is_file().then_some(kept);
    if found.is_none() {
        skipped(&format!("promql: {program} (run tests/setup)"));
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
    /// Over the blocks of a folder.
    pub(crate) fn start(program: &Path, data: &Path, features: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        drop(listener);
        let config = data.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").expect("written");
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--enable-feature={features}"))
            .arg("--storage.tsdb.retention.time=100y")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let running = Self { child, address };
        let begun = Instant::now();
        while running.get("/-/ready").is_none_or(|(code, _)| code != 200) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "Prometheus is not ready"
            );
            std::thread::park_timeout(Duration::from_millis(50));
        }
        running
    }

    /// Status and body, or none while nobody listens.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}

/// As it may stand in a query string.
pub(crate) fn percent(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

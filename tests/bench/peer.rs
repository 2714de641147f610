//! A real Prometheus, from the cache that `tests/setup` fills.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{cpu_seconds, resident_bytes, rest};
use crate::write::{Written, body};

pub(crate) type Program = PathBuf;

/// Where it is, if it is anywhere.
pub(crate) fn find() -> Option<Program> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = || from("HOME").unwrap_or_default().join(".cache");
    let cache = from("SKOPOS_TEST_CACHE")
        .unwrap_or_else(|| from("XDG_CACHE_HOME").unwrap_or_else(home).join("skopos-tests"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(cache.join("debian/usr/bin"))
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("prometheus"))
        .find(|candidate| candidate.is_file())
}

/// One that runs until it is let go of.
pub(crate) struct Peer {
    child: Child,
    address: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Hard, so that it leaves its log as it is.
        drop((self.child.kill(), self.child.wait()));
    }
}

impl Peer {
    /// Over the data of a folder; returns when it is ready. What it compacts would be counted, so it does not.
    pub(crate) fn start(program: &Program, folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, "rule_files: [ 'rules.yml' ]\n").unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--web.enable-remote-write-receiver", "--web.enable-lifecycle"])
            .args(["--storage.tsdb.retention.time=100y"])
            .args([
                "--storage.tsdb.min-block-duration=2h",
                "--storage.tsdb.max-block-duration=2h",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Self { child, address };
        let begun = Instant::now();
        while peer
            .ask("GET", "/-/ready", &[])
            .is_none_or(|(code, _)| code != 200)
        {
            assert!(
                begun.elapsed() < Duration::from_secs(300),
                "Prometheus is not ready"
            );
            rest(Duration::from_millis(50));
        }
        peer
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.child.id())
    }

    pub(crate) fn resident_bytes(&self) -> f64 {
        resident_bytes(self.child.id())
    }

    pub(crate) fn write(&self, all: &[Written<'_>]) {
        let (code, text) = self.ask("POST", "/api/v1/write", &body(all)).expect("an answer");
        assert_eq!(code / 100, 2, "{text}");
    }

    pub(crate) fn reload(&self) {
        let (code, text) = self.ask("POST", "/-/reload", &[]).expect("an answer");
        assert_eq!(code, 200, "{text}");
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let (code, text) = self.ask("GET", path, &[]).expect("an answer");
        assert_eq!(code, 200, "{text}");
        text
    }

    /// Rules evaluated so far.
    pub(crate) fn evaluations(&self) -> f64 {
        let text = self.get("/metrics");
        let lines = text
            .lines()
            .filter(|line| line.starts_with("prometheus_rule_evaluations_total"));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Status and body, or none while nobody listens.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let encoding = if body.is_empty() {
            ""
        } else {
            "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n"
        };
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.0\r\n{encoding}Content-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}

//! A real Prometheus.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::write::{Written, body};
use crate::{Running, free_port, start};

/// One that runs until it is let go of: it is killed then, and leaves its log as it is.
pub struct Prometheus {
    running: Running,
    address: String,
}

/// After this long it will not become ready: it may have a long log to read.
const PATIENCE: Duration = Duration::from_secs(300);

impl Prometheus {
    /// Over the data of a folder, with a configuration and more arguments; it keeps everything. Returns when it is ready.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn start(program: &Path, data: &Path, config: &str, args: &[&str]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        Self::start_at(address, program, data, config, args)
    }

    /// The same at an address, which its configuration may name.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn start_at(address: String, program: &Path, data: &Path, config: &str, args: &[&str]) -> Self {
        let file = data.join("prometheus.yml");
        std::fs::write(&file, config).expect("its configuration is written");
        let running = start(
            Command::new(program)
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", data.display()))
                .arg(format!("--web.listen-address={address}"))
                .arg("--storage.tsdb.retention.time=100y")
                .args(args),
        );
        let this = Self { running, address };
        let begun = Instant::now();
        while this
            .ask("GET", "/-/ready", &[])
            .is_none_or(|(code, _)| code != 200)
        {
            assert!(begun.elapsed() < PATIENCE, "Prometheus is not ready");
            thread::park_timeout(Duration::from_millis(50));
        }
        this
    }

    #[must_use]
    pub fn process(&self) -> u32 {
        self.running.0.id()
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The body of an answer that is well.
    ///
    /// # Panics
    /// It is not.
    #[must_use]
    pub fn get(&self, path: &str) -> String {
        let (code, text) = self.ask("GET", path, &[]).expect("an answer");
        assert_eq!(code, 200, "{path}: {text}");
        text
    }

    /// By remote write; it must have been started with `--web.enable-remote-write-receiver`.
    ///
    /// # Panics
    /// It does not take all of it.
    pub fn write(&self, all: &[Written<'_>]) {
        let (code, text) = self.ask("POST", "/api/v1/write", &body(all)).expect("an answer");
        assert_eq!(code / 100, 2, "{text}");
    }

    /// Status and body, or none while nobody listens. A body that is sent is one of remote write.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, String)> {
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

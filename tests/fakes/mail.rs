//! A mail server that is not ours: `mail.py` with aiosmtpd, which `tests/setup` fetches.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

/// A server of its own folder; it ends with this.
pub(crate) struct MailServer {
    folder: tempfile::TempDir,
    _running: programs::Running,
    pub(crate) port: u16,
}

/// The root of the repository, from wherever a test binary is built.
fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut above = manifest.ancestors();
    above
        .find(|folder| folder.join("tests/fakes/mail.py").is_file())
        .unwrap_or(manifest)
}

/// Two authorities that have each signed a certificate for localhost and 127.0.0.1.
pub(crate) fn certificate(name: &str) -> PathBuf {
    root().join("agent/web/tests/tls").join(name)
}

impl MailServer {
    /// `way` is `plain`, `starttls` or `tls`; with a login (`name:password`) nobody else may send. None where there is
    /// no aiosmtpd.
    pub(crate) async fn start(way: &str, login: Option<&str>) -> Option<Self> {
        let known = programs::file("python/aiosmtpd/__init__.py")?;
        let packages = known.ancestors().nth(2)?.to_owned();
        let folder = tempfile::tempdir().ok()?;
        if let Some(login) = login {
            std::fs::write(folder.path().join("login"), login).ok()?;
        }
        let mut command = Command::new("python3");
        command
            .arg(root().join("tests/fakes/mail.py"))
            .arg(folder.path())
            .arg(way)
            .arg(certificate("first.cert.pem"))
            .arg(certificate("first.key.pem"))
            .env("PYTHONPATH", packages)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let running = programs::start(&mut command);
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let port = std::fs::read_to_string(folder.path().join("port")).ok();
            if let Some(port) = port.and_then(|port| port.parse().ok()) {
                return Some(Self {
                    folder,
                    _running: running,
                    port,
                });
            }
            assert!(Instant::now() < end, "the mail server does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn behave(&self, manner: &str) {
        std::fs::write(self.folder.path().join("manner"), manner).expect("a manner is written");
    }

    /// Oldest first.
    pub(crate) fn letters(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("letters")).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    pub(crate) async fn taken(&self, count: usize) -> Vec<Value> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let letters = self.letters();
            if letters.len() >= count {
                return letters;
            }
            assert!(Instant::now() < end, "{letters:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

//! Real programs to hold ours against, from the cache that `tests/setup` fills.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot start its peer has failed, and says why"
)]

pub mod clock;
pub mod prometheus;
pub mod usage;
pub mod write;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub use prometheus::Prometheus;

/// Stops the program when the test ends, however it ends.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop((self.0.kill(), self.0.wait()));
    }
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    from("SKOPOS_TEST_CACHE")
        .unwrap_or_else(|| from("XDG_CACHE_HOME").unwrap_or_else(home).join("skopos-tests"))
}

/// The program from the cache, or else from the path.
#[must_use]
pub fn known(program: &str) -> Option<PathBuf> {
    let kept = cache().join("debian/usr/bin").join(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(kept).chain(std::env::split_paths(&path).map(|folder| folder.join(program)));
    found.into_iter().find(|candidate| candidate.is_file())
}

/// A file of the cache.
#[must_use]
pub fn known_in_cache(path: &str) -> Option<PathBuf> {
    Some(cache().join(path)).filter(|file| file.is_file())
}

/// The same, or a loud word that the test is skipped.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let found = known(program);
    if found.is_none() {
        skipped(&format!("{program} (run tests/setup)"));
    }
    found
}

/// Only the one from the cache: another version has other answers.
#[must_use]
pub fn find_kept(program: &str) -> Option<PathBuf> {
    file(&format!("debian/usr/bin/{program}"))
}

/// A file that `tests/setup` has fetched, or a loud word that what needs it is skipped.
#[must_use]
pub fn file(path: &str) -> Option<PathBuf> {
    let found = Some(cache().join(path)).filter(|file| file.is_file());
    if found.is_none() {
        skipped(&format!("{path} (run tests/setup)"));
    }
    found
}

/// Says what is skipped past the test runner's capture, and notes it for the closing line.
pub fn skipped(what: &str) {
    let list = std::env::var_os("SKOPOS_TEST_SKIPPED");
    let list = list.and_then(|list| OpenOptions::new().append(true).create(true).open(list).ok());
    let noted = list.is_none_or(|mut list| writeln!(list, "{what}").is_ok());
    let said = writeln!(std::io::stderr(), "SKIPPED: {what}").is_ok();
    assert!(noted || said, "{what} is skipped, and nobody would know");
}

/// Starts it quietly.
///
/// # Panics
/// It cannot be started.
pub fn start(command: &mut Command) -> Running {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Running(child.expect("the program starts"))
}

/// Runs it to its end: exit code, and both outputs together.
///
/// # Panics
/// It cannot be started.
pub fn run(command: &mut Command) -> (i32, String) {
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// A port of loopback that is free now.
///
/// # Panics
/// There is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// As it may stand in a query string.
#[must_use]
pub fn percent(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

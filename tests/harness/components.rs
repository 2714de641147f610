//! Real programs to compare with, from the cache that `tests/setup` fills.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Stops the program when the test ends, however it ends.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    from("SKOPOS_TEST_CACHE")
        .unwrap_or_else(|| from("XDG_CACHE_HOME").unwrap_or_else(home).join("skopos-tests"))
}

/// The program, or a loud word that the test is skipped.
pub fn find(program: &str) -> Option<PathBuf> {
    let kept = cache().join("debian/usr/bin").join(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(kept).chain(std::env::split_paths(&path).map(|folder| folder.join(program)));
    let found = found.into_iter().find(|candidate| candidate.is_file());
    if found.is_none() {
        skipped(&format!("{program} (run tests/setup)"));
    }
    found
}

/// A file that `tests/setup` has fetched, or a loud word that what needs it is skipped.
pub fn file(path: &str) -> Option<PathBuf> {
    let found = Some(cache().join(path)).filter(|file| file.is_file());
    if found.is_none() {
        skipped(&format!("{path} (run tests/setup)"));
    }
    found
}

/// Says what is skipped past the test runner's capture, and notes it for the closing line.
pub fn skipped(what: &str) {
    _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
    if let Some(list) = std::env::var_os("SKOPOS_TEST_SKIPPED") {
        let list = OpenOptions::new().append(true).create(true).open(list);
        _ = list.and_then(|mut list| writeln!(list, "{what}"));
    }
}

/// Starts it quietly.
pub fn start(command: &mut Command) -> Running {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Running(child.expect("the program starts"))
}

/// Runs it to its end: exit code, and both outputs together.
pub fn run(command: &mut Command) -> (i32, String) {
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// A port of loopback that is free now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

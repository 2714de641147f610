//! Container files as the kubelet writes them: lines of 216 bytes, each with a mark that says which one it is.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

pub(crate) const LINE_BYTES: usize = 216;
pub(crate) const NAMESPACE: &str = "shop";

const WORDS: [&str; 24] = [
    "cache",
    "miss",
    "for",
    "user",
    "order",
    "checkout",
    "retry",
    "upstream",
    "timeout",
    "after",
    "commit",
    "offset",
    "partition",
    "connection",
    "closed",
    "by",
    "peer",
    "token",
    "expires",
    "in",
    "queue",
    "depth",
    "worker",
    "idle",
];
const PATHS: [&str; 6] = [
    "/api/v1/orders",
    "/api/v1/cart/items",
    "/api/v2/checkout",
    "/healthz",
    "/api/v1/users/me",
    "/static/app.js",
];
const VERBS: [&str; 3] = ["GET", "POST", "PUT"];
const LEVELS: [&str; 4] = ["INFO", "INFO", "DEBUG", "WARN"];

/// What lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Json,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

pub(crate) fn pod(container: usize) -> String {
    format!("checkout-7d9f8b6c5-{container:05}")
}

pub(crate) fn container_id(container: usize) -> String {
    format!("{container:064x}")
}

/// `<folder>/pods/…` as the kubelet has it, and `<folder>/containers/…` with links to it.
pub(crate) fn write(folder: &Path, kind: Kind, containers: usize, lines: usize) {
    let links = folder.join("containers");
    fs::create_dir_all(&links).unwrap();
    for container in 0..containers {
        let pod = pod(container);
        let home = folder.join(format!("pods/{NAMESPACE}_{pod}_uid-{container}/app"));
        fs::create_dir_all(&home).unwrap();
        let path = home.join("0.log");
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).unwrap());
        let mut random = Random(container as u64 + 1);
        for number in 0..lines {
            file.write_all(line(kind, container, number, &mut random).as_bytes())
                .unwrap();
        }
        file.flush().unwrap();
        let link = format!("{pod}_{NAMESPACE}_app-{}.log", container_id(container));
        symlink(&path, links.join(link)).unwrap();
    }
}

fn line(kind: Kind, container: usize, number: usize, random: &mut Random) -> String {
    let (second, nanos) = (
        number / 1_000 % 60,
        number % 1_000 * 1_000_000 + random.below(1_000_000),
    );
    let time = format!(
        "2026-11-27T10:{:02}:{second:02}.{nanos:09}Z",
        number / 60_000 % 60
    );
    let (level, verb, path) = (random.of(&LEVELS), random.of(&VERBS), random.of(&PATHS));
    let status = if random.below(50) == 0 { 503 } else { 200 };
    let (took, trace, user) = (random.below(2_000), random.next(), random.below(100_000));
    let mark = format!("#{container:03}-{number:08}#");
    let room = LINE_BYTES - 1;
    match kind {
        Kind::Text => {
            let mut line = format!(
                "{time} stdout F {level} {mark} {verb} {path}/{user} status={status} took={took}ms trace={trace:016x}"
            );
            while line.len() < room {
                line.push(' ');
                line.push_str(random.of(&WORDS));
            }
            line.truncate(room);
            line.push('\n');
            line
        }
        Kind::Json => {
            let mut line = format!(
                "{time} stdout F {{\"level\":\"{}\",\"msg\":\"{verb} {path} done\",\"request\":\"{mark}\",\"status\":{status},\
                 \"took_ms\":{took},\"trace\":\"{trace:016x}\",\"note\":\"",
                level.to_lowercase()
            );
            while line.len() < room - 2 {
                line.push_str(random.of(&WORDS));
                line.push(' ');
            }
            line.truncate(room - 2);
            line.push_str("\"}\n");
            line
        }
    }
}

/// Xorshift: the same lines on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }

    fn of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

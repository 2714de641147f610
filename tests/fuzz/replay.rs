//! The kept corpus, and random changes of it: no input makes anything panic.
//!
//! `SKOPOS_TEST_LONG=1` goes on for ten minutes with each target and prints how many inputs there were. What panics is
//! left in a file that the test names; it belongs in the corpus once it is mended.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by failing, and what was done is printed"
)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz::{TARGETS, Target, mutate};

const CHANGES: usize = 3_000;
const LONG: Duration = Duration::from_mins(10);
const CORPUS_BYTES_MAX: u64 = 1 << 20;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn kept(target: &Target) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(corpus().join(target.name))
        .expect("every target has a corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("readable"))
        .collect()
}

fn attempt(target: &Target, input: &[u8]) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) else {
        return;
    };
    let sum = input.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    let path = std::env::temp_dir().join(format!("{}-{sum:016x}", target.name));
    std::fs::write(&path, input).expect("written");
    println!("{} panics; the input is in {}", target.name, path.display());
    resume_unwind(panic)
}

fn try_hard(name: &str) {
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target");
    let mut inputs = kept(target);
    inputs.extend((target.seeds)());
    for input in &inputs {
        attempt(target, input);
    }
    let long = std::env::var_os("SKOPOS_TEST_LONG").is_some();
    let seed = if long { fastrand::u64(..) } else { 7 };
    let (mut random, begun, mut changes) = (fastrand::Rng::with_seed(seed), Instant::now(), 0_usize);
    while if long {
        begun.elapsed() < LONG
    } else {
        changes < CHANGES
    } {
        attempt(target, &mutate::changed(&inputs, target.words, &mut random));
        changes += 1;
    }
    println!(
        "{name}: {} inputs, {changes} changes of them (seed {seed}), no panic",
        inputs.len()
    );
}

#[test]
fn promql_parse() {
    try_hard("promql_parse");
}

#[test]
fn promql_answer() {
    try_hard("promql_answer");
}

#[test]
fn log() {
    try_hard("log");
}

#[test]
fn block() {
    try_hard("block");
}

#[test]
fn write_one() {
    try_hard("write_one");
}

#[test]
fn write_two() {
    try_hard("write_two");
}

#[test]
fn exposition() {
    try_hard("exposition");
}

#[test]
fn forward() {
    try_hard("forward");
}

#[test]
fn journal() {
    try_hard("journal");
}

#[test]
fn kernel_log() {
    try_hard("kernel_log");
}

#[test]
fn the_corpus_is_small_and_of_targets_that_there_are() {
    let mut bytes = 0;
    for folder in std::fs::read_dir(corpus()).expect("a folder") {
        let folder = folder.expect("an entry");
        let known = TARGETS.iter().any(|target| folder.file_name() == target.name);
        assert!(known, "{} is no target", folder.path().display());
        for file in std::fs::read_dir(folder.path()).expect("a folder") {
            bytes += file.expect("an entry").metadata().expect("its size").len();
        }
    }
    assert!(
        bytes <= CORPUS_BYTES_MAX,
        "{bytes} bytes; minimise it (README.md)"
    );
}

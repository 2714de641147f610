//! Hands a target to libFuzzer, which sees what its inputs reach: `SKOPOS_FUZZ_TARGET` says which.

#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fuzz::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fn target() -> Target {
    let name = std::env::var("SKOPOS_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.name == name).copied();
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let target =
        found.unwrap_or_else(|| panic!("SKOPOS_FUZZ_TARGET is to be one of {names:?}, not {name:?}"));
    if let Some(folder) = std::env::var_os("SKOPOS_FUZZ_SEEDS") {
        put_seeds(&target, Path::new(&folder));
    }
    target
}

/// What it begins with, and the words of its inputs as libFuzzer wants them.
fn put_seeds(target: &Target, folder: &Path) {
    let put = |path: PathBuf, bytes: &[u8]| std::fs::write(path, bytes).expect("the folder can be written");
    for (nth, seed) in (target.seeds)().into_iter().enumerate() {
        put(folder.join(format!("seed-{nth}")), &seed);
    }
    let word = |word: &&str| {
        let letters: String = word.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("\"{letters}\"\n")
    };
    let words: String = target.words.iter().map(word).collect();
    put(folder.with_extension("dict"), words.as_bytes());
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.get_or_init(target).run)(bytes));

//! What we cost beside a real Prometheus, on the same data and in the same run: `cargo run --release -p bench`.
//!
//! Work is counted in CPU time, as the operating system has it, because other processes share the machine; a time by
//! the clock is printed only where somebody waits for it. Each side runs alone, in a process of its own, one after the
//! other. `--small` gives numbers that say nothing, in seconds: for a test that all of it works. `--only rules`,
//! `memory`, `blocks` or `logs` runs a part. Nothing here fails because a number is bad.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its numbers"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark that cannot go on has nothing to print"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "both sides need the real clock, and time to work"
)]

mod blocks;
mod data;
mod hand_clock;
mod memory;
mod peer;
mod process;
mod rules;
mod shipping;
mod table;

use std::path::Path;

use peer::Program;
use process::Figures;
use table::Table;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Pods whose series rules read, of [`data::POD_SERIES`] each.
    pub(crate) pods: usize,
    /// Intervals over which rules are counted.
    pub(crate) evaluations: u32,
    /// Series of the node.
    pub(crate) series: usize,
    /// Quarters of an hour before memory is looked at, and before the start.
    pub(crate) quarters: (usize, usize),
    /// Series, and windows of two hours, of the blocks.
    pub(crate) sealed: (usize, i64),
    /// Questions of each kind.
    pub(crate) questions: u32,
    /// Log lines of each container.
    pub(crate) lines: usize,
}

const FULL: Sizes = Sizes {
    pods: 1_000,
    evaluations: 8,
    series: 100_000,
    quarters: (4, 8),
    sealed: (1_000, 7),
    questions: 5,
    lines: 200_000,
};

const SMALL: Sizes = Sizes {
    pods: 20,
    evaluations: 1,
    series: 1_200,
    quarters: (1, 2),
    sealed: (100, 7),
    questions: 1,
    lines: 500,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |what: &str| arguments.iter().any(|argument| argument == what);
    let after = |what: &str| {
        let at = arguments.iter().position(|argument| argument == what);
        at.and_then(|at| arguments.get(at + 1)).map(String::as_str)
    };
    let sizes = if has("--small") { SMALL } else { FULL };
    if let (Some(part), Some(folder)) = (after("--child"), after("--in")) {
        return child(part, Path::new(folder), sizes);
    }
    let program = peer::find();
    if program.is_none() {
        eprintln!("MISSING: prometheus (run tests/setup); only our own numbers follow");
    }
    let mut table = Table::default();
    for (name, part) in PARTS {
        if after("--only").is_none_or(|only| only == name) {
            part(&mut table, program.as_ref(), sizes);
        }
    }
    table.print(program.is_some());
}

type Part = fn(&mut Table, Option<&Program>, Sizes);

const PARTS: [(&str, Part); 4] = [
    ("rules", rules::compare),
    ("memory", memory::compare),
    ("blocks", blocks::compare),
    ("logs", shipping::compare),
];

/// One of ours, in a process of its own; what it has to say goes to its output.
fn child(part: &str, folder: &Path, sizes: Sizes) {
    process::allocate_as_the_product_does();
    let figures: Figures = match part {
        "rules" => rules::ours(folder, sizes),
        "memory" => memory::ours(folder, sizes),
        "start" => memory::start(folder),
        "blocks" => blocks::ours(folder, sizes),
        "logs" => shipping::ours(folder, sizes),
        other => panic!("no part {other}"),
    };
    figures.say();
}

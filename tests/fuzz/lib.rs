//! What takes bytes from outside, given any bytes: it must answer, and what it answers must hold together.
//!
//! Each target is a plain function, which a test runs over the kept corpus and over random changes of it, and which
//! `coverage` hands to a fuzzer that sees what the bytes reach (see README.md).

#![expect(clippy::expect_used, reason = "a panic is what a target says of a defect")]

mod block;
mod clock;
mod exposition;
mod forward;
mod journal;
mod kernel;
mod log;
pub mod mutate;
mod questions;
mod writes;

/// One thing that reads bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Also the folder of its corpus.
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
    /// What the corpus need not hold, because it can be made.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What its inputs are made of, for changes that chance alone would not find.
    pub words: &'static [&'static str],
}

pub const TARGETS: [Target; 10] = [
    Target {
        name: "promql_parse",
        run: questions::parse,
        seeds: questions::seeds,
        words: questions::WORDS,
    },
    Target {
        name: "promql_answer",
        run: questions::answer,
        seeds: questions::seeds,
        words: questions::WORDS,
    },
    Target {
        name: "log",
        run: log::run,
        seeds: log::seeds,
        words: &[],
    },
    Target {
        name: "block",
        run: block::run,
        seeds: block::seeds,
        words: &[],
    },
    Target {
        name: "write_one",
        run: writes::one,
        seeds: writes::seeds_one,
        words: writes::WORDS,
    },
    Target {
        name: "write_two",
        run: writes::two,
        seeds: writes::seeds_two,
        words: writes::WORDS,
    },
    Target {
        name: "exposition",
        run: exposition::run,
        seeds: exposition::seeds,
        words: exposition::WORDS,
    },
    Target {
        name: "forward",
        run: forward::run,
        seeds: forward::seeds,
        words: forward::WORDS,
    },
    Target {
        name: "journal",
        run: journal::run,
        seeds: journal::seeds,
        words: journal::WORDS,
    },
    Target {
        name: "kernel_log",
        run: kernel::run,
        seeds: kernel::seeds,
        words: kernel::WORDS,
    },
];

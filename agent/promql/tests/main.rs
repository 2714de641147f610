//! PromQL held against Prometheus itself: random samples, random expressions, both answers compared.
//!
//! Small numbers by themselves; `SKOPOS_TEST_LONG=1` asks for many, from a seed of the day. `SKOPOS_TEST_SEED` says
//! which; every difference is printed with its seed and as a script that `tests/promql` could hold.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by failing")]

mod answer;
mod differences;
mod generate;
mod prometheus;
mod promtool;
mod samples;
mod shrink;
mod statistics;
mod steps;

/// How many, here or in a long run.
pub(crate) fn count(short: usize, long: usize) -> usize {
    match std::env::var_os("SKOPOS_TEST_LONG") {
        Some(_) => long,
        None => short,
    }
}

/// The first seed: the one asked for, the same every time in a short run, another every time in a long one.
pub(crate) fn seed() -> u64 {
    if let Some(seed) = std::env::var("SKOPOS_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        return seed;
    }
    // Six digits are easily said again.
    count(353, fastrand::usize(100_000..1_000_000)) as u64
}

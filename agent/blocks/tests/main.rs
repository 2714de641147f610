//! What blocks promise, through their public face and through Prometheus' own tools.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by failing, and what was measured is printed"
)]

mod compacting;
mod components;
mod copying;
mod crashing;
mod damage;
mod harness;
mod histograms;
mod keeping;
mod native;
mod prometheus;
mod reading;
mod size;
mod writing;

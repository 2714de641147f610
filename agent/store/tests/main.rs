//! What the store promises, through its public face.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod clock;
mod disk;
mod failing;
mod feeding;
mod forgetting;
mod full;
mod harness;
mod histograms;
mod killing;
mod letting_go;
mod looking;
mod naive;
mod provisional;
mod reading;
mod refusing;
mod restart;
mod sealing;
mod staleness;
mod wounds;

//! Every line is in OpenSearch once, and whole, whatever fails: the process, the answers, the node itself.
//!
//! Without a node (`tests/setup`) what needs one is skipped, loudly. `SKOPOS_TEST_LONG=1` runs all of it for longer.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails where it stands, and says what it counted"
)]

mod faults;
#[path = "../generator/mod.rs"]
mod generator;
mod kills;
mod node;
mod room;

//! Every line is in OpenSearch once, and whole, whatever fails: the process, the answers, the node itself.
//!
//! Without a node (`tests/setup`) what needs one is skipped, loudly. `SKOPOS_TEST_LONG=1` runs all of it for longer.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails where it stands, and says what it counted"
)]

mod clock;
mod disk;
mod faults;
#[path = "../generator/mod.rs"]
mod generator;
mod kills;
#[path = "../load/mod.rs"]
mod load;
mod node;
#[path = "../room/mod.rs"]
mod room;
mod storm;
mod verify;

use serde_json::{Value, json};

/// An entry of `logs.opensearch`.
fn entry(url: &str, sink: &Value) -> Value {
    let mut entry = json!({"url": url, "replicas": 0});
    for (key, value) in sink.as_object().unwrap() {
        entry[key] = value.clone();
    }
    entry
}

/// The room with one OpenSearch and nothing else, with settings of `sink`.
fn start(url: &str, sink: &Value) -> room::Room {
    room::Room::start("opensearch", &entry(url, sink), room::outside())
}

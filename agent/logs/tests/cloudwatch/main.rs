//! Every line is in CloudWatch Logs at least once, and whole, whatever fails: the process, the answers, the way there.
//!
//! What is there twice has the same `event.id`; how many there are is said. `SKOPOS_TEST_LONG=1` runs all of it for longer.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails where it stands, and says what it counted"
)]

mod faults;
#[path = "../generator/mod.rs"]
mod generator;
mod kills;
mod moto;
mod reading;
#[path = "../room/mod.rs"]
mod room;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use fake_aws::{FakeAws, REGION};
use model::Timestamp;
use serde_json::{Value, json};
use telemetry::clock::RuntimeClock;

use generator::{Seen, judge};
use room::Room;

/// Five seconds after the time of every container line.
const NOW: Timestamp = Timestamp(1_709_287_205_123);

fn is_long() -> bool {
    std::env::var_os("SKOPOS_TEST_LONG").is_some()
}

/// An entry of `logs.cloudwatch` for keys, with settings of `sink`.
fn entry(endpoint: &str, (access_key, secret_key): (&str, &str), sink: &Value) -> Value {
    let mut entry = json!({
        "endpoint": endpoint,
        "region": REGION,
        "sigv4": {"access_key": access_key, "secret_key": secret_key},
        "wait": "50ms",
    });
    for (key, value) in sink.as_object().unwrap() {
        entry[key] = value.clone();
    }
    entry
}

/// An AWS and a room with it as its only sink, both at the time of the lines.
struct Stage {
    fake: FakeAws,
    room: Room,
    /// Ours, to AWS.
    access_key: String,
}

impl Stage {
    fn start(sink: &Value) -> Self {
        Self::start_by(sink, |fake| fake.url())
    }

    /// The room finds AWS where `endpoint` says.
    fn start_by(sink: &Value, endpoint: impl FnOnce(&FakeAws) -> String) -> Self {
        let clock = RuntimeClock::starting_at(NOW);
        let fake = FakeAws::start(clock.clone());
        let user = fake.user();
        let entry = entry(&endpoint(&fake), (&user.access_key, &user.secret_key), sink);
        let room = Room::start("cloudwatch", &entry, room::outside_at(clock));
        Self {
            fake,
            room,
            access_key: user.access_key,
        }
    }

    /// All that is in AWS, by stream.
    fn documents(&self) -> BTreeMap<String, Vec<Value>> {
        self.fake
            .logs(|logs| documents(logs, &["/skopos/shop", "/skopos/host"]))
    }

    /// Requests that were refused because they keep no limit of AWS.
    fn refused(&self) -> f64 {
        let refused = [("result", "refused")];
        self.room.counter("skopos_logs_requests_total", &refused)
    }

    /// Each line once at least, and those that are there twice are the same event. Returns how many are there again.
    fn check(&self, what: &str) -> usize {
        let documents = self.documents();
        let written = self.room.written();
        let (seen, between, again) = sort(documents.values().flatten());
        judge(&seen, &written, &format!("{what}; {again} of them again"));
        let want: usize = written.iter().map(|lines| lines.div_ceil(7)).sum();
        assert_eq!(between, want, "lines between pieces");
        for (stream, documents) in &documents {
            let namespace = stream.rsplit_once(' ').map_or("", |(group, _)| group);
            for document in documents.iter().filter(|_| namespace == "/skopos/shop") {
                let pod = document["kubernetes"]["pod"].as_str().unwrap();
                assert_eq!(stream, &format!("/skopos/shop {pod}/main"));
            }
        }
        again
    }
}

fn documents(logs: &fake_aws::logs::Logs, groups: &[&str]) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    for group in groups {
        for stream in logs.streams(group) {
            let events = logs.events(group, &stream);
            let messages = events
                .iter()
                .map(|event| serde_json::from_str(&event.message).unwrap());
            all.insert(format!("{group} {stream}"), messages.collect());
        }
    }
    all
}

/// Numbered lines, how many stand between their pieces, and how many events are there again with the same id.
#[derive(Default)]
struct Sorted {
    seen: Seen,
    between: usize,
    again: usize,
    /// Of each id, its text, both as hashes: there are millions.
    ids: HashMap<u64, u64>,
}

impl Sorted {
    fn add(&mut self, document: &Value) {
        let text = document["message"].as_str().unwrap();
        let id = document["event"]["id"].as_str().unwrap();
        if let Some(known) = self.ids.insert(hash(id), hash(text)) {
            assert_eq!(known, hash(text), "one id, one line: {id} {text}");
            self.again += 1;
        } else if text == "between" {
            self.between += 1;
        } else if !text.starts_with("extra") {
            self.seen.add(text);
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn sort<'a>(documents: impl Iterator<Item = &'a Value>) -> (Seen, usize, usize) {
    let mut sorted = Sorted::default();
    documents.for_each(|document| sorted.add(document));
    (sorted.seen, sorted.between, sorted.again)
}

//! A receiver before a real store.

use std::sync::Arc;
use std::time::Duration;

use model::outside::Identity;
use model::text::float;
use model::{Clock, Matcher, Select, TimeRange, Timestamp, is_stale};
use prometheus::Registry;
use store::Store;
use telemetry::clock::RuntimeClock;

use crate::receive::fakes::{START, call, journal};
use crate::receive::{Config, Receiver};
use crate::wire::decode::written::{self, Written};

pub(crate) struct World {
    pub(crate) store: Arc<Store>,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) clock: Arc<RuntimeClock>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::at(RuntimeClock::starting_at(Timestamp(START)))
    }

    pub(crate) fn at(clock: Arc<RuntimeClock>) -> Self {
        let (folder, registry) = (tempfile::tempdir().unwrap(), Registry::new());
        let store = Store::open(folder.path(), store::Config::default(), clock.clone(), &registry).unwrap();
        let receiver = Receiver::new(
            Config::default(),
            store.clone(),
            journal(&folder),
            clock.clone(),
            &registry,
        );
        Self {
            store,
            receiver,
            clock,
            _folder: folder,
        }
    }

    pub(crate) fn send(&self, from: &Identity, series: &[Written]) -> u16 {
        let body = written::packed(&written::two(series));
        self.receiver.write(&call(from, "2.0", body)).status
    }

    pub(crate) async fn wait(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.sleep(Duration::from_secs(1)).await;
            self.receiver.tick();
        }
    }

    /// Samples of a metric: seconds since the start and value.
    pub(crate) fn shown(&self, name: &str) -> String {
        let found = self
            .store
            .select(&[Matcher::equal("__name__", name)], TimeRange::ALL, usize::MAX)
            .unwrap();
        let mut shown = Vec::new();
        for series in &found {
            for (time, value) in series.times.iter().zip(series.values.iter()) {
                let value = if is_stale(*value) {
                    "stale".to_owned()
                } else {
                    float::go(*value)
                };
                shown.push(format!("{}:{value}", (time.0 - START) / 1_000));
            }
        }
        shown.join(" ")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.receiver.ledger().balances(), "{:?}", self.receiver.ledger());
            assert!(self.store.ledger().balances(), "{:?}", self.store.ledger());
        }
    }
}

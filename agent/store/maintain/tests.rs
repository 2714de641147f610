//! What was committed late, between the moments of one call.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use model::{
    BoxFuture, Clock, Column, Keep, Kind, Labels, Round, Select, SeriesDesc, TargetDesc, TargetRef, TimeRange,
};
use parking_lot::{Mutex, MutexGuard};
use prometheus::Registry;

use super::*;
use crate::Config;
use crate::lock;
use crate::sealing::Sealing;
use crate::wal::disk::{Append, Disk, SystemDisk};

const HOUR: i64 = 3_600_000;
const BEGUN: i64 = 2_000 * HOUR;

struct HandClock(AtomicI64);

impl HandClock {
    fn pass(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn running(&self) -> Duration {
        Duration::from_millis((self.now().0 - BEGUN).unsigned_abs())
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Makes no new file while somebody else holds its gate: so long the log waits.
#[derive(Clone, Default)]
struct Gated(Arc<Mutex<()>>);

impl Disk for Gated {
    fn list(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        SystemDisk.list(folder)
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        SystemDisk.read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let _passed: MutexGuard<'_, ()> = self.0.lock();
        SystemDisk.create(path)
    }

    fn truncate(&self, path: &Path, length_bytes: u64) -> io::Result<()> {
        SystemDisk.truncate(path, length_bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }
}

struct House {
    folder: tempfile::TempDir,
    clock: Arc<HandClock>,
    disk: Gated,
    registry: Registry,
    store: Arc<Store>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::open(
            folder,
            Arc::new(HandClock(AtomicI64::new(BEGUN))),
            Gated::default(),
        )
    }

    fn open(folder: tempfile::TempDir, clock: Arc<HandClock>, disk: Gated) -> Self {
        let registry = Registry::new();
        let config = Config::default();
        let lock = lock::take(folder.path()).expect("nobody else");
        let sealing = Sealing::open(folder.path(), lock, &config, clock.clone()).expect("opens");
        let store = Store::start(
            Arc::new(disk.clone()),
            folder.path(),
            Some(sealing),
            config,
            clock.clone(),
            &registry,
        );
        Self {
            store: store.expect("opens"),
            folder,
            clock,
            disk,
            registry,
        }
    }

    fn reopen(self) -> Self {
        let Self {
            folder,
            clock,
            disk,
            store,
            ..
        } = self;
        assert!(store.close());
        drop(store);
        Self::open(folder, clock, disk)
    }

    fn target(&self) -> TargetRef {
        self.store.target(&TargetDesc {
            name: "node".into(),
            page: None,
            staleness: None,
        })
    }

    /// A part of a round, of series that are asked for anew.
    fn commit(&self, time: i64, names: &[&str]) {
        let target = self.target();
        let series = names.iter().map(|name| {
            let desc = SeriesDesc {
                labels: Labels::from_pairs([("__name__", *name)]),
                kind: Kind::Gauge,
                family: (*name).into(),
                help: "".into(),
                unit: "".into(),
            };
            self.store.series(target, &desc).expect("within the limits")
        });
        let column = Column {
            target,
            time: Timestamp(time),
            round: Round::Part,
            series: series.collect(),
            values: vec![1.0; names.len()],
        };
        assert_eq!(self.store.commit(column).kept, names.len());
    }

    fn seal_all(&self) {
        while self.store.seal().window.is_some() {}
    }

    /// Times of all samples of a series.
    fn times(&self, name: &str) -> Vec<i64> {
        let all = self.store.select(&[], TimeRange::ALL, usize::MAX).expect("reads");
        let own = all.iter().filter(|series| series.labels.name() == name);
        own.flat_map(|series| series.times.iter().map(|time| time.0))
            .collect()
    }

    fn log_files(&self) -> usize {
        let files = SystemDisk.list(&self.folder.path().join("log"));
        files.expect("a folder").len()
    }

    fn refused(&self) -> f64 {
        let name = "skopos_store_wal_refused_samples_total";
        let found = self.registry.gather().into_iter().find(|one| one.name() == name);
        found.expect("it is counted").get_metric()[0]
            .get_counter()
            .get_value()
    }
}

#[test]
fn a_series_that_spoke_late_after_the_cutoff_was_found_is_not_forgotten() {
    let house = House::new();
    house.commit(BEGUN, &["late"]);
    house.clock.pass(6 * HOUR);
    house.seal_all();
    let cutoff = house.store.cutoff();
    house.commit(BEGUN + 1, &["late"]);
    let target = house.store.target_of(house.target()).expect("known");
    assert!(Timestamp(BEGUN + 1) < cutoff, "it is late");
    assert_eq!(house.store.forget_series(&target, cutoff, FORGET_MAX), 0);
    assert_eq!(house.times("late"), [BEGUN, BEGUN + 1]);
    house.clock.pass(HOUR);
    house.seal_all();
    house.store.maintain();
    assert_eq!(house.store.series_count(), 0, "all of it is in blocks");
    assert_eq!(house.times("late"), [BEGUN, BEGUN + 1]);
}

#[test]
fn what_was_committed_late_after_the_cutoff_was_found_stays_in_the_log() {
    let house = House::new();
    house.commit(BEGUN, &["late"]);
    house.clock.pass(6 * HOUR);
    house.seal_all();
    house.store.maintain();
    assert!(house.store.sync());
    let queue = &house.store.wal.as_ref().expect("a log").queue;
    let before = Cutoff {
        time: house.store.cutoff(),
        pushed: queue.pushed(),
    };
    house.commit(BEGUN + 1, &["late"]);
    assert!(house.store.sync());
    queue.set_cutoff(before);
    assert!(house.store.sync());
    assert_eq!(house.log_files(), 1, "it is nowhere else on disk");
    queue.set_cutoff(Cutoff {
        pushed: queue.pushed(),
        ..before
    });
    assert!(house.store.sync());
    assert_eq!(
        house.log_files(),
        0,
        "whoever says that has seen it in a block, or let it go"
    );
}

#[test]
fn what_was_forgotten_before_the_log_came_to_it_is_in_a_block_and_refused_by_nobody() {
    let house = House::new();
    let gate = house.disk.0.clone();
    let held = gate.lock();
    house.commit(BEGUN, &["gone", "alive"]);
    house.commit(BEGUN + 1, &["gone"]);
    house.clock.pass(6 * HOUR);
    house.commit(BEGUN + 6 * HOUR, &["alive"]);
    house.seal_all();
    house.store.maintain();
    assert_eq!(house.store.series_count(), 1, "the other is forgotten");
    drop(held);
    let house = house.reopen();
    assert_eq!(house.refused(), 0.0);
    assert_eq!(house.times("gone"), [BEGUN, BEGUN + 1]);
    assert_eq!(house.times("alive"), [BEGUN, BEGUN + 6 * HOUR]);
}

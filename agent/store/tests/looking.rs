//! What somebody sees who only looks at a folder, and that the folder is none the wiser.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Column, Keep, Round, Select, TimeRange, Timestamp};
use prometheus::Registry;
use store::{Config, Look, Store};

use crate::harness::{HandClock, desc, shown, target};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// A window begins then.
const BEGUN: i64 = 1_000 * 2 * HOUR;

struct Owner {
    folder: tempfile::TempDir,
    clock: Arc<HandClock>,
    store: Arc<Store>,
}

impl Owner {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = HandClock::at(BEGUN);
        let registry = Registry::new();
        let store = Store::open(folder.path(), Config::default(), clock.clone(), &registry).unwrap();
        Self { folder, clock, store }
    }

    fn hours(&self, from: i64, to: i64) {
        let id = self.store.target(&target("node"));
        for minute in from * 60..to * 60 {
            let time = BEGUN + minute * MINUTE;
            self.clock.set(time);
            let series = ["a", "b x=y"].map(|text| self.store.series(id, &desc(text)).unwrap());
            let column = Column {
                target: id,
                time: Timestamp(time),
                round: Round::Part,
                series: series.to_vec(),
                values: vec![minute as f64, 1.0],
            };
            assert_eq!(self.store.commit(column).kept, 2);
        }
    }

    fn seal(&self) {
        let sealed = self.store.seal();
        assert!(sealed.failed.is_none() && sealed.window.is_some(), "{sealed:?}");
        self.store.maintain();
    }

    fn look(&self) -> Look {
        // False once it is closed, and then all of it is there.
        self.store.sync();
        Store::look(self.folder.path(), self.clock.clone()).unwrap()
    }

    fn same(&self, look: &Look) {
        assert_eq!(all(&*look.samples), all(&*self.store));
    }
}

fn all(select: &dyn Select) -> BTreeMap<String, String> {
    shown(&select.select(&[], TimeRange::ALL, usize::MAX).unwrap())
}

/// Every file with its bytes and its time.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        let changed = |path: &Path| path.metadata().unwrap().modified().unwrap();
        found.insert(folder.clone(), (Vec::new(), changed(&folder)));
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(path.clone(), (std::fs::read(&path).unwrap(), changed(&path)));
            }
        }
    }
    found
}

fn newest_segment(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder.join("log")).unwrap();
    entries.map(|entry| entry.unwrap().path()).max().unwrap()
}

#[test]
fn memory_log_and_blocks_of_a_running_store_are_seen_and_nothing_is_written() {
    let owner = Owner::new();
    owner.hours(0, 6);
    owner.seal();
    owner.hours(6, 7);
    assert!(owner.store.sync());
    let before = tree(owner.folder.path());
    let look = owner.look();
    owner.same(&look);
    assert_eq!(look.blocks, 1);
    assert_eq!(
        look.span,
        Some((Timestamp(BEGUN), Timestamp(BEGUN + 7 * HOUR - MINUTE)))
    );
    assert_eq!(look.unseen, Vec::<String>::new());
    assert!(tree(owner.folder.path()) == before, "the folder is not as it was");
    // Whoever looks holds on to what it has; the owner goes on.
    owner.seal();
    owner.hours(7, 8);
    owner.same(&owner.look());
    let old = all(&*look.samples);
    assert_eq!(old["a"].split(' ').count(), 7 * 60);
}

#[test]
fn what_is_torn_or_broken_is_left_as_it_is_and_said() {
    let owner = Owner::new();
    owner.hours(0, 6);
    owner.seal();
    owner.hours(6, 7);
    assert!(owner.store.close());
    let whole = all(&*owner.store)["a"].clone();
    // A record that is being written, as a reader beside the owner may meet it.
    let segment = newest_segment(owner.folder.path());
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..bytes.len() - 3]).unwrap();
    let index = std::fs::read_dir(owner.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path().join("index"))
        .find(|path| path.exists())
        .unwrap();
    let before = tree(owner.folder.path());
    let look = owner.look();
    let seen = all(&*look.samples)["a"].clone();
    assert_eq!(whole.rsplit_once(' ').unwrap().0, seen, "all but the last row");
    assert!(look.unseen.is_empty(), "{:?}", look.unseen);
    assert!(tree(owner.folder.path()) == before);

    std::fs::write(&index, b"no index").unwrap();
    let look = owner.look();
    assert_eq!(look.blocks, 0);
    let [why] = look.unseen.as_slice() else {
        panic!("{:?}", look.unseen)
    };
    assert!(
        why.contains("index") && why.starts_with("a block that cannot be read: "),
        "{why}"
    );
    assert!(index.exists(), "set aside");
}

#[test]
fn the_head_of_a_prometheus_is_said_to_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at(BEGUN);
    let look = || Store::look(folder.path(), clock.clone()).unwrap();
    // Ours is there and empty.
    std::fs::create_dir(folder.path().join("wal")).unwrap();
    assert!(look().unseen.is_empty() && look().span.is_none());
    std::fs::write(folder.path().join("wal/00000000"), b"").unwrap();
    assert!(look().unseen[0].contains("newest samples of a Prometheus"));
}

//! Files that cannot grow, as on a full disk, under the log, a seal and a compaction: nothing stops, failures are
//! counted, and all of it is there once there is room again.
//!
//! The limit is of a whole process, so that a child does it, and ends without a word.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use model::{Column, Keep, Round, Select, TimeRange, Timestamp};
use prometheus::Registry;
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use store::{Config, Store};

use crate::harness::{desc, metric, target};
use crate::sealing::{BEGUN, MINUTE, TwoClocks};

const TEST: &str = "full::what_a_full_disk_refuses_is_written_once_there_is_room";
const FOLDER: &str = "SKOPOS_STORE_FULL_FOLDER";
const SERIES: i64 = 100;
/// Less than a file of the log, more than a window's chunks and less than those of two.
const TINY: u64 = 4 << 10;
const SMALL: u64 = 150 << 10;
const END: i64 = 640;

fn value(series: i64, minute: i64) -> f64 {
    let mixed = (series * 1_000 + minute + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed());
    (mixed >> 12) as f64
}

fn open(folder: &Path, minute: i64) -> (Arc<Store>, Arc<TwoClocks>, Registry) {
    let (clock, registry) = (TwoClocks::at(BEGUN + minute * MINUTE), Registry::new());
    let store = Store::open(folder, Config::default(), clock.clone(), &registry).expect("opens");
    (store, clock, registry)
}

fn files_may_have(bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    setrlimit(Resource::Fsize, limit).expect("may be lowered");
}

/// All that was said until a minute is there, once.
fn check(store: &Store, until: i64) {
    let all = store.select(&[], TimeRange::ALL, usize::MAX).expect("reads");
    assert_eq!(all.len(), SERIES as usize);
    for series in all {
        let nth = series.labels.value("x").parse().expect("a number");
        let found = series.times.iter().zip(series.values.iter());
        let found = found.map(|(time, value)| (time.0, *value));
        let wanted = (1..=until).map(|minute| (BEGUN + minute * MINUTE, value(nth, minute)));
        assert!(found.eq(wanted), "{} until minute {until}", series.labels);
    }
}

fn live(folder: &Path) {
    let (store, clock, registry) = open(folder, 0);
    let id = store.target(&target("node"));
    let refs = (0..SERIES).map(|nth| store.series(id, &desc(&format!("noise x={nth}"))));
    let refs: Vec<_> = refs.map(|series| series.expect("kept")).collect();
    let count = |name: &str| metric(&registry, &format!("skopos_store_{name}_total"), None);
    for minute in 1..=END {
        match minute {
            195 => files_may_have(Some(TINY)),
            345 | 600 => files_may_have(None),
            400 => files_may_have(Some(SMALL)),
            _ => {}
        }
        clock.pass(MINUTE);
        let kept = store.commit(Column {
            target: id,
            time: Timestamp(BEGUN + minute * MINUTE),
            round: Round::Whole,
            series: refs.clone(),
            values: (0..SERIES).map(|nth| value(nth, minute)).collect(),
        });
        assert_eq!(kept.kept, refs.len());
        if minute % 10 == 6 {
            assert_eq!(store.sync(), !(195..345).contains(&minute), "in minute {minute}");
        }
        store.maintain();
        let sealed = store.seal();
        // Windows of two hours, an hour after their end, then every ten minutes until there is room.
        let refused = (300..345).contains(&minute) && minute % 10 == 0;
        assert_eq!(sealed.failed.is_some(), refused, "{sealed:?} in minute {minute}");
        let due = [180, 350, 420, 540].contains(&minute);
        assert_eq!(sealed.window.is_some(), due, "{sealed:?} in minute {minute}");
        let refused = (540..600).contains(&minute) && minute % 10 == 0;
        assert_eq!(
            sealed.tended.failed.is_some(),
            refused,
            "{sealed:?} in minute {minute}"
        );
        assert_eq!(
            sealed.tended.compacted.is_some(),
            minute == 600,
            "{sealed:?} in minute {minute}"
        );
        if minute % 50 == 49 {
            check(&store, minute);
        }
    }
    assert!(count("wal_failures") >= 10.0);
    assert_eq!(count("wal_dropped"), 0.0, "a million samples may wait");
    assert_eq!((count("seal_failures"), count("compaction_failures")), (5.0, 6.0));
    assert!(store.sync());
    kill_process(getpid(), Signal::KILL).expect("the end");
}

#[test]
fn what_a_full_disk_refuses_is_written_once_there_is_room() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return live(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("a folder");
    // Who goes beyond the limit is to see an error, not to be ended.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("this program"))
        .args([TEST, "--exact", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .expect("runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(9), "{said}");
    let (store, _, registry) = open(folder.path(), END);
    check(&store, END);
    for name in ["wal_lost_bytes", "wal_missing_segments", "wal_corrupt"] {
        assert_eq!(
            metric(&registry, &format!("skopos_store_{name}_total"), None),
            0.0,
            "{name}"
        );
    }
    let blocks = store.blocks().expect("blocks").all();
    let levels: Vec<u32> = blocks.iter().map(|block| block.meta().compaction.level).collect();
    assert_eq!(levels, [2, 1, 1]);
    let names = std::fs::read_dir(folder.path()).expect("a folder");
    let half = names.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().len() > 26));
    assert_eq!(half.count(), 0, "nothing half-written is left");
}

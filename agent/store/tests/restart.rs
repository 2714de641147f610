//! What survives the process, and how its end may have looked.

use std::path::Path;
use std::sync::Arc;

use model::{Keep, STALE, Select, Timestamp};

use prometheus::Registry;
use store::{Config, Store};

use crate::disk::Fake;
use crate::harness::{HandClock, House, map, segment};

#[test]
fn samples_come_back_with_every_bit() {
    let mut house = House::new();
    let node = house.target("node");
    let odd = f64::from_bits(0x7ff8_0000_0000_1234);
    house.whole(node, 10, &[("a x=é", 1.5), ("b", f64::INFINITY), ("c", -0.0)]);
    house.whole(node, 20, &[("a x=é", odd), ("c", STALE)]);
    house.part(node, 15, &[("d", 1e-300)]);
    let bits = |house: &House| -> Vec<Vec<u64>> {
        let all = house
            .store
            .select(&[], model::TimeRange::ALL, 100)
            .expect("reads");
        all.iter()
            .map(|series| series.values.iter().map(|value| value.to_bits()).collect())
            .collect()
    };
    let (before, before_bits) = (house.all(), bits(&house));
    let killed = house.killed();
    assert_eq!(
        (killed.all(), bits(&killed)),
        (before.clone(), before_bits.clone())
    );
    house.restart();
    house.restart();
    assert_eq!((house.all(), bits(&house)), (before, before_bits));
    assert_eq!(house.metric("skopos_store_wal_restored_samples_total", None), 7.0);
}

#[test]
fn the_first_round_after_a_restart_ends_what_is_missing() {
    let mut house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 1.0)]);
    house.restart();
    assert!(house.store.last(None).is_empty(), "not heard yet");
    let node = house.target("node");
    assert!(house.store.last(None).is_empty(), "still not heard");
    let kept = house.whole(node, 20, &[("a", 2.0), ("c", 1.0)]);
    assert_eq!((kept.added, kept.ended), (1, 1));
    assert_eq!(
        house.all(),
        map(&[("a", "10:1 20:2"), ("b", "10:1 20:-"), ("c", "20:1")])
    );
    assert_eq!(house.store.last(None).len(), 1);
}

#[test]
fn a_target_that_never_comes_back_gets_no_marker_and_is_forgotten() {
    let mut house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0)]);
    house.restart();
    house.store.maintain();
    assert_eq!(house.all(), map(&[("a", "10:1")]));
    house.clock.set(7 * 3_600_000);
    house.store.maintain();
    assert_eq!(house.store.series_count(), 0);
    assert_eq!(house.metric("skopos_store_targets", None), 0.0);
}

#[test]
fn a_retired_target_stays_retired() {
    let mut house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0)]);
    house.store.retire(node, Timestamp(20));
    house.restart();
    let node = house.target("node");
    assert_eq!(house.whole(node, 30, &[("b", 1.0)]).ended, 0);
    assert_eq!(house.all(), map(&[("a", "10:1 20:-"), ("b", "30:1")]));
}

#[test]
fn samples_that_did_come_are_not_taken_twice() {
    let mut house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0)]);
    house.restart();
    let node = house.target("node");
    assert_eq!(house.whole(node, 10, &[("a", 1.0)]).duplicate, 1);
    assert_eq!(house.whole(node, 5, &[("a", 1.0)]).out_of_order, 1);
}

/// A log of several rounds in one segment.
fn written() -> (House, Vec<u8>) {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 1.0)]);
    house.whole(node, 20, &[("a", 2.0)]);
    house.whole(node, 30, &[("a", 3.0), ("c", 3.0)]);
    house.store.retire(node, Timestamp(40));
    assert!(house.store.close());
    let [(_, bytes)] = <[_; 1]>::try_from(house.disk.files()).expect("one segment");
    (house, bytes)
}

fn opened(files: &[(u64, &[u8])]) -> House {
    let files = files
        .iter()
        .map(|(number, bytes)| (segment(*number), bytes.to_vec()));
    House::on(Fake::holding(files), Config::default())
}

#[test]
fn every_prefix_of_a_log_opens_and_goes_on() {
    let (house, bytes) = written();
    let whole = house.all();
    let mut before = 0;
    for length in 0..=bytes.len() {
        let mut torn = opened(&[(1, &bytes[..length])]);
        let samples: usize = torn.all().values().map(|text| text.split(' ').count()).sum();
        assert!(samples >= before, "a longer log has no less in it");
        before = samples;
        for (labels, text) in torn.all() {
            assert!(whole[&labels].starts_with(&text), "{labels} at {length}");
        }
        // It is cut, so that what comes next is read again.
        let node = torn.target("node");
        torn.whole(node, 100, &[("z", 1.0)]);
        let all = torn.all();
        torn.restart();
        assert_eq!(torn.all(), all, "at {length}");
        assert_eq!(torn.metric("skopos_store_wal_corrupt_total", None), 0.0);
    }
    assert_eq!(before, 8);
}

#[test]
fn a_broken_place_in_an_older_segment_costs_the_rest_of_that_segment_only() {
    let (_house, mut bytes) = written();
    let newer = {
        let house = opened(&[]);
        let node = house.target("node");
        house.whole(node, 50, &[("d", 1.0)]);
        assert!(house.store.close());
        house.disk.files().remove(0).1
    };
    let middle = bytes.len() * 3 / 4;
    bytes[middle] ^= 0xff;
    let house = opened(&[(1, &bytes), (7, &newer)]);
    let all = house.all();
    assert_eq!(all.get("d").map(String::as_str), Some("50:1"));
    assert!(all["a"].starts_with("10:1"), "{all:?}");
    assert_eq!(house.metric("skopos_store_wal_corrupt_total", None), 1.0);
}

#[test]
fn a_log_of_the_version_before_is_read_and_gone_on_with() {
    let (house, mut bytes) = written();
    assert_eq!(bytes[8], 3);
    bytes[8] = 2;
    // It had no checksum behind its header.
    bytes.drain(12..16);
    let mut older = opened(&[(1, &bytes)]);
    assert_eq!(older.all(), house.all());
    let node = older.target("node");
    older.whole(node, 100, &[("a", 9.0)]);
    older.provisional(node, 200, &[("a", 10.0)]);
    let all = older.all();
    older.restart();
    assert_eq!(older.all(), all);
    assert!(all["a"].ends_with("100:9 200:10"), "{all:?}");
}

#[test]
fn a_log_of_a_newer_version_is_not_touched() {
    let (house, mut bytes) = written();
    bytes[8] = 4;
    let checksum = crc32fast::hash(&bytes[..12]).to_le_bytes();
    bytes[12..16].copy_from_slice(&checksum);
    let disk = Fake::holding([(segment(1), bytes.clone())]);
    let error = Store::open_on(
        Arc::new(disk.clone()),
        Path::new("metrics"),
        house.config.clone(),
        house.clock.clone(),
        &Registry::new(),
    )
    .expect_err("newer");
    assert!(
        error
            .to_string()
            .ends_with("00000001.wal has format 4, written by a newer version")
    );
    assert_eq!(disk.files(), [(segment(1), bytes)]);
}

#[test]
fn a_restart_seals_as_it_reads_and_forgets_what_is_too_old() {
    let mut house = House::new();
    let node = house.target("node");
    for nth in 0..500_i64 {
        house.whole(node, nth * 60_000, &[("a", nth as f64), ("b", 1.0)]);
    }
    house.clock.set(500 * 60_000);
    house.restart();
    let series = &house.read("a", 0, i64::MAX)[0];
    assert_eq!(series.times.first(), Some(&Timestamp(140 * 60_000)));
    assert_eq!(series.values.len(), 360);
}

#[test]
fn it_works_on_a_real_disk_and_without_its_folder() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let metrics = folder.path().join("new/metrics");
    let clock = HandClock::at(1_000_000);
    let open = || Store::open(&metrics, Config::default(), clock.clone(), &Registry::new()).expect("opens");
    let mut rounds = 0;
    for _ in 0..3 {
        let store = open();
        let all = store.select(&[], model::TimeRange::ALL, 100).expect("reads");
        assert_eq!(
            all.iter().map(|series| series.values.len()).sum::<usize>(),
            rounds
        );
        let target = store.target(&crate::harness::target("node"));
        let series = store.series(target, &crate::harness::desc("a")).expect("kept");
        rounds += 1;
        let column = model::Column {
            target,
            time: Timestamp(rounds as i64),
            round: model::Round::Whole,
            series: vec![series],
            values: vec![1.0],
        };
        assert_eq!(store.commit(column).kept, 1);
        assert!(store.close());
        assert!(store.bytes_on_disk() > 0);
    }
    // The torn end of a process that died while it wrote.
    let newest = std::fs::read_dir(metrics.join("log"))
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .max();
    let newest = newest.expect("segments");
    let bytes = std::fs::read(&newest).expect("readable");
    std::fs::write(&newest, &bytes[..bytes.len() - 3]).expect("writable");
    let all = open().select(&[], model::TimeRange::ALL, 100).expect("reads");
    assert_eq!(all[0].values.len(), 2);
}

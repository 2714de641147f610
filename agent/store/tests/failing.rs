//! A disk that fails: memory goes on, losses are counted, and the log is whole again afterwards.

use model::Timestamp;
use store::Config;

use crate::disk::Fake;
use crate::harness::{House, map};

fn house(disk: &Fake) -> House {
    House::on(disk.clone(), Config::default())
}

#[test]
fn a_full_disk_stops_nothing_and_nothing_is_missing_once_there_is_room() {
    let disk = Fake::with_room(600);
    let first = house(&disk);
    let node = first.target("node");
    let mut full_at = None;
    for nth in 1..=50_i64 {
        assert_eq!(first.whole(node, nth, &[("a", nth as f64), ("b", 1.0)]).kept, 2);
        if !first.store.sync() && full_at.is_none() {
            full_at = Some(nth);
        }
    }
    assert!(full_at.is_some_and(|nth| (2..40).contains(&nth)), "{full_at:?}");
    assert!(first.metric("skopos_store_wal_failures_total", None) >= 1.0);
    assert_eq!(
        first.read("a", 0, 100)[0].values.len(),
        50,
        "memory has everything"
    );
    assert_eq!(
        first.metric("skopos_store_wal_dropped_total", Some("disk_full")),
        0.0,
        "it still waits"
    );
    disk.set_room(1 << 20);
    assert!(first.store.sync());
    let again = house(&disk);
    assert_eq!(again.all(), first.all());
}

#[test]
fn what_does_not_fit_while_waiting_is_dropped_oldest_first_and_counted() {
    let disk = Fake::with_room(0);
    let first = house(&disk);
    let node = first.target("node");
    let names: Vec<String> = (0..10_000).map(|nth| format!("a x={nth}")).collect();
    let series: Vec<_> = names.iter().map(|name| first.series(node, name)).collect();
    for nth in 1..=150_i64 {
        let column = model::Column {
            target: node,
            time: model::Timestamp(nth),
            round: model::Round::Whole,
            series: series.clone(),
            values: vec![nth as f64; series.len()],
        };
        assert_eq!(model::Keep::commit(&*first.store, column).kept, 10_000);
        assert!(!first.store.sync());
    }
    let lost = first.metric("skopos_store_wal_dropped_total", Some("disk_full"));
    assert_eq!(lost, 460_000.0, "a million wait");
    assert!(disk.files().is_empty(), "no half files are left");
    disk.set_room(1 << 30);
    assert!(first.store.sync());
    let again = house(&disk);
    assert_eq!(
        again.metric("skopos_store_wal_missing_segments_total", None),
        0.0,
        "what was given up is no loss"
    );
    let all = again.read("a", 0, 1000);
    assert_eq!((all.len(), all[0].values.len()), (10_000, 104));
    assert_eq!(all[0].times.last(), Some(&model::Timestamp(150)));
}

#[test]
fn what_a_failed_sync_left_in_doubt_is_written_again() {
    let disk = Fake::with_room(1 << 20);
    let first = house(&disk);
    let node = first.target("node");
    first.whole(node, 10, &[("a", 1.0)]);
    assert!(first.store.sync());
    disk.set_sync_fails(true);
    first.whole(node, 20, &[("a", 2.0)]);
    assert!(!first.store.sync());
    first.whole(node, 30, &[("a", 3.0)]);
    disk.set_sync_fails(false);
    assert!(first.store.sync());
    assert_eq!(house(&disk).all(), map(&[("a", "10:1 20:2 30:3")]));
}

#[test]
fn a_file_that_cannot_be_made_is_made_later() {
    let disk = Fake::default();
    let mut first = house(&disk);
    let node = first.target("node");
    let minute = |nth: i64| nth * 60_000;
    for nth in 1..=60 {
        // A quarter of an hour is in a file.
        disk.set_creating_fails((12..50).contains(&nth));
        first.whole(node, minute(nth), &[("a", nth as f64)]);
        assert_eq!(first.store.sync(), !(17..50).contains(&nth), "in minute {nth}");
    }
    assert!(first.metric("skopos_store_wal_failures_total", None) >= 1.0);
    let all = first.all();
    first.restart();
    assert_eq!(first.all(), all);
    assert_eq!(first.metric("skopos_store_wal_missing_segments_total", None), 0.0);
}

#[test]
fn a_file_that_cannot_be_removed_is_read_again_and_doubles_nothing() {
    let disk = Fake::default();
    let mut first = house(&disk);
    let node = first.target("node");
    for nth in 1..=10 {
        first.whole(node, nth * 3_600_000, &[("a", nth as f64)]);
    }
    assert!(first.store.sync());
    let files = disk.files().len();
    disk.set_shrinking_fails(true);
    // Fifteen days later all but the last hours may go.
    first.clock.set(15 * 24 * 3_600_000 + 8 * 3_600_000);
    first.store.maintain();
    assert!(first.store.sync());
    assert_eq!(disk.files().len(), files, "they stay");
    first.restart();
    assert_eq!(first.all(), map(&[("a", "28800000:8 32400000:9 36000000:10")]));
    disk.set_shrinking_fails(false);
    first.store.maintain();
    assert!(first.store.sync());
    assert_eq!(disk.files().len(), 3);
    let (all, missing) = (first.all(), "skopos_store_wal_missing_segments_total");
    first.restart();
    assert_eq!((first.all(), first.metric(missing, None)), (all, 0.0));
}

#[test]
fn a_late_source_does_not_end_a_file_with_each_of_its_rounds() {
    let house = house(&Fake::default());
    let (now, late) = (house.target("now"), house.target("late"));
    for nth in 0..100 {
        house.whole(now, 3_600_000 + nth * 15_000, &[("a", 1.0)]);
        house.whole(late, nth * 15_000, &[("b", 1.0)]);
        assert!(house.store.sync());
    }
    let files = house.disk.files().len();
    assert!(files <= 4, "{files} files for 25 minutes");
    assert_eq!(
        house.read("b", -1, i64::MAX)[0].times.last(),
        Some(&Timestamp(99 * 15_000))
    );
}

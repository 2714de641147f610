//! A disk that fails: memory goes on, losses are counted, and the log is whole again afterwards.

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

//! What goes when its time is over.

use std::time::Duration;

use model::{Keep, Select, Timestamp};
use store::{Config, History, Retention};

use crate::harness::{House, map};

const HOUR: i64 = 3_600_000;

fn house() -> House {
    House::with(Config {
        retention: Retention {
            time: Duration::from_hours(1),
            ..Retention::default()
        },
        ..Config::default()
    })
}

#[test]
fn a_series_without_samples_in_the_retention_is_forgotten_with_its_ref() {
    let house = house();
    let node = house.target("node");
    let a = house.series(node, "a");
    house.clock.set(HOUR);
    house.whole(node, HOUR, &[("a", 1.0), ("b", 1.0)]);
    house.clock.set(HOUR + HOUR / 2);
    house.whole(node, HOUR + HOUR / 2, &[("b", 2.0)]);
    house.store.maintain();
    assert_eq!(house.store.series_count(), 2);
    house.clock.set(2 * HOUR + HOUR / 2 + 1);
    house.whole(node, 2 * HOUR + HOUR / 2, &[("b", 3.0)]);
    house.store.maintain();
    assert_eq!(house.store.series_count(), 1);
    assert_eq!(house.all().len(), 1);
    let column = |time, series| model::Column {
        target: node,
        time: Timestamp(time),
        round: model::Round::Part,
        series: vec![series],
        values: vec![1.0],
    };
    assert_eq!(house.store.commit(column(3 * HOUR, a)).unknown, 1);
    let again = house.series(node, "a");
    assert_ne!(a, again, "its place is used again and its ref is not");
    assert_eq!(house.store.commit(column(3 * HOUR, again)).kept, 1);
    let all = house.all();
    assert_eq!(all.get("a").map(String::as_str), Some("10800000:1"));
}

#[test]
fn what_was_asked_for_and_never_sent_stays_for_the_retention() {
    let house = house();
    let node = house.target("node");
    house.clock.set(HOUR);
    house.series(node, "a");
    house.clock.set(2 * HOUR);
    house.store.maintain();
    assert_eq!(house.store.series_count(), 1);
    house.clock.set(2 * HOUR + 1);
    house.store.maintain();
    assert_eq!(house.store.series_count(), 0);
    assert!(house.store.metadata().is_empty());
}

#[test]
fn without_history_a_series_unused_for_an_hour_is_forgotten_with_all_that_was_known_of_it() {
    let house = House::with(Config {
        history: History::None,
        ..Config::default()
    });
    let (node, pod) = (house.target("node"), house.target("pod"));
    for turn in 0..200_i64 {
        let now = HOUR + turn * 60_000;
        house.clock.set(now);
        let fresh = format!("a turn={turn}");
        house.whole(node, now, &[("up", 1.0), (&fresh, turn as f64)]);
        house.store.maintain();
        // Each lived for its round and was ended by the next.
        assert!(
            house.store.series_count() <= 1 + 62,
            "{}",
            house.store.series_count()
        );
    }
    house.part(pod, HOUR + 200 * 60_000, &[("b", 1.0)]);
    house.store.retire(pod, Timestamp(HOUR + 200 * 60_000));
    house.clock.set(5 * HOUR);
    house.whole(node, 5 * HOUR, &[("up", 2.0)]);
    house.store.maintain();
    house.clock.set(6 * HOUR + 1);
    house.whole(node, 6 * HOUR, &[("up", 3.0)]);
    house.store.maintain();
    assert_eq!(house.all(), map(&[("up", "21600000:3")]));
    assert_eq!(house.metric("skopos_store_targets", None), 1.0);
    assert_eq!(house.store.metadata().len(), 1);
}

#[test]
fn a_retired_target_goes_with_its_last_series_and_its_name_is_free_again() {
    let house = house();
    let node = house.target("node");
    house.whole(node, HOUR, &[("a", 1.0)]);
    house.store.retire(node, Timestamp(HOUR));
    house.clock.set(3 * HOUR);
    house.store.maintain();
    assert_eq!(house.metric("skopos_store_targets", None), 0.0);
    let again = house.target("node");
    assert_ne!(again, node);
    house.whole(again, 3 * HOUR, &[("a", 2.0)]);
    assert_eq!(house.all(), map(&[("a", "10800000:2")]));
}

#[test]
fn samples_past_the_retention_leave_memory_and_disk() {
    let mut house = house();
    let node = house.target("node");
    for minute in 0..6 * 60 {
        let time = HOUR + minute * 60_000;
        house.clock.set(time);
        house.whole(node, time, &[("a", minute as f64), ("b", 1.0)]);
        house.store.maintain();
    }
    assert!(house.store.sync());
    let series = &house.read("a", 0, i64::MAX)[0];
    // Whole blocks go at a time: two hours at this pace.
    assert!(
        (60..=60 + 120).contains(&series.values.len()),
        "{}",
        series.values.len()
    );
    // Segments span a quarter of the retention.
    let segments = house.disk.files().len();
    assert!((4..=7).contains(&segments), "{segments}");
    house.restart();
    assert_eq!(house.read("a", 0, i64::MAX)[0].values.len(), 61);
}

#[test]
fn too_much_memory_lets_the_oldest_blocks_go() {
    let house = House::with(Config {
        memory_bytes_max: 20_000,
        ..Config::default()
    });
    let node = house.target("node");
    for nth in 0..1200 {
        let noise = f64::from(nth).sqrt();
        house.whole(
            node,
            900_000 + i64::from(nth),
            &[("a", noise), ("b", noise + 0.1), ("c", noise + 0.2)],
        );
        if nth % 60 == 0 {
            house.store.maintain();
        }
    }
    house.store.maintain();
    assert!(house.metric("skopos_store_samples_bytes", None) <= 20_000.0);
    assert!(house.metric("skopos_store_evicted_blocks_total", None) > 0.0);
    let series = &house.read("a", 0, i64::MAX)[0];
    assert_eq!(series.times.last(), Some(&Timestamp(901_199)));
    assert!((240..1200).contains(&series.values.len()));
}

#[test]
fn the_log_stays_within_its_size() {
    let mut house = House::with(Config {
        wal_bytes_max: 100_000,
        ..Config::default()
    });
    let node = house.target("node");
    let names: Vec<String> = (0..50).map(|nth| format!("a x={nth}")).collect();
    for nth in 0..1000 {
        let values: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), f64::from(nth))).collect();
        house.whole(node, 900_000 + i64::from(nth), &values);
    }
    assert!(house.store.sync());
    assert!(
        house.store.bytes_on_disk() <= 130_000,
        "{}",
        house.store.bytes_on_disk()
    );
    assert!(house.metric("skopos_store_wal_removed_segments_total", Some("size")) > 0.0);
    house.restart();
    let all = house.read("a", 0, i64::MAX);
    assert_eq!(all.len(), 50);
    assert_eq!(all[0].times.last(), Some(&Timestamp(900_999)));
    assert!(all[0].times.len() > 100);
    assert!(house.store.last(None).is_empty(), "restored and not yet heard");
}

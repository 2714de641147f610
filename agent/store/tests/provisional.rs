//! Points that give way: what readers see of them, what decides about them, and what survives.

use std::time::Duration;

use model::{Keep, STALE, Select, Timestamp};
use store::{Config, History, Retention};

use crate::feeding::Basket;
use crate::harness::{House, map};

const SECOND: i64 = 1000;

/// A sender heard at 100 s; then silent, and said to be down.
fn silent() -> (House, model::TargetRef) {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 100 * SECOND, &[("up", 1.0), ("a", 5.0)]);
    house.provisional(node, 130 * SECOND, &[("up", 0.0), ("a", STALE)]);
    house.provisional(node, 145 * SECOND, &[("up", 0.0)]);
    (house, node)
}

#[test]
fn they_read_like_samples_in_the_order_of_time_and_pages_do_not_show_them() {
    let (house, _) = silent();
    assert_eq!(
        house.all(),
        map(&[("up", "100000:1 130000:0 145000:0"), ("a", "100000:5 130000:-")])
    );
    let until = |time| crate::harness::shown(&house.read("up", 120 * SECOND, time));
    assert_eq!(until(140 * SECOND), map(&[("up", "130000:0")]));
    assert_eq!(until(125 * SECOND), map(&[]));
    assert_eq!(house.store.last(None)[0].time, Timestamp(100 * SECOND));
    let ledger = house.store.ledger();
    assert_eq!((ledger.taken, ledger.given, ledger.in_flight), (5, 2, 3));
}

#[test]
fn a_target_of_which_only_they_are_known_is_on_no_page() {
    let house = House::new();
    let node = house.target("node");
    house.provisional(node, 10, &[("up", 0.0)]);
    assert!(house.store.last(None).is_empty());
    assert_eq!(house.all(), map(&[("up", "10:0")]));
}

#[test]
fn said_again_for_the_same_time_the_newer_value_stands() {
    let (house, node) = silent();
    assert_eq!(house.provisional(node, 130 * SECOND, &[("up", 7.0)]).kept, 1);
    assert_eq!(house.provisional(node, 130 * SECOND, &[("up", 7.0)]).duplicate, 1);
    assert_eq!(house.all()["up"], "100000:1 130000:7 145000:0");
    let ledger = house.store.ledger();
    assert_eq!((ledger.in_flight, ledger.dropped["replaced"]), (3, 1));
}

#[test]
fn after_a_silence_that_was_one_they_become_samples_before_the_sample_that_ends_it() {
    let (house, node) = silent();
    let basket = Basket::of(&house);
    house.whole(node, 200 * SECOND, &[("up", 1.0), ("a", 6.0)]);
    let all = map(&[
        ("up", "100000:1 130000:0 145000:0 200000:1"),
        ("a", "100000:5 130000:- 200000:6"),
    ]);
    assert_eq!(house.all(), all);
    let times: Vec<i64> = basket.take().iter().map(|fed| fed.time.0 / SECOND).collect();
    assert_eq!(times, [130, 145, 200]);
    let ledger = house.store.ledger();
    assert_eq!(
        (ledger.given, ledger.in_flight, ledger.dropped_total()),
        (7, 0, 0)
    );
    assert_eq!(house.metric("skopos_store_settled_samples_total", None), 3.0);
    assert_eq!(house.metric("skopos_store_provisional_samples", None), 0.0);
}

#[test]
fn samples_that_were_only_late_take_their_place() {
    let (house, node) = silent();
    for time in [115, 130, 145, 160] {
        let kept = house.part(node, time * SECOND, &[("up", 1.0), ("a", 5.0)]);
        assert_eq!(kept.kept, 2, "a point is no newer sample");
    }
    assert_eq!(
        house.all(),
        map(&[
            ("up", "100000:1 115000:1 130000:1 145000:1 160000:1"),
            ("a", "100000:5 115000:5 130000:5 145000:5 160000:5"),
        ])
    );
    assert_eq!(house.store.ledger().dropped["replaced"], 3);
}

#[test]
fn a_point_goes_when_its_gap_was_filled_and_stays_until_a_sample_comes_after_it() {
    let (house, node) = silent();
    house.part(node, 112 * SECOND, &[("up", 1.0)]);
    assert_eq!(house.all()["up"], "100000:1 112000:1 130000:0 145000:0");
    house.part(node, 131 * SECOND, &[("up", 1.0)]);
    // 112 is within 20 seconds before 130; 145 is still to be decided.
    assert_eq!(house.all()["up"], "100000:1 112000:1 131000:1 145000:0");
    assert_eq!(house.store.ledger().dropped["filled"], 1);
    house.part(node, 124 * SECOND, &[("a", 5.0)]);
    // A sample at exactly 20 seconds before is one in the gap.
    house.provisional(node, 144 * SECOND, &[("a", 1.0)]);
    house.provisional(node, 145 * SECOND, &[("a", 2.0)]);
    house.part(node, 170 * SECOND, &[("a", 6.0)]);
    assert_eq!(house.all()["a"], "100000:5 124000:5 145000:2 170000:6");
}

#[test]
fn a_round_without_the_series_decides_as_well_and_writes_no_second_marker() {
    let (house, node) = silent();
    let kept = house.whole(node, 200 * SECOND, &[("up", 1.0)]);
    assert_eq!(kept.ended, 0, "it had ended at 130");
    assert_eq!(house.all()["a"], "100000:5 130000:-");
    assert_eq!(house.store.ledger().in_flight, 0);
    assert_eq!(house.metric("skopos_store_ended_series_total", None), 1.0);
}

#[test]
fn a_retired_target_decides_what_was_said_before_and_lets_the_rest_go() {
    let (house, node) = silent();
    house.store.retire(node, Timestamp(145 * SECOND));
    assert_eq!(
        house.all(),
        map(&[("up", "100000:1 130000:0 145000:-"), ("a", "100000:5 130000:-")])
    );
    let ledger = house.store.ledger();
    assert_eq!((ledger.in_flight, ledger.dropped["retired"]), (0, 1));
}

#[test]
fn what_the_source_settles_stands_whatever_came_before_it() {
    let house = House::new();
    let basket = Basket::of(&house);
    let cloud = house.target("cloud");
    house.part(cloud, 60 * SECOND, &[("cpu", 1.0)]);
    for (time, value) in [(70, 2.0), (80, 3.0), (90, 4.0)] {
        house.provisional(cloud, time * SECOND, &[("cpu", value)]);
    }
    house.provisional(cloud, 80 * SECOND, &[("cpu", 3.5)]);
    house.store.settle(cloud, Timestamp(90 * SECOND));
    assert_eq!(house.all()["cpu"], "60000:1 70000:2 80000:3.5 90000:4");
    assert_eq!(house.store.ledger().in_flight, 1);
    assert_eq!(basket.take().len(), 3);
    let kept = house.provisional(cloud, 80 * SECOND, &[("cpu", 9.0)]);
    assert_eq!(kept.out_of_order, 1, "settled is settled");
}

#[test]
fn a_point_that_is_not_later_than_the_newest_sample_is_refused() {
    let (house, node) = silent();
    let older = house.provisional(node, 90 * SECOND, &[("up", 0.0)]);
    let same = house.provisional(node, 100 * SECOND, &[("up", 1.0), ("a", 6.0)]);
    assert_eq!((older.out_of_order, same.duplicate, same.out_of_order), (1, 1, 1));
}

#[test]
fn a_series_has_64_of_them_at_most_and_the_next_is_refused_and_counted() {
    let house = House::new();
    let node = house.target("node");
    for nth in 1..=64 {
        assert_eq!(house.provisional(node, nth, &[("up", 0.0)]).kept, 1);
    }
    let kept = house.provisional(node, 65, &[("up", 0.0), ("other", 1.0)]);
    assert_eq!((kept.kept, kept.refused), (1, 1));
    assert_eq!(
        house.provisional(node, 64, &[("up", 1.0)]).kept,
        1,
        "in place of another"
    );
    let dropped = house.metric("skopos_store_dropped_total", Some("provisional_full"));
    assert_eq!((dropped, house.store.ledger().in_flight), (1.0, 65));
}

#[test]
fn they_survive_a_restart_as_what_they_were() {
    let (mut house, node) = silent();
    house.provisional(node, 145 * SECOND, &[("up", 0.5)]);
    let all = house.all();
    let killed = house.killed();
    assert_eq!(killed.all(), all);
    house.restart();
    assert_eq!(house.all(), all);
    let ledger = house.store.ledger();
    assert_eq!((ledger.taken, ledger.in_flight), (3, 3));
    let node = house.target("node");
    house.part(node, 115 * SECOND, &[("a", 5.0)]);
    house.part(node, 135 * SECOND, &[("a", 5.0)]);
    house.part(node, 150 * SECOND, &[("up", 1.0)]);
    let all = map(&[
        ("up", "100000:1 130000:0 145000:0.5 150000:1"),
        ("a", "100000:5 115000:5 135000:5"),
    ]);
    assert_eq!(house.all(), all);
    house.restart();
    assert_eq!(house.all(), all);
    assert_eq!(house.store.ledger().in_flight, 0);
}

#[test]
fn they_go_after_the_retention_and_keep_their_series_until_then() {
    let hour = 3600 * SECOND;
    let house = House::with(Config {
        retention: Retention {
            time: Duration::from_hours(1),
            ..Retention::default()
        },
        ..Config::default()
    });
    let cloud = house.target("cloud");
    house.part(cloud, 1000 * SECOND, &[("cpu", 1.0)]);
    house.provisional(cloud, hour, &[("cpu", 2.0)]);
    house.clock.set(2 * hour);
    house.store.maintain();
    assert_eq!(house.store.series_count(), 1);
    assert_eq!(house.all().len(), 1);
    house.clock.set(2 * hour + 1);
    house.store.maintain();
    assert_eq!((house.store.series_count(), house.all().len()), (0, 0));
    assert_eq!(house.store.ledger().dropped["expired"], 1);
}

#[test]
fn without_history_they_read_behind_the_last_value() {
    let house = House::with(Config {
        history: History::None,
        ..Config::default()
    });
    let node = house.target("node");
    house.whole(node, 100 * SECOND, &[("up", 1.0)]);
    house.provisional(node, 130 * SECOND, &[("up", 0.0)]);
    assert_eq!(house.all(), map(&[("up", "100000:1 130000:0")]));
    house.whole(node, 140 * SECOND, &[("up", 2.0)]);
    assert_eq!(house.all(), map(&[("up", "140000:2")]));
}

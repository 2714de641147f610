//! What is not kept, and how that is counted.

use model::column::Kept;
use model::{Column, Keep, KeepError, Round, SeriesRef, TargetRef, Timestamp};
use store::Config;

use crate::harness::{House, desc, map};

#[test]
fn a_round_that_is_not_later_than_the_last_is_dropped() {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 20, &[("a", 1.0), ("b", 1.0)]);
    let older = house.whole(node, 10, &[("a", 1.0)]);
    assert_eq!(
        older,
        Kept {
            out_of_order: 1,
            ..Kept::default()
        }
    );
    let again = house.whole(node, 20, &[("a", 1.0), ("b", 2.0)]);
    assert_eq!(
        again,
        Kept {
            out_of_order: 1,
            duplicate: 1,
            ..Kept::default()
        }
    );
    assert_eq!(house.all(), map(&[("a", "20:1"), ("b", "20:1")]));
    let ledger = house.store.ledger();
    assert_eq!((ledger.taken, ledger.given, ledger.dropped_total()), (5, 2, 3));
    assert_eq!(
        house.metric("skopos_store_dropped_total", Some("out_of_order")),
        2.0
    );
}

#[test]
fn a_part_is_measured_against_its_own_series_only() {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 20, &[("a", 1.0), ("b", 1.0)]);
    let kept = house.part(node, 15, &[("a", 9.0), ("c", 3.0)]);
    assert_eq!((kept.kept, kept.out_of_order, kept.added), (1, 1, 1));
    let kept = house.part(node, 15, &[("c", 3.0)]);
    assert_eq!(kept.duplicate, 1);
    assert_eq!(house.all(), map(&[("a", "20:1"), ("b", "20:1"), ("c", "15:3")]));
}

#[test]
fn a_round_goes_on_around_a_series_that_is_already_later() {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 1.0)]);
    house.part(node, 25, &[("a", 2.0)]);
    let kept = house.whole(node, 20, &[("a", 9.0), ("b", 2.0)]);
    assert_eq!((kept.kept, kept.out_of_order, kept.ended), (1, 1, 0));
    // It was in the round, though its value was refused; so it ends with the next.
    assert_eq!(house.whole(node, 30, &[("b", 3.0)]).ended, 1);
    assert_eq!(
        house.all(),
        map(&[("a", "10:1 25:2 30:-"), ("b", "10:1 20:2 30:3")])
    );
}

#[test]
fn of_two_values_in_one_column_the_first_stands() {
    let house = House::new();
    let node = house.target("node");
    for time in [10, 20] {
        let kept = house.whole(node, time, &[("a", 1.0), ("b", 2.0), ("a", 3.0)]);
        assert_eq!((kept.kept, kept.duplicate), (2, 1));
    }
    assert_eq!(house.all(), map(&[("a", "10:1 20:1"), ("b", "10:2 20:2")]));
}

#[test]
fn refs_of_nobody_or_of_another_target_are_unknown() {
    let house = House::new();
    let (node, other) = (house.target("node"), house.target("other"));
    let (a, foreign) = (house.series(node, "a"), house.series(other, "a"));
    let column = |target, series: Vec<SeriesRef>| {
        let values = vec![1.0; series.len()];
        Column {
            target,
            time: Timestamp(10),
            round: Round::Whole,
            series,
            values,
        }
    };
    let kept = house.store.commit(column(
        node,
        vec![a, foreign, SeriesRef(u64::MAX), SeriesRef(1 << 20)],
    ));
    assert_eq!(
        kept,
        Kept {
            kept: 1,
            added: 1,
            unknown: 3,
            ..Kept::default()
        }
    );
    assert_eq!(house.store.commit(column(TargetRef(99), vec![a])).unknown, 1);
    let uneven = Column {
        values: vec![2.0],
        time: Timestamp(20),
        ..column(node, vec![a, a, a])
    };
    assert_eq!(
        house.store.commit(uneven),
        Kept {
            kept: 1,
            unknown: 2,
            ..Kept::default()
        }
    );
}

#[test]
fn series_beyond_the_limit_are_refused_and_those_before_it_go_on() {
    let house = House::with(Config {
        series_max: 2,
        ..Config::default()
    });
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 1.0)]);
    assert_eq!(
        house.store.series(node, &desc("c")),
        Err(KeepError::SeriesLimit { limit: 2 })
    );
    assert!(house.store.series(node, &desc("a")).is_ok());
    assert_eq!(
        house.metric("skopos_store_refused_series_total", Some("series_limit")),
        1.0
    );
    assert_eq!(house.store.series_count(), 2);
}

#[test]
fn one_target_does_not_take_the_room_of_all() {
    let house = House::with(Config {
        target_series_max: 2,
        ..Config::default()
    });
    let (wild, calm) = (house.target("wild"), house.target("calm"));
    house.whole(wild, 10, &[("a", 1.0), ("b", 1.0)]);
    assert_eq!(
        house.store.series(wild, &desc("c")),
        Err(KeepError::TargetLimit { limit: 2 })
    );
    assert!(house.store.series(wild, &desc("a")).is_ok());
    assert!(house.store.series(calm, &desc("c")).is_ok());
    let objects = house.target("kube-state");
    for name in ["a", "b", "c"] {
        assert!(
            house.store.series(objects, &desc(name)).is_ok(),
            "objects are as many as they are"
        );
    }
    assert_eq!(
        house.metric("skopos_store_refused_series_total", Some("target_limit")),
        1.0
    );
}

#[test]
fn labels_that_cannot_be_kept_are_refused_with_a_reason() {
    let house = House::with(Config {
        labels_max: 3,
        label_value_bytes_max: 10,
        ..Config::default()
    });
    let node = house.target("node");
    for (text, why) in [
        ("a x=1 y=2 z=3", "4 labels, more than 3"),
        ("a x=12345678901", "the value of x is 11 bytes long"),
        (" x=1", "the metric has no name"),
        ("a =1", "a label has no name"),
    ] {
        assert_eq!(
            house.store.series(node, &desc(text)),
            Err(KeepError::BadLabels(why.to_owned()))
        );
    }
    assert_eq!(
        house.metric("skopos_store_refused_series_total", Some("bad_labels")),
        4.0
    );
    assert_eq!(house.store.series_count(), 0);
}

#[test]
fn when_memory_runs_short_new_series_are_refused_in_order_and_old_ones_live_on() {
    let house = House::with(Config {
        budget_bytes: 1_000,
        ..Config::default()
    });
    let names = [
        "scrape/shop/a:1",
        "remote//x/y",
        "node",
        "remote/w1/node/a",
        "rules/r",
        "scrape/skopos/b",
    ];
    let targets = names.map(|name| house.target(name));
    for target in targets {
        house.series(target, "old");
        assert_eq!(house.part(target, 10, &[("old", 1.0)]).kept, 1);
    }
    let refused = |taken: u64| {
        house.store.guard(taken);
        let refuses = |target: TargetRef| {
            let new = desc(&format!("new_{taken}"));
            let answer = house.store.series(target, &new);
            assert!(matches!(
                answer,
                Ok(_) | Err(KeepError::MemoryLimit { budget_bytes: 1_000 })
            ));
            answer.is_err()
        };
        targets.map(refuses)
    };
    assert_eq!(refused(899), [false; 6]);
    assert!(!house.store.is_guarded());
    assert_eq!(refused(900), [true, true, false, false, false, false]);
    assert_eq!(refused(950), [true, true, true, true, false, false]);
    assert_eq!(refused(1_001), [true; 6]);
    assert!(house.store.is_guarded());
    assert_eq!(
        house.metric("skopos_store_refused_series_total", Some("memory")),
        12.0
    );
    assert_eq!(house.metric("skopos_store_guard_level", None), 3.0);
    // Asked for again, or written to: what was there is there.
    for target in targets {
        house.series(target, "old");
        assert_eq!(house.part(target, 20, &[("old", 2.0)]).kept, 1);
    }
    assert_eq!(refused(500), [false; 6]);
    assert_eq!(house.metric("skopos_store_guard_level", None), 0.0);
}

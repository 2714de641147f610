//! What readers get.

use std::sync::Arc;
use std::time::Duration;

use model::{Keep, Kind, MatchOp, Matcher, STALE, Select, SelectError, SeriesDesc, TimeRange, Timestamp};
use store::{Config, History};

use crate::harness::{House, desc, labels, map, name_is, samples, target};

#[test]
fn ranges_are_open_on_the_left_and_closed_on_the_right() {
    let house = House::new();
    let node = house.target("node");
    for time in [10, 20, 30, 40] {
        house.whole(node, time, &[("a", time as f64)]);
    }
    assert_eq!(samples(&house.read("a", 10, 30)[0]), "20:20 30:30");
    assert!(house.read("a", 40, 90).is_empty());
    assert!(house.read("a", 0, 9).is_empty());
    assert!(house.read("nobody", 0, 90).is_empty());
}

#[test]
fn series_of_one_round_share_their_times_also_across_sealing() {
    let house = House::new();
    let node = house.target("node");
    for nth in 0..200 {
        house.whole(
            node,
            nth * 15,
            &[("a", nth as f64), ("b", 7.0), ("c", nth as f64 / 3.0)],
        );
        house.store.maintain();
    }
    let all = house
        .store
        .select(&[], TimeRange::ALL, usize::MAX)
        .expect("reads");
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|series| series.times.len() == 200));
    assert!(all.iter().all(|series| Arc::ptr_eq(&series.times, &all[0].times)));
    assert!(
        all[2]
            .values
            .iter()
            .enumerate()
            .all(|(nth, value)| *value == nth as f64 / 3.0)
    );
    let cut = house.read("a", 100 * 15, 130 * 15);
    assert_eq!(cut[0].values.first().copied(), Some(101.0));
    assert_eq!(cut[0].values.len(), 30);
}

#[test]
fn the_same_labels_from_two_targets_are_one_series_to_readers() {
    let house = House::new();
    let (old, new) = (house.target("old"), house.target("new"));
    house.whole(old, 10, &[("a", 1.0)]);
    house.whole(old, 20, &[("a", 2.0)]);
    house.whole(new, 20, &[("a", 20.0)]);
    house.store.retire(old, Timestamp(30));
    house.whole(new, 30, &[("a", 30.0)]);
    assert_eq!(house.all(), map(&[("a", "10:1 20:20 30:30")]));
    assert_eq!(
        house.store.labels(&[], TimeRange::ALL).map(|all| all.len()),
        Ok(1)
    );
    assert_eq!(house.metric("skopos_store_shared_series_total", None), 1.0);
}

#[test]
fn more_samples_than_allowed_is_an_error() {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 1.0)]);
    house.whole(node, 20, &[("a", 1.0), ("b", 1.0)]);
    let select = |samples_max| house.store.select(&[], TimeRange::ALL, samples_max);
    assert_eq!(select(4).map(|all| all.len()), Ok(2));
    assert_eq!(select(3).unwrap_err(), SelectError::TooMany { limit: 3 });
}

#[test]
fn a_bad_expression_is_an_error_with_its_pattern() {
    let house = House::new();
    let matcher = Matcher::new("a", MatchOp::Matches, "x(");
    let error = house.store.select(&[matcher], TimeRange::ALL, 1).unwrap_err();
    assert!(matches!(error, SelectError::BadRegex { pattern, .. } if pattern == "x("));
}

#[test]
fn labels_are_those_with_a_sample_in_the_range() {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a x=1", 1.0), ("a x=2", 1.0)]);
    house.whole(node, 20, &[("a x=1", 1.0)]);
    house.whole(node, 30, &[("a x=1", 1.0)]);
    house.series(node, "a x=3");
    let at = |after, until| {
        let range = TimeRange {
            after: Timestamp(after),
            until: Timestamp(until),
        };
        let all = house.store.labels(&[name_is("a")], range).expect("reads");
        all.iter()
            .map(|labels| labels.value("x").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(at(0, 100), ["1", "2"]);
    assert_eq!(at(20, 100), ["1"]);
}

#[test]
fn a_question_asked_again_sees_what_came_since() {
    let house = House::new();
    let node = house.target("node");
    house.whole(node, 10, &[("a x=1", 1.0)]);
    assert_eq!(house.read("a", 0, 100).len(), 1);
    house.whole(node, 20, &[("a x=1", 1.0), ("a x=2", 1.0)]);
    assert_eq!(house.read("a", 0, 100).len(), 2);
}

#[test]
fn a_source_says_how_long_its_series_answer() {
    let mut house = House::new();
    let staleness = Some(Duration::from_mins(20));
    let slow = model::TargetDesc {
        staleness,
        ..target("cloudwatch")
    };
    let (of, node) = (house.store.target(&slow), house.target("node"));
    house.whole(of, 999_000, &[("a", 1.0)]);
    house.whole(node, 999_000, &[("b", 1.0)]);
    assert_eq!(house.read("a", 0, 999_000)[0].staleness, staleness);
    assert_eq!(house.read("b", 0, 999_000)[0].staleness, None);
    house.restart();
    assert_eq!(house.read("a", 0, 999_000)[0].staleness, staleness);
}

#[test]
fn for_such_a_series_the_range_begins_so_much_earlier() {
    let house = House::new();
    let slow = model::TargetDesc {
        staleness: Some(Duration::from_millis(100)),
        ..target("cloudwatch")
    };
    let (of, node) = (house.store.target(&slow), house.target("node"));
    for time in [100, 200, 300, 400] {
        house.whole(of, time, &[("a", time as f64)]);
        house.whole(node, time, &[("b", time as f64)]);
    }
    house.provisional(of, 450, &[("a", 4.5)]);
    let range = TimeRange {
        after: Timestamp(300),
        until: Timestamp(399),
    };
    let shown = |range| crate::harness::shown(&house.store.select(&[], range, 100).expect("reads"));
    assert_eq!(shown(range), map(&[("a", "300:300")]), "still answers at 301");
    let labels = house.store.labels(&[], range).expect("reads");
    assert_eq!(labels, [crate::harness::labels("a")]);
    let range = TimeRange {
        after: Timestamp(545),
        until: Timestamp(600),
    };
    assert_eq!(shown(range), map(&[("a", "450:4.5")]));
    // Of two targets with the same labels each brings what is its own.
    house.whole(node, 500, &[("a", 5.0), ("b", 5.0)]);
    assert_eq!(shown(range), map(&[("a", "450:4.5")]));
}

#[test]
fn the_oldest_sample_tells_how_far_back_a_store_goes() {
    let mut house = House::new();
    assert_eq!(house.store.oldest(), None);
    let (node, other) = (house.target("node"), house.target("other"));
    house.provisional(other, 5, &[("b", 1.0)]);
    assert_eq!(house.store.oldest(), None, "it is no sample yet");
    house.whole(node, 20, &[("a", 1.0)]);
    house.part(other, 10, &[("c", 1.0)]);
    assert_eq!(house.store.oldest(), Some(Timestamp(10)));
    for nth in 0..100 {
        house.whole(node, 30 + nth, &[("a", 1.0)]);
        house.store.maintain();
    }
    house.restart();
    assert_eq!(house.store.oldest(), Some(Timestamp(10)));
    let lean = House::with(Config {
        history: History::None,
        ..Config::default()
    });
    assert_eq!(lean.store.oldest(), None);
    let node = lean.target("node");
    lean.whole(node, 10, &[("a", 1.0), ("b", 1.0)]);
    lean.whole(node, 20, &[("a", 1.0), ("b", 1.0)]);
    assert_eq!(lean.store.oldest(), Some(Timestamp(20)));
}

#[test]
fn metadata_is_kept_by_family_and_the_last_description_stands() {
    let mut house = House::new();
    let node = house.target("node");
    let histogram = SeriesDesc {
        family: "x".into(),
        kind: Kind::Histogram,
        help: "Old.".into(),
        unit: "seconds".into(),
        ..desc("x_bucket le=1")
    };
    house.store.series(node, &histogram).expect("kept");
    let newer = SeriesDesc {
        help: "New.".into(),
        ..histogram
    };
    let series = house.store.series(node, &newer).expect("kept");
    house.whole(node, 999_000, &[("a", 1.0)]);
    let column = model::Column {
        target: node,
        time: Timestamp(999_500),
        round: model::Round::Part,
        series: vec![series],
        values: vec![1.0],
    };
    house.store.commit(column);
    for restarted in [false, true] {
        let all = house.store.metadata();
        let families: Vec<&str> = all.iter().map(|one| &*one.family).collect();
        assert_eq!(families, ["a", "x"], "restarted: {restarted}");
        assert_eq!(
            (all[1].kind, &*all[1].help, &*all[1].unit),
            (Kind::Histogram, "New.", "seconds")
        );
        house.restart();
    }
}

#[test]
fn without_history_only_last_values_answer_and_nothing_is_written() {
    let house = House::with(Config {
        history: History::None,
        ..Config::default()
    });
    let node = house.target("node");
    house.whole(node, 10, &[("a", 1.0), ("b", 1.0)]);
    house.whole(node, 20, &[("a", 2.0)]);
    assert_eq!(house.all(), map(&[("a", "20:2"), ("b", "20:-")]));
    assert_eq!(
        house.store.labels(&[], TimeRange::ALL).map(|all| all.len()),
        Ok(2)
    );
    assert!(house.read("a", 20, 30).is_empty());
    assert_eq!(house.store.last(None).len(), 1);
    assert!(house.store.close());
    assert!(house.disk.files().is_empty());
}

#[test]
fn last_values_metric_by_metric_are_the_last_values_of_their_moment() {
    for history in [History::Full, History::None] {
        let house = House::with(Config {
            history,
            ..Config::default()
        });
        let (one, other) = (house.target("one"), house.target("other"));
        house.whole(
            one,
            10,
            &[("b x=1 A=y", 1.0), ("a x=1", 2.0), ("b x=2", 3.0), ("c", STALE)],
        );
        house.whole(other, 10, &[("a x=3", 4.0), ("d", 5.0)]);
        let latest = house.store.latest(None);
        // What comes now is not of this moment.
        house.whole(one, 20, &[("a x=1", 9.0), ("e", 9.0)]);
        house.store.retire(other, Timestamp(20));
        assert_eq!(latest.pages(), [None, None]);
        let metrics = latest.metrics();
        let names: Vec<&str> = metrics.iter().map(|metric| &*metric.name).collect();
        assert_eq!(names, ["b", "a", "c", "d"], "{history:?}");
        let series = |nth| {
            let all = latest.series(nth).into_iter();
            all.map(|(labels, value)| format!("{labels}={value}"))
                .collect::<Vec<_>>()
        };
        let [b, a, c, d] = [0, 1, 2, 3].map(series);
        assert_eq!(
            b,
            [
                format!("{}=1", labels("b x=1 A=y")),
                format!("{}=3", labels("b x=2"))
            ]
        );
        assert_eq!(
            a,
            [format!("{}=2", labels("a x=1")), format!("{}=4", labels("a x=3"))]
        );
        assert!(c.is_empty(), "it had ended: {c:?}");
        assert_eq!(d, [format!("{}=5", labels("d"))]);
        assert!(latest.series(4).is_empty());
        assert_eq!(house.store.latest(Some("node")).pages().len(), 0);
    }
}

#[test]
fn sources_and_readers_work_at_once() {
    let house = House::new();
    let rounds = 300;
    std::thread::scope(|scope| {
        for name in ["one", "two", "three"] {
            let house = &house;
            scope.spawn(move || {
                let of = house.target(name);
                let (a, b) = (format!("a of={name}"), format!("b of={name}"));
                for nth in 1..=rounds {
                    house.whole(of, nth, &[(&a, nth as f64), (&b, 1.0)]);
                }
            });
        }
        for _ in 0..200 {
            for series in house.read("a", 0, i64::MAX) {
                let whole = series.times.iter().zip(1..).all(|(time, nth)| time.0 == nth);
                assert!(whole, "every round so far, in order");
            }
            house.store.maintain();
        }
    });
    assert_eq!(house.store.ledger().given, 3 * 2 * 300);
    assert!(
        house
            .read("a", 0, i64::MAX)
            .iter()
            .all(|series| series.values.len() == 300)
    );
}

//! Native histograms: kept like any other sample, and given back only to those who ask for them.

use std::sync::Arc;
use std::time::Duration;

use model::column::Kept;
use model::{
    Histogram, Histograms, Keep, Matcher, Mixed, Select, SelectError, TargetRef, TimeRange, Timestamp, Value,
    is_stale,
};
use store::{Config, History, Retention};

use crate::harness::{House, histogram, map, name_is};

fn put(house: &House, of: TargetRef, time: i64, values: &[(&str, u32)]) -> Kept {
    let histograms = values
        .iter()
        .map(|(text, count)| (house.series(of, text), Arc::new(histogram(*count))));
    house.store.histograms(Histograms {
        target: of,
        time: Timestamp(time),
        histograms: histograms.collect(),
    })
}

/// `5:h3 6:2 7:-`: a histogram of three, a float, the end.
fn text(mixed: &Mixed) -> String {
    let one = |(time, value): &(Timestamp, Value)| match value {
        Value::Float(value) if is_stale(*value) => format!("{}:-", time.0),
        Value::Float(value) => format!("{}:{value}", time.0),
        Value::Histogram(found) => {
            let count = found.positive.counts[0] as u32;
            assert_eq!(**found, histogram(count), "nothing of it is changed");
            format!("{}:h{count}", time.0)
        }
    };
    mixed.samples.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn mixed(house: &House, matchers: &[Matcher], range: TimeRange) -> Vec<(String, String)> {
    let all = house
        .store
        .mixed(matchers, range, usize::MAX)
        .expect("no matcher is wrong");
    assert!(all.is_sorted_by(|a, b| a.labels < b.labels));
    all.iter()
        .map(|one| (one.labels.to_string(), text(one)))
        .collect()
}

fn all(house: &House) -> Vec<(String, String)> {
    mixed(house, &[], TimeRange::ALL)
}

fn has(house: &House) -> bool {
    house.store.has_histograms(&[], TimeRange::ALL).expect("reads")
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    map(pairs).into_iter().collect()
}

#[test]
fn they_stand_between_the_floats_of_their_series_and_only_who_asks_gets_them() {
    let house = House::new();
    let app = house.target("app");
    assert!(!has(&house));
    assert_eq!(all(&house), []);
    house.part(app, 10, &[("a", 1.0), ("b", 1.0)]);
    let kept = put(&house, app, 20, &[("a", 5), ("c", 7)]);
    assert_eq!(
        (kept.kept, kept.added),
        (2, 1),
        "one of them lived already: {kept:?}"
    );
    house.part(app, 30, &[("a", 3.0)]);
    put(&house, app, 40, &[("a", 6)]);
    assert!(has(&house));
    assert_eq!(
        all(&house),
        owned(&[("a", "10:1 20:h5 30:3 40:h6"), ("c", "20:h7")])
    );
    // A series that has gone over to histograms does not answer with its last float.
    assert_eq!(house.all(), map(&[("a", "10:1 20:- 30:3 40:-"), ("b", "10:1")]));
    let range = |after, until| TimeRange {
        after: Timestamp(after),
        until: Timestamp(until),
    };
    assert_eq!(
        mixed(&house, &[name_is("a")], range(10, 20)),
        owned(&[("a", "20:h5")])
    );
    assert_eq!(
        mixed(&house, &[name_is("a")], range(20, 30)),
        [],
        "there is none in it"
    );
    let labels = house.store.labels(&[], range(15, 25)).expect("reads");
    assert_eq!(labels.len(), 2, "{labels:?}");
}

#[test]
fn each_is_later_than_what_its_series_had_whatever_that_was() {
    let house = House::new();
    let app = house.target("app");
    house.part(app, 10, &[("a", 1.0)]);
    assert_eq!(put(&house, app, 10, &[("a", 1)]).out_of_order, 1);
    put(&house, app, 20, &[("a", 2)]);
    assert_eq!(put(&house, app, 20, &[("a", 2)]).duplicate, 1);
    assert_eq!(put(&house, app, 15, &[("a", 2)]).out_of_order, 1);
    assert_eq!(house.part(app, 20, &[("a", 2.0)]).kept, 0);
    let kept = put(&house, app, 30, &[("a", 3), ("a", 4)]);
    assert_eq!((kept.kept, kept.duplicate), (1, 1), "of two the first stands");
    let known = house.series(app, "a");
    let elsewhere = Histograms {
        target: house.target("other"),
        time: Timestamp(40),
        histograms: vec![(known, Arc::new(histogram(1)))],
    };
    assert_eq!(house.store.histograms(elsewhere).unknown, 1);
    assert_eq!(all(&house), owned(&[("a", "10:1 20:h2 30:h3")]));
}

#[test]
fn they_are_in_the_log() {
    let mut house = House::new();
    let app = house.target("app");
    for nth in 1..=50 {
        put(&house, app, nth * 20, &[("a", 1), ("b x=1", 2)]);
        house.part(app, nth * 20 + 10, &[("a", 1.0)]);
    }
    let (before, floats) = (all(&house), house.all());
    assert_eq!(before[1].1.split(' ').count(), 50);
    let killed = house.killed();
    assert_eq!((all(&killed), killed.all()), (before.clone(), floats.clone()));
    assert_eq!(
        killed.metric("skopos_store_wal_restored_samples_total", None),
        150.0
    );
    house.restart();
    assert_eq!((all(&house), house.all()), (before, floats));
    assert_eq!(house.metric("skopos_store_wal_refused_samples_total", None), 0.0);
    let app = house.target("app");
    assert_eq!(
        put(&house, app, 1000, &[("a", 1)]).kept,
        0,
        "it goes on from where it was"
    );
    assert_eq!(put(&house, app, 2000, &[("a", 1)]).kept, 1);
}

#[test]
fn they_decide_about_provisional_points_and_end_with_their_target() {
    let house = House::new();
    let app = house.target("app");
    put(&house, app, 10_000, &[("a", 1)]);
    house.provisional(app, 60_000, &[("a", 9.0)]);
    put(&house, app, 90_000, &[("a", 2)]);
    assert_eq!(
        all(&house),
        owned(&[("a", "10000:h1 60000:9 90000:h2")]),
        "there was a gap"
    );
    house.store.retire(app, Timestamp(100_000));
    assert_eq!(all(&house), owned(&[("a", "10000:h1 60000:9 90000:h2 100000:-")]));
    let kept = house.store.histograms(Histograms {
        target: app,
        time: Timestamp(110_000),
        histograms: vec![(model::SeriesRef(0), Arc::new(histogram(1)))],
    });
    assert_eq!(kept.unknown, 1);
}

#[test]
fn two_targets_may_say_the_same_labels() {
    let house = House::new();
    let (one, other) = (house.target("one"), house.target("other"));
    put(&house, one, 10, &[("a", 1)]);
    house.part(other, 10, &[("a", 5.0)]);
    house.part(other, 20, &[("a", 6.0)]);
    put(&house, other, 30, &[("a", 2)]);
    assert_eq!(all(&house), owned(&[("a", "10:h1 20:6 30:h2")]));
}

#[test]
fn they_go_with_the_retention_and_their_series_after_them() {
    let house = House::with(Config {
        retention: Retention {
            time: Duration::from_hours(1),
            ..Retention::default()
        },
        ..Config::default()
    });
    let (hour, app) = (3_600_000, house.target("app"));
    house.clock.set(hour);
    put(&house, app, hour, &[("a", 1)]);
    house.clock.set(hour + hour / 2);
    put(&house, app, hour + hour / 2, &[("b", 1)]);
    house.store.maintain();
    assert_eq!(house.store.series_count(), 2);
    house.clock.set(2 * hour + 1);
    house.store.maintain();
    assert_eq!((house.store.series_count(), all(&house).len()), (1, 1));
    house.clock.set(3 * hour);
    house.store.maintain();
    assert_eq!((house.store.series_count(), all(&house).len()), (0, 0));
}

#[test]
fn where_only_last_values_are_kept_they_are_refused() {
    let house = House::with(Config {
        history: History::None,
        ..Config::default()
    });
    let app = house.target("app");
    let kept = put(&house, app, 10, &[("a", 1)]);
    assert_eq!((kept.kept, kept.refused), (0, 1));
    assert!(!has(&house));
}

#[test]
fn one_that_contradicts_itself_is_refused() {
    let house = House::new();
    let app = house.target("app");
    let broken = Histogram {
        count: 1.0,
        ..histogram(5)
    };
    let series = house.series(app, "a");
    let kept = house.store.histograms(Histograms {
        target: app,
        time: Timestamp(10),
        histograms: vec![(series, Arc::new(broken))],
    });
    assert_eq!((kept.kept, kept.refused), (0, 1));
    assert_eq!(all(&house), []);
}

#[test]
fn a_question_for_too_much_is_refused() {
    let house = House::new();
    let app = house.target("app");
    for nth in 1..=10 {
        put(&house, app, nth, &[("a", 1)]);
    }
    let ask = |most| house.store.mixed(&[], TimeRange::ALL, most);
    assert_eq!(ask(9), Err(SelectError::TooMany { limit: 9 }));
    assert_eq!(ask(10).expect("just enough").len(), 1);
}

#[test]
fn they_count_towards_the_memory_that_samples_may_take() {
    let house = House::with(Config {
        memory_bytes_max: 20_000,
        ..Config::default()
    });
    let app = house.target("app");
    for nth in 1..=1000 {
        put(&house, app, nth, &[("a", 1)]);
    }
    house.store.maintain();
    assert!(house.metric("skopos_store_evicted_blocks_total", None) > 0.0);
    let left = &all(&house)[0].1;
    assert!(
        left.ends_with(" 1000:h1") && left.split(' ').count() < 300,
        "the newest are there: {left}"
    );
}

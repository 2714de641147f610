//! Sealing: what goes in comes out, and what cannot go in is refused whole.

use std::collections::BTreeMap;

use blocks::{Error, Span};
use model::{Labels, STALE, Series, TimeRange, Timestamp};
use proptest::prelude::*;

use crate::harness::{House, counters, everything, hours, labels, plain, series, write};

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (0..1000i32).prop_map(f64::from),
        Just(STALE)
    ]
}

fn any_series() -> impl Strategy<Value = BTreeMap<Labels, BTreeMap<i64, f64>>> {
    let pairs = proptest::collection::btree_map("[a-e]{1,2}", "[a-zäß☃]{1,3}", 1..5);
    let samples = proptest::collection::btree_map(0..7_200_000i64, any_value(), 1..400);
    proptest::collection::btree_map(pairs.prop_map(Labels::from_pairs), samples, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_samples_come_back(all in any_series()) {
        let house = House::new();
        let all: Vec<_> = all.into_iter().map(|(labels, samples)| series(labels, samples)).collect();
        let blocks = house.open();
        let meta = write(&blocks, 0..=2, all.clone());
        prop_assert_eq!(everything(&blocks), plain(&all));
        prop_assert_eq!(meta.stats.num_series, all.len() as u64);
        prop_assert_eq!(everything(&house.open()), plain(&all), "after a restart");
        blocks.all()[0].verify().expect("whole");
    }
}

#[test]
fn the_same_series_make_the_same_bytes() {
    let read = |seed| {
        let house = House::new();
        fastrand::seed(seed);
        let meta = write(&house.open(), 0..=2, counters(50, hours(0, 2), 15_000));
        let folder = house.path().join(meta.ulid.to_string());
        ["index", "meta.json", "tombstones", "chunks/000001"]
            .map(|name| std::fs::read(folder.join(name)).unwrap())
    };
    assert_eq!(read(7), read(7));
    assert_eq!(read(7)[3], read(8)[3], "the samples, whatever the name");
}

#[test]
fn nothing_is_no_block() {
    let house = House::new();
    let blocks = house.open();
    assert!(
        blocks
            .write(hours(0, 2), Vec::<Series>::new())
            .expect("no error")
            .is_none()
    );
    let empty = series(labels(&[("a", "b")]), []);
    assert!(blocks.write(hours(0, 2), [empty]).expect("no error").is_none());
    assert!(house.names().is_empty(), "{:?}", house.names());
    assert!(blocks.select(&[], TimeRange::ALL, 1).expect("nothing").is_empty());
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    let house = House::new();
    let blocks = house.open();
    let one = |name: &str, samples: &[(i64, f64)]| series(labels(&[("a", name)]), samples.iter().copied());
    let good = || one("a", &[(1, 1.0)]);
    for (why, all) in [
        ("labels again", vec![good(), good()]),
        ("labels out of order", vec![one("b", &[(1, 1.0)]), good()]),
        (
            "times out of order",
            vec![good(), one("b", &[(2, 1.0), (1, 1.0)])],
        ),
        ("a time twice", vec![one("b", &[(2, 1.0), (2, 1.0)])]),
        ("after the range", vec![good(), one("b", &[(7_200_000, 1.0)])]),
        ("before the range", vec![one("b", &[(-1, 1.0)])]),
        ("no labels", vec![series(Labels::empty(), [(1, 1.0)])]),
    ] {
        assert!(
            matches!(blocks.write(hours(0, 2), all), Err(Error::Unfit(_))),
            "{why}"
        );
        assert!(house.names().is_empty(), "{why} leaves something behind");
    }
    let odd = Span {
        start: Timestamp(0),
        end: Timestamp(7_200_001),
    };
    for span in [odd, hours(2, 2), hours(1, 3), hours(4, 2)] {
        assert!(
            matches!(blocks.write(span, [good()]), Err(Error::Unaligned { .. })),
            "{span:?}"
        );
    }
}

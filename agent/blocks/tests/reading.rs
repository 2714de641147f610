//! Questions: the same answers as looking at every series would give.

use std::collections::BTreeSet;

use blocks::matching::Ready;
use model::{MatchOp, Matcher, STALE, SelectError, Series, TimeRange, Timestamp};
use proptest::prelude::*;

use crate::harness::{House, counters, equal, hours, labels, plain, range, series, write};

/// Many values of one label, few of another, and some series without them.
fn estate() -> Vec<Series> {
    let mut all: Vec<Series> = (0..300i64)
        .map(|nth| {
            let mut pairs = vec![("__name__", format!("m{}", nth % 3)), ("id", format!("{nth:03}"))];
            if nth % 4 != 0 {
                pairs.push(("zone", format!("z{}", nth % 5)));
            }
            let name = model::Labels::from_pairs(pairs);
            series(
                name,
                (0..40).map(|step| (nth * 1000 + step * 60_000, step as f64)),
            )
        })
        .collect();
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

fn naive(all: &[Series], matchers: &[Matcher], range: TimeRange) -> Vec<Series> {
    let ready = Ready::all(matchers).expect("compiles");
    let matches = |series: &&Series| {
        ready
            .iter()
            .all(|one| one.accepts(series.labels.value(&one.name)))
    };
    all.iter()
        .filter(matches)
        .map(|one| {
            let pairs = one.times.iter().zip(one.values.iter());
            let inside = pairs.filter(|(time, _)| range.contains(**time));
            series(one.labels.clone(), inside.map(|(time, value)| (time.0, *value)))
        })
        .filter(|one| !one.times.is_empty())
        .collect()
}

fn any_matcher() -> impl Strategy<Value = Matcher> {
    let name = prop_oneof![Just("__name__"), Just("id"), Just("zone"), Just("none")];
    let value = prop_oneof![
        Just(""),
        Just("m1"),
        Just("z2"),
        Just("007"),
        Just("m0|m2"),
        Just("0.."),
        Just("z.|"),
        Just(".*"),
        Just(".+"),
        Just("z1|z3|nothing"),
        Just("|z4"),
        Just("[01].*"),
        Just("299|000")
    ];
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Matches),
        Just(MatchOp::NotMatches)
    ];
    (name, op, value).prop_map(|(name, op, value)| Matcher::new(name, op, value))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn answers_are_those_of_looking_at_everything(
        matchers in proptest::collection::vec(any_matcher(), 0..4),
        after in -10..3_000_000i64,
        length in 0..4_000_000i64,
    ) {
        thread_local! {
            static BLOCK: (House, blocks::Blocks, Vec<Series>) = {
                let (house, all) = (House::new(), estate());
                let blocks = house.open();
                write(&blocks, 0..=2, all.clone());
                (house, blocks, all)
            };
        }
        BLOCK.with(|(_, blocks, all)| {
            let range = range(after, after + length);
            let wanted = naive(all, &matchers, range);
            let got = blocks.select(&matchers, range, usize::MAX).expect("answered");
            assert_eq!(plain(&got), plain(&wanted), "{matchers:?}");
            assert!(got.is_sorted_by(|a, b| a.labels < b.labels));
            let labels = blocks.labels(&matchers, range).expect("answered");
            assert_eq!(labels, wanted.into_iter().map(|one| one.labels).collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_range_is_open_on_the_left_and_closed_on_the_right() {
    let house = House::new();
    let blocks = house.open();
    write(
        &blocks,
        0..=2,
        vec![series(labels(&[("a", "b")]), [(10, 1.0), (20, 2.0), (30, STALE)])],
    );
    let times = |after, until| -> Vec<Timestamp> {
        let found = blocks.select(&[], range(after, until), 10).expect("read");
        found.iter().flat_map(|series| series.times.to_vec()).collect()
    };
    assert_eq!(times(10, 30), [20, 30].map(Timestamp));
    assert_eq!(times(9, 29), [10, 20].map(Timestamp));
    assert!(times(10, 19).is_empty());
    assert!(blocks.labels(&[], range(10, 19)).expect("read").is_empty());
}

#[test]
fn series_of_one_rhythm_share_their_times() {
    let house = House::new();
    let blocks = house.open();
    write(&blocks, 0..=2, counters(3, hours(0, 2), 15_000));
    let found = blocks.select(&[], TimeRange::ALL, usize::MAX).expect("read");
    assert!(std::sync::Arc::ptr_eq(&found[0].times, &found[2].times));
}

#[test]
fn no_more_is_read_than_may_be() {
    let house = House::new();
    let blocks = house.open();
    write(&blocks, 0..=2, counters(2, hours(0, 2), 15_000));
    write(&blocks, 2..=4, counters(2, hours(2, 4), 15_000));
    let read = |most| blocks.select(&[], TimeRange::ALL, most);
    assert_eq!(read(4 * 480).expect("just enough").len(), 2);
    assert_eq!(
        read(4 * 480 - 1).expect_err("one too many"),
        SelectError::TooMany { limit: 1919 }
    );
}

#[test]
fn blocks_that_overlap_give_each_time_once() {
    let house = House::new();
    let blocks = house.open();
    let one = |samples: &[(i64, f64)]| vec![series(labels(&[("a", "b")]), samples.iter().copied())];
    write(&blocks, 0..=2, one(&[(1, 1.0), (2, STALE), (4, 4.0)]));
    write(&blocks, 0..=2, one(&[(2, 2.0), (3, 3.0), (4, 4.0)]));
    write(&blocks, 2..=4, one(&[(2 * crate::harness::HOUR, 5.0)]));
    let found = blocks
        .select(&[equal("a", "b")], TimeRange::ALL, 100)
        .expect("read");
    assert_eq!(found.len(), 1);
    assert_eq!(*found[0].values, [1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn names_and_values_come_from_the_tables() {
    let house = House::new();
    let blocks = house.open();
    write(&blocks, 0..=2, estate());
    write(
        &blocks,
        2..=4,
        vec![series(
            labels(&[("other", "x"), ("zone", "z9")]),
            [(8_000_000, 1.0)],
        )],
    );
    assert_eq!(
        blocks.label_names(TimeRange::ALL),
        ["__name__", "id", "other", "zone"]
    );
    assert_eq!(
        blocks.label_names(range(0, 7_000_000)),
        ["__name__", "id", "zone"]
    );
    let zones = blocks.label_values("zone", TimeRange::ALL).expect("read");
    assert_eq!(zones, ["z0", "z1", "z2", "z3", "z4", "z9"]);
    let ids: BTreeSet<_> = blocks
        .label_values("id", TimeRange::ALL)
        .expect("read")
        .into_iter()
        .collect();
    assert_eq!(ids.len(), 300);
    assert!(
        blocks
            .label_values("none", TimeRange::ALL)
            .expect("read")
            .is_empty()
    );
}

#[test]
fn a_bad_expression_is_refused() {
    let blocks = House::new();
    let error = blocks
        .open()
        .select(&[Matcher::new("a", MatchOp::Matches, "(")], TimeRange::ALL, 1);
    assert!(matches!(error, Err(SelectError::BadRegex { .. })));
}

/// Makes the first chunk of a file one of another encoding, with a right checksum.
fn make_foreign(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).expect("chunks");
    assert!(bytes[8] < 0x80, "a length of one byte");
    let end = 10 + usize::from(bytes[8]);
    bytes[9] = 9;
    let crc = crc32c::crc32c(&bytes[9..end]).to_be_bytes();
    bytes[end..end + 4].copy_from_slice(&crc);
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn chunks_of_unknown_encodings_are_passed_over_and_kept() {
    let house = House::new();
    let blocks = house.open();
    let two = |start: i64| {
        let samples = |value| (0..10).map(move |nth| (start + nth * 1000, value));
        vec![
            series(labels(&[("a", "1")]), samples(1.0)),
            series(labels(&[("a", "2")]), samples(2.0)),
        ]
    };
    let meta = write(&blocks, 0..=2, two(0));
    for hour in [2, 4, 6] {
        write(&blocks, hour..=hour + 2, two(hour * crate::harness::HOUR));
    }
    make_foreign(&house.path().join(meta.ulid.to_string()).join("chunks/000001"));
    let blocks = house.open();
    let first = range(-1, 7_199_999);
    let found = blocks.select(&[], first, usize::MAX).expect("no error");
    assert_eq!(
        found.iter().map(|one| one.labels.value("a")).collect::<Vec<_>>(),
        ["2"]
    );
    assert_eq!(blocks.counts().foreign_chunks, 1);
    let done = blocks.maintain();
    let made = done.compacted.expect("planned").made.expect("a block");
    let stats = &made.stats;
    assert_eq!(
        (stats.num_samples, stats.num_float_samples),
        (60, 50),
        "copied as it is"
    );
    assert_eq!(blocks.labels(&[], first).expect("no error").len(), 1);
    assert_eq!(
        blocks
            .select(&[], TimeRange::ALL, usize::MAX)
            .expect("no error")
            .len(),
        2
    );
}

//! Native histograms: what goes in comes out, beside floats, across blocks, and after blocks have become one.

use std::collections::BTreeMap;
use std::sync::Arc;

use blocks::{Block, Blocks, Error, Samples};
use model::histogram::{Buckets, Histogram, Reset, Span};
use model::{Labels, Mixed, STALE, SelectError, TimeRange, Timestamp, Value, is_stale};
use proptest::prelude::*;

use crate::harness::{HOUR, House, equal, everything, hours, labels, range, series};
use crate::steps::{any_layout, any_step, follow};

pub(crate) fn with(labels: Labels, samples: impl IntoIterator<Item = (i64, Value)>) -> Samples {
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    for (time, value) in samples {
        match value {
            Value::Float(value) => floats.push((time, value)),
            Value::Histogram(histogram) => histograms.push((Timestamp(time), histogram)),
        }
    }
    let series = series(labels, floats);
    Samples { series, histograms }
}

pub(crate) fn side(spans: &[(i32, u32)], counts: &[f64]) -> Buckets {
    let spans = spans.iter().map(|(offset, length)| Span {
        offset: *offset,
        length: *length,
    });
    Buckets {
        spans: spans.collect(),
        counts: counts.to_vec(),
    }
}

pub(crate) fn value(histogram: Histogram) -> Value {
    Value::Histogram(Arc::new(histogram))
}

/// That has counted `count` times.
pub(crate) fn counted(count: u32) -> Histogram {
    let count = f64::from(count);
    Histogram {
        count: count * 4.0,
        sum: count * 1.25,
        schema: 3,
        zero_threshold: 0.001,
        zero_count: count,
        positive: side(&[(-2, 1), (3, 1)], &[count, count]),
        negative: side(&[(1, 1)], &[count]),
        integers: true,
        ..Histogram::default()
    }
}

fn write(blocks: &Blocks, start: i64, all: Vec<Samples>) -> blocks::Meta {
    let meta = blocks.write(hours(start, start + 2), all);
    meta.expect("written").expect("a block")
}

fn all_mixed(blocks: &Blocks) -> Vec<Mixed> {
    let all = blocks.mixed(&[], TimeRange::ALL, usize::MAX).expect("read");
    assert!(all.is_sorted_by(|a, b| a.labels < b.labels), "sorted, each once");
    for mixed in &all {
        let times = || mixed.samples.iter().map(|(time, _)| *time);
        assert!(times().is_sorted_by(|a, b| a < b), "each time once");
    }
    all
}

/// What is equal is equal in every bit; whether it is a reset is looked at by itself.
#[derive(Debug, PartialEq)]
enum Plain {
    Float(u64),
    Histogram(Box<Histogram>, u64, bool),
}

fn plain(value: &Value) -> Plain {
    match value {
        Value::Float(value) => Plain::Float(value.to_bits()),
        Value::Histogram(histogram) if is_stale(histogram.sum) => Plain::Float(STALE.to_bits()),
        Value::Histogram(histogram) => {
            let mut plain = (**histogram).clone();
            plain.reset = Reset::Unknown;
            plain.sum = 0.0;
            let is_gauge = histogram.reset == Reset::Gauge;
            Plain::Histogram(Box::new(plain), histogram.sum.to_bits(), is_gauge)
        }
    }
}

/// Whole counts that are none come back as floats.
fn as_read(value: &Value) -> Value {
    let Value::Histogram(histogram) = value else {
        return value.clone();
    };
    let mut read = (**histogram).clone();
    let buckets = read.positive.counts.iter().chain(&read.negative.counts);
    let mut all = buckets.chain([&read.count, &read.zero_count]);
    let is_whole = all.all(|count| count.fract() == 0.0);
    drop(all);
    read.integers &= is_whole;
    Value::Histogram(Arc::new(read))
}

fn cases() -> u32 {
    let long = std::env::var_os("SKOPOS_TEST_LONG").is_some();
    if long { 2_000 } else { 100 }
}

/// It is no reset: each bucket by its bounds.
fn grows(before: &Histogram, after: &Histogram) -> bool {
    let by_bounds = |histogram: &Histogram| -> BTreeMap<(u64, u64), f64> {
        let all = histogram.buckets().into_iter();
        all.map(|one| ((one.lower.to_bits(), one.upper.to_bits()), one.count))
            .collect()
    };
    let after = by_bounds(after);
    by_bounds(before)
        .iter()
        .all(|(bounds, count)| after.get(bounds).is_some_and(|now| now >= count))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn any_histograms_come_back(
        all in proptest::collection::btree_map("[a-d]", (any_layout(), proptest::collection::vec(any_step(), 1..300)), 1..4),
        gaps in proptest::collection::vec(1..20_000i64, 1..10),
    ) {
        let house = House::new();
        let blocks = house.open();
        let mut wanted = BTreeMap::new();
        let mut given = Vec::new();
        for (name, (start, steps)) in all {
            let values = follow(start, &steps);
            let mut time = 0;
            let times = gaps.iter().cycle().map(|gap| { time += gap; time });
            let samples: Vec<(i64, Value)> = times.zip(values).take_while(|(time, _)| *time < 2 * HOUR).collect();
            given.push(with(labels(&[("a", &name)]), samples.iter().cloned()));
            wanted.insert(labels(&[("a", &name)]), samples);
        }
        let Some(meta) = blocks.write(hours(0, 2), given.clone()).expect("written") else {
            return Ok(());
        };
        let is_histogram = |value: &Value| matches!(value, Value::Histogram(one) if !is_stale(one.sum));
        let count = |histograms: bool| {
            let all = wanted.values().flatten();
            all.filter(|(_, value)| is_histogram(value) == histograms).count() as u64
        };
        prop_assert_eq!(meta.stats.num_histogram_samples, count(true));
        prop_assert_eq!(meta.stats.num_float_samples, count(false));
        prop_assert_eq!(meta.stats.num_samples, count(true) + count(false));
        prop_assert_eq!(blocks.has_histograms(), count(true) > 0);
        blocks.all()[0].verify().expect("whole");
        let read = all_mixed(&blocks);
        wanted.retain(|_, samples| samples.iter().any(|(_, value)| is_histogram(value)));
        prop_assert_eq!(read.len(), wanted.len());
        for (mixed, (labels, wanted)) in read.iter().zip(&wanted) {
            prop_assert_eq!(&mixed.labels, labels);
            let got: Vec<_> = mixed.samples.iter().map(|(time, value)| (time.0, plain(value))).collect();
            let wanted: Vec<_> = wanted.iter().map(|(time, value)| (*time, plain(&as_read(value)))).collect();
            prop_assert_eq!(got, wanted);
            for pair in mixed.samples.windows(2) {
                if let [(_, before), (_, Value::Histogram(after))] = pair && after.reset == Reset::No {
                    prop_assert!(matches!(before, Value::Histogram(before) if grows(before, after)));
                }
            }
        }
        for one in &given {
            let floats = one.series.times.len();
            let name = one.series.labels.value("a");
            let found = blocks.select(&[equal("a", name)], TimeRange::ALL, usize::MAX).expect("read");
            let stale = one.histograms.iter().filter(|(_, one)| is_stale(one.sum)).count();
            prop_assert_eq!(found.iter().map(|one| one.times.len()).sum::<usize>(), floats + stale);
        }
    }
}

/// Of three blocks in one range each has some of the samples, and some have several.
fn torn(at: i64) -> Vec<Vec<Samples>> {
    let name = || labels(&[("a", "h")]);
    let other = || labels(&[("a", "f")]);
    let mut parts: Vec<Vec<(i64, Value)>> = vec![Vec::new(); 3];
    for nth in 0..200u32 {
        let sample = (at + i64::from(nth) * 10_000, value(counted(nth)));
        parts[nth as usize % 3].push(sample.clone());
        if nth % 7 == 0 {
            parts[(nth as usize + 1) % 3].push(sample);
        }
    }
    // At the time of a histogram, and at one of its own.
    parts[2].insert(0, (at, Value::Float(7.0)));
    parts[1].push((at + 2_500_000, Value::Float(STALE)));
    let whole = |part: Vec<(i64, Value)>| {
        let floats = (0..10).map(|nth| (at + nth * 1000, Value::Float(nth as f64)));
        vec![with(other(), floats), with(name(), part)]
    };
    parts.into_iter().map(whole).collect()
}

#[test]
fn blocks_that_overlap_are_read_as_one_and_become_one() {
    let house = House::new();
    let blocks = house.open();
    for part in torn(0) {
        write(&blocks, 0, part);
    }
    let look = |blocks: &Blocks| {
        let all = all_mixed(blocks);
        assert_eq!(all.len(), 1, "the other has only floats");
        assert_eq!(all[0].labels.value("a"), "h");
        let values = all[0].samples.iter().map(|(_, value)| plain(value));
        values.collect::<Vec<_>>()
    };
    let wanted: Vec<Plain> = (0..200)
        .map(|nth| plain(&value(counted(nth))))
        .chain([plain(&Value::Float(STALE))])
        .collect();
    assert_eq!(look(&blocks), wanted);
    let hints = |blocks: &Blocks, kind: Reset| {
        let all = all_mixed(blocks);
        let values = all.iter().flat_map(|mixed| &mixed.samples);
        values
            .filter(|(_, value)| matches!(value, Value::Histogram(one) if one.reset == kind))
            .count()
    };
    // Only where a sample is in two blocks does one's chunk hold it and the next; which of the two
    // is read depends on the names of the blocks.
    let in_one_chunk = (0..199).filter(|nth| nth % 7 == 0).count();
    let seen = hints(&blocks, Reset::No);
    assert!(
        seen <= in_one_chunk,
        "{seen} of {in_one_chunk}: what lies between is of another chunk"
    );
    let done = blocks.maintain();
    let made = done.compacted.expect("planned").made.expect("a block");
    assert_eq!(
        (made.stats.num_histogram_samples, made.stats.num_float_samples),
        (200, 11)
    );
    assert_eq!(made.stats.num_chunks, 1 + 2 + 1);
    assert_eq!(look(&blocks), wanted);
    assert_eq!(hints(&blocks, Reset::No), 198);
    assert_eq!(look(&house.open()), wanted);
    blocks.all()[0].verify().expect("whole");
    assert_eq!(blocks.counts().foreign_chunks, 0);
}

#[test]
fn blocks_that_follow_each_other_keep_their_chunks() {
    let house = House::new();
    let blocks = house.open();
    for start in [0, 2, 4, 6] {
        let all = (0..10).map(|nth| (start * HOUR + nth * 60_000, value(counted(nth as u32))));
        write(&blocks, start, vec![with(labels(&[("a", "h")]), all)]);
    }
    let before = all_mixed(&blocks);
    let made = blocks
        .maintain()
        .compacted
        .expect("planned")
        .made
        .expect("a block");
    assert_eq!((made.stats.num_chunks, made.stats.num_histogram_samples), (3, 30));
    assert_eq!(all_mixed(&blocks), before);
    assert!(everything(&blocks).is_empty(), "there are no floats");
    assert_eq!(blocks.labels(&[], TimeRange::ALL).expect("read").len(), 1);
}

#[test]
fn a_range_is_open_on_the_left_and_has_a_histogram() {
    let house = House::new();
    let blocks = house.open();
    let samples = [
        (10, value(counted(1))),
        (20, Value::Float(2.0)),
        (30, value(counted(3))),
        (40, Value::Float(STALE)),
    ];
    write(&blocks, 0, vec![with(labels(&[("a", "h")]), samples)]);
    let times = |after, until| -> Vec<i64> {
        let found = blocks.mixed(&[], range(after, until), 100).expect("read");
        found
            .iter()
            .flat_map(|mixed| mixed.samples.iter().map(|(time, _)| time.0))
            .collect()
    };
    assert_eq!(times(9, 40), [10, 20, 30, 40]);
    assert_eq!(times(10, 30), [20, 30]);
    assert!(times(10, 29).is_empty(), "only floats");
    assert!(times(30, 40).is_empty());
    let none = blocks
        .mixed(&[equal("a", "x")], TimeRange::ALL, 100)
        .expect("read");
    assert!(none.is_empty());
    let label_sets = |after, until| blocks.labels(&[], range(after, until)).expect("read").len();
    assert_eq!(
        [label_sets(0, 15), label_sets(10, 25), label_sets(40, 90)],
        [1, 1, 0]
    );
}

#[test]
fn each_bucket_that_holds_something_counts() {
    let house = House::new();
    let blocks = house.open();
    // Four are filled, then none, then there is a float.
    let samples = [
        (1, value(counted(2))),
        (2, value(counted(0))),
        (3, Value::Float(1.0)),
    ];
    write(&blocks, 0, vec![with(labels(&[("a", "h")]), samples)]);
    let read = |most| blocks.mixed(&[], TimeRange::ALL, most);
    assert_eq!(read(6).expect("just enough").len(), 1);
    assert_eq!(read(5), Err(SelectError::TooMany { limit: 5 }));
    let wide = Histogram {
        positive: side(&[(0, 10_000)], &[0.0; 10_000]),
        ..counted(0)
    };
    write(
        &blocks,
        2,
        vec![with(labels(&[("a", "h")]), [(2 * HOUR, value(wide))])],
    );
    let error = blocks.mixed(&[], range(2 * HOUR - 1, 4 * HOUR), 300);
    assert_eq!(
        error,
        Err(SelectError::TooMany { limit: 300 }),
        "80 kB for nothing"
    );
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    let house = House::new();
    let blocks = house.open();
    let broken = Histogram {
        positive: side(&[(0, 3)], &[1.0]),
        ..counted(1)
    };
    let name = || labels(&[("a", "h")]);
    for (why, samples) in [
        (
            "spans and counts",
            with(name(), [(1, value(counted(1))), (2, value(broken))]),
        ),
        (
            "both at one time",
            with(name(), [(1, value(counted(1))), (1, Value::Float(1.0))]),
        ),
        (
            "out of order",
            with(name(), [(2, value(counted(1))), (1, value(counted(1)))]),
        ),
        ("out of the range", with(name(), [(2 * HOUR, value(counted(1)))])),
    ] {
        let error = blocks.write(hours(0, 2), [samples]).expect_err(why);
        assert!(matches!(error, Error::Unfit(_)), "{why}: {error}");
        assert!(house.names().is_empty(), "{why} leaves something behind");
    }
}

#[test]
fn meta_that_does_not_say_may_have_histograms() {
    let house = House::new();
    let blocks = house.open();
    let meta = write(
        &blocks,
        0,
        vec![with(labels(&[("a", "h")]), [(1, value(counted(1)))])],
    );
    let path = house.path().join(meta.ulid.to_string());
    let text = std::fs::read_to_string(path.join("meta.json")).expect("read");
    assert!(text.contains("\"numHistogramSamples\": 1,"), "{text}");
    // As Prometheus up to 3.5 writes it.
    std::fs::write(
        path.join("meta.json"),
        text.replace("\"numHistogramSamples\": 1,", ""),
    )
    .expect("written");
    let block = Block::open(&path).expect("opens");
    assert!(block.has_histograms());
    assert_eq!(block.mixed(&[], TimeRange::ALL, 100).expect("read").len(), 1);
    let floats = House::new();
    let blocks = floats.open();
    assert!(!blocks.has_histograms());
    write(
        &blocks,
        0,
        vec![with(labels(&[("a", "f")]), [(1, Value::Float(1.0))])],
    );
    assert!(!blocks.has_histograms());
}

//! Histograms come out as they were written, and what contradicts itself is said to.

use model::Histogram;
use model::histogram::{BUCKETS_MAX, BadHistogram, Buckets, CUSTOM, Reset, Span};
use proptest::prelude::*;

use crate::wire::decode::histogram::{Histograms, Read, Reader, Unfit};
use crate::wire::decode::written::histogram::{double, zigzag};
use crate::wire::decode::written::{self, Native, Number, Side, Written, bytes, number, varint};
use crate::wire::decode::{Malformed, one, two};

pub(super) fn read(mut messages: Histograms<'_>) -> Result<Vec<Read>, Malformed> {
    let (mut reader, mut all) = (Reader::default(), Vec::new());
    while let Some(message) = messages.step()? {
        all.push(reader.read(message)?);
    }
    Ok(all)
}

/// As both messages have it.
fn both(native: &Native) -> Read {
    let series = [Written {
        histograms: vec![native.clone()],
        ..Written::new("a", &[])
    }];
    let mut samples = Vec::new();
    let request = written::one(&series);
    let Some(one::Part::Series(message)) = one::Parts::new(&request).step().unwrap() else {
        panic!("a series")
    };
    let series_one = one::Series::read(message, &mut samples).unwrap();
    let in_one = read(series_one.each_histogram()).unwrap().remove(0);

    let request = written::two(&series);
    let mut parts = two::Parts::new(&request);
    let message = loop {
        if let Some(two::Part::Series(message)) = parts.step().unwrap() {
            break message;
        }
    };
    let series_two = two::Series::read(message, &mut samples).unwrap();
    let in_two = read(series_two.each_histogram()).unwrap().remove(0);
    assert_eq!(in_one.time, in_two.time);
    assert_eq!(format!("{in_one:?}"), format!("{in_two:?}"));
    in_two
}

fn alone(message: &[u8]) -> Result<Read, Malformed> {
    Reader::default().read(message)
}

fn good(read: Read) -> Histogram {
    read.histogram.unwrap().unwrap()
}

fn expected() -> Histogram {
    Histogram {
        count: 12.0,
        sum: 20.5,
        schema: 0,
        zero_threshold: 0.001,
        zero_count: 2.0,
        positive: Buckets {
            spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
            counts: vec![3.0, 0.0, 4.0],
        },
        negative: Buckets {
            spans: vec![Span {
                offset: -1,
                length: 1,
            }],
            counts: vec![3.0],
        },
        integers: true,
        ..Histogram::default()
    }
}

#[test]
fn whole_counts_are_sums_of_deltas() {
    let read = both(&Native::whole(1_234));
    assert_eq!(read.time, 1_234);
    assert_eq!(good(read), expected());
}

#[test]
fn floats_are_as_they_are_written() {
    let mut wanted = expected();
    wanted.integers = false;
    wanted.count = 6.0;
    wanted.zero_count = 1.0;
    wanted.positive.counts = vec![1.5, 0.0, 2.0];
    wanted.negative.counts = vec![1.5];
    assert_eq!(good(both(&Native::float(-7))), wanted);
    assert_eq!(both(&Native::float(-7)).time, -7);
}

#[test]
fn bounds_and_hints_come_along() {
    let custom = good(both(&Native::custom(1)));
    assert_eq!((custom.schema, &custom.bounds), (CUSTOM, &vec![0.1, 1.0]));
    assert_eq!(custom.positive.counts, [1.0, 2.0, 3.0]);
    for (number, reset) in [
        (0, Reset::Unknown),
        (1, Reset::Yes),
        (2, Reset::No),
        (3, Reset::Gauge),
        (77, Reset::Unknown),
    ] {
        let native = Native {
            reset: number,
            ..Native::whole(1)
        };
        assert_eq!(good(both(&native)).reset, reset);
    }
}

#[test]
fn a_sum_that_is_the_stale_marker_is_an_end_whatever_else_is_said() {
    assert_eq!(both(&Native::end(5)).histogram, Ok(None));
    let with_buckets = Native {
        sum: model::STALE,
        schema: 99,
        ..Native::whole(5)
    };
    assert_eq!(both(&with_buckets).histogram, Ok(None));
    let other_nan = Native {
        sum: f64::NAN,
        ..Native::whole(5)
    };
    assert!(good(both(&other_nan)).sum.is_nan());
}

#[test]
fn lists_are_found_however_they_are_written() {
    // From the last field to the first, each number by itself, with fields that nobody knows.
    let native = Native::float(9);
    let mut message = Vec::new();
    number(15, 9, &mut message);
    number(99, 1, &mut message);
    native
        .positive
        .counts
        .iter()
        .for_each(|count| double(13, *count, &mut message));
    let mut span = Vec::new();
    number(2, 2, &mut span);
    bytes(11, &span, &mut message);
    bytes(11, &[1 << 3, 2, 2 << 3, 1, 3 << 3, 7], &mut message);
    double(10, 1.5, &mut message);
    bytes(8, &[2 << 3, 1, 1 << 3, 1], &mut message);
    double(7, 1.0, &mut message);
    double(5, 0.001, &mut message);
    double(3, 20.5, &mut message);
    // Of what excludes each other the last is said.
    number(1, 12, &mut message);
    double(2, 6.0, &mut message);
    assert_eq!(alone(&message).unwrap(), both(&native));

    let mut whole = Native::whole(9);
    let deltas = std::mem::take(&mut whole.positive.deltas);
    let mut message = whole.message();
    deltas
        .iter()
        .for_each(|delta| number(12, zigzag(*delta), &mut message));
    assert_eq!(good(alone(&message).unwrap()), expected());
    assert_eq!(good(alone(&[]).unwrap()).count, 0.0);
}

type Write<'a> = &'a dyn Fn(&mut Vec<u8>);

#[test]
fn fields_of_another_type_make_the_request_bad() {
    for field in 1..=16_u64 {
        let wrong: &[Write<'_>] = match field {
            // Whole numbers.
            1 | 4 | 6 | 14 | 15 => &[&|out| double(field, 1.0, out), &|out| bytes(field, &[], out)],
            // Floats.
            2 | 3 | 5 | 7 => &[&|out| number(field, 1, out), &|out| bytes(field, &[], out)],
            // Spans.
            8 | 11 => &[&|out| number(field, 1, out), &|out| double(field, 1.0, out)],
            // Lists of whole numbers: another type, and one that breaks off.
            9 | 12 => &[&|out| double(field, 1.0, out), &|out| {
                bytes(field, &[0x80], out);
            }],
            // Lists of floats.
            _ => &[&|out| number(field, 1, out), &|out| bytes(field, &[0; 9], out)],
        };
        for write in wrong {
            let mut message = Native::whole(1).message();
            write(&mut message);
            assert!(alone(&message).is_err(), "field {field}");
        }
    }
    for span in [
        &[1 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[2 << 3 | 2, 0],
        &[0x08],
    ] {
        let mut message = Vec::new();
        bytes(8, span, &mut message);
        assert!(alone(&message).is_err(), "{span:?}");
    }
}

#[test]
fn what_contradicts_itself_is_said() {
    let why = |change: &dyn Fn(&mut Native)| {
        let mut wrong = Native::whole(1);
        change(&mut wrong);
        both(&wrong).histogram.unwrap_err()
    };
    let below_zero = why(&|one| one.positive.deltas[1] = -4);
    assert_eq!(below_zero, BadHistogram::Negative.into());
    let too_large = why(&|one| one.positive.deltas[1] = i64::MAX);
    assert_eq!(too_large, Unfit::TooLarge);
    assert_eq!(too_large.to_string(), "a count is larger than 63 bits");
    assert_eq!(why(&|one| one.schema = 9), BadHistogram::Schema(9).into());
    let small = why(&|one| one.count = Number::Whole(11));
    assert_eq!(small, BadHistogram::CountTooSmall.into());
    // Counts of the other kind are none.
    let other = why(&|one| one.count = Number::Float(12.0));
    assert!(matches!(
        other,
        Unfit::Bad(BadHistogram::BucketsDiffer { counts: 0, .. })
    ));
    let long = why(&|one| one.positive.spans[1].1 = u32::MAX);
    let spans = u64::from(u32::MAX) + 2;
    assert_eq!(long, BadHistogram::BucketsDiffer { spans, counts: 3 }.into());
    let behind = why(&|one| one.positive.spans[1].0 = i32::MIN);
    assert_eq!(behind, BadHistogram::SpansOverlap.into());
}

#[test]
fn no_list_outgrows_what_anybody_has() {
    let most = Native {
        count: Number::Whole(1 << 40),
        positive: Side {
            spans: vec![(0, BUCKETS_MAX as u32)],
            deltas: vec![0; BUCKETS_MAX],
            ..Side::default()
        },
        ..Native::empty(1)
    };
    assert_eq!(good(both(&most)).positive.counts.len(), BUCKETS_MAX);
    let mut reader = Reader::default();
    let beyond = |field: u64, item: &[u8]| {
        let mut message = Native::custom(1).message();
        bytes(field, &item.repeat(4_000_000), &mut message);
        message
    };
    for message in [
        beyond(9, &[0]),
        beyond(12, &[0]),
        beyond(16, &[0; 8]),
        [
            &b"\x5a\x00".repeat(2_000_000),
            Native::whole(1).message().as_slice(),
        ]
        .concat(),
    ] {
        let read = reader.read(&message).unwrap();
        assert_eq!(read.histogram, Err(BadHistogram::TooManyBuckets.into()));
    }
    assert!(reader.bytes() < 8 << 20, "{}", reader.bytes());
    // What it has met before is not part of the next.
    let next = reader.read(&Native::whole(1).message()).unwrap();
    assert_eq!(good(next), expected());
}

fn any_side() -> impl Strategy<Value = Side> {
    let spans = prop::collection::vec((any::<i32>(), 0_u32..4), 0..4);
    let deltas = prop::collection::vec(prop_oneof![-3_i64..4, any::<i64>()], 0..8);
    let counts = prop::collection::vec(prop::num::f64::ANY, 0..8);
    (spans, deltas, counts).prop_map(|(spans, deltas, counts)| Side {
        spans,
        deltas,
        counts,
    })
}

fn any_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<u64>().prop_map(Number::Whole),
        prop::num::f64::ANY.prop_map(Number::Float)
    ]
}

/// Mostly one that contradicts itself.
fn any_native() -> impl Strategy<Value = Native> {
    let numbers = (
        any_number(),
        prop::num::f64::ANY,
        prop::num::f64::ANY,
        any_number(),
    );
    let lists = (
        any_side(),
        any_side(),
        prop::collection::vec(prop::num::f64::ANY, 0..4),
    );
    let schema = prop_oneof![-4_i32..9, Just(CUSTOM), any::<i32>()];
    (numbers, lists, schema, 0_u64..5, any::<i64>()).prop_map(|(numbers, lists, schema, reset, time)| {
        let (count, sum, zero_threshold, zero_count) = numbers;
        let (negative, positive, bounds) = lists;
        Native {
            time,
            count,
            sum,
            schema,
            zero_threshold,
            zero_count,
            negative,
            positive,
            reset,
            bounds,
        }
    })
}

/// One that holds together, from random counts.
fn any_honest() -> impl Strategy<Value = (Native, Vec<u32>)> {
    let counts = prop::collection::vec(any::<u32>(), 0..200);
    (-4_i32..9, counts, any::<i32>(), any::<bool>()).prop_map(|(schema, counts, first, float)| {
        let length = u32::try_from(counts.len()).unwrap();
        let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        let mut last = 0;
        let deltas = counts.iter().map(|count| {
            let count = i64::from(*count);
            count - std::mem::replace(&mut last, count)
        });
        let side = Side {
            spans: vec![(first, length)],
            deltas: if float { Vec::new() } else { deltas.collect() },
            counts: if float {
                counts.iter().map(|count| f64::from(*count)).collect()
            } else {
                Vec::new()
            },
        };
        let native = Native {
            count: if float {
                Number::Float(total as f64)
            } else {
                Number::Whole(total)
            },
            schema,
            negative: side,
            ..Native::empty(1)
        };
        (native, counts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_is_taken_as_it_is_or_refused(native in any_native()) {
        let read = both(&native);
        prop_assert_eq!(read.time, native.time);
        if let Ok(Some(histogram)) = read.histogram {
            prop_assert_eq!(histogram.check(), Ok(()));
            prop_assert_eq!(histogram.sum.to_bits(), (native.sum + 0.0).to_bits());
            prop_assert_eq!(histogram.schema, native.schema);
            prop_assert_eq!(histogram.bounds, native.bounds);
            let spans: Vec<_> = histogram.positive.spans.iter().map(|span| (span.offset, span.length)).collect();
            prop_assert_eq!(spans, native.positive.spans);
        }
    }

    #[test]
    fn what_holds_together_is_taken((native, counts) in any_honest()) {
        let histogram = good(both(&native));
        let wanted: Vec<f64> = counts.iter().map(|count| f64::from(*count)).collect();
        prop_assert_eq!(histogram.negative.counts, wanted);
        prop_assert_eq!(histogram.negative.spans[0].offset, native.negative.spans[0].0);
    }

    #[test]
    fn wrong_bytes_never_panic(
        native in any_native(),
        wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut message = native.message();
        for (at, byte) in wrong {
            let at = at.index(message.len());
            message[at] = byte;
        }
        message.truncate(cut.index(message.len()) + 1);
        _ = alone(&message);
    }

    #[test]
    fn random_bytes_never_panic(message in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Read { histogram: Ok(Some(histogram)), .. }) = alone(&message) {
            prop_assert_eq!(histogram.check(), Ok(()));
        }
        let mut packed = Vec::new();
        varint(message.len() as u64, &mut packed);
        packed.extend(&message);
        _ = alone(&packed);
    }
}

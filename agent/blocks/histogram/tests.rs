//! Histograms packed and unpacked, whatever they hold.

use std::sync::Arc;

use model::histogram::{Buckets, CUSTOM, Histogram, Reset, Span};
use model::{Labels, STALE, Series, Timestamp, Value};
use proptest::prelude::*;

use super::*;
use crate::chunk::Chunk;
use crate::pack::Samples;
use crate::xor::BadChunk;

fn one(counts: &[f64]) -> Histogram {
    Histogram {
        count: counts.iter().sum::<f64>() + 1.0,
        sum: 1.0,
        schema: 1,
        zero_threshold: 2f64.powi(-128),
        zero_count: 1.0,
        positive: Buckets {
            spans: vec![Span {
                offset: -2,
                length: counts.len() as u32,
            }],
            counts: counts.to_vec(),
        },
        integers: true,
        ..Histogram::default()
    }
}

fn pack(histograms: &[Histogram]) -> Vec<Chunk> {
    let none = Series {
        labels: Labels::from_pairs([("a", "b")]),
        times: Arc::default(),
        values: Arc::default(),
        staleness: None,
    };
    let times = (0..).map(|nth| Timestamp(1000 + nth * 15));
    let samples = Samples {
        series: none,
        histograms: times.zip(histograms.iter().cloned().map(Arc::new)).collect(),
    };
    samples.pack().expect("fits")
}

fn headers(histograms: &[Histogram]) -> Vec<(u8, u16)> {
    let chunks = pack(histograms);
    chunks
        .iter()
        .map(|chunk| (chunk.data[2] >> 6, chunk.samples()))
        .collect()
}

/// Worked out by hand. Three samples of which nothing changes but the time. Threshold 2^-128 is 116; schema 1 is 10 001;
/// one span 10 001 of length 2, 10 010, at -2, 10 110; no negative ones 0. Time 1000 is 11110 and twelve bits; count
/// 4, 10 100; zero count 1, 10 001; sum as it is; buckets 1 and then 1 more, 10 001 and 10 001. Then a step of 15,
/// 110 001111, and five zeros for what did not change; then a step that did not change either.
#[test]
fn the_bytes_are_those_of_the_format() {
    let chunks = pack(&[one(&[1.0, 2.0]), one(&[1.0, 2.0]), one(&[1.0, 2.0])]);
    let bits = [
        "01110100",
        "10001",
        "10001",
        "10010",
        "10110",
        "0",
        "11110",
        "001111101000",
        "10100",
        "10001",
        "0011111111110000",
        "000000000000000000000000000000000000000000000000",
        "10001",
        "10001",
        "110001111",
        "00000",
        "0",
        "00000",
    ]
    .concat();
    let mut wanted = vec![0, 3, 0];
    for byte in bits.as_bytes().chunks(8) {
        let text = format!("{:0<8}", std::str::from_utf8(byte).expect("digits"));
        wanted.push(u8::from_str_radix(&text, 2).expect("bits"));
    }
    assert_eq!((chunks.len(), chunks[0].encoding), (1, INTEGERS));
    assert_eq!(chunks[0].data, wanted);
}

#[test]
fn a_chunk_ends_where_what_follows_is_of_another_kind() {
    let a = one(&[1.0, 2.0]);
    let with = |change: &dyn Fn(&mut Histogram)| {
        let mut other = one(&[1.0, 3.0]);
        change(&mut other);
        headers(&[a.clone(), other])
    };
    let (unknown, not_reset, reset, gauge) = (0b00, 0b01, 0b10, 0b11);
    assert_eq!(with(&|_| ()), [(unknown, 2)]);
    assert_eq!(with(&|one| one.reset = Reset::No), [(unknown, 2)]);
    assert_eq!(with(&|one| one.sum = -5.0), [(unknown, 2)]);
    assert_eq!(with(&|one| one.reset = Reset::Yes), [(unknown, 1), (reset, 1)]);
    assert_eq!(with(&|one| one.reset = Reset::Gauge), [(unknown, 1), (gauge, 1)]);
    assert_eq!(with(&|one| one.schema = 2), [(unknown, 1), (unknown, 1)]);
    assert_eq!(
        with(&|one| one.zero_threshold = 0.5),
        [(unknown, 1), (unknown, 1)]
    );
    assert_eq!(with(&|one| one.count = 3.0), [(unknown, 1), (reset, 1)]);
    assert_eq!(with(&|one| one.zero_count = 0.0), [(unknown, 1), (reset, 1)]);
    assert_eq!(
        with(&|one| one.positive.counts[0] = 0.0),
        [(unknown, 1), (reset, 1)]
    );
    assert_eq!(with(&|one| one.integers = false), [(unknown, 1), (not_reset, 1)]);
    assert_eq!(
        with(&|one| one.positive.counts[1] = 2.5),
        [(unknown, 1), (not_reset, 1)]
    );
    let wider = |one: &mut Histogram| {
        one.positive.spans[0] = Span {
            offset: -3,
            length: 4,
        };
        one.positive.counts = vec![0.0, 1.0, 2.0, 0.0];
    };
    assert_eq!(with(&wider), [(unknown, 1), (not_reset, 1)]);
    let elsewhere = |one: &mut Histogram| one.positive.spans[0].offset = 0;
    assert_eq!(
        with(&elsewhere),
        [(unknown, 1), (reset, 1)],
        "what was counted is gone"
    );
    let gauges = [5.0, 3.0, 4.0].map(|count| Histogram {
        reset: Reset::Gauge,
        ..one(&[count])
    });
    assert_eq!(headers(&gauges), [(gauge, 3)]);
    assert_eq!(
        headers(&[gauges[0].clone(), one(&[9.0])]),
        [(gauge, 1), (unknown, 1)]
    );
    assert_eq!(
        headers(&vec![a; 250]),
        [(unknown, 120), (not_reset, 120), (not_reset, 10)]
    );
}

#[test]
fn other_bounds_are_a_reset() {
    let custom = |bounds: &[f64]| Histogram {
        count: 3.0,
        schema: CUSTOM,
        bounds: bounds.to_vec(),
        positive: one(&[1.0]).positive,
        integers: true,
        ..Histogram::default()
    };
    let mut all = [custom(&[1.0, 2.0]), custom(&[1.0, 2.0]), custom(&[1.0, 3.0])];
    all.iter_mut().for_each(|one| one.positive.spans[0].offset = 0);
    assert_eq!(headers(&all), [(0b00, 2), (0b10, 1)]);
}

#[test]
fn a_stale_histogram_ends_the_series() {
    let stale = Histogram {
        sum: STALE,
        ..Histogram::default()
    };
    let chunks = pack(&[one(&[1.0]), stale.clone(), one(&[1.0])]);
    let encodings: Vec<u8> = chunks.iter().map(|chunk| chunk.encoding).collect();
    assert_eq!(encodings, [INTEGERS, crate::xor::ENCODING, INTEGERS]);
    // Prometheus puts it in the chunk, of either encoding: no buckets follow it there.
    for (encoding, integers) in [(INTEGERS, true), (FLOATS, false)] {
        let first = Histogram {
            integers,
            ..one(&[1.0, 2.0])
        };
        let mut encoder = Encoder::begin(1000, &first, Header::Unknown);
        encoder.append(
            1015,
            &Histogram {
                integers,
                count: 1.0,
                ..stale.clone()
            },
        );
        let data = encoder.finish();
        let all: Result<Vec<_>, _> = Decoder::new(encoding, &data).collect();
        let all = all.expect("a good chunk");
        assert_eq!(all.len(), 2);
        assert!(
            matches!(all[1], (Timestamp(1015), Value::Float(value)) if value.to_bits() == STALE.to_bits())
        );
    }
}

#[test]
fn few_bytes_do_not_stand_for_much_memory() {
    let wide = Histogram {
        positive: Buckets {
            spans: vec![Span { offset: 0, length: 0 }; 100_000],
            counts: Vec::new(),
        },
        ..one(&[])
    };
    let samples = vec![wide; 200];
    let chunks = pack(&samples);
    assert!(
        chunks.len() > 10,
        "cut by what it takes, not by number: {}",
        chunks.len()
    );
    let all: Vec<_> = chunks
        .iter()
        .flat_map(|chunk| Decoder::new(chunk.encoding, &chunk.data))
        .collect();
    assert!(
        all.len() == 200 && all.iter().all(Result::is_ok),
        "what we write can be read"
    );
    let mut data = chunks[0].data.clone();
    data[..2].copy_from_slice(&[0xff, 0xff]);
    data.resize(200_000, 0);
    let all: Vec<_> = Decoder::new(INTEGERS, &data).collect();
    assert!(matches!(all[..], [Err(BadChunk)]), "{}", all.len());
}

#[test]
fn a_chunk_that_ends_too_early_is_an_error() {
    for integers in [true, false] {
        let three = [1.0, 2.0, 4.0].map(|count| Histogram {
            integers,
            ..one(&[count, count])
        });
        let chunks = pack(&three);
        let (encoding, data) = (chunks[0].encoding, &chunks[0].data);
        for length in 2..data.len() {
            let samples: Vec<_> = Decoder::new(encoding, &data[..length]).collect();
            assert_eq!(samples.last(), Some(&Err(BadChunk)), "{length} bytes");
        }
        assert_eq!(Decoder::new(encoding, &[]).count(), 0);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        encoding in INTEGERS..=FLOATS,
        data in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(Decoder::new(encoding, &data).count() <= usize::from(crate::xor::count(&data)));
    }

    /// Begins well, so that more of it is believed.
    #[test]
    fn wrong_bits_are_read_without_a_panic(
        integers: bool,
        counts in proptest::collection::vec(0..9u32, 1..20),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..6),
    ) {
        let counts: Vec<f64> = counts.into_iter().map(f64::from).collect();
        let all = vec![Histogram { integers, ..one(&counts) }; 10];
        let chunk = pack(&all).remove(0);
        let mut data = chunk.data;
        for (at, bits) in flips {
            *at.get_mut(&mut data) ^= bits;
        }
        let decoder = Decoder::new(chunk.encoding, &data);
        prop_assert!(decoder.count() <= usize::from(crate::xor::count(&data)));
    }
}

//! Requests written by others are read; what is not a request never is, and never panics.

mod histograms;

use model::{Kind, STALE};
use proptest::prelude::*;

use super::written::{Native, Written, bytes, metadata_one, number, packed, varint};
use super::*;

/// Each series as `labels samples`, or why it is refused.
fn read_two(request: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut symbols = two::Symbols::default();
    symbols.read(request)?;
    let (mut samples, mut refs, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    let mut parts = two::Parts::new(request);
    let mut read = Vec::new();
    while let Some(part) = parts.step()? {
        let two::Part::Series(message) = part else {
            continue;
        };
        let series = two::Series::read(message, &mut samples)?;
        series.refs(&mut refs)?;
        assert_eq!(
            histograms::read(series.each_histogram())?.len(),
            series.histograms
        );
        let metadata = two::Metadata::read(series.metadata)?;
        let (help, unit) = symbols.metadata(request, &metadata);
        let said = format!("{} {help:?} {unit:?}", metadata.kind.text());
        read.push(match symbols.labels(request, &refs, &mut labels) {
            Ok(()) => line(&labels, &samples, &said),
            Err(why) => why.reason().to_owned(),
        });
    }
    Ok(read)
}

fn read_one(request: &[u8]) -> Result<Vec<String>, Malformed> {
    let (mut samples, mut labels) = (Vec::new(), Vec::new());
    let mut parts = one::Parts::new(request);
    let mut read = Vec::new();
    while let Some(part) = parts.step()? {
        match part {
            one::Part::Series(message) => {
                let series = one::Series::read(message, &mut samples)?;
                assert_eq!(
                    histograms::read(series.each_histogram())?.len(),
                    series.histograms
                );
                read.push(match series.labels(&mut labels)? {
                    Ok(()) => line(&labels, &samples, ""),
                    Err(why) => why.reason().to_owned(),
                });
            }
            one::Part::Metadata(message) => {
                let said = one::Metadata::read(message)?;
                read.push(format!("{} {} {:?}", said.family, said.kind.text(), said.help));
            }
        }
    }
    Ok(read)
}

fn line(labels: &[(&str, &str)], samples: &[Sample], said: &str) -> String {
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let samples: Vec<_> = samples
        .iter()
        .map(|sample| format!("{}@{}", sample.value, sample.time))
        .collect();
    format!("{} {} {said}", labels.join(","), samples.join(" "))
        .trim()
        .to_owned()
}

fn some() -> Vec<Written> {
    vec![
        Written {
            metadata: Some((1, "Requests.", "")),
            ..Written::new("a_total job=x instance=y", &[(1_000, 1.5), (2_000, 2.5)])
        },
        Written {
            metadata: Some((2, "Size.", "bytes")),
            histograms: vec![Native::whole(5), Native::float(6), Native::custom(7)],
            ..Written::new("b job=x", &[(-5, f64::INFINITY)])
        },
    ]
}

#[test]
fn both_messages_say_the_same() {
    assert_eq!(
        read_two(&written::two(&some())).unwrap(),
        [
            "__name__=a_total,instance=y,job=x 1.5@1000 2.5@2000 counter \"Requests.\" \"\"",
            "__name__=b,job=x inf@-5 gauge \"Size.\" \"bytes\"",
        ]
    );
    let mut request = written::one(&some());
    metadata_one("b", 2, "Size.", &mut request);
    assert_eq!(
        read_one(&request).unwrap(),
        [
            "__name__=a_total,instance=y,job=x 1.5@1000 2.5@2000",
            "__name__=b,job=x inf@-5",
            "b gauge \"Size.\"",
        ]
    );
}

#[test]
fn a_stale_marker_keeps_its_bits() {
    let mut samples = Vec::new();
    let request = written::two(&[Written::new("a", &[(1, STALE)])]);
    let mut parts = two::Parts::new(&request);
    while let Some(part) = parts.step().unwrap() {
        if let two::Part::Series(message) = part {
            two::Series::read(message, &mut samples).unwrap();
        }
    }
    assert!(model::is_stale(samples[0].value));
}

#[test]
fn labels_are_found_however_they_are_written() {
    let mut message = Vec::new();
    number(1, 1, &mut message);
    bytes(1, &[2, 3], &mut message);
    number(1, 4, &mut message);
    let series = two::Series::read(&message, &mut Vec::new()).unwrap();
    assert_eq!(series.packed, None);
    let mut refs = Vec::new();
    series.refs(&mut refs).unwrap();
    assert_eq!(refs, [1, 2, 3, 4]);

    let whole = written::one(&[Written::new("a b=c", &[])]);
    let Some(one::Part::Series(message)) = one::Parts::new(&whole).step().unwrap() else {
        panic!("a series")
    };
    let mut apart = message.to_vec();
    let label = apart.split_off(message.len() - 8);
    number(99, 1, &mut apart);
    apart.extend(label);
    let (mut labels, mut samples) = (Vec::new(), Vec::new());
    assert!(one::Series::read(message, &mut samples).unwrap().labels.is_some());
    let series = one::Series::read(&apart, &mut samples).unwrap();
    assert_eq!(series.labels, None);
    assert_eq!(series.labels(&mut labels), Ok(Ok(())));
    assert_eq!(labels, [("__name__", "a"), ("b", "c")]);
}

#[test]
fn what_is_not_known_is_passed_over() {
    let mut request = written::two(&some());
    number(77, 5, &mut request);
    bytes(78, &[1, 2, 3], &mut request);
    request.extend([79_u8 << 3 & 0x7f | 5 | 0x80, 4, 1, 2, 3, 4]);
    assert_eq!(read_two(&request).unwrap().len(), 2);
}

#[test]
fn bad_labels_are_the_series_own_fault() {
    let pairs = |pairs: &[(&str, &str)]| Written {
        labels: pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        samples: vec![(1, 1.0)],
        ..Written::default()
    };
    let cases = [
        (pairs(&[("b", "c"), ("__name__", "a")]), "unsorted_labels"),
        (
            pairs(&[("__name__", "a"), ("b", "c"), ("b", "d")]),
            "repeated_label",
        ),
        (pairs(&[("__name__", "a"), ("b", "")]), "empty_label"),
        (pairs(&[("", "x"), ("__name__", "a")]), "empty_label"),
        (pairs(&[("job", "a")]), "no_name"),
        (pairs(&[]), "no_name"),
    ];
    for (bad, why) in cases {
        let request = [
            Written::new("good", &[(1, 1.0)]),
            bad,
            Written::new("fine", &[(1, 1.0)]),
        ];
        for read in [
            read_one(&written::one(&request)),
            read_two(&written::two(&request)),
        ] {
            let read = read.unwrap();
            assert_eq!(read[1], why);
            assert!(read[0].starts_with("__name__=good") && read[2].starts_with("__name__=fine"));
        }
    }
}

#[test]
fn symbols_that_lead_nowhere_are_noticed() {
    let with = |refs: &[u64], symbols: &[&[u8]]| {
        let (mut request, mut message, mut packed) = (Vec::new(), Vec::new(), Vec::new());
        symbols.iter().for_each(|symbol| bytes(4, symbol, &mut request));
        refs.iter().for_each(|number| varint(*number, &mut packed));
        bytes(1, &packed, &mut message);
        bytes(5, &message, &mut request);
        read_two(&request)
    };
    assert_eq!(
        with(&[1, 9], &[b"", b"__name__"]),
        Ok(vec!["bad_symbol".to_owned()])
    );
    assert_eq!(with(&[1], &[b"", b"__name__"]), Ok(vec!["bad_symbol".to_owned()]));
    let far = u64::from(u32::MAX) + 1;
    assert_eq!(
        with(&[1, far], &[b"", b"__name__"]),
        Ok(vec!["bad_symbol".to_owned()])
    );
    assert_eq!(
        with(&[1, 2], &[b"", b"__name__", b"\xff"]),
        Ok(vec!["not_utf8".to_owned()])
    );
    assert!(with(&[0, 0], &[b"x"]).is_err());
}

#[test]
fn lengths_that_lie_are_refused() {
    for bytes in [
        &b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..],
        b"\x2a\xff\xff\xff\x7f",
        b"\x2a\x05\x01",
        b"\x2a",
        b"\x00\x01",
        b"\x0b\x0c",
        b"\x09\x01\x02",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x28\x01",
    ] {
        assert!(read_two(bytes).is_err(), "{bytes:x?}");
    }
    assert!(read_one(b"\x08\x01").is_err());
}

#[test]
fn a_message_in_place_of_the_other_is_empty_or_refused() {
    // The two were numbered so that neither reads as the other.
    assert_eq!(read_one(&written::two(&some())).unwrap_or_default(), [""; 0]);
    assert_eq!(read_two(&written::one(&some())).unwrap_or_default(), [""; 0]);
}

#[test]
fn a_block_that_claims_more_than_it_may_is_refused_before_it_is_unpacked() {
    let mut room = Vec::new();
    let block = packed(&vec![7; 100_000]);
    assert_eq!(unpack(&block, 100_000, &mut room).unwrap(), vec![7; 100_000]);
    assert!(matches!(
        unpack(&block, 99_999, &mut Vec::new()),
        Err(UnpackError::TooLong { .. })
    ));
    let mut bomb = Vec::new();
    varint(30 << 20, &mut bomb);
    bomb.extend([0xfe, 1, 0, 0xfe, 1, 0]);
    let mut room = Vec::new();
    assert!(matches!(
        unpack(&bomb, 32 << 20, &mut room),
        Err(UnpackError::Bomb { .. })
    ));
    assert_eq!(room.capacity(), 0);
    assert!(unpack(&[], 1, &mut room).is_err());
    assert!(unpack(b"\x05\x00", 100, &mut room).is_err());
}

#[test]
fn the_densest_block_that_snappy_makes_is_no_bomb() {
    let block = packed(&vec![0; 16 << 20]);
    assert!(unpacked_bytes(&block, 16 << 20).is_ok());
}

#[test]
fn no_table_of_symbols_outgrows_its_limit() {
    let request = b"\x22\x00".repeat(2 << 20);
    let mut symbols = two::Symbols::default();
    assert!(symbols.read(&request).is_err());
    assert!(symbols.len() <= 1 << 20);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        _ = (read_one(&bytes), read_two(&bytes), unpack(&bytes, 1 << 20, &mut Vec::new()).is_ok());
    }

    #[test]
    fn a_request_with_wrong_bytes_never_panics(at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400) {
        for mut request in [written::one(&some()), written::two(&some())] {
            if let Some(place) = request.get_mut(at) {
                *place = byte;
            }
            request.truncate(cut);
            _ = (read_one(&request), read_two(&request));
        }
    }

    #[test]
    fn the_short_way_to_a_sample_leads_to_the_same(
        time: i64,
        bits: u64,
        wrong in prop::option::of((0_usize..21, any::<u8>())),
        cut in 0_usize..21,
    ) {
        let mut message = vec![1 << 3 | 1];
        message.extend(bits.to_le_bytes());
        number(2, time.cast_unsigned(), &mut message);
        let whole = Sample::read(&message).unwrap();
        prop_assert_eq!((whole.time, whole.value.to_bits(), whole.start), (time, bits, 0));
        if let Some((at, byte)) = wrong.filter(|(at, _)| *at < message.len()) {
            message[at] = byte;
        }
        message.truncate(message.len().saturating_sub(cut / 4));
        if let Some(short) = Sample::usual(&message) {
            let long = Sample::any(&message).unwrap();
            prop_assert_eq!((short.time, short.value.to_bits(), short.start), (long.time, long.value.to_bits(), long.start));
        }
    }

    #[test]
    fn varints_are_read_as_written(number: u64) {
        let mut bytes = Vec::new();
        varint(number, &mut bytes);
        let mut fields = Fields::new(&bytes);
        prop_assert_eq!(fields.varint(), Ok(number));
        prop_assert!(fields.rest().is_empty());
    }
}

#[test]
fn types_are_the_text_formats() {
    let kinds: Vec<&str> = (0..9).map(|number| kind(number).text()).collect();
    assert_eq!(
        kinds,
        [
            "untyped",
            "counter",
            "gauge",
            "histogram",
            "untyped",
            "summary",
            "gauge",
            "gauge",
            "untyped"
        ]
    );
    assert_eq!(kind(2), Kind::Gauge);
}

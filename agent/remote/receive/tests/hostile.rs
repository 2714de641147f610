//! Whatever is sent, there is an answer, memory is bounded, and the accounts balance.

use proptest::prelude::*;

use crate::receive::Config;
use crate::receive::fakes::{Bench, START, call, node, writer};
use crate::wire::decode::written::{self, Native, Written, bytes, number, varint};

fn send(bench: &Bench, protocol: &str, request: &[u8]) -> u16 {
    let call = call(&node("w1"), protocol, written::packed(request));
    bench.receiver.write(&call).status
}

/// Anonymous memory of this process.
fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn a_request_that_breaks_off_leaves_nothing() {
    for protocol in ["1.0", "2.0"] {
        let bench = Bench::new();
        let series = [
            Written::new("a", &[(START, 1.0)]),
            Written::new("b", &[(START, 1.0)]),
        ];
        let whole = if protocol == "1.0" {
            written::one(&series)
        } else {
            written::two(&series)
        };
        assert_eq!(send(&bench, protocol, &whole[..whole.len() - 3]), 400);
        assert!(bench.keep.lines().is_empty());
        assert_eq!(send(&bench, protocol, &whole), 204);
        // The list that a broken request interrupts is not lost.
        for nth in 1..4 {
            let later = series.clone().map(|one| Written {
                samples: vec![(START + nth, 1.0)],
                ..one
            });
            let whole = if protocol == "1.0" {
                written::one(&later)
            } else {
                written::two(&later)
            };
            send(&bench, protocol, &whole[..whole.len() - 3]);
            assert_eq!(send(&bench, protocol, &whole), 204);
        }
        assert_eq!(bench.receiver.ledger().given, 8);
        assert_eq!(bench.keep.asked(), 2);
    }
}

#[test]
fn what_unpacks_to_too_much_is_refused_by_its_length() {
    let bench = Bench::with(Config {
        body_bytes_max: 1 << 20,
        ..Config::default()
    });
    let status = |body: Vec<u8>| bench.receiver.write(&call(&node("w1"), "2.0", body)).status;
    assert_eq!(status(written::packed(&vec![0; (1 << 20) + 1])), 413);
    let mut bomb = Vec::new();
    varint(1 << 20, &mut bomb);
    bomb.extend([0xfe, 1, 0]);
    assert_eq!(status(bomb), 400);
    assert_eq!(status(Vec::new()), 400);
    assert!(bench.receiver.senders().is_empty());
    assert_eq!(status(b"not snappy at all".to_vec()), 400);
}

#[test]
fn millions_of_nothing_take_no_memory() {
    let before = memory();
    let bench = Bench::new();
    // Empty series, empty samples in one series, and as many bad series.
    let nothing = b"\x2a\x00".repeat(4 << 20);
    assert_eq!(send(&bench, "2.0", &nothing), 204);
    assert_eq!(send(&bench, "1.0", &b"\x0a\x00".repeat(4 << 20)), 204);
    let mut samples = Vec::new();
    bytes(5, &b"\x12\x00".repeat(4 << 20), &mut samples);
    assert_eq!(send(&bench, "2.0", &samples), 413);
    let bad = b"\x2a\x02\x12\x00".repeat(2 << 20);
    assert_eq!(send(&bench, "2.0", &bad), 413);
    let mut histograms = Vec::new();
    bytes(5, &b"\x1a\x00".repeat(4 << 20), &mut histograms);
    assert_eq!(send(&bench, "2.0", &histograms), 413);
    assert_eq!(bench.receiver.ledger().taken, 0);
    assert!(bench.keep.lines().is_empty());
    let grown = memory().saturating_sub(before);
    // Bodies of 8 MB, their samples, and what other tests hold.
    assert!(grown < 150 << 20, "{grown}");
}

/// A request of 2.0 with one series, which has each of these at a time of its own.
fn with_histograms(messages: &[Vec<u8>]) -> Vec<u8> {
    let (mut request, mut series) = (Vec::new(), Vec::new());
    for symbol in ["", "__name__", "x"] {
        bytes(4, symbol.as_bytes(), &mut request);
    }
    bytes(1, &[1, 2], &mut series);
    for (message, time) in messages.iter().zip(1..) {
        let mut message = message.clone();
        number(15, time, &mut message);
        bytes(3, &message, &mut series);
    }
    bytes(5, &series, &mut request);
    request
}

#[test]
fn a_small_request_does_not_become_much_by_its_histograms() {
    let mut zeroes = Vec::new();
    bytes(11, &[2 << 3, 0xc8, 1], &mut zeroes);
    bytes(12, &[0; 200], &mut zeroes);
    // Nothing, spans of nothing, which take little more here than there, and buckets of nothing.
    for (message, too_much) in [
        (Vec::new(), true),
        (b"\x5a\x00".repeat(40), false),
        (zeroes, true),
    ] {
        let mut refused = false;
        for count in [500, 1_000, 10_000, 60_000] {
            let bench = Bench::new();
            let request = with_histograms(&vec![message.clone(); count]);
            let status = send(&bench, "2.0", &request);
            refused |= status == 413;
            let kept = bench.keep.histograms();
            assert_eq!(kept.len(), if status == 204 { count } else { 0 });
            // The first thousand samples are free.
            let taken: usize = kept.iter().map(|(.., histogram)| histogram.bytes() + 40).sum();
            assert!(
                taken < 13 * request.len() + 100_000,
                "{taken} of {} bytes",
                request.len()
            );
        }
        assert_eq!(refused, too_much);
    }
    // Millions of buckets that are not there.
    let mut claimed = Vec::new();
    let mut span = vec![2 << 3];
    varint(u64::from(u32::MAX), &mut span);
    (0..100).for_each(|_| bytes(11, &span, &mut claimed));
    let bench = Bench::new();
    let requests = with_histograms(&vec![claimed; 100]);
    assert_eq!(send(&bench, "2.0", &requests), 400);
    assert_eq!(bench.dropped()["bad_histogram"], 100);
}

#[test]
fn honest_histograms_are_never_too_much() {
    // As small as they are, as fine as they are, and both as many as a backlog may hold.
    let fine = |time| Native {
        count: written::Number::Whole(160),
        sum: 17.5,
        positive: written::Side {
            spans: vec![(-30, 160)],
            deltas: std::iter::once(1).chain([0; 159]).collect(),
            ..written::Side::default()
        },
        ..Native::empty(time)
    };
    for native in [&Native::empty as &dyn Fn(i64) -> Native, &fine] {
        let times = 0..10_000_i64;
        let backlog = [Written {
            histograms: times.map(|nth| native(START - 10_000 + nth)).collect(),
            ..Written::new("x", &[])
        }];
        let one = native(START);
        let many: Vec<Written> = (0..10_000)
            .map(|nth| Written {
                histograms: vec![one.clone()],
                ..Written::new(&format!("x a={nth}"), &[])
            })
            .collect();
        for series in [&backlog[..], &many] {
            let bench = Bench::new();
            assert_eq!(bench.send(&writer(), "2.0", series).status, 204);
            assert_eq!(bench.keep.histograms().len(), 10_000);
        }
    }
}

#[test]
fn nobody_makes_more_different_times_than_there_is_room_for() {
    let bench = Bench::new();
    let samples: Vec<(i64, f64)> = (0..100_001).map(|nth| (START - nth, 1.0)).collect();
    assert_eq!(
        send(&bench, "1.0", &written::one(&[Written::new("a", &samples)])),
        413
    );
    assert!(bench.keep.lines().is_empty());
    let backlog = &samples[..10_000];
    assert_eq!(
        send(&bench, "1.0", &written::one(&[Written::new("a", backlog)])),
        204
    );
    assert_eq!(bench.receiver.ledger().given, 10_000);
}

#[test]
fn requests_beyond_the_memory_wait_but_one_alone_never() {
    let bench = Bench::with(Config {
        decoding_bytes_max: 10,
        ..Config::default()
    });
    let request = written::two(&[Written::new("a", &[(START, 1.0)])]);
    assert_eq!(send(&bench, "2.0", &request), 204);
    let held = bench.receiver.reserve_for_test(1);
    let answer = bench
        .receiver
        .write(&call(&node("w1"), "2.0", written::packed(&request)));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    drop(held);
    assert_eq!(send(&bench, "2.0", &request), 204);
}

fn any_histogram(time: i64) -> impl Strategy<Value = Native> {
    let broken = Native {
        schema: 99,
        ..Native::whole(time)
    };
    prop_oneof![
        Just(Native::whole(time)),
        Just(Native::float(time)),
        Just(Native::custom(time)),
        Just(Native::empty(time)),
        Just(Native::end(time)),
        Just(broken),
    ]
}

fn any_series() -> impl Strategy<Value = Written> {
    let label = ("[a-d]{0,2}", "[a-c]{0,2}");
    let labels = prop::collection::vec(label, 0..4);
    let samples = prop::collection::vec((START - 5..START + 5, prop::num::f64::ANY), 0..3);
    let histograms = prop::collection::vec((START - 5..START + 5).prop_flat_map(any_histogram), 0..3);
    (labels, samples, any::<bool>(), histograms).prop_map(|(mut labels, samples, sorted, histograms)| {
        labels.push(("__name__".to_owned(), "m".to_owned()));
        if sorted {
            labels.sort();
        }
        Written {
            labels,
            samples,
            histograms,
            ..Written::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_protocols_come_to_the_same(requests in prop::collection::vec(prop::collection::vec(any_series(), 0..6), 1..5)) {
        let benches = [Bench::new(), Bench::new()];
        for request in &requests {
            let one = benches[0].send(&writer(), "1.0", request);
            let two = benches[1].send(&writer(), "2.0", request);
            prop_assert_eq!(one.status, two.status);
            prop_assert_eq!(one.body, two.body);
            prop_assert_eq!(benches[0].keep.lines(), benches[1].keep.lines());
        }
        prop_assert_eq!(benches[0].receiver.ledger(), benches[1].receiver.ledger());
    }

    #[test]
    fn a_request_that_comes_again_is_read_the_same(request in prop::collection::vec(any_series(), 0..6)) {
        let bench = Bench::new();
        let mut taken = Vec::new();
        for nth in 0..4_i64 {
            let later: Vec<Written> = request.iter().cloned().map(|mut one| {
                one.samples.iter_mut().for_each(|sample| sample.0 += nth * 1_000);
                one.histograms.iter_mut().for_each(|histogram| histogram.time += nth * 1_000);
                one
            }).collect();
            let answer = bench.send(&writer(), "2.0", &later);
            let lines: Vec<String> = bench.keep.lines().iter().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect();
            taken.push((answer.status, answer.headers, lines));
        }
        prop_assert!(taken.windows(2).all(|two| two[0] == two[1]), "{:?}", taken);
    }

    #[test]
    fn broken_requests_never_panic_and_balance(
        series in prop::collection::vec(any_series(), 1..4),
        wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let bench = Bench::new();
        for (protocol, request) in [("1.0", written::one(&series)), ("2.0", written::two(&series))] {
            let mut broken = request.clone();
            for (at, byte) in &wrong {
                let at = at.index(broken.len());
                broken[at] = *byte;
            }
            broken.truncate(cut.index(broken.len()) + 1);
            for request in [&request, &broken, &request, &broken] {
                send(&bench, protocol, request);
                prop_assert!(bench.receiver.ledger().balances());
            }
        }
    }

    #[test]
    fn random_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let bench = Bench::new();
        for protocol in ["1.0", "2.0"] {
            bench.receiver.write(&call(&node("w1"), protocol, body.clone()));
            send(&bench, protocol, &body);
        }
    }
}

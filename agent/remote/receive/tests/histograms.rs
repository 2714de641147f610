//! Native histograms are kept beside floats, told to whoever sent them, and refused one by one.

use model::labels::Labels;
use model::outside::{Response, Role};

use crate::receive::fakes::{Bench, START, node, sender, writer};
use crate::wire::decode::written::{Native, Written};

const PROTOCOLS: [&str; 2] = ["1.0", "2.0"];

fn series(labels: &str, histograms: &[Native]) -> Written {
    Written {
        histograms: histograms.to_vec(),
        ..Written::new(labels, &[])
    }
}

fn body(answer: &Response) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// Samples and histograms that are here, as an answer of 2.0 says; nothing of one of 1.0.
fn written(answer: &Response) -> Option<(String, String)> {
    let header = |thing: &str| answer.header(&format!("x-prometheus-remote-write-{thing}-written"));
    Some((header("samples")?.to_owned(), header("histograms")?.to_owned()))
}

fn pair(samples: usize, histograms: usize) -> (String, String) {
    (samples.to_string(), histograms.to_string())
}

#[test]
fn they_go_in_behind_the_floats_of_their_time_oldest_first() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        let sent = [
            series("h job=a", &[Native::whole(START + 1), Native::float(START)]),
            series("i job=a", &[Native::custom(START)]),
            Written::new("x job=a", &[(START, 1.0), (START + 1, 2.0)]),
            series("h job=b", &[Native::whole(START)]),
        ];
        let answer = bench.send(&node("w1"), protocol, &sent);
        assert_eq!(answer.status, 204, "{}", body(&answer));
        assert_eq!(
            bench.keep.lines(),
            [
                "remote/w1/a/ @1000000000: x{job=\"a\", node=\"w1\"} 1",
                "histograms remote/w1/a/ @1000000000: h{job=\"a\", node=\"w1\"} 6/20.5, i{job=\"a\", node=\"w1\"} 6/9.5",
                "histograms remote/w1/b/ @1000000000: h{job=\"b\", node=\"w1\"} 12/20.5",
                "remote/w1/a/ @1000000001: x{job=\"a\", node=\"w1\"} 2",
                "histograms remote/w1/a/ @1000000001: h{job=\"a\", node=\"w1\"} 12/20.5",
            ]
        );
        let kept = bench.keep.histograms();
        assert_eq!(kept.len(), 4);
        assert_eq!(kept[0].2.positive.counts, [1.5, 0.0, 2.0]);
        assert_eq!(kept[3].2.positive.counts, [3.0, 0.0, 4.0]);
        let ledger = bench.receiver.ledger();
        assert_eq!((ledger.taken, ledger.given), (6, 6));
        if protocol == "2.0" {
            assert_eq!(written(&answer), Some(pair(2, 4)));
        }
    }
}

#[test]
fn a_known_series_costs_no_label_work() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        for nth in 0..6 {
            let sent = [
                series("h job=a", &[Native::whole(START + nth)]),
                Written::new("x job=a", &[(START + nth, 1.0)]),
            ];
            assert_eq!(bench.send(&node("w1"), protocol, &sent).status, 204);
        }
        assert_eq!(bench.keep.asked(), 2);
        let read = bench.counter("skopos_remote_received_series_resolved_total");
        assert_eq!(read, if protocol == "1.0" { 2.0 } else { 4.0 });
        assert_eq!(bench.keep.histograms().len(), 6);
    }
}

#[test]
fn one_that_contradicts_itself_is_dropped_and_said_and_the_others_are_kept() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        let with = |time: i64, change: &dyn Fn(&mut Native)| {
            let mut wrong = Native::whole(time);
            change(&mut wrong);
            wrong
        };
        for known in [false, true] {
            let time = START + if known { 1_000 } else { 0 };
            let sent = [
                Written::new("x", &[(time, 1.0)]),
                series("good", &[Native::whole(time)]),
                series(
                    "wrong",
                    &[
                        with(time, &|one| one.positive.spans[1].0 = -1),
                        with(time + 1, &|one| one.positive.deltas[0] = -1),
                        with(time + 2, &|one| one.positive.deltas[1] = i64::MAX),
                        Native::whole(time + 3),
                    ],
                ),
            ];
            let answer = bench.send(&writer(), protocol, &sent);
            assert_eq!(answer.status, 400);
            assert_eq!(
                body(&answer),
                "not all samples are kept: bad_histogram 3; the first: wrong: its spans overlap\n"
            );
            if protocol == "2.0" {
                assert_eq!(written(&answer), Some(pair(1, 2)));
            }
        }
        assert_eq!(bench.keep.histograms().len(), 4);
        assert_eq!(bench.dropped()["bad_histogram"], 6);
        assert_eq!(bench.receiver.ledger().given, 6);
    }
}

#[test]
fn where_none_are_kept_they_are_refused_counted_and_said() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        bench.keep.keep_no_histograms();
        let sent = [
            series("b", &[Native::whole(START), Native::whole(START + 1)]),
            Written::new("x", &[(START, 1.0)]),
        ];
        let answer = bench.send(&writer(), protocol, &sent);
        assert_eq!(answer.status, 400);
        assert_eq!(body(&answer), "not all samples are kept: native_histogram 2\n");
        assert_eq!(bench.dropped()["native_histogram"], 2);
        assert!(!bench.dropped().contains_key("refused"));
        let ledger = bench.receiver.ledger();
        assert_eq!((ledger.taken, ledger.given), (3, 1));
        if protocol == "2.0" {
            assert_eq!(written(&answer), Some(pair(1, 0)));
        }
    }
}

#[test]
fn the_end_of_a_series_is_a_stale_marker_among_floats() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        let sent = [series("h", &[Native::whole(START), Native::end(START + 1)])];
        let answer = bench.send(&writer(), protocol, &sent);
        assert_eq!(answer.status, 204);
        assert_eq!(
            bench.keep.lines(),
            [
                "histograms remote/// @1000000000: h 12/20.5",
                "remote/// @1000000001: h stale",
            ]
        );
        // It was sent as a histogram, and whoever sent it counts it as one.
        if protocol == "2.0" {
            assert_eq!(written(&answer), Some(pair(0, 2)));
        }
        assert_eq!(bench.receiver.ledger().given, 2);
    }
}

#[test]
fn what_comes_again_or_late_is_counted_as_of_floats() {
    for protocol in PROTOCOLS {
        for (from, status) in [
            (writer(), 400),
            (node("w1"), 204),
            (sender(Role::Replica, "b"), 204),
        ] {
            let bench = Bench::new();
            let send = |time| bench.send(&from, protocol, &[series("h", &[Native::whole(time)])]);
            assert_eq!(send(START).status, 204);
            let again = send(START);
            assert_eq!(again.status, 204);
            if protocol == "2.0" {
                assert_eq!(written(&again), Some(pair(0, 1)));
            }
            let late = send(START - 1_000);
            assert_eq!(late.status, status);
            if protocol == "2.0" {
                assert_eq!(written(&late), Some(pair(0, 0)));
            }
            let ahead = send(START + 900_000);
            assert_eq!(
                (ahead.status, body(&ahead).as_str()),
                (400, "not all samples are kept: out_of_bounds 1\n")
            );
            let dropped = bench.dropped();
            let counts = ["duplicate", "out_of_order", "out_of_bounds"].map(|reason| dropped[reason]);
            assert_eq!(counts, [1, 1, 1]);
        }
    }
}

#[test]
fn of_one_series_at_one_time_there_is_one() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        let sent = [
            series(
                "h",
                &[Native::whole(START), Native::whole(START), Native::float(START)],
            ),
            series("i", &[Native::whole(START)]),
        ];
        let answer = bench.send(&node("w1"), protocol, &sent);
        assert_eq!(answer.status, 204);
        assert_eq!(
            bench.keep.lines(),
            ["histograms remote/w1// @1000000000: h{node=\"w1\"} 12/20.5, i{node=\"w1\"} 12/20.5"]
        );
        assert_eq!(
            (bench.dropped()["duplicate"], bench.dropped()["out_of_order"]),
            (1, 1)
        );
    }
}

#[test]
fn those_of_a_series_that_is_refused_are_counted_with_it() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        let mut bad = series("h a=b", &[Native::whole(START), Native::float(START + 1)]);
        bad.labels.reverse();
        bad.histograms[1].schema = 99;
        let answer = bench.send(&node("w1"), protocol, &[bad.clone()]);
        assert_eq!(answer.status, 400);
        assert_eq!(bench.dropped()["unsorted_labels"], 2);
        assert!(!bench.dropped().contains_key("bad_histogram"));
        bad.labels.reverse();
        bench.keep.limit(0);
        assert_eq!(bench.send(&node("w1"), protocol, &[bad]).status, 400);
        assert_eq!(bench.dropped()["series_limit"], 2);
        assert!(bench.keep.histograms().is_empty());
    }
}

#[test]
fn what_the_store_has_forgotten_is_asked_for_again_and_committed() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        let round = |nth: i64| {
            let time = START + nth * 10;
            [
                Written::new("x job=a", &[(time, 1.0)]),
                series("h job=a", &[Native::whole(time), Native::float(time + 1)]),
                series("i job=a", &[Native::whole(time), Native::end(time + 1)]),
                series("h job=b", &[Native::whole(time)]),
            ]
        };
        let send = |nth| {
            let answer = bench.send(&node("w1"), protocol, &round(nth));
            assert_eq!(answer.status, 204, "{}", body(&answer));
            if protocol == "2.0" {
                assert_eq!(written(&answer), Some(pair(1, 5)), "round {nth}");
            }
        };
        (0..3).for_each(send);
        // One series of a target, then all of one, then everything.
        for (nth, forgotten) in [
            (3, &["h"][..]),
            (4, &["i"]),
            (5, &["x", "i"]),
            (6, &["x", "h", "i"]),
        ] {
            forgotten.iter().for_each(|name| bench.keep.forget(name));
            send(nth);
        }
        let ledger = bench.receiver.ledger();
        assert_eq!((ledger.given, ledger.dropped_total()), (42, 0));
        let labels = Labels::from_pairs([("__name__", "h"), ("job", "a"), ("node", "w1")]);
        let of_h = bench.keep.histograms();
        assert_eq!(of_h.iter().filter(|(known, ..)| *known == labels).count(), 14);
    }
}

//! What honest senders send is kept, in either protocol, and costs no label work the second time.

use model::STALE;
use model::outside::Role;

use crate::receive::Config;
use crate::receive::fakes::{Bench, START, call, node, sender, writer};
use crate::wire::decode::written::{self, Written, metadata_one};

const PROTOCOLS: [&str; 2] = ["1.0", "2.0"];

fn round(time: i64) -> Vec<Written> {
    vec![
        Written::new("up job=node instance=a", &[(time, 1.0)]),
        Written::new("load job=node instance=a", &[(time, 0.5)]),
        Written::new("up job=shop instance=b", &[(time + 7, 1.0)]),
        Written::new("requests_total job=shop instance=b", &[(time + 7, 9.0)]),
    ]
}

#[test]
fn samples_are_grouped_by_target_and_time_alike_in_both_protocols() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        let answer = bench.send(&node("w1"), protocol, &round(START));
        assert_eq!(answer.status, 204);
        assert_eq!(
            bench.keep.lines(),
            [
                "remote/w1/node/a @1000000000: up{instance=\"a\", job=\"node\", node=\"w1\"} 1, load{instance=\"a\", job=\"node\", node=\"w1\"} 0.5",
                "remote/w1/shop/b @1000000007: up{instance=\"b\", job=\"shop\", node=\"w1\"} 1, requests_total{instance=\"b\", job=\"shop\", node=\"w1\"} 9",
            ]
        );
        assert_eq!(bench.receiver.ledger().given, 4);
    }
}

#[test]
fn a_known_sender_costs_no_label_work() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        for nth in 0..6 {
            let answer = bench.send(&node("w1"), protocol, &round(START + nth * 15_000));
            assert_eq!(answer.status, 204);
            assert_eq!(bench.keep.asked(), 4, "{protocol}, request {nth}");
        }
        // 2.0 reads labels twice: a list is made only of symbols that come again.
        let read = bench.counter("skopos_remote_received_series_resolved_total");
        assert_eq!(read, if protocol == "1.0" { 4.0 } else { 8.0 });
        assert_eq!(bench.receiver.ledger().given, 24);
    }
}

#[test]
fn a_series_that_comes_goes_or_moves_is_found() {
    let series = |nth: usize, time| Written::new(&format!("s{nth} job=j"), &[(time, nth as f64)]);
    let orders: [&[usize]; 7] = [
        &[0, 1, 2, 3, 4, 5],
        &[0, 1, 2, 3, 4, 5],
        &[0, 3, 4, 5],
        &[5, 4, 3, 2, 1, 0],
        &[0, 1, 2, 9, 3, 4, 5],
        &[0, 1, 2, 9, 3, 4, 5],
        &[1, 1, 5],
    ];
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        for (request, order) in orders.iter().chain(&orders).enumerate() {
            let time = START + request as i64;
            let sent: Vec<_> = order.iter().map(|nth| series(*nth, time)).collect();
            assert_eq!(bench.send(&node("w1"), protocol, &sent).status, 204);
            let mut expected: Vec<_> = order.to_vec();
            expected.dedup();
            let samples: Vec<_> = expected
                .iter()
                .map(|nth| format!("s{nth}{{job=\"j\", node=\"w1\"}} {nth}"))
                .collect();
            let line = format!("remote/w1/j/ @{time}: {}", samples.join(", "));
            assert_eq!(bench.keep.lines(), [line], "{protocol}, request {request}");
        }
        assert_eq!(bench.keep.asked(), 7);
    }
}

#[test]
fn the_same_series_is_one_in_both_protocols() {
    let bench = Bench::new();
    bench.send(&node("w1"), "2.0", &round(START));
    bench.send(&node("w1"), "1.0", &round(START + 1_000));
    assert_eq!(bench.keep.asked(), 4);
    assert_eq!(bench.receiver.ledger().given, 8);
}

#[test]
fn requests_in_turn_each_have_their_list() {
    let bench = Bench::new();
    let one = |nth: i64, time| vec![Written::new(&format!("s{nth} job=j{nth}"), &[(time, 1.0)])];
    for turn in 0..5 {
        for nth in 0..3 {
            bench.send(&node("w1"), "2.0", &one(nth, START + turn));
        }
    }
    assert_eq!(bench.counter("skopos_remote_received_series_resolved_total"), 6.0);
    assert_eq!(bench.receiver.ledger().given, 15);
}

#[test]
fn a_series_with_several_samples_goes_in_oldest_first() {
    let bench = Bench::new();
    let late = Written::new("a", &[(START + 2, 3.0), (START + 1, 2.0)]);
    let early = Written::new("b", &[(START, 1.0), (START + 1, STALE)]);
    assert_eq!(bench.send(&node("w1"), "1.0", &[late, early]).status, 204);
    assert_eq!(
        bench.keep.lines(),
        [
            "remote/w1// @1000000000: b{node=\"w1\"} 1",
            "remote/w1// @1000000001: a{node=\"w1\"} 2, b{node=\"w1\"} stale",
            "remote/w1// @1000000002: a{node=\"w1\"} 3",
        ]
    );
}

#[test]
fn answers_say_what_was_written_in_two_and_nothing_in_one() {
    let bench = Bench::new();
    let header = "x-prometheus-remote-write-samples-written";
    let first = bench.send(&node("w1"), "2.0", &round(START));
    assert_eq!(first.header(header), Some("4"));
    assert_eq!(
        first.header("x-prometheus-remote-write-histograms-written"),
        Some("0")
    );
    assert_eq!(
        first.header("x-prometheus-remote-write-exemplars-written"),
        Some("0")
    );
    let again = bench.send(&node("w1"), "2.0", &round(START));
    assert_eq!((again.status, again.header(header)), (204, Some("4")));
    assert_eq!(bench.dropped()["duplicate"], 4);
    let old = bench.send(&node("w1"), "1.0", &round(START));
    assert_eq!((old.status, old.headers.len()), (204, 0));
}

#[test]
fn a_series_refused_does_not_keep_the_others_out() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        let mut series = round(START);
        series[1].labels.reverse();
        let answer = bench.send(&writer(), protocol, &series);
        assert_eq!(answer.status, 400);
        let body = String::from_utf8(answer.body.clone()).unwrap();
        assert_eq!(
            body,
            "not all samples are kept: unsorted_labels 1; the first: load: labels are not sorted by name\n"
        );
        if protocol == "2.0" {
            assert_eq!(
                answer.header("x-prometheus-remote-write-samples-written"),
                Some("3")
            );
        }
        assert_eq!(bench.receiver.ledger().given, 3);
        assert_eq!(bench.dropped()["unsorted_labels"], 1);
    }
}

#[test]
fn exemplars_go_with_their_series_and_what_is_dropped_of_them_is_counted() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        let exemplars = |traces: &[&str]| {
            let one = |(nth, trace): (usize, &&str)| ((*trace).to_owned(), START + nth as i64, 0.5);
            traces.iter().enumerate().map(one).collect::<Vec<_>>()
        };
        let first = Written {
            exemplars: exemplars(&["x"]),
            ..Written::new("a", &[(START, 1.0)])
        };
        // A Prometheus sends them by themselves.
        let alone = Written {
            exemplars: exemplars(&["x", "y"]),
            ..Written::new("a", &[])
        };
        let mut bad = alone.clone();
        bad.labels = vec![("name".to_owned(), "none".to_owned())];
        let answer = bench.send(&writer(), protocol, &[first, alone, bad]);
        assert_eq!(answer.status, 400, "a series without a name is told");
        let kept: Vec<String> = bench
            .keep
            .exemplars()
            .iter()
            .map(|(series, one)| format!("{series} {} {} @{}", one.labels, one.value, one.time.0 - START))
            .collect();
        assert_eq!(
            kept,
            [r#"a{} {trace_id="x"} 0.5 @0"#, r#"a{} {trace_id="y"} 0.5 @1"#]
                .map(|text| text.replace("{} ", " "))
        );
        let dropped = |reason| bench.reason("skopos_remote_received_exemplars_dropped_total", reason);
        assert_eq!((dropped("duplicate"), dropped("unknown_series")), (1.0, 2.0));
        assert_eq!(bench.counter("skopos_remote_received_exemplars_total"), 5.0);
        assert_eq!(bench.receiver.ledger().taken, 1);
        if protocol == "2.0" {
            assert_eq!(
                answer.header("x-prometheus-remote-write-exemplars-written"),
                Some("3")
            );
        }
    }
}

#[test]
fn an_old_sample_is_a_writers_mistake_and_a_nodes_backlog() {
    let late = [Written::new("a job=j", &[(START - 5_000, 2.0)])];
    for (from, status) in [
        (writer(), 400),
        (node("w1"), 204),
        (sender(Role::Replica, "b"), 204),
    ] {
        let bench = Bench::new();
        bench.send(&from, "2.0", &[Written::new("a job=j", &[(START, 1.0)])]);
        assert_eq!(bench.send(&from, "2.0", &late).status, status);
        assert_eq!(bench.dropped()["out_of_order"], 1);
    }
}

#[test]
fn a_sample_from_the_far_future_is_refused() {
    let bench = Bench::new();
    let ahead = |millis| [Written::new("a", &[(START + millis, 1.0)])];
    assert_eq!(bench.send(&node("w1"), "2.0", &ahead(900_000)).status, 400);
    assert_eq!(bench.dropped()["out_of_bounds"], 1);
    assert_eq!(bench.send(&node("w1"), "2.0", &ahead(590_000)).status, 204);
}

#[test]
fn what_the_store_has_forgotten_is_asked_for_again_and_committed() {
    for protocol in PROTOCOLS {
        let bench = Bench::new();
        for nth in 0..3 {
            bench.send(&node("w1"), protocol, &round(START + nth));
        }
        bench.keep.lines();
        bench.keep.forget("load");
        bench.keep.forget("requests_total");
        for nth in 3..6 {
            assert_eq!(bench.send(&node("w1"), protocol, &round(START + nth)).status, 204);
        }
        let lines = bench.keep.lines();
        assert_eq!(
            lines.iter().filter(|line| line.contains("load")).count(),
            3,
            "{lines:?}"
        );
        assert_eq!(
            lines
                .iter()
                .filter(|line| line.contains("requests_total"))
                .count(),
            3
        );
        assert_eq!(bench.receiver.ledger().given, 24);
        assert_eq!(bench.receiver.ledger().dropped_total(), 0);
        // All of the damaged targets' series are asked for, once.
        assert_eq!(bench.keep.asked(), 8);
    }
}

#[test]
fn beyond_the_stores_limit_series_are_refused_and_said() {
    let bench = Bench::new();
    bench.keep.limit(3);
    let answer = bench.send(&node("w1"), "2.0", &round(START));
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8(answer.body).unwrap().contains("series_limit 1"));
    assert_eq!(bench.dropped()["series_limit"], 1);
    bench.keep.limit(100);
    assert_eq!(bench.send(&node("w1"), "2.0", &round(START + 1)).status, 204);
}

#[test]
fn beyond_the_senders_limit_series_cost_more_and_are_kept() {
    let bench = Bench::with(Config {
        sender_series_max: 2,
        ..Config::default()
    });
    for protocol in PROTOCOLS {
        for nth in 0..3 {
            let time = START + nth + if protocol == "1.0" { 1_000 } else { 2_000 };
            assert_eq!(bench.send(&node("w1"), protocol, &round(time)).status, 204);
        }
    }
    assert_eq!(bench.receiver.ledger().given, 24);
    assert_eq!(bench.receiver.senders()[0].series, 2);
}

#[test]
fn descriptions_come_with_the_series_in_two() {
    let bench = Bench::new();
    let with = |kind, help, time| Written {
        metadata: Some((kind, help, "bytes")),
        ..Written::new("x_bucket le=1", &[(time, 1.0)])
    };
    bench.send(&node("w1"), "2.0", &[with(3, "How long.", START)]);
    assert_eq!(bench.keep.described("x_bucket"), "x histogram How long. bytes");
    for nth in 1..4 {
        bench.send(&node("w1"), "2.0", &[with(3, "How long.", START + nth)]);
    }
    assert_eq!(bench.keep.asked(), 1);
    bench.send(&node("w1"), "2.0", &[with(1, "How many.", START + 10)]);
    assert_eq!(
        bench.keep.described("x_bucket"),
        "x_bucket counter How many. bytes"
    );
    bench.send(
        &node("w1"),
        "2.0",
        &[Written::new("x_bucket le=1", &[(START + 20, 1.0)])],
    );
    assert_eq!(
        bench.keep.described("x_bucket"),
        "x_bucket counter How many. bytes"
    );
    assert_eq!(bench.keep.asked(), 2);
}

#[test]
fn descriptions_come_by_family_in_one_before_or_after_its_series() {
    let bench = Bench::new();
    let tell = |family: &str, kind, help: &str| {
        let mut request = Vec::new();
        metadata_one(family, kind, help, &mut request);
        let body = written::packed(&request);
        assert_eq!(bench.receiver.write(&call(&writer(), "1.0", body)).status, 204);
    };
    tell("x", 3, "How long.");
    let series = |time| {
        ["x_bucket le=1", "x_sum", "x", "y_total", "other"].map(|name| Written::new(name, &[(time, 1.0)]))
    };
    bench.send(&writer(), "1.0", &series(START));
    assert_eq!(bench.keep.described("x_bucket"), "x histogram How long.");
    assert_eq!(bench.keep.described("y_total"), "y_total untyped");
    tell("y_total", 1, "How many.");
    tell("x", 3, "How long.");
    bench.send(&writer(), "1.0", &series(START + 1));
    assert_eq!(bench.keep.described("y_total"), "y_total counter How many.");
    assert_eq!(bench.keep.asked(), 6);
    bench.send(&writer(), "1.0", &series(START + 2));
    assert_eq!(bench.keep.asked(), 6);
}

//! Nobody writes another's series, and everybody's are where their labels say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::outside::Role;

use crate::receive::Config;
use crate::receive::fakes::{Bench, START, call, node, sender, writer};
use crate::wire::decode::written::{self, Written};

fn one(labels: &str) -> Vec<Written> {
    vec![Written::new(labels, &[(START, 1.0)])]
}

#[test]
fn a_node_that_claims_to_be_another_writes_its_own_series() {
    for protocol in ["1.0", "2.0"] {
        let bench = Bench::new();
        bench.send(&node("w1"), protocol, &one("up job=node instance=a node=w2"));
        assert_eq!(
            bench.keep.lines(),
            [
                "remote/w1/node/a @1000000000: up{exported_node=\"w2\", instance=\"a\", job=\"node\", node=\"w1\"} 1"
            ]
        );
        assert_eq!(bench.counter("skopos_remote_received_series_renamed_total"), 1.0);
        bench.send(&node("w1"), protocol, &one("down job=node node=w1"));
        assert_eq!(bench.counter("skopos_remote_received_series_renamed_total"), 1.0);
    }
}

#[test]
fn two_nodes_with_the_same_labels_stay_apart() {
    let bench = Bench::new();
    for name in ["w1", "w2"] {
        bench.send(&node(name), "2.0", &one("up job=node instance=localhost:9100"));
    }
    assert_eq!(
        bench.keep.lines(),
        [
            "remote/w1/node/localhost:9100 @1000000000: up{instance=\"localhost:9100\", job=\"node\", node=\"w1\"} 1",
            "remote/w2/node/localhost:9100 @1000000000: up{instance=\"localhost:9100\", job=\"node\", node=\"w2\"} 1",
        ]
    );
}

#[test]
fn what_the_peer_copies_is_where_the_node_itself_puts_it() {
    let bench = Bench::new();
    bench.send(
        &sender(Role::Replica, "b"),
        "2.0",
        &one("up job=node instance=a node=w1"),
    );
    let copied = bench.keep.lines();
    let answer = bench.send(&node("w1"), "2.0", &one("up job=node instance=a"));
    assert_eq!(answer.status, 204);
    assert_eq!(bench.dropped()["duplicate"], 1);
    let mut later = one("up job=node instance=a");
    later[0].samples[0].0 += 1;
    bench.send(&node("w1"), "2.0", &later);
    assert_eq!(bench.keep.lines()[0].replace("001:", "000:"), copied[0]);
}

#[test]
fn a_writer_may_name_a_node_until_that_sends_by_itself() {
    let bench = Bench::new();
    let claim = |time: i64| vec![Written::new("up job=node node=w1", &[(time, 1.0)])];
    bench.send(&writer(), "1.0", &claim(START));
    assert_eq!(
        bench.keep.lines(),
        ["remote/w1/node/ @1000000000: up{job=\"node\", node=\"w1\"} 1"]
    );
    bench.send(&node("w1"), "1.0", &one("other"));
    bench.keep.lines();
    for nth in 1..3 {
        bench.send(&writer(), "1.0", &claim(START + nth));
        let line = format!("remote//node/ @100000000{nth}: up{{exported_node=\"w1\", job=\"node\"}} 1");
        assert_eq!(bench.keep.lines(), [line]);
    }
}

#[test]
fn only_what_this_is_for_is_answered() {
    let bench = Bench::new();
    let good = || call(&writer(), "2.0", written::packed(&written::two(&one("a"))));
    let header = |name: &str, value: &str| {
        let mut call = good();
        call.headers.retain(|(known, _)| known != name);
        call.headers.push((name.to_owned(), value.to_owned()));
        bench.receiver.write(&call)
    };
    let mut get = good();
    get.method = "GET".to_owned();
    let answer = bench.receiver.write(&get);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    let mut nobody = good();
    nobody.from = None;
    assert_eq!(bench.receiver.write(&nobody).status, 401);
    assert_eq!(
        bench.receiver.write(&call(&node(""), "2.0", Vec::new())).status,
        401
    );
    for kind in [
        "application/json",
        "application/x-protobuf;proto=prometheus.ReadRequest",
        "text/plain",
    ] {
        assert_eq!(header("content-type", kind).status, 415, "{kind}");
    }
    for encoding in ["zstd", "gzip", "identity"] {
        assert_eq!(header("content-encoding", encoding).status, 415, "{encoding}");
    }
    let two = "Application/X-Protobuf; proto=io.prometheus.write.v2.Request";
    assert_eq!(header("content-type", two).status, 204);
    assert_eq!(header("content-encoding", "Snappy").status, 204);
    assert_eq!(
        bench.counter("skopos_remote_received_requests_refused_total"),
        9.0
    );
    // Without a type it is 1.0, which a request of 2.0 reads as nothing.
    let mut bare = call(&writer(), "1.0", written::packed(&written::one(&one("b"))));
    bare.headers.clear();
    assert_eq!(bench.receiver.write(&bare).status, 204);
    assert_eq!(bench.receiver.ledger().given, 2);
}

#[test]
fn an_epoch_that_is_over_is_refused() {
    let bench = Bench::new();
    let seen = Arc::new(AtomicU64::new(7));
    let epoch = seen.clone();
    let send = |said: &str| {
        let mut call = call(
            &sender(Role::Replica, "b"),
            "2.0",
            written::packed(&written::two(&one("a"))),
        );
        call.headers.push(("x-skopos-epoch".to_owned(), said.to_owned()));
        bench.receiver.write(&call).status
    };
    assert_eq!(send("1"), 204);
    bench
        .receiver
        .epochs_from(Arc::new(move || epoch.load(Ordering::Relaxed)));
    assert_eq!((send("6"), send("7"), send("8"), send("x")), (409, 204, 204, 400));
    seen.store(9, Ordering::Relaxed);
    assert_eq!(send("8"), 409);
    let refused = bench.registry.gather();
    let refused = refused
        .iter()
        .find(|family| family.name() == "skopos_remote_received_requests_refused_total")
        .unwrap();
    let old = refused
        .get_metric()
        .iter()
        .find(|metric| metric.get_label()[0].value() == "old_epoch")
        .unwrap();
    assert_eq!(old.get_counter().get_value(), 2.0);
}

#[test]
fn while_held_everybody_waits() {
    let bench = Bench::new();
    bench.receiver.hold(true);
    let answer = bench.send(&node("w1"), "2.0", &one("a"));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    bench.receiver.hold(false);
    assert_eq!(bench.send(&node("w1"), "2.0", &one("a")).status, 204);
}

#[test]
fn there_are_not_more_senders_than_allowed() {
    let bench = Bench::with(Config {
        senders_max: 2,
        ..Config::default()
    });
    assert_eq!(bench.send(&node("w1"), "2.0", &one("a")).status, 204);
    assert_eq!(bench.send(&node("w2"), "2.0", &one("a")).status, 204);
    let answer = bench.send(&node("w3"), "2.0", &one("a"));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("30")));
    let seen: Vec<_> = bench
        .receiver
        .senders()
        .into_iter()
        .map(|sender| sender.name)
        .collect();
    assert_eq!(seen, ["w1", "w2"]);
}

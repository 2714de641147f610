//! A silent sender is not a healthy one, and a deaf replica is no judge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{Clock, Presence, Silence, Silent, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::receive::fakes::{Bench, START, node, writer};
use crate::wire::decode::written::Written;

fn scrape(bench: &Bench, name: &str) -> u16 {
    let time = bench.clock.now().0;
    let series = [
        Written::new("up job=node instance=a", &[(time, 1.0)]),
        Written::new("load job=node instance=a", &[(time, 0.5)]),
    ];
    bench.send(&node(name), "2.0", &series).status
}

/// Seconds go by, with a look each.
async fn wait(bench: &Bench, seconds: u64) {
    for _ in 0..seconds {
        bench.clock.sleep(Duration::from_secs(1)).await;
        bench.receiver.tick();
    }
}

fn provisional(bench: &Bench) -> Vec<String> {
    let lines = bench.keep.lines();
    lines
        .into_iter()
        .filter(|line| line.starts_with("provisional"))
        .collect()
}

fn silent(name: &str, since: i64, silence: Silence) -> Vec<Silent> {
    vec![Silent {
        node: name.into(),
        since: Timestamp(since),
        silence,
    }]
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_down_as_long_as_it_is_silent_and_its_series_have_ended_said_once() {
    let bench = Bench::new();
    wait(&bench, 60).await;
    scrape(&bench, "w1");
    let heard = bench.clock.now().0;
    wait(&bench, 29).await;
    assert_eq!(provisional(&bench), [""; 0]);
    assert_eq!(bench.receiver.silent(), []);
    wait(&bench, 1).await;
    let line = format!(
        "provisional remote/w1/node/a @{}: up{{instance=\"a\", job=\"node\", node=\"w1\"}} 0, load{{instance=\"a\", job=\"node\", node=\"w1\"}} stale",
        heard + 30_000
    );
    assert_eq!(provisional(&bench), [line]);
    assert_eq!(bench.receiver.silent(), silent("w1", heard, Silence::Everywhere));
    assert!(bench.receiver.senders()[0].silent);
    // Longer than anybody looks back; what has ended needs no repeating.
    wait(&bench, 600).await;
    let again = provisional(&bench);
    assert_eq!(again.len(), 10);
    assert!(
        again
            .iter()
            .all(|line| line.contains("up{") && !line.contains("load{")),
        "{again:?}"
    );
    scrape(&bench, "w1");
    wait(&bench, 1).await;
    assert_eq!(bench.receiver.silent(), []);
    wait(&bench, 30).await;
    assert_eq!(provisional(&bench).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_others_are_not_touched() {
    let bench = Bench::new();
    for _ in 0..6 {
        scrape(&bench, "w1");
        bench.send(
            &writer(),
            "1.0",
            &[Written::new("x", &[(bench.clock.now().0, 1.0)])],
        );
        wait(&bench, 15).await;
    }
    let idle = bench.send(&node("w2"), "2.0", &[]);
    assert_eq!(idle.status, 204);
    for _ in 0..6 {
        scrape(&bench, "w1");
        wait(&bench, 15).await;
    }
    assert_eq!(provisional(&bench), [""; 0]);
    let silent = bench.receiver.silent();
    assert_eq!(
        silent.iter().map(|silent| &*silent.node).collect::<Vec<_>>(),
        ["w2"]
    );
}

#[tokio::test(start_paused = true)]
async fn whom_the_peer_hears_is_not_called_down() {
    let bench = Bench::new();
    scrape(&bench, "w1");
    let heard = bench.clock.now().0;
    let peer = |ago: i64| {
        let time = Timestamp(bench.clock.now().0 - ago);
        bench
            .receiver
            .heard_elsewhere(BTreeMap::from([("w1".into(), time)]));
    };
    for _ in 0..60 {
        peer(2_000);
        wait(&bench, 1).await;
    }
    assert_eq!(bench.receiver.silent(), silent("w1", heard, Silence::Here));
    assert_eq!(provisional(&bench), [""; 0]);
    // The peer's last word is 2 s older than its saying.
    wait(&bench, 26).await;
    assert_eq!(provisional(&bench), [""; 0]);
    wait(&bench, 2).await;
    assert_eq!(bench.receiver.silent(), silent("w1", heard, Silence::Everywhere));
    let last = heard + 59_000 - 2_000;
    assert!(provisional(&bench)[0].contains(&format!("@{}", last + 30_000)));
}

#[tokio::test(start_paused = true)]
async fn an_old_word_of_the_peer_said_again_is_no_younger() {
    let bench = Bench::new();
    scrape(&bench, "w1");
    let heard = bench.receiver.heard();
    assert_eq!(heard, BTreeMap::from([("w1".into(), Timestamp(START))]));
    // The peer's clock is 20 s ahead.
    let word = BTreeMap::from([(Arc::from("w1"), Timestamp(START + 20_000))]);
    for _ in 0..31 {
        bench.receiver.heard_elsewhere(word.clone());
        wait(&bench, 1).await;
    }
    assert!(bench.receiver.silent()[0].silence == Silence::Everywhere);
}

/// Until when the peer's samples may be copied depends on it.
#[tokio::test(start_paused = true)]
async fn where_a_silent_nodes_series_have_ended_stays_whatever_the_peer_says_later() {
    let bench = Bench::new();
    scrape(&bench, "w1");
    wait(&bench, 31).await;
    let ended = bench.receiver.ended_provisionally("w1");
    assert_eq!(ended, Some(Timestamp(START + 30_000)));
    let word = BTreeMap::from([(Arc::from("w1"), Timestamp(START + 1_800))]);
    bench.receiver.heard_elsewhere(word);
    wait(&bench, 5).await;
    assert_eq!(bench.receiver.ended_provisionally("w1"), ended);
    scrape(&bench, "w1");
    assert_eq!(bench.receiver.ended_provisionally("w1"), None);
}

#[tokio::test(start_paused = true)]
async fn a_node_only_the_peer_hears_is_known_as_such() {
    let bench = Bench::new();
    for _ in 0..40 {
        let now = bench.clock.now();
        bench.receiver.heard_elsewhere(BTreeMap::from([
            ("w9".into(), now),
            ("old".into(), Timestamp(START - 60_000)),
        ]));
        wait(&bench, 1).await;
    }
    let silent = bench.receiver.silent();
    assert_eq!(silent.len(), 1);
    assert!(silent[0].silence == Silence::Here && &*silent[0].node == "w9");
    assert_eq!(bench.receiver.heard(), BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_node_that_does_not_come_back_is_missed_but_not_at_once() {
    let bench = Bench::new();
    scrape(&bench, "w1");
    wait(&bench, 10).await;
    let bench = bench.restart();
    let begun = bench.clock.now().0;
    // Nothing is known of it yet, so nothing that it does not say counts.
    assert_eq!(bench.receiver.silent(), silent("w1", begun, Silence::Unknown));
    wait(&bench, 29).await;
    assert_eq!(bench.receiver.silent(), silent("w1", begun, Silence::Unknown));
    assert!(bench.keep.lines().is_empty());
    assert!(!bench.receiver.senders()[0].silent);
    wait(&bench, 16).await;
    assert!(bench.receiver.senders()[0].silent);
    let said = bench.keep.lines();
    assert!(
        said[0].contains("skopos_sender_up{instance=\"localhost\", job=\"skopos\", node=\"w1\"} 0"),
        "{said:?}"
    );
    // What was read of it before is looked back on for five minutes.
    wait(&bench, 254).await;
    assert_eq!(bench.receiver.silent(), silent("w1", begun, Silence::Unknown));
    wait(&bench, 1).await;
    assert_eq!(bench.receiver.silent(), silent("w1", begun, Silence::Everywhere));
}

#[tokio::test(start_paused = true)]
async fn after_a_long_pause_of_this_process_nobody_is_called_silent() {
    let bench = Bench::new();
    scrape(&bench, "w1");
    wait(&bench, 5).await;
    bench.clock.sleep(Duration::from_secs(120)).await;
    // Rules may ask before the receiver has looked around again.
    assert_eq!(bench.receiver.silent(), silent("w1", START, Silence::Unknown));
    wait(&bench, 20).await;
    let begun = START + 126_000;
    assert_eq!(bench.receiver.silent(), silent("w1", begun, Silence::Unknown));
    assert_eq!(provisional(&bench), [""; 0]);
    wait(&bench, 11).await;
    assert_eq!(provisional(&bench).len(), 1);
    assert_eq!(bench.receiver.silent(), silent("w1", begun, Silence::Everywhere));
}

#[tokio::test(start_paused = true)]
async fn what_waited_while_this_process_stood_still_does_not_bring_a_node_back() {
    let bench = Bench::new();
    wait(&bench, 40).await;
    let old = bench.clock.now().0;
    scrape(&bench, "w1");
    bench.clock.sleep(Duration::from_secs(120)).await;
    let begun = old + 121_000;
    wait(&bench, 1).await;
    let late = [Written::new("up job=node instance=a", &[(old + 15_000, 1.0)])];
    assert_eq!(bench.send(&node("w1"), "2.0", &late).status, 204);
    assert_eq!(bench.receiver.silent(), silent("w1", begun, Silence::Unknown));
    wait(&bench, 5).await;
    scrape(&bench, "w1");
    assert_eq!(bench.receiver.silent(), []);
}

#[tokio::test(start_paused = true)]
async fn while_held_nobody_is_called_silent() {
    let bench = Bench::new();
    scrape(&bench, "w1");
    bench.receiver.hold(true);
    wait(&bench, 50).await;
    let begun = bench.clock.now().0;
    assert_eq!(bench.receiver.silent(), silent("w1", begun, Silence::Unknown));
    bench.receiver.hold(false);
    wait(&bench, 29).await;
    assert_eq!(bench.receiver.silent(), silent("w1", begun, Silence::Unknown));
    assert_eq!(provisional(&bench), [""; 0]);
    wait(&bench, 1).await;
    assert_eq!(provisional(&bench).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_can_neither_ask_the_peer_nor_leads_is_no_judge() {
    let bench = Bench::new();
    wait(&bench, 40).await;
    assert!(!bench.receiver.is_deaf());
    scrape(&bench, "w1");
    scrape(&bench, "w2");
    let heard = bench.clock.now().0;
    bench.receiver.judge(false);
    wait(&bench, 20).await;
    scrape(&bench, "w2");
    wait(&bench, 20).await;
    assert_eq!(bench.receiver.silent(), silent("w1", heard, Silence::Here));
    assert!(!bench.receiver.is_deaf());
    wait(&bench, 20).await;
    assert_eq!(provisional(&bench), [""; 0]);
    assert!(bench.receiver.is_deaf());
    bench.receiver.judge(true);
    wait(&bench, 1).await;
    assert_eq!(provisional(&bench).len(), 2);
    assert_eq!(
        bench.receiver.silent()[0],
        silent("w1", heard, Silence::Everywhere)[0]
    );
    // What has been judged stays so until somebody hears it again.
    bench.receiver.judge(false);
    wait(&bench, 20).await;
    assert_eq!(
        bench.receiver.silent()[0],
        silent("w1", heard, Silence::Everywhere)[0]
    );
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_wall_clock_silences_nobody() {
    let bench = Bench::new();
    for step in [3_600_000, -7_200_000, 0] {
        scrape(&bench, "w1");
        bench.clock.skew(step);
        wait(&bench, 20).await;
        assert_eq!(bench.receiver.silent(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_silent_for_an_hour_is_retired() {
    let bench = Bench::new();
    scrape(&bench, "w1");
    wait(&bench, 3_599).await;
    assert_eq!(bench.receiver.silent().len(), 1);
    assert!(bench.keep.retired().is_empty());
    wait(&bench, 1).await;
    assert_eq!(bench.receiver.silent(), []);
    assert_eq!(
        bench.keep.retired(),
        [("remote/w1/node/a".to_owned(), START + 30_000)]
    );
    assert!(bench.receiver.senders().is_empty());
    assert!(bench.restart().receiver.senders().is_empty());
    // It may come back.
    assert_eq!(scrape(&bench, "w1"), 204);
}

#[tokio::test(start_paused = true)]
async fn where_the_nodes_are_listed_the_list_decides() {
    let bench = Bench::new();
    let names = |names: &[&str]| {
        let names = names.iter().map(|name| Arc::from(*name));
        Some(Arc::new(names.collect::<BTreeSet<Arc<str>>>()))
    };
    bench.receiver.expect(names(&["w1", "w2"]));
    for name in ["w1", "w2"] {
        scrape(&bench, name);
    }
    wait(&bench, 7_200).await;
    assert_eq!(bench.receiver.silent().len(), 2);
    assert!(bench.keep.retired().is_empty());
    bench.receiver.expect(names(&["w2"]));
    wait(&bench, 1).await;
    assert_eq!(
        bench.keep.retired(),
        [("remote/w1/node/a".to_owned(), START + 30_000)]
    );
    // One that leaves the list while it is heard goes without a word.
    scrape(&bench, "w2");
    wait(&bench, 1).await;
    bench.receiver.expect(names(&[]));
    wait(&bench, 28).await;
    assert_eq!(
        (bench.receiver.silent().len(), bench.keep.retired().len()),
        (0, 1)
    );
    bench.keep.lines();
    wait(&bench, 1).await;
    assert_eq!(
        (bench.receiver.silent().len(), bench.keep.retired().len()),
        (0, 2)
    );
    assert_eq!(provisional(&bench), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_is_known_besides_the_nodes_is_missed_for_an_hour() {
    let bench = Bench::new();
    bench
        .receiver
        .known_besides(Arc::new(|name: &str| name == "host"));
    bench
        .receiver
        .expect(Some(Arc::new(BTreeSet::from([Arc::from("w1")]))));
    for name in ["w1", "host", "w9"] {
        scrape(&bench, name);
    }
    // The node that is on no list goes without a word.
    wait(&bench, 60).await;
    let silent = || {
        let silent = bench.receiver.silent().into_iter();
        silent.map(|silent| silent.node.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(silent(), ["host", "w1"]);
    assert_eq!(bench.keep.retired().len(), 1);
    wait(&bench, 3_600).await;
    assert_eq!(silent(), ["w1"]);
    // The nodes are not known any more: it is as if nobody ever had.
    bench.receiver.expect(None);
    wait(&bench, 1).await;
    assert_eq!(silent(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn there_are_series_about_senders() {
    let bench = Bench::new();
    let stop = CancellationToken::new();
    let running = tokio::spawn(bench.receiver.clone().run(stop.clone()));
    scrape(&bench, "w1");
    bench.keep.lines();
    bench.clock.sleep(Duration::from_millis(46_500)).await;
    stop.cancel();
    running.await.unwrap();
    let said: Vec<String> = bench
        .keep
        .lines()
        .iter()
        .filter_map(|line| line.strip_prefix("whole senders @").map(str::to_owned))
        .collect();
    let line = |time: i64, up: u8| {
        let labels = "{instance=\"localhost\", job=\"skopos\", node=\"w1\"}";
        format!(
            "{}: skopos_sender_up{labels} {up}, skopos_sender_last_heard_timestamp_seconds{labels} 1e+06",
            START + time
        )
    };
    assert_eq!(
        said,
        [line(1_000, 1), line(16_000, 1), line(31_000, 0), line(46_000, 0)]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_used_for_an_hour_is_let_go() {
    let bench = Bench::new();
    let one = |name: &str| {
        [Written::new(
            &format!("{name} job={name}"),
            &[(bench.clock.now().0, 1.0)],
        )]
    };
    bench.send(&node("w1"), "2.0", &one("a"));
    for _ in 0..80 {
        bench.send(&node("w1"), "2.0", &one("b"));
        wait(&bench, 60).await;
    }
    assert_eq!(bench.receiver.senders()[0].series, 1);
    assert_eq!(bench.keep.asked(), 2 + 2);
    bench.send(&node("w1"), "2.0", &one("a"));
    bench.send(&node("w1"), "2.0", &one("b"));
    assert_eq!(bench.keep.asked(), 2 + 3);
}

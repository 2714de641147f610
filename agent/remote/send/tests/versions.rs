//! 2.0 where it is understood, 1.0 where it is not, and labels for strangers.

use model::Labels;

use super::world::{Does, World, to};
use crate::send::{Limits, Message};

#[tokio::test(start_paused = true)]
async fn a_receiver_of_1_0_gets_1_0_whether_it_says_so_or_not() {
    for says_so in [true, false] {
        let mut world = World::new(&["old"]);
        world
            .receivers
            .with("old", |receiver| receiver.old = Some(says_so));
        for round in 0..10 {
            world.feed(0..30, f64::from(round));
            world.wait(15.0).await;
        }
        world.assert_exact("old");
        assert_eq!(world.view(0).protocol, "1.0");
        assert_eq!(world.handle.ledger().given, 300);
        // One request too many, ten with samples, one with metadata.
        assert_eq!(world.requests("old"), 12);
        let told = world.receivers.with("old", |receiver| receiver.metadata.clone());
        assert_eq!(told.len(), 30);
        assert_eq!(
            told[0],
            (
                1,
                "metric_0_total".to_owned(),
                "What is counted.".to_owned(),
                String::new()
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_receiver_is_asked_again_after_an_hour() {
    let mut world = World::new(&["old"]);
    world.receivers.with("old", |receiver| receiver.old = Some(true));
    world.feed(0..3, 1.0);
    world.wait(60.0).await;
    world.receivers.with("old", |receiver| receiver.old = None);
    world.feed(0..3, 2.0);
    world.wait(3_500.0).await;
    assert_eq!(world.view(0).protocol, "1.0");
    world.wait(60.0).await;
    world.feed(0..3, 3.0);
    world.wait(1.0).await;
    assert_eq!(world.view(0).protocol, "2.0");
    world.assert_exact("old");
}

#[tokio::test(start_paused = true)]
async fn metadata_is_told_again_after_ten_minutes_and_not_before() {
    let mut whom = to("old");
    whom.config.protobuf_message = Some(Message::One);
    let mut world = World::with(vec![whom], Limits::default());
    for _ in 0..41 {
        world.feed(0..3, 1.0);
        world.wait(15.0).await;
    }
    assert_eq!(world.receivers.with("old", |receiver| receiver.metadata.len()), 6);
    assert_eq!(world.requests("old"), 43);
}

#[tokio::test(start_paused = true)]
async fn an_old_receiver_that_calls_2_0_a_bad_request_gets_1_0() {
    let mut world = World::new(&["a"]);
    world.receivers.with("a", |receiver| {
        receiver.next.push_back(Does::Says(400, vec![], "bad body"))
    });
    world.feed(0..3, 1.0);
    world.wait(1.0).await;
    assert_eq!(world.view(0).protocol, "1.0");
    world.assert_exact("a");
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_speak_2_0_waits_for_a_receiver_that_does() {
    let mut whom = to("old");
    whom.config.protobuf_message = Some(Message::Two);
    let mut world = World::with(vec![whom], Limits::default());
    world.receivers.with("old", |receiver| receiver.old = Some(false));
    world.feed(0..3, 1.0);
    world.wait(30.0).await;
    let view = world.view(0);
    assert_eq!((view.protocol.as_str(), view.waiting_samples), ("2.0", 3));
    assert!(
        view.last_error.contains("speaks remote write 1.0"),
        "{}",
        view.last_error
    );
    world.receivers.with("old", |receiver| receiver.old = None);
    world.wait(31.0).await;
    world.assert_exact("old");
}

#[tokio::test(start_paused = true)]
async fn strangers_get_the_external_labels_that_a_series_does_not_have() {
    let (mut one, mut two) = (to("one"), to("two"));
    one.config.protobuf_message = Some(Message::One);
    for whom in [&mut one, &mut two] {
        // Before, between, over and behind the series' own.
        whom.external_labels = Labels::from_pairs([
            ("A", "first"),
            ("cluster", "eks"),
            ("job", "not this"),
            ("zone", "z"),
        ]);
    }
    let mut world = World::with(vec![one, two, to("ours")], Limits::default());
    world.feed(0..3, 1.5);
    world.wait(1.0).await;
    world.assert_exact("ours");
    let two = world.receivers.with("two", |receiver| receiver.series.clone());
    let pairs = |labels: &[(String, String)]| {
        labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
    };
    let wanted = [
        "A=first",
        "__name__=metric_0_total",
        "cluster=eks",
        "instance=machine",
        "job=node",
        "zone=z",
    ];
    assert_eq!(pairs(&two[0].labels), wanted);
    assert_eq!(two[0].metadata, (1, "What is counted.".to_owned(), String::new()));
    let (taken_one, taken_two) = (
        world.receivers.with("one", |receiver| receiver.taken.clone()),
        world.receivers.with("two", |receiver| receiver.taken.clone()),
    );
    assert_eq!(taken_one, taken_two);
    assert_eq!(taken_one.len(), 3);
    assert_eq!(taken_one.values().next().unwrap()[0].1, 1.5_f64.to_bits());
}

#[tokio::test(start_paused = true)]
async fn what_rules_leave_out_is_not_sent_and_not_lost() {
    let rules = |text: &str| -> Vec<relabel::Config> { yaml::read("rules.yaml", text).unwrap() };
    let drop = |names: &str| format!("[{{source_labels: [__name__], regex: '{names}', action: drop}}]");
    let (mut one, mut two, mut none) = (to("one"), to("two"), to("none"));
    one.config.protobuf_message = Some(Message::One);
    for (whom, names) in [
        (&mut one, "metric_1_.*"),
        (&mut two, "metric_1_.*"),
        (&mut none, ".*"),
    ] {
        whom.config.write_relabel_configs = rules(&drop(names));
    }
    let mut world = World::with(vec![one, two, none, to("ours")], Limits::default());
    // Only a few at once, so that parts are sent.
    world
        .receivers
        .with("two", |receiver| receiver.bytes_max = Some(150));
    for round in 0..3 {
        world.feed(0..4, f64::from(round));
        world.wait(15.0).await;
    }
    world.assert_exact("ours");
    for host in ["one", "two"] {
        let mut wanted = world.fed.clone();
        wanted.retain(|series, _| !series.starts_with("metric_1_"));
        let taken = world.receivers.with(host, |receiver| receiver.taken.clone());
        assert_eq!(taken, wanted, "{host}");
    }
    assert_eq!(world.requests("none"), 0);
    let ledger = world.handle.ledger();
    assert!(ledger.balances() && ledger.dropped.is_empty(), "{ledger:?}");
    let families = world.registry.gather();
    let left_out = families
        .iter()
        .find(|family| family.name() == "skopos_remote_relabelled_samples_total")
        .map(|family| {
            family
                .get_metric()
                .iter()
                .map(|metric| metric.get_counter().get_value())
                .sum::<f64>()
        });
    assert_eq!(left_out, Some(3.0 + 3.0 + 12.0));
}

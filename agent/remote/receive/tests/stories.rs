//! What readers see, before a real store, of a node that falls silent.

use std::collections::BTreeMap;

use model::{Clock, Presence, Silence, Timestamp};

use crate::receive::fakes::{START, node};
use crate::receive::tests::world::World;
use crate::wire::decode::written::Written;

/// What the node read, so many seconds after the start.
fn scraped(seconds: i64) -> Vec<Written> {
    let time = START + seconds * 1_000;
    vec![
        Written::new("up job=node instance=a", &[(time, 1.0)]),
        Written::new("load job=node instance=a", &[(time, seconds as f64)]),
    ]
}

/// Heard until 30 s, and not from then to 75 s.
async fn silence() -> World {
    let world = World::new();
    for seconds in [0, 15, 30] {
        assert_eq!(world.send(&node("w1"), &scraped(seconds)), 204);
        world.wait(15).await;
    }
    world.wait(30).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_is_down_and_its_series_have_ended() {
    let world = silence().await;
    assert_eq!(world.shown("up"), "0:1 15:1 30:1 60:0");
    assert_eq!(world.shown("load"), "0:0 15:15 30:30 60:stale");
    assert_eq!(world.receiver.silent().len(), 1);
    assert_eq!(world.shown("skopos_sender_up"), "1:1 16:1 31:1 46:1 61:0");
}

#[tokio::test(start_paused = true)]
async fn when_its_backlog_arrives_there_never_was_a_hole() {
    let world = silence().await;
    for seconds in [45, 60, 75] {
        assert_eq!(world.send(&node("w1"), &scraped(seconds)), 204);
    }
    assert_eq!(world.shown("up"), "0:1 15:1 30:1 45:1 60:1 75:1");
    assert_eq!(world.shown("load"), "0:0 15:15 30:30 45:45 60:60 75:75");
    world.wait(1).await;
    assert_eq!(world.receiver.silent(), []);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_with_other_times_leaves_no_point_between_them() {
    let world = silence().await;
    for seconds in [44, 59, 74] {
        assert_eq!(world.send(&node("w1"), &scraped(seconds)), 204);
    }
    assert_eq!(world.shown("up"), "0:1 15:1 30:1 44:1 59:1 74:1");
    assert_eq!(world.shown("load"), "0:0 15:15 30:30 44:44 59:59 74:74");
}

#[tokio::test(start_paused = true)]
async fn where_the_node_really_was_away_the_hole_stays() {
    let world = silence().await;
    assert_eq!(world.send(&node("w1"), &scraped(75)), 204);
    world.wait(15).await;
    assert_eq!(world.send(&node("w1"), &scraped(90)), 204);
    assert_eq!(world.shown("up"), "0:1 15:1 30:1 60:0 75:1 90:1");
    assert_eq!(world.shown("load"), "0:0 15:15 30:30 60:stale 75:75 90:90");
    let ledger = world.receiver.ledger();
    assert_eq!((ledger.dropped_total(), ledger.in_flight), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whom_the_other_replica_hears_nothing_is_written_about() {
    let world = World::new();
    world.send(&node("w1"), &scraped(0));
    for _ in 0..90 {
        let now = world.clock.now();
        world
            .receiver
            .heard_elsewhere(BTreeMap::from([("w1".into(), now)]));
        world.wait(1).await;
    }
    assert_eq!(world.shown("up"), "0:1");
    assert_eq!(world.shown("load"), "0:0");
    let silent = world.receiver.silent();
    assert!(silent[0].silence == Silence::Here && silent[0].since == Timestamp(START));
    assert!(!world.shown("skopos_sender_up").contains(":0"));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_retired_and_comes_back_goes_on() {
    let world = silence().await;
    world.wait(3_600).await;
    assert_eq!(world.shown("load"), "0:0 15:15 30:30 60:stale");
    assert!(world.receiver.senders().is_empty());
    assert!(world.shown("skopos_sender_up").ends_with(":stale"));
    let seconds = (world.clock.now().0 - START) / 1_000;
    for later in [0, 1, 2, 3] {
        assert_eq!(world.send(&node("w1"), &scraped(seconds + later)), 204);
    }
    let all = world.shown("load");
    assert!(
        all.ends_with(&format!(
            " {0}:{0} {1}:{1} {2}:{2} {3}:{3}",
            seconds,
            seconds + 1,
            seconds + 2,
            seconds + 3
        )),
        "{all}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_store_retired_behind_our_back_is_asked_for_again() {
    use model::{Keep, TargetDesc};
    let world = World::new();
    for seconds in 0..3 {
        world.send(&node("w1"), &scraped(seconds));
    }
    let target = world.store.target(&TargetDesc {
        name: "remote/w1/node/a".into(),
        page: None,
        staleness: None,
    });
    world.store.retire(target, Timestamp(START + 2_500));
    for seconds in 3..6 {
        assert_eq!(world.send(&node("w1"), &scraped(seconds)), 204);
    }
    assert_eq!(world.shown("load"), "0:0 1:1 2:2 2:stale 3:3 4:4 5:5");
    assert_eq!(world.receiver.ledger().given, 12);
}

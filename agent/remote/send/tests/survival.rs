//! Stops, kills, full disks and whole random lives.

use std::sync::Arc;
use std::time::Duration;

use model::outside::Files;

use super::world::{Does, World, to};
use crate::send::Limits;

#[tokio::test(start_paused = true)]
async fn a_stop_takes_two_seconds_at_most_and_leaves_the_rest_for_the_next_start() {
    let mut world = World::new(&["a", "dead", "hung"]);
    world.receivers.always("dead", Does::Refuses);
    world.receivers.always("hung", Does::Hangs);
    for round in 0..10 {
        world.feed(0..5, f64::from(round));
        if round < 9 {
            world.wait(1.0).await;
        }
    }
    // The last row has not even been encoded yet.
    assert_eq!(world.stop().await, Duration::from_secs(2));
    world.assert_exact("a");
    assert_eq!(world.handle.ledger().in_flight, 100);
    world.feed(0..5, 0.0);
    for samples in world.fed.values_mut() {
        samples.pop();
    }
    assert_eq!(world.handle.ledger().dropped["stopped"], 15);
    world.check();
    let mut world = world.restarted_after_stop();
    for host in ["dead", "hung"] {
        world.receivers.always(host, Does::Takes);
    }
    assert_eq!(world.handle.ledger().taken, 100);
    world.wait(1.0).await;
    for host in ["a", "dead", "hung"] {
        world.assert_exact(host);
    }
    assert!(
        world.stop().await < Duration::from_millis(1),
        "nothing is left to wait for"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_encoded_survives_kill_9_and_what_was_acknowledged_is_hardly_repeated() {
    let mut world = World::new(&["a", "b"]);
    world.receivers.always("b", Does::Refuses);
    for round in 0..60 {
        world.feed(0..5, f64::from(round));
        world.wait(0.4).await;
        assert!(world.handle.is_encoded());
        if round % 10 == 9 {
            world = world.killed().await;
        }
    }
    world.receivers.always("b", Does::Takes);
    world.wait(30.0).await;
    assert!(world.handle.is_drained());
    for host in ["a", "b"] {
        world.assert_has_all(host);
    }
    let repeats = world.requests("a") - 60;
    assert!(repeats <= 6 * 3, "{repeats} repeats in six kills");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_nothing() {
    let mut world = World::new(&["a", "b"]);
    world.receivers.always("b", Does::Refuses);
    world.memory.set_full(true);
    for round in 0..20 {
        world.feed(0..50, f64::from(round));
        world.wait(1.0).await;
    }
    world.assert_exact("a");
    world.memory.set_full(false);
    world.wait(2.0).await;
    let mut world = world.killed().await;
    world.receivers.always("b", Does::Takes);
    world.feed(0..50, 99.0);
    world.wait(30.0).await;
    world.assert_has_all("a");
    world.assert_exact("b");
}

/// Whatever receivers, disk and process do: order per series, nothing lost that was in the queue, accounts balance.
async fn life(seed: u64) {
    fastrand::seed(seed);
    let mut old = to("old");
    old.external_labels = model::Labels::empty();
    let mut world = World::with(vec![to("a"), to("b"), old], Limits::default());
    world
        .receivers
        .with("old", |receiver| receiver.old = Some(fastrand::bool()));
    for _ in 0..60 {
        for host in ["a", "b", "old"] {
            let does = match fastrand::u32(..12) {
                0 => Does::Refuses,
                1 => Does::Hangs,
                2 => Does::TakesInSilence,
                3 => Does::Says(503, vec![], "busy"),
                4 => Does::Says(429, vec![("retry-after", fastrand::u32(..20).to_string())], ""),
                5 => Does::Says(404, vec![], "not yet"),
                6 => Does::Slow(Duration::from_secs(fastrand::u64(..40))),
                _ => Does::Takes,
            };
            world.receivers.always(host, does);
        }
        for _ in 0..fastrand::u32(..4) {
            let first = fastrand::u64(..5);
            world.feed(first..first + fastrand::u64(1..30), fastrand::f64());
            world.wait(fastrand::f64() * 5.0).await;
        }
        match fastrand::u32(..12) {
            0 => world = world.killed().await,
            1 => world = world.restarted().await,
            // Only as long as memory lasts, and never into a kill.
            2 => {
                world.memory.set_full(true);
                world.feed(0..10, fastrand::f64());
                world.wait(3.0).await;
                world.memory.set_full(false);
                world.wait(2.0).await;
            }
            _ => {}
        }
        assert!(world.handle.is_encoded());
    }
    for host in ["a", "b", "old"] {
        world.receivers.always(host, Does::Takes);
    }
    world.wait(400.0).await;
    assert!(world.handle.is_drained(), "{:?}", world.handle.view());
    for host in ["a", "b", "old"] {
        world.assert_has_all(host);
    }
    let ledger = world.handle.ledger();
    assert_eq!((ledger.dropped_total(), ledger.in_flight), (0, 0), "{ledger:?}");
}

#[tokio::test(start_paused = true)]
async fn no_life_loses_a_sample() {
    let lives = if std::env::var_os("SKOPOS_TEST_LONG").is_some() {
        500
    } else {
        10
    };
    for seed in 0..lives {
        println!("seed {seed}");
        life(seed).await;
    }
}

#[test]
fn a_life_replays_exactly() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            fastrand::seed(7);
            let mut world = World::new(&["a", "b"]);
            world.receivers.always("b", Does::Says(500, vec![], ""));
            for _ in 0..20 {
                world.feed(0..9, fastrand::f64());
                world.wait(fastrand::f64()).await;
            }
            world.receivers.with("b", |receiver| {
                (
                    receiver.times.clone(),
                    receiver
                        .requests
                        .clone()
                        .into_iter()
                        .map(|request| request.body)
                        .collect::<Vec<_>>(),
                )
            })
        })
    };
    assert_eq!(run(), run());
}

#[tokio::test(start_paused = true)]
async fn a_real_disk_keeps_what_a_killed_process_had_taken() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || -> Arc<dyn Files> { journal::Disk::new(folder.path()) };
    let mut world = World::on_disk(disk(), vec![to("a"), to("dead")]);
    world.receivers.always("dead", Does::Refuses);
    for round in 0..20 {
        world.feed(0..5_000, f64::from(round).sin());
        world.wait(1.5).await;
    }
    while !world.handle.is_encoded() {
        world.wait(0.1).await;
    }
    let world = world.killed_on_disk(disk()).await;
    world.receivers.always("dead", Does::Takes);
    for _ in 0..1_000 {
        if world.handle.is_drained() {
            break;
        }
        world.wait(0.1).await;
    }
    world.assert_has_all("a");
    world.assert_has_all("dead");
    let requests = world.requests("a");
    assert!((20..=22).contains(&requests), "{requests}");
}

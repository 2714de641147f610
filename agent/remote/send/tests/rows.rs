//! From the store's rows to requests.

use std::sync::Arc;
use std::time::Duration;

use model::{Fed, Feed, STALE, SeriesRef, TargetRef, Timestamp};

use super::world::{Catalogue, Does, FORGOTTEN, START, World};
use crate::send::encoder::Encoder;
use crate::wire::encode_plain::plain_two;

#[tokio::test(start_paused = true)]
async fn every_destination_gets_every_sample_once_in_order_with_its_bits() {
    let mut world = World::new(&["a", "b"]);
    for round in 0..20 {
        world.feed(0..50, f64::from(round) / 3.0);
        world.feed(100..101, STALE);
        world.wait(15.0).await;
    }
    world.assert_exact("a");
    world.assert_exact("b");
    let ledger = world.handle.ledger();
    assert_eq!(
        (ledger.things, ledger.taken, ledger.given),
        ("samples", 2 * 20 * 51, 2 * 20 * 51)
    );
    assert!(world.handle.is_drained());
    let view = world.view(0);
    assert_eq!(
        (view.waiting_samples, view.oldest, view.health),
        (0, None, model::view::Health::Good)
    );
    assert_eq!(view.last_success, Some(START + Duration::from_secs(19 * 15)));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_can_know_a_list_again_by_its_bytes() {
    let mut world = World::new(&["a"]);
    for round in 0..3 {
        world.feed(0..100, f64::from(round));
        world.wait(15.0).await;
    }
    let raw: Vec<Vec<u8>> = world.receivers.with("a", |receiver| {
        let bodies = receiver.requests.iter();
        bodies
            .map(|request| snap::raw::Decoder::new().decompress_vec(&request.body).unwrap())
            .collect()
    });
    assert_eq!(raw.len(), 3);
    for round in &raw[1..] {
        assert_eq!(round.len(), raw[0].len());
        let differing = round
            .iter()
            .zip(&raw[0])
            .filter(|(one, other)| one != other)
            .count();
        assert!(differing <= 100 * 14, "{differing} bytes differ");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_row_goes_in_requests_of_5000() {
    let mut world = World::new(&["a"]);
    world.feed(0..12_001, 1.0);
    world.wait(1.0).await;
    assert_eq!(world.requests("a"), 3);
    world.assert_exact("a");
}

#[tokio::test(start_paused = true)]
async fn forgotten_series_are_counted_and_the_others_are_sent() {
    let world = World::new(&["a", "b"]);
    world.handle.fed(Fed {
        target: TargetRef(0),
        time: START,
        shape: 1,
        series: [SeriesRef(1), SeriesRef(FORGOTTEN), SeriesRef(2)].into(),
        values: [1.0, 2.0, 3.0].into(),
    });
    world.wait(1.0).await;
    let ledger = world.handle.ledger();
    assert_eq!(
        (ledger.taken, ledger.given, ledger.dropped["forgotten"]),
        (6, 4, 2)
    );
    let values = world.receivers.with("b", |receiver| {
        receiver.taken.clone().into_values().collect::<Vec<_>>()
    });
    assert_eq!(
        values,
        [[(START.0, 1.0_f64.to_bits())], [(START.0, 3.0_f64.to_bits())]]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_forwarded_is_not_taken_and_the_choice_can_change() {
    let mut world = World::new(&["a"]);
    world
        .handle
        .set_forward(Some(Arc::new(|name| name == "metric_3_total")));
    world.feed(0..10, 1.0);
    world.wait(1.0).await;
    assert_eq!((world.handle.ledger().taken, world.handle.ledger().given), (1, 1));
    let names = world.receivers.with("a", |receiver| receiver.taken.len());
    assert_eq!(names, 1);
    world.handle.set_forward(None);
    world.feed(0..10, 2.0);
    world.wait(1.0).await;
    assert_eq!(world.handle.ledger().given, 11);
}

#[tokio::test(start_paused = true)]
async fn rows_that_nobody_encodes_are_refused_and_counted() {
    let mut world = World::new(&["a", "b"]);
    // No await: the sender has no chance to run.
    for _ in 0..5_000 {
        world.feed(0..10, 1.0);
        world.check();
    }
    let ledger = world.handle.ledger();
    assert_eq!(ledger.in_flight, 2 * 4_096 * 10);
    assert_eq!(ledger.dropped["behind"], 2 * (5_000 - 4_096) * 10);
    world.wait(1.0).await;
    assert!(world.handle.is_drained());
    assert_eq!(world.handle.ledger().given, 2 * 4_096 * 10);
    // By samples as well; but one row is taken whatever its size.
    let feed = |count: u64| {
        let series: Arc<[SeriesRef]> = (0..count).map(SeriesRef).collect();
        let values = vec![0.0; series.len()].into();
        world.handle.fed(Fed {
            target: TargetRef(9),
            time: START,
            shape: count,
            series,
            values,
        });
    };
    let before = world.handle.ledger().dropped["behind"];
    feed((4 << 20) + 5);
    assert_eq!(world.handle.ledger().dropped["behind"], before);
    feed(1);
    assert_eq!(world.handle.ledger().dropped["behind"], before + 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_destination_nothing_is_taken() {
    let mut world = World::new(&[]);
    world.feed(0..10, 1.0);
    world.wait(2.0).await;
    assert_eq!(world.handle.ledger().taken, 0);
    assert!(world.handle.is_drained() && world.handle.view().is_empty());
    assert!(world.stop().await < Duration::from_secs(1));
}

fn row(target: u32, shape: u64, series: std::ops::Range<u64>, value: f64) -> Fed {
    let series: Arc<[SeriesRef]> = series.map(SeriesRef).collect();
    Fed {
        target: TargetRef(target),
        time: Timestamp(5),
        shape,
        values: vec![value; series.len()].into(),
        series,
    }
}

#[test]
fn lists_are_remembered_while_they_are_of_use() {
    let (mut encoder, mut blocks) = (Encoder::new(), Vec::new());
    let mut encode = |encoder: &mut Encoder, row: &Fed, now: u64| {
        blocks.clear();
        encoder.encode(row, &Catalogue, None, Duration::from_secs(now), &mut blocks);
        let raw = snap::raw::Decoder::new()
            .decompress_vec(&blocks[0].bytes)
            .unwrap();
        assert_eq!(plain_two(&raw).len(), row.series.len());
        encoder.lists()
    };
    assert_eq!(encode(&mut encoder, &row(1, 1, 0..100, 1.0), 0), 1);
    assert_eq!(encode(&mut encoder, &row(1, 1, 0..100, 1.0), 0), 1);
    // The end of some series is said once.
    assert_eq!(encode(&mut encoder, &row(1, 2, 0..10, STALE), 0), 1);
    // Another list of the same target, beside it.
    assert_eq!(encode(&mut encoder, &row(1, 3, 200..250, 1.0), 0), 2);
    // A changed list takes the place of what it was before.
    assert_eq!(encode(&mut encoder, &row(1, 4, 1..101, 1.0), 0), 2);
    // Other targets do not matter to it.
    assert_eq!(encode(&mut encoder, &row(2, 5, 0..100, 1.0), 3_000), 3);
    encoder.forget_unused(Duration::from_secs(3_599));
    assert_eq!(encoder.lists(), 3);
    encoder.forget_unused(Duration::from_secs(3_600));
    assert_eq!(encoder.lists(), 1);
    for shape in 10..100 {
        assert!(
            encode(
                &mut encoder,
                &row(3, shape, shape * 10..shape * 10 + 5, 1.0),
                shape
            ) <= 17
        );
    }
}

#[tokio::test(start_paused = true)]
async fn order_holds_for_a_series_that_moves_between_lists() {
    let mut world = World::new(&["a"]);
    world.receivers.with("a", |receiver| {
        receiver
            .next
            .extend([Does::Refuses, Does::Slow(Duration::from_secs(20)), Does::Refuses]);
    });
    for round in 0..10_u64 {
        world.feed(round..20 + round, round as f64);
        world.wait(1.0).await;
    }
    world.wait(60.0).await;
    world.assert_exact("a");
}

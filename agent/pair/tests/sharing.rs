//! The shared map: it ends alike on both sides, soon, whatever happens on the way.

use std::time::Duration;

use journal::Change;
use proptest::prelude::*;

use super::world::{World, millis, seconds};

fn says(world: &World, name: &str) -> String {
    let replica = if name == "a" { &world.a } else { &world.b };
    let (mut entries, _) = replica
        .journal()
        .changed_since(0, 0, usize::MAX, |key| key.starts_with("notifier/"));
    entries.sort_by(|one, other| one.key().cmp(other.key()));
    serde_json::to_string_pretty(&entries).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_known_to_the_peer_within_a_round_trip() {
    let mut world = World::running().await;
    let started = tokio::time::Instant::now();
    world.a.journal().put("notifier/told/1", &1).unwrap();
    assert!(world.a.shared().await);
    assert!(started.elapsed() < millis(50), "{:?}", started.elapsed());
    assert_eq!(world.b.journal().get::<u32>("notifier/told/1"), Some(1));
    // Nothing to share is shared.
    let started = tokio::time::Instant::now();
    world.a.journal().put("ours alone", &1).unwrap();
    assert!(world.a.shared().await);
    assert_eq!(started.elapsed(), Duration::ZERO);
    world.wait(seconds(1)).await;
    assert_eq!(world.b.journal().get::<u32>("ours alone"), None);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_a_second_and_not_at_all_out_of_step() {
    let mut world = World::running().await;
    world.part();
    world.a.journal().put("notifier/told/1", &1).unwrap();
    let started = tokio::time::Instant::now();
    assert!(!world.a.shared().await);
    assert!(started.elapsed() <= seconds(1), "{:?}", started.elapsed());
    world.wait(seconds(3)).await;
    assert!(!world.a.view().in_step && !world.b.view().in_step);
    let started = tokio::time::Instant::now();
    assert!(!world.a.shared().await);
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(world.a.view().unshared, 1);
    world.cut(&[]);
    world.wait(seconds(3)).await;
    assert!(world.a.shared().await);
    assert_eq!(world.a.view().unshared, 0);
}

#[tokio::test(start_paused = true)]
async fn deafness_in_one_direction_is_known_to_both() {
    for cut in [[("a", "b")], [("b", "a")]] {
        let mut world = World::running().await;
        world.cut(&cut);
        world.wait(seconds(5)).await;
        assert!(!world.a.view().in_step && !world.b.view().in_step, "{cut:?}");
        assert_eq!(world.wait(seconds(60)).await, super::world::Acted::default());
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_disk_is_full_is_out_of_step() {
    let mut world = World::running().await;
    *world.b.files.is_full.lock() = true;
    world.a.journal().put("notifier/told/1", &1).unwrap();
    assert!(!world.a.shared().await);
    world.wait(seconds(3)).await;
    assert!(!world.a.view().in_step && !world.b.view().in_step);
    *world.b.files.is_full.lock() = false;
    world.wait(seconds(3)).await;
    assert!(world.a.view().in_step && world.b.view().in_step);
    assert_eq!(world.b.journal().get::<u32>("notifier/told/1"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lost_its_disk_gets_all_again_in_parts_and_keeps_each_table_apart() {
    let mut world = World::running().await;
    let value = "x".repeat(1_000);
    for nth in 0..3_000 {
        let from = if nth % 2 == 0 { &world.a } else { &world.b };
        from.journal()
            .put(&format!("notifier/told/{nth:04}"), &value)
            .unwrap();
    }
    world.a.journal().put("rules/alert/1", &"a").unwrap();
    world.b.journal().put("rules/alert/1", &"b").unwrap();
    world.wait(seconds(5)).await;
    assert_eq!(
        world.a.journal().get::<String>("rules/alert/1").as_deref(),
        Some("a")
    );
    assert_eq!(
        world.a.journal().get::<String>("peer/rules/alert/1").as_deref(),
        Some("b")
    );
    assert_eq!(
        world.b.journal().get::<String>("peer/rules/alert/1").as_deref(),
        Some("a")
    );
    world.kill("b");
    world.b.files = std::sync::Arc::default();
    world.wait(seconds(5)).await;
    world.start("b");
    world.wait(seconds(3)).await;
    assert_eq!(says(&world, "a"), says(&world, "b"));
    assert_eq!(world.b.journal().entries::<String>("notifier/").len(), 3_000);
    // Its own table is its own to make; what the other keeps of it is not sent back.
    assert_eq!(world.b.journal().get::<String>("rules/alert/1"), None);
    assert_eq!(
        world.b.journal().get::<String>("peer/rules/alert/1").as_deref(),
        Some("a")
    );
    world.check();
}

#[tokio::test(start_paused = true)]
async fn the_last_that_a_stopping_replica_wrote_is_with_the_other_before_it_leads() {
    let mut world = World::running().await;
    world.a.journal().put("notifier/told/1", &1).unwrap();
    world.stop("a").await;
    assert!(!world.leads("b"));
    assert_eq!(world.b.journal().get::<u32>("notifier/told/1"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_replica_comes_back_with_what_happened_meanwhile_before_it_acts() {
    let mut world = World::running().await;
    world.kill("b");
    for nth in 0..100 {
        world
            .a
            .journal()
            .put(&format!("notifier/told/{nth}"), &nth)
            .unwrap();
    }
    *world.net.delay.lock() = millis(400);
    world.start("b");
    // The moment it may, it has all of it.
    world.court.delete();
    world.a.journal().put("notifier/told/0", &"last").unwrap();
    world
        .wait_until(seconds(2), |world| world.b.view().state == "ready")
        .await;
    assert_eq!(world.b.view().state, "ready");
    assert_eq!(
        world.b.journal().entries::<serde_json::Value>("notifier/").len(),
        100
    );
}

#[tokio::test(start_paused = true)]
async fn when_senders_were_heard_is_told_by_the_others_own_clock() {
    let mut world = World::running().await;
    world.b.clock.skew(3_600_000);
    let now = model::Clock::now(&*world.a.clock);
    world.a.heard.lock().insert("n1".into(), now);
    world.wait(seconds(3)).await;
    let heard = world.b.heard_elsewhere.lock()["n1"];
    let ago = model::Clock::now(&*world.b.clock).since(heard);
    assert!(ago >= seconds(2) && ago <= seconds(4), "{ago:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_life_of_the_peer_had_is_adopted_and_then_goes() {
    let mut world = World::running().await;
    world.a.journal().put("rules/alert/1", &"a").unwrap();
    world
        .a
        .says(super::world::alert("A", model::AlertState::Firing, true))
        .await;
    world.wait(seconds(1)).await;
    let adopted = *world.b.inherited.lock();
    world.kill("a");
    world.a.files = std::sync::Arc::default();
    world.start("a");
    world.wait(seconds(20)).await;
    assert!(*world.b.inherited.lock() > adopted);
    assert_eq!(
        world.b.journal().get::<String>("peer/rules/alert/1").as_deref(),
        Some("a")
    );
    world.a.journal().put("rules/alert/2", &"a").unwrap();
    world.wait(seconds(120)).await;
    assert_eq!(world.b.journal().get::<String>("peer/rules/alert/1"), None);
    assert_eq!(
        world.b.journal().get::<String>("peer/rules/alert/2").as_deref(),
        Some("a")
    );
}

#[tokio::test(start_paused = true)]
async fn more_senders_than_fit_into_a_beat_are_named_in_turns() {
    let world = World::running().await;
    let now = model::Clock::now(&*world.a.clock);
    *world.a.heard.lock() = (0..10_000)
        .map(|nth| (format!("n{nth:05}").into(), now))
        .collect();
    let mut named = std::collections::BTreeSet::new();
    for _ in 0..40 {
        tokio::time::sleep(millis(250)).await;
        named.extend(world.b.heard_elsewhere.lock().keys().cloned());
    }
    assert_eq!(named.len(), 10_000);
}

/// A replica of a program that reads up to a format, as bytes on the wire.
async fn older(world: &mut World, highest: u32, nth: u64, items: serde_json::Value) -> serde_json::Value {
    let count = items.as_array().unwrap().len();
    let beat = serde_json::json!({
        "format": { "lowest": 1, "highest": highest }, "replica": "b", "incarnation": 5, "nth": nth,
        "now": 0, "epoch": 0, "holds": false, "speaks": false, "in_step": true,
        "map": { "since": 0, "upto": count, "all": count, "items": items },
    });
    say(world, beat).await
}

/// The answer to a beat of `b`; null where it is refused.
async fn say(world: &mut World, beat: serde_json::Value) -> serde_json::Value {
    let handle = world.a.life().handle.clone();
    let call = model::outside::Call {
        path: "/peer/v1/beat".to_owned(),
        body: serde_json::to_vec(&beat).unwrap(),
        from: Some(model::outside::Identity {
            role: model::outside::Role::Replica,
            name: "b".into(),
        }),
        ..model::outside::Call::default()
    };
    let answer = model::outside::Serve::serve(&handle, call).await;
    assert!(answer.status == 200 || answer.status == 409);
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn what_was_meant_for_an_earlier_life_is_not_taken_for_all_there_is() {
    let mut world = World::new();
    world.start("a");
    world.wait(millis(100)).await;
    let beat = |nth: u64, to: u64| {
        serde_json::json!({
            "format": { "lowest": 1, "highest": 2 }, "replica": "b", "incarnation": 5, "nth": nth,
            "now": 0, "epoch": 0, "holds": false, "speaks": false, "in_step": true,
            "map": { "since": 0, "upto": 7, "all": 7, "items": [] },
            "words": { "since": 0, "upto": 7, "all": 7, "items": [] },
            "ack": { "incarnation": to, "map": 0, "words": 0 },
        })
    };
    let answer = say(&mut world, beat(1, 1)).await;
    assert_eq!(
        (&answer["ack"]["map"], &answer["ack"]["words"]),
        (&0.into(), &0.into())
    );
    let answer = say(&mut world, beat(2, answer["incarnation"].as_u64().unwrap())).await;
    assert_eq!(
        (&answer["ack"]["map"], &answer["ack"]["words"]),
        (&7.into(), &7.into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_rolling_upgrade_writes_the_lower_format_until_both_run_the_higher() {
    use model::outside::Files;
    let mut world = World::new();
    world.start("a");
    world.wait(millis(100)).await;
    let format = |world: &World| {
        for size in [300_000, 300_000, 1] {
            world.a.journal().put("filler", &"x".repeat(size)).unwrap();
        }
        let path = std::path::Path::new("alerts/journal");
        world.a.files.read(path).unwrap().unwrap()[8]
    };
    let line = serde_json::json!({
        "k": "notifier/new/1", "o": { "epoch": 1, "version": 9, "replica": "b" }, "v": 1.5, "later": { "z": [1, 2] },
    });
    older(&mut world, 1, 1, serde_json::json!([line])).await;
    assert_eq!(format(&world), 1);
    older(&mut world, 2, 2, serde_json::json!([line])).await;
    assert_eq!(format(&world), 2);
    // The next one reads more than we do; what it wrote that we do not know comes back as it was.
    let answer = older(&mut world, 3, 3, serde_json::json!([line])).await;
    assert_eq!(format(&world), 2);
    assert_eq!(answer["format"]["highest"], 2);
    world.kill("a");
    world.start("a");
    world.wait(millis(100)).await;
    let (entries, _) = world
        .a
        .journal()
        .changed_since(0, 0, usize::MAX, |key| key.starts_with("notifier/new"));
    assert_eq!(serde_json::to_value(&entries[0]).unwrap(), line);
    assert!(older(&mut world, 0, 4, serde_json::json!([])).await.is_null());
    assert_eq!(world.a.metric("skopos_pair_refused_total"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn the_others_notes_and_keys_that_are_not_its_business_are_refused() {
    let mut world = World::new();
    world.start("a");
    world.wait(seconds(15)).await;
    let epoch = world.a.view().epoch;
    let line = |key: &str| serde_json::json!({ "k": key, "o": { "epoch": 9, "version": 9, "replica": "b" }, "v": { "epoch": 900 } });
    let lines = serde_json::json!([line("pair/epoch"), line("peer/rules/alert/1"), line("notifier/x")]);
    older(&mut world, 2, 1, lines).await;
    assert_eq!(world.a.view().epoch, epoch);
    assert!(world.a.journal().get::<serde_json::Value>("notifier/x").is_some());
    assert!(
        world
            .a
            .journal()
            .get::<serde_json::Value>("peer/rules/alert/1")
            .is_none()
    );
}

#[derive(Clone, Debug)]
enum Step {
    Put(bool, u8, u8),
    Remove(bool, u8),
    Cut(u8),
    Kill(bool),
    Forget(bool),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 0u8..6, any::<u8>()).prop_map(|(who, key, value)| Step::Put(who, key, value)),
        2 => (any::<bool>(), 0u8..6).prop_map(|(who, key)| Step::Remove(who, key)),
        2 => (0u8..4).prop_map(Step::Cut),
        1 => any::<bool>().prop_map(Step::Kill),
        1 => any::<bool>().prop_map(Step::Forget),
        4 => (0u16..4_000).prop_map(Step::Wait),
    ]
}

async fn play(steps: Vec<Step>) -> (String, String, bool) {
    let mut world = World::running().await;
    for step in steps {
        let name = |who: bool| if who { "a" } else { "b" };
        match step {
            Step::Put(who, key, value) => {
                let replica = world.replica(name(who));
                let change = Change::put(format!("notifier/{key}"), &value);
                replica.journal().write(vec![change]).await.unwrap();
            }
            Step::Remove(who, key) => {
                let replica = world.replica(name(who));
                replica
                    .journal()
                    .change(vec![Change::remove(format!("notifier/{key}"))])
                    .unwrap();
            }
            Step::Cut(0) => world.cut(&[]),
            Step::Cut(1) => world.cut(&[("a", "b")]),
            Step::Cut(2) => world.cut(&[("b", "a")]),
            Step::Cut(_) => world.part(),
            Step::Kill(who) | Step::Forget(who) => {
                world.kill(name(who));
                if matches!(step, Step::Forget(_)) {
                    world.replica(name(who)).files = std::sync::Arc::default();
                }
                world.start(name(who));
            }
            Step::Wait(wait) => drop(world.wait(millis(u64::from(wait))).await),
        }
    }
    world.cut(&[]);
    world.wait(seconds(30)).await;
    world.check();
    let one_leads = world.leads("a") != world.leads("b") && world.speaks("a") != world.speaks("b");
    (says(&world, "a"), says(&world, "b"), one_leads)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("SKOPOS_TEST_LONG").map_or(40, |_| 2_000),
        failure_persistence: None,
        ..Default::default()
    })]
    #[test]
    fn the_map_ends_alike_after_whatever_happened(steps in proptest::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (a, b, one_leads) = runtime.block_on(play(steps));
        prop_assert_eq!(a, b);
        prop_assert!(one_leads);
    }
}

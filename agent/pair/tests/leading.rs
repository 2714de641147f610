//! Who leads and who speaks, through kills, pauses, partitions and an arbiter that is away.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Clock;
use model::outside::Call;
use proptest::prelude::*;

use super::world::{World, millis, seconds};

#[tokio::test(start_paused = true)]
async fn both_starting_empty_one_leads_soon_and_no_two_ever() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.replica(name).fullness.lock().oldest = None;
        world.start(name);
    }
    let (acted, after) = world
        .wait_until(seconds(20), |world| world.speaks("a") || world.speaks("b"))
        .await;
    assert!(after.unwrap() <= seconds(5), "{after:?}");
    let later = world.wait(seconds(60)).await;
    assert_eq!(
        (acted.both_lead, acted.both_speak),
        (Duration::ZERO, Duration::ZERO)
    );
    assert_eq!(later, super::world::Acted::default());
    world.check();
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_the_other_takes_over_within_15_seconds_with_a_higher_epoch() {
    for offset in 0..20 {
        let mut world = World::running().await;
        world.wait(millis(offset * 137)).await;
        let before = world.a.view().epoch;
        world.kill("a");
        let (acted, after) = world
            .wait_until(seconds(20), |world| world.leads("b") && world.speaks("b"))
            .await;
        assert!(after.unwrap() <= seconds(15), "{after:?}");
        assert_eq!(
            (acted.both_lead, acted.both_speak),
            (Duration::ZERO, Duration::ZERO)
        );
        let after = world.b.view().epoch;
        assert!(after > before);
        assert_eq!(world.court.lease().unwrap().epoch, after);
        // Who was killed comes back and follows.
        world.start("a");
        assert_eq!(world.wait(seconds(60)).await, super::world::Acted::default());
        assert!(world.leads("b"));
        assert_eq!(world.a.view().epoch, after);
        assert_eq!(world.a.view().holder.as_deref(), Some("b"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_hears_nobody_at_all_lets_the_other_lead() {
    let mut world = World::running().await;
    world.a.deaf.store(true, Ordering::Relaxed);
    assert_eq!(world.wait(seconds(60)).await, super::world::Acted::default());
    assert!(world.leads("a"), "the other one can tell it who is heard");
    world.cut(&[("a", "b"), ("b", "a")]);
    let (acted, after) = world
        .wait_until(seconds(40), |world| world.leads("b") && world.speaks("b"))
        .await;
    assert!(after.unwrap() <= seconds(20), "{after:?}");
    assert_eq!(acted.both_speak, Duration::ZERO);
    assert!(!world.a.judges.load(Ordering::Relaxed) && world.b.judges.load(Ordering::Relaxed));
    assert_eq!(world.wait(seconds(300)).await.both_speak, Duration::ZERO);
    assert!(world.leads("b"));
    world.cut(&[]);
    world.wait(seconds(10)).await;
    assert!(world.a.judges.load(Ordering::Relaxed));
    world.check();
}

#[tokio::test(start_paused = true)]
async fn who_was_cut_off_calls_nobody_silent_before_it_knows_whom_the_other_hears() {
    for healed_after in 0..8 {
        let mut world = World::running().await;
        world.a.deaf.store(true, Ordering::Relaxed);
        *world.b.heard.lock() = [("n1".into(), world.b.clock.now())].into();
        world.cut(&[("a", "b"), ("b", "a")]);
        world.wait(seconds(40) + millis(250) * healed_after).await;
        assert!(!world.a.judges.load(Ordering::Relaxed));
        world.a.heard_elsewhere.lock().clear();
        world.cut(&[]);
        let (_, after) = world
            .wait_until(seconds(10), |world| world.a.judges.load(Ordering::Relaxed))
            .await;
        assert!(after.is_some());
        assert_eq!(world.a.heard_elsewhere.lock().len(), 1, "healed {healed_after}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_takes_over_from_one_that_hears_nobody_it_leads_on() {
    let mut world = World::running().await;
    world.kill("b");
    world.wait(seconds(60)).await;
    world.a.deaf.store(true, Ordering::Relaxed);
    let (acted, after) = world.wait_until(seconds(10), |world| !world.speaks("a")).await;
    assert!(after.is_some() && acted.both_lead == Duration::ZERO);
    let (_, after) = world
        .wait_until(seconds(60), |world| world.leads("a") && world.speaks("a"))
        .await;
    assert!(after.unwrap() <= seconds(35), "{after:?}");
    assert!(world.a.judges.load(Ordering::Relaxed));
    world.wait(seconds(300)).await;
    assert!(world.leads("a") && world.speaks("a"));
}

#[tokio::test(start_paused = true)]
async fn who_stops_gives_the_lease_back_and_the_other_follows_at_once() {
    let mut world = World::running().await;
    world.stop("a").await;
    assert_eq!(world.court.lease().unwrap().holder, None);
    let (acted, after) = world.wait_until(seconds(20), |world| world.speaks("b")).await;
    assert!(after.unwrap() <= seconds(3), "{after:?}");
    assert_eq!(acted.both_speak, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_stood_still_does_nothing_before_it_has_looked() {
    for pause in [5, 8, 11, 30, 300] {
        let mut world = World::running().await;
        world.pause("a", true);
        let acted = world.wait(seconds(pause)).await;
        assert_eq!(
            (acted.both_lead, acted.both_speak),
            (Duration::ZERO, Duration::ZERO)
        );
        assert_eq!(
            world.leads("b"),
            pause >= 15 || world.leads("b"),
            "pause of {pause} s"
        );
        world.pause("a", false);
        // At the very moment it goes on, before any of its tasks ran.
        assert!(!world.leads("a") && !world.speaks("a"), "after {pause} s");
        let acted = world.wait(seconds(60)).await;
        assert_eq!(
            (acted.both_lead, acted.both_speak),
            (Duration::ZERO, Duration::ZERO),
            "after {pause} s"
        );
        assert!(acted.nobody_speaks <= seconds(3), "after {pause} s: {acted:?}");
        assert_eq!(world.leads("a"), pause < 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_speaker_that_stood_still_while_the_arbiter_is_away_follows_the_one_that_acts() {
    let mut world = World::running().await;
    world.court.set_away(&["a", "b"]);
    world.wait(seconds(60)).await;
    world.pause("a", true);
    world.wait(seconds(60)).await;
    assert!(world.speaks("b"));
    world.b.journal().put("notifier/told/1", &1).unwrap();
    *world.net.delay.lock() = millis(300);
    world.pause("a", false);
    let acted = world.wait(seconds(120)).await;
    assert_eq!(acted.both_speak + acted.nobody_speaks, Duration::ZERO);
    assert!(world.speaks("b"));
    // With nobody to hear, it waits a lease and then speaks.
    world.kill("b");
    world.wait(seconds(3)).await;
    world.pause("a", true);
    world.wait(seconds(60)).await;
    world.pause("a", false);
    let (_, after) = world.wait_until(seconds(30), |world| world.speaks("a")).await;
    assert!(
        after >= Some(seconds(10)) && after <= Some(seconds(11)),
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_arbiter_that_was_away_finds_the_holder_that_it_left_whoever_asks_first() {
    for nth in 0..20 {
        let mut world = World::running().await;
        let before = world.court.lease().unwrap();
        world.court.set_away(&["a", "b"]);
        world.wait(seconds(60) + millis(100 * nth)).await;
        world.court.set_away(&[]);
        let acted = world.wait(seconds(30)).await;
        let lease = world.court.lease().unwrap();
        assert_eq!(
            (lease.holder, lease.epoch),
            (before.holder, before.epoch),
            "{nth}"
        );
        assert!(world.leads("a") && acted.both_lead.is_zero());
        // Where the holder has died meanwhile the other leads as soon as after any death.
        world.court.set_away(&["a", "b"]);
        world.wait(seconds(60)).await;
        world.kill("a");
        world.wait(seconds(30)).await;
        world.court.set_away(&[]);
        let (_, after) = world.wait_until(seconds(30), |world| world.leads("b")).await;
        assert!(after.unwrap() <= seconds(15), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_between_the_replicas_changes_nothing_while_the_arbiter_answers() {
    let mut world = World::running().await;
    world.part();
    let acted = world.wait(seconds(600)).await;
    assert_eq!(acted, super::world::Acted::default());
    assert!(!world.a.view().in_step && !world.b.view().in_step);
    world.cut(&[]);
    let acted = world.wait(seconds(60)).await;
    assert_eq!(acted, super::world::Acted::default());
    assert!(world.a.view().in_step && world.b.view().in_step);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_reach_the_arbiter_stops_leading_before_the_other_begins_and_hands_over() {
    let mut world = World::running().await;
    world.court.set_away(&["a"]);
    let (acted, after) = world.wait_until(seconds(30), |world| world.leads("b")).await;
    assert!(after.unwrap() <= seconds(15), "{after:?}");
    assert_eq!(acted.both_lead, Duration::ZERO);
    let acted = world.wait(seconds(60)).await;
    assert_eq!(
        acted.both_speak + acted.nobody_speaks,
        Duration::ZERO,
        "handed over within a step"
    );
    assert!(world.speaks("b"));
    world.court.set_away(&[]);
    assert_eq!(world.wait(seconds(60)).await, super::world::Acted::default());
}

#[tokio::test(start_paused = true)]
async fn cut_off_from_both_the_last_holder_speaks_on_but_does_not_lead() {
    let mut world = World::running().await;
    world.part();
    world.court.set_away(&["a"]);
    let acted = world.wait(seconds(300)).await;
    assert_eq!(acted.both_lead, Duration::ZERO);
    assert!(world.speaks("a") && world.speaks("b") && world.leads("b"));
    world.cut(&[]);
    let (_, after) = world.wait_until(seconds(10), |world| !world.speaks("a")).await;
    assert!(after.unwrap() <= seconds(2), "{after:?}");
    let acted = world.wait(seconds(60)).await;
    assert_eq!(acted, super::world::Acted::default());
}

#[tokio::test(start_paused = true)]
async fn while_the_arbiter_is_away_half_an_hour_and_the_holder_dies_in_it_one_speaks() {
    let mut world = World::running().await;
    let epoch = world.a.view().epoch;
    world.court.set_away(&["a", "b"]);
    let acted = world.wait(seconds(600)).await;
    assert_eq!(acted.both_speak + acted.nobody_speaks, Duration::ZERO);
    assert!(world.speaks("a") && !world.leads("a") && !world.leads("b"));
    world.kill("a");
    let (_, after) = world.wait_until(seconds(30), |world| world.speaks("b")).await;
    assert!(after.unwrap() <= seconds(15), "{after:?}");
    world.wait(seconds(300)).await;
    // The last holder returns to one that acts, and follows it.
    world.start("a");
    let acted = world.wait(seconds(300)).await;
    assert_eq!(acted.both_speak + acted.nobody_speaks, Duration::ZERO);
    assert!(world.speaks("b") && !world.speaks("a"));
    assert_eq!(world.b.view().epoch, epoch, "without the arbiter no epoch rises");
    assert_eq!(world.a.view().epoch, epoch);
    world.court.set_away(&[]);
    let acted = world.wait(seconds(60)).await;
    assert_eq!(
        (acted.both_speak, acted.both_lead),
        (Duration::ZERO, Duration::ZERO)
    );
    assert!(acted.nobody_speaks <= seconds(2), "{acted:?}");
    assert!(world.leads("a") != world.leads("b"));
    assert!(world.a.view().epoch > epoch);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn peers_that_lost_each_other_and_the_arbiter_both_speak_and_then_one_goes_on() {
    let mut world = World::running().await;
    world.court.set_away(&["a", "b"]);
    world.part();
    world.wait(seconds(120)).await;
    assert!(world.speaks("a") && world.speaks("b"));
    world.cut(&[]);
    let (_, after) = world
        .wait_until(seconds(10), |world| world.speaks("a") != world.speaks("b"))
        .await;
    assert!(after.unwrap() <= seconds(2), "{after:?}");
    assert!(
        world.speaks("b"),
        "the last holder follows the one that took its place"
    );
    let acted = world.wait(seconds(600)).await;
    assert_eq!(acted.both_speak + acted.nobody_speaks, Duration::ZERO);
    world.court.set_away(&[]);
    let acted = world.wait(seconds(60)).await;
    assert_eq!(acted.both_speak, Duration::ZERO);
    assert!(acted.nobody_speaks <= seconds(2), "{acted:?}");
}

#[tokio::test(start_paused = true)]
async fn both_starting_while_the_arbiter_is_away_wait_a_lease_and_one_speaks() {
    for (empty, order) in [(false, ["a", "b"]), (true, ["b", "a"])] {
        let mut world = World::running().await;
        world.court.set_away(&["a", "b"]);
        world.kill("a");
        world.kill("b");
        for name in order {
            if empty {
                world.replica(name).files = std::sync::Arc::default();
                world.replica(name).fullness.lock().oldest = None;
            }
            world.start(name);
        }
        let early = world.wait(seconds(9)).await;
        assert_eq!(early.nobody_speaks, seconds(9), "nothing is known yet");
        let (acted, after) = world.wait_until(seconds(30), |world| world.speaks("a")).await;
        assert!(
            after.unwrap() <= seconds(5),
            "the last holder, or the lower name: {after:?}"
        );
        assert_eq!(acted.both_speak, Duration::ZERO);
        let acted = world.wait(seconds(600)).await;
        assert_eq!(acted.both_speak + acted.nobody_speaks, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_deleted_is_made_anew_by_its_holder_with_a_higher_epoch() {
    for offset in 0..20 {
        let mut world = World::running().await;
        world.wait(millis(offset * 137)).await;
        let epoch = world.a.view().epoch;
        world.court.delete();
        let acted = world.wait(seconds(30)).await;
        assert_eq!(acted, super::world::Acted::default(), "nobody noticed");
        assert!(world.leads("a"));
        assert!(world.court.lease().unwrap().epoch > epoch);
        assert_eq!(world.b.view().epoch, world.a.view().epoch);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_deleted_with_its_holder_dead_is_taken_by_the_other() {
    let mut world = World::running().await;
    let epoch = world.a.view().epoch;
    world.kill("a");
    world.court.delete();
    let (_, after) = world.wait_until(seconds(30), |world| world.leads("b")).await;
    assert!(after.unwrap() <= seconds(15), "{after:?}");
    assert!(world.b.view().epoch > epoch);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_happened_without_an_answer_and_lost_races_end_with_one_holder() {
    for lost in 1..4 {
        let mut world = World::new();
        *world.court.answers_lost.lock() = lost;
        *world.court.conflicts.lock() = lost;
        world.start("a");
        world.start("b");
        let acted = world.wait(seconds(60)).await;
        assert_eq!(
            (acted.both_lead, acted.both_speak),
            (Duration::ZERO, Duration::ZERO)
        );
        assert!(world.leads("a") != world.leads("b"));
        // The holder's own renewals are lost now and then.
        *world.court.answers_lost.lock() = lost;
        *world.court.conflicts.lock() = lost;
        let acted = world.wait(seconds(60)).await;
        assert_eq!(acted.both_lead, Duration::ZERO);
        assert_eq!(acted.both_speak + acted.nobody_speaks, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_or_jump_decide_nothing() {
    let mut world = World::running().await;
    world.b.clock.skew(3_600_000);
    world.a.clock.skew(-7_200_000);
    assert_eq!(world.wait(seconds(120)).await, super::world::Acted::default());
    assert!(world.leads("a"));
}

#[tokio::test(start_paused = true)]
async fn a_claim_with_an_epoch_that_is_over_is_answered_ignored_and_counted() {
    let mut world = World::running().await;
    // What the holder of before says, as it was on its way when the other took over.
    let beat = serde_json::json!({
        "format": { "lowest": 1, "highest": 2 }, "replica": "b", "incarnation": 5, "nth": 1,
        "now": 0, "epoch": 1, "holds": true, "speaks": true, "in_step": true, "of a later version": [],
    });
    let from = Some(model::outside::Identity {
        role: model::outside::Role::Replica,
        name: "b".into(),
    });
    let call = Call {
        path: "/peer/v1/beat".to_owned(),
        body: serde_json::to_vec(&beat).unwrap(),
        from,
        ..Call::default()
    };
    let handle = world.a.life().handle.clone();
    let answer = model::outside::Serve::serve(&handle, call.clone()).await;
    assert_eq!(answer.status, 200);
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["epoch"], world.a.view().epoch);
    assert!(world.leads("a") && world.speaks("a") && !world.a.view().peer_speaks);
    world.wait(seconds(1)).await;
    assert_eq!(world.a.metric("skopos_pair_old_epoch_total"), 1.0);
    assert_eq!(world.wait(seconds(30)).await, super::world::Acted::default());
    // Who is not the other replica says nothing at all.
    for from in [None, Some(model::outside::Role::Node)] {
        let from = from.map(|role| model::outside::Identity {
            role,
            name: "n".into(),
        });
        let refused = model::outside::Serve::serve(&handle, Call { from, ..call.clone() }).await;
        assert_eq!(refused.status, 403);
    }
    assert_eq!(world.a.metric("skopos_pair_refused_total"), 2.0);
}

#[tokio::test(start_paused = true)]
async fn an_empty_replica_copies_from_the_fuller_one_and_lets_it_lead() {
    let mut world = World::new();
    world.a.fullness.lock().oldest = None;
    world.a.copying.lock().0 = seconds(20);
    world.start("a");
    world.start("b");
    world.wait(seconds(8)).await;
    assert!(world.leads("b") && !world.leads("a"));
    assert_eq!(world.a.view().state, "copying 40 %");
    let holds = |replica: &super::world::Replica| replica.holds.load(Ordering::Relaxed);
    assert!(holds(&world.a) && !holds(&world.b));
    world.kill("b");
    // It is being copied to, and the fuller one has had its time.
    let (_, after) = world.wait_until(seconds(60), |world| world.leads("a")).await;
    assert!(after.unwrap() <= seconds(25), "{after:?}");
    assert_eq!(world.a.copying.lock().1, 1);
    world.wait(seconds(30)).await;
    assert_eq!(world.a.view().state, "ready");
}

#[tokio::test(start_paused = true)]
async fn copying_that_does_not_end_is_given_up() {
    let mut world = World::new();
    world.a.fullness.lock().oldest = None;
    world.a.copying.lock().0 = seconds(10_000);
    world.start("a");
    world.start("b");
    world.wait(seconds(59)).await;
    assert!(world.a.view().state.starts_with("copying"));
    assert!(world.a.holds.load(Ordering::Relaxed));
    world.wait(seconds(5)).await;
    assert_eq!(world.a.view().state, "ready");
    assert!(
        !world.a.holds.load(Ordering::Relaxed),
        "samples wait for nothing any more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_of_a_person_reaches_the_holder_or_is_answered_with_its_name() {
    let mut world = World::running().await;
    let call = Call {
        method: "DELETE".to_owned(),
        path: "/api/v2/silence/7".to_owned(),
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("authorization".to_owned(), "secret".to_owned()),
        ],
        body: b"{}".to_vec(),
        ..Call::default()
    };
    let (a, b) = (world.a.life().handle.clone(), world.b.life().handle.clone());
    assert!(a.takes_writes() && !b.takes_writes());
    assert_eq!(b.holder_url().as_deref(), Some("http://a/"));
    assert_eq!(a.holder_url(), None);
    let answer = b.forward(call.clone()).await;
    assert_eq!((answer.status, &*answer.body), (200, &b"done"[..]));
    let (at, reached) = world.net.written.lock().pop().unwrap();
    assert_eq!(
        (at, &*reached.method, &*reached.path),
        ("a", "DELETE", "/api/v2/silence/7")
    );
    assert_eq!(reached.headers.len(), 1, "credentials stay where they are");
    world.part();
    let answer = b.forward(call).await;
    let sentence = String::from_utf8(answer.body).unwrap();
    assert_eq!(answer.status, 503);
    assert!(
        sentence.starts_with("a leads and cannot be reached"),
        "{sentence}"
    );
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(bool),
    Empty(bool),
    Pause(bool, u16),
    Cut(u8),
    Away(u8),
    Delete,
    Answers(u8),
    Conflicts(u8),
    Slow(u16),
    Wait(u16),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => any::<bool>().prop_map(Fault::Kill),
        1 => any::<bool>().prop_map(Fault::Empty),
        2 => (any::<bool>(), 0u16..40_000).prop_map(|(who, pause)| Fault::Pause(who, pause)),
        3 => (0u8..4).prop_map(Fault::Cut),
        3 => (0u8..4).prop_map(Fault::Away),
        1 => Just(Fault::Delete),
        1 => (0u8..3).prop_map(Fault::Answers),
        1 => (0u8..5).prop_map(Fault::Conflicts),
        1 => (0u16..800).prop_map(Fault::Slow),
        6 => (0u16..30_000).prop_map(Fault::Wait),
    ]
}

/// Who led and spoke at once, in all and while both heard each other; and whether one does in the end.
async fn suffer(faults: Vec<Fault>) -> Result<(), String> {
    let mut world = World::running().await;
    let mut connected = true;
    let mut quiet = Duration::ZERO;
    for fault in faults {
        let name = |who: bool| if who { "a" } else { "b" };
        let mut acted = super::world::Acted::default();
        match fault {
            Fault::Kill(who) | Fault::Empty(who) => {
                world.kill(name(who));
                if matches!(fault, Fault::Empty(_)) {
                    world.replica(name(who)).files = std::sync::Arc::default();
                    world.replica(name(who)).fullness.lock().oldest = None;
                }
                world.start(name(who));
            }
            Fault::Pause(who, pause) => {
                world.pause(name(who), true);
                acted = world.wait(millis(u64::from(pause))).await;
                world.pause(name(who), false);
            }
            Fault::Cut(nth) => {
                match nth {
                    0 => world.cut(&[]),
                    1 => world.cut(&[("a", "b")]),
                    2 => world.cut(&[("b", "a")]),
                    _ => world.part(),
                }
                // Time to find each other again.
                let settling = world.wait(seconds(3)).await;
                connected = nth == 0;
                if settling.both_lead > Duration::ZERO {
                    return Err(format!("both led: {settling:?} in {fault:?}"));
                }
            }
            Fault::Away(nth) => world.court.set_away(match nth {
                0 => &[],
                1 => &["a"],
                2 => &["b"],
                _ => &["a", "b"],
            }),
            Fault::Delete => world.court.delete(),
            Fault::Answers(nth) => *world.court.answers_lost.lock() = u32::from(nth),
            Fault::Conflicts(nth) => *world.court.conflicts.lock() = u32::from(nth),
            Fault::Slow(delay) => *world.net.delay.lock() = millis(u64::from(delay) / 4),
            Fault::Wait(wait) => acted = world.wait(millis(u64::from(wait))).await,
        }
        if acted.both_lead > Duration::ZERO {
            return Err(format!("both led: {acted:?} in {fault:?}"));
        }
        if connected && acted.both_speak > seconds(1) {
            return Err(format!(
                "both spoke though they hear each other: {acted:?} in {fault:?}"
            ));
        }
        quiet = quiet.max(acted.nobody_speaks);
        world.check();
    }
    world.cut(&[]);
    world.court.set_away(&[]);
    *world.net.delay.lock() = millis(2);
    let settling = world.wait(seconds(90)).await;
    if settling.both_lead > Duration::ZERO || settling.nobody_speaks > seconds(30) {
        return Err(format!("while all works again: {settling:?}"));
    }
    let acted = world.wait(seconds(30)).await;
    if acted != super::world::Acted::default() {
        return Err(format!("when all had worked for a while: {acted:?}"));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("SKOPOS_TEST_LONG").map_or(40, |_| 2_000),
        failure_persistence: None,
        ..Default::default()
    })]
    #[test]
    fn whatever_happens_no_two_lead_and_in_the_end_one_does(faults in proptest::collection::vec(fault(), 0..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let suffered = runtime.block_on(suffer(faults));
        prop_assert!(suffered.is_ok(), "{}", suffered.unwrap_err());
    }
}

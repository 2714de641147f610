//! Words of both replicas on their way to the notifiers.

use model::AlertState::{Firing, Resolved};

use super::world::{World, alert, millis, seconds};

#[tokio::test(start_paused = true)]
async fn both_notifiers_hear_what_either_says_with_the_epoch() {
    let mut world = World::running().await;
    world.b.says(alert("A", Firing, true)).await;
    world.wait(millis(100)).await;
    let epoch = world.a.view().epoch;
    for name in ["a", "b"] {
        let told = world.replica(name).told().unwrap();
        assert_eq!((told.state, told.known, told.epoch), (Firing, true, epoch));
    }
    // One that sees it end does not resolve it while the other sees it fire.
    world.a.says(alert("A", Firing, true)).await;
    world.a.says(alert("A", Resolved, true)).await;
    world.wait(millis(100)).await;
    assert_eq!(world.a.told().unwrap().state, Firing);
    assert_eq!(world.b.told().unwrap().state, Firing);
    world.b.says(alert("A", Resolved, true)).await;
    world.wait(millis(100)).await;
    assert_eq!(world.a.told().unwrap().state, Resolved);
    assert_eq!(world.b.told().unwrap().state, Resolved);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn who_is_deaf_neither_misses_nor_resolves() {
    let mut world = World::running().await;
    world.a.says(alert("A", Firing, true)).await;
    world.b.says(alert("A", Firing, true)).await;
    world.wait(seconds(1)).await;
    world.a.says(alert("A", Firing, false)).await;
    world.wait(seconds(1)).await;
    assert!(world.a.told().unwrap().known, "the other hears the sender");
    world.b.says(alert("A", Resolved, true)).await;
    world.wait(seconds(1)).await;
    assert_eq!(world.a.told().unwrap().state, Resolved);
}

#[tokio::test(start_paused = true)]
async fn what_only_a_lost_peer_said_goes_on_without_evidence_and_rules_adopt_it() {
    let mut world = World::running().await;
    world.a.says(alert("A", Firing, true)).await;
    world.wait(seconds(1)).await;
    assert!(world.b.told().unwrap().known);
    let adopted = *world.b.inherited.lock();
    world.kill("a");
    world.wait(seconds(9)).await;
    assert_eq!(*world.b.inherited.lock(), adopted, "its words count for a lease");
    world.wait(seconds(6)).await;
    assert_eq!(*world.b.inherited.lock(), adopted + 1);
    let told = world.b.told().unwrap();
    assert_eq!((told.state, told.known), (Firing, false));
    world.b.says(alert("A", Firing, false)).await;
    world.b.says(alert("A", Resolved, true)).await;
    world.wait(seconds(1)).await;
    assert_eq!(world.b.told().unwrap().state, Resolved);
    world.wait(seconds(600)).await;
    assert_eq!(*world.b.inherited.lock(), adopted + 1, "once for each loss");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_returns_is_told_all_again() {
    let mut world = World::running().await;
    for nth in 0..3_000 {
        let mut event = alert(&format!("A{nth}"), Firing, true);
        event.annotations = model::Labels::from_pairs([("description", "x".repeat(300))]);
        world.a.says(event).await;
        if nth % 500 == 0 {
            world.wait(millis(50)).await;
            world.a.told();
        }
    }
    world.kill("b");
    world.wait(seconds(3)).await;
    world.start("b");
    let mut heard = 0;
    for _ in 0..40 {
        world.wait(millis(100)).await;
        while world.b.life().merged.try_recv().is_ok() {
            heard += 1;
        }
    }
    assert_eq!(heard, 3_000);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_full_notifier_hears_the_newest_state_once_it_listens_again() {
    let mut world = World::running().await;
    for nth in 0..1_500 {
        world.a.says(alert(&format!("A{nth:04}"), Firing, true)).await;
        tokio::task::yield_now().await;
    }
    world.wait(seconds(2)).await;
    let last = alert("A1499", Resolved, true);
    world.a.says(last.clone()).await;
    world.wait(seconds(2)).await;
    let ledger = world.a.life().handle.ledger();
    assert!(ledger.balances() && ledger.in_flight > 400, "{ledger:?}");
    let mut told = std::collections::BTreeMap::new();
    for _ in 0..4 {
        while let Ok(event) = world.a.life().merged.try_recv() {
            told.insert(event.fingerprint, event.state);
        }
        world.wait(seconds(1)).await;
    }
    assert_eq!(told.len(), 1_500);
    assert_eq!(told[&last.fingerprint], Resolved);
    assert_eq!(world.a.life().handle.ledger().in_flight, 0);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn what_our_rules_said_before_we_stood_still_is_no_news_after() {
    let mut world = World::running().await;
    world.pause("a", true);
    // It waits to be read.
    world.a.says(alert("A", Firing, true)).await;
    world.wait(seconds(60)).await;
    world.pause("a", false);
    world.wait(seconds(5)).await;
    let mut told = Vec::new();
    while let Some(event) = world.b.told() {
        told.push((event.state, event.known));
    }
    assert_eq!(told, [(Firing, false)]);
    // Its rules have looked again.
    world.a.says(alert("A", Firing, true)).await;
    world.wait(seconds(5)).await;
    let event = world.b.told().unwrap();
    assert_eq!((event.state, event.known), (Firing, true));
    world.check();
}

#[tokio::test(start_paused = true)]
async fn one_alone_leads_from_the_first_moment_and_hands_on_what_its_rules_say() {
    let mut world = World::alone();
    assert!(world.leads("a") && world.speaks("a"), "before any task ran");
    assert_eq!(world.a.view().epoch, 1);
    world.a.says(alert("A", Firing, true)).await;
    world.a.journal().put("notifier/told/1", &1).unwrap();
    assert!(world.a.shared().await);
    world.wait(millis(100)).await;
    let told = world.a.told().unwrap();
    assert_eq!((told.state, told.epoch), (Firing, 1));
    world.pause("a", true);
    world.wait(seconds(600)).await;
    world.pause("a", false);
    assert!(world.leads("a") && world.speaks("a"), "nobody else could have");
    world.stop("a").await;
}

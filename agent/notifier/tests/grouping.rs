//! When a group speaks, and of what.

use std::collections::BTreeMap;

use model::{AlertEvent, AlertState, Clock, Leadership};

use super::world::{HOOK, START, World, firing, minutes, resolved, secs};

fn statuses(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(n, status)| ((*n).to_owned(), (*status).to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn alerts_of_a_new_group_wait_for_each_other_and_share_a_message() {
    let world = World::new(HOOK);
    world.fires("Down", "a").await;
    world.wait(secs(20)).await;
    world.fires("Down", "b").await;
    world.fires("Slow", "c").await;
    world.wait(secs(9)).await;
    assert!(world.hook().is_empty());
    world.wait(secs(30)).await;
    let got = world.hook();
    assert_eq!([got[0].after(START), got[1].after(START)], [30, 50]);
    assert_eq!(got[0].alerts(), statuses(&[("a", "firing"), ("b", "firing")]));
    assert_eq!(got[1].alerts(), statuses(&[("c", "firing")]));
    assert_eq!(got.len(), 2);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_has_fired_for_long_is_told_at_once() {
    let world = World::new(HOOK);
    world.says(firing("Down", "a", START - minutes(3))).await;
    world.wait(secs(1)).await;
    assert_eq!(world.hook().len(), 1);
    assert_eq!(world.hook()[0].after(START), 0);
}

#[tokio::test(start_paused = true)]
async fn new_alerts_of_a_told_group_wait_for_its_tick() {
    let world = World::new(HOOK);
    world.fires("Down", "a").await;
    world.wait(secs(40)).await;
    world.fires("Down", "b").await;
    world.wait(minutes(2)).await;
    world.fires("Down", "c").await;
    world.wait(minutes(3)).await;
    let got = world.hook();
    assert_eq!(
        got.iter().map(|got| got.after(START)).collect::<Vec<_>>(),
        [30, 330]
    );
    assert_eq!(got[1].alerts().len(), 3);
    assert_eq!(got[1].body["notification_reason"], "new alerts added");
    // A tick with nothing new is silent.
    world.wait(minutes(60)).await;
    assert_eq!(world.hook().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_group_is_told_again_after_the_repeat_interval_and_not_at_a_tick() {
    let world = World::new(&format!("{HOOK}\nrepeat_interval: 1h\ngroup_interval: 7m"));
    world.fires("Down", "a").await;
    for _ in 0..125 {
        world.wait(minutes(1)).await;
        // Rules speak each minute; that is no news.
        world
            .says(AlertEvent {
                starts_at: START,
                ..firing("Down", "a", world.clock.now())
            })
            .await;
    }
    let told: Vec<u64> = world.hook().iter().map(|got| got.after(START)).collect();
    assert_eq!(told, [30, 30 + 3600, 30 + 7200]);
    assert_eq!(
        world.hook()[1].body["notification_reason"],
        "repeat interval elapsed"
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn an_end_is_told_soon_and_once() {
    let world = World::new(HOOK);
    world.fires("Down", "a").await;
    world.fires("Down", "b").await;
    world.wait(minutes(2)).await;
    world.resolves("Down", "a", START).await;
    world.wait(secs(14)).await;
    assert_eq!(world.hook().len(), 1);
    world.wait(secs(2)).await;
    let got = world.hook();
    assert_eq!(got[1].after(START), 120 + 15);
    assert_eq!(got[1].alerts(), statuses(&[("a", "resolved"), ("b", "firing")]));
    assert_eq!(got[1].body["status"], "firing");
    world.resolves("Down", "b", START).await;
    for _ in 0..20 {
        // Resent for a quarter of an hour, told once.
        world.wait(minutes(1)).await;
        world.says(resolved("Down", "b", START, START + secs(136))).await;
    }
    let got = world.hook();
    assert_eq!(got[2].alerts(), statuses(&[("b", "resolved")]));
    assert_eq!(got[2].body["status"], "resolved");
    assert_eq!(got.len(), 3);
    assert_eq!(world.metric("alertmanager_alerts{state=\"active\"}"), 0.0);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_ended_before_it_was_told_is_not_told() {
    let world = World::new(HOOK);
    world.fires("Down", "a").await;
    world.wait(secs(10)).await;
    world.resolves("Down", "a", START).await;
    world.wait(minutes(30)).await;
    assert!(world.receivers.attempts().is_empty());
    assert_eq!(world.handle.ledger().taken, 0);
}

#[tokio::test(start_paused = true)]
async fn an_end_taken_back_within_the_wait_is_not_told() {
    let world = World::new(HOOK);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    world.resolves("Down", "a", START).await;
    world.wait(secs(10)).await;
    world.fires("Down", "a").await;
    world.wait(minutes(30)).await;
    assert_eq!(world.hook().len(), 1);
    // It began anew, and this end counts.
    world.resolves("Down", "a", START + secs(70)).await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook()[1].alerts(), statuses(&[("a", "resolved")]));
}

#[tokio::test(start_paused = true)]
async fn a_late_word_about_an_earlier_time_is_passed_over() {
    let world = World::new(HOOK);
    world.says(firing("Down", "a", START + secs(5))).await;
    world.says(resolved("Down", "a", START, START + secs(1))).await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook().len(), 1);
    world
        .says(AlertEvent {
            epoch: 0,
            ..resolved("Down", "a", START + secs(5), START + secs(9))
        })
        .await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook().len(), 1);
    assert_eq!(
        world.metric("skopos_notifier_events_total{outcome=\"stale\"}"),
        2.0
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_counts_whatever_it_says_of_the_beginning() {
    let world = World::new(HOOK);
    world.says(firing("Down", "a", START + secs(5))).await;
    world.wait(minutes(1)).await;
    // A rule whose `for` was raised says when it became true, not when it fired.
    world.resolves("Down", "a", START - minutes(5)).await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_want_ends_gets_none_and_is_told_of_the_next_beginning() {
    let world = World::new("webhook: [{ url: 'http://hook/', send_resolved: false }]");
    world.fires("Down", "a").await;
    world.fires("Down", "b").await;
    world.wait(minutes(1)).await;
    world.resolves("Down", "a", START).await;
    world.wait(minutes(10)).await;
    world.resolves("Down", "b", START).await;
    world.wait(minutes(10)).await;
    assert_eq!(world.hook().len(), 1);
    let again = world.clock.now();
    world.says(firing("Down", "a", again)).await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook()[1].alerts(), statuses(&[("a", "firing")]));
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn silence_is_not_recovery() {
    let world = World::new("slack: { webhook_url: 'http://slack/' }\nrepeat_interval: 1h");
    world.fires("Down", "a").await;
    world.wait(minutes(61)).await;
    let got = world.slack();
    assert_eq!(got.len(), 2);
    let text = got[1].body.to_string();
    assert!(
        text.contains("state unknown") && text.contains("Firing"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn pending_alerts_are_nobodys_business() {
    let world = World::new(HOOK);
    let event = AlertEvent {
        state: AlertState::Pending,
        ..firing("Down", "a", START)
    };
    world.says(event).await;
    world.wait(minutes(10)).await;
    assert!(world.receivers.attempts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_sends_and_the_next_one_goes_on_where_it_stopped() {
    let world = World::new(HOOK);
    let away = Leadership {
        holder: Some("other".into()),
        here: false,
        speaks: false,
        epoch: 2,
        until: None,
        unaware: false,
    };
    let back = Leadership {
        holder: None,
        here: true,
        speaks: true,
        epoch: 3,
        until: None,
        unaware: false,
    };
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook().len(), 1);
    world.leads.send(away).unwrap();
    world.wait(secs(1)).await;
    world.fires("Slow", "b").await;
    world.resolves("Down", "a", START).await;
    world.wait(minutes(10)).await;
    assert_eq!(world.hook().len(), 1);
    world.leads.send(back).unwrap();
    world.wait(secs(10)).await;
    let told: Vec<_> = world.hook().iter().skip(1).map(|got| got.alerts()).collect();
    assert_eq!(
        told,
        [statuses(&[("a", "resolved")]), statuses(&[("b", "firing")])]
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_delays_nothing() {
    let world = World::new(HOOK);
    world.fires("Down", "a").await;
    world.wait(secs(10)).await;
    world.clock.skew(-3_600_000);
    world.wait(secs(51)).await;
    assert_eq!(world.hook().len(), 1, "the first message");
    let since = world.clock.now();
    world.resolves("Down", "a", START).await;
    world.wait(secs(5)).await;
    world.clock.skew(-86_400_000);
    world.wait(secs(61)).await;
    assert_eq!(world.hook().len(), 2, "the end, after {since:?}");
}

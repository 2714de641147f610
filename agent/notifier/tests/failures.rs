//! Receivers that misbehave: what is lost, what is repeated, who waits for whom.

use std::sync::atomic::Ordering;

use model::Clock;
use model::view::Health;

use super::world::{Attempt, BOTH, HOOK, Manner, SLACK, START, World, firing, minutes, secs};

const HOOK_URL: &str = "http://hook/";
const SLACK_URL: &str = "http://slack/";

fn seconds(attempts: &[Attempt]) -> Vec<u64> {
    attempts.iter().map(|attempt| attempt.after(START)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_throttled_receiver_is_left_alone_for_as_long_as_it_says() {
    let world = World::new(SLACK);
    world.receivers.behave(SLACK_URL, Manner::Throttles(120));
    world.fires("Down", "a").await;
    world.wait(secs(40)).await;
    world.receivers.behave(SLACK_URL, Manner::Takes);
    // Another group waits as well: it is the receiver that rests, not the message.
    world.says(firing("Slow", "b", START - minutes(5))).await;
    world.wait(minutes(3)).await;
    assert_eq!(seconds(&world.receivers.attempts()), [30, 150, 150]);
    let view = world.handle.view();
    assert_eq!(view.told.len(), 2);
    assert!(
        view.told.iter().any(|told| told
            .answer
            .starts_with("429, tried again after 2 min; then 200 in")),
        "{:?}",
        view.told
    );
    assert!(view.failing.is_empty() && view.waiting == 0);
    // Nothing of it had arrived, so nothing claims to be a repeat.
    assert!(
        world
            .slack()
            .iter()
            .all(|got| !got.body.to_string().contains("repeat"))
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn slack_gets_three_at_once_and_then_one_a_second() {
    let world = World::new(SLACK);
    for nth in 0..10 {
        world.fires(&format!("Alert{nth}"), "a").await;
    }
    world.wait(minutes(1)).await;
    assert_eq!(seconds(&world.slack()), [30, 30, 30, 31, 32, 33, 34, 35, 36, 37]);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn one_dead_receiver_keeps_no_other_waiting() {
    let world = World::new(BOTH);
    for manner in [
        Manner::Hangs,
        Manner::Refuses,
        Manner::Answers(500),
        Manner::Answers(403),
    ] {
        world.receivers.behave(SLACK_URL, manner);
        world.receivers.forget();
        let now = world.clock.now();
        world.fires("Down", "a").await;
        world.wait(secs(31)).await;
        assert_eq!(world.hook().len(), 1, "{manner:?}");
        world.resolves("Down", "a", now).await;
        world.wait(secs(31)).await;
        assert_eq!(world.hook().len(), 2, "{manner:?}");
        assert!(world.slack().is_empty());
        assert_eq!(world.handle.view().failing.len(), 1);
        world.wait(minutes(10)).await;
    }
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn the_newest_state_is_told_once_the_receiver_is_back() {
    let world = World::new(HOOK);
    world.receivers.behave(HOOK_URL, Manner::Refuses);
    for nth in 0..6 {
        world.fires("Down", &nth.to_string()).await;
        world.wait(minutes(6)).await;
    }
    world.resolves("Down", "0", START).await;
    world.wait(minutes(6)).await;
    assert_eq!(world.handle.view().waiting, 1);
    world.receivers.behave(HOOK_URL, Manner::Takes);
    world.wait(minutes(5)).await;
    let got = world.hook();
    assert_eq!(got.len(), 1);
    // The one that ended meanwhile was never told, so neither is its end.
    assert_eq!(
        got[0].alerts().into_keys().collect::<Vec<_>>(),
        ["1", "2", "3", "4", "5"]
    );
    let ledger = world.handle.ledger();
    assert_eq!(ledger.given, 1);
    assert!(ledger.dropped["coalesced"] >= 5, "{ledger:?}");
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn tries_come_ever_later_and_never_stop() {
    let world = World::new(HOOK);
    world.receivers.behave(HOOK_URL, Manner::Answers(503));
    world.fires("Down", "a").await;
    world.wait(minutes(60)).await;
    let tries = world.receivers.attempts();
    let gaps: Vec<u64> = tries
        .windows(2)
        .map(|pair| pair[1].at.since(pair[0].at).as_secs())
        .collect();
    assert!(gaps[..3].iter().all(|gap| *gap <= 4), "{gaps:?}");
    assert!(gaps[10..].iter().all(|gap| (59..=121).contains(gap)), "{gaps:?}");
    assert_eq!(world.handle.view().told[0].health, Health::Pending);
    let failures = "skopos_notifier_failures_total{reason=\"server_error\",receiver=\"webhook\"}";
    assert_eq!(world.metric(failures), tries.len() as f64);
    assert_eq!(
        world.metric("skopos_notifier_receiver_up{receiver=\"webhook\"}"),
        0.0
    );
    assert_eq!(world.metric("skopos_notifier_queue_groups"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answered_for_is_said_to_be_a_possible_repeat() {
    let world = World::new(SLACK);
    world.receivers.behave(SLACK_URL, Manner::HangsAfterReading);
    world.fires("Down", "a").await;
    world.wait(secs(35)).await;
    world.receivers.behave(SLACK_URL, Manner::Takes);
    world.wait(minutes(1)).await;
    let got = world.slack();
    assert_eq!(got.len(), 2);
    assert!(!got[0].body.to_string().contains("possibly a repeat"));
    assert!(got[1].body.to_string().contains("possibly a repeat"));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_what_may_have_arrived_is_told() {
    let world = World::new(HOOK);
    world.receivers.behave(HOOK_URL, Manner::HangsAfterReading);
    world.fires("Down", "a").await;
    world.wait(secs(35)).await;
    world.resolves("Down", "a", START).await;
    world.receivers.behave(HOOK_URL, Manner::Takes);
    world.wait(minutes(2)).await;
    let told: Vec<String> = world.hook().iter().map(|got| got.alerts()["a"].clone()).collect();
    assert_eq!(told, ["firing", "resolved"]);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_changed_while_a_message_was_on_its_way_is_told_after_it() {
    let world = World::new(&format!("{HOOK}\nresolve_wait: 3s"));
    world.receivers.behave(HOOK_URL, Manner::TakesAfter(secs(9)));
    world.fires("Down", "a").await;
    world.wait(secs(31)).await;
    world.resolves("Down", "a", START).await;
    world.wait(secs(20)).await;
    assert_eq!(seconds(&world.hook()), [39, 48]);
    assert_eq!(world.hook()[1].body["status"], "resolved");
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_until_there_is_something_new_to_say() {
    let world = World::new(&format!("{BOTH}\nrepeat_interval: 2h"));
    world.receivers.behave(SLACK_URL, Manner::Answers(404));
    world.fires("Down", "a").await;
    world.wait(minutes(20)).await;
    let tries = |world: &World| {
        let attempts = world.receivers.attempts().into_iter();
        attempts.filter(|attempt| attempt.url == SLACK_URL).count()
    };
    assert_eq!(tries(&world), 1);
    let view = world.handle.view();
    assert_eq!(view.failing, [("slack".to_owned(), "404 no_service".to_owned())]);
    let row = view.told.iter().find(|told| told.receiver == "slack").unwrap();
    assert_eq!(
        (row.health, row.answer.as_str()),
        (Health::Bad, "404 no_service, given up")
    );
    assert_eq!(world.handle.ledger().dropped["rejected"], 1);
    world.balances();
    // Something new may be tried.
    world.fires("Down", "b").await;
    world.wait(minutes(6)).await;
    assert_eq!(tries(&world), 2);
    // And the same again once it would be repeated anyway.
    world.wait(minutes(125)).await;
    assert_eq!(tries(&world), 3);
    // It was never told, so its end is not either.
    world.receivers.behave(SLACK_URL, Manner::Takes);
    world.resolves("Down", "a", START).await;
    world.resolves("Down", "b", START + minutes(20)).await;
    world.wait(minutes(10)).await;
    assert!(world.slack().is_empty(), "{:#?}", world.slack());
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_refused_is_told_in_the_end() {
    let world = World::new(&format!("{HOOK}\nrepeat_interval: 1h"));
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    world.receivers.behave(HOOK_URL, Manner::Answers(400));
    world.resolves("Down", "a", START).await;
    world.wait(minutes(5)).await;
    world.receivers.behave(HOOK_URL, Manner::Takes);
    world.wait(minutes(70)).await;
    assert_eq!(world.hook().len(), 2);
    assert_eq!(world.hook()[1].body["status"], "resolved");
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn one_message_that_is_never_taken_does_not_block_the_next() {
    let world = World::new(HOOK);
    world.receivers.behave(HOOK_URL, Manner::Answers(500));
    world.fires("Bad", "a").await;
    world.wait(secs(45)).await;
    world.fires("Good", "b").await;
    world.wait(secs(31)).await;
    let order: Vec<String> = world
        .receivers
        .attempts()
        .iter()
        .flat_map(|attempt| attempt.alerts().into_keys())
        .collect();
    let last_two: Vec<&str> = order.iter().rev().take(4).map(String::as_str).collect();
    assert!(last_two.contains(&"a") || last_two.contains(&"b"), "{order:?}");
    world.wait(minutes(20)).await;
    let attempts = world.receivers.attempts();
    let count = |n: &str| {
        attempts
            .iter()
            .filter(|attempt| attempt.alerts().contains_key(n))
            .count()
    };
    assert!(
        count("a").abs_diff(count("b")) <= 8 && count("b") >= 4,
        "{} and {}",
        count("a"),
        count("b")
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_panics_does_not_take_the_receiver_with_it() {
    let world = World::new(HOOK);
    world.receivers.behave(HOOK_URL, Manner::Panics);
    world.fires("Down", "a").await;
    world.wait(secs(31)).await;
    world.receivers.behave(HOOK_URL, Manner::Takes);
    world.wait(secs(30)).await;
    assert_eq!(world.hook().len(), 1);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_silences_nobody() {
    let world = World::new(HOOK);
    world.memory.is_full.store(true, Ordering::Relaxed);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook().len(), 1);
    assert!(world.metric("skopos_notifier_journal_failures_total") > 0.0);
    world.memory.is_full.store(false, Ordering::Relaxed);
    world.wait(minutes(6)).await;
    // What could not be written then is written now.
    let world = world.crash().await;
    world.wait(minutes(6)).await;
    assert_eq!(world.hook().len(), 1);
    world.resolves("Down", "a", START).await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_test_message_says_how_each_receiver_took_it() {
    let world = World::new(BOTH);
    assert_eq!(
        world.handle.send_test().await.unwrap(),
        "slack: 200; webhook: 200"
    );
    assert!(
        world.slack()[0].body["text"]
            .as_str()
            .unwrap()
            .contains("nothing is wrong")
    );
    assert_eq!(world.hook()[0].body["status"], "resolved");
    world.receivers.behave(SLACK_URL, Manner::Answers(403));
    assert_eq!(
        world.handle.send_test().await.unwrap_err(),
        "slack: 403 no_service; webhook: 200"
    );
    let nobody = World::new("{}");
    assert_eq!(
        nobody.handle.send_test().await.unwrap_err(),
        "no receiver is configured"
    );
    // A test is no notification.
    assert_eq!(world.handle.ledger().taken, 0);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_read_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slack");
    let world = World::new(&format!("slack: {{ webhook_file: '{}' }}", path.display()));
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    let (receiver, error) = world.handle.view().failing[0].clone();
    assert!(receiver == "slack" && error.starts_with("reading "), "{error}");
    std::fs::write(&path, "http://slack/\n").unwrap();
    world.wait(minutes(2)).await;
    assert_eq!(world.slack().len(), 1);
    assert!(world.handle.view().failing.is_empty());
    world.balances();
}

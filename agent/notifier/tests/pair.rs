//! One of a pair: when it may speak, what it leaves alone, and what it takes over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{BoxFuture, Clock, Leadership, Share};
use serde_json::Value;
use tokio::sync::watch;

use super::world::{
    Attempt, BOTH, HOOK, Manner, Memory, Receivers, SLACK, START, World, config, firing, minutes, resolved,
    secs,
};

/// Far enough away to be no matter.
pub(super) const LONG: Duration = Duration::from_secs(1_000_000);

pub(super) fn speaks(epoch: u64, until: Duration) -> Leadership {
    Leadership {
        holder: Some("here".into()),
        here: true,
        speaks: true,
        epoch,
        until: Some(until),
        unaware: false,
    }
}

pub(super) fn follows(epoch: u64) -> Leadership {
    Leadership {
        holder: Some("there".into()),
        here: false,
        speaks: false,
        epoch,
        until: None,
        unaware: false,
    }
}

pub(super) fn half(text: &str, leadership: Leadership) -> World {
    sharing(text, leadership, Arc::new(model::Alone))
}

fn sharing(text: &str, leadership: Leadership, share: Arc<dyn Share>) -> World {
    let clock = telemetry::clock::RuntimeClock::starting_at(START);
    let receivers = Receivers::new(Arc::clone(&clock));
    let (leads, _) = watch::channel(leadership);
    let memory: Arc<Memory> = Arc::default();
    World::sharing(leads, config(text), (clock, receivers, memory), share)
}

/// The other replica of the same pair, which follows; it tells the same receivers by the same clock.
pub(super) fn other(world: &World, text: &str, leadership: Leadership) -> World {
    let (leads, _) = watch::channel(leadership);
    let outside = (
        Arc::clone(&world.clock),
        Arc::clone(&world.receivers),
        Arc::default(),
    );
    let other = World::sharing(leads, config(text), outside, Arc::new(model::Alone));
    for (journal, name) in [(&world.journal, "a"), (&other.journal, "b")] {
        journal.set_author(name.into(), 1);
        journal.set_shared(vec!["notifier/".to_owned(), "silences/".to_owned()]);
    }
    other
}

/// Brings everything that `from` has written to `to`.
pub(super) fn copy(from: &World, to: &World) {
    let (entries, _) = from.journal.changed_since(0, 0, usize::MAX, |_| true);
    to.journal.merge(entries, 1).unwrap();
}

impl World {
    pub(super) async fn is_told_that(&self, leadership: Leadership) {
        self.leads.send(leadership).unwrap();
        self.wait(Duration::from_millis(10)).await;
    }

    fn map(&self) -> Vec<(String, Value)> {
        self.journal.entries("notifier/")
    }
}

fn marked(got: &[Attempt]) -> usize {
    let marked = got
        .iter()
        .filter(|got| got.body.to_string().contains("possibly a repeat"));
    marked.count()
}

fn words(got: &[Attempt]) -> Vec<(String, String)> {
    got.iter().flat_map(Attempt::alerts).collect()
}

fn word(n: &str, status: &str) -> (String, String) {
    (n.to_owned(), status.to_owned())
}

#[tokio::test(start_paused = true)]
async fn who_stood_still_sends_nothing_before_the_word_is_given_anew() {
    let world = half(BOTH, speaks(1, secs(35)));
    world.fires("Down", "a").await;
    world.wait(secs(31)).await;
    assert_eq!((world.hook().len(), world.slack().len()), (1, 1));
    // The word runs out at 35 s, and nobody renews it.
    world.says(firing("Slow", "b", START - minutes(5))).await;
    world.wait(secs(1)).await;
    world.resolves("Down", "a", START).await;
    world.fires("Late", "c").await;
    world.wait(minutes(30)).await;
    assert_eq!((world.hook().len(), world.slack().len()), (2, 2));
    assert_eq!(world.handle.ledger().in_flight, 0, "{:?}", world.handle.ledger());
    let running = world.clock.running();
    world.is_told_that(speaks(1, running + secs(7))).await;
    world.wait(secs(5)).await;
    let told = words(&world.hook());
    assert_eq!(
        told[2..],
        [word("a", "resolved"), word("c", "firing")],
        "{told:?}"
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_is_not_sent_when_the_word_is_lost_in_the_last_moment() {
    let world = half(HOOK, speaks(1, LONG));
    world.fires("Down", "a").await;
    world.wait(secs(20)).await;
    // The next write is that of the intent: right after it the message leaves.
    let leads = world.leads.clone();
    let loses = move |_: &Memory| {
        leads.send_replace(follows(2));
    };
    *world.memory.watch.lock().unwrap() = Some(Box::new(loses));
    world.wait(minutes(1)).await;
    *world.memory.watch.lock().unwrap() = None;
    assert!(world.receivers.attempts().is_empty());
    let ledger = world.handle.ledger();
    assert_eq!((ledger.dropped["handed_over"], ledger.in_flight), (1, 0));
    let failures = world.metric("skopos_notifier_receiver_up{receiver=\"webhook\"}");
    assert_eq!(failures, 1.0, "the receiver is not to blame");
    world.is_told_that(speaks(3, LONG)).await;
    world.wait(secs(5)).await;
    assert_eq!(words(&world.hook()), [word("a", "firing")]);
    world.balances();
}

/// A peer that needs some time, or is not there.
struct Slow(Arc<telemetry::clock::RuntimeClock>, Duration);

impl Share for Slow {
    fn shared(&self) -> BoxFuture<'static, bool> {
        let sleep = self.0.sleep(self.1);
        Box::pin(async move {
            sleep.await;
            true
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_message_waits_until_the_peer_knows_of_the_last_and_only_to_that_receiver() {
    let clock = telemetry::clock::RuntimeClock::starting_at(START);
    let share = Arc::new(Slow(clock, Duration::from_millis(800)));
    let world = sharing(BOTH, speaks(1, LONG), share);
    world
        .receivers
        .behave("http://slack/", Manner::TakesAfter(secs(5)));
    for nth in 0..3 {
        world.fires(&format!("Alert{nth}"), "a").await;
    }
    world.wait(minutes(1)).await;
    let millis =
        |got: &[Attempt]| -> Vec<u128> { got.iter().map(|got| got.at.since(START).as_millis()).collect() };
    assert_eq!(millis(&world.hook()), [30_000, 30_800, 31_600]);
    assert_eq!(millis(&world.slack()), [35_000, 40_800, 46_600]);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn who_follows_writes_nothing_and_has_no_queue() {
    let first = half(BOTH, speaks(1, LONG));
    first.fires("Down", "a").await;
    first.wait(minutes(1)).await;
    first.receivers.behave("http://hook/", Manner::Refuses);
    first.fires("Slow", "b").await;
    first.wait(minutes(1)).await;
    let second = other(&first, BOTH, follows(1));
    copy(&first, &second);
    let second = second.crash().await;
    let before = (second.journal.seq(), second.map());
    second.fires("Late", "c").await;
    second.resolves("Down", "a", START).await;
    for _ in 0..30 {
        second.says(firing("Slow", "b", START)).await;
        second.wait(minutes(1)).await;
    }
    assert_eq!((second.journal.seq(), second.map()), before);
    assert_eq!(second.handle.ledger().taken, 0);
    // It shows what the other one said.
    assert!(!second.handle.view().told.is_empty());
    let second = second.restart().await;
    assert_eq!(second.journal.seq(), before.0);
}

#[tokio::test(start_paused = true)]
async fn what_the_map_says_was_told_is_not_told_again_but_its_end_is() {
    let first = half(BOTH, speaks(1, LONG));
    first.fires("Down", "a").await;
    first.wait(minutes(1)).await;
    // Known to the second one by the map alone.
    let second = other(&first, BOTH, follows(1));
    copy(&first, &second);
    first.is_told_that(follows(2)).await;
    second.is_told_that(speaks(2, LONG)).await;
    second.wait(minutes(60)).await;
    assert_eq!((second.hook().len(), second.slack().len()), (1, 1));
    second.resolves("Down", "a", START).await;
    second.wait(minutes(1)).await;
    assert_eq!((second.hook().len(), second.slack().len()), (2, 2));
    assert_eq!(marked(&second.slack()), 0);
    let map = second.map();
    let is_history = |(key, _): &(String, Value)| key.starts_with("notifier/said/");
    assert!(map.iter().all(is_history), "{map:#?}");
    first.balances();
    second.balances();
}

#[tokio::test(start_paused = true)]
async fn what_has_no_result_is_told_once_more_and_says_so() {
    for knows_intent in [true, false] {
        let first = half(BOTH, speaks(1, LONG));
        let second = other(&first, BOTH, follows(1));
        for url in ["http://hook/", "http://slack/"] {
            first.receivers.behave(url, Manner::TakesAfter(secs(3)));
        }
        for half in [&first, &second] {
            half.fires("Down", "a").await;
        }
        first.wait(secs(20)).await;
        copy(&first, &second);
        first.wait(secs(11)).await;
        if knows_intent {
            copy(&first, &second);
        }
        // The message arrives after this, and its sender is no more.
        first.wait(Duration::from_millis(2_500)).await;
        drop(first.crash().await);
        second.wait(secs(5)).await;
        let at = second.clock.now();
        second.is_told_that(speaks(2, LONG)).await;
        second.wait(minutes(30)).await;
        let slack = second.slack();
        assert_eq!((slack.len(), marked(&slack)), (2, 1), "intent: {knows_intent}");
        assert!(slack[1].at.since(at) < secs(5));
        second.resolves("Down", "a", START).await;
        second.wait(minutes(1)).await;
        assert_eq!(
            words(&second.hook()),
            [word("a", "firing"), word("a", "firing"), word("a", "resolved")]
        );
        assert_eq!(marked(&second.slack()), 1);
        second.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_is_owed_also_when_the_beginning_may_have_been_told_by_who_is_no_more() {
    let first = half(BOTH, speaks(1, LONG));
    let second = other(&first, BOTH, follows(1));
    for half in [&first, &second] {
        half.fires("Down", "a").await;
    }
    first.wait(minutes(2)).await;
    // The first one has told it, and nothing of that has come over.
    assert_eq!(first.hook().len(), 1);
    drop(first.stop().await);
    second.resolves("Down", "a", START).await;
    second.wait(secs(5)).await;
    second.is_told_that(speaks(2, LONG)).await;
    second.wait(minutes(1)).await;
    assert_eq!(
        words(&second.hook()),
        [word("a", "firing"), word("a", "resolved")]
    );
    assert_eq!(marked(&second.slack()), 1);
    second.balances();
}

#[tokio::test(start_paused = true)]
async fn what_fires_again_is_told_also_when_its_sender_told_the_end_and_could_not_say_so() {
    let first = half(BOTH, speaks(1, LONG));
    let second = other(&first, BOTH, follows(1));
    for half in [&first, &second] {
        half.fires("Down", "a").await;
    }
    first.wait(minutes(1)).await;
    copy(&first, &second);
    for half in [&first, &second] {
        half.resolves("Down", "a", START).await;
    }
    first.wait(minutes(1)).await;
    assert_eq!(words(&first.hook())[1..], [word("a", "resolved")]);
    drop(first.stop().await);
    second.fires("Down", "a").await;
    second.wait(secs(10)).await;
    second.is_told_that(speaks(2, LONG)).await;
    second.wait(minutes(10)).await;
    assert_eq!(words(&second.hook())[2..], [word("a", "firing")]);
    second.balances();
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_by_the_map_alone_waits_for_rules_to_speak_of_it_but_not_for_ever() {
    let first = half(BOTH, speaks(1, LONG));
    for url in ["http://hook/", "http://slack/"] {
        first.receivers.behave(url, Manner::Refuses);
    }
    for name in ["Over", "Goes", "Silent"] {
        first.fires(name, name).await;
    }
    first.wait(minutes(1)).await;
    // It never hears of what happened while it was not there.
    first.leads.send_replace(follows(1));
    let first = first.crash().await;
    for url in ["http://hook/", "http://slack/"] {
        first.receivers.behave(url, Manner::Takes);
    }
    first.is_told_that(speaks(2, LONG)).await;
    first.wait(secs(20)).await;
    assert!(first.hook().is_empty());
    first.says(firing("Goes", "Goes", START)).await;
    first.resolves("Over", "Over", START).await;
    first.wait(secs(20)).await;
    assert_eq!(words(&first.hook()), [word("Goes", "firing")]);
    first.wait(secs(60)).await;
    assert_eq!(words(&first.hook())[1..], [word("Silent", "firing")]);
    assert_eq!(marked(&first.slack()), 2);
    first.balances();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_due_yet_is_told_in_its_time() {
    let first = half(HOOK, speaks(1, LONG));
    let second = other(&first, HOOK, follows(1));
    for half in [&first, &second] {
        half.fires("Down", "a").await;
    }
    first.wait(minutes(1)).await;
    for half in [&first, &second] {
        half.fires("Down", "b").await;
        half.fires("Slow", "c").await;
    }
    first.wait(secs(10)).await;
    copy(&first, &second);
    drop(first.stop().await);
    second.is_told_that(speaks(2, LONG)).await;
    second.wait(minutes(10)).await;
    let seconds: Vec<u64> = second.hook().iter().map(|got| got.after(START)).collect();
    assert_eq!(seconds, [30, 90, 330]);
    second.balances();
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_was_missed_with_the_sender_is_made_up_for_at_once() {
    let first = half(HOOK, speaks(1, LONG));
    let second = other(&first, HOOK, follows(1));
    for half in [&first, &second] {
        half.fires("Down", "a").await;
    }
    first.wait(minutes(1)).await;
    copy(&first, &second);
    drop(first.stop().await);
    second.fires("Down", "b").await;
    // The tick at 330 s passes while nobody speaks.
    second.wait(secs(280)).await;
    second.is_told_that(speaks(2, LONG)).await;
    second.wait(secs(1)).await;
    assert_eq!(second.hook().len(), 2);
    assert_eq!(second.hook()[1].alerts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_result_counts_unless_another_has_been_given_the_word() {
    for (epoch, counts) in [(1, true), (2, false)] {
        let first = half(HOOK, speaks(1, secs(33)));
        first
            .receivers
            .behave("http://hook/", Manner::TakesAfter(secs(8)));
        first.fires("Down", "a").await;
        first.wait(secs(34)).await;
        first.is_told_that(follows(epoch)).await;
        first.wait(secs(10)).await;
        assert_eq!(first.hook().len(), 1);
        let told = first
            .map()
            .into_iter()
            .find(|(key, _)| key.starts_with("notifier/told/"));
        assert_eq!(told.is_some(), counts, "{told:?}");
        let ledger = first.handle.ledger();
        assert_eq!((ledger.given, ledger.in_flight), (1, 0), "{ledger:?}");
        first.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_of_an_epoch_that_is_over_closes_the_account_and_no_more() {
    for manner in [
        Manner::TakesAfter(secs(8)),
        Manner::Hangs,
        Manner::HangsAfterReading,
    ] {
        let world = half(SLACK, speaks(1, LONG));
        world.receivers.behave("http://slack/", manner);
        world.fires("Down", "a").await;
        world.wait(secs(32)).await;
        world.is_told_that(follows(2)).await;
        world.is_told_that(speaks(3, LONG)).await;
        assert_eq!(world.handle.ledger().in_flight, 2);
        world.balances();
        world.wait(secs(3)).await;
        world.receivers.behave("http://slack/", Manner::Takes);
        world.wait(minutes(10)).await;
        // Sent once more, since in between another may have spoken; once the first one was done with.
        let got = world.slack();
        let last = got.last().unwrap();
        assert_eq!(marked(std::slice::from_ref(last)), 1, "{manner:?}");
        assert_eq!(marked(&got), 1);
        assert_eq!(world.handle.ledger().in_flight, 0);
        world.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn both_spoke_and_nobody_speaks_a_third_time() {
    for wins in [0, 1] {
        both_spoke(wins).await;
    }
}

/// Where both have written to a key, the map has in the end what half `wins` wrote: it has written more.
async fn both_spoke(wins: usize) {
    let first = half(BOTH, speaks(1, LONG));
    let second = other(&first, BOTH, speaks(1, LONG));
    for nth in 0..20 {
        [&first, &second][wins].fires("More", &format!("m{nth}")).await;
    }
    for half in [&first, &second] {
        half.fires("Down", "a").await;
        half.fires("Slow", "b").await;
    }
    first.wait(minutes(2)).await;
    // One of them hears of more than the other.
    second.fires("Down", "c").await;
    first.wait(minutes(6)).await;
    let told = (first.hook().len(), first.slack().len());
    assert_eq!(told, (6, 6), "{:?}", words(&first.hook()));
    // They find each other. The second one goes on, and takes over what only the first one knew.
    copy(&first, &second);
    copy(&second, &first);
    first.wait(secs(5)).await;
    first.is_told_that(follows(1)).await;
    let rules = || {
        let more = (0..20).map(|nth| ("More", format!("m{nth}"), START));
        let rest = [("Down", "a", 0), ("Down", "c", 2), ("Slow", "b", 0)];
        let rest = rest.map(|(name, n, minute)| (name, n.to_owned(), START + minutes(minute)));
        more.chain(rest).collect::<Vec<_>>()
    };
    for _ in 0..20 {
        copy(&second, &first);
        for half in [&first, &second] {
            for (name, n, since) in rules() {
                let now = half.clock.now();
                let event = model::AlertEvent {
                    starts_at: since,
                    ..firing(name, &n, now)
                };
                half.says(event).await;
            }
        }
        first.wait(minutes(1)).await;
    }
    assert_eq!((first.hook().len(), first.slack().len()), told, "{wins} wins");
    // Nor does it follow from a restart, or from another turn.
    let second = second.crash().await;
    second.wait(minutes(10)).await;
    copy(&second, &first);
    second.is_told_that(follows(2)).await;
    first.is_told_that(speaks(2, LONG)).await;
    first.wait(minutes(10)).await;
    assert_eq!((first.hook().len(), first.slack().len()), told, "{wins} wins");
    let now = first.clock.now();
    for half in [&first, &second] {
        for (name, n, since) in rules() {
            half.says(resolved(name, &n, since, now)).await;
        }
    }
    first.wait(minutes(10)).await;
    assert_eq!(
        (first.hook().len(), first.slack().len()),
        (told.0 + 3, told.1 + 3)
    );
    assert_eq!(first.metric("alertmanager_alerts{state=\"active\"}"), 0.0);
    first.balances();
    second.balances();
}

#[tokio::test(start_paused = true)]
async fn what_a_returning_sender_knew_alone_is_held_against_what_was_heard_meanwhile() {
    let first = half(BOTH, speaks(1, LONG));
    let second = other(&first, BOTH, follows(1));
    for url in ["http://hook/", "http://slack/"] {
        first.receivers.behave(url, Manner::TakesAfter(secs(3)));
    }
    for n in ["Ended", "Lasting"] {
        first.fires(n, n).await;
    }
    first.wait(secs(32)).await;
    // One message is on its way, the other waits; and that is the last of it for a while.
    let first = first.crash().await;
    first.is_told_that(follows(1)).await;
    for url in ["http://hook/", "http://slack/"] {
        first.receivers.behave(url, Manner::Takes);
    }
    second.is_told_that(speaks(2, LONG)).await;
    second.resolves("Ended", "Ended", START).await;
    second.wait(secs(30)).await;
    let before = (second.hook().len(), second.slack().len());
    copy(&first, &second);
    second.wait(minutes(5)).await;
    let told = words(&second.hook()[before.0..]);
    assert_eq!(told, [word("Ended", "resolved"), word("Lasting", "firing")]);
    let again = second.slack();
    assert_eq!((again.len() - before.1, marked(&again)), (2, 2));
    second.balances();
}

#[tokio::test(start_paused = true)]
async fn a_word_that_nobody_stands_behind_neither_fires_nor_resolves() {
    let world = half(HOOK, speaks(1, LONG));
    let guess = |event: model::AlertEvent| model::AlertEvent {
        known: false,
        ..event
    };
    world.says(guess(firing("Down", "a", START))).await;
    world.wait(minutes(10)).await;
    assert!(world.receivers.attempts().is_empty());
    let since = world.clock.now();
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    let now = world.clock.now();
    world.says(guess(resolved("Down", "a", since, now))).await;
    world.wait(minutes(10)).await;
    assert_eq!(words(&world.hook()), [word("a", "firing")]);
    let guesses = world.metric("skopos_notifier_events_total{outcome=\"unconfirmed\"}");
    assert_eq!(guesses, 2.0);
}

fn unaware(leadership: Leadership) -> Leadership {
    Leadership {
        unaware: true,
        ..leadership
    }
}

#[tokio::test(start_paused = true)]
async fn who_speaks_without_having_heard_the_other_marks_what_it_says() {
    let world = half(SLACK, unaware(speaks(1, LONG)));
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    assert_eq!((world.slack().len(), marked(&world.slack())), (1, 1));
    world.is_told_that(speaks(1, LONG)).await;
    world.fires("Slow", "b").await;
    world.wait(minutes(1)).await;
    assert_eq!((world.slack().len(), marked(&world.slack())), (2, 1));
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_the_disk_did_not_take_before_the_epoch_changed_may_be_told_again_and_says_so() {
    let world = half(SLACK, speaks(1, LONG));
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    world.memory.is_full.store(true, Ordering::Relaxed);
    world.resolves("Down", "a", START).await;
    world.wait(minutes(1)).await;
    assert_eq!((world.slack().len(), marked(&world.slack())), (2, 0));
    world.is_told_that(speaks(2, LONG)).await;
    world.memory.is_full.store(false, Ordering::Relaxed);
    world.resolves("Down", "a", START).await;
    world.wait(minutes(6)).await;
    assert_eq!((world.slack().len(), marked(&world.slack())), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn what_the_other_one_told_to_be_over_is_told_again_where_it_fires_again() {
    let first = half(BOTH, speaks(1, LONG));
    first.fires("Down", "a").await;
    first.wait(minutes(1)).await;
    let second = other(&first, BOTH, follows(1));
    copy(&first, &second);
    let first = first.crash().await;
    // The first is away while the second tells the end.
    first.is_told_that(follows(2)).await;
    second.journal.set_author("b".into(), 2);
    second.is_told_that(speaks(2, LONG)).await;
    second.resolves("Down", "a", START).await;
    second.wait(minutes(20)).await;
    assert_eq!(words(&first.hook()), [word("a", "firing"), word("a", "resolved")]);
    second.is_told_that(follows(3)).await;
    first.journal.set_author("a".into(), 3);
    first.is_told_that(unaware(speaks(3, LONG))).await;
    for _ in 0..3 {
        first.says(firing("Down", "a", START)).await;
        first.wait(minutes(1)).await;
    }
    copy(&second, &first);
    for _ in 0..6 {
        first.says(firing("Down", "a", START)).await;
        first.wait(minutes(1)).await;
    }
    assert_eq!(words(&first.hook())[2..], [word("a", "firing")]);
    assert_eq!(marked(&first.slack()), 1);
}

//! Storms while Slack, the process or the pair fails.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use model::{AlertEvent, Clock, Timestamp};
use telemetry::clock::RuntimeClock;

use super::super::pair::{LONG, copy, follows, half, other, speaks};
use super::super::world::{
    Attempt, Manner, Memory, Receivers, START, World, config, firing, minutes, resolved, secs,
};
use super::reader::{belief, is_edit, is_reply, is_storm, title, unmarked_repeats, words};
use super::{APP, HOOK, fires, name, of};

const POST: &str = "http://slack/api/chat.postMessage";

#[tokio::test(start_paused = true)]
async fn slack_says_when_to_come_again() {
    let world = World::new(HOOK);
    world.receivers.behave("http://slack/", Manner::Throttles(120));
    for nth in 0..40 {
        world.warns(nth).await;
    }
    world.wait(secs(32)).await;
    assert_eq!(world.receivers.attempts().len(), 1);
    world.receivers.behave("http://slack/", Manner::Takes);
    world.wait(minutes(5)).await;
    let attempts = world.receivers.attempts();
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    assert_eq!(attempts[1].after(START), 150);
    assert!(is_storm(&attempts[1]) && !attempts[1].body.to_string().contains("possibly a repeat"));
    let told = &world.handle.view().told;
    assert_eq!(told.len(), 1, "both attempts are one message: {told:#?}");
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_slack_may_have_got_says_so_the_second_time() {
    for text in [HOOK, APP] {
        let world = World::new(text);
        for url in ["http://slack/", POST] {
            world.receivers.behave(url, Manner::HangsAfterReading);
        }
        for nth in 0..40 {
            world.warns(nth).await;
        }
        world.wait(secs(32)).await;
        for url in ["http://slack/", POST] {
            world.receivers.behave(url, Manner::Takes);
        }
        world.wait(minutes(5)).await;
        let storms = world.storms();
        let marked = |attempt: &Attempt| attempt.body.to_string().contains("possibly a repeat");
        assert_eq!(storms.iter().map(marked).collect::<Vec<_>>(), [false, true]);
        assert_eq!(unmarked_repeats(&words(&world.channel())), []);
        world.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn groups_that_wait_out_an_outage_are_told_together() {
    let world = World::new(HOOK);
    world.receivers.behave("http://slack/", Manner::Refuses);
    for nth in 0..40 {
        world.warns(nth).await;
        world.wait(minutes(1)).await;
    }
    world.receivers.behave("http://slack/", Manner::Takes);
    world.wait(minutes(5)).await;
    let posts = world.posts();
    assert_eq!(posts.len(), 1, "{posts:#?}");
    assert_eq!(fires(&words(&posts)), 40);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_storm_that_slack_refuses_is_told_group_by_group() {
    let world = World::new(APP);
    world.receivers.behave(POST, Manner::Objects("invalid_blocks"));
    world.receivers.behave_after(POST, 1, Manner::Takes);
    for nth in 0..25 {
        world.warns(nth).await;
    }
    world.wait(minutes(3)).await;
    let words = words(&world.channel());
    assert!(words.iter().all(|word| !word.in_storm));
    assert_eq!(fires(&words), 25);
    assert!(
        world
            .handle
            .view()
            .told
            .iter()
            .any(|told| told.answer.contains("each group is told by itself"))
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_gone_is_written_anew() {
    let world = World::new(APP);
    let began = world.clock.now();
    for nth in 0..25 {
        world.warns(nth).await;
    }
    world.wait(secs(45)).await;
    world.receivers.behave(
        "http://slack/api/chat.update",
        Manner::Objects("message_not_found"),
    );
    world.ends(3, "warning", began).await;
    world.wait(secs(30)).await;
    let posts = world.posts();
    assert_eq!(posts.len(), 2);
    assert_eq!(title(&posts[1]), "▲ Storm: 24 groups, 24 alerts firing");
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn the_same_message_is_edited_after_a_restart_and_a_crash() {
    let mut world = World::new(APP);
    let began = world.clock.now();
    for nth in 0..25 {
        world.warns(nth).await;
    }
    world.wait(secs(45)).await;
    for round in 0..4 {
        world = if round % 2 == 0 {
            world.crash().await
        } else {
            world.restart().await
        };
        world.ends(round, "warning", began).await;
        world.wait(secs(30)).await;
    }
    assert_eq!(world.posts().len(), 1);
    let storms = world.storms();
    assert_eq!(storms.len(), 5);
    assert_eq!(title(&storms[4]), "▲ Storm: 21 groups, 21 alerts firing");
    assert!(
        storms[1..]
            .iter()
            .all(|edit| edit.body["ts"] == storms[1].body["ts"])
    );
    assert_eq!(unmarked_repeats(&words(&world.channel())), []);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn the_other_replica_edits_the_same_message() {
    let first = half(APP, speaks(1, LONG));
    let second = other(&first, APP, follows(1));
    let began = first.clock.now();
    let events: Vec<AlertEvent> = (0..30)
        .map(|nth| of(firing(&name(nth), "a", began), "warning"))
        .collect();
    for event in &events {
        first.says(event.clone()).await;
        second.says(event.clone()).await;
    }
    first.wait(secs(45)).await;
    assert_eq!(first.posts().len(), 1);
    copy(&first, &second);
    first.is_told_that(follows(2)).await;
    second.is_told_that(speaks(2, LONG)).await;
    second.ends(5, "warning", began).await;
    second.wait(secs(30)).await;
    assert_eq!(second.posts().len(), 1, "{:#?}", second.posts());
    let last = second.storms().pop().unwrap();
    assert!(is_edit(&last));
    assert_eq!(title(&last), "▲ Storm: 29 groups, 29 alerts firing");
    assert_eq!(unmarked_repeats(&words(&second.channel())), []);
    first.balances();
    second.balances();
}

#[tokio::test(start_paused = true)]
async fn a_handover_before_the_result_is_known_says_that_it_may_be_a_repeat() {
    let first = half(HOOK, speaks(1, LONG));
    let second = other(&first, HOOK, follows(1));
    for nth in 0..30 {
        let event = of(firing(&name(nth), "a", first.clock.now()), "warning");
        first.says(event.clone()).await;
        second.says(event).await;
    }
    // What the first one told and wrote down never reaches the second.
    first.wait(secs(45)).await;
    first.is_told_that(follows(2)).await;
    second.is_told_that(speaks(2, LONG)).await;
    second.wait(minutes(3)).await;
    let storms = second.storms();
    assert_eq!(storms.len(), 2);
    assert!(storms[1].body.to_string().contains("possibly a repeat"));
    second.balances();
}

/// A disk as it was after one write, with what had been delivered by then.
struct Moment {
    disk: BTreeMap<PathBuf, Vec<u8>>,
    at: Timestamp,
    delivered: usize,
}

const GROUPS: usize = 8;
const END: u64 = 1_500;

/// Groups as rules know them, said again each minute: two are grave; half end in the storm, the others after.
fn story(now: Timestamp) -> Vec<AlertEvent> {
    let said = |nth: usize| {
        let from = START + secs(nth as u64);
        let to = START
            + secs(if nth.is_multiple_of(2) {
                90 + 7 * nth as u64
            } else {
                700 + 11 * nth as u64
            });
        let severity = if nth < 2 { "critical" } else { "warning" };
        let event = if now < to {
            firing(&name(nth), "a", from)
        } else {
            resolved(&name(nth), "a", from, to)
        };
        (now >= from && now < to + minutes(15)).then(|| of(event, severity))
    };
    (0..GROUPS).filter_map(said).collect()
}

async fn tell(world: &World) {
    while world.clock.now() < START + secs(END) {
        for event in story(world.clock.now()) {
            world.says(event).await;
        }
        world.wait(secs(10)).await;
    }
}

fn channel(attempts: &[Attempt]) -> Vec<Attempt> {
    attempts
        .iter()
        .filter(|attempt| attempt.arrived)
        .cloned()
        .collect()
}

/// Dies at each write of a life, just after it and just before the next, and lives on each time.
async fn dies_at_every_write(text: &str) {
    let moments: Arc<Mutex<Vec<Moment>>> = Arc::default();
    let world = World::new(text);
    for url in ["http://slack/", POST, "http://slack/api/chat.update"] {
        world.receivers.behave(url, Manner::TakesAfter(secs(1)));
    }
    {
        let (moments, receivers, clock) = (
            Arc::clone(&moments),
            Arc::clone(&world.receivers),
            Arc::clone(&world.clock),
        );
        let watch = move |memory: &Memory| {
            moments.lock().unwrap().push(Moment {
                disk: memory.content(),
                at: clock.now(),
                delivered: receivers.attempts().len(),
            });
        };
        *world.memory.watch.lock().unwrap() = Some(Box::new(watch));
    }
    tell(&world).await;
    let all = world.receivers.attempts();
    let told = words(&channel(&all));
    assert!(told.iter().any(|word| word.in_storm) && told.iter().any(|word| !word.in_storm));
    assert_eq!((belief(&told).len(), fires(&told)), (GROUPS, 0));
    assert_eq!(unmarked_repeats(&told), []);
    drop(world.stop().await);
    let moments = Arc::try_unwrap(moments).ok().unwrap().into_inner().unwrap();
    assert!(moments.len() > 20, "{} writes", moments.len());
    let mut marked = 0;
    for (nth, moment) in moments.iter().enumerate() {
        let next = moments.get(nth + 1).map_or(all.len(), |next| next.delivered);
        for delivered in moment.delivered..=next {
            marked += live_on(text, moment, &all[..delivered]).await;
        }
    }
    assert!(marked > 0, "no death came between an arrival and its record");
    println!("{} writes, {marked} lives with marked repeats", moments.len());
}

async fn live_on(text: &str, moment: &Moment, delivered: &[Attempt]) -> usize {
    let last = delivered.last().map_or(moment.at, |attempt| attempt.at);
    let clock = RuntimeClock::starting_at(moment.at.max(last));
    let receivers = Receivers::new(Arc::clone(&clock));
    let memory = Memory::holding(moment.disk.clone());
    let world = World::with(config(text), clock, receivers, memory);
    tell(&world).await;
    world.balances();
    assert_eq!(world.handle.view().waiting, 0);
    let mut all = channel(delivered);
    all.extend(channel(&world.receivers.attempts()));
    let told = words(&all);
    let died = moment.at.since(START);
    assert_eq!(fires(&told), 0, "died at {died:?}: {told:#?}");
    assert_eq!(belief(&told).len(), GROUPS, "died at {died:?}: {told:#?}");
    assert_eq!(unmarked_repeats(&told), [], "died at {died:?}: {told:#?}");
    for word in &told {
        let ends = story(word.at).iter().any(|event| {
            event.labels.value("alertname") == word.name && event.state == model::AlertState::Resolved
        });
        assert!(word.fires || ends, "died at {died:?}: a false end: {word:?}");
    }
    usize::from(told.iter().any(|word| word.is_marked))
}

#[tokio::test(start_paused = true)]
async fn a_death_at_any_write_of_a_storm_loses_nothing_and_repeats_nothing_unmarked() {
    for text in [HOOK, APP] {
        dies_at_every_write(&format!("{text}\nstorm_groups: 4")).await;
    }
}

#[test]
fn a_reply_is_no_card() {
    let reply = Attempt {
        at: START,
        url: POST.to_owned(),
        headers: Vec::new(),
        body: serde_json::json!({ "thread_ts": "1", "text": "*Storm: 1 group, 1 alert firing* (+1 new)" }),
        arrived: true,
        unsure: false,
    };
    assert!(is_reply(&reply) && !is_storm(&reply));
}

//! Ends within a storm, and what becomes of groups that fire on when it is over.

use model::{Clock, Timestamp};
use serde_json::json;

use super::super::world::{START, World, minutes, secs};
use super::reader::{belief, is_reply, is_storm, title, unmarked_repeats, words};
use super::{APP, HOOK, fires, name};

/// So many that warn at once, told.
async fn storm(text: &str, groups: usize) -> (World, Timestamp) {
    let world = World::new(text);
    let began = world.clock.now();
    for nth in 0..groups {
        world.warns(nth).await;
    }
    world.wait(secs(40)).await;
    assert_eq!((world.posts().len(), world.storms().len()), (1, 1));
    (world, began)
}

#[tokio::test(start_paused = true)]
async fn an_end_is_told_in_the_storm_and_by_no_message_of_its_own() {
    for text in [APP, HOOK] {
        let (world, began) = storm(text, 40).await;
        for nth in 0..40 {
            world.ends(nth, "warning", began).await;
            world.wait(secs(10)).await;
        }
        world.wait(minutes(2)).await;
        let channel = world.channel();
        assert!(
            channel
                .iter()
                .all(|attempt| is_storm(attempt) || is_reply(attempt))
        );
        let last = channel.iter().rfind(|attempt| is_storm(attempt)).unwrap();
        assert!(title(last).starts_with("● Storm over after "), "{}", title(last));
        assert_eq!(last.body["attachments"][0]["color"], "#009e73");
        let words = words(&channel);
        assert_eq!((belief(&words).len(), fires(&words)), (40, 0));
        assert_eq!(unmarked_repeats(&words), []);
        if text == APP {
            assert_eq!(world.posts().len(), 1);
            let reply = channel.last().unwrap().body["text"].as_str().unwrap().to_owned();
            assert!(reply.starts_with("*Storm over* after "), "{reply}");
            assert!(reply.contains(": 40 groups resolved"), "{reply}");
        }
        // It is forgotten, and the next group has a message of its own.
        world.wait(minutes(10)).await;
        assert!(
            world
                .journal
                .entries::<serde_json::Value>("notifier/storm/")
                .is_empty()
        );
        world.warns(99).await;
        world.wait(secs(31)).await;
        assert!(title(world.posts().last().unwrap()).starts_with("▲ Firing: Alert99"));
        world.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn what_fires_on_is_told_again_by_a_message_of_its_own() {
    let (world, began) = storm(&format!("{APP}\nrepeat_interval: 1h"), 30).await;
    for nth in 0..27 {
        world.ends(nth, "warning", began).await;
    }
    world.wait(minutes(20)).await;
    assert_eq!(world.posts().len(), 1);
    world.wait(minutes(45)).await;
    let posts = world.posts();
    let titles: Vec<&str> = posts.iter().map(title).collect();
    assert_eq!(
        titles[1..],
        ["▲ Firing: Alert27", "▲ Firing: Alert28", "▲ Firing: Alert29"]
    );
    // From then on it is a group like any other.
    world.receivers.forget();
    world.ends(28, "warning", began).await;
    world.wait(secs(20)).await;
    let channel = world.channel();
    assert_eq!(channel.len(), 2);
    assert!(title(&channel[0]).starts_with("● Resolved"), "{channel:#?}");
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn too_many_to_be_told_again_are_told_again_together_and_phones_ring() {
    let (world, _) = storm(&format!("{APP}\nrepeat_interval: 1h"), 40).await;
    world.receivers.forget();
    world.wait(minutes(70)).await;
    let channel = world.channel();
    assert_eq!(channel.len(), 2, "{channel:#?}");
    assert_eq!(title(&channel[0]), "▲ Storm: 40 groups, 40 alerts firing");
    let reply = &channel[1].body;
    assert_eq!(reply["reply_broadcast"], true);
    assert!(
        reply["text"]
            .as_str()
            .unwrap()
            .starts_with("*Storm: 40 groups, 40 alerts firing* (40 told again)")
    );
}

#[tokio::test(start_paused = true)]
async fn more_of_a_group_is_told_by_its_own_message_once_the_storm_has_closed() {
    let (world, began) = storm(APP, 25).await;
    world.wait(minutes(7)).await;
    world.receivers.forget();
    let event = super::super::world::firing(&name(3), "b", world.clock.now());
    world.says(super::of(event, "warning")).await;
    world.wait(minutes(6)).await;
    let channel = world.channel();
    assert_eq!(channel.len(), 1, "{channel:#?}");
    assert_eq!(title(&channel[0]), "▲ Firing: Alert3");
    // The others still end within it.
    world.ends(4, "warning", began).await;
    world.wait(secs(20)).await;
    let last = world.storms();
    assert_eq!(title(&last[0]), "▲ Storm: 23 groups, 23 alerts firing");
    assert_eq!(fires(&words(&last)), 23);
}

#[tokio::test(start_paused = true)]
async fn a_group_of_the_storm_that_turns_critical_has_its_own_message() {
    let (world, _) = storm(APP, 25).await;
    world.receivers.forget();
    world.wait(minutes(4)).await;
    // Others keep the storm open.
    for nth in 30..55 {
        world.warns(nth).await;
    }
    let event = super::super::world::firing(&name(3), "b", world.clock.now());
    world.says(super::of(event, "critical")).await;
    world.wait(minutes(3)).await;
    let posts = world.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(title(&posts[0]), "▲ Firing: Alert3");
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_storm_that_begins_again_is_seen_in_the_channel() {
    let (world, _) = storm(APP, 25).await;
    world.wait(minutes(10)).await;
    world.receivers.forget();
    for nth in 30..55 {
        world.warns(nth).await;
    }
    world.wait(minutes(2)).await;
    let channel = world.channel();
    assert_eq!(channel.len(), 2, "{channel:#?}");
    assert_eq!(title(&channel[0]), "▲ Storm: 50 groups, 50 alerts firing");
    assert_eq!(channel[1].body["reply_broadcast"], true);
}

#[tokio::test(start_paused = true)]
async fn what_is_critical_and_finds_no_message_of_its_own_makes_the_storm_ring() {
    let (world, _) = storm(APP, 25).await;
    world.receivers.forget();
    for nth in 30..42 {
        world.pages(nth).await;
    }
    world.wait(minutes(2)).await;
    assert_eq!(world.posts().len(), 10);
    let replies: Vec<_> = world.channel().into_iter().filter(is_reply).collect();
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].body["reply_broadcast"], true);
    assert!(
        replies[0].body["text"]
            .as_str()
            .unwrap()
            .contains("(+2 new, 25 unchanged)")
    );
}

#[tokio::test(start_paused = true)]
async fn a_silence_in_a_storm_is_heeded() {
    let world = World::new(HOOK);
    let began = world.clock.now();
    for nth in 0..40 {
        world.warns(nth).await;
    }
    let silence = |from: u64, pattern: &str| {
        let at = |seconds: u64| {
            let time = START + secs(seconds);
            jiff::Timestamp::from_millisecond(time.0).unwrap().to_string()
        };
        let silence = json!({
            "matchers": [{ "name": "alertname", "value": pattern, "isRegex": true }],
            "startsAt": at(from), "endsAt": at(100_000), "createdBy": "x", "comment": "d",
        });
        world.handle.put_silence(silence.to_string().as_bytes()).unwrap();
    };
    // Before they were told, and after.
    silence(1, "Alert[012]");
    world.wait(secs(45)).await;
    silence(46, "Alert3.*");
    for nth in 50..53 {
        world.warns(nth).await;
    }
    world.wait(minutes(2)).await;
    let storms = world.storms();
    assert_eq!(title(&storms[0]), "▲ Storm: 37 groups, 37 alerts firing");
    assert_eq!(title(&storms[1]), "▲ Storm: 29 groups, 29 alerts firing");
    let named = belief(&words(&storms));
    assert!(
        ["Alert0", "Alert1", "Alert2"]
            .iter()
            .all(|name| !named.contains_key(*name))
    );
    // Whoever was told is told the end, silence or not; the others are not.
    for nth in (0..40).chain(50..53) {
        world.ends(nth, "warning", began).await;
    }
    world.wait(minutes(2)).await;
    let words = words(&world.channel());
    assert_eq!((belief(&words).len(), fires(&words)), (40, 0));
    world.balances();
}

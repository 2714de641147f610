//! Ends of what nobody was told of, and of what is muted: told by one rule here, by another in Alertmanager.

use std::path::Path;

use model::Clock;
use serde_json::json;

use super::world::{HOOK, START, World, minutes, secs};
use crate::alertmanager::tests::no_files;

/// Alertmanager's ways of all ends.
const THEIRS: &str = "webhook: [{ url: 'http://hook/' }]\nresolve_wait: null\nrepeat_on_tick: true\n\
                      tell_after_silence: false\ntell_lone_ends: true\ntell_muted_ends: false\n";

/// What was told after so many seconds: the alerts and whether they fire.
fn told(world: &World) -> Vec<(u64, String)> {
    let words = |got: &super::world::Attempt| {
        let alerts = got.alerts();
        let words = alerts.iter().map(|(n, word)| format!("{n} {word}"));
        (got.after(START), words.collect::<Vec<_>>().join(", "))
    };
    world.hook().iter().map(words).collect()
}

fn says(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
    let pairs = pairs.iter();
    pairs.map(|(at, words)| (*at, (*words).to_owned())).collect()
}

/// Silences the alerts with these values of `n`.
fn silence(world: &World, n: &str, seconds: u64) {
    let time = |after| {
        let at = world.clock.now() + secs(after);
        jiff::Timestamp::from_millisecond(at.0).unwrap().to_string()
    };
    let silence = json!({
        "matchers": [{ "name": "n", "value": n, "isRegex": false }],
        "startsAt": time(0), "endsAt": time(seconds), "createdBy": "x", "comment": "d",
    });
    world.handle.put_silence(silence.to_string().as_bytes()).unwrap();
}

/// One that comes and goes between two messages, beside one that goes on.
async fn comes_and_goes(config: &str) -> World {
    let world = World::new(config);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    world.fires("Down", "b").await;
    world.wait(minutes(1)).await;
    world.resolves("Down", "b", START + minutes(1)).await;
    world.wait(minutes(13)).await;
    world
}

#[tokio::test(start_paused = true)]
async fn the_end_of_what_came_and_went_is_told_only_where_that_is_asked_for() {
    let first = (30, "a firing");
    assert_eq!(told(&comes_and_goes(HOOK).await), says(&[first]));
    let world = comes_and_goes(THEIRS).await;
    assert_eq!(told(&world), says(&[first, (330, "a firing, b resolved")]));
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_what_came_and_went_is_told_once_across_a_restart() {
    let world = World::new(THEIRS);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    world.fires("Down", "b").await;
    world.wait(minutes(1)).await;
    world.resolves("Down", "b", START + minutes(1)).await;
    world.wait(minutes(1)).await;
    // Still before the tick, which stays where it was.
    let world = world.restart().await;
    world.wait(minutes(3)).await;
    let world = world.restart().await;
    world.wait(minutes(10)).await;
    assert_eq!(
        told(&world),
        says(&[(30, "a firing"), (330, "a firing, b resolved")])
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_told_no_end_is_either() {
    for config in [HOOK, THEIRS] {
        let world = World::new(config);
        world.fires("Down", "a").await;
        world.wait(secs(10)).await;
        world.resolves("Down", "a", START).await;
        world.wait(minutes(15)).await;
        assert!(world.hook().is_empty(), "{config}");
        assert_eq!(world.metric("alertmanager_alerts{state=\"active\"}"), 0.0);
        world.balances();
    }
}

/// Told, then silenced for six minutes, and over in the second of them.
async fn ends_in_silence(config: &str) -> World {
    let world = World::new(config);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    silence(&world, "a", 360);
    world.wait(minutes(1)).await;
    world.resolves("Down", "a", START).await;
    world.wait(minutes(10)).await;
    world
}

#[tokio::test(start_paused = true)]
async fn the_end_of_what_is_silenced_is_told_unless_it_is_to_be_kept() {
    let first = (30, "a firing");
    let world = ends_in_silence(HOOK).await;
    assert_eq!(told(&world), says(&[first, (135, "a resolved")]));
    let world = ends_in_silence(THEIRS).await;
    assert_eq!(told(&world), says(&[first]));
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_fires_again_after_a_kept_end_counts_as_told_also_after_a_restart() {
    let world = ends_in_silence(THEIRS).await.restart().await;
    world.wait(minutes(1)).await;
    world.fires("Down", "a").await;
    world.wait(minutes(20)).await;
    let first = (30, "a firing");
    assert_eq!(told(&world), says(&[first]));
    let since = START + minutes(13);
    world.resolves("Down", "a", since).await;
    world.wait(minutes(10)).await;
    assert_eq!(told(&world).last().unwrap().1, "a resolved");
    assert_eq!(told(&world).len(), 2);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_kept_end_is_forgotten_with_the_next_message_and_after_two_repeats() {
    let world = ends_in_silence(THEIRS).await;
    world.fires("Down", "b").await;
    world.wait(minutes(10)).await;
    world.fires("Down", "a").await;
    world.wait(minutes(10)).await;
    let words = |world: &World| {
        told(world)
            .into_iter()
            .map(|(_, words)| words)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(&world), ["a firing", "b firing", "a firing, b firing"]);

    let world = ends_in_silence(&format!("{THEIRS}repeat_interval: 10m\n")).await;
    world.wait(minutes(12)).await;
    assert_eq!(world.metric("alertmanager_dispatcher_aggregation_groups"), 0.0);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    assert_eq!(words(&world), ["a firing", "a firing"]);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_posted_a_little_ahead_of_its_time_is_one() {
    let world = World::new(HOOK);
    let time = |after: i64| {
        let at = world.clock.now().0 + after;
        jiff::Timestamp::from_millisecond(at).unwrap().to_string()
    };
    let post = |ends: i64| {
        let alerts = json!([{ "labels": { "alertname": "Down", "n": "a" }, "startsAt": time(-1000), "endsAt": time(ends) }]);
        world.handle.post_alerts(alerts.to_string().into_bytes())
    };
    post(600_000).await.unwrap();
    world.wait(minutes(1)).await;
    post(30).await.unwrap();
    world.wait(minutes(1)).await;
    assert_eq!(told(&world), says(&[(30, "a firing"), (75, "a resolved")]));
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_last_message_told_is_no_news_the_next_time() {
    let world = comes_and_goes(THEIRS).await;
    // Ticks are at 930 s and 1,230 s.
    for (n, more) in [("b", 0), ("c", 1), ("b", 2)] {
        let since = world.clock.now();
        world.fires("Down", n).await;
        world.wait(secs(1)).await;
        world.resolves("Down", n, since).await;
        world.wait(minutes(5)).await;
        assert_eq!(told(&world).len(), 2 + more, "{:?}", told(&world));
    }
    world.balances();
}

/// What two receivers are told of, in groups of their own.
const TWO: &str = r"
route:
  receiver: all
  group_by: [job]
  group_wait: 10s
  group_interval: 30s
  routes:
  - matchers: [ n=c ]
    receiver: db
    continue: true
  - matchers: [ alertname=Down ]
    receiver: all
receivers:
- name: all
  webhook_configs: [ { url: http://hook/ } ]
- name: db
  webhook_configs: [ { url: http://db/ } ]
";

#[tokio::test(start_paused = true)]
async fn an_end_that_one_group_is_done_with_does_not_come_back_to_it_by_a_restart() {
    let mut world = World::new("{}");
    let mut config = super::world::config(THEIRS);
    config.webhook.clear();
    config
        .read_file("alertmanager.yml", TWO, Path::new(""), &no_files)
        .unwrap();
    world.config = config;
    let world = world.crash().await;
    world.fires("Down", "c").await;
    world.wait(secs(12)).await;
    world.fires("Down", "b").await;
    silence(&world, "c", 50);
    world.wait(secs(2)).await;
    world.resolves("Down", "c", START).await;
    world.wait(secs(30)).await;
    // To db there was nothing to tell, so that it still believes that c fires.
    let world = world.restart().await;
    world.wait(minutes(5)).await;
    assert_eq!(told(&world), says(&[(10, "c firing"), (40, "b firing")]));
    assert_eq!(world.receivers.got("http://db/").len(), 1);
    world.balances();
}

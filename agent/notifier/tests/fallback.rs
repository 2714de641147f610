//! Who is told when a receiver does not take its messages.

use model::Clock;

use super::world::{Manner, World, minutes, secs};

const TWO: &str = "slack: { webhook_url: 'http://slack/' }\nwebhook: [{ name: spare, url: 'http://hook/' }]\n\
                   fallback: spare\nresolve_wait: 0s";
const SLACK: &str = "http://slack/";
const HOOK: &str = "http://hook/";

#[tokio::test(start_paused = true)]
async fn the_fallback_hears_nothing_while_all_is_well() {
    let world = World::new(TWO);
    let began = world.clock.now();
    world.fires("Down", "a").await;
    world.wait(minutes(6)).await;
    world.resolves("Down", "a", began).await;
    world.wait(minutes(1)).await;
    assert_eq!((world.slack().len(), world.hook().len()), (2, 0));
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_told_to_the_fallback_and_so_is_its_end() {
    let world = World::new(TWO);
    let began = world.clock.now();
    world.receivers.behave(SLACK, Manner::Answers(403));
    world.fires("Down", "a").await;
    world.wait(secs(32)).await;
    assert_eq!(world.hook().len(), 1);
    // The receiver is there again; the end of what it refused is nothing to it.
    world.receivers.behave(SLACK, Manner::Takes);
    world.resolves("Down", "a", began).await;
    world.wait(minutes(1)).await;
    let hook = world.hook();
    assert_eq!(hook.len(), 2);
    assert_eq!(hook[1].body["status"], "resolved");
    assert_eq!(world.slack().len(), 0);
    // What fires then is told in the usual way.
    world.fires("Down", "b").await;
    world.wait(minutes(1)).await;
    assert_eq!((world.slack().len(), world.hook().len()), (1, 2));
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_waits_too_long_is_told_to_the_fallback_as_well() {
    for manner in [
        Manner::Refuses,
        Manner::Answers(503),
        Manner::Hangs,
        Manner::Throttles(30),
    ] {
        let world = World::new(TWO);
        world.receivers.behave(SLACK, manner);
        world.fires("Down", "a").await;
        world.wait(minutes(4)).await;
        assert_eq!(world.hook().len(), 0, "{manner:?}");
        world.wait(minutes(4)).await;
        assert_eq!(world.hook().len(), 1, "{manner:?}");
        // Its own receiver is told as soon as it takes messages.
        world.receivers.behave(SLACK, Manner::Takes);
        world.wait(minutes(3)).await;
        assert_eq!(world.slack().len(), 1, "{manner:?}");
        world.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn the_fallback_is_told_of_the_end_after_a_crash_too() {
    let mut world = World::new(TWO);
    let began = world.clock.now();
    world.receivers.behave(SLACK, Manner::Answers(410));
    world.fires("Down", "a").await;
    world.wait(secs(32)).await;
    world = world.crash().await;
    world.says(super::world::firing("Down", "a", began)).await;
    world.wait(minutes(1)).await;
    assert_eq!(world.hook().len(), 1);
    world.resolves("Down", "a", began).await;
    world.wait(minutes(1)).await;
    let hook = world.hook();
    assert_eq!(hook.len(), 2, "{hook:?}");
    assert_eq!(hook[1].body["status"], "resolved");
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_refuses_too_ends_it() {
    let world = World::new(TWO);
    world.receivers.behave(SLACK, Manner::Answers(403));
    world.receivers.behave(HOOK, Manner::Answers(403));
    world.fires("Down", "a").await;
    world.wait(minutes(10)).await;
    assert_eq!(world.receivers.attempts().len(), 2);
    world.balances();
}

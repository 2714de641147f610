//! A new configuration: nothing told twice, nothing forgotten, dropped things counted.

use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::world::{BOTH, HOOK, Manner, SLACK, START, World, config, minutes, secs};
use crate::Config;

#[tokio::test(start_paused = true)]
async fn a_changed_grouping_tells_nothing_again_and_forgets_no_end() {
    let world = World::new(HOOK);
    world.fires("Down", "a").await;
    world.fires("Down", "b").await;
    world.wait(minutes(1)).await;
    world
        .handle
        .apply(config(&format!("{HOOK}\ngroup_by: [alertname, n]")))
        .await
        .unwrap();
    world.wait(minutes(60)).await;
    assert_eq!(world.hook().len(), 1);
    world.resolves("Down", "a", START).await;
    world.wait(secs(20)).await;
    let got = world.hook();
    assert_eq!(got[1].body["groupKey"], r#"{}:{alertname="Down", n="a"}"#);
    assert_eq!(got[1].alerts().len(), 1);
    // The same over a restart with yet another one.
    let mut world = world;
    world.config = config(&format!("{HOOK}\ngroup_by: ['...']"));
    let world = world.crash().await;
    world.wait(minutes(60)).await;
    world.resolves("Down", "b", START).await;
    world.wait(secs(20)).await;
    assert_eq!(world.hook().len(), 3);
    assert_eq!(world.metric("alertmanager_alerts{state=\"active\"}"), 0.0);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_added_is_told_what_fires_and_one_that_is_removed_is_let_go() {
    let world = World::new(HOOK);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    world.handle.apply(config(BOTH)).await.unwrap();
    assert_eq!(world.handle.view().receivers, ["slack", "webhook"]);
    world.wait(minutes(6)).await;
    assert_eq!((world.hook().len(), world.slack().len()), (1, 1));
    world.receivers.behave("http://hook/", Manner::Refuses);
    world.fires("Slow", "b").await;
    world.wait(minutes(1)).await;
    world.handle.apply(config(SLACK)).await.unwrap();
    assert_eq!(world.handle.ledger().dropped["receiver_removed"], 1);
    world.resolves("Down", "a", START).await;
    world.wait(minutes(1)).await;
    assert_eq!((world.hook().len(), world.slack().len()), (1, 3));
    // It knows nothing any more: put back, it is told what fires and not the end it missed.
    world.receivers.behave("http://hook/", Manner::Takes);
    world.handle.apply(config(BOTH)).await.unwrap();
    world.wait(minutes(6)).await;
    let got = world.hook();
    assert_eq!((got.len(), got[1].alerts().contains_key("b")), (2, true));
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_mended_address_gets_what_the_old_one_refused() {
    let world = World::new("slack: { webhook_url: 'http://revoked/' }");
    world.receivers.behave("http://revoked/", Manner::Answers(404));
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    assert_eq!(world.handle.view().failing.len(), 1);
    world.handle.apply(config(SLACK)).await.unwrap();
    world.wait(minutes(5)).await;
    assert_eq!(world.slack().len(), 1);
    assert!(world.handle.view().failing.is_empty());
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_wrong_configuration_leaves_the_old_one_in_force() {
    let world = World::new(HOOK);
    let wrong: Config = yaml::read("x", "slack: {}").unwrap();
    let error = world.handle.apply(wrong).await.unwrap_err();
    assert_eq!(
        error,
        "notifier.slack: set bot_token or bot_token_file, or else webhook_url or webhook_file"
    );
    assert_eq!(world.handle.view().receivers, ["webhook"]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_waits_for_what_is_on_its_way() {
    let world = World::new(HOOK);
    world
        .receivers
        .behave("http://hook/", Manner::TakesAfter(secs(8)));
    world.fires("Down", "a").await;
    world.wait(secs(31)).await;
    world
        .handle
        .apply(config(&format!("{HOOK}\ngroup_by: [n]")))
        .await
        .unwrap();
    world.wait(minutes(30)).await;
    assert_eq!(world.hook().len(), 1);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn without_receivers_each_change_is_a_line_in_the_log() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let world = World::new("{}");
    world.fires("Down", "a").await;
    world.fires("Down", "a").await;
    let world = world.crash().await;
    world.fires("Down", "a").await;
    world.wait(minutes(5)).await;
    world.resolves("Down", "a", START).await;
    world.wait(minutes(5)).await;
    let lines = lines.0.lock().unwrap().clone();
    let changes: Vec<&String> = lines.iter().filter(|line| line.contains("Down on a")).collect();
    assert_eq!(changes.len(), 2, "{lines:#?}");
    assert!(
        changes[0].starts_with("WARN firing; no receiver is configured"),
        "{changes:?}"
    );
    assert!(
        changes[1].starts_with("INFO resolved") && changes[1].contains("5 min"),
        "{changes:?}"
    );
    assert!(world.handle.view().receivers.is_empty());
    assert_eq!(world.handle.ledger().taken, 0);
}

/// Catches what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        #[derive(Default)]
        struct Text(String, String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                } else {
                    self.1.push_str(&format!(" {}={value:?}", field.name()));
                }
            }
        }
        let mut text = Text::default();
        event.record(&mut text);
        let line = format!("{} {}{}", event.metadata().level(), text.0, text.1);
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

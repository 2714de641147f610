//! An Alertmanager's file in force: several receivers, their own waits, inhibition and hours.

use std::collections::BTreeMap;
use std::path::Path;

use model::{AlertEvent, Labels};

use super::world::{Attempt, Manner, START, World, firing, minutes, resolved, secs};
use crate::Config;
use crate::alertmanager::tests::no_files;

fn of_file(text: &str) -> Config {
    let mut config = Config {
        config_file: Some("alertmanager.yml".into()),
        ..Config::default()
    };
    config
        .read_file("alertmanager.yml", text, Path::new(""), &no_files)
        .unwrap();
    assert_eq!(config.complaints(), Vec::<String>::new());
    config
}

/// Everybody hears all; the team of a database hears of it sooner, and alert by alert.
const TWO: &str = r"
route:
  receiver: all
  group_by: [alertname]
  routes:
  - matchers: [ n=~db.* ]
    receiver: db
    group_by: ['...']
    group_wait: 5s
    group_interval: 1m
    continue: true
  - receiver: all
receivers:
- name: all
  webhook_configs: [ { url: http://hook/ } ]
- name: db
  webhook_configs: [ { url: http://db/ }, { url: http://spare/, send_resolved: false } ]
inhibit_rules:
- source_matchers: [ alertname=Outage ]
  target_matchers: [ alertname!=Outage ]
  equal: [ job ]
";

fn world(text: &str) -> World {
    let mut world = World::new("{}");
    world.config = of_file(text);
    world
}

/// Under the file from the first moment.
async fn started(text: &str) -> World {
    world(text).crash().await
}

fn said(attempts: &[Attempt]) -> Vec<(u64, BTreeMap<String, String>)> {
    attempts
        .iter()
        .map(|one| (one.after(START), one.alerts()))
        .collect()
}

fn all(words: &[(&str, &str)]) -> BTreeMap<String, String> {
    let words = words
        .iter()
        .map(|(n, status)| ((*n).to_owned(), (*status).to_owned()));
    words.collect()
}

#[tokio::test(start_paused = true)]
async fn each_route_tells_its_own_in_its_own_time() {
    let world = started(TWO).await;
    world.fires("Down", "db1").await;
    world.fires("Down", "db2").await;
    world.fires("Down", "web").await;
    world.wait(minutes(10)).await;
    // One message of all three, and one for each of the two.
    assert_eq!(
        said(&world.hook()),
        [(
            30,
            all(&[("db1", "firing"), ("db2", "firing"), ("web", "firing")])
        )]
    );
    let db = world.receivers.got("http://db/");
    assert_eq!(db.len(), 2, "{db:?}");
    assert!(
        db.iter()
            .all(|one| one.after(START) <= 6 && one.alerts().len() == 1)
    );
    assert_eq!(db[0].body["receiver"], "db");
    let key = db[0].body["groupKey"].as_str().unwrap();
    assert!(key.starts_with(r#"{}/{n=~"db.*"}:{alertname="Down""#), "{key}");
    world.resolves("Down", "db1", START).await;
    world.wait(minutes(10)).await;
    assert_eq!(
        said(&world.hook()[1..]),
        [(
            615,
            all(&[("db1", "resolved"), ("db2", "firing"), ("web", "firing")])
        )]
    );
    assert_eq!(
        said(&world.receivers.got("http://db/")[2..]),
        [(605, all(&[("db1", "resolved")]))]
    );
    // It does not want to hear of ends.
    assert_eq!(world.receivers.got("http://spare/").len(), 2);
    assert_eq!(world.metric("alertmanager_alerts{state=\"active\"}"), 2.0);
    for n in ["db2", "web"] {
        world.resolves("Down", n, START).await;
    }
    world.wait(minutes(10)).await;
    assert_eq!(world.metric("alertmanager_alerts{state=\"active\"}"), 0.0);
    assert_eq!(
        world
            .journal
            .entries::<serde::de::IgnoredAny>("notifier/alert/")
            .len(),
        0
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_restart_repeats_nothing_on_any_route() {
    let world = started(TWO).await;
    world.fires("Down", "db1").await;
    world.wait(minutes(1)).await;
    let world = world.crash().await;
    world.fires("Down", "db1").await;
    world.wait(minutes(30)).await;
    assert_eq!(
        (world.hook().len(), world.receivers.got("http://db/").len()),
        (1, 1)
    );
    // One route's receiver is away while the other one hears the end.
    world.receivers.behave("http://db/", Manner::Refuses);
    world.resolves("Down", "db1", START).await;
    world.wait(minutes(1)).await;
    let world = world.restart().await;
    assert_eq!(
        (world.hook().len(), world.receivers.got("http://db/").len()),
        (2, 1)
    );
    world.receivers.behave("http://db/", Manner::Takes);
    world.wait(minutes(10)).await;
    assert_eq!(
        (world.hook().len(), world.receivers.got("http://db/").len()),
        (2, 2)
    );
    assert_eq!(world.metric("alertmanager_alerts{state=\"active\"}"), 0.0);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_new_tree_tells_whoever_is_new_and_nobody_twice() {
    let world = started(TWO).await;
    world.fires("Down", "db1").await;
    world.wait(minutes(1)).await;
    let text = TWO
        .replace("    continue: true\n", "")
        .replace("group_by: ['...']", "group_by: [n]");
    world.handle.apply(of_file(&text)).await.unwrap();
    world.wait(minutes(10)).await;
    assert_eq!(
        (world.hook().len(), world.receivers.got("http://db/").len()),
        (1, 1)
    );
    world.fires("Down", "db2").await;
    world.wait(minutes(10)).await;
    // It does not go on to the others any more.
    assert_eq!(
        (world.hook().len(), world.receivers.got("http://db/").len()),
        (1, 2)
    );
    world.resolves("Down", "db1", START).await;
    world.wait(minutes(10)).await;
    assert_eq!(world.receivers.got("http://db/").len(), 3);
    world.balances();
}

fn outage(ends: bool) -> AlertEvent {
    if ends {
        resolved("Outage", "all", START, START + minutes(20))
    } else {
        firing("Outage", "all", START)
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_cause_fires_its_consequences_are_not_told() {
    let world = started(TWO).await;
    world.fires("Down", "web").await;
    // The cause is heard of last, and in time.
    world.wait(secs(20)).await;
    world.says(outage(false)).await;
    world.wait(minutes(19)).await;
    let outages: Vec<_> = said(&world.hook());
    assert_eq!(outages, [(50, all(&[("all", "firing")]))]);
    assert_eq!(world.metric("alertmanager_alerts{state=\"suppressed\"}"), 1.0);
    // After a restart as well, before anything is heard.
    let world = world.crash().await;
    world.wait(secs(40)).await;
    world.says(outage(true)).await;
    world.wait(minutes(10)).await;
    let got = said(&world.hook()[1..]);
    assert_eq!(got.len(), 2, "{got:?}");
    assert!(
        got.iter()
            .any(|(_, alerts)| *alerts == all(&[("all", "resolved")]))
    );
    assert!(got.iter().any(|(_, alerts)| *alerts == all(&[("web", "firing")])));
    assert_eq!(world.metric("alertmanager_alerts{state=\"suppressed\"}"), 0.0);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn at_night_a_route_is_silent_and_tells_in_the_morning_what_still_matters() {
    // The test begins at 02:51 UTC.
    let text = "
route:
  receiver: all
  routes:
  - matchers: [ alertname!=Grave ]
    mute_time_intervals: [ night ]
    receiver: all
receivers:
- name: all
  webhook_configs: [ { url: http://hook/ } ]
time_intervals:
- name: night
  time_intervals:
  - times: [ { start_time: '03:00', end_time: '06:00' } ]
";
    let world = started(text).await;
    world.fires("Down", "a").await;
    world.wait(minutes(15)).await;
    assert_eq!(world.hook().len(), 1);
    world.resolves("Down", "a", START).await;
    world.fires("Slow", "b").await;
    world.fires("Late", "c").await;
    world.wait(minutes(60)).await;
    let since = START + minutes(15);
    world.resolves("Late", "c", since).await;
    world.fires("Grave", "d").await;
    world.wait(minutes(60)).await;
    assert_eq!(
        said(&world.hook()[1..]),
        [(75 * 60 + 30, all(&[("d", "firing")]))]
    );
    world.wait(minutes(60)).await;
    let mut words = BTreeMap::new();
    for (after, alerts) in said(&world.hook()[2..]) {
        assert!(after >= 189 * 60, "{after}");
        words.extend(alerts);
    }
    // The end of what was told, and what fires; nothing of what came and went.
    assert_eq!(words, all(&[("a", "resolved"), ("b", "firing")]));
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn an_alert_goes_to_the_root_when_nothing_else_takes_it() {
    let text = "
route:
  receiver: nobody
  routes:
  - matchers: [ team=web ]
    receiver: web
receivers:
- name: nobody
- name: web
  webhook_configs: [ { url: http://hook/ } ]
";
    let world = started(text).await;
    world.fires("Down", "a").await;
    let mut event = firing("Down", "b", START);
    let mut labels = event.labels.to_builder();
    labels.set("team", "web");
    event.labels = labels.build();
    event.fingerprint = Labels::fingerprint(&event.labels);
    world.says(event).await;
    world.wait(minutes(1)).await;
    assert_eq!(said(&world.hook()), [(30, all(&[("b", "firing")]))]);
    world.balances();
}

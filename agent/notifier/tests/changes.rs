//! Alerts that PagerDuty is told as changes.

use super::world::{Attempt, START, World, firing, minutes, resolved, secs};

const EVENTS: &str = "http://pager/v2/enqueue";
const CHANGES: &str = "http://pager/v2/change/enqueue";

fn pager(more: &str) -> String {
    format!(
        "pagerduty: {{ routing_key: 0123456789abcdef0123456789abcdef, url: '{EVENTS}', {more} }}\ngroup_by: [job]\n"
    )
}

fn summaries(attempts: &[Attempt]) -> Vec<String> {
    let said = attempts.iter().map(|attempt| {
        let summary = attempt.body["payload"]["summary"].as_str();
        summary.map_or_else(|| attempt.body["event_action"].to_string(), str::to_owned)
    });
    said.collect()
}

#[tokio::test(start_paused = true)]
async fn what_matches_is_a_change_and_the_others_are_an_incident() {
    let world = World::new(&pager("change_events: ['alertname=~\"Deploy.*\"', 'job=shop']"));
    let since = START - minutes(5);
    for name in ["Down", "Deployed", "DeployBegan"] {
        world.says(firing(name, "a", since)).await;
    }
    // The first goes at once, the others after `group_interval`.
    world.wait(minutes(6)).await;
    assert_eq!(summaries(&world.receivers.got(EVENTS)), ["Down: Down on a"]);
    // Both of the group, in one.
    assert_eq!(
        summaries(&world.receivers.got(CHANGES)),
        ["shop: 2 alerts (+2 new)"]
    );
    // The end of a change is nobody's business; that of the incident is.
    let now = START + minutes(6);
    world.says(resolved("Deployed", "a", since, now)).await;
    world.wait(minutes(6)).await;
    world
        .says(resolved("Down", "a", since, START + minutes(12)))
        .await;
    world.wait(minutes(6)).await;
    assert_eq!(
        summaries(&world.receivers.got(EVENTS)),
        ["Down: Down on a", "\"resolve\""]
    );
    assert_eq!(world.receivers.got(CHANGES).len(), 1);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_once_however_long_its_alert_fires() {
    let world = World::new(
        &pager("change_events: ['alertname=Deployed'], dedup: alert")
            .replace("[job]", "[job]\nrepeat_interval: 5m"),
    );
    for n in ["a", "b"] {
        world.says(firing("Deployed", n, START - minutes(5))).await;
    }
    for _ in 0..30 {
        world.wait(secs(60)).await;
        for n in ["a", "b"] {
            world.says(firing("Deployed", n, START - minutes(5))).await;
        }
    }
    // Each by itself, as incidents are here.
    assert_eq!(
        summaries(&world.receivers.got(CHANGES)),
        ["Deployed: Deployed on a", "Deployed: Deployed on b"]
    );
    assert!(world.receivers.got(EVENTS).is_empty());
}

#[test]
fn mistakes_in_matchers_of_changes_have_their_path() {
    for (more, sentence) in [
        (
            "change_events: ['a=~\"(\"']",
            "notifier.pagerduty.change_events: ",
        ),
        ("change_events: ['a']", "notifier.pagerduty.change_events: "),
    ] {
        let config: crate::Config = yaml::read("notifier.yaml", &pager(more)).unwrap();
        let wrong = config.complaints();
        assert!(wrong.len() == 1 && wrong[0].starts_with(sentence), "{wrong:?}");
    }
    let elsewhere = pager("change_events: ['a=b']").replace("/v2/enqueue", "/events");
    let config: crate::Config = yaml::read("notifier.yaml", &elsewhere).unwrap();
    assert_eq!(config.complaints().len(), 1);
}

//! One `DatasourceUnreachable` instead of a storm.

use std::time::Duration;

use model::AlertEvent;

use super::house::House;

const RULES: &str = "
groups:
- name: g
  rules:
  - {alert: Hot, expr: temperature > 80}
  - {alert: Errors, expr: sum(errors) > 5}
  - {record: r, expr: up}
";

fn house(nodes: &[&str]) -> House {
    let mut house = House::new(RULES);
    for node in nodes {
        house.send(node, "temperature", node, 90.0);
        house.send(node, "errors", node, 1.0);
    }
    house
}

fn about(told: &[AlertEvent]) -> Vec<&AlertEvent> {
    let name = |event: &&AlertEvent| event.labels.value("alertname") == "DatasourceUnreachable";
    told.iter().filter(name).collect()
}

fn own(house: &House) -> Vec<String> {
    let mut alerts = house.alerts();
    alerts.retain(|alert| alert.starts_with("datasource"));
    alerts
}

#[tokio::test(start_paused = true)]
async fn frozen_rules_and_several_silent_senders_are_one_alert() {
    let mut house = house(&["x", "y", "z"]);
    house.seconds(60).await;
    for node in ["x", "y"] {
        house.fall_silent(node);
    }
    house.told();
    house.seconds(290).await;
    assert_eq!(own(&house), ["datasourceunreachable pending"]);
    house.seconds(60).await;
    assert_eq!(own(&house), ["datasourceunreachable firing"]);
    let told = house.told();
    let [event] = &*about(&told) else {
        panic!("{told:?}")
    };
    assert_eq!(
        event.labels.to_string(),
        r#"{alertname="DatasourceUnreachable", severity="critical"}"#
    );
    assert_eq!(
        event.annotations.value("summary"),
        "2 senders are silent, and alerts of 1 rule stay as they were"
    );
    let description = event.annotations.value("description");
    assert!(
        description.contains("x, y.") && description.contains(": Hot."),
        "{description}"
    );
    assert_eq!(
        house
            .ask(r#"ALERTS{alertname="DatasourceUnreachable"}"#)
            .await
            .len(),
        1
    );
    let silent = house.presence.0.lock().clone();
    let mut house = house.restart(RULES, Duration::from_secs(10), true).await;
    *house.presence.0.lock() = silent;
    house.seconds(900).await;
    assert_eq!(own(&house), ["datasourceunreachable firing"]);
    house.told();
    house.hear("x");
    house.hear("y");
    house.seconds(60).await;
    assert_eq!(own(&house), ["datasourceunreachable resolved"]);
    assert_eq!(about(&house.told()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_one_silent_sender_and_of_what_the_other_replica_hears_it_says_nothing() {
    let mut house = house(&["x", "y", "z"]);
    house.seconds(60).await;
    house.fall_silent("x");
    house.seconds(1200).await;
    assert_eq!(own(&house), [""; 0]);
    house.silence("y", true).await;
    house.seconds(1200).await;
    assert_eq!(house.alerts(), ["hot firing"; 3]);
    // Nor when nothing is frozen.
    let mut calm = House::new("groups: [{name: g, rules: [{alert: Hot, expr: temperature > 95}]}]");
    calm.send("z", "temperature", "z", 90.0);
    calm.seconds(60).await;
    for node in ["x", "y"] {
        calm.fall_silent(node);
    }
    calm.seconds(1200).await;
    assert_eq!(own(&calm), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn when_nothing_is_answered_it_says_so_and_one_failing_rule_is_not_that() {
    let mut house = house(&["x"]);
    house.seconds(60).await;
    house.gate.fail("temperature");
    house.seconds(1200).await;
    assert_eq!(own(&house), [""; 0]);
    house.gate.fail("");
    house.told();
    house.seconds(340).await;
    let told = house.told();
    let [event] = &*about(&told) else {
        panic!("{told:?}")
    };
    assert_eq!(
        event.annotations.value("summary"),
        "None of 3 rules gets an answer"
    );
    let description = event.annotations.value("description");
    assert!(description.contains("(the store is away)"), "{description}");
    house.gate.mend();
    house.seconds(30).await;
    assert_eq!(own(&house), ["datasourceunreachable resolved"]);
}

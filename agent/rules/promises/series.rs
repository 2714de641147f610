//! What rules give to the store.

use std::time::Duration;

use super::house::House;

#[tokio::test(start_paused = true)]
async fn a_later_rule_sees_what_an_earlier_one_recorded_in_the_same_round() {
    let rules = "
groups:
- name: g
  rules:
  - {record: one, expr: sum(up)}
  - {record: two, expr: one + 1, labels: {a: b}}
  - {alert: A, expr: two > 2}
  - {record: seen, expr: 'count(ALERTS{alertname=\"A\", alertstate=\"firing\"})'}
";
    let mut house = House::new(rules);
    house.set("up", "a", 5.0);
    house.seconds(15).await;
    // One round only: nothing had to wait for the next one.
    assert!(house.metric("prometheus_rule_group_iterations_total") <= 2.0);
    let two = house.ask("two").await;
    assert_eq!((two[0].0.value("a"), two[0].1), ("b", 6.0));
    assert_eq!(house.ask("seen").await[0].1, 1.0);
}

#[tokio::test(start_paused = true)]
async fn alerts_are_series_that_end_with_them() {
    let rules = "groups: [{name: g, rules: [{alert: A, expr: up == 0, for: 30s}]}]";
    let mut house = House::new(rules);
    house.set("up", "a", 0.0);
    house.seconds(20).await;
    let pending = house.ask("ALERTS").await;
    let text = r#"ALERTS{alertname="A", alertstate="pending", instance="a", job="j"}"#;
    assert_eq!(
        pending.iter().map(|(l, _)| l.to_string()).collect::<Vec<_>>(),
        [text]
    );
    let since = house.ask("ALERTS_FOR_STATE").await;
    let age = house.now().seconds() - since[0].1;
    assert!((10.0..=25.0).contains(&age), "{age}");
    house.seconds(30).await;
    let firing = house.ask("ALERTS").await;
    assert_eq!((firing.len(), firing[0].0.value("alertstate")), (1, "firing"));
    house.set("up", "a", 1.0);
    house.seconds(20).await;
    assert_eq!(house.ask("ALERTS").await, []);
    assert_eq!(house.ask("ALERTS_FOR_STATE").await, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_recorded_ends_but_not_by_a_failure() {
    let rules = "groups: [{name: g, rules: [{record: r, expr: sum by (instance) (up > 0)}]}]";
    let mut house = House::new(rules);
    house.set("up", "a", 1.0);
    house.set("up", "b", 1.0);
    house.seconds(20).await;
    assert_eq!(house.ask("r").await.len(), 2);
    house.gate.fail("sum");
    house.set("up", "a", 0.0);
    house.seconds(20).await;
    assert_eq!(house.ask("r").await.len(), 2);
    house.gate.mend();
    house.seconds(20).await;
    assert_eq!(house.ask("r").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_recorded_series_with_the_same_labels_are_an_error() {
    let mut house = House::new("groups: [{name: g, rules: [{record: r, expr: up, labels: {instance: x}}]}]");
    house.set("up", "a", 1.0);
    house.set("up", "b", 1.0);
    house.seconds(20).await;
    assert_eq!(house.ask("r").await, []);
    let error = house.manager.view()[0].rules[0].last_error.clone();
    assert!(
        error.starts_with("two recorded series have the same labels"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_label_of_a_recording_rule_takes_that_of_the_series_away() {
    let rules =
        "groups: [{name: g, labels: {instance: x}, rules: [{record: r, expr: up, labels: {instance: ''}}]}]";
    let mut house = House::new(rules);
    house.set("up", "a", 1.0);
    house.seconds(20).await;
    assert_eq!(house.ask("up{instance=\"\"}").await, []);
    assert_eq!(house.ask("r").await.len(), 1);
    assert_eq!(house.ask("r{instance=\"\"}").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_an_offset_older_data_is_asked_and_older_output_written() {
    let rules =
        "groups: [{name: g, query_offset: 1m, rules: [{record: r, expr: up}, {alert: A, expr: up == 1}]}]";
    let mut house = House::new(rules);
    house.set("up", "a", 1.0);
    house.seconds(60).await;
    assert_eq!(house.news(), [] as [&str; 0]);
    house.seconds(20).await;
    let told = house.told();
    assert!(house.now().since(told[0].active_at) < Duration::from_secs(30));
    let age = house.ask("time() - timestamp(r)").await[0].1;
    assert!((60.0..=75.0).contains(&age), "{age}");
}

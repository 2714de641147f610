//! `on_missing`: what becomes of alerts while what they are judged by does not come.

use std::time::Duration;

use model::{AlertEvent, AlertState};

use super::house::House;

/// One rule that names its target, one over all of them, and one that reads what is said in a target's place.
fn rules(on_missing: &str) -> String {
    format!(
        "
groups:
- name: g
  {on_missing}
  rules:
  - {{alert: Hot, expr: temperature > 80}}
  - {{alert: Errors, expr: sum(errors) > 5}}
  - {{alert: Serves, expr: up == 1}}
  - {{record: hottest, expr: max(temperature)}}
"
    )
}

/// Two targets that are read by this process.
async fn targets(rules: &str) -> House {
    let mut house = House::new(rules);
    house.set("up", "a", 1.0);
    house.set("temperature", "a", 90.0);
    house.set("errors", "a", 9.0);
    house.set("up", "b", 1.0);
    house.set("errors", "b", 1.0);
    house.seconds(30).await;
    house
}

fn fail(house: &mut House, instance: &str) {
    house.set("up", instance, 0.0);
    for name in ["temperature", "errors"] {
        house.end(name, instance);
    }
}

fn no_data(told: &[AlertEvent]) -> Vec<String> {
    let about = told
        .iter()
        .filter(|event| event.labels.value("reason") == "no_data");
    let mut texts: Vec<String> = about
        .map(|event| format!("{:?} {}", event.state, event.labels))
        .collect();
    texts.dedup();
    texts
}

const FIRING: [&str; 4] = ["errors firing", "hot firing", "serves firing", "serves firing"];

#[tokio::test(start_paused = true)]
async fn without_a_word_alerts_of_a_target_that_is_down_stay_until_it_is_up() {
    let rules = rules("");
    let mut house = targets(&rules).await;
    assert_eq!(house.alerts(), FIRING);
    fail(&mut house, "a");
    // Longer than a series that is gone would be missed.
    house.seconds(2 * 3600).await;
    house.told();
    house.seconds(120).await;
    // What is said in its place has ended truly, and over all targets nothing is known for an hour only.
    assert_eq!(house.alerts(), ["hot firing", "serves firing"]);
    let told = house.told();
    let hot: Vec<_> = told
        .iter()
        .filter(|event| event.labels.value("alertname") == "Hot")
        .collect();
    assert!(hot.len() >= 2 && hot.iter().all(|event| !event.known), "{hot:?}");
    house.set("up", "a", 1.0);
    house.set("temperature", "a", 20.0);
    house.seconds(20).await;
    assert_eq!(house.alerts()[0], "hot resolved");
}

#[tokio::test(start_paused = true)]
async fn one_failed_scrape_neither_resolves_nor_begins_anew() {
    let rules = "groups: [{name: g, rules: [{alert: Hot, expr: temperature > 80, for: 1m}]}]";
    let mut house = targets(rules).await;
    assert_eq!(house.alerts(), ["hot pending"]);
    fail(&mut house, "a");
    house.seconds(10).await;
    house.set("up", "a", 1.0);
    house.set("temperature", "a", 90.0);
    house.set("errors", "a", 9.0);
    house.seconds(30).await;
    assert_eq!(house.alerts(), ["hot firing"]);
    fail(&mut house, "a");
    house.seconds(10).await;
    house.set("up", "a", 1.0);
    house.set("temperature", "a", 90.0);
    house.seconds(30).await;
    assert_eq!(house.news(), ["Hot firing"]);
}

#[tokio::test(start_paused = true)]
async fn a_series_that_ends_at_a_target_that_answers_is_no_missing_data() {
    let mut house = targets(&rules("on_missing: alert")).await;
    fail(&mut house, "b");
    house.end("temperature", "a");
    house.end("errors", "a");
    house.seconds(20).await;
    assert!(house.alerts().contains(&"hot resolved".to_owned()));
    // A target that is gone is not down.
    house.set("temperature", "a", 90.0);
    house.seconds(20).await;
    house.end("up", "a");
    house.end("temperature", "a");
    house.seconds(20).await;
    assert!(house.alerts().contains(&"hot resolved".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn with_resolve_it_is_as_in_prometheus() {
    let rules = rules("on_missing: resolve");
    let mut house = targets(&rules).await;
    fail(&mut house, "a");
    house.seconds(20).await;
    assert_eq!(
        house.alerts(),
        [
            "errors resolved",
            "hot resolved",
            "serves firing",
            "serves resolved"
        ]
    );
    // Of a sender that nobody hears, too; but not of one that only we do not hear.
    for (deaf, expected) in [(false, "hot resolved"), (true, "hot firing")] {
        let mut house = House::new(&rules);
        house.send("x", "temperature", "x:1", 90.0);
        house.seconds(30).await;
        house.silence("x", deaf).await;
        house.seconds(600).await;
        assert_eq!(house.alerts(), [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_stands_over_its_group() {
    let rules = "
groups:
- name: g
  on_missing: resolve
  rules:
  - {alert: Hot, expr: temperature > 80}
  - {alert: Kept, expr: temperature > 80, on_missing: keep}
";
    let mut house = targets(rules).await;
    fail(&mut house, "a");
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["hot resolved", "kept firing"]);
}

const ALERT: &str = "
groups:
- name: g
  on_missing: alert
  rules:
  - alert: Hot
    expr: temperature > 80
    for: 1m
    labels: {severity: page, team: '{{ $labels.node }}'}
    annotations: {summary: 'it is {{ $value }} degrees', runbook_url: 'https://wiki/{{ $labels.node }}'}
";

#[tokio::test(start_paused = true)]
async fn a_silent_sender_is_an_alert_of_the_rule_after_its_for() {
    let mut house = House::new(ALERT);
    for node in ["x", "y"] {
        house.send(node, "temperature", node, 20.0);
        house.send(node, "up", node, 1.0);
    }
    house.send("z", "up", "z", 1.0);
    house.seconds(60).await;
    house.silence("x", false).await;
    house.fall_silent("z");
    house.told();
    house.seconds(30).await;
    assert_eq!(house.alerts(), ["hot pending"]);
    house.seconds(600).await;
    let told = house.told();
    let labels = r#"{alertname="Hot", node="x", reason="no_data", severity="page", team="x"}"#;
    assert_eq!(no_data(&told), [format!("Firing {labels}")]);
    let event = &told[0];
    assert!(event.known);
    assert_eq!(event.annotations.value("summary"), "Hot gets no data from x");
    assert_eq!(event.annotations.value("runbook_url"), "https://wiki/x");
    // It goes on over a restart, and ends with the silence.
    let silent = house.presence.0.lock().clone();
    let mut house = house.restart(ALERT, Duration::from_secs(10), true).await;
    *house.presence.0.lock() = silent;
    house.seconds(60).await;
    let told = house.told();
    assert!(
        no_data(&told).iter().all(|text| text.starts_with("Firing")),
        "{told:?}"
    );
    house.hear("x");
    house.send("x", "temperature", "x", 20.0);
    house.seconds(400).await;
    assert_eq!(no_data(&house.told()).last(), Some(&format!("Resolved {labels}")));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_is_an_alert_of_the_rules_that_read_it() {
    let rules = "
groups:
- name: g
  on_missing: alert
  rules:
  - {alert: Hot, expr: temperature > 80, for: 30s}
  - {alert: Queue, expr: queue > 80}
  - {alert: Down, expr: up == 0}
";
    let mut house = targets(rules).await;
    house.set("queue", "q", 1.0);
    house.set("temperature", "a", 20.0);
    house.seconds(20).await;
    house.told();
    fail(&mut house, "a");
    house.seconds(3 * 3600).await;
    let labels = r#"{alertname="Hot", instance="a", job="j", reason="no_data"}"#;
    assert_eq!(no_data(&house.told()), [format!("Firing {labels}")]);
    assert_eq!(house.alerts(), ["down firing", "hot firing"]);
    house.set("up", "a", 1.0);
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["down resolved", "hot resolved"]);
}

#[tokio::test(start_paused = true)]
async fn many_silent_senders_are_five_alerts_and_one_for_the_others() {
    let mut house = House::new(ALERT);
    let nodes: Vec<String> = (10..40).map(|nth| format!("n{nth}")).collect();
    for node in &nodes {
        house.send(node, "temperature", node, 20.0);
    }
    house.seconds(60).await;
    for node in &nodes {
        house.fall_silent(node);
    }
    house.seconds(300).await;
    assert_eq!(house.alerts(), ["hot firing"; 6]);
    let told = house.told();
    let about_all = told
        .iter()
        .find(|event| event.labels.get("node").is_none())
        .unwrap();
    let summary = about_all.annotations.value("summary");
    assert!(
        summary.starts_with("Hot gets no data from 25 more (n15, n16, "),
        "{summary}"
    );
    assert!(told.iter().all(|event| event.state == AlertState::Firing));
}

#[tokio::test(start_paused = true)]
async fn a_deaf_replica_says_nothing_of_it() {
    let mut house = House::new(ALERT);
    house.send("x", "temperature", "x", 20.0);
    house.seconds(60).await;
    house.silence("x", true).await;
    house.seconds(600).await;
    assert_eq!(house.alerts(), [""; 0]);
}

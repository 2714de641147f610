//! The life of an alert, from the first sample to the last message.

use std::time::Duration;

use model::AlertState;

use super::house::{House, INTERVAL};
use crate::Options;

const DOWN: &str = "
groups:
- name: g
  rules:
  - alert: Down
    expr: up == 0
    for: 1m
    labels: {severity: critical, empty: '{{ $labels.nothing }}', job: ''}
    annotations: {summary: '{{ $labels.instance }} of {{ $labels.job }} is down, {{ $value }}'}
";

fn minute() -> Duration {
    Duration::from_secs(60)
}

#[tokio::test(start_paused = true)]
async fn an_alert_fires_after_its_for_and_not_before() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 0.0);
    house.seconds(55).await;
    assert_eq!(house.alerts(), ["down pending"]);
    assert_eq!(house.news(), [] as [&str; 0]);
    house.seconds(30).await;
    assert_eq!(house.alerts(), ["down firing"]);
    let told = house.told();
    assert_eq!(told.len(), 1);
    let event = &told[0];
    assert_eq!(event.starts_at.since(event.active_at), minute());
    assert_eq!(
        event.labels.to_string(),
        r#"{alertname="Down", instance="a", severity="critical"}"#
    );
    assert_eq!(event.annotations.value("summary"), "a of j is down, 0");
    assert_eq!(event.generator_url, "/graph?g0.expr=up+%3D%3D+0&g0.tab=1");
    assert_eq!((event.epoch, event.fingerprint), (7, event.labels.fingerprint()));
    assert_eq!(event.ends_at.since(event.starts_at), 4 * minute());
}

#[tokio::test(start_paused = true)]
async fn without_a_for_it_fires_at_once() {
    let mut house = House::new("groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]");
    house.set("up", "a", 0.0);
    house.run(INTERVAL).await;
    house.run(INTERVAL).await;
    assert_eq!(house.news(), ["A firing"]);
}

#[tokio::test(start_paused = true)]
async fn data_that_goes_while_pending_is_no_alert() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 0.0);
    house.seconds(30).await;
    house.end("up", "a");
    house.seconds(20).await;
    assert_eq!(house.alerts(), [] as [&str; 0]);
    house.set("up", "a", 0.0);
    house.seconds(50).await;
    assert_eq!(house.alerts(), ["down pending"]);
    assert_eq!(house.news(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_resolved_alert_is_told_again_for_fifteen_minutes_and_then_forgotten() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 0.0);
    house.seconds(120).await;
    assert_eq!(house.news(), ["Down firing"]);
    house.set("up", "a", 1.0);
    house.seconds(20).await;
    let resolved = house.told();
    assert_eq!(resolved.len(), 1);
    let (first, ended) = (&resolved[0], resolved[0].ends_at);
    assert_eq!(first.state, AlertState::Resolved);
    assert!(first.starts_at < ended);
    house.run(14 * minute()).await;
    let again = house.told();
    // Once a minute, on slots ten seconds apart: a resend is due when more than a minute has passed.
    assert!((11..=14).contains(&again.len()), "{}", again.len());
    assert!(
        again
            .iter()
            .all(|event| event.state == AlertState::Resolved && event.ends_at == ended)
    );
    assert_eq!(house.alerts(), ["down resolved"]);
    house.run(2 * minute()).await;
    assert_eq!(house.alerts(), [] as [&str; 0]);
    house.told();
    house.run(3 * minute()).await;
    assert_eq!(house.told().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn firing_is_told_again_each_minute_and_once_more_when_it_returns() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 0.0);
    house.seconds(80).await;
    assert_eq!(house.news(), ["Down firing"]);
    house.run(5 * minute()).await;
    let again = house.told();
    assert!((4..=5).contains(&again.len()), "{}", again.len());
    house.set("up", "a", 1.0);
    house.seconds(20).await;
    assert_eq!(house.news(), ["Down resolved"]);
    house.set("up", "a", 0.0);
    house.seconds(90).await;
    // While it was pending again its end was told again; then it fired anew.
    assert_eq!(house.news().last().map(String::as_str), Some("Down firing"));
}

#[tokio::test(start_paused = true)]
async fn it_keeps_firing_for_its_time() {
    let rules = "groups: [{name: g, rules: [{alert: A, expr: up == 0, keep_firing_for: 2m}]}]";
    let mut house = House::new(rules);
    house.set("up", "a", 0.0);
    house.seconds(20).await;
    house.set("up", "a", 1.0);
    house.seconds(115).await;
    assert_eq!(house.alerts(), ["a firing"]);
    assert_eq!(house.news(), ["A firing"]);
    house.seconds(20).await;
    assert_eq!(house.news(), ["A resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_rule_keeps_its_alerts_and_the_group_goes_on() {
    let rules = "
groups:
- name: g
  rules:
  - {alert: A, expr: up == 0}
  - {alert: B, expr: up <= 0}
";
    let mut house = House::new(rules);
    house.set("up", "a", 0.0);
    house.seconds(20).await;
    assert_eq!(house.news(), ["A firing", "B firing"]);
    house.gate.fail("up == 0");
    house.set("up", "a", 1.0);
    house.seconds(200).await;
    assert_eq!(house.alerts(), ["a firing", "b resolved"]);
    // Said again, so that nobody forgets it meanwhile.
    assert_eq!(house.news(), ["B resolved", "A firing"]);
    let view = &house.manager.view()[0];
    assert_eq!(
        (view.rules[0].health, view.rules[0].last_error.as_str()),
        ("err", "the store is away")
    );
    assert_eq!(view.rules[1].health, "ok");
    assert!(house.metric("prometheus_rule_evaluation_failures_total") >= 19.0);
    house.gate.mend();
    house.seconds(20).await;
    assert!(house.news().contains(&"A resolved".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_query_times_out_and_slots_are_missed_not_queued() {
    let mut options = Options {
        evaluation_interval: INTERVAL,
        ..Options::default()
    };
    options.config.query_timeout = Duration::from_secs(35);
    let mut house = House::with("groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]", options);
    house.set("up", "a", 0.0);
    house.seconds(20).await;
    assert_eq!(house.metric("prometheus_rule_group_iterations_missed_total"), 0.0);
    house.gate.delay(Duration::from_secs(60));
    house.seconds(200).await;
    let missed = house.metric("prometheus_rule_group_iterations_missed_total");
    let iterations = house.metric("prometheus_rule_group_iterations_total");
    assert!(
        (10.0..=16.0).contains(&missed) && (16.0..=22.0).contains(&iterations),
        "{missed} of {iterations}"
    );
    assert_eq!(house.manager.view()[0].rules[0].last_error, "the query timed out");
    // It is the only rule, so that nothing gets an answer.
    assert_eq!(house.alerts(), ["a firing", "datasourceunreachable pending"]);
}

#[tokio::test(start_paused = true)]
async fn two_alerts_with_the_same_labels_are_an_error() {
    let mut house =
        House::new("groups: [{name: g, rules: [{alert: A, expr: up == 0, labels: {instance: ''}}]}]");
    house.set("up", "a", 0.0);
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["a firing"]);
    house.set("up", "b", 0.0);
    house.seconds(20).await;
    let view = &house.manager.view()[0];
    assert!(
        view.rules[0]
            .last_error
            .starts_with("two alerts have the same labels"),
        "{view:?}"
    );
    assert_eq!(house.alerts(), ["a firing"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_expanded_says_so_and_fires() {
    let rules = r#"
groups:
- name: g
  rules:
  - alert: A
    expr: up == 0
    annotations:
      bad: '{{ gt $value 1 }}'
      others: '{{ with query "count(up)" }}{{ . | first | value }}{{ end }} targets'
"#;
    let mut house = House::new(rules);
    house.set("up", "a", 0.0);
    house.set("up", "b", 1.0);
    house.seconds(20).await;
    let told = house.told();
    let annotations = &told[0].annotations;
    assert!(
        annotations
            .value("bad")
            .starts_with("<error expanding template: "),
        "{annotations}"
    );
    assert_eq!(annotations.value("others"), "2 targets");
    assert!(house.metric("skopos_rules_template_failures_total") >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn beyond_its_limit_a_rule_keeps_the_first_and_says_so() {
    let mut house = House::new("groups: [{name: g, limit: 2, rules: [{alert: A, expr: up == 0}]}]");
    house.set("up", "x", 0.0);
    house.set("up", "y", 0.0);
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["a firing", "a firing"]);
    house.told();
    house.set("up", "a", 0.0);
    house.seconds(20).await;
    let told = house.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].labels.value("alertname"), "RuleLimitExceeded");
    assert_eq!(
        told[0].annotations.value("description"),
        "exceeded limit of 2 with 3 alerts"
    );
    // Those that were firing still are.
    let firing = house.ask(r#"ALERTS{alertname="A"}"#).await;
    let instances: Vec<_> = firing
        .iter()
        .map(|(labels, _)| labels.value("instance"))
        .collect();
    assert_eq!(instances, ["x", "y"]);
    house.set("up", "a", 1.0);
    house.seconds(20).await;
    assert_eq!(house.news(), ["RuleLimitExceeded resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_loses_no_state() {
    let mut house = House::new("groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]");
    for nth in 0..100 {
        house.set("up", &format!("i{nth}"), 0.0);
    }
    house.seconds(20).await;
    assert_eq!(house.events.len(), 64);
    let first = house.told();
    house.seconds(20).await;
    let all: std::collections::BTreeSet<_> = first
        .iter()
        .chain(&house.told())
        .map(|event| event.fingerprint)
        .collect();
    assert_eq!(all.len(), 100);
    let ledger = house.manager.ledger();
    assert!(ledger.balances() && ledger.dropped["full"] >= 36, "{ledger:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_back_does_not_silence_the_rules() {
    let mut house = House::new("groups: [{name: g, rules: [{alert: A, expr: vector(1)}]}]");
    house.seconds(20).await;
    house.clock.skew(-3_600_000);
    let before = house.metric("prometheus_rule_group_iterations_total");
    house.seconds(60).await;
    assert!(house.metric("prometheus_rule_group_iterations_total") >= before + 5.0);
    assert_eq!(house.news(), ["A firing"]);
    house.stop().await;
}

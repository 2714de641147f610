//! A silent sender is not a healthy one, and a deaf replica does not cry wolf.

use std::time::Duration;

use model::late::Mark;
use model::{AlertEvent, AlertState, Silence, Silent};

use super::house::House;

/// One rule that names its node, one over all nodes, and the one that says who is silent.
const HOT: &str = "
groups:
- name: g
  rules:
  - {alert: Hot, expr: temperature > 80}
  - {alert: Errors, expr: sum(errors) > 5}
  - {alert: Away, expr: skopos_sender_up == 0}
";

/// What a replica that hears less than there is would believe.
const FEW: &str = "
groups:
- name: g
  rules:
  - {alert: Few, expr: count(temperature) < 2}
  - {alert: FewLong, expr: count(temperature) < 2, for: 2m}
  - {alert: Gone, expr: 'absent(temperature{node=\"x\"})'}
  - {alert: Down, expr: up == 0}
  - {alert: Queue, expr: sum(queue) > 5}
";

fn hot() -> House {
    let mut house = House::new(HOT);
    house.send("x", "temperature", "x:1", 90.0);
    house.send("x", "errors", "x:1", 9.0);
    house.send("y", "errors", "y:1", 1.0);
    house.observe("x", "skopos_sender_up", 1.0);
    house
}

fn few() -> House {
    let mut house = House::new(FEW);
    for node in ["x", "y"] {
        house.send(node, "temperature", node, 20.0);
        house.send(node, "up", node, 1.0);
    }
    house
}

/// By name, whether each word was known.
fn words(told: &[AlertEvent], name: &str) -> Vec<(AlertState, bool)> {
    let about = told
        .iter()
        .filter(|event| event.labels.value("alertname") == name);
    about.map(|event| (event.state, event.known)).collect()
}

#[tokio::test(start_paused = true)]
async fn alerts_of_a_silent_sender_stay_and_the_silence_is_told() {
    let mut house = hot();
    house.seconds(30).await;
    assert_eq!(house.alerts(), ["errors firing", "hot firing"]);
    house.silence("x", false).await;
    house.observe("x", "skopos_sender_up", 0.0);
    house.told();
    house.seconds(1200).await;
    assert_eq!(house.alerts(), ["away firing", "errors firing", "hot firing"]);
    let view = house.manager.view();
    let unknown: Vec<bool> = view[0].rules.iter().map(|rule| rule.alerts[0].unknown).collect();
    assert_eq!(unknown, [true, true, false]);
    let told = house.told();
    for (name, known) in [("Hot", false), ("Errors", false), ("Away", true)] {
        let words = words(&told, name);
        assert!(words.len() > 15, "{name}: {words:?}");
        assert!(
            words.iter().all(|word| *word == (AlertState::Firing, known)),
            "{name}: {words:?}"
        );
    }
    house.hear("x");
    house.observe("x", "skopos_sender_up", 1.0);
    house.send("x", "temperature", "x:1", 20.0);
    house.send("x", "errors", "x:1", 0.0);
    house.seconds(20).await;
    let told = house.told();
    for name in ["Hot", "Errors", "Away"] {
        assert_eq!(
            words(&told, name).last(),
            Some(&(AlertState::Resolved, true)),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_is_true_when_its_sender_returns_is_known_at_once() {
    let mut house = hot();
    house.seconds(30).await;
    house.silence("x", false).await;
    house.seconds(300).await;
    house.hear("x");
    house.told();
    house.seconds(20).await;
    let told = house.told();
    assert_eq!(words(&told, "Hot"), [(AlertState::Firing, true)]);
    assert_eq!(words(&told, "Errors"), [(AlertState::Firing, true)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_silent_sender_has_no_part_in_goes_on() {
    let rules = "
groups:
- name: g
  rules:
  - {alert: Hot, expr: temperature > 80}
  - {alert: Queue, expr: sum(queue) > 5 unless max(mute) > 0}
  - {alert: NotReady, expr: ready == 0}
";
    let mut house = House::new(rules);
    house.send("x", "temperature", "x:1", 20.0);
    house.send("y", "temperature", "y:1", 90.0);
    house.set("queue", "q", 9.0);
    house.observe("x", "ready", 0.0);
    house.send("x", "mute", "x:1", 0.0);
    house.seconds(30).await;
    house.silence("x", false).await;
    house.seconds(60).await;
    assert_eq!(house.alerts(), ["hot firing", "notready firing", "queue firing"]);
    assert!(house.told().iter().all(|event| event.known));
    // Another node cools, a queue without a node empties, and others say that x is ready.
    house.send("y", "temperature", "y:1", 20.0);
    house.set("queue", "q", 0.0);
    house.observe("x", "ready", 1.0);
    house.seconds(20).await;
    assert_eq!(
        house.alerts(),
        ["hot resolved", "notready resolved", "queue resolved"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_deaf_replica_neither_fires_nor_resolves() {
    let mut house = few();
    house.send("x", "up", "x:2", 0.0);
    house.seconds(30).await;
    assert_eq!(house.news(), ["Down firing"]);
    house.silence("x", true).await;
    house.seconds(3600).await;
    assert_eq!(house.alerts(), ["down firing"]);
    let told = house.told();
    assert!(
        told.len() > 50 && told.iter().skip(5).all(|event| !event.known),
        "{told:?}"
    );
    // It is not deaf to everybody.
    house.send("y", "up", "y", 0.0);
    house.set("queue", "q", 9.0);
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["down firing", "down firing", "queue firing"]);
    let of_y = house.told();
    let of_y = of_y.iter().find(|event| event.labels.value("node") == "y");
    assert!(of_y.is_some_and(|event| event.known && event.state == AlertState::Firing));
    house.hear("x");
    house.send("x", "up", "x:2", 1.0);
    house.send("y", "up", "y", 1.0);
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["down resolved", "down resolved", "queue firing"]);
}

#[tokio::test(start_paused = true)]
async fn when_neither_hears_a_sender_what_is_missing_fires() {
    let mut house = few();
    house.seconds(30).await;
    house.silence("x", false).await;
    house.seconds(180).await;
    let firing = ["down firing", "few firing", "fewlong firing", "gone firing"];
    assert_eq!(house.alerts(), firing);
    assert!(house.told().iter().all(|event| event.known));
}

#[tokio::test(start_paused = true)]
async fn what_fired_before_we_went_deaf_is_no_longer_our_finding() {
    let mut house = House::new(FEW);
    house.send("x", "temperature", "x", 20.0);
    house.seconds(30).await;
    assert_eq!(house.alerts(), ["few firing", "fewlong pending"]);
    house.silence("x", true).await;
    house.told();
    house.seconds(400).await;
    let told = house.told();
    assert!(
        words(&told, "Few")
            .iter()
            .skip(1)
            .all(|word| *word == (AlertState::Firing, false))
    );
    // Pending since before, it has not fired, and the other replica would know.
    assert_eq!(house.alerts(), ["few firing", "fewlong pending"]);
    // It was true all along, which is found out when x is heard.
    house.hear("x");
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["few firing", "fewlong firing"]);
    assert_eq!(
        words(&house.told(), "Few").last(),
        Some(&(AlertState::Firing, true))
    );
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_returns_with_its_past_first_is_not_believed_to_be_well() {
    let rules = "groups: [{name: g, rules: [{alert: Hot, expr: 'max_over_time(temperature[1m]) > 80'}]}]";
    let mut house = House::new(rules);
    house.send("x", "temperature", "x:1", 90.0);
    house.seconds(60).await;
    house.silence("x", false).await;
    house.seconds(600).await;
    // Heard, but what it sends is old: nothing of the last minute is here yet.
    house.presence.0.lock().clear();
    house.seconds(60).await;
    assert_eq!(house.alerts(), ["hot firing"]);
    house.hear("x");
    house.send("x", "temperature", "x:1", 20.0);
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["hot resolved"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_said_in_the_place_of_a_sender_is_not_its_own_word() {
    let mut house = House::new("groups: [{name: g, rules: [{alert: Serves, expr: up == 1}]}]");
    house.send("x", "up", "x:1", 1.0);
    house.seconds(30).await;
    house.silence("x", false).await;
    house.seconds(40).await;
    assert_eq!(house.alerts(), ["serves firing"]);
    // Heard again: `up 0` is still the newest that is here, until it sends its own.
    house.presence.0.lock().clear();
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["serves firing"]);
    house.hear("x");
    house.send("x", "up", "x:1", 0.0);
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["serves resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_left_the_list_takes_its_alerts_along() {
    let mut house = hot();
    house.seconds(30).await;
    house.silence("x", false).await;
    house.seconds(600).await;
    house.presence.0.lock().clear();
    house.seconds(280).await;
    assert_eq!(house.alerts(), ["errors firing", "hot firing"]);
    house.seconds(40).await;
    assert_eq!(house.alerts(), ["errors resolved", "hot resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_deaf_replica_records_no_lie_and_sees_through_what_is_recorded() {
    let rules = "
groups:
- name: g
  rules:
  - {record: 'all:temperature:count', expr: count(temperature)}
  - {record: 'node:temperature:max', expr: max by (node) (temperature)}
  - {alert: Few, expr: 'all:temperature:count < 2'}
  - {alert: NoCount, expr: 'absent(all:temperature:count)'}
";
    let mut house = House::new(rules);
    house.send("x", "temperature", "x", 20.0);
    house.send("y", "temperature", "y", 20.0);
    house.seconds(30).await;
    house.silence("x", true).await;
    house.seconds(600).await;
    assert_eq!(house.alerts(), [] as [&str; 0]);
    assert_eq!(house.ask("all:temperature:count").await, []);
    let nodes = house.ask("node:temperature:max").await;
    assert_eq!((nodes.len(), nodes[0].0.value("node")), (1, "y"));
    // The other replica loses it too: now it is as it seems.
    house.presence.0.lock()[0].silence = Silence::Everywhere;
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["few firing"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_sender_never_sent_here_may_be_there_while_the_other_replica_hears_it() {
    const GONE: &str = r#"
groups:
  - name: gone
    interval: 10s
    rules:
      - { alert: gone, expr: 'absent(job_last_run{node="x"})', for: 1m }
      - { alert: notready, expr: 'kube_node_status{node="x"} == 0' }
"#;
    let mut house = House::new(GONE);
    house.send("x", "temperature", "x", 20.0);
    house.observe("x", "kube_node_status", 1.0);
    house.silence("x", true).await;
    house.seconds(600).await;
    assert!(
        !house.alerts().contains(&"gone firing".to_owned()),
        "{:?}",
        house.alerts()
    );
    // What others say of it is known.
    house.observe("x", "kube_node_status", 0.0);
    house.seconds(20).await;
    assert!(
        house.alerts().contains(&"notready firing".to_owned()),
        "{:?}",
        house.alerts()
    );
    house.presence.0.lock()[0].silence = Silence::Everywhere;
    house.seconds(80).await;
    assert_eq!(house.alerts(), ["gone firing", "notready firing"]);
}

#[tokio::test(start_paused = true)]
async fn of_a_sender_that_was_never_heard_anything_may_come() {
    let house = few();
    house.seconds(30).await;
    let mut house = house.restart(FEW, Duration::from_secs(60), false).await;
    let silent = |silence| Silent {
        node: "x".into(),
        since: house.now() - Duration::from_secs(90),
        silence,
    };
    let (deaf, away) = (silent(Silence::Here), silent(Silence::Everywhere));
    house.presence.0.lock().push(deaf);
    house.send("y", "temperature", "y", 20.0);
    house.send("y", "up", "y", 1.0);
    house.seconds(600).await;
    assert_eq!(house.alerts(), [] as [&str; 0]);
    *house.presence.0.lock() = vec![away];
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["few firing", "fewlong pending", "gone firing"]);
}

#[tokio::test(start_paused = true)]
async fn a_taken_up_alert_outlasts_a_sender_that_is_silent_since_before_the_start() {
    let house = hot();
    house.seconds(30).await;
    let mut house = house.restart(HOT, Duration::from_secs(60), false).await;
    let since = house.now() - Duration::from_secs(90);
    let node = "x".into();
    house.presence.0.lock().push(Silent {
        node,
        since,
        silence: Silence::Everywhere,
    });
    house.send("y", "errors", "y:1", 1.0);
    house.seconds(1200).await;
    assert_eq!(house.alerts(), ["errors firing", "hot firing"]);
    assert!(house.told().iter().all(|event| !event.known));
    house.hear("x");
    house.send("x", "temperature", "x:1", 20.0);
    house.send("x", "errors", "x:1", 0.0);
    house.seconds(30).await;
    assert_eq!(house.alerts(), ["errors resolved", "hot resolved"]);
}

#[tokio::test(start_paused = true)]
async fn what_only_the_other_replica_judges_is_said_without_evidence_until_it_is_judged_here_again() {
    let mut house = hot();
    house.seconds(30).await;
    let told = house.told();
    assert_eq!(words(&told, "Hot").last(), Some(&(AlertState::Firing, true)));
    *house.late.0.lock() = Some(Mark::NEVER);
    house.seconds(600).await;
    let told = house.told();
    for name in ["Hot", "Errors"] {
        let words = words(&told, name);
        // Said at once, and each minute.
        assert!(words.len() > 8, "{name}: {words:?}");
        assert!(
            words.iter().all(|word| *word == (AlertState::Firing, false)),
            "{name}: {words:?}"
        );
    }
    // It has ended meanwhile, and that is found out here.
    house.send("x", "temperature", "x:1", 20.0);
    *house.late.0.lock() = None;
    house.seconds(20).await;
    let told = house.told();
    assert_eq!(words(&told, "Hot").last(), Some(&(AlertState::Resolved, true)));
    assert_eq!(words(&told, "Errors").last(), Some(&(AlertState::Firing, true)));
}

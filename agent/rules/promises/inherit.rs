//! What fires at the other replica goes on firing here, and ends only when that is known.

use std::time::Duration;

use model::{AlertEvent, AlertState, Clock};

use super::house::House;

const DOWN: &str = "groups: [{name: g, rules: [{alert: Down, expr: up == 0, for: 2m}]}]";
const SLOW: &str = "groups: [{name: g, rules: [{alert: Slow, expr: 'avg_over_time(up[4m]) > 5'}]}]";

/// A replica that has run as long as another one, at which `up{instance="a"}` fires; and the other one's table.
async fn pair(rules: &str, theirs: &str, value: f64) -> (House, Table) {
    let house = House::new(rules);
    let mut other = House::new(theirs);
    other.set("up", "a", value);
    other.seconds(150).await;
    assert_eq!(other.told()[0].state, AlertState::Firing);
    let table = Table {
        records: other.journal.entries("rules/alert/"),
        alert: other.manager.view()[0].rules[0].alerts[0].clone(),
    };
    assert_eq!(table.records.len(), 1);
    other.stop().await;
    (house, table)
}

struct Table {
    records: Vec<(String, serde_json::Value)>,
    alert: model::view::Alert,
}

impl Table {
    /// As the pair puts it into the journal.
    fn hand_over(&self, to: &House) {
        for (key, record) in &self.records {
            to.journal.put(&format!("peer/{key}"), record).unwrap();
        }
    }
}

fn in_short(told: &[AlertEvent]) -> Vec<(AlertState, bool)> {
    told.iter().map(|event| (event.state, event.known)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_inherited_alert_ends_once_its_target_was_heard_since() {
    let (mut house, theirs) = pair(DOWN, DOWN, 0.0).await;
    house.seconds(30).await;
    theirs.hand_over(&house);
    house.manager.inherit();
    house.seconds(100).await;
    let ours = &house.manager.view()[0].rules[0].alerts[0];
    assert_eq!(
        (ours.fired_at, ours.active_at),
        (theirs.alert.fired_at, theirs.alert.active_at)
    );
    assert!(ours.restored && ours.state == AlertState::Firing);
    let told = house.told();
    assert_eq!(in_short(&told), [(AlertState::Firing, false); 2]);
    house.set("up", "a", 1.0);
    house.seconds(20).await;
    assert_eq!(in_short(&house.told()), [(AlertState::Resolved, true)]);
}

#[tokio::test(start_paused = true)]
async fn an_inherited_alert_that_is_true_here_is_known() {
    let (mut house, theirs) = pair(DOWN, DOWN, 0.0).await;
    house.set("up", "a", 0.0);
    house.seconds(60).await;
    assert_eq!(house.alerts(), ["down pending"]);
    theirs.hand_over(&house);
    house.manager.inherit();
    house.seconds(20).await;
    // It fires already, by the other's clock, and not once more a minute later.
    let told = house.told();
    assert_eq!(in_short(&told).last(), Some(&(AlertState::Firing, true)));
    let fired_at = theirs.alert.fired_at;
    assert!(told.iter().all(|event| Some(event.starts_at) == fired_at));
    house.seconds(120).await;
    assert!(house.told().iter().all(|event| Some(event.starts_at) == fired_at));
}

#[tokio::test(start_paused = true)]
async fn inheriting_again_changes_nothing_and_revives_nothing() {
    let (mut house, theirs) = pair(DOWN, DOWN, 0.0).await;
    theirs.hand_over(&house);
    house.manager.inherit();
    house.seconds(30).await;
    let before = house.manager.view()[0].rules[0].alerts[0].clone();
    house.told();
    for _ in 0..3 {
        house.manager.inherit();
        house.seconds(10).await;
    }
    let after = house.manager.view()[0].rules[0].alerts[0].clone();
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    assert!(house.told().len() <= 1);
    house.set("up", "a", 1.0);
    house.seconds(30).await;
    assert_eq!(house.news(), ["Down resolved"]);
    let ended = house.manager.view()[0].rules[0].alerts[0].resolved_at;
    // The other replica never came to write that it ended.
    house.manager.inherit();
    house.seconds(60).await;
    assert_eq!(house.alerts(), ["down resolved"]);
    assert_eq!(house.news(), ["Down resolved"]);
    assert_eq!(house.manager.view()[0].rules[0].alerts[0].resolved_at, ended);
}

#[tokio::test(start_paused = true)]
async fn each_taken_up_alert_waits_from_its_own_moment() {
    let (mut house, theirs) = pair(SLOW, SLOW, 10.0).await;
    // The process runs for so long that everything of its start has been heard.
    house.seconds(3600).await;
    theirs.hand_over(&house);
    house.manager.inherit();
    house.set("up", "a", 0.0);
    house.seconds(225).await;
    assert_eq!(house.alerts(), ["slow firing"]);
    house.seconds(40).await;
    assert_eq!(house.alerts(), ["slow resolved"]);
}

#[tokio::test(start_paused = true)]
async fn with_history_of_its_own_a_newer_sample_is_enough() {
    let (mut house, theirs) = pair(SLOW, SLOW, 10.0).await;
    house.set("up", "a", 0.0);
    house.seconds(600).await;
    theirs.hand_over(&house);
    house.manager.inherit();
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["slow resolved"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_journal_has_of_the_other_is_taken_up_at_the_start() {
    let (house, theirs) = pair(DOWN, DOWN, 0.0).await;
    house.seconds(30).await;
    theirs.hand_over(&house);
    let mut house = house.restart(DOWN, Duration::from_secs(5), true).await;
    house.seconds(30).await;
    assert_eq!(house.alerts(), ["down firing"]);
    assert_eq!(in_short(&house.told()), [(AlertState::Firing, false)]);
    // And it is its own from then on.
    assert_eq!(
        house.journal.entries::<serde_json::Value>("rules/alert/").len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn an_alert_inherited_during_an_evaluation_is_not_ended_by_it() {
    let (mut house, theirs) = pair(DOWN, DOWN, 0.0).await;
    house.set("up", "a", 1.0);
    house.seconds(60).await;
    let mut other = House::new(DOWN);
    other.set("up", "b", 0.0);
    other.seconds(150).await;
    let more = other.journal.entries::<serde_json::Value>("rules/alert/");
    // The first makes the next evaluation ask whether it has been heard, and that takes its time.
    theirs.hand_over(&house);
    house.manager.inherit();
    house.gate.delay(Duration::from_secs(8));
    let evaluated = house.manager.view()[0].last_evaluation;
    house.seconds(20).await;
    house
        .journal
        .put(&format!("peer/{}", more[0].0), &more[0].1)
        .unwrap();
    house.manager.inherit();
    house.clock.sleep(Duration::from_millis(1)).await;
    assert_eq!(house.manager.view()[0].last_evaluation, evaluated);
    assert_eq!(house.alerts(), ["down firing", "down firing"]);
    while house.manager.view()[0].last_evaluation == evaluated {
        house.clock.sleep(Duration::from_millis(100)).await;
    }
    let alerts = &house.manager.view()[0].rules[0].alerts;
    let of_b = alerts.iter().find(|alert| alert.labels.value("instance") == "b");
    assert!(
        of_b.is_some_and(|alert| alert.restored && alert.state == AlertState::Firing),
        "{alerts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_inherited_alert_of_a_rule_that_is_not_here_ends() {
    let (mut house, theirs) = pair(SLOW, DOWN, 0.0).await;
    house.seconds(30).await;
    theirs.hand_over(&house);
    house.manager.inherit();
    house.manager.inherit();
    house.seconds(30).await;
    assert_eq!(in_short(&house.told()), [(AlertState::Resolved, true)]);
    house.manager.inherit();
    house.seconds(20).await;
    assert_eq!(house.told().len(), 0);
}

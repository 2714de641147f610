//! Reload by difference.

use super::house::House;

fn rules(group: &str, hold: &str, more: &str) -> String {
    format!("groups: [{{name: {group}, rules: [{{alert: Down, expr: up == 0, for: {hold}}}{more}]}}]")
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_group_goes_on_untouched() {
    let mut house = House::new(&rules("g", "1m", ""));
    house.set("up", "a", 0.0);
    house.seconds(30).await;
    let active_at = house.manager.view()[0].rules[0].alerts[0].active_at;
    house.apply(&rules("g", "1m", ""));
    house.seconds(50).await;
    let told = house.told();
    assert_eq!((told.len(), told[0].active_at), (1, active_at));
}

#[tokio::test(start_paused = true)]
async fn a_changed_group_hands_its_state_to_its_successor() {
    let mut house = House::new(&rules("g", "1m", ""));
    house.set("up", "a", 0.0);
    house.seconds(90).await;
    let before = house.told().remove(0);
    house.apply(&rules("g", "1m", ", {alert: More, expr: up > 0}"));
    house.seconds(90).await;
    let told = house.told();
    assert!(!told.is_empty() && told.iter().all(|event| event.starts_at == before.starts_at));
    assert_eq!(house.alerts(), ["down firing"]);
    assert_eq!(house.manager.view()[0].rules.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_moves_to_another_group_takes_its_alerts_along() {
    let mut house = House::new(&rules("g", "1m", ""));
    house.set("up", "a", 0.0);
    house.seconds(90).await;
    house.told();
    house.apply(&rules("h", "1m", ""));
    house.seconds(90).await;
    assert_eq!(house.news(), ["Down firing"]);
    let mut house = house
        .restart(&rules("h", "1m", ""), std::time::Duration::from_secs(5), true)
        .await;
    house.set("up", "a", 0.0);
    house.seconds(90).await;
    assert_eq!(house.news(), ["Down firing"]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_rule_ends_its_alerts_and_its_series() {
    let mut house = House::new(&rules("g", "1m", ", {record: r, expr: up}"));
    house.set("up", "a", 0.0);
    house.seconds(90).await;
    assert_eq!(
        (house.ask("r").await.len(), house.ask("ALERTS").await.len()),
        (1, 1)
    );
    house.told();
    house.apply("groups: []");
    house.seconds(10).await;
    assert_eq!(
        (house.ask("r").await.len(), house.ask("ALERTS").await.len()),
        (0, 0)
    );
    assert_eq!(house.news(), ["Down resolved"]);
    assert_eq!(house.metric("prometheus_rule_group_rules"), 0.0);
    // It returns while its end is still being told: a new alert, which fires after its `for`.
    house.apply(&rules("g", "1m", ""));
    house.seconds(90).await;
    assert_eq!(house.news().last().map(String::as_str), Some("Down firing"));
}

#[tokio::test(start_paused = true)]
async fn a_longer_for_takes_back_what_has_not_held_long_enough() {
    let mut house = House::new(&rules("g", "30s", ""));
    house.set("up", "a", 0.0);
    house.seconds(50).await;
    assert_eq!(house.news(), ["Down firing"]);
    house.apply(&rules("g", "2m", ""));
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["down pending"]);
    assert_eq!(house.news(), ["Down resolved"]);
    house.seconds(90).await;
    assert_eq!(house.alerts(), ["down firing"]);
}

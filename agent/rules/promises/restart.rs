//! `kill -9` at any moment: the alerts go on as if nothing had happened.

use std::time::Duration;

use super::house::{House, sent};

const DOWN: &str = "groups: [{name: g, rules: [{alert: Down, expr: up == 0, for: 2m}]}]";
const NOW: &str = "groups: [{name: g, rules: [{alert: Now, expr: up == 0, keep_firing_for: 2m}]}]";

#[tokio::test(start_paused = true)]
async fn a_restart_in_the_middle_of_for_changes_nothing() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 0.0);
    house.seconds(60).await;
    assert_eq!(house.alerts(), ["down pending"]);
    let active_at = house.manager.view()[0].rules[0].alerts[0].active_at;
    let mut house = house.restart(DOWN, Duration::from_secs(30), true).await;
    house.set("up", "a", 0.0);
    house.seconds(25).await;
    assert_eq!(house.alerts(), ["down pending"]);
    house.seconds(20).await;
    let told = house.told();
    assert_eq!((told.len(), told[0].active_at), (1, active_at));
    assert_eq!(told[0].starts_at.since(active_at), Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn a_restart_while_firing_neither_resolves_nor_fires_anew() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 0.0);
    house.seconds(150).await;
    let before = house.told().remove(0);
    // All samples are lost too: the first answers are empty, and that is no recovery.
    let mut house = house.restart(DOWN, Duration::from_secs(60), false).await;
    house.seconds(60).await;
    assert_eq!(house.alerts(), ["down firing"]);
    assert!(house.manager.view()[0].rules[0].alerts[0].restored);
    house.set("up", "a", 0.0);
    house.seconds(60).await;
    assert!(!house.manager.view()[0].rules[0].alerts[0].restored);
    let told = house.told();
    assert!(
        told.iter()
            .all(|event| event.starts_at == before.starts_at && event.state == before.state)
    );
    house.set("up", "a", 1.0);
    house.seconds(20).await;
    assert_eq!(house.news(), ["Down resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_restored_alert_resolves_once_its_target_was_heard() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 0.0);
    house.seconds(150).await;
    let mut house = house.restart(DOWN, Duration::from_secs(400), true).await;
    // Another target answers; that says nothing about this one.
    house.set("up", "b", 1.0);
    house.seconds(60).await;
    assert_eq!(house.alerts(), ["down firing"]);
    house.set("up", "a", 1.0);
    house.seconds(20).await;
    assert_eq!(house.news(), ["Down firing", "Down resolved"]);
}

#[tokio::test(start_paused = true)]
async fn what_only_takes_away_need_not_be_heard() {
    let rules =
        "groups: [{name: g, rules: [{alert: Down, expr: up == 0 unless on (node) skopos_sender_up == 0}]}]";
    let mut house = House::new(rules);
    house.set("up", "a", 0.0);
    house.seconds(30).await;
    let mut house = house.restart(rules, Duration::from_secs(10), true).await;
    house.set("up", "a", 1.0);
    house.seconds(20).await;
    assert_eq!(house.alerts(), ["down resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_restored_alert_whose_target_never_returns_ends_when_history_would_show_it() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 0.0);
    house.seconds(150).await;
    let mut house = house.restart(DOWN, Duration::from_secs(10), false).await;
    house.seconds(290).await;
    assert_eq!(house.alerts(), ["down firing"]);
    house.seconds(30).await;
    assert_eq!(house.news(), ["Down firing", "Down resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_range_must_be_covered_before_a_restored_alert_ends() {
    let rules = "groups: [{name: g, rules: [{alert: Slow, expr: 'avg_over_time(up[4m]) > 5'}]}]";
    let mut house = House::new(rules);
    house.set("up", "a", 10.0);
    house.seconds(60).await;
    assert_eq!(house.news(), ["Slow firing"]);
    let mut house = house.restart(rules, Duration::from_secs(10), false).await;
    // Heard at once, but the average of the first samples is not the average of four minutes.
    house.set("up", "a", 0.0);
    house.seconds(225).await;
    assert_eq!(house.alerts(), ["slow firing"]);
    house.seconds(40).await;
    assert_eq!(house.alerts(), ["slow resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_while_it_keeps_firing_and_while_its_end_is_told() {
    let mut house = House::new(NOW);
    house.set("up", "a", 0.0);
    house.seconds(20).await;
    house.set("up", "a", 1.0);
    house.seconds(60).await;
    let mut house = house.restart(NOW, Duration::from_secs(5), true).await;
    house.set("up", "a", 1.0);
    house.seconds(40).await;
    assert_eq!(house.alerts(), ["now firing"]);
    house.seconds(40).await;
    assert_eq!(house.news().last().map(String::as_str), Some("Now resolved"));
    let mut house = house.restart(NOW, Duration::from_secs(5), true).await;
    house.set("up", "a", 1.0);
    house.seconds(90).await;
    assert_eq!(house.news(), ["Now resolved"]);
    house.seconds(16 * 60).await;
    assert_eq!(house.alerts(), [] as [&str; 0]);
    let house = house.restart(NOW, Duration::from_secs(5), true).await;
    house.seconds(20).await;
    assert_eq!(house.alerts(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_pending_alert_does_not_survive_a_long_outage_and_a_firing_one_does() {
    let both =
        "groups: [{name: g, rules: [{alert: Down, expr: up == 0, for: 2m}, {alert: Now, expr: up == 0}]}]";
    let mut house = House::new(both);
    house.set("up", "a", 0.0);
    house.seconds(60).await;
    assert_eq!(house.alerts(), ["down pending", "now firing"]);
    house.told();
    let mut house = house.restart(both, Duration::from_secs(2 * 3600), true).await;
    house.set("up", "a", 0.0);
    house.seconds(60).await;
    assert_eq!(house.alerts(), ["down pending", "now firing"]);
    assert_eq!(house.news(), ["Now firing"]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_gone_after_a_restart_ends_its_alerts() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 0.0);
    house.seconds(150).await;
    let mut house = house.restart("groups: []", Duration::from_secs(5), true).await;
    house.seconds(120).await;
    assert_eq!(house.news(), ["Down resolved"]);
    house.seconds(16 * 60).await;
    house.told();
    house.seconds(120).await;
    assert_eq!(house.told().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_no_alert_and_is_made_up_for() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 0.0);
    house.seconds(60).await;
    house.disk.fill(true);
    house.seconds(90).await;
    assert_eq!(house.news(), ["Down firing"]);
    assert!(house.metric("skopos_rules_journal_failures_total") >= 1.0);
    house.disk.fill(false);
    house.seconds(20).await;
    let starts_at = house.manager.view()[0].rules[0].alerts[0].fired_at;
    let house = house.restart(DOWN, Duration::from_secs(5), true).await;
    house.seconds(15).await;
    assert_eq!(house.manager.view()[0].rules[0].alerts[0].fired_at, starts_at);
}

/// One durable append per round and only when something changed: firing alerts once a minute.
#[tokio::test(start_paused = true)]
async fn a_quiet_round_writes_nothing() {
    let mut house = House::new(DOWN);
    house.set("up", "a", 1.0);
    house.seconds(60).await;
    assert_eq!(house.disk.appends(), 0);
    house.set("up", "a", 0.0);
    house.seconds(600).await;
    assert!(
        (9..=14).contains(&house.disk.appends()),
        "{}",
        house.disk.appends()
    );
}

const OUTAGE: &str = "groups: [{name: g, rules: [{record: twice, expr: 2 * load}, {alert: Hot, expr: load > 5, for: 45s}, \
                      {alert: Gone, expr: absent(job_runs)}]}]";

#[tokio::test(start_paused = true)]
async fn slots_of_a_short_outage_are_evaluated_over_what_senders_kept() {
    let mut house = House::new(OUTAGE);
    house.send("w1", "up", "a", 1.0);
    house.send("w1", "load", "a", 1.0);
    house.send("w1", "job_runs", "a", 1.0);
    house.seconds(60).await;
    let died = house.now();
    let mut house = house.restart(OUTAGE, Duration::from_secs(60), true).await;
    for (name, value) in [("up", 1.0), ("load", 9.0), ("job_runs", 1.0)] {
        for second in (5..60).step_by(5) {
            let at = died + Duration::from_secs(second);
            assert!(house.store.push(&sent("w1", name, "a"), at, value));
        }
        house.send("w1", name, "a", value);
    }
    house.seconds(12).await;
    assert_eq!(house.news(), ["Hot firing"]);
    let active_at = house.manager.view()[0].rules[1].alerts[0].active_at;
    assert!(active_at > died && active_at.since(died) <= Duration::from_secs(30));
    let recorded = house.ask("count_over_time(twice[70s])").await;
    assert!(recorded[0].1 >= 6.0, "{recorded:?}");
    assert!(house.metric("skopos_rules_slots_replayed_total") >= 4.0);
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_kept_is_not_made_up() {
    // This process reads them itself, so nobody did while it was away.
    let mut house = House::new(OUTAGE);
    house.set("up", "a", 1.0);
    house.set("load", "a", 9.0);
    house.send("w1", "up", "b", 1.0);
    house.seconds(20).await;
    let died = house.now();
    let mut house = house.restart(OUTAGE, Duration::from_secs(100), true).await;
    house.set("up", "a", 1.0);
    house.set("load", "a", 9.0);
    house.send("w1", "up", "b", 1.0);
    for second in (5..100).step_by(5) {
        let at = died + Duration::from_secs(second);
        assert!(house.store.push(&sent("w1", "up", "b"), at, 1.0));
    }
    house.seconds(12).await;
    assert_eq!(house.metric("skopos_rules_slots_replayed_total"), 0.0);
    assert!(house.ask("count_over_time(twice[70s])").await[0].1 <= 2.0);
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_slow_goes_on_before_it_has_done_all_that_it_missed() {
    let mut house = House::new(OUTAGE);
    house.send("w1", "up", "a", 1.0);
    house.send("w1", "load", "a", 1.0);
    house.seconds(60).await;
    let died = house.now();
    let mut house = house.restart(OUTAGE, Duration::from_secs(120), true).await;
    for name in ["up", "load"] {
        for second in (5..120).step_by(5) {
            let at = died + Duration::from_secs(second);
            assert!(house.store.push(&sent("w1", name, "a"), at, 1.0));
        }
        house.send("w1", name, "a", 1.0);
    }
    // A round takes longer than the time between two.
    house.gate.delay(Duration::from_secs(4));
    house.seconds(240).await;
    let last = house.manager.view()[0].last_evaluation;
    let last = last.map(|last| house.now().since(last));
    assert!(last.is_some_and(|age| age < Duration::from_secs(60)), "{last:?}");
    house.stop().await;
}

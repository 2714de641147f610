//! Why a rule fires or does not, over a few series and a notifier that is made up.

use std::sync::Arc;
use std::time::Duration;

use model::explanation::{Explanation, Span};
use model::view::{Health, Rule, RuleGroup, Telling, Told};
use model::{AlertState, Labels};
use serde_json::Value;

use super::house::{House, LOOPBACK, NOW, groups};
use super::memory::Memory;
use crate::{Alerting, Config, Rooms, Silences};

/// The alert of `groups`, asked every second, with this expression.
fn alerting(expr: &str, keep: &[&str]) -> Vec<RuleGroup> {
    let mut groups = groups();
    groups.truncate(1);
    for group in &mut groups {
        group.interval = Duration::from_secs(1);
        group.rules.retain(|rule| rule.alerting);
        for rule in &mut group.rules {
            rule.expr = expr.to_owned();
            rule.alerts
                .retain(|alert| keep.contains(&alert.labels.value("instance")));
            for alert in &mut rule.alerts {
                alert.fingerprint = alert.labels.fingerprint();
            }
        }
    }
    groups
}

fn house(groups: Vec<RuleGroup>, furnish: impl FnOnce(&mut Rooms)) -> House {
    let up = |instance| [("__name__", "up"), ("job", "shop"), ("instance", instance)];
    let alert = |state| {
        let labels = [
            ("__name__", "ALERTS"),
            ("alertname", "TargetDown"),
            ("severity", "page"),
        ];
        labels
            .into_iter()
            .chain([("alertstate", state), ("instance", "b")])
            .collect::<Vec<_>>()
    };
    let stale = model::STALE;
    let memory = Memory::default()
        .series(&up("a"), NOW, &[1.0; 20])
        .series(&up("b"), NOW, &[0.0; 20])
        .series(&alert("pending"), NOW, &[1.0, 1.0, 1.0, stale])
        .series(&alert("firing"), NOW, &[1.0]);
    House::furnished(&Config::default(), LOOPBACK, Arc::new(memory), |rooms| {
        rooms.rules = Arc::new(move || groups.clone());
        furnish(rooms);
    })
}

async fn id(house: &House) -> String {
    let rules = house.get("/api/v1/rules").await;
    let rules: Value = serde_json::from_str(&rules.body).unwrap();
    let id = &rules["data"]["groups"][0]["rules"][0]["id"];
    id.as_str().unwrap().to_owned()
}

async fn explained(house: &House, query: &str) -> Explanation {
    let path = format!("/api/v1/rules/{}/explain{query}", id(house).await);
    let answer = house.get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut value: Value = serde_json::from_str(&answer.body).unwrap();
    serde_json::from_value(value["data"].take()).unwrap()
}

#[tokio::test]
async fn a_rule_that_is_not_true_says_what_is_there_instead() {
    let one = explained(&house(alerting("up > 1", &[]), |_| {}), "").await;
    assert_eq!(one.state, "inactive");
    assert_eq!(
        one.why,
        [
            "it does not fire: 2 values of up, none above 1; the nearest is 1 for {instance=\"a\", job=\"shop\"}"
        ]
    );
    let unknown = explained(&house(alerting("upp == 0", &[]), |_| {}), "").await;
    assert_eq!(
        unknown.why,
        ["it does not fire: no series match upp: the metric is not known; did you mean up?"]
    );
}

#[tokio::test]
async fn every_evaluation_is_done_again_with_all_its_operators() {
    let one = explained(&house(alerting("up == 0", &["b"]), |_| {}), "?evaluations=3").await;
    let times: Vec<&str> = one.evaluations.iter().map(|one| one.time.as_str()).collect();
    assert_eq!(
        times,
        [
            "2015-07-01T20:10:30.781Z",
            "2015-07-01T20:10:29.781Z",
            "2015-07-01T20:10:28.781Z"
        ]
    );
    for evaluation in &one.evaluations {
        let [compared, selected] = &*evaluation.operators else {
            panic!("{evaluation:?}");
        };
        assert_eq!(
            (compared.text.as_str(), compared.series, compared.of),
            ("== 0", 1, Some(2))
        );
        assert_eq!((selected.text.as_str(), selected.series), ("up", 2));
        assert!(
            selected.is_selector && selected.newest_age == Some(0.0),
            "{selected:?}"
        );
        // The alert's own series stands before others.
        assert_eq!(selected.elements[0].labels.value("instance"), "b");
        assert_eq!(selected.value.as_deref(), Some("0"));
    }
    assert_eq!(one.state, "firing");
    let span = |state: &str, from: &str, until: Option<&str>| Span {
        labels: Labels::from_pairs([
            ("alertname", "TargetDown"),
            ("severity", "page"),
            ("instance", "b"),
        ]),
        state: state.to_owned(),
        from: from.to_owned(),
        until: until.map(str::to_owned),
    };
    assert_eq!(
        one.timeline,
        [
            span(
                "pending",
                "2015-07-01T20:10:27.781Z",
                Some("2015-07-01T20:10:30.781Z")
            ),
            span("firing", "2015-07-01T20:10:30.781Z", None),
        ]
    );
}

fn told(rule: &Rule) -> Told {
    Told {
        time: NOW,
        receiver: "slack".to_owned(),
        group: Labels::empty(),
        message: "new message, 1 alert".to_owned(),
        answer: "200 in 12 ms".to_owned(),
        health: Health::Good,
        took: Duration::from_millis(12),
        alerts: rule.alerts.iter().map(|alert| alert.fingerprint).collect(),
    }
}

#[tokio::test]
async fn where_an_alert_went_is_said() {
    let groups = alerting("up == 0", &["b"]);
    let telling = Telling {
        receivers: vec!["slack".to_owned()],
        told: vec![told(&groups[0].rules[0])],
        ..Telling::default()
    };
    let house = house(groups, |rooms| rooms.telling = Arc::new(move || telling.clone()));
    let one = explained(&house, "").await;
    assert_eq!(one.why[0], "1 alert is firing");
    assert!(
        one.why[1]
            .ends_with("told to slack at 2015-07-01T20:10:30.781Z: new message, 1 alert (200 in 12 ms)"),
        "{:?}",
        one.why
    );
    assert_eq!(one.told.len(), 1);
}

#[tokio::test]
async fn what_keeps_an_alert_quiet_is_named() {
    let groups = alerting("up == 0", &["b"]);
    let fingerprint = format!("{:016x}", groups[0].rules[0].alerts[0].fingerprint);
    let shown = |silenced: &str, inhibited: &str| {
        format!(
            r#"[{{"fingerprint":"{fingerprint}","labels":{{"alertname":"TargetDown"}},"receivers":[{{"name":"slack"}}],
            "status":{{"state":"suppressed","mutedBy":[],"silencedBy":[{silenced}],"inhibitedBy":[{inhibited}]}}}},
            {{"fingerprint":"ff","labels":{{"alertname":"NodeDown"}},"receivers":[],
            "status":{{"state":"active","mutedBy":[],"silencedBy":[],"inhibitedBy":[]}}}}]"#
        )
    };
    let asked = async |shown: String| {
        let house = house(groups.clone(), |rooms| {
            rooms.alerting = Some(Alerting {
                list: Arc::new(move |_, _| Box::pin(std::future::ready(Ok(shown.clone())))),
                original: Arc::new(String::new),
                post: Arc::new(|_| Box::pin(std::future::ready(Ok(())))),
            });
            let silence =
                r#"{"id":"5","comment":"moving","createdBy":"ann","endsAt":"2015-07-01T21:00:00Z"}"#;
            rooms.silences = Some(Silences {
                list: Arc::new(|_| Ok("[]".to_owned())),
                get: Arc::new(move |_| Some(silence.to_owned())),
                put: Arc::new(|_| Box::pin(std::future::ready(Ok(String::new())))),
                delete: Arc::new(|_| Box::pin(std::future::ready(Ok(())))),
                read: Arc::new(|_| Ok(Vec::new())),
                covering: Arc::new(|_| Err("nobody asks here".to_owned())),
            });
        });
        explained(&house, "").await.why[1].clone()
    };
    let silenced = asked(shown("\"5\"", "")).await;
    assert!(
        silenced.ends_with("silenced by 5 until 2015-07-01T21:00:00Z (ann, moving)"),
        "{silenced}"
    );
    let inhibited = asked(shown("", "\"ff\"")).await;
    assert!(
        inhibited.ends_with("inhibited by {alertname=\"NodeDown\"}"),
        "{inhibited}"
    );
}

#[tokio::test]
async fn a_pending_alert_says_when_it_fires() {
    let one = explained(&house(alerting("up == 0", &["a"]), |_| {}), "").await;
    assert_eq!(one.state, "pending");
    assert_eq!(
        one.why,
        [
            "1 alert is pending",
            "{instance=\"a\"} pending since 2015-07-01T20:10:30.781Z, fires at 2015-07-01T20:15:30.781Z if it lasts \
             (for: 5m)"
        ]
    );
}

#[tokio::test]
async fn one_instance_may_be_asked_for() {
    let one = explained(&house(alerting("up == 0", &["b"]), |_| {}), "?label=instance=a").await;
    assert_eq!(
        one.why,
        [
            "it does not fire for {instance=\"a\"}: up is 1 for {instance=\"a\", job=\"shop\"}, and not equal to 0"
        ]
    );
    assert!(one.alerts.is_empty() && one.timeline.is_empty());
}

#[tokio::test]
async fn a_rule_that_fails_or_was_not_evaluated_says_so() {
    let mut groups = alerting("up == 0", &[]);
    groups[0].rules[0].last_error = "many-to-many".to_owned();
    let failed = explained(&house(groups.clone(), |_| {}), "").await;
    assert_eq!(failed.why, ["the rule failed: many-to-many"]);
    let rule = &mut groups[0].rules[0];
    (rule.last_error, rule.health, rule.last_evaluation) = (String::new(), "unknown", None);
    rule.expr = "up > 1".to_owned();
    let fresh = explained(&house(groups, |_| {}), "").await;
    assert!(
        fresh.why[0].starts_with("the rule has not been evaluated yet; it would give nothing now: 2 values")
    );
    assert_eq!(fresh.evaluations.len(), 1);
}

#[tokio::test]
async fn wrong_questions_are_answered_with_what_is_wrong() {
    let house = house(alerting("up == 0", &[]), |_| {});
    let id = id(&house).await;
    for (path, status, says) in [
        ("/api/v1/rules/ff/explain".to_owned(), 404, "no rule has the id"),
        (
            format!("/api/v1/rules/{id}/explain?evaluations=51"),
            400,
            "from 1 to 50",
        ),
        (
            format!("/api/v1/rules/{id}/explain?label=x"),
            400,
            "no name=value",
        ),
        (format!("/api/v1/rules/{id}/explain?since=x"), 400, "since"),
    ] {
        let answer = house.get(&path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn an_id_is_of_one_rule_and_stays() {
    let all = groups();
    let ids = |groups: &[RuleGroup]| -> Vec<String> {
        let rules = groups
            .iter()
            .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
        rules
            .map(|(group, rule)| crate::api::rule_id(group, rule))
            .collect()
    };
    let mut changed = all.clone();
    for rule in changed.iter_mut().flat_map(|group| &mut group.rules) {
        rule.alerts.retain(|alert| alert.state == AlertState::Firing);
        rule.last_evaluation = None;
    }
    assert_eq!(ids(&all), ids(&changed));
    changed[0].rules[1].expr.push_str(" or up == 2");
    assert_ne!(ids(&all)[1], ids(&changed)[1]);
    let different: std::collections::BTreeSet<String> = ids(&all).into_iter().collect();
    assert_eq!(different.len(), 3);
}

//! What messages look like, as files that other checkers read too: `tests/golden/*.json`.
//!
//! `UPDATE_GOLDEN=1` rewrites them.

use std::path::PathBuf;
use std::sync::Arc;

use model::{Labels, Timestamp};
use serde_json::Value;

use super::world::{START, firing, resolved, secs};
use crate::alert::Alert;
use crate::config::Config;
use crate::delivered::{Delivered, Reason};
use crate::group::Group;
use crate::look::pagerduty::Filled;
use crate::message::Message;
use crate::plan::Plan;
use crate::{changes, pagerduty, slack, webhook};

const NOW: Timestamp = Timestamp(START.0 + 14 * 60_000);

/// A group with these alerts, seen by somebody who knows of `known`.
pub(super) fn message(reason: Reason, alerts: Vec<Alert>, known: &[u64]) -> Message {
    let labels = Labels::from_pairs([("alertname", alerts[0].name())]);
    let plan = Plan::of(&Config::default());
    let routes = plan.tree.routes_of(&labels);
    let mut group = Group::new(labels.clone(), 0, NOW, routes[0]);
    for alert in alerts {
        group.put(alert);
    }
    let delivered = Delivered {
        firing: known.iter().copied().collect(),
        ..Delivered::default()
    };
    let key = format!("{{}}:{labels}").into();
    let page: Arc<str> = "http://skopos.example:9464".into();
    Message::new(reason, &key, &group, &delivered, (false, NOW), &page)
}

pub(super) fn alert(nth: usize) -> Alert {
    let labels = Labels::from_pairs([
        ("alertname", "DiskFilling"),
        ("severity", "warning"),
        ("instance", "web-1:9464"),
        ("job", "node"),
        ("mountpoint", &format!("/data/{nth}")),
    ]);
    let summary = format!("/data/{nth} will be full in 2 h");
    let description = "93 % used; it grows by 1.5 GiB an hour & doesn't <stop>.";
    let pairs = [
        ("summary", summary.as_str()),
        ("description", description),
        ("runbook_url", "https://runbooks.example/disk#filling"),
    ];
    Alert {
        fingerprint: labels.fingerprint(),
        annotations: Labels::from_pairs(pairs),
        labels,
        ..Alert::new(firing("DiskFilling", "x", START), START)
    }
}

fn over(alert: &Alert) -> Alert {
    Alert {
        resolved_at: Some(NOW),
        ..alert.clone()
    }
}

fn unknown(alert: Alert) -> Alert {
    Alert {
        heard_until: START,
        ..alert
    }
}

/// Every kind of card, by name.
fn kinds() -> Vec<(&'static str, Message)> {
    let known = |alerts: &[Alert]| alerts.iter().map(|alert| alert.fingerprint).collect::<Vec<_>>();
    let alerts: Vec<Alert> = (0..57)
        .map(alert)
        .map(|alert| Alert {
            heard_until: NOW,
            ..alert
        })
        .collect();
    let mut changed = alerts[..8].to_vec();
    changed[7] = over(&changed[7]);
    let critical = Alert {
        labels: Labels::from_pairs([("alertname", "Down"), ("severity", "critical")]),
        annotations: Labels::empty(),
        generator_url: String::new(),
        ..alerts[0].clone()
    };
    let linked = Alert {
        annotations: Labels::from_pairs([
            ("runbook", "https://runbooks.example/disk"),
            ("dashboard", "https://grafana.example/d/disk?var-mount=/data"),
        ]),
        ..alerts[0].clone()
    };
    let mut repeat = message(Reason::New, changed.clone(), &known(&changed[2..]));
    repeat.may_repeat = true;
    let page = Arc::from("http://skopos.example:9464");
    vec![
        ("firing_one", message(Reason::First, alerts[..1].to_vec(), &[])),
        ("firing_many", message(Reason::First, alerts.clone(), &[])),
        (
            "changed",
            message(Reason::New, changed.clone(), &known(&changed[2..])),
        ),
        ("may_repeat", repeat),
        (
            "resolved_one",
            message(Reason::AllResolved, vec![over(&alerts[0])], &known(&alerts[..1])),
        ),
        (
            "resolved_many",
            message(
                Reason::AllResolved,
                alerts[..3].iter().map(over).collect(),
                &known(&alerts[..3]),
            ),
        ),
        (
            "told_again",
            message(
                Reason::Repeat,
                vec![unknown(alerts[0].clone())],
                &known(&alerts[..1]),
            ),
        ),
        ("bare", message(Reason::First, vec![critical], &[])),
        ("linked", message(Reason::First, vec![linked], &[])),
        ("test", Message::test(NOW, &page)),
        (
            "evidence",
            with_evidence(message(Reason::First, alerts[..2].to_vec(), &[])),
        ),
    ]
}

/// With what others know about its first alert.
fn with_evidence(mut message: Message) -> Message {
    let line = |nth: u64, level, text: &str| model::LogRecord {
        time: START + secs(nth),
        level,
        source: "shop/cart-1/app".into(),
        stream: "stderr".into(),
        text: text.to_owned(),
        file: "/var/log/pods/shop_cart-1_0/app/0.log".into(),
        offset_bytes: 0,
    };
    let found = model::Findings {
        lines: vec![
            line(1, model::Level::Info, "GET /cart?a=1&b=2 200"),
            line(2, model::Level::Error, "disk <sda> is `full`"),
        ],
        trend: Some(model::Trend {
            span: secs(3_600),
            values: (0..30_u32)
                .map(|nth| (nth != 7).then(|| f64::from(nth * nth) / 900.0))
                .collect(),
        }),
        events: vec![line(
            2,
            model::Level::Warn,
            "BackOff: Back-off restarting failed <container>",
        )],
        changes: Vec::new(),
        is_partial: false,
        silent: Vec::new(),
    };
    let inquiry = model::Inquiry {
        labels: message.alerts[0].labels.clone(),
        now: NOW,
        lines_max: 4,
        events_max: 3,
        changes_max: 4,
        trend: true,
        deadline: secs(2),
    };
    let shown = crate::evidence::Shown::new(message.alerts[0].fingerprint, found, &inquiry);
    message.evidence = Some(Arc::new(shown));
    message
}

pub(super) fn golden(name: &str, body: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    let value: Value = serde_json::from_slice(body).unwrap();
    let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, text, "{name}; UPDATE_GOLDEN=1 rewrites it");
}

#[test]
fn slack_cards_are_as_kept() {
    for (name, message) in kinds() {
        let card = slack::payload(&message);
        let card = match name {
            "bare" => slack::with(card, "channel", "#ops"),
            _ => card,
        };
        golden(&format!("slack_{name}.json"), card.to_string().as_bytes());
    }
}

#[test]
fn slack_replies_are_as_kept() {
    for (name, message) in kinds() {
        let reply = slack::reply(&message).to_string();
        golden(&format!("slack_reply_{name}.json"), reply.as_bytes());
    }
}

#[test]
fn an_apps_card_has_no_lines_and_its_thread_has_them() {
    let (_, message) = kinds().pop().unwrap();
    let card = slack::payload_without_lines(&message).to_string();
    assert!(
        card.contains("Value, last 1h") && !card.contains("is full") && !card.contains("```"),
        "{card}"
    );
    let reply = slack::lines_reply(&message).unwrap().to_string();
    golden("slack_lines_evidence.json", reply.as_bytes());
}

#[test]
fn pagerduty_events_are_as_kept_and_taken() {
    for (name, message) in kinds() {
        let body = pagerduty::payload(
            &message,
            super::fake::pagerduty::ROUTING_KEY,
            "severity",
            Filled::default(),
        );
        super::fake::pagerduty::judge(&body).unwrap();
        golden(&format!("pagerduty_{name}.json"), &body);
    }
}

#[test]
fn change_events_are_as_kept_and_taken() {
    let wanted = ["firing_one", "firing_many", "may_repeat"];
    for (name, message) in kinds().into_iter().filter(|(name, _)| wanted.contains(name)) {
        let body = changes::payload(&message, super::fake::pagerduty::ROUTING_KEY);
        super::fake::pagerduty::judge_change(&body).unwrap();
        golden(&format!("pagerduty_change_{name}.json"), &body);
    }
}

#[test]
fn the_key_of_an_incident_is_the_groups_for_ever() {
    // Another key would leave the incidents open that an older Skopos has opened.
    assert_eq!(
        pagerduty::dedup_key(r#"{}:{alertname="Down"}"#),
        "skopos-2c104061718b57eef45a4752335d8cd6"
    );
}

#[test]
fn webhook_bodies_are_as_kept() {
    for (name, message) in kinds() {
        let max_alerts = if name == "firing_many" { 3 } else { 0 };
        golden(
            &format!("webhook_{name}.json"),
            &webhook::payload(&message, "webhook", max_alerts),
        );
    }
}

#[test]
fn a_webhook_body_has_alertmanagers_fields_in_its_order() {
    let down = Alert::new(firing("Down", "a", START), START);
    let ended = Alert::new(resolved("Down", "b", START, START + secs(90)), START);
    let known = [ended.fingerprint];
    let body = webhook::payload(&message(Reason::New, vec![down.clone(), ended], &known), "ops", 0);
    let body = String::from_utf8(body).unwrap();
    let expected = format!(
        concat!(
            r#"{{"receiver":"ops","status":"firing","alerts":["#,
            r#"{{"status":"firing","labels":{{"alertname":"Down","job":"shop","n":"a","severity":"critical"}},"#,
            r#""annotations":{{"summary":"Down on a"}},"startsAt":"2026-11-26T02:51:01Z","#,
            r#""endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://skopos/explore?expr=up","#,
            r#""fingerprint":"{:016x}"}},"#,
            r#"{{"status":"resolved","labels":{{"alertname":"Down","job":"shop","n":"b","severity":"critical"}},"#,
            r#""annotations":{{"summary":"Down on b"}},"startsAt":"2026-11-26T02:51:01Z","#,
            r#""endsAt":"2026-11-26T02:52:31Z","generatorURL":"http://skopos/explore?expr=up","#,
            r#""fingerprint":"{:016x}"}}],"#,
            r#""notification_reason":"new alerts added","groupLabels":{{"alertname":"Down"}},"#,
            r#""commonLabels":{{"alertname":"Down","job":"shop","severity":"critical"}},"commonAnnotations":{{}},"#,
            r#""routeLabels":{{}},"externalURL":"http://skopos.example:9464","version":"4","#,
            r#""groupKey":"{{}}:{{alertname=\"Down\"}}","truncatedAlerts":0}}"#,
        ),
        down.fingerprint, known[0]
    );
    assert_eq!(body, expected);
}

#[test]
fn the_difference_says_what_changed() {
    let said: Vec<(&str, String)> = kinds()
        .into_iter()
        .map(|(name, message)| (name, message.difference()))
        .collect();
    assert!(
        said.contains(&("changed", "+2 new, 1 resolved, 5 unchanged".to_owned())),
        "{said:?}"
    );
    assert!(
        said.contains(&("resolved_many", "3 resolved".to_owned())),
        "{said:?}"
    );
}

/// The address under a word, if there is one.
fn link(message: &Message, word: &str) -> Option<String> {
    let links = message.links().into_iter();
    links
        .filter(|(_, words)| *words == word)
        .map(|(url, _)| url)
        .next()
}

#[test]
fn the_silence_of_a_group_is_one_click_away_while_it_fires() {
    let mut firing = message(Reason::First, vec![alert(0), alert(1)], &[]);
    assert_eq!(
        link(&firing, "Silence").unwrap(),
        "http://skopos.example:9464/silences?filter=%7Balertname%3D%22DiskFilling%22%7D"
    );
    firing.group_labels = Labels::from_pairs([("a", "x\"y\\&=+#%"), ("b", "ü }")]);
    assert_eq!(
        link(&firing, "Silence").unwrap(),
        "http://skopos.example:9464/silences?filter=\
         %7Ba%3D%22x%5C%22y%5C%5C%26%3D%2B%23%25%22,%20b%3D%22%C3%BC%20%7D%22%7D"
    );
    // By no label: what the alerts have in common, and where that is nothing no silence of everything.
    firing.group_labels = Labels::empty();
    let common = link(&firing, "Silence").unwrap();
    assert!(
        common.contains("instance%3D%22web-1") && !common.contains("mountpoint"),
        "{common}"
    );
    firing.alerts[0].labels = Labels::from_pairs([("alertname", "Other")]);
    assert_eq!(link(&firing, "Silence"), None);
    let known = [alert(0).fingerprint];
    let ended = message(Reason::AllResolved, vec![over(&alert(0))], &known);
    assert_eq!(link(&ended, "Silence"), None);
    let mut homeless = message(Reason::First, vec![alert(0)], &[]);
    homeless.external_url = "".into();
    assert_eq!(link(&homeless, "Silence"), None);
    assert_eq!(link(&homeless, "Explain"), None);
}

#[test]
fn one_alert_is_explained_and_several_are_listed() {
    let one = message(Reason::First, vec![alert(0)], &[]);
    let explain = format!(
        "http://skopos.example:9464/alerts/DiskFilling/{:016x}",
        alert(0).fingerprint
    );
    assert_eq!(link(&one, "Explain"), Some(explain));
    assert_eq!(link(&one, "Open"), None);
    let several = message(Reason::First, vec![alert(0), alert(1)], &[]);
    assert_eq!(
        link(&several, "Open").unwrap(),
        "http://skopos.example:9464/alerts"
    );
}

#[test]
fn a_dashboard_or_runbook_that_is_only_a_name_is_no_link() {
    let named = |pairs: &[(&str, &str)]| Alert {
        annotations: Labels::from_pairs(pairs.iter().copied()),
        ..alert(0)
    };
    let of =
        |pairs: &[(&str, &str)], word: &str| link(&message(Reason::First, vec![named(pairs)], &[]), word);
    assert_eq!(
        of(&[("dashboard", "Disks"), ("runbook", "ask Ann")], "Dashboard"),
        None
    );
    assert_eq!(of(&[("runbook", "ask Ann")], "Runbook"), None);
    let both = [("dashboard", "https://g/1"), ("dashboard_url", "https://g/2")];
    assert_eq!(of(&both, "Dashboard").unwrap(), "https://g/2");
    let name_and_address = [("dashboard", " https://g/1 "), ("dashboard_url", "Disks")];
    assert_eq!(of(&name_and_address, "Dashboard").unwrap(), "https://g/1");
}

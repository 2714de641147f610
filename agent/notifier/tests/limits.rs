//! Nothing is unbounded: sizes of messages, numbers of alerts and groups.

use fastrand::Rng;
use model::{Clock, Labels};
use serde_json::Value;

use super::cards;
use super::world::{BOTH, HOOK, Manner, START, World, firing, minutes, rounds, secs};
use crate::alert::Alert;
use crate::core::GROUPS_MAX;
use crate::delivered::Reason;
use crate::look::pagerduty::Filled;
use crate::pagerduty;
use crate::slack;
use crate::slack::limits::{ALERTS, FIELD, FIELDS, HEADER, SECTION, TOTAL};

/// Length as the strictest reader counts it.
fn length(value: &Value) -> usize {
    value.as_str().unwrap_or_default().encode_utf16().count()
}

/// Checks a payload against every limit that Slack has published or shown.
pub(super) fn check(payload: &[u8]) -> Value {
    let payload: Value = serde_json::from_slice(payload).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let attachments = list(&payload["attachments"]);
    let inner: Vec<Value> = attachments
        .iter()
        .flat_map(|attachment| list(&attachment["blocks"]))
        .collect();
    let blocks: Vec<Value> = list(&payload["blocks"]).into_iter().chain(inner).collect();
    assert!(blocks.len() <= 50, "{} blocks", blocks.len());
    let total: usize = blocks
        .iter()
        .map(|block| block.to_string().encode_utf16().count())
        .sum();
    assert!(total <= TOTAL + HEADER * 2, "{total} characters");
    let full = |text: &Value, most: usize| {
        assert!((1..=most).contains(&length(&text["text"])), "1 to {most}: {text}");
    };
    for block in &blocks {
        match block["type"].as_str().unwrap() {
            "header" => full(&block["text"], HEADER),
            "section" => {
                let fields = list(&block["fields"]);
                assert!(fields.len() <= FIELDS);
                fields.iter().for_each(|field| full(field, FIELD));
                assert!(block["text"].is_object() || !fields.is_empty(), "{block}");
                if block["text"].is_object() {
                    full(&block["text"], SECTION);
                }
            }
            "context" => {
                let elements = list(&block["elements"]);
                assert!((1..=10).contains(&elements.len()));
                elements.iter().for_each(|element| full(element, SECTION));
            }
            other => panic!("unexpected block {other}"),
        }
    }
    let alerts = blocks
        .iter()
        .filter(|block| block["type"] == "section" && block["text"].is_object());
    assert!(alerts.count() <= ALERTS);
    assert!(length(&payload["text"]) > 0);
    payload
}

/// Text that provokes: long, escaped, wide, empty, many lines.
pub(super) fn nasty(random: &mut Rng, most: usize) -> String {
    let letters = [
        'a', '&', '<', '>', '|', '*', '\n', ' ', 'é', '😀', '"', '\\', '\u{0}', '`',
    ];
    let one = random.bool();
    let letter = letters[random.usize(..letters.len())];
    let length = random.usize(..=most);
    (0..length)
        .map(|_| {
            if one {
                letter
            } else {
                letters[random.usize(..letters.len())]
            }
        })
        .collect()
}

#[test]
fn no_alert_whatever_it_contains_passes_the_limits_of_slack_and_pagerduty() {
    for seed in 0..rounds(15) {
        let mut random = Rng::with_seed(seed);
        let count = [1, 2, 7, 60][random.usize(..4)];
        let size = [10, 200, 5_000][random.usize(..3)];
        let alerts = (0..count).map(|nth| {
            let labels = [
                "alertname",
                "severity",
                "instance",
                "b",
                "c",
                "d",
                "e",
                "f",
                "g",
                "h",
            ];
            let pairs = labels.iter().map(|name| (*name, nasty(&mut random, size)));
            let mut labels = Labels::from_pairs(pairs).to_builder();
            labels.set("nth", &format!("{nth}"));
            let annotations = ["summary", "description", "runbook_url", "dashboard_url"];
            let annotations = annotations
                .iter()
                .map(|name| (*name, nasty(&mut random, size * 2)));
            let annotations = Labels::from_pairs(annotations);
            let runbook = format!("https://x/{}", nasty(&mut random, 2_000));
            let mut annotations = annotations.to_builder();
            annotations.set("runbook_url", &runbook);
            let labels = labels.build();
            Alert {
                fingerprint: labels.fingerprint(),
                labels,
                annotations: annotations.build(),
                generator_url: format!("https://x/{}", "&".repeat(random.usize(..1_500))),
                ..cards::alert(nth)
            }
        });
        let message = cards::message(Reason::First, alerts.collect(), &[]);
        check(
            slack::with(slack::payload(&message), "channel", "#x")
                .to_string()
                .as_bytes(),
        );
        let event = pagerduty::payload(
            &message,
            super::fake::pagerduty::ROUTING_KEY,
            "severity",
            Filled::default(),
        );
        super::fake::pagerduty::judge(&event).unwrap();
    }
}

#[test]
fn an_event_far_too_long_is_cut_to_what_pagerduty_takes() {
    let alerts = (0..3_000).map(|nth| {
        let nasty = "\u{1}".repeat(300);
        Alert {
            annotations: Labels::from_pairs([("summary", nasty.as_str())]),
            ..cards::alert(nth)
        }
    });
    let message = cards::message(Reason::First, alerts.collect(), &[]);
    let event = pagerduty::payload(
        &message,
        super::fake::pagerduty::ROUTING_KEY,
        "severity",
        Filled::default(),
    );
    let event = super::fake::pagerduty::judge(&event).unwrap();
    let details = &event["payload"]["custom_details"];
    let shown = details["firing"].as_array().unwrap().len() as u64;
    assert!(shown > 100, "{shown}");
    assert_eq!(shown + details["left_out"].as_u64().unwrap(), 3_000);
}

#[test]
fn alerts_that_do_not_fit_are_counted() {
    let alerts = (0..57).map(cards::alert).collect();
    let payload = check(
        slack::payload(&cards::message(Reason::First, alerts, &[]))
            .to_string()
            .as_bytes(),
    );
    assert!(payload.to_string().contains("+37 more"), "{payload}");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_alerts_in_one_group_are_one_bounded_message() {
    let world = World::new(&format!("{BOTH}\nrepeat_interval: 6h"));
    let started = std::time::Instant::now();
    for nth in 0..10_000 {
        world
            .events
            .send(firing("Down", &nth.to_string(), START))
            .await
            .unwrap();
    }
    world.wait(minutes(1)).await;
    let card = world.slack().pop().unwrap().body;
    check(card.to_string().as_bytes());
    assert!(card.to_string().contains("+9980 more"));
    let body = world.hook().pop().unwrap().body;
    let shown = body["alerts"].as_array().unwrap().len();
    assert_eq!(shown as u64 + body["truncatedAlerts"].as_u64().unwrap(), 10_000);
    assert!(body.to_string().len() <= 8 * 1024 * 1024);
    let world = world.crash().await;
    for nth in 0..10_000 {
        let since = world.clock.now();
        world
            .events
            .send(super::world::resolved("Down", &nth.to_string(), START, since))
            .await
            .unwrap();
    }
    world.wait(minutes(1)).await;
    assert_eq!((world.slack().len(), world.hook().len()), (2, 2));
    assert_eq!(world.metric("alertmanager_alerts{state=\"active\"}"), 0.0);
    world.balances();
    println!(
        "10,000 alerts told, restored and resolved in {:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn too_many_groups_cost_the_oldest_that_is_over() {
    let world = World::new(HOOK);
    world.fires("Over", "a").await;
    world.wait(secs(31)).await;
    world.receivers.behave("http://hook/", Manner::Refuses);
    world.resolves("Over", "a", START).await;
    for nth in 0..GROUPS_MAX {
        world.fires(&format!("Alert{nth}"), "a").await;
    }
    world.wait(secs(40)).await;
    assert_eq!(
        world.metric("alertmanager_dispatcher_aggregation_groups"),
        GROUPS_MAX as f64
    );
    world.fires("TooMuch", "a").await;
    world.wait(minutes(1)).await;
    assert_eq!(
        world.metric("skopos_notifier_events_total{outcome=\"full\"}"),
        1.0
    );
    world.receivers.behave("http://hook/", Manner::Takes);
    world.wait(minutes(20)).await;
    // All were told; the end that made room was not.
    assert_eq!(world.hook().len(), 1 + GROUPS_MAX);
    world.balances();
}

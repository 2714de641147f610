//! A Slack app: one card for each group, edited in place, and what happens as replies to it. PagerDuty: an incident for
//! each alert.

use model::{Clock, Labels};
use serde_json::Value;

use super::fake::pagerduty as fake;
use super::world::{Attempt, Manner, World, minutes, secs};

const APP: &str = "slack: { bot_token: xoxb-1, channel: '#ops', api_url: 'http://slack/api/chat.postMessage' }\n\
                   resolve_wait: 0s";
const POST: &str = "http://slack/api/chat.postMessage";
const EDIT: &str = "http://slack/api/chat.update";

/// What arrived: the method, and what of the body tells the cards and replies apart.
fn said(attempt: &Attempt) -> String {
    let method = attempt.url.rsplit('.').next().unwrap();
    let word = |key: &str| match &attempt.body[key] {
        Value::String(text) => format!(" {key}={text}"),
        Value::Bool(truth) => format!(" {key}={truth}"),
        _ => String::new(),
    };
    let keys = ["channel", "ts", "thread_ts", "reply_broadcast"]
        .map(word)
        .concat();
    let text = attempt.body["text"].as_str().unwrap_or_default();
    format!("{method}{keys}: {text}")
}

fn all(world: &World) -> Vec<String> {
    let attempts = world.receivers.attempts();
    attempts
        .iter()
        .filter(|attempt| attempt.arrived)
        .map(said)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_group_has_one_card_and_what_happens_is_a_reply() {
    let world = World::new(APP);
    let began = world.clock.now();
    world.fires("Down", "a").await;
    world.wait(secs(31)).await;
    world.fires("Down", "b").await;
    world.wait(minutes(6)).await;
    world.resolves("Down", "a", began).await;
    world.wait(secs(1)).await;
    world.resolves("Down", "b", began + secs(31)).await;
    world.wait(secs(5)).await;
    assert_eq!(
        all(&world),
        [
            "postMessage channel=#ops: ▲ Firing: Down (critical). Down on a",
            "update channel=C042 ts=1: ▲ Firing: Down (critical), 2 alerts",
            "postMessage channel=C042 thread_ts=1: *+1 new, 1 unchanged*\n▲ Down on b",
            "update channel=C042 ts=1: ▲ Firing: Down (critical), 2 alerts",
            "postMessage channel=C042 thread_ts=1: *1 resolved, 1 unchanged*\n● Down on a (resolved after 6 min 31 s)",
            "update channel=C042 ts=1: ● Resolved after 6 min 1 s: Down (critical). Down on b",
            "postMessage channel=C042 thread_ts=1: *Resolved* after 6 min 1 s",
        ]
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_repeats_or_grows_worse_is_seen_in_the_channel_too() {
    let world = World::new(&format!("{APP}\nrepeat_interval: 1h"));
    let mut event = super::world::firing("Down", "a", world.clock.now());
    event.labels = Labels::from_pairs([
        ("alertname", "Down"),
        ("n", "a"),
        ("severity", "warning"),
        ("job", "shop"),
    ]);
    event.fingerprint = event.labels.fingerprint();
    world.says(event).await;
    world.wait(secs(31)).await;
    world.fires("Down", "b").await;
    world.wait(minutes(6)).await;
    world.wait(minutes(61)).await;
    let said = all(&world);
    assert!(
        said[2].starts_with("postMessage channel=C042 thread_ts=1 reply_broadcast=true: *+1 new"),
        "{said:?}"
    );
    assert!(
        said[4]
            .starts_with("postMessage channel=C042 thread_ts=1 reply_broadcast=true: *Still firing* for 1 h"),
        "{said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_card_that_is_gone_is_written_anew() {
    let world = World::new(APP);
    let began = world.clock.now();
    world.fires("Down", "a").await;
    world.wait(secs(31)).await;
    world.receivers.behave(EDIT, Manner::Objects("message_not_found"));
    world.fires("Down", "b").await;
    world.wait(minutes(6)).await;
    world.receivers.behave(EDIT, Manner::Takes);
    world.resolves("Down", "a", began).await;
    world.wait(secs(5)).await;
    let said = all(&world);
    assert!(
        said[1].starts_with("postMessage channel=#ops: ▲ Firing: Down (critical), 2 alerts"),
        "{said:?}"
    );
    // The attempt at the old card was the second of all.
    assert!(said[2].starts_with("update channel=C042 ts=3:"), "{said:?}");
    assert!(said[3].contains("thread_ts=3: *1 resolved"), "{said:?}");
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn a_card_is_known_after_a_restart_and_a_crash() {
    let mut world = World::new(APP);
    let began = world.clock.now();
    world.fires("Down", "a").await;
    world.wait(secs(31)).await;
    world = world.restart().await;
    world.fires("Down", "b").await;
    world.wait(minutes(6)).await;
    world = world.crash().await;
    world.resolves("Down", "a", began).await;
    world.resolves("Down", "b", began + secs(31)).await;
    world.wait(minutes(1)).await;
    let said = all(&world);
    assert_eq!(said.len(), 7, "{said:?}");
    assert!(
        said[5].starts_with("update channel=C042 ts=1: ● Resolved"),
        "{said:?}"
    );
    let cards = said.iter().filter(|line| line.contains("channel=#ops"));
    assert_eq!(cards.count(), 1, "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn what_slack_cannot_do_now_is_done_later_and_what_it_never_does_is_said() {
    for (word, is_later) in [
        ("ratelimited", true),
        ("internal_error", true),
        ("service_unavailable", true),
        ("channel_not_found", false),
        ("not_in_channel", false),
        ("invalid_auth", false),
        ("token_revoked", false),
        ("is_archived", false),
        ("msg_too_long", false),
        ("invalid_blocks", false),
    ] {
        let world = World::new(APP);
        world.receivers.behave(POST, Manner::Objects(word));
        world.fires("Down", "a").await;
        world.wait(secs(31)).await;
        let failing = &world.handle.view().failing;
        assert!(failing[0].1.contains(word), "{failing:?}");
        world.receivers.behave(POST, Manner::Takes);
        world.wait(minutes(5)).await;
        assert_eq!(all(&world).len(), usize::from(is_later), "{word}");
        world.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_was_made_is_made_again_when_its_reply_was_not_taken() {
    let world = World::new(APP);
    world.fires("Down", "a").await;
    world.wait(secs(31)).await;
    world.receivers.behave(POST, Manner::Throttles(7));
    world.fires("Down", "b").await;
    // The next tick of the group is five minutes after the first message.
    world.wait(minutes(5)).await;
    world.receivers.behave(POST, Manner::Takes);
    world.wait(minutes(1)).await;
    let said = all(&world);
    let methods: Vec<&str> = said.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(methods, ["postMessage", "update", "update", "postMessage"]);
    assert!(said[3].contains("*+1 new, 1 unchanged*"), "{said:?}");
    assert!(!said[3].contains("repeat"), "{said:?}");
    world.balances();
}

const BY_ALERT: &str = "pagerduty: { routing_key: 0123456789abcdef0123456789abcdef, url: 'http://pager/', dedup: alert }\n\
                        resolve_wait: 0s";
const PAGER: &str = "http://pager/";

/// Which incident was opened or closed.
fn events(world: &World) -> Vec<(String, String)> {
    let got = world.receivers.got(PAGER);
    let event = |attempt: &Attempt| {
        fake::judge(attempt.body.to_string().as_bytes()).unwrap();
        let word = |key: &str| attempt.body[key].as_str().unwrap().to_owned();
        (word("event_action"), word("dedup_key"))
    };
    got.iter().map(event).collect()
}

#[tokio::test(start_paused = true)]
async fn each_alert_may_be_an_incident_of_its_own() {
    let world = World::new(BY_ALERT);
    let began = world.clock.now();
    for n in ["a", "b"] {
        world.fires("Down", n).await;
    }
    world.wait(secs(31)).await;
    world.fires("Down", "c").await;
    world.wait(minutes(6)).await;
    world.resolves("Down", "b", began).await;
    world.wait(secs(5)).await;
    let events = events(&world);
    let actions: Vec<&str> = events.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["trigger", "trigger", "trigger", "resolve"]);
    let keys: std::collections::BTreeSet<&String> = events.iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), 3, "{events:?}");
    let summaries: Vec<Value> = world
        .receivers
        .got(PAGER)
        .iter()
        .map(|attempt| attempt.body["payload"]["summary"].clone())
        .collect();
    assert_eq!(
        summaries[..3],
        ["Down: Down on a", "Down: Down on b", "Down: Down on c"]
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn an_incident_opened_before_the_others_failed_is_closed() {
    let world = World::new(BY_ALERT);
    let began = world.clock.now();
    for nth in 0..50 {
        world.fires("Down", &nth.to_string()).await;
    }
    // Some are taken, then the service throttles.
    world.receivers.behave(PAGER, Manner::TakesAfter(secs(1)));
    world.wait(secs(41)).await;
    world.receivers.behave(PAGER, Manner::Throttles(3600));
    world.wait(minutes(2)).await;
    let opened = events(&world);
    assert!((1..50).contains(&opened.len()), "{}", opened.len());
    for nth in 0..50 {
        world.resolves("Down", &nth.to_string(), began).await;
    }
    world.receivers.behave(PAGER, Manner::Takes);
    world.wait(minutes(90)).await;
    let mut open = std::collections::BTreeMap::new();
    for (action, key) in events(&world) {
        open.insert(key, action);
    }
    assert!(
        open.len() >= opened.len() && open.values().all(|action| action == "resolve"),
        "{open:?}"
    );
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn many_incidents_are_opened_a_few_at_a_time() {
    let world = World::new(BY_ALERT);
    for nth in 0..50 {
        world.fires("Down", &nth.to_string()).await;
    }
    world.wait(minutes(1)).await;
    let events = events(&world);
    let keys: std::collections::BTreeSet<&String> = events.iter().map(|(_, key)| key).collect();
    assert_eq!((events.len(), keys.len()), (50, 50));
    // Told again they are not a storm of requests.
    world.wait(minutes(4 * 60 + 1)).await;
    assert_eq!(world.receivers.got(PAGER).len(), 70);
    world.balances();
}

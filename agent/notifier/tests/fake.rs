//! The fakes that all tests share: their verdicts, and the notifier against them over real HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use journal::{Disk, Journal};
use model::{AlertEvent, BoxFuture, Clock, Evidence, Findings, Inquiry, Leadership, Overloaded, Trend};
use net::HttpClient;
use prometheus::Registry;
use serde_json::Value;
use telemetry::clock::RuntimeClock;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::pagerduty::PagerDuty;
use self::slack::{Manner, Slack};
use super::world::{config, firing, minutes, resolved};
use crate::{Handle, Notifier};

#[path = "../../../tests/fakes/pagerduty.rs"]
pub(super) mod pagerduty;
#[path = "../../../tests/fakes/slack.rs"]
pub(super) mod slack;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_fake_judges_as_the_table_says() {
    let cases = std::fs::read(file("../../tests/fakes/slack_cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let verdict = slack::judge(case["payload"].to_string().as_bytes());
        let word = verdict.map_or_else(|(_, word)| word, |_| "ok");
        assert_eq!(case["answer"], word, "{}", case["name"]);
    }
    assert_eq!(slack::judge(b"payload=x"), Err((400, "invalid_payload")));
}

#[test]
fn the_fake_takes_every_kind_of_card() {
    let cards = std::fs::read_dir(file("tests/golden")).unwrap();
    let mut seen = 0;
    for card in cards.map(|card| card.unwrap().path()) {
        if card.file_name().unwrap().to_string_lossy().starts_with("slack_") {
            assert!(
                slack::judge(&std::fs::read(&card).unwrap()).is_ok(),
                "{}",
                card.display()
            );
            seen += 1;
        }
    }
    assert!(seen >= 9);
}

/// Runs a script beside the fakes with the clients that `tests/setup` has fetched; none where they are not there.
async fn python(script: &str, arguments: Vec<String>) -> Option<(i32, String)> {
    let known = programs::file("python/slack_sdk/__init__.py")?;
    let packages = known.ancestors().nth(2).unwrap().to_owned();
    let mut command = std::process::Command::new("python3");
    command
        .arg(file("../../tests/fakes").join(script))
        .args(arguments)
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1");
    tokio::task::spawn_blocking(move || Some(programs::run(&mut command)))
        .await
        .unwrap()
}

#[tokio::test]
async fn slack_sdk_takes_every_message_and_judges_as_the_fake() {
    let golden = std::fs::read_dir(file("tests/golden")).unwrap();
    let paths = golden.map(|entry| entry.unwrap().path().display().to_string());
    let messages: Vec<String> = paths.filter(|path| path.contains("/slack_")).collect();
    assert!(messages.len() > 15, "{messages:?}");
    let Some((code, text)) = python("check_slack.py", messages).await else {
        return;
    };
    assert_eq!(code, 0, "{text}");
    let cases = file("../../tests/fakes/slack_cases.json").display().to_string();
    let (code, text) = python("check_slack.py", vec!["--cases".to_owned(), cases])
        .await
        .unwrap();
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn pagerdutys_own_client_finds_the_fake_as_it_finds_the_service() {
    let service = PagerDuty::start().await.unwrap();
    let golden = std::fs::read_dir(file("tests/golden")).unwrap();
    let paths = golden.map(|entry| entry.unwrap().path().display().to_string());
    let mut arguments = vec![service.url().to_owned(), pagerduty::ROUTING_KEY.to_owned()];
    arguments.extend(paths.filter(|path| path.contains("/pagerduty_")));
    let events = arguments.len() - 2;
    assert!(events > 5);
    let Some((code, text)) = python("check_pagerduty.py", arguments).await else {
        return;
    };
    assert_eq!(code, 0, "{text}");
    // Its own incident, and those of our events.
    assert!(service.incidents().len() >= 2, "{:?}", service.refused());
    assert_eq!(service.refused().len(), 2, "{:?}", service.refused());
    assert_eq!(service.changes().len(), 4, "{:?}", service.changes());
}

/// A notifier in real time, with a real client and a real disk.
struct Real {
    slack: Slack,
    pagerduty: PagerDuty,
    handle: Handle,
    events: mpsc::Sender<AlertEvent>,
    clock: Arc<RuntimeClock>,
    stop: CancellationToken,
    _leads: watch::Sender<Leadership>,
    _folder: tempfile::TempDir,
}

impl Real {
    /// Slack by its webhook.
    async fn start() -> Self {
        Self::start_with(|slack| format!("webhook_url: '{}'", slack.url())).await
    }

    async fn start_with(reached: impl Fn(&Slack) -> String) -> Self {
        Self::start_knowing(reached, None).await
    }

    /// With somebody who knows about alerts.
    async fn start_knowing(reached: impl Fn(&Slack) -> String, evidence: Option<Arc<dyn Evidence>>) -> Self {
        let slack = Slack::start().await.unwrap();
        let pagerduty = PagerDuty::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(Disk::new(folder.path()), Path::new("alerts")).unwrap();
        let clock = RuntimeClock::system();
        let (leads, leadership) = watch::channel(Leadership::standalone());
        let (events, inbox) = mpsc::channel(64);
        let text = format!(
            "slack: {{ {}, timeout: 400ms }}\n\
             pagerduty: {{ routing_key: {}, url: '{}', timeout: 400ms }}\nresolve_wait: 0s",
            reached(&slack),
            pagerduty::ROUTING_KEY,
            pagerduty.url()
        );
        let (config, client, wall) = (
            config(&text),
            HttpClient::new().unwrap(),
            Arc::<RuntimeClock>::clone(&clock),
        );
        let (mut notifier, handle) = Notifier::new(
            &config,
            inbox,
            journal,
            client,
            wall,
            leadership,
            Arc::new(model::Alone),
            &Registry::new(),
        );
        if let Some(evidence) = evidence {
            notifier.evidence_from(evidence);
        }
        let stop = CancellationToken::new();
        tokio::spawn(notifier.run(stop.clone()));
        Self {
            slack,
            pagerduty,
            handle,
            events,
            clock,
            stop,
            _leads: leads,
            _folder: folder,
        }
    }

    /// Has fired for so long that it is told at once.
    async fn fires(&self, name: &str) {
        let since = self.clock.now() - minutes(5);
        self.events.send(firing(name, "a", since)).await.unwrap();
    }

    /// What `skopos check --live` says of the app.
    async fn said_of_the_token(&self) -> String {
        let client = HttpClient::new().unwrap();
        let checkups = self.handle.probe(client, Arc::new(model::mail::NoMail)).await;
        checkups[0].findings.join("\n")
    }

    /// Waits until so many messages are in the channel.
    async fn posted(&self, count: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.slack.posted().len() < count || self.handle.ledger().in_flight > 0 {
            assert!(Instant::now() < end, "{:#?}", self.handle.view());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn the_pace_is_one_that_slack_accepts() {
    let real = Real::start().await;
    for nth in 0..6 {
        real.fires(&format!("Alert{nth}")).await;
    }
    real.posted(6).await;
    assert!(real.slack.refused().is_empty(), "{:?}", real.slack.refused());
    let posted = real.slack.posted();
    assert!(posted[5].at.duration_since(posted[0].at) >= Duration::from_millis(2_800));
    let lines = posted[0].lines();
    assert_eq!(lines[0], "▲ Firing: Alert0");
    assert!(
        posted[0].text().starts_with("▲ Firing: Alert0 (critical)"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_throttled_message_is_told_when_slack_says_so() {
    let real = Real::start().await;
    let end = Instant::now() + Duration::from_secs(2);
    real.slack.behave(Manner::ThrottleUntil(end));
    real.fires("Down").await;
    real.posted(1).await;
    let refused = real.slack.refused();
    assert_eq!((refused.len(), refused[0].status), (1, 429));
    assert!(real.slack.posted()[0].at >= end);
}

#[tokio::test]
async fn what_hangs_breaks_or_fails_is_told_again() {
    for (manner, repeats) in [
        (Manner::Hang, true),
        (Manner::Drop, true),
        (Manner::Answer(500, "rollback_error"), false),
        (Manner::HangAfterPosting, true),
    ] {
        let real = Real::start().await;
        real.slack.behave(manner);
        real.fires("Down").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        real.slack.behave(Manner::Well);
        let already = usize::from(manner == Manner::HangAfterPosting);
        real.posted(already + 1).await;
        let says = real.slack.posted()[already]
            .payload
            .to_string()
            .contains("possibly a repeat");
        assert_eq!(says, repeats, "{manner:?}");
    }
}

#[tokio::test]
async fn an_app_keeps_one_message_and_replies_to_it() {
    let reached = |slack: &Slack| {
        format!(
            "bot_token: {}, channel: '{}', api_url: '{}'",
            slack::TOKEN,
            slack::CHANNEL,
            slack.method()
        )
    };
    let real = Real::start_with(reached).await;
    let settled = async |messages: usize| {
        let end = Instant::now() + Duration::from_secs(20);
        while real.slack.kept().len() < messages || real.handle.ledger().in_flight > 0 {
            assert!(
                Instant::now() < end,
                "{:#?} {:?}",
                real.handle.view(),
                real.slack.refused()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let since = real.clock.now() - minutes(5);
    for n in ["a", "b"] {
        real.events.send(firing("Down", n, since)).await.unwrap();
    }
    settled(1).await;
    let now = real.clock.now();
    real.events.send(resolved("Down", "a", since, now)).await.unwrap();
    settled(2).await;
    let kept = real.slack.kept();
    assert_eq!((kept[0].edits, &kept[0].thread_ts), (1, &None));
    assert_eq!(kept[1].thread_ts.as_ref(), Some(&kept[0].ts));
    assert!(
        kept[0].payload["text"]
            .as_str()
            .unwrap()
            .starts_with("▲ Firing: Down")
    );
    // Somebody deletes it: the end is told by a new message.
    real.slack.delete_all();
    let now = real.clock.now();
    real.events.send(resolved("Down", "b", since, now)).await.unwrap();
    settled(1).await;
    let kept = real.slack.kept();
    assert!(
        kept[0].payload["text"]
            .as_str()
            .unwrap()
            .starts_with("● Resolved")
    );
    let refused = real.slack.refused();
    let words: Vec<&str> = refused.iter().map(|refused| refused.word.as_str()).collect();
    assert_eq!(words, ["message_not_found"]);
}

/// Knows the course of every value.
struct Course;

impl Evidence for Course {
    fn gather(&self, _: Inquiry) -> BoxFuture<'static, Result<Findings, Overloaded>> {
        let trend = Trend {
            span: minutes(60),
            values: (0..30).map(|nth| Some(f64::from(nth % 7))).collect(),
        };
        Box::pin(async {
            Ok(Findings {
                trend: Some(trend),
                ..Findings::default()
            })
        })
    }
}

#[tokio::test]
async fn a_picture_comes_into_the_workspace_in_the_order_that_slack_wants() {
    for is_allowed in [true, false] {
        let reached = |slack: &Slack| {
            slack.allow_files(is_allowed);
            format!(
                "bot_token: {}, channel: '{}', api_url: '{}'",
                slack::TOKEN,
                slack::CHANNEL,
                slack.method()
            )
        };
        let real = Real::start_knowing(reached, Some(Arc::new(Course))).await;
        real.fires("Down").await;
        let end = Instant::now() + Duration::from_secs(20);
        let messages = if is_allowed { 2 } else { 1 };
        while real.slack.kept().len() < messages || real.handle.ledger().in_flight > 0 {
            let far = (
                real.slack.kept().len(),
                real.slack.uploads().len(),
                real.handle.ledger(),
            );
            assert!(
                Instant::now() < end,
                "{far:?}, refused {:?}",
                real.slack.refused()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let kept = real.slack.kept();
        assert_eq!(kept.len(), messages);
        let uploads = real.slack.uploads();
        if is_allowed {
            assert!(!real.said_of_the_token().await.contains("scope"));
            assert!(uploads[0].is_complete && uploads[0].bytes.starts_with(b"\x89PNG"));
            assert_eq!(
                kept[1].payload["blocks"][0]["slack_file"]["id"],
                uploads[0].id.as_str()
            );
            assert_eq!(kept[1].thread_ts.as_ref(), Some(&kept[0].ts));
            assert!(real.slack.refused().is_empty(), "{:?}", real.slack.refused());
        } else {
            assert!(
                real.said_of_the_token()
                    .await
                    .contains("it lacks the scope files:write")
            );
            assert!(uploads.is_empty());
            assert!(kept[0].payload.to_string().contains("Value, last 1h"));
        }
    }
}

#[tokio::test]
async fn an_archived_channel_is_said_and_left_alone() {
    let real = Real::start().await;
    real.slack.behave(Manner::Answer(410, "channel_is_archived"));
    real.fires("Down").await;
    let end = Instant::now() + Duration::from_secs(20);
    while real.handle.view().failing.is_empty() {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(real.handle.view().failing[0].1, "410 channel_is_archived");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(real.slack.refused().len(), 1);
}

#[tokio::test]
async fn a_group_is_one_incident_from_its_first_alert_to_its_last() {
    let real = Real::start().await;
    let since = real.clock.now() - minutes(5);
    for n in ["a", "b"] {
        real.events.send(firing("Down", n, since)).await.unwrap();
    }
    real.posted(1).await;
    let incidents = real.pagerduty.incidents();
    assert_eq!(
        (incidents.len(), incidents[0].resolved),
        (1, None),
        "{:?}",
        real.pagerduty.refused()
    );
    let trigger = &incidents[0].triggers[0];
    assert_eq!(trigger["payload"]["severity"], "critical");
    assert_eq!(trigger["payload"]["summary"], "Down: 2 alerts (+2 new)");
    let now = real.clock.now();
    real.events.send(resolved("Down", "a", since, now)).await.unwrap();
    real.posted(2).await;
    let incidents = real.pagerduty.incidents();
    assert_eq!((incidents[0].triggers.len(), incidents[0].resolved), (2, None));
    let now = real.clock.now();
    real.events.send(resolved("Down", "b", since, now)).await.unwrap();
    real.posted(3).await;
    let incidents = real.pagerduty.incidents();
    assert!(
        incidents.len() == 1 && incidents[0].resolved.is_some(),
        "{incidents:?}"
    );
    // What fires again is a new incident of the same key.
    real.events
        .send(firing("Down", "b", now + Duration::from_millis(1)))
        .await
        .unwrap();
    assert!(
        real.pagerduty.refused().is_empty(),
        "{:?}",
        real.pagerduty.refused()
    );
}

#[tokio::test]
async fn an_event_that_may_have_arrived_is_sent_again_and_opens_no_second_incident() {
    use self::pagerduty::Manner;
    for manner in [
        Manner::HangAfterTaking,
        Manner::Hang,
        Manner::Drop,
        Manner::Answer(429),
        Manner::Answer(503),
    ] {
        let real = Real::start().await;
        real.pagerduty.behave(manner);
        real.fires("Down").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        real.pagerduty.behave(Manner::Well);
        real.posted(1).await;
        let incidents = real.pagerduty.incidents();
        assert_eq!(incidents.len(), 1, "{manner:?}");
    }
}

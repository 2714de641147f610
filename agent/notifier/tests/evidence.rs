//! What others know about an alert comes with the message if it comes in time, and harms it in no way.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{
    BoxFuture, Clock, Evidence, Findings, Inquiry, Labels, Leadership, Level, LogRecord, Overloaded,
    Timestamp, Trend,
};
use telemetry::clock::RuntimeClock;

use super::fake::slack as fake;
use super::world::{Attempt, BOTH, Manner, SLACK, START, World, firing, minutes, secs};

const APP: &str = "slack: { bot_token: xoxb-1, channel: '#ops', api_url: 'http://slack/api/chat.postMessage' }\n\
                   resolve_wait: 0s";
const POST: &str = "http://slack/api/chat.postMessage";
const EDIT: &str = "http://slack/api/chat.update";
const NO_PICTURE: &str = "evidence: { picture: false }";
const ASK: &str = "http://slack/api/files.getUploadURLExternal";
const PUT: &str = "http://slack/upload/1";
const COMPLETE: &str = "http://slack/api/files.completeUploadExternal";
/// Since a new group waits for `group_wait`.
const FIRST: u64 = 30;

/// How somebody answers.
#[derive(Clone, Copy)]
enum Witness {
    After(Duration),
    Never,
    Lies,
    /// Lines of a node, and another node that is silent.
    Half,
    /// The only node that was asked is silent.
    Silent,
    Panics,
    Busy,
    KnowsNothing,
}

struct Known {
    witness: Witness,
    clock: Arc<RuntimeClock>,
    asked: Mutex<Vec<Inquiry>>,
}

impl Known {
    fn new(witness: Witness) -> Arc<Self> {
        Arc::new(Self {
            witness,
            clock: RuntimeClock::starting_at(START),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<Inquiry> {
        self.asked.lock().unwrap().clone()
    }
}

fn line(nth: i64, text: &str) -> LogRecord {
    LogRecord {
        time: START + secs(u64::try_from(nth).unwrap()),
        level: Level::Error,
        source: "shop/cart/app".into(),
        stream: "stderr".into(),
        text: text.to_owned(),
        file: "/var/log/pods/0.log".into(),
        offset_bytes: 0,
    }
}

fn change(text: &str) -> model::Change {
    model::Change {
        time: START,
        kind: model::ChangeKind::Deploy,
        object: "Deployment",
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        text: text.to_owned(),
    }
}

fn event(text: &str) -> LogRecord {
    LogRecord {
        level: Level::Warn,
        source: "shop/cart/events".into(),
        stream: "".into(),
        ..line(2, text)
    }
}

fn true_ones() -> Findings {
    Findings {
        lines: (1..=4).map(|nth| line(nth, &format!("line {nth}"))).collect(),
        trend: Some(Trend {
            span: minutes(60),
            values: vec![Some(1.0), None, Some(8.0), Some(4.51239)],
        }),
        events: vec![event("BackOff: Back-off restarting failed container")],
        changes: vec![change("image shop/web:1.2 → 1.3")],
        is_partial: false,
        silent: Vec::new(),
    }
}

/// Far more than was asked for, and nothing that belongs on a card.
fn lies() -> Findings {
    let text = "```<!channel> `@here` <https://evil|x>\n\u{1b}[31m\u{202e}&\0".repeat(20_000);
    let mut lines: Vec<LogRecord> = (0..50).map(|nth| line(nth, &text)).collect();
    for line in &mut lines {
        line.time = Timestamp(i64::MAX);
        line.source = text.clone().into();
    }
    Findings {
        lines,
        trend: Some(Trend {
            span: Duration::MAX,
            values: [
                Some(f64::MAX),
                Some(f64::MIN),
                Some(f64::NAN),
                Some(f64::INFINITY),
            ]
            .repeat(10_000),
        }),
        events: vec![event(&text); 50],
        changes: vec![change(&text); 50],
        is_partial: false,
        silent: vec![text; 50],
    }
}

impl Evidence for Known {
    fn gather(&self, inquiry: Inquiry) -> BoxFuture<'static, Result<Findings, Overloaded>> {
        self.asked.lock().unwrap().push(inquiry);
        let (witness, clock) = (self.witness, Arc::clone(&self.clock));
        Box::pin(async move {
            match witness {
                Witness::After(wait) => {
                    clock.sleep(wait).await;
                    Ok(true_ones())
                }
                Witness::Never => std::future::pending().await,
                Witness::Lies => Ok(lies()),
                Witness::Half => Ok(Findings {
                    silent: vec!["n<2>".to_owned()],
                    is_partial: true,
                    ..true_ones()
                }),
                Witness::Silent => Ok(Findings {
                    silent: ["n1", "n2", "n3", "n4"].map(str::to_owned).to_vec(),
                    is_partial: true,
                    ..Findings::default()
                }),
                Witness::Panics => panic!("a witness that panics"),
                Witness::Busy => Err(Overloaded),
                Witness::KnowsNothing => Ok(Findings::default()),
            }
        })
    }
}

fn outcome(world: &World, word: &str) -> f64 {
    world.metric(&format!("skopos_notifier_evidence_total{{outcome=\"{word}\"}}"))
}

/// All text of a message, judged by Slack's limits first.
fn text(attempt: &Attempt) -> String {
    let body = attempt.body.to_string();
    if attempt.url.contains("/services/") || attempt.url == "http://slack/" {
        fake::judge(body.as_bytes()).unwrap();
    }
    let fields = attempt
        .body
        .pointer("/attachments/0/blocks")
        .or(attempt.body.get("blocks"));
    let mut found = Vec::new();
    texts(fields.unwrap(), &mut found);
    found.join("\n")
}

fn texts(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                match value {
                    serde_json::Value::String(text) if key == "text" => found.push(text.clone()),
                    other => texts(other, found),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_time_is_on_the_card_and_keeps_nobody_else_waiting() {
    let known = Known::new(Witness::After(Duration::from_millis(1_500)));
    let world = World::asking(BOTH, known.clone());
    world.fires("Down", "a").await;
    world.wait(secs(40)).await;
    let card = &world.slack()[0];
    assert_eq!(
        (card.after(START), world.hook()[0].after(START)),
        (FIRST + 1, FIRST)
    );
    let text = text(card);
    assert!(
        text.contains("*Value, last 1h*\n▁·█▅ last 4.512, first 1, most 8"),
        "{text}"
    );
    assert!(
        text.contains("Last 4 log lines of shop/cart/app, in UTC\n```\n02:51:02 ERROR line 1\n"),
        "{text}"
    );
    assert!(
        text.contains("*Kubernetes says, UTC*\n• 02:51:03 BackOff: Back-off restarting failed container"),
        "{text}"
    );
    assert!(
        text.contains("*Changed in the last 30m, UTC*\n• 02:51:01 web: image shop/web:1.2 → 1.3"),
        "{text}"
    );
    assert!(!world.hook()[0].body.to_string().contains("line 1"));
    let asked = known.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!((asked[0].labels.value("n"), asked[0].lines_max), ("a", 4));
    assert_eq!(outcome(&world, "in_time"), 1.0);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn nodes_that_did_not_answer_are_named_on_the_card() {
    for (witness, told) in [
        (
            Witness::Half,
            "Last 4 log lines of shop/cart/app, in UTC; n&lt;2&gt; did not answer\n```\n",
        ),
        (
            Witness::Silent,
            "No log lines: n1, n2, n3 and 1 more did not answer",
        ),
    ] {
        let world = World::asking(SLACK, Known::new(witness));
        world.fires("Down", "a").await;
        world.wait(secs(40)).await;
        let text = text(&world.slack()[0]);
        assert!(text.contains(told), "{text}");
        assert_eq!(outcome(&world, "partial"), 1.0);
        world.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_two_seconds_and_not_longer() {
    for (witness, word, waited) in [
        (Witness::Never, "late", 2),
        (Witness::After(secs(3)), "late", 2),
        (Witness::Panics, "failed", 0),
        (Witness::Busy, "busy", 0),
        (Witness::KnowsNothing, "empty", 0),
    ] {
        let world = World::asking(SLACK, Known::new(witness));
        world.fires("Down", "a").await;
        world.wait(secs(40)).await;
        let card = &world.slack()[0];
        assert_eq!(card.after(START), FIRST + waited, "{word}");
        let text = text(card);
        assert!(!text.contains("log line") && !text.contains("Value"), "{text}");
        assert_eq!(outcome(&world, word), 1.0, "{word}");
        assert_eq!(world.slack().len(), 1);
        world.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_answered_a_card_keeps_its_limits_and_calls_nobody() {
    for lines in [1, 4, 20] {
        let known = Known::new(Witness::Lies);
        let world = World::asking(&format!("{SLACK}\nevidence: {{ lines: {lines} }}"), known);
        world.fires("Down", "a").await;
        world.wait(secs(40)).await;
        let text = text(&world.slack()[0]);
        assert_eq!(text.matches("```").count(), 2, "{text}");
        assert_eq!(text.matches('`').count(), 6, "{text}");
        assert!(text.contains("*Kubernetes says, UTC*"), "{text}");
        assert_eq!(text.matches(" ERROR ").count(), lines, "{text}");
        // Four changes and three events.
        assert_eq!(text.matches("• ").count(), 7, "{text}");
        assert!(
            !text.contains("<!channel") && !text.contains("<https://evil"),
            "{text}"
        );
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\0']), "{text:?}");
        let course = text.lines().find(|line| line.contains(", first ")).unwrap();
        let bars = course.split(' ').next().unwrap();
        assert_eq!(bars.chars().count(), 30, "{course}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_tells_lines_as_a_reply_and_keeps_the_value_on_its_card() {
    let known = Known::new(Witness::After(Duration::ZERO));
    let world = World::asking(&format!("{APP}\n{NO_PICTURE}"), known.clone());
    let mut event = firing("Down", "a", world.clock.now());
    event.labels = Labels::from_pairs([("alertname", "Down"), ("n", "a"), ("severity", "warning")]);
    event.fingerprint = event.labels.fingerprint();
    world.says(event.clone()).await;
    world.wait(secs(31)).await;
    // As grave as what fires: no news worth lines. Then something graver.
    event.labels = Labels::from_pairs([("alertname", "Down"), ("n", "b"), ("severity", "warning")]);
    event.fingerprint = event.labels.fingerprint();
    world.says(event).await;
    world.wait(minutes(6)).await;
    world.fires("Down", "c").await;
    world.wait(minutes(6)).await;
    let all = world.receivers.attempts();
    let seen: Vec<(&str, bool, bool)> = all
        .iter()
        .map(|attempt| {
            let text = text(attempt);
            (
                attempt.url.rsplit('.').next().unwrap(),
                text.contains("Value, last 1h"),
                text.contains("line 4"),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("postMessage", true, false),
            ("postMessage", false, true),
            ("update", true, false),
            ("postMessage", false, false),
            ("update", true, false),
            ("postMessage", false, true),
        ]
    );
    assert_eq!(all[1].body["thread_ts"], "1");
    assert_eq!(all[1].body.get("reply_broadcast"), None);
    let asked = known.asked();
    let asked: Vec<(&str, usize)> = asked
        .iter()
        .map(|inquiry| (inquiry.labels.value("n"), inquiry.lines_max))
        .collect();
    assert_eq!(asked, [("a", 4), ("b", 0), ("c", 4)]);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn lines_that_slack_does_not_take_are_lost_and_counted_and_the_card_is_not_repeated() {
    let known = Known::new(Witness::After(Duration::ZERO));
    let world = World::asking(&format!("{APP}\n{NO_PICTURE}"), known);
    world.receivers.behave_after(POST, 1, Manner::Throttles(7));
    world.fires("Down", "a").await;
    world.wait(minutes(2)).await;
    let got = world.receivers.got(POST);
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!(world.receivers.attempts().len(), 2);
    assert_eq!(world.metric("skopos_notifier_evidence_lost_total"), 1.0);
    // The card is known, and edited.
    world.receivers.behave(POST, Manner::Takes);
    world.fires("Down", "b").await;
    world.wait(minutes(6)).await;
    assert_eq!(world.receivers.got(EDIT).len(), 1);
    world.balances();
}

/// The addresses that were called, in order, and what of the picture's reply.
async fn pictured(behave: impl Fn(&World)) -> (World, Vec<String>) {
    let world = World::asking(APP, Known::new(Witness::After(Duration::ZERO)));
    behave(&world);
    world.fires("Down", "a").await;
    world.wait(minutes(1)).await;
    let attempts = world.receivers.attempts();
    let calls = attempts.iter().map(|attempt| {
        let name = attempt.url.rsplit(['/', '.']).next().unwrap();
        name.to_owned()
    });
    let calls = calls.collect();
    (world, calls)
}

fn pictures(world: &World, word: &str) -> f64 {
    world.metric(&format!("skopos_notifier_pictures_total{{outcome=\"{word}\"}}"))
}

#[tokio::test(start_paused = true)]
async fn an_app_draws_the_value_above_the_lines_in_the_thread_of_a_new_card() {
    let (world, calls) = pictured(|_| {}).await;
    assert_eq!(
        calls,
        [
            "postMessage",
            "getUploadURLExternal",
            "1",
            "completeUploadExternal",
            "postMessage"
        ]
    );
    let attempts = world.receivers.attempts();
    let (card, reply) = (&attempts[0], &attempts[4].body);
    assert!(
        text(card).contains("Value, last 1h"),
        "the words stay on the card"
    );
    assert_eq!(card.after(START), FIRST, "it waits for no picture");
    let length = attempts[1]
        .body
        .as_str()
        .unwrap()
        .rsplit('=')
        .next()
        .unwrap()
        .to_owned();
    assert!(length.parse::<usize>().unwrap() > 100);
    assert_eq!(
        attempts[3].body,
        "files=%5B%7B%22id%22:%22F7%22,%22title%22:%22value%22%7D%5D"
    );
    assert_eq!(reply["thread_ts"], "1");
    assert_eq!(reply["blocks"][0]["slack_file"]["id"], "F7");
    let words = reply["blocks"][0]["alt_text"].as_str().unwrap();
    assert!(words.starts_with("Value, last 1h: ▁"), "{words}");
    let words = |nth: usize| reply["blocks"][nth]["text"]["text"].as_str().unwrap();
    assert!(
        words(1).contains("BackOff") && words(2).contains("line 4"),
        "{reply}"
    );
    assert_eq!(pictures(&world, "shown"), 1.0);
    // An edit of the card draws nothing.
    world.fires("Down", "b").await;
    world.wait(minutes(6)).await;
    assert_eq!(world.receivers.got(PUT).len(), 1);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_a_picture_the_lines_are_told() {
    for (url, manner) in [
        (ASK, Manner::Objects("internal_error")),
        (ASK, Manner::Hangs),
        (PUT, Manner::Answers(500)),
        (PUT, Manner::Refuses),
        (COMPLETE, Manner::Objects("invalid_arguments")),
    ] {
        let (world, _) = pictured(|world| world.receivers.behave(url, manner)).await;
        let posted = world.receivers.got(POST);
        assert_eq!(posted.len(), 2, "{manner:?}");
        assert!(text(&posted[1]).contains("line 4"));
        assert!(posted[1].after(START) <= FIRST + 1);
        assert_eq!(pictures(&world, "failed"), 1.0, "{manner:?}");
        world.balances();
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_scope_nothing_more_is_asked_and_the_value_stays_text() {
    let (world, _) = pictured(|world| world.receivers.behave(ASK, Manner::Objects("missing_scope"))).await;
    world.fires("Slow", "a").await;
    world.wait(minutes(1)).await;
    let asked = world.receivers.attempts();
    assert_eq!(asked.iter().filter(|attempt| attempt.url == ASK).count(), 1);
    assert_eq!(
        world.receivers.got(POST).len(),
        4,
        "two cards, and lines below each"
    );
    assert_eq!(pictures(&world, "not_allowed"), 1.0);
    world.balances();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wanted_is_not_asked_for() {
    for (evidence, asked) in [
        ("{ lines: 0, events: 0, changes: 0, trend: false }", vec![]),
        ("{ lines: 0, changes: 0, trend: false }", vec![(0, false)]),
        ("{ lines: 0, trend: false }", vec![(0, false)]),
        ("{ lines: 0 }", vec![(0, true)]),
        ("{ trend: false }", vec![(4, false)]),
    ] {
        let known = Known::new(Witness::Lies);
        let world = World::asking(&format!("{SLACK}\nevidence: {evidence}"), known.clone());
        world.fires("Down", "a").await;
        world.wait(secs(40)).await;
        let inquiries = known.asked();
        let inquiries: Vec<(usize, bool)> = inquiries
            .iter()
            .map(|inquiry| (inquiry.lines_max, inquiry.trend))
            .collect();
        assert_eq!(inquiries, asked, "{evidence}");
        let text = text(&world.slack()[0]);
        assert_eq!(
            text.contains("log line"),
            evidence == "{ trend: false }",
            "{text}"
        );
        assert_eq!(text.contains("Value"), evidence == "{ lines: 0 }", "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_word_while_it_asked_sends_nothing() {
    let world = World::asking(SLACK, Known::new(Witness::Never));
    world.fires("Down", "a").await;
    world.wait(secs(FIRST + 1)).await;
    world.leads.send_replace(Leadership {
        epoch: 7,
        ..Leadership::standalone()
    });
    world.wait(Duration::from_millis(990)).await;
    assert_eq!(world.receivers.attempts().len(), 0);
    // In the new epoch it is told, once.
    world.wait(secs(10)).await;
    assert_eq!(world.slack().len(), 1);
    world.balances();
}

#[test]
fn a_wait_or_a_number_of_lines_that_cannot_be_is_said() {
    let config: crate::Config = yaml::read("x", "evidence: { lines: 21, changes: 11, wait: 3s }").unwrap();
    let complaints = config.complaints();
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    assert!(
        complaints[0].starts_with("notifier.evidence.lines: 21 lines"),
        "{complaints:?}"
    );
    assert!(complaints[1].contains("11 changes"), "{complaints:?}");
    assert!(complaints[2].contains("so 3s is too long"), "{complaints:?}");
}

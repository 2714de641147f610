//! An AWS that throttles, fails, hangs, loses answers, leaves events out, or is not there.

use std::time::{Duration, Instant};

use fake_aws::{FakeAws, Fault};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Stage, is_long};

/// Lines of each container and round.
const LINES: usize = 60;

fn rounds() -> usize {
    if is_long() { 200 } else { 10 }
}

impl Stage {
    /// Writes for a while, and then all of it must be settled.
    async fn write(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.room.write(LINES);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.room.settled(self.room.lines()).await;
    }

    async fn is_told(&self, words: &str) {
        let begun = Instant::now();
        loop {
            let sinks = self.room.handle.state().sinks;
            if sinks[0].trouble.as_ref().is_some_and(|why| why.contains(words)) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{words}: {sinks:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn extra(&self) -> Vec<Value> {
        let documents = self.documents().into_values().flatten();
        let is_extra = |document: &Value| document["message"].as_str().unwrap().starts_with("extra");
        documents.filter(is_extra).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_and_streams_are_made_once_and_again_when_somebody_removes_them() {
    let mut stage = Stage::start(&json!({"retention_days": 30}));
    stage.write(rounds()).await;
    assert_eq!(stage.check("made on the way"), 0);
    assert_eq!(stage.refused(), 0.0);
    let made = |what: &str| stage.fake.count(what);
    assert_eq!((made("CreateLogGroup"), made("PutRetentionPolicy")), (1, 1));
    assert_eq!(
        stage.fake.logs(|logs| logs.retention_days("/skopos/shop")),
        Some(30)
    );
    let found = stage
        .room
        .counter("skopos_logs_requests_total", &[("result", "not_found")]);
    assert!(found >= stage.room.writers.len() as f64);

    let before: Vec<usize> = stage.room.written();
    stage.fake.logs(|logs| logs.remove_group("/skopos/shop"));
    stage.write(1).await;
    assert_eq!(stage.fake.count("CreateLogGroup"), 2);
    let documents = stage.documents();
    assert_eq!(documents.len(), stage.room.writers.len());
    for (writer, before) in before.iter().enumerate() {
        let stream = &documents[&format!("/skopos/shop app-{writer}/main")];
        let numbered = stream.iter().filter(|document| document["message"] != "between");
        assert_eq!(numbered.count(), stage.room.written()[writer] - before);
    }
    stage.room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_leave_to_make_it_a_missing_group_is_waited_for_and_named() {
    let mut stage = Stage::start(&json!({"create": false, "group": "logs"}));
    stage.room.write(LINES);
    stage.is_told("Group \"logs\", stream \"app-").await;
    stage.is_told("make it, or set create to true").await;
    assert_eq!(
        stage.fake.count("CreateLogGroup") + stage.fake.count("CreateLogStream"),
        0
    );
    let names = (0..stage.room.writers.len()).map(|writer| format!("app-{writer}/main"));
    stage
        .fake
        .logs(|logs| names.for_each(|name| logs.make("logs", &name)));
    stage.room.settled(stage.room.lines()).await;
    assert_eq!(stage.room.handle.state().sinks[0].trouble, None);
    stage.room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_throttling_costs_time_and_doubles_nothing() {
    let mut stage = Stage::start(&json!({}));
    stage.write(1).await;
    stage.fake.logs(|logs| logs.limit("PutLogEvents", 20));
    stage.fake.fails("PutLogEvents", 6, Fault::Throttled);
    stage.write(rounds()).await;
    stage.fake.fails("PutLogEvents", 5, Fault::Broken);
    stage.write(1).await;
    assert_eq!(stage.check("throttled"), 0);
    let count = |result: &str| {
        let result = [("result", result)];
        stage.room.counter("skopos_logs_requests_total", &result)
    };
    assert!(count("pushed_back") >= 6.0 && count("server_error") == 5.0);
    assert!(stage.room.counter("skopos_logs_records_retried_total", &[]) > 0.0);
    stage.room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_doubles_lines_with_the_same_id_and_loses_none() {
    let mut stage = Stage::start(&json!({"timeout": "1s"}));
    stage.write(1).await;
    for _ in 0..rounds() / 5 {
        stage.fake.fails("PutLogEvents", 2, Fault::LosesAnswer);
        stage.fake.fails("PutLogEvents", 1, Fault::Hangs);
        stage.write(2).await;
    }
    assert!(stage.check("answers lost") > 0);
    let count = |result: &str| {
        let result = [("result", result)];
        stage.room.counter("skopos_logs_requests_total", &result)
    };
    assert!(count("timeout") > 0.0 && count("broken") > 0.0);
    stage.room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_aws_leaves_out_are_dead_letters_each_with_its_reason() {
    let mut stage = Stage::start(&json!({"retention_days": 3}));
    let lines = [
        ("2024-02-15T10:00:00Z", "too_old"),
        ("2024-02-25T10:00:00Z", "expired"),
        ("2024-02-28T11:00:00Z", ""),
        ("2024-02-29T23:00:00Z", ""),
        ("2024-03-01T09:00:00Z", ""),
        ("2024-03-01T11:00:00Z", ""),
        ("2024-03-01T13:00:00Z", "too_new"),
    ];
    let text = lines
        .map(|(time, fate)| format!("{time} extra {fate}\n"))
        .concat();
    stage.room.write_plain(&text);
    stage.room.write(LINES);
    stage.room.settled(stage.room.lines() + lines.len()).await;
    assert_eq!(stage.check("some left out"), 0);
    assert_eq!((stage.refused(), stage.extra().len()), (0.0, 4));
    let mut letters = stage.room.dead_letters();
    letters.sort_by_key(|letter| letter["document"]["@timestamp"].to_string());
    let told: Vec<&str> = letters
        .iter()
        .map(|letter| letter["type"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["too_old", "expired", "too_new"]);
    for letter in &letters {
        assert_eq!(
            (&letter["group"], &letter["stream"]),
            (&"/skopos/host".into(), &"here/extra.log".into())
        );
        let kind = letter["type"].as_str().unwrap();
        assert_eq!(letter["document"]["message"], format!("extra {kind}"));
        assert_eq!(letter["id"], letter["document"]["event"]["id"]);
        let counted = [("reason", kind)];
        assert_eq!(
            stage.room.counter("skopos_logs_dead_letters_total", &counted),
            1.0
        );
    }
    assert_eq!(stage.room.handle.ledger().dropped["dead_letter"], 3);
    stage.room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_that_aws_minds_is_buried_and_the_others_are_there_once() {
    let mut stage = Stage::start(&json!({}));
    stage.fake.logs(|logs| logs.poison = Some("POISON".to_owned()));
    let text: Vec<String> = (0..200)
        .map(|nth| match nth {
            57 | 140 => format!("extra POISON {nth}\n"),
            _ => format!("extra {nth}\n"),
        })
        .collect();
    stage.room.write_plain(&text.concat());
    stage.room.write(LINES);
    stage.room.settled(stage.room.lines() + 200).await;
    assert_eq!((stage.check("two poisoned"), stage.extra().len()), (0, 198));
    let letters = stage.room.dead_letters();
    let told: Vec<&Value> = letters
        .iter()
        .map(|letter| &letter["document"]["message"])
        .collect();
    assert_eq!(told.len(), 2);
    assert!(told.contains(&&"extra POISON 57".into()) && told.contains(&&"extra POISON 140".into()));
    assert_eq!(letters[0]["type"], "InvalidParameterException");
    stage.room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_too_long_is_cut_and_says_so() {
    let stage = Stage::start(&json!({}));
    let long = "\"".repeat(1_000_000);
    stage.room.write_plain(&format!("extra {long}\nextra short\n"));
    stage.room.settled(2).await;
    let extra = stage.extra();
    let longest = extra
        .iter()
        .find(|document| document["message"] != "extra short")
        .unwrap();
    let message = longest["message"].as_str().unwrap();
    assert!(message.ends_with("\"… [cut, the line has 1000006 bytes]"));
    assert_eq!(
        (
            extra.len(),
            stage.refused(),
            stage.room.counter("skopos_logs_cut_total", &[])
        ),
        (2, 0.0, 1.0)
    );
    stage.room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_many_days_go_in_requests_of_one_day_each() {
    let stage = Stage::start(&json!({}));
    let days = (0..10).map(|day| format!("2024-02-{:02}T1{day}:00:00Z extra {day}\n", 28 - day));
    stage.room.write_plain(&days.collect::<String>());
    stage.room.settled(10).await;
    let told: Vec<String> = stage
        .extra()
        .iter()
        .map(|document| document["message"].to_string())
        .collect();
    let expected: Vec<String> = (0..10).rev().map(|day| format!("\"extra {day}\"")).collect();
    assert_eq!((told, stage.refused()), (expected, 0.0));
    stage.room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aws_that_cannot_be_reached_gets_everything_when_it_can() {
    let port = programs::free_port();
    let mut stage = Stage::start_by(&json!({"timeout": "2s"}), |_| format!("http://127.0.0.1:{port}"));
    stage.room.write(LINES);
    stage.is_told("onnect").await;
    for _ in 0..rounds() / 5 {
        // Whatever is under way when the way ends comes to nothing.
        let way = open(port, &stage.fake).await;
        for _ in 0..5 {
            stage.room.write(LINES);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(way);
        stage.room.write(LINES);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let way = open(port, &stage.fake).await;
    stage.room.settled(stage.room.lines()).await;
    stage.check("cut off again and again");
    assert_eq!(stage.room.handle.state().sinks[0].trouble, None);
    drop(way);
    stage.room.stop().await;
}

/// A way to AWS that ends, with all connections on it, when it is dropped.
async fn open(port: u16, fake: &FakeAws) -> JoinSet<()> {
    let behind = fake.url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let mut way = JoinSet::new();
    way.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut here, _)) = listener.accept().await {
            let behind = behind.clone();
            connections.spawn(async move {
                let mut there = TcpStream::connect(behind).await.unwrap();
                // Whoever goes away first ends it.
                _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            });
        }
    });
    way
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_aws_does_not_know_us_lines_wait() {
    let mut stage = Stage::start(&json!({}));
    stage.write(1).await;
    stage.fake.forget(&stage.access_key);
    stage.room.write(LINES);
    stage.is_told("UnrecognizedClientException").await;
    let ledger = stage.room.handle.ledger();
    assert!(ledger.in_flight > 0 && ledger.dropped.is_empty(), "{ledger:?}");
    stage.room.stop().await;
}

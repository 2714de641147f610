//! Answers that say no, say nothing, lie or never end, from a fake that keeps what it was sent.

use std::time::{Duration, Instant};

use opensearch_tests::{Fake, Fault, ItemFault, Plan, Poison};
use serde_json::{Value, json};

use super::generator::judge;
use super::room::{Room, sort};
use super::start;

/// Lines of each container and round.
const LINES: usize = 60;

/// Requests that may go wrong.
fn rounds() -> u64 {
    if std::env::var_os("SKOPOS_TEST_LONG").is_some() {
        400
    } else {
        20
    }
}

/// Small requests, so that there are many.
fn sink(more: &Value) -> Value {
    let mut sink = json!({"wait": "50ms"});
    for (key, value) in more.as_object().unwrap() {
        sink[key] = value.clone();
    }
    sink
}

/// Writes while `plan` goes on and a while after, and then every line must be there once.
async fn bears(what: &str, more: &Value, plan: Plan) -> (Fake, Room) {
    let fake = Fake::start();
    let mut room = start(&fake.url(), &sink(more));
    // Templates are in place and the first line is there before anything goes wrong.
    room.write(1);
    room.settled(room.lines()).await;
    fake.plan(plan);
    let begun = Instant::now();
    while fake.counters().bulks < rounds() && begun.elapsed() < Duration::from_secs(60) {
        room.write(LINES);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    fake.plan(Plan::well());
    room.write(LINES);
    room.settled(room.lines()).await;
    check(what, &fake, &room);
    println!("{:?}", fake.counters());
    (fake, room)
}

fn messages(fake: &Fake) -> impl Iterator<Item = String> {
    let documents = fake.documents("logs-skopos-*").into_iter();
    documents.map(|(_, document)| document["message"].as_str().unwrap_or_default().to_owned())
}

fn check(what: &str, fake: &Fake, room: &Room) {
    let (seen, between, _) = sort(messages(fake));
    let want: usize = room.written().iter().map(|lines| lines.div_ceil(7)).sum();
    judge(&seen, &room.written(), what);
    assert_eq!(between, want, "lines between pieces");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_ids_are_refused_lines_go_without_and_the_document_says_them() {
    let fake = Fake::start();
    fake.rules(|rules| rules.makes_ids = true);
    let mut room = start(&fake.url(), &sink(&json!({"ids": "auto"})));
    room.write(LINES);
    room.settled(room.lines()).await;
    room.write(LINES);
    room.settled(room.lines()).await;
    check("a collection that makes all ids itself", &fake, &room);
    for (id, document) in fake.documents("logs-skopos-*") {
        let said = document["event"]["id"].as_str().unwrap_or_default();
        assert!(said.len() == 27 && said != id, "{id}: {document}");
    }
    let notes = room.handle.state().sinks.remove(0).notes;
    assert!(notes.len() == 1 && notes[0].contains("refuse ids"), "{notes:?}");
    assert_eq!(room.dead_letters(), [json!(null); 0]);
    // Only what came first was sent twice.
    let retried = room.counter("skopos_logs_records_retried_total", &[]);
    assert!(retried > 0.0 && retried <= room.lines() as f64 / 2.0, "{retried}");
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_must_have_ids_wait_where_they_are_refused() {
    let fake = Fake::start();
    fake.rules(|rules| rules.makes_ids = true);
    let mut room = start(&fake.url(), &sink(&json!({"ids": "always"})));
    room.write(LINES);
    let begun = Instant::now();
    let trouble = loop {
        if let Some(trouble) = room.handle.state().sinks.remove(0).trouble {
            break trouble;
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(
        trouble.contains("set ids of this sink to auto or never"),
        "{trouble}"
    );
    assert_eq!(fake.count("*"), 0);
    fake.rules(|rules| rules.makes_ids = false);
    room.settled(room.lines()).await;
    check("ids taken again", &fake, &room);
    let notes = room.handle.state().sinks.remove(0).notes;
    assert_eq!(notes, [""; 0]);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_pushed_back_are_sent_again_and_the_others_are_not() {
    let mixed = Fault::Items(vec![(0.3, ItemFault::new(429)), (0.1, ItemFault::new(503))]);
    let (fake, room) = bears("a third pushed back", &json!({}), Plan::drawn(1, [(0.5, mixed)])).await;
    assert!(room.counter("skopos_logs_records_retried_total", &[]) > 0.0);
    let sent: u64 = fake.counters().items;
    let retried = room.counter("skopos_logs_records_retried_total", &[]);
    assert_eq!(
        sent as f64,
        room.lines() as f64 + retried,
        "nothing is sent twice without need"
    );
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_whose_refusal_was_a_mistake_is_there_once() {
    let stored = Fault::Items(vec![(0.3, ItemFault::new(503).applied())]);
    let (_fake, room) = bears(
        "stored and answered 503",
        &json!({}),
        Plan::drawn(2, [(0.5, stored)]),
    )
    .await;
    assert!(room.counter("skopos_logs_records_known_total", &[]) > 0.0);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_requests_that_are_refused_for_now_come_again() {
    let faults = [429, 500, 503, 502].map(|status| (0.12, Fault::Status(status, None)));
    let (_fake, room) = bears("half refused", &json!({}), Plan::drawn(3, faults)).await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_say_nothing_count_for_nothing() {
    let faults = [
        (0.1, Fault::Truncated(0.5)),
        (0.1, Fault::Garbled),
        (0.1, Fault::Misshapen),
        (0.1, Fault::Count(1)),
        (0.1, Fault::Count(-1)),
        (0.1, Fault::Slow(20_000)),
    ];
    let (_fake, room) = bears("answers that say nothing", &json!({}), Plan::drawn(4, faults)).await;
    assert!(room.counter("skopos_logs_requests_total", &[("result", "garbled")]) > 0.0);
    assert!(room.counter("skopos_logs_records_known_total", &[]) > 0.0);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_or_never_end_cost_time_and_nothing_else() {
    let faults = [
        (0.1, Fault::ResetBefore),
        (0.1, Fault::ResetAfter),
        (0.05, Fault::HangAfter),
        (0.05, Fault::HangBefore),
        (0.1, Fault::Endless),
        (0.05, Fault::Length(1 << 30)),
    ];
    let sink = json!({"timeout": "1s"});
    let (_fake, room) = bears("answers lost or endless", &sink, Plan::drawn(5, faults)).await;
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_we_are_not_let_in_lines_wait() {
    let fake = Fake::start();
    let mut room = start(&fake.url(), &sink(&json!({})));
    fake.plan(Plan::always(Fault::Status(403, None)));
    room.write(LINES);
    let is_told = || {
        let sinks = room.handle.state().sinks;
        sinks
            .iter()
            .any(|sink| sink.trouble.as_ref().is_some_and(|why| why.contains("403")))
    };
    let begun = Instant::now();
    while !is_told() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{:?}",
            room.handle.state().sinks
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fake.count("*"), 0);
    fake.plan(Plan::well());
    room.settled(room.lines()).await;
    check("let in at last", &fake, &room);
    assert_eq!(room.handle.state().sinks[0].trouble, None);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_cured_or_buried_and_stops_nobody() {
    let harmless = ["@timestamp", "message", "kubernetes", "host"].map(str::to_owned);
    let curable = Poison {
        harmless: Some(harmless.to_vec()),
        ..Poison::deadly("POISON")
    };
    for (poison, letters) in [(curable, 0), (Poison::deadly("POISON"), 12)] {
        let fake = Fake::start();
        fake.rules(|rules| rules.poison = Some(poison));
        let mut room = start(&fake.url(), &sink(&json!({})));
        for nth in 0..12 {
            room.write(1_000 / 6);
            room.write_plain(&format!("extra POISON {nth}\n"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        room.settled(room.lines() + 12).await;
        check("one in a thousand is poison", &fake, &room);
        let (_, _, extra) = sort(messages(&fake));
        assert_eq!(extra.len(), 12 - letters);
        let buried = room.dead_letters();
        assert_eq!(buried.len(), letters);
        for letter in &buried {
            assert_eq!(
                (&letter["status"], &letter["type"]),
                (&400.into(), &"mapper_parsing_exception".into())
            );
            assert!(
                letter["document"]["message"]
                    .as_str()
                    .unwrap()
                    .starts_with("extra POISON")
            );
        }
        let counted = room.counter(
            "skopos_logs_dead_letters_total",
            &[("reason", "mapper_parsing_exception")],
        );
        assert_eq!(counted, letters as f64);
        room.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_too_large_goes_in_parts_and_one_line_that_is_too_large_is_buried() {
    let fake = Fake::start();
    fake.rules(|rules| rules.body_bytes_max = 20_000);
    let mut room = start(&fake.url(), &sink(&json!({"compression": "none"})));
    room.write_plain(&format!("extra {}\n", "x".repeat(30_000)));
    room.write(LINES);
    room.settled(room.lines() + 1).await;
    check("bodies of 20 kB at most", &fake, &room);
    let buried = room.dead_letters();
    assert_eq!((buried.len(), &buried[0]["status"]), (1, &413.into()));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opensearch_that_is_away_gets_everything_when_it_is_back() {
    let fake = Fake::start();
    let mut room = start(&fake.url(), &sink(&json!({})));
    room.write(LINES);
    room.settled(room.lines()).await;
    fake.close();
    for _ in 0..20 {
        room.write(LINES);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let on_the_way = room.handle.state().sinks[0].in_flight;
    fake.open();
    room.settled(room.lines()).await;
    check(
        &format!("away for a while, {on_the_way} on the way then"),
        &fake,
        &room,
    );
    room.stop().await;
}
